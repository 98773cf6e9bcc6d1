//! A stream of events that goes on over cuts: with the newest cursor, at whichever gateway answers.

use crate::{
    connection::{Address, Error, Gateways, in_full, successful},
    sse::{SseEvent, SseReader},
};
use oddswire_protocol::Timestamp;
use rand::RngExt as _;
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::VecDeque, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

/// What comes from a stream.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An event: the gateway's bytes.
    Message(SseEvent),
    /// The connection is gone, or did not come about; the next try is at `next` after `wait`.
    Lost {
        why: String,
        wait: Duration,
        next: Address,
    },
    /// There is nothing more: a run that is over.
    Over,
    /// It cannot go on.
    Failed(Error),
}

/// What a person is told of a connection that is gone.
pub(crate) fn lost(why: &str, wait: Duration, next: &Address) -> String {
    if wait.is_zero() {
        return format!("{why}; asking {next}");
    }
    format!("{why}; asking {next} in {:.1} s", wait.as_secs_f64())
}

/// An envelope, taken apart as far as every message can be: its type may be one of a later release.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(rename = "type")]
    pub(crate) message_type: String,
    pub(crate) timestamp: Timestamp,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// `None` when this is no envelope.
    pub(crate) fn of(event: &'a SseEvent) -> Option<Self> {
        serde_json::from_str(&event.data).ok()
    }

    /// Its data, unless it is not of that form.
    pub(crate) fn read<T: Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_str(self.data.get()).ok()
    }

    /// The same of an event, which tells what it left out.
    pub(crate) fn read_event<T: Deserialize<'a>>(&self, left_out: &mut LeftOut) -> Option<T> {
        left_out.unless(&self.message_type, serde_json::from_str(self.data.get()))
    }
}

/// What could not be read: one of it costs itself and not the command, and a person is told of the first.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    is_told: bool,
    news: Option<String>,
}

impl LeftOut {
    /// What was read, unless it could not be.
    pub(crate) fn unless<T>(&mut self, what: &str, read: serde_json::Result<T>) -> Option<T> {
        read.inspect_err(|error| {
            if !std::mem::replace(&mut self.is_told, true) {
                self.news = Some(format!(
                    "left out what cannot be read, and will not say so again: {what}: {error}"
                ));
            }
        })
        .ok()
    }

    /// What a person should know, once.
    pub(crate) fn news(&mut self) -> Option<String> {
        self.news.take()
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// `api/events`, or the address of one run's events.
    pub(crate) path: String,
    /// Separated by commas; none for everything.
    pub(crate) topics: Option<String>,
    /// From where, while there is no cursor of its own yet.
    pub(crate) since: String,
}

/// Events that wait to be looked at. A gateway is not read on meanwhile.
const WAITING_MAX: usize = 256;
/// Time for a gateway's head, and its first event.
const BEGIN_WITHIN: Duration = Duration::from_secs(15);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A stream, read by a task of its own, so that waiting for its next event may be broken off at any time.
#[derive(Debug)]
pub(crate) struct Stream {
    happenings: mpsc::Receiver<Happening>,
    _task: JoinSet<()>,
}

impl Stream {
    pub(crate) fn open(gateways: Gateways, wanted: Wanted) -> Self {
        let (sender, happenings) = mpsc::channel(WAITING_MAX);
        let mut task = JoinSet::new();
        let reader = Reader {
            addresses: gateways.addresses().iter().cloned().collect(),
            gateways,
            wanted,
            cursor: None,
            failures: 0,
            unreachable: Vec::new(),
            was_open: false,
            is_leaving: false,
        };
        task.spawn(async move {
            // An error says that nobody listens any more.
            let _ = reader.run(sender).await;
        });
        Self {
            happenings,
            _task: task,
        }
    }

    /// What happens next. May be broken off without losing anything.
    pub(crate) async fn next(&mut self) -> Happening {
        self.happenings.recv().await.unwrap_or(Happening::Over)
    }

    /// The same, when it is there already.
    pub(crate) fn try_next(&mut self) -> Option<Happening> {
        self.happenings.try_recv().ok()
    }
}

/// Nobody listens any more.
struct Gone;

struct Reader {
    gateways: Gateways,
    /// The one that is spoken to first.
    addresses: VecDeque<Address>,
    wanted: Wanted,
    cursor: Option<String>,
    /// Tries since the last event.
    failures: u32,
    /// Who could not be reached, before anybody was.
    unreachable: Vec<String>,
    was_open: bool,
    /// Whether the gateway said that it will close.
    is_leaving: bool,
}

/// How a connection ended.
enum End {
    Lost { why: String, at_least: Duration },
    Over,
    Failed(Error),
}

impl End {
    fn lost(why: impl Into<String>) -> Self {
        Self::Lost {
            why: why.into(),
            at_least: Duration::ZERO,
        }
    }
}

impl Reader {
    async fn run(mut self, sender: mpsc::Sender<Happening>) -> Result<(), Gone> {
        loop {
            let end = match self.connect().await {
                Ok(answer) => self.read(answer, &sender).await?,
                Err(end) => end,
            };
            let last = match end {
                End::Over => Happening::Over,
                End::Failed(error) => Happening::Failed(error),
                End::Lost { why, at_least } => {
                    let wait = self.wait().max(at_least);
                    self.failures += 1;
                    self.addresses.rotate_left(1);
                    let next = self.addresses[0].clone();
                    sender
                        .send(Happening::Lost { why, wait, next })
                        .await
                        .map_err(|_| Gone)?;
                    sleep(wait).await;
                    continue;
                }
            };
            return sender.send(last).await.map_err(|_| Gone);
        }
    }

    /// A random time up to 1 s, twice that after each failure, up to 30 s; none when another gateway can be asked at
    /// once.
    fn wait(&mut self) -> Duration {
        let others = u32::try_from(self.addresses.len() - 1).unwrap_or(u32::MAX);
        if std::mem::take(&mut self.is_leaving) && others > 0 || self.failures < others && !self.was_open {
            return Duration::ZERO;
        }
        let most = Duration::from_secs(1 << self.failures.min(5)).min(WAIT_MAX);
        most.mul_f64(rand::rng().random())
    }

    async fn connect(&mut self) -> Result<Response, End> {
        let address = &self.addresses[0];
        let mut query = Vec::new();
        if let Some(topics) = &self.wanted.topics {
            query.push(("topics", topics.clone()));
        }
        query.push(("since", self.wanted.since.clone()));
        let mut request = self.gateways.get(address, &self.wanted.path, &query);
        if let Some(cursor) = &self.cursor {
            request = request.header("last-event-id", cursor);
        }
        let answer = match timeout(BEGIN_WITHIN, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unreachable(in_full(&error))),
            Err(_) => return Err(self.unreachable("no answer in time".to_owned())),
        };
        self.unreachable.clear();
        let status = answer.status();
        let at_least = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs)
            .min(WAIT_MAX);
        if status == StatusCode::NO_CONTENT {
            return Err(End::Over);
        }
        successful(address, answer).await.map_err(|error| {
            if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                End::Lost {
                    why: error.to_string(),
                    at_least,
                }
            } else {
                End::Failed(error)
            }
        })
    }

    /// Nobody at all being there is told at once, to the person who mistook the address; later it passes.
    fn unreachable(&mut self, why: String) -> End {
        let why = format!("{}: {why}", self.addresses[0]);
        self.unreachable.push(why.clone());
        if !self.was_open && self.unreachable.len() >= self.addresses.len() {
            return End::Failed(Error::Unreachable(self.unreachable.join("; ")));
        }
        End::lost(why)
    }

    async fn read(&mut self, mut answer: Response, sender: &mpsc::Sender<Happening>) -> Result<End, Gone> {
        let mut reader = SseReader::default();
        let mut silence = BEGIN_WITHIN;
        let address = self.addresses[0].to_string();
        loop {
            let piece = match timeout(silence, answer.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => return Ok(End::lost(format!("{address} ended the stream"))),
                Ok(Err(error)) => return Ok(End::lost(format!("{address}: {}", in_full(&error)))),
                Err(_) => {
                    let seconds = silence.as_secs();
                    return Ok(End::lost(format!("{address} was silent for {seconds} s")));
                }
            };
            reader.push(&piece);
            loop {
                match reader.next() {
                    Ok(Some(event)) => {
                        self.notice(&event, &mut silence);
                        let id = event.id.clone();
                        sender.send(Happening::Message(event)).await.map_err(|_| Gone)?;
                        // Only now is it dealt with.
                        self.cursor = id.or(self.cursor.take());
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let (address, detail) = (address.clone(), error.to_string());
                        return Ok(End::Failed(Error::Strange { address, detail }));
                    }
                }
            }
        }
    }

    fn notice(&mut self, event: &SseEvent, silence: &mut Duration) {
        #[derive(Deserialize)]
        struct Ack {
            heartbeat_ms: u64,
        }
        self.failures = 0;
        self.was_open = true;
        match event.event.as_str() {
            "connection_ack" => {
                let ack = Envelope::of(event).and_then(|envelope| envelope.read::<Ack>());
                if let Some(Ack { heartbeat_ms }) = ack {
                    *silence = Duration::from_millis(heartbeat_ms.saturating_mul(5) / 2);
                }
            }
            "reconnect" => self.is_leaving = true,
            _ => {}
        }
    }
}
