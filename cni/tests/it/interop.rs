//! The plugin under real runtimes, each in a sandbox.

mod containerd;
