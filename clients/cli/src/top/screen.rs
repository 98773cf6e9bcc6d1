//! The whole screen, as long as it is ours.

use crate::{
    console::{Console, fitting},
    text::TextLine,
};
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::Print,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
        LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    },
};
use std::io;

/// A screen beside the one with the person's text, which comes back when this value is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    /// Columns and rows of the last picture.
    size: (usize, usize),
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // From here on it is restored, whatever happens.
        let screen = Self { size: (0, 0) };
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, console: &mut Console, lines: Vec<TextLine>) -> io::Result<()> {
        let size @ (columns, rows) = console.size();
        let look = console.look;
        let out = &mut console.out;
        queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        // What a terminal makes of the old picture at another size is its own business.
        if std::mem::replace(&mut self.size, size) != size {
            queue!(out, Clear(ClearType::All))?;
        }
        for (at, line) in fitting(lines, rows).into_iter().enumerate() {
            if at > 0 {
                queue!(out, Print("\r\n"))?;
            }
            let line = line.cut(columns, look);
            let is_whole = line.width() == columns;
            queue!(out, Print(line.rendered(look)))?;
            // Behind the last column it would take that column away.
            if !is_whole {
                queue!(out, Clear(ClearType::UntilNewLine))?;
            }
        }
        queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell that a terminal is gone.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}
