//! What is missing on the machine, and its Debian package: nothing is installed without being said.

use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::{interrupt, need};

/// A program that a command needs.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name on `PATH`.
    pub program: &'static str,
    /// The package that brings it.
    pub package: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// The service that the package would start; it is masked before, since labs and tests start the program
    /// themselves and the machine is to have no routing daemon that nobody asked for.
    pub service: Option<&'static str>,
}

/// Network namespaces, links, addresses and routes.
pub const IP: Tool = Tool {
    program: "ip",
    package: "iproute2",
    why: "makes the links and addresses of the labs, reads the routes",
    service: None,
};
/// Reachability between pods.
pub const PING: Tool =
    Tool { program: "ping", package: "iputils-ping", why: "pings between the pods", service: None };
/// Entering a node.
pub const NSENTER: Tool =
    Tool { program: "nsenter", package: "util-linux", why: "runs commands inside a node", service: None };
/// A peer of the interoperability tests, and a ToR of a lab.
pub const BIRD: Tool = Tool {
    program: "bird",
    package: "bird2",
    why: "is a BGP peer of the interoperability tests and a ToR of a lab",
    service: Some("bird"),
};
/// A peer of the interoperability tests, and a ToR of a lab. Its daemons lie outside of `PATH`.
pub const FRR: Tool = Tool {
    program: "vtysh",
    package: "frr",
    why: "asks FRR, a BGP peer of the interoperability tests and a ToR of a lab",
    service: Some("frr"),
};
/// A peer that labs can name as an image.
pub const GOBGP: Tool = Tool {
    program: "gobgpd",
    package: "gobgpd",
    why: "is a BGP peer that labs can have",
    service: Some("gobgpd"),
};
/// A peer that labs can name as an image. Its daemon shares its name with FRR's.
pub const OPENBGPD: Tool = Tool {
    program: "bgpctl",
    package: "openbgpd",
    why: "asks OpenBGPD, a BGP peer that labs can have",
    service: Some("openbgpd"),
};
/// Firewall rules that tests look at.
pub const NFT: Tool =
    Tool { program: "nft", package: "nftables", why: "shows firewall rules to the tests", service: None };
/// The store of an API server.
pub const ETCD: Tool = Tool {
    program: "etcd",
    package: "etcd-server",
    why: "holds what the API servers of tests and labs are told",
    service: Some("etcd"),
};
/// Certificates of a control plane.
pub const OPENSSL: Tool = Tool {
    program: "openssl",
    package: "openssl",
    why: "makes the certificates of API servers",
    service: None,
};
/// The compiler of Kubernetes, by its path: another version on `PATH` is of no use.
pub const GO: Tool = Tool {
    program: "/usr/lib/go-1.19/bin/go",
    package: "golang-1.19-go",
    why: "builds Kubernetes once",
    service: None,
};
/// Runs pods.
pub const CONTAINERD: Tool = Tool {
    program: "containerd",
    package: "containerd",
    why: "runs the pods of a Kubernetes",
    service: Some("containerd"),
};
/// Starts containers for containerd.
pub const RUNC: Tool =
    Tool { program: "runc", package: "runc", why: "starts containers for containerd", service: None };
/// What the containers of tests hold: one program without any library.
pub const BUSYBOX: Tool = Tool {
    program: "busybox-static",
    package: "busybox-static",
    why: "is the image of the containers that tests start",
    service: None,
};
/// Another runtime with CNI plugins.
pub const PODMAN: Tool = Tool {
    program: "podman",
    package: "podman",
    why: "is a container runtime that the CNI plugin is tried with",
    service: Some("podman"),
};
/// containerd asks a plugin for each pod's loopback.
pub const CNI: Tool = Tool {
    program: "/usr/lib/cni/loopback",
    package: "containernetworking-plugins",
    why: "gives pods their loopback, and is what ours is compared with",
    service: None,
};
/// What a Kubernetes needs besides its own programs.
pub const KUBERNETES: [Tool; 6] = [ETCD, OPENSSL, GO, CONTAINERD, RUNC, CNI];
/// What two of the reference plugins call.
pub const IPTABLES: Tool = Tool {
    program: "iptables",
    package: "iptables",
    why: "makes the rules of two reference CNI plugins",
    service: None,
};
/// Starts the agent where it is a unit of the machine.
pub const SYSTEMD: Tool =
    Tool { program: "systemd", package: "systemd", why: "runs the agent's unit", service: None };
/// Keeps sets of addresses, which other networks of pods leave.
pub const IPSET: Tool = Tool {
    program: "ipset",
    package: "ipset",
    why: "makes the sets of addresses that `underlay check` finds",
    service: None,
};
/// Kills a program at a system call of choice.
pub const STRACE: Tool = Tool {
    program: "strace",
    package: "strace",
    why: "kills the CNI plugin at each system call",
    service: None,
};
/// What ExaBGP is installed and run by.
pub const PYTHON: Tool = Tool {
    program: "python3",
    package: "python3-venv",
    why: "runs ExaBGP, a BGP peer of the interoperability tests",
    service: None,
};
/// The linker.
pub const CC: Tool = Tool { program: "cc", package: "gcc", why: "links the programs", service: None };

/// A command that runs as root: directly as uid 0, else by sudo.
///
/// # Errors
/// Where neither is possible.
pub fn as_root(program: &str) -> anyhow::Result<Command> {
    if nix::unistd::geteuid().is_root() {
        return Ok(Command::new(program));
    }
    ensure!(
        need::met("sudo"),
        "this has to run as root, and there is no sudo: install sudo, or run it as root"
    );
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    Ok(command)
}

/// Installs by apt which of the tools are missing, and says which and why.
///
/// # Errors
/// A machine without apt, or apt's failure.
pub fn install(tools: &[Tool]) -> anyhow::Result<()> {
    let missing: Vec<Tool> = tools.iter().filter(|tool| !need::met(tool.program)).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        eprintln!("    installing Debian package {}: `{}` {}", tool.package, tool.program, tool.why);
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    if !need::met("apt-get") {
        bail!("there is no apt-get on this machine; please install {}", packages.join(", "));
    }
    for service in missing.iter().filter_map(|tool| tool.service) {
        mask(service)?;
    }
    let install = [&["install", "--yes", "--no-install-recommends"][..], &packages].concat();
    // The lists of packages may be missing or old: they are fetched only where that is so.
    if !apt(&install)? {
        ensure!(apt(&["update"])?, "apt-get update failed");
        ensure!(apt(&install)?, "apt-get could not install {}", packages.join(", "));
    }
    let still = missing.iter().find(|tool| !need::met(tool.program));
    still.map_or(Ok(()), |tool| Err(anyhow::anyhow!("{} brought no `{}`", tool.package, tool.program)))
}

/// Keeps a package that is about to be installed from starting its service. Without systemd nothing does.
fn mask(service: &str) -> anyhow::Result<()> {
    if !need::met("systemctl") {
        return Ok(());
    }
    eprintln!("    masking service {service}; `systemctl unmask {service}` lets it run");
    let mut command = as_root("systemctl")?;
    let output = interrupt::output(command.args(["--quiet", "mask", &format!("{service}.service")]))?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "systemctl mask {service}: {}", message.trim());
    Ok(())
}

fn apt(args: &[&str]) -> anyhow::Result<bool> {
    let mut command = as_root("env")?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]).args(args);
    let output = interrupt::output(&mut command).context("apt-get")?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.status.success())
}
