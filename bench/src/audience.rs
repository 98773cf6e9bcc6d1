//! Who the clients of a scenario are: transport, topics, and which events each must get.

use crate::author::{ALL_ODDS, EVENTS, event_topic};

/// How a client is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// WebSocket.
    Ws,
    /// Server-Sent Events.
    Sse,
}

/// What all clients of a scenario have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// WebSocket, all odds.
    Ws,
    /// Server-Sent Events, all odds.
    Sse,
    /// Half of each.
    Mixed,
    /// WebSocket, each client on 3 topics of 1,000.
    Topics,
    /// WebSocket, all odds, asking for conflation.
    Conflating,
    /// WebSocket, all odds, offering permessage-deflate.
    Deflate,
}

/// Topics of a client that is on some of them only.
pub(crate) const TOPICS_EACH: u64 = 3;
/// What conflating clients ask for, in milliseconds.
pub(crate) const CONFLATE_MS: u64 = 500;

/// The numbers of the events that a client gets: those with certain rests of a division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    modulus: u64,
    rests: [u64; 3],
}

impl Share {
    /// Every event.
    pub(crate) const ALL: Self = Self {
        modulus: 1,
        rests: [0; 3],
    };

    /// Those with one rest of a division.
    pub(crate) fn one_in(modulus: u64, rest: u64) -> Self {
        Self {
            modulus,
            rests: [rest; 3],
        }
    }

    /// The first number from `from` on that belongs to it.
    pub(crate) fn first_from(&self, from: u64) -> u64 {
        if self.modulus == 1 {
            return from;
        }
        let at = from % self.modulus;
        let wait = |rest: u64| (rest + self.modulus - at) % self.modulus;
        from + self.rests.iter().map(|rest| wait(*rest)).min().unwrap_or(0)
    }

    /// How many of the numbers in `from..to` belong to it.
    pub(crate) fn count(&self, from: u64, to: u64) -> u64 {
        let mut count = 0;
        let mut at = self.first_from(from);
        while at < to {
            count += 1;
            at = self.first_from(at + 1);
        }
        count
    }
}

/// A connection to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// How.
    pub(crate) transport: Transport,
    /// The query, without the question mark.
    pub(crate) query: String,
    /// Whether it offers compression.
    pub(crate) deflate: bool,
    /// What it must get.
    pub(crate) share: Share,
    /// The first number that it must get.
    pub(crate) first: u64,
}

impl Wanted {
    /// The request that opens it.
    pub(crate) fn request(&self) -> String {
        let query = &self.query;
        match self.transport {
            Transport::Sse => {
                format!(
                    "GET /api/events?{query} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
                )
            }
            Transport::Ws => {
                let offer = if self.deflate {
                    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                } else {
                    ""
                };
                format!(
                    "GET /api/ws?{query} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
                )
            }
        }
    }
}

impl Audience {
    /// Client number `at`, that joins before event `first`.
    pub(crate) fn client(self, at: usize, first: u64) -> Wanted {
        let transport = match self {
            Self::Sse => Transport::Sse,
            Self::Mixed if at % 2 == 1 => Transport::Sse,
            _ => Transport::Ws,
        };
        let (topics, share) = if self == Self::Topics {
            let rests = topics_of(at);
            let names: Vec<String> = rests.iter().map(|rest| event_topic(*rest)).collect();
            (
                names.join(","),
                Share {
                    modulus: EVENTS,
                    rests,
                },
            )
        } else {
            (ALL_ODDS.to_owned(), Share::ALL)
        };
        let conflation = match self {
            Self::Conflating => format!("&conflate_ms={CONFLATE_MS}"),
            _ => String::new(),
        };
        Wanted {
            transport,
            query: format!("topics={topics}{conflation}"),
            deflate: self == Self::Deflate,
            share,
            first: share.first_from(first),
        }
    }

    /// How many of `clients` get each event.
    pub(crate) fn each(self, clients: u64) -> u64 {
        match self {
            Self::Topics => clients * TOPICS_EACH / EVENTS,
            _ => clients,
        }
    }
}

/// Three topics far from each other; a thousand clients in turn make every topic three clients'.
fn topics_of(at: usize) -> [u64; 3] {
    let at = at as u64;
    [at, at + 333, at + 667].map(|topic| topic % EVENTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_clients_share_the_topics_evenly() {
        let mut clients = vec![0; 1_000];
        for at in 0..1_000 {
            for topic in topics_of(at) {
                clients[usize::try_from(topic).unwrap()] += 1;
            }
        }
        assert!(clients.iter().all(|count| *count == 3));
        assert_eq!(Audience::Topics.each(10_000), 30);
    }

    #[test]
    fn the_next_event_of_a_share_is_the_next_with_one_of_its_rests() {
        let share = Audience::Topics.client(700, 0).share;
        assert_eq!(share.rests, [700, 33, 367]);
        assert_eq!(share.first_from(0), 33);
        assert_eq!(share.first_from(34), 367);
        assert_eq!(share.first_from(701), 1_033);
        assert_eq!(share.count(0, 2_000), 6);
        assert_eq!(Share::ALL.first_from(7), 7);
        assert_eq!(Share::one_in(10, 0).count(1, 31), 3);
    }
}
