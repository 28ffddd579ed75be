//! What the agent says of its node to the Kubernetes API: one `FabricNode`, which
//! nobody else writes, and a few Events. Nothing is read back, and nothing waits
//! for it: an API server that is away gets the newest when it is back.
//!
//! ```text
//!  snapshot ─┬─> report (pure) ─> pace (pure) ─> task ─> PATCH fabricnodes/NAME/status
//!            └─> note (pure, bounded) ─────────> task ─> POST events
//! ```

pub mod note;
pub mod pace;
pub mod report;

mod task;

pub use task::{Good, run};
