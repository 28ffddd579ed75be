//! The rules of the house, over the sources as they are.

use syn::visit::{self, Visit};

use super::graph::{against_layers, cycles, graph};
use super::names;
use super::source::{Source, lengths, library};

/// Every package.
const PACKAGES: [&str; 5] = ["api", "bgp", "cni", "controller", "labs"];

/// The layers of each package, lowest first: a module uses its own layer and
/// those before it.
const LAYERS: [(&str, &[&[&str]]); 5] = [
    ("api", &[&["crd", "netconf", "nft", "v1"]]),
    (
        "bgp",
        &[
            &["id", "prefix", "time", "zone"],
            &["bfd", "wire"],
            &["rule"],
            &["config", "io", "reason", "view"],
            &["policy", "session"],
            &["rib"],
            &["speaker"],
        ],
    ),
    (
        "cni",
        &[
            &["attachment", "attribute", "version"],
            &["error", "ipam"],
            &["hop", "ledger", "netlink", "netns", "portmap", "predecessor"],
            &["plan"],
            &["conf", "fact", "message", "nftables", "result", "ruleset", "shaping", "store", "sysctl"],
            &["command", "conntrack", "delegate", "forward", "kernel", "list"],
            &["feature", "tenancy"],
            &["bandwidth", "filter"],
            &["catalogue"],
            &["choice"],
            &["add", "gc", "status"],
            &["check", "del"],
        ],
    ),
    (
        "controller",
        &[
            &["bfd", "cluster", "discovery", "drain", "install", "kernel", "record", "transport"],
            &["check"],
            &["desired"],
            &["status"],
            &["metrics", "operator"],
            &["event", "effect", "netconf", "pool", "publish"],
            &["uninstall"],
            &["agent"],
            &["cli"],
        ],
    ),
    (
        "labs",
        &[
            &["kind", "namespace", "normal", "process", "program", "wait", "words"],
            &["cache", "daemon", "interrupt", "netns"],
            &["stream"],
            &["image", "need"],
            &["cargo", "sandbox", "state", "topology"],
            &["bird", "debian", "exabgp", "frr", "gobgp", "node", "openbgpd", "python"],
            &["build", "cluster", "lab"],
            &["kubernetes", "pod"],
            &["path"],
            &["bench", "endure", "failover", "load", "restart"],
            &["cli"],
            &["bin"],
        ],
    ),
];

/// A source file has at most this many lines.
const LINES: usize = 500;

/// Files that may hold `unsafe`: those that set a socket option or enter a namespace.
const UNSAFE: [&str; 4] = [
    "cni/src/netns.rs",
    "controller/src/kernel/buffer.rs",
    "controller/src/transport/sockopt.rs",
    "labs/src/namespace.rs",
];

/// What the speaker never names: a runtime, sockets, threads, clocks, chance,
/// files.
const OUTSIDE: [&[&str]; 17] = [
    &["tokio"],
    &["std", "net", "TcpStream"],
    &["std", "net", "TcpListener"],
    &["std", "net", "UdpSocket"],
    &["std", "os"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "sync"],
    &["std", "time"],
    &["std", "collections", "hash_map"],
    &["std", "hash", "RandomState"],
    &["RandomState"],
    &["rand"],
    &["getrandom"],
];

#[test]
fn modules_form_no_cycle() {
    let knots: Vec<String> = PACKAGES
        .iter()
        .flat_map(|package| cycles(&graph(&library(package))))
        .map(|knot| knot.join(" <-> "))
        .collect();
    assert!(knots.is_empty(), "files that use each other in a circle:\n{}", knots.join("\n"));
}

#[test]
fn layers_are_kept() {
    let mut wrong = Vec::new();
    for (package, layers) in LAYERS {
        let found = against_layers(&library(package), layers);
        wrong.extend(found.into_iter().map(|text| format!("{package}: {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_source_is_within_the_rules() {
    let mut wrong = Vec::new();
    for package in PACKAGES {
        for source in library(package) {
            wrong.extend(faults(&source));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_is_short_tests_too() {
    let lengths: Vec<(String, usize)> = PACKAGES.iter().flat_map(|package| lengths(package)).collect();
    assert!(lengths.iter().any(|(file, _)| file.starts_with("controller/tests/it/architecture")));
    let long: Vec<_> = lengths.iter().filter(|(_, lines)| *lines > LINES).collect();
    assert!(long.is_empty(), "{LINES} lines are the most: {long:?}");
}

#[test]
fn the_speaker_names_nothing_of_the_outside() {
    let wrong: Vec<String> = library("bgp").iter().flat_map(outside).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with one file, whatever its package.
pub(super) fn faults(source: &Source) -> Vec<String> {
    let file = &source.file;
    let mut wrong = Vec::new();
    let lines = source.text.lines().count();
    if lines > LINES {
        wrong.push(format!("{file}: {lines} lines, {LINES} are the most"));
    }
    if !source.text.starts_with("//!") {
        wrong.push(format!("{file}: does not say what it owns (`//!`)"));
    }
    let mut words = Words::default();
    words.visit_file(&source.syntax);
    if words.has_unsafe && !UNSAFE.contains(&file.as_str()) {
        wrong.push(format!("{file}: holds `unsafe` and is not listed"));
    }
    wrong.extend(words.wrong.into_iter().map(|text| format!("{file}: {text}")));
    wrong
}

/// What of the outside a file names.
pub(super) fn outside(source: &Source) -> Vec<String> {
    let named = names::named(source);
    let forbidden = |path: &Vec<String>| {
        let path: Vec<&str> = path.iter().map(|s| if s == "core" { "std" } else { s.as_str() }).collect();
        OUTSIDE.iter().any(|outside| path.starts_with(outside))
            && !path.starts_with(&["std", "time", "Duration"])
    };
    named
        .iter()
        .filter(|path| forbidden(path))
        .map(|path| format!("{}: {}", source.file, path.join("::")))
        .collect()
}

/// Words that are not used lightly.
#[derive(Default)]
struct Words {
    has_unsafe: bool,
    wrong: Vec<String>,
}

impl<'ast> Visit<'ast> for Words {
    fn visit_expr_unsafe(&mut self, expression: &'ast syn::ExprUnsafe) {
        self.has_unsafe = true;
        visit::visit_expr_unsafe(self, expression);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.has_unsafe |= signature.unsafety.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.has_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            let allows = list.path.is_ident("allow") || list.path.is_ident("expect");
            self.has_unsafe |= allows && list.tokens.to_string().contains("unsafe_code");
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        match call.method.to_string().as_str() {
            "unwrap" if call.args.is_empty() => self.wrong.push("unwraps".into()),
            "expect" => match call.args.first() {
                Some(syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }))
                    if text.value().len() >= 10 => {}
                // Results have `expect` too, with a message alone.
                _ if call.args.len() == 1 => {
                    self.wrong.push("`expect` without its invariant in words".into());
                }
                _ => {}
            },
            _ => {}
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.get_ident().map(ToString::to_string)
            && matches!(name.as_str(), "todo" | "unimplemented" | "dbg")
        {
            self.wrong.push(format!("{name}!"));
        }
        let text = call.tokens.to_string().replace(' ', "");
        if text.contains(".unwrap()") {
            self.wrong.push("unwraps inside of a macro call".into());
        }
        visit::visit_macro(self, call);
    }
}
