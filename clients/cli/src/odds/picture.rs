//! The board as text.

use super::{board::Board, margin::margin};
use crate::{
    image::{OddsImage, OutcomeImage, QuoteImage},
    table::{Cell, Side, Table, cell},
    text::{Look, TextLine, Tone, count, seconds, width_of},
};
use oddswire_protocol::{Line, Price, Timestamp, odds::QuoteStatus};
use std::collections::BTreeMap;

/// A quote with what it belongs to.
type Row<'a> = (&'a OddsImage, &'a QuoteImage);

/// Columns of an outcome at least, so that the tables of an event stand under each other.
const PRICE: usize = 7;

/// An event after the other by kick-off, each with a table a market; what is withdrawn only when asked for.
pub(super) fn lines(
    board: &Board,
    now: Timestamp,
    shows_withdrawn: bool,
    width: usize,
    look: Look,
) -> Vec<TextLine> {
    let mut events: BTreeMap<_, Vec<&OddsImage>> = BTreeMap::new();
    for image in board.images() {
        events.entry(&image.event.event_id).or_default().push(image);
    }
    let mut events: Vec<Vec<&OddsImage>> = events.into_values().collect();
    events.sort_by(|a, b| order(a[0]).cmp(&order(b[0])));
    let names = board.images().map(|image| width_of(image.source.as_str()));
    let mut painter = Painter {
        board,
        now,
        shows_withdrawn,
        width,
        look,
        names: names.max().unwrap_or(0).max(4),
        withdrawn: 0,
    };
    let mut lines = Vec::new();
    for images in events {
        let tables = painter.tables(&images);
        if !tables.is_empty() {
            lines.push(head(images[0]).cut(width, look));
            lines.extend(tables);
            lines.push(TextLine::new());
        }
    }
    if painter.withdrawn > 0 {
        let quotes = count(painter.withdrawn, "withdrawn quote");
        let text = format!("{quotes} not shown: --withdrawn shows them");
        lines.push(TextLine::of(Tone::Dim, &text));
    }
    lines
}

fn order(image: &OddsImage) -> (Timestamp, &str, &str, &str) {
    let event = &image.event;
    (
        event.commence_time,
        &event.league,
        &event.home_team,
        event.event_id.as_str(),
    )
}

fn head(image: &OddsImage) -> TextLine {
    let event = &image.event;
    let country = event.country.as_deref();
    let country = country.map_or(String::new(), |country| format!("{country}, "));
    let kick_off = event.commence_time.to_utc().format("%a %d %b %H:%M UTC");
    TextLine::of(Tone::Bold, &format!("{} – {}", event.home_team, event.away_team))
        .with(Tone::Dim, &format!("   {kick_off} · {country}{}", event.league))
}

/// The outcomes of a market in the order of a coupon, with others behind them.
fn outcomes(rows: &[Row<'_>]) -> Vec<String> {
    let names = rows.iter().flat_map(|(_, quote)| &quote.outcomes);
    let mut names: Vec<String> = names.map(|outcome| outcome.name.clone()).collect();
    names.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    names.dedup();
    names
}

/// Where an outcome stands on a coupon.
pub(super) fn place(outcome: &str) -> usize {
    const ORDER: [&str; 10] = [
        "home",
        "draw",
        "away",
        "home_draw",
        "home_away",
        "draw_away",
        "over",
        "under",
        "yes",
        "no",
    ];
    let place = ORDER.iter().position(|known| *known == outcome);
    place.unwrap_or(ORDER.len())
}

struct Painter<'a> {
    board: &'a Board,
    now: Timestamp,
    shows_withdrawn: bool,
    width: usize,
    look: Look,
    names: usize,
    /// Quotes that were left out.
    withdrawn: u64,
}

impl Painter<'_> {
    fn tables(&mut self, images: &[&OddsImage]) -> Vec<TextLine> {
        let mut markets: BTreeMap<(u8, String), Vec<Row<'_>>> = BTreeMap::new();
        for image in images {
            let (key, period) = (&image.market.key, &image.market.period);
            // The main market of the whole event comes first.
            let place = u8::from(key != "h2h") + u8::from(period != "ft");
            let rows = markets.entry((place, format!("{key}-{period}"))).or_default();
            for quote in &image.market.quotes {
                if quote.status != QuoteStatus::Withdrawn || self.shows_withdrawn {
                    rows.push((image, quote));
                } else {
                    self.withdrawn += 1;
                }
            }
        }
        let shown = markets.iter().filter(|(_, rows)| !rows.is_empty());
        shown
            .flat_map(|((_, token), rows)| self.table(token, rows))
            .collect()
    }

    fn table(&self, token: &str, rows: &[Row<'_>]) -> Vec<TextLine> {
        let outcomes = outcomes(rows);
        let heads: Vec<String> = outcomes.iter().map(|name| format!("{name:>PRICE$}")).collect();
        let source = " ".repeat(self.names);
        let token_head = format!("{token:<16}");
        let mut columns = vec![(Side::Right, token_head.as_str()), (Side::Left, source.as_str())];
        columns.extend(heads.iter().map(|head| (Side::Right, head.as_str())));
        columns.extend([
            (Side::Right, " margin"),
            (Side::Right, "   age"),
            (Side::Left, ""),
        ]);
        let mut table = Table::new(&columns);
        let mut by_line: BTreeMap<Option<Line>, Vec<Row<'_>>> = BTreeMap::new();
        for row in rows {
            by_line.entry(row.1.line).or_default().push(*row);
        }
        for (line, rows) in by_line {
            let best: Vec<Option<Price>> = outcomes.iter().map(|name| best(&rows, name)).collect();
            let open = rows.iter().filter(|(_, quote)| quote.status == QuoteStatus::Open);
            let is_contest = open.count() > 1;
            for (at, row) in rows.iter().enumerate() {
                let label = line
                    .filter(|_| at == 0)
                    .map_or(String::new(), |line| line.to_string());
                table.row(self.row(*row, &label, &outcomes, if is_contest { &best } else { &[] }));
            }
            if is_contest {
                let prices = best.iter().map(|price| cell(Tone::Good, price_text(*price)));
                let mut cells = vec![cell(Tone::Plain, ""), cell(Tone::Dim, "best")];
                cells.extend(prices);
                cells.push(cell(Tone::Dim, margin(&rows[0].0.market.key, &best)));
                table.row(cells);
            }
        }
        table.lines(2, self.width, self.look)
    }

    fn row(
        &self,
        (image, quote): Row<'_>,
        label: &str,
        outcomes: &[String],
        best: &[Option<Price>],
    ) -> Vec<Cell> {
        let mut cells = vec![cell(Tone::Bold, label), cell(Tone::Plain, image.source.as_str())];
        let mut prices = Vec::new();
        for (at, name) in outcomes.iter().enumerate() {
            let outcome = quote.outcomes.iter().find(|outcome| outcome.name == *name);
            let is_best = outcome.is_some_and(|outcome| {
                outcome.price.is_some() && best.get(at) == Some(&outcome.price) && is_open(quote, outcome)
            });
            prices.push(
                outcome
                    .filter(|outcome| is_open(quote, outcome))
                    .and_then(|o| o.price),
            );
            cells.push(match outcome {
                None => cell(Tone::Dim, ""),
                Some(outcome) if is_best => cell(Tone::Good, format!("★{}", price_text(outcome.price))),
                Some(outcome) if is_open(quote, outcome) => cell(Tone::Plain, price_text(outcome.price)),
                Some(outcome) => cell(Tone::Dim, format!("({})", price_text(outcome.price))),
            });
        }
        cells.push(cell(Tone::Dim, margin(&image.market.key, &prices)));
        let age = self.board.age_ms(image, quote, self.now);
        let is_stale = self.board.is_stale(&image.source, age);
        let tone = if is_stale { Tone::Warn } else { Tone::Dim };
        cells.push(cell(tone, seconds(age)));
        cells.push(match quote.status {
            QuoteStatus::Open if is_stale => cell(Tone::Warn, "stale"),
            QuoteStatus::Open => cell(Tone::Plain, ""),
            QuoteStatus::Suspended => cell(Tone::Warn, "suspended"),
            QuoteStatus::Withdrawn => cell(Tone::Dim, "withdrawn"),
        });
        cells
    }
}

fn is_open(quote: &QuoteImage, outcome: &OutcomeImage) -> bool {
    quote.status == QuoteStatus::Open && outcome.status == QuoteStatus::Open
}

/// The highest price at which an outcome can be had.
fn best(rows: &[Row<'_>], name: &str) -> Option<Price> {
    let open = rows.iter().flat_map(|(_, quote)| {
        quote
            .outcomes
            .iter()
            .filter(move |outcome| outcome.name == name && is_open(quote, outcome))
    });
    open.filter_map(|outcome| outcome.price).max()
}

fn price_text(price: Option<Price>) -> String {
    price.map_or("-".to_owned(), |price| price.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look {
        colours: false,
        unicode: true,
    };

    fn image(source: &str, market: &str, quotes: &str) -> OddsImage {
        let text = format!(
            r#"{{"event_ids":["e1"],"source":"{source}","snapshot_count":1,"run_id":"r","event":{{"event_id":"e1",
            "sport_key":"soccer","league":"First Division","country":"Kestovia",
            "commence_time":"2026-11-23T06:00:00.000Z","home_team":"Thessaåsen United","away_team":"Drevstrand FC"}},
            "market":{{"key":"{market}","period":"ft","quotes":[{quotes}]}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn quote(line: &str, status: &str, outcomes: &[(&str, &str)]) -> String {
        let outcomes: Vec<String> = outcomes
            .iter()
            .map(|(name, price)| {
                format!(r#"{{"name":"{name}","label":"x","price":{price},"previous_price":null,"status":"{status}"}}"#)
            })
            .collect();
        format!(
            r#"{{"line":{line},"status":"{status}","outcomes":[{}],"changed_at":"2026-11-22T22:49:40.000Z",
            "confirmed_at":"2026-11-22T22:49:40.000Z","source_updated_at":null}}"#,
            outcomes.join(",")
        )
    }

    fn h2h(status: &str, home: &str, draw: &str, away: &str) -> String {
        quote("null", status, &[("away", away), ("draw", draw), ("home", home)])
    }

    fn board() -> Board {
        let mut board = Board::default();
        board.put(image("alpha", "h2h", &h2h("open", "1.67", "3.95", "5.2")));
        board.put(image("bravo", "h2h", &h2h("open", "1.705", "3.9", "5")));
        board.put(image("delta", "h2h", &h2h("suspended", "9", "9", "9")));
        let totals = |line, status| quote(line, status, &[("over", "1.97"), ("under", "1.875")]);
        let both = format!("{},{}", totals("2.25", "withdrawn"), totals("2.5", "open"));
        board.put(image("alpha", "totals", &both));
        let alpha = r#"{"source":"alpha","confirmed_at":"2026-11-22T22:50:10.000Z"}"#;
        board
            .confirmed
            .insert("alpha".parse().unwrap(), serde_json::from_str(alpha).unwrap());
        board.stale_after_ms.insert("bravo".parse().unwrap(), 30_000);
        board
    }

    fn picture(board: &Board, shows_withdrawn: bool, width: usize) -> String {
        let now = "2026-11-22T22:50:13.000Z".parse().unwrap();
        let lines = lines(board, now, shows_withdrawn, width, LOOK);
        let lines: Vec<String> = lines.iter().map(|line| line.rendered(LOOK)).collect();
        lines.join("\n")
    }

    #[test]
    fn the_best_open_price_is_marked_and_every_row_says_how_old_it_is() {
        let expected = "\
Thessaåsen United – Drevstrand FC   Mon 23 Nov 06:00 UTC · Kestovia, First Divi…
  h2h-ft                      home     draw     away   margin     age
                    alpha     1.67    ★3.95     ★5.2    4.4 %     3 s
                    bravo   ★1.705      3.9        5    4.3 %    33 s  stale
                    delta      (9)      (9)      (9)             33 s  suspended
                    best     1.705     3.95      5.2    3.2 %
  totals-ft                   over    under   margin     age
               2.5  alpha     1.97    1.875    4.1 %     3 s

1 withdrawn quote not shown: --withdrawn shows them";
        assert_eq!(picture(&board(), false, 80), expected);
    }

    #[test]
    fn what_is_withdrawn_is_shown_when_asked_for() {
        let picture = picture(&board(), true, 100);
        assert!(
            picture.contains("2.25  alpha   (1.97)  (1.875)              3 s  withdrawn"),
            "{picture}"
        );
        assert!(!picture.contains("not shown"));
    }

    #[test]
    fn an_event_that_a_source_did_not_confirm_is_as_old_as_it_was_seen() {
        let mut board = board();
        let alpha =
            r#"{"source":"alpha","confirmed_at":"2026-11-22T22:50:10.000Z","unconfirmed_event_ids":["e1"]}"#;
        board
            .confirmed
            .insert("alpha".parse().unwrap(), serde_json::from_str(alpha).unwrap());
        let image = board.images().next().unwrap();
        let now = "2026-11-22T22:50:13.000Z".parse().unwrap();
        assert_eq!(board.age_ms(image, &image.market.quotes[0], now), 33_000);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 1..130 {
            for line in picture(&board(), true, width).lines() {
                assert!(width_of(line) <= width, "{width}: {line}");
            }
        }
    }
}
