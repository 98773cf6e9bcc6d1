use std::collections::BTreeMap;

use oddswire_demo_site::truth::{BookTruth, EventTruth, MarketTruth};

use super::{Read, market};
use crate::site::Site;

pub(super) async fn read(site: &Site) -> Read {
    let mut book = BookTruth { events: Vec::new() };
    for link in page(site, "/delta/football")
        .await
        .split("<a class=\"league\" ")
        .skip(1)
    {
        let (country, league) = (attribute(link, "data-country").unwrap(), inner(link));
        let html = page(site, attribute(link, "href").unwrap()).await;
        assert!(html.starts_with("<!DOCTYPE html>") && html.contains("<table class=\"odds\">"));
        for row in html.split("<tr class=\"match\"").skip(1) {
            let tag = row.split('>').next().unwrap();
            if !tag.contains("display:none") && !tag.ends_with(" hidden") {
                book.events.push(event(row, country, league));
            }
        }
    }
    Read { book, unmapped: 0 }
}

async fn page(site: &Site, path: &str) -> String {
    let response = site.get(path).await;
    assert_eq!(response.status(), 200, "{path}");
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    response.text().await.unwrap()
}

fn event(row: &str, country: &str, league: &str) -> EventTruth {
    let cell = |class: &str| {
        let start = row.split(&format!("<td class=\"{class}\">")).nth(1).unwrap();
        start
            .split("</td>")
            .next()
            .unwrap()
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    };
    EventTruth {
        match_id: attribute(row, "data-match-id").unwrap().to_owned(),
        home_team: cell("home"),
        away_team: cell("away"),
        league: league.to_owned(),
        country: country.to_owned(),
        commence_time: attribute(row, "datetime").unwrap().parse().unwrap(),
        markets: markets(row),
    }
}

fn markets(row: &str) -> Vec<MarketTruth> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for cell in row.split("<td class=\"price").skip(1) {
        let group = (
            attribute(cell, "data-market").unwrap(),
            attribute(cell, "data-line"),
        );
        let suspended = cell.split('>').next().unwrap().starts_with(" suspended\"");
        let outcome = match attribute(cell, "data-outcome").unwrap() {
            "1" => "home",
            "X" => "draw",
            "2" => "away",
            "O" => "over",
            "U" => "under",
            other => panic!("{other}"),
        };
        groups
            .entry(group)
            .or_default()
            .push((suspended, outcome, inner(cell).parse().ok()));
    }
    let read = groups.into_iter().map(|((name, line), cells)| {
        let name = if name == "1x2" {
            ("h2h", "ft")
        } else {
            ("totals", "ft")
        };
        let open = cells.iter().all(|(suspended, _, _)| !suspended);
        let outcomes = cells
            .into_iter()
            .map(|(_, outcome, price)| (outcome, price))
            .collect();
        market(name, line.map(|line| line.parse().unwrap()), open, outcomes)
    });
    read.collect()
}

/// Gives the value of an attribute in the text up to the next row.
fn attribute<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let limit = if name == "datetime" {
        text
    } else {
        text.split('>').next()?
    };
    limit.split(&format!("{name}=\"")).nth(1)?.split('"').next()
}

/// Gives the text between the end of the tag and the next tag.
fn inner(text: &str) -> &str {
    text.split('>').nth(1).unwrap().split('<').next().unwrap()
}
