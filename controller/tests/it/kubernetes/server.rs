//! An API server of the test's: lists and watches from memory, and failures on
//! demand. It speaks plain HTTP/1.1, one connection a task.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the server takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As it should.
    Well,
    /// Connections end at once, those that are open too.
    Down,
    /// Every request gets this status.
    Status(u16),
    /// No request gets an answer.
    Silent,
}

#[derive(Default)]
struct State {
    version: u64,
    /// Versions before this are not known any more.
    oldest: u64,
    /// Objects by the path of their list and their name.
    objects: BTreeMap<String, BTreeMap<String, Value>>,
    /// What happened: version, path, event.
    events: Vec<(u64, String, Value)>,
    requests: Vec<String>,
}

/// A server and what it holds.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    mode: watch::Sender<(Mode, u64)>,
}

impl Server {
    /// Starts a server that holds nothing.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { version: 1, ..State::default() }));
        let (mode, changes) = watch::channel((Mode::Well, 0));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                tokio::spawn(serve(stream, Arc::clone(&shared), changes.clone()));
            }
        });
        Self { address, state, mode }
    }

    /// A kubeconfig for the server.
    pub(super) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        })
        .to_string()
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.mode.send_replace((mode, 0));
    }

    /// Creates or replaces an object in the list at `path`.
    pub(super) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        let before = state.objects.entry(path.to_owned()).or_default().insert(name, object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        state.events.push((version, path.to_owned(), json!({"type": kind, "object": object})));
        drop(state);
        self.mode.send_modify(|(_, count)| *count += 1);
    }

    /// Deletes an object.
    pub(super) fn delete(&self, path: &str, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let mut object = state.objects.get_mut(path).unwrap().remove(name).unwrap();
        object["metadata"]["resourceVersion"] = version.to_string().into();
        state.events.push((version, path.to_owned(), json!({"type": "DELETED", "object": object})));
        drop(state);
        self.mode.send_modify(|(_, count)| *count += 1);
    }

    /// Forgets what happened so far, as compaction does.
    pub(super) fn compact(&self) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.oldest = state.version;
        state.events.clear();
    }

    /// The requests since this was last asked.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, mut mode: watch::Receiver<(Mode, u64)>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    loop {
        if mode.borrow_and_update().0 == Mode::Down {
            return;
        }
        // A request is its first line here; what it carries is read and left aside.
        let line = tokio::select! {
            line = lines.next_line() => line,
            changed = mode.changed() => { if changed.is_err() { return } continue }
        };
        let Ok(Some(line)) = line else { return };
        let mut length = 0;
        while let Ok(Some(head)) = lines.next_line().await {
            if head.is_empty() {
                break;
            }
            if let Some((_, value)) =
                head.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap();
            }
        }
        if lines.get_mut().read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        state.lock().unwrap().requests.push(target.clone());
        let now = mode.borrow_and_update().0;
        let answered = match now {
            Mode::Well => answer(&target, &mut writer, &state, &mut mode).await,
            Mode::Status(code) => {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                    "message": "as the test wants it", "reason": ""});
                whole(&mut writer, code, &status).await
            }
            Mode::Down => return,
            Mode::Silent => {
                while mode.borrow_and_update().0 == Mode::Silent {
                    if mode.changed().await.is_err() {
                        return;
                    }
                }
                return;
            }
        };
        if !answered {
            return;
        }
    }
}

type Writer = tokio::net::tcp::OwnedWriteHalf;

async fn whole(writer: &mut Writer, code: u16, body: &Value) -> bool {
    let body = body.to_string();
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    writer.write_all(text.as_bytes()).await.is_ok()
}

async fn answer(
    target: &str,
    writer: &mut Writer,
    state: &Mutex<State>,
    mode: &mut watch::Receiver<(Mode, u64)>,
) -> bool {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?;
        Some(pair.1.replace("%3D", "=").replace("%2E", "."))
    };
    if path == "/version" {
        return whole(
            writer,
            200,
            &json!({"major": "1", "minor": "20", "gitVersion": "v1.20.2", "gitCommit": "",
            "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
        )
        .await;
    }
    if path.ends_with("/status") {
        return whole(writer, 200, &json!({})).await;
    }
    let wanted = parameter("fieldSelector")
        .and_then(|fields| fields.strip_prefix("metadata.name=").map(str::to_owned));
    let fits = |object: &Value| wanted.as_deref().is_none_or(|name| object["metadata"]["name"] == name);
    if parameter("watch").is_none() {
        let list = {
            let state = state.lock().unwrap();
            let items: Vec<Value> = state
                .objects
                .get(path)
                .into_iter()
                .flat_map(|objects| objects.values())
                .filter(|o| fits(o))
                .cloned()
                .collect();
            json!({"metadata": {"resourceVersion": state.version.to_string()}, "items": items})
        };
        return whole(writer, 200, &list).await;
    }
    let mut seen: u64 = parameter("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    if writer.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    loop {
        let (lines, gone): (Vec<String>, bool) = {
            let state = state.lock().unwrap();
            let news = state
                .events
                .iter()
                .filter(|(version, at, event)| *version > seen && at == path && fits(&event["object"]));
            (news.map(|(_, _, event)| event.to_string()).collect(), seen < state.oldest)
        };
        let lines = if gone {
            let status = json!({"kind": "Status", "code": 410, "status": "Failure", "reason": "Expired",
                "message": "too old resource version"});
            vec![json!({"type": "ERROR", "object": status}).to_string()]
        } else {
            seen = state.lock().unwrap().version;
            lines
        };
        for line in lines {
            let chunk = format!("{:x}\r\n{line}\n\r\n", line.len() + 1);
            if writer.write_all(chunk.as_bytes()).await.is_err() {
                return false;
            }
        }
        if gone {
            return writer.write_all(b"0\r\n\r\n").await.is_ok();
        }
        match tokio::time::timeout(Duration::from_secs(60), mode.changed()).await {
            Ok(Ok(())) if mode.borrow_and_update().0 == Mode::Well => {}
            // Whatever the mode: the watch is cut off.
            _ => return false,
        }
    }
}
