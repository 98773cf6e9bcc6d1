//! Walks over a scripted site: what is read, what is lost, and the verdict.

use super::*;
use crate::{
    fetch::tests::{Server, answer},
    source::tests as definitions,
};
use oddswire_protocol::{EventId, progress::ErrorType};
use std::sync::Mutex;

#[derive(Default)]
struct Heard(Mutex<(Option<u64>, u64, Vec<Fault>)>);

impl Observer for Heard {
    fn total(&self, total: Option<u64>) {
        self.0.lock().unwrap().0 = total;
    }
    fn advance(&self, units: u64) {
        self.0.lock().unwrap().1 += units;
    }
    fn found_events(&self, _: u64) {}
    fn fault(&self, fault: Fault) {
        self.0.lock().unwrap().2.push(fault);
    }
}

/// A walk by the small definition with some parts of it replaced.
struct Trip {
    walk: Walk,
    heard: Arc<Heard>,
}

impl Trip {
    fn prepare(server: &Server, changes: &[(&str, &str)]) -> Self {
        let mut text = definitions::text("");
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let source = Arc::new(definitions::parse_at(&server.url, &text).unwrap());
        let heard = Arc::new(Heard::default());
        let observer = Arc::clone(&heard) as Arc<dyn Observer>;
        let cancel = CancellationToken::new();
        let walk = Walk::new(source, &Fetcher::default(), observer, cancel, Pages::new()).unwrap();
        Self { walk, heard }
    }

    async fn run(&self) -> Result<Harvest, WalkError> {
        let targets = self.walk.discover().await?;
        let scraped = self.walk.scrape(targets).await?;
        Ok(self.walk.map(scraped))
    }

    fn faults(&self) -> Vec<ErrorType> {
        self.heard
            .0
            .lock()
            .unwrap()
            .2
            .iter()
            .map(|fault| fault.error_type)
            .collect()
    }
}

fn list(ids: impl IntoIterator<Item = u32>) -> String {
    let ids: Vec<_> = ids.into_iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    answer(
        200,
        "",
        &format!("{{\"events\":[{}],\"pages\":3}}", ids.join(",")),
    )
}

fn event(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","home":"A","away":"B","league":"L","start":"2026-11-22T19:45:00Z","markets":[
        {{"id":"1","open":true,"at":1795376700,"outcomes":[{{"id":"1","price":1.85}}]}}]}}"#
    )
}

fn events(rows: &[String]) -> String {
    answer(200, "", &format!("{{\"events\":[{}]}}", rows.join(",")))
}

/// The number at the end of the path of a request.
fn number(request: &str) -> u32 {
    let path = request.split(' ').nth(1).unwrap();
    path.rsplit(['/', '=']).next().unwrap().parse().unwrap()
}

fn site(request: &str) -> String {
    if request.contains("/list") {
        list(1..=4)
    } else {
        events(&[event(&number(request).to_string())])
    }
}

fn id(number: u32) -> EventId {
    EventId::of(&format!("mc:match:{number}"))
}

const PAGED: (&str, &str) = (
    "request = { url = \"/list\" }",
    "request = { url = \"/list?p={{page}}\" }\n#paginate",
);

fn paged(paginate: &str) -> [(&str, &str); 2] {
    [PAGED, ("#paginate", paginate)]
}

#[tokio::test]
async fn a_whole_walk_reads_everything_and_remembers_where() {
    let server = Server::start(|_, request| site(request)).await;
    let trip = Trip::prepare(&server, &[]);
    let harvest = trip.run().await.unwrap();
    assert_eq!((harvest.outcome, trip.faults()), (Outcome::Complete, Vec::new()));
    assert!((1..=4).all(|number| harvest.has(&id(number))));
    let page = format!("{}/event/3", server.url);
    assert_eq!(harvest.pages[&page], [id(3)]);
    let quote = &harvest.events[0].markets[0].quotes[0];
    assert_eq!(
        quote.source_updated_at.unwrap().to_string(),
        "2026-11-22T19:45:00.000Z"
    );
}

#[tokio::test]
async fn a_list_is_read_until_it_is_empty() {
    let server = Server::start(|_, request| match request {
        _ if !request.contains("/list") => site(request),
        _ if number(request) < 3 => list([number(request) * 2, number(request) * 2 + 1]),
        _ => list([]),
    })
    .await;
    let paginate = "paginate = { kind = \"page\", start = 0, until = \"empty\" }";
    let trip = Trip::prepare(&server, &paged(paginate));
    let harvest = trip.run().await.unwrap();
    assert_eq!((harvest.outcome, harvest.events.len()), (Outcome::Complete, 6));
    let lists = server
        .requests()
        .iter()
        .filter(|request| request.contains("/list"))
        .count();
    assert_eq!(lists, 4);
}

#[tokio::test]
async fn fewer_rows_than_a_step_expects_break_the_run_whatever_share_may_be_bad() {
    let server = Server::start(|_, request| site(request)).await;
    let few = Trip::prepare(&server, &[("each = ", "expect = { min_rows = 5 }\neach = ")]);
    let harvest = few.run().await.unwrap();
    assert_eq!(
        (harvest.outcome, few.faults()),
        (Outcome::Broken, vec![ErrorType::SchemaDrift])
    );
    assert!(!harvest.is_miss(&id(9)));
    let enough = Trip::prepare(&server, &[("each = ", "expect = { min_rows = 4 }\neach = ")]);
    assert_eq!(enough.run().await.unwrap().outcome, Outcome::Complete);
}

#[tokio::test]
async fn a_list_without_an_end_is_cut_and_proves_no_absence() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => list([number(request)]),
        _ => site(request),
    })
    .await;
    for end in ["until = \"empty\"", "total_pages = \"$.pages\""] {
        let paginate = format!("paginate = {{ kind = \"page\", max_pages = 2, {end} }}");
        let trip = Trip::prepare(&server, &paged(&paginate));
        let harvest = trip.run().await.unwrap();
        assert_eq!(
            (harvest.outcome, harvest.events.len()),
            (Outcome::Partial, 2),
            "{end}"
        );
        assert!(!harvest.listing_complete && !harvest.is_miss(&id(9)), "{end}");
        assert_eq!(trip.faults(), [ErrorType::SchemaDrift], "{end}");
    }
}

#[tokio::test]
async fn pages_after_a_lost_one_are_read_all_the_same() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") && number(request) == 2 => answer(404, "", ""),
        _ if request.contains("/list") => list([number(request)]),
        _ => site(request),
    })
    .await;
    let paginate = "paginate = { kind = \"page\", total_pages = \"$.pages\" }";
    let trip = Trip::prepare(&server, &paged(paginate));
    let targets = trip.walk.discover().await.unwrap();
    assert_eq!(targets.len(), 2);
    {
        let heard = trip.heard.0.lock().unwrap();
        assert_eq!((heard.0, heard.1), (Some(3), 3));
    }
    let harvest = trip.walk.map(trip.walk.scrape(targets).await.unwrap());
    assert!(harvest.has(&id(1)) && harvest.has(&id(3)) && !harvest.is_miss(&id(2)));
    assert_eq!(
        (harvest.outcome, trip.faults()),
        (Outcome::Partial, vec![ErrorType::HttpStatus])
    );
}

#[tokio::test]
async fn an_event_on_two_pages_is_read_once() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => list([1, 2, 2]),
        _ => events(&[event("1"), event("2")]),
    })
    .await;
    let trip = Trip::prepare(&server, &[]);
    let harvest = trip.run().await.unwrap();
    assert_eq!((harvest.outcome, harvest.events.len()), (Outcome::Complete, 2));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_few_bad_rows_are_lost_alone_and_many_break_the_run() {
    let bad = |id: &str| event(id).replace("\"home\"", "\"host\"");
    for (share, outcome) in [("50%", Outcome::Partial), ("10%", Outcome::Broken)] {
        let server = Server::start(move |_, request| match request {
            _ if request.contains("/list") => list([1]),
            _ => events(&[event("1"), event("2"), bad("3")]),
        })
        .await;
        let trip = Trip::prepare(&server, &[("50%", share)]);
        let harvest = trip.run().await.unwrap();
        assert_eq!((harvest.outcome, harvest.events.len()), (outcome, 2));
        assert_eq!(harvest.unconfirmed, [id(3)].into());
        assert!(!harvest.is_miss(&id(3)));
        // What is known to be no longer listed is a miss, but not in a run that nobody can trust.
        assert_eq!(harvest.is_miss(&id(4)), outcome == Outcome::Partial);
        assert_eq!(trip.faults().first(), Some(&ErrorType::SchemaDrift));
    }
}

#[tokio::test]
async fn fewer_events_than_expected_are_a_broken_site_and_not_an_empty_one() {
    let server = Server::start(|_, _| list([])).await;
    let empty = Trip::prepare(&server, &[]).run().await.unwrap();
    assert_eq!(empty.outcome, Outcome::Empty);
    assert!(empty.is_miss(&id(1)));
    let trip = Trip::prepare(&server, &[("[expect]", "[expect]\nmin_events = 1")]);
    let broken = trip.run().await.unwrap();
    assert_eq!(
        (broken.outcome, trip.faults()),
        (Outcome::Broken, vec![ErrorType::SchemaDrift])
    );
    assert!(!broken.is_miss(&id(1)));
}

#[tokio::test]
async fn events_with_too_few_quotes_are_not_taken_for_good() {
    let server = Server::start(|_, request| site(request)).await;
    let trip = Trip::prepare(&server, &[("[expect]", "[expect]\nmin_markets_per_event = 2")]);
    let harvest = trip.run().await.unwrap();
    assert_eq!((harvest.outcome, harvest.events.len()), (Outcome::Broken, 0));
    assert_eq!(harvest.unconfirmed.len(), 4);
}

#[tokio::test]
async fn a_site_whose_robots_txt_forbids_its_pages_is_blocked() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/robots.txt") => answer(200, "", "user-agent: *\ndisallow: /event/\n"),
        _ => site(request),
    })
    .await;
    let trip = Trip::prepare(&server, &[("sport = ", "robots = \"obey\"\nsport = ")]);
    match trip.run().await {
        Err(WalkError::Unreadable { outcome, fault }) => {
            assert_eq!((outcome, fault.error_type), (Outcome::Blocked, ErrorType::Robots));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(trip.faults(), [ErrorType::Robots; 4]);
}

#[tokio::test]
async fn a_page_that_was_no_good_is_asked_for_anew_and_others_by_what_they_are_known() {
    let server = Server::start(|number, request| match request {
        _ if request.contains("/list") => list([1]),
        _ if number == 1 => answer(200, "etag: \"1\"\r\n", "{"),
        _ if number == 3 => answer(200, "etag: \"1\"\r\n", r#"{"events":[]}"#),
        _ => answer(304, "", ""),
    })
    .await;
    let trip = Trip::prepare(&server, &[]);
    assert!(trip.run().await.is_err());
    for _ in 0..2 {
        assert_eq!(trip.run().await.unwrap().outcome, Outcome::Empty);
    }
    let asked = |number| server.header(number, "if-none-match");
    assert_eq!((asked(1), asked(3), asked(5)), (None, None, Some("\"1\"".into())));
}

#[tokio::test]
async fn a_page_that_nests_without_an_end_is_no_page() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => list([1]),
        _ => answer(200, "", &format!("{{\"events\":{}", "[".repeat(1_000_000))),
    })
    .await;
    let trip = Trip::prepare(&server, &[]);
    assert!(trip.run().await.is_err());
    assert_eq!(trip.faults(), [ErrorType::Parse]);
}

#[tokio::test]
async fn a_walk_ends_with_what_it_has_when_its_pages_are_used_up() {
    let server = Server::start(|_, request| site(request)).await;
    let trip = Trip::prepare(&server, &[("concurrency = 8", "concurrency = 8, max_pages = 3")]);
    let harvest = trip.run().await.unwrap();
    assert_eq!((harvest.outcome, harvest.events.len()), (Outcome::Partial, 2));
    assert_eq!(trip.faults(), [ErrorType::RateLimited; 2]);
    assert!(!harvest.is_miss(&id(4)) && !harvest.is_miss(&id(9)));
}

#[tokio::test]
async fn the_failure_that_says_most_names_a_walk_without_a_page() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => list(1..=3),
        _ => match number(request) {
            1 => answer(404, "", "").replace("404", "400"),
            2 => answer(200, "", "<html>captcha</html>"),
            _ => answer(200, "", "{"),
        },
    })
    .await;
    let trip = Trip::prepare(&server, &[]);
    match trip.run().await {
        Err(WalkError::Unreadable { outcome, fault }) => {
            assert_eq!(
                (outcome, fault.error_type),
                (Outcome::Blocked, ErrorType::Blocked)
            );
        }
        other => panic!("{other:?}"),
    }
}

mod lists;
