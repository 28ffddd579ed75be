//! Everything that enters the agent loop.

use std::net::IpAddr;

use crate::bfd::News;
use crate::cluster::SourceEvent;
use crate::kernel::KernelEvent;
use crate::operator::order::Order;
use crate::status::impairment::Impairment;
use crate::status::query::Query;
use crate::transport::TransportEvent;

/// An event of the agent loop.
#[derive(Debug)]
pub enum Event {
    /// From the source of configuration.
    Source(SourceEvent),
    /// From the kernel driver.
    Kernel(KernelEvent),
    /// A question about routes.
    Query(Query),
    /// What an operator wants done.
    Order(Order),
    /// From the thread that carries BFD.
    Bfd(News),
    /// From a connection or a listener.
    Transport(TransportEvent),
    /// A router on a link has advertised itself: its link-local address, with its zone.
    Router(IpAddr),
    /// Something beside routing cannot be done for a reason, or can be done again.
    Impaired {
        /// What.
        what: Impairment,
        /// Why it cannot.
        why: Option<String>,
    },
}
