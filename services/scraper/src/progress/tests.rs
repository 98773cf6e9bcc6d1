use super::*;
use oddswire_protocol::{BatchId, RunId, job::RequestedBy, progress::ErrorType};
use proptest::prelude::*;

fn moment(ms: u64) -> Moment {
    Moment {
        at: Timestamp::from_unix_ms(1_770_000_000_000 + i64::try_from(ms).unwrap()).unwrap(),
        elapsed: Duration::from_millis(ms),
    }
}

fn job() -> Job {
    Job {
        run_id: RunId::new(),
        batch_id: BatchId::new(),
        source: "alpha".parse().unwrap(),
        requested_at: moment(0).at,
        requested_by: RequestedBy::Api,
        retry_of: None,
    }
}

fn begun() -> Progress {
    Progress::begin(&job(), "w-1", None, moment(0))
}

/// Everything that is due until `until_ms`, asked for as a reporter does that is never held up.
fn drain(progress: &mut Progress, from_ms: u64, until_ms: u64) -> Vec<(u64, ScrapeProgress)> {
    let mut at_ms = from_ms;
    let mut images = Vec::new();
    while at_ms <= until_ms {
        match progress.next(moment(at_ms)) {
            Next::Image(image) => images.push((at_ms, *image)),
            Next::Wait(wait) => at_ms += millis(wait).max(1),
            Next::Over => break,
        }
    }
    images
}

#[test]
fn the_first_image_is_the_claim() {
    let images = drain(&mut begun(), 0, 0);
    let [(_, claim)] = &images[..] else {
        panic!("one image, not {images:?}");
    };
    assert_eq!((claim.seq, claim.attempt), (1, 1));
    assert_eq!(
        (claim.status, claim.phase),
        (Status::Running, Phase::Initializing)
    );
    assert_eq!(claim.worker_id.as_deref(), Some("w-1"));
    assert_eq!(claim.started_at, Some(moment(0).at));
}

#[test]
fn the_next_attempt_goes_on_where_the_last_image_was() {
    let mut first = begun();
    first.enter(Phase::Scraping, Unit::Events, "", moment(10));
    first.found_events(7);
    first.published();
    let (_, last) = drain(&mut first, 10, 1_000).pop().unwrap();
    let mut second = Progress::begin(&job(), "w-2", Some(&last), moment(0));
    let (_, claim) = drain(&mut second, 0, 0).pop().unwrap();
    assert_eq!((claim.seq, claim.attempt), (last.seq + 1, 2));
    assert_eq!((claim.run_id, claim.started_at), (last.run_id, last.started_at));
    assert_eq!((claim.events_count, claim.changed_count), (7, 1));
    assert!(claim.elapsed_ms >= last.elapsed_ms);
    assert_eq!(claim.phases.len(), 1);
    assert_eq!(claim.error.unwrap().error_type, ErrorType::Stale);
    second.found_events(3);
    assert_eq!(drain(&mut second, 1, 5_000).pop().unwrap().1.events_count, 7);
    second.found_events(5);
    assert_eq!(drain(&mut second, 5_000, 6_000).pop().unwrap().1.events_count, 8);
}

#[test]
fn movement_is_coalesced_and_the_newest_state_is_shown() {
    let mut progress = begun();
    progress.enter(Phase::Scraping, Unit::Events, "", moment(0));
    drain(&mut progress, 0, 0);
    progress.total(Some(100));
    for done in 1..=50 {
        progress.advance(1);
        if done < 50 {
            assert!(
                matches!(progress.next(moment(done)), Next::Wait(_)),
                "after {done} ms"
            );
        }
    }
    let images = drain(&mut progress, 50, 1_000);
    let [(at_ms, image)] = &images[..] else {
        panic!("one image, not {}", images.len());
    };
    assert_eq!((*at_ms, image.current, image.total), (200, 50, Some(100)));
}

#[test]
fn a_run_that_does_not_move_shows_a_sign_of_life_each_five_seconds() {
    let images = drain(&mut begun(), 0, 20_000);
    let times: Vec<u64> = images.iter().map(|(at_ms, _)| *at_ms).collect();
    assert_eq!(times, [0, 5_000, 10_000, 15_000, 20_000]);
    assert_eq!(images[4].1.elapsed_ms, 20_000);
}

#[test]
fn rate_and_estimate_follow_from_the_counts() {
    let mut progress = begun();
    progress.enter(Phase::Scraping, Unit::Events, "", moment(1_000));
    progress.total(Some(100));
    progress.advance(20);
    let (_, image) = drain(&mut progress, 3_000, 3_500).pop().unwrap();
    assert!(
        image.rate_per_s.is_some_and(|rate| rate > 7.9 && rate <= 10.0),
        "{image:?}"
    );
    assert!(
        image.eta_ms.is_some_and(|eta| (8_000..=10_500).contains(&eta)),
        "{image:?}"
    );
    progress.finish(End::Completed(Outcome::Complete), "Done.", moment(4_000));
    let (_, terminal) = drain(&mut progress, 4_000, 6_000).pop().unwrap();
    assert_eq!((terminal.rate_per_s, terminal.eta_ms), (None, None));
}

#[test]
fn a_cancelled_run_has_no_outcome() {
    let mut progress = begun();
    progress.cancelling(moment(5));
    progress.cancelling(moment(6));
    progress.finish(End::Cancelled, "Cancelled.", moment(7));
    progress.finish(End::Completed(Outcome::Complete), "Too late.", moment(8));
    let seen: Vec<_> = drain(&mut progress, 8, 5_000)
        .into_iter()
        .map(|(_, image)| (image.status, image.outcome))
        .collect();
    assert_eq!(
        seen,
        [
            (Status::Running, None),
            (Status::Cancelling, None),
            (Status::Cancelled, None)
        ]
    );
}

#[derive(Debug, Clone)]
enum Step {
    Total(Option<u64>),
    Advance(u64),
    Events(u64),
    Fault,
    Enter,
    Pass(u64),
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::option::of(0..50u64).prop_map(Step::Total),
        (0..20u64).prop_map(Step::Advance),
        (0..3u64).prop_map(Step::Events),
        Just(Step::Fault),
        Just(Step::Enter),
        (0..700u64).prop_map(Step::Pass),
        Just(Step::Poll),
    ]
}

const PHASES: [(Phase, Unit); 4] = [
    (Phase::Discovering, Unit::Leagues),
    (Phase::Scraping, Unit::Events),
    (Phase::Mapping, Unit::Events),
    (Phase::Storing, Unit::Markets),
];

/// The images with their times, and the counts with which each phase ended.
type Played = (Vec<(u64, ScrapeProgress)>, Vec<(Phase, u64)>);

fn play(steps: Vec<Step>) -> Played {
    let mut progress = begun();
    let (mut now_ms, mut images, mut ends) = (0, Vec::new(), Vec::new());
    let mut phases = PHASES.into_iter();
    for step in steps {
        match step {
            Step::Total(total) => progress.total(total),
            Step::Advance(by) => progress.advance(by),
            Step::Events(count) => progress.found_events(count),
            Step::Fault => progress.fault(fault(ErrorType::Timeout, "No answer.", true), moment(now_ms)),
            Step::Enter => {
                if let Some((phase, unit)) = phases.next() {
                    ends.push((progress.image.phase, progress.image.current));
                    progress.enter(phase, unit, "", moment(now_ms));
                }
            }
            Step::Pass(ms) => now_ms += ms,
            Step::Poll => {
                if let Next::Image(image) = progress.next(moment(now_ms)) {
                    images.push((now_ms, *image));
                }
            }
        }
    }
    ends.push((progress.image.phase, progress.image.current));
    progress.finish(End::Completed(Outcome::Complete), "Done.", moment(now_ms));
    images.extend(drain(&mut progress, now_ms, now_ms + 10_000));
    (images, ends)
}

proptest! {
    #[test]
    fn a_run_counts_its_images_and_ends_once(steps in proptest::collection::vec(step(), 0..120)) {
        let (images, _) = play(steps);
        for (index, (_, image)) in images.iter().enumerate() {
            prop_assert_eq!(image.seq, index as u64 + 1);
            prop_assert_eq!(image.status.is_terminal(), index + 1 == images.len());
            prop_assert_eq!(image.status.is_terminal(), image.phase.is_terminal());
        }
    }

    #[test]
    fn counts_never_fall_inside_a_phase_and_phases_only_go_on(steps in proptest::collection::vec(step(), 0..120)) {
        let (images, _) = play(steps);
        for pair in images.windows(2) {
            let (before, after) = (&pair[0].1, &pair[1].1);
            prop_assert!(after.phase >= before.phase);
            prop_assert!(after.phase != before.phase || after.current >= before.current);
            prop_assert!(after.events_count >= before.events_count);
            prop_assert!(after.elapsed_ms >= before.elapsed_ms);
            prop_assert!(after.total.is_none_or(|total| total >= after.current));
            prop_assert_eq!(after.phases.last().map(|entry| entry.phase), Some(after.phase));
        }
    }

    #[test]
    fn every_phase_shows_its_beginning_and_its_last_counts(steps in proptest::collection::vec(step(), 0..120)) {
        let (images, ends) = play(steps);
        for (phase, current) in ends {
            let of_phase: Vec<_> = images.iter().filter(|(_, image)| image.phase == phase).collect();
            prop_assert_eq!(of_phase.last().map(|(_, image)| image.current), Some(current), "{:?}", phase);
            prop_assert_eq!(of_phase[0].1.phases.last().map(|entry| entry.phase), Some(phase));
        }
    }

    #[test]
    fn there_are_never_more_than_ten_images_in_a_second(steps in proptest::collection::vec(step(), 0..200)) {
        let (images, _) = play(steps);
        for (index, (at_ms, _)) in images.iter().enumerate() {
            let in_second = images[index..].iter().take_while(|(later, _)| *later < at_ms + 1_000).count();
            prop_assert!(in_second <= WINDOW_IMAGES_TEST, "{in_second} from {at_ms} ms on");
        }
    }
}

/// The contract's number, on purpose not the constant of the code.
const WINDOW_IMAGES_TEST: usize = 10;
