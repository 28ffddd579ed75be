//! Columns as `ps` prints them: one fact a row, no boxes, no blank cells. Only
//! the column called STATE is ever coloured. Lines stay within their limit by
//! shortening the columns that may be shortened; what names something, and what
//! says why, is never cut.

use super::Style;
use super::text::printable;

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    elastic: &'static [&'static str],
}

impl Table {
    /// A table with these columns. The `elastic` ones are shortened, in this
    /// order, where a line would get too long.
    #[must_use]
    pub fn new(header: &[&'static str], elastic: &'static [&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), elastic }
    }

    /// Adds a row, one cell a column; an empty cell is printed as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cell = |cell: String| if cell.is_empty() { "-".to_owned() } else { printable(&cell) };
        let mut cells: Vec<String> = cells.into_iter().map(cell).collect();
        cells.resize(self.header.len(), "-".to_owned());
        self.rows.push(cells);
    }

    /// The header and the rows, each line ended.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        self.render_below(style, &mut Vec::new())
    }

    /// The rows below those that were printed with these widths, which grow; the
    /// header only where there are none.
    #[must_use]
    pub fn render_below(&self, style: Style, above: &mut Vec<usize>) -> String {
        let is_first = above.is_empty();
        above.resize(self.header.len(), 0);
        let mut widths: Vec<usize> =
            above.iter().enumerate().map(|(column, width)| self.width(column).max(*width)).collect();
        if let Some(limit) = style.limit {
            self.squeeze(&mut widths, limit);
        }
        above.clone_from(&widths);
        let header: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        let mut text = if is_first { line(&header, &widths, |_, cell| cell) } else { String::new() };
        for row in &self.rows {
            text += &line(row, &widths, |column, cell| {
                if style.colour && self.header[column] == "STATE" { painted(&cell) } else { cell }
            });
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.header[column].len()]).max().unwrap_or(0)
    }

    /// Takes from the elastic columns what the lines are too long by.
    fn squeeze(&self, widths: &mut [usize], limit: usize) {
        for name in self.elastic {
            let Some(column) = self.header.iter().position(|header| header == name) else { continue };
            let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            let least = LEAST.min(widths[column]);
            widths[column] = widths[column].saturating_sub(total.saturating_sub(limit)).max(least);
        }
    }
}

/// Blanks between columns.
const GAP: usize = 2;
/// What is left of an elastic column.
const LEAST: usize = 12;

fn line(cells: &[String], widths: &[usize], paint: impl Fn(usize, String) -> String) -> String {
    let mut text = String::new();
    let mut blanks = 0;
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = shortened(cell, *width);
        let used = cell.chars().count();
        text.extend(std::iter::repeat_n(' ', blanks));
        text += &paint(column, cell);
        blanks = width - used + GAP;
    }
    text + "\n"
}

fn shortened(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn painted(state: &str) -> String {
    let colour = match state {
        "Established" | "ok" => 32,
        "Idle" | "bad" => 31,
        _ => 33,
    };
    format!("\x1b[{colour}m{state}\x1b[0m")
}
