//! The plugin as a runtime sees it: the real binary, its environment, stdin and stdout.

mod container;
mod containerd;
mod cost;
mod cri;
mod dependency;
mod interop;
mod kernel;
mod node;
mod protocol;
mod traffic;
