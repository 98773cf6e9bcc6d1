use oddswire_demo_site::truth::{BookTruth, EventTruth};
use serde_json::Value;

use super::{Read, market, specifier_line};
use crate::site::Site;

pub(super) async fn read(site: &Site) -> Read {
    let mut book = BookTruth { events: Vec::new() };
    let mut unmapped = 0;
    for league in site.json("/alpha/api/leagues").await["data"].as_array().unwrap() {
        let id = league["id"].as_str().unwrap();
        let list = site.json(&format!("/alpha/api/leagues/{id}/events")).await;
        for entry in list["events"].as_array().unwrap() {
            let page = site
                .json(&format!("/alpha/api/events/{}", entry["id"].as_str().unwrap()))
                .await;
            assert_eq!(page["id"], entry["id"]);
            assert_eq!(&page["league"], league);
            book.events.push(event(&page, &mut unmapped));
        }
    }
    Read { book, unmapped }
}

fn event(page: &Value, unmapped: &mut usize) -> EventTruth {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let widgets = page["widgets"].as_array().unwrap();
    let center = widgets
        .iter()
        .find(|widget| widget["type"] == "MATCHCENTER")
        .unwrap();
    let mut markets = Vec::new();
    for raw in page["markets"].as_array().unwrap() {
        let Some(name) = mapping(raw["id"].as_str().unwrap()) else {
            *unmapped += 1;
            continue;
        };
        assert_eq!(raw["period"].as_str().unwrap().to_lowercase(), name.1);
        let open = match raw["status"].as_str().unwrap() {
            "ACTIVE" => true,
            "SUSPENDED" => false,
            other => panic!("{other}"),
        };
        let outcomes = raw["outcomes"].as_array().unwrap().iter().map(|raw| {
            assert_eq!(raw["isActive"], open);
            (outcome(raw["desc"].as_str().unwrap()), raw["odds"].as_f64())
        });
        markets.push(market(
            name,
            specifier_line(raw["specifier"].as_str()),
            open,
            outcomes.collect(),
        ));
    }
    EventTruth {
        match_id: text(&center["id"]),
        home_team: text(&page["home"]["name"]),
        away_team: text(&page["away"]["name"]),
        league: text(&page["league"]["name"]),
        country: text(&page["league"]["country"]["name"]),
        commence_time: page["start"].as_str().unwrap().parse().unwrap(),
        markets,
    }
}

fn mapping(id: &str) -> Option<(&'static str, &'static str)> {
    match id {
        "3741" => Some(("h2h", "ft")),
        "3742" => Some(("double_chance", "ft")),
        "3743" => Some(("totals", "ft")),
        "3753" => Some(("totals", "h1")),
        "3774" => Some(("spreads", "ft")),
        "3795" => Some(("btts", "ft")),
        _ => None,
    }
}

fn outcome(text: &str) -> &'static str {
    match text {
        "1" | "Home" => "home",
        "X" => "draw",
        "2" | "Away" => "away",
        "1X" => "home_draw",
        "12" => "home_away",
        "X2" => "draw_away",
        "Over" => "over",
        "Under" => "under",
        "Yes" => "yes",
        "No" => "no",
        other => panic!("{other}"),
    }
}
