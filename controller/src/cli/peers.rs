//! `underlay peers`: whom the agents talk to.

use api::v1;
use clap::Args;

use super::client::{self, Answers};
use super::failure::{Exit, Failure};
use super::options::Options;
use super::outcome::Outcome;
use super::render::json::Document;
use super::render::table::Table;
use super::render::{Render, Style, text};
use super::watch;

/// The arguments of `peers`.
#[derive(Args, Clone, Debug)]
pub struct PeersArgs {
    /// Exit with 3 unless every peer is Established, those disabled on purpose left out
    #[arg(long)]
    pub check: bool,
    /// Go on: redraw a terminal, or print a line of JSON for each change
    #[arg(short, long, conflicts_with = "check")]
    pub watch: bool,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// The peers of each agent that answered.
#[derive(Debug)]
pub struct Peers(pub Vec<v1::ListPeersResponse>);

pub(super) async fn run(args: PeersArgs) -> Outcome {
    if args.watch {
        return watch::run(&args.options.clone(), &watch::STATUS, |options| {
            once(PeersArgs { options, ..args.clone() })
        })
        .await;
    }
    once(args).await
}

async fn once(args: PeersArgs) -> Outcome {
    let options = &args.options;
    let Answers { answers, mut failures, asked } = client::ask(options, async |mut agent| {
        let answer = agent.list_peers(v1::ListPeersRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
    })
    .await;
    let answered = answers.len();
    let peers = Peers(answers);
    if args.check {
        failures.extend(peers.ills().into_iter().map(|ill| Failure::new(Exit::Unhealthy, ill)));
    }
    let mut outcome = Outcome::of(&peers, answered, &asked, &failures, options);
    for response in peers.0.iter().filter(|response| response.peers.is_empty()) {
        outcome.hint(&format!("{} has no peers: no FabricPeer selects it", response.node), options);
    }
    outcome
}

impl Peers {
    /// Each peer that should be up and is not, a line each.
    #[must_use]
    pub fn ills(&self) -> Vec<String> {
        let all = self.0.iter().flat_map(|response| response.peers.iter().map(|peer| (&response.node, peer)));
        let ill = all.filter(|(_, peer)| {
            let disabled = peer.down.as_ref().is_some_and(|down| down.reason == "disabled");
            peer.state() != v1::SessionState::Established && !disabled
        });
        let line = |(node, peer): (&String, &v1::Peer)| {
            let because = peer.down.as_ref().map(|down| format!(": {}", why(down))).unwrap_or_default();
            format!("{node}: {} {} is {}{because}", peer.name, peer.address, text::state(peer))
        };
        ill.map(line).collect()
    }
}

const COLUMNS: &[&str] =
    &["NODE", "PEER", "ADDRESS", "ASN", "STATE", "SINCE", "RECEIVED", "ACCEPTED", "SENT", "NOTE"];
const MORE: &[&str] = &[
    "ROUTER-ID",
    "LOCAL",
    "HOLD",
    "FAMILIES",
    "UPS",
    "UPDATES-IN",
    "UPDATES-OUT",
    "NOTIFICATION-SENT",
    "NOTIFICATION-RECEIVED",
    "RESTART",
    "STALE",
    "ADD-PATH",
];

impl Render for Peers {
    type Document = Document;

    fn text(&self, style: Style) -> String {
        let columns = if style.is_wide() { [COLUMNS, MORE].concat() } else { COLUMNS.to_vec() };
        let mut table = Table::new(&columns, &[]);
        for response in &self.0 {
            for peer in &response.peers {
                let mut row = brief(&response.node, peer);
                if style.is_wide() {
                    row.extend(more(peer));
                }
                table.row(row);
            }
        }
        table.render(style)
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}

fn brief(node: &str, peer: &v1::Peer) -> Vec<String> {
    let established = peer.state() == v1::SessionState::Established;
    let sum = |count: fn(&v1::PeerFamily) -> u64| {
        if established { peer.families.iter().map(count).sum::<u64>().to_string() } else { String::new() }
    };
    vec![
        node.to_owned(),
        peer.name.clone(),
        peer.address.clone(),
        text::number(peer.asn),
        text::state(peer),
        text::age(peer.since_seconds),
        sum(|family| family.received),
        sum(|family| family.accepted),
        sum(|family| family.sent),
        note(peer),
    ]
}

fn why(down: &v1::DownCause) -> String {
    if down.detail.is_empty() { down.reason.clone() } else { down.detail.clone() }
}

/// `2 rejected: as-loop` of a session that is up, else why it is not.
fn note(peer: &v1::Peer) -> String {
    if peer.state() != v1::SessionState::Established {
        let retry = peer.retry_seconds.map(|seconds| format!("retry in {}", text::age(seconds)));
        return peer.down.as_ref().map(why).into_iter().chain(retry).collect::<Vec<String>>().join(", ");
    }
    let malformed = (peer.malformed_count > 0).then(|| {
        let last = peer.malformed_detail.iter().map(|detail| format!(": {detail}"));
        format!("{} malformed{}", peer.malformed_count, last.collect::<String>())
    });
    rejected(&peer.families)
        .into_iter()
        .chain(peer.limits.clone())
        .chain(malformed)
        .collect::<Vec<String>>()
        .join("; ")
}

/// What the import rules refused, by reason, over all families.
fn rejected(families: &[v1::PeerFamily]) -> Option<String> {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for rejected in families.iter().flat_map(|family| &family.rejected) {
        match counts.iter_mut().find(|(reason, _)| *reason == rejected.reason) {
            Some((_, count)) => *count += rejected.count,
            None => counts.push((&rejected.reason, rejected.count)),
        }
    }
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    match counts.as_slice() {
        [] => None,
        [(reason, count)] => Some(format!("{count} rejected: {reason}")),
        several => {
            let several = several.iter().map(|(reason, count)| format!("{count} {reason}"));
            Some(format!("{total} rejected: {}", several.collect::<Vec<String>>().join(", ")))
        }
    }
}

/// A NOTIFICATION in words, and how long ago it was.
fn told(last: Option<&v1::LastNotification>) -> String {
    last.map_or_else(String::new, |last| format!("{}, {} ago", last.text, text::age(last.seconds)))
}

/// `120s`, or `120s+1h` where routes are kept as a last resort after it (RFC 9494).
fn restart(agreed: &v1::GracefulRestart) -> String {
    let long = agreed.long_lived.iter().map(|long| long.seconds).max();
    let long = long.map(|seconds| format!("+{}", text::age(seconds.into())));
    format!("{}s{}", agreed.restart_seconds, long.unwrap_or_default())
}

/// `12 for 1m58s` while the peer is away, `12` while it sends them again, `12 for 58m long-lived` as a last resort.
fn stale(peer: &v1::Peer) -> String {
    let count: u64 = peer.stale.iter().map(|stale| stale.count).sum();
    match peer.kept_seconds {
        Some(seconds) => {
            let long = peer.stale.iter().any(|stale| stale.long_lived_seconds.is_some());
            format!("{count} for {}{}", text::age(seconds), if long { " long-lived" } else { "" })
        }
        None if count > 0 => count.to_string(),
        None => String::new(),
    }
}

fn more(peer: &v1::Peer) -> Vec<String> {
    let families: Vec<String> = peer.families.iter().map(|family| text::family(family.family())).collect();
    vec![
        peer.router_id.clone().unwrap_or_default(),
        peer.local_address.clone().unwrap_or_default(),
        peer.hold_seconds.map(|seconds| format!("{seconds}s")).unwrap_or_default(),
        families.join(","),
        peer.established_count.to_string(),
        peer.updates_received.to_string(),
        peer.updates_sent.to_string(),
        told(peer.notification_sent.as_ref()),
        told(peer.notification_received.as_ref()),
        peer.restart.as_ref().map(restart).unwrap_or_default(),
        stale(peer),
        text::add_path(&peer.add_path),
    ]
}
