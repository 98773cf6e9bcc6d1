//! What a client asks for in the query of a stream, the same on both transports.

use super::error::ApiError;
use crate::{
    auth::Grant,
    session::{Request, Since},
};
use axum::http::HeaderMap;
use oddswire_protocol::{
    Cursor, Topic,
    client::{CONFLATE_MS_MAX, HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN},
    problem::ProblemCode,
    server::{ErrorCode, ErrorData, Limits},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The query of a stream. Unknown parameters are ignored.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct StreamQuery {
    /// A list with commas; all that there is when left out. A topic is a prefix: `scrape_progress`, with source and run,
    /// or `odds_updates`, with sport, event, source and market; `*` stands for one token.
    #[schemars(with = "String")]
    topics: Option<String>,
    /// From where: `now` (when left out), `snapshot`, or a cursor. What is no cursor is answered with the verdict `gap`.
    #[schemars(with = "String")]
    since: Option<String>,
    /// The same as `since`.
    #[schemars(with = "String")]
    last_event_id: Option<String>,
    /// The same as `since`.
    #[serde(rename = "lastEventId")]
    #[schemars(with = "String")]
    last_event_id_camel: Option<String>,
    /// Milliseconds in which at most one message a key comes, the newest; 0: all.
    #[schemars(with = "u64", range(max = CONFLATE_MS_MAX), extend("default" = 0))]
    conflate_ms: Option<String>,
    /// Milliseconds between heartbeats, for a client whose library gives up a silent connection sooner; the gateway's own
    /// setting when left out.
    #[schemars(with = "u64", range(min = HEARTBEAT_MS_MIN, max = HEARTBEAT_MS_MAX))]
    heartbeat_ms: Option<String>,
    /// What `POST /api/tickets` gave, where no header can be sent.
    #[schemars(with = "String")]
    ticket: Option<String>,
}

/// No topic that was asked for is valid.
#[derive(Debug)]
pub(super) struct NoTopic(pub(super) Vec<ErrorData>);

impl NoTopic {
    pub(super) fn into_problem(self) -> ApiError {
        // One that the token does not allow is a topic nevertheless.
        let forbidden = self.0.iter().any(|fault| fault.code == ErrorCode::TopicForbidden);
        let detail = self
            .0
            .iter()
            .map(|fault| fault.detail.as_str())
            .collect::<Vec<_>>()
            .join("; ");
        if forbidden {
            return ApiError::new(ProblemCode::TopicForbidden, detail);
        }
        ApiError::new(ProblemCode::InvalidTopic, detail)
    }
}

impl StreamQuery {
    /// Checks what has one answer for both transports: a malformed `conflate_ms` or `heartbeat_ms`, and a `since` that is empty. Who sends
    /// that has a variable that is not set, and wants something else than live.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let names = [
            ("since", &self.since),
            ("last_event_id", &self.last_event_id),
            ("lastEventId", &self.last_event_id_camel),
        ];
        if let Some((name, _)) = names.into_iter().find(|(_, text)| text.as_deref() == Some("")) {
            return Err(ApiError::bad_query(format!(
                "{name} is empty: since must be now, snapshot or a cursor, or be left out"
            )));
        }
        self.conflate().and(self.heartbeat().map(|_| ()))
    }

    /// The time between heartbeats that the client asks for.
    pub(super) fn heartbeat(&self) -> Result<Option<Duration>, ApiError> {
        match self.heartbeat_ms.as_deref().map(str::parse) {
            None => Ok(None),
            Some(Ok(ms)) if (HEARTBEAT_MS_MIN..=HEARTBEAT_MS_MAX).contains(&ms) => {
                Ok(Some(Duration::from_millis(ms)))
            }
            Some(_) => Err(ApiError::bad_query(format!(
                "heartbeat_ms must be {HEARTBEAT_MS_MIN} to {HEARTBEAT_MS_MAX}"
            ))),
        }
    }

    /// What is to let the client in where it cannot send a header.
    pub(super) fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    fn conflate(&self) -> Result<Duration, ApiError> {
        match self.conflate_ms.as_deref().map(str::parse) {
            None => Ok(Duration::ZERO),
            Some(Ok(ms)) if ms <= CONFLATE_MS_MAX => Ok(Duration::from_millis(ms)),
            Some(_) => Err(ApiError::bad_query(format!(
                "conflate_ms must be 0 to {CONFLATE_MS_MAX}"
            ))),
        }
    }

    /// Whether the client takes part in resume: it said from where.
    pub(super) fn resumes(&self, headers: &HeaderMap) -> bool {
        self.since_text(headers).is_some()
    }

    /// From where: the `Last-Event-ID` header beats every parameter.
    pub(super) fn since(&self, headers: &HeaderMap) -> Since {
        match self.since_text(headers) {
            None | Some("now") => Since::Now,
            Some("snapshot") => Since::Snapshot,
            Some(text) => text.parse::<Cursor>().map_or(Since::Malformed, Since::At),
        }
    }

    fn since_text<'a>(&'a self, headers: &'a HeaderMap) -> Option<&'a str> {
        // A header that is no text is no cursor either: it is answered like any malformed one.
        let header = headers
            .get("last-event-id")
            .map(|value| value.to_str().unwrap_or("?"));
        header
            .filter(|text| !text.is_empty())
            .or(self.since.as_deref())
            .or(self.last_event_id.as_deref())
            .or(self.last_event_id_camel.as_deref())
    }

    /// What the client of an event stream asks for.
    pub(super) fn events(
        &self,
        headers: &HeaderMap,
        limits: &Limits,
        grant: Option<Arc<Grant>>,
    ) -> Result<Request, ApiError> {
        self.check()?;
        let request = self
            .request(headers, limits, grant)
            .map_err(NoTopic::into_problem)?;
        Ok(Request { ids: true, ..request })
    }

    /// What the client asks for. Bad topics are told, and those that its token does not allow; the others are granted.
    pub(super) fn request(
        &self,
        headers: &HeaderMap,
        limits: &Limits,
        grant: Option<Arc<Grant>>,
    ) -> Result<Request, NoTopic> {
        let allowed = grant.as_deref();
        let (topics, faults) = match self.topics.as_deref().filter(|text| !text.is_empty()) {
            None => everything(limits, allowed),
            Some(text) => parse_topics(text, limits, allowed),
        };
        if topics.is_empty() {
            return Err(NoTopic(faults));
        }
        Ok(Request {
            topics,
            faults,
            since: self.since(headers),
            ids: self.resumes(headers),
            conflate: self.conflate().unwrap_or_default(),
            heartbeat: self.heartbeat().unwrap_or_default(),
            one_run: false,
            grant,
            reference: None,
        })
    }
}

/// More bad topics than this are not told one by one.
const FAULTS_TOLD: usize = 20;

/// All that there is, as far as it is allowed.
fn everything(limits: &Limits, grant: Option<&Grant>) -> (Vec<Topic>, Vec<ErrorData>) {
    let Some(grant) = grant else {
        return (Topic::default_set(), Vec::new());
    };
    if grant.topics().is_empty() {
        let fault = ErrorData {
            code: ErrorCode::TopicForbidden,
            detail: "the token allows no topic".into(),
            reference: None,
        };
        return (Vec::new(), vec![fault]);
    }
    let names: Vec<String> = grant.topics().iter().map(ToString::to_string).collect();
    parse_topics(&names.join(","), limits, Some(grant))
}

fn parse_topics(text: &str, limits: &Limits, grant: Option<&Grant>) -> (Vec<Topic>, Vec<ErrorData>) {
    let mut topics: Vec<Topic> = Vec::new();
    let mut faults = Vec::new();
    let mut fault = |code, detail| {
        if faults.len() < FAULTS_TOLD {
            faults.push(ErrorData {
                code,
                detail,
                reference: None,
            });
        }
    };
    for name in text.split(',') {
        match name.parse::<Topic>() {
            Ok(topic) if topics.contains(&topic) => {}
            Ok(topic) if grant.is_some_and(|grant| !grant.covers(&topic)) => {
                fault(
                    ErrorCode::TopicForbidden,
                    format!("{topic}: the token does not allow it"),
                );
            }
            Ok(topic) if topics.len() < limits.topics => topics.push(topic),
            Ok(topic) => {
                let detail = format!("{topic}: a connection has at most {} topics", limits.topics);
                fault(ErrorCode::TooManyTopics, detail);
            }
            Err(error) => fault(ErrorCode::InvalidTopic, error.to_string()),
        }
    }
    (topics, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        topics: 2,
        message_bytes: 1024,
        messages_per_s: 10,
    };

    fn query(topics: &str) -> StreamQuery {
        StreamQuery {
            topics: Some(topics.into()),
            ..StreamQuery::default()
        }
    }

    #[test]
    fn bad_topics_are_told_and_the_others_granted() {
        let request = query("odds_updates,bogus,odds_updates")
            .request(&HeaderMap::new(), &LIMITS, None)
            .unwrap();
        assert_eq!(request.topics, [Topic::all_odds()]);
        assert_eq!(request.faults.len(), 1);
        assert_eq!(request.faults[0].code, ErrorCode::InvalidTopic);
    }

    #[test]
    fn none_left_is_a_refusal_and_none_asked_for_is_all() {
        assert!(
            query("bogus,odds_updates.>")
                .request(&HeaderMap::new(), &LIMITS, None)
                .is_err()
        );
        let all = StreamQuery::default()
            .request(&HeaderMap::new(), &LIMITS, None)
            .unwrap();
        assert_eq!(all.topics, Topic::default_set());
    }

    #[test]
    fn topics_past_the_limit_are_told() {
        let request = query("odds_updates.a,odds_updates.b,odds_updates.c")
            .request(&HeaderMap::new(), &LIMITS, None)
            .unwrap();
        assert_eq!(
            (request.topics.len(), request.faults[0].code),
            (2, ErrorCode::TooManyTopics)
        );
    }

    #[test]
    fn a_heartbeat_is_from_one_second_to_a_minute_or_the_gateways_own() {
        let asked = |ms: Option<&str>| StreamQuery {
            heartbeat_ms: ms.map(str::to_owned),
            ..StreamQuery::default()
        };
        assert_eq!(asked(None).heartbeat().unwrap(), None);
        for ms in [1_000, 5_000, 60_000] {
            let heartbeat = asked(Some(&ms.to_string())).heartbeat().unwrap();
            assert_eq!(heartbeat, Some(Duration::from_millis(ms)));
        }
        for bad in ["999", "60001", "0", "-1", "", "5s", "1e4"] {
            assert!(asked(Some(bad)).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_since_is_refused_by_its_name() {
        for name in ["since", "last_event_id", "lastEventId"] {
            let query: StreamQuery = serde_json::from_value(serde_json::json!({ name: "" })).unwrap();
            assert!(query.check().is_err(), "{name}");
        }
        assert!(query("odds_updates").check().is_ok());
    }

    #[test]
    fn every_spelling_of_since_is_read_and_the_header_wins() {
        for name in ["since", "last_event_id", "lastEventId"] {
            let query: StreamQuery = serde_json::from_value(serde_json::json!({ name: "snapshot" })).unwrap();
            assert_eq!(query.since(&HeaderMap::new()), Since::Snapshot, "{name}");
        }
        let query = StreamQuery {
            since: Some("snapshot".into()),
            ..StreamQuery::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert("last-event-id", "garbage".parse().unwrap());
        assert_eq!(query.since(&headers), Since::Malformed);
        headers.insert("last-event-id", "".parse().unwrap());
        assert_eq!(query.since(&headers), Since::Snapshot);
    }
}
