//! Which markets and lines a book offers at a moment, and whether they are suspended.

use super::World;
use super::fixture::Fixture;
use super::goals::Outlook;
use super::market::{Kind, Line, Market};
use super::noise::Noise;
use crate::book::Book;

const MINUTE_MS: i64 = 60_000;

/// Whether a book shows a market.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Availability {
    Absent,
    Open,
    /// Shown, but no bet is taken. The point of noise belongs to this one suspension.
    Suspended(Noise),
}

/// Tells whether a book shows this event at all during its life.
pub(crate) fn covers(fixture: &Fixture, book: Book) -> bool {
    book.covers(fixture.league)
        && fixture
            .noise
            .named("covered")
            .named(book.key())
            .happens(book.event_coverage_per_mille())
}

/// Gives every market that a book could show of an event, in a fixed order: by market, then by line.
pub(crate) fn candidates(fixture: &Fixture) -> Vec<Market> {
    let mut markets = Vec::new();
    for kind in Kind::ALL {
        match kind {
            Kind::H2h | Kind::Btts | Kind::DoubleChance => markets.push(Market { kind, line: None }),
            Kind::TotalsFt => {
                markets.extend([6, 9, 10, 14].map(|quarters| Market {
                    kind,
                    line: Some(Line(quarters)),
                }));
            }
            Kind::TotalsH1 => {
                let quarters = if Outlook::of(fixture).total < 2.9 { 4 } else { 6 };
                markets.push(Market {
                    kind,
                    line: Some(Line(quarters)),
                });
            }
            Kind::Spreads => markets.extend(spread_lines(fixture).into_iter().map(|line| Market {
                kind,
                line: Some(line),
            })),
        }
    }
    markets
}

/// The even handicap, half a goal more, and a real line 0 where the teams are near each other.
fn spread_lines(fixture: &Fixture) -> Vec<Line> {
    let Line(even) = Outlook::of(fixture).handicap;
    let mut lines = vec![Line(even), Line(even + 2)];
    if even.abs() <= 3 {
        lines.push(Line(0));
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// Tells whether a line stays for the event's whole life; the others are added and removed.
fn is_core(fixture: &Fixture, market: Market) -> bool {
    match (market.kind, market.line) {
        (Kind::TotalsFt, Some(line)) => line == Line(10) || line == Line(14),
        (Kind::Spreads, Some(line)) => line == Outlook::of(fixture).handicap || line == Line(0),
        _ => true,
    }
}

/// The latest time after the event's opening at which a market of this kind appears.
fn latest_appearance_ms(kind: Kind) -> i64 {
    let hours = match kind {
        Kind::H2h => return 1,
        Kind::TotalsFt => 2,
        Kind::Btts => 8,
        Kind::TotalsH1 | Kind::Spreads | Kind::DoubleChance => 16,
    };
    hours * 60 * MINUTE_MS
}

/// Gives what a book does with a market of an event at a moment.
pub(crate) fn availability(
    world: &World,
    fixture: &Fixture,
    book: Book,
    market: Market,
    t_ms: i64,
) -> Availability {
    let kind = fixture
        .noise
        .named("market")
        .named(book.key())
        .named(market.kind.key())
        .named(market.kind.period());
    if !kind
        .named("offered")
        .happens(book.market_coverage_per_mille(market.kind))
    {
        return Availability::Absent;
    }
    let appears_ms = kind.named("appears").below_ms(latest_appearance_ms(market.kind));
    if t_ms < fixture.opens_ms + appears_ms {
        return Availability::Absent;
    }
    let quote = kind.at(u64::from(
        market.line.map_or(u32::MAX, |line| line.0.cast_unsigned()),
    ));
    if !is_core(fixture, market) {
        let lines = quote.named("line");
        let (index, _) = lines.position(world.paced_ms(30 * MINUTE_MS), t_ms);
        if !lines.bucket(index).happens(700) {
            return Availability::Absent;
        }
    }
    let period_ms = world.paced_ms(10 * MINUTE_MS);
    // The full-time result never vanishes, so that an event never loses its last market before it ends.
    let vanishes = || {
        quote
            .named("vanishes")
            .spell(period_ms, 30, (100, 400), t_ms)
            .is_some()
    };
    if market.kind != Kind::H2h && vanishes() {
        return Availability::Absent;
    }
    if let Some(spell) = quote.named("suspended").spell(period_ms, 80, (50, 200), t_ms) {
        return Availability::Suspended(spell);
    }
    event_suspension(world, fixture, t_ms).map_or(Availability::Open, |spell| {
        Availability::Suspended(spell.named(market.kind.key()))
    })
}

/// Something happens to the teams: every book suspends the whole event, more often once it is in play.
fn event_suspension(world: &World, fixture: &Fixture, t_ms: i64) -> Option<Noise> {
    let news = fixture.noise.named("news");
    if fixture.in_play(t_ms) {
        news.named("in play")
            .spell(world.paced_ms(3 * MINUTE_MS), 500, (110, 340), t_ms)
    } else {
        news.spell(world.paced_ms(15 * MINUTE_MS), 60, (30, 70), t_ms)
    }
}
