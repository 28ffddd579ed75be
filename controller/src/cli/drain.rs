//! `underlay drain` and `underlay undrain`: a node out of service, and back.

use api::v1;
use clap::Args;
use jiff::SignedDuration;

use super::client::{self, Answers};
use super::failure::Failure;
use super::options::Options;
use super::outcome::Outcome;
use super::render::json::Document;
use super::render::{Render, Style, text};

/// The arguments of `drain`.
#[derive(Args, Clone, Debug)]
pub struct DrainArgs {
    /// Withdraw the prefixes of the node's pods, too. An agent that ends (SIGTERM) while this holds removes its
    /// routes; otherwise it leaves them for the next one
    #[arg(long)]
    pub pods: bool,
    /// Undrain by itself after this time, such as 30m or 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<SignedDuration>,
    /// How long the addresses of Services are shunned before they are withdrawn
    #[arg(long, value_name = "DURATION", value_parser = wait, default_value = "30s")]
    pub wait: SignedDuration,
    /// Why, in a line for those who look
    #[arg(long, value_name = "TEXT", default_value_t)]
    pub reason: String,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

/// The arguments of `undrain`.
#[derive(Args, Clone, Debug)]
pub struct UndrainArgs {
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "not a time such as 30m or 2h".to_owned())?;
    if duration.as_secs() > 0 { Ok(duration) } else { Err("at least a second".to_owned()) }
}

fn wait(text: &str) -> Result<SignedDuration, String> {
    let wait: SignedDuration = text.parse().map_err(|_| "not a time such as 30s or 5m".to_owned())?;
    if wait.is_negative() { Err("not less than nothing".to_owned()) } else { Ok(wait) }
}

pub(super) async fn run(args: DrainArgs) -> Outcome {
    let request = v1::DrainRequest {
        pods: args.pods,
        for_seconds: args.duration.and_then(|duration| u64::try_from(duration.as_secs()).ok()),
        reason: args.reason,
        wait_seconds: u64::try_from(args.wait.as_secs()).ok(),
    };
    let Answers { answers, failures, asked } = client::order(&args.options, |mut agent| {
        let request = request.clone();
        async move {
            let answer = agent.drain(request).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
        }
    })
    .await;
    let answered = answers.len();
    Outcome::of(&Drained(answers), answered, &asked, &failures, &args.options)
}

pub(super) async fn undrain(args: UndrainArgs) -> Outcome {
    let Answers { answers, failures, asked } = client::order(&args.options, async |mut agent| {
        let answer = agent.undrain(v1::UndrainRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
    })
    .await;
    let answered = answers.len();
    Outcome::of(&Undrained(answers), answered, &asked, &failures, &args.options)
}

/// What a drain is, in a few words: `drained of its pods, until 30m from now: new disk`.
#[must_use]
pub fn words(drain: &v1::Drain) -> String {
    let mut words = if drain.pods { "drained of its pods".to_owned() } else { "drained".to_owned() };
    if let Some(seconds) = drain.until_seconds {
        words += &format!(", {} more", text::age(seconds));
    }
    if !drain.reason.is_empty() {
        words += &format!(": {}", drain.reason);
    }
    text::printable(&words)
}

/// What becomes of the addresses of Services: `addresses of Services are withdrawn in 30s`.
#[must_use]
pub fn services(drain: &v1::Drain) -> Option<String> {
    Some(match drain.services_seconds? {
        0 => "addresses of Services are withdrawn".to_owned(),
        left => format!("addresses of Services are withdrawn in {}", text::age(left)),
    })
}

/// The drains that hold.
#[derive(Debug)]
pub struct Drained(pub Vec<v1::DrainResponse>);

impl Render for Drained {
    type Document = Document;

    fn text(&self, _: Style) -> String {
        let line = |response: &v1::DrainResponse| {
            let drain = response.drain.clone().unwrap_or_default();
            let pods = if drain.pods { "its PodCIDRs are withdrawn, " } else { "" };
            let services = services(&drain).map(|line| format!("  {line}\n")).unwrap_or_default();
            format!(
                "{} is {}\n  {pods}what it sends carries GRACEFUL_SHUTDOWN (65535:0), its sessions stay up\n{services}",
                response.node,
                words(&drain)
            )
        };
        self.0.iter().map(line).collect()
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}

/// The drains that have ended.
#[derive(Debug)]
pub struct Undrained(pub Vec<v1::UndrainResponse>);

impl Render for Undrained {
    type Document = Document;

    fn text(&self, _: Style) -> String {
        let line = |response: &v1::UndrainResponse| match &response.drain {
            _ if response.remains.is_some() => {
                let remains = response.remains.as_ref().map(words).unwrap_or_default();
                let node = &response.node;
                format!("{node} stays {remains}\n  kubectl uncordon {node} puts it back into service\n")
            }
            Some(drain) => {
                let age = text::age(drain.since_seconds);
                format!("{} is in service again, after {age}; it was {}\n", response.node, words(drain))
            }
            None => format!("{} is in service, and was not drained\n", response.node),
        };
        self.0.iter().map(line).collect()
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}
