//! Where the workspace's own programs lie after a build.

use std::path::{Path, PathBuf};

/// Names the folder of the running package: cargo sets it for what it runs.
pub const PACKAGE: &str = "CARGO_MANIFEST_DIR";

/// The folder of the workspace: that of the caller's cargo, else that of the build. They differ where a checkout was
/// moved or two of them share a target folder.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = std::env::var_os(PACKAGE).map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map_or_else(|| package.clone(), Path::to_path_buf)
}

/// The running program's path, also after cargo has replaced the file since: the kernel then says of it that it is
/// deleted, and what has its name now is the same program of another selection of packages.
///
/// # Panics
/// Where the path cannot be read, which `/proc` always gives.
#[must_use]
pub fn own() -> PathBuf {
    let exe = std::env::current_exe().expect("/proc/self/exe can be read");
    let text = exe.to_str().and_then(|text| text.strip_suffix(" (deleted)"));
    text.filter(|_| !exe.exists()).map(PathBuf::from).unwrap_or(exe)
}

/// The folder of the build that this test or program came from: `…/target/debug`.
///
/// # Panics
/// Where the running program's path cannot be read, which `/proc` always gives.
#[must_use]
pub fn build_folder() -> PathBuf {
    let exe = own();
    let folder = exe.parent().expect("a program lies in a folder");
    let tests = folder.file_name().is_some_and(|name| name == "deps");
    if tests { folder.parent().unwrap_or(folder).to_path_buf() } else { folder.to_path_buf() }
}

/// The program `name` (`underlay`, `underlay-cni`) from the same build as the running test.
///
/// # Panics
/// Where it was not built; the message says how to.
#[must_use]
#[track_caller]
pub fn program(name: &str) -> PathBuf {
    let path = build_folder().join(name);
    assert!(path.is_file(), "{} is not built: cargo build --bin {name}", path.display());
    path
}

/// Where what a failed test leaves is kept: `target/failures/TEST/`.
#[must_use]
pub fn failure_folder(test: &str) -> PathBuf {
    let build = build_folder();
    build.parent().unwrap_or(&build).join("failures").join(test.replace("::", "/"))
}
