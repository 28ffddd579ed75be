//! The only place where the speaker's types become messages of `underlay.v1`.
//! Pure: what is shown and the moment of showing it in, messages out.

mod event;
mod explanation;
mod node;
mod peer;
mod peer_explanation;
mod pod_explanation;
mod route;
mod scalar;
mod service_explanation;

pub use event::event;
pub use explanation::{address_explanation, explanation};
pub use node::{drain, node};
pub use peer::{peer, state};
pub use peer_explanation::peer_explanation;
pub use pod_explanation::pod_explanation;
pub use route::{page, route};
pub use service_explanation::service_explanation;
