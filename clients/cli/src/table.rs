//! Columns that are as wide as what stands in them.

use crate::text::{Look, TextLine, Tone, width_of};

/// To which side a column leans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    tone: Tone,
    text: String,
}

/// A cell.
pub(crate) fn cell(tone: Tone, text: impl Into<String>) -> Cell {
    Cell {
        tone,
        text: text.into(),
    }
}

/// A table with its heads.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(Side, String)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(columns: &[(Side, &str)]) -> Self {
        Self {
            columns: columns
                .iter()
                .map(|(side, head)| (*side, (*head).to_owned()))
                .collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The head, dim, and the rows, two columns apart and behind an indent. What is too wide is cut on the right.
    pub(crate) fn lines(&self, indent: usize, width: usize, look: Look) -> Vec<TextLine> {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                let cells = self.rows.iter().filter_map(|row| row.get(at));
                let widest = cells.map(|cell| width_of(&cell.text)).max().unwrap_or(0);
                widest.max(width_of(&self.columns[at].1))
            })
            .collect();
        let heads: Vec<Cell> = self
            .columns
            .iter()
            .map(|(_, head)| cell(Tone::Dim, head.as_str()))
            .collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, indent).cut(width, look))
            .collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize], indent: usize) -> TextLine {
        let mut line = TextLine::of(Tone::Plain, &" ".repeat(indent));
        for (at, cell) in row.iter().enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            let fill = " ".repeat(widths[at].saturating_sub(width_of(&cell.text)));
            let is_last = at + 1 == row.len();
            let text = match self.columns[at].0 {
                // Nothing stands behind it, so nothing is to be cut off.
                Side::Left if is_last => cell.text.clone(),
                Side::Left => format!("{}{fill}", cell.text),
                Side::Right => format!("{fill}{}", cell.text),
            };
            line = line.with(Tone::Plain, gap).with(cell.tone, &text);
        }
        line
    }
}
