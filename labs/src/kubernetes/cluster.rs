//! A Kubernetes with nodes: a lab whose machines are a control plane and nodes of it, seen by its users.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::image::Image;
use crate::lab::Lab;
use crate::topology::Topology;
use crate::{cache, interrupt, program, state};

/// Pods and nodes become ready within some ten seconds; a busy machine gets more.
const LIMIT: Duration = Duration::from_secs(120);

/// A running Kubernetes; removed when dropped unless it was told to stay.
#[derive(Debug)]
pub struct Cluster {
    lab: Lab,
    control: String,
    nodes: Vec<String>,
}

/// A pod on its node.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: String,
    /// Its addresses, one a family.
    pub addresses: Vec<String>,
    /// Its network namespace, as it is reached from outside of the node.
    pub namespace: PathBuf,
}

impl Cluster {
    /// Brings the lab of `file` up and waits until the API server knows every node. They are not ready yet.
    ///
    /// # Errors
    /// What failed. Nothing is left then.
    pub fn up(file: &Path) -> anyhow::Result<Self> {
        Self::of(Lab::up(file, &Topology::read(file)?)?)
    }

    /// The Kubernetes in a lab.
    ///
    /// # Errors
    /// A lab without a control plane, or one that does not come up.
    pub fn of(lab: Lab) -> anyhow::Result<Self> {
        let of = |is: fn(Image) -> bool| {
            let nodes = lab.state().nodes.iter().filter(move |(_, node)| node.image().is_some_and(is));
            nodes.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let control = of(Image::is_control_plane).pop().context("the lab has no control plane")?;
        let nodes = of(Image::is_node);
        let cluster = Self { lab, control, nodes };
        interrupt::until("the API server to know every node", LIMIT, || {
            let known = cluster.kubectl(&["get", "nodes", "--output=name"])?.lines().count();
            ensure!(known == cluster.nodes.len(), "it knows {known}");
            Ok(())
        })?;
        Ok(cluster)
    }

    /// The lab that it runs in.
    #[must_use]
    pub fn lab(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// The lab alone.
    #[must_use]
    pub fn into_lab(self) -> Lab {
        self.lab
    }

    /// Runs a command on a machine and gives what it prints.
    ///
    /// # Errors
    /// A command that fails, with what it said.
    pub fn run(&self, machine: &str, words: &[&str]) -> anyhow::Result<String> {
        self.lab.run(machine, words)
    }

    /// A command on a machine.
    ///
    /// # Errors
    /// A machine that is not there.
    pub fn command(&self, machine: &str, program: &str, args: &[String]) -> anyhow::Result<Command> {
        self.lab.command(machine, program, args)
    }

    /// The names of its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The machine of the control plane.
    #[must_use]
    pub fn control(&self) -> &str {
        &self.control
    }

    /// What `kubectl` prints, as somebody who may do everything.
    ///
    /// # Errors
    /// What it said.
    pub fn kubectl(&self, words: &[&str]) -> anyhow::Result<String> {
        let kubectl = cache::kubernetes().join("kubectl").display().to_string();
        let config = ["--kubeconfig=/run/lab/admin.kubeconfig", "--cache-dir=/run/kubectl"];
        self.lab.run(&self.control, &[&[kubectl.as_str()], &config[..], words].concat())
    }

    /// Waits until every node is ready.
    ///
    /// # Errors
    /// Those that are not.
    pub fn until_ready(&self) -> anyhow::Result<()> {
        interrupt::until("every node to be ready", LIMIT, || {
            let unready: Vec<String> = self
                .conditions("Ready")?
                .into_iter()
                .filter(|(_, ready)| !ready)
                .map(|(node, _)| node)
                .collect();
            ensure!(unready.is_empty(), "{} are not", unready.join(", "));
            Ok(())
        })
    }

    /// Each node, and whether this condition of it is true.
    ///
    /// # Errors
    /// An API server that does not answer.
    pub fn conditions(&self, condition: &str) -> anyhow::Result<Vec<(String, bool)>> {
        let nodes: Value = serde_json::from_str(&self.kubectl(&["get", "nodes", "--output=json"])?)?;
        let nodes = nodes["items"].as_array().context("a list has items")?;
        Ok(nodes
            .iter()
            .map(|node| {
                let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
                let holds = conditions.iter().any(|one| one["type"] == condition && one["status"] == "True");
                (node["metadata"]["name"].as_str().unwrap_or_default().to_owned(), holds)
            })
            .collect())
    }

    /// Waits until a pod with the label `app=APP` runs on each of `nodes`, with an address of either family, and gives
    /// them in that order.
    ///
    /// # Errors
    /// A node without one.
    pub fn until_pods(&self, app: &str, nodes: &[String]) -> anyhow::Result<Vec<Pod>> {
        interrupt::until(&format!("a pod {app} on {}", nodes.join(", ")), LIMIT, || {
            let list =
                self.kubectl(&["get", "pods", "--output=json", "--selector", &format!("app={app}")])?;
            let list: Value = serde_json::from_str(&list)?;
            let pods = list["items"].as_array().context("a list has items")?;
            nodes.iter().map(|node| self.pod(node, pods)).collect::<anyhow::Result<Vec<_>>>()
        })
    }

    fn pod(&self, node: &str, pods: &[Value]) -> anyhow::Result<Pod> {
        let running = |pod: &&Value| {
            let statuses = pod["status"]["containerStatuses"].as_array().map_or(&[][..], Vec::as_slice);
            pod["spec"]["nodeName"] == *node
                && pod["metadata"]["deletionTimestamp"].is_null()
                && !statuses.is_empty()
                && statuses.iter().all(|one| one["ready"] == true)
        };
        let pod = pods.iter().find(running).with_context(|| format!("none is ready on {node}"))?;
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let addresses = pod["status"]["podIPs"].as_array().map_or(&[][..], Vec::as_slice);
        let addresses: Vec<String> =
            addresses.iter().filter_map(|one| one["ip"].as_str()).map(str::to_owned).collect();
        ensure!(addresses.len() == 2, "{name} on {node} has {addresses:?}");
        let script = format!(
            "for one in /run/netns/*; do nsenter --net=$one ip -o -4 address | grep -qwF {} && echo $one; done; true",
            addresses[0]
        );
        let namespace = self.lab.run(node, &["sh", "-c", &script])?;
        let namespace = self.lab.outside(node, namespace.trim()).context("the node runs")?;
        ensure!(namespace.is_file(), "no network namespace on {node} has {}", addresses[0]);
        Ok(Pod { name, node: node.to_owned(), addresses, namespace })
    }

    /// Ends a service of a machine by a signal (`TERM`, `KILL`) and keeps it from being started again. The services
    /// are `containerd`, `kubelet` and `agent` of a node; `etcd`, `kube-apiserver`, `kube-controller-manager` and
    /// `kube-scheduler` of the control plane.
    ///
    /// # Errors
    /// A service that does not end.
    pub fn stop(&self, machine: &str, service: &str, signal: &str) -> anyhow::Result<()> {
        let file = format!("/run/services/{service}");
        self.lab
            .run(machine, &["sh", "-c", &format!("touch {file}.off && kill -{signal} $(cat {file}.pid)")])?;
        interrupt::until(&format!("{service} of {machine} to end"), LIMIT, || {
            self.lab.run(machine, &["sh", "-c", &format!("! kill -0 $(cat {file}.pid)")])
        })?;
        Ok(())
    }

    /// Lets a service be started that was stopped; see [`Cluster::stop`].
    ///
    /// # Errors
    /// A machine that is not there.
    pub fn start(&self, machine: &str, service: &str) -> anyhow::Result<()> {
        self.lab.run(machine, &["rm", "-f", &format!("/run/services/{service}.off")]).map(drop)
    }

    /// Ends a service by a signal and waits until it runs again; see [`Cluster::stop`].
    ///
    /// # Errors
    /// A service that does not end or start.
    pub fn restart(&self, machine: &str, service: &str, signal: &str) -> anyhow::Result<()> {
        let pid = format!("/run/services/{service}.pid");
        let old = self.lab.run(machine, &["cat", &pid])?;
        self.lab.run(machine, &["kill", &format!("-{signal}"), old.trim()])?;
        interrupt::until(&format!("{service} of {machine} to run again"), LIMIT, || {
            let new = self.lab.run(machine, &["cat", &pid])?;
            ensure!(new != old, "it is still process {}", old.trim());
            Ok(())
        })
    }

    /// Keeps the logs of every machine in [`program::failure_folder`].
    pub fn keep_logs(&self, test: &str) {
        let folder = program::failure_folder(test);
        let lab = state::folder(&self.lab.state().name);
        let keep = |log: &Path, kept: &Path| {
            let name = log.file_name().unwrap_or_default();
            let copied = fs::create_dir_all(kept).and_then(|()| fs::copy(log, kept.join(name)));
            if let Err(error) = copied {
                eprintln!("{}: {error}", log.display());
            }
        };
        for machine in
            self.lab.state().nodes.iter().filter(|(_, node)| node.daemon.is_some()).map(|(name, _)| name)
        {
            keep(&lab.join(format!("{machine}.log")), &folder);
        }
        let disks = lab.join("disks");
        for machine in fs::read_dir(disks).into_iter().flatten().flatten() {
            let logs = fs::read_dir(machine.path().join("log")).into_iter().flatten().flatten();
            for log in logs.filter(|log| log.path().is_file()) {
                keep(&log.path(), &folder.join(machine.file_name()));
            }
        }
        eprintln!("logs of the machines are in {}", folder.display());
    }
}
