//! Leaves the table of stack frames out of the program that is shipped: it aborts where others would unwind, so that
//! nobody looks anything up in these twenty-five kilobytes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    // The profile `cni` is the only one of this level. A script is not told whether its profile aborts.
    if is("OPT_LEVEL", "z") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
