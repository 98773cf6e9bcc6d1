//! What is different between two images of a market, in words.

use crate::{
    image::{OddsImage, QuoteImage},
    text::{TextLine, Tone},
};
use oddswire_protocol::odds::QuoteStatus;

/// A line for each quote whose prices or status changed.
pub(super) fn between(before: Option<&OddsImage>, now: &OddsImage) -> Vec<TextLine> {
    let quotes = now.market.quotes.iter();
    quotes
        .filter_map(|quote| {
            let old = before.and_then(|image| image.market.quotes.iter().find(|old| old.line == quote.line));
            let what = of_quote(old, quote)?;
            Some(head(now, quote).and(what))
        })
        .collect()
}

fn head(image: &OddsImage, quote: &QuoteImage) -> TextLine {
    let event = &image.event;
    let line = quote.line.map_or(String::new(), |line| format!(" {line}"));
    let market = format!("{}-{}{line}", image.market.key, image.market.period);
    TextLine::new()
        .with_padded(Tone::Bold, image.source.as_str(), 8)
        .with(
            Tone::Plain,
            &format!("  {} – {}  ", event.home_team, event.away_team),
        )
        .with(Tone::Accent, &market)
}

/// `None` when nothing of it changed that a reader would see.
fn of_quote(old: Option<&QuoteImage>, quote: &QuoteImage) -> Option<TextLine> {
    let mut line = TextLine::new();
    for outcome in &quote.outcomes {
        let before = old.and_then(|old| old.outcomes.iter().find(|known| known.name == outcome.name));
        let price = outcome.price.map_or("-".to_owned(), |price| price.to_string());
        match before {
            Some(before) if before.price == outcome.price => {}
            Some(before) => {
                let tone = if outcome.price > before.price {
                    Tone::Good
                } else {
                    Tone::Bad
                };
                let was = before.price.map_or("-".to_owned(), |price| price.to_string());
                line = line
                    .with(Tone::Plain, &format!("  {} {was} → ", outcome.name))
                    .with(tone, &price);
            }
            None => line = line.with(Tone::Plain, &format!("  {} {price}", outcome.name)),
        }
        let had = before.map_or(QuoteStatus::Open, |before| before.status);
        // Told of the whole quote below, where it is the same.
        if outcome.status != had && outcome.status != quote.status {
            line = line.with(
                Tone::Warn,
                &format!("  {} {}", outcome.name, word(outcome.status)),
            );
        }
    }
    let had = old.map_or(QuoteStatus::Open, |old| old.status);
    if quote.status != had {
        line = line.with(Tone::Warn, &format!("  {}", word(quote.status)));
    }
    (line.width() > 0).then_some(line)
}

fn word(status: QuoteStatus) -> &'static str {
    match status {
        QuoteStatus::Open => "open again",
        QuoteStatus::Suspended => "suspended",
        QuoteStatus::Withdrawn => "withdrawn",
    }
}
