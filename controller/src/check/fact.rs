//! What a host is, as far as anybody judges it. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bgp::prefix::{Family, Prefix};

/// The host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The prefixes of all pods; empty where nobody has said them.
    pub pods: Vec<Prefix>,
    /// `net.ipv4.ip_forward` and so on, as far as they are there.
    pub sysctls: BTreeMap<String, String>,
    /// The interfaces.
    pub links: Vec<Link>,
    /// Their addresses.
    pub addresses: Vec<Address>,
    /// The routes of all tables but `local`.
    pub routes: Vec<Route>,
    /// Who listens on the port of BGP.
    pub listeners: Vec<Listener>,
    /// The capabilities of the agent, or of whoever looks if no agent runs.
    pub capabilities: Option<Capabilities>,
    /// The names of running programs, as the kernel keeps them: 15 letters.
    pub programs: BTreeSet<String>,
    /// What is set in section `[Network]` of networkd's configuration.
    pub networkd: BTreeMap<String, String>,
    /// `unmanaged-devices` of NetworkManager's configuration.
    pub unmanaged: Vec<String>,
    /// What the container runtime and the plugin have to do with each other.
    pub runtime: Runtime,
    /// The tables of nf_tables: the family and the name.
    pub tables: Vec<(String, String)>,
    /// The chains of the packet filter.
    pub chains: Vec<Chain>,
    /// The names of the sets of addresses of `ipset`.
    pub ip_sets: Vec<String>,
    /// Rules that lead to routing tables, by the names that the host gives to those.
    pub rules: Vec<Rule>,
    /// What could not be looked at: the check, and why.
    pub unread: Vec<(&'static str, String)>,
}

impl Facts {
    /// Whether pods are to have addresses of a family; without prefixes whether the host itself has.
    #[must_use]
    pub fn wants(&self, family: Family) -> bool {
        if !self.pods.is_empty() {
            return self.pods.iter().any(|prefix| prefix.family() == family);
        }
        let usable = |address: &Address| match address.address {
            IpAddr::V4(address) => !address.is_loopback(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        };
        family == Family::Ipv4
            || self.addresses.iter().any(|own| Family::of(own.address) == family && usable(own))
    }

    /// The links that carry a default route or a learned one, but loopback and pods'.
    pub fn uplinks(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| {
            let carries = |route: &Route| {
                (route.prefix.is_default() || route.protocol == api::netconf::LEARNED_ROUTE_PROTOCOL)
                    && route.links.contains(&link.name)
            };
            !link.loopback && !link.is_of_pod() && self.routes.iter().any(carries)
        })
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is the loopback interface.
    pub loopback: bool,
}

impl Link {
    /// Whether it is the host end of a pod's link, by the name that the plugin gives.
    #[must_use]
    pub fn is_of_pod(&self) -> bool {
        api::netconf::is_pod_link(&self.name)
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub link: String,
    /// The address.
    pub address: IpAddr,
    /// The length of its subnet's prefix.
    pub len: u8,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub prefix: Prefix,
    /// The table.
    pub table: u32,
    /// The routing protocol number.
    pub protocol: u8,
    /// The interfaces that it leads out by.
    pub links: Vec<String>,
}

/// A policy rule that leads to a routing table with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The family of the packets.
    pub family: Family,
    /// Its preference.
    pub priority: u32,
    /// The table's number, and the name that the host gives to it.
    pub table: (u32, String),
}

/// Somebody who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address and the port.
    pub at: String,
    /// Who, if that can be told: the program's name and its process id.
    pub program: Option<(String, u32)>,
}

/// What a process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Which process.
    pub whose: String,
    /// The effective ones, a bit each.
    pub effective: u64,
}

/// The container runtime's side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    /// The folder of network configurations.
    pub networks_folder: String,
    /// What is in it, in the order in which the runtime takes the first.
    pub networks: Vec<Network>,
    /// The plugin's path.
    pub plugin: String,
    /// What is wrong with the plugin.
    pub plugin_fault: Option<String>,
    /// Where the runtime's own configuration says that it looks for binaries.
    pub binaries: Option<Setting>,
    /// Where it says that it looks for network configurations.
    pub networks_at: Option<Setting>,
}

/// Folders that a runtime's own configuration names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The file that says so.
    pub file: String,
    /// The folders.
    pub folders: Vec<String>,
}

/// A network configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The file's name.
    pub file: String,
    /// The network's name.
    pub name: String,
    /// The types of its plugins, in their order.
    pub plugins: Vec<String>,
    /// The MTU that our plugin is told.
    pub mtu: Option<u32>,
    /// Why it cannot be read.
    pub fault: Option<String>,
}

impl Network {
    /// Whether our plugin makes the network.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.plugins.first().is_some_and(|plugin| plugin == api::netconf::PLUGIN_TYPE)
    }
}

/// Who made a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filter {
    /// nf_tables, `iptables-nft` among its users.
    Nftables,
    /// The old `iptables`.
    Legacy,
}

/// A chain of the packet filter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chain {
    /// Whose.
    pub filter: Filter,
    /// `ip`, `ip6`, `inet` or `bridge`.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether forwarded packets come by.
    pub forwards: bool,
    /// Whether what no rule decides on is dropped.
    pub drops: bool,
}
