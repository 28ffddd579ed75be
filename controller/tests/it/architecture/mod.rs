//! The rules of the house, held by reading the sources. The checker has tests
//! of its own on small bad inputs: a rule that cannot fail holds nothing.
//!
//! ```text
//!  source    files of a crate as modules, parsed, without their tests
//!  names     every path that a file names, with `use` trees expanded
//!  graph     modules and what they use: cycles, layers
//!  house     the rules, and the one table of layers
//!  cargo     arrows between packages
//!  checker   the checker's own tests
//! ```

mod cargo;
mod checker;
mod graph;
mod house;
mod names;
mod source;
