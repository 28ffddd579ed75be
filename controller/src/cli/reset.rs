//! `underlay reset`: a session anew, or its routes.

use api::v1;
use clap::Args;

use super::client::{self, Answers};
use super::failure::Failure;
use super::options::Options;
use super::outcome::Outcome;
use super::render::json::Document;
use super::render::{Render, Style, text};

/// The arguments of `reset`.
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    /// The peer, by name or address
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// Keep the session: send everything again, ask for everything again, judge everything again
    #[arg(long)]
    pub soft: bool,
    /// Where and how
    #[command(flatten)]
    pub options: Options,
}

pub(super) async fn run(args: ResetArgs) -> Outcome {
    let request = v1::ResetPeerRequest { peer: args.peer, soft: args.soft };
    let Answers { answers, failures, asked } = client::order(&args.options, |mut agent| {
        let request = request.clone();
        async move {
            let answer = agent.reset_peer(request).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Failure::answered(&status))
        }
    })
    .await;
    let answered = answers.len();
    Outcome::of(&Resets(answers), answered, &asked, &failures, &args.options)
}

/// The sessions that were reset.
#[derive(Debug)]
pub struct Resets(pub Vec<v1::ResetPeerResponse>);

impl Render for Resets {
    type Document = Document;

    fn text(&self, _: Style) -> String {
        let line = |response: &v1::ResetPeerResponse| {
            let peer = response.peer.as_ref().map(text::peer).unwrap_or_default();
            if response.soft {
                return format!(
                    "{}: all routes are exchanged anew with {peer}, in the same session\n",
                    response.node
                );
            }
            let before = text::word(response.before().as_str_name(), "SESSION_STATE_");
            format!("{}: the session with {peer} is reset; it was {before}\n", response.node)
        };
        self.0.iter().map(line).collect()
    }

    fn documents(&self) -> Vec<Document> {
        self.0.iter().map(Document::new).collect()
    }
}
