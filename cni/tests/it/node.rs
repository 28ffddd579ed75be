//! A node and its pods: namespaces in the sandbox, and calls of the plugin as a runtime makes them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use labs::{Netns, Sandbox};
use serde_json::{Value, json};

/// The binary under test.
pub(crate) const PLUGIN: &str = env!("CARGO_BIN_EXE_underlay-cni");

/// Where Debian has the reference plugins.
pub(crate) const REFERENCE: &str = "/usr/lib/cni";

/// The network's name in every test.
pub(crate) const NETWORK: &str = "net";

/// A node with one uplink to a router, which is also its default route.
pub(crate) struct Node {
    pub(crate) netns: Netns,
    pub(crate) router: Netns,
    /// The network configuration of every call that gives no other.
    pub(crate) conf: Value,
}

/// A container: a namespace and an id.
pub(crate) struct Pod {
    pub(crate) netns: Netns,
    pub(crate) id: String,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
}

impl Answer {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        }
    }

    /// The JSON of a call that succeeded.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        assert!(self.success, "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.stdout))
    }

    /// A call that succeeded says nothing.
    #[track_caller]
    pub(crate) fn silent(&self) {
        assert!(self.success && self.stdout.is_empty(), "{}", self.stdout);
    }

    /// The code and the message with the details of a call that failed.
    #[track_caller]
    pub(crate) fn error(&self) -> (u64, String) {
        assert!(!self.success, "{}", self.stdout);
        let json: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.stdout));
        assert!(json["cniVersion"].is_string(), "{json}");
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned();
        (json["code"].as_u64().expect("a code"), format!("{}; {}", text("msg"), text("details")))
    }

    /// A call that failed with `code` and says `needle`.
    #[track_caller]
    pub(crate) fn fails(&self, code: u64, needle: &str) {
        let (got, text) = self.error();
        assert!(got == code && text.contains(needle), "expected {code} {needle:?}, got {got} {text}");
    }
}

impl Node {
    /// A node that duplicates nothing of the sandbox's comfort: duplicate address detection is on,
    /// and nothing is forwarded until the plugin asks for it.
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        let (netns, router) = (sandbox.netns("node"), sandbox.router("router"));
        sandbox.link(&netns, "eth0", &router, "down0");
        for words in ["addr add 192.0.2.1/24 dev eth0", "addr add 2001:db8::1/64 dev eth0 nodad"] {
            netns.ip(words);
        }
        for words in ["addr add 192.0.2.254/24 dev down0", "addr add 2001:db8::fe/64 dev down0 nodad"] {
            router.ip(words);
        }
        for words in ["route add default via 192.0.2.254", "-6 route add default via 2001:db8::fe"] {
            netns.ip(words);
        }
        for words in
            ["route add 10.244.1.0/24 via 192.0.2.1", "-6 route add fd00:10:244:1::/64 via 2001:db8::1"]
        {
            router.ip(words);
        }
        detect_duplicates(&netns);
        let conf = json!({"cniVersion": "1.1.0", "name": NETWORK, "type": "underlay-cni",
                          "subnets": ["10.244.1.0/24", "fd00:10:244:1::/64"]});
        Self { netns, router, conf }
    }

    /// A container on it.
    pub(crate) fn pod(&self, sandbox: &Sandbox, id: &str) -> Pod {
        let netns = sandbox.netns(id);
        detect_duplicates(&netns);
        Pod { netns, id: id.into() }
    }

    /// The configuration with one field changed.
    pub(crate) fn with(&self, key: &str, value: impl Into<Value>) -> Value {
        let mut conf = self.conf.clone();
        conf[key] = value.into();
        conf
    }

    /// A call's process, its configuration written, its output not yet read.
    pub(crate) fn spawn(&self, verb: &str, pod: Option<&Pod>, conf: &str, env: &[(&str, &str)]) -> Child {
        self.spawn_program(PLUGIN, verb, pod, conf, env)
    }

    /// The same of another build of the plugin.
    pub(crate) fn spawn_program(
        &self,
        program: &str,
        verb: &str,
        pod: Option<&Pod>,
        conf: &str,
        env: &[(&str, &str)],
    ) -> Child {
        let mut command = self.netns.exec(program, [] as [&str; 0]);
        command.env_clear().env("CNI_COMMAND", verb).env("CNI_PATH", REFERENCE).env("CNI_IFNAME", "eth0");
        if let Some(pod) = pod {
            command.env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", pod.netns.path());
        }
        command.envs(env.iter().copied());
        spawn(command, conf)
    }

    /// A call with other configuration or environment.
    pub(crate) fn call(&self, verb: &str, pod: Option<&Pod>, conf: &Value, env: &[(&str, &str)]) -> Answer {
        wait(self.spawn(verb, pod, &conf.to_string(), env))
    }

    /// ADD.
    #[track_caller]
    pub(crate) fn add(&self, pod: &Pod) -> Value {
        self.call("ADD", Some(pod), &self.conf, &[]).result()
    }

    /// DEL.
    #[track_caller]
    pub(crate) fn del(&self, pod: &Pod) {
        self.call("DEL", Some(pod), &self.conf, &[]).silent();
    }

    /// CHECK with the result of ADD.
    pub(crate) fn check(&self, pod: &Pod, result: &Value) -> Answer {
        self.call("CHECK", Some(pod), &self.with("prevResult", result.clone()), &[])
    }

    /// The file of reservations.
    pub(crate) fn ledger(&self) -> PathBuf {
        PathBuf::from(format!("/var/lib/underlay/cni/{NETWORK}/reservations.json"))
    }

    /// The container ids that hold a reservation.
    pub(crate) fn holders(&self) -> Vec<String> {
        let Ok(text) = fs::read_to_string(self.ledger()) else { return Vec::new() };
        let json: Value = serde_json::from_str(&text).expect("the ledger is JSON");
        let list = json["reservations"].as_array().expect("a list");
        list.iter().map(|entry| entry["containerID"].as_str().expect("an id").to_owned()).collect()
    }

    /// The names of the host ends on the node.
    pub(crate) fn links(&self) -> Vec<String> {
        let json: Value = serde_json::from_str(&self.netns.ip("-j link")).expect("ip writes JSON");
        let names = json.as_array().expect("a list").iter().filter_map(|link| link["ifname"].as_str());
        names.filter(|name| name.starts_with("ul")).map(str::to_owned).collect()
    }

    /// Nothing of any pod is left: links, routes, reservations.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        assert_eq!(self.links(), [""; 0]);
        assert_eq!(self.holders(), [""; 0]);
        for words in ["route show proto 172", "-6 route show proto 172"] {
            assert_eq!(self.netns.ip(words), "");
        }
        if labs::need::met("nft") {
            let rules = self.netns.exec("nft", ["list", "ruleset"]).output().expect("nft runs");
            let rules = String::from_utf8_lossy(&rules.stdout);
            assert!(!rules.contains("underlay"), "{rules}");
        }
    }
}

/// The sandbox's namespaces start without duplicate address detection; a container's do not.
fn detect_duplicates(netns: &Netns) {
    for which in ["all", "default"] {
        netns.sysctl(&format!("net/ipv6/conf/{which}/accept_dad"), "1");
    }
}

/// Starts `command` with `stdin`.
pub(crate) fn spawn(mut command: Command, stdin: &str) -> Child {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the plugin starts");
    // A call that fails on its environment may end without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
    child
}

/// Waits for the end; a plugin says nothing on stderr.
pub(crate) fn wait(child: Child) -> Answer {
    let output = child.wait_with_output().expect("the plugin ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Answer::of(&output)
}

/// The addresses of a result, IPv4 first.
pub(crate) fn addresses(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().expect("addresses");
    ips.iter()
        .map(|ip| ip["address"].as_str().expect("text").split('/').next().expect("one part").into())
        .collect()
}

/// The first packet passes: one echo request, one second.
#[track_caller]
pub(crate) fn ping(from: &Netns, to: &str) {
    let output = from.exec("ping", ["-c1", "-W1", to]).output().expect("ping runs");
    assert!(output.status.success(), "{} to {to}: {}", from.name(), String::from_utf8_lossy(&output.stdout));
}
