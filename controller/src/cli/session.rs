//! The story of a peer as lines: the session, what was asked for beside what is
//! in use, what is exchanged, what went wrong.

use api::v1;

use super::render::text;
use super::story::Row;

pub(super) fn rows(story: &v1::PeerExplanation) -> Vec<Row> {
    let (Some(peer), Some(configured)) = (&story.peer, &story.configured) else { return Vec::new() };
    let mut rows = session(peer);
    rows.extend(agreed(peer, configured));
    rows.extend(peer.bfd.as_ref().map(bfd));
    rows.extend(restart(peer));
    rows.extend(exchanged(peer));
    rows.extend(rules(configured));
    rows.extend(messages(peer));
    rows.extend(notifications(peer));
    rows
}

fn is_up(peer: &v1::Peer) -> bool {
    peer.state() == v1::SessionState::Established
}

fn session(peer: &v1::Peer) -> Vec<Row> {
    let since = format!("for {}", text::age(peer.since_seconds));
    let mut rows = vec![Row::new(
        "session",
        text::state(peer),
        if is_up(peer) { since } else { format!("not Established {since}") },
    )];
    if let Some(down) = &peer.down {
        rows.push(Row::new("last error", down.reason.clone(), or_dash(down.detail.clone())));
    }
    if let Some(seconds) = peer.retry_seconds {
        let failed = match peer.failed_attempts {
            0 => "-".to_owned(),
            1 => "after 1 failure".to_owned(),
            several => format!("after {several} failures"),
        };
        rows.push(Row::new("retry", failed, format!("in {}", text::age(seconds))));
    }
    let ups = match peer.established_count {
        1 => "once since the agent's start".to_owned(),
        count => format!("{count} times since the agent's start"),
    };
    rows.push(Row::new("Established", "-", ups));
    rows
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn families(families: impl Iterator<Item = v1::AddressFamily>) -> String {
    or_dash(families.map(text::family).collect::<Vec<String>>().join(", "))
}

fn seconds(seconds: u64) -> String {
    if seconds == 0 { "none".to_owned() } else { format!("{seconds}s") }
}

/// What was configured beside what was negotiated.
fn agreed(peer: &v1::Peer, configured: &v1::PeerSettings) -> Vec<Row> {
    let used = |value: Option<String>| match value {
        Some(value) if is_up(peer) => format!("in use {}", or_dash(value)),
        _ => "not negotiated".to_owned(),
    };
    let row =
        |label, of: &str, value: Option<String>| Row::new(label, format!("configured {of}"), used(value));
    let negotiated = families(peer.families.iter().map(v1::PeerFamily::family));
    vec![
        row("AS", &configured.asn, peer.asn.map(|asn| asn.to_string())),
        row("families", &families(configured.families()), Some(negotiated)),
        row(
            "hold time",
            &seconds(configured.hold_seconds),
            peer.hold_seconds.map(|hold| seconds(hold.into())),
        ),
        Row::new(
            "keepalive",
            format!("configured {}", seconds(configured.keepalive_seconds)),
            "at most a third of the hold time",
        ),
        Row::new(
            "add-path",
            format!("configured {}", wanted_paths(configured)),
            used(Some(text::add_path(&peer.add_path))),
        ),
        Row::new(
            "connection",
            connection(configured),
            match &peer.local_address {
                Some(local) => format!("from {local}"),
                None => "none".to_owned(),
            },
        ),
    ]
}

fn wanted_paths(configured: &v1::PeerSettings) -> String {
    let receive = configured.add_path_receive.then(|| "receive".to_owned());
    let send = (configured.add_path_send > 0).then(|| format!("send {}", configured.add_path_send));
    let wanted: Vec<String> = receive.into_iter().chain(send).collect();
    if wanted.is_empty() { "no".to_owned() } else { wanted.join(", ") }
}

fn connection(configured: &v1::PeerSettings) -> String {
    match (configured.disabled, configured.passive) {
        (true, _) => "disabled".to_owned(),
        (_, true) => "the peer connects".to_owned(),
        _ => format!("port {}, retry {}", configured.port, seconds(configured.connect_retry_seconds)),
    }
}

/// What BFD knows of the way to the peer.
fn bfd(session: &v1::BfdSession) -> Row {
    let name = |state: v1::BfdState| match state {
        v1::BfdState::Up => "Up",
        v1::BfdState::Init => "Init",
        v1::BfdState::Down => "Down",
        v1::BfdState::AdminDown => "AdminDown",
        v1::BfdState::Unspecified => "-",
    };
    let since = text::age(session.since_seconds);
    let what = match (session.state(), session.transmit_milliseconds, session.detection_milliseconds) {
        (v1::BfdState::Up, Some(transmit), Some(detection)) => {
            format!("for {since}, a packet in {transmit}ms, silence of {detection}ms is the end")
        }
        _ => format!("for {since}, {}; the peer says {}", session.diagnostic, name(session.remote_state())),
    };
    Row::new("BFD", name(session.state()), what)
}

/// What outlasts a restart of the peer, and what of it is in use at present.
fn restart(peer: &v1::Peer) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(agreed) = &peer.restart {
        let what = format!("{}s for {}", agreed.restart_seconds, families(agreed.families()));
        let also = if agreed.notification { ", after a NOTIFICATION too" } else { "" };
        rows.push(Row::new("restart", "routes are kept", format!("{what}{also}")));
        for long in &agreed.long_lived {
            let what = format!("{}s more for {}", long.seconds, text::family(long.family()));
            rows.push(Row::new("restart", "as a last resort", what));
        }
    } else if is_up(peer) {
        rows.push(Row::new("restart", "no route is kept", "not negotiated"));
    }
    for stale in &peer.stale {
        let until = match (stale.long_lived_seconds, peer.kept_seconds) {
            (Some(seconds), _) => format!("kept for {} as a last resort", text::age(seconds)),
            (None, Some(seconds)) => format!("kept for {}", text::age(seconds)),
            (None, None) => "to be sent again".to_owned(),
        };
        rows.push(Row::new("stale", text::family(stale.family()), format!("{} paths, {until}", stale.count)));
    }
    rows
}

fn exchanged(peer: &v1::Peer) -> Vec<Row> {
    if !is_up(peer) {
        return vec![Row::new("prefixes", "-", "nothing is exchanged")];
    }
    let mut rows = Vec::new();
    for counts in &peer.families {
        let family = text::family(counts.family());
        let (received, accepted, sent) = (counts.received, counts.accepted, counts.sent);
        let what = format!("{received} received, {accepted} accepted, {sent} sent");
        rows.push(Row::new("prefixes", family.clone(), what));
        if counts.kept_back > 0 {
            let what = format!("{} not sent: send-limit", counts.kept_back);
            rows.push(Row::new("prefixes", family.clone(), what));
        }
        for rejected in &counts.rejected {
            let what = format!("{} rejected: {}", rejected.count, rejected.reason);
            rows.push(Row::new("prefixes", family.clone(), what));
        }
    }
    rows
}

fn rules(configured: &v1::PeerSettings) -> Vec<Row> {
    let accept = match (configured.accept_any, configured.accept.as_slice()) {
        (true, _) => "any prefix".to_owned(),
        (false, []) => "nothing".to_owned(),
        (false, accept) => format!("{} and longer", accept.join(", ")),
    };
    let default = if configured.accept_default_route { "a default route too" } else { "no default route" };
    vec![
        Row::new("accept", "-", format!("{accept}; {default}")),
        Row::new("limit", "-", format!("{} prefixes a family", configured.receive_limit)),
    ]
}

/// The last NOTIFICATION each way, in words and in hex.
fn notifications(peer: &v1::Peer) -> Vec<Row> {
    let each = [("sent", &peer.notification_sent), ("received", &peer.notification_received)];
    let rows = each.into_iter().filter_map(|(way, last)| {
        let last = last.as_ref()?;
        let when = format!("{} ago: {}", text::age(last.seconds), last.text);
        let hex = match usize::try_from(last.data_length) {
            Ok(len) if len * 3 + 5 > last.hex.len() => format!("{} and more, {len} octets of data", last.hex),
            _ => last.hex.clone(),
        };
        Some([Row::new("NOTIFICATION", way, when), Row::new("NOTIFICATION", "in hex", hex)])
    });
    rows.flatten().collect()
}

fn messages(peer: &v1::Peer) -> Vec<Row> {
    let mut rows = vec![Row::new(
        "UPDATEs",
        "-",
        format!("{} received, {} sent", peer.updates_received, peer.updates_sent),
    )];
    if peer.malformed_count > 0 {
        let last = peer.malformed_detail.clone().unwrap_or_default();
        rows.push(Row::new(
            "malformed",
            "-",
            format!("{} attributes, the last: {last}", peer.malformed_count),
        ));
    }
    rows
}
