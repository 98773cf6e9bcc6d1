//! A client of either transport, for what must be the same on both.

use super::{Sse, Ws, within};
use oddswire_protocol::{
    Cursor,
    envelope::{MessageType, Received},
    server::{CaughtUp, ConnectionAck, Resume},
};

/// How a client connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Ws,
    Sse,
}

impl Transport {
    pub(crate) const BOTH: [Self; 2] = [Self::Ws, Self::Sse];
}

pub(crate) enum Connection {
    Ws(Box<Ws>),
    Sse(Box<Sse>),
}

/// What came until the client was caught up.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// How it continued: of the acknowledgement, or of the `resume` where one was awaited.
    pub(crate) resume: Resume,
    pub(crate) events: Vec<Received>,
    pub(crate) caught_up: CaughtUp,
}

impl Connection {
    /// Connects with `since` as a client of this transport gives it; `None` when nobody answers.
    pub(crate) async fn try_open(
        transport: Transport,
        address: &str,
        topics: &str,
        since: &str,
    ) -> Option<Self> {
        match transport {
            Transport::Ws => {
                let ws = Ws::try_connect(address, &format!("topics={topics}&since={since}")).await?;
                Some(Self::Ws(Box::new(ws)))
            }
            Transport::Sse => {
                // What an EventSource does that was opened with a snapshot: the header beats the query.
                let url = format!("http://{address}/api/events?topics={topics}&since=snapshot");
                Some(Self::Sse(Box::new(Sse::try_connect(&url, Some(since)).await?)))
            }
        }
    }

    pub(crate) async fn open(transport: Transport, address: &str, topics: &str, since: &str) -> Self {
        let opened = Self::try_open(transport, address, topics, since);
        within("the connection", opened).await.expect("a gateway answers")
    }

    /// The next message, and its position where it has one; `None` when the connection is over.
    pub(crate) async fn try_next(&mut self) -> Option<(Received, Option<Cursor>)> {
        match self {
            Self::Ws(ws) => {
                let message: Received = serde_json::from_str(&ws.try_text().await?).unwrap();
                let cursor = message.id;
                Some((message, cursor))
            }
            Self::Sse(sse) => {
                let event = sse.try_next().await?;
                let cursor = event.id.as_deref().map(|id| id.parse().unwrap());
                Some((event.message(), cursor))
            }
        }
    }

    pub(crate) async fn next(&mut self) -> (Received, Option<Cursor>) {
        within("a message", self.try_next())
            .await
            .expect("the connection goes on")
    }

    /// The next message that is no heartbeat. Heartbeats do not make a client more patient.
    pub(crate) async fn next_event(&mut self) -> (Received, Option<Cursor>) {
        let wanted = async {
            loop {
                let (message, cursor) = self.next().await;
                if message.message_type != MessageType::Heartbeat {
                    return (message, cursor);
                }
            }
        };
        within("an event", wanted).await
    }

    /// The next message of this type; others are passed over.
    pub(crate) async fn next_of(&mut self, wanted: MessageType) -> Received {
        let found = async {
            loop {
                let (message, _) = self.next().await;
                if message.message_type == wanted {
                    return message;
                }
            }
        };
        within(wanted.as_str(), found).await
    }

    /// The acknowledgement, which comes first.
    pub(crate) async fn acknowledged(&mut self) -> ConnectionAck {
        let (first, _) = self.next().await;
        assert_eq!(first.message_type, MessageType::ConnectionAck);
        first.data().unwrap()
    }

    /// The acknowledgement, and everything up to `caught_up`.
    pub(crate) async fn joined(&mut self) -> Delivered {
        let ack = self.acknowledged().await;
        self.delivered(ack.resume).await
    }

    /// A `resume` in mid-connection, and everything up to `caught_up`. What came before it is passed over.
    pub(crate) async fn resumed(&mut self) -> Delivered {
        let resume = self.next_of(MessageType::Resume).await.data().unwrap();
        self.delivered(resume).await
    }

    async fn delivered(&mut self, resume: Resume) -> Delivered {
        let (events, caught_up) = self.until_caught_up().await;
        Delivered {
            resume,
            events,
            caught_up,
        }
    }

    /// Every event up to `caught_up`.
    pub(crate) async fn until_caught_up(&mut self) -> (Vec<Received>, CaughtUp) {
        let mut events = Vec::new();
        loop {
            let (message, cursor) = self.next_event().await;
            if message.message_type == MessageType::CaughtUp {
                return (events, message.data().unwrap());
            }
            assert!(cursor.is_some(), "an event has a position: {message:?}");
            events.push(message);
        }
    }
}
