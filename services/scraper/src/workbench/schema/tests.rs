//! The schema says what the loader knows, key by key.

use super::*;
use crate::source::tests as definitions;
use std::collections::{BTreeMap, BTreeSet};

/// A key that nobody knows and that is near to none.
const STRANGE: &str = "qqqqqqqqqqqqqqqqqqqqqqqq";

/// By the schema's name of a table, files that have the strange key in such a table: the text that is replaced in the
/// small definition, and by what.
const TABLES: &[(&str, &[(&str, &str)])] = &[
    ("SourceFile", &[("version = 1", "version = 1\nQ = 1")]),
    ("SourceTable", &[("title =", "Q = 1\ntitle =")]),
    ("HttpTable", &[("title =", "http = { Q = 1 }\ntitle =")]),
    ("LimitsTable", &[("limits = {", "limits = { Q = 1,")]),
    ("RetryTable", &[("retry = {", "retry = { Q = 1,")]),
    ("BreakerTable", &[("retry = {", "retry = { breaker = { Q = 1 },")]),
    ("ExpectTable", &[("[expect]", "[expect]\nQ = 1")]),
    (
        "BlockTable",
        &[("[expect]", "[expect]\nblocked_when = [{ Q = 1 }]")],
    ),
    // `event` and the markets stand in the last step, in a table of the same keys.
    (
        "StepTable",
        &[
            ("id = \"event\"", "id = \"event\"\nQ = 1"),
            ("id = \"event\"", "id = \"event\"\nQ = 1\nformat = \"html\""),
        ],
    ),
    (
        "CsvTable",
        &[(
            "id = \"list\"",
            "id = \"list\"\nformat = \"csv\"\ncsv = { Q = 1 }",
        )],
    ),
    (
        "EmbeddedTable",
        &[
            (
                "id = \"list\"",
                "id = \"list\"\nembedded = { Q = 1, css = \"a\" }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\nembedded = { Q = 1, path = \"$.a\" }",
            ),
        ],
    ),
    (
        "RequestTable",
        &[(
            "request = { url = \"/list\"",
            "request = { Q = 1, url = \"/list\"",
        )],
    ),
    (
        "PaginateTable",
        &[
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { Q = 1, kind = \"page\" }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { Q = 1, kind = \"offset\" }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { Q = 1, kind = \"cursor\" }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { Q = 1, kind = \"next_link\" }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { Q = 1, kind = \"link_header\" }",
            ),
        ],
    ),
    (
        "StepExpectTable",
        &[("id = \"list\"", "id = \"list\"\nexpect = { Q = 1 }")],
    ),
    (
        "PlaceTable",
        &[
            (
                "id = \"list\"",
                "id = \"list\"\npaginate = { kind = \"next_link\", next = { Q = 1 } }",
            ),
            (
                "id = \"list\"",
                "id = \"list\"\nformat = \"html\"\npaginate = { kind = \"next_link\", next = { Q = 1 } }",
            ),
        ],
    ),
    (
        "FieldTable",
        &[
            ("updated_at = {", "updated_at = { Q = 1,"),
            ("missing_on = [404]", "format = \"html\""),
        ],
    ),
    (
        "TransformTable",
        &[("country = {", "country = { transforms = [{ Q = 1 }],")],
    ),
    (
        "ConditionTable",
        &[
            ("open_when = {", "open_when = { Q = 1,"),
            (
                "id = \"list\"",
                "id = \"list\"\nformat = \"html\"\nok_when = { Q = 1 }",
            ),
        ],
    ),
    ("EventTable", &[("[step.event]", "[step.event]\nQ = 1")]),
    ("MarketTable", &[("[[step.market]]", "[[step.market]]\nQ = 1")]),
    (
        "OutcomeTable",
        &[("[step.market.outcome]", "[step.market.outcome]\nQ = 1")],
    ),
    (
        "FlatMarketTable",
        &[("[expect]", "[[step.flat_market]]\nQ = 1\n[expect]")],
    ),
    (
        "CellMarketTable",
        &[("[expect]", "[[step.cell_market]]\nQ = 1\n[expect]")],
    ),
    ("MarketEntryTable", &[("[markets.1]", "[markets.1]\nQ = 1")]),
];

/// The keys that the loader says are known where the strange one stands.
fn known_to_the_loader(from: &str, to: &str) -> BTreeSet<String> {
    let text = definitions::text("");
    assert!(text.contains(from), "{from}");
    let html = to.contains("format = \"html\"") && !to.contains('Q');
    let mut text = text.replacen(from, &to.replace("Q =", &format!("{STRANGE} =")), 1);
    if html {
        text = text.replace("updated_at = {", &format!("updated_at = {{ {STRANGE} = 1,"));
    }
    let found = definitions::parse_at("http://example.org", &text).unwrap_err();
    let mut told = found.iter().map(ToString::to_string);
    let told = told.find(|problem| problem.contains(STRANGE)).unwrap_or_default();
    let known = told
        .split_once("known here: ")
        .map(|(_, known)| known.trim_end_matches(')'));
    let known = known.unwrap_or_else(|| panic!("{from}: {to}: {found:#?}"));
    known.split(", ").map(str::to_owned).collect()
}

fn schema() -> Value {
    serde_json::from_str(&source_schema()).unwrap()
}

fn tables() -> BTreeMap<String, Value> {
    let schema = schema();
    let mut tables: BTreeMap<_, _> = schema["definitions"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, table)| table["properties"].is_object())
        .map(|(name, table)| (name.clone(), table.clone()))
        .collect();
    tables.insert("SourceFile".to_owned(), schema);
    tables
}

#[test]
fn the_schema_has_the_keys_that_the_loader_knows_and_no_other() {
    let mut tables = tables();
    // Its keys are the source's ids of markets.
    tables.remove("MarketsTable");
    for (name, files) in TABLES {
        let table = tables
            .remove(*name)
            .unwrap_or_else(|| panic!("the schema has no {name}"));
        let said: BTreeSet<_> = table["properties"].as_object().unwrap().keys().cloned().collect();
        let known: BTreeSet<_> = files
            .iter()
            .flat_map(|(from, to)| known_to_the_loader(from, to))
            .collect();
        assert_eq!(said, known, "{name}");
        assert_eq!(table["additionalProperties"], false, "{name}");
    }
    assert!(
        tables.is_empty(),
        "nobody asks the loader about {:?}",
        tables.keys()
    );
}

#[test]
fn keys_that_must_be_there_are_required_by_the_schema() {
    for (table, required) in [
        ("SourceFile", &["version", "source", "step", "markets"][..]),
        ("SourceTable", &["key", "title", "base_url", "sport"]),
        ("StepTable", &["id", "request"]),
        ("PaginateTable", &["kind"]),
        ("MarketEntryTable", &["key", "outcomes"]),
    ] {
        assert_eq!(
            tables()[table]["required"],
            serde_json::json!(required),
            "{table}"
        );
    }
}

#[test]
fn the_schema_in_the_docs_is_the_one_that_the_command_prints() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/source.schema.json");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        written == source_schema(),
        "write it anew: cargo run -- source schema > docs/source.schema.json"
    );
}
