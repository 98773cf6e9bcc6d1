use chrono::DateTime;
use oddswire_demo_site::truth::{BookTruth, EventTruth};
use serde_json::Value;

use super::{Read, market, specifier_line};
use crate::site::Site;

pub(super) async fn read(site: &Site) -> Read {
    let mut book = BookTruth { events: Vec::new() };
    let mut unmapped = 0;
    for page in 1.. {
        let body = format!(r#"{{"sport":"football","page":{page},"size":10}}"#);
        let answer: Value = site.post("/bravo/api/events", body).await.json().await.unwrap();
        assert_eq!(answer["bizCode"], 10_000, "{answer}");
        let data = &answer["data"];
        assert_eq!(data["page"], page);
        for raw in data["events"].as_array().unwrap() {
            book.events.push(event(raw, &mut unmapped));
        }
        if page >= data["totalPages"].as_u64().unwrap() {
            assert_eq!(data["total"].as_u64(), u64::try_from(book.events.len()).ok());
            break;
        }
    }
    Read { book, unmapped }
}

fn event(raw: &Value, unmapped: &mut usize) -> EventTruth {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut markets = Vec::new();
    for raw in raw["markets"].as_array().unwrap() {
        let name = match raw["id"].as_str().unwrap() {
            "101" => ("h2h", "ft"),
            "110" => ("double_chance", "ft"),
            "116" => ("spreads", "ft"),
            "118" => ("totals", "ft"),
            "129" => ("btts", "ft"),
            "168" => ("totals", "h1"),
            _ => {
                *unmapped += 1;
                continue;
            }
        };
        let outcomes = raw["outcomes"].as_array().unwrap().iter().map(|raw| {
            let price: f64 = raw["odds"].as_str().unwrap().parse().unwrap();
            (outcome(raw["id"].as_str().unwrap()), Some(price))
        });
        let open = raw["status"].as_u64().unwrap() == 0;
        markets.push(market(
            name,
            specifier_line(raw["specifier"].as_str()),
            open,
            outcomes.collect(),
        ));
    }
    EventTruth {
        match_id: raw["matchId"]
            .as_str()
            .unwrap()
            .strip_prefix("mc:match:")
            .unwrap()
            .to_owned(),
        home_team: text(&raw["homeTeamName"]),
        away_team: text(&raw["awayTeamName"]),
        league: text(&raw["tournament"]["name"]),
        country: text(&raw["category"]["name"]),
        commence_time: DateTime::from_timestamp_millis(raw["estimateStartTime"].as_i64().unwrap()).unwrap(),
        markets,
    }
}

fn outcome(id: &str) -> &'static str {
    match id {
        "1" | "1714" => "home",
        "2" => "draw",
        "3" | "1715" => "away",
        "9" => "home_draw",
        "10" => "home_away",
        "11" => "draw_away",
        "12" => "over",
        "13" => "under",
        "74" => "yes",
        "76" => "no",
        other => panic!("{other}"),
    }
}
