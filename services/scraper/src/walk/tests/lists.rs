//! Lists of every kind.

use super::*;

/// The value of a parameter in the query of a request.
fn query<'r>(request: &'r str, name: &str) -> &'r str {
    let line = request.split(' ').nth(1).unwrap();
    let (_, query) = line.split_once('?').unwrap_or_default();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value)
}

/// Three pages of two rows, the last of one, each with all that any kind of list may want to know.
fn any_list(request: &str) -> String {
    if !request.contains("/list") {
        return site(request);
    }
    let (page, offset) = (query(request, "page"), query(request, "offset"));
    let page = match (page, offset, query(request, "cursor")) {
        ("", "", "" | "first") => 1,
        ("", "", cursor) => cursor.trim_start_matches('c').parse().unwrap(),
        ("", offset, _) => offset.parse::<u32>().unwrap() / 2 + 1,
        (page, _, _) => page.parse().unwrap(),
    };
    let ids: &[u32] = match page {
        1 => &[1, 2],
        2 => &[3, 4],
        3 => &[5],
        _ => &[],
    };
    let rows: Vec<_> = ids.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    let next = page + 1;
    let (more, header) = if page < 3 {
        let fields = format!(",\"cursor\":\"c{next}\",\"next\":\"?page={next}\"");
        (fields, format!("link: </list?page={next}>; rel=\"next\"\r\n"))
    } else {
        (",\"cursor\":null".to_owned(), String::new())
    };
    let body = format!(
        "{{\"events\":[{}],\"total\":5,\"pages\":3{more}}}",
        rows.join(",")
    );
    answer(200, &header, &body)
}

#[tokio::test]
async fn lists_of_every_kind_are_read_to_their_end_and_no_further() {
    for (url, paginate, asked) in [
        ("/list?page={{page}}", "kind = \"page\", until = \"empty\"", 4),
        (
            "/list?page={{page}}",
            "kind = \"page\", size = 2, until = \"short\"",
            3,
        ),
        (
            "/list?page={{page}}",
            "kind = \"page\", total_pages = \"$.pages\"",
            3,
        ),
        (
            "/list?page={{page}}",
            "kind = \"page\", size = 2, total_rows = { path = \"$.total\" }",
            3,
        ),
        (
            "/list?offset={{offset}}",
            "kind = \"offset\", size = 2, until = \"empty\"",
            4,
        ),
        (
            "/list?offset={{offset}}&n={{size}}",
            "kind = \"offset\", size = 2, until = \"short\"",
            3,
        ),
        (
            "/list?offset={{offset}}",
            "kind = \"offset\", size = 2, total_rows = \"$.total\"",
            3,
        ),
        (
            "/list?cursor={{cursor}}",
            "kind = \"cursor\", cursor = \"$.cursor\"",
            3,
        ),
        (
            "/list?cursor={{cursor}}",
            "kind = \"cursor\", cursor = \"$.cursor\", first = \"first\"",
            3,
        ),
        ("/list", "kind = \"next_link\", next = \"$.next\"", 3),
        ("/list", "kind = \"link_header\"", 3),
    ] {
        let server = Server::start(|_, request| any_list(request)).await;
        let paginate = format!("url = \"{url}\" }}\npaginate = {{ {paginate} }}");
        let trip = Trip::prepare(&server, &[("url = \"/list\" }", &paginate)]);
        let harvest = trip.run().await.unwrap();
        let (faults, events) = (trip.faults(), harvest.events.len());
        assert_eq!(
            (harvest.outcome, events, faults),
            (Outcome::Complete, 5, Vec::new()),
            "{paginate}"
        );
        let requests = server.requests();
        let lists = requests.iter().filter(|request| request.contains("/list"));
        assert_eq!(lists.count(), asked, "{paginate}: {requests:#?}");
    }
}

#[tokio::test]
async fn a_chain_that_leads_back_ends_and_proves_no_absence() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => {
            let link = "link: </list>; rel=\"next\"\r\n";
            answer(200, link, "{\"events\":[{\"id\":1}],\"cursor\":\"same\"}")
        }
        _ => site(request),
    })
    .await;
    for paginate in [
        "url = \"/list?c={{cursor}}\" }\npaginate = { kind = \"cursor\", cursor = \"$.cursor\" }",
        "url = \"/list\" }\npaginate = { kind = \"link_header\" }",
    ] {
        let trip = Trip::prepare(&server, &[("url = \"/list\" }", paginate)]);
        let harvest = trip.run().await.unwrap();
        assert_eq!(
            (harvest.outcome, harvest.events.len()),
            (Outcome::Partial, 1),
            "{paginate}"
        );
        assert!(
            !harvest.listing_complete && !harvest.is_miss(&id(9)),
            "{paginate}"
        );
        assert_eq!(trip.faults(), [ErrorType::SchemaDrift], "{paginate}");
    }
    assert!(server.requests().len() <= 8);
}

#[tokio::test]
async fn a_link_to_another_host_is_not_followed() {
    let server = Server::start(|_, request| match request {
        _ if request.contains("/list") => answer(
            200,
            "link: <http://example.org/list>; rel=next\r\n",
            "{\"events\":[{\"id\":1}]}",
        ),
        _ => site(request),
    })
    .await;
    let paginate = "url = \"/list\" }\npaginate = { kind = \"link_header\" }";
    let trip = Trip::prepare(&server, &[("url = \"/list\" }", paginate)]);
    let harvest = trip.run().await.unwrap();
    assert_eq!(
        (harvest.outcome, trip.faults()),
        (Outcome::Partial, vec![ErrorType::Connect])
    );
    assert_eq!(server.requests().len(), 2);
}
