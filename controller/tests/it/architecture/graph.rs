//! Which module uses which, cycles among them, and steps against the layers.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use super::source::Source;

/// Files and the files that they use.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The graph of a crate's files.
pub(super) fn graph(sources: &[Source]) -> Graph {
    let modules: BTreeMap<&[String], &str> =
        sources.iter().map(|source| (source.module.as_slice(), source.file.as_str())).collect();
    let mut graph = Graph::new();
    for source in sources {
        let uses = graph.entry(source.file.clone()).or_default();
        for path in names::named(source) {
            if let Some(target) = resolve(&modules, &source.module, &path)
                && target != source.file
            {
                uses.insert(target.to_owned());
            }
        }
    }
    graph
}

/// The file of the innermost module that a path goes through.
fn resolve<'a>(modules: &BTreeMap<&[String], &'a str>, own: &[String], path: &[String]) -> Option<&'a str> {
    let mut base = own.to_vec();
    let mut rest = path;
    match rest.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &rest[1..];
        }
        Some("self") => rest = &rest[1..],
        Some("super") => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        // A bare name is a child module, or nothing of this crate.
        _ => {
            let first = rest.first()?;
            modules.get([own, std::slice::from_ref(first)].concat().as_slice())?;
        }
    }
    let full = [&base, rest].concat();
    (base.len()..=full.len()).rev().find_map(|len| modules.get(&full[..len]).copied())
}

/// Every knot of files that use each other in a circle, each knot in order.
pub(super) fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (file.as_str(), reachable(graph, file))).collect();
    let mut knots = BTreeSet::new();
    for (file, reached) in &reach {
        if reached.contains(file) {
            let together =
                reached.iter().filter(|other| reach.get(**other).is_some_and(|back| back.contains(file)));
            knots.insert(together.map(|file| (*file).to_owned()).collect::<Vec<_>>());
        }
    }
    knots.into_iter().collect()
}

/// What a file uses, directly or not; itself only if it lies in a circle.
fn reachable<'a>(graph: &'a Graph, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut ahead: Vec<&str> = graph[from].iter().map(String::as_str).collect();
    while let Some(file) = ahead.pop() {
        if reached.insert(file) {
            ahead.extend(graph.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

/// Uses of a higher layer by a lower one, and top-level modules without a
/// layer. Modules of one layer may use each other as far as there is no cycle.
pub(super) fn against_layers(sources: &[Source], layers: &[&[&str]]) -> Vec<String> {
    let layer = |module: &str| layers.iter().position(|layer| layer.contains(&module));
    let top: BTreeMap<&str, &str> = sources
        .iter()
        .filter_map(|source| Some((source.file.as_str(), source.module.first()?.as_str())))
        .collect();
    let mut wrong: Vec<String> = top
        .values()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|module| layer(module).is_none())
        .map(|module| format!("module {module} has no layer"))
        .collect();
    for (file, uses) in graph(sources) {
        for used in uses {
            // The crate's root holds no code, and stands above all.
            let (Some(from), Some(to)) = (top.get(file.as_str()), top.get(used.as_str())) else { continue };
            if from != to && layer(from) < layer(to) {
                wrong.push(format!("{file} uses {used}, which is of a higher layer"));
            }
        }
    }
    wrong
}
