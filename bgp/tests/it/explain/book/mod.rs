//! What becomes of a path, written as the RFCs and the house's rules read: slow,
//! plain, and sharing nothing with the tables and the policy of the speaker.
//!
//! ```text
//!  path      a path and who sent it
//!  reading   what rules, paths and communities say
//!  import    what is made of a path that is received, or why it is refused
//!  decision  which paths are used
//!  export    what a peer is sent, or why not
//! ```

mod decision;
mod export;
mod import;
mod path;
mod reading;

pub(crate) use decision::decide;
pub(crate) use export::sent;
pub(crate) use import::used;
pub(crate) use path::{Kernel, MOST_PATHS, Neighbor, Route, Sender};
