//! The plugin under real runtimes, each in a sandbox.

mod containerd;
mod podman;
