//! The plugin as a runtime sees it: the real binary, its environment, stdin and stdout.

mod dependency;
mod kernel;
mod node;
mod protocol;
mod traffic;
