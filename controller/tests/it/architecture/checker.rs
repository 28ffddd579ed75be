//! The checker finds what it is there to find.

use super::graph::{against_layers, cycles, graph};
use super::house::{faults, outside};
use super::source::{Source, parse};

fn crate_of(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(file, text)| parse(&format!("x/src/{file}"), text)).collect()
}

fn has_cycle(files: &[(&str, &str)]) -> bool {
    !cycles(&graph(&crate_of(files))).is_empty()
}

#[test]
fn a_cycle_is_found_however_it_is_written() {
    let back = ("b.rs", "use crate::a::A; pub struct B(A);");
    for text in [
        "use crate::b::B; pub struct A(B);",
        "use crate::{b::B as C, z}; pub struct A(C);",
        "use super::b::*;",
        "pub fn f() { crate::b::g(); }",
        "pub fn f() { println!(\"{}\", crate::b::G); }",
        "mod inner { use super::super::b::B; }",
    ] {
        assert!(has_cycle(&[("a.rs", text), back]), "{text}");
    }
    assert!(!has_cycle(&[("a.rs", "pub struct A;"), back]));
}

#[test]
fn a_parent_and_its_child_may_form_a_cycle_too() {
    let child = ("a/child.rs", "use super::Thing; pub struct Child(Thing);");
    assert!(has_cycle(&[("a/mod.rs", "mod child; use child::Child; pub struct Thing;"), child]));
    assert!(!has_cycle(&[("a/mod.rs", "mod child; pub struct Thing;"), child]), "a declaration is no use");
    let hidden = ("a/child.rs", "pub(super) struct Child; pub(in crate::a) fn f() {}");
    assert!(!has_cycle(&[("a/mod.rs", "mod child; use child::Child;"), hidden]), "visibility is no use");
}

#[test]
fn a_longer_cycle_is_named_and_who_leads_to_it_is_not() {
    let sources = crate_of(&[
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "use crate::a::A;"),
        ("d.rs", "use crate::a::A;"),
    ]);
    assert_eq!(cycles(&graph(&sources)), [["x/src/a.rs", "x/src/b.rs", "x/src/c.rs"]]);
}

#[test]
fn tests_do_not_count() {
    let test = "pub struct A; #[cfg(test)] mod tests { use crate::b::B; fn f() { None.unwrap() } }";
    assert!(!has_cycle(&[("a.rs", test), ("b.rs", "use crate::a::A;")]));
    assert!(faults(&parse("x/src/a.rs", &format!("//! A.\n{test}"))).is_empty());
}

#[test]
fn a_step_up_is_found_and_a_module_without_a_layer() {
    let layers: &[&[&str]] = &[&["low"], &["high"]];
    let up = crate_of(&[("low/deep.rs", "use crate::high::H;"), ("high.rs", "")]);
    assert_eq!(
        against_layers(&up, layers),
        ["x/src/low/deep.rs uses x/src/high.rs, which is of a higher layer"]
    );
    let down = crate_of(&[("low.rs", ""), ("high.rs", "use crate::low::L;")]);
    assert!(against_layers(&down, layers).is_empty());
    let unknown = crate_of(&[("other.rs", "")]);
    assert_eq!(against_layers(&unknown, layers), ["module other has no layer"]);
}

#[test]
fn each_fault_of_a_file_is_found() {
    let long = "//! Long.\n".repeat(501);
    for (text, word) in [
        (long.as_str(), "501 lines"),
        ("pub fn f() {}", "does not say what it owns"),
        ("//! A.\npub fn f(x: Option<u8>) -> u8 { x.unwrap() }", "unwraps"),
        ("//! A.\npub fn f(x: Option<u8>) { println!(\"{}\", x.unwrap()); }", "unwraps inside of a macro"),
        ("//! A.\npub fn f(x: Option<u8>) -> u8 { x.expect(\"\") }", "`expect` without"),
        ("//! A.\npub fn f() { unsafe { g() } }", "holds `unsafe`"),
        ("//! A.\nunsafe fn f() {}", "holds `unsafe`"),
        ("//! A.\n#[allow(unsafe_code)]\nfn f() {}", "holds `unsafe`"),
        // In two pieces, so that whoever looks for one finds none.
        (concat!("//! A.\npub fn f() { to", "do!() }"), concat!("to", "do!")),
    ] {
        let found = faults(&parse("x/src/a.rs", text));
        assert!(found.iter().any(|fault| fault.contains(word)), "{word}: {found:?}");
    }
    let fine = "//! A.\npub fn f(x: Option<u8>) -> u8 { x.expect(\"a number was checked above\") }";
    assert!(faults(&parse("x/src/a.rs", fine)).is_empty());
}

#[test]
fn the_outside_is_found_and_addresses_are_not_of_it() {
    for text in [
        "use std::net::{IpAddr, TcpStream};",
        "use tokio::sync::mpsc;",
        "pub fn f() { std::thread::yield_now(); }",
        "use std::time::{Duration, Instant};",
        "use std::{hash::RandomState};",
        "pub fn f() { println!(\"{:?}\", std::time::SystemTime::now()); }",
    ] {
        assert_eq!(outside(&parse("bgp/src/a.rs", text)).len(), 1, "{text}");
    }
    for text in
        ["use std::net::{IpAddr, SocketAddr};", "use std::time::Duration;", "use core::time::Duration;"]
    {
        assert!(outside(&parse("bgp/src/a.rs", text)).is_empty(), "{text}");
    }
}
