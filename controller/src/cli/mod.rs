//! The command line: one file a verb. A verb asks one agent or several over
//! their sockets, or all of a cluster through its API server, and knows nothing that
//! they did not say.
//!
//! ```text
//! verb ─> target (whom) ─> client (ask) ─> render (table | wide | json | jsonl | yaml) ─> outcome (stdout, stderr, exit code)
//! ```
//!
//! Exit codes: 0 done, 1 failure, 2 usage, 3 unhealthy (`--check`, `check`), 4 the
//! named thing does not exist, 5 no agent reached.

mod across;
mod advertised;
pub mod agent;
pub mod check;
pub mod client;
pub mod crd;
pub mod drain;
pub mod events;
pub mod explain;
pub mod failure;
pub mod install;
pub mod options;
pub mod outcome;
pub mod peers;
mod pod;
pub mod pool;
pub mod prefix;
pub mod relay;
pub mod render;
pub mod replay;
pub mod reset;
pub mod routes;
mod service;
pub mod session;
pub mod status;
pub mod story;
pub mod target;
pub mod uninstall;
pub mod version;
pub mod watch;
mod way;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use agent::AgentArgs;
pub use target::SOCKET;

use failure::{Exit, Failure};
use outcome::Outcome;
use render::Format;

/// A BGP-routed underlay for Kubernetes: the node's agent, and what it shows.
#[derive(Debug, Parser)]
#[command(name = "underlay", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run this node's agent
    Agent(AgentArgs),
    /// The node: its configuration, peers, routes and conditions
    Status(status::StatusArgs),
    /// The BGP peers: state, counts, and why one is down
    Peers(peers::PeersArgs),
    /// The routes: every path with its verdict
    Routes(routes::RoutesArgs),
    /// Why a prefix is installed and announced, or is not; why a peer is up, or is not
    Explain(explain::ExplainArgs),
    /// Take the node out of service: peers prefer every other path, sessions stay up
    Drain(drain::DrainArgs),
    /// Put the node back into service
    Undrain(drain::UndrainArgs),
    /// Reset the session with a peer
    Reset(reset::ResetArgs),
    /// The definitions of the Kubernetes objects, as YAML
    Crd(crd::CrdArgs),
    /// What happened: sessions, configuration, the kernel
    Events(events::EventsArgs),
    /// Compute a recording of the agent anew, and name the first turn that differs
    Replay(replay::ReplayArgs),
    /// What on this host keeps the network of pods from working, and how to mend it
    Check(check::CheckArgs),
    /// Give addresses of FabricPools to Services of type LoadBalancer, where this is the leader
    PoolController(pool::PoolArgs),
    /// Put the CNI plugin where the runtime looks for it
    Install(install::InstallArgs),
    /// Take everything of underlay off this node: routes, rules, links, files. The agent is told to leave its peers, and
    /// has to be stopped
    Uninstall(uninstall::UninstallArgs),
    /// Pass an agent's socket on by stdin and stdout; what runs in its pod when it is asked from elsewhere
    #[command(hide = true)]
    Relay(relay::RelayArgs),
    /// The version of this program and of the agents
    Version(version::VersionArgs),
}

/// Runs the program on these arguments, the first of them its name.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let exit = match Cli::try_parse_from(&arguments) {
        Ok(cli) => run(cli.verb),
        Err(error) => misuse(&error, &arguments),
    };
    ExitCode::from(exit as u8)
}

/// The arguments of `underlay agent`, as the program reads them.
///
/// # Errors
/// What clap says; another verb.
pub fn parse_agent(arguments: impl IntoIterator<Item = OsString>) -> Result<AgentArgs, clap::Error> {
    match Cli::try_parse_from(arguments)?.verb {
        Verb::Agent(args) => Ok(args),
        _ => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    }
}

fn run(verb: Verb) -> Exit {
    match verb {
        Verb::Agent(args) => daemon(args),
        Verb::Status(args) => asking(status::run(args)),
        Verb::Peers(args) => asking(peers::run(args)),
        Verb::Routes(args) => asking(routes::run(args)),
        Verb::Explain(args) => asking(explain::run(args)),
        Verb::Crd(args) => crd::run(args).write(),
        Verb::Drain(args) => asking(drain::run(args)),
        Verb::Undrain(args) => asking(drain::undrain(args)),
        Verb::Reset(args) => asking(reset::run(args)),
        Verb::Events(args) => asking(events::run(args)),
        Verb::Replay(args) => replay::run(&args).write(),
        Verb::Check(args) => check::run(&args).write(),
        Verb::PoolController(args) => pools(args),
        Verb::Install(args) => install::run(&args).write(),
        Verb::Uninstall(args) => uninstall::run(&args),
        Verb::Relay(args) => relay::run(&args).write(),
        Verb::Version(args) => asking(version::run(args)),
    }
}

fn daemon(args: AgentArgs) -> Exit {
    match crate::agent::run(args) {
        Ok(()) => Exit::Done,
        Err(error) => failed(&Failure::new(Exit::Failed, format!("{error:#}")), Format::Table).write(),
    }
}

fn pools(args: pool::PoolArgs) -> Exit {
    crate::agent::log::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(crate::pool::run(args.into())));
    match ended {
        Ok(()) => Exit::Done,
        Err(error) => failed(&Failure::new(Exit::Failed, format!("{error:#}")), Format::Table).write(),
    }
}

/// Runs a verb that asks agents; one thread is enough for that.
fn asking(verb: impl Future<Output = Outcome>) -> Exit {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(verb),
        Err(error) => failed(&Failure::new(Exit::Failed, error.to_string()), Format::Table),
    }
    .write()
}

fn failed(failure: &Failure, format: Format) -> Outcome {
    Outcome { stderr: failure.line(format), exit: failure.exit, ..Outcome::default() }
}

/// What clap says: help and version are data, the rest is a usage error, as
/// JSON if the arguments ask for JSON somewhere.
fn misuse(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // Help that nobody reads to the end is no failure.
        drop(error.print());
        return Exit::Done;
    }
    let asked: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let asked = asked.join(" ");
    let json = ["-o json", "-ojson", "-o=json", "--output json", "--output=json"];
    if json.iter().any(|json| asked.contains(json)) {
        let message = error.to_string();
        let message = message.lines().next().unwrap_or_default().trim_start_matches("error: ");
        return failed(&Failure::new(Exit::Usage, message), Format::Json).write();
    }
    drop(error.print());
    Exit::Usage
}
