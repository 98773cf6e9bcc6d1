//! Answers that are made while they are sent.

use super::{Gateway, error::ApiError};
use crate::listing::{Listing, Part};
use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use oddswire_kit::log::ReadError;

/// A list, read from the bus page by page as its client takes it. A read that fails before the first part is a problem
/// document; one that fails later cuts the answer off, whose client sees that its end is missing.
pub(super) async fn listing(gateway: &Gateway, mut list: impl Listing) -> Result<Response, ApiError> {
    let first = list.next().await?;
    if first.is_last {
        return Ok(json(first.bytes));
    }
    if gateway.front.trial().whole_answers {
        return whole(first, list).await;
    }
    let sending = Sending {
        list,
        ready: Some(first),
        is_over: false,
    };
    Ok(json(Body::from_stream(stream::unfold(sending, Sending::next))))
}

/// A list that is being sent.
struct Sending<L> {
    list: L,
    ready: Option<Part>,
    is_over: bool,
}

impl<L: Listing> Sending<L> {
    async fn next(mut self) -> Option<(Result<Bytes, ReadError>, Self)> {
        if self.is_over {
            return None;
        }
        let part = match self.ready.take() {
            Some(part) => Ok(part),
            None => self.list.next().await,
        };
        self.is_over = part.as_ref().map_or(true, |part| part.is_last);
        if let Err(error) = &part {
            tracing::warn!(%error, "an answer is cut off: the bus cannot be read any more");
        }
        Some((part.map(|part| part.bytes), self))
    }
}

/// All of it at once, as nobody should.
async fn whole(first: Part, mut list: impl Listing) -> Result<Response, ApiError> {
    let mut all = first.bytes.to_vec();
    loop {
        let part = list.next().await?;
        all.extend_from_slice(&part.bytes);
        if part.is_last {
            return Ok(json(all));
        }
    }
}

/// An answer of JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body.into()).into_response()
}
