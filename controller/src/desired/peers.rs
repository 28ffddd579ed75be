//! FabricPeers and the mesh as peers of one node, one for each address.
//!
//! A FabricPeer that names an address goes before the mesh: what somebody wrote
//! of a peer stands against what was derived.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::crd::FabricPeerSpec;
use api::crd::peer::{Listen, NextHop};
use api::crd::target::Family as PeerFamily;
use api::crd::value::PeerAsn;
use bgp::config::{AddPath, AsPathPolicy, DynamicPeers, LocalAs, NextHopMode, Obstacle, PeerAs, PeerConfig};
use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, PerFamily, Prefix};
use bgp::rule::Rules;
use bgp::wire::role::Role;

use super::address;
use super::limits;
use super::listen;
use super::merge::{self, Merged};
use super::password::password;
use super::reach;
use super::rules;
use super::scalar;
use super::site::Site;
use super::target;
use crate::cluster::object::{NodeFacts, Place, Problem};
use crate::transport::{Hops, Neighbours, Terms};

/// The port of BGP (RFC 4271 §8).
const PORT: u16 = 179;

/// What becomes of a FabricPeer or the mesh at one address.
struct Entry<'a> {
    /// The FabricPeer; `None` for the mesh.
    object: Option<(&'a str, Option<&'a Place>)>,
    config: PeerConfig,
    terms: Terms,
}

/// The peers of a node.
pub(super) struct Peers {
    /// Those that are known, ordered by address.
    pub(super) peers: Vec<PeerConfig>,
    /// Those that connect from prefixes, ordered by prefix.
    pub(super) dynamic: Vec<DynamicPeers>,
    /// On which terms connections with them are made.
    pub(super) neighbours: Neighbours,
}

/// What a FabricPeer describes: a peer, or, with a prefix, whoever connects from there.
struct Target {
    prefix: Option<Prefix>,
    config: PeerConfig,
    hops: Hops,
}

/// All peers of the node.
pub(super) fn peers(
    site: &Site<'_>,
    merged: &Merged,
    warnings: &mut Vec<Problem>,
) -> Result<Peers, Vec<Problem>> {
    let mut entries: BTreeMap<IpAddr, Entry<'_>> = BTreeMap::new();
    let mut ranges: BTreeMap<Prefix, (u32, Entry<'_>)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, peer) in &site.objects.peers {
        let spec = &peer.value;
        if !spec.node_selector.matches(&site.facts.labels) {
            continue;
        }
        let object = (name.as_str(), peer.place.as_ref());
        let policy = match policy(spec) {
            Ok(policy) => policy,
            Err(text) => {
                let text = format!("FabricPeer \"{name}\": {text}");
                problems.push(Problem { place: peer.place.clone(), text });
                continue;
            }
        };
        let password = spec.password_secret_ref.as_ref().map(|wanted| password(site.objects, wanted));
        if let Some(Err(missing)) = &password {
            let text = format!("FabricPeer \"{name}\": {missing}, and its sessions stay down");
            warnings.push(Problem { place: peer.place.clone(), text });
        }
        let missing = password.as_ref().and_then(|password| password.as_ref().err().cloned());
        let missing = missing.map(Obstacle::MissingSecret);
        let (receive, send_limit) = limits::limits(spec.limits.as_ref());
        for Target { prefix, config, hops } in of_object(site, merged, name, spec, warnings) {
            let config = PeerConfig {
                import: policy.0.clone(),
                export: policy.1.clone(),
                receive,
                send_limit,
                authenticated: password.is_some(),
                obstacle: missing.clone().or(config.obstacle),
                ..config
            };
            let hindered = config.obstacle.as_ref().filter(|it| it.is_of_addresses() && !config.disabled);
            if let Some(obstacle) = hindered {
                let text = format!("FabricPeer \"{name}\": {}, and its session stays down", obstacle.text());
                warnings.push(Problem { place: peer.place.clone(), text });
            }
            let terms = Terms { password: password.clone().and_then(Result::ok), hops };
            let entry = Entry { object: Some(object), config, terms };
            if let Some(prefix) = prefix {
                let most = spec.listen.as_ref().and_then(|listen| listen.max).unwrap_or(listen::MOST);
                match ranges.get(&prefix) {
                    Some((_, before)) => problems.push(contradiction(object, before, &prefix, site.name)),
                    None => drop(ranges.insert(prefix, (most, entry))),
                }
                continue;
            }
            match entries.get(&entry.config.address) {
                Some(before) if alike(before, &entry) => {}
                Some(before) => {
                    problems.push(contradiction(object, before, &before.config.address, site.name));
                }
                None => drop(entries.insert(entry.config.address, entry)),
            }
        }
    }
    if merged.mesh {
        for config in mesh(site, merged, warnings) {
            entries.entry(config.address).or_insert(Entry { object: None, config, terms: Terms::default() });
        }
    }
    if problems.is_empty() {
        let of_ranges = ranges.iter().map(|(prefix, (_, entry))| (*prefix, entry.terms.clone()));
        let each = entries.iter().map(|(address, entry)| (Prefix::host(*address), entry.terms.clone()));
        let neighbours: Neighbours = of_ranges.chain(each).collect();
        let shut_out = entries.values().filter(|entry| entry.terms.password.is_none());
        warnings.extend(shut_out.filter_map(|entry| unsigned(entry, &ranges)));
        let dynamic = ranges.into_iter().map(|(prefix, (most, entry))| DynamicPeers {
            prefix,
            most,
            peer: entry.config,
        });
        let dynamic = dynamic.collect();
        Ok(Peers { peers: entries.into_values().map(|entry| entry.config).collect(), dynamic, neighbours })
    } else {
        Err(problems)
    }
}

/// Import and export rules of a FabricPeer, shared by all of its peers.
fn policy(spec: &FabricPeerSpec) -> Result<(Rules, Rules), String> {
    let named = |list: &str, (at, text): (usize, String)| format!("field `spec.{list}[{at}]`: {text}");
    let import = rules::rules(&spec.import).map_err(|flaw| named("import", flaw))?;
    let export = rules::rules(&spec.export).map_err(|flaw| named("export", flaw))?;
    Ok((import, export))
}

/// Whether two objects ask for the same session under two names.
fn alike(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    PeerConfig { name: other.config.name.clone(), ..one.config.clone() } == other.config
        && one.terms == other.terms
}

/// A peer without a key in a prefix whose peers have one: the kernel asks all of them for it.
fn unsigned(entry: &Entry<'_>, ranges: &BTreeMap<Prefix, (u32, Entry<'_>)>) -> Option<Problem> {
    let address = entry.config.address;
    let holding = ranges.iter().filter(|(prefix, _)| prefix.covers(address));
    let (prefix, _) = holding
        .filter(|(_, (_, range))| range.terms.password.is_some())
        .max_by_key(|(prefix, _)| prefix.len())?;
    let text = format!(
        "peer {address} has no password, but the peers in {prefix} have: it cannot connect to this node"
    );
    Some(Problem { place: entry.object.and_then(|(_, place)| place.cloned()), text })
}

fn contradiction(
    object: (&str, Option<&Place>),
    before: &Entry<'_>,
    peer: &dyn std::fmt::Display,
    node: &str,
) -> Problem {
    let other = before.object.map_or("the mesh".to_owned(), |(name, _)| format!("FabricPeer \"{name}\""));
    let text = format!(
        "FabricPeer \"{}\" and {other} contradict each other about peer {peer} of node \"{node}\"",
        object.0
    );
    Problem { place: object.1.cloned(), text }
}

/// The peers of one FabricPeer that selects this node.
fn of_object(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    spec: &FabricPeerSpec,
    warnings: &mut Vec<Problem>,
) -> Vec<Target> {
    if let Some(listen) = &spec.listen {
        return listening(site, merged, name, spec, listen, warnings);
    }
    if let Some(address) = spec.address {
        if address::is_own(site, address) {
            return Vec::new();
        }
        return vec![described(site, merged, name, address, false, spec)];
    }
    if let Some(from) = &spec.address_from {
        let (addresses, wrong) = target::addresses(site, from, spec.families.as_deref());
        for text in wrong {
            let text = format!("FabricPeer \"{name}\": field `spec.addressFrom`: {text}");
            warnings.push(Problem { place: None, text });
        }
        let others = addresses.into_iter().filter(|address| !address::is_own(site, *address));
        return others.map(|address| described(site, merged, name, address, false, spec)).collect();
    }
    let Some(target) = &spec.peers else { return Vec::new() };
    let mut peers = Vec::new();
    for (other, node) in &site.objects.nodes {
        let selected = other != site.name && target.node_selector.matches(&node.value.labels);
        if !selected {
            continue;
        }
        match common_address(site.facts, &node.value) {
            // The Node that this machine was before it was renamed.
            Some((_, address)) if address::is_own(site, address) => {}
            Some((_, address)) => peers.push(described(site, merged, other, address, true, spec)),
            None => warnings.push(no_common_address(site, other)),
        }
    }
    peers
}

/// Those who connect from a prefix, part by part.
fn listening(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    spec: &FabricPeerSpec,
    listen: &Listen,
    warnings: &mut Vec<Problem>,
) -> Vec<Target> {
    let prefix = scalar::prefix(listen.prefix);
    let parts = listen::parts(site, prefix).into_iter().map(|(part, sample)| {
        let target = described(site, merged, name, sample, false, spec);
        let obstacle = target.config.obstacle.filter(|it| !matches!(it, Obstacle::NoSource(_)));
        let config =
            PeerConfig { address: part.address(), passive: true, source: None, obstacle, ..target.config };
        Target { prefix: Some(part), config, ..target }
    });
    // External peers beyond the node's subnets are strangers, unless they may be there.
    let near = |target: &Target| !matches!(target.config.obstacle, Some(Obstacle::NotOnLink(_)));
    let targets: Vec<Target> = parts.filter(near).collect();
    if targets.is_empty() && !spec.disabled {
        let text = format!(
            "FabricPeer \"{name}\": {prefix} holds no subnet of this node; external peers further away need `multihop`"
        );
        warnings.push(Problem::anywhere(text));
    }
    targets
}

/// A peer as a FabricPeer describes it. `remote` peers may be reached by the
/// default route where they are not on-link.
fn described(
    site: &Site<'_>,
    merged: &Merged,
    name: &str,
    address: IpAddr,
    remote: bool,
    spec: &FabricPeerSpec,
) -> Target {
    let base = base(site, merged, name, address);
    let reach = reach::reach(site, merged.asn, address, remote, spec);
    let has = |family| spec.families.as_ref().is_none_or(|families| families.contains(&family));
    let config = PeerConfig {
        port: spec.port.unwrap_or(PORT),
        source: reach.source,
        obstacle: reach.obstacle,
        disabled: spec.disabled,
        asn: match spec.asn {
            PeerAsn::Number(asn) => PeerAs::Exactly(Asn(asn)),
            PeerAsn::External => PeerAs::External,
            PeerAsn::Internal => PeerAs::Internal,
            PeerAsn::Any => PeerAs::Any,
        },
        families: PerFamily { ipv4: has(PeerFamily::IPv4), ipv6: has(PeerFamily::IPv6) },
        timers: merge::timers(spec.timers.as_ref(), &merged.timers),
        restart: merge::restart(spec.graceful_restart.as_ref(), &merged.restart),
        add_path: spec.add_path.as_ref().map_or_else(AddPath::default, |wanted| AddPath {
            receive: wanted.receive,
            send: wanted.send.unwrap_or(0),
        }),
        via_default: reach.via_default,
        next_hop: match spec.next_hop {
            NextHop::Auto => NextHopMode::Auto,
            NextHop::Own => NextHopMode::Own,
            NextHop::Unchanged => NextHopMode::Unchanged,
        },
        // Where it is the node's own it changes nothing.
        local_as: spec.local_as.as_ref().map(local_as).filter(|local| local.asn != merged.asn),
        role: spec.role.map(role),
        strict_role: spec.strict_role,
        reflector_client: spec.route_reflector_client,
        description: spec.description.clone(),
        as_path: AsPathPolicy {
            any_first: !spec.enforce_first_as,
            allow_own: spec.allow_own_as,
            override_peer: spec.as_override,
            remove_private: spec.remove_private_as,
        },
        accept: match &spec.accept {
            Some(accept) => {
                let mut accept: Vec<_> = accept.iter().copied().map(scalar::prefix).collect();
                accept.sort();
                accept.dedup();
                Some(accept)
            }
            None => base.accept,
        },
        accept_default: spec.accept_default_route.unwrap_or(merged.accept_default),
        ..base
    };
    Target { prefix: None, config, hops: reach.hops }
}

const fn local_as(wanted: &api::crd::peer::LocalAs) -> LocalAs {
    LocalAs { asn: Asn(wanted.asn), no_prepend: wanted.no_prepend, replace: wanted.replace_as }
}

const fn role(wanted: api::crd::peer::Role) -> Role {
    use api::crd::peer::Role as Wanted;
    match wanted {
        Wanted::Provider => Role::Provider,
        Wanted::Customer => Role::Customer,
        Wanted::Peer => Role::Peer,
        Wanted::RouteServer => Role::RouteServer,
        Wanted::RouteServerClient => Role::RouteServerClient,
    }
}

/// The nodes that the same Fabric selects and that have the same AS. Pairs of
/// different AS get no session; their routers carry them. With route reflectors
/// a node peers with those alone, and they with all (RFC 4456 §4).
fn mesh(site: &Site<'_>, merged: &Merged, warnings: &mut Vec<Problem>) -> Vec<PeerConfig> {
    let mut peers = Vec::new();
    for (name, node) in &site.objects.nodes {
        let (own_reflects, other_reflects) = (reflects(merged, site.facts), reflects(merged, &node.value));
        if merged.reflectors.is_some() && !own_reflects && !other_reflects {
            continue;
        }
        let together = merged.fabrics.iter().any(|fabric| merge::selects(site.objects, fabric, &node.value));
        let same_as = || merge::asn_of(site.objects, name, &node.value) == Some(merged.asn);
        if name == site.name || !together || !same_as() {
            continue;
        }
        let Some((own, address)) = common_address(site.facts, &node.value) else {
            warnings.push(no_common_address(site, name));
            continue;
        };
        // The Node that this machine was before it was renamed.
        if address::is_own(site, address) {
            continue;
        }
        let base = base(site, merged, name, address);
        // The other side knows this node by its InternalIP alone.
        let reflector_client = own_reflects && !other_reflects;
        peers.push(PeerConfig { source: Some(own), via_default: true, reflector_client, ..base });
    }
    peers
}

/// Whether a node reflects the routes of the mesh.
fn reflects(merged: &Merged, node: &NodeFacts) -> bool {
    merged.reflectors.as_ref().is_some_and(|reflectors| reflectors.node_selector.matches(&node.labels))
}

/// The cluster id of the site's node, where it reflects and one is set (RFC 4456 §7).
pub(super) fn cluster_id(site: &Site<'_>, merged: &Merged) -> Option<RouterId> {
    let reflectors = merged.reflectors.as_ref().filter(|_| reflects(merged, site.facts))?;
    reflectors.cluster_id.map(RouterId::from)
}

/// A peer with what the Fabrics say of all peers.
fn base(site: &Site<'_>, merged: &Merged, name: &str, address: IpAddr) -> PeerConfig {
    let facing = address::facing(site, address);
    PeerConfig {
        name: name.to_owned(),
        source: facing.map(|own| own.address),
        asn: PeerAs::Exactly(merged.asn),
        timers: merge::timers(None, &merged.timers),
        restart: merge::restart(None, &merged.restart),
        own_next_hop: address::own_next_hop(site, facing),
        accept: merged.accept.clone(),
        accept_default: merged.accept_default,
        receive: limits::RECEIVE,
        ..PeerConfig::new(address)
    }
}

/// Own and other InternalIP of one family, IPv4 before IPv6: one session a
/// pair, which carries both families.
fn common_address(own: &NodeFacts, other: &NodeFacts) -> Option<(IpAddr, IpAddr)> {
    Family::ALL.into_iter().find_map(|family| Some((own.internal(family)?, other.internal(family)?)))
}

fn no_common_address(site: &Site<'_>, other: &str) -> Problem {
    let text =
        format!("nodes \"{}\" and \"{other}\" share no family of InternalIP, so they do not peer", site.name);
    Problem::anywhere(text)
}
