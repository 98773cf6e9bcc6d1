//! Runs that repeat what failed in another one.

use crate::world::{RunMessage, Scraper, World};
use oddswire_protocol::{
    RunId,
    progress::{Outcome, ScrapeProgress, Status},
};

/// Ten events, a scraper that has read them all once, and then a run in which two pages failed.
async fn two_pages_failed() -> (World, Scraper, RunId) {
    let world = World::start(30_000, 10, "").await;
    let scraper = world.scraper("w-1").await;
    assert_eq!(outcome(&world.whole_run().await), Outcome::Complete);
    world.site.fail_on([3, 7]);
    world.site.show(3, "2.5");
    let messages = world.whole_run().await;
    assert_eq!(outcome(&messages), Outcome::Partial);
    let run_id = messages[0].image.run_id.clone();
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids.len(), 2);
    world.site.take_paths();
    (world, scraper, run_id)
}

fn last(messages: &[RunMessage]) -> &ScrapeProgress {
    let last = &messages.last().unwrap().image;
    assert_eq!(last.status, Status::Completed, "{last:?}");
    last
}

fn outcome(messages: &[RunMessage]) -> Outcome {
    last(messages).outcome.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_asks_for_the_pages_that_failed_and_the_board_is_whole_again() {
    let (world, _scraper, run_id) = two_pages_failed().await;
    let (_, before) = world.confirmed().await;
    world.site.fail_on([]);
    // Nobody looks at the others again: what changed there is found by the next whole run.
    world.site.show(5, "9.9");
    let messages = world.retried(&run_id).await;
    assert_eq!(outcome(&messages), Outcome::Complete);
    assert!(
        last(&messages).message.contains("Asked for 2 of all pages"),
        "{:?}",
        last(&messages).message
    );
    assert_eq!(world.site.take_paths(), ["/event/3", "/event/7", "/list"]);
    let board = world.odds().await;
    let price = |home: &str| {
        let image = board
            .iter()
            .find(|(_, image)| image.event.home_team == home)
            .unwrap();
        let outcomes = &image.1.market.quotes[0].outcomes;
        let home = outcomes.iter().find(|outcome| outcome.name == "home").unwrap();
        home.price.unwrap().to_string()
    };
    assert_eq!((price("Home 3"), price("Home 5")), ("2.5".into(), "1.85".into()));
    assert_eq!(board.len(), 10, "nothing was withdrawn");
    // What the first run confirmed stands, at its time, without exceptions now.
    let (_, confirmed) = world.confirmed().await;
    assert_eq!(confirmed.run_id, last(&messages).run_id);
    assert_eq!(confirmed.confirmed_at, before.confirmed_at);
    assert!(confirmed.unconfirmed_event_ids.is_empty() && !confirmed.all_unconfirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_of_a_retry_asks_for_what_still_fails() {
    let (world, _scraper, run_id) = two_pages_failed().await;
    world.site.fail_on([7]);
    let second = world.retried(&run_id).await;
    assert_eq!(outcome(&second), Outcome::Partial);
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids.len(), 1);
    world.site.take_paths();
    // Even when nothing at all could be read.
    let third = world.retried(&last(&second).run_id).await.pop().unwrap().image;
    assert_eq!(third.status, Status::Failed);
    world.site.fail_on([]);
    world.site.take_paths();
    assert_eq!(outcome(&world.retried(&third.run_id).await), Outcome::Complete);
    assert_eq!(world.site.take_paths(), ["/event/7", "/list"]);
    assert_eq!(world.confirmed().await.1.unconfirmed_event_ids, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_never_takes_back_what_a_later_run_confirmed() {
    let (world, _scraper, run_id) = two_pages_failed().await;
    world.site.fail_on([1]);
    let later = world.whole_run().await;
    assert_eq!(outcome(&later), Outcome::Partial);
    let before = world.confirmed().await;
    world.site.fail_on([]);
    assert_eq!(outcome(&world.retried(&run_id).await), Outcome::Complete);
    let after = world.confirmed().await;
    assert_eq!((before.0.seq, before.1), (after.0.seq, after.1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_under_another_definition_is_repeated_whole() {
    let (world, scraper, run_id) = two_pages_failed().await;
    scraper.stop().await;
    world.site.fail_on([]);
    world.redefine("title = \"Alpha\"", "title = \"Alpha, anew\"");
    let _scraper = world.scraper("w-2").await;
    let messages = world.retried(&run_id).await;
    assert!(last(&messages).message.contains("the whole source was repeated"));
    assert_eq!(world.site.take_paths().len(), 11);
    assert!(world.confirmed().await.1.unconfirmed_event_ids.is_empty());
}
