//! What is published: events as a scraper makes them, of one size, numbered.

use crate::{
    clock::now_ns,
    nats::Nats,
    wire::{DIGITS, NUMBER},
};
use oddswire_protocol::{
    BatchId, EventKey, RunId, Subjects, Timestamp,
    header::{ATTEMPT, BATCH, FENCE, MSG_ID, STATUS, TRACEPARENT, cloud_event},
};
use std::fmt::Write;

/// Sporting events that odds are published of, in turn: the event of a message is its number modulo this.
pub(crate) const EVENTS: u64 = 1_000;
/// Of run messages, one in so many is of the source that clients follow.
pub(crate) const SOURCES: u64 = 10;
/// Runs of that source, in turn.
pub(crate) const RUNS: u64 = 100;
/// Lines of a market of totals.
const LINES: usize = 12;
/// Bytes of a payload: what a market of three outcomes, or a run at work, takes at least.
const PAYLOAD_BYTES: usize = 800;

/// Writes events, and remembers when it sent each.
#[derive(Debug)]
pub(crate) struct Author {
    odds: Vec<Place>,
    runs: Vec<Place>,
    other_run: Place,
    /// Of how many sporting events odds are published now, [`EVENTS`] at most.
    pub(crate) keys: u64,
    /// Makes ids that no earlier bench used on this bus.
    life: RunId,
    sent_ns: Vec<u64>,
}

#[derive(Debug)]
struct Place {
    key: EventKey,
    subject: String,
    further: String,
    /// The payload behind its number: an object without its brace and its first key.
    data: String,
}

/// An event as it is published, for who measures what is done with one.
#[derive(Debug)]
pub(crate) struct Example {
    /// What it is about.
    pub(crate) key: EventKey,
    /// The block of headers.
    headers: Vec<(String, String)>,
    /// The data.
    pub(crate) payload: String,
}

impl Example {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The topic of all odds.
pub(crate) const ALL_ODDS: &str = "odds_updates.soccer";
/// The topic of the source whose runs clients follow.
pub(crate) const ONE_SOURCE: &str = "scrape_progress.bench-a";

/// The topic of one run of that source.
pub(crate) fn run_topic(number: u64) -> String {
    format!("{ONE_SOURCE}.run-{number}")
}

/// The topic of the odds of one sporting event.
pub(crate) fn event_topic(number: u64) -> String {
    format!("{ALL_ODDS}.{}", event_id(number))
}

fn event_id(number: u64) -> String {
    format!("bench-{number:04}")
}

impl Author {
    /// One that has written nothing yet. Fails when the names above are none of the protocol's.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let subjects = Subjects::default();
        let place = |key: EventKey, further: String, data: String| Place {
            subject: subjects.feed(&key),
            key,
            further,
            data,
        };
        let trace = format!("{TRACEPARENT}: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n");
        let mut odds = Vec::new();
        for number in 0..EVENTS {
            let key = EventKey::Quote {
                sport: "soccer".parse()?,
                event_id: event_id(number).parse()?,
                source: "bench".parse()?,
                market: "h2h-ft".parse()?,
            };
            odds.push(place(
                key,
                format!("{trace}{FENCE}: 1\r\n"),
                odds_data(&event_id(number)),
            ));
        }
        let batch = BatchId::new();
        let run = |source: &str, number: u64| -> anyhow::Result<Place> {
            let key = EventKey::Run {
                source: source.parse()?,
                run_id: format!("run-{number}").parse()?,
            };
            let further = format!("{trace}{STATUS}: running\r\n{ATTEMPT}: 1\r\n{BATCH}: {batch}\r\n");
            let data = run_data(source, number, &batch);
            Ok(place(key, further, data))
        };
        Ok(Self {
            odds,
            runs: (0..RUNS)
                .map(|number| run("bench-a", number))
                .collect::<Result<_, _>>()?,
            other_run: run("bench-b", 0)?,
            keys: EVENTS,
            life: RunId::new(),
            sent_ns: Vec::new(),
        })
    }

    /// An event of each kind, by name; of odds one with a market of one line and one of as many as are common.
    pub(crate) fn examples(&self) -> Vec<(&'static str, Example)> {
        let example = |place: &Place| {
            let (headers, payload) = self.write(place);
            let pairs = headers.lines().filter_map(|line| line.split_once(": "));
            let headers = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Example {
                key: place.key.clone(),
                headers: headers.collect(),
                payload,
            }
        };
        let mut long = example(&self.odds[1]);
        if let Some((before, line)) = long.payload.split_once("\"quotes\":[")
            && let Some((line, after)) = line.split_once("}]}")
        {
            let line = format!("{line}}}");
            let lines = vec![line; LINES].join(",");
            long.payload = format!("{before}\"quotes\":[{lines}]}}{after}");
        }
        vec![
            ("odds_update", example(&self.odds[0])),
            ("odds_update of 12 lines", long),
            ("scrape_progress", example(&self.runs[0])),
        ]
    }

    /// The number of the next event.
    pub(crate) fn next(&self) -> u64 {
        self.sent_ns.len() as u64
    }

    /// Publishes the next image of odds, as sent at `at_ns`.
    pub(crate) fn odds(&mut self, nats: &mut Nats, at_ns: u64) {
        let place = usize::try_from(self.next() % self.keys).unwrap_or(0);
        let (headers, payload) = self.write(&self.odds[place]);
        nats.publish(&self.odds[place].subject, &headers, &payload);
        self.sent_ns.push(at_ns);
    }

    /// Publishes the next event of some run.
    pub(crate) fn run(&mut self, nats: &mut Nats) {
        let turn = usize::try_from(self.next() / SOURCES % RUNS).unwrap_or(0);
        let place = if self.next().is_multiple_of(SOURCES) {
            &self.runs[turn]
        } else {
            &self.other_run
        };
        let (headers, payload) = self.write(place);
        nats.publish(&place.subject, &headers, &payload);
        self.sent_ns.push(now_ns());
    }

    /// When an event was sent.
    pub(crate) fn sent_ns(&self, number: u64) -> Option<u64> {
        self.sent_ns.get(usize::try_from(number).ok()?).copied()
    }

    fn write(&self, place: &Place) -> (String, String) {
        let number = self.next();
        let id = format!("{}:{number}", self.life);
        let mut headers = format!("NATS/1.0\r\n{MSG_ID}: {id}\r\n");
        for (name, value) in cloud_event(&place.key, &id, "scraper/bench", Timestamp::now()) {
            // Writing to a string never fails.
            let _ = write!(headers, "{name}: {value}\r\n");
        }
        headers.push_str(&place.further);
        headers.push_str("\r\n");
        (headers, payload(number, &place.data))
    }
}

/// A payload with its number at the front, as a key that the contract does not know.
fn payload(number: u64, data: &str) -> String {
    let mut text = format!("{NUMBER}{number:0DIGITS$}\",{data},\"rest\":\"");
    let rest = PAYLOAD_BYTES.saturating_sub(text.len() + 2);
    text.extend(std::iter::repeat_n('x', rest));
    text.push_str("\"}");
    text
}

/// What an image of odds says.
fn odds_data(event_id: &str) -> String {
    let outcome = |name: &str, label: &str, price: &str| {
        format!(
            "{{\"name\":\"{name}\",\"label\":\"{label}\",\"price\":{price},\"previous_price\":null,\"status\":\"open\"}}"
        )
    };
    let outcomes = [
        outcome("away", "2", "3.4"),
        outcome("draw", "X", "3.1"),
        outcome("home", "1", "2.1"),
    ];
    format!(
        "\"event_ids\":[\"{event_id}\"],\"source\":\"bench\",\"snapshot_count\":1,\"run_id\":\"run-0\",\"event\":{{\"event_id\":\"{event_id}\",\
         \"sport_key\":\"soccer\",\"league\":\"League\",\"country\":null,\"commence_time\":\"{TIME}\",\"home_team\":\"Home\",\"away_team\":\"Away\"}},\
         \"market\":{{\"key\":\"h2h\",\"period\":\"ft\",\"quotes\":[{{\"line\":null,\"status\":\"open\",\"outcomes\":[{}],\
         \"changed_at\":\"{TIME}\",\"confirmed_at\":\"{TIME}\",\"source_updated_at\":null}}]}}",
        outcomes.join(",")
    )
}

/// What an event of a run says.
fn run_data(source: &str, number: u64, batch: &BatchId) -> String {
    let phase = "{\"phase\":\"scraping\",\"current\":20,\"total\":23,\"unit\":\"pages\",\"elapsed_ms\":1007}";
    format!(
        "\"run_id\":\"run-{number}\",\"batch_id\":\"{batch}\",\"source\":\"{source}\",\"seq\":9,\"attempt\":1,\"worker_id\":\"w-1\",\
         \"status\":\"running\",\"phase\":\"scraping\",\"current\":20,\"total\":23,\"unit\":\"pages\",\"events_count\":19,\"changed_count\":0,\
         \"message\":\"Reading pages.\",\"started_at\":\"{TIME}\",\"finished_at\":null,\"elapsed_ms\":1164,\"rate_per_s\":19.861,\"eta_ms\":151,\
         \"outcome\":null,\"phases\":[{phase}],\"errors\":[],\"error\":null"
    )
}

/// Any time.
const TIME: &str = "2026-11-22T22:49:48.370Z";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, message};
    use oddswire_protocol::{
        envelope::Envelope,
        event::{check_event, message_type},
    };

    #[test]
    fn the_number_of_an_event_is_found_in_its_envelope() {
        let author = Author::new().unwrap();
        for place in [&author.odds[7], &author.runs[0]] {
            let text = payload(4711, &place.data);
            assert_eq!(text.len(), PAYLOAD_BYTES);
            let envelope = Envelope::from_bus(
                message_type(&place.key),
                "2026-11-22T22:49:48.370Z",
                text.as_bytes(),
            );
            assert_eq!(message(envelope.bytes()), Message::Event(4711));
        }
    }

    #[test]
    fn what_is_published_is_an_event_of_the_contract() {
        let author = Author::new().unwrap();
        for place in [&author.odds[7], &author.runs[3], &author.other_run] {
            let (headers, payload) = author.write(place);
            let value = |name: &str| {
                let found = crate::nats::header(headers.as_bytes(), name)?;
                std::str::from_utf8(found).ok()
            };
            check_event(&place.key, value, payload.as_bytes()).unwrap();
        }
    }
}
