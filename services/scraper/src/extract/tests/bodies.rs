//! Pages that are tables, lines, or JSON inside of something else.

use super::*;

/// A definition whose last step is a table or lines: `body` says how they are written, `market` where prices are.
fn tabular(body: &str, market: &str) -> Source {
    let text = format!(
        r#"version = 1
[source]
key = "test"
title = "Test"
base_url = "http://example.org"
sport = "soccer"
[[step]]
id = "events"
request = {{ url = "/" }}
{body}
[step.event]
external_id = "$.id"
home_team = "$.home"
away_team = "$.away"
league = "$.league"
commence_time = {{ path = "$.start", format = "%d/%m/%Y %H:%M", timezone = "Europe/London" }}
{market}
[markets.1x2]
key = "h2h"
outcomes = {{ h = "home", a = "away" }}
"#
    );
    source(&text)
}

const COLUMNS: &str = r#"[[step.flat_market]]
object = "$"
key_regex = '^(?<market>1x2)_(?<outcome>[ha])$'
skip_regex = '^(id|home|away|league|start)$'"#;

#[test]
fn a_table_has_a_row_for_each_line_and_a_cut_one_is_no_table() {
    let source = tabular("format = \"csv\"", COLUMNS);
    let table =
        "\u{feff}id,home,away,league,start,1x2_h,1x2_a\r\n7,\"A, B\",C,L,05/07/2026 20:45,1.85,2.10\r\n";
    let rows = read(&source, table).unwrap();
    let event = &rows.events[0];
    assert_eq!((event.home_team.as_str(), rows.events.len()), ("A, B", 1));
    assert_eq!(event.commence_time.to_string(), "2026-07-05T19:45:00.000Z");
    let expected = [
        row("1x2", None, "a", "2.10", true),
        row("1x2", None, "h", "1.85", true),
    ];
    assert_eq!(prices(event), expected);
    // No rows are no error; a page that is none, or not the whole of it, is.
    assert!(
        read(&source, "id,home,away,league,start\n")
            .unwrap()
            .events
            .is_empty()
    );
    assert_eq!(
        kind(&source, "id,home,away,league,start\n7,A,B"),
        ErrorType::Parse
    );
    assert_eq!(kind(&source, ""), ErrorType::Parse);
    assert_eq!(kind(&source, "<html>"), ErrorType::Blocked);
    assert_eq!(
        kind(&source, "id,host,away,league,start\n7,A,B,L,x\n"),
        ErrorType::SchemaDrift
    );
}

#[test]
fn lines_of_one_event_are_one_row_where_the_table_is_grouped() {
    let cells = r#"[[step.cell_market]]
each = "$.rows[*]"
market = "$.market"
outcome = "$.pick"
price = { path = "$.odds", transforms = ["fractional_odds"] }"#;
    let body = r#"format = "csv"
csv = { delimiter = "\t", group_by = "id", columns = ["id", "home", "away", "league", "start", "market", "pick", "odds"] }"#;
    let source = tabular(body, cells);
    let line =
        |id: u32, pick: &str, odds: &str| format!("{id}\tA\tB\tL\t05/01/2026 20:45\t1x2\t{pick}\t{odds}\n");
    let table = line(7, "h", "5/2") + &line(7, "a", "evens") + &line(8, "h", "");
    let rows = read(&source, &table).unwrap();
    let expected = [
        row("1x2", None, "h", "3.5", true),
        row("1x2", None, "a", "2", true),
    ];
    assert_eq!(
        (rows.events.len(), prices(&rows.events[0])),
        (2, expected.to_vec())
    );
    assert_eq!(prices(&rows.events[1]), [row("1x2", None, "h", "", true)]);
}

#[test]
fn lines_of_json_are_rows_and_a_bad_one_is_told_by_its_number() {
    let source = tabular("format = \"ndjson\"", COLUMNS);
    let line = r#"{"id":7,"home":"A","away":"B","league":"L","start":"05/07/2026 20:45","1x2_h":1.5}"#;
    assert_eq!(
        read(&source, &format!("{line}\n\n{line}\n"))
            .unwrap()
            .events
            .len(),
        2
    );
    assert!(read(&source, "\n").unwrap().events.is_empty());
    let cut = read(&source, &format!("{line}\n{}", &line[..40])).unwrap_err();
    assert!(
        matches!(&cut, Error::Parse(told) if told.starts_with("line 2 is cut off")),
        "{cut}"
    );
}

#[test]
fn json_is_found_in_a_script_in_an_attribute_in_a_text_and_in_a_call() {
    let json = r#"{"id":7,"home":"A","away":"B","league":"L","start":"05/07/2026 20:45","1x2_h":1.5}"#;
    let attribute = json.replace('"', "&quot;");
    let text = serde_json::Value::from(json).to_string();
    for (embedded, page) in [
        (
            "css = \"script#d\"",
            format!("<html><script id=d>\n{json}\n</script></html>"),
        ),
        (
            "css = \"script\", regex = '(?s)state = (.*);'",
            format!("<html><script>var state = {json};</script></html>"),
        ),
        (
            "css = \"#d\", attr = \"data-x\"",
            format!("<html><p id=d data-x=\"{attribute}\"></html>"),
        ),
        ("path = \"$.payload\"", format!(r#"{{"payload":{text}}}"#)),
        ("regex = '^show\\((.*)\\)$'", format!("show({json})")),
    ] {
        let source = tabular(&format!("embedded = {{ {embedded} }}"), COLUMNS);
        assert_eq!(
            read(&source, &page).unwrap().events[0].home_team,
            "A",
            "{embedded}"
        );
        // The same page without it is one of another layout.
        let other = if embedded.contains("path") {
            "{}"
        } else {
            "<html></html>"
        };
        assert_eq!(kind(&source, other), ErrorType::SchemaDrift, "{embedded}");
    }
}

#[test]
fn a_place_that_every_page_has_is_missed() {
    let source = tabular(
        "each = \"$.events[*]\"\nexpect = { required = [\"$.total\"] }",
        COLUMNS,
    );
    assert!(
        read(&source, r#"{"events":[],"total":null}"#)
            .unwrap()
            .events
            .is_empty()
    );
    assert_eq!(kind(&source, r#"{"events":[]}"#), ErrorType::SchemaDrift);
}
