//! The person's terminal, or whatever is in its place.

use crate::text::{Look, TextLine};
use crossterm::{
    cursor::{MoveToColumn, MoveUp},
    queue,
    style::Print,
    terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, size},
};
use oddswire_kit::env;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// Where a command writes, and what is known of it.
pub struct Console {
    /// What was asked for.
    pub out: Box<dyn Write + Send + Sync>,
    /// What a person is told besides.
    pub aside: Box<dyn Write + Send + Sync>,
    /// What `out` is.
    pub kind: Kind,
    /// How it shows text.
    pub look: Look,
}

/// What a command writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A terminal on which the cursor can be moved.
    Terminal,
    /// One that only goes on, line by line.
    Dumb,
    /// A pipe, a file.
    Other,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("kind", &self.kind)
            .field("look", &self.look)
            .finish_non_exhaustive()
    }
}

impl Console {
    /// Standard output and standard error of this process.
    pub fn of_process() -> Self {
        let is_set = |name| env::lookup(name).is_some_and(|value| !value.is_empty());
        let is_dumb = !is_set("TERM") || env::lookup("TERM").as_deref() == Some("dumb");
        let kind = match (io::stdout().is_terminal(), is_dumb) {
            (true, false) => Kind::Terminal,
            (true, true) => Kind::Dumb,
            (false, _) => Kind::Other,
        };
        // The first of these that is there names the characters, as for any program.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| env::lookup(name).filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_lowercase();
        Self {
            out: Box::new(io::stdout()),
            aside: Box::new(io::stderr()),
            kind,
            look: Look {
                colours: kind == Kind::Terminal && !is_set("NO_COLOR"),
                // What is no terminal takes UTF-8, like everything else of ours.
                unicode: kind == Kind::Other || locale.contains("utf-8") || locale.contains("utf8"),
            },
        }
    }

    /// Columns and rows: of the terminal, else what everybody has at least.
    pub(crate) fn size(&self) -> (usize, usize) {
        let known = (self.kind == Kind::Terminal).then(size).and_then(Result::ok);
        match known {
            Some((columns, rows)) if columns > 0 && rows > 0 => (columns.into(), rows.into()),
            _ => (80, 24),
        }
    }

    /// Writes a line of what was asked for.
    pub(crate) fn line(&mut self, line: &TextLine) -> io::Result<()> {
        writeln!(self.out, "{}", line.rendered(self.look))
    }

    /// Tells the person something besides. That nobody hears it is no reason to stop.
    pub(crate) fn tell(&mut self, text: &str) {
        let _ = writeln!(self.aside, "oddswire: {text}");
        let _ = self.aside.flush();
    }
}

/// Lines at the end of a terminal's text that are drawn again in place. Nothing has to be restored after it.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// The widths of what stands there now.
    drawn: Vec<usize>,
}

impl Live {
    /// Draws `lines` in place of the last ones, with `above` over them, which stay.
    pub(crate) fn draw(
        &mut self,
        console: &mut Console,
        above: &[TextLine],
        lines: Vec<TextLine>,
    ) -> io::Result<()> {
        let (columns, rows) = console.size();
        let look = console.look;
        // The cursor cannot go up beyond the first row.
        let lines = fitting(lines, rows.saturating_sub(1))
            .into_iter()
            .map(|line| line.cut(columns, look));
        let lines: Vec<TextLine> = lines.collect();
        let out = &mut console.out;
        queue!(out, BeginSynchronizedUpdate, MoveToColumn(0))?;
        let up = self.rows_at(columns).min(rows.saturating_sub(1));
        if up > 0 {
            queue!(out, MoveUp(u16::try_from(up).unwrap_or(u16::MAX)))?;
        }
        for line in above.iter().chain(&lines) {
            queue!(
                out,
                Print(line.rendered(look)),
                Clear(ClearType::UntilNewLine),
                Print("\r\n")
            )?;
        }
        queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.drawn = lines.iter().map(TextLine::width).collect();
        out.flush()
    }

    /// Rows that the lines take now: a terminal that became narrower has broken them.
    fn rows_at(&self, columns: usize) -> usize {
        self.drawn
            .iter()
            .map(|width| width.div_ceil(columns.max(1)).max(1))
            .sum()
    }
}

/// As many lines as there is room for.
pub(crate) fn fitting(mut lines: Vec<TextLine>, rows: usize) -> Vec<TextLine> {
    if lines.len() > rows && rows > 0 {
        let left_out = lines.len() - rows + 1;
        lines.truncate(rows - 1);
        let more = format!("… and {left_out} more");
        lines.push(TextLine::of(crate::text::Tone::Dim, &more));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tone;

    #[test]
    fn a_narrower_terminal_has_more_rows_to_draw_over() {
        let live = Live {
            drawn: vec![80, 0, 41],
        };
        assert_eq!([80, 40, 20].map(|columns| live.rows_at(columns)), [3, 5, 8]);
    }

    #[test]
    fn more_lines_than_rows_are_counted() {
        let lines = vec![TextLine::of(Tone::Plain, "a"); 10];
        let look = Look {
            colours: false,
            unicode: true,
        };
        let shown: Vec<String> = fitting(lines, 3).iter().map(|line| line.rendered(look)).collect();
        assert_eq!(shown, ["a", "a", "… and 8 more"]);
    }
}
