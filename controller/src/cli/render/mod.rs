//! What is printed, in the form that was asked for. Whatever a verb shows is a
//! [`Render`]; each form is one function over it.

pub mod json;
pub mod table;
pub mod text;

use clap::ValueEnum;
use serde::Serialize;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns, made for 100 letters a line
    #[default]
    Table,
    /// More columns, as wide as they need
    Wide,
    /// One JSON document: the message, or a list of them if several agents were named
    Json,
    /// One message a line
    Jsonl,
    /// The same document as `json`
    Yaml,
}

impl Format {
    /// Whether a program reads it.
    #[must_use]
    pub const fn is_structured(self) -> bool {
        !matches!(self, Self::Table | Self::Wide)
    }
}

/// How to print for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// What lines are fitted to; `None` for as long as needed, with more columns.
    pub limit: Option<usize>,
    /// Whether STATE is coloured.
    pub colour: bool,
}

impl Style {
    /// The style of a format; `colour` if the reader is a terminal that wants it.
    #[must_use]
    pub fn new(format: Format, colour: bool) -> Self {
        Self { limit: (format != Format::Wide).then_some(100), colour }
    }

    /// Whether there is room for more columns.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        self.limit.is_none()
    }
}

/// Something that can be printed in each form.
pub trait Render {
    /// What programs read.
    type Document: Serialize;

    /// For people.
    fn text(&self, style: Style) -> String;

    /// For programs: one document an agent.
    fn documents(&self) -> Vec<Self::Document>;

    /// For programs that read line by line.
    fn lines(&self) -> Vec<Self::Document> {
        self.documents()
    }

    /// Whether JSON and YAML show a list of the documents, where `several` agents
    /// were asked and where not; even where only one of them answered.
    fn is_list(&self, several: bool) -> bool {
        several
    }
}

/// What was found out, in the form that was asked for; `several` agents were asked or one.
///
/// # Errors
/// A value that the form cannot carry.
pub fn render(what: &impl Render, format: Format, style: Style, several: bool) -> anyhow::Result<String> {
    if !format.is_structured() {
        return Ok(what.text(style));
    }
    if format == Format::Jsonl {
        return what.lines().iter().map(|line| serialized(line, format)).collect();
    }
    let documents = what.documents();
    match (format, documents.as_slice()) {
        (_, [document]) if !what.is_list(several) => serialized(document, format),
        (_, documents) => serialized(documents, format),
    }
}

fn serialized(value: &(impl Serialize + ?Sized), format: Format) -> anyhow::Result<String> {
    Ok(match format {
        Format::Yaml => serde_saphyr::to_string(&value)?,
        Format::Jsonl => serde_json::to_string(value)? + "\n",
        _ => serde_json::to_string_pretty(value)? + "\n",
    })
}
