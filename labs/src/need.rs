//! What a test needs of the machine: it is skipped aloud where that is missing.
//!
//! A run that must not skip (`.ci/run`) names the needs in `UNDERLAY_REQUIRE`, a list with commas; a missing one
//! then fails the test. Each skip is also appended to the file named by `UNDERLAY_SKIPS`, one line each, which is
//! how `cargo lab test` lists them.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cache;

/// Skips the test that it stands in unless the machine has what is named: `root`, a program such as `bird`, or `frr`,
/// `gobgp`, `openbgpd`, `exabgp` and `kubernetes`. `apiextensions` is there where somebody asked for it
/// (`labs/kubernetes/build.sh FOLDER extensions`): it comes from a suite of Debian that changes every day.
///
/// Stands first in a test; several needs may be named: `labs::require!("root", "bird")`.
#[macro_export]
macro_rules! require {
    ($($need:expr),+ $(,)?) => {{
        fn here() {}
        let test = $crate::need::test_name(::std::any::type_name_of_val(&here));
        $(
            if $crate::need::skip(&test, $need) {
                return;
            }
        )+
    }};
}

/// The test's name as its harness knows it, from the path of a function inside the test: the crate's name in front
/// and the inner names behind are dropped.
#[must_use]
pub fn test_name(path: &str) -> String {
    let names: Vec<&str> = path.split("::").skip(1).filter(|name| *name != "{{closure}}").collect();
    names[..names.len().saturating_sub(1)].join("::")
}

/// Whether `test` has to be skipped for want of `need`; says so where it is.
///
/// # Panics
/// Where `UNDERLAY_REQUIRE` names the need that is missing.
#[must_use]
pub fn skip(test: &str, need: &str) -> bool {
    if met(need) {
        return false;
    }
    let required = std::env::var("UNDERLAY_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word.trim() == need),
        "{test} needs {need}, and UNDERLAY_REQUIRE={required} forbids to skip it"
    );
    report(test, &format!("needs {need}"));
    true
}

/// Says that `test` was skipped and why, on stderr and in the file that `UNDERLAY_SKIPS` names.
pub fn report(test: &str, reason: &str) {
    let line = format!("skipped: {test}: {reason}");
    eprintln!("{line}");
    let Some(path) = std::env::var_os("UNDERLAY_SKIPS") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    // One write of one line: tests in other processes append to the same file.
    if let Err(error) = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())) {
        eprintln!("{}: {error}", path.display());
    }
}

/// Whether the machine has `need`. A daemon comes with the program that asks it; FRR and OpenBGPD both have a
/// `bgpd`, so they are known by the other.
#[must_use]
pub fn met(need: &str) -> bool {
    match need {
        "root" => nix::unistd::geteuid().is_root(),
        "frr" => find("zebra").is_some() && find("vtysh").is_some(),
        "gobgp" => find("gobgpd").is_some() && find("gobgp").is_some(),
        "cni-plugins" => std::path::Path::new("/usr/lib/cni/host-local").is_file(),
        "busybox-static" => find("busybox").is_some_and(|file| is_static(&file)),
        "openbgpd" => find("bgpctl").is_some(),
        "exabgp" => cache::exabgp().is_file(),
        "cgroups" => has_control_groups(),
        "kubernetes" => cache::has_kubernetes() && find("etcd").is_some() && find("openssl").is_some(),
        "apiextensions" => cache::kubernetes().join("apiextensions-apiserver").is_file(),
        program => find(program).is_some(),
    }
}

/// Why `cgroups` may be missing.
pub const CGROUPS: &str = "kubelet 1.20 and its containers are tried with control groups of version 1, and this machine has \
                           none for memory: it is not supported with version 2 (systemd.unified_cgroup_hierarchy=0 on \
                           the kernel's command line gives version 1)";

/// Whether the memory controller is one of cgroup v1, as kubelet 1.20 and containerd are run here.
fn has_control_groups() -> bool {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let controllers =
        groups.lines().filter_map(|line| line.split(':').nth(1)).flat_map(|list| list.split(','));
    controllers.into_iter().any(|controller| controller == "memory")
}

/// Whether a program runs without any other file: it names no loader.
fn is_static(file: &Path) -> bool {
    let bytes = std::fs::read(file).unwrap_or_default();
    // Where it stands in each program that has one: in the first page.
    let first = bytes.get(..4096).unwrap_or_default();
    first.starts_with(b"\x7fELF") && !first.windows(7).any(|window| window == b"/ld-lin")
}

/// Where `program` lies: on `PATH`, or in the folders for administrators, which an ordinary user's `PATH` may lack.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/lib/frr"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
