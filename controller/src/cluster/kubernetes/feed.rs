//! A task that lists one kind and then watches it, for good. It holds no object:
//! what it reads goes on at once, a page of a list at a time.
//!
//! ```text
//!   list, in pages ──> watch from its version ──> the watch ends ──> watch again
//!        ^                                             │
//!        └── version unknown (410), spread ────────────┤
//!                                                      └── failed ──> pause, longer each time
//! ```
//!
//! Cancel-safe: dropping the task ends the requests and nothing else.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup;
use kube::core::params::{ListParams, WatchParams};
use kube::core::{Request, WatchEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::backoff::{Backoff, lists, spread};
use super::connection::{Connection, Linked};
use super::item::{DISCOVERY, Item, Kind, List};
use super::standing::Standing;
use super::store::{Change, Feed, Head, Message, Value};
use super::trouble::Trouble;
use super::verdict::ACCEPTED;

/// Objects of one answer: a Node with its images is some 15 KB of text, and the text is held as a whole.
const PAGE: u32 = 50;

/// How long an answer may take; a page of a list is the most of one.
const ANSWER: Duration = Duration::from_secs(20);

/// How long a watch is asked to last, in seconds: from the first to both together, so that those that began in
/// one instant do not end in one.
const WATCH: (u32, u32) = (240, 120);

/// How long beyond its end a silent watch is believed to live.
const GRACE: Duration = Duration::from_secs(15);

/// The least time from one watch to the next: one that always ends at once must not be asked for at once.
const SPACING: Duration = Duration::from_secs(1);

/// Why a round ended early.
enum End {
    /// Nobody listens.
    Unheard,
    /// The request failed.
    Failed(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// Lists and watches until nobody listens.
pub(super) async fn run(connection: Connection, feed: Feed, out: mpsc::Sender<Message>) {
    let mut task = Task { connection, feed, out, version: None };
    let mut backoff = Backoff::default();
    loop {
        let began_at = Instant::now();
        let pause = match task.round(&mut backoff).await {
            Ok(()) => SPACING.saturating_sub(began_at.elapsed()),
            Err(End::Unheard) => return,
            Err(End::Failed(trouble)) => {
                if trouble.refused {
                    task.connection.refused();
                }
                if trouble.gone {
                    task.version = None;
                    // That is how a watch is told to begin anew, and no trouble; every agent is told so at once.
                    backoff.pause(trouble.wait) + spread(lists(task.connection.nodes()))
                } else {
                    let pause = backoff.pause(trouble.wait);
                    if task.tell(Change::Trouble(trouble)).await.is_err() {
                        return;
                    }
                    pause
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = task.out.closed() => return,
        }
    }
}

struct Task {
    connection: Connection,
    feed: Feed,
    out: mpsc::Sender<Message>,
    /// What is known of; `None` before the first whole list.
    version: Option<String>,
}

impl Task {
    /// One watch to its end, and a list before it where one is needed.
    async fn round(&mut self, backoff: &mut Backoff) -> Result<(), End> {
        let linked = self.connection.linked().await?;
        let version = self.group_version(&linked).await?;
        let request = Request::new(self.feed.kind.path(&linked.namespace, version));
        let fields = self.feed.name.as_ref().map(|name| format!("metadata.name={name}"));
        let version = match self.version.clone() {
            Some(version) => version,
            None => self.list(&linked, &request, fields.as_deref()).await?,
        };
        let lasting =
            WATCH.0 + u32::try_from(spread(Duration::from_secs(WATCH.1.into())).as_secs()).unwrap_or(0);
        let params = WatchParams {
            field_selector: fields,
            timeout: Some(lasting.min(294)),
            bookmarks: true,
            ..WatchParams::default()
        };
        let asked = request.watch(&params, &version).map_err(|error| Trouble::local(error.to_string()))?;
        let server = &linked.server;
        let failed = |error| Trouble::of(server, &error);
        let answer = timeout(ANSWER, linked.client.request_events::<Item>(asked)).await;
        let events = answer.map_err(|_| Trouble::silent(server))?.map_err(failed)?;
        let mut events = pin!(events);
        self.tell(Change::Live).await?;
        let end = Instant::now() + Duration::from_secs(lasting.into()) + GRACE;
        loop {
            let event = tokio::time::timeout_at(end, events.try_next()).await;
            let Some(event) = event.map_err(|_| Trouble::silent(server))?.map_err(failed)? else {
                return Ok(());
            };
            backoff.reset();
            match event {
                WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                    self.version = Some(item.metadata.resource_version.clone());
                    self.put(item).await?;
                }
                WatchEvent::Deleted(item) => {
                    self.version = Some(item.metadata.resource_version.clone());
                    self.tell(Change::Gone(item.name(self.feed.kind))).await?;
                }
                WatchEvent::Bookmark(mark) => self.version = Some(mark.metadata.resource_version),
                WatchEvent::Error(status) => return Err(Trouble::status(server, &status).into()),
            }
        }
    }

    /// The version of EndpointSlices that the server has: before 1.21 an older one.
    async fn group_version(&self, linked: &Linked) -> Result<&'static str, Trouble> {
        if self.feed.kind != Kind::EndpointSlice {
            return Ok("v1");
        }
        let asked = http::Request::get(DISCOVERY).body(Vec::new());
        let asked = asked.map_err(|error| Trouble::local(error.to_string()))?;
        let answer = timeout(ANSWER, linked.client.request::<APIGroup>(asked)).await;
        let group = answer
            .map_err(|_| Trouble::silent(&linked.server))?
            .map_err(|error| Trouble::of(&linked.server, &error))?;
        let newest = group.versions.iter().any(|version| version.version == "v1");
        Ok(if newest { "v1" } else { "v1beta1" })
    }

    /// The whole list in pages; its version.
    async fn list(
        &mut self,
        linked: &Linked,
        request: &Request,
        fields: Option<&str>,
    ) -> Result<String, End> {
        let mut params = ListParams { limit: Some(PAGE), ..ListParams::default() };
        params.field_selector = fields.map(str::to_owned);
        self.tell(Change::Begin).await?;
        let mut count = 0;
        loop {
            let asked = request.list(&params).map_err(|error| Trouble::local(error.to_string()))?;
            // Not the client's own reading: it would log a text that it cannot read, and that may be a Secret.
            let answer = timeout(ANSWER, linked.client.request_text(asked)).await;
            let text = answer
                .map_err(|_| Trouble::silent(&linked.server))?
                .map_err(|error| Trouble::of(&linked.server, &error))?;
            let list: List = serde_json::from_str(&text).map_err(|error| {
                Trouble::local(format!("Kubernetes API {} answers with no list: {error}", linked.server))
            })?;
            drop(text);
            count += list.items.len();
            for item in list.items {
                self.put(item).await?;
            }
            if list.metadata.more.is_empty() {
                if self.feed.kind == Kind::Node {
                    self.connection.count(count);
                }
                self.version = Some(list.metadata.resource_version.clone());
                self.tell(Change::Complete).await?;
                return Ok(list.metadata.resource_version);
            }
            params.continue_token = Some(list.metadata.more);
        }
    }

    async fn put(&self, item: Item) -> Result<(), End> {
        let kind = self.feed.kind;
        let name = item.name(kind);
        let head = Head {
            uid: item.metadata.uid.clone(),
            generation: item.metadata.generation,
            said: item.said(ACCEPTED),
            standing: (kind == Kind::Node).then(|| Standing::of(&item)),
        };
        let value = item.read(kind).and_then(|mut objects| Value::take(kind, &mut objects));
        self.tell(Change::Put(name, Box::new(head), value)).await
    }

    async fn tell(&self, change: Change) -> Result<(), End> {
        let message = Message { feed: self.feed.clone(), change };
        self.out.send(message).await.map_err(|_| End::Unheard)
    }
}

/// The feeds that run where a Fabric of the node wants Services.
pub(super) const SERVICES: [Kind; 2] = [Kind::Service, Kind::EndpointSlice];

/// The feeds that always run.
pub(super) const KINDS: [Kind; 3] = [Kind::Node, Kind::Fabric, Kind::FabricPeer];
