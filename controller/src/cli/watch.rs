//! `-w`: a verb asked again whenever its answer changed. The agents' Watch says
//! when; what is shown is the verb's own answer.

use std::io::IsTerminal;
use std::time::Duration;

use api::v1::{WatchRequest, WatchTopic};
use terminal_size::{Height, terminal_size};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client;
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::render::Format;
use super::target::{Target, Targets};

/// What a verb's answer depends on, and how often it is asked for at most.
#[derive(Debug)]
pub struct Subject {
    topics: &'static [WatchTopic],
    spacing: Duration,
}

/// Node and peers, as often as they are told.
pub const STATUS: Subject = Subject { topics: &[WatchTopic::Status], spacing: Duration::from_millis(100) };

/// Routes: with each prefix in the kernel, and with the counts of those that never
/// come there. A large table takes long to ask for.
pub const ROUTES: Subject =
    Subject { topics: &[WatchTopic::Status, WatchTopic::Prefixes], spacing: Duration::from_secs(1) };

/// How often a terminal is drawn though nothing changed: ages grow.
const TICK: Duration = Duration::from_secs(1);

/// The pause before an agent that went away is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks, shows, and waits for a change, until the reader goes away or, into a
/// pipe, until no agent answers.
pub(super) async fn run<F>(options: &Options, subject: &Subject, ask: impl Fn(Options) -> F) -> Outcome
where
    F: Future<Output = Outcome>,
{
    let is_terminal = std::io::stdout().is_terminal();
    let mut options = options.clone();
    if !is_terminal || options.output.is_structured() {
        options.output = Format::Jsonl;
    }
    let redraws = is_terminal && !options.output.is_structured();
    let targets = match options.targets().await {
        Ok(targets) => targets,
        Err(failure) => {
            return Outcome {
                stderr: failure.line(options.output),
                exit: failure.exit,
                ..Outcome::default()
            };
        }
    };
    let mut changes = changes(targets, subject).await;
    let mut is_first = true;
    loop {
        let asked_at = Instant::now();
        let outcome = ask(options.clone()).await;
        // What is wrong at first is wrong for good; later on a person waits for an agent.
        if outcome.stdout.is_empty() && (is_first || !redraws) {
            return outcome;
        }
        let text = if redraws {
            let rows = terminal_size().map(|(_, Height(rows))| usize::from(rows));
            // What a person has on the screen moves up before the first picture, and is not painted over.
            let room = if is_first { "\n".repeat(rows.unwrap_or_default()) } else { String::new() };
            room + &frame(&format!("{}{}", outcome.stdout, outcome.stderr), rows)
        } else {
            outcome.stdout
        };
        if let Err(exit) = Outcome::put(&text) {
            return Outcome { exit, ..Outcome::default() };
        }
        is_first = false;
        sleep_until(asked_at + subject.spacing).await;
        if redraws {
            // Either way it is time to draw.
            let _ = timeout(TICK, changes.recv()).await;
        } else if changes.recv().await.is_none() {
            let failure = Failure::new(Exit::Failed, "nothing is watched any more");
            return Outcome {
                stderr: failure.line(options.output),
                exit: Exit::Failed,
                ..Outcome::default()
            };
        }
    }
}

/// A picture for a terminal of so many rows, drawn over the one before without clearing it first, which would
/// flicker. A line that is too long ends at the edge, and lines that find no row are counted in the last one: what
/// scrolls away would be drawn again below.
fn frame(text: &str, rows: Option<usize>) -> String {
    // To the upper left; no wrapping meanwhile.
    let mut frame = "\x1b[?7l\x1b[H".to_owned();
    let lines: Vec<&str> = text.lines().collect();
    // The last row is the cursor's.
    let room = rows.map_or(lines.len(), |rows| rows.saturating_sub(1));
    let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
    for line in &lines[..shown] {
        // To the end of the line, what was there goes.
        frame += &format!("{line}\x1b[K\n");
    }
    if shown < lines.len() {
        frame += &format!("... {} more lines\x1b[K\n", lines.len() - shown);
    }
    // And everything below.
    frame + "\x1b[J\x1b[?7h"
}

/// Something comes when an agent tells of a change, or is back. Changes that come
/// faster than they are taken are one. All agents that can be watched are by the
/// time this returns, so that nothing changes unseen from here on.
async fn changes(targets: Targets, subject: &Subject) -> mpsc::Receiver<()> {
    let (changed, changes) = mpsc::channel(1);
    let (starting, mut started) = mpsc::channel::<()>(1);
    let topics: Vec<i32> = subject.topics.iter().map(|topic| *topic as i32).collect();
    for mut target in targets.each {
        let (changed, topics) = (changed.clone(), topics.clone());
        let mut starting = Some(starting.clone());
        tokio::spawn(async move {
            while !changed.is_closed() {
                listen(&target, &topics, &changed, starting.take()).await;
                // So that an agent that went away is missed.
                let _ = changed.try_send(());
                sleep(PAUSE).await;
                target.look_again().await;
            }
        });
    }
    drop(starting);
    // Nothing is sent: it ends when the last of them has started.
    let _ = started.recv().await;
    changes
}

/// Passes on that something changed until the agent ends the stream; lets go of
/// `starting` once it knows the present.
async fn listen(
    target: &Target,
    topics: &[i32],
    changed: &mpsc::Sender<()>,
    mut starting: Option<mpsc::Sender<()>>,
) {
    let Ok(mut agent) = client::connect(target).await else { return };
    let request = WatchRequest { topics: topics.to_vec(), after_revision: None };
    let Ok(answers) = agent.watch(request).await else { return };
    let mut answers = answers.into_inner();
    while let Ok(Some(answer)) = answers.message().await {
        // The first answers are the present of an agent that is asked right after, or of one that is back.
        if !answer.more && starting.take().is_none() {
            let _ = changed.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_picture_fits_the_terminal() {
        assert_eq!(frame("a\nb\n", Some(24)), "\x1b[?7l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?7h");
        let long: String = (1..=9).map(|n| format!("{n}\n")).collect();
        let rows = |rows| frame(&long, rows).matches('\n').count();
        assert_eq!((rows(None), rows(Some(10)), rows(Some(9)), rows(Some(5))), (9, 9, 8, 4));
        assert!(frame(&long, Some(5)).contains("3\x1b[K\n... 6 more lines\x1b[K\n"));
        assert_eq!((rows(Some(1)), rows(Some(0))), (1, 1), "the count, however small the terminal is");
    }
}
