//! One operation of `OpenAPI`, written beside its route.

use crate::http::credentials::{Need, need};
use axum::http::{Method, StatusCode};
use oddswire_protocol::problem::{MEDIA_TYPE, Problem, ProblemCode};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What every request may be answered with, whatever it asks for.
const EVERYWHERE: &[ProblemCode] = &[
    ProblemCode::BadRequest,
    ProblemCode::HeadTooLarge,
    ProblemCode::HostNotAllowed,
    ProblemCode::MemoryFull,
    ProblemCode::TargetTooLong,
];
const STREAMS: &[ProblemCode] = &[
    ProblemCode::AddressFull,
    ProblemCode::GatewayFull,
    ProblemCode::InvalidQuery,
    ProblemCode::OriginNotAllowed,
    ProblemCode::TooManyHandshakes,
];
const TOKENS: &[ProblemCode] = &[
    ProblemCode::AuthUnavailable,
    ProblemCode::SeveralTokens,
    ProblemCode::TokenExpired,
    ProblemCode::TokenInvalid,
    ProblemCode::TokenMissing,
];
/// What only a stream's query brings.
const TICKETS: &[ProblemCode] = &[ProblemCode::TicketInvalid, ProblemCode::TopicForbidden];
const BODIES: &[ProblemCode] = &[
    ProblemCode::BodyTimeout,
    ProblemCode::BodyTooLarge,
    ProblemCode::InvalidBody,
];

/// An operation that is being described. Its schemas go among the generator's definitions.
pub(in crate::http) struct Operation<'a> {
    generator: &'a mut SchemaGenerator,
    said: Map<String, Value>,
    parameters: Vec<Value>,
    answers: BTreeMap<u16, Value>,
    problems: Vec<ProblemCode>,
}

/// Says of an operation what is its own.
pub(in crate::http) type Describe = fn(Operation<'_>) -> Operation<'_>;

impl<'a> Operation<'a> {
    pub(super) fn new(generator: &'a mut SchemaGenerator) -> Self {
        Self {
            generator,
            said: Map::new(),
            parameters: Vec::new(),
            answers: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// Its name in generated clients, and what it does in a few words.
    pub(in crate::http) fn named(self, id: &str, tag: &str, summary: &str) -> Self {
        self.say("operationId", id)
            .say("tags", json!([tag]))
            .say("summary", summary)
    }

    /// What is to be known besides.
    pub(in crate::http) fn about(self, text: &str) -> Self {
        self.say("description", text)
    }

    fn say(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.said.insert(key.into(), value.into());
        self
    }

    /// A part of its path.
    pub(in crate::http) fn path<T: JsonSchema>(self, name: &str, about: &str) -> Self {
        self.parameter::<T>("path", name, about)
    }

    /// A header that it reads.
    pub(in crate::http) fn header<T: JsonSchema>(self, name: &str, about: &str) -> Self {
        self.parameter::<T>("header", name, about)
    }

    fn parameter<T: JsonSchema>(mut self, place: &str, name: &str, about: &str) -> Self {
        let schema = self.generator.subschema_for::<T>();
        let required = place == "path";
        self.parameters
            .push(json!({ "name": name, "in": place, "required": required, "description": about, "schema": schema }));
        self
    }

    /// Its query: the very type that the handler reads, none of whose parameters has to be there.
    pub(in crate::http) fn query<T: JsonSchema>(mut self) -> Self {
        let schema = T::json_schema(self.generator);
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let mut schema = property.clone();
            let about = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"))
                .unwrap_or_default();
            self.parameters
                .push(json!({ "name": name, "in": "query", "description": about, "schema": schema }));
        }
        self
    }

    /// Its body, which may be left out.
    pub(in crate::http) fn body<T: JsonSchema>(mut self, about: &str) -> Self {
        let schema = self.generator.subschema_for::<T>();
        self.problems.extend_from_slice(BODIES);
        self.say(
            "requestBody",
            json!({ "description": about, "content": { "application/json": { "schema": schema } } }),
        )
    }

    /// An answer of JSON.
    pub(in crate::http) fn answer<T: JsonSchema>(mut self, status: StatusCode, about: &str) -> Self {
        let schema = self.generator.subschema_for::<T>();
        self.answers.insert(
            status.as_u16(),
            json!({ "description": about, "content": { "application/json": { "schema": schema } } }),
        );
        self
    }

    /// An answer of another media type.
    pub(in crate::http) fn answer_of(
        mut self,
        status: StatusCode,
        media: &str,
        schema: Value,
        about: &str,
    ) -> Self {
        self.answers.insert(
            status.as_u16(),
            json!({ "description": about, "content": { media: { "schema": schema } } }),
        );
        self
    }

    /// An answer without a body.
    pub(in crate::http) fn empty(mut self, status: StatusCode, about: &str) -> Self {
        self.answers
            .insert(status.as_u16(), json!({ "description": about }));
        self
    }

    /// Headers of its good answer.
    pub(in crate::http) fn answer_header(mut self, status: StatusCode, name: &str, about: &str) -> Self {
        if let Some(answer) = self
            .answers
            .get_mut(&status.as_u16())
            .and_then(Value::as_object_mut)
        {
            let headers = answer.entry("headers").or_insert_with(|| json!({}));
            headers[name] = json!({ "description": about, "schema": { "type": "string" } });
        }
        self
    }

    /// Problems of its own; those that others have as well come by themselves.
    pub(in crate::http) fn problems(mut self, codes: &[ProblemCode]) -> Self {
        self.problems.extend_from_slice(codes);
        self
    }

    /// The document's part, without what only the client port has.
    pub(super) fn finish_plain(mut self) -> Value {
        self.problems.sort_by_key(|code| code.as_str());
        self.problems.dedup();
        let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
        for code in &self.problems {
            for status in code.statuses() {
                by_status.entry(*status).or_default().push(*code);
            }
        }
        for (status, codes) in by_status {
            let answer = problem(self.generator, status, &codes);
            self.answers.insert(status, answer);
        }
        if !self.parameters.is_empty() {
            self.said.insert("parameters".into(), self.parameters.into());
        }
        let answers: Map<String, Value> = self
            .answers
            .into_iter()
            .map(|(status, answer)| (status.to_string(), answer))
            .collect();
        self.said.insert("responses".into(), answers.into());
        self.said.into()
    }

    /// The document's part, with what the front and the table of needs add.
    pub(super) fn finish(mut self, method: &Method, path: &str) -> Value {
        let need = need(method, path);
        self.problems.extend_from_slice(EVERYWHERE);
        let is_handshake = path == "/api/ws";
        if need == Need::Stream {
            self.problems.extend_from_slice(STREAMS);
        } else {
            self.problems.push(ProblemCode::TooManyRequests);
            if *method != Method::GET {
                self.problems.push(ProblemCode::OriginNotAllowed);
            }
        }
        if matches!(need, Need::Scope(_) | Need::Token) || (need == Need::Stream && !is_handshake) {
            self.problems.extend_from_slice(TOKENS);
        }
        if need == Need::Stream && !is_handshake {
            self.problems.extend_from_slice(TICKETS);
        }
        let security = match need {
            Need::Nothing => json!([]),
            Need::Stream => json!([{ "bearer": [] }, { "ticket": [] }]),
            Need::Token => json!([{ "bearer": [] }]),
            Need::Scope(scope) => {
                self.problems.push(ProblemCode::ScopeMissing);
                json!([{ "bearer": [scope.as_str()] }])
            }
        };
        self.say("security", security).finish_plain()
    }
}

/// The answer with this status: one of these codes.
fn problem(generator: &mut SchemaGenerator, status: u16, codes: &[ProblemCode]) -> Value {
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let shape = generator.subschema_for::<Problem>();
    let mut code = generator.subschema_for::<ProblemCode>();
    code.insert("enum".into(), json!(words));
    let schema = json!({
        "allOf": [shape],
        "properties": { "status": { "const": status }, "code": code }
    });
    let about = words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut answer = json!({ "description": about, "content": { MEDIA_TYPE: { "schema": schema } } });
    let header = |about: &str, schema: Value| json!({ "description": about, "schema": schema });
    let mut headers = Map::new();
    if matches!(status, 429 | 503) {
        let about = "Seconds after which to come back.";
        headers.insert(
            "Retry-After".into(),
            header(about, json!({ "type": "integer", "minimum": 1 })),
        );
    }
    if status == 401 {
        let about = "A challenge of scheme Bearer.";
        headers.insert(
            "WWW-Authenticate".into(),
            header(about, json!({ "type": "string" })),
        );
    }
    if !headers.is_empty() {
        answer["headers"] = headers.into();
    }
    answer
}
