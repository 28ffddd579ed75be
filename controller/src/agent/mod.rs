//! The node agent: one loop that owns the speaker and the desired state, and
//! drives everything else.
//!
//! ```text
//!  turn:  due timers ─> a fair batch of events ─> a bounded slice of work ─> effects ─> status
//!
//!  identity log     who it is, what it logs
//!  gateway          default gateways that peers are derived from
//!  configuration    objects and addresses -> the last good outcome
//!  masquerade       what is hidden behind the node, learned prefixes left out or not
//!  grievance        malformed attributes, told once for each look at the peers
//!  impairment       what fails beside routing, told once and shown until it is mended
//!  awaited          the peers that a restart waits for
//!  stranger         who was named of those that are no peer
//!  tally            what the loop counts
//!  readiness        whether pods may be started
//!  report           the snapshot, and whether the node has settled
//!  turn             the loop's state and its turn, over any drivers
//!  reconcile        what the node is to be, handed to those who bring it about
//!  answer           questions
//!  service          in and out of service, by an operator or by the Node
//!  wish             who of the two wants it out, and the wait for peers
//!  order            what the loop does at an operator's order
//!  settings         what it is started with
//!  kept             what earlier runs have kept on disk, taken up
//!  serving          the sockets that it is asked by
//!  inbox            what waits for the loop, fairly
//!  live             the real drivers
//!  run              the daemon: channels, signals, start and end
//! ```

pub mod identity;
pub mod log;
pub mod turn;

mod answer;
mod awaited;
mod configuration;
mod detection;
mod gateway;
mod grievance;
mod host;
mod impairment;
mod inbox;
mod kept;
mod live;
mod marker;
mod masquerade;
mod order;
mod readiness;
mod reconcile;
mod report;
mod router;
mod run;
mod service;
mod serving;
mod settings;
mod stranger;
mod tally;

pub use run::run;
pub use settings::{Settings, Source};
mod wish;

pub use turn::Agent;
