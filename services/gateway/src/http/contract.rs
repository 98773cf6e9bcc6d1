//! The contract as machines read it: JSON Schemas, `OpenAPI`, `AsyncAPI`. Made from the types and the routes once, when
//! somebody asks first; nobody needs a token for it.

mod asyncapi;
mod openapi;
mod operation;

pub(super) use operation::{Describe, Operation};

use super::{error::ApiError, page};
use axum::{
    Json,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use oddswire_protocol::{
    api::{SchemaAddress, Schemas},
    problem::ProblemCode,
    schema,
};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

pub(super) const SCHEMA_MEDIA_TYPE: &str = "application/schema+json";

/// A text that stays the same as long as this binary.
struct Document {
    media_type: &'static str,
    text: String,
    tag: String,
}

impl Document {
    fn new(media_type: &'static str, text: String) -> Self {
        let tag = page::tag(digest(&SHA256, text.as_bytes()).as_ref());
        Self {
            media_type,
            text,
            tag,
        }
    }

    fn answer(&'static self, asked: &HeaderMap) -> Response {
        let common = [
            (header::CACHE_CONTROL, "no-cache"),
            (header::ETAG, self.tag.as_str()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        if page::has(asked, &self.tag) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        (
            common,
            [(header::CONTENT_TYPE, self.media_type)],
            self.text.as_str(),
        )
            .into_response()
    }
}

static OPENAPI: LazyLock<Document> =
    LazyLock::new(|| Document::new("application/json", pretty(&openapi::document())));
static ASYNCAPI: LazyLock<Document> =
    LazyLock::new(|| Document::new("application/json", pretty(&asyncapi::document())));
static SCHEMAS: LazyLock<BTreeMap<String, Document>> = LazyLock::new(|| {
    let files = schema::files().into_iter();
    files
        .map(|(file, text)| {
            let name = file.trim_end_matches(".json").to_owned();
            (name, Document::new(SCHEMA_MEDIA_TYPE, text))
        })
        .collect()
});

fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

/// The documents as files from the repository's top, with their text: `cargo xtask types` writes them.
pub fn files() -> [(&'static str, String); 2] {
    [
        ("docs/openapi.json", OPENAPI.text.clone()),
        ("docs/asyncapi.json", ASYNCAPI.text.clone()),
    ]
}

pub(super) async fn openapi(asked: HeaderMap) -> Response {
    OPENAPI.answer(&asked)
}

pub(super) async fn asyncapi(asked: HeaderMap) -> Response {
    ASYNCAPI.answer(&asked)
}

pub(super) async fn index() -> Response {
    let schemas = SCHEMAS
        .keys()
        .map(|name| SchemaAddress {
            name: name.clone(),
            url: format!("/api/schemas/{name}"),
        })
        .collect();
    let cache = [(header::CACHE_CONTROL, "no-cache")];
    (cache, Json(Schemas { schemas })).into_response()
}

pub(super) async fn schema(
    name: Result<Path<String>, PathRejection>,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    // A path that is no text names no schema.
    let found = name.ok().and_then(|Path(name)| SCHEMAS.get(&name));
    found.map(|document| document.answer(&asked)).ok_or_else(|| {
        ApiError::new(
            ProblemCode::NotFound,
            "there is no such schema: /api/schemas/ lists all",
        )
    })
}

/// Says of an operation that it answers with a [`Document`].
pub(super) fn cached<'a>(operation: Operation<'a>, media_type: &str, about: &str) -> Operation<'a> {
    operation
        .header::<String>("If-None-Match", "The ETag of what is there already.")
        .answer_of(StatusCode::OK, media_type, json!({ "type": "object" }), about)
        .answer_header(StatusCode::OK, "ETag", "Stays the same as long as the text.")
        .empty(StatusCode::NOT_MODIFIED, "It is what is there already.")
}
