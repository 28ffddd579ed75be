//! The driver's thread: it owns the sockets, and looks at the table when something is wanted or somebody disturbed it.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use api::nft::{Batch, Element, Question, dump};
use tokio::sync::watch;

use super::super::filter::{Filter, errno};
use super::rules::{RuleSet, TABLE, difference, rule_set};
use super::wanted::{LEARNED_MAX, Masquerade};
use super::watcher::Watcher;

/// How long after a failure the next attempt is made.
const RETRY: Duration = Duration::from_secs(5);

/// How long a program that changes our table again and again is left alone in between.
const PAUSE: Duration = Duration::from_millis(50);

/// What shall be: `None` while nobody has said it, and then what is in the kernel stays as it is.
type Goal = Option<Option<Masquerade>>;

/// The agent's end of the driver.
#[derive(Debug)]
pub struct Handle {
    wanted: watch::Sender<Goal>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// What shall be hidden; `None` for nothing, and no table then. Never blocks; the newest alone counts.
    pub fn want(&self, wanted: Option<Masquerade>) {
        self.wanted.send_replace(Some(wanted));
    }

    /// Ends the driver and waits for it; the table stays. Blocks.
    pub fn join(self) {
        drop(self.wanted);
        if self.thread.join().is_err() {
            tracing::error!(event = "masquerade-driver-panicked");
        }
    }
}

/// Starts the driver in the network namespace of the calling thread. `told` gets why what is wanted cannot be, and
/// `None` once it is.
///
/// # Errors
/// Those of the thread. A kernel without a packet filter is no error here: it is told of when something is wanted.
pub fn spawn(told: impl Fn(Option<String>) + Send + 'static) -> io::Result<Handle> {
    let (wanted, goal) = watch::channel(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let thread = std::thread::Builder::new()
        .name("masquerade".into())
        .spawn(move || runtime.block_on(run(goal, told)))?;
    Ok(Handle { wanted, thread })
}

struct Sockets {
    filter: Filter,
    watcher: Watcher,
    /// What the kernel holds, by our own writes; `None` where somebody may have changed it since.
    held: Option<RuleSet>,
}

impl Sockets {
    fn open() -> io::Result<Self> {
        let filter = Filter::open()?;
        let watcher = Watcher::open(filter.port())?;
        Ok(Self { filter, watcher, held: None })
    }
}

async fn run(mut goal: watch::Receiver<Goal>, told: impl Fn(Option<String>)) {
    let mut sockets: Option<Sockets> = None;
    let mut disturbed = false;
    loop {
        let wanted = goal.borrow_and_update().clone();
        let mut retry = false;
        if let Some(wanted) = wanted {
            match attempt(&mut sockets, wanted.as_ref()) {
                Ok(written) => {
                    told(None);
                    if written && disturbed {
                        tracing::warn!(event = "masquerade", reason = "somebody changed our table; repaired");
                    }
                }
                Err(why) => {
                    // A socket that has failed once is not trusted again.
                    sockets = None;
                    retry = true;
                    told(Some(why));
                }
            }
        }
        if std::mem::take(&mut disturbed) {
            tokio::time::sleep(PAUSE).await;
        }
        tokio::select! {
            changed = goal.changed() => if changed.is_err() { return },
            changed = somebody(&mut sockets) => {
                disturbed = true;
                match (&mut sockets, changed) {
                    (Some(sockets), Ok(())) => sockets.held = None,
                    _ => sockets = None,
                }
            }
            () = tokio::time::sleep(RETRY), if retry => {}
        }
    }
}

async fn somebody(sockets: &mut Option<Sockets>) -> io::Result<()> {
    match sockets {
        Some(sockets) => sockets.watcher.disturbed().await,
        None => std::future::pending().await,
    }
}

/// Makes the kernel hold what is wanted; whether it did not before.
fn attempt(sockets: &mut Option<Sockets>, wanted: Option<&Masquerade>) -> Result<bool, String> {
    if let Some(count) = wanted.map(|wanted| wanted.learned.len()).filter(|count| *count > LEARNED_MAX) {
        return Err(format!(
            "exceptLearned: at least {count} prefixes are learned, and {LEARNED_MAX} are the most that can be left out"
        ));
    }
    let rules = wanted.and_then(rule_set);
    let done = match sockets {
        Some(sockets) => sockets.hold(rules.as_ref()),
        None => Sockets::open().and_then(|fresh| sockets.insert(fresh).hold(rules.as_ref())),
    };
    match done {
        Ok(written) => Ok(written),
        // Where there is no packet filter there is nothing to take away.
        Err(error) if rules.is_none() && is_missing(&error) => Ok(false),
        Err(error) if is_missing(&error) => {
            Err(format!("{error} (is nf_tables in this kernel, with inet, nat and masq?)"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Whether it is the packet filter, or a part of it, that the kernel lacks.
fn is_missing(error: &io::Error) -> bool {
    let missing = [
        libc::EPROTONOSUPPORT,
        libc::EOPNOTSUPP,
        libc::EAFNOSUPPORT,
        libc::EINVAL,
        libc::ENOENT,
        libc::ENOPROTOOPT,
    ];
    errno(error).is_some_and(|errno| missing.contains(&errno))
}

impl Sockets {
    /// Makes the kernel hold these rules, or no table of ours; whether it did not before. While nobody else has
    /// touched the table nothing of it is asked for, and what differs from the last time is written.
    fn hold(&mut self, rules: Option<&RuleSet>) -> io::Result<bool> {
        let before = self.held.take();
        let known = before.zip(rules).filter(|(before, rules)| before.table == rules.table);
        let step = known.and_then(|(before, rules)| step(&before, rules));
        let written = match step.map(|batch| (!batch.is_empty(), self.filter.commit(batch))) {
            Some((writes, Ok(()))) => writes,
            // Somebody was quicker: the table is looked at.
            _ => hold(&mut self.filter, rules)?,
        };
        self.held = rules.cloned();
        Ok(written)
    }
}

/// What leads from the elements of a table to others; `None` where some are no intervals.
fn step(before: &RuleSet, after: &RuleSet) -> Option<Batch> {
    let mut batch = Batch::new(None);
    for ((set, seen), wanted) in after.table.sets.iter().zip(&before.elements).zip(&after.elements) {
        exchange(&mut batch, &set.name, difference(set, seen, wanted)?);
    }
    Some(batch)
}

/// Takes elements out of a set of ours and puts others in.
fn exchange(batch: &mut Batch, set: &str, (gone, new): (Vec<Element>, Vec<Element>)) {
    let (family, name) = TABLE;
    batch.delete_elements(family, name, set, &gone);
    batch.add_elements(family, name, set, &new);
}

/// Makes the kernel hold these rules, or no table of ours, whatever it holds; whether it did not before.
fn hold(filter: &mut Filter, rules: Option<&RuleSet>) -> io::Result<bool> {
    let (family, name) = TABLE;
    let stands = !filter.ask(Question::Table(family, name))?.is_empty();
    let Some(rules) = rules else {
        if !stands {
            return Ok(false);
        }
        let mut batch = Batch::new(None);
        batch.delete_table(family, name);
        filter.commit(batch)?;
        return Ok(true);
    };
    if stands && let Some(batch) = adjust(filter, rules)? {
        let writes = !batch.is_empty();
        if filter.commit(batch).is_ok() {
            return Ok(writes);
        }
        // Somebody was quicker, or the sets are of another version: the table is made anew.
    }
    let mut batch = Batch::new(None);
    if !filter.ask(Question::Table(family, name))?.is_empty() {
        batch.delete_table(family, name);
    }
    rules.table.put(&mut batch);
    for (set, elements) in rules.table.sets.iter().zip(&rules.elements) {
        batch.add_elements(family, name, &set.name, elements);
    }
    filter.commit(batch)?;
    Ok(true)
}

/// What has to change in the sets of a table whose rules stand; `None` where the rules do not. A packet meets the
/// elements before or those after, as the rules that look for them stay where they are.
fn adjust(filter: &mut Filter, rules: &RuleSet) -> io::Result<Option<Batch>> {
    let (family, name) = TABLE;
    let answers = filter.ask(Question::Rules(family, name))?;
    let seen: Vec<_> = answers.iter().filter_map(|answer| dump::rule(answer)).collect();
    let wanted: usize = rules.table.chains.iter().map(|chain| chain.rules.len()).sum();
    if rules.table.damage(&seen).is_some() || seen.len() != wanted {
        return Ok(None);
    }
    let mut batch = Batch::new(None);
    for (set, elements) in rules.table.sets.iter().zip(&rules.elements) {
        let answers = filter.ask(Question::Elements(family, name, &set.name))?;
        let seen: Vec<_> = answers.iter().flat_map(|answer| dump::elements(answer)).collect();
        match difference(set, &seen, elements) {
            Some(changes) => exchange(&mut batch, &set.name, changes),
            None => {
                batch.empty_set(family, name, &set.name);
                batch.add_elements(family, name, &set.name, elements);
            }
        }
    }
    Ok(Some(batch))
}
