//! `underlay uninstall`: the end of this node. Asks its agent, if it runs, to leave its peers; the rest is
//! [`crate::uninstall`].
//!
//! An agent that runs, and pods that are attached, are named, and nothing else is touched: the agent would write anew
//! what was removed, and pods would lose their network. The agent is told to drain its pods, which withdraws every
//! route of the node at once; that it then ends with a Cease that says so (RFC 9003) is what it does after such a drain.

use std::path::PathBuf;
use std::time::Duration;

use api::netconf;
use api::v1;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::client::{self, Answers};
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::{Outcome, colour};
use super::render::table::Table;
use super::render::{Format, Render, Style, render};
use super::target::ClusterArgs;
use crate::install::BIN_DIR;
use crate::operator::service::socket_beside;
use crate::uninstall::{Finding, Places, State, attached, sweep};

/// What the peers are told.
const REASON: &str = "underlay is uninstalled";

/// How often `--stay` looks again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where to look, and what may be done.
#[derive(Args, Clone, Debug)]
pub struct UninstallArgs {
    /// Name what is there and touch nothing; the exit code is 3 if anything is
    #[arg(long)]
    pub dry_run: bool,
    /// Take the network from pods that are attached, too
    #[arg(long)]
    pub force: bool,
    /// Try again until nothing is left, then wait to be ended: what the manifests run on each node
    #[arg(long, conflicts_with = "dry_run")]
    pub stay: bool,
    /// The container runtime's directory of network configurations
    #[arg(long, env = "UNDERLAY_CNI_CONF_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// The directory in which the runtime looks for CNI plugins
    #[arg(long, value_name = "DIR", default_value = BIN_DIR)]
    pub bin_dir: PathBuf,
    /// Where the agent keeps its last good configuration
    #[arg(long, env = "UNDERLAY_CHECKPOINT", value_name = "PATH", default_value = super::agent::CHECKPOINT)]
    pub checkpoint: PathBuf,
    /// Where the CNI plugin keeps who holds which address
    #[arg(long, env = "UNDERLAY_CNI_STATE", value_name = "DIR", default_value = netconf::DEFAULT_STATE_DIR)]
    pub cni_state: PathBuf,
    /// The agent's socket
    #[arg(long, env = "UNDERLAY_SOCKET", value_name = "PATH", default_value = super::target::SOCKET)]
    pub socket: PathBuf,
    /// The directory that the host's files are below, where they are not this program's own
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
}

impl UninstallArgs {
    fn places(&self) -> Places {
        Places {
            root: self.root.clone(),
            networks: self.cni_conf_dir.clone(),
            binaries: self.bin_dir.clone(),
            checkpoint: self.checkpoint.clone(),
            cni_state: self.cni_state.clone(),
            socket: self.socket.clone(),
        }
    }
}

struct Findings(Vec<Finding>);

const COLUMNS: &[&str] = &["STATE", "WHAT", "WHICH", "WHY"];

impl Render for Findings {
    type Document = Finding;

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return "nothing of underlay is on this node\n".to_owned();
        }
        let mut table = Table::new(COLUMNS, &[]);
        for finding in &self.0 {
            let cells = [finding.state.word(), finding.kind, &finding.subject, &finding.why];
            table.row(cells.map(ToOwned::to_owned));
        }
        table.render(style)
    }

    fn documents(&self) -> Vec<Finding> {
        self.0.clone()
    }

    fn is_list(&self, _: bool) -> bool {
        true
    }
}

pub(super) fn run(args: &UninstallArgs) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) if args.stay => runtime.block_on(stay(args)),
        Ok(runtime) => runtime.block_on(once(args)).write(),
        Err(error) => failed(args, error.to_string()).write(),
    }
}

/// Until SIGTERM; prints what has changed since it was last printed.
async fn stay(args: &UninstallArgs) -> Exit {
    let (mut terminate, mut printed) = match signal(SignalKind::terminate()) {
        Ok(terminate) => (terminate, None),
        Err(error) => return failed(args, error.to_string()).write(),
    };
    loop {
        let outcome = once(args).await;
        let (exit, said) = (outcome.exit, Some((outcome.stdout.clone(), outcome.stderr.clone())));
        if printed != said {
            // Where nobody reads any more, nobody is told.
            let _ = outcome.write();
            printed = said;
        }
        tokio::select! {
            _ = terminate.recv() => return exit,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn once(args: &UninstallArgs) -> Outcome {
    let places = args.places();
    let mut findings = Vec::new();
    let pods = match attached(&places) {
        Ok(pods) => pods,
        Err(error) => return failed(args, format!("which pods are attached is not known: {error}")),
    };
    let left = if pods.is_empty() || args.force || args.dry_run { agent(args, &places).await } else { None };
    match (&left, args.dry_run) {
        _ if !pods.is_empty() && !args.force && !args.dry_run => {
            findings
                .extend(pods.iter().map(|pod| kept("pod", pod, "is attached: drain the node, or --force")));
        }
        (Some(failure), false) => findings.push(kept("agent", &failure.1, &failure.0)),
        (running, dry_run) => {
            findings.extend(running.iter().map(|(_, socket)| Finding::found("agent", socket)));
            findings.extend(pods.iter().filter(|_| dry_run).map(|pod| Finding::found("pod", pod)));
            findings.extend(sweep(&places, !dry_run));
        }
    }
    let is = |state: State| findings.iter().any(|finding| finding.state == state);
    let exit = match () {
        () if is(State::Failed) => Exit::Failed,
        () if is(State::Found) => Exit::Unhealthy,
        () => Exit::Done,
    };
    match render(&Findings(findings), args.output, Style::new(args.output, colour()), false) {
        Ok(stdout) => Outcome { stdout, exit, ..Outcome::default() },
        Err(error) => failed(args, error.to_string()),
    }
}

/// Why the agent is in the way, and its socket; `None` where none runs. One that runs is told to leave, unless nothing is
/// to be done.
async fn agent(args: &UninstallArgs, places: &Places) -> Option<(String, String)> {
    let socket = places.on_host(&args.socket);
    let shown = socket.display().to_string();
    if tokio::net::UnixStream::connect(socket_beside(&socket)).await.is_err() {
        return None;
    }
    if args.dry_run {
        return Some((String::new(), shown));
    }
    let request =
        v1::DrainRequest { pods: true, for_seconds: None, reason: REASON.to_owned(), wait_seconds: Some(0) };
    let options = Options { sockets: vec![socket], cluster: ClusterArgs::default(), output: args.output };
    let Answers { failures, .. } = client::order(&options, |mut agent| {
        let request = request.clone();
        async move { agent.drain(request).await.map(drop).map_err(|status| Failure::answered(&status)) }
    })
    .await;
    let why = match failures.first() {
        None => "has left its peers and still runs: stop it".to_owned(),
        Some(failure) => format!("still runs, and did not leave its peers: {}", failure.message),
    };
    Some((why, shown))
}

fn kept(kind: &'static str, subject: &str, why: &str) -> Finding {
    Finding { state: State::Failed, why: why.to_owned(), ..Finding::found(kind, subject) }
}

fn failed(args: &UninstallArgs, message: String) -> Outcome {
    let failure = Failure::new(Exit::Failed, message);
    Outcome { stderr: failure.line(args.output), exit: failure.exit, ..Outcome::default() }
}
