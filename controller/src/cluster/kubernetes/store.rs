//! The objects as the API server has them, and for one that is wrong as it was
//! when it was good. Pure: what the feeds read goes in, a set and what is wrong
//! with it come out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::named::Named;
use super::super::object::{NodeFacts, Objects, Problem, Sourced, SourcedService, SourcedSlice};
use super::super::secret::SecretData;
use super::item::{Kind, Said};
use super::standing::Standing;
use super::trouble::Trouble;
use super::verdict::{Verdict, Writers};
use api::crd::{FabricPeerSpec, FabricSpec};

/// What one task lists and watches: a kind, or one object of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feed {
    /// The kind.
    pub kind: Kind,
    /// The object; `None` for all of them.
    pub name: Option<String>,
}

/// What a feed has to say.
#[derive(Debug)]
pub struct Message {
    /// Which feed.
    pub feed: Feed,
    /// What.
    pub change: Change,
}

/// What became of the objects of a feed, or of the feed itself.
#[derive(Debug)]
pub enum Change {
    /// A list begins: an object that is not in it is gone.
    Begin,
    /// An object as it is, by its name, or what is wrong with it.
    Put(String, Box<Head>, Result<Value, Vec<Problem>>),
    /// An object that is no more.
    Gone(String),
    /// The list is whole.
    Complete,
    /// The API server answers.
    Live,
    /// It does not, or not with what was asked for.
    Trouble(Trouble),
}

/// What of an object is known without reading what it says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Head {
    /// The one of all objects that ever had its name.
    pub uid: String,
    /// Counts the versions of its spec.
    pub generation: i64,
    /// What it says of itself about being accepted.
    pub said: Option<Said>,
    /// Of a Node: whether it may carry pods.
    pub standing: Option<Standing>,
}

/// An object of one of the kinds.
#[derive(Debug)]
pub enum Value {
    /// A Node.
    Node(Sourced<Arc<NodeFacts>>),
    /// A Fabric.
    Fabric(Box<Sourced<FabricSpec>>),
    /// A FabricPeer.
    Peer(Box<Sourced<FabricPeerSpec>>),
    /// A Secret.
    Secret(Sourced<SecretData>),
    /// A Service.
    Service(SourcedService),
    /// An EndpointSlice.
    Slice(SourcedSlice),
}

impl Value {
    /// The one object of a set.
    ///
    /// # Errors
    /// There is none of that kind, which no reading of an object leaves behind.
    pub(super) fn take(kind: Kind, objects: &mut Objects) -> Result<Self, Vec<Problem>> {
        let value = match kind {
            Kind::Node => objects.nodes.pop_first().map(|(_, value)| Self::Node(value)),
            Kind::Fabric => objects.fabrics.pop_first().map(|(_, value)| Self::Fabric(Box::new(value))),
            Kind::FabricPeer => objects.peers.pop_first().map(|(_, value)| Self::Peer(Box::new(value))),
            Kind::Secret => objects.secrets.pop_first().map(|(_, value)| Self::Secret(value)),
            Kind::Service => objects.services.pop_first().map(|(_, value)| Self::Service(value)),
            Kind::EndpointSlice => objects.slices.pop_first().map(|(_, value)| Self::Slice(value)),
        };
        value.ok_or_else(|| vec![Problem::anywhere(format!("no {}", kind.name()))])
    }
}

/// The objects that contradict another, by kind and name, with what is said of it.
pub type Conflicts = BTreeMap<(&'static str, String), String>;

#[derive(Debug, Default)]
struct FeedState {
    /// What the list that is being read has brought.
    listed: Option<BTreeSet<String>>,
    complete: bool,
    trouble: Option<Trouble>,
}

/// The objects and the feeds that bring them.
#[derive(Debug)]
pub struct Store {
    objects: Objects,
    /// What is wrong with objects, whose good state before is in `objects` if there was one.
    wrong: BTreeMap<(Kind, String), Vec<Problem>>,
    feeds: BTreeMap<Feed, FeedState>,
    /// Of Fabrics and FabricPeers.
    heads: BTreeMap<(Kind, String), Head>,
    /// Which nodes write what is found of those.
    writers: Writers,
    /// What an earlier run has kept, for objects that are wrong from the start.
    kept: Option<Arc<Objects>>,
    changed: bool,
}

impl Store {
    /// A store that is filled by `feeds`.
    #[must_use]
    pub fn new(feeds: impl IntoIterator<Item = Feed>, kept: Option<Arc<Objects>>) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed, FeedState::default())).collect();
        Self {
            objects: Objects::default(),
            wrong: BTreeMap::new(),
            feeds,
            heads: BTreeMap::new(),
            writers: Writers::default(),
            kept,
            changed: false,
        }
    }

    /// Takes in what a feed says; one that was dropped says nothing any more.
    pub fn take(&mut self, message: Message) {
        let Message { feed, change } = message;
        let Some(state) = self.feeds.get_mut(&feed) else { return };
        match change {
            Change::Begin => state.listed = Some(BTreeSet::new()),
            Change::Put(name, head, value) => {
                if matches!(feed.kind, Kind::Fabric | Kind::FabricPeer) {
                    self.writers.object(&head.uid, self.objects.nodes.keys());
                    self.heads.insert((feed.kind, name.clone()), *head);
                }
                if let Some(listed) = &mut state.listed {
                    listed.insert(name.clone());
                }
                self.changed |= match value {
                    Ok(value) => {
                        self.wrong.remove(&(feed.kind, name.clone())).is_some() | self.put(name, value)
                    }
                    Err(problems) => self.keep(feed.kind, name, problems),
                };
            }
            Change::Gone(name) => self.changed |= self.remove(feed.kind, &name),
            Change::Complete => {
                (state.complete, state.trouble) = (true, None);
                let listed = state.listed.take().unwrap_or_default();
                for name in self.names(&feed) {
                    if !listed.contains(&name) {
                        self.changed |= self.remove(feed.kind, &name);
                    }
                }
            }
            Change::Live => state.trouble = None,
            Change::Trouble(trouble) => state.trouble = Some(trouble),
        }
    }

    /// Puts a good object; whether that is news.
    fn put(&mut self, name: String, value: Value) -> bool {
        fn put<T: PartialEq>(into: &mut BTreeMap<String, T>, name: String, value: T) -> bool {
            if into.get(&name) == Some(&value) {
                return false;
            }
            into.insert(name, value);
            true
        }
        fn name_it<T: PartialEq>(into: &mut Named<T>, name: &str, value: T) -> bool {
            let news = into.get(name) != Some(&value);
            if news {
                into.insert(name, value);
            }
            news
        }
        match value {
            Value::Node(value) => {
                let nodes = &mut self.objects.nodes;
                let news = nodes.get(&name) != Some(&value);
                if news {
                    self.writers.come(&name);
                    nodes.insert(&name, value);
                }
                news
            }
            Value::Fabric(value) => put(&mut self.objects.fabrics, name, *value),
            Value::Peer(value) => put(&mut self.objects.peers, name, *value),
            Value::Secret(value) => put(&mut self.objects.secrets, name, value),
            Value::Service(value) => name_it(&mut self.objects.services, &name, value),
            Value::Slice(value) => name_it(&mut self.objects.slices, &name, value),
        }
    }

    /// Keeps a wrong object as it was; whether what is wrong is news.
    fn keep(&mut self, kind: Kind, name: String, problems: Vec<Problem>) -> bool {
        if !self.stands(kind, &name)
            && let Some(kept) = &self.kept
        {
            let objects = &mut self.objects;
            match kind {
                Kind::Node => {
                    if let Some(node) = kept.nodes.get(&name) {
                        self.writers.come(&name);
                        objects.nodes.insert(&name, node.clone());
                    }
                }
                Kind::Fabric => copy(&kept.fabrics, &mut objects.fabrics, &name),
                Kind::FabricPeer => copy(&kept.peers, &mut objects.peers, &name),
                Kind::Service => {
                    if let Some(service) = kept.services.get(&name) {
                        objects.services.insert(&name, service.clone());
                    }
                }
                Kind::Secret | Kind::EndpointSlice => {}
            }
        }
        self.wrong.insert((kind, name), problems.clone()) != Some(problems)
    }

    fn remove(&mut self, kind: Kind, name: &str) -> bool {
        let wrong = self.wrong.remove(&(kind, name.to_owned())).is_some();
        if self.heads.remove(&(kind, name.to_owned())).is_some() {
            let there: BTreeSet<&str> = self.heads.values().map(|head| head.uid.as_str()).collect();
            self.writers.retain(|uid| there.contains(uid));
        }
        let good = match kind {
            Kind::Node => {
                let there = self.objects.nodes.remove(name);
                self.writers.gone(name, || self.objects.nodes.keys());
                there
            }
            Kind::Fabric => self.objects.fabrics.remove(name).is_some(),
            Kind::FabricPeer => self.objects.peers.remove(name).is_some(),
            Kind::Secret => self.objects.secrets.remove(name).is_some(),
            Kind::Service => self.objects.services.remove(name),
            Kind::EndpointSlice => self.objects.slices.remove(name),
        };
        wrong | good
    }

    fn stands(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Node => self.objects.nodes.contains_key(name),
            Kind::Fabric => self.objects.fabrics.contains_key(name),
            Kind::FabricPeer => self.objects.peers.contains_key(name),
            Kind::Secret => self.objects.secrets.contains_key(name),
            Kind::Service => self.objects.services.contains_key(name),
            Kind::EndpointSlice => self.objects.slices.contains_key(name),
        }
    }

    /// The names of everything that a feed has brought.
    fn names(&self, feed: &Feed) -> Vec<String> {
        if let Some(name) = &feed.name {
            return vec![name.clone()];
        }
        let good: Vec<String> = match feed.kind {
            Kind::Node => self.objects.nodes.keys().map(str::to_owned).collect(),
            Kind::Fabric => self.objects.fabrics.keys().cloned().collect(),
            Kind::FabricPeer => self.objects.peers.keys().cloned().collect(),
            Kind::Secret => self.objects.secrets.keys().cloned().collect(),
            Kind::Service => self.objects.services.keys().map(str::to_owned).collect(),
            Kind::EndpointSlice => self.objects.slices.keys().map(str::to_owned).collect(),
        };
        let wrong = self.wrong.keys().filter(|(kind, _)| *kind == feed.kind).map(|(_, name)| name.clone());
        good.into_iter().chain(wrong).collect()
    }

    /// The Secrets that the FabricPeers of a node name, at most `most` of them.
    #[must_use]
    pub fn secrets_of(&self, node: &str, most: usize) -> BTreeSet<String> {
        let Some(node) = self.objects.nodes.get(node) else { return BTreeSet::new() };
        let peers = self.objects.peers.values().map(|peer| &peer.value);
        let selecting = peers.filter(|peer| peer.node_selector.matches(&node.value.labels));
        let named = selecting.filter_map(|peer| peer.password_secret_ref.as_ref());
        let names: BTreeSet<&String> = named.map(|secret| &secret.name).collect();
        names.into_iter().take(most).cloned().collect()
    }

    /// Whether a Fabric of a node wants Services to be known.
    #[must_use]
    pub fn wants_services(&self, node: &str) -> bool {
        let Some(node) = self.objects.nodes.get(node) else { return false };
        self.objects.fabrics.values().map(|fabric| &fabric.value).any(|fabric| {
            let said = fabric.advertise.as_ref().is_some_and(|advertise| !advertise.services.is_empty());
            said && fabric.node_selector.matches(&node.value.labels)
        })
    }

    /// Feeds from here on these and no others beside those that it began with; which are new.
    pub fn want(&mut self, wanted: &BTreeSet<Feed>) -> Vec<Feed> {
        let always = |feed: &Feed| matches!(feed.kind, Kind::Node | Kind::Fabric | Kind::FabricPeer);
        let dropped: Vec<Feed> =
            self.feeds.keys().filter(|feed| !always(feed) && !wanted.contains(feed)).cloned().collect();
        for feed in dropped {
            for name in self.names(&feed) {
                self.changed |= self.remove(feed.kind, &name);
            }
            self.feeds.remove(&feed);
        }
        let new: Vec<Feed> = wanted.iter().filter(|feed| !self.feeds.contains_key(feed)).cloned().collect();
        self.feeds.extend(new.iter().map(|feed| (feed.clone(), FeedState::default())));
        new
    }

    /// Whether every list has been read, or of a single object has failed to.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let read = |(feed, state): (&Feed, &FeedState)| {
            state.complete || (feed.name.is_some() && state.trouble.is_some())
        };
        self.feeds.iter().all(read)
    }

    /// What an earlier run has kept is not needed any more: everything has been read once.
    pub fn forget_kept(&mut self) {
        self.kept = None;
    }

    /// Whether something changed since it was last asked.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The objects.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// What is wrong with objects, and what becomes of them.
    #[must_use]
    pub fn wrong(&self) -> Vec<Problem> {
        self.wrong.iter().flat_map(|((kind, name), problems)| self.told(*kind, name, problems)).collect()
    }

    /// What is wrong with Fabrics of which no good state is known: without them the others say something else.
    #[must_use]
    pub fn unknown(&self) -> Vec<Problem> {
        let unknown = |(kind, name): &(Kind, String)| *kind == Kind::Fabric && !self.stands(*kind, name);
        let all = self.wrong.iter().filter(|(key, _)| unknown(key));
        all.flat_map(|((kind, name), problems)| self.told(*kind, name, problems)).collect()
    }

    /// Why the newest state of a Node is not known: what is wrong with it, or what its feed suffers from.
    #[must_use]
    pub fn unread(&self, node: &str) -> Option<String> {
        let feed = self.feeds.get(&Feed { kind: Kind::Node, name: None });
        let trouble = feed.and_then(|state| state.trouble.as_ref()).map(|trouble| trouble.text.clone());
        let wrong = self.wrong.get(&(Kind::Node, node.to_owned())).and_then(|problems| problems.first());
        trouble.or_else(|| wrong.map(|problem| problem.text.clone()))
    }

    fn told(&self, kind: Kind, name: &str, problems: &[Problem]) -> Vec<Problem> {
        let consequence = if self.stands(kind, name) { "it stays as it was" } else { "it is left out" };
        let told = |problem: &Problem| Problem::anywhere(format!("{}; {consequence}", problem.text));
        problems.iter().map(told).collect()
    }

    /// Whether this node is among those that may write what an object is told of itself.
    #[must_use]
    pub fn is_judge(&self, node: &str) -> bool {
        self.heads.values().any(|head| self.writers.place(&head.uid, node).is_some())
    }

    /// The verdicts that objects do not carry yet, with this node's place among those that may write them;
    /// `conflicts` are the objects that contradict another.
    #[must_use]
    pub fn verdicts(&self, node: &str, conflicts: &Conflicts) -> Vec<(Verdict, usize)> {
        let of = |((kind, name), head): (&(Kind, String), &Head)| {
            let problems = self.wrong.get(&(*kind, name.clone())).map(Vec::as_slice).unwrap_or_default();
            let wrong: Vec<&str> = problems.iter().map(|problem| problem.text.as_str()).collect();
            let conflict = conflicts.get(&(kind.name(), name.clone())).filter(|_| wrong.is_empty());
            let (conflicting, wrong) = (conflict.is_some(), conflict.cloned().unwrap_or(wrong.join("; ")));
            let Head { uid, generation, said, standing: _ } = head.clone();
            let verdict =
                Verdict { kind: *kind, name: name.clone(), uid, generation, wrong, conflicting, said };
            if !verdict.is_news() {
                return None;
            }
            let place = self.writers.place(&verdict.uid, node);
            place.map(|place| (verdict, place))
        };
        self.heads.iter().filter_map(of).collect()
    }

    /// What the feeds suffer from, each once.
    #[must_use]
    pub fn troubles(&self) -> BTreeSet<String> {
        let troubles = self.feeds.values().filter_map(|state| state.trouble.as_ref());
        troubles.map(|trouble| trouble.text.clone()).collect()
    }
}

fn copy<T: Clone>(from: &BTreeMap<String, T>, into: &mut BTreeMap<String, T>, name: &str) {
    if let Some(value) = from.get(name) {
        into.insert(name.to_owned(), value.clone());
    }
}
