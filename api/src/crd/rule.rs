//! Rules that the types alone cannot hold. A rule has a name, and one text
//! wherever it is checked.

use std::fmt;

/// A rule: its name, its text, and its CEL, so that an API server checks it too, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name in kebab-case.
    pub name: &'static str,
    /// What must hold, as a sentence without a full stop.
    pub text: &'static str,
    /// The rule in CEL over the part of the object that it is about; empty where only the agent checks it. A test
    /// evaluates it over the same objects as the code.
    pub cel: &'static str,
    /// Why only the agent checks it; empty where CEL does too. An API server from 1.25 on knows the rule, or it is no
    /// rule in CEL: what later versions add (`ip()`, `cidr()`) would keep the definitions from the ones before. What an
    /// expression may cost is bounded by the longest list and text that the schema lets through.
    pub agent_alone: &'static str,
}

/// A rule that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, such as `spec.asn`.
    pub field: String,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}`: {} ({})", self.field, self.rule.text, self.rule.name)
    }
}

/// Collects the rules that an object breaks.
#[derive(Debug, Default)]
pub(crate) struct Check {
    violations: Vec<Violation>,
}

impl Check {
    /// Notes a violation of `rule` at `field` unless `holds`.
    pub(crate) fn that(&mut self, holds: bool, field: &str, rule: Rule) {
        if !holds {
            self.violations.push(Violation { field: field.to_owned(), rule });
        }
    }

    /// All violations, in the order of the checks.
    pub(crate) fn finish(self) -> Vec<Violation> {
        self.violations
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $text:literal, $kind:ident $said:literal;)*) => {
        $($(#[$doc])* pub const $id: Rule = rules!($kind $name, $text, $said);)*

        /// Every rule.
        pub const ALL: &[Rule] = &[$($id),*];
    };
    (cel $name:literal, $text:literal, $cel:literal) => {
        Rule { name: $name, text: $text, cel: $cel, agent_alone: "" }
    };
    (agent_alone $name:literal, $text:literal, $why:literal) => {
        Rule { name: $name, text: $text, cel: "", agent_alone: $why }
    };
}

rules! {
    /// One source of the AS number.
    ASN_SOURCE = "one-asn-source", "exactly one of value, fromLabel and fromAnnotation is set",
        cel "[has(self.value), has(self.fromLabel), has(self.fromAnnotation)].filter(x, x).size() == 1";
    /// RFC 7607, RFC 7300 and RFC 6793 §9: 0, the last number and AS_TRANS are nobody's AS.
    ASN_USABLE = "usable-asn", "an AS number is 1 to 4294967294, and not 23456 (AS_TRANS)",
        cel "type(self) == string || (self >= 1 && self <= 4294967294 && self != 23456)";
    /// One source of the router id.
    ROUTER_ID_SOURCE = "one-router-id-source", "exactly one of from, value and fromAnnotation is set",
        cel "[has(self.from), has(self.value), has(self.fromAnnotation)].filter(x, x).size() == 1";
    /// RFC 6286 §2.1.
    ROUTER_ID_USABLE = "usable-router-id", "a router id is an IPv4 address other than 0.0.0.0",
        cel "self != '0.0.0.0'";
    /// RFC 4271 §4.2.
    HOLD_TIME = "hold-time", "the hold time is 0s, or whole seconds from 3s to 65535s",
        cel "duration(self) == duration('0s') || (duration(self) >= duration('3s') && duration(self) <= duration('65535s') && duration(self).getMilliseconds() % 1000 == 0)";
    /// RFC 4271 §4.4.
    KEEPALIVE_TIME = "keepalive-time", "the keepalive time is at least 1s and at most a third of the hold time",
        cel "!has(self.keepalive) || (duration(self.keepalive) >= duration('1s') && (!has(self.hold) || duration(self.hold) == duration('0s') || duration(self.keepalive) + duration(self.keepalive) + duration(self.keepalive) <= duration(self.hold)))";
    /// RFC 4724 §3: twelve bits.
    RESTART_TIME = "restart-time", "the restart time is whole seconds from 0s to 4095s",
        cel "duration(self) <= duration('4095s') && duration(self).getMilliseconds() % 1000 == 0";
    /// RFC 9494 §3.1: twenty-four bits.
    LONG_LIVED_TIME = "long-lived-time", "the long-lived time is whole seconds from 0s to 16777215s",
        cel "duration(self) <= duration('16777215s') && duration(self).getMilliseconds() % 1000 == 0";
    /// A retry in a tight loop would flood the peer.
    CONNECT_RETRY_TIME = "connect-retry-time", "the connect retry time is 1s to 1h",
        cel "duration(self) >= duration('1s') && duration(self) <= duration('1h')";
    /// An ECMP set has a member.
    MAX_PATHS = "max-paths", "maxPaths is 1 to 128",
        cel "self >= 1 && self <= 128";
    /// The kernel, boot scripts and administrators own the low numbers.
    FIB_PROTOCOL = "fib-protocol", "the routing protocol number is 5 to 255, and no other daemon's",
        cel "self >= 5 && self <= 255 && !(self in [8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 42, 99, 186, 187, 188, 189, 192])";
    /// Table 255 is the kernel's own, 0 is none.
    FIB_TABLE = "fib-table", "the table is main, or a number from 1 other than 255 (local)",
        cel "type(self) == string || (self >= 1 && self != 255)";
    /// Metric 0 means 1024 in IPv6 and is the strongest in IPv4.
    FIB_METRIC = "fib-metric", "the metric is at least 1",
        cel "self >= 1";
    /// Standard or large.
    COMMUNITY = "community", "a community is A:B (16 bits each), A:B:C (32 bits each) or a well-known name",
        agent_alone "numbers of 16 and of 32 bits are told apart by a long pattern, for which no list of prefixes is short enough to be cheap";
    /// A prefix belongs to one origination.
    ORIGIN_ONCE = "prefix-once", "a prefix is advertised once",
        agent_alone "prefixes with other host bits are the same, and each would be compared with each";
    /// A rule that names no address does nothing.
    SERVICE_ADDRESSES = "service-addresses", "addresses names one to three kinds of address",
        cel "self.size() >= 1 && self.size() <= 3";
    /// Lengths of prefixes.
    AGGREGATE_LENGTH = "aggregate-length", "an aggregate's length is 1 to 32 in IPv4, and 1 to 128 in IPv6",
        cel "(!has(self.v4) || (self.v4 >= 1 && self.v4 <= 32)) && (!has(self.v6) || (self.v6 >= 1 && self.v6 <= 128))";
    /// The cost of a look at a selector.
    SELECTOR_COUNT = "selector-count", "a selector has at most 64 requirements",
        cel "self.size() <= 64";
    /// What a peer is.
    ONE_TARGET = "one-target", "exactly one of address, addressFrom, interface, peers and listen is set",
        cel "[has(self.address), has(self.addressFrom), has(self.interface), has(self.peers), has(self.listen)].filter(x, x).size() == 1";
    /// What the kernel takes for one.
    INTERFACE = "interface", "an interface is a name of 1 to 15 characters without `/` and spaces",
        cel "self.size() >= 1 && self.size() <= 15 && !self.contains('/') && !self.contains(' ')";
    /// Nothing is in between, and the own address is the link's.
    ON_LINK = "on-link", "multihop and ttlSecurity beyond 1 hop are not for the neighbour on an interface",
        cel "!has(self.interface) || (!has(self.multihop) && (!has(self.ttlSecurity) || self.ttlSecurity.hops == 1))";
    /// The link's own address is the only one that it has there.
    ON_LINK_SOURCE = "on-link-source", "sourceAddressFrom is not for the neighbour on an interface",
        agent_alone "what is a text or an object is no field to an expression";
    /// Where a peer is found.
    ADDRESS_SOURCE = "one-address-source", "exactly one of defaultGateway, nodeLabel, nodeAnnotation, subnetHost and otherEnd is set",
        cel "[has(self.defaultGateway), has(self.nodeLabel), has(self.nodeAnnotation), has(self.subnetHost), has(self.otherEnd)].filter(x, x).size() == 1";
    /// Routers of one subnet.
    SUBNET_HOSTS = "subnet-hosts", "hosts has 1 to 8 numbers, each at least 1",
        cel "self.size() >= 1 && self.size() <= 8 && self.all(host, host >= 1)";
    /// A limit that lets somebody in, and bounds what a prefix costs.
    LISTEN_MAX = "listen-max", "max is 1 to 10000",
        cel "self >= 1 && self <= 10000";
    /// Interfaces with one neighbour each.
    OTHER_END = "other-end", "otherEnd names 1 to 16 interfaces, each once",
        cel "self.size() >= 1 && self.size() <= 16 && self.all(name, name.size() >= 1) && self.all(name, self.exists_one(other, other == name))";
    /// RFC 5082 §3: the TTL leaves room for so many.
    TTL_HOPS = "ttl-hops", "hops is 1 to 254",
        cel "self >= 1 && self <= 254";
    /// Faster than a busy kernel wakes anybody, or slower than the hold timer.
    BFD_INTERVAL = "bfd-interval", "bfd.interval is 10ms to 1m",
        cel "duration(self) >= duration('10ms') && duration(self) <= duration('60s')";
    /// RFC 5880 §4.1.
    BFD_MULTIPLIER = "bfd-multiplier", "bfd.multiplier is 1 to 255", cel "self >= 1";
    /// Whoever is not there yet is watched by nobody.
    BFD_NAMED = "bfd-named", "bfd is for peers at an address, neither for those who connect from a prefix nor for the one on an interface",
        cel "!has(self.bfd) || (!has(self.listen) && !has(self.interface))";
    /// A TTL of 0 gets nowhere.
    MULTIHOP = "multihop", "multihop is 1 to 255",
        cel "self >= 1";
    /// The one says how far away the peer is at most, the other proves it.
    ONE_DISTANCE = "one-distance", "ttlSecurity and multihop are not both set",
        cel "!has(self.ttlSecurity) || !has(self.multihop)";
    /// A name or a key is not empty.
    SOURCE_ADDRESS = "source-address", "sourceAddressFrom names an interface or an annotation",
        agent_alone "a text or an object has no type that an expression could look into";
    /// A peer that can be reached by a unicast address without a zone.
    PEER_ADDRESS = "peer-address", "the address is a unicast address of one host, neither link-local nor v4-mapped",
        agent_alone "an address is a text to an API server before 1.31";
    /// A TCP port.
    PEER_PORT = "peer-port", "the port is 1 to 65535",
        cel "self >= 1";
    /// A session carries something.
    SOME_FAMILY = "some-family", "families names IPv4, IPv6 or both, each once",
        cel "self.size() >= 1 && self.size() <= 2 && (self.size() < 2 || self[0] != self[1])";
    /// A path that is rejected has no attributes to change.
    REJECT_SETS = "reject-sets-nothing", "a rule that rejects sets nothing",
        cel "self.action != 'Reject' || !has(self.set) || !(has(self.set.localPreference) || has(self.set.med) || has(self.set.prepend) || (has(self.set.addCommunities) && self.set.addCommunities.size() > 0) || (has(self.set.removeCommunities) && self.set.removeCommunities.size() > 0))";
    /// The cost of a path.
    RULE_COUNT = "rule-count", "a list has at most 256 rules",
        cel "self.size() <= 256";
    /// The cost of a path.
    ENTRY_COUNT = "entry-count", "a list of rules for Services, or inside of a rule, has at most 64 entries",
        cel "self.size() <= 64";
    /// Bounds that some prefix meets.
    PREFIX_BOUNDS = "prefix-bounds", "ge is at least the length of cidr, le at least ge, and neither is longer than an address",
        agent_alone "the length of a prefix is part of a text to an API server before 1.31";
    /// The grammar of path patterns.
    PATH_PATTERN = "as-path", "asPath has at most 32 parts, each an AS number, a range such as 64512..65534, ? or *",
        agent_alone "the bounds of a range are numbers inside of a text";
    /// Own prefixes are not imported.
    IMPORT_ORIGIN = "import-origin", "an import rule meets learned paths alone",
        cel "self.all(rule, !has(rule.match) || !has(rule.match.origin) || rule.match.origin != 'PodCIDR')";
    /// RFC 4271 §9.1.2.2 a counts each one; no network is that wide.
    PREPEND = "prepend", "prepend is 0 to 16",
        cel "self >= 0 && self <= 16";
    /// A share of the limit.
    WARN_AT = "warn-at", "warnAt is 1 to 100, in per cent of max",
        cel "self >= 1 && self <= 100";
    /// None is said by leaving it out; an octet holds the most.
    ADD_PATH_SEND = "add-path-send", "addPath.send is 1 to 255",
        cel "self >= 1 && self <= 255";
    /// A Secret and a key in it.
    SECRET_REF = "secret-ref", "passwordSecretRef names a Secret and a key in it",
        cel "self.name != '' && self.key != ''";
    /// RFC 4456 §7.
    CLUSTER_ID = "cluster-id", "a cluster id is an IPv4 address other than 0.0.0.0",
        cel "self != '0.0.0.0'";
    /// Reflectors take sessions out of a mesh.
    REFLECTED_MESH = "reflected-mesh", "routeReflectors need a mesh, and mesh None is without",
        cel "!has(self.routeReflectors) || !has(self.mesh) || self.mesh != 'None'";
    /// RFC 4456 §5: clients are internal peers.
    CLIENT_INTERNAL = "client-internal", "a client of a route reflector is not External",
        cel "!has(self.routeReflectorClient) || !self.routeReflectorClient || type(self.asn) != string || self.asn != 'External'";
    /// As an AS.
    LOCAL_AS = "local-as", "the AS of localAS is 1 to 4294967294, and not 23456 (AS_TRANS)",
        cel "self >= 1 && self <= 4294967294 && self != 23456";
    /// RFC 7705 §3: towards external peers.
    LOCAL_AS_EXTERNAL = "local-as-external", "a peer with localAS is external, and of another AS than that",
        cel "!has(self.localAS) || ((!has(self.routeReflectorClient) || !self.routeReflectorClient) && (type(self.asn) == string ? self.asn != 'Internal' : self.asn != self.localAS.asn))";
    /// RFC 9234 §4: roles are for external sessions.
    ROLE_EXTERNAL = "role-external", "a peer with a role is neither Internal nor a client of a route reflector",
        cel "!has(self.role) || ((!has(self.routeReflectorClient) || !self.routeReflectorClient) && (type(self.asn) != string || self.asn != 'Internal'))";
    /// RFC 9234 §4.2.
    STRICT_ROLE = "strict-role", "strictRole goes with a role",
        cel "!has(self.strictRole) || !self.strictRole || has(self.role)";
    /// A pool without addresses gives none.
    POOL_RANGES = "pool-ranges", "addresses has 1 to 64 prefixes, ranges and addresses",
        cel "self.size() >= 1 && self.size() <= 64";
    /// An operator and the values that belong to it.
    SELECTOR_VALUES = "selector-values", "In and NotIn have values, Exists and DoesNotExist have none",
        cel "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)";
}
