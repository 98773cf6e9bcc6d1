//! Workers that are killed, or frozen and woken when another has their run, at a random moment: processes of their own.
//!
//! Each round shows one set of prices to the first worker and another one to its successor, so that whatever the first
//! one writes too late is a price that the site does not show any more. The controls: with the lease off the fence
//! alone holds a woken worker back, and with both off its prices stand.

mod process;

use crate::world::{RunMessage, World, until};
use oddswire_kit::log::Stored;
use oddswire_protocol::{
    RunId, Timestamp,
    header::MSG_ID,
    odds::OddsUpdate,
    progress::{Phase, Status},
};
use process::Process;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Short, so that a job goes to another worker soon.
const ACK_WAIT_MS: u64 = 2_000;
const EVENTS: u32 = 250;
/// How long a page takes: a run is long enough to be met in each of its phases.
const PAGE_MS: u64 = 2;

/// How the first worker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT when the run is over without it.
    Freeze,
}

/// Some rounds of one kind.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    times: u32,
    blow: Blow,
    /// What is off at the first worker.
    off: &'static [&'static str],
}

impl Plan {
    /// What the environment asks for, so that `cargo xtask zombies` can run long ones again.
    fn of_environment(blow: Blow) -> Self {
        let number = |name| oddswire_kit::env::lookup(name).and_then(|text| text.parse().ok());
        Self {
            seed: number("ODDSWIRE_ZOMBIES_SEED").unwrap_or_else(rand::random),
            times: number("ODDSWIRE_ZOMBIES_TIMES").map_or(2, |times| u32::try_from(times).unwrap_or(2)),
            blow,
            off: &[],
        }
    }
}

/// What a round showed.
struct Round {
    phase: Phase,
    attempts: u32,
    /// Milliseconds from the blow to the next claim; `None` when the run was over before.
    takeover_ms: Option<u64>,
    /// How the first worker's attempt ended, once it was woken.
    zombie: Option<String>,
}

/// Makes the rounds of a plan; what it finds wrong is a panic that names the seed.
#[expect(clippy::print_stderr, reason = "a failure can be run again by its seed")]
async fn run(plan: Plan) {
    eprintln!("zombies: {plan:?}");
    let world = World::start(ACK_WAIT_MS, EVENTS, "").await;
    let mut rng = StdRng::seed_from_u64(plan.seed);
    world.site.slow_down(PAGE_MS);
    let whole_ms = undisturbed(&world).await;
    for number in 1..=plan.times {
        let after_ms = rng.random_range(0..whole_ms + whole_ms / 10);
        let Round {
            phase,
            attempts,
            takeover_ms,
            zombie,
        } = round(&world, plan, number, after_ms).await;
        eprintln!(
            "zombies: {number} after {after_ms} of {whole_ms} ms, last heard of in {phase:?}: {attempts} attempts, \
             takeover {takeover_ms:?} ms, zombie {zombie:?}"
        );
    }
}

/// Milliseconds that a run takes when nobody disturbs it.
async fn undisturbed(world: &World) -> u64 {
    let first = Process::start(world, "w-0", &[]).await;
    world.whole_run().await;
    show(world, "1.7");
    let last = world.whole_run().await.pop().unwrap().image;
    first.end().await;
    last.elapsed_ms
}

fn show(world: &World, price: &str) {
    (1..=EVENTS).for_each(|event| world.site.show(event, price));
}

async fn round(world: &World, plan: Plan, number: u32, after_ms: u64) -> Round {
    let (before, now) = (format!("2.{number:03}"), format!("3.{number:03}"));
    show(world, &before);
    let written_before = history_end(world).await;
    let mut first = Process::start(world, &format!("a-{number}"), plan.off).await;
    let run_id = world.next_job().await;
    if plan.blow == Blow::Freeze {
        // A worker that has the run and comes back is what this is about.
        world
            .run_until("it is claimed", &run_id, |last| last.attempt == 1)
            .await;
    }
    sleep(Duration::from_millis(after_ms)).await;
    match plan.blow {
        Blow::Kill => first.kill().await,
        Blow::Freeze => first.freeze(),
    }
    let at = Timestamp::now();
    let told = world.run_messages(&run_id).await.unwrap();
    let phase = told
        .last()
        .map_or(Phase::Initializing, |message| message.image.phase);
    show(world, &now);
    let second = Process::start(world, &format!("b-{number}"), &[]).await;
    let messages = world.ended(&run_id).await;
    let zombie = match plan.blow {
        Blow::Kill => None,
        Blow::Freeze => {
            first.wake();
            Some(first.attempt_over().await)
        }
    };
    let takeover_ms = check_run(&messages, &world.run_messages(&run_id).await.unwrap(), at);
    // A run that was over before the blow has read the first prices. One that the first worker had not even begun is the
    // second's first attempt.
    let last = &messages.last().unwrap().image;
    let attempts = last.attempt;
    let by_first = last.worker_id.as_deref() == Some(&*format!("a-{number}"));
    let price = if by_first { &before } else { &now };
    check_odds(world, written_before, [&before, price]).await;
    first.end().await;
    world.jobs_done().await;
    second.end().await;
    Round {
        phase,
        attempts,
        takeover_ms,
        zombie,
    }
}

/// One chain with one end, and nothing after it; gives how long the next claim took.
fn check_run(at_the_end: &[RunMessage], later: &[RunMessage], blow: Timestamp) -> Option<u64> {
    crate::takeover::check_chain(later);
    assert_eq!(
        at_the_end.len(),
        later.len(),
        "something was told of a run that was over"
    );
    let last = &later.last().unwrap().image;
    assert_eq!(last.status, Status::Completed, "{last:?}");
    let claim = later.iter().find(|message| message.image.attempt == 2)?;
    Some(claim.stored.stored_at.ms_since(blow))
}

async fn history_end(world: &World) -> u64 {
    let history = &world.bus.names().history;
    world.bus.stream_state(history).await.unwrap().last_seq
}

fn home_price(image: &OddsUpdate) -> String {
    let outcomes = &image.market.quotes[0].outcomes;
    let home = outcomes.iter().find(|outcome| outcome.name == "home").unwrap();
    home.price.unwrap().to_string()
}

/// Every key has the price that the site shows; on its way there it had each price once, the older one first.
async fn check_odds(world: &World, written_before: u64, prices: [&str; 2]) {
    let odds = world.odds().await;
    assert_eq!(odds.len(), EVENTS as usize);
    let plain = |price: &str| price.trim_end_matches('0').to_owned();
    let prices = prices.map(plain);
    let wrong: Vec<_> = odds
        .iter()
        .filter(|(_, image)| home_price(image) != prices[1])
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {EVENTS} prices do not stand",
        wrong.len()
    );
    let id = |stored: &Stored| stored.header(MSG_ID).map(str::to_owned);
    let written = until("all that was written is in the history", async || {
        let written = world.history_after(written_before).await?;
        let of_key = |stored: &Stored| {
            written
                .iter()
                .rev()
                .find(|(other, _)| other.subject.ends_with(key(stored)))
        };
        odds.iter()
            .all(|(stored, _)| of_key(stored).is_some_and(|(last, _)| id(last) == id(stored)))
            .then_some(written)
    })
    .await;
    let mut by_key: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (stored, image) in &written {
        by_key.entry(key(stored)).or_default().push(home_price(image));
    }
    for (key, written) in by_key {
        let mut expected = prices.to_vec();
        expected.dedup();
        let ok = expected.ends_with(&written);
        assert!(
            ok,
            "{key} was written as {written:?}, the site showed {expected:?}"
        );
    }
}

/// A subject without what says on which side of the bus it is.
fn key(stored: &Stored) -> &str {
    stored.subject.split_once(".odds.").map_or("", |(_, key)| key)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    run(Plan::of_environment(Blow::Kill)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_after_its_successor_overwrites_nothing() {
    run(Plan::of_environment(Blow::Freeze)).await;
}

/// Freezes a worker that has asked for all pages, and wakes it when another has read newer ones to the end of the
/// run: the answers to its questions are there, with prices of long ago. Gives how many of them stand in the end.
async fn woken_with_old_pages(off: &[&str]) -> (usize, String) {
    let world = World::start(ACK_WAIT_MS, 6, "").await;
    let first = Process::start(&world, "a-1", off).await;
    world.site.hold();
    let run_id: RunId = world.job().await.unwrap();
    world.site.asked(1 + 6).await;
    first.freeze();
    world.site.release();
    world.site.answered(1 + 6).await;
    (1..=6).for_each(|event| world.site.show(event, "3.3"));
    let second = Process::start(&world, "b-1", &[]).await;
    let messages = world.ended(&run_id).await;
    assert_eq!(messages.last().unwrap().image.attempt, 2);
    first.wake();
    let end = first.attempt_over().await;
    let later = world.run_messages(&run_id).await.unwrap();
    check_run(&messages, &later, Timestamp::now());
    let odds = world.odds().await;
    let old = odds
        .iter()
        .filter(|(_, image)| home_price(image) == "1.85")
        .count();
    first.end().await;
    second.end().await;
    (old, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_with_old_pages_knows_that_its_lease_is_over() {
    assert_eq!(woken_with_old_pages(&[]).await, (0, "lease_lost".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_alone_holds_back_a_worker_that_does_not_know() {
    let (old, end) = woken_with_old_pages(&["--no-lease"]).await;
    assert_eq!(old, 0);
    assert!(end == "over" || end == "fenced", "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_lease_and_fence_the_prices_of_a_zombie_stand() {
    let (old, end) = woken_with_old_pages(&["--no-lease", "--no-fence"]).await;
    assert_eq!(
        (old, end.as_str()),
        (6, "completed"),
        "the tests above prove nothing"
    );
}

/// A worker stops after it has looked at its lease and before it sends what it read. Its successor finds every key
/// unchanged, and so writes none; then the first one goes on where it stopped. Gives how many of its prices stand in
/// the end, and how its attempt ended.
async fn stopped_between_look_and_write(off: &[&str]) -> (usize, String) {
    let world = World::start(ACK_WAIT_MS, 6, "").await;
    let before = Process::start(&world, "w-1", &[]).await;
    world.whole_run().await;
    world.jobs_done().await;
    before.end().await;
    let stood = world.odds().await.len();
    (1..=6).for_each(|event| world.site.show(event, "3.3"));
    // The lease is off: what is tried here is what holds when the look at it came too early.
    let arguments = [&["--no-lease", "--stop-before-odds"], off].concat();
    let first = Process::start(&world, "a-1", &arguments).await;
    let run_id = world.next_job().await;
    first.stopped().await;
    (1..=6).for_each(|event| world.site.show(event, "1.85"));
    let second = Process::start(&world, "b-1", &[]).await;
    let last = world.ended(&run_id).await.pop().unwrap().image;
    assert_eq!((last.attempt, last.changed_count), (2, 0));
    first.wake();
    let end = first.attempt_over().await;
    let odds = world.odds().await;
    assert_eq!(odds.len(), stood);
    let late = odds.iter().filter(|(_, image)| home_price(image) == "3.3");
    let late = late.count();
    first.end().await;
    second.end().await;
    (late, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_after_a_look_that_came_too_early_is_refused_though_no_key_changed() {
    let (late, end) = stopped_between_look_and_write(&[]).await;
    assert_eq!(late, 0);
    assert!(end == "over" || end == "fenced", "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_fence_what_was_sent_too_late_stands() {
    let (late, end) = stopped_between_look_and_write(&["--no-fence"]).await;
    assert_eq!(
        (late, end.as_str()),
        (6, "completed"),
        "the test above proves nothing"
    );
}
