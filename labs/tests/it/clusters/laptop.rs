//! The command line on a host beyond the ToRs: it has a kubeconfig and no agent, and asks the agents of all nodes in
//! their pods.

use std::process::Output;

use labs::kubernetes::Cluster;
use labs::wait;
use serde_json::Value;

use super::run::{LIMIT, Run};

/// Its kubeconfig.
const KUBECONFIG: &str = "/run/laptop.kubeconfig";

/// A host with the rights of manifests/rbac/viewer.yaml.
pub(super) struct Laptop<'a> {
    cluster: &'a Cluster,
}

impl<'a> Laptop<'a> {
    /// A host that may ask the API server for nothing yet.
    fn stranger(run: &'a Run<'_>) -> Self {
        let cluster = &run.cluster;
        cluster.kubectl(&["create", "serviceaccount", "laptop"]).unwrap();
        let token = cluster.kubectl(&["create", "token", "laptop", "--duration=24h"]).unwrap();
        let admin = cluster.run("control", &["cat", "/run/lab/admin.kubeconfig"]).unwrap();
        let user = format!("users: [{{name: user, user: {{token: \"{}\"}}}}]", token.trim());
        let line = |line: &str| if line.starts_with("users:") { user.clone() } else { line.to_owned() };
        let config = admin.lines().map(line);
        let config = config.collect::<Vec<_>>().join("\n");
        cluster.run("client", &["sh", "-c", &format!("printf %s \"$0\" > {KUBECONFIG}"), &config]).unwrap();
        Self { cluster }
    }

    /// Gives it the rights of the manifests.
    fn admit(&self) {
        let account = "--serviceaccount=default:laptop";
        let bind = |words: &[&str]| {
            self.cluster.kubectl(&[words, &["underlay-viewer", account]].concat()).unwrap();
        };
        bind(&["create", "clusterrolebinding", "--clusterrole=underlay-viewer"]);
        bind(&["--namespace=underlay-system", "create", "rolebinding", "--role=underlay-viewer"]);
    }

    pub(super) fn underlay(&self, line: &str) -> Output {
        let mut args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        args.extend(["--kubeconfig", KUBECONFIG].map(str::to_owned));
        self.cluster.command("client", "underlay", &args).unwrap().output().unwrap()
    }

    /// Asks until the answer is as wanted.
    #[track_caller]
    pub(super) fn until<T>(&self, line: &str, wanted: impl Fn(i32, &str, &str) -> Option<T>) -> T {
        let mut found = None;
        wait::until(&format!("underlay {line}"), LIMIT, || {
            let output = self.underlay(line);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            found = wanted(output.status.code().unwrap_or(-1), &stdout, &stderr);
            if found.is_some() { Ok(()) } else { Err(format!("{}\n{stdout}{stderr}", output.status)) }
        });
        found.unwrap()
    }
}

/// The first words of the lines.
fn nodes(stdout: &str) -> Vec<&str> {
    stdout.lines().skip(1).filter_map(|line| line.split(' ').next()).collect()
}

/// Whether a text has each of these, with one blank between its words.
fn all_of(text: &str, said: &[&str]) -> bool {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    said.iter().all(|said| text.contains(said))
}

/// All agents answer in one call; of a node whose kubelet is dead it is said why it does not.
pub(super) fn asks_all_nodes(run: &Run<'_>) {
    let laptop = Laptop::stranger(run);
    let output = laptop.underlay("status");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("cannot list resource \"pods\""), "{said}");
    laptop.admit();

    laptop.until("status", |code, stdout, stderr| {
        (code == 0 && stderr.is_empty() && nodes(stdout) == ["n11", "n12", "n21"]).then_some(())
    });
    // tor2 is the only peer of n21; each of the others has its ToR and its neighbour.
    laptop.until("peers --check -o json", |code, stdout, _| {
        let answers: Value = serde_json::from_str(stdout).ok()?;
        let of = |node: &Value| Some((node["node"].as_str()?.to_owned(), node["peers"].as_array()?.len()));
        let found: Vec<(String, usize)> = answers.as_array()?.iter().filter_map(of).collect();
        let expected = [("n11", 2), ("n12", 2), ("n21", 1)].map(|(node, peers)| (node.to_owned(), peers));
        (code == 0 && found == expected).then_some(())
    });
    laptop.until("routes 10.244.3.0/24 --node n11 -o json", |code, stdout, _| {
        let answer: Value = serde_json::from_str(stdout).ok()?;
        (code == 0 && answer["node"] == "n11" && answer["routes"][0]["prefix"] == "10.244.3.0/24")
            .then_some(())
    });
    laptop.until("peers --node n13", |code, _, stderr| {
        (code == 4 && stderr.contains("no node `n13` with an agent; there are n11, n12, n21")).then_some(())
    });
    laptop.until("drain --cluster", |code, _, stderr| (code == 2 && stderr.contains("--node")).then_some(()));

    run.cluster.stop("n21", "kubelet", "KILL").unwrap();
    laptop.until("status", |code, stdout, stderr| {
        let partial = stderr.contains("underlay: n21: pod underlay-agent-")
            && stderr.contains("connection refused")
            && stderr.contains("2 of 3 agents answered");
        (code == 1 && partial && nodes(stdout) == ["n11", "n12"]).then_some(())
    });
    laptop.until("peers -o json", |code, stdout, stderr| {
        let answers: Value = serde_json::from_str(stdout).ok()?;
        let error: Value = serde_json::from_str(stderr).ok()?;
        (code == 1 && answers.as_array()?.len() == 2 && error["error"]["node"] == "n21").then_some(())
    });
    laptop.until("peers --node n21", |code, stdout, _| (code == 5 && stdout.is_empty()).then_some(()));
    run.cluster.start("n21", "kubelet").unwrap();
    laptop.until("status", |code, stdout, _| (code == 0 && nodes(stdout).len() == 3).then_some(()));

    // Nothing is left in the pods of who asked.
    let left = [
        "sh",
        "-c",
        "cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' ' | grep -c 'underlay [r]elay'; true",
    ];
    wait::until("programs in the pods to end", LIMIT, || {
        let of = |node: &String| run.cluster.run(node, &left).unwrap().trim().to_owned();
        let count: Vec<String> = run.cluster.nodes().iter().map(of).collect();
        if count.iter().all(|count| count == "0") { Ok(()) } else { Err(format!("{count:?}")) }
    });
}

/// A Service of the pods, with an address that nodes advertise.
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
    spec: {selector: {app: web}, ports: [{port: 80}], externalIPs: [198.51.100.80]}\n";

/// The whole path to a pod, and where a Service is advertised and where not.
pub(super) fn explains_across_nodes(run: &Run<'_>) {
    let (laptop, cluster) = (Laptop { cluster: &run.cluster }, &run.cluster);
    let on = ["n21".to_owned()];
    let pod = cluster.until_pods("web", &on).unwrap().remove(0);
    laptop.until(&format!("explain default/{}", pod.name), |code, stdout, _| {
        let said = [
            "on n21 is reached by 2 of 2 other nodes",
            "covered by 10.244.3.0/24 originated here",
            "sent to tor2 10.0.2.1 path 65002 next hop 10.0.2.11",
            "on n11 10.244.3.0/24 from tor1 10.0.1.1, installed via 10.0.1.1",
            "n12 fd00:10:244:3::/64 from tor1 10.0.1.1, installed via",
        ];
        (code == 0 && all_of(stdout, &said)).then_some(())
    });
    laptop.until("explain default/nothing", |code, _, stderr| {
        (code == 4 && stderr.contains("neither a pod nor a Service default/nothing")).then_some(())
    });

    let out = "node.kubernetes.io/exclude-from-external-load-balancers";
    cluster.kubectl(&["label", "node", "n12", &format!("{out}=")]).unwrap();
    let rules = "{\"spec\": {\"advertise\": {\"services\": [{\"addresses\": [\"ExternalIP\"]}]}}}";
    cluster.kubectl(&["patch", "fabric", "nodes", "--type=merge", "--patch", rules]).unwrap();
    let file = "cat > /run/web.yaml <<'END'\n".to_owned() + SERVICE + "END";
    cluster.run(cluster.control(), &["sh", "-c", &file]).unwrap();
    cluster.kubectl(&["apply", "--filename", "/run/web.yaml"]).unwrap();
    laptop.until("explain svc/default/web", |code, stdout, _| {
        let said = [
            "default/web is advertised by 2 of 3 nodes",
            "ExternalIP, as 198.51.100.80/32 by rule 1 of Fabric nodes",
            "on n11 198.51.100.80/32 sent to tor1 10.0.1.1, n12 10.0.1.12",
            "n12 198.51.100.80/32 NOT advertised: node-excluded: ",
            "n21 198.51.100.80/32 sent to tor2 10.0.2.1",
        ];
        (code == 0 && all_of(stdout, &said)).then_some(())
    });
    cluster.kubectl(&["delete", "service", "web"]).unwrap();
    cluster.kubectl(&["label", "node", "n12", &format!("{out}-")]).unwrap();
}
