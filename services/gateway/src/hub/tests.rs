use super::*;
use oddswire_protocol::{
    EventKey, Topic,
    envelope::{Envelope, MessageType},
};

fn frame(feed: Feed, seq: u64) -> Frame {
    let key = match feed {
        Feed::Run => EventKey::Run {
            source: "alpha".parse().unwrap(),
            run_id: format!("r{}", seq % 2).parse().unwrap(),
        },
        Feed::Odds => EventKey::Confirmed {
            source: "alpha".parse().unwrap(),
        },
    };
    let envelope = Envelope::from_bus(MessageType::ScrapeProgress, "2026-02-06T01:30:00.123Z", b"{}");
    Frame::of(key, seq, false, envelope)
}

fn place(run: Option<u64>, odds: Option<u64>) -> Place {
    let at = |seq: Option<u64>| seq.map(|seq| Position::new(1, seq));
    Place {
        positions: [at(run), at(odds)],
        next: 0,
    }
}

fn seqs(step: &Step) -> Vec<u64> {
    step.frames.iter().map(|(frame, _)| frame.seq).collect()
}

/// A step of a session that gets everything.
fn step(hub: &Hub, at: &mut Place, topics: &[Topic]) -> Step {
    hub.step(at, topics, &hub.lap([false, false]))
}

fn all() -> Vec<Topic> {
    Topic::default_set()
}

#[test]
fn a_session_gets_what_is_after_its_position_and_nothing_twice() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 10);
    for seq in 11..=14 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    let mut at = place(Some(12), None);
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [13, 14]);
    assert!(seqs(&step(&hub, &mut at, &all())).is_empty());
    hub.emit(Feed::Run, 15, Some(frame(Feed::Run, 15)));
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [15]);
}

#[test]
fn what_no_topic_admits_moves_the_position_all_the_same() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=3 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    hub.emit(Feed::Run, 4, None);
    let mut at = place(Some(0), None);
    assert_eq!(
        seqs(&step(&hub, &mut at, &["scrape_progress.*.r0".parse().unwrap()])),
        [2]
    );
    assert_eq!(at.positions[0].unwrap().seq, 4);
}

#[test]
fn a_feed_that_the_session_does_not_follow_is_passed_over() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    hub.activate(Feed::Odds, 1, 0);
    hub.emit(Feed::Odds, 1, Some(frame(Feed::Odds, 1)));
    hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
    let mut at = place(Some(0), None);
    let step = step(&hub, &mut at, &all());
    assert_eq!(step.frames.len(), 1);
    assert_eq!(step.frames[0].1, [Some(Position::new(1, 1)), None]);
}

#[test]
fn a_feed_that_is_joined_later_is_walked_from_the_position_it_was_joined_at() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    hub.activate(Feed::Odds, 1, 0);
    for seq in 1..=3 {
        hub.emit(Feed::Odds, seq, Some(frame(Feed::Odds, seq)));
    }
    let mut at = place(Some(0), None);
    assert_eq!(seqs(&step(&hub, &mut at, &all())), Vec::<u64>::new());
    at.set(Feed::Odds, Some(Position::new(1, 1)));
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [2, 3]);
}

#[test]
fn a_session_below_the_floor_is_sent_to_the_log() {
    let size = frame(Feed::Run, 1).bytes();
    let hub = Hub::new(size * 3);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=5 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    assert_eq!(
        hub.view(Feed::Run),
        Some(FeedView {
            epoch: 1,
            floor: 2,
            high: 5,
            life: 1,
            forks: 0,
            mark: None,
        })
    );
    let mut at = place(Some(1), None);
    assert_eq!(step(&hub, &mut at, &all()).behind, Some(Feed::Run));
    let mut at = place(Some(2), None);
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [3, 4, 5]);
}

#[test]
fn a_stream_made_anew_is_told_apart() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 2, 100);
    assert_eq!(
        step(&hub, &mut place(Some(99), None), &all()).reset,
        Some(Feed::Run)
    );
    hub.deactivate(Feed::Run);
    assert_eq!(
        step(&hub, &mut place(Some(99), None), &all()).inactive,
        Some(Feed::Run)
    );
}

#[test]
fn a_stream_that_lost_its_tail_is_told_to_those_who_have_more() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 100);
    let mut at = place(Some(100), None);
    hub.activate(Feed::Run, 1, 95);
    assert_eq!(step(&hub, &mut at, &all()).reset, Some(Feed::Run));
}

#[test]
fn a_history_that_forked_is_told_to_those_who_have_less_too() {
    let hub = Hub::new(1 << 20);
    hub.activate_with(Feed::Run, 1, 100, vec![(100, 7)], false);
    let mut early = place(Some(100), None);
    let seen = hub.view(Feed::Run).unwrap().tail();
    hub.activate_with(Feed::Run, 1, 110, vec![(110, 8)], true);
    assert!(hub.has_moved_on(&early));
    assert_eq!(step(&hub, &mut early, &all()).reset, Some(Feed::Run));
    let mut there = place(None, None);
    there.set(Feed::Run, Some(hub.view(Feed::Run).unwrap().tail()));
    assert_eq!(step(&hub, &mut there, &all()).reset, None);
    assert_eq!(
        (hub.mark_at(Feed::Run, 110), hub.mark_at(Feed::Run, 100)),
        (Some(8), None)
    );
    assert_eq!(seen.proof.map(|proof| proof.mark), Some(7));
}

#[test]
fn a_position_is_given_with_the_mark_that_holds_at_the_end_of_the_stream() {
    let hub = Hub::new(1 << 20);
    hub.activate_with(Feed::Odds, 1, 10, vec![(0, 0), (4, 44)], false);
    let proof = |at: Position| at.proof.map(|proof| (proof.end, proof.mark));
    assert_eq!(proof(hub.view(Feed::Odds).unwrap().at(7)), Some((10, 44)));
    hub.witness(Feed::Odds, 11, 55);
    // Not before it is emitted.
    assert_eq!(proof(hub.view(Feed::Odds).unwrap().tail()), Some((10, 44)));
    assert_eq!(hub.mark_at(Feed::Odds, 11), None);
    hub.emit(Feed::Odds, 11, None);
    hub.emit(Feed::Odds, 12, Some(frame(Feed::Odds, 12)));
    let step = step(&hub, &mut place(None, Some(10)), &all());
    assert_eq!(proof(step.frames[0].1[1].unwrap()), Some((12, 55)));
    let held = [3, 4, 10, 11, 12].map(|seq| hub.mark_at(Feed::Odds, seq));
    assert_eq!(held, [Some(0), Some(44), Some(44), Some(55), Some(55)]);
}

#[test]
fn a_walk_past_what_nobody_wants_is_bounded_too() {
    let hub = Hub::new(1 << 24);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=5_000 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    let mut at = place(Some(0), None);
    let nobody = ["scrape_progress.nobody".parse().unwrap()];
    assert!(step(&hub, &mut at, &nobody).more);
    assert!(!step(&hub, &mut at, &nobody).more);
    assert_eq!(at.position(Feed::Run).unwrap().seq, 5_000);
}

#[test]
fn a_feed_that_ends_takes_nothing_from_the_sessions_of_the_other() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    hub.activate(Feed::Odds, 1, 0);
    let mut at = place(Some(0), None);
    hub.emit(Feed::Odds, 1, Some(frame(Feed::Odds, 1)));
    hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [1]);
    hub.emit(Feed::Run, 2, Some(frame(Feed::Run, 2)));
    hub.deactivate(Feed::Odds);
    hub.emit(Feed::Run, 3, Some(frame(Feed::Run, 3)));
    assert_eq!(seqs(&step(&hub, &mut at, &all())), [2, 3]);
}

#[test]
fn a_walk_is_bounded_and_goes_on_where_it_was() {
    let hub = Hub::new(1 << 22);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=600 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    let mut at = place(Some(0), None);
    let mut got = Vec::new();
    let mut walks = 0;
    loop {
        let step = step(&hub, &mut at, &all());
        got.extend(seqs(&step));
        walks += 1;
        if !step.more {
            break;
        }
    }
    assert_eq!((got, walks), ((1..=600).collect::<Vec<_>>(), 3));
}

fn numbers(stretch: &Stretch) -> Vec<u64> {
    stretch.frames.iter().map(|frame| frame.number).collect()
}

#[test]
fn a_stretch_is_bounded_and_says_where_it_ends() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 10);
    for seq in 11..=14 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    hub.emit(Feed::Run, 15, None);
    let stretch = hub.stretch(1, 2, usize::MAX);
    assert_eq!(
        (numbers(&stretch), stretch.next, stretch.more),
        (vec![1, 2], 3, true)
    );
    assert_eq!(stretch.positions()[0].unwrap().seq, 13);
    let stretch = hub.stretch(3, 100, usize::MAX);
    assert_eq!(
        (numbers(&stretch), stretch.next, stretch.more),
        (vec![3], 4, false)
    );
    assert_eq!(
        stretch.positions()[0].unwrap().seq,
        15,
        "what was skipped counts at the end"
    );
}

#[test]
fn a_stretch_from_before_the_ring_says_that_something_is_gone() {
    let hub = Hub::new(frame(Feed::Run, 1).bytes() * 3);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=5 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    assert!(hub.stretch(1, 100, usize::MAX).evicted);
    assert!(!hub.stretch(2, 100, usize::MAX).evicted);
}

#[test]
fn frames_keep_their_numbers_when_those_of_another_feed_are_forgotten() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    hub.activate(Feed::Odds, 1, 0);
    hub.emit(Feed::Odds, 1, Some(frame(Feed::Odds, 1)));
    hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
    hub.deactivate(Feed::Odds);
    hub.emit(Feed::Run, 2, Some(frame(Feed::Run, 2)));
    assert_eq!(numbers(&hub.stretch(0, 100, usize::MAX)), [1, 2]);
    assert_eq!(numbers(&hub.stretch(2, 100, usize::MAX)), [2]);
}

#[test]
fn a_frame_is_superseded_by_the_next_of_its_key() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    hub.activate(Feed::Odds, 1, 0);
    for seq in 1..=3 {
        hub.emit(Feed::Odds, seq, Some(frame(Feed::Odds, seq)));
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, 2)));
    }
    let stretch = hub.stretch(0, 100, usize::MAX);
    let superseded: Vec<bool> = stretch.frames.iter().map(|frame| frame.is_superseded()).collect();
    assert_eq!(superseded, [true, true, true, true, false, false]);
}

#[test]
fn a_backlog_counts_the_bytes_behind_a_place() {
    let hub = Hub::new(1 << 20);
    hub.activate(Feed::Run, 1, 0);
    for seq in 1..=4 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    let size = frame(Feed::Run, 1).bytes() as u64;
    let at = |next| Place::at([None, None], next);
    assert_eq!(hub.backlog_bytes(&at(1)), 3 * size);
    assert_eq!(hub.backlog_bytes(&at(4)), 0);
}

#[test]
fn a_frame_is_encoded_once_a_shape_while_it_is_fresh() {
    let hub = Hub::new(1 << 24);
    hub.activate(Feed::Run, 1, 0);
    hub.emit(Feed::Run, 1, Some(frame(Feed::Run, 1)));
    let first = Arc::clone(&hub.stretch(0, 1, usize::MAX).frames[0]);
    let shape = crate::frame::Shape {
        form: crate::wire::Form::Ws,
        ids: Some([true, false]),
    };
    let copy = first.encoded(shape);
    assert_eq!(copy.as_ptr(), first.encoded(shape).as_ptr(), "shared");
    for seq in 2..2_000 {
        hub.emit(Feed::Run, seq, Some(frame(Feed::Run, seq)));
    }
    let later = first.encoded(shape);
    assert_ne!(copy.as_ptr(), later.as_ptr(), "not kept any more");
    assert_eq!(copy, later);
}
