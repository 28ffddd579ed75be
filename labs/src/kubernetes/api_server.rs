//! An API server of a test's own: etcd and kube-apiserver in a sandbox, ready within seconds, without any node.
//!
//! It listens on loopback, or on an address of a network namespace that the test names. No controller runs: what is
//! in it is what the test put there.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::cache;
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::sandbox::Sandbox;

/// How an API server differs from the usual one.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its address.
    pub address: IpAddr,
    /// The network namespace that has the address; without one, the sandbox's own.
    pub namespace: Option<Netns>,
    /// More flags: `--runtime-config=…`, `--max-requests-inflight=1`.
    pub flags: Vec<String>,
    /// Whether each request is written down; see [`ApiServer::audit`].
    pub audit: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), namespace: None, flags: Vec::new(), audit: false }
    }
}

/// A running etcd and a kube-apiserver, which can be stopped and started again.
#[derive(Debug)]
pub struct ApiServer {
    test: String,
    folder: PathBuf,
    setup: Setup,
    server: Daemon,
    // Dropped after the server.
    etcd: Daemon,
}

/// It is ready within five seconds; a machine that compiles beside it gives it a tenth of a core.
const LIMIT: Duration = Duration::from_secs(90);

/// Who asked for what, without the objects.
const AUDIT: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata"}]}"#;

impl ApiServer {
    /// Starts one on `https://127.0.0.1:6443` of the sandbox.
    ///
    /// # Panics
    /// Where it does not become ready.
    #[track_caller]
    #[must_use]
    pub fn start(sandbox: &Sandbox) -> Self {
        Self::with(sandbox, Setup::default())
    }

    /// Starts one that differs from the usual.
    ///
    /// # Panics
    /// Where it does not become ready.
    #[track_caller]
    #[must_use]
    pub fn with(sandbox: &Sandbox, setup: Setup) -> Self {
        let folder = sandbox.folder().join("kubernetes");
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        fs::write(folder.join("audit.yaml"), AUDIT).unwrap_or_else(|error| panic!("audit.yaml: {error}"));
        let test = sandbox.test().to_owned();
        let etcd = store(&test, &folder, &setup);
        let keys = script(&folder, &setup, ["keys"]).output();
        said("keys", keys).unwrap_or_else(|message| panic!("{message}"));
        let server = serve(&test, &folder, &setup);
        let mut api = Self { test, folder, setup, server, etcd };
        api.wait_ready();
        api
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let (folder, setup) = (&self.folder, &self.setup);
        self.server.wait_ready_within(LIMIT, || {
            said("readyz", kubectl(folder, setup, ["get", "--raw=/readyz"]).output())
        });
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:6443", self.setup.address)
    }

    /// The kubeconfig of somebody who may do everything; all that it names is inside.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        admin(&self.folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn setup(&self) -> &Setup {
        &self.setup
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        kubectl(&self.folder, &self.setup, words)
    }

    /// The certificate by which the server is known, PEM.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("keys/ca.crt")
    }

    /// The key that signs the tokens of service accounts, PEM.
    #[must_use]
    pub fn account_key(&self) -> PathBuf {
        self.folder.join("keys/accounts.key")
    }

    /// What `kubectl` prints, as somebody who may do everything.
    ///
    /// # Panics
    /// Where it fails, with what it said.
    #[track_caller]
    pub fn kubectl(&self, words: &[&str]) -> String {
        self.try_kubectl(words).unwrap_or_else(|message| panic!("{message}"))
    }

    /// Like [`ApiServer::kubectl`].
    ///
    /// # Errors
    /// What it said.
    pub fn try_kubectl(&self, words: &[&str]) -> Result<String, String> {
        said(&format!("kubectl {}", words.join(" ")), kubectl(&self.folder, &self.setup, words).output())
    }

    /// Applies objects, a YAML text of one or more documents.
    ///
    /// # Panics
    /// Where the server refuses them, with what it said.
    #[track_caller]
    pub fn apply(&self, objects: &str) -> String {
        self.try_apply(objects).unwrap_or_else(|message| panic!("{message}"))
    }

    /// Like [`ApiServer::apply`].
    ///
    /// # Errors
    /// What the server said.
    pub fn try_apply(&self, objects: &str) -> Result<String, String> {
        let file = self.folder.join("applied.yaml");
        fs::write(&file, objects).map_err(|error| format!("{}: {error}", file.display()))?;
        self.try_kubectl(&["apply", "--filename", &file.display().to_string()])
    }

    /// A token of a service account, good for an hour; the account has to be there.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    #[must_use]
    pub fn token(&self, namespace: &str, account: &str) -> String {
        self.kubectl(&["--namespace", namespace, "create", "token", account]).trim().to_owned()
    }

    /// A kubeconfig of a service account, with a token that is good for an hour.
    ///
    /// # Panics
    /// Where there is no such account.
    #[track_caller]
    #[must_use]
    pub fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.token(namespace, account);
        let written =
            said("token-config", script(&self.folder, &self.setup, ["token-config", &token]).output());
        let path = self.folder.join(format!("{namespace}-{account}.kubeconfig"));
        let written = written
            .and_then(|text| fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display())));
        written.unwrap_or_else(|message| panic!("{message}"));
        path
    }

    /// What was asked of the server: a JSON object `audit.k8s.io/v1` `Event` a line, without bodies. Empty unless the
    /// setup asked for it.
    #[must_use]
    pub fn audit(&self) -> String {
        fs::read_to_string(self.folder.join("audit.log")).unwrap_or_default()
    }

    /// Ends the server at once; etcd keeps what it held.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Ends the server in order, as for an upgrade; etcd keeps what it held.
    ///
    /// # Panics
    /// Where it does not end.
    #[track_caller]
    pub fn stop(&mut self) {
        self.server.terminate();
    }

    /// Leaves the server without a processor until [`ApiServer::thaw`]: connections stay open and nothing is answered.
    pub fn freeze(&mut self) {
        self.server.signal(Signal::SIGSTOP);
    }

    /// Ends what [`ApiServer::freeze`] began.
    pub fn thaw(&mut self) {
        self.server.signal(Signal::SIGCONT);
    }

    /// Ends etcd at once; what it held stays. The server is left without its storage.
    pub fn stop_storage(&mut self) {
        self.etcd.kill();
    }

    /// Ends what [`ApiServer::stop_storage`] began.
    ///
    /// # Panics
    /// Where the server does not become ready again.
    #[track_caller]
    pub fn start_storage(&mut self) {
        self.etcd = store(&self.test, &self.folder, &self.setup);
        self.wait_ready();
    }

    /// Has etcd forget every state before the newest, as it does by itself in time.
    ///
    /// # Panics
    /// Where etcd refuses.
    #[track_caller]
    pub fn compact(&self) {
        let newest = self.storage("/v3/kv/range", r#"{"key": "AA=="}"#);
        let revision = newest.split_once("\"revision\":\"").and_then(|(_, rest)| rest.split('"').next());
        let revision = revision.unwrap_or_else(|| panic!("etcd: {newest}"));
        self.storage("/v3/kv/compaction", &format!(r#"{{"revision": "{revision}", "physical": true}}"#));
    }

    /// What etcd answers to a request of its JSON interface, past the API server: `/v3/kv/put`, `{"key": …}`. Keys and
    /// values are in base64.
    ///
    /// # Panics
    /// Where etcd refuses.
    #[track_caller]
    pub fn storage(&self, path: &str, body: &str) -> String {
        let work = || post(path, body);
        let answer = match &self.setup.namespace {
            Some(namespace) => namespace.enter(work),
            None => work(),
        };
        let answer = answer.unwrap_or_else(|error| panic!("etcd {path}: {error}"));
        assert!(answer.contains("200 OK"), "etcd {path}: {answer}");
        answer
    }

    /// Starts a server that was killed or stopped once more, with what etcd holds; `flags` replace those of the setup.
    ///
    /// # Panics
    /// Where it does not become ready.
    #[track_caller]
    pub fn start_again(&mut self, flags: &[&str]) {
        self.server.kill();
        self.setup.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.server = serve(&self.test, &self.folder, &self.setup);
        self.wait_ready();
    }
}

fn store(test: &str, folder: &Path, setup: &Setup) -> Daemon {
    Daemon::spawn(test, folder, "etcd", script(folder, setup, ["etcd"]))
}

/// etcd's whole answer to a request.
fn post(path: &str, body: &str) -> std::io::Result<String> {
    let mut etcd = TcpStream::connect((Ipv4Addr::LOCALHOST, 2379))?;
    let length = body.len();
    write!(
        etcd,
        "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    etcd.read_to_string(&mut answer)?;
    Ok(answer)
}

fn serve(test: &str, folder: &Path, setup: &Setup) -> Daemon {
    let mut command = script(folder, setup, ["kube-apiserver"]);
    command.args(&setup.flags);
    if setup.audit {
        command.arg(format!("--audit-log-path={}", folder.join("audit.log").display()));
        command.arg(format!("--audit-policy-file={}", folder.join("audit.yaml").display()));
    }
    Daemon::spawn(test, folder, "kube-apiserver", command)
}

pub(super) fn script<S: AsRef<OsStr>>(
    folder: &Path,
    setup: &Setup,
    words: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = command(setup, cache::script("control-plane.sh"), words);
    command.env("FOLDER", folder).env("BIN", cache::kubernetes()).env("ADDRESS", setup.address.to_string());
    command
}

fn kubectl<S: AsRef<OsStr>>(folder: &Path, setup: &Setup, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = command(setup, cache::kubernetes().join("kubectl"), words);
    command.env("KUBECONFIG", admin(folder)).env("KUBECACHEDIR", folder.join("kubectl"));
    command
}

fn admin(folder: &Path) -> PathBuf {
    folder.join("admin.kubeconfig")
}

fn command<S: AsRef<OsStr>>(setup: &Setup, program: PathBuf, words: impl IntoIterator<Item = S>) -> Command {
    match &setup.namespace {
        Some(namespace) => namespace.exec(program, words),
        None => {
            let mut command = Command::new(program);
            command.args(words);
            command
        }
    }
}

/// What a command printed; its failure is an error.
pub(super) fn said(what: &str, output: std::io::Result<Output>) -> Result<String, String> {
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
