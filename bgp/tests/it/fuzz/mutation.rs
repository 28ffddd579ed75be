//! A mutator without coverage: octets changed, cut out, doubled, joined with
//! those of another input. The seed is printed with what it finds.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Inputs that a plain test run tries.
const INPUTS: u64 = 400;
/// The longest input.
const LONGEST: usize = 16 << 10;

/// Octets that mean something somewhere: lengths, types, flags.
const TELLING: [u8; 16] = [0, 1, 2, 3, 4, 5, 14, 15, 19, 23, 32, 33, 64, 128, 192, 255];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Runs a body; a panic is passed on with the input in hex.
pub(super) fn guarded(name: &str, data: &[u8], run: fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(data))) {
        let mut hex = String::new();
        for octet in data {
            // Writing to a string does not fail.
            let _ = write!(hex, "{octet:02x}");
        }
        eprintln!("{name}: {hex}");
        resume_unwind(panic);
    }
}

/// Tries mutations: [`INPUTS`] of a fixed seed, or with `FUZZ_SECONDS` as many
/// as that takes, of the seed in `FUZZ_SEED`.
pub(super) fn explore(target: &str, corpus: &[(String, Vec<u8>)], run: fn(&[u8])) {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let time = number("FUZZ_SECONDS").map(Duration::from_secs);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let (began_at, mut count) = (Instant::now(), 0);
    while time.map_or(count < INPUTS, |time| began_at.elapsed() < time) {
        let mut random = Random(seed ^ count.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let mut data = corpus[random.below(corpus.len())].1.clone();
        for _ in 0..=random.below(5) {
            mutate(&mut data, corpus, &mut random);
        }
        guarded(&format!("{target}: seed {seed}, input {count}"), &data, run);
        count += 1;
    }
    if time.is_some() {
        eprintln!("{target}: {count} inputs");
    }
}

fn mutate(data: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], random: &mut Random) {
    let at = random.below(data.len());
    let span = at..(at + 1 + random.below(32)).min(data.len());
    match random.below(8) {
        0 | 1 if !data.is_empty() => data[at] = random.next() as u8,
        2 | 3 if !data.is_empty() => data[at] = TELLING[random.below(TELLING.len())],
        4 if !data.is_empty() => drop(data.drain(span)),
        5 if !data.is_empty() => {
            let copy = data[span].to_vec();
            let to = random.below(data.len());
            data.splice(to..to, copy);
        }
        6 => {
            let other = &corpus[random.below(corpus.len())].1;
            let from = random.below(other.len());
            data.truncate(at);
            data.extend_from_slice(other.get(from..).unwrap_or_default());
        }
        _ => data.insert(at, random.next() as u8),
    }
    data.truncate(LONGEST);
}
