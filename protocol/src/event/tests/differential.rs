//! The check has the same verdict as reading the payload as its type and comparing the values.

use super::*;
use proptest::prelude::*;
use serde::de::DeserializeOwned;

/// What is refused of a payload by reading it as its type, and comparing the values.
fn judged_by_types(event: &Published, payload: &str) -> bool {
    fn read<T: DeserializeOwned>(payload: &str) -> Option<T> {
        serde_json::from_str(payload).ok()
    }
    let Some(value) = read::<Value>(payload) else {
        return false;
    };
    if depth(&value) > DEPTH_MAX
        || !value.is_object()
        || payload.contains(['\n', '\r'])
        || payload.ends_with(' ')
    {
        return false;
    }
    match &event.key {
        EventKey::Quote {
            sport,
            event_id,
            source,
            market,
        } => read::<OddsUpdate>(payload).is_some_and(|data| {
            data.source == *source
                && data.event_ids == [event_id.clone()]
                && data.event.event_id == *event_id
                && data.event.sport_key == *sport
                && data.market_token().as_ref() == Some(market)
        }),
        EventKey::Confirmed { source } => {
            read::<OddsConfirmed>(payload).is_some_and(|data| data.source == *source)
        }
        EventKey::Run { source, run_id } => read::<ScrapeProgress>(payload).is_some_and(|data| {
            data.source == *source
                && data.run_id == *run_id
                && data.status == Status::Running
                && (data.seq >= 1, data.attempt) == (true, 2)
                && data.batch_id.as_str() == "b1"
        }),
    }
}

fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(items) => 1 + items.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Something else in the place of a value.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "1",
            "2",
            "-1",
            "1.5",
            "-0",
            "-0.0",
            "1.0",
            "1e3",
            "1E-3",
            "1.85",
            "1.8505",
            "1.001",
            "1.0009",
            "1000000",
            "1000000.001",
            "-1000000",
            "1e400",
            "1e999",
            "18446744073709551615",
            "18446744073709551616",
            "65535",
            "65536",
            "4294967296",
            "\"\"",
            "\"open\"",
            "\"running\"",
            "\"queued\"",
            "\"bogus\"",
            "\"alpha\"",
            "\"e1\"",
            "\"e2\"",
            "\"r1\"",
            "\"totals\"",
            "\"a.b\"",
            "\"2026-02-06T01:30:00.123Z\"",
            "\"2026-02-29T01:30:00.123Z\"",
            "\"2024-02-29T01:30:00.123Z\"",
            "\"2026-02-06T01:30:60.000Z\"",
            "\"\\u0041\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "[]",
            "{}",
            "[1]",
            "[\"e1\"]",
            "[[[]]]",
            "{\"a\":1}",
            "\"\u{2028}\"",
        ])
        .prop_map(str::to_owned),
        any::<f64>()
            .prop_filter("JSON has no other", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (1u32..=2_000_000_000).prop_map(|thousandths| format!(
            "{}.{:03}",
            thousandths / 1000,
            thousandths % 1000
        )),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    Replace(usize, String),
    Remove(usize),
    Add(usize, String, String),
    /// Bytes of the text.
    Cut(usize),
    Put(usize, char),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), value()).prop_map(|(at, value)| Change::Replace(at, value)),
        2 => any::<usize>().prop_map(Change::Remove),
        2 => (any::<usize>(), "[a-z_]{1,6}|source|price|phase", value()).prop_map(|(at, key, value)| Change::Add(at, key, value)),
        1 => any::<usize>().prop_map(Change::Cut),
        1 => (any::<usize>(), prop::sample::select(vec!['"', '{', '}', '[', ']', ',', ':', '0', '9', '.', '-', 'e', '\\', 'x', '\n', '\t', ' ', 'é'])).prop_map(|(at, sign)| Change::Put(at, sign)),
    ]
}

/// The text with one value, key or byte changed. Values are found by where they stand in the text.
fn changed(text: &str, change: &Change) -> String {
    let at = |spans: &[(usize, usize)], at: usize| spans[at % spans.len()];
    let spans = spans(text);
    if spans.is_empty() || text.is_empty() {
        return text.to_owned();
    }
    let boundary = |place: usize| {
        (0..=place % text.len())
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0)
    };
    match change {
        Change::Replace(place, value) => {
            let (from, to) = at(&spans, *place);
            format!("{}{value}{}", &text[..from], &text[to..])
        }
        Change::Remove(place) => {
            let Ok(mut data) = serde_json::from_str::<Value>(text) else {
                return text.to_owned();
            };
            remove(&mut data, &mut (place % 60));
            data.to_string()
        }
        Change::Add(place, key, value) => {
            let objects: Vec<usize> = text.match_indices('{').map(|(at, _)| at + 1).collect();
            let Some(from) = objects.get(place % objects.len().max(1)) else {
                return text.to_owned();
            };
            let comma = if text[*from..].starts_with('}') { "" } else { "," };
            format!("{}\"{key}\":{value}{comma}{}", &text[..*from], &text[*from..])
        }
        Change::Cut(place) => {
            let from = boundary(*place);
            let width = text[from..].chars().next().map_or(0, char::len_utf8);
            format!("{}{}", &text[..from], &text[from + width..])
        }
        Change::Put(place, sign) => {
            let from = boundary(*place);
            format!("{}{sign}{}", &text[..from], &text[from..])
        }
    }
}

/// Where the values that stand behind a colon begin and end, lists and objects whole.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let begins = text.match_indices("\":").map(|(at, _)| at + 2);
    begins
        .filter_map(|from| {
            let mut values =
                serde_json::Deserializer::from_str(&text[from..]).into_iter::<&serde_json::value::RawValue>();
            let value = values.next()?.ok()?;
            Some((from, from + value.get().len()))
        })
        .collect()
}

/// Removes the `left`th key or item.
fn remove(data: &mut Value, left: &mut usize) -> bool {
    let keys: Vec<String> = data
        .as_object()
        .map(|object| object.keys().cloned().collect())
        .unwrap_or_default();
    for key in keys {
        if *left == 0 {
            return data
                .as_object_mut()
                .is_some_and(|object| object.remove(&key).is_some());
        }
        *left -= 1;
        if remove(&mut data[&key], left) {
            return true;
        }
    }
    data.as_array_mut()
        .is_some_and(|items| items.iter_mut().any(|item| remove(item, left)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_check_accepts_what_the_types_read_and_nothing_else(
        which in 0usize..3,
        changes in prop::collection::vec(change(), 0..4),
    ) {
        let event = [quote(), run(), confirmed()][which].clone();
        let text = changes.iter().fold(event.data.to_string(), |text, change| changed(&text, change));
        let checked = event.check_text(text.as_bytes());
        prop_assert_eq!(checked.is_ok(), judged_by_types(&event, &text), "{:?}: {}", checked, text);
    }

    #[test]
    fn hostile_payloads_never_panic_and_never_pass(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(quote().check_text(&payload).is_err());
    }
}
