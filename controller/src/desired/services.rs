//! Which addresses of Services the node originates, Service by Service, so that one that changes is looked at alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use api::crd::service::{AdvertisedServices, Aggregate, ServiceAddress};
use bgp::config::Origination;
use bgp::prefix::{Family, Prefix};
use bgp::reason::Reason;
use bgp::rule::RouteOrigin;
use bgp::wire::community::Community;

use super::merge::{Merged, ServiceRule, carry, plain};
use super::site::Site;
use crate::cluster::named::Difference;
use crate::cluster::object::{SourcedService, SourcedSlice};
use crate::cluster::service::{ServiceFacts, Serving, SliceFacts};

/// The label of a Node that is to take no packets from outside for Services.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The EndpointSlices of a Service, by name: one as a rule.
type Slices = Vec<(Arc<str>, Arc<SliceFacts>)>;

/// What the Services are to the node.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// How far the endpoints on each Node serve, by Service and EndpointSlice.
    slices: BTreeMap<Arc<str>, Slices>,
    /// What is originated for each Service.
    offered: BTreeMap<Arc<str>, Vec<Origination>>,
    /// Why addresses that a rule selects are not originated, by Service.
    withheld: BTreeMap<Arc<str>, (Vec<Prefix>, Reason)>,
}

/// All that the node makes of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceStory {
    /// Its addresses, and what becomes of each that a rule names.
    pub addresses: Vec<(IpAddr, ServiceAddress, Option<Served>)>,
    /// How far its endpoints serve, the best of each Node and family; the name is empty for those on no Node.
    pub endpoints: Vec<(String, Family, Serving)>,
}

/// What becomes of an address that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The Fabric.
    pub fabric: Arc<str>,
    /// Which of its rules, the first is 1.
    pub rule: usize,
    /// What is advertised for it.
    pub prefix: Prefix,
    /// How far it is served, or why it is not advertised.
    pub serving: Result<Serving, Reason>,
}

/// Addresses of Services that a rule selects and that are not originated: the Service, and why.
pub type Withheld = BTreeMap<Prefix, (Arc<str>, Reason)>;

impl Services {
    /// What all Services of the site's objects are.
    pub(super) fn of(site: &Site<'_>, merged: &Merged) -> Self {
        let mut services = Self::default();
        if merged.services.is_empty() {
            return services;
        }
        for (name, slice) in &site.objects.slices {
            services.put(&Arc::from(name), None, Some(slice));
        }
        for name in site.objects.services.keys() {
            services.look(site, merged, &Arc::from(name));
        }
        services
    }

    /// Takes in what has become of Services and EndpointSlices; whether that may change anything, and how many Services
    /// were looked at.
    pub(super) fn follow(
        &mut self,
        site: &Site<'_>,
        merged: &Merged,
        services: &[Difference<SourcedService>],
        slices: &[Difference<SourcedSlice>],
    ) -> (bool, usize) {
        if merged.services.is_empty() {
            return (false, 0);
        }
        let mut concerned: Vec<Arc<str>> = services.iter().map(|change| Arc::clone(&change.name)).collect();
        for Difference { name, before, after } in slices {
            concerned.extend(self.put(name, before.as_deref(), after.as_deref()));
        }
        concerned.sort();
        concerned.dedup();
        let mut news = false;
        for name in &concerned {
            news |= self.look(site, merged, name);
        }
        (news, concerned.len())
    }

    /// Takes in what has become of an EndpointSlice; the Services that it is or was of.
    fn put(
        &mut self,
        name: &Arc<str>,
        before: Option<&SourcedSlice>,
        after: Option<&SourcedSlice>,
    ) -> Vec<Arc<str>> {
        let mut concerned = Vec::new();
        if let Some(old) = before.and_then(|slice| service_of(name, slice)) {
            if let Some(slices) = self.slices.get_mut(&old) {
                slices.retain(|(other, _)| other != name);
                if slices.is_empty() {
                    self.slices.remove(&old);
                }
            }
            concerned.push(old);
        }
        if let Some(slice) = after
            && let Some(new) = service_of(name, slice)
        {
            let slices = self.slices.entry(Arc::clone(&new)).or_insert_with(|| Vec::with_capacity(1));
            slices.retain(|(other, _)| other != name);
            slices.push((Arc::clone(name), Arc::clone(&slice.value)));
            concerned.push(new);
        }
        concerned
    }

    /// Looks at one Service anew; whether what is originated for it has changed.
    fn look(&mut self, site: &Site<'_>, merged: &Merged, name: &Arc<str>) -> bool {
        let service = site.objects.services.get(name);
        let (offered, withheld) =
            service.map_or_else(Default::default, |service| self.offer(site, merged, name, &service.value));
        let mut news = match offered.is_empty() {
            true => self.offered.remove(name).is_some(),
            false => self.offered.insert(Arc::clone(name), offered.clone()).as_ref() != Some(&offered),
        };
        news |= match &withheld {
            None => self.withheld.remove(name).is_some(),
            Some(withheld) => {
                self.withheld.insert(Arc::clone(name), withheld.clone()).as_ref() != Some(withheld)
            }
        };
        news
    }

    /// What is originated for a Service, and what is not and why.
    fn offer(
        &self,
        site: &Site<'_>,
        merged: &Merged,
        name: &Arc<str>,
        service: &ServiceFacts,
    ) -> (Vec<Origination>, Option<(Vec<Prefix>, Reason)>) {
        let (mut offered, mut withheld) = (Vec::<Origination>::new(), None::<(Vec<Prefix>, Reason)>);
        for (address, by) in named(merged, service) {
            let prefix = around(address, by.rule.rule.aggregate.unwrap_or_default());
            match self.serving(site, name, Family::of(address), by.local) {
                Ok(serving) => offered.push(origination(&by.rule.rule, prefix, serving)),
                Err(why) => withheld.get_or_insert((Vec::new(), why)).0.push(prefix),
            }
        }
        (offered, withheld)
    }

    /// All that the node makes of a Service; `None` where it knows none of the name.
    pub(super) fn story(&self, site: &Site<'_>, merged: &Merged, name: &str) -> Option<ServiceStory> {
        let service = &site.objects.services.get(name)?.value;
        let name = Arc::<str>::from(name);
        let named = named(merged, service);
        let of_kind = |kind| of_kind(service, kind).0.iter().map(move |address| (kind, *address));
        let kinds = [ServiceAddress::LoadBalancerIP, ServiceAddress::ExternalIP, ServiceAddress::ClusterIP];
        let addresses = kinds.into_iter().flat_map(of_kind).map(|(kind, address)| {
            let by = named.iter().find(|(other, by)| *other == address && by.kind == kind);
            let served = by.map(|(_, by)| Served {
                fabric: Arc::clone(&by.rule.fabric),
                rule: by.rule.number,
                prefix: around(address, by.rule.rule.aggregate.unwrap_or_default()),
                serving: self.serving(site, &name, Family::of(address), by.local),
            });
            (address, kind, served)
        });
        let addresses = addresses.collect();
        let mut endpoints = BTreeMap::new();
        for (_, slice) in self.slices.get(&name).into_iter().flatten() {
            for (node, serving) in slice.family.iter().flat_map(|_| slice.nodes.iter()) {
                let best = endpoints.entry((node.to_owned(), slice.family)).or_insert(*serving);
                *best = (*best).max(*serving);
            }
        }
        let endpoints = endpoints.into_iter();
        let endpoints = endpoints.filter_map(|((node, family), serving)| Some((node, family?, serving)));
        Some(ServiceStory { addresses, endpoints: endpoints.collect() })
    }

    /// How far the endpoints of a family serve that this node would hand packets to.
    fn serving(
        &self,
        site: &Site<'_>,
        name: &Arc<str>,
        family: Family,
        local: bool,
    ) -> Result<Serving, Reason> {
        if site.facts.labels.contains_key(EXCLUDED) {
            return Err(Reason::NodeExcluded);
        }
        let slices = self.slices.get(name).into_iter().flatten().map(|(_, slice)| slice);
        let of_family = slices.filter(|slice| slice.family == Some(family));
        let nodes = of_family.flat_map(|slice| slice.nodes.iter());
        let (mut here, mut anywhere) = (None, None);
        for (node, serving) in nodes {
            anywhere = anywhere.max(Some(*serving));
            if node == site.name {
                here = here.max(Some(*serving));
            }
        }
        match (here, anywhere) {
            (_, None) => Err(Reason::NoReadyEndpoint),
            (None, Some(_)) if local => Err(Reason::NoLocalEndpoint),
            (Some(serving), _) if local => Ok(serving),
            (_, Some(serving)) => Ok(serving),
        }
    }

    /// What is originated, by prefix: of several Services with one prefix that with ready endpoints is said, and of
    /// those the first by name.
    pub(super) fn origins(&self) -> BTreeMap<Prefix, Origination> {
        let mut origins = BTreeMap::<Prefix, Origination>::new();
        for origin in self.offered.values().flatten() {
            match origins.get(&origin.prefix) {
                Some(before) if !is_leaving(before) || is_leaving(origin) => {}
                _ => drop(origins.insert(origin.prefix, origin.clone())),
            }
        }
        origins
    }

    /// What is not originated though a rule selects it, with the Service and why.
    pub(super) fn withheld(&self) -> Withheld {
        let offered: BTreeSet<Prefix> = self.offered.values().flatten().map(|origin| origin.prefix).collect();
        let all = self.withheld.iter().flat_map(|(name, (prefixes, why))| {
            prefixes.iter().map(|prefix| (*prefix, (Arc::clone(name), *why)))
        });
        all.filter(|(prefix, _)| !offered.contains(prefix)).collect()
    }
}

/// The Service that an EndpointSlice is of, by namespace and name.
fn service_of(name: &str, slice: &SourcedSlice) -> Option<Arc<str>> {
    let (namespace, _) = name.split_once('/')?;
    let service = &slice.value.service;
    (!service.is_empty()).then(|| Arc::from(format!("{namespace}/{service}")))
}

/// The rule that names an address.
#[derive(Clone, Copy)]
struct By<'a> {
    rule: &'a ServiceRule,
    /// As which of the Service's addresses.
    kind: ServiceAddress,
    /// Whether packets to it stay on the node.
    local: bool,
}

/// The addresses of a Service that rules name, each with the first that does: that says how it is advertised.
fn named<'a>(merged: &'a Merged, service: &ServiceFacts) -> Vec<(IpAddr, By<'a>)> {
    let mut named = Vec::<(IpAddr, By<'_>)>::new();
    for rule in merged.services.iter().filter(|rule| rule.rule.selector.matches(&service.labels)) {
        for kind in &rule.rule.addresses {
            let (addresses, local) = of_kind(service, *kind);
            for address in addresses {
                if !named.iter().any(|(other, _)| other == address) {
                    named.push((*address, By { rule, kind: *kind, local }));
                }
            }
        }
    }
    named
}

/// The addresses of a kind, and whether packets to them stay on the node.
fn of_kind(service: &ServiceFacts, kind: ServiceAddress) -> (&[IpAddr], bool) {
    match kind {
        ServiceAddress::LoadBalancerIP => (&service.load_balancer, service.local),
        ServiceAddress::ExternalIP => (&service.external, service.local),
        ServiceAddress::ClusterIP => (&service.cluster, service.local || service.internal_local),
    }
}

/// The prefix that is advertised for an address.
fn around(address: IpAddr, aggregate: Aggregate) -> Prefix {
    let len = match address {
        IpAddr::V4(_) => aggregate.v4,
        IpAddr::V6(_) => aggregate.v6,
    };
    len.and_then(|len| Prefix::new(address, len)).unwrap_or(Prefix::host(address))
}

fn origination(rule: &AdvertisedServices, prefix: Prefix, serving: Serving) -> Origination {
    let mut origin = Origination {
        origin: RouteOrigin::Service,
        local_preference: rule.local_preference,
        ..plain(prefix)
    };
    // One that is none was refused when the object was read.
    let _ = carry(&mut origin, &rule.communities);
    if serving == Serving::Terminating {
        // RFC 8326 §4: any other path is better.
        origin.communities.push(Community::GRACEFUL_SHUTDOWN);
        origin.local_preference = Some(0);
    }
    origin
}

fn is_leaving(origin: &Origination) -> bool {
    origin.communities.contains(&Community::GRACEFUL_SHUTDOWN)
}
