//! What the agent says of its node to the Kubernetes API: one `FabricNode`, which
//! nobody else writes, a few Events, and in the Node whether it may carry pods.
//! Nothing waits for it: an API server that is away gets the newest when it is back.
//!
//! ```text
//!  snapshot ─┬─> report (pure) ─> pace (pure) ─> task ─> PATCH fabricnodes/NAME/status
//!            ├─> note (pure, bounded) ─────────> task ─> POST events
//!            └─> admission ────────────────────────────> PATCH nodes/NAME, nodes/NAME/status
//!  the Node's taints and condition ──^
//! ```

pub mod admission;
pub mod note;
pub mod pace;
pub mod report;

mod task;

pub use admission::run as admit;
pub use task::{Good, run};
