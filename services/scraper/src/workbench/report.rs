//! What a rehearsal read, in plain words.

use super::{
    check::counted,
    watch::{Problem, Seen},
};
use crate::{
    reading::{EventReading, Harvest, QuoteReading, Reason},
    source::Source,
    walk::WalkError,
};
use oddswire_protocol::{
    odds::QuoteStatus,
    progress::{ErrorType, Outcome},
};
use std::{collections::BTreeMap, fmt};

/// What a rehearsal read.
pub(super) struct Report<'a> {
    pub(super) source: &'a Source,
    /// Where the pages came from.
    pub(super) place: &'a str,
    pub(super) seen: &'a Seen,
    pub(super) result: &'a Result<Harvest, WalkError>,
    pub(super) limit: usize,
    pub(super) sample: Option<usize>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source { key, title, .. } = self.source;
        writeln!(f, "{key}: {title}, read from {}\n", self.place)?;
        self.steps(f)?;
        if let Ok(harvest) = self.result {
            Self::markets(f, harvest)?;
            self.events(f, harvest)?;
            self.unmapped(f, harvest)?;
        }
        self.problems(f)?;
        writeln!(f, "\n{}", self.verdict())
    }
}

impl Report<'_> {
    fn steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<20} {:>7} {:>7} {:>9} {:>10}",
            "step", "pages", "rows", "bad rows", "bytes"
        )?;
        for step in &self.source.steps {
            match self.seen.steps.iter().find(|count| count.step == step.id) {
                Some(count) => writeln!(
                    f,
                    "{:<20} {:>7} {:>7} {:>9} {:>10}",
                    count.step, count.pages, count.rows, count.bad, count.bytes
                )?,
                None => writeln!(f, "{:<20} {:>7}   no page was read", step.id, 0)?,
            }
        }
        if self.seen.retries > 0 {
            writeln!(f, "{} tries had to be made again.", self.seen.retries)?;
        }
        if let Some(pages) = self.sample {
            writeln!(
                f,
                "Only a sample: at most {pages} pages, or lists of pages, of each step."
            )?;
        }
        Ok(())
    }

    fn markets(f: &mut fmt::Formatter<'_>, harvest: &Harvest) -> fmt::Result {
        let mut markets: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for market in harvest.events.iter().flat_map(|event| &event.markets) {
            let count = markets
                .entry(format!("{} {}", market.key, market.period))
                .or_default();
            count.0 += market.quotes.len();
            let open = market
                .quotes
                .iter()
                .filter(|quote| quote.status == QuoteStatus::Open);
            count.1 += open.count();
        }
        let events = counted(harvest.events.len(), "event", "events");
        let quotes = counted(harvest.quote_count(), "quote", "quotes");
        writeln!(f, "\n{events} with {quotes}.")?;
        if !markets.is_empty() {
            writeln!(f, "\n{:<20} {:>7} {:>7}", "market", "quotes", "open")?;
        }
        for (market, (quotes, open)) in markets {
            writeln!(f, "{market:<20} {quotes:>7} {open:>7}")?;
        }
        Ok(())
    }

    fn events(&self, f: &mut fmt::Formatter<'_>, harvest: &Harvest) -> fmt::Result {
        for event in harvest.events.iter().take(self.limit) {
            writeln!(f, "\n{}", heading(event))?;
            for market in &event.markets {
                for quote in &market.quotes {
                    writeln!(f, "  {} {}{}", market.key, market.period, prices(quote))?;
                }
            }
        }
        self.rest(f, harvest.events.len(), "events")
    }

    fn unmapped(&self, f: &mut fmt::Formatter<'_>, harvest: &Harvest) -> fmt::Result {
        let unmapped = &harvest.unmapped;
        if unmapped.items.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nWithout a place in [markets]:")?;
        for ((reason, market), item) in unmapped.items.iter().take(self.limit) {
            let example = match item.example.as_str() {
                "" => String::new(),
                example => format!(", such as {example:?}"),
            };
            let times = counted(usize::try_from(item.count).unwrap_or(usize::MAX), "time", "times");
            writeln!(f, "  market {market:?}: {}, {times}{example}", why(*reason))?;
        }
        self.rest(f, unmapped.items.len(), "of them")
    }

    fn problems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems = &self.seen.problems;
        if problems.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nProblems:")?;
        for Problem {
            message,
            count,
            error_type,
        } in problems.iter().take(self.limit)
        {
            let times = if *count > 1 {
                format!(" ({count} times)")
            } else {
                String::new()
            };
            writeln!(f, "  {message}{times}")?;
            writeln!(f, "    {}", advice(*error_type))?;
        }
        self.rest(f, problems.len(), "problems")
    }

    fn rest(&self, f: &mut fmt::Formatter<'_>, all: usize, what: &str) -> fmt::Result {
        match all.checked_sub(self.limit) {
            None | Some(0) => Ok(()),
            Some(more) => writeln!(f, "  … and {more} more {what}; --limit {all} shows all"),
        }
    }

    fn verdict(&self) -> String {
        match self.result {
            Err(error) => format!("Not usable: {error}."),
            Ok(harvest) => match harvest.outcome {
                Outcome::Complete => "Good: everything was read.".to_owned(),
                Outcome::Partial if self.seen.problems.is_empty() => {
                    "Good, as far as the sample goes.".to_owned()
                }
                Outcome::Partial if harvest.events.is_empty() => "Not usable: no event was read.".to_owned(),
                Outcome::Partial => "Usable, but not all could be read: see the problems.".to_owned(),
                Outcome::Empty => {
                    "Not usable as it is: the pages are as they should be, but hold no event.".to_owned()
                }
                Outcome::Blocked => "Not usable: the site refuses us.".to_owned(),
                Outcome::Unreachable => "Not usable: the site could not be reached.".to_owned(),
                Outcome::Broken => {
                    "Not usable: the site is not as the file says. A run would be broken.".to_owned()
                }
            },
        }
    }
}

fn heading(reading: &EventReading) -> String {
    let event = &reading.event;
    let country = event
        .country
        .as_ref()
        .map(|country| format!("{country}, "))
        .unwrap_or_default();
    format!(
        "{} - {} ({country}{}), {}",
        event.home_team, event.away_team, event.league, event.commence_time
    )
}

fn prices(quote: &QuoteReading) -> String {
    let outcomes = quote.outcomes.iter().map(|outcome| {
        let price = outcome.price.map_or("-".to_owned(), |price| price.to_string());
        let suspended = if outcome.status == QuoteStatus::Open {
            ""
        } else {
            " (suspended)"
        };
        format!("{} {price}{suspended}", outcome.name)
    });
    let line = quote.line.map(|line| format!(" {line}")).unwrap_or_default();
    format!("{line}: {}", outcomes.collect::<Vec<_>>().join(", "))
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::UnknownMarket => "the file does not have it",
        Reason::BadSpecifier => "a line where none may be, none where one must be, or no number",
        Reason::NoOutcomes => "none of its outcomes is known",
        Reason::BadPrice => "a price that cannot be read",
        Reason::UnknownOutcome => "an outcome that its entry does not have",
        Reason::Duplicate => "an event has it twice",
    }
}

fn advice(error_type: ErrorType) -> &'static str {
    match error_type {
        ErrorType::Blocked => {
            "The site refuses us or shows a block page. Look at it: oddswire source fetch …"
        }
        ErrorType::Parse => {
            "The page is cut off, of another format, or reports an error. Look at it: oddswire source fetch …"
        }
        ErrorType::SchemaDrift => {
            "The page is not as the file says: compare the paths of this step with the page."
        }
        ErrorType::HttpStatus => {
            "The site answers, but not with this page: compare the request of this step."
        }
        ErrorType::RateLimited => "Ask less often: [source.limits] requests_per_second.",
        ErrorType::Robots => "The site's robots.txt does not want this page to be asked for.",
        ErrorType::Timeout => "The site is slow or away: try again, or raise [source.http] timeout.",
        ErrorType::Connect => {
            "There was no connection, or, offline, no recorded page: compare base_url, or record anew."
        }
        _ => "This is no problem of the file.",
    }
}
