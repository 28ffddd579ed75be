//! Five speakers: what each is told, and how it starts. All accept and send everything, none damps or delays.

use std::fmt::{Debug, Write};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use crate::bird::Bird;
use crate::daemon::Daemon;
use crate::frr::Frr;
use crate::gobgp::Gobgp;
use crate::need;
use crate::netns::Netns;
use crate::openbgpd::Openbgpd;
use crate::sandbox::Sandbox;

/// The speaker's own AS, and its router id.
pub const ASN: u32 = 65000;
const ROUTER_ID: &str = "10.9.0.1";

/// One of the five.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// This project's agent.
    Underlay,
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// GoBGP.
    Gobgp,
    /// OpenBGPD.
    Openbgpd,
}

/// Ours first.
pub const SPEAKERS: [Speaker; 5] =
    [Speaker::Underlay, Speaker::Bird, Speaker::Frr, Speaker::Gobgp, Speaker::Openbgpd];

/// What every speaker is told.
#[derive(Debug)]
pub struct Site {
    /// The speaker's own address.
    pub address: IpAddr,
    /// Its peers and their ASes.
    pub peers: Vec<(IpAddr, u32)>,
    /// Whether routes go into the kernel.
    pub install: bool,
    /// The hold time in seconds.
    pub hold: u16,
    /// Whether it sends on what it hears.
    pub transit: bool,
}

/// A speaker that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    _daemon: Box<dyn Debug>,
}

impl Running {
    fn of(daemon: impl Debug + 'static) -> Self {
        Self { _daemon: Box::new(daemon) }
    }
}

impl Speaker {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Underlay => "underlay",
            Self::Bird => "bird",
            Self::Frr => "frr",
            Self::Gobgp => "gobgp",
            Self::Openbgpd => "openbgpd",
        }
    }

    /// Whether it can do that at all.
    #[must_use]
    pub const fn installs(self) -> bool {
        // GoBGP leaves that to zebra; OpenBGPD on Linux has no routing socket.
        !matches!(self, Self::Gobgp | Self::Openbgpd)
    }

    /// Its version, in its own words.
    #[must_use]
    pub fn version(self, underlay: &Path) -> String {
        let (program, args): (_, &[&str]) = match self {
            Self::Underlay => (underlay.to_path_buf(), &["--version"]),
            Self::Bird => (need::find("bird").unwrap_or_default(), &["--version"]),
            Self::Frr => (Path::new(crate::frr::FOLDER).join("bgpd"), &["--version"]),
            Self::Gobgp => (need::find("gobgpd").unwrap_or_default(), &["--version"]),
            Self::Openbgpd => (crate::openbgpd::PROGRAM.into(), &["-V"]),
        };
        let output = Command::new(program).args(args).output().ok();
        let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").trim().to_owned()
    }

    /// Starts it in `namespace`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(self, sandbox: &Sandbox, namespace: &Netns, site: &Site, underlay: &Path) -> Running {
        let name = self.name();
        match self {
            Self::Underlay => Running::of(agent(sandbox, namespace, site, underlay)),
            Self::Bird => Running::of(Bird::start(sandbox, namespace, name, &bird(site))),
            Self::Frr => Running::of(Frr::start(sandbox, namespace, name, &frr(site))),
            Self::Gobgp => Running::of(Gobgp::start(sandbox, namespace, name, &gobgp(site))),
            Self::Openbgpd => Running::of(Openbgpd::start(sandbox, namespace, name, &openbgpd(site))),
        }
    }
}

fn each(site: &Site, line: impl Fn(usize, IpAddr, u32) -> String) -> String {
    site.peers.iter().enumerate().map(|(index, (address, asn))| line(index, *address, *asn)).collect()
}

fn bird(site: &Site) -> String {
    let mut text = format!("log stderr all;\nrouter id {ROUTER_ID};\nprotocol device {{}}\n");
    if site.install {
        for family in ["ipv4", "ipv6"] {
            let _ = writeln!(
                text,
                "protocol kernel {{ merge paths on; {family} {{ import none; export where source = RTS_BGP; }}; }}"
            );
        }
    }
    let Site { address, hold, transit, .. } = site;
    let export = if *transit { "all" } else { "none" };
    let _ = writeln!(
        text,
        "template bgp peer {{\n  local {address} as {ASN};\n  passive;\n  hold time {hold};\n  \
         ipv4 {{ import all; export {export}; }};\n  ipv6 {{ import all; export {export}; }};\n}}"
    );
    text + &each(site, |index, address, asn| {
        format!("protocol bgp p{index} from peer {{ neighbor {address} as {asn}; }}\n")
    })
}

fn frr(site: &Site) -> String {
    let mut text = String::new();
    if !site.install {
        text += "bgp no-rib\n";
    }
    let keepalive = site.hold / 3;
    let _ = writeln!(
        text,
        "router bgp {ASN}\n bgp router-id {ROUTER_ID}\n no bgp ebgp-requires-policy\n timers bgp {keepalive} {}\n \
         bgp bestpath as-path multipath-relax",
        site.hold
    );
    text += &each(site, |_, address, asn| {
        format!(
            " neighbor {address} remote-as {asn}\n neighbor {address} passive\n \
             neighbor {address} advertisement-interval 0\n"
        )
    });
    for family in ["ipv4", "ipv6"] {
        let _ = writeln!(text, " address-family {family} unicast");
        text += &each(site, |_, address, _| {
            let silent = format!("  neighbor {address} route-map nothing out\n");
            format!("  neighbor {address} activate\n{}", if site.transit { "" } else { &silent })
        });
        text += " exit-address-family\n";
    }
    text + "exit\nroute-map nothing deny 10\nexit\n"
}

fn gobgp(site: &Site) -> String {
    let own = site.address;
    let text = format!(
        "[global.config]\nas = {ASN}\nrouter-id = \"{ROUTER_ID}\"\nlocal-address-list = [\"{own}\"]\n"
    );
    text + &each(site, |_, address, asn| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = {asn}\n\
             [neighbors.transport.config]\npassive-mode = true\n\
             [neighbors.timers.config]\nhold-time = {}\nkeepalive-interval = {}\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv4-unicast\"\n\
             [[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"ipv6-unicast\"\n",
            site.hold,
            site.hold / 3
        )
    })
}

fn openbgpd(site: &Site) -> String {
    let Site { address, hold, .. } = site;
    let text = format!(
        "AS {ASN}\nrouter-id {ROUTER_ID}\nfib-update no\nholdtime {hold}\nlisten on {address}\n\
         allow from any\nallow to any\n"
    );
    text + &each(site, |_, address, asn| {
        format!(
            "neighbor {address} {{\n  remote-as {asn}\n  passive\n  announce IPv4 unicast\n  \
             announce IPv6 unicast\n}}\n"
        )
    })
}

fn agent(sandbox: &Sandbox, namespace: &Netns, site: &Site, underlay: &Path) -> Daemon {
    let folder = sandbox.folder().join("underlay");
    let manifests = folder.join("manifests");
    let written =
        fs::create_dir_all(&manifests).and_then(|()| fs::write(manifests.join("fabric.yaml"), objects(site)));
    written.unwrap_or_else(|error| panic!("{}: {error}", manifests.display()));
    let (socket, checkpoint) = (folder.join("status.sock"), folder.join("checkpoint"));
    let mut command = namespace.exec(underlay, ["agent", "--node", "subject", "--manifests"]);
    command.arg(&manifests).arg("--socket").arg(&socket).arg("--checkpoint").arg(&checkpoint);
    let mut daemon = sandbox.daemon("underlay", command);
    // Kept once its objects were read and applied: the others answer no sooner, and what comes earlier is refused.
    daemon.wait_ready(|| socket.exists() && checkpoint.exists());
    daemon
}

fn objects(site: &Site) -> String {
    let Site { install, hold, transit, .. } = site;
    let accept = if *transit { "" } else { "\n  accept: [\"0.0.0.0/0\", \"::/0\"]" };
    let text = format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: subject, uid: subject}}\nstatus:\n  addresses:\n  \
         - {{type: InternalIP, address: 10.9.0.1}}\n  - {{type: InternalIP, address: \"fd09::1\"}}\n---\n\
         apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: fabric}}\nspec:\n  \
         asn: {{value: {ASN}}}\n  routerID: {{value: {ROUTER_ID}}}\n  mesh: None\n  transit: {transit}{accept}\n  \
         fib: {{install: {install}}}\n  timers: {{hold: {hold}s, keepalive: {}s}}\n",
        hold / 3
    );
    text + &each(site, |index, address, asn| {
        format!(
            "---\napiVersion: underlay.dev/v1alpha1\nkind: FabricPeer\nmetadata: {{name: p{index}}}\nspec:\n  \
             address: \"{address}\"\n  asn: {asn}\n"
        )
    })
}
