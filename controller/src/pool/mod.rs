//! Addresses for Services of type LoadBalancer: one of several controllers leads and gives them out of FabricPools.
//!
//! ```text
//!  claim        what matters of a Service        ┐
//!  plan         pools, claims, intents ─> writes ┘ pure
//!  record       the Lease: who leads, and what it is about to write
//!  access       requests to the API server
//!  report       what is said of it: conditions of pools, Events of Services
//!  task         lead, list, plan, record, write; then wait for a change
//! ```
//!
//! No address is given twice, whoever else believes to lead. What a Service has stands in its status and nowhere else,
//! and a leader knows it from a list that it asked for after it had taken the Lease. Before it writes a status it puts
//! what it will write, with the version of the Service that it will replace, into the Lease: by the same write, checked
//! by the Lease's version, by which it goes on leading. Who takes the Lease over finds the intents of the one before in
//! it. An intent whose Service still has that version may yet be carried out by a leader that was stopped half-way, so
//! its addresses count as given; one whose Service has another version either was, and the status says so, or never
//! will be, as each write of a status is checked by the Service's version. Clocks decide when somebody else tries to
//! lead, and nothing else.

mod access;
pub mod claim;
pub mod plan;
pub mod record;
mod report;
mod task;

pub use task::{Settings, run};
