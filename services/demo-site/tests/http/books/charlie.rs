use std::collections::BTreeMap;

use oddswire_demo_site::truth::{BookTruth, EventTruth};
use serde_json::Value;

use super::{Read, market};
use crate::site::Site;

pub(super) async fn read(site: &Site) -> Read {
    let mut book = BookTruth { events: Vec::new() };
    let mut unmapped = 0;
    let tournaments = site.json("/charlie/api/tournaments").await;
    assert_eq!(tournaments["R"], "OK");
    for tournament in tournaments["D"].as_array().unwrap() {
        let odds = site
            .json(&format!("/charlie/api/odds?tid={}", tournament["TID"]))
            .await;
        assert_eq!(odds["R"], "OK");
        for raw in odds["D"].as_array().unwrap() {
            book.events.push(event(tournament, raw, &mut unmapped));
        }
    }
    Read { book, unmapped }
}

fn event(tournament: &Value, raw: &Value, unmapped: &mut usize) -> EventTruth {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let locked: Vec<_> = raw["LCK"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap())
        .collect();
    let mut groups: BTreeMap<&str, Vec<(&str, Option<f64>)>> = BTreeMap::new();
    for (key, price) in raw["O"].as_object().unwrap() {
        let (group, code) = key.rsplit_once('_').unwrap();
        let price = match price.as_str().unwrap() {
            "0" | "-" => None,
            number => Some(number.parse().unwrap()),
        };
        if group == "S_OE" {
            *unmapped += 1;
        } else {
            groups.entry(group).or_default().push((outcome(code), price));
        }
    }
    let markets = groups.into_iter().map(|(group, outcomes)| {
        let (name, line) = match group.split_once('@') {
            Some((name, line)) => (name, Some(line.parse().unwrap())),
            None => (group, None),
        };
        let name = match name {
            "S_1X2" => ("h2h", "ft"),
            "S_DC" => ("double_chance", "ft"),
            "S_OU" => ("totals", "ft"),
            "S_OUH1" => ("totals", "h1"),
            "S_AH" => ("spreads", "ft"),
            "S_GG" => ("btts", "ft"),
            other => panic!("{other}"),
        };
        market(name, line, !locked.contains(&group), outcomes)
    });
    EventTruth {
        match_id: text(&raw["EXTID"]),
        home_team: text(&raw["T1"]),
        away_team: text(&raw["T2"]),
        league: text(&tournament["TN"]),
        country: text(&tournament["CN"]),
        // The book's documented time zone is UTC.
        commence_time: format!("{}:00Z", text(&raw["ST"]).replace(' ', "T"))
            .parse()
            .unwrap(),
        markets: markets.collect(),
    }
}

fn outcome(code: &str) -> &'static str {
    match code {
        "1" => "home",
        "X" => "draw",
        "2" => "away",
        "1X" => "home_draw",
        "12" => "home_away",
        "X2" => "draw_away",
        "O" => "over",
        "U" => "under",
        "Y" => "yes",
        "N" => "no",
        other => panic!("{other}"),
    }
}
