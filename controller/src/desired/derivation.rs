//! What a node is to be, once more when something has changed. It comes to what [`compute`](super::compute) comes to,
//! and looks at no Node but those that have changed, as long as nothing else has: what the node's own Node, the
//! Fabrics and FabricPeers, the Secrets and the kernel say concerns what every other Node is to it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bgp::prefix::Prefix;

use super::merge::{self, Merged};
use super::others::{Effect, Others};
use super::services::{ServiceStory, Services};
use super::site::{Site, Surroundings};
use super::{Desired, lasting, whole};
use crate::cluster::named::Difference;
use crate::cluster::object::{NodeFacts, Objects, Problem, SourcedNode};
use crate::kernel::LocalAddress;

/// What a node is to be, and how that came about.
#[derive(Debug, Default)]
pub struct Derivation {
    basis: Option<Basis>,
    looked_at: u64,
}

/// What the last computation went by.
#[derive(Debug)]
struct Basis {
    objects: Arc<Objects>,
    name: String,
    addresses: Vec<LocalAddress>,
    gateways: Vec<IpAddr>,
    passing: Vec<IpAddr>,
    hosts: Vec<Prefix>,
    links: Option<BTreeMap<u32, String>>,
    neighbours: Vec<IpAddr>,
    /// The node's own facts, as they are used, and what is said of the others.
    facts: NodeFacts,
    warnings: Vec<Problem>,
    /// `None` where the node itself stands in the way, which no other Node changes.
    parts: Option<(Merged, Others, Services)>,
}

impl Derivation {
    /// What the node `name` is to be; `None` where that is what it was the last time.
    ///
    /// # Errors
    /// As those of [`compute`](super::compute).
    pub fn compute(
        &mut self,
        objects: &Arc<Objects>,
        name: &str,
        around: Surroundings<'_>,
    ) -> Option<Result<Desired, Vec<Problem>>> {
        if let Some(basis) = self.basis.as_mut().filter(|basis| basis.stands(objects, name, around)) {
            let before = std::mem::replace(&mut basis.objects, Arc::clone(objects));
            let changes = before.nodes.differences(&objects.nodes);
            let looks = changes.iter().flat_map(|it| [&it.before, &it.after]).flatten().count();
            let (served, services) = basis.serve(&before);
            self.looked_at += (looks + services) as u64;
            return (basis.follow(&changes) | served).then(|| basis.whole())?;
        }
        self.looked_at += (objects.nodes.len() + objects.services.len()) as u64;
        let (basis, outcome) = Basis::new(objects, name, around);
        self.basis = basis;
        Some(outcome)
    }

    /// What the node makes of a Service, as of the last computation; `None` where it knows none of the name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<ServiceStory> {
        let basis = self.basis.as_ref()?;
        let (merged, _, services) = basis.parts.as_ref()?;
        let site = Site::new(&basis.objects, &basis.name, &basis.facts, Surroundings::default());
        services.story(&site, merged, name)
    }

    /// How often a Node's facts, or a Service's, were looked at so far.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.looked_at
    }
}

impl Basis {
    fn new(
        objects: &Arc<Objects>,
        name: &str,
        around: Surroundings<'_>,
    ) -> (Option<Self>, Result<Desired, Vec<Problem>>) {
        let Some(own) = objects.nodes.get(name) else {
            return (None, super::compute(objects, name, around));
        };
        let (facts, warnings) = lasting(name, &own.value, around.passing);
        let mut basis = Self {
            objects: Arc::clone(objects),
            name: name.to_owned(),
            addresses: around.addresses.to_vec(),
            gateways: around.gateways.to_vec(),
            passing: around.passing.to_vec(),
            hosts: around.hosts.to_vec(),
            links: around.links.cloned(),
            neighbours: around.neighbours.to_vec(),
            facts,
            warnings,
            parts: None,
        };
        let site = Site::new(&basis.objects, &basis.name, &basis.facts, around);
        match merge::merge(&site) {
            Ok(merged) => {
                let others = Others::of(&site, &merged);
                let services = Services::of(&site, &merged);
                let outcome = whole(&site, &merged, &others, &services, basis.warnings.clone());
                basis.parts = Some((merged, others, services));
                (Some(basis), outcome)
            }
            Err(problems) => (Some(basis), Err(problems)),
        }
    }

    /// Whether nothing but other Nodes may have changed.
    fn stands(&self, objects: &Arc<Objects>, name: &str, around: Surroundings<'_>) -> bool {
        let surrounded = self.addresses == around.addresses
            && self.gateways == around.gateways
            && self.passing == around.passing
            && self.hosts == around.hosts
            && self.links.as_ref() == around.links
            && self.neighbours == around.neighbours;
        let said = Arc::ptr_eq(&self.objects, objects)
            || (self.objects.fabrics == objects.fabrics
                && self.objects.peers == objects.peers
                && self.objects.secrets == objects.secrets
                && self.objects.warnings == objects.warnings
                && self.objects.nodes.get(name) == objects.nodes.get(name));
        self.name == name && surrounded && said
    }

    /// Takes in what has become of other Nodes; whether that may change anything for this one.
    fn follow(&mut self, changes: &[Difference<SourcedNode>]) -> bool {
        let around = Surroundings {
            addresses: &self.addresses,
            gateways: &self.gateways,
            passing: &self.passing,
            hosts: &self.hosts,
            links: self.links.as_ref(),
            neighbours: &self.neighbours,
        };
        let site = Site::new(&self.objects, &self.name, &self.facts, around);
        let Some((merged, others, _)) = &mut self.parts else { return false };
        let (mut news, mut accept) = (false, false);
        for Difference { name, before, after } in changes {
            let Effect { peers, known, pods } =
                others.change(&site, merged, name, before.as_deref(), after.as_deref());
            accept |= pods && merged.accepts_nodes;
            news |= peers || (known && merged.masquerade.enabled);
        }
        if accept {
            let pods = others.pods();
            others.accept(site.objects, &pods);
            merged.accept = Some(pods);
        }
        news || accept
    }

    /// Takes in what has become of Services and their endpoints since these objects; whether that may change anything,
    /// and how many Services were looked at.
    fn serve(&mut self, before: &Objects) -> (bool, usize) {
        let (services, slices) = (
            before.services.differences(&self.objects.services),
            before.slices.differences(&self.objects.slices),
        );
        let around = Surroundings::default();
        let site = Site::new(&self.objects, &self.name, &self.facts, around);
        let Some((merged, _, known)) = &mut self.parts else { return (false, 0) };
        known.follow(&site, merged, &services, &slices)
    }

    fn whole(&self) -> Option<Result<Desired, Vec<Problem>>> {
        let around = Surroundings {
            addresses: &self.addresses,
            gateways: &self.gateways,
            passing: &self.passing,
            hosts: &self.hosts,
            links: self.links.as_ref(),
            neighbours: &self.neighbours,
        };
        let (merged, others, services) = self.parts.as_ref()?;
        let site = Site::new(&self.objects, &self.name, &self.facts, around);
        Some(whole(&site, merged, others, services, self.warnings.clone()))
    }
}
