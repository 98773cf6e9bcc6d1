//! One request on the wire and what the host says to it.

use super::{Site, place};
use crate::fetch::{Error, Fetched, Page, host::Turn, memory::Validator, retry};
use bytes::{Bytes, BytesMut};
use oddswire_protocol::Timestamp;
use reqwest::{
    Response, StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use serde_json::Value;
use std::collections::BTreeSet;
use tokio::time::Instant;
use url::Url;

/// A request on its way, redirects followed so far.
pub(super) struct Hop<'a> {
    pub(super) post: bool,
    pub(super) url: Url,
    pub(super) json: Option<&'a Value>,
    pub(super) missing_on: &'a BTreeSet<u16>,
    /// The question whether the page has changed, and the page that it is about.
    pub(super) recalled: Option<(Validator, Page)>,
}

/// How much of a body is taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// All, and more than that is an error.
    All(usize),
    /// The beginning.
    Beginning(usize),
}

/// What a host says to one request.
pub(super) enum Said {
    Done(Fetched),
    /// The page that is known is still the one.
    Unchanged(Page),
    Elsewhere {
        url: Url,
        keep_method: bool,
    },
}

impl Said {
    /// What it is counted as.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Done(Fetched::Page(_)) => "success",
            Self::Done(Fetched::Missing) => "missing",
            Self::Unchanged(_) => "unchanged",
            Self::Elsewhere { .. } => "redirect",
        }
    }
}

impl Site {
    /// Asks, and reads what is to be read.
    pub(super) async fn ask(
        &self,
        hop: &Hop<'_>,
        turn: &Turn<'_>,
        bound: Bound,
        may_follow: bool,
    ) -> Result<Said, Error> {
        let mut request = match (hop.json, hop.post) {
            (Some(json), _) => self.client.post(hop.url.clone()).json(json),
            (None, true) => self.client.post(hop.url.clone()),
            (None, false) => self.client.get(hop.url.clone()),
        };
        if let Some(((name, value), _)) = &hop.recalled {
            request = request.header(name, value);
        }
        let place = place(&hop.url);
        let started = Instant::now();
        let response = match request.timeout(self.timeout).send().await {
            Ok(response) => response,
            Err(error) => {
                if error.is_timeout() {
                    turn.took(started.elapsed(), false);
                }
                return Err(Error::transport(error, &place, self.timeout));
            }
        };
        let status = response.status();
        let unchanged = hop
            .recalled
            .as_ref()
            .filter(|_| status == StatusCode::NOT_MODIFIED);
        turn.took(started.elapsed(), status.is_success() || unchanged.is_some());
        if let Some((_, page)) = unchanged {
            return Ok(Said::Unchanged(page.clone()));
        }
        if hop.missing_on.contains(&status.as_u16()) {
            return Ok(Said::Done(Fetched::Missing));
        }
        if may_follow && let Some(elsewhere) = self.elsewhere(&response) {
            return Ok(elsewhere);
        }
        if !status.is_success() {
            return Err(refusal(&response, place));
        }
        let headers = response.headers().clone();
        let body = self.body(response, &place, bound).await?;
        Ok(Said::Done(Fetched::Page(Page {
            status: status.as_u16(),
            headers,
            body,
        })))
    }

    /// Where a redirect leads, if that is on this host.
    fn elsewhere(&self, response: &Response) -> Option<Said> {
        let keep_method = match response.status() {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => false,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
            _ => return None,
        };
        let location = response.headers().get(LOCATION)?.to_str().ok()?;
        let url = response.url().join(location).ok()?;
        (url.origin() == self.base_url.origin()).then_some(Said::Elsewhere { url, keep_method })
    }

    async fn body(&self, mut response: Response, place: &str, bound: Bound) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        let transport = |error| Error::transport(error, place, self.timeout);
        let (Bound::All(limit_bytes) | Bound::Beginning(limit_bytes)) = bound;
        // Chunks are small and already decompressed, so that of a bomb no more than the limit is ever unpacked.
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            let room = limit_bytes - body.len();
            if chunk.len() > room && matches!(bound, Bound::All(_)) {
                let place = place.to_owned();
                return Err(Error::TooLarge { place, limit_bytes });
            }
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                break;
            }
        }
        Ok(body.freeze())
    }
}

fn refusal(response: &Response, place: String) -> Error {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry::retry_after(text, Timestamp::now()));
    Error::of_status(place, status.as_u16(), retry_after)
}
