//! What happens to the fabric.

use std::fmt;

use super::chance::Chance;

/// The nodes that have pods and an agent. The last one's is left alone, and shows what time does to an agent.
pub const NODES: [&str; 4] = ["n11", "n12", "n21", "n22"];
/// Whose agents may be ended.
const MORTALS: [&str; 4] = ["n11", "n12", "n21", "spine"];
/// Links, by one of their ends.
const LINKS: [(&str, &str); 5] =
    [("n11", "eth1"), ("n12", "eth1"), ("n21", "eth1"), ("tor1", "eth3"), ("tor2", "eth3")];

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An agent is killed, and another takes its place.
    Kill(&'static str),
    /// An agent is asked to end, and another takes its place.
    Restart(&'static str),
    /// A node is taken out of service and put back.
    Drain(&'static str),
    /// The Fabric of the nodes gets a prefix more, or loses it.
    Configure,
    /// All routes are exchanged anew with each peer.
    Refresh(&'static str),
    /// A link has no carrier for some tenths of a second.
    Link(&'static str, &'static str, u64),
    /// Somebody flushes the agent's routes.
    Flush(&'static str),
    /// BIRD is killed, and another takes its place.
    Bird,
    /// FRR ends all its sessions.
    Frr,
    /// A session is reset by an operator.
    Reset(&'static str),
    /// An agent is killed twice, the second time before its routes were sent again.
    KillTwice(&'static str),
}

impl Fault {
    /// The next one.
    pub fn draw(chance: &mut Chance) -> Self {
        match chance.below(14) {
            0 | 1 => Self::Kill(chance.one(&MORTALS)),
            2 => Self::Restart(chance.one(&MORTALS)),
            3 | 4 => Self::Drain(chance.one(&NODES)),
            5 | 6 => Self::Configure,
            7 => Self::Refresh(chance.one(&NODES)),
            8 => {
                let (node, link) = chance.one(&LINKS);
                Self::Link(node, link, 1 + chance.below(40))
            }
            9 => Self::Flush(chance.one(&NODES)),
            10 => Self::Bird,
            11 => Self::Frr,
            12 => Self::Reset(chance.one(&NODES)),
            _ => Self::KillTwice(chance.one(&MORTALS)),
        }
    }

    /// Whether it is one that an operator plans: it costs no packet.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Kill(_) | Self::Restart(_) | Self::Drain(_) | Self::Configure | Self::Refresh(_))
    }

    /// What it is, whomever it befalls.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill -9 of an agent",
            Self::Restart(_) => "restart of an agent",
            Self::Drain(_) => "drain and undrain",
            Self::Configure => "change of the Fabric",
            Self::Refresh(_) => "soft reset of all peers",
            Self::Link(..) => "link down",
            Self::Flush(_) => "flush of the routes",
            Self::Bird => "kill -9 of BIRD",
            Self::Frr => "FRR clears its sessions",
            Self::Reset(_) => "hard reset of a ToR",
            Self::KillTwice(_) => "kill -9 of an agent, twice at once",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(node) => write!(f, "kill -9 of the agent of {node}"),
            Self::Restart(node) => write!(f, "restart of the agent of {node}"),
            Self::Drain(node) => write!(f, "drain and undrain of {node}"),
            Self::Configure => write!(f, "change of the Fabric of the nodes"),
            Self::Refresh(node) => write!(f, "soft reset of the peers of {node}"),
            Self::Link(node, link, tenths) => {
                write!(f, "{link} of {node} down for {}.{} s", tenths / 10, tenths % 10)
            }
            Self::Flush(node) => write!(f, "flush of the routes of {node}"),
            Self::Bird => write!(f, "kill -9 of BIRD"),
            Self::Frr => write!(f, "FRR clears its sessions"),
            Self::Reset(node) => write!(f, "hard reset of the ToR by {node}"),
            Self::KillTwice(node) => write!(f, "kill -9 of the agent of {node}, twice at once"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_drawn_and_the_last_node_keeps_its_agent() {
        let mut chance = Chance(7);
        let drawn: Vec<Fault> = (0..500).map(|_| Fault::draw(&mut chance)).collect();
        assert!(
            drawn.iter().any(|fault| fault.is_planned()) && drawn.iter().any(|fault| !fault.is_planned())
        );
        let last = NODES[3];
        let ends = |fault: &Fault| matches!(fault, Fault::Kill(n) | Fault::Restart(n) | Fault::KillTwice(n) if *n == last);
        assert!(!drawn.iter().any(ends));
    }
}
