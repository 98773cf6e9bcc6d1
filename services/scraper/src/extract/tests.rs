//! Fixture pages of the four forms, and pages that are none.

use super::*;
use crate::source::tests as definitions;
use bytes::Bytes;
use oddswire_protocol::progress::ErrorType;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

const BRAVO: &str = include_str!("../../../../sources/bravo.toml");
const CHARLIE: &str = include_str!("../../../../sources/charlie.toml");
const DELTA: &str = include_str!("../../../../sources/delta.toml");

fn source(text: &str) -> Source {
    definitions::parse_at("http://example.org", text).unwrap()
}

fn page(body: &str) -> Page {
    Page {
        status: 200,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn vars() -> Vars {
    let vars = [("league", "Premier League"), ("country", "Veloria")];
    vars.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn read(source: &Source, body: &str) -> Result<EventRows, Error> {
    events(source, source.steps.last().unwrap(), &page(body), &vars())
}

fn kind(source: &Source, body: &str) -> ErrorType {
    read(source, body).unwrap_err().error_type()
}

/// Market, line, outcome, price, open.
fn prices(event: &RawEvent) -> Vec<(String, RawLine, String, String, bool)> {
    let markets = event.markets.iter();
    let rows = markets.flat_map(|market| market.outcomes.iter().map(move |outcome| (market, outcome)));
    rows.map(|(market, outcome)| {
        let price = outcome.price.clone().unwrap_or_else(|| "none".to_owned());
        let open = market.open && outcome.open;
        (
            market.id.clone(),
            market.line.clone(),
            outcome.id.clone(),
            price,
            open,
        )
    })
    .collect()
}

fn row(
    market: &str,
    line: Option<&str>,
    outcome: &str,
    price: &str,
    open: bool,
) -> (String, RawLine, String, String, bool) {
    let line = line.map_or(RawLine::None, |line| RawLine::Some(line.to_owned()));
    (
        market.to_owned(),
        line,
        outcome.to_owned(),
        price.to_owned(),
        open,
    )
}

fn bravo(events: &str) -> String {
    format!(r#"{{"bizCode":10000,"data":{{"totalPages":3,"events":[{events}]}}}}"#)
}

fn bravo_event(markets: &str) -> String {
    bravo(&format!(
        r#"{{"matchId":"mc:match:7","homeTeamName":"A","awayTeamName":"B","estimateStartTime":1795376700000,
        "tournament":{{"name":"L"}},"category":{{"name":"C"}},"markets":[{markets}]}}"#
    ))
}

#[test]
fn nested_markets_are_read_with_prices_as_they_are_written() {
    let body = bravo_event(
        r#"{"id":"101","specifier":null,"status":0,"outcomes":[
            {"id":"1","odds":"1.80"},{"id":"2","odds":3.3},{"id":3,"odds":100.0},{"id":"4"}]},
        {"id":"118","specifier":"total=2.5","status":1,"outcomes":[{"id":"12","odds":null}]},
        {"id":"118","specifier":"corners=2.5","status":7,"outcomes":[{"id":"12","odds":"-"}]},
        {"id":"118","specifier":"total=2.25","status":0}"#,
    );
    let rows = read(&source(BRAVO), &body).unwrap();
    assert_eq!(rows.onward.pages, Some(3));
    let event = &rows.events[0];
    assert_eq!(event.external_id.as_deref(), Some("mc:match:7"));
    assert_eq!(event.commence_time.to_string(), "2026-11-22T19:45:00.000Z");
    let strange = RawLine::Strange("corners=2.5".to_owned());
    let expected = [
        row("101", None, "1", "1.80", true),
        row("101", None, "2", "3.3", true),
        row("101", None, "3", "100.0", true),
        row("101", None, "4", "none", true),
        row("118", Some("2.5"), "12", "", false),
        ("118".to_owned(), strange, "12".to_owned(), "-".to_owned(), false),
    ];
    assert_eq!(prices(event), expected);
    assert!(event.markets[3].outcomes.is_empty());
}

#[test]
fn flat_keys_are_put_together_by_market_and_line() {
    let event = |locked: &str| {
        format!(
            r#"{{"R":"OK","D":[{{"EXTID":"7","T1":"A","T2":"B","ST":"2026-11-22 19:45",{locked}
            "O":{{"S_1X2_1":"1.85","S_OU@2.5_O":"0","S_OU@2.5_U":"1.9","S_OU@3.0_O":"3","W?":"9"}}}}]}}"#
        )
    };
    let source = source(CHARLIE);
    let rows = read(&source, &event(r#""LCK":["S_OU@2.5"],"#)).unwrap();
    let expected = [
        row("1X2", None, "1", "1.85", true),
        row("OU", Some("2.5"), "O", "0", false),
        row("OU", Some("2.5"), "U", "1.9", false),
        row("OU", Some("3.0"), "O", "3", true),
        row("W?", None, "W?", "9", true),
    ];
    assert_eq!(prices(&rows.events[0]), expected);
    assert_eq!(rows.events[0].league, "Premier League");
    // Without the list nobody knows what is suspended.
    assert_eq!(kind(&source, &event("")), ErrorType::SchemaDrift);
}

fn delta(rows: &str) -> String {
    format!("<!DOCTYPE html><html><body><table class=odds><tbody>{rows}</tbody></table></body></HTML>\n")
}

fn delta_row(attributes: &str, price: &str) -> String {
    format!(
        r#"<tr class="match" data-match-id="7" {attributes}>
        <td class="kickoff"><time datetime="2026-11-22T19:45:00Z">22 Nov</time></td>
        <td class="home"> Brask  <b>&amp;</b>
        Co </td><td class="away">B</td>{price}</tr>"#
    )
}

const PRICE: &str = r#"<td class="price" data-market="1x2" data-outcome="1">1.85</td>"#;

#[test]
fn html_rows_and_cells_are_read_as_a_reader_sees_them() {
    let cells = r#"<td class="price suspended" data-market="ou" data-line="2.5" data-outcome="O"> 1.9 </td>
        <td class="price" style="color:red; DISPLAY : none !important" data-market="ou" data-outcome="O">9</td>
        <td class="price unsuspended" data-market="ou" data-line="0" data-outcome="U">2</td><td class="empty">-</td>"#;
    let rows = read(&source(DELTA), &delta(&delta_row("", cells))).unwrap();
    let expected = [
        row("ou", Some("0"), "U", "2", true),
        row("ou", Some("2.5"), "O", "1.9", false),
    ];
    assert_eq!(prices(&rows.events[0]), expected);
    assert_eq!(rows.events[0].home_team, "Brask & Co");
    assert_eq!(rows.events[0].country.as_deref(), Some("Veloria"));
}

#[test]
fn rows_that_no_reader_sees_are_no_rows() {
    let source = source(DELTA);
    for attributes in ["hidden", "style='display:none'", "style='x:y;visibility: hidden'"] {
        let rows = read(&source, &delta(&delta_row(attributes, PRICE))).unwrap();
        assert_eq!(rows.events, [], "{attributes}");
    }
    let within = delta(&delta_row("", PRICE)).replace("<tbody>", "<tbody hidden>");
    assert_eq!(read(&source, &within).unwrap().events, []);
    let shown = delta(&delta_row("style='display:table-row'", PRICE));
    assert_eq!(read(&source, &shown).unwrap().events.len(), 1);
}

#[test]
fn tables_in_tables_do_not_count_twice() {
    let inner = format!(
        "<tr><td><table class=odds>{}</table></td></tr>",
        delta_row("", PRICE)
    );
    assert_eq!(read(&source(DELTA), &delta(&inner)).unwrap().events.len(), 1);
}

#[test]
fn a_block_page_is_not_a_broken_page_and_not_an_empty_one() {
    let json = source(BRAVO);
    let html = source(DELTA);
    assert_eq!(
        kind(&json, "\n<!DOCTYPE html><title>Access denied</title></html>"),
        ErrorType::Blocked
    );
    assert_eq!(kind(&html, "<html>solve the CAPTCHA</html>"), ErrorType::Blocked);
    for cut in [
        "",
        "{",
        r#"{"bizCode":10000,"data":{"events":[{"#,
        "null and void",
        "\u{feff}",
    ] {
        assert_eq!(kind(&json, cut), ErrorType::Parse, "{cut:?}");
    }
    let whole = delta(&delta_row("", PRICE));
    assert_eq!(kind(&html, &whole[..whole.len() - 10]), ErrorType::Parse);
    assert_eq!(
        kind(&json, r#"{"bizCode":19001,"message":"no","data":null}"#),
        ErrorType::Parse
    );
    for drifted in [
        "{}",
        "[]",
        "7",
        r#"{"bizCode":10000,"data":{"list":[]}}"#,
        r#"{"bizCode":10000,"data":{"events":3}}"#,
    ] {
        assert_eq!(kind(&json, drifted), ErrorType::SchemaDrift, "{drifted}");
    }
    assert_eq!(kind(&html, &whole.replace("odds", "v2")), ErrorType::SchemaDrift);
    assert_eq!(
        kind(&json, &bravo(r#"{"matchIdV2":"7"}"#)),
        ErrorType::SchemaDrift
    );
    for (source, body) in [
        (&json, bravo("")),
        (&html, delta("")),
        (&json, format!("\u{feff} {}", bravo(""))),
    ] {
        let rows = read(source, &body).unwrap();
        assert!(rows.events.is_empty() && rows.missing.is_empty(), "{body}");
    }
}

#[test]
fn a_header_can_give_a_block_page_away() {
    let text = BRAVO.replace(
        "[expect]",
        "[expect]\nblocked_when = [{ header = \"x-guard\", matches = \"^den\" }]",
    );
    let source = source(&text);
    let mut page = page(&bravo(""));
    let step = &source.steps[0];
    assert!(events(&source, step, &page, &vars()).is_ok());
    page.headers.insert(
        HeaderName::from_static("x-guard"),
        HeaderValue::from_static("denied"),
    );
    let blocked = events(&source, step, &page, &vars()).unwrap_err();
    assert_eq!(blocked.error_type(), ErrorType::Blocked);
}

#[test]
fn one_bad_row_among_good_ones_is_named_with_its_id() {
    let good = bravo_event("");
    let good = good
        .split_once('[')
        .unwrap()
        .1
        .strip_suffix("]}}")
        .unwrap()
        .to_owned();
    let bad = good
        .replace("\"homeTeamName\":\"A\"", "\"homeTeamName\":\" \"")
        .replace("match:7", "match:8");
    let rows = read(&source(BRAVO), &bravo(&format!("{good},{bad}"))).unwrap();
    assert_eq!(rows.events.len(), 1);
    let missing = MissingRow {
        field: "home_team",
        external_id: Some("mc:match:8".to_owned()),
    };
    assert_eq!(rows.missing, [missing]);
}

#[test]
fn listings_hand_on_what_they_found_and_what_they_were_given() {
    let source = source(CHARLIE);
    let read = |body: &str| {
        let given = Vars::from([("sport".to_owned(), "x".to_owned())]);
        listing(&source, &source.steps[0], &page(body), &given)
    };
    let rows = read(r#"{"R":"OK","D":[{"TID":90210,"TN":"L","CN":"C"},{"TN":"L","CN":"C"}]}"#).unwrap();
    assert_eq!((rows.count, rows.missing), (2, vec!["tid".to_owned()]));
    let found: Vec<_> = rows.rows[0]
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(found, ["country=C", "league=L", "sport=x", "tid=90210"]);
    assert_eq!(
        read(r#"{"R":"OK","D":[{"TN":"L"}]}"#).unwrap_err().error_type(),
        ErrorType::SchemaDrift
    );
    assert_eq!(read(r#"{"R":"OK","D":[]}"#).unwrap().count, 0);
}

mod hostile {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// JSON of any shape, made of the keys that the definitions look for.
    fn json() -> impl Strategy<Value = Value> {
        let key = "(R|D|O|LCK|EXTID|T1|T2|ST|bizCode|data|events|markets|outcomes|id|odds|status|S_1X2_1|x)";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::from("OK")),
            Just(Value::from(10_000)),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 80, 8, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((key, inner), 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_extraction_panic(value in json()) {
            for text in [BRAVO, CHARLIE] {
                let source = source(text);
                let body = value.to_string();
                let _ = read(&source, &body);
                let _ = read(&source, &body[..body.floor_char_boundary(body.len() / 2)]);
                let _ = listing(&source, &source.steps[0], &page(&body), &vars());
            }
        }

        #[test]
        fn no_html_makes_extraction_panic(
            parts in proptest::collection::vec("(<(table class=odds|tr class=match|td class=price|ul|b|/table|/tr|!--|svg|template)>?|[ -~]{0,8}|</html>)", 0..30)
        ) {
            let source = source(DELTA);
            let body = format!("{}</html>", parts.concat());
            let _ = read(&source, &body);
            let _ = listing(&source, &source.steps[0], &page(&body), &vars());
        }
    }

    #[test]
    fn a_page_of_great_depth_is_read_in_time_and_does_not_overflow() {
        let deep = "<div class=price><table class=odds><tr class=match>".repeat(20_000);
        let _ = read(&source(DELTA), &delta(&deep));
        assert_eq!(kind(&source(BRAVO), &"[".repeat(100_000)), ErrorType::Parse);
    }
}

mod bodies;
