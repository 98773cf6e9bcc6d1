//! Reading stored messages: single pages, and reads that are proved complete.
//!
//! Any replica of a stream answers a Direct Get, and a follower may be behind, so a read that runs dry proves
//! nothing. [`Bus::read`] therefore ends only when a sequence past the floor came by, or when the leader says that
//! nothing else is there.

mod leader;

use crate::bus::Bus;
use async_nats::{
    HeaderMap, Message,
    jetstream::{message::StreamMessage, stream::RawMessage},
};
use bytes::Bytes;
use futures_util::StreamExt;
use oddswire_protocol::{Timestamp, cursor::epoch};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// A message of a stream, with where and when it was stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its sequence in the stream.
    pub seq: u64,
    /// The subject that it was published to.
    pub subject: String,
    /// When the server stored it.
    pub stored_at: Timestamp,
    /// The bytes.
    pub payload: Bytes,
    headers: HeaderMap,
}

impl Stored {
    /// Reads a message as Direct Get answers it and republish sends it. `None` when it is neither.
    pub(crate) fn from_message(message: Message) -> Option<Self> {
        let headers = message.headers?;
        // A publisher may have smuggled in a value of its own; the server's comes last.
        let last = |name| headers.get_last(name).map(async_nats::HeaderValue::as_str);
        let seq = last("Nats-Sequence")?.parse().ok()?;
        let subject = last("Nats-Subject")?.to_owned();
        let stored_at = last("Nats-Time-Stamp")
            .and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok())
            .map_or_else(
                || Timestamp::from(chrono::DateTime::UNIX_EPOCH),
                |at| at.to_utc().into(),
            );
        Some(Self {
            seq,
            subject,
            stored_at,
            payload: message.payload,
            headers,
        })
    }

    /// Reads a message as the leader's `STREAM.MSG.GET` answers it.
    fn from_raw(raw: RawMessage) -> Result<Self, ReadError> {
        let message = StreamMessage::try_from(raw).map_err(|e| ReadError::Other(e.to_string()))?;
        let stored_ms = i64::try_from(message.time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        Ok(Self {
            seq: message.sequence,
            subject: message.subject.to_string(),
            stored_at: Timestamp::from_unix_ms(stored_ms)
                .unwrap_or_else(|| Timestamp::from(chrono::DateTime::UNIX_EPOCH)),
            payload: message.payload,
            headers: message.headers,
        })
    }

    /// Its sequence in the stream that this one copies; its own where this one copies none.
    pub fn origin_seq(&self) -> u64 {
        // `<stream> <sequence> <filter> <transform> <subject> <account>`
        let source = self
            .header("Nats-Stream-Source")
            .and_then(|text| text.split(' ').nth(1));
        source.and_then(|seq| seq.parse().ok()).unwrap_or(self.seq)
    }

    /// Whether a message of a copy can be of this life of its origin. A copy outlives its origin: when that is made
    /// anew, images of runs that the log knows nothing of stay in the copy, under sequences that mean something else.
    pub fn is_of(&self, origin: &StreamState) -> bool {
        self.stored_at >= origin.created
    }

    /// The value of a header; the last one when there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get_last(name).map(async_nats::HeaderValue::as_str)
    }
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamState {
    /// Which life of the stream this is.
    pub epoch: u32,
    /// When this life of it began.
    pub created: Timestamp,
    /// The oldest sequence that is still there, or one past the last when it is empty.
    pub first_seq: u64,
    /// The newest sequence.
    pub last_seq: u64,
    /// Which term of it this is: another one whenever another server process leads it.
    pub term: u32,
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No answer in time: the connection is gone, the server is busy, or the read is not allowed.
    #[error("no answer in time")]
    Timeout,
    /// Nobody serves reads of this stream now: no leader, or JetStream is off.
    #[error("nobody answers")]
    NoResponders,
    /// Its nodes have no leader: too few of them see each other, or they are electing one.
    #[error("it has no leader: too few of its nodes are up")]
    NoLeader,
    /// There is no such stream.
    #[error("no such stream")]
    NoStream,
    /// Followers stayed behind the leader for too long.
    #[error("the replicas stayed behind")]
    Behind,
    /// Something else, as the server says it.
    #[error("{0}")]
    Other(String),
}

/// Messages a page at most.
const PAGE_MESSAGES: usize = 256;
/// Bytes a page at most: without it a server sends up to 64 MiB unasked.
const PAGE_BYTES: usize = 1 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long followers may be behind the leader before a read gives up.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// One page of a read.
#[derive(Debug, Default)]
pub struct Page {
    /// The messages, by rising sequence.
    pub messages: Vec<Stored>,
    /// Whether the one that answered has more.
    pub more: bool,
}

impl Bus {
    /// The state of a stream, as its leader knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn stream_state(&self, stream: &str) -> Result<StreamState, ReadError> {
        #[derive(Deserialize)]
        struct Info {
            created: chrono::DateTime<chrono::Utc>,
            state: State,
            cluster: Option<Cluster>,
        }
        #[derive(Deserialize)]
        struct Cluster {
            leader: Option<String>,
            leader_since: Option<String>,
        }
        #[derive(Deserialize)]
        struct State {
            first_seq: u64,
            last_seq: u64,
        }
        let info: Info = self
            .api(&format!("STREAM.INFO.{stream}"), &serde_json::json!({}))
            .await?;
        // A node that has lost sight of the others answers what it last knew.
        let led = info.cluster.map(|cluster| (cluster.leader, cluster.leader_since));
        if matches!(led, Some((None, _))) {
            return Err(ReadError::NoLeader);
        }
        let created_ns = i128::from(info.created.timestamp()) * 1_000_000_000
            + i128::from(info.created.timestamp_subsec_nanos());
        Ok(StreamState {
            epoch: epoch(stream, created_ns),
            created: info.created.into(),
            first_seq: info.state.first_seq,
            last_seq: info.state.last_seq,
            term: self.term(led),
        })
    }

    /// The last message of a subject, as any replica knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn last(&self, stream: &str, subject: &str) -> Result<Option<Stored>, ReadError> {
        let page = self
            .direct_get(stream, &serde_json::json!({ "multi_last": [subject] }))
            .await?;
        Ok(page.messages.into_iter().next_back())
    }

    /// The message with exactly this sequence, as any replica knows it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn message(&self, stream: &str, seq: u64) -> Result<Option<Stored>, ReadError> {
        let query = serde_json::json!({ "seq": seq, "next_by_subj": ">", "batch": 1 });
        let page = self.direct_get(stream, &query).await?;
        Ok(page.messages.into_iter().find(|m| m.seq == seq))
    }

    /// Up to which sequence of its origin, as it is in its present life, a copy is complete, at least.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn copied_to(&self, copy: &str, origin: &StreamState) -> Result<u64, ReadError> {
        let give_up = Instant::now() + SETTLE_WITHIN;
        loop {
            let last_seq = self.stream_state(copy).await?.last_seq;
            if last_seq == 0 {
                return Ok(0);
            }
            // That message may have been replaced by a newer one meanwhile, which will do as well.
            if let Some(message) = self.page(copy, last_seq, ">").await?.messages.first() {
                return Ok(if message.is_of(origin) {
                    message.origin_seq()
                } else {
                    // The server may take 10 s and more until it begins to copy what was made anew.
                    0
                });
            }
            // All that it held has expired, or the one that answered is behind.
            if self.leader_next(copy, last_seq, ">").await?.is_none() {
                return Ok(0);
            }
            if Instant::now() > give_up {
                return Err(ReadError::Behind);
            }
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// One page from `seq` on of what is under `filter`, as any replica knows it: at most 256 messages and 1 MiB.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(&self, stream: &str, seq: u64, filter: &str) -> Result<Page, ReadError> {
        self.page_of(stream, seq, filter, PAGE_BYTES).await
    }

    async fn page_of(
        &self,
        stream: &str,
        seq: u64,
        filter: &str,
        max_bytes: usize,
    ) -> Result<Page, ReadError> {
        let query = serde_json::json!({
            "seq": seq.max(1), "next_by_subj": filter, "batch": PAGE_MESSAGES, "max_bytes": max_bytes
        });
        self.direct_get(stream, &query).await
    }

    /// Everything from `from` to `floor`, both included, whose subject is under `filter`; see [`Read::next_page`].
    pub fn read(&self, stream: &str, filter: String, from: u64, floor: u64) -> Read {
        Read {
            bus: self.clone(),
            stream: stream.to_owned(),
            filter,
            next: from.max(1),
            floor,
            done: from.max(1) > floor,
            page_bytes: PAGE_BYTES,
        }
    }

    /// Sends one Direct Get and collects its answer.
    ///
    /// The reply subject is a subscription of its own: the client's request multiplexer takes one answer a request, and a
    /// Direct Get has many.
    async fn direct_get(&self, stream: &str, query: &serde_json::Value) -> Result<Page, ReadError> {
        let client = self.client();
        let inbox = client.new_inbox();
        let other = |e: &dyn std::fmt::Display| ReadError::Other(e.to_string());
        let exchange = async {
            let mut replies = client.subscribe(inbox.clone()).await.map_err(|e| other(&e))?;
            client
                .publish_with_reply(
                    format!("$JS.API.DIRECT.GET.{stream}"),
                    inbox,
                    query.to_string().into(),
                )
                .await
                .map_err(|e| other(&e))?;
            collect(&mut replies).await
        };
        // A publish waits for room while the connection is down, so the whole exchange has a limit.
        timeout(ANSWER_WITHIN * 2, exchange)
            .await
            .map_err(|_| ReadError::Timeout)?
    }

    pub(crate) async fn api<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
        query: &serde_json::Value,
    ) -> Result<T, ReadError> {
        #[derive(Deserialize)]
        struct Fault {
            error: FaultBody,
        }
        #[derive(Deserialize)]
        struct FaultBody {
            err_code: Option<u64>,
            description: Option<String>,
        }
        const STREAM_NOT_FOUND: u64 = 10059;
        let request = self
            .client()
            .request(format!("$JS.API.{name}"), query.to_string().into());
        let answer = timeout(ANSWER_WITHIN, request)
            .await
            .map_err(|_| ReadError::Timeout)?;
        let answer = answer.map_err(|e| match e.kind() {
            async_nats::RequestErrorKind::TimedOut => ReadError::Timeout,
            async_nats::RequestErrorKind::NoResponders => ReadError::NoResponders,
            _ => ReadError::Other(e.to_string()),
        })?;
        if let Ok(Fault { error }) = serde_json::from_slice(&answer.payload) {
            return Err(match error.err_code {
                Some(STREAM_NOT_FOUND) => ReadError::NoStream,
                _ => ReadError::Other(error.description.unwrap_or_else(|| "unknown error".into())),
            });
        }
        serde_json::from_slice(&answer.payload).map_err(|e| ReadError::Other(e.to_string()))
    }
}

/// What stands in each message that the server takes out of a stream, and in no other.
pub(crate) const STREAM: &str = "Nats-Stream";

async fn collect(replies: &mut async_nats::Subscriber) -> Result<Page, ReadError> {
    let mut page = Page::default();
    loop {
        let message = timeout(ANSWER_WITHIN, replies.next())
            .await
            .map_err(|_| ReadError::Timeout)?;
        let message = message.ok_or(ReadError::Timeout)?;
        // A stored message may be empty: the status tells the end, never the length. And it may have a status of its
        // publisher's, which is no word of the server's: those name no stream.
        let is_stored = message.headers.as_ref().is_some_and(|h| h.get(STREAM).is_some());
        let status = message.status.filter(|_| !is_stored);
        match status.map(|status| status.as_u16()) {
            None => page.messages.extend(Stored::from_message(message)),
            Some(204) => {
                let pending = message.headers.as_ref().and_then(|h| h.get("Nats-Num-Pending"));
                page.more = pending.is_some_and(|n| n.as_str() != "0");
                return Ok(page);
            }
            Some(404) => return Ok(page),
            Some(503) => return Err(ReadError::NoResponders),
            Some(_) => {
                return Err(ReadError::Other(
                    message.description.unwrap_or_else(|| "read refused".into()),
                ));
            }
        }
    }
}

/// A read of a stream up to a floor, page by page, that ends only when it is complete.
#[derive(Debug)]
pub struct Read {
    bus: Bus,
    stream: String,
    filter: String,
    next: u64,
    floor: u64,
    done: bool,
    page_bytes: usize,
}

impl Read {
    /// The same in pages of at most so many bytes, and one message at least: what is in memory at once of a read whose
    /// pages are not kept.
    #[must_use]
    pub fn in_pages_of(mut self, bytes: usize) -> Self {
        self.page_bytes = bytes.min(PAGE_BYTES);
        self
    }

    /// Whether everything up to the floor was given.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The next messages by rising sequence, never empty; `None` when everything up to the floor was given.
    ///
    /// # Errors
    /// [`ReadError`]; the read may be tried again and goes on where it was.
    ///
    /// # Cancel safety
    /// Dropping this future loses nothing: the page is asked for again.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Stored>>, ReadError> {
        let give_up = Instant::now() + SETTLE_WITHIN;
        while !self.done {
            let page = self
                .bus
                .page_of(&self.stream, self.next, &self.filter, self.page_bytes)
                .await?;
            let newest = page.messages.last().map(|m| m.seq);
            let mut done = newest.is_some_and(|seq| seq >= self.floor);
            let next = newest.map_or(self.next, |seq| seq.saturating_add(1));
            if !done && !page.more && !self.bus.settles {
                done = true;
            } else if !done && !page.more {
                // Dry here; only the leader can tell whether that is the end.
                let left = self.bus.leader_next(&self.stream, next, &self.filter).await?;
                done = left.is_none_or(|seq| seq > self.floor);
                if !done && page.messages.is_empty() {
                    if Instant::now() > give_up {
                        return Err(ReadError::Behind);
                    }
                    sleep(Duration::from_millis(30)).await;
                }
            }
            (self.next, self.done) = (next, done);
            let mut messages = page.messages;
            messages.retain(|m| m.seq <= self.floor);
            if !messages.is_empty() {
                return Ok(Some(messages));
            }
        }
        Ok(None)
    }
}
