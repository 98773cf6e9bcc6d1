//! What is different between two images of a market, in words.

use super::picture::place;
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
    let mut outcomes: Vec<_> = quote.outcomes.iter().collect();
    outcomes.sort_by_key(|outcome| place(&outcome.name));
    for outcome in outcomes {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Look;

    /// A market with one quote: its status, and each outcome with price and status.
    fn image(status: &str, outcomes: &[(&str, &str, &str)]) -> OddsImage {
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|(name, price, status)| {
                format!(r#"{{"name":"{name}","price":{price},"status":"{status}"}}"#)
            })
            .collect();
        let text = format!(
            r#"{{"source":"alpha","event":{{"event_id":"e1","commence_time":"2026-11-23T06:00:00.000Z",
            "home_team":"A","away_team":"B"}},"market":{{"key":"h2h","period":"ft","quotes":[{{"line":null,
            "status":"{status}","outcomes":[{}],"confirmed_at":"2026-11-22T22:49:40.000Z"}}]}}}}"#,
            outcomes.join(",")
        );
        serde_json::from_str(&text).unwrap()
    }

    fn told(before: Option<&OddsImage>, now: &OddsImage) -> Vec<String> {
        let look = Look {
            colours: false,
            unicode: true,
        };
        let lines = between(before, now);
        lines.iter().map(|line| line.rendered(look)).collect()
    }

    const BOTH: [(&str, &str, &str); 2] = [("away", "5.2", "open"), ("home", "1.67", "open")];

    #[test]
    fn only_what_changed_is_told_in_the_order_of_a_coupon() {
        let before = image("open", &BOTH);
        let now = image("open", &[("away", "5", "open"), ("home", "1.7", "open")]);
        let line = "alpha     A – B  h2h-ft  home 1.67 → 1.7  away 5.2 → 5";
        assert_eq!(told(Some(&before), &now), [line]);
        assert_eq!(told(Some(&before), &before), [""; 0]);
        let new = "alpha     A – B  h2h-ft  home 1.67  away 5.2";
        assert_eq!(told(None, &before), [new]);
    }

    #[test]
    fn a_suspension_its_end_and_a_withdrawal_are_told() {
        let open = image("open", &BOTH);
        let suspended = BOTH.map(|(name, price, _)| (name, price, "suspended"));
        let suspended = image("suspended", &suspended);
        let withdrawn = image(
            "withdrawn",
            &BOTH.map(|(name, price, _)| (name, price, "withdrawn")),
        );
        let head = "alpha     A – B  h2h-ft  ";
        assert_eq!(told(Some(&open), &suspended), [format!("{head}suspended")]);
        assert_eq!(told(Some(&suspended), &open), [format!("{head}open again")]);
        assert_eq!(told(Some(&open), &withdrawn), [format!("{head}withdrawn")]);
        let one = image("open", &[("away", "5.2", "suspended"), ("home", "1.67", "open")]);
        assert_eq!(told(Some(&open), &one), [format!("{head}away suspended")]);
    }
}
