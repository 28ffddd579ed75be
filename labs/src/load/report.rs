//! JSON lines on stdout: `t` is seconds of a monotonic clock since the program's start.

use std::io::Write;
use std::time::Instant;

use serde_json::{Map, Value};

/// The one clock of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start; never 0, which stands for "not yet".
    pub(super) fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// Prints one line: the time, the event's name, and `fields`, an object.
    pub(super) fn say(&self, event: &str, fields: Value) -> anyhow::Result<()> {
        let mut line = Map::new();
        line.insert("t".to_owned(), seconds(self.nanos()));
        line.insert("event".to_owned(), event.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", Value::Object(line))?;
        out.flush()?;
        Ok(())
    }
}

/// Nanoseconds as seconds, to the microsecond.
pub(super) fn seconds(nanos: u64) -> Value {
    ((nanos / 1_000) as f64 / 1e6).into()
}
