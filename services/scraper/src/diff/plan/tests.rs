use super::*;
use crate::{
    diff::{Sight, diff},
    reading::{OutcomeReading, Pages, QuoteReading, Unmapped},
};
use oddswire_protocol::{Price, Timestamp, odds::Event, progress::Outcome};

fn event_id(n: u32) -> EventId {
    EventId::of(&n.to_string())
}

fn quote(line: Option<i64>) -> QuoteReading {
    QuoteReading {
        line: line.map(|line| Line::from_thousandths(line).unwrap()),
        status: QuoteStatus::Open,
        outcomes: vec![OutcomeReading {
            name: "over".into(),
            label: "Over".into(),
            price: Some(Price::from_thousandths(1_900).unwrap()),
            status: QuoteStatus::Open,
        }],
        source_updated_at: None,
    }
}

fn event(n: u32, markets: &[(&str, &[Option<i64>])]) -> EventReading {
    let at = Timestamp::from_unix_ms(1_770_000_000_000).unwrap();
    EventReading {
        event: Event {
            event_id: event_id(n),
            sport_key: "soccer".parse().unwrap(),
            league: "First".into(),
            country: None,
            commence_time: at,
            home_team: "Home".into(),
            away_team: "Away".into(),
        },
        markets: markets
            .iter()
            .map(|(key, lines)| MarketReading {
                key: key.parse().unwrap(),
                period: "ft".parse().unwrap(),
                quotes: lines.iter().map(|line| quote(*line)).collect(),
            })
            .collect(),
    }
}

fn harvest(events: Vec<EventReading>) -> Harvest {
    let mut events = events;
    events.sort_by(|a, b| a.event.event_id.cmp(&b.event.event_id));
    Harvest {
        outcome: Outcome::Complete,
        events: events.into_iter().map(Arc::new).collect(),
        unconfirmed: BTreeSet::new(),
        unconfirmed_all: false,
        gone: BTreeSet::new(),
        listing_complete: true,
        unmapped: Unmapped::default(),
        to_retry: None,
        pages: Pages::new(),
    }
}

/// A bus and a source's memory, as far as planning sees them.
#[derive(Default)]
struct World {
    known: Board,
    misses: Misses,
}

impl World {
    /// One run with `withdraw_after` 2: gives what it withdrew and what it did not confirm.
    fn run(&mut self, harvest: &Harvest) -> (Vec<String>, BTreeSet<EventId>) {
        let run_id = RunId::new();
        let sight = Sight {
            source: "alpha".parse().unwrap(),
            run_id: run_id.clone(),
            at: Timestamp::from_unix_ms(1_770_000_000_000).unwrap(),
        };
        let plan = plan(&self.known, harvest, &self.misses, &run_id, 2);
        let mut withdrawn = Vec::new();
        for target in &plan.targets {
            let before = self.known.get(&target.key).cloned().flatten();
            let Some(image) = diff(before.as_deref(), target.seen(), &sight) else {
                continue;
            };
            for quote in &image.market.quotes {
                let was = before
                    .iter()
                    .flat_map(|image| &image.market.quotes)
                    .find(|old| old.line == quote.line);
                if quote.status == QuoteStatus::Withdrawn && was.is_some_and(|was| was.status != quote.status)
                {
                    let line = quote.line.map_or_else(String::new, |line| line.to_string());
                    withdrawn.push(format!("{} {line}", target.key.market));
                }
            }
            self.known.insert(target.key.clone(), Some(Arc::new(image)));
        }
        self.misses = plan.misses;
        (withdrawn, plan.unconfirmed)
    }
}

const FULL: &[(&str, &[Option<i64>])] = &[("h2h", &[None]), ("totals", &[Some(2_500), Some(3_500)])];

#[test]
fn what_is_missing_twice_is_withdrawn_and_meanwhile_unconfirmed() {
    let without_line: &[(&str, &[Option<i64>])] = &[("h2h", &[None]), ("totals", &[Some(2_500)])];
    let without_market: &[(&str, &[Option<i64>])] = &[("totals", &[Some(2_500), Some(3_500)])];
    for (less, expected) in [
        (vec![event(1, without_line)], vec!["totals-ft 3.5"]),
        (vec![event(1, without_market)], vec!["h2h-ft "]),
        (vec![], vec!["h2h-ft ", "totals-ft 2.5", "totals-ft 3.5"]),
    ] {
        let mut world = World::default();
        assert_eq!(
            world.run(&harvest(vec![event(1, FULL)])),
            (vec![], BTreeSet::new())
        );
        assert_eq!(world.run(&harvest(less.clone())), (vec![], [event_id(1)].into()));
        let (withdrawn, unconfirmed) = world.run(&harvest(less.clone()));
        assert_eq!(withdrawn, expected);
        assert!(unconfirmed.is_empty(), "{expected:?}");
        assert_eq!(
            world.run(&harvest(less)),
            (vec![], BTreeSet::new()),
            "{expected:?}"
        );
    }
}

#[test]
fn an_image_that_cannot_be_read_is_published_again_where_the_market_is_seen_and_withdrawn_like_any_other_where_not()
 {
    let one: &[(&str, &[Option<i64>])] = &[("h2h", &[None])];
    for (shown, seen) in [(vec![], 0), (vec![event(1, one)], 1)] {
        let mut world = World::default();
        world.run(&harvest(vec![event(1, FULL)]));
        for image in world.known.values_mut() {
            *image = None;
        }
        let incomplete = Harvest {
            listing_complete: false,
            ..harvest(vec![])
        };
        for _ in 0..3 {
            assert_eq!(world.run(&incomplete), (vec![], [event_id(1)].into()));
        }
        assert_eq!(world.run(&harvest(shown.clone())), (vec![], [event_id(1)].into()));
        for _ in 0..2 {
            assert_eq!(world.run(&harvest(shown.clone())), (vec![], BTreeSet::new()));
        }
        let images: Vec<_> = world.known.values().flatten().collect();
        let without_quotes = images.iter().filter(|image| image.market.quotes.is_empty());
        assert_eq!((images.len(), without_quotes.count()), (2, 2 - seen));
    }
}

#[test]
fn what_comes_back_in_between_is_counted_from_the_start_again() {
    let mut world = World::default();
    world.run(&harvest(vec![event(1, FULL)]));
    for _ in 0..3 {
        assert_eq!(world.run(&harvest(vec![])).0, Vec::<String>::new());
        world.run(&harvest(vec![event(1, FULL)]));
    }
}

#[test]
fn a_run_that_cannot_tell_neither_counts_nor_forgets_a_miss() {
    let mut world = World::default();
    world.run(&harvest(vec![event(1, FULL)]));
    world.run(&harvest(vec![]));
    let incomplete = Harvest {
        listing_complete: false,
        ..harvest(vec![])
    };
    for _ in 0..3 {
        assert_eq!(world.run(&incomplete), (vec![], [event_id(1)].into()));
    }
    assert_eq!(world.run(&harvest(vec![])).0.len(), 3);
}

#[test]
fn an_event_whose_page_failed_is_unconfirmed_and_the_others_are_not() {
    let mut world = World::default();
    world.run(&harvest(vec![event(1, FULL), event(2, FULL)]));
    let failed = Harvest {
        unconfirmed: [event_id(2)].into(),
        ..harvest(vec![event(1, FULL)])
    };
    for _ in 0..3 {
        assert_eq!(world.run(&failed), (vec![], [event_id(2)].into()));
    }
}

#[test]
fn a_second_attempt_at_a_run_counts_its_misses_once() {
    let mut world = World::default();
    world.run(&harvest(vec![event(1, FULL)]));
    let (run_id, nothing) = (RunId::new(), harvest(vec![]));
    let first = plan(&world.known, &nothing, &world.misses, &run_id, 2);
    let second = plan(&world.known, &nothing, &first.misses, &run_id, 2);
    assert!(second.targets.is_empty());
    assert_eq!(second.misses, first.misses);
}
