//! `underlay events`: what happened, the oldest first; with `-f` also what
//! happens from here on.

use std::net::IpAddr;

use api::v1;
use clap::Args;
use serde::Serialize;
use tokio::sync::mpsc;

use super::client::{self, Answers, Client};
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::{self, Outcome};
use super::render::json::Document;
use super::render::table::Table;
use super::render::{Format, Render, Style, render, text};
use super::target::Target;

/// The arguments of `events`.
#[derive(Args, Clone, Debug)]
pub struct EventsArgs {
    /// Go on with what happens from here on
    #[arg(short, long)]
    pub follow: bool,
    /// Events of this peer alone, by name or address
    #[arg(long, value_name = "PEER")]
    pub peer: Option<String>,
    /// Events since a time, or of the last while: 2026-11-22T03:00:00Z, 90s, 10m, 2h, 1d
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub since: Option<u64>,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// Seconds from a time, or a span, to the present.
fn since(text: &str) -> Result<u64, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        let seconds = jiff::Timestamp::now().as_second() - at.as_second();
        return u64::try_from(seconds).map_err(|_| format!("{text} is yet to come"));
    }
    let span = text.find(|letter: char| !letter.is_ascii_digit()).map(|at| text.split_at(at));
    let factor = |unit| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    let seconds = span.and_then(|(number, unit)| number.parse::<u64>().ok()?.checked_mul(factor(unit)?));
    seconds.ok_or_else(|| "neither a time as 2026-11-22T03:00:00Z nor a span as 90s, 10m, 2h, 1d".to_owned())
}

pub(super) async fn run(args: EventsArgs) -> Outcome {
    let request = v1::ListEventsRequest {
        peer: args.peer.clone(),
        within_seconds: args.since,
        after_revision: 0,
        limit: 0,
    };
    if args.follow {
        return follow(&args, request).await;
    }
    let Answers { answers, failures, asked } =
        client::ask(&args.options, |agent| list(agent, request.clone())).await;
    let answered = answers.len();
    Outcome::of(&Events(answers), answered, &asked, &failures, &args.options)
}

async fn list(mut agent: Client, request: v1::ListEventsRequest) -> Result<v1::ListEventsResponse, Failure> {
    let answer = agent.list_events(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
}

/// Prints what each agent tells until the reader goes away or no agent is left.
async fn follow(args: &EventsArgs, request: v1::ListEventsRequest) -> Outcome {
    let options = &args.options;
    let (told, mut news) = mpsc::channel(16);
    let targets = match options.targets().await {
        Ok(targets) => targets,
        Err(failure) => return failed(&[failure], options.output),
    };
    for target in targets.each {
        let (told, request) = (told.clone(), request.clone());
        tokio::spawn(async move {
            if let Err(failure) = tell(&target, request, &told).await {
                // Where nobody listens any more nobody misses it.
                let _ = told.send(Err(target.blamed(failure))).await;
            }
        });
    }
    drop(told);
    let format = if options.output.is_structured() { Format::Jsonl } else { options.output };
    let style = Style::new(format, outcome::colour());
    let (mut widths, mut failures) = (Vec::new(), Vec::new());
    while let Some(news) = news.recv().await {
        let events = match news {
            Ok(events) => Events(vec![events]),
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        let text = match format {
            Format::Jsonl => match render(&events, format, style, false) {
                Ok(text) => text,
                Err(error) => return failed(&[Failure::new(Exit::Failed, error.to_string())], format),
            },
            _ => events.table(style).render_below(style, &mut widths),
        };
        if let Err(exit) = Outcome::put(&text) {
            return Outcome { exit, ..Outcome::default() };
        }
    }
    failed(&failures, format)
}

fn failed(failures: &[Failure], format: Format) -> Outcome {
    let exit = failures.first().map_or(Exit::Done, |failure| failure.exit);
    let stderr = failures.iter().map(|failure| failure.line(format)).collect();
    Outcome { stderr, exit, ..Outcome::default() }
}

/// Tells the events of one agent; ends with the failure that ends it.
async fn tell(
    target: &Target,
    request: v1::ListEventsRequest,
    told: &mpsc::Sender<Result<v1::ListEventsResponse, Failure>>,
) -> Result<(), Failure> {
    let mut agent = client::connect(target).await?;
    let mut past = list(agent.clone(), request.clone()).await?;
    loop {
        let mut after = past.revision;
        if told.send(Ok(past)).await.is_err() {
            return Ok(());
        }
        let overtaken = loop {
            match pass_on(&mut agent, &request, after, told).await? {
                Ended::Aged(revision) => {
                    after = revision;
                    // The connection is as old as the stream was.
                    agent = client::connect(target).await?;
                }
                Ended::Overtaken(revision) => {
                    after = revision;
                    break true;
                }
                Ended::Unheard => break false,
            }
        };
        if !overtaken {
            return Ok(());
        }
        past =
            list(agent.clone(), v1::ListEventsRequest { after_revision: after, ..request.clone() }).await?;
    }
}

/// How a stream of events ended.
enum Ended {
    /// In order, at this revision.
    Aged(u64),
    /// It was too slow, and had come to this revision.
    Overtaken(u64),
    /// Nobody listens to what is told.
    Unheard,
}

async fn pass_on(
    agent: &mut Client,
    asked: &v1::ListEventsRequest,
    mut after: u64,
    told: &mpsc::Sender<Result<v1::ListEventsResponse, Failure>>,
) -> Result<Ended, Failure> {
    let request =
        v1::WatchRequest { topics: vec![v1::WatchTopic::Events.into()], after_revision: Some(after) };
    let answers = agent.watch(request).await.map_err(|status| Failure::answered(&status))?;
    let mut answers = answers.into_inner();
    loop {
        let answer = match answers.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(Ended::Aged(after)),
            Err(status) if status.code() == tonic::Code::Aborted => return Ok(Ended::Overtaken(after)),
            Err(status) => return Err(Failure::answered(&status)),
        };
        after = answer.revision;
        let about = |event: &v1::Event| {
            let peer = event.peer.as_ref();
            let is = |text: &String| {
                peer.is_some_and(|peer| peer.name == *text || is_address(text, &peer.address))
            };
            asked.peer.as_ref().is_none_or(is)
        };
        let events: Vec<v1::Event> = answer.events.into_iter().filter(about).collect();
        if events.is_empty() {
            continue;
        }
        let part = v1::ListEventsResponse { node: answer.node, revision: after, events, dropped_revision: 0 };
        if told.send(Ok(part)).await.is_err() {
            return Ok(Ended::Unheard);
        }
    }
}

/// Whether both are the same address, in whatever form; one of a link is as its agent writes it.
fn is_address(text: &str, address: &str) -> bool {
    text == address || text.parse::<IpAddr>().is_ok_and(|text| address.parse() == Ok(text))
}

/// The events of each agent that answered.
#[derive(Debug)]
pub struct Events(pub Vec<v1::ListEventsResponse>);

const COLUMNS: &[&str] = &["NODE", "TIME", "EVENT", "PEER", "FROM", "TO", "REASON", "DETAIL"];
const MORE: &[&str] = &["ADDRESS", "ASN", "AGE", "REVISION"];

impl Events {
    fn each(&self) -> impl Iterator<Item = (&str, &v1::Event)> {
        self.0.iter().flat_map(|response| response.events.iter().map(|event| (response.node.as_str(), event)))
    }

    /// All events in the order of their happening.
    fn table(&self, style: Style) -> Table {
        let columns = if style.is_wide() { [COLUMNS, MORE].concat() } else { COLUMNS.to_vec() };
        let mut table = Table::new(&columns, &[]);
        let mut events: Vec<(&str, &v1::Event)> = self.each().collect();
        events.sort_by_key(|(_, event)| event.event_time.map(|time| (time.seconds, time.nanos)));
        for (node, event) in events {
            let mut row = brief(node, event);
            if style.is_wide() {
                row.extend(more(event));
            }
            table.row(row);
        }
        table
    }
}

impl Render for Events {
    type Document = EventDocument;

    fn text(&self, style: Style) -> String {
        self.table(style).render(style)
    }

    fn documents(&self) -> Vec<EventDocument> {
        self.0.iter().map(|response| EventDocument::All(Document::new(response))).collect()
    }

    fn lines(&self) -> Vec<EventDocument> {
        let line = |(node, event): (&str, &v1::Event)| EventDocument::One {
            node: node.to_owned(),
            event: Document::new(event),
        };
        self.each().map(line).collect()
    }
}

/// The events of an agent, or one of them and whose it is.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventDocument {
    /// The agent's answer.
    All(Document),
    /// One event.
    One {
        /// The agent's node.
        node: String,
        /// The event.
        #[serde(flatten)]
        event: Document,
    },
}

fn state(state: Option<v1::SessionState>) -> String {
    state.map(|state| text::word(state.as_str_name(), "SESSION_STATE_")).unwrap_or_default()
}

fn brief(node: &str, event: &v1::Event) -> Vec<String> {
    let time = event.event_time.and_then(|time| jiff::Timestamp::from_second(time.seconds).ok());
    vec![
        node.to_owned(),
        text::number(time),
        event.kind.clone(),
        event.peer.as_ref().map(|peer| peer.name.clone()).unwrap_or_default(),
        state(event.from.map(|_| event.from())),
        state(event.to.map(|_| event.to())),
        event.reason.clone().unwrap_or_default(),
        event.detail.clone(),
    ]
}

fn more(event: &v1::Event) -> Vec<String> {
    vec![
        event.peer.as_ref().map(|peer| peer.address.clone()).unwrap_or_default(),
        text::number(event.asn),
        text::age(event.event_seconds),
        event.revision.to_string(),
    ]
}
