//! `cargo lab up NAME|FILE`.

use std::process::ExitCode;

use anyhow::ensure;

use crate::build::Build;
use crate::image::Image;
use crate::kubernetes::Cluster;
use crate::lab::Lab;
use crate::state::NodeState;
use crate::topology::Topology;
use crate::{cargo, debian, interrupt, need};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A lab of this workspace, or a containerlab topology file
    lab: String,
    /// The programs are built; set where this program calls itself as root
    #[arg(long, hide = true)]
    built: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = super::catalogue::topology_file(&args.lab)?;
    let topology = Topology::read(&file)?;
    interrupt::watch()?;
    if !args.built {
        prepare(&topology)?;
    }
    if let Some(code) = super::console::by_sudo(&["up", "--built", &file.display().to_string()])? {
        return Ok(code);
    }
    let lab = Lab::up(&file, &topology)?;
    let kubernetes = lab.state().nodes.values().filter_map(NodeState::image).any(Image::is_control_plane);
    let lab = if kubernetes { ready(lab, topology.clusters.is_empty())? } else { lab }.stay()?;
    let name = &lab.state().name;
    eprintln!("lab {name} is up: {} nodes, {} links", topology.nodes.len(), topology.links.len());
    eprintln!("  cargo lab status {name}");
    if let Some(node) = topology.nodes.keys().next() {
        eprintln!("  cargo lab exec {name} {node} ip route");
    }
    eprintln!("  cargo lab down {name}");
    Ok(ExitCode::SUCCESS)
}

/// Waits until the nodes of a Kubernetes are known and, where they have agents from the start, can carry pods.
fn ready(lab: Lab, agents: bool) -> anyhow::Result<Lab> {
    eprintln!("waiting for the nodes to be {}", if agents { "ready" } else { "known" });
    let cluster = Cluster::of(lab)?;
    if agents {
        cluster.until_ready()?;
    }
    Ok(cluster.into_lab())
}

/// What the lab's nodes run is installed or built, as the caller.
fn prepare(topology: &Topology) -> anyhow::Result<()> {
    let images = topology.nodes.values().map(|node| Image::known(&node.image).map_err(anyhow::Error::msg));
    let images = images.collect::<anyhow::Result<Vec<_>>>()?;
    let mut tools = vec![debian::IP, debian::NSENTER];
    let daemons = [
        (Image::Bird, debian::BIRD),
        (Image::Frr, debian::FRR),
        (Image::Gobgp, debian::GOBGP),
        (Image::Openbgpd, debian::OPENBGPD),
    ];
    tools.extend(daemons.iter().filter(|(image, _)| images.contains(image)).map(|(_, tool)| *tool));
    let kubernetes = images.iter().any(|image| image.is_kubernetes());
    if kubernetes {
        ensure!(need::met("cgroups"), "{}", need::CGROUPS);
        tools.extend(debian::KUBERNETES);
    }
    debian::install(&tools)?;
    let mut build = kubernetes.then(Build::start).transpose()?;
    if kubernetes || images.contains(&Image::Underlay) {
        cargo::run(&["build", "--package", "controller", "--package", "cni"])?;
    }
    build.as_mut().map_or(Ok(()), Build::wait)
}
