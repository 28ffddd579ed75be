//! The figures side by side: one row a case, step and speaker, with the ratio of ours to the best of the others.

use std::fmt::Write;

use super::case::Case;
use super::run::Figure;
use super::speaker::Speaker;

/// What a speaker did in a case: its figures, or why there are none.
#[derive(Debug)]
pub struct Entry {
    /// Who.
    pub speaker: Speaker,
    /// The figures of each run, or what went wrong.
    pub runs: Result<Vec<Vec<Figure>>, String>,
}

/// The smallest of several runs: the sturdiest figure on a machine that is not ours alone.
fn least(entry: &Entry, step: &str, value: fn(&Figure) -> f64) -> Option<f64> {
    let runs = entry.runs.as_ref().ok()?;
    let values = runs.iter().flatten().filter(|figure| figure.step == step).map(value);
    values.reduce(f64::min)
}

/// The rows of one case in Markdown, with its heading.
#[must_use]
pub fn markdown(case: &Case, entries: &[Entry], floors: &[(String, f64)]) -> String {
    let mut text = format!("\n{}\n\n", case.what);
    text += "| step | speaker | seconds | × best peer | CPU s | × best peer | peak MB | × best peer | first ms | sent a prefix | silent s | others' CPUs |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    let mut steps: Vec<&str> = match entries.iter().find_map(|entry| entry.runs.as_ref().ok()?.first()) {
        Some(figures) => figures.iter().map(|figure| figure.step.as_str()).collect(),
        None => Vec::new(),
    };
    steps.dedup();
    // How long sessions take to come up says something only where they are the work.
    let shown = steps.iter().filter(|step| **step != "established" || case.prefixes == 1);
    for step in shown {
        for entry in entries {
            text += &row(entries, entry, step);
        }
    }
    for (step, seconds) in floors.iter().filter(|(step, _)| steps.contains(&step.as_str())) {
        let _ = writeln!(text, "| {step} | no speaker: the floor | {seconds:.4} | | | | | | | | | |");
    }
    for entry in entries {
        if let Err(why) = &entry.runs {
            let _ = writeln!(
                text,
                "| - | {} | {} | | | | | | | | | |",
                entry.speaker.name(),
                why.replace('\n', " ")
            );
        }
    }
    text
}

fn row(entries: &[Entry], entry: &Entry, step: &str) -> String {
    let Some(seconds) = least(entry, step, |figure| figure.seconds) else { return String::new() };
    let peers = || entries.iter().filter(|entry| entry.speaker != Speaker::Underlay);
    let measure = |value: fn(&Figure) -> f64| {
        let own = least(entry, step, value).unwrap_or_default();
        let best = peers().filter_map(|peer| least(peer, step, value)).reduce(f64::min);
        (
            own,
            best.filter(|best| *best > 0.0)
                .map_or_else(|| "-".to_owned(), |best| format!("{:.2}", own / best)),
        )
    };
    let (_, seconds_ratio) = measure(|figure| figure.seconds);
    let (cpu, cpu_ratio) = measure(|figure| figure.cpu);
    let (memory, memory_ratio) = measure(|figure| figure.memory as f64);
    let first = least(entry, step, |figure| figure.first.unwrap_or(f64::NAN));
    let first = first
        .filter(|first| first.is_finite())
        .map_or_else(|| "-".to_owned(), |first| format!("{:.1}", first * 1e3));
    let sent =
        least(entry, step, |figure| figure.announced as f64 / figure.prefixes as f64).unwrap_or_default();
    let sent = if sent > 0.0 { format!("{sent:.2}") } else { "-".to_owned() };
    let silence = least(entry, step, |figure| figure.silence).unwrap_or_default();
    let others = least(entry, step, |figure| figure.others).unwrap_or_default();
    format!(
        "| {step} | {} | {seconds:.4} | {seconds_ratio} | {cpu:.4} | {cpu_ratio} | {:.1} | {memory_ratio} | {first} | {sent} | {silence:.2} | {others:.1} |\n",
        entry.speaker.name(),
        memory / 1e6,
    )
}
