//! Which of what happened becomes an Event of Kubernetes, and how many. Pure.
//!
//! Of sessions only those that a FabricPeer names: a node that restarts would
//! else be told by every other node of its mesh. The same of the same peer is
//! told once in a while, and then how often it was; all of them together fill a
//! bucket.

use std::collections::BTreeMap;

use bgp::io::State;
use bgp::time::{Duration, Instant};

use crate::cluster::Objects;
use crate::discovery::shown;
use crate::status::event::{Event, EventKind};

/// The least time between two Events of the same reason about the same peer.
const AGAIN: Duration = Duration::from_mins(5);

/// How many Events may come at once.
const BURST: u32 = 10;

/// How often one more may come.
const REFILL: Duration = Duration::from_secs(30);

/// The most subjects that are remembered.
const SUBJECTS: usize = 512;

/// The reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteReason {
    /// A session came up.
    PeerEstablished,
    /// A session that was up went down.
    PeerDown,
    /// Two nodes have the same pods' prefix.
    PrefixConflict,
    /// An object is wrong, or contradicts another.
    ConfigurationRefused,
    /// The node can carry pods.
    PodNetworkReady,
}

impl NoteReason {
    /// The reason's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PeerEstablished => "PeerEstablished",
            Self::PeerDown => "PeerDown",
            Self::PrefixConflict => "PrefixConflict",
            Self::ConfigurationRefused => "ConfigurationRefused",
            Self::PodNetworkReady => "PodNetworkReady",
        }
    }

    /// Whether somebody should look.
    #[must_use]
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::PeerDown | Self::PrefixConflict | Self::ConfigurationRefused)
    }
}

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The agent's own Node.
    Node,
    /// A Fabric.
    Fabric(String),
    /// A FabricPeer.
    FabricPeer(String),
}

/// An Event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Why.
    pub reason: NoteReason,
    /// About what.
    pub subject: Subject,
    /// The particulars.
    pub text: String,
}

/// When something was last told, and how often it was held back since.
#[derive(Debug)]
struct Last {
    at: Instant,
    held: u32,
}

/// The bucket, and what was told.
#[derive(Debug)]
pub struct Notes {
    told: BTreeMap<(NoteReason, Subject, String), Last>,
    left: u32,
    filled_at: Instant,
}

impl Notes {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { told: BTreeMap::new(), left: BURST, filled_at: now }
    }

    /// What of an event is to be told.
    pub fn take(&mut self, event: &Event, objects: Option<&Objects>) -> Vec<Note> {
        let notes = notes(event, objects);
        notes.into_iter().filter_map(|(key, note)| self.pass(key, note, event.at)).collect()
    }

    /// The note, if its like was not told lately and the bucket is not empty.
    pub fn pass(&mut self, key: String, mut note: Note, now: Instant) -> Option<Note> {
        let steps = now.since(self.filled_at).as_nanos() / REFILL.as_nanos();
        if steps > 0 {
            self.left = self.left.saturating_add(u32::try_from(steps).unwrap_or(BURST)).min(BURST);
            self.filled_at = now;
        }
        if self.told.len() >= SUBJECTS {
            self.told.retain(|_, last| now.since(last.at) < AGAIN);
        }
        let key = (note.reason, note.subject.clone(), key);
        if let Some(last) = self.told.get_mut(&key) {
            if now.since(last.at) < AGAIN || self.left == 0 {
                last.held += 1;
                return None;
            }
            if last.held > 0 {
                note.text = format!("{} (and {} times since it was last told)", note.text, last.held);
            }
        } else if self.left == 0 || self.told.len() >= SUBJECTS {
            return None;
        }
        self.left -= 1;
        self.told.insert(key, Last { at: now, held: 0 });
        Some(note)
    }
}

/// What an event is in Events, each with what makes it the same as an earlier one.
fn notes(event: &Event, objects: Option<&Objects>) -> Vec<(String, Note)> {
    match event.kind {
        EventKind::Session => session(event, objects).into_iter().collect(),
        EventKind::ConfigurationRefused | EventKind::ConfigurationUnread => {
            let text = &event.text;
            let reason = if text.contains("overlaps podCIDR") {
                NoteReason::PrefixConflict
            } else if objects.is_some_and(|objects| !named(text, objects).is_empty()) {
                NoteReason::ConfigurationRefused
            } else {
                return Vec::new();
            };
            let mut subjects = vec![Subject::Node];
            subjects.extend(objects.map(|objects| named(text, objects)).unwrap_or_default());
            let note = |subject| (text.clone(), Note { reason, subject, text: text.clone() });
            subjects.into_iter().map(note).collect()
        }
        _ => Vec::new(),
    }
}

fn session(event: &Event, objects: Option<&Objects>) -> Option<(String, Note)> {
    let (peer, (from, to)) = (event.peer.as_ref()?, event.states?);
    if !objects?.peers.contains_key(&peer.name) {
        return None;
    }
    let asn = peer.asn.map(|asn| format!(" AS {asn}")).unwrap_or_default();
    let who = format!("{} {}{asn}", peer.name, shown(peer.address));
    let (reason, text) = match (from, to) {
        (_, State::Established) => (NoteReason::PeerEstablished, format!("session with {who} is up")),
        (State::Established, _) => {
            let cause = [event.reason.unwrap_or_default(), event.text.as_str()];
            let cause: Vec<&str> = cause.into_iter().filter(|part| !part.is_empty()).collect();
            (NoteReason::PeerDown, format!("session with {who} went down: {}", cause.join(": ")))
        }
        _ => return None,
    };
    Some((shown(peer.address), Note { reason, subject: Subject::Node, text }))
}

/// The objects that a problem names, as `Fabric "x"` and `FabricPeer "x"`.
fn named(text: &str, objects: &Objects) -> Vec<Subject> {
    let mut found = Vec::new();
    for (at, word) in text.match_indices('"').step_by(2).zip(text.split('"').skip(1).step_by(2)) {
        let before = text[..at.0].trim_end().rsplit([' ', ':']).next().unwrap_or_default();
        let subject = match before {
            "Fabric" if objects.fabrics.contains_key(word) => Subject::Fabric(word.to_owned()),
            "FabricPeer" if objects.peers.contains_key(word) => Subject::FabricPeer(word.to_owned()),
            _ => continue,
        };
        if !found.contains(&subject) {
            found.push(subject);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::cluster::manifest;
    use crate::status::event::EventPeer;

    use super::*;

    fn objects() -> Objects {
        let (mut objects, mut problems) = (Objects::default(), Vec::new());
        let text = r#"{apiVersion: underlay.dev/v1alpha1, kind: FabricPeer, metadata: {name: tor}, spec: {address: 10.0.0.9, asn: 1}}
---
{apiVersion: underlay.dev/v1alpha1, kind: Fabric, metadata: {name: a}, spec: {}}
---
{apiVersion: underlay.dev/v1alpha1, kind: Fabric, metadata: {name: b}, spec: {}}
"#;
        manifest::read("a.yaml", text, &mut objects, &mut problems);
        assert_eq!(problems, []);
        objects
    }

    fn session(name: &str, from: State, to: State, seconds: u64) -> Event {
        let address: IpAddr = "10.0.0.9".parse().unwrap();
        let peer = EventPeer { name: name.into(), address, asn: None };
        let at = Instant::default() + Duration::from_secs(seconds);
        Event {
            states: Some((from, to)),
            reason: Some("hold-timer"),
            ..Event::of_peer(EventKind::Session, peer, "", at)
        }
    }

    #[test]
    fn a_peer_that_flaps_is_told_once_in_a_while_and_how_often() {
        let objects = objects();
        let mut notes = Notes::new(Instant::default());
        let mut told = Vec::new();
        for second in 0..=400 {
            told.extend(notes.take(&session("tor", State::Established, State::Idle, second), Some(&objects)));
        }
        let texts: Vec<&str> = told.iter().map(|note| note.text.as_str()).collect();
        let down = "session with tor 10.0.0.9 went down: hold-timer";
        assert_eq!(texts, [down, &format!("{down} (and 299 times since it was last told)")]);
    }

    #[test]
    fn a_peer_of_the_mesh_and_an_attempt_are_not_told() {
        let (objects, mut notes) = (objects(), Notes::new(Instant::default()));
        assert_eq!(notes.take(&session("n2", State::OpenConfirm, State::Established, 0), Some(&objects)), []);
        assert_eq!(notes.take(&session("tor", State::Connect, State::Idle, 0), Some(&objects)), []);
        let up = notes.take(&session("tor", State::OpenConfirm, State::Established, 0), Some(&objects));
        assert_eq!(
            (up[0].reason, up[0].text.as_str()),
            (NoteReason::PeerEstablished, "session with tor 10.0.0.9 is up")
        );
    }

    #[test]
    fn contradictions_are_told_on_both_objects_and_in_a_bounded_number() {
        let (objects, mut notes) = (objects(), Notes::new(Instant::default()));
        let text = "Fabric \"b\" and Fabric \"a\" contradict each other in field `spec.asn` for node \"n1\"";
        let event = Event::new(EventKind::ConfigurationRefused, text, Instant::default());
        let subjects: Vec<Subject> =
            notes.take(&event, Some(&objects)).into_iter().map(|note| note.subject).collect();
        assert_eq!(subjects, [Subject::Node, Subject::Fabric("b".into()), Subject::Fabric("a".into())]);
        let many = (0..100).map(|number| format!("Fabric \"a\" is wrong in the {number}th way"));
        let told: usize = many
            .map(|text| Event::new(EventKind::ConfigurationUnread, &text, Instant::default()))
            .map(|event| notes.take(&event, Some(&objects)).len())
            .sum();
        assert_eq!(told, 7, "ten at once");
        let overlap = "podCIDR 10.0.0.0/24 of Node \"n1\" overlaps podCIDR 10.0.0.0/24 of Node \"n2\"";
        let event = Event::new(EventKind::ConfigurationRefused, overlap, Instant::default() + 2 * REFILL);
        let note = &notes.take(&event, Some(&objects))[0];
        assert_eq!((note.reason, &note.subject), (NoteReason::PrefixConflict, &Subject::Node));
    }
}
