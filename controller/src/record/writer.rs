//! Lines into a file of bounded size. A file that cannot be written, or is
//! full, ends the recording; the agent goes on, and says so.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bgp::config::SpeakerConfig;
use bgp::io::Effects;

use super::digest::Digest;
use super::line::{FORMAT, Line};

/// The most bytes of a recording: minutes of full tables, months of a quiet node.
pub const LIMIT: u64 = 1 << 30;

/// Room at the end for the line that says why the recording stopped.
const LAST_WORDS: u64 = 256;

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    /// `None` once the recording has ended.
    file: Option<BufWriter<File>>,
    /// Why it has.
    ended: Option<String>,
    limit: u64,
    written: u64,
    turn: u64,
    digest: Digest,
    /// Whether the turn has a line.
    begun: bool,
}

impl Recorder {
    /// A recording into a new file of at most `limit` bytes.
    ///
    /// # Errors
    /// A file that is there already, or cannot be made.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        // What a peer sends and how a node is configured is not for every user to read.
        let mut options = File::options();
        options.write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = Some(BufWriter::new(options.open(path)?));
        let digest = Digest::default();
        Ok(Self {
            path: path.to_owned(),
            file,
            ended: None,
            limit,
            written: 0,
            turn: 0,
            digest,
            begun: false,
        })
    }

    pub(super) fn start(&mut self, config: &SpeakerConfig, seed: u64) {
        let (config, version) = (Box::new(config.clone()), env!("CARGO_PKG_VERSION").to_owned());
        self.line(&Line::Start { format: FORMAT, version, seed, config });
    }

    /// A call, before it is made; the line is made only if it is wanted.
    pub(super) fn call<'l>(&mut self, line: impl FnOnce() -> Line<'l>) {
        if self.file.is_some() {
            self.begun = true;
            self.line(&line());
        }
    }

    /// What the call gave.
    pub(super) fn effects(&mut self, effects: &Effects) {
        if self.file.is_some() {
            self.digest.add(effects);
        }
    }

    /// The turn ends. What it wrote is handed to the operating system, so that
    /// a recording of an agent that is killed lacks one turn at most.
    pub(super) fn end_turn(&mut self) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        self.turn += 1;
        let digest = std::mem::take(&mut self.digest);
        self.line(&Line::Turn { number: self.turn, digest: digest.to_string().into() });
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            self.stop(&error.to_string());
        }
    }

    /// Why the recording has ended, with the file.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.clone()
    }

    fn line(&mut self, line: &Line<'_>) {
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_vec(line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            let len = text.len() as u64;
            if self.written + len + LAST_WORDS > self.limit {
                return Ok(None);
            }
            file.write_all(&text).map(|()| Some(len))
        });
        match written {
            Ok(Some(len)) => self.written += len,
            Ok(None) => self.stop(&format!("{} bytes are the most", self.limit)),
            Err(error) => self.stop(&error.to_string()),
        }
    }

    fn stop(&mut self, reason: &str) {
        let Some(mut file) = self.file.take() else { return };
        let text = serde_json::to_string(&Line::Stopped { reason: reason.into() }).unwrap_or_default();
        // Where the file itself is the reason, the log alone has the last word.
        let _ = writeln!(file, "{text}").and_then(|()| file.flush());
        self.ended = Some(format!("{} ends with turn {}: {reason}", self.path.display(), self.turn));
    }
}
