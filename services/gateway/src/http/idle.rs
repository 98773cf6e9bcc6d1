//! When a connection that carries many requests has none.

use axum::body::{Body, Bytes, HttpBody};
use hyper::Response;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// Counts what is under way on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Idle(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicUsize,
    changed: Notify,
}

impl Idle {
    /// A request begins; it is under way until the last byte of its answer is handed over, or nobody wants it.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.under_way.fetch_add(1, SeqCst);
        self.0.changed.notify_one();
        UnderWay(Arc::clone(&self.0))
    }

    /// Waits until no request was under way for as long as this.
    pub(super) async fn for_as_long_as(&self, limit: Duration) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.under_way.load(SeqCst) > 0 {
                changed.await;
            } else if timeout(limit, changed).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Requests>);

impl UnderWay {
    /// Until the end of the answer.
    pub(super) fn with(self, response: Response<Body>) -> Response<Body> {
        response.map(|body| {
            Body::new(Answer {
                body,
                _under_way: self,
            })
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
        self.0.changed.notify_one();
    }
}

struct Answer {
    body: Body,
    _under_way: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_answer_on() {
        let (idle, began) = (Idle::default(), Instant::now());
        let wait = idle.for_as_long_as(Duration::from_secs(10));
        let ask = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            let answer = idle.begin().with(Response::new(Body::from("x")));
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(answer);
        };
        tokio::join!(wait, ask);
        assert_eq!(began.elapsed(), Duration::from_secs(79));
    }
}
