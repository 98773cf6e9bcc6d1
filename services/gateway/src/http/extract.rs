//! Parts of a request, refused with problem documents.

use super::{Gateway, error::ApiError};
use crate::front::{Backlog, Visitor};
use axum::{
    body::{Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, Uri, request::Parts},
};
use oddswire_protocol::{RunId, problem::ProblemCode};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::time::timeout;

/// A query.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        query(&parts.uri).map(Self)
    }
}

/// The query of an address.
///
/// # Errors
/// What is wrong with it, by the parameter's name.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|rejection| {
            let text = rejection.body_text();
            // The library quotes the name, in words that are about a struct of ours.
            let twice = text
                .split_once("duplicate field `")
                .and_then(|(_, rest)| rest.split_once('`'));
            ApiError::bad_query(match twice {
                Some((name, _)) => format!("{name} is given more than once: give it once"),
                None => text,
            })
        })
}

/// The run that a path names.
pub(super) struct RunPath(pub(super) RunId);

impl<S: Send + Sync> FromRequestParts<S> for RunPath {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(ApiError::unknown_run("?"));
        };
        text.parse().map(Self).map_err(|_| ApiError::unknown_run(&text))
    }
}

/// A place among the answers that are read from the bus, until the last byte of this one is gone.
pub(super) struct Reading;

impl FromRequestParts<Gateway> for Reading {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, ApiError> {
        let visitor = parts.extensions.get::<Visitor>();
        let place = gateway.front.begin_answer(visitor)?;
        if let Some(backlog) = parts.extensions.get::<Arc<Backlog>>() {
            backlog.keep(place);
        }
        Ok(Self)
    }
}

const BODY_MAX_BYTES: u64 = super::BODY_MAX_BYTES as u64;

/// A body of JSON; an empty one is the default. It counts as what it says it is, whether or not it comes.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned + Default> FromRequest<Gateway> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, ApiError> {
        let size = request.body().size_hint().upper();
        let size = size.map_or(BODY_MAX_BYTES, |size| size.min(BODY_MAX_BYTES));
        let _held = gateway.front.hold_body(size)?;
        let within = gateway.front.body_within();
        let bytes = timeout(within, Bytes::from_request(request, gateway))
            .await
            .map_err(|_| {
                let detail = format!("the body did not come within {} ms", within.as_millis());
                ApiError::new(ProblemCode::BodyTimeout, detail)
            })?
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    let detail = format!("a body has at most {} bytes", super::BODY_MAX_BYTES);
                    ApiError::new(ProblemCode::BodyTooLarge, detail)
                }
                _ => ApiError::invalid_body(rejection.body_text()),
            })?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::invalid_body(error.to_string()))
    }
}
