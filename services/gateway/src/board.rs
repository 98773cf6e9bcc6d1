//! The board as the bus holds it: the last image of each odds key, read when asked for.

use crate::frame::Frame;
use bytes::Bytes;
use oddswire_kit::{
    bus::Bus,
    log::{ReadError, Stored},
};
use oddswire_protocol::{
    Cursor, EventId, EventKey, Feed, MarketToken, SourceKey, SportKey, Timestamp,
    cursor::{Position, Proof},
};
use std::collections::BTreeMap;

/// What of the board is asked for; `None` is everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one sport.
    pub sport: Option<SportKey>,
    /// Of one event.
    pub event_id: Option<EventId>,
    /// At one source.
    pub source: Option<SourceKey>,
    /// Of one market, `<key>-<period>`.
    pub market: Option<MarketToken>,
}

impl Filter {
    /// The subjects that it admits, after the feed's prefix.
    pub(crate) fn quotes(&self) -> String {
        fn token(value: Option<&impl ToString>) -> String {
            value.map_or_else(|| "*".into(), ToString::to_string)
        }
        format!(
            "odds.quote.{}.{}.{}.{}",
            token(self.sport.as_ref()),
            token(self.event_id.as_ref()),
            token(self.source.as_ref()),
            token(self.market.as_ref())
        )
    }

    fn confirmed(&self) -> String {
        format!(
            "odds.confirmed.{}",
            self.source.as_ref().map_or("*", SourceKey::as_str)
        )
    }
}

/// A part of the board.
#[derive(Debug)]
pub struct BoardPage {
    /// A position at or before everything in the board: a stream from here continues it.
    pub cursor: Cursor,
    /// `data` of `odds_update`, as published.
    pub markets: Vec<Bytes>,
    /// `data` of the last `odds_confirmed` of each source, as published.
    pub confirmed: BTreeMap<SourceKey, Bytes>,
    /// Where the next page begins; `None` on the last.
    pub next_page: Option<u64>,
}

/// Reads a part of the board: what is after the sequence `after`, `limit` markets at most. A market that changes
/// between two pages comes again on a later one; none is left out.
///
/// # Errors
/// [`ReadError`].
pub async fn page(bus: &Bus, filter: &Filter, after: u64, limit: usize) -> Result<BoardPage, ReadError> {
    let stream = bus.names().odds.as_str();
    let state = bus.stream_state(stream).await?;
    let mark = bus.marks(Feed::Odds, state.last_seq).await?;
    let position = Position {
        proof: mark.last().map(|(_, mark)| Proof {
            end: state.last_seq,
            mark: *mark,
        }),
        ..Position::new(state.epoch, state.last_seq)
    };
    let cursor = Cursor::at(Timestamp::now()).with(Feed::Odds, Some(position));
    // To the tail, wherever that is when the read gets there.
    let mut read = bus.read(
        stream,
        bus.subjects().feed_filter(&filter.quotes()),
        after.saturating_add(1),
        u64::MAX,
    );
    let mut latest: BTreeMap<String, Stored> = BTreeMap::new();
    let mut next_page = None;
    'read: while let Some(messages) = read.next_page().await? {
        // What is not what the contract says is counted where it comes by live, and shown nowhere.
        for message in messages
            .into_iter()
            .filter(|m| Frame::new(bus.subjects(), m).is_ok())
        {
            if latest.len() == limit && !latest.contains_key(&message.subject) {
                next_page = Some(message.seq - 1);
                break 'read;
            }
            latest.insert(message.subject.clone(), message);
        }
    }
    let mut confirmed = BTreeMap::new();
    let mut read = bus.read(
        stream,
        bus.subjects().feed_filter(&filter.confirmed()),
        1,
        u64::MAX,
    );
    while let Some(messages) = read.next_page().await? {
        for message in messages
            .into_iter()
            .filter(|m| Frame::new(bus.subjects(), m).is_ok())
        {
            if let Some(EventKey::Confirmed { source }) = bus.subjects().parse(&message.subject) {
                confirmed.insert(source, message.payload);
            }
        }
    }
    let mut markets: Vec<Stored> = latest.into_values().collect();
    markets.sort_by_key(|m| m.seq);
    let markets = markets.into_iter().map(|m| m.payload).collect();
    Ok(BoardPage {
        cursor,
        markets,
        confirmed,
        next_page,
    })
}

impl BoardPage {
    /// The answer's body, the publishers' bytes spliced.
    pub fn into_json(self) -> Vec<u8> {
        let mut out = format!("{{\"cursor\":\"{}\",\"markets\":[", self.cursor).into_bytes();
        join(&mut out, self.markets.iter(), |out, data| {
            out.extend_from_slice(data);
        });
        out.extend_from_slice(b"],\"confirmed\":{");
        join(&mut out, self.confirmed.iter(), |out, (source, data)| {
            out.extend_from_slice(format!("\"{source}\":").as_bytes());
            out.extend_from_slice(data);
        });
        let next = self
            .next_page
            .map_or_else(|| "null".into(), |page| format!("\"{page}\""));
        out.extend_from_slice(format!("}},\"next_page\":{next}}}").as_bytes());
        out
    }
}

/// Writes items with commas between them.
pub(crate) fn join<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_one_json_object_of_the_publishers_bytes() {
        let page = BoardPage {
            cursor: Cursor::at("2026-02-06T01:30:00.123Z".parse().unwrap()),
            markets: vec![Bytes::from_static(b"{\"a\": 1}"), Bytes::from_static(b"{}")],
            confirmed: BTreeMap::from([("alpha".parse().unwrap(), Bytes::from_static(b"{\"b\":2}"))]),
            next_page: Some(7),
        };
        let text = String::from_utf8(page.into_json()).unwrap();
        assert!(
            text.contains(r#""markets":[{"a": 1},{}],"confirmed":{"alpha":{"b":2}},"next_page":"7"}"#),
            "{text}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }

    #[test]
    fn a_filter_is_one_subject() {
        let filter = Filter {
            source: Some("alpha".parse().unwrap()),
            ..Filter::default()
        };
        assert_eq!(filter.quotes(), "odds.quote.*.*.alpha.*");
        assert_eq!(filter.confirmed(), "odds.confirmed.alpha");
    }
}
