//! What the contract says of the runs that were seen.

use super::record::{Cancelled, Record};
use crate::conformance::{
    check::{Judged, ensure, skip},
    judge::{
        answer::judge_problem,
        event::{self, is_terminal},
        message::Message,
        shape::{Kind, entries, shape},
    },
};
use serde_json::Value;
use std::collections::HashMap;

pub(super) fn start(record: &Record) -> Judged {
    let fields = [
        ("batch_id", Kind::Token),
        ("runs", Kind::List),
        ("busy", Kind::List),
        ("workers", Kind::Count),
    ];
    shape(&record.started, "the answer", &fields)?;
    let runs = entries(&record.started, "runs")?;
    ensure(runs.len() == 1, || {
        format!("{} runs of one source were started", runs.len())
    })?;
    let run = &runs[0];
    let fields = [
        ("run_id", Kind::Token),
        ("source", Kind::Token),
        ("location", Kind::Text),
    ];
    shape(run, "a run that was started", &fields)?;
    ensure(run["source"] == record.source.as_str(), || {
        format!("the run is of {} in place of {}", run["source"], record.source)
    })?;
    let location = format!("/api/scrapes/{}", record.run_id);
    Ok(ensure(run["location"] == location.as_str(), || {
        format!("location is {} in place of {location}", run["location"])
    })?)
}

pub(super) fn busy(record: &Record) -> Judged {
    let Some(again) = &record.again else {
        return skip("the run was over before it could be started again");
    };
    ensure(again.status != 202, || {
        "a second run was started while the first went on".into()
    })?;
    let problem = judge_problem(again, 409, "busy")?;
    let busy = entries(&problem, "busy")?;
    let is_it =
        |busy: &Value| busy["source"] == record.source.as_str() && busy["run_id"] == record.run_id.as_str();
    Ok(ensure(busy.len() == 1 && is_it(&busy[0]), || {
        format!("busy is {} and not the run {}", problem["busy"], record.run_id)
    })?)
}

/// The events of the run among these.
fn of_run<'a>(messages: &'a [Message], run_id: &str) -> Vec<&'a Message> {
    let is_it =
        |message: &&Message| message.kind() == "scrape_progress" && message.data()["run_id"] == run_id;
    messages.iter().filter(is_it).collect()
}

fn texts(messages: &[&Message]) -> Result<Vec<String>, String> {
    messages.iter().map(|message| message.everywhere()).collect()
}

pub(super) fn every_event(record: &Record) -> Judged {
    for live in &record.live {
        let run = of_run(live, &record.run_id);
        for message in &run {
            event::judge(message)?;
        }
        judge_seq(&run, 1)?;
    }
    Ok(())
}

fn judge_seq(run: &[&Message], first: u64) -> Result<(), String> {
    let seqs: Vec<u64> = run
        .iter()
        .filter_map(|message| message.data()["seq"].as_u64())
        .collect();
    let wanted: Vec<u64> = (first..).take(run.len()).collect();
    ensure(!run.is_empty() && seqs == wanted, || {
        format!("seq goes {seqs:?} in place of {first} and one more each")
    })
}

pub(super) fn both_transports(record: &Record) -> Judged {
    let [socket, events] = &record.live;
    Ok(judge_same(
        &texts(&of_run(socket, &record.run_id))?,
        &texts(&of_run(events, &record.run_id))?,
    )?)
}

pub(super) fn replayed(record: &Record) -> Judged {
    Ok(judge_same(
        &texts(&of_run(&record.live[0], &record.run_id))?,
        &texts(&of_run(&record.replayed, &record.run_id))?,
    )?)
}

fn judge_same(first: &[String], second: &[String]) -> Result<(), String> {
    let differs = first.iter().zip(second).find(|(first, second)| first != second);
    ensure(differs.is_none(), || {
        format!("one event is not the same: {differs:?}")
    })?;
    ensure(first.len() == second.len(), || {
        format!("{} events in place of {}", second.len(), first.len())
    })
}

pub(super) fn own_stream(record: &Record) -> Judged {
    let own = &record.own;
    let kinds: Vec<&str> = own.iter().map(Message::kind).collect();
    ensure(kinds.first() == Some(&"connection_ack"), || {
        format!("the stream begins {kinds:?}")
    })?;
    let stranger = own.iter().find(|message| {
        message.is_event()
            && (message.kind() != "scrape_progress" || message.data()["run_id"] != record.run_id.as_str())
    });
    ensure(stranger.is_none(), || {
        format!("an event of something else: {stranger:?}")
    })?;
    let run = of_run(own, &record.run_id);
    let all = texts(&of_run(&record.live[0], &record.run_id))?;
    let mine = texts(&run)?;
    // It begins with the last image of its time, and misses nothing from there on.
    ensure(!mine.is_empty() && all.ends_with(&mine), || {
        format!(
            "{} events that are not the last of the {} of the run",
            mine.len(),
            all.len()
        )
    })?;
    Ok(ensure(
        own.last()
            .is_some_and(|last| is_terminal(last.data()) || last.kind() == "caught_up"),
        || format!("the stream goes on behind the terminal event: {kinds:?}"),
    )?)
}

pub(super) fn progress(record: &Record) -> Judged {
    let run = of_run(&record.live[0], &record.run_id);
    let images: Vec<&Value> = run.iter().map(|message| message.data()).collect();
    judge_progress(&images)?;
    let times: Vec<i64> = run.iter().filter_map(|message| unix_ms(message)).collect();
    Ok(judge_pace(&times)?)
}

fn unix_ms(message: &Message) -> Option<i64> {
    let timestamp: oddswire_protocol::Timestamp = message.parts().ok()?.timestamp.parse().ok()?;
    Some(timestamp.unix_ms())
}

const PHASES: [&str; 5] = ["initializing", "discovering", "scraping", "mapping", "storing"];

fn judge_progress(images: &[&Value]) -> Result<(), String> {
    let rank = |image: &Value| {
        PHASES
            .iter()
            .position(|phase| image["phase"] == *phase)
            .unwrap_or(PHASES.len())
    };
    for pair in images.windows(2) {
        let [before, after] = pair else { continue };
        if before["attempt"] != after["attempt"] {
            continue;
        }
        ensure(rank(before) <= rank(after), || {
            format!("phase {} comes after {}", after["phase"], before["phase"])
        })?;
        let [was, is] = [before, after].map(|image| image["current"].as_u64());
        ensure(before["phase"] != after["phase"] || was <= is, || {
            format!("current falls from {was:?} to {is:?} inside {}", after["phase"])
        })?;
        for count in ["events_count", "changed_count"] {
            let [was, is] = [before, after].map(|image| image[count].as_u64());
            ensure(was <= is, || format!("{count} falls from {was:?} to {is:?}"))?;
        }
    }
    Ok(())
}

/// Three times the 5 s in which an event comes: a machine that is busy may miss a beat, and a server that never says
/// anything is still found.
const PACE_MAX_MS: i64 = 15_000;

fn judge_pace(times: &[i64]) -> Result<(), String> {
    let gap = times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0);
    ensure(gap <= PACE_MAX_MS, || {
        format!("{gap} ms between two events of the run")
    })?;
    ensure(times.is_sorted(), || "the times of the run's events fall".into())
}

pub(super) fn one_end(record: &Record) -> Judged {
    for messages in [&record.live[0], &record.live[1], &record.replayed] {
        judge_one_end(&of_run(messages, &record.run_id))?;
    }
    Ok(())
}

fn judge_one_end(run: &[&Message]) -> Result<(), String> {
    let ends = run.iter().filter(|message| is_terminal(message.data())).count();
    ensure(ends == 1, || format!("{ends} terminal events"))?;
    ensure(run.last().is_some_and(|last| is_terminal(last.data())), || {
        "the terminal event is not the last".into()
    })
}

pub(super) fn odds_before_end(record: &Record) -> Judged {
    for live in &record.live {
        judge_odds_before_end(live, &record.run_id)?;
    }
    Ok(())
}

fn judge_odds_before_end(live: &[Message], run_id: &str) -> Result<(), String> {
    let of = |kind: &str| -> Vec<usize> {
        let is_it = |message: &Message| message.kind() == kind && message.data()["run_id"] == run_id;
        (0..live.len()).filter(|at| is_it(&live[*at])).collect()
    };
    let (odds, confirmed) = (of("odds_update"), of("odds_confirmed"));
    let end = of("scrape_progress")
        .last()
        .copied()
        .ok_or("no event of the run")?;
    let late = odds.iter().find(|at| **at > end);
    ensure(late.is_none(), || {
        format!(
            "odds of the run came after its end: {}",
            live[*late.unwrap_or(&0)].text
        )
    })?;
    if let (Some(confirmed), Some(odds)) = (confirmed.first(), odds.last()) {
        ensure(odds < confirmed, || {
            "odds of the run came after its odds_confirmed".into()
        })?;
    }
    let said = live[end].data()["changed_count"].as_u64();
    ensure(said == Some(odds.len() as u64), || {
        format!(
            "changed_count is {said:?}, and {} odds images of the run came",
            odds.len()
        )
    })
}

pub(super) fn image(record: &Record) -> Judged {
    let run = of_run(&record.live[0], &record.run_id);
    let last = run.last().ok_or_else(|| "no event of the run".to_owned())?.data();
    Ok(ensure(*last == record.image, || {
        format!("GET gives {} and the stream ended with {last}", record.image)
    })?)
}

/// What an odds image is about.
fn key(image: &Value) -> String {
    let parts = ["/source", "/event/event_id", "/market/key", "/market/period"];
    let parts = parts.map(|pointer| image.pointer(pointer).and_then(Value::as_str).unwrap_or_default());
    parts.join(" ")
}

pub(super) fn board(record: &Record) -> Judged {
    let of_source = |message: &&Message| {
        message.kind() == "odds_update" && message.data()["source"] == record.source.as_str()
    };
    let streamed: HashMap<String, &Value> = record.live[0]
        .iter()
        .filter(of_source)
        .map(|message| (key(message.data()), message.data()))
        .collect();
    if streamed.is_empty() && record.board.is_empty() {
        return skip("the run changed no odds");
    }
    Ok(judge_board(&record.board, &streamed, &record.run_id)?)
}

fn judge_board(board: &[Value], streamed: &HashMap<String, &Value>, run_id: &str) -> Result<(), String> {
    let mut shown = HashMap::new();
    // A market that changed between two pages comes again; the later one holds.
    for image in board {
        event::odds(image)?;
        shown.insert(key(image), image);
    }
    for (key, streamed) in streamed {
        let Some(shown) = shown.get(key) else {
            return Err(format!("{key} was streamed and is not on the board"));
        };
        // Another run may have changed it by now.
        ensure(shown["run_id"] != run_id || shown == streamed, || {
            format!("{key} is {shown} on the board, and {streamed} was streamed last")
        })?;
    }
    Ok(())
}

pub(super) fn cancel(record: &Record) -> Judged {
    Ok(judge_cancel(&record.cancelled)?)
}

fn judge_cancel(cancelled: &Cancelled) -> Result<(), String> {
    let answer = &cancelled.answer;
    ensure(answer["run_id"] == cancelled.run_id.as_str(), || {
        format!("run_id is {} in place of {}", answer["run_id"], cancelled.run_id)
    })?;
    let run = of_run(&cancelled.own, &cancelled.run_id);
    judge_one_end(&run)?;
    let end = run.last().map_or(&Value::Null, |last| &last.data()["status"]);
    // It may have ended by itself before; then the answer says so.
    ensure(
        answer["status"] == "cancelling" || answer["status"] == *end,
        || format!("status is {}, and the run ended {end}", answer["status"]),
    )?;
    let is_cancelled = *end == "cancelled" || answer["status"] == *end;
    ensure(is_cancelled, || {
        format!("the run ended {end} in place of cancelled")
    })
}

pub(super) fn cancel_ended(record: &Record) -> Judged {
    let cancelled = &record.cancelled;
    let run = of_run(&cancelled.own, &cancelled.run_id);
    let last = run.last().ok_or_else(|| "no event of the run".to_owned())?.data();
    ensure(cancelled.again["status"] == last["status"], || {
        format!(
            "status is {} of a run that ended {}",
            cancelled.again["status"], last["status"]
        )
    })?;
    Ok(ensure(cancelled.image == *last, || {
        format!("the run changed: {} from {last}", cancelled.image)
    })?)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
