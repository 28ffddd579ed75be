//! What is built once and kept outside of the repository: the programs of a Kubernetes 1.20, of Debian 12's source
//! package, which `labs/kubernetes/build.sh` makes, and ExaBGP of PyPI. `cargo lab test` sees to both.

use std::path::PathBuf;

use crate::program;

/// What is built.
pub const VERSION: &str = "1.20.2";
/// Its programs.
pub const PROGRAMS: [&str; 5] =
    ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"];

/// Names the folder for what is kept; `${XDG_CACHE_HOME:-$HOME/.cache}/underlay` where it is unset.
pub const VARIABLE: &str = "UNDERLAY_CACHE";

/// The folder for what is kept.
#[must_use]
pub fn folder() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").unwrap_or_else(|| "/root".into()).join(".cache");
    set(VARIABLE).unwrap_or_else(|| set("XDG_CACHE_HOME").unwrap_or_else(home).join("underlay"))
}

/// Where the programs of Kubernetes are.
#[must_use]
pub fn kubernetes() -> PathBuf {
    folder().join("kubernetes").join(VERSION).join("bin")
}

/// Whether all of them are there.
#[must_use]
pub fn has_kubernetes() -> bool {
    let programs = kubernetes();
    PROGRAMS.iter().all(|program| programs.join(program).is_file())
}

/// The version of ExaBGP.
pub const EXABGP: &str = "5.0.15";

/// Where ExaBGP's virtual environment is.
#[must_use]
pub fn exabgp_folder() -> PathBuf {
    folder().join("exabgp").join(EXABGP)
}

/// ExaBGP.
#[must_use]
pub fn exabgp() -> PathBuf {
    exabgp_folder().join("bin/exabgp")
}

/// One of the scripts in `labs/kubernetes`, which build and start those programs.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    program::workspace().join("labs/kubernetes").join(name)
}
