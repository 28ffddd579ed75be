//! `underlay status`: the node as a whole.

use api::v1;
use clap::Args;

use super::client::{self, Answers};
use super::drain;
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::render::json::Document;
use super::render::table::Table;
use super::render::{Render, Style, text};
use super::watch;

/// The arguments of `status`.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// Exit with 3 unless every condition holds, nothing is impaired and the configuration has no error; or, with a
    /// CONDITION such as Ready, unless that one holds
    #[arg(long, value_name = "CONDITION", num_args = 0..=1)]
    pub check: Option<Option<String>>,
    /// Go on: redraw a terminal, or print a line of JSON for each change
    #[arg(short, long, conflicts_with = "check")]
    pub watch: bool,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// The status of each agent that answered.
#[derive(Debug)]
pub struct Statuses(pub Vec<v1::GetStatusResponse>);

pub(super) async fn run(args: StatusArgs) -> Outcome {
    if args.watch {
        return watch::run(&args.options.clone(), &watch::STATUS, |options| {
            once(StatusArgs { options, ..args.clone() })
        })
        .await;
    }
    once(args).await
}

async fn once(args: StatusArgs) -> Outcome {
    let options = &args.options;
    let Answers { answers, mut failures, asked } = client::ask(options, async |mut agent| {
        let answer = agent.get_status(v1::GetStatusRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
    })
    .await;
    let answered = answers.len();
    let statuses = Statuses(answers);
    match &args.check {
        Some(Some(condition)) => failures.extend(statuses.without(condition)),
        Some(None) => {
            failures.extend(statuses.ills().into_iter().map(|ill| Failure::new(Exit::Unhealthy, ill)));
        }
        None => {}
    }
    let mut outcome = Outcome::of(&statuses, answered, &asked, &failures, options);
    if args.check.is_none() {
        for note in statuses.notes() {
            outcome.hint(&note, options);
        }
    }
    outcome
}

impl Statuses {
    fn nodes(&self) -> impl Iterator<Item = &v1::NodeStatus> {
        self.0.iter().filter_map(|response| response.status.as_ref())
    }

    /// What is to be known of the nodes: who is drained, and all that is wrong, a line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.nodes()
            .flat_map(|node| notes(node).into_iter().map(|note| format!("{}: {note}", node.node)))
            .collect()
    }

    /// The nodes where this condition does not hold, or is not known.
    fn without(&self, condition: &str) -> impl Iterator<Item = Failure> {
        self.nodes().filter_map(move |node| unmet(node, condition))
    }

    /// All that is wrong, a line each.
    #[must_use]
    pub fn ills(&self) -> Vec<String> {
        self.nodes()
            .flat_map(|node| ills(node).into_iter().map(|ill| format!("{}: {ill}", node.node)))
            .collect()
    }
}

/// What keeps a condition from holding on a node.
fn unmet(node: &v1::NodeStatus, name: &str) -> Option<Failure> {
    let Some(condition) = node.conditions.iter().find(|condition| condition.r#type == name) else {
        let all: Vec<&str> = node.conditions.iter().map(|condition| condition.r#type.as_str()).collect();
        let message = format!("{}: no condition `{name}`; there are {}", node.node, all.join(", "));
        return Some(Failure::new(Exit::Missing, message));
    };
    let holds = condition.status() == v1::ConditionStatus::True;
    (!holds).then(|| Failure::new(Exit::Unhealthy, format!("{}: {}", node.node, ill(condition))))
}

fn notes(node: &v1::NodeStatus) -> Vec<String> {
    let drained = node.drain.as_ref().map(|drain| {
        let age = text::age(drain.since_seconds);
        let services = drain::services(drain).map(|line| format!("; {line}")).unwrap_or_default();
        format!("{} ({age} ago{services})", drain::words(drain))
    });
    drained.into_iter().chain(ills(node)).collect()
}

/// A condition that does not hold, in words.
fn ill(condition: &v1::Condition) -> String {
    let separator = if condition.message.is_empty() { "" } else { ": " };
    let state = if condition.status() == v1::ConditionStatus::False { "not" } else { "unknown whether" };
    format!("{state} {}: {}{separator}{}", condition.r#type, condition.reason, condition.message)
}

fn ills(node: &v1::NodeStatus) -> Vec<String> {
    let errors = node.source.iter().flat_map(|source| &source.errors);
    let unmet = node.conditions.iter().filter(|condition| condition.status() != v1::ConditionStatus::True);
    let impaired = node.impairments.iter().map(|what| format!("impaired: {what}"));
    unmet.map(ill).chain(impaired).chain(errors.map(|error| format!("configuration: {error}"))).collect()
}

const COLUMNS: &[&str] = &["NODE", "ASN", "ROUTER-ID", "PEERS", "ROUTES", "READY", "UPTIME", "NOTE"];
const MORE: &[&str] = &["VERSION", "SOURCE", "RECEIVED", "ACCEPTED", "SENT", "PENDING", "FAILED", "FIB"];

impl Render for Statuses {
    type Document = Document;

    fn text(&self, style: Style) -> String {
        let columns = if style.is_wide() { [COLUMNS, MORE].concat() } else { COLUMNS.to_vec() };
        let mut table = Table::new(&columns, &[]);
        for node in self.nodes() {
            let mut row = brief(node);
            if style.is_wide() {
                row.extend(more(node));
            }
            table.row(row);
        }
        table.render(style)
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}

fn sum(node: &v1::NodeStatus, count: impl Fn(&v1::FamilyRoutes) -> u64) -> String {
    node.routes.iter().map(count).sum::<u64>().to_string()
}

fn brief(node: &v1::NodeStatus) -> Vec<String> {
    let ready = node.conditions.iter().find(|condition| condition.r#type == "Ready");
    vec![
        node.node.clone(),
        text::number(node.asn),
        node.router_id.clone().unwrap_or_default(),
        node.peers.map(|peers| format!("{}/{}", peers.established, peers.configured)).unwrap_or_default(),
        sum(node, |routes| routes.installed),
        ready.map(|ready| text::word(ready.status().as_str_name(), "CONDITION_STATUS_")).unwrap_or_default(),
        text::age(node.uptime_seconds),
        note(&notes(node)),
    ]
}

/// The first of all notes; stderr has the others.
fn note(notes: &[String]) -> String {
    match notes {
        [] => String::new(),
        [note] => note.clone(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
    }
}

fn more(node: &v1::NodeStatus) -> Vec<String> {
    vec![
        node.version.clone(),
        node.source.as_ref().map(|source| source.description.clone()).unwrap_or_default(),
        sum(node, |routes| routes.received),
        sum(node, |routes| routes.accepted),
        sum(node, |routes| routes.sent),
        sum(node, |routes| routes.pending),
        sum(node, |routes| routes.failed),
        node.fib.as_ref().map(fib).unwrap_or_default(),
    ]
}

/// How learned routes are written.
fn fib(fib: &v1::Fib) -> String {
    if fib.next_hop_objects {
        format!("{} groups of {} hops", fib.groups, fib.hops)
    } else if fib.supported {
        "plain".to_owned()
    } else {
        "plain: the kernel has no next-hop objects".to_owned()
    }
}
