//! Installations over what is there, while it is executed, and that fail.

use std::process::{Command, Stdio};

use super::*;

/// A program that is certainly there and waits for its stdin.
const CAT: &str = "/bin/cat";

fn elf(rest: &str) -> Vec<u8> {
    [ELF, rest.as_bytes()].concat()
}

#[test]
fn the_file_is_new_then_the_same_then_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (source, folder) = (dir.path().join("source"), dir.path().join("a/bin"));
    fs::write(&source, elf("one")).unwrap();
    let target = folder.join(PLUGIN);
    assert_eq!(install(&source, &folder).unwrap(), (target.clone(), Installed::New));
    assert_eq!(install(&source, &folder).unwrap().1, Installed::Same);
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, MODE);
    fs::write(&source, elf("two")).unwrap();
    assert_eq!(install(&source, &folder).unwrap().1, Installed::Replaced);
    assert_eq!(fs::read(&target).unwrap(), elf("two"));
    // The same bytes that nobody may execute are not the plugin.
    fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(install(&source, &folder).unwrap().1, Installed::Replaced);
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, MODE);
}

#[test]
fn what_is_executed_goes_on_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join(PLUGIN);
    fs::copy(CAT, &target).unwrap();
    let mut running =
        Command::new(&target).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("cat starts");
    let source = dir.path().join("source");
    fs::write(&source, elf("new")).unwrap();
    assert_eq!(install(&source, dir.path()).unwrap().1, Installed::Replaced);
    assert_eq!(fs::read(&target).unwrap(), elf("new"));
    running.stdin.take().unwrap().write_all(b"still here").unwrap();
    assert_eq!(running.wait_with_output().unwrap().stdout, b"still here");
}

#[test]
fn other_files_stay_and_our_own_leftovers_go() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::write(&source, elf("x")).unwrap();
    let folder = dir.path().join("bin");
    fs::create_dir(&folder).unwrap();
    let others = ["bridge", ".underlay-cni.new", ".underlay-cni.x.new", "underlay-cni.1.new"];
    for name in others.iter().chain(&[".underlay-cni.4711.new"]) {
        fs::write(folder.join(name), "theirs").unwrap();
    }
    install(&source, &folder).unwrap();
    let mut names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<&str> = others.iter().copied().chain([PLUGIN]).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert!(others.iter().all(|name| fs::read(folder.join(name)).unwrap() == b"theirs"));
}

#[test]
fn a_failure_names_the_file_and_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (source, folder) = (dir.path().join("source"), dir.path().join("bin"));
    let error = install(&source, &folder).unwrap_err();
    assert!(error.to_string().contains("source"), "{error}");
    fs::write(&source, "#!/bin/sh\n").unwrap();
    assert!(install(&source, &folder).unwrap_err().to_string().contains("not the plugin's binary"));
    assert!(!folder.exists());
    // A folder has the plugin's name: it cannot be replaced by a file.
    fs::write(&source, elf("x")).unwrap();
    fs::create_dir_all(folder.join(PLUGIN)).unwrap();
    let error = install(&source, &folder).unwrap_err();
    assert!(error.to_string().contains(PLUGIN), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
}
