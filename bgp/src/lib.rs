//! A BGP-4 speaker as a library: no sockets, no clock, no runtime.
//!
//! The caller feeds [`io::Event`]s with the time into a [`speaker::Speaker`],
//! has it [`work`](speaker::Speaker::work) once a turn, wakes it at its
//! [`deadline`](speaker::Speaker::deadline), and carries out the [`io::Effects`]
//! that come back. No call blocks, each does a bounded piece of work, and equal
//! seeds, configurations, events and times give equal effects.
//!
//! Each module uses those above it:
//!
//! ```text
//!  id prefix time zone   numbers, prefixes, time, links
//!  bfd                   whether packets reach a neighbour; by itself
//!  wire                  bytes <-> messages, pure
//!  reason config io view the vocabulary of the door: why, what is wanted, in and out, what is shown
//!  rule                  import and export rules as data, and which one a path meets
//!  policy                import and export verdicts, pure
//!  session               one peer's finite-state machine
//!  rib                   attributes -> table -> adj_in -> decision -> loc -> adj_out
//!  speaker               owns sessions and tables, and answers questions
//! ```
//!
//! ```
//! use bgp::{config::{PeerConfig, SpeakerConfig}, id::{Asn, RouterId}, io::Effects};
//! use bgp::{speaker::Speaker, time::Instant};
//!
//! let mut config = SpeakerConfig::new(Asn(65001), RouterId(1));
//! config.peers.push(PeerConfig::new([10, 0, 0, 2].into()));
//! let (mut speaker, mut effects) = (Speaker::new(&config, 7), Effects::default());
//! speaker.reconcile(config, &mut effects, Instant(0));
//! assert!(!effects.transport.is_empty(), "it wants a connection with its peer");
//! ```
//!
//! Where to read on: [`config`] is what a speaker is asked to be, [`io`] what goes in and
//! out, [`view`] what it shows of itself, [`reason`] why anything is as it is. The example
//! `two_speakers` runs a whole exchange; each module says what it owns and never does.
//!
//! # Where an RFC is obeyed
//!
//! Its sections stand beside the lines, and `Deviation:` where we differ. Each RFC that
//! the code names is here once, with the tests that it is held by; a test compares both.
//!
//! | RFC | what | where | tests |
//! |---|---|---|---|
//! | 1997 | communities, the well-known ones | `wire::community`, `policy::export` | `sim::communities`, `wire::attribute` |
//! | 2385 | TCP MD5: which peers have a key; it stays with the caller | `config`, `session::config` | `session::exchange` |
//! | 2545 | IPv6 next hops | `wire::update`, `policy::export` | `wire::update`, `wire::extended_next_hop` |
//! | 2918 | route refresh | `wire::refresh`, `rib::adj_out`, `speaker::again` | `wire::refresh`, `sim::refresh` |
//! | 3765 | NOPEER | `policy::export` | `sim::communities` |
//! | 4271 | BGP-4: messages; states and timers; import and export; decision | `wire`, `session`, `policy`, `rib::decision` | `errors`, `session::table`, `explain::property`, `rib::ladder`, `sim::life` |
//! | 4007 | zones of link-local addresses | `zone` | `wire::extended_next_hop` |
//! | 4291 | addresses that are nobody's, and those of a link | `policy::import`, `zone` | `explain::property`, `wire::extended_next_hop` |
//! | 4360 | extended communities | `wire::community`, `policy::export` | `wire::attribute`, `policy::non_transitive_communities_end_at_the_border` |
//! | 4456 | route reflection | `policy::export`, `policy::import`, `rib::decision` | `sim::reflector`, `explain::property`, `rib::ladder` |
//! | 4486 | Cease: subcodes | `wire::notification`, `session` | `wire::notification`, `session::exchange` |
//! | 4724 | graceful restart, both roles | `wire::restart`, `session::restart`, `rib::stale`, `rib::deferral`, `speaker::revival` | `wire::restart`, `session::restart`, `sim::restart` |
//! | 4760 | multiprotocol attributes and capability | `wire::update`, `wire::open`, `session::negotiate` | `wire::update`, `wire::pack`, `session::negotiation` |
//! | 4862 | why an address may come later than its link | `session::retry` | `session::retry` |
//! | 5065 | confederations, of which this is none | `wire::as_path` | `wire::grade` |
//! | 5082 | GTSM: the caller's; what follows for a session and its next hops | `config` | `session::exchange` |
//! | 5492 | capabilities | `wire::capability`, `wire::open`, `session::negotiate` | `wire::open`, `session::negotiation` |
//! | 5701 | IPv6 extended communities | `wire::community`, `policy::export` | `wire::attribute`, `policy::non_transitive_communities_end_at_the_border` |
//! | 5880 | BFD: packets, states, timers | `bfd` | `bfd` |
//! | 5881 | BFD over one hop: ports and hop limits are the caller's | `bfd` | `bfd` |
//! | 5882 | what BFD means to who relies on it | `bfd::session`, `speaker::detection` | `bfd`, `sim::detection` |
//! | 5883 | BFD over several hops, likewise | `bfd` | `bfd` |
//! | 6286 | identifiers | `wire::open`, `session::negotiate`, `session::collision` | `wire::open`, `session::negotiation`, `session::collision` |
//! | 6608 | errors of the state machine | `wire::notification`, `session::ending` | `session::table` |
//! | 6793 | four-octet AS numbers | `wire::as_path`, `wire::decode`, `wire::encode` | `wire::attribute`, `wire::grade`, `wire::oracle` |
//! | 6890 | blocks that are never routed | `policy::import` | `explain::property` |
//! | 6996 | ASes for private use | `id`, `wire::as_path` | `sim::paths` |
//! | 7313 | begin and end of what is sent again | `wire::refresh`, `rib::stale`, `speaker::again` | `wire::refresh`, `sim::refresh` |
//! | 7606 | what a bad attribute leads to | `wire::decode`, `wire::grade`, `wire::update` | `errors`, `wire::grade` |
//! | 7607 | AS 0 | `wire::as_path`, `wire::decode`, `wire::open` | `wire::grade`, `wire::open` |
//! | 7705 | another AS towards one peer | `config`, `policy::export`, `policy::import` | `sim::paths`, `explain::property` |
//! | 7911 | several paths of a prefix, both ways | `wire::add_path`, `wire::nlri`, `rib` | `wire::add_path`, `rib::several` |
//! | 7947 | a first AS that is a route server's client's | `config` | `sim::paths`, `explain::property` |
//! | 7999 | BLACKHOLE | `policy::export` | `sim::communities` |
//! | 8092 | large communities | `wire::community`, `wire::decode` | `wire::attribute`, `wire::grade` |
//! | 8212 | no route without a policy: how far | `policy` | `explain::property`, `sim::routes` |
//! | 8326 | GRACEFUL_SHUTDOWN | `policy::export`, `policy::import` | `sim::communities`, `policy` |
//! | 8538 | N bit and Hard Reset | `session::restart`, `wire::notification`, `speaker::revival` | `session::restart`, `sim::restart` |
//! | 8654 | messages of up to 65 535 octets | `wire::frame`, `wire::pack` | `wire::frame`, `wire::pack` |
//! | 8950 | IPv6 next hops of IPv4 prefixes | `wire::extended_next_hop`, `wire::update`, `wire::pack`, `session::negotiate`, `policy::export` | `wire::extended_next_hop`, `sim::unnumbered`, `errors` |
//! | 9003 | text of a shutdown | `wire::notification`, `session::config` | `wire::notification`, `sim::operator` |
//! | 9072 | long optional parameters | `wire::open` | `wire::open` |
//! | 9234 | roles and Only To Customers | `wire::role`, `session::negotiate`, `policy::export`, `policy::import` | `sim::roles`, `session::negotiation`, `explain::property` |
//! | 9384 | Cease for BFD | `wire::notification`, `speaker::detection` | `wire::notification`, `sim::detection` |
//! | 9494 | long-lived graceful restart, both roles | `wire::long_lived`, `session::restart`, `rib::stale`, `rib::long_lived`, `rib::decision`, `policy::export`, `speaker::revival` | `wire::long_lived`, `session::long_lived`, `sim::long_lived`, `explain::property` |
//! | 9687 | a peer that does not read | `session::timer`, `session::machine` | `session::exchange`, `sim::sessions` |

// For `Arc`: shared data, and nothing of the operating system.
extern crate alloc;

pub mod bfd;
pub mod config;
pub mod id;
pub mod io;
pub mod policy;
pub mod prefix;
pub mod reason;
pub mod rib;
pub mod rule;
pub mod session;
pub mod speaker;
pub mod time;
pub mod view;
pub mod wire;
pub mod zone;
