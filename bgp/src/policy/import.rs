//! Import: whether a received path is considered, and with which attributes.

use std::net::IpAddr;

use crate::config::{PeerConfig, Protected, SpeakerConfig};
use crate::id::Asn;
use crate::prefix::{Family, Prefix};
use crate::reason::Reason;
use crate::rule::{self, Changes, RouteOrigin, Rule, Subject};
use crate::wire::attribute::{NextHops, PathAttributes};
use crate::wire::community::Community;
use crate::wire::role::Role;
use crate::zone;

/// Whose path, and by whose rules, is judged.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The speaker's configuration.
    pub speaker: &'a SpeakerConfig,
    /// The configuration of the peer that sent the path.
    pub peer: &'a PeerConfig,
    /// The peer's AS.
    pub asn: Asn,
    /// Whether the peer is external.
    pub external: bool,
}

/// LOCAL_PREF of a path whose sender is about to go away (RFC 8326 §4.1).
const LAST_RESORT: u32 = 0;

impl Import<'_> {
    /// The place of the import rule that let the path in, `None` where no rule
    /// speaks of it. Attributes are judged before the prefix, and the rules last:
    /// they can only refuse more.
    ///
    /// # Errors
    /// Why the path is refused.
    pub fn judge(&self, prefix: Prefix, attributes: &PathAttributes) -> Result<Option<usize>, Reason> {
        if let Some(reason) = self.judge_attributes(prefix.family(), attributes) {
            return Err(reason);
        }
        self.judge_prefix(prefix, attributes)
    }

    /// The part of the verdict that all prefixes of an UPDATE share.
    #[must_use]
    pub fn judge_attributes(&self, family: Family, attributes: &PathAttributes) -> Option<Reason> {
        // RFC 4271 §9.1.2: a route whose AS_PATH holds the own AS is not considered.
        if self.own_in(attributes).is_some() {
            return Some(Reason::AsLoop);
        }
        // RFC 4271 §6.3, whose "MAY" is done here. Deviation: RFC 7606 §7.2 calls such a path
        // malformed and has it withdrawn; it is refused, which does the same and stays visible.
        let spoofed = self.external && attributes.as_path.neighbor() != Some(self.asn);
        if spoofed && !self.peer.as_path.any_first {
            return Some(Reason::FirstAs);
        }
        // RFC 4456 §8.
        if attributes.originator == Some(self.speaker.router_id) {
            return Some(Reason::OriginatorLoop);
        }
        if attributes.cluster_list.contains(&self.speaker.cluster().0) && self.speaker.is_reflector() {
            return Some(Reason::ClusterLoop);
        }
        if self.is_leak(attributes) {
            return Some(Reason::RouteLeak);
        }
        let usable = usable_next_hop(family, attributes.next_hop, &self.speaker.protected.addresses);
        (!usable).then_some(Reason::InvalidNextHop)
    }

    /// The part of the verdict that depends on the prefix, as [`Import::judge`].
    ///
    /// # Errors
    /// Why the path is refused.
    pub fn judge_prefix(&self, prefix: Prefix, attributes: &PathAttributes) -> Result<Option<usize>, Reason> {
        if let Some(reason) = self.judge_safety(prefix) {
            return Err(reason);
        }
        match self.peer.import.first(&learned(prefix, attributes)) {
            Some((_, Rule { reject: true, .. })) => Err(Reason::ImportRule),
            Some((at, _)) => Ok(Some(at)),
            None => Ok(None),
        }
    }

    /// Whether the sender asks to be the last resort (RFC 8326 §4.1): it is, whatever the rules set.
    #[must_use]
    pub fn is_last_resort(&self, attributes: &PathAttributes) -> bool {
        self.external && attributes.communities.contains(&Community::GRACEFUL_SHUTDOWN)
    }

    /// An own AS, the one that the peer knows us by included, that is in the path more
    /// often than it may be.
    fn own_in(&self, attributes: &PathAttributes) -> Option<Asn> {
        let local = self.peer.local_as.map(|local| local.asn);
        let allowed = usize::from(self.peer.as_path.allow_own);
        let own = core::iter::once(self.speaker.asn).chain(local);
        own.into_iter().find(|asn| attributes.as_path.occurrences(*asn) > allowed)
    }

    /// The AS that is put before the peer's paths (RFC 7705 §3.1).
    fn prepended(&self) -> Option<Asn> {
        self.peer.local_as.filter(|local| !local.no_prepend).map(|local| local.asn)
    }

    /// Whether a path is changed where no rule speaks of it.
    #[must_use]
    pub fn is_altered(&self, attributes: &PathAttributes) -> bool {
        self.is_last_resort(attributes) || self.marks(attributes) || self.prepended().is_some()
    }

    /// Our role towards the peer, where it is external.
    fn role(&self) -> Option<Role> {
        self.peer.role.filter(|_| self.external)
    }

    /// Whether a path that only customers may have comes from one that has none to
    /// send: a customer or a route server's client (RFC 9234 §5, in 1), or a peer
    /// that had it from somebody else (in 2).
    fn is_leak(&self, attributes: &PathAttributes) -> bool {
        let (Some(role), Some(asn)) = (self.role(), attributes.only_to_customers) else { return false };
        role.is_above() || (role == Role::Peer && asn != self.asn)
    }

    /// Whether a path from above or from the side has to be marked as one that only
    /// customers may have (RFC 9234 §5, in 3).
    fn marks(&self, attributes: &PathAttributes) -> bool {
        attributes.only_to_customers.is_none() && self.role().is_some_and(|role| !role.is_above())
    }

    /// The attributes as the rule at that place changes them, and then what the
    /// sender asks for and its role demands; `None` if they stay as they are.
    #[must_use]
    pub fn changed(&self, rule: Option<usize>, attributes: &PathAttributes) -> Option<PathAttributes> {
        let set = rule.and_then(|at| self.peer.import.get(at)).map(|rule| &rule.set);
        let (last_resort, marks) = (self.is_last_resort(attributes), self.marks(attributes));
        let prepended = self.prepended();
        if set.is_none() && !last_resort && !marks && prepended.is_none() {
            return None;
        }
        let mut changed = attributes.clone();
        if let Some(set) = set {
            set.apply(&mut changed, rule::nearest(&attributes.as_path));
        }
        if last_resort {
            changed.local_preference = Some(LAST_RESORT);
        }
        if let Some(asn) = prepended {
            changed.as_path = changed.as_path.prepended(asn, 1);
        }
        if marks {
            changed.only_to_customers = Some(self.asn);
        }
        (changed != *attributes).then_some(changed)
    }

    /// What an import rule did to a path that it let in, such as
    /// `import rule 1 (prefix 10.244.0.0/16): local-preference 200`; `None` if it changed nothing.
    #[must_use]
    pub fn change_detail(&self, prefix: Prefix, received: &PathAttributes) -> Option<String> {
        let at = self.judge(prefix, received).ok()?;
        self.changed(at, received)?;
        let rule = at.and_then(|at| Some((at, self.peer.import.get(at)?)));
        let ruled = rule.filter(|(_, rule)| rule.set != Changes::default()).map(|(at, rule)| {
            let what = rule.when.describe(&learned(prefix, received));
            format!("import rule {} ({what}): {}", at + 1, rule.set)
        });
        let asked = self
            .is_last_resort(received)
            .then(|| format!("GRACEFUL_SHUTDOWN: local-preference {LAST_RESORT} (RFC 8326 4.1)"));
        let marked = self.marks(received).then(|| format!("role: OTC {} (RFC 9234 5)", self.asn));
        let prepended = self.prepended().map(|asn| format!("local AS {asn} prepended (RFC 7705 3.1)"));
        Some(ruled.into_iter().chain(prepended).chain(asked).chain(marked).collect::<Vec<_>>().join("; "))
    }

    /// The safe rules and `accept`.
    fn judge_safety(&self, prefix: Prefix) -> Option<Reason> {
        if prefix.is_default() {
            return (!self.peer.accept_default).then_some(Reason::DefaultRoute);
        }
        if is_martian(prefix) {
            return Some(Reason::Martian);
        }
        if !self.speaker.transit
            && let Some(reason) = touches(&self.speaker.protected, prefix)
        {
            return Some(reason);
        }
        match &self.peer.accept {
            Some(accept) if !accept.iter().any(|outer| outer.contains(prefix)) => Some(Reason::NotAccepted),
            _ => None,
        }
    }

    /// A refusal with its particulars.
    #[must_use]
    pub fn detail(&self, reason: Reason, prefix: Prefix, attributes: &PathAttributes) -> String {
        reason.cited(self.particulars(reason, prefix, attributes))
    }

    fn particulars(&self, reason: Reason, prefix: Prefix, attributes: &PathAttributes) -> String {
        let protected = &self.speaker.protected;
        let inside = |list: &[Prefix]| list.iter().find(|outer| outer.contains(prefix)).copied();
        match reason {
            Reason::FirstAs => match attributes.as_path.neighbor() {
                Some(first) => {
                    format!("path begins with AS {first}, the peer is AS {}", self.asn)
                }
                None => format!("path does not begin with the peer's AS {}", self.asn),
            },
            Reason::AsLoop => {
                let asn = self.own_in(attributes).unwrap_or(self.speaker.asn);
                format!("own AS {asn} in path")
            }
            Reason::OriginatorLoop => {
                format!("own router id {} is the ORIGINATOR_ID", self.speaker.router_id)
            }
            Reason::ClusterLoop => {
                format!("own cluster id {} is in the CLUSTER_LIST", self.speaker.cluster())
            }
            Reason::RouteLeak => match attributes.only_to_customers {
                Some(asn) => {
                    let peer = self.role().map_or("peer", |role| Role::name(role.counterpart().code()));
                    format!("OTC {asn} from a {peer}")
                }
                None => reason.says().to_owned(),
            },
            Reason::InvalidNextHop => {
                format!("next hop {}", invalid_next_hop(attributes.next_hop, protected))
            }
            Reason::OwnPrefix => inside(&protected.own)
                .map_or_else(|| reason.says().to_owned(), |own| format!("lies inside this node's own {own}")),
            Reason::ConnectedPrefix => inside(&protected.connected).map_or_else(
                || reason.says().to_owned(),
                |subnet| format!("lies inside the connected subnet {subnet}"),
            ),
            Reason::NotAccepted => match &self.peer.accept {
                Some(accept) if !accept.is_empty() => format!("outside of accept {}", list(accept)),
                _ => "nothing is accepted from this peer".to_owned(),
            },
            Reason::ImportRule => match self.peer.import.first(&learned(prefix, attributes)) {
                Some((at, rule)) => {
                    format!("import rule {}: {}", at + 1, rule.when.describe(&learned(prefix, attributes)))
                }
                None => reason.says().to_owned(),
            },
            Reason::PrefixLimit => format!("limit is {} prefixes", self.peer.receive.most),
            _ => reason.says().to_owned(),
        }
    }
}

/// A received path as rules look at it.
const fn learned(prefix: Prefix, attributes: &PathAttributes) -> Subject<'_> {
    Subject { prefix, origin: RouteOrigin::Learned, attributes }
}

fn list(prefixes: &[Prefix]) -> String {
    prefixes.iter().map(Prefix::to_string).collect::<Vec<_>>().join(", ")
}

/// What of the node the prefix would take over; a shorter prefix that only
/// covers it takes nothing, since longest match protects what is inside.
fn touches(protected: &Protected, prefix: Prefix) -> Option<Reason> {
    if protected.own.iter().any(|own| own.contains(prefix)) {
        return Some(Reason::OwnPrefix);
    }
    if prefix.is_host() {
        let address = prefix.address();
        if protected.addresses.contains(&address) || protected.hosts.contains(&address) {
            return Some(Reason::ProtectedAddress);
        }
    }
    protected.connected.iter().any(|subnet| subnet.contains(prefix)).then_some(Reason::ConnectedPrefix)
}

/// Blocks that are never routed between hosts (RFC 6890, RFC 4291): the address's first octets and the length.
const MARTIANS_V4: [(u32, u8); 5] =
    [(0, 8), (0x7f00_0000, 8), (0xa9fe_0000, 16), (0xe000_0000, 4), (0xf000_0000, 4)];

/// Loopback and unspecified, v4-mapped, link-local, multicast.
const MARTIANS_V6: [(u128, u8); 4] = [(0, 96), (0xffff << 32, 96), (0xfe80 << 112, 10), (0xff00 << 112, 8)];

/// Whether the prefix lies inside a block that is never routed; the default route does not.
fn is_martian(prefix: Prefix) -> bool {
    match prefix {
        Prefix::V4(prefix) => MARTIANS_V4
            .iter()
            .any(|&(block, len)| len <= prefix.len() && (prefix.bits() ^ block) >> (32 - len) == 0),
        Prefix::V6(prefix) => MARTIANS_V6
            .iter()
            .any(|&(block, len)| len <= prefix.len() && (prefix.bits() ^ block) >> (128 - len) == 0),
    }
}

/// RFC 4271 §6.3: the next hop is a host's address, not ours, of the prefix's family, or
/// an IPv6 address for IPv4 where that was negotiated (RFC 8950 §4). A link-local one is
/// usable where its link is known.
fn usable_next_hop(family: Family, next_hop: NextHops, own: &[IpAddr]) -> bool {
    let address = next_hop.address();
    let is_of_family = Family::of(address) == family || address.is_ipv6();
    is_of_family && !is_nobody(address) && !own.contains(&address)
}

/// Whether the address is none that packets can be sent to.
fn is_nobody(address: IpAddr) -> bool {
    zone::of(address).is_none() && is_martian(Prefix::host(address))
}

fn invalid_next_hop(next_hop: NextHops, protected: &Protected) -> String {
    let address = next_hop.address();
    let why = if protected.addresses.contains(&address) {
        "is this node's own address"
    } else if is_nobody(address) {
        "is not a routable address"
    } else {
        "is of another family than the prefix"
    };
    format!("{} {why}", zone::split(address).0)
}
