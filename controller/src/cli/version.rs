//! `underlay version`: of the program, and of the agents that answer. An agent
//! that does not answer is a hint here and no failure.

use api::v1;
use clap::Args;
use serde::Serialize;

use super::client::{self, Answers, Asked};
use super::failure::Failure;
use super::options::Options;
use super::outcome::Outcome;
use super::render::table::Table;
use super::render::{Render, Style};

/// The arguments of `version`.
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// The version of this program, and of the agents.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn run(args: VersionArgs) -> Outcome {
    let options = &args.options;
    let Answers { answers, failures, asked } = client::ask(options, async |mut agent| {
        let answer = agent.get_status(v1::GetStatusRequest {}).await;
        answer.map(|answer| answer.into_inner().status).map_err(|status| Failure::answered(&status))
    })
    .await;
    let program = Component { component: "program", node: None, version: VERSION.to_owned() };
    let agents = answers.into_iter().flatten().map(|status| Component {
        component: "agent",
        node: Some(status.node),
        version: status.version,
    });
    let versions = Versions(std::iter::once(program).chain(agents).collect());
    let mut outcome =
        Outcome::of(&versions, asked.agents.max(1), &Asked { agents: 1, ..asked }, &[], options);
    for failure in failures {
        outcome.hint(failure.line(options.output).trim_end(), options);
    }
    outcome
}

/// One thing that has a version.
#[derive(Clone, Debug, Serialize)]
struct Component {
    /// `program` or `agent`.
    component: &'static str,
    /// The agent's node.
    node: Option<String>,
    version: String,
}

struct Versions(Vec<Component>);

impl Render for Versions {
    type Document = Component;

    fn text(&self, style: Style) -> String {
        let mut table = Table::new(&["COMPONENT", "NODE", "VERSION"], &[]);
        for part in &self.0 {
            table.row([
                part.component.to_owned(),
                part.node.clone().unwrap_or_default(),
                part.version.clone(),
            ]);
        }
        table.render(style)
    }

    fn documents(&self) -> Vec<Component> {
        self.0.clone()
    }

    fn is_list(&self, _: bool) -> bool {
        true
    }
}
