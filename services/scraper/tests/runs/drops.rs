//! Runs that find far fewer events than the one before.

use crate::world::{World, alpha};
use oddswire_protocol::{
    odds::QuoteStatus,
    progress::{ErrorType, Outcome, Status},
};

const RULE: &str = "[expect]\nmax_drop_vs_last = \"50%\"";

/// Events of which something is not withdrawn.
async fn shown(world: &World) -> usize {
    let odds = world.odds().await;
    let open = odds.iter().filter(|(_, image)| {
        let mut quotes = image.market.quotes.iter();
        quotes.any(|quote| quote.status != QuoteStatus::Withdrawn)
    });
    open.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_finds_far_fewer_events_is_broken_and_withdraws_nothing() {
    let world = World::start(30_000, 6, RULE).await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    assert_eq!(shown(&world).await, 6);
    let (before, confirmed) = world.confirmed().await;
    (1..=4).for_each(|event| world.site.remove(event));
    // However often: what is missing is never counted as missing.
    for _ in 0..3 {
        let last = world.whole_run().await.pop().unwrap().image;
        assert_eq!(
            (last.status, last.outcome),
            (Status::Failed, Some(Outcome::Broken))
        );
        let error = &last.errors[0];
        assert_eq!(error.error_type, ErrorType::SchemaDrift);
        assert!(
            error
                .message
                .starts_with("2 events, after 6 in the last complete run"),
            "{}",
            error.message
        );
    }
    assert_eq!(shown(&world).await, 6);
    let (after, _) = world.confirmed().await;
    assert_eq!((after.seq, confirmed.source), (before.seq, alpha()));
    // Half of them may go.
    world.site.show(4, "2.00");
    for _ in 0..2 {
        let last = world.whole_run().await.pop().unwrap().image;
        assert_eq!(
            (last.status, last.outcome),
            (Status::Completed, Some(Outcome::Complete))
        );
    }
    assert_eq!(shown(&world).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_rule_what_is_missing_twice_is_withdrawn() {
    let world = World::start(30_000, 6, "").await;
    let _scraper = world.scraper("w-1").await;
    world.whole_run().await;
    (1..=4).for_each(|event| world.site.remove(event));
    world.whole_run().await;
    world.whole_run().await;
    assert_eq!(shown(&world).await, 2);
}
