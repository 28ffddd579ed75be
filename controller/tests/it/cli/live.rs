//! Verbs that go on: `events -f` and `-w`, into a pipe.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use api::v1;
use bgp::io::State;
use bgp::reason::Reason;
use controller::cli::events::Events;
use controller::cli::render::{Format, Style, render};
use controller::status::convert;

use crate::status::agent::Agent;
use crate::status::events::{eventful, lost};
use crate::status::fixture;

/// A running verb whose lines are read one by one, off the runtime's threads.
struct Live {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Live {
    fn start(line: &str, agent: &Agent) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_underlay"));
        command.args(line.split(' ')).args([OsStr::new("--socket"), agent.socket().as_os_str()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let lines = child.stdout.take().map(BufReader::new);
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let lines = self.lines.as_mut().expect("the pipe is open");
        tokio::task::block_in_place(|| lines.read_line(&mut line)).expect("a line");
        line
    }

    fn json(&mut self) -> serde_json::Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn hang_up(&mut self) {
        drop(self.lines.take());
    }

    /// How it ended, and what it complained of.
    fn end(mut self) -> (Option<i32>, String) {
        let mut stderr = String::new();
        tokio::task::block_in_place(|| {
            let pipe = self.child.stderr.as_mut().expect("it is piped");
            pipe.read_to_string(&mut stderr).expect("text");
            let status = self.child.wait().expect("it ends");
            (status.code(), stderr)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_go_on_until_the_reader_goes() {
    let mut agent = eventful();
    let mut live = Live::start("events -f -o jsonl --peer tor1", &agent);
    let event = live.json();
    assert_eq!((&event["node"], &event["peer"]["name"]), (&"worker-1".into(), &"tor1".into()));
    assert_eq!((&event["from"], &event["reason"]), (&"Established".into(), &"hold-timer-expired".into()));

    agent.publisher.event(lost("tor2", "fd00::2"));
    let mut second = lost("tor1", "10.0.2.1");
    second.text = "again".to_owned();
    agent.publisher.event(second.clone());
    agent.publish(fixture::snapshot("worker-1", vec![]));
    assert_eq!(live.json()["detail"], "again", "events of others are left out");

    live.hang_up();
    agent.publisher.event(second);
    agent.publish(fixture::snapshot("worker-1", vec![]));
    assert_eq!(live.end(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_as_a_table_have_one_header() {
    let mut agent = eventful();
    let mut live = Live::start("events --follow", &agent);
    let header = live.line();
    assert!(header.starts_with("NODE      TIME "), "{header}");
    (0..3).for_each(|_| drop(live.line()));
    agent.publisher.event(lost("tor3", "fd00::2"));
    agent.publish(fixture::snapshot("worker-1", vec![]));
    let line = live.line();
    let column = header.find("PEER").unwrap();
    assert!(line[column..].starts_with("tor3 "), "{header}{line}");
    agent.stop().await;
    let (code, stderr) = live.end();
    assert_eq!(code, Some(5), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_watches_prints_a_line_for_each_change() {
    for verb in ["status -w", "peers --watch", "routes -w", "peers -w -o yaml"] {
        let peer = |state| fixture::down("tor1", "10.0.2.1", state, Reason::Connecting, "");
        let snapshot = |state| fixture::snapshot("worker-1", vec![peer(state)]);
        let mut agent = Agent::start(snapshot(State::Idle), vec![fixture::installed_story()]);
        let mut live = Live::start(verb, &agent);
        assert!(live.line().contains("worker-1"));
        for state in [State::Active, State::Connect] {
            agent.publish(snapshot(state));
            let line = live.json().to_string();
            let expected = if verb.starts_with("peers") { state.name() } else { "worker-1" };
            assert!(line.contains(expected), "{verb}: {line}");
        }
        live.hang_up();
        agent.publish(snapshot(State::Idle));
        assert_eq!(live.end(), (Some(0), String::new()), "{verb}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_agent() {
    let agent = eventful();
    let mut live = Live::start("peers -w", &agent);
    live.json();
    agent.stop().await;
    assert_eq!(live.end().0, Some(5));
}

#[test]
fn events_in_every_form() {
    let moment = fixture::moment();
    let mut hostile = lost("tor\x1b[31m", "10.0.2.1");
    hostile.at = fixture::at(61);
    let events = [(2, lost("tor1", "10.0.2.1")), (3, hostile)];
    let response = v1::ListEventsResponse {
        node: "worker-1".to_owned(),
        revision: 3,
        events: events.iter().map(|(revision, event)| convert::event(event, *revision, &moment)).collect(),
        dropped_revision: 0,
    };
    let events = Events(vec![response]);
    let printed = |format| render(&events, format, Style::new(format, false), false).unwrap();
    insta::assert_snapshot!("events_table", printed(Format::Table));
    insta::assert_snapshot!("events_wide", printed(Format::Wide));
    insta::assert_snapshot!("events_json", printed(Format::Json));
    insta::assert_snapshot!("events_jsonl", printed(Format::Jsonl));
}
