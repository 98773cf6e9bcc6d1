//! Random histories, and a session that walks through them slowly, beside a log of last images and one of every event.

use super::*;
use oddswire_protocol::{
    EventKey,
    envelope::{Envelope, MessageType},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const TIME: &str = "2026-02-06T01:30:00.123Z";

fn key(feed: Feed, number: u8) -> EventKey {
    let source = format!("s{number}").parse().unwrap();
    match feed {
        Feed::Run => EventKey::Run {
            source,
            run_id: "r".parse().unwrap(),
        },
        Feed::Odds => EventKey::Confirmed { source },
    }
}

fn frame(feed: Feed, number: u8, seq: u64) -> Frame {
    let envelope = Envelope::from_bus(MessageType::OddsConfirmed, TIME, b"{}");
    Frame::of(key(feed, number), seq, false, envelope)
}

/// What was published: for each feed the key of each sequence, from 1 on.
#[derive(Debug, Default)]
struct Bus {
    stored: PerFeed<Vec<u8>>,
}

impl Bus {
    fn high(&self, feed: Feed) -> u64 {
        self.stored[feed.index()].len() as u64
    }

    fn publish(&mut self, hub: &Hub, feed: Feed, number: u8) {
        self.stored[feed.index()].push(number);
        let seq = self.high(feed);
        hub.emit(feed, seq, Some(frame(feed, number, seq)));
    }

    /// The newest sequence of each key that changed after `after`, by key, as of the sequence `to`.
    fn newest(&self, feed: Feed, after: u64, to: u64) -> BTreeMap<u8, u64> {
        let all = (1..=to).zip(&self.stored[feed.index()]);
        all.filter(|(seq, _)| *seq > after)
            .map(|(seq, key)| (*key, seq))
            .collect()
    }

    /// What the stream holds now of the sequences after `after` up to `to`: of odds the last images alone.
    fn read(&self, feed: Feed, after: u64, to: u64) -> Vec<(u8, u64)> {
        let inside = |seq: &u64| *seq > after && *seq <= to;
        let mut held: Vec<(u8, u64)> = match feed {
            Feed::Odds => self.newest(feed, 0, self.high(feed)).into_iter().collect(),
            Feed::Run => (1..)
                .zip(&self.stored[feed.index()])
                .map(|(seq, key)| (*key, seq))
                .collect(),
        };
        held.retain(|(_, seq)| inside(seq));
        held.sort_by_key(|(_, seq)| *seq);
        held
    }
}

/// A session that catches up from a position, as `Session::advance` does.
struct Client {
    place: Place,
    lap: Option<Lap>,
    compact: PerFeed<bool>,
    from: PerFeed<u64>,
    /// What it got: of each feed the keys with their sequences.
    got: PerFeed<Vec<(u8, u64)>>,
    /// Where the feeds ended when the lap began.
    lap_began_at: PerFeed<u64>,
}

impl Client {
    fn at(from: PerFeed<u64>, compact: PerFeed<bool>) -> Self {
        Self {
            place: Place::at(from.map(|seq| Some(Position::new(1, seq))), 0),
            lap: None,
            compact,
            from,
            got: Default::default(),
            lap_began_at: from,
        }
    }

    fn take(&mut self, bus: &Bus, feed: Feed, number: u8, seq: u64, after: &PerFeed<Option<Position>>) {
        let got = &mut self.got[feed.index()];
        assert!(
            got.last().is_none_or(|(_, last)| *last < seq),
            "in order, and once: {seq} {got:?}"
        );
        got.push((number, seq));
        // Cut here, it goes on from this position with what the log has: nothing may be missing then.
        let at = after[Feed::Odds.index()].map_or(0, |at| at.seq);
        let held: BTreeMap<u8, u64> = self.got[Feed::Odds.index()].iter().copied().collect();
        for (number, newest) in bus.newest(Feed::Odds, self.from[Feed::Odds.index()], bus.high(Feed::Odds)) {
            assert!(
                newest > at || held.get(&number) == Some(&newest),
                "{number} would be lost behind {at}"
            );
        }
    }

    /// Goes on by one step; tells whether a lap ended with it.
    fn advance(&mut self, hub: &Hub, bus: &Bus) -> bool {
        let began = self.lap.is_none();
        let lap = *self.lap.get_or_insert_with(|| hub.lap(self.compact));
        if began {
            self.lap_began_at = Feed::ALL.map(|feed| bus.high(feed));
        }
        let topics = Topic::default_set();
        let step = hub.step_of(2, &mut self.place, &topics, &lap);
        assert_eq!((step.reset, step.inactive), (None, None));
        if let Some(feed) = step.behind {
            self.lap = None;
            let floor = hub.view(feed).unwrap().floor;
            let at = self.place.position(feed).unwrap().seq;
            for (number, seq) in bus.read(feed, at, floor) {
                self.place.set(feed, Some(Position::new(1, seq)));
                let after = *self.place.positions();
                self.take(bus, feed, number, seq, &after);
            }
            self.place.set(feed, Some(Position::new(1, floor)));
            return false;
        }
        for (frame, after) in &step.frames {
            let number = frame.key.source().as_str()[1..].parse().unwrap();
            self.take(bus, frame.feed, number, frame.seq, after);
        }
        if step.more {
            return false;
        }
        self.lap = None;
        true
    }

    /// Whether it has the newest image of each key as of the beginning of its lap, or a newer one.
    fn check_state(&self, bus: &Bus) {
        let held: BTreeMap<u8, u64> = self.got[Feed::Odds.index()].iter().copied().collect();
        let (from, to) = (
            self.from[Feed::Odds.index()],
            self.lap_began_at[Feed::Odds.index()],
        );
        for (number, newest) in bus.newest(Feed::Odds, from, to) {
            assert!(
                held.get(&number) >= Some(&newest),
                "{number}: {held:?} is older than {newest}"
            );
        }
    }
}

/// What happens: an event of a key, or a step of the session.
#[derive(Debug, Clone)]
enum Happening {
    Odds(u8),
    Run(u8),
    Step,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_u8..6).prop_map(Happening::Odds),
        1 => (0_u8..3).prop_map(Happening::Run),
        2 => Just(Happening::Step),
    ]
}

/// A hub whose ring holds so many frames, and a history before the session comes.
fn begun(frames: usize, before: &[Happening]) -> (Hub, Bus) {
    let hub = Hub::new(frame(Feed::Odds, 0, 1).bytes() * frames);
    for feed in Feed::ALL {
        hub.activate(feed, 1, 0);
    }
    let mut bus = Bus::default();
    for happening in before {
        publish(&mut bus, &hub, happening);
    }
    (hub, bus)
}

fn publish(bus: &mut Bus, hub: &Hub, happening: &Happening) {
    match happening {
        Happening::Odds(number) => bus.publish(hub, Feed::Odds, *number),
        Happening::Run(number) => bus.publish(hub, Feed::Run, *number),
        Happening::Step => {}
    }
}

proptest! {
    #[test]
    fn who_catches_up_gets_the_newest_of_each_key_and_every_event_of_a_run(
        ring in 4_usize..60,
        before in proptest::collection::vec(happening(), 0..120),
        meanwhile in proptest::collection::vec(happening(), 0..200),
        percent in 0_u64..=100,
    ) {
        let (hub, mut bus) = begun(ring, &before);
        let from = Feed::ALL.map(|feed| bus.high(feed) * percent / 100);
        let mut client = Client::at(from, [false, true]);
        let came_at = bus.high(Feed::Odds);
        let mut caught_up = false;
        let check = |client: &Client, bus: &Bus, caught_up: &mut bool| {
            client.check_state(bus);
            if !std::mem::replace(caught_up, true) {
                // One image of each key that changed since, and at most one more for each change while it was sent.
                let changed = bus.newest(Feed::Odds, client.from[Feed::Odds.index()], came_at).len() as u64;
                let meanwhile = bus.high(Feed::Odds) - came_at;
                let sent = client.got[Feed::Odds.index()].len() as u64;
                prop_assert!(sent <= changed + meanwhile, "{sent} images of {changed} keys and {meanwhile} changes");
            }
            Ok(())
        };
        for happening in &meanwhile {
            publish(&mut bus, &hub, happening);
            if matches!(happening, Happening::Step) && client.advance(&hub, &bus) {
                check(&client, &bus, &mut caught_up)?;
            }
        }
        // Nothing happens any more: it gets to the end.
        for _ in 0..2 {
            while !client.advance(&hub, &bus) {}
            check(&client, &bus, &mut caught_up)?;
        }
        let runs: Vec<u64> = client.got[Feed::Run.index()].iter().map(|(_, seq)| *seq).collect();
        prop_assert_eq!(runs, (from[Feed::Run.index()] + 1..=bus.high(Feed::Run)).collect::<Vec<_>>());
        for feed in Feed::ALL {
            prop_assert_eq!(client.place.position(feed).unwrap().seq, bus.high(feed));
        }
    }
}

/// Two keys at rest, then keys of which each changes many times while one frame is sent.
fn at_a_storm(compact: PerFeed<bool>, most: usize) -> Option<Client> {
    let (hub, mut bus) = begun(100_000, &[Happening::Odds(98), Happening::Odds(99)]);
    let storm = |bus: &mut Bus| (0..50).for_each(|at| bus.publish(&hub, Feed::Odds, at % 10));
    storm(&mut bus);
    let mut client = Client::at([0, 0], compact);
    for _ in 0..most {
        if client.advance(&hub, &bus) {
            client.check_state(&bus);
            return Some(client);
        }
        storm(&mut bus);
    }
    None
}

#[test]
fn a_lap_ends_after_the_state_however_fast_it_changes() {
    let client = at_a_storm([false, true], 10).expect("twelve keys, two at a time");
    let got: BTreeMap<u8, u64> = client.got[Feed::Odds.index()].iter().copied().collect();
    assert_eq!(
        (got.len(), client.got[Feed::Odds.index()].len()),
        (12, 12),
        "one image of each key"
    );
    // What replaced them meanwhile comes with the next lap.
    assert!(
        at_a_storm([false, false], 10).is_none(),
        "without leaving out it takes the history"
    );
}

#[test]
fn events_of_runs_are_left_out_of_a_compact_lap_only_where_they_are_to_be() {
    let (hub, bus) = begun(1_000, &vec![Happening::Run(1); 20]);
    for (compact, expected) in [(false, 20), (true, 1)] {
        let mut client = Client::at([0, 0], [compact, true]);
        while !client.advance(&hub, &bus) {}
        assert_eq!(client.got[Feed::Run.index()].len(), expected);
    }
}
