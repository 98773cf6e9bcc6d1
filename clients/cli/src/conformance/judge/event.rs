//! The `data` of events, as docs/protocol.md describes it.

use super::{
    message::Message,
    shape::{Kind, entries, shape},
};
use crate::conformance::check::ensure;
use serde_json::Value;

const STATUSES: &[&str] = &[
    "queued",
    "running",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
];
const TERMINAL: &[&str] = &["completed", "failed", "cancelled"];
const PHASES: &[&str] = &[
    "initializing",
    "discovering",
    "scraping",
    "mapping",
    "storing",
    "completed",
    "failed",
    "cancelled",
];
const UNITS: &[&str] = &["leagues", "pages", "events", "markets"];
const OUTCOMES: &[&str] = &["complete", "partial", "empty", "unreachable", "blocked", "broken"];
const QUOTED: &[&str] = &["open", "suspended", "withdrawn"];

pub(crate) fn is_terminal(run: &Value) -> bool {
    run["status"]
        .as_str()
        .is_some_and(|status| TERMINAL.contains(&status))
}

/// Judges an event's data by its type.
pub(crate) fn judge(message: &Message) -> Result<(), String> {
    match message.kind() {
        "scrape_progress" => run(message.data()),
        "odds_update" => odds(message.data()),
        "odds_confirmed" => confirmed(message.data()),
        _ => Ok(()),
    }
}

/// Judges the image of a run.
pub(crate) fn run(value: &Value) -> Result<(), String> {
    shape(
        value,
        "a run",
        &[
            ("run_id", Kind::Token),
            ("batch_id", Kind::Token),
            ("source", Kind::Token),
            ("seq", Kind::Count),
            ("attempt", Kind::Count),
            ("worker_id", Kind::OrNull(&Kind::Token)),
            ("status", Kind::OneOf(STATUSES)),
            ("phase", Kind::OneOf(PHASES)),
            ("current", Kind::Count),
            ("total", Kind::OrNull(&Kind::Count)),
            ("unit", Kind::OneOf(UNITS)),
            ("events_count", Kind::Count),
            ("changed_count", Kind::Count),
            ("message", Kind::Text),
            ("started_at", Kind::OrNull(&Kind::Time)),
            ("finished_at", Kind::OrNull(&Kind::Time)),
            ("elapsed_ms", Kind::Count),
            ("rate_per_s", Kind::OrNull(&Kind::Number)),
            ("eta_ms", Kind::OrNull(&Kind::Count)),
            ("outcome", Kind::OrNull(&Kind::OneOf(OUTCOMES))),
            ("phases", Kind::List),
            ("errors", Kind::List),
            ("error", Kind::OrNull(&Kind::Object)),
        ],
    )?;
    phases_and_errors(value)?;
    let (status, outcome) = (
        value["status"].as_str().unwrap_or_default(),
        value["outcome"].as_str(),
    );
    let allowed: &[&str] = match status {
        "completed" => &["complete", "partial", "empty"],
        "failed" => &["unreachable", "blocked", "broken"],
        _ => {
            return ensure(outcome.is_none(), || {
                format!("outcome {outcome:?} of a run that is {status}")
            });
        }
    };
    ensure(outcome.is_some_and(|outcome| allowed.contains(&outcome)), || {
        format!("outcome {outcome:?} of a run that is {status}")
    })
}

fn phases_and_errors(value: &Value) -> Result<(), String> {
    for phase in entries(value, "phases")? {
        let fields = [
            ("phase", Kind::OneOf(PHASES)),
            ("current", Kind::Count),
            ("total", Kind::OrNull(&Kind::Count)),
            ("unit", Kind::OneOf(UNITS)),
            ("elapsed_ms", Kind::Count),
        ];
        shape(phase, "an entry of \"phases\"", &fields)?;
    }
    for error in entries(value, "errors")?
        .iter()
        .chain(value["error"].is_object().then_some(&value["error"]))
    {
        let fields = [
            ("error_type", Kind::Token),
            ("message", Kind::Text),
            ("recoverable", Kind::Flag),
            ("http_status", Kind::Maybe(&Kind::Count)),
            ("retry_in_ms", Kind::Maybe(&Kind::Count)),
            ("count", Kind::Count),
            ("first_at", Kind::Time),
            ("last_at", Kind::Time),
        ];
        shape(error, "an error of a run", &fields)?;
    }
    Ok(())
}

/// Judges the image of a market.
pub(crate) fn odds(value: &Value) -> Result<(), String> {
    shape(
        value,
        "an odds image",
        &[
            ("event_ids", Kind::Tokens),
            ("source", Kind::Token),
            ("snapshot_count", Kind::Count),
            ("run_id", Kind::Token),
            ("event", Kind::Object),
            ("market", Kind::Object),
        ],
    )?;
    let fields = [
        ("event_id", Kind::Token),
        ("sport_key", Kind::Token),
        ("league", Kind::Text),
        ("country", Kind::OrNull(&Kind::Text)),
        ("commence_time", Kind::Time),
        ("home_team", Kind::Text),
        ("away_team", Kind::Text),
    ];
    shape(&value["event"], "an event", &fields)?;
    ensure(
        value["event_ids"] == Value::from(vec![value["event"]["event_id"].clone()]),
        || format!("event_ids is {}, not the one id of its event", value["event_ids"]),
    )?;
    let market = &value["market"];
    let fields = [
        ("key", Kind::Token),
        ("period", Kind::Token),
        ("quotes", Kind::List),
    ];
    shape(market, "a market", &fields)?;
    let quotes = entries(market, "quotes")?;
    ensure(value["snapshot_count"] == quotes.len(), || {
        format!(
            "snapshot_count is {} of {} quotes",
            value["snapshot_count"],
            quotes.len()
        )
    })?;
    quotes.iter().try_for_each(quote)?;
    let lines: Vec<f64> = quotes
        .iter()
        .map(|quote| quote["line"].as_f64().unwrap_or(f64::MIN))
        .collect();
    ensure(lines.is_sorted_by(|a, b| a < b), || {
        "quotes are not ordered by line".into()
    })
}

fn quote(value: &Value) -> Result<(), String> {
    let fields = [
        ("line", Kind::OrNull(&Kind::Line)),
        ("status", Kind::OneOf(QUOTED)),
        ("outcomes", Kind::List),
        ("changed_at", Kind::Time),
        ("confirmed_at", Kind::Time),
        ("source_updated_at", Kind::OrNull(&Kind::Time)),
    ];
    shape(value, "a quote", &fields)?;
    for outcome in entries(value, "outcomes")? {
        let fields = [
            ("name", Kind::Token),
            ("label", Kind::Text),
            ("price", Kind::OrNull(&Kind::Price)),
            ("previous_price", Kind::OrNull(&Kind::Price)),
            ("status", Kind::OneOf(QUOTED)),
        ];
        shape(outcome, "an outcome", &fields)?;
    }
    Ok(())
}

/// Judges a confirmation.
pub(crate) fn confirmed(value: &Value) -> Result<(), String> {
    let fields = [
        ("source", Kind::Token),
        ("run_id", Kind::Token),
        ("confirmed_at", Kind::Time),
        ("unconfirmed_event_ids", Kind::Tokens),
        ("all_unconfirmed", Kind::Maybe(&Kind::Flag)),
    ];
    shape(value, "a confirmation", &fields)?;
    let listed = entries(value, "unconfirmed_event_ids")?.len();
    ensure(listed <= 500, || {
        format!("{listed} events are listed, more than 500")
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn image() -> Value {
        json!({
            "event_ids": ["e1"], "source": "alpha", "snapshot_count": 1, "run_id": "r1",
            "event": {"event_id": "e1", "sport_key": "soccer", "league": "L", "country": null,
                "commence_time": "2026-11-23T06:00:00.000Z", "home_team": "A", "away_team": "B"},
            "market": {"key": "h2h", "period": "ft", "quotes": [{"line": null, "status": "open",
                "outcomes": [{"name": "home", "label": "1", "price": 1.67, "previous_price": null, "status": "open"}],
                "changed_at": "2026-11-22T22:49:40.297Z", "confirmed_at": "2026-11-22T22:49:40.297Z",
                "source_updated_at": null}]},
        })
    }

    fn changed(value: &Value, pointer: &str, to: Value) -> Value {
        let mut value = value.clone();
        *value.pointer_mut(pointer).unwrap() = to;
        value
    }

    #[test]
    fn an_odds_image_is_what_the_contract_describes() {
        let good = image();
        assert_eq!(odds(&good), Ok(()));
        for (pointer, to) in [
            ("/event_ids", json!(["e2"])),
            ("/event_ids", json!("e1")),
            ("/snapshot_count", json!(2)),
            ("/event/commence_time", json!("soon")),
            ("/event/country", json!(1)),
            ("/market/quotes/0/status", json!("closed")),
            ("/market/quotes/0/outcomes/0/price", json!(1.6701)),
            ("/market/quotes/0/outcomes/0", json!({"name": "home"})),
            ("/market/quotes/0/line", json!("2.5")),
        ] {
            assert!(
                odds(&changed(&good, pointer, to.clone())).is_err(),
                "{pointer} {to}"
            );
        }
    }

    #[test]
    fn a_run_has_an_outcome_exactly_when_it_ended_with_one() {
        let good = json!({
            "run_id": "r1", "batch_id": "b1", "source": "alpha", "seq": 9, "attempt": 1, "worker_id": "w",
            "status": "running", "phase": "scraping", "current": 20, "total": 23, "unit": "pages",
            "events_count": 19, "changed_count": 0, "message": "Reading pages.",
            "started_at": "2026-11-22T22:49:49.454Z", "finished_at": null, "elapsed_ms": 1164, "rate_per_s": 19.861,
            "eta_ms": 151, "outcome": null,
            "phases": [{"phase": "scraping", "current": 20, "total": 23, "unit": "pages", "elapsed_ms": 1007}],
            "errors": [], "error": null,
        });
        assert_eq!(run(&good), Ok(()));
        let over = changed(
            &changed(&good, "/status", json!("completed")),
            "/outcome",
            json!("partial"),
        );
        assert_eq!(run(&over), Ok(()));
        for (pointer, to) in [
            ("/outcome", json!("complete")),
            ("/status", json!("completed")),
            ("/status", json!("asleep")),
            ("/seq", json!("9")),
            ("/phases", json!([{}])),
            ("/errors", json!([{"error_type": "timeout"}])),
            ("/total", json!(-1)),
        ] {
            assert!(
                run(&changed(&good, pointer, to.clone())).is_err(),
                "{pointer} {to}"
            );
        }
    }

    #[test]
    fn a_confirmation_lists_500_events_at_most() {
        let good = json!({"source": "alpha", "run_id": "r", "confirmed_at": "2026-11-22T22:48:58.262Z",
            "unconfirmed_event_ids": ["e1"]});
        assert_eq!(confirmed(&good), Ok(()));
        assert!(confirmed(&changed(&good, "/unconfirmed_event_ids", json!(vec!["e"; 501]))).is_err());
        assert!(confirmed(&changed(&good, "/confirmed_at", json!(1))).is_err());
    }
}
