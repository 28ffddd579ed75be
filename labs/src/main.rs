//! The program behind `cargo lab`.

fn main() {}
