//! Pods as a container runtime makes them: a network namespace in the node, and the real plugin's ADD.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::interrupt;
use crate::lab::Lab;

/// A pod with its addresses.
#[derive(Debug, Clone)]
pub struct Pod {
    /// The node that it runs on.
    pub node: String,
    /// Its name, which is also that of its network namespace inside the node.
    pub name: String,
    /// Its addresses, without prefix lengths, in the order of the node's prefixes.
    pub addresses: Vec<String>,
}

impl Pod {
    /// Adds a pod to a node by the plugin's ADD, with addresses from `subnets`.
    ///
    /// # Errors
    /// What the plugin answers.
    pub fn add(lab: &Lab, plugin: &Path, node: &str, name: &str, subnets: &[String]) -> anyhow::Result<Self> {
        lab.run(node, &["ip", "netns", "add", name])?;
        lab.run(node, &["ip", "-n", name, "link", "set", "lo", "up"])?;
        let network = json!({
            "cniVersion": "1.0.0", "name": "underlay", "type": "underlay-cni",
            "subnets": subnets, "mtu": 1500, "stateDir": "/var/lib/underlay/cni",
        });
        let mut command = lab.command(node, &plugin.display().to_string(), &[])?;
        command.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", name).env("CNI_IFNAME", "eth0");
        command.env("CNI_NETNS", format!("/run/netns/{name}"));
        // What a runtime of Kubernetes tells.
        command.env("CNI_ARGS", format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name}"));
        command.env("CNI_PATH", plugin.parent().unwrap_or(plugin));
        let output = interrupt::output_of(&mut command, network.to_string().as_bytes())?;
        let answer = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "underlay-cni ADD of {name} on {node}: {} {}",
            answer.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let result: Value =
            serde_json::from_str(&answer).with_context(|| format!("underlay-cni ADD: {answer}"))?;
        let ips = result["ips"].as_array().map_or(&[][..], Vec::as_slice);
        let address = |ip: &Value| Some(ip["address"].as_str()?.split('/').next()?.to_owned());
        let addresses: Vec<String> = ips.iter().filter_map(address).collect();
        ensure!(addresses.len() == subnets.len(), "underlay-cni ADD of {name} on {node} gave {answer}");
        Ok(Self { node: node.to_owned(), name: name.to_owned(), addresses })
    }

    /// Pings `address` from inside the pod, up to three times within some seconds.
    ///
    /// # Errors
    /// What `ping` says where no answer came.
    pub fn ping(&self, lab: &Lab, address: &str) -> anyhow::Result<()> {
        let words = ["ip", "netns", "exec", &self.name, "ping", "-n", "-c", "1", "-w", "5", address];
        lab.run(&self.node, &words).map(|_| ()).with_context(|| format!("{} on {}", self.name, self.node))
    }
}

/// Every ordered pair of different pods with an address of the second: both families.
pub fn pairs(pods: &[Pod]) -> impl Iterator<Item = (&Pod, &Pod, &str)> {
    let ordered = pods.iter().flat_map(move |from| pods.iter().map(move |to| (from, to)));
    let different = ordered.filter(|(from, to)| (&from.node, &from.name) != (&to.node, &to.name));
    different.flat_map(|(from, to)| to.addresses.iter().map(move |address| (from, to, address.as_str())))
}

/// Pings once along every pair, a few at a time, and gives the number of pairs.
///
/// # Errors
/// Every pair that failed, with what `ping` said.
pub fn ping_all(lab: &Lab, pods: &[Pod]) -> anyhow::Result<usize> {
    /// Enough to hide the round trips, few enough for two cores.
    const AT_ONCE: usize = 8;
    let pairs: Vec<_> = pairs(pods).collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((from, to, address)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = from.ping(lab, address) {
                        let line = format!("{} -> {} {address}: {error:#}", from.name, to.name);
                        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
                    }
                }
            });
        }
    });
    interrupt::check()?;
    let failed = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure!(
        failed.is_empty(),
        "{} of {} pings failed:\n  {}",
        failed.len(),
        pairs.len(),
        failed.join("\n  ")
    );
    Ok(pairs.len())
}
