//! The daemon of a ToR.

use crate::bird::Bird;
use crate::frr::Frr;
use crate::gobgp::Gobgp;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// Which daemon it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// GoBGP, which writes nothing into the kernel.
    Gobgp,
}

/// One that runs.
#[derive(Debug)]
pub enum Tor {
    /// BIRD 2.
    Bird(Bird),
    /// FRR.
    Frr(Frr),
    /// GoBGP.
    Gobgp(Gobgp),
}

impl Tor {
    /// Starts it as ToR `at` in its namespace. A peer that is away has its routes kept for `keeps` seconds, and so has it.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(kind: Kind, sandbox: &Sandbox, netns: &Netns, at: usize, keeps: u64, run: usize) -> Self {
        let name = format!("tor{at}-{run}");
        match kind {
            Kind::Bird => Self::Bird(Bird::start(sandbox, netns, &name, &bird(at, keeps, ""))),
            Kind::Frr => Self::Frr(Frr::start(sandbox, netns, &name, FRR)),
            Kind::Gobgp => {
                netns.ip("route add 10.244.1.0/24 via 10.0.1.2");
                let gobgp = Gobgp::start(sandbox, netns, &name, GOBGP);
                originate(&gobgp);
                Self::Gobgp(gobgp)
            }
        }
    }

    /// Kills it and starts another in its place.
    ///
    /// # Panics
    /// Where that cannot be started.
    pub fn replace(&mut self, sandbox: &Sandbox, netns: &Netns) {
        match self {
            Self::Bird(bird) => {
                bird.daemon().kill();
                bird.recover(sandbox, netns);
            }
            Self::Frr(frr) => frr.restart_bgpd(sandbox, netns),
            Self::Gobgp(gobgp) => gobgp.recover(sandbox, &["10.0.1.2"], originate),
        }
    }

    /// Kills it.
    pub fn kill(&mut self) {
        match self {
            Self::Bird(bird) => bird.daemon().kill(),
            Self::Frr(frr) => frr.bgpd().kill(),
            Self::Gobgp(gobgp) => gobgp.daemon().kill(),
        }
    }

    /// Gives the session of ToR `at` a password; BIRD alone is asked to.
    pub fn protect(&self, at: usize, keeps: u64, password: &str) {
        if let Self::Bird(daemon) = self {
            daemon.configure(&bird(at, keeps, &format!("password \"{password}\";")));
        }
    }
}

fn originate(gobgp: &Gobgp) {
    gobgp.gobgp("global rib -a ipv4 add 10.244.9.0/24 nexthop 10.0.1.1");
}

/// The second one's path is the longer one.
fn bird(at: usize, keeps: u64, more: &str) -> String {
    let longer = if at == 2 { "bgp_path.prepend(65102); " } else { "" };
    format!(
        "log stderr all;\nrouter id 10.0.{at}.1;\ngraceful restart wait 20;\nprotocol device {{ scan time 1; }}\n\
         protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; persist; graceful restart on; }}\n\
         protocol static far {{ ipv4; route 10.244.9.0/24 via 10.0.1{at}.2; }}\n\
         protocol bgp node {{ local 10.0.{at}.1 as 6510{at}; neighbor 10.0.{at}.2 as 65001; {more} hold time 3; \
         keepalive time 1; connect retry time 1; connect delay time 1; error wait time 1, 2; error forget time 1; \
         graceful restart on; graceful restart time {keeps};\n  \
         ipv4 {{ import all; next hop self; export filter {{ if source != RTS_STATIC then reject; {longer}accept; }}; \
         }};\n}}\n"
    )
}

const FRR: &str = "route-map node permit 10
 set ip next-hop 10.0.1.1
router bgp 65101
 bgp router-id 10.0.1.1
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 neighbor 10.0.1.2 remote-as 65001
 neighbor 10.0.1.2 passive
 neighbor 10.0.1.2 timers 1 3
 neighbor 10.0.1.2 timers connect 1
 neighbor 10.0.1.2 advertisement-interval 0
 address-family ipv4 unicast
  neighbor 10.0.1.2 activate
  neighbor 10.0.1.2 route-map node out
  network 10.244.9.0/24
 exit-address-family
";

const GOBGP: &str = r#"[global.config]
  as = 65101
  router-id = "10.0.1.1"
[[neighbors]]
  [neighbors.config]
    neighbor-address = "10.0.1.2"
    peer-as = 65001
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 30
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 3
    keepalive-interval = 1
    idle-hold-time-after-reset = 1
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"#;
