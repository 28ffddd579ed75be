//! The watch on a directory: changes come without a restart, halves never.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use controller::cluster::{SourceEvent, watch};
use tokio::sync::mpsc;

/// Far beyond what a notification takes, and what a vanished directory is looked for.
const LIMIT: Duration = Duration::from_secs(20);

fn fabric(name: &str) -> String {
    format!("apiVersion: underlay.dev/v1alpha1\nkind: Fabric\nmetadata: {{name: {name}}}\nspec: {{}}\n")
}

/// A watch under test, outside of any runtime of the test's.
struct Watched {
    runtime: tokio::runtime::Runtime,
    events: mpsc::Receiver<SourceEvent>,
}

impl Watched {
    fn start(path: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, events) = mpsc::channel(1);
        runtime.spawn(watch::run(path.to_owned(), sender));
        Self { runtime, events }
    }

    /// The next event: the Fabrics' names, or what is wrong.
    #[track_caller]
    fn next(&mut self) -> Result<Vec<String>, String> {
        let event = self.runtime.block_on(async { tokio::time::timeout(LIMIT, self.events.recv()).await });
        match event.expect("an event in time").expect("the watch goes on") {
            SourceEvent::Objects(objects) => Ok(objects.fabrics.keys().cloned().collect()),
            SourceEvent::Partial { problems, .. } | SourceEvent::Broken(problems) => {
                Err(problems[0].to_string())
            }
            SourceEvent::Checkpoint(kept) => Err(format!("a directory keeps none: {kept:?}")),
        }
    }
}

#[test]
fn what_changes_is_told_and_what_does_not_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    fs::write(&file, fabric("one")).unwrap();
    let mut watched = Watched::start(folder.path());
    assert_eq!(watched.next(), Ok(vec!["one".into()]));

    // The same words again are no news: the next event is that of the second file.
    fs::write(&file, fabric("one")).unwrap();
    fs::write(folder.path().join("b.yaml"), fabric("two")).unwrap();
    assert_eq!(watched.next(), Ok(vec!["one".into(), "two".into()]));

    fs::write(&file, "kind: [").unwrap();
    assert!(watched.next().unwrap_err().contains("a.yaml:1"));
    fs::remove_file(&file).unwrap();
    assert_eq!(watched.next(), Ok(vec!["two".into()]));
    fs::rename(folder.path().join("b.yaml"), folder.path().join("b.txt")).unwrap();
    assert!(watched.next().unwrap_err().contains("holds no"));
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), fabric("one")).unwrap();
    let mut watched = Watched::start(folder.path());
    assert_eq!(watched.next(), Ok(vec!["one".into()]));

    // Half of a file would be one that lacks its second object.
    let mut file = File::create(folder.path().join("b.yaml")).unwrap();
    file.write_all(fabric("two").as_bytes()).unwrap();
    file.flush().unwrap();
    file.write_all(b"---\n").unwrap();
    file.write_all(fabric("three").as_bytes()).unwrap();
    drop(file);
    assert_eq!(watched.next(), Ok(vec!["one".into(), "three".into(), "two".into()]));
}

#[test]
fn a_directory_that_vanishes_is_said_to_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("manifests"), folder.path().join("away"));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), fabric("one")).unwrap();
    let mut watched = Watched::start(&path);
    assert_eq!(watched.next(), Ok(vec!["one".into()]));
    fs::rename(&path, &away).unwrap();
    assert!(watched.next().unwrap_err().contains("No such file"));
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), fabric("two")).unwrap();
    // It may be seen before its file is there.
    let mut seen = watched.next();
    while seen != Ok(vec!["two".into()]) {
        assert!(seen.unwrap_err().contains("holds no"));
        seen = watched.next();
    }
}

#[test]
fn a_mounted_config_map_is_switched_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, fabric_name: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("a.yaml"), fabric(fabric_name)).unwrap();
    };
    version("..1", "one");
    std::os::unix::fs::symlink("..1", folder.path().join("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
    let mut watched = Watched::start(folder.path());
    assert_eq!(watched.next(), Ok(vec!["one".into()]));
    version("..2", "two");
    std::os::unix::fs::symlink("..2", folder.path().join("..data_tmp")).unwrap();
    fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    assert_eq!(watched.next(), Ok(vec!["two".into()]));
}
