//! A story as lines in columns: what each is about, of whom, and what.

use super::render::text;

/// A line: what it is about, of whom, what, and how it ended. Where `end` is
/// empty, `what` is a sentence and takes no part in the columns.
#[derive(Debug, Default)]
pub struct Row {
    label: &'static str,
    of: String,
    what: String,
    end: String,
}

impl Row {
    /// A line without an end.
    pub fn new(label: &'static str, of: impl Into<String>, what: impl Into<String>) -> Self {
        let (of, what) = (text::printable(&of.into()), text::printable(&what.into()));
        Self { label, of, what, end: String::new() }
    }

    /// The same with an end.
    #[must_use]
    pub fn end(mut self, end: impl Into<String>) -> Self {
        self.end = text::printable(&end.into());
        self
    }
}

/// The rows in columns; a label stands before its first row alone. The last
/// part of a line is a reason, and never cut.
#[must_use]
pub fn laid_out(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (label, of) = (width(|row| row.label), width(|row| &row.of));
    let what = width(|row| if row.end.is_empty() { "" } else { &row.what });
    let (mut text, mut before) = (String::new(), "");
    for row in rows {
        let name = if row.label == before { "" } else { row.label };
        before = row.label;
        text += &format!("  {name:label$}   {:of$}   ", row.of);
        if row.end.is_empty() {
            text += &row.what;
        } else {
            text += &format!("{:what$}   {}", row.what, row.end);
        }
        text.push('\n');
    }
    text
}
