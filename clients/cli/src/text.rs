//! Lines of text with a little style, cut to the columns that there are.

use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// How a piece of a line stands out. Without colours nothing is lost but that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
    Accent,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Bold => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => colour(AnsiColor::Green),
            Self::Warn => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Accent => colour(AnsiColor::Cyan),
        }
    }
}

/// How a terminal is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Whether it shows colours.
    pub colours: bool,
    /// Whether it shows more than ASCII.
    pub unicode: bool,
}

/// A text without what commands a terminal: blanks in place of control characters and line separators, and without the
/// marks that turn the direction of all that follows (Unicode UAX 9: a price after a name would be read backwards).
fn harmless(text: &str) -> String {
    let turns = |c: &char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .filter(|c| !turns(c))
        .map(|c| {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TextLine(Vec<(Tone, String)>);

impl TextLine {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub(crate) fn of(tone: Tone, text: &str) -> Self {
        Self::new().with(tone, text)
    }

    /// The line with one more piece. What could command a terminal is taken out of it: text comes from sites.
    #[must_use]
    pub(crate) fn with(mut self, tone: Tone, text: &str) -> Self {
        self.0.push((tone, harmless(text)));
        self
    }

    /// The same, filled up to a width on the right.
    #[must_use]
    pub(crate) fn with_padded(self, tone: Tone, text: &str, width: usize) -> Self {
        let fill = width.saturating_sub(width_of(text));
        self.with(tone, &format!("{text}{}", " ".repeat(fill)))
    }

    /// The line followed by another.
    #[must_use]
    pub(crate) fn and(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// Columns that it takes.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width_of(text)).sum()
    }

    /// The line in at most so many columns.
    #[must_use]
    pub(crate) fn cut(self, width: usize, look: Look) -> Self {
        if self.width() <= width {
            return self;
        }
        let sign = if look.unicode { "…" } else { "~" };
        let mut left = width.saturating_sub(1);
        let mut pieces = Vec::new();
        for (tone, text) in self.0 {
            let wide = width_of(&text);
            if wide <= left {
                left -= wide;
                pieces.push((tone, text));
                continue;
            }
            let mut kept = String::new();
            for c in text.chars() {
                let wide = c.width().unwrap_or(0);
                if wide > left {
                    break;
                }
                left -= wide;
                kept.push(c);
            }
            kept.push_str(sign);
            pieces.push((tone, kept));
            break;
        }
        Self(if width == 0 { Vec::new() } else { pieces })
    }

    /// As it is written, without a line end.
    pub(crate) fn rendered(&self, look: Look) -> String {
        let mut out = String::new();
        for (tone, text) in &self.0 {
            let text = if look.unicode { text.clone() } else { ascii(text) };
            let style = tone.style();
            // Writing to a String does not fail.
            let _ = if look.colours && !text.is_empty() && *tone != Tone::Plain {
                write!(out, "{style}{text}{style:#}")
            } else {
                write!(out, "{text}")
            };
        }
        let end = out.trim_end_matches(' ').len();
        out.truncate(end);
        out
    }
}

/// Our own signs in ASCII; of what sites write, each other character as a question mark.
fn ascii(text: &str) -> String {
    let sign = |c: char| match c {
        '━' => '#',
        '─' | '–' => '-',
        '·' => '|',
        '…' => '~',
        '✔' => '+',
        '✖' => 'x',
        '▲' => '!',
        '★' => '*',
        c if c.is_ascii() => c,
        _ => '?',
    };
    text.replace('→', "->").chars().map(sign).collect()
}

pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// A duration in at most six columns: `850 ms`, `12 s`, `3 min`, `2 h`, `4 d`.
pub(crate) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..9_950 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        9_950..120_000 => format!("{} s", (ms + 500) / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// An age or a time to come, in whole seconds.
pub(crate) fn seconds(ms: u64) -> String {
    duration(ms / 1_000 * 1_000)
        .replace(".0 s", " s")
        .replace("0 ms", "0 s")
}

/// A count and its noun: `1 market`, `2 markets`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look {
        colours: false,
        unicode: true,
    };

    #[test]
    fn a_line_is_cut_by_columns_not_by_bytes_and_says_so() {
        let line = TextLine::of(Tone::Bold, "Thessaåsen").with(Tone::Dim, " 東京 United");
        assert_eq!(line.width(), 10 + 1 + 4 + 7);
        assert_eq!(
            line.clone().cut(22, LOOK).rendered(LOOK),
            "Thessaåsen 東京 United"
        );
        assert_eq!(line.clone().cut(13, LOOK).rendered(LOOK), "Thessaåsen …");
        assert_eq!(line.clone().cut(14, LOOK).rendered(LOOK), "Thessaåsen 東…");
        for width in 0..25 {
            assert!(line.clone().cut(width, LOOK).width() <= width, "{width}");
        }
    }

    #[test]
    fn text_from_a_site_cannot_command_the_terminal() {
        let line = TextLine::of(Tone::Plain, "a\u{1b}[2Jb\u{9b}c\nd\te");
        assert_eq!(line.rendered(LOOK), "a [2Jb c d e");
    }

    #[test]
    fn a_name_does_not_turn_the_direction_of_what_follows() {
        let line = TextLine::of(Tone::Plain, "\u{202e}Real\u{2066} Betis\u{200f}\u{2028}1.85");
        assert_eq!(line.rendered(LOOK), "Real Betis 1.85");
        // Names in Hebrew and Arabic stay what they are.
        assert_eq!(
            TextLine::of(Tone::Plain, "מכבי خيتافي").rendered(LOOK),
            "מכבי خيتافي"
        );
    }

    #[test]
    fn colours_go_round_the_text_and_nowhere_else() {
        let line = TextLine::of(Tone::Bad, "x").with(Tone::Plain, "y");
        let colourful = Look {
            colours: true,
            ..LOOK
        };
        assert_eq!(line.rendered(colourful), "\u{1b}[31mx\u{1b}[0my");
        assert_eq!(line.rendered(LOOK), "xy");
    }

    #[test]
    fn an_ascii_terminal_gets_ascii() {
        let look = Look {
            colours: false,
            unicode: false,
        };
        assert_eq!(
            TextLine::of(Tone::Plain, "━─ 1 → 2 å").rendered(look),
            "#- 1 -> 2 ?"
        );
    }

    #[test]
    fn durations_fit_their_column() {
        for (ms, text) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (1_640, "1.6 s"),
            (12_400, "12 s"),
            (119_999, "120 s"),
            (600_000, "10 min"),
            (10_000_000, "2 h"),
            (400_000_000, "4 d"),
        ] {
            assert_eq!(duration(ms), text);
        }
        assert_eq!(
            [0, 400, 3_900, 61_000].map(seconds),
            ["0 s", "0 s", "3 s", "61 s"]
        );
    }
}
