//! One story of what several agents tell; who did not answer is in it too.

use api::v1;

use crate::cli::client::Answers;
use crate::cli::options::Options;
use crate::cli::outcome::Outcome;
use crate::cli::render::json::Document;
use crate::cli::render::{Render, Style, text};
use crate::cli::story::{Row, laid_out};

/// What the agents told, and how it is told as one story.
struct Whole {
    answers: Vec<v1::ExplainResponse>,
    summary: String,
    rows: Vec<Row>,
}

impl Render for Whole {
    type Document = Document;

    fn text(&self, _: Style) -> String {
        format!("{}\n\n{}", text::printable(&self.summary), laid_out(&self.rows))
    }

    fn documents(&self) -> Vec<Document> {
        self.answers.iter().map(Document::new).collect()
    }
}

/// A line a node that has not answered: what is told is not all.
pub(super) fn unanswered(told: &Answers<Vec<v1::ExplainResponse>>) -> impl Iterator<Item = Row> {
    let silent = told.failures.iter().filter_map(|failure| Some((failure.node.as_ref()?, &failure.message)));
    silent.map(|(node, why)| Row::new("on", node, format!("no answer: {why}")))
}

/// The outcome of a story that is put together of what agents told.
pub(super) fn outcome(
    told: Answers<Vec<v1::ExplainResponse>>,
    summary: String,
    rows: Vec<Row>,
    options: &Options,
) -> Outcome {
    let Answers { answers, failures, asked } = told;
    let answered = answers.len();
    let whole = Whole { answers: answers.into_iter().flatten().collect(), summary, rows };
    Outcome::of(&whole, answered, &asked, &failures, options)
}
