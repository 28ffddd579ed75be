//! A Kubernetes in which things happen: numbered streams between all of its pods and a host beyond the ToRs, what was
//! lost of them, and what the kernels' routes did meanwhile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use labs::kubernetes::{Cluster, Pod};
use labs::wait;
use labs::{Netns, Sandbox};

use super::streams::{End, Fate, Streams};

/// Sessions and routes come back within the hold time of nine seconds; a busy machine gets more.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// Long enough that what follows from a cause is seen with it.
const MOMENT: Duration = Duration::from_millis(1500);

pub(super) struct Run<'a> {
    sandbox: &'a Sandbox,
    pub(super) cluster: Cluster,
    table: String,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        eprintln!("{}", self.table);
        if std::thread::panicking() {
            self.cluster.keep_logs(self.sandbox.test());
        }
    }
}

/// Waits until an agent that is a pod has its session; no other runs on the node.
pub(super) fn until_peer(cluster: &mut Cluster, node: &str) {
    wait::until(&format!("the agent of {node} in a pod"), LIMIT, || {
        let container =
            "for one in /proc/[0-9]*; do [ \"$(cat $one/comm)\" = underlay ] && cat $one/cgroup; done";
        let found =
            cluster.lab().run(node, &["sh", "-c", &format!("({container}) 2>/dev/null; true")]).unwrap();
        let peers = cluster.lab().run(node, &["underlay", "peers"]).unwrap_or_default();
        let pod = !found.is_empty()
            && found.lines().all(|line| line.contains("kubepods") || !line.contains("memory"));
        if pod && peers.contains("Established") { Ok(()) } else { Err(format!("{found}{peers}")) }
    });
}

fn heading() -> String {
    format!(
        "{:26}{:>8}{:>8}{:>8}{:>8}{:>9}{:>9}\n",
        "WHAT", "STREAMS", "SENT", "LOST", "REFUSED", "GAP", "CHANGES"
    )
}

impl<'a> Run<'a> {
    /// Brings the lab up, with a pod on each node that packets reach.
    #[track_caller]
    pub(super) fn up(sandbox: &'a Sandbox, folder: &Path) -> Self {
        let cluster = Cluster::up(&folder.join("kubernetes.clab.yml")).unwrap();
        let run = Self { sandbox, cluster, table: heading() };
        run.cluster.until_ready().unwrap();
        run.cluster.kubectl(&["apply", "--filename", folder.join("pods.yaml").to_str().unwrap()]).unwrap();
        run.until_all_pass(&run.ends(run.cluster.nodes()));
        run
    }

    /// A pod on each of `nodes`, under the node's name, and the client beyond the ToRs.
    pub(super) fn ends(&self, nodes: &[String]) -> Vec<End> {
        let end = |name: &str, namespace: PathBuf, addresses: &[String]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            End { name: name.to_owned(), namespace, addresses }
        };
        let pods: Vec<Pod> = self.cluster.until_pods("web", nodes).unwrap();
        let mut ends: Vec<End> =
            pods.into_iter().map(|pod| end(&pod.node, pod.namespace, &pod.addresses)).collect();
        let client = ["10.0.9.20", "fd00:0:0:9::20"].map(str::to_owned);
        ends.push(end("client", "/run/netns/kubernetes-client".into(), &client));
        ends
    }

    /// Each node's network configuration list, by the number of its file.
    pub(super) fn lists(&mut self) -> Vec<String> {
        let nodes = self.cluster.nodes().to_vec();
        let list = ["stat", "--format=%i", "/etc/cni/net.d/10-underlay.conflist"];
        nodes.iter().map(|node| self.cluster.lab().run(node, &list).unwrap()).collect()
    }

    /// The plugin's STATUS goes by a file that names this boot.
    pub(super) fn ready_in_this_boot(&mut self) {
        for node in self.cluster.nodes().to_vec() {
            let words = ["cmp", "/run/underlay/ready", "/proc/sys/kernel/random/boot_id"];
            self.cluster.lab().run(&node, &words).unwrap();
        }
    }

    /// Pods were placed because the agents took the nodes' taint away, and said that there is a network.
    pub(super) fn admitted(&self) {
        let path = "jsonpath={range .items[*]}{.spec.taints[*].key}\
            {.status.conditions[?(@.type==\"NetworkUnavailable\")].status} {end}";
        wait::until("every Node to be admitted", LIMIT, || {
            let said =
                self.cluster.kubectl(&["get", "nodes", "-o", path]).map_err(|error| error.to_string())?;
            if said.trim() == "False False False" { Ok(()) } else { Err(said) }
        });
    }

    /// Waits until nothing is lost between any two ends.
    #[track_caller]
    pub(super) fn until_all_pass(&self, ends: &[End]) {
        wait::until("packets between all ends", LIMIT, || {
            let streams = Streams::start(ends);
            streams.run(Duration::from_millis(300));
            let fates = streams.finish();
            let losing: Vec<&Fate> = fates.iter().filter(|fate| fate.lost > 0).collect();
            if losing.is_empty() { Ok(()) } else { Err(format!("{losing:?}")) }
        });
    }

    /// Like [`Run::measure`]; nothing may be lost.
    #[track_caller]
    pub(super) fn strict(&mut self, what: &str, ends: &[End], cause: impl FnOnce(&mut Cluster)) {
        let fates = self.measure(what, ends, cause);
        let lost: Vec<&Fate> = fates.iter().filter(|fate| fate.lost > 0).collect();
        assert!(lost.is_empty(), "{what}: {lost:#?}");
    }

    /// Runs streams between all `ends` while `cause` happens, and for a moment before and after it; adds a row to the
    /// table.
    #[track_caller]
    pub(super) fn measure(
        &mut self,
        what: &str,
        ends: &[End],
        cause: impl FnOnce(&mut Cluster),
    ) -> Vec<Fate> {
        let monitors = self.monitors();
        let streams = Streams::start(ends);
        streams.run(MOMENT / 5);
        cause(&mut self.cluster);
        streams.run(MOMENT);
        let fates = streams.finish();
        let changes: Vec<String> = monitors.into_iter().flat_map(Monitor::end).collect();
        let sum = |of: fn(&Fate) -> usize| fates.iter().map(of).sum::<usize>();
        let gap = fates.iter().map(|fate| fate.gap).max().unwrap_or_default();
        let (sent, lost) = (sum(|fate| fate.sent), sum(|fate| fate.lost));
        let refused = sum(|fate| fate.errors.values().sum());
        let row = format!(
            "{what:26}{:>8}{sent:>8}{lost:>8}{refused:>8}{:>6} ms{:>9}\n",
            fates.len(),
            gap.as_millis(),
            changes.len()
        );
        eprint!("{row}");
        self.table += &row;
        if lost > 0 {
            for fate in fates.iter().filter(|fate| fate.lost > 0) {
                let errors: BTreeSet<&String> = fate.errors.keys().collect();
                let line = format!("  {} -> {} {}", fate.from, fate.to, fate.family);
                let _ = writeln!(
                    self.table,
                    "{line:24} lost {} of {}, gap {} ms, sender: {errors:?}",
                    fate.lost,
                    fate.sent,
                    fate.gap.as_millis()
                );
            }
            for change in &changes {
                let _ = writeln!(self.table, "  {change}");
            }
        }
        fates
    }

    /// Watches the routes of every node that has power.
    fn monitors(&mut self) -> Vec<Monitor> {
        let (nodes, folder) = (self.cluster.nodes().to_vec(), self.sandbox.folder().to_owned());
        let lab = self.cluster.lab();
        let nodes = nodes.into_iter().filter(|node| lab.runs(node).is_some());
        nodes
            .map(|node| {
                let file = folder.join(format!("{node}.routes"));
                let namespace = Netns::open(&lab.state().nodes[&node].netns).unwrap();
                let mut command = namespace.exec("ip", ["-tshort", "monitor", "route"]);
                let out = File::create(&file).unwrap();
                let child = command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null()).spawn().unwrap();
                Monitor { node, file, child }
            })
            .collect()
    }
}

/// A running `ip monitor`.
struct Monitor {
    node: String,
    file: PathBuf,
    child: Child,
}

impl Monitor {
    /// What it printed, a line a change.
    fn end(mut self) -> Vec<String> {
        let _ = self.child.kill();
        self.child.wait().unwrap();
        let text = fs::read_to_string(&self.file).unwrap();
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| format!("{}: {line}", self.node))
            .collect()
    }
}
