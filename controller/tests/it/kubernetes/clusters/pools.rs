//! Addresses of FabricPools, given by two controllers with the rights of the manifests, of which one leads: while the
//! other is killed, stopped and woken up late.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use controller::cli::crd::{CrdArgs, yaml};
use labs::daemon::Daemon;
use labs::kubernetes::{ApiServer, Setup};
use labs::{Sandbox, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{LIMIT, NAMESPACE, manifests};

const POOLS: &str = "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPool\nmetadata: {name: wide}\n\
    spec: {addresses: [192.0.2.0/25]}\n\
    ---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPool\nmetadata: {name: narrow}\n\
    spec: {addresses: [198.51.100.7], autoAssign: false}\n";

fn service(name: &str, annotations: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n"
    )
}

fn services(prefix: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut all, number| {
        let _ = all.write_str(&service(&format!("{prefix}{number}"), ""));
        all
    })
}

struct World<'a> {
    sandbox: &'a Sandbox,
    api: ApiServer,
    config: PathBuf,
}

impl World<'_> {
    fn controller(&self, identity: &str) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(["pool-controller", "--identity", identity, "--namespace", NAMESPACE]);
        command.args(["--lease-duration", "5s"]).arg("--kubeconfig").arg(&self.config);
        self.sandbox.daemon(identity, command)
    }

    fn leader(&self) -> String {
        let words = [
            "-n",
            NAMESPACE,
            "get",
            "lease",
            "underlay-pool-controller",
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ];
        self.api.try_kubectl(&words).unwrap_or_default()
    }

    /// When the Lease was last renewed, and how often a controller has listed all Services.
    fn renewed_and_lists(&self) -> (String, usize) {
        let words =
            ["-n", NAMESPACE, "get", "lease", "underlay-pool-controller", "-o", "jsonpath={.spec.renewTime}"];
        let renewed = self.api.try_kubectl(&words).unwrap_or_default();
        let user = format!("system:serviceaccount:{NAMESPACE}:underlay-pool-controller");
        let audit = self.api.audit();
        let events = audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let is_list = |event: &Value| {
            event["verb"] == "list"
                && event["objectRef"]["resource"] == "services"
                && event["user"]["username"] == user.as_str()
        };
        (renewed, events.filter(is_list).count())
    }

    /// Each address that a Service has, with the Services that have it.
    fn given(&self) -> BTreeMap<String, Vec<String>> {
        let list: Value =
            serde_json::from_str(&self.api.kubectl(&["get", "services", "-o", "json"])).unwrap();
        let mut given = BTreeMap::<String, Vec<String>>::new();
        for service in list["items"].as_array().unwrap() {
            for ingress in service["status"]["loadBalancer"]["ingress"].as_array().into_iter().flatten() {
                let holders = given.entry(ingress["ip"].as_str().unwrap().to_owned()).or_default();
                holders.push(service["metadata"]["name"].as_str().unwrap().to_owned());
            }
        }
        given
    }

    /// Waits until so many addresses are given; each of them once, at every look.
    #[track_caller]
    fn until_given(&self, count: usize, logs: &[&Daemon]) -> BTreeMap<String, Vec<String>> {
        let look = || {
            let given = self.given();
            let twice = given.iter().find(|(_, holders)| holders.len() > 1);
            assert!(twice.is_none(), "given twice: {twice:?}");
            if given.len() == count { Ok(given) } else { Err(format!("{} are given", given.len())) }
        };
        wait::attempt(&format!("{count} addresses to be given"), LIMIT, look).unwrap_or_else(|message| {
            let logs: Vec<String> = logs.iter().map(|daemon| daemon.log()).collect();
            panic!("{message}; {} leads\n{}", self.leader(), logs.join("\n---\n"))
        })
    }

    #[track_caller]
    fn until_leads(&self, identity: &str, daemon: &Daemon) {
        let look = || if self.leader() == identity { Ok(()) } else { Err(self.leader()) };
        wait::attempt(&format!("{identity} to lead"), LIMIT, look)
            .unwrap_or_else(|message| panic!("{message}\n{}", daemon.log()));
    }

    #[track_caller]
    fn until_said(&self, words: &[&str], expected: &str) {
        wait::until(&format!("{} says {expected}", words.join(" ")), LIMIT, || {
            let said = self.api.try_kubectl(words).unwrap_or_else(|message| message);
            if said.contains(expected) { Ok(()) } else { Err(said) }
        });
    }
}

#[test]
fn no_address_is_given_twice_whoever_leads() {
    labs::require!("root", "kubernetes");
    labs::sandbox!(|sandbox| {
        let api = ApiServer::with(sandbox, Setup { audit: true, ..Setup::default() });
        api.apply(&yaml(CrdArgs { without_cel: true }).unwrap());
        api.kubectl(&["wait", "--for=condition=established", "crd", "--all", "--timeout=20s"]);
        for file in
            ["base/namespace.yaml", "pool-controller/service-account.yaml", "pool-controller/rights.yaml"]
        {
            api.apply(&manifests(file));
        }
        let config = api.kubeconfig_of(NAMESPACE, "underlay-pool-controller");
        assert!(Path::new(&config).exists());
        let world = World { sandbox, api, config };
        world.api.apply(POOLS);

        let mut first = world.controller("first");
        world.until_leads("first", &first);
        let second = world.controller("second");
        world.api.apply(&services("a", 20));
        let before = world.until_given(20, &[&first, &second]);

        // Killed in the middle of it; what is given stays as it is.
        world.api.apply(&services("b", 20));
        first.kill();
        world.until_leads("second", &second);
        let after = world.until_given(40, &[&second]);
        assert!(before.iter().all(|(address, holders)| after.get(address) == Some(holders)));

        // Stopped in the middle of it, and woken up after another one has led for long.
        let (mut second, third) = (second, world.controller("third"));
        wait::until(
            "the third to look",
            LIMIT,
            || if third.log().is_empty() { Err("silent") } else { Ok(()) },
        );
        world.api.apply(&services("c", 20));
        second.signal(Signal::SIGSTOP);
        world.until_leads("third", &third);
        let asleep = world.until_given(60, &[&second, &third]);
        world.api.apply(&services("d", 5));
        second.signal(Signal::SIGCONT);
        wait::until("the second to know that it does not lead", LIMIT, || {
            if second.log().contains("lead-lost") { Ok(()) } else { Err(second.log()) }
        });
        let awake = world.until_given(65, &[&second, &third]);
        assert!(asleep.iter().all(|(address, holders)| awake.get(address) == Some(holders)));

        // A pool that has no more says so, and so does the Service; one that is let go goes to who waits.
        let narrow = "underlay.dev/pool: narrow";
        world.api.apply(&service("one", narrow));
        world.until_given(66, &[&third]);
        world.api.apply(&service("two", narrow));
        let conditions =
            "jsonpath={.status.given} {.status.free} {range .status.conditions[*]}{.type}={.status} {end}";
        world.until_said(
            &["get", "fabricpool", "narrow", "-o", conditions],
            "1 0 Accepted=True Exhausted=True Conflicting=False",
        );
        world.until_said(&["get", "events"], "no IPv4 address is left in narrow");
        world.api.kubectl(&[
            "patch",
            "service",
            "one",
            "--type=merge",
            "-p",
            "{\"spec\":{\"type\":\"ClusterIP\"}}",
        ]);
        world.until_said(&["get", "service", "two", "-o", "jsonpath={.status.loadBalancer}"], "198.51.100.7");
        world.until_given(66, &[&third]);
        world.until_said(&["get", "fabricpool", "narrow", "-o", conditions], "Exhausted=False");

        // Where nothing happens it goes on leading, and looks at nothing.
        let mut seen = world.renewed_and_lists();
        let mut renewals = 0;
        wait::until("the Lease to be renewed without a look at all Services", LIMIT, || {
            let now = world.renewed_and_lists();
            renewals = if now.1 == seen.1 { renewals + usize::from(now.0 != seen.0) } else { 0 };
            seen = now;
            if renewals >= 3 { Ok(()) } else { Err(format!("{renewals} renewals, {} lists", seen.1)) }
        });
        assert!(seen.1 > 0, "the audit log tells of lists");
        drop(third);
    });
}
