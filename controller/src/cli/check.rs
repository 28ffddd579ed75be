//! `underlay check`: the doctor. Asks the host, and no agent.

use std::path::PathBuf;

use bgp::prefix::Prefix;
use clap::Args;

use super::failure::{Exit, Failure};
use super::outcome::{Outcome, colour};
use super::render::table::Table;
use super::render::text::printable;
use super::render::{Format, Render, Style, render};
use crate::check::{Finding, Places, State, gather, judge};
use crate::install::BIN_DIR;

/// Where to look, and how to print.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// A prefix of the cluster's pods; unset, those of the agent's last good configuration
    #[arg(long = "pod-prefix", value_name = "PREFIX")]
    pub pod_prefixes: Vec<Prefix>,
    /// The container runtime's directory of network configurations
    #[arg(long, env = "UNDERLAY_CNI_CONF_DIR", value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub cni_conf_dir: PathBuf,
    /// The directory in which the runtime looks for CNI plugins
    #[arg(long, value_name = "DIR", default_value = BIN_DIR)]
    pub bin_dir: PathBuf,
    /// Where the agent keeps its last good configuration
    #[arg(long, env = "UNDERLAY_CHECKPOINT", value_name = "PATH", default_value = super::agent::CHECKPOINT)]
    pub checkpoint: PathBuf,
    /// The directory that the host's files are below, where they are not this program's own
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub output: Format,
}

struct Findings(Vec<Finding>);

const COLUMNS: &[&str] = &["STATE", "CHECK", "SUBJECT", "FOUND"];

impl Render for Findings {
    type Document = Finding;

    fn text(&self, style: Style) -> String {
        let columns = if style.is_wide() { [COLUMNS, &["REMEDY"]].concat() } else { COLUMNS.to_vec() };
        let mut table = Table::new(&columns, &[]);
        for finding in &self.0 {
            let cells =
                [finding.state.word(), finding.check, &finding.subject, &finding.found, &finding.remedy];
            table.row(cells.into_iter().take(columns.len()).map(ToOwned::to_owned));
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

pub(super) fn run(args: &CheckArgs) -> Outcome {
    let places = Places {
        root: args.root.clone(),
        networks: args.cni_conf_dir.clone(),
        binaries: args.bin_dir.clone(),
        checkpoint: args.checkpoint.clone(),
        pods: args.pod_prefixes.clone(),
    };
    let findings = Findings(judge(&gather(&places)));
    let format = args.output;
    let stdout = match render(&findings, format, Style::new(format, colour()), false) {
        Ok(stdout) => stdout,
        Err(error) => {
            let failure = Failure::new(Exit::Failed, error.to_string());
            return Outcome { stderr: failure.line(format), exit: failure.exit, ..Outcome::default() };
        }
    };
    let mut stderr = String::new();
    if !format.is_structured() {
        for finding in findings.0.iter().filter(|finding| !finding.remedy.is_empty()) {
            let of = if finding.subject.is_empty() { String::new() } else { format!(" {}", finding.subject) };
            stderr += &format!("{}\n", printable(&format!("{}{of}: {}", finding.check, finding.remedy)));
        }
    }
    let ill = findings.0.iter().any(|finding| finding.state == State::Bad);
    Outcome { stdout, stderr, exit: if ill { Exit::Unhealthy } else { Exit::Done } }
}
