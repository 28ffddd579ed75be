//! The Fabrics that select one node, as one set of values with every default
//! applied. A value that two of them set differently is a contradiction.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::crd::FabricSpec;
use api::crd::fabric::{AsnSource, Mesh, NextHopGroups, RouteReflectors, RouterIdSource, is_usable_asn};
use api::crd::restart::GracefulRestart;
use api::crd::service::AdvertisedServices;
use api::crd::timers::Timers as TimerSpec;
use bgp::config::{Origination, Restart, Timers};
use bgp::id::{Asn, RouterId};
use bgp::prefix::{Family, Prefix};
use bgp::rule::{AnyCommunity, RouteOrigin};
use bgp::time::Duration;

use super::scalar::{self, prefix};
use super::site::Site;
use crate::cluster::object::{NodeFacts, Objects, Place, Problem};
use crate::kernel::command::{MAIN_TABLE, METRIC, PROTOCOL};

/// What the Fabrics of one node say together.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) asn: Asn,
    pub(super) router_id: RouterId,
    /// The names of the Fabrics.
    pub(super) fabrics: Vec<String>,
    pub(super) mesh: bool,
    /// Who reflects the mesh's routes.
    pub(super) reflectors: Option<RouteReflectors>,
    pub(super) pod_cidrs: bool,
    pub(super) prefixes: BTreeMap<Prefix, Origination>,
    /// Which addresses of Services are advertised; the first that names one says how.
    pub(super) services: Vec<ServiceRule>,
    /// The prefixes that peers may be heard with; `None` means any.
    pub(super) accept: Option<Vec<Prefix>>,
    /// Whether those are the PodCIDRs of all Nodes, for want of anything better.
    pub(super) accepts_nodes: bool,
    pub(super) accept_default: bool,
    pub(super) transit: bool,
    pub(super) install: bool,
    pub(super) table: u32,
    pub(super) metric: u32,
    pub(super) protocol: u8,
    pub(super) max_paths: u8,
    pub(super) next_hop_groups: NextHopGroups,
    pub(super) relax_as_path: bool,
    pub(super) timers: TimerSpec,
    pub(super) restart: GracefulRestart,
    pub(super) masquerade: Hiding,
}

/// What a Fabric says of addresses of Services.
#[derive(Clone, Debug)]
pub(super) struct ServiceRule {
    /// The Fabric's name.
    pub(super) fabric: Arc<str>,
    /// Which of its rules, the first is 1.
    pub(super) number: usize,
    pub(super) rule: AdvertisedServices,
}

/// What is said of masquerading.
#[derive(Clone, Debug, Default)]
pub(super) struct Hiding {
    pub(super) enabled: bool,
    pub(super) except: Vec<Prefix>,
    pub(super) except_learned: bool,
    pub(super) pod_prefixes: Vec<Prefix>,
}

/// A Fabric by its name, where it is written and what it says.
type Named<'a> = (&'a str, Option<&'a Place>, &'a FabricSpec);

fn selecting<'a>(objects: &'a Objects, facts: &NodeFacts) -> Vec<Named<'a>> {
    let all = objects.fabrics.iter();
    all.filter(|(_, fabric)| fabric.value.node_selector.matches(&facts.labels))
        .map(|(name, fabric)| (name.as_str(), fabric.place.as_ref(), &fabric.value))
        .collect()
}

/// One value that at most one Fabric sets, or several alike.
struct Slot<'a, T> {
    field: &'static str,
    set: Option<(&'a str, T)>,
}

impl<'a, T: PartialEq> Slot<'a, T> {
    fn new(field: &'static str) -> Self {
        Self { field, set: None }
    }

    fn put(&mut self, fabric: &Named<'a>, node: &str, value: Option<T>, problems: &mut Vec<Problem>) {
        let Some(value) = value else { return };
        match &self.set {
            Some((other, before)) if *before != value => {
                problems.push(contradiction(fabric, other, self.field, node));
            }
            Some(_) => {}
            None => self.set = Some((fabric.0, value)),
        }
    }

    fn or(self, default: T) -> T {
        self.set.map_or(default, |(_, value)| value)
    }
}

fn contradiction(fabric: &Named<'_>, other: &str, field: &str, node: &str) -> Problem {
    let text = format!(
        "Fabric \"{}\" and Fabric \"{other}\" contradict each other in field `{field}` for node \"{node}\"",
        fabric.0
    );
    Problem { place: fabric.1.cloned(), text }
}

/// Puts the Fabrics of the site's node together.
pub(super) fn merge(site: &Site<'_>) -> Result<Merged, Vec<Problem>> {
    let fabrics = selecting(site.objects, site.facts);
    if fabrics.is_empty() {
        return Err(vec![Problem::anywhere(format!("no Fabric selects node \"{}\"", site.name))]);
    }
    let mut problems = Vec::new();
    let mut asn = Slot::new("spec.asn");
    let mut router_id = Slot::new("spec.routerID");
    let mut mesh = Slot::new("spec.mesh");
    let mut reflectors = Slot::new("spec.routeReflectors");
    let mut pod_cidrs = Slot::new("spec.advertise.podCIDRs");
    let mut accept_default = Slot::new("spec.acceptDefaultRoute");
    let mut transit = Slot::new("spec.transit");
    let mut install = Slot::new("spec.fib.install");
    let mut table = Slot::new("spec.fib.table");
    let mut metric = Slot::new("spec.fib.metric");
    let mut protocol = Slot::new("spec.fib.protocol");
    let mut max_paths = Slot::new("spec.fib.maxPaths");
    let mut groups = Slot::new("spec.fib.nextHopGroups");
    let mut relax = Slot::new("spec.multipath.relaxASPath");
    let mut hide = Slot::new("spec.masquerade.enabled");
    let mut except_learned = Slot::new("spec.masquerade.exceptLearned");
    let mut except = Vec::new();
    let mut restart_time = Slot::new("spec.gracefulRestart.restartTime");
    let mut notification = Slot::new("spec.gracefulRestart.notification");
    let mut long_lived = Slot::new("spec.gracefulRestart.longLived");
    let mut hold = Slot::new("spec.timers.hold");
    let mut keepalive = Slot::new("spec.timers.keepalive");
    let mut connect_retry = Slot::new("spec.timers.connectRetry");
    let mut prefixes: BTreeMap<Prefix, (&str, Origination)> = BTreeMap::new();
    let mut accept: Option<Vec<Prefix>> = None;
    let mut pod_prefixes = Vec::new();
    let mut services = Vec::new();

    for fabric in &fabrics {
        let (name, place, spec) = fabric;
        let out = &mut problems;
        let named =
            |text: String| Problem { place: place.cloned(), text: format!("Fabric \"{name}\": {text}") };
        match spec.asn.as_ref().map(|source| own_asn(source, site.facts, site.name)).transpose() {
            Ok(value) => asn.put(fabric, site.name, value, out),
            Err(text) => out.push(named(text)),
        }
        match spec.router_id.as_ref().map(|source| own_router_id(source, site)).transpose() {
            Ok(value) => router_id.put(fabric, site.name, value, out),
            Err(text) => out.push(named(text)),
        }
        mesh.put(fabric, site.name, spec.mesh, out);
        reflectors.put(fabric, site.name, spec.route_reflectors.clone(), out);
        accept_default.put(fabric, site.name, spec.accept_default_route, out);
        transit.put(fabric, site.name, spec.transit, out);
        let fib = spec.fib.clone().unwrap_or_default();
        install.put(fabric, site.name, fib.install, out);
        table.put(fabric, site.name, fib.table.map(api::crd::value::RouteTable::number), out);
        metric.put(fabric, site.name, fib.metric, out);
        protocol.put(fabric, site.name, fib.protocol, out);
        max_paths.put(fabric, site.name, fib.max_paths, out);
        groups.put(fabric, site.name, fib.next_hop_groups, out);
        relax.put(fabric, site.name, spec.multipath.as_ref().and_then(|m| m.relax_as_path), out);
        let restart = spec.graceful_restart.clone().unwrap_or_default();
        restart_time.put(fabric, site.name, restart.restart_time, out);
        long_lived.put(fabric, site.name, restart.long_lived, out);
        notification.put(fabric, site.name, restart.notification, out);
        let masquerade = spec.masquerade.clone().unwrap_or_default();
        hide.put(fabric, site.name, masquerade.enabled, out);
        except_learned.put(fabric, site.name, masquerade.except_learned, out);
        except.extend(masquerade.except.into_iter().map(prefix));
        let timers = spec.timers.clone().unwrap_or_default();
        hold.put(fabric, site.name, timers.hold, out);
        keepalive.put(fabric, site.name, timers.keepalive, out);
        connect_retry.put(fabric, site.name, timers.connect_retry, out);
        let advertise = spec.advertise.clone().unwrap_or_default();
        pod_cidrs.put(fabric, site.name, advertise.pod_cidrs, out);
        for advertised in &advertise.prefixes {
            let Some(origin) = origination(advertised) else {
                out.push(named("field `spec.advertise.prefixes`: a community is not one".into()));
                continue;
            };
            match prefixes.get(&origin.prefix) {
                Some((other, before)) if *before != origin => {
                    out.push(contradiction(fabric, other, "spec.advertise.prefixes", site.name));
                }
                _ => drop(prefixes.insert(origin.prefix, (name, origin))),
            }
        }
        let rules = advertise.services.into_iter().enumerate();
        services.extend(rules.map(|(at, rule)| ServiceRule {
            fabric: Arc::from(*name),
            number: at + 1,
            rule,
        }));
        if let Some(more) = &spec.accept {
            accept.get_or_insert_default().extend(more.iter().copied().map(prefix));
        }
        pod_prefixes.extend(spec.pod_prefixes.iter().copied().map(prefix));
    }

    let transit = transit.or(false);
    if asn.set.is_none() && problems.is_empty() {
        let names: Vec<String> = fabrics.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
        problems.push(Problem::anywhere(format!(
            "node \"{}\" has no AS: field `spec.asn` of Fabric {} is missing",
            site.name,
            names.join(", ")
        )));
    }
    let router_id = match router_id.set {
        Some((_, id)) => Some(id),
        None => match own_router_id(&RouterIdSource { from: Some(INTERNAL), ..Default::default() }, site) {
            Ok(id) => Some(id),
            Err(text) => {
                problems.push(Problem::anywhere(text));
                None
            }
        },
    };
    let (Some((_, asn)), Some(router_id), true) = (asn.set, router_id, problems.is_empty()) else {
        return Err(problems);
    };
    Ok(Merged {
        asn,
        router_id,
        fabrics: fabrics.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        mesh: mesh.or(Mesh::Full) == Mesh::Full,
        reflectors: reflectors.set.map(|(_, reflectors)| reflectors),
        pod_cidrs: pod_cidrs.or(true),
        prefixes: prefixes.into_iter().map(|(prefix, (_, origin))| (prefix, origin)).collect(),
        services,
        masquerade: Hiding {
            enabled: hide.or(true),
            except,
            except_learned: except_learned.or(false),
            pod_prefixes: pod_prefixes.clone(),
        },
        accepts_nodes: accept.is_none() && !transit && pod_prefixes.is_empty(),
        accept: accepted(site.objects, accept, pod_prefixes, transit),
        accept_default: accept_default.or(false),
        transit,
        install: install.or(true),
        table: table.or(MAIN_TABLE),
        metric: metric.or(METRIC),
        protocol: protocol.or(PROTOCOL),
        max_paths: max_paths.or(16),
        next_hop_groups: groups.or(NextHopGroups::Auto),
        relax_as_path: relax.or(true),
        restart: GracefulRestart {
            restart_time: restart_time.set.map(|(_, span)| span),
            notification: notification.set.map(|(_, set)| set),
            long_lived: long_lived.set.map(|(_, span)| span),
        },
        timers: TimerSpec {
            hold: hold.set.map(|(_, span)| span),
            keepalive: keepalive.set.map(|(_, span)| span),
            connect_retry: connect_retry.set.map(|(_, span)| span),
        },
    })
}

const INTERNAL: api::crd::fabric::NodeAddress = api::crd::fabric::NodeAddress::InternalIP;

/// `accept` where it is set; else with transit any; else the pod prefixes, or
/// where none are named the PodCIDRs of all Nodes.
fn accepted(
    objects: &Objects,
    accept: Option<Vec<Prefix>>,
    pod_prefixes: Vec<Prefix>,
    transit: bool,
) -> Option<Vec<Prefix>> {
    let mut prefixes = match accept {
        Some(accept) => accept,
        None if transit => return None,
        None if !pod_prefixes.is_empty() => pod_prefixes,
        None => objects.nodes.values().flat_map(|node| node.value.pod_cidrs.iter().copied()).collect(),
    };
    prefixes.sort();
    prefixes.dedup();
    Some(prefixes)
}

/// The AS of a node among the objects, by the Fabrics that select it; `None`
/// where they do not say, or contradict each other.
pub(super) fn asn_of(objects: &Objects, name: &str, facts: &NodeFacts) -> Option<Asn> {
    let mut found = None;
    for (_, _, spec) in selecting(objects, facts) {
        let Some(source) = &spec.asn else { continue };
        let asn = own_asn(source, facts, name).ok()?;
        if found.is_some_and(|before| before != asn) {
            return None;
        }
        found = Some(asn);
    }
    found
}

/// Whether a Fabric of that name selects the node.
pub(super) fn selects(objects: &Objects, fabric: &str, facts: &NodeFacts) -> bool {
    objects.fabrics.get(fabric).is_some_and(|fabric| fabric.value.node_selector.matches(&facts.labels))
}

fn own_asn(source: &AsnSource, facts: &NodeFacts, node: &str) -> Result<Asn, String> {
    let (key, value) = match source {
        AsnSource { value: Some(value), .. } => return Ok(Asn(*value)),
        AsnSource { from_label: Some(key), .. } => (format!("label `{key}`"), facts.labels.get(key)),
        AsnSource { from_annotation: Some(key), .. } => {
            (format!("annotation `{key}`"), facts.annotations.get(key))
        }
        _ => return Err("field `spec.asn` names no source".into()),
    };
    let Some(value) = value else {
        return Err(format!("field `spec.asn`: node \"{node}\" has no {key}"));
    };
    let asn = value.parse().ok().filter(|asn| is_usable_asn(*asn));
    asn.map(Asn)
        .ok_or_else(|| format!("field `spec.asn`: {key} of node \"{node}\" is `{value}`, not an AS number"))
}

fn own_router_id(source: &RouterIdSource, site: &Site<'_>) -> Result<RouterId, String> {
    let node = site.name;
    if let Some(value) = source.value {
        return Ok(value.into());
    }
    if let Some(key) = &source.from_annotation {
        let value = site.facts.annotations.get(key);
        let Some(value) = value else {
            return Err(format!("field `spec.routerID`: node \"{node}\" has no annotation `{key}`"));
        };
        let id = value.parse().ok().filter(|id: &Ipv4Addr| !id.is_unspecified());
        return id.map(RouterId::from).ok_or_else(|| {
            format!(
                "field `spec.routerID`: annotation `{key}` of node \"{node}\" is `{value}`, not a router id"
            )
        });
    }
    match site.facts.internal(Family::Ipv4) {
        Some(std::net::IpAddr::V4(address)) if !address.is_unspecified() => Ok(address.into()),
        _ => Err(format!("node \"{node}\" has no IPv4 InternalIP to be its router id; set `spec.routerID`")),
    }
}

fn origination(advertised: &api::crd::fabric::AdvertisedPrefix) -> Option<Origination> {
    let mut origin = Origination {
        local_preference: advertised.local_preference,
        med: advertised.med,
        ..plain(prefix(advertised.prefix))
    };
    carry(&mut origin, &advertised.communities)?;
    Some(origin)
}

/// Adds communities to what is originated; `None` where one is none.
pub(super) fn carry(origin: &mut Origination, communities: &[String]) -> Option<()> {
    for text in communities {
        match scalar::community(text)? {
            AnyCommunity::Standard(community) => origin.communities.push(community),
            AnyCommunity::Large(community) => origin.large_communities.push(community),
        }
    }
    Some(())
}

/// A session's timers: the peer's, else the Fabric's, else the defaults. The
/// keepalive time is a third of the hold time at most (RFC 4271 §4.4).
pub(super) fn timers(peer: Option<&TimerSpec>, fabric: &TimerSpec) -> Timers {
    let pick = |of: fn(&TimerSpec) -> Option<api::crd::value::Span>| {
        peer.and_then(of).or_else(|| of(fabric)).map(|span| span.0)
    };
    let hold = pick(|timers| timers.hold).unwrap_or(Duration::from_secs(9));
    let third = hold / 3;
    Timers {
        hold,
        keepalive: pick(|timers| timers.keepalive).map_or(third, |keepalive| keepalive.min(third)),
        connect_retry: pick(|timers| timers.connect_retry).unwrap_or(Duration::from_secs(5)),
    }
}

/// What is said of restarts: the peer's, else the Fabric's, else the defaults.
pub(super) fn restart(peer: Option<&GracefulRestart>, fabric: &GracefulRestart) -> Restart {
    let default = Restart::default();
    let time = peer.and_then(|peer| peer.restart_time).or(fabric.restart_time);
    let notification = peer.and_then(|peer| peer.notification).or(fabric.notification);
    let long_lived = peer.and_then(|peer| peer.long_lived).or(fabric.long_lived);
    Restart {
        seconds: time
            .map_or(default.seconds, |span| u16::try_from(span.0.as_secs()).unwrap_or(default.seconds)),
        notification: notification.unwrap_or(default.notification),
        long_lived: long_lived
            .map_or(default.long_lived, |span| u32::try_from(span.0.as_secs()).unwrap_or(default.long_lived)),
    }
}

/// An origination without attributes of its own.
pub(super) fn plain(prefix: Prefix) -> Origination {
    Origination {
        prefix,
        origin: RouteOrigin::Static,
        communities: Vec::new(),
        large_communities: Vec::new(),
        local_preference: None,
        med: None,
    }
}
