//! From manifests to what a node is to be: files with their errors, the
//! directory and its watch, the computation.

mod address;
mod base;
mod checkpoint;
mod cluster;
mod compute;
mod contradiction;
mod derivation;
mod listen;
mod manifests;
mod masquerade;
mod policy;
mod reach;
mod services;
mod target;
mod unnumbered;
mod watch;

use controller::cluster::{Objects, Problem, manifest};

/// The objects of one file; its problems if it has any.
fn read(text: &str) -> Result<Objects, Vec<String>> {
    let (mut objects, mut problems) = (Objects::default(), Vec::new());
    manifest::read("a.yaml", text, &mut objects, &mut problems);
    if problems.is_empty() { Ok(objects) } else { Err(lines(&problems)) }
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}
