//! A reader of Server-Sent Events that knows the contract alone.

use super::{frames, within};
use oddswire_protocol::envelope::{MessageType, Received};
use reqwest::Response;

pub(crate) struct Sse {
    response: Response,
    /// Bytes that are no whole event yet: a chunk may end in the middle of a character.
    bytes: Vec<u8>,
}

/// One event, as it came.
#[derive(Debug, Clone)]
pub(crate) struct SseEvent {
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    /// Milliseconds to wait before coming back, where the event says so.
    pub(crate) retry: Option<u64>,
    pub(crate) data: String,
}

impl SseEvent {
    pub(crate) fn message(&self) -> Received {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Sse {
    pub(crate) async fn connect(url: &str, last_event_id: Option<&str>) -> Self {
        let response = Self::request(url, last_event_id).await;
        assert_eq!(response.status(), 200, "{url}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            bytes: Vec::new(),
        }
    }

    /// A stream that was opened in some other way.
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        Self {
            response,
            bytes: Vec::new(),
        }
    }

    /// `None` when nobody answers.
    pub(crate) async fn try_connect(url: &str, last_event_id: Option<&str>) -> Option<Self> {
        let mut request = reqwest::Client::new().get(url);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.ok().filter(|r| r.status().is_success())?;
        Some(Self {
            response,
            bytes: Vec::new(),
        })
    }

    pub(crate) async fn request(url: &str, last_event_id: Option<&str>) -> Response {
        let mut request = reqwest::Client::new().get(url);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        within("the stream to open", request.send()).await.unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response
            .headers()
            .get(name)
            .map_or("", |v| v.to_str().unwrap())
    }

    /// The next event; `None` when the stream has ended.
    pub(crate) async fn try_next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(end) = self.bytes.windows(2).position(|w| w == b"\n\n") {
                let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
                if let Some(event) = parse(std::str::from_utf8(&block).unwrap()) {
                    frames::check(&event.data);
                    return Some(event);
                }
                continue;
            }
            let chunk = within("an event", self.response.chunk()).await.ok().flatten()?;
            self.bytes.extend_from_slice(&chunk);
        }
    }

    pub(crate) async fn next(&mut self) -> SseEvent {
        self.try_next().await.expect("the stream goes on")
    }

    /// The next event that is no heartbeat.
    pub(crate) async fn next_event(&mut self) -> SseEvent {
        loop {
            let event = self.next().await;
            if event.event != MessageType::Heartbeat.as_str() {
                return event;
            }
        }
    }

    /// Everything before the next event of this type, and that event.
    pub(crate) async fn until(&mut self, wanted: MessageType) -> (Vec<SseEvent>, SseEvent) {
        self.until_named(wanted.as_str()).await
    }

    /// The same by the name that the event has here.
    pub(crate) async fn until_named(&mut self, wanted: &str) -> (Vec<SseEvent>, SseEvent) {
        let mut before = Vec::new();
        loop {
            let event = self.next_event().await;
            if event.event == wanted {
                return (before, event);
            }
            before.push(event);
        }
    }
}

fn parse(block: &str) -> Option<SseEvent> {
    let mut event = SseEvent {
        id: None,
        event: String::new(),
        retry: None,
        data: String::new(),
    };
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", value)) => event.id = Some(value.to_owned()),
            Some(("retry", value)) => event.retry = Some(value.parse().unwrap()),
            Some(("event", value)) => value.clone_into(&mut event.event),
            Some(("data", value)) => event.data.push_str(value),
            _ => assert!(line.is_empty() || line.starts_with(':'), "unknown line {line:?}"),
        }
    }
    (!event.event.is_empty()).then_some(event)
}
