//! The fuzz targets' bodies over their committed corpora, on any toolchain; and
//! over mutations of them, a few here and many with `FUZZ_SECONDS=60`.

#[path = "../../../fuzz/bodies/message.rs"]
mod message;
#[path = "../../../fuzz/bodies/session.rs"]
mod session;
#[path = "../../../fuzz/bodies/speaker.rs"]
mod speaker;

mod mutation;
mod reach;
mod seed;

use std::fs;
use std::path::PathBuf;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The corpus of a target, ordered by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).expect("the corpus is there");
    let mut corpus: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("a file").path();
            (path.display().to_string(), fs::read(&path).expect("a file that can be read"))
        })
        .collect();
    corpus.sort();
    assert!(corpus.len() >= 5, "{target}: the corpus is there");
    corpus
}

/// Replays the corpus, and goes on with mutations of it.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = corpus(target);
    for (name, data) in &corpus {
        mutation::guarded(name, data, run);
    }
    mutation::explore(target, &corpus, run);
}

#[test]
fn messages() {
    replay("message", message::run);
}

#[test]
fn sessions() {
    replay("session", session::run);
}

#[test]
fn speakers() {
    replay("speaker", speaker::run);
}
