//! Five thousand nodes, or ten thousand Services, in a real API server, and what they cost one agent.

mod clusters {
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;

    use futures::StreamExt;
    use k8s_openapi::api::core::v1::{Node, Service};
    use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
    use kube::config::{Config, KubeConfigOptions, Kubeconfig};
    use labs::daemon::Daemon;
    use labs::kubernetes::{ApiServer, Setup};
    use labs::wait;
    use serde_json::json;

    use super::super::clusters::audit::lists;
    use super::super::clusters::{NAMESPACE, install};

    /// The busiest machine still takes less.
    const LIMIT: Duration = Duration::from_secs(120);
    const NODES: u32 = 5_000;
    const SERVICES: u32 = 10_000;
    /// Nodes of a rack: so many are in one mesh.
    const RACK: u32 = 20;
    /// What an agent may use, at its peak.
    const MOST_KB: u64 = 60_000;
    /// The same of the Services and their endpoints.
    const MOST_OF_SERVICES_KB: u64 = 70_000;

    /// One AS a rack, and a mesh in it.
    const FABRIC: &str = "apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {name: racks}\n\
        spec: {asn: {fromLabel: asn}, podPrefixes: [10.0.0.0/8]}\n";

    /// A Node of some 15 KB, as a kubelet that has pulled a few images writes it.
    fn node(number: u32) -> Node {
        let image = |image: u32| {
            json!({"sizeBytes": 50_000_000 + image, "names": [
                format!("registry.example.org/team-{image}/service@sha256:{:064x}", u64::from(image) << 20),
                format!("registry.example.org/team-{image}/service:v1.{image}.{number}"),
            ]})
        };
        let condition = |kind: &str| {
            json!({"type": kind, "status": "False", "reason": "KubeletHasSufficient",
                "message": "kubelet has enough of what it looks at", "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let (high, low) = (number / 200, number % 200 + 1);
        let conditions = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"].map(condition);
        serde_json::from_value(json!({
            "metadata": {
                "name": name(number),
                "labels": {
                    "asn": (64512 + number / RACK).to_string(),
                    "kubernetes.io/hostname": name(number),
                    "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
                    "node.kubernetes.io/instance-type": "metal",
                },
                "annotations": {
                    "node.alpha.kubernetes.io/ttl": "0",
                    "example.org/inventory": "x".repeat(2_000),
                },
            },
            "spec": {"podCIDR": format!("10.{high}.{low}.0/24"), "podCIDRs": [format!("10.{high}.{low}.0/24")]},
            "status": {
                "addresses": [
                    {"type": "InternalIP", "address": format!("192.168.{high}.{low}")},
                    {"type": "Hostname", "address": name(number)},
                ],
                "conditions": conditions,
                "images": (0..50).map(image).collect::<Vec<_>>(),
            },
        }))
        .unwrap()
    }

    fn name(number: u32) -> String {
        format!("worker-{number:04}.rack-{:03}.example.org", number / RACK)
    }

    const ADVERTISING: &str = "apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {name: racks}\n\
        spec: {asn: {value: 64512}, podPrefixes: [10.0.0.0/8], advertise: {services: [{addresses: [ExternalIP]}]}}\n";

    /// A Service as a deployment's tool writes it, with an address that nobody has to give it.
    fn service(number: u32) -> Service {
        serde_json::from_value(json!({
            "metadata": {
                "name": format!("service-{number}"),
                "labels": {"app.kubernetes.io/name": format!("service-{number}"), "app.kubernetes.io/part-of": "shop"},
                "annotations": {"example.org/owner": "x".repeat(200)},
            },
            "spec": {
                "clusterIP": "None", "externalIPs": [external(number)],
                "ports": [{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}],
                "selector": {"app.kubernetes.io/name": format!("service-{number}")},
            },
        }))
        .unwrap()
    }

    fn external(number: u32) -> String {
        format!("198.18.{}.{}", number / 250, number % 250 + 1)
    }

    /// Its endpoints, on three nodes.
    fn slice(number: u32, ready: bool) -> DynamicObject {
        let endpoint = |at: u32| {
            json!({"addresses": [format!("10.{}.{at}.7", number % 250)], "conditions": {"ready": ready},
                "topology": {"kubernetes.io/hostname": name(at)},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("service-{number}-{at}")}})
        };
        serde_json::from_value(json!({
            "apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("service-{number}-x"),
                "labels": {"kubernetes.io/service-name": format!("service-{number}")},
            },
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [endpoint(number % 100), endpoint(number % 100 + 1), endpoint(number % 100 + 2)],
        }))
        .unwrap()
    }

    /// The objects, created or changed by many hands.
    struct Population {
        runtime: tokio::runtime::Runtime,
        nodes: Api<Node>,
        services: Api<Service>,
        slices: Api<DynamicObject>,
    }

    impl Population {
        fn new(kubeconfig: &Path) -> Self {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let client = runtime.block_on(async {
                let file = Kubeconfig::read_from(kubeconfig).unwrap();
                let config =
                    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
                kube::Client::try_from(config).unwrap()
            });
            let slices = ApiResource {
                group: "discovery.k8s.io".into(),
                version: "v1beta1".into(),
                api_version: "discovery.k8s.io/v1beta1".into(),
                kind: "EndpointSlice".into(),
                plural: "endpointslices".into(),
            };
            let slices = Api::namespaced_with(client.clone(), "default", &slices);
            let services = Api::namespaced(client.clone(), "default");
            Self { runtime, nodes: Api::all(client), services, slices }
        }

        fn create_services(&self) {
            let create = |number| async move {
                self.services.create(&PostParams::default(), &service(number)).await.map(drop).unwrap();
                self.slices.create(&PostParams::default(), &slice(number, true)).await.map(drop).unwrap();
            };
            self.runtime.block_on(futures::stream::iter(0..SERVICES).for_each_concurrent(32, create));
        }

        fn end(&self, number: u32) {
            let endpoints = json!({"endpoints": slice(number, false).data["endpoints"]});
            let name = format!("service-{number}-x");
            let (params, patch) = (PatchParams::default(), Patch::Merge(endpoints));
            self.runtime.block_on(self.slices.patch(&name, &params, &patch)).map(drop).unwrap();
        }

        fn create_node(&self, number: u32) {
            let (params, node) = (PostParams::default(), node(number));
            self.runtime.block_on(self.nodes.create(&params, &node)).map(drop).unwrap();
        }

        fn create(&self) {
            let create = |number| async move {
                self.nodes.create(&PostParams::default(), &node(number)).await.map(drop).unwrap();
            };
            self.runtime.block_on(futures::stream::iter(0..NODES).for_each_concurrent(32, create));
        }

        /// What every kubelet says every few minutes: nothing new.
        fn beat(&self) {
            let beat = json!({"status": {"conditions": [{"type": "Ready", "status": "True",
                "lastHeartbeatTime": "2026-01-01T00:05:00Z"}]}});
            let beat = |number| {
                let patch = Patch::Strategic(beat.clone());
                async move {
                    let params = PatchParams::default();
                    self.nodes.patch_status(&name(number), &params, &patch).await.map(drop).unwrap();
                }
            };
            self.runtime.block_on(futures::stream::iter(0..NODES).for_each_concurrent(32, beat));
        }

        fn move_to(&self, number: u32, address: &str) {
            let status = json!({"status": {"addresses": [{"type": "InternalIP", "address": address}]}});
            let patch = Patch::Strategic(status);
            let params = PatchParams::default();
            self.runtime.block_on(self.nodes.patch_status(&name(number), &params, &patch)).map(drop).unwrap();
        }
    }

    /// The agent under test, or the program of another build of it.
    fn program() -> PathBuf {
        std::env::var_os("UNDERLAY_AGENT")
            .map_or_else(|| env!("CARGO_BIN_EXE_underlay").into(), PathBuf::from)
    }

    struct Agent {
        daemon: Daemon,
        socket: PathBuf,
    }

    impl Agent {
        fn start(sandbox: &labs::Sandbox, config: &Path) -> Self {
            let socket = sandbox.folder().join("status.sock");
            let mut command = Command::new(program());
            command.args(["agent", "--node", &name(0), "--namespace", NAMESPACE, "--kubeconfig"]).arg(config);
            command.arg("--checkpoint").arg(sandbox.folder().join("state/checkpoint.json"));
            command.arg("--socket").arg(&socket);
            Self { daemon: sandbox.daemon("agent", command), socket }
        }

        fn ask(&self, words: &str) -> String {
            let mut command = Command::new(program());
            let output = command.args(words.split(' ')).arg("--socket").arg(&self.socket).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        }

        #[track_caller]
        fn until(&self, what: &str, look: impl Fn(&str) -> bool) {
            self.until_said("peers", what, look);
        }

        #[track_caller]
        fn until_said(&self, words: &str, what: &str, look: impl Fn(&str) -> bool) {
            let look = || {
                let said = self.ask(words);
                if look(&said) { Ok(()) } else { Err(said) }
            };
            if let Err(message) = wait::attempt(what, LIMIT, look) {
                panic!("{message}\n{}", self.daemon.log());
            }
        }

        /// A line of `/proc/PID/status` in KB.
        fn memory(&self, line: &str) -> u64 {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
            let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
            value.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        }

        /// Hundredths of a second of a processor so far.
        fn ticks(&self) -> u64 {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).unwrap();
            let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        }

        /// Whether it uses no more than it may. The program's own pages are shared with the file, and of a build without
        /// optimisation many.
        #[track_caller]
        fn is_within(&self, limit: u64) {
            let optimised = std::env::var_os("UNDERLAY_AGENT").is_some();
            let own = if optimised { 0 } else { self.memory("RssFile") };
            let most = self.memory("VmHWM") - own;
            eprintln!("{most} KB at most, without {own} KB of the program's file");
            assert!(most < limit, "{most} KB");
        }

        fn tell(&self, what: &str, since: u64) {
            eprintln!(
                "{what:28} {:>6} KB, {:>6} KB at most, {:>4}0 ms of a processor",
                self.memory("VmRSS"),
                self.memory("VmHWM"),
                self.ticks() - since
            );
        }
    }

    #[test]
    fn five_thousand_nodes_fit_into_an_agent() {
        labs::require!("root", "kubernetes");
        labs::sandbox!(|sandbox| {
            let mut api = ApiServer::with(sandbox, Setup { audit: true, ..Setup::default() });
            let config = install(&api);
            let population = Population::new(&api.kubeconfig());
            population.create();
            api.apply(FABRIC);

            let agent = Agent::start(sandbox, &config);
            let mesh = |said: &str| said.lines().filter(|line| line.contains(".rack-000.")).count() == 19;
            agent.until("the rack's mesh", mesh);
            agent.tell("5000 nodes, listed", 0);

            let before = agent.ticks();
            population.beat();
            // In one watch the changes come in their order.
            population.move_to(1, "192.168.250.1");
            agent.until("what came after the heartbeats", |said| said.contains("192.168.250.1"));
            agent.tell("5000 heartbeats", before);

            let before = agent.ticks();
            for number in 2..102 {
                population.move_to(number, &format!("192.168.251.{number}"));
            }
            agent.until("a hundred changes", |said| said.contains("192.168.251.19"));
            agent.tell("100 nodes that move", before);

            let (before, listed) = (agent.ticks(), lists(&api.audit()));
            api.kill();
            api.start_again(&[]);
            population.move_to(1, "192.168.250.2");
            agent.until("what came after the restart", |said| said.contains("192.168.250.2"));
            agent.tell("the API server restarted", before);
            // A page is 50 nodes; the whole is asked for once, and once more where the server has forgotten.
            let pages = lists(&api.audit()) - listed;
            eprintln!("{pages} pages of a list after the restart");
            assert!(pages <= 100, "{pages} pages: more than the whole once");

            agent.is_within(MOST_KB);
        });
    }

    #[test]
    fn ten_thousand_services_fit_into_an_agent() {
        labs::require!("root", "kubernetes");
        labs::sandbox!(|sandbox| {
            let api = ApiServer::with(sandbox, Setup::default());
            let config = install(&api);
            let population = Population::new(&api.kubeconfig());
            population.create_node(0);
            population.create_services();
            api.apply(ADVERTISING);

            let agent = Agent::start(sandbox, &config);
            let explain = format!("explain {}", external(7_777));
            agent
                .until_said(&explain, "an address", |said| said.contains("is originated by the node itself"));
            agent.tell("10000 Services, listed", 0);
            let before = agent.ticks();
            (0..100).for_each(|number| population.end(number * 50));
            let explain = format!("explain {}", external(99 * 50));
            agent.until_said(&explain, "what has ended", |said| said.contains("no-ready-endpoint"));
            agent.tell("100 that lose their endpoints", before);
            agent.is_within(MOST_OF_SERVICES_KB);
        });
    }
}
