//! Markets, periods, lines and outcomes in normalised names.

/// A market with its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    H2h,
    TotalsFt,
    TotalsH1,
    Btts,
    Spreads,
    DoubleChance,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::H2h,
        Self::TotalsFt,
        Self::TotalsH1,
        Self::Btts,
        Self::Spreads,
        Self::DoubleChance,
    ];

    /// The normalised market key.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::H2h => "h2h",
            Self::TotalsFt | Self::TotalsH1 => "totals",
            Self::Btts => "btts",
            Self::Spreads => "spreads",
            Self::DoubleChance => "double_chance",
        }
    }

    /// `ft` for the full time, `h1` for the first half.
    pub(crate) fn period(self) -> &'static str {
        if self == Self::TotalsH1 { "h1" } else { "ft" }
    }

    /// The outcomes in the order in which books list them.
    pub(crate) fn outcomes(self) -> &'static [Outcome] {
        match self {
            Self::H2h => &[Outcome::Home, Outcome::Draw, Outcome::Away],
            Self::TotalsFt | Self::TotalsH1 => &[Outcome::Over, Outcome::Under],
            Self::Btts => &[Outcome::Yes, Outcome::No],
            Self::Spreads => &[Outcome::Home, Outcome::Away],
            Self::DoubleChance => &[Outcome::HomeDraw, Outcome::HomeAway, Outcome::DrawAway],
        }
    }
}

/// What can be backed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    Home,
    Draw,
    Away,
    Over,
    Under,
    Yes,
    No,
    HomeDraw,
    HomeAway,
    DrawAway,
}

impl Outcome {
    /// The normalised outcome name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Draw => "draw",
            Self::Away => "away",
            Self::Over => "over",
            Self::Under => "under",
            Self::Yes => "yes",
            Self::No => "no",
            Self::HomeDraw => "home_draw",
            Self::HomeAway => "home_away",
            Self::DrawAway => "draw_away",
        }
    }
}

/// A line in quarters of a goal: 2.25 is 9, a real line 0 is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Line(pub(crate) i32);

impl Line {
    /// The line in goals; exact.
    pub(crate) fn number(self) -> f64 {
        f64::from(self.0) * 0.25
    }

    /// Writes no needless digit, as in `2.5`, `1`, `0` and `-0.75`.
    pub(crate) fn trimmed(self) -> String {
        self.number().to_string()
    }

    /// Writes at least one decimal, as in `2.5`, `1.0`, `0.0` and `-0.75`.
    pub(crate) fn padded(self) -> String {
        format!("{:?}", self.number())
    }
}

/// One market at one line: what a book quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Market {
    pub(crate) kind: Kind,
    pub(crate) line: Option<Line>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_exactly() {
        let lines = [
            (10, "2.5", "2.5"),
            (9, "2.25", "2.25"),
            (4, "1", "1.0"),
            (0, "0", "0.0"),
            (-3, "-0.75", "-0.75"),
        ];
        for (quarters, trimmed, padded) in lines {
            assert_eq!(Line(quarters).trimmed(), trimmed);
            assert_eq!(Line(quarters).padded(), padded);
        }
    }
}
