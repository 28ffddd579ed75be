//! Waiting for a condition with a deadline: the only place that sleeps.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The first pause between two looks. It doubles up to [`LONGEST`], so that what is there at once costs nothing and
/// what takes seconds does not keep a core busy.
const FIRST: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(100);

/// What one look at the awaited thing gives.
pub trait Look {
    /// The value that ends the wait.
    type Value;

    /// The value, or what was seen in its place.
    fn seen(self) -> Result<Self::Value, String>;
}

impl Look for bool {
    type Value = ();

    fn seen(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("not yet".into()) }
    }
}

impl<T> Look for Option<T> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".into())
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Value = T;

    fn seen(self) -> Result<T, String> {
        self.map_err(|error| error.to_string())
    }
}

/// Looks until `look` gives a value; after `limit` the error names `what` and what was seen last.
pub fn attempt<L: Look>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> L,
) -> Result<L::Value, String> {
    let end = Instant::now() + limit;
    let mut pause = FIRST;
    loop {
        let last = match look().seen() {
            Ok(value) => return Ok(value),
            Err(last) => last,
        };
        if Instant::now() >= end {
            return Err(format!("waited {limit:?} for {what}; last seen: {last}"));
        }
        std::thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
        pause = (pause * 2).min(LONGEST);
    }
}

/// Looks until `look` gives a value.
///
/// # Panics
/// After `limit`, with `what` and what was seen last.
#[track_caller]
pub fn until<L: Look>(what: &str, limit: Duration, look: impl FnMut() -> L) -> L::Value {
    match attempt(what, limit, look) {
        Ok(value) => value,
        Err(message) => panic!("{message}"),
    }
}
