//! The one normaliser of printed output: what differs from run to run becomes a
//! word in angle brackets, and runs of spaces become one, since columns are as wide
//! as what stands in them. Durations, times, process ids and versions; nothing else.

/// The text with what differs from run to run replaced, line by line.
#[must_use]
pub fn normal(text: &str) -> String {
    let line = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let before = std::iter::once("").chain(line.split_whitespace());
        let words: Vec<String> =
            line.split_whitespace().zip(before).map(|(it, before)| word(it, before)).collect();
        format!("{}{}\n", &line[..indent], words.join(" "))
    };
    text.trim().lines().map(line).collect()
}

/// A word, or what stands for its kind; punctuation around it stays. A version
/// is told from a section number by the word before it.
fn word(word: &str, before: &str) -> String {
    let core = word.trim_matches(|c: char| "\"',()[]".contains(c));
    let kind = if is_duration(core) {
        "<duration>"
    } else if is_time(core) {
        "<time>"
    } else if is_version(core) && (core.starts_with('v') || before.contains("ersion") || before == "underlay")
    {
        "<version>"
    } else if core.strip_prefix("pid=").is_some_and(is_number) {
        "<pid>"
    } else {
        return word.to_owned();
    };
    word.replacen(core, kind, 1)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `3s`, `1m02s`, `3h12m`, `2d04h`, `1.5s`, `12ms`.
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let after = &rest[digits..];
        let unit = ["ms", "d", "h", "m", "s"].into_iter().find(|unit| after.starts_with(unit));
        let (true, Some(unit)) = (digits > 0, unit) else { return false };
        rest = &after[unit.len()..];
        parts += 1;
    }
    parts > 0
}

/// `2026-11-22T03:56:39.485267Z` (RFC 3339).
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().take(11).map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T" && text.ends_with('Z')
}

/// `0.1.0`, with or without `v` before it.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.strip_prefix('v').unwrap_or(text).split('.').collect();
    parts.len() == 3 && parts.into_iter().all(is_number)
}
