//! The condition Accepted of a Fabric or a FabricPeer: whether the object by
//! itself is one that agents apply. All agents come to the same verdict, and one
//! of them writes it: by the object's UID the nodes have an order, and the first
//! writes at once, the second and the third if that has not happened after a
//! while. All others never do.
//!
//! Two objects that contradict each other for some node both say so. What an object
//! is to one node beyond that stands in that node's FabricNode.
//!
//! Cancel-safe: dropping the task ends a request and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::crd::{GROUP, VERSION};
use jiff::Timestamp;
use kube::core::Request;
use kube::core::params::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::connection::Connection;
use super::item::{Kind, Said};
use super::trouble::Trouble;

/// The condition's type.
pub const ACCEPTED: &str = "Accepted";

/// How many nodes may write one object's verdict.
const WRITERS: usize = 3;

/// How long each of them waits for the one before it, and how long the first waits for the next change.
const STEP: Duration = Duration::from_secs(20);
const GATHERING: Duration = Duration::from_secs(1);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// The most letters of a message.
const LINE: usize = 1024;

/// A verdict that the object does not carry yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The object's kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The version of its spec that was judged.
    pub generation: i64,
    /// What is wrong with it; empty if nothing is.
    pub wrong: String,
    /// Whether that is another object's fault as well.
    pub conflicting: bool,
    /// What the object says of itself so far.
    pub said: Option<Said>,
}

impl Verdict {
    /// Whether the object has to be told.
    #[must_use]
    pub fn is_news(&self) -> bool {
        let told = self.said.as_ref().is_some_and(|said| {
            said.observed_generation == self.generation
                && said.holds() == self.wrong.is_empty()
                && (self.wrong.is_empty() || said.message == self.message())
        });
        !told
    }

    fn reason(&self) -> &'static str {
        match (self.wrong.is_empty(), self.conflicting) {
            (true, _) => "Valid",
            (false, false) => "Invalid",
            (false, true) => "Conflicting",
        }
    }

    fn message(&self) -> String {
        if self.wrong.is_empty() {
            "agents apply it".to_owned()
        } else {
            self.wrong.chars().take(LINE).collect()
        }
    }
}

/// Which nodes write for each object, the first first. A node that comes or goes is looked at beside those alone.
#[derive(Debug, Default)]
pub struct Writers {
    /// By the object's UID.
    of: BTreeMap<String, Vec<(u64, String)>>,
}

impl Writers {
    /// There is an object of that UID, among these nodes.
    pub fn object<'a>(&mut self, uid: &str, nodes: impl Iterator<Item = &'a str>) {
        self.of.entry(uid.to_owned()).or_insert_with(|| {
            let mut first = Vec::new();
            nodes.for_each(|node| seat(&mut first, uid, node));
            first
        });
    }

    /// Only objects of these UIDs are there.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.of.retain(|uid, _| is_there(uid));
    }

    /// A node has come.
    pub fn come(&mut self, node: &str) {
        self.of.iter_mut().for_each(|(uid, first)| seat(first, uid, node));
    }

    /// A node has gone, and these are left.
    pub fn gone<'a, I: Iterator<Item = &'a str>>(&mut self, node: &str, left: impl Fn() -> I) {
        for (uid, first) in &mut self.of {
            if first.iter().any(|(_, name)| name == node) {
                first.clear();
                left().for_each(|node| seat(first, uid, node));
            }
        }
    }

    /// At what place a node comes in writing for an object; `None` beyond the last.
    #[must_use]
    pub fn place(&self, uid: &str, node: &str) -> Option<usize> {
        self.of.get(uid)?.iter().position(|(_, name)| name == node)
    }
}

/// Gives a node its place among the first, if it has one there.
fn seat(first: &mut Vec<(u64, String)>, uid: &str, node: &str) {
    let own = weight(uid, node);
    let at = first.partition_point(|(weight, name)| (*weight, name.as_str()) < (own, node));
    if at < WRITERS && first.get(at).is_none_or(|(_, name)| name != node) {
        first.insert(at, (own, node.to_owned()));
        first.truncate(WRITERS);
    }
}

/// FNV-1a: the same number from every version of the agent.
fn weight(uid: &str, node: &str) -> u64 {
    let bytes = uid.bytes().chain([0]).chain(node.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes, in which names differ, have to move the first bits.
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Verdicts to write, each with this node's place.
pub(super) type Due = Arc<Vec<(Verdict, usize)>>;

/// Writes what is due until nobody has anything more to say.
pub(super) async fn run(connection: Connection, mut due: watch::Receiver<Due>) {
    let mut since: BTreeMap<(Kind, String, i64), Instant> = BTreeMap::new();
    let mut backoff = Backoff::default();
    let mut told = None;
    loop {
        let verdicts = Arc::clone(&due.borrow_and_update());
        let now = Instant::now();
        let key = |verdict: &Verdict| (verdict.kind, verdict.name.clone(), verdict.generation);
        since.retain(|known, _| verdicts.iter().any(|(verdict, _)| key(verdict) == *known));
        let timed = verdicts.iter().map(|(verdict, place)| {
            let seen = *since.entry(key(verdict)).or_insert(now);
            let steps = u32::try_from(*place).unwrap_or(u32::MAX);
            (seen + GATHERING + STEP * steps, verdict)
        });
        match timed.min_by_key(|(at, _)| *at) {
            Some((at, verdict)) if at <= now => {
                let trouble = write(&connection, verdict).await.err();
                let text = trouble.as_ref().map(|trouble| trouble.text.clone());
                if let Some(reason) = text.as_ref().filter(|_| text != told) {
                    tracing::warn!(event = "verdict-unwritten", reason);
                }
                told = text;
                // Its own watch tells the agent that it is written; until then it is not written again.
                since.insert(key(verdict), now + STEP);
                match trouble {
                    Some(trouble) => {
                        if trouble.refused {
                            connection.refused();
                        }
                        sleep(backoff.pause(trouble.wait)).await;
                    }
                    None => backoff.reset(),
                }
            }
            next => {
                let at = next.map(|(at, _)| at);
                tokio::select! {
                    changed = due.changed() => if changed.is_err() { return },
                    () = sleep_until(at.unwrap_or(now)), if at.is_some() => {}
                }
            }
        }
    }
}

async fn write(connection: &Connection, verdict: &Verdict) -> Result<(), Trouble> {
    let linked = connection.linked().await?;
    let holds = verdict.wrong.is_empty();
    // A condition changes when its status does, and not with its words.
    let unchanged = verdict.said.as_ref().filter(|said| said.holds() == holds);
    let since = unchanged.map(|said| said.last_transition_time.clone()).filter(|since| !since.is_empty());
    let condition = json!({
        "type": ACCEPTED,
        "status": if holds { "True" } else { "False" },
        "reason": verdict.reason(),
        "message": verdict.message(),
        "observedGeneration": verdict.generation,
        "lastTransitionTime": since.unwrap_or_else(|| format!("{:.0}", Timestamp::now())),
    });
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": verdict.kind.name(),
        "metadata": {"name": verdict.name, "uid": verdict.uid}, "status": {"conditions": [condition]},
    });
    let request = Request::new(verdict.kind.path(&linked.namespace, "v1"));
    let params = PatchParams::apply("underlay-agent").force();
    let request = request.patch_subresource("status", &verdict.name, &params, &Patch::Apply(object));
    let request = request.map_err(|error| Trouble::local(error.to_string()))?;
    let answer = timeout(ANSWER, linked.client.request_text(request)).await;
    let answer = answer.map_err(|_| Trouble::silent(&linked.server))?;
    answer.map(drop).map_err(|error| Trouble::of(&linked.server, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_write_and_each_object_has_its_own() {
        let nodes: Vec<String> = (0..200).map(|number| format!("node-{number}")).collect();
        let names = || nodes.iter().map(String::as_str);
        let uids: Vec<String> = (0..50).map(|object| format!("object-{object}")).collect();
        let places = |writers: &Writers| -> Vec<Vec<(usize, &String)>> {
            let of = |uid: &String| {
                let mut places: Vec<_> =
                    nodes.iter().filter_map(|node| Some((writers.place(uid, node)?, node))).collect();
                places.sort();
                places
            };
            uids.iter().map(of).collect()
        };
        let mut writers = Writers::default();
        uids.iter().for_each(|uid| writers.object(uid, names()));
        let found = places(&writers);
        assert!(found.iter().all(|of| of.iter().map(|(place, _)| *place).eq(0..3)), "{found:?}");
        let firsts: std::collections::BTreeSet<&String> = found.iter().map(|of| of[0].1).collect();
        assert!(firsts.len() > 25, "the work is shared: {}", firsts.len());

        // Whether the nodes or the objects were there first, and who came and went, is all the same.
        let mut others = Writers::default();
        uids.iter().for_each(|uid| others.object(uid, names().take(50).chain(["gone"])));
        names().skip(50).for_each(|node| others.come(node));
        others.come("node-7");
        others.gone("gone", names);
        assert_eq!(places(&others), found);
        others.retain(|uid| uid == "object-1");
        assert_eq!(
            (others.place("object-1", found[1][2].1), others.place("object-2", found[2][0].1)),
            (Some(2), None)
        );
    }

    #[test]
    fn a_verdict_is_news_until_the_object_carries_it() {
        let said = |status: &str, generation, message: &str| Said {
            kind: ACCEPTED.into(),
            status: status.into(),
            observed_generation: generation,
            message: message.into(),
            last_transition_time: String::new(),
        };
        let verdict = |wrong: &str, said| Verdict {
            kind: Kind::Fabric,
            name: "a".into(),
            uid: "u".into(),
            generation: 2,
            wrong: wrong.into(),
            conflicting: false,
            said,
        };
        assert!(verdict("", None).is_news());
        assert!(verdict("", Some(said("True", 1, "x"))).is_news());
        assert!(!verdict("", Some(said("True", 2, "x"))).is_news());
        assert!(verdict("bad", Some(said("True", 2, "x"))).is_news());
        assert!(verdict("bad", Some(said("False", 2, "x"))).is_news());
        assert!(!verdict("bad", Some(said("False", 2, "bad"))).is_news());
    }
}
