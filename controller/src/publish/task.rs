//! The task that writes: one request at a time, a pause after each that failed,
//! and always the newest.
//!
//! Cancel-safe: dropping the task ends a request and nothing else.

use std::sync::Arc;
use std::time::Duration;

use api::crd::{FabricNodeStatus, GROUP, VERSION};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as ApiEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::Request;
use kube::core::params::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::note::{Note, NoteReason, Notes, Subject};
use super::pace;
use super::report;
use crate::cluster::Objects;
use crate::cluster::kubernetes::Connection;
use crate::cluster::kubernetes::backoff::{Backoff, spread};
use crate::cluster::kubernetes::connection::Linked;
use crate::cluster::kubernetes::trouble::Trouble;
use crate::status::snapshot::{ConditionKind, Snapshot, Snapshots};

/// Who owns the fields.
const MANAGER: &str = "underlay-agent";

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Over how long the first writes of agents are spread that start together, after a time for what settles at once.
const FIRST: Duration = Duration::from_secs(2);

/// Events of objects without a namespace are in this one.
const EVENTS: &str = "default";

/// The most Events that wait for an API server that is away.
const WAITING: usize = 32;

/// The newest objects that are good.
pub type Good = watch::Receiver<Option<Arc<Objects>>>;

/// Writes what `node` is, until the agent that shows it is gone.
pub async fn run(connection: Connection, node: String, mut snapshots: Snapshots, good: Good) {
    sleep(FIRST / 2 + spread(FIRST)).await;
    let clock = snapshots.borrow().clock;
    let mut writer = Writer {
        connection,
        node,
        good,
        made_for: None,
        written: None,
        written_at: Instant::now(),
        notes: Notes::new(clock.now()),
        noted: 0,
        ready: false,
        waiting: Vec::new(),
        told: None,
    };
    let mut backoff = Backoff::default();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        writer.note(&snapshot);
        let next = report::status(&snapshot, writer.good.borrow().as_deref());
        let due = pace::spacing(writer.written.as_ref(), &next).map(|spacing| writer.written_at + spacing);
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) || !writer.waiting.is_empty() {
            let due = due.is_some_and(|due| due <= now);
            match writer.write(due.then_some(next)).await {
                Ok(()) => {
                    writer.tell(None);
                    backoff.reset();
                }
                Err(trouble) => {
                    let pause = backoff.pause(trouble.wait);
                    if trouble.refused {
                        writer.connection.refused();
                    }
                    writer.tell(Some(trouble.text));
                    sleep(pause).await;
                }
            }
            continue;
        }
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() { return },
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
        }
    }
}

struct Writer {
    connection: Connection,
    node: String,
    good: Good,
    /// The UID of the Node that the FabricNode belongs to, once it is there.
    made_for: Option<String>,
    /// What it says.
    written: Option<FabricNodeStatus>,
    written_at: Instant,
    notes: Notes,
    /// The revision up to which events have been looked at.
    noted: u64,
    /// Whether the node could carry pods at the last look.
    ready: bool,
    waiting: Vec<Note>,
    /// What was last said of writes that fail.
    told: Option<String>,
}

impl Writer {
    /// Looks at what happened since the last look.
    fn note(&mut self, snapshot: &Snapshot) {
        let objects = self.good.borrow().clone();
        for chunk in snapshot.events.after(self.noted) {
            for event in &chunk.items {
                self.waiting.extend(self.notes.take(event, objects.as_deref()));
            }
        }
        self.noted = snapshot.revision;
        let ready = |kind| snapshot.conditions.iter().any(|c| c.kind == kind && c.holds == Some(true));
        let ready = ready(ConditionKind::PodNetworkReady);
        if ready && !self.ready {
            let note = Note {
                reason: NoteReason::PodNetworkReady,
                subject: Subject::Node,
                text: "the node can carry pods".to_owned(),
            };
            self.waiting.extend(self.notes.pass(String::new(), note, snapshot.clock.now()));
        }
        self.ready = ready;
        // Of too many the newest.
        let surplus = self.waiting.len().saturating_sub(WAITING);
        self.waiting.drain(..surplus);
    }

    /// Writes the status if there is one to write, and every Event that waits.
    async fn write(&mut self, status: Option<FabricNodeStatus>) -> Result<(), Trouble> {
        let linked = self.connection.linked().await?;
        if let Some(status) = status {
            self.write_status(&linked, status).await?;
        }
        while let Some(note) = self.waiting.first() {
            if let Some(event) = self.event(note) {
                let request = Request::new(format!("/api/v1/namespaces/{EVENTS}/events"));
                let body = serde_json::to_vec(&event).map_err(|error| Trouble::local(error.to_string()))?;
                let request = request.create(&PostParams::default(), body);
                send(&linked, request).await?;
            }
            self.waiting.remove(0);
        }
        Ok(())
    }

    async fn write_status(&mut self, linked: &Linked, status: FabricNodeStatus) -> Result<(), Trouble> {
        let objects = self.good.borrow().clone();
        let uid =
            objects.and_then(|objects| objects.nodes.get(&self.node).map(|node| node.value.uid.clone()));
        let uid = uid.unwrap_or_default();
        let head = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "FabricNode"});
        if self.made_for.as_ref() != Some(&uid) {
            let mut object = head.clone();
            object["metadata"] = json!({"name": self.node});
            if !uid.is_empty() {
                // It goes with its Node.
                let owner = json!({"apiVersion": "v1", "kind": "Node", "name": self.node, "uid": uid});
                object["metadata"]["ownerReferences"] = json!([owner]);
            }
            object["spec"] = json!({});
            self.apply(linked, "", object).await?;
            self.made_for = Some(uid);
        }
        let mut object = head;
        object["metadata"] = json!({"name": self.node});
        object["status"] =
            serde_json::to_value(&status).map_err(|error| Trouble::local(error.to_string()))?;
        if let Err(trouble) = self.apply(linked, "/status", object).await {
            // Somebody may have deleted it.
            self.made_for = None;
            return Err(trouble);
        }
        (self.written, self.written_at) = (Some(status), Instant::now());
        Ok(())
    }

    /// Server-side apply: what the agent does not say any more goes.
    async fn apply(&self, linked: &Linked, part: &str, object: Value) -> Result<(), Trouble> {
        let request = Request::new(format!("/apis/{GROUP}/{VERSION}/fabricnodes"));
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(object);
        let request = match part {
            "" => request.patch(&self.node, &params, &patch),
            _ => request.patch_subresource("status", &self.node, &params, &patch),
        };
        send(linked, request).await
    }

    /// The Event of a note; none where the object that it is about is not known by its UID.
    fn event(&self, note: &Note) -> Option<ApiEvent> {
        let objects = self.good.borrow().clone()?;
        let custom = format!("{GROUP}/{VERSION}");
        let (api_version, kind, name, uid) = match &note.subject {
            Subject::Node => {
                ("v1".to_owned(), "Node", &self.node, objects.nodes.get(&self.node)?.value.uid.clone())
            }
            Subject::Fabric(name) => (custom, "Fabric", name, objects.fabrics.get(name)?.uid.clone()),
            Subject::FabricPeer(name) => (custom, "FabricPeer", name, objects.peers.get(name)?.uid.clone()),
        };
        let now = Timestamp::now();
        Some(ApiEvent {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", now.as_nanosecond())),
                namespace: Some(EVENTS.to_owned()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(api_version),
                kind: Some(kind.to_owned()),
                name: Some(name.clone()),
                uid: (!uid.is_empty()).then_some(uid),
                ..ObjectReference::default()
            },
            reason: Some(note.reason.word().to_owned()),
            message: Some(note.text.clone()),
            type_: Some(if note.reason.is_warning() { "Warning" } else { "Normal" }.to_owned()),
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some(MANAGER.to_owned()), host: Some(self.node.clone()) }),
            ..ApiEvent::default()
        })
    }

    /// Says once that writes fail, and once that they do not any more.
    fn tell(&mut self, trouble: Option<String>) {
        if self.told == trouble {
            return;
        }
        match &trouble {
            Some(reason) => tracing::warn!(event = "fabric-node-unwritten", reason),
            None => tracing::info!(event = "fabric-node-written"),
        }
        self.told = trouble;
    }
}

type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

pub(super) async fn send(linked: &Linked, request: Built) -> Result<(), Trouble> {
    let request = request.map_err(|error| Trouble::local(error.to_string()))?;
    let answer = timeout(ANSWER, linked.client.request_text(request)).await;
    answer
        .map_err(|_| Trouble::silent(&linked.server))?
        .map_err(|error| Trouble::of(&linked.server, &error))
        .map(drop)
}
