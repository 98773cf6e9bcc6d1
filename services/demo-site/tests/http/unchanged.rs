//! Conditional requests: a page that the asker has already is not sent again.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Response, StatusCode};

use crate::site::{NOON, Site};

const PAGES: [&str; 2] = ["/alpha/api/leagues", "/delta/football/veloria/premier-league"];

async fn ask(site: &Site, path: &str, known: &str) -> Response {
    site.get_with(path, "if-none-match", known).await
}

fn tag(response: &Response) -> String {
    response.headers()["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_is_called_unchanged_for_as_long_as_it_is() {
    let site = Site::paused().await;
    for page in PAGES {
        let known = tag(&site.get(page).await);
        for asked in [known.clone(), format!("\"other\", W/{known}"), "*".to_owned()] {
            let response = ask(&site, page, &asked).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{page} {asked}");
            assert_eq!(tag(&response), known);
            assert_eq!(response.bytes().await.unwrap(), "");
        }
        let other = ask(&site, page, "\"other\"").await;
        assert_eq!((other.status(), tag(&other)), (StatusCode::OK, known));
    }
    // Prices move on, and with them the page and its tag.
    let page = PAGES[1];
    let known = tag(&site.get(page).await);
    let noon: DateTime<Utc> = NOON.parse().unwrap();
    site.set_clock(noon + TimeDelta::minutes(30)).await;
    let moved = ask(&site, page, &known).await;
    assert_eq!(moved.status(), StatusCode::OK);
    assert_ne!(tag(&moved), known);
}

#[tokio::test]
async fn what_a_fault_has_altered_has_no_tag_and_is_never_called_unchanged() {
    let site = Site::paused().await;
    let known = tag(&site.get(PAGES[0]).await);
    for fault in ["truncated_json", "layout_drift", "page_shift", "markets_vanish"] {
        site.set_fault("alpha", &format!(r#"{{"kind":"{fault}"}}"#)).await;
        let response = ask(&site, PAGES[0], &known).await;
        assert_eq!(response.status(), StatusCode::OK, "{fault}");
        assert!(!response.headers().contains_key("etag"), "{fault}");
    }
}
