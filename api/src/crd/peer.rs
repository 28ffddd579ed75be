//! `FabricPeer`: whom the selected nodes talk to.

#![allow(unreachable_pub, reason = "KubeSchema expands to a public type inside of a function")]
#![allow(clippy::duplicated_attributes, reason = "two printer columns of one type")]

use std::net::IpAddr;

use ipnet::IpNet;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fabric::is_usable_asn;
use super::policy::{self, Direction, RouteRule};
use super::reach::{SourceAddress, TtlSecurity};
use super::restart::GracefulRestart;
use super::rule::{self, Check, Violation};
use super::selector::LabelSelector;
use super::status::ObjectStatus;
use super::target::{AddressFrom, Family};
use super::timers::{Bfd, Timers};
use super::value::PeerAsn;

/// A BGP peer of the selected nodes: one address, addresses that are found on each node, the neighbour on an interface,
/// other nodes, or whoever connects from a prefix.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "underlay.dev",
    version = "v1alpha1",
    kind = "FabricPeer",
    derive = "PartialEq",
    status = "ObjectStatus",
    category = "underlay",
    shortname = "fp",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "ASN", type_ = "string", json_path = ".spec.asn"),
    printcolumn(name = "Disabled", type_ = "boolean", json_path = ".spec.disabled"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::ONE_TARGET.cel).message(rule::ONE_TARGET.text))]
#[x_kube(validation = Rule::new(rule::STRICT_ROLE.cel).message(rule::STRICT_ROLE.text))]
#[x_kube(validation = Rule::new(rule::BFD_NAMED.cel).message(rule::BFD_NAMED.text))]
#[x_kube(validation = Rule::new(rule::ONE_DISTANCE.cel).message(rule::ONE_DISTANCE.text))]
#[x_kube(validation = Rule::new(rule::CLIENT_INTERNAL.cel).message(rule::CLIENT_INTERNAL.text))]
#[x_kube(validation = Rule::new(rule::LOCAL_AS_EXTERNAL.cel).message(rule::LOCAL_AS_EXTERNAL.text))]
#[x_kube(validation = Rule::new(rule::ROLE_EXTERNAL.cel).message(rule::ROLE_EXTERNAL.text))]
#[x_kube(validation = Rule::new(rule::ON_LINK.cel).message(rule::ON_LINK.text))]
pub struct FabricPeerSpec {
    /// The nodes that have this peer; empty selects every node.
    #[serde(default)]
    pub node_selector: LabelSelector,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Where on each node the addresses of its peers are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_from: Option<AddressFrom>,
    /// The interface whose one neighbour is the peer, without addresses on either side: it is found by its router
    /// advertisements, by which it finds the node, too, and IPv4 goes by IPv6 next hops (RFC 8950).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::INTERFACE.cel).message(rule::INTERFACE.text))]
    pub interface: Option<String>,
    /// Other nodes as peers, by their InternalIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<NodePeers>,
    /// Whoever connects from a prefix, each a peer while its session lasts. One that another FabricPeer names is not
    /// meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<Listen>,
    /// The AS that the peer may have.
    #[x_kube(validation = Rule::new(rule::ASN_USABLE.cel).message(rule::ASN_USABLE.text))]
    pub asn: PeerAsn,
    /// Whether the session is kept down on purpose.
    #[serde(default)]
    pub disabled: bool,
    /// A few words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Prefixes, and longer ones inside, that may be learned; the Fabric's if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<IpNet>>,
    /// Whether a default route may be learned; the Fabric's if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_default_route: Option<bool>,
    /// Whether the first AS of an external peer's paths must be its own (RFC 4271 §6.3); false for a route server.
    #[serde(default = "enforced", rename = "enforceFirstAS")]
    pub enforce_first_as: bool,
    /// How often the node's own AS may be in a path that is learned.
    #[serde(default, rename = "allowOwnAS")]
    pub allow_own_as: u8,
    /// Whether an external peer's own AS is replaced by the node's in what it is sent.
    #[serde(default)]
    pub as_override: bool,
    /// Whether ASes for private use (RFC 6996) are left out of what an external peer is sent.
    #[serde(default, rename = "removePrivateAS")]
    pub remove_private_as: bool,
    /// How next hops are chosen.
    #[serde(default)]
    pub next_hop: NextHop,
    /// Another AS in the place of the node's own towards this peer, which is external (RFC 7705).
    #[serde(default, rename = "localAS", skip_serializing_if = "Option::is_none")]
    pub local_as: Option<LocalAs>,
    /// The node's role towards this peer, which is external (RFC 9234); none if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether a peer that does not say its own role is refused.
    #[serde(default)]
    pub strict_role: bool,
    /// Whether the peer, which is of the node's own AS, is a client of the node as a route reflector (RFC 4456).
    #[serde(default)]
    pub route_reflector_client: bool,
    /// The families to offer; both if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::SOME_FAMILY.cel).message(rule::SOME_FAMILY.text))]
    #[schemars(length(max = 2))]
    pub families: Option<Vec<Family>>,
    /// What is considered of what the safe rules and accept let in; the first rule that is met decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new(rule::RULE_COUNT.cel).message(rule::RULE_COUNT.text))]
    #[x_kube(validation = Rule::new(rule::IMPORT_ORIGIN.cel).message(rule::IMPORT_ORIGIN.text))]
    pub import: Vec<RouteRule>,
    /// What is sent of what may be sent at all; the first rule that is met decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = Rule::new(rule::RULE_COUNT.cel).message(rule::RULE_COUNT.text))]
    pub export: Vec<RouteRule>,
    /// The key that signs the session's segments (RFC 2385); where its Secret is missing the session stays down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// How many prefixes of a family may come and go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What is said of restarts; the Fabric's where unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart: Option<GracefulRestart>,
    /// Several paths of a prefix (RFC 7911), in every family that is offered; neither way if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add_path: Option<AddPath>,
    /// Session timers; the Fabric's where unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<Timers>,
    /// The peer's TCP port; 179 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::PEER_PORT.cel).message(rule::PEER_PORT.text))]
    pub port: Option<u16>,
    /// BFD on the way to the peer; none if unset. `{}` for what is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<Bfd>,
    /// That packets of the peer have come no further than so many hops (RFC 5082); it has to ask the same of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<TtlSecurity>,
    /// How many hops away an external peer may be; if unset it is on a connected subnet. The default route may lead to
    /// such a peer and to its next hops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::MULTIHOP.cel).message(rule::MULTIHOP.text))]
    pub multihop: Option<u8>,
    /// The own address to connect from: InternalIP, {interface: NAME} or {nodeAnnotation: KEY}; if unset, the one on the
    /// peer's subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address_from: Option<SourceAddress>,
}

/// Several paths of a prefix (RFC 7911).
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddPath {
    /// The most paths of a prefix that are sent, the best ones; several are not offered if unset. One
    /// that the node does not use itself is sent only where its next hop stays as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::ADD_PATH_SEND.cel).message(rule::ADD_PATH_SEND.text))]
    pub send: Option<u8>,
    /// Whether several are taken.
    #[serde(default)]
    pub receive: bool,
}

/// Other nodes as peers.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePeers {
    /// Which nodes; empty selects every other node.
    pub node_selector: LabelSelector,
}

/// Peers that connect from a prefix.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listen {
    /// Where they connect from. A password is that of the whole prefix; of overlapping prefixes the longest counts.
    pub prefix: IpNet,
    /// The most of them at a time; 100 if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::LISTEN_MAX.cel).message(rule::LISTEN_MAX.text))]
    pub max: Option<u32>,
}

/// How the next hop of a path that is sent is chosen.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NextHop {
    /// Own address towards external peers, unchanged towards internal ones.
    #[default]
    Auto,
    /// Always an own address.
    #[serde(rename = "Self")]
    Own,
    /// As received.
    Unchanged,
}

/// Another AS in the place of a node's own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalAs {
    /// The AS that the peer knows the node by.
    #[x_kube(validation = Rule::new(rule::LOCAL_AS.cel).message(rule::LOCAL_AS.text))]
    pub asn: u32,
    /// Whether it is left out of the paths that the peer sent.
    #[serde(default)]
    pub no_prepend: bool,
    /// Whether the node's own AS is left out of what the peer is sent.
    #[serde(default, rename = "replaceAS")]
    pub replace_as: bool,
}

/// What a node is to a peer (RFC 9234 §4.1).
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The peer is a customer.
    Provider,
    /// The peer is a provider.
    Customer,
    /// The peer is one of equals.
    Peer,
    /// The node is a route server.
    #[serde(rename = "RS")]
    RouteServer,
    /// The peer is a route server.
    #[serde(rename = "RS-Client")]
    RouteServerClient,
}

/// A key of a Secret in the agent's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(rule::SECRET_REF.cel).message(rule::SECRET_REF.text))]
pub struct SecretKeyRef {
    /// The Secret's name.
    pub name: String,
    /// The key in it.
    pub key: String,
}

/// How many prefixes of a family may come and go.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// What the peer may send; 1 000 000 and Reject if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive: Option<ReceiveLimit>,
    /// What the peer is sent; no limit if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<SendLimit>,
}

/// The most prefixes of a family that a peer may send.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiveLimit {
    /// The most, those that are refused included.
    pub max: u32,
    /// From how many per cent of them on there is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(rule::WARN_AT.cel).message(rule::WARN_AT.text))]
    pub warn_at: Option<u8>,
    /// What becomes of more.
    #[serde(default)]
    pub action: LimitAction,
}

/// What becomes of prefixes beyond a limit.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitAction {
    /// They are considered all the same, and there is a warning.
    Warn,
    /// They are counted, and not considered.
    #[default]
    Reject,
    /// The session ends, and rests for a minute or more.
    Reset,
}

/// The most prefixes of a family that a peer is sent.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendLimit {
    /// The most.
    pub max: u32,
}

const fn enforced() -> bool {
    true
}

impl FabricPeerSpec {
    /// The rules that this object breaks.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut check = Check::default();
        self.node_selector.check("spec.nodeSelector", &mut check);
        let targets = [
            self.address.is_some(),
            self.address_from.is_some(),
            self.interface.is_some(),
            self.peers.is_some(),
            self.listen.is_some(),
        ];
        check.that(targets.iter().filter(|set| **set).count() == 1, "spec", rule::ONE_TARGET);
        if let Some(name) = &self.interface {
            let fits = (1..=15).contains(&name.chars().count()) && !name.contains(['/', ' ']);
            check.that(fits, "spec.interface", rule::INTERFACE);
            let near = self.ttl_security.as_ref().is_none_or(|security| security.hops == 1);
            check.that(near && self.multihop.is_none(), "spec", rule::ON_LINK);
            check.that(self.source_address_from.is_none(), "spec.sourceAddressFrom", rule::ON_LINK_SOURCE);
        }
        if let Some(from) = &self.address_from {
            from.check("spec.addressFrom", &mut check);
        }
        if let Some(address) = self.address {
            check.that(is_peer_address(address), "spec.address", rule::PEER_ADDRESS);
        }
        let most = self.listen.as_ref().and_then(|listen| listen.max);
        check.that(most.is_none_or(|most| (1..=10_000).contains(&most)), "spec.listen.max", rule::LISTEN_MAX);
        if let Some(peers) = &self.peers {
            peers.node_selector.check("spec.peers.nodeSelector", &mut check);
        }
        if let PeerAsn::Number(asn) = self.asn {
            check.that(is_usable_asn(asn), "spec.asn", rule::ASN_USABLE);
        }
        let internal = self.asn != PeerAsn::External;
        check.that(
            !self.route_reflector_client || internal,
            "spec.routeReflectorClient",
            rule::CLIENT_INTERNAL,
        );
        let external = self.asn != PeerAsn::Internal && !self.route_reflector_client;
        if let Some(local) = &self.local_as {
            check.that(is_usable_asn(local.asn), "spec.localAS.asn", rule::LOCAL_AS);
            let other = self.asn != PeerAsn::Number(local.asn);
            check.that(external && other, "spec.localAS", rule::LOCAL_AS_EXTERNAL);
        }
        check.that(self.role.is_none() || external, "spec.role", rule::ROLE_EXTERNAL);
        check.that(!self.strict_role || self.role.is_some(), "spec.strictRole", rule::STRICT_ROLE);
        check.that(self.port != Some(0), "spec.port", rule::PEER_PORT);
        let hops = self.ttl_security.as_ref().is_none_or(|security| (1..=254).contains(&security.hops));
        check.that(hops, "spec.ttlSecurity.hops", rule::TTL_HOPS);
        check.that(self.multihop != Some(0), "spec.multihop", rule::MULTIHOP);
        check.that(self.ttl_security.is_none() || self.multihop.is_none(), "spec", rule::ONE_DISTANCE);
        if let Some(bfd) = &self.bfd {
            bfd.check("spec.bfd", &mut check);
        }
        let named = self.listen.is_none() && self.interface.is_none();
        check.that(self.bfd.is_none() || named, "spec", rule::BFD_NAMED);
        let named = match &self.source_address_from {
            Some(SourceAddress::Interface(of)) => !of.interface.is_empty(),
            Some(SourceAddress::Annotation(of)) => !of.node_annotation.is_empty(),
            Some(SourceAddress::Node(_)) | None => true,
        };
        check.that(named, "spec.sourceAddressFrom", rule::SOURCE_ADDRESS);
        if let Some(families) = &self.families {
            let each_once = matches!(families[..], [_]) || matches!(families[..], [a, b] if a != b);
            check.that(each_once, "spec.families", rule::SOME_FAMILY);
        }
        if let Some(secret) = &self.password_secret_ref {
            let named = !secret.name.is_empty() && !secret.key.is_empty();
            check.that(named, "spec.passwordSecretRef", rule::SECRET_REF);
        }
        let sent = self.add_path.as_ref().and_then(|add_path| add_path.send);
        check.that(sent != Some(0), "spec.addPath.send", rule::ADD_PATH_SEND);
        let receive = self.limits.as_ref().and_then(|limits| limits.receive.as_ref());
        let warn_at = receive.and_then(|limit| limit.warn_at);
        let share = warn_at.is_none_or(|share| (1..=100).contains(&share));
        check.that(share, "spec.limits.receive.warnAt", rule::WARN_AT);
        policy::check(&self.import, Direction::Import, &mut check);
        policy::check(&self.export, Direction::Export, &mut check);
        if let Some(timers) = &self.timers {
            timers.check("spec.timers", &mut check);
        }
        if let Some(restart) = &self.graceful_restart {
            restart.check("spec.gracefulRestart", &mut check);
        }
        check.finish()
    }
}

/// Whether a peer can be reached at an address without naming an interface.
#[must_use]
pub fn is_peer_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                && !address.is_broadcast()
                && !address.is_link_local()
        }
        IpAddr::V6(address) => {
            !address.is_unspecified()
                && !address.is_multicast()
                && !address.is_unicast_link_local()
                && address.to_ipv4_mapped().is_none()
        }
    }
}
