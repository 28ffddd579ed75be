//! The agent loop with fake drivers and a clock of its own, and the transport
//! over the loopback interface.

mod checkpoint;
mod configuration;
mod events;
mod fake;
mod farewell;
mod masquerade;
mod pace;
mod recording;
mod restart;
mod service;
mod transport;
mod unread;
