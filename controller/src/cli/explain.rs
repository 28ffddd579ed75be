//! `underlay explain`: why a prefix is where it is. One line says it, the lines
//! below show how it came about, in the order in which it is decided.

use std::net::IpAddr;
use std::str::FromStr;

use api::v1;
use api::v1::explain_request::Subject;
use api::v1::explain_response::Explanation;
use bgp::prefix::ParsePrefixError;
use clap::Args;

use super::advertised::{as_path, reasoned, sent};
use super::client::{self, Answers};
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::prefix::PrefixArg;
use super::render::json::Document;
use super::render::{Render, Style, text};
use super::story::{Row, laid_out};
use super::target::Targets;
use super::way::{installed, source, story};
use super::{across, pod, service, session};

/// The arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// A prefix, an address (its longest match), a peer (by name or address), a pod as NAMESPACE/NAME, or a Service as
    /// svc/NAMESPACE/NAME, or as NAMESPACE/NAME where there is no pod of the name
    #[arg(value_name = "PREFIX|ADDRESS|PEER|POD|SERVICE")]
    pub subject: SubjectArg,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// What is to be explained, told apart by its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectArg {
    /// A prefix.
    Prefix(PrefixArg),
    /// An address.
    Address(IpAddr),
    /// A peer.
    Peer(String),
    /// A pod, else a Service.
    Named(String),
    /// A pod and nothing else.
    Pod(String),
    /// A Service.
    Service(String),
}

impl FromStr for SubjectArg {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
        match text.split_once('/') {
            None if text.is_empty() => text.parse().map(Self::Prefix),
            None => Ok(Self::Peer(text.to_owned())),
            // What looks like a prefix is one, or a mistake; names of namespaces have no colon
            // and are never dotted numbers.
            Some((first, rest)) if is_numeric(first) || first.contains(':') || rest.is_empty() => {
                text.parse().map(Self::Prefix)
            }
            Some(("pod", name)) if name.contains('/') => Ok(Self::Pod(name.to_owned())),
            Some(("svc" | "service", name)) if name.contains('/') => Ok(Self::Service(name.to_owned())),
            Some(_) => Ok(Self::Named(text.to_owned())),
        }
    }
}

impl SubjectArg {
    fn request(&self) -> v1::ExplainRequest {
        let subject = match self {
            Self::Prefix(prefix) => Subject::Prefix(prefix.prefix.to_string()),
            Self::Address(address) => Subject::Address(address.to_string()),
            Self::Peer(peer) => Subject::Peer(peer.clone()),
            Self::Named(pod) | Self::Pod(pod) => Subject::Pod(pod.clone()),
            Self::Service(service) => Subject::Service(service.clone()),
        };
        v1::ExplainRequest { subject: Some(subject) }
    }

    /// The object that it names, where it is one of the API server.
    fn object(&self) -> Option<across::Wanted> {
        let of = |name: &str, pod, service| {
            let (namespace, name) = name.split_once('/')?;
            Some(across::Wanted { namespace: namespace.to_owned(), name: name.to_owned(), pod, service })
        };
        match self {
            Self::Named(name) => of(name, true, true),
            Self::Pod(name) => of(name, true, false),
            Self::Service(name) => of(name, false, true),
            Self::Prefix(_) | Self::Address(_) | Self::Peer(_) => None,
        }
    }

    /// What is missing where nobody has a route.
    fn missing(&self) -> String {
        match self {
            Self::Prefix(prefix) => format!("no route {}", prefix.prefix),
            Self::Address(address) => format!("no route to {address}"),
            Self::Peer(name) | Self::Named(name) | Self::Pod(name) | Self::Service(name) => {
                format!("no route to {name}")
            }
        }
    }
}

/// The story that each agent told.
#[derive(Debug)]
pub struct Explanations(pub Vec<v1::ExplainResponse>);

pub(super) async fn run(args: ExplainArgs) -> Outcome {
    let options = &args.options;
    let targets = match options.targets().await {
        Ok(targets) => targets,
        Err(failure) => return Outcome::failed(&failure, options),
    };
    if let Some(cluster) = &targets.cluster
        && let Some(wanted) = args.subject.object()
    {
        return across::explain(cluster, &targets, &wanted, options).await;
    }
    let Answers { answers, mut failures, asked } = ask(&targets, &args.subject).await;
    let answered = answers.len();
    let stories = Explanations(answers);
    if answered > 0 && stories.know_nothing() {
        failures.push(Failure::new(Exit::Missing, args.subject.missing()));
    }
    let mut outcome = Outcome::of(&stories, answered, &asked, &failures, options);
    if let SubjectArg::Prefix(prefix) = &args.subject
        && let Some(hint) = prefix.hint()
    {
        outcome.hint(&hint, options);
    }
    outcome
}

/// What each agent says; of a name that no agent knows a pod by, what it says of a Service.
async fn ask(targets: &Targets, subject: &SubjectArg) -> Answers<v1::ExplainResponse> {
    let ask = async |subject: &SubjectArg| {
        let request = subject.request();
        client::ask_each(targets, |agent| story(agent, request.clone())).await
    };
    let told = ask(subject).await;
    if let SubjectArg::Named(name) = subject
        && told.answers.is_empty()
        && told.failures.iter().all(|failure| failure.reason == "UNKNOWN_POD")
    {
        let of_service = ask(&SubjectArg::Service(name.clone())).await;
        if !of_service.answers.is_empty() {
            return of_service;
        }
    }
    told
}

impl Explanations {
    /// Whether each story is that of a prefix without a route.
    fn know_nothing(&self) -> bool {
        self.0.iter().all(|response| match &response.explanation {
            Some(Explanation::Prefix(story)) => {
                story.route.is_none() && story.treated_as_withdrawn.is_empty()
            }
            _ => false,
        })
    }
}

impl Render for Explanations {
    type Document = Document;

    fn text(&self, _: Style) -> String {
        let stories = self.0.iter().map(|response| {
            let rows = match &response.explanation {
                Some(Explanation::Prefix(story)) => rows(story),
                Some(Explanation::Peer(story)) => session::rows(story),
                Some(Explanation::Pod(story)) => pod::rows(story),
                Some(Explanation::Service(story)) => service::rows(story),
                None => Vec::new(),
            };
            format!("{}\n\n{}", text::printable(&response.summary), laid_out(&rows))
        });
        stories.collect::<Vec<String>>().join("\n")
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}

fn rows(story: &v1::PrefixExplanation) -> Vec<Row> {
    let paths = story.route.as_ref().map(|route| route.paths.as_slice()).unwrap_or_default();
    let mut rows = heard(paths, &story.treated_as_withdrawn);
    rows.extend(decision(paths));
    rows.extend(next_hops(&story.next_hops));
    rows.push(Row::new("kernel", "-", installed(story.route.as_ref())));
    rows.extend(sent(&story.advertisements, paths));
    rows
}

fn heard(paths: &[v1::Path], withdrawn: &[v1::TreatedAsWithdrawn]) -> Vec<Row> {
    if paths.is_empty() && withdrawn.is_empty() {
        return vec![Row::new("heard from", "-", "nobody")];
    }
    let row = |path: &v1::Path| match path.source {
        Some(v1::path::Source::Peer(_)) => {
            let stale = path.stale.as_ref().map(|word| format!(", {word}")).unwrap_or_default();
            let end = match (path.accepted, &path.import_change) {
                (true, Some(change)) => format!("accepted{stale}  {change}"),
                (true, None) => format!("accepted{stale}"),
                (false, _) => format!("rejected  {}", reasoned(&path.verdict, &path.detail)),
            };
            Row::new("heard from", source(path), as_path(path.attributes.as_ref())).end(end)
        }
        _ => Row::new("heard from", source(path), "originated here").end("accepted"),
    };
    let malformed = |withdrawn: &v1::TreatedAsWithdrawn| {
        let peer = withdrawn.peer.as_ref().map(text::peer).unwrap_or_default();
        Row::new("heard from", peer, "malformed").end(format!("withdrawn {}", withdrawn.detail))
    };
    paths.iter().map(row).chain(withdrawn.iter().map(malformed)).collect()
}

fn decision(paths: &[v1::Path]) -> Vec<Row> {
    let candidates: Vec<&v1::Path> = paths.iter().filter(|path| path.accepted).collect();
    let row = |path: &&v1::Path| Row::new("decision", source(path), reasoned(&path.verdict, &path.detail));
    match candidates.as_slice() {
        [] if paths.is_empty() => vec![Row::new("decision", "-", "no path")],
        [] => vec![Row::new("decision", "-", "no usable path: all are rejected")],
        [first, ..] if !candidates.iter().any(|path| path.selected) => {
            let next_hop = first.attributes.as_ref().map(|attributes| attributes.next_hop.as_str());
            let why = match (first.verdict.as_str(), next_hop) {
                ("next-hop-unreachable", Some(address)) => format!("next hop {address} unreachable"),
                (verdict, _) => reasoned(verdict, &first.detail),
            };
            vec![Row::new("decision", "-", format!("no usable path: {why}"))]
        }
        candidates => candidates.iter().map(row).collect(),
    }
}

fn next_hops(next_hops: &[v1::NextHopResolution]) -> Vec<Row> {
    if next_hops.is_empty() {
        return vec![Row::new("next hop", "-", "none needed")];
    }
    let row = |resolution: &v1::NextHopResolution| {
        let next_hop = resolution.next_hop.clone().unwrap_or_default();
        let what = match resolution.metric {
            Some(metric) => format!("resolved, metric {metric}"),
            None if next_hop.via_default => "unresolved: no route to it".to_owned(),
            None => "unresolved: no route to it (a default route does not count)".to_owned(),
        };
        Row::new("next hop", next_hop.address, what)
    };
    next_hops.iter().map(row).collect()
}
