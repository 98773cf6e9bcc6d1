//! Answers in small pieces, each of them counted until its client has it.

use crate::front::{Backlog, PIECE_BYTES};
use axum::body::{Body, Bytes, HttpBody};
use hyper::{
    Response,
    body::{Frame, SizeHint},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// The same answer in pieces.
pub(super) fn in_pieces(response: Response<Body>, backlog: Arc<Backlog>) -> Response<Body> {
    response.map(|body| {
        Body::new(Pieces {
            body,
            rest: Bytes::new(),
            backlog,
        })
    })
}

struct Pieces {
    body: Body,
    /// What was taken of the body and is no piece yet.
    rest: Bytes,
    backlog: Arc<Backlog>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)?).map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Ok(data)) => self.rest = data,
                Some(Err(trailers)) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let count = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(count);
        Poll::Ready(Some(Ok(Frame::data(self.backlog.hold(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() {
            self.body.size_hint()
        } else {
            SizeHint::default()
        }
    }
}
