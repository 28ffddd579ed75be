//! The task that follows the API server and tells the agent what it holds.
//!
//! Changes that come together are told together. A failure is told when it lasts,
//! or at once as long as nothing was told before: what an earlier run has kept
//! stands in then.
//!
//! Cancel-safe: dropping the task ends the feeds and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::super::object::{Objects, Problem, SourceEvent};
use super::connection::Connection;
use super::feed::{self, KINDS, SERVICES};
use super::item::Kind;
use super::standing::Standing;
use super::store::{Change, Conflicts, Feed, Message, Store};
use super::{verdict, version};

/// Messages of feeds that may wait; each is one object.
const MESSAGES: usize = 64;

/// How long changes are gathered: one command often makes several.
const GATHERING: Duration = Duration::from_millis(100);

/// How long a failure lasts before it is told: shorter ones are the API server's daily life.
const LASTING: Duration = Duration::from_secs(5);

/// How long the first lists may take before what an earlier run has kept stands in.
const FIRST: Duration = Duration::from_secs(4);

/// The most Secrets of one node: each one is a watch.
const SECRETS: usize = 32;

/// Tells which objects contradict others.
pub type Contradict = Box<dyn FnMut(&Arc<Objects>) -> Conflicts + Send>;

/// Follows the API server for the node `node` until the receiver of `events` is gone. `kept` is what an earlier
/// run has kept. `standing` holds what the own Node says of whether it may carry pods;
/// `contradict` tells which objects contradict others.
pub async fn run(
    connection: Connection,
    node: String,
    kept: Option<Arc<Objects>>,
    events: mpsc::Sender<SourceEvent>,
    standing: watch::Sender<Option<Standing>>,
    contradict: Contradict,
) {
    let base = KINDS.map(|kind| Feed { kind, name: None });
    let (out, mut messages) = mpsc::channel(MESSAGES);
    let mut source = Source {
        store: Store::new(base.clone(), kept),
        connection: connection.clone(),
        node,
        verdicts: watch::channel(verdict::Due::default()).0,
        out,
        tasks: BTreeMap::new(),
        began_at: Instant::now(),
        dirty_at: None,
        suffered: BTreeMap::new(),
        unread: None,
        told: None,
        objects: None,
        events,
        standing,
        contradict,
        conflicts: Conflicts::new(),
    };
    base.into_iter().for_each(|feed| source.start(feed));
    tokio::spawn(verdict::run(connection, source.verdicts.subscribe()));
    loop {
        let due = source.due();
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => source.take(message),
                None => return,
            },
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if source.tell(Instant::now()).await.is_err() {
                    return;
                }
            }
            () = source.events.closed() => return,
        }
    }
}

/// What was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    /// The newest objects, what is wrong with some of them or with the API server, and why the own Node is not known.
    Objects(Vec<Problem>, Option<Problem>),
    /// There is nothing to go by.
    Broken(Vec<Problem>),
}

struct Source {
    store: Store,
    connection: Connection,
    node: String,
    /// What Fabrics and FabricPeers are to be told of themselves.
    verdicts: watch::Sender<verdict::Due>,
    out: mpsc::Sender<Message>,
    tasks: BTreeMap<Feed, AbortHandle>,
    began_at: Instant,
    /// Since when something is to be told.
    dirty_at: Option<Instant>,
    /// What the feeds suffer from, and since when.
    suffered: BTreeMap<String, Instant>,
    /// Why the own Node's newest state is not known.
    unread: Option<String>,
    told: Option<Told>,
    /// The objects that were told last.
    objects: Option<Arc<Objects>>,
    events: mpsc::Sender<SourceEvent>,
    standing: watch::Sender<Option<Standing>>,
    contradict: Contradict,
    /// The objects that contradict another; kept where this node may be the one to say so.
    conflicts: Conflicts,
}

impl Source {
    fn start(&mut self, feed: Feed) {
        let task = feed::run(self.connection.clone(), feed.clone(), self.out.clone());
        self.tasks.insert(feed, tokio::spawn(task).abort_handle());
    }

    fn take(&mut self, message: Message) {
        let now = Instant::now();
        let judged = matches!(message.feed.kind, Kind::Fabric | Kind::FabricPeer);
        self.stand(&message);
        self.store.take(message);
        let secrets = self.store.secrets_of(&self.node, SECRETS).into_iter();
        let mut wanted: BTreeSet<Feed> =
            secrets.map(|name| Feed { kind: Kind::Secret, name: Some(name) }).collect();
        if self.store.wants_services(&self.node) {
            wanted.extend(SERVICES.map(|kind| Feed { kind, name: None }));
        }
        for feed in self.store.want(&wanted) {
            self.start(feed);
        }
        self.tasks.retain(|feed, task| {
            let unwanted = !KINDS.contains(&feed.kind) && !wanted.contains(feed);
            if unwanted {
                task.abort();
            }
            !unwanted
        });
        let troubles = self.store.troubles();
        let before = self.suffered.len();
        self.suffered.retain(|text, _| troubles.contains(text));
        let unread = self.store.unread(&self.node);
        let mut news = self.suffered.len() != before || self.unread != unread;
        self.unread = unread;
        for text in troubles {
            self.suffered.entry(text).or_insert_with(|| {
                news = true;
                now
            });
        }
        if self.store.take_change() || news || self.objects.is_none() {
            self.dirty_at.get_or_insert(now);
        } else if self.dirty_at.is_none() && judged {
            // What an object says of itself is no news to the agent.
            self.judge();
        }
    }

    /// Keeps what the own Node says of whether it may carry pods.
    fn stand(&self, message: &Message) {
        if message.feed.kind != Kind::Node {
            return;
        }
        let standing = match &message.change {
            Change::Put(name, head, _) if *name == self.node => head.standing.clone(),
            Change::Gone(name) if *name == self.node => None,
            _ => return,
        };
        // Nobody has to listen.
        self.standing.send_replace(standing);
    }

    /// Says which objects do not carry their verdict.
    fn judge(&self) {
        let due = self.store.verdicts(&self.node, &self.conflicts);
        self.verdicts.send_if_modified(|before| {
            let news = **before != due;
            if news {
                *before = Arc::new(due);
            }
            news
        });
    }

    /// When something may be due to be told.
    fn due(&self) -> Option<Instant> {
        let gathered = self.dirty_at.map(|at| at + GATHERING);
        let patience = self.told.is_none().then(|| self.began_at + FIRST);
        let untold = |text: &String| !self.is_told(text);
        let lasting =
            self.suffered.iter().filter(|(text, _)| untold(text)).map(|(_, at)| *at + LASTING).min();
        [gathered, patience, lasting].into_iter().flatten().min()
    }

    fn is_told(&self, text: &str) -> bool {
        let Some(Told::Objects(problems, _) | Told::Broken(problems)) = &self.told else { return false };
        problems.iter().any(|problem| problem.text == text)
    }

    /// Tells what there is to tell.
    async fn tell(&mut self, now: Instant) -> Result<(), mpsc::error::SendError<SourceEvent>> {
        let changed = self.dirty_at.take().is_some();
        let whole = self.store.is_complete();
        let unknown = if self.objects.is_none() { self.store.unknown() } else { Vec::new() };
        let first = self.objects.is_none();
        let lasting = |at: &Instant| (first && !whole) || now.duration_since(*at) >= LASTING;
        let told: BTreeSet<&String> = self
            .suffered
            .iter()
            .filter(|(text, at)| lasting(at) || self.is_told(text))
            .map(|(text, _)| text)
            .collect();
        let mut problems: Vec<Problem> = told.into_iter().map(Problem::anywhere).collect();
        if first && (!whole || !unknown.is_empty()) {
            if whole {
                problems.extend(unknown);
            } else if problems.is_empty() && now.duration_since(self.began_at) >= FIRST {
                let text = format!("{} has not told everything yet", self.connection.description());
                problems.push(Problem::anywhere(text));
            }
            let told = Told::Broken(problems.clone());
            if problems.is_empty() || self.told.as_ref() == Some(&told) {
                return Ok(());
            }
            self.told = Some(told);
            return self.events.send(SourceEvent::Broken(problems)).await;
        }
        if !whole {
            // A Secret that was named a moment ago: without it a session would go down for want of a key.
            return Ok(());
        }
        // Of a trouble that does not last nothing is said.
        let said = |text: &String| {
            !self.suffered.contains_key(text) || problems.iter().any(|problem| problem.text == *text)
        };
        let node = self.unread.as_ref().filter(|text| said(text)).map(Problem::anywhere);
        problems.extend(self.store.wrong());
        let told = Told::Objects(problems.clone(), node.clone());
        let objects = match &self.objects {
            Some(before) if !changed || **before == *self.store.objects() => Arc::clone(before),
            _ => Arc::new(self.store.objects().clone()),
        };
        if changed {
            let judge = self.store.is_judge(&self.node);
            self.conflicts = if judge { (self.contradict)(&objects) } else { Conflicts::new() };
        }
        self.judge();
        if !changed && self.told.as_ref() == Some(&told) {
            return Ok(());
        }
        if first {
            self.store.forget_kept();
            tokio::spawn(version::tell(self.connection.clone()));
        }
        let same = self.objects.as_ref().is_some_and(|before| Arc::ptr_eq(before, &objects));
        if same && self.told.as_ref() == Some(&told) {
            return Ok(());
        }
        self.objects = Some(Arc::clone(&objects));
        self.told = Some(told);
        let event = if problems.is_empty() {
            SourceEvent::Objects(objects)
        } else {
            SourceEvent::Partial { objects, problems, node }
        };
        self.events.send(event).await
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}
