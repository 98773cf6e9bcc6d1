//! A source's site: its client, its host and its manners.

use super::{
    Budget, Error, FetchOptions, Fetched, Page, Request, guard,
    host::{Host, Turn},
    memory::{Memory, Validator},
    retry::{self, jitter},
    robots::{self, Answer},
};
use crate::source::{Retry, Source};
use bytes::{Bytes, BytesMut};
use oddswire_protocol::{SourceKey, Timestamp};
use reqwest::{
    Client, Proxy, Response, StatusCode,
    header::{LOCATION, RETRY_AFTER},
    redirect,
};
use robotxt::Robots;
use serde_json::Value;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Hears of each failure that is followed by another try, and how long the pause before it is.
type OnRetry<'a> = &'a (dyn Fn(&Error, Duration) + Send + Sync);

/// A source's site: its client, its host and its manners.
#[derive(Debug)]
pub struct Site {
    client: Client,
    source: SourceKey,
    pub(super) base_url: Url,
    pub(super) host: Arc<Host>,
    memory: Arc<Memory>,
    /// Whether addresses of any kind may be reached, or a proxy decides.
    unguarded: bool,
    /// The name that robots.txt is read under, if it is.
    agent: Option<String>,
    conditional: bool,
    max_redirects: u32,
    timeout: Duration,
    max_body: usize,
    retry: Retry,
}

/// A request on its way, redirects followed so far.
struct Hop<'a> {
    post: bool,
    url: Url,
    json: Option<&'a Value>,
    missing_on: &'a BTreeSet<u16>,
    /// The question whether the page has changed, and the page that it is about.
    recalled: Option<(Validator, Page)>,
}

/// How much of a body is taken.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// All, and more than that is an error.
    All(usize),
    /// The beginning.
    Beginning(usize),
}

/// What a host says to one request.
enum Said {
    Done(Fetched),
    Elsewhere { url: Url, keep_method: bool },
}

impl Site {
    pub(super) fn new(
        source: &Source,
        host: Arc<Host>,
        memory: Arc<Memory>,
        options: &FetchOptions,
    ) -> Result<Self, Error> {
        let http = &source.http;
        let user_agent = http.user_agent.clone().unwrap_or_else(|| options.user_agent());
        let agent = String::from_utf8_lossy(user_agent.as_bytes());
        let agent = source.obey_robots.then(|| robots::product_token(&agent));
        let client = Client::builder()
            .user_agent(user_agent)
            .default_headers(http.headers.clone())
            .connect_timeout(http.connect_timeout)
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        let proxy = options.proxy.as_ref().filter(|_| !source.allow_private);
        let unguarded = source.allow_private || options.allow_private;
        let client = match proxy {
            Some(proxy) => Proxy::all(proxy.clone()).map(|proxy| client.proxy(proxy)),
            None if unguarded => Ok(client),
            None => Ok(client.dns_resolver(guard::Guard)),
        };
        let client = client.and_then(reqwest::ClientBuilder::build);
        Ok(Self {
            client: client.map_err(|error| Error::Client(error.to_string()))?,
            source: source.key.clone(),
            base_url: source.base_url.clone(),
            host,
            memory,
            unguarded,
            agent,
            conditional: http.conditional,
            max_redirects: http.max_redirects,
            timeout: http.timeout,
            max_body: http.max_body,
            retry: source.retry.clone(),
        })
    }

    /// Asks for a page until it comes, the tries are used up, or another try makes no sense. `on_retry` hears of each
    /// failure that is followed by another try, and how long the pause before it is.
    ///
    /// # Errors
    /// The last failure; [`Error::Cancelled`] as soon as `cancel` is cancelled, and [`Error::OutOfTime`] as soon as
    /// the run's time is up.
    ///
    /// # Cancel safety
    /// Dropping it drops the request.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        budget: &Budget,
        cancel: &CancellationToken,
        on_retry: OnRetry<'_>,
    ) -> Result<Fetched, Error> {
        let work = async {
            budget.page()?;
            let robots = self.robots(on_retry).await?;
            let bound = Bound::All(self.max_body);
            self.tries(request, robots.as_deref(), bound, on_retry).await
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            error = budget.end() => Err(error),
            result = work => result,
        }
    }

    /// What robots.txt allows; `None` when the source does not ask.
    async fn robots(&self, on_retry: OnRetry<'_>) -> Result<Option<Arc<Robots>>, Error> {
        let Some(agent) = &self.agent else {
            return Ok(None);
        };
        let mut read = false;
        let ask = async {
            read = true;
            self.ask_for_robots(on_retry).await
        };
        let rules = self.host.robots.rules(agent, ask).await;
        if read {
            self.host.crawl_delay(self.host.robots.crawl_delay().await);
        }
        rules.map(Some).map_err(|error| match error {
            Error::Private { .. } => error,
            cause => Error::RobotsUnknown {
                host: origin(&self.base_url),
                cause: Box::new(cause),
            },
        })
    }

    async fn ask_for_robots(&self, on_retry: OnRetry<'_>) -> Answer {
        let mut url = self.base_url.clone();
        url.set_path("/robots.txt");
        let request = Request {
            post: false,
            url,
            json: None,
            missing_on: BTreeSet::new(),
        };
        let bound = Bound::Beginning(robots::MAX_BYTES);
        match self.tries(&request, None, bound, on_retry).await {
            Ok(Fetched::Page(page)) => Answer::File(page.body.to_vec()),
            Ok(Fetched::Missing) => Answer::Absent,
            Err(error) => Answer::of(error),
        }
    }

    async fn tries(
        &self,
        request: &Request,
        robots: Option<&Robots>,
        bound: Bound,
        on_retry: OnRetry<'_>,
    ) -> Result<Fetched, Error> {
        let mut attempt = 1;
        loop {
            let error = match self.try_once(request, robots, bound, on_retry).await {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let Some(pause) = self.retry.pause(attempt, &error, jitter()) else {
                return Err(error);
            };
            if error.retry_after().is_some() && self.retry.respect_retry_after {
                self.host.pause(pause);
            }
            on_retry(&error, pause);
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// Asks once, and goes where the host says.
    async fn try_once(
        &self,
        request: &Request,
        robots: Option<&Robots>,
        bound: Bound,
        on_retry: OnRetry<'_>,
    ) -> Result<Fetched, Error> {
        let conditional = self.conditional && !request.post && matches!(bound, Bound::All(_));
        let recalled = conditional
            .then(|| self.memory.recall(&self.source, request.url.as_str()))
            .flatten();
        let mut hop = Hop {
            post: request.post,
            url: request.url.clone(),
            json: request.json.as_ref(),
            missing_on: &request.missing_on,
            recalled,
        };
        let mut redirects = 0;
        loop {
            self.check(&hop.url, robots)?;
            let turn = self.host.turn(on_retry).await?;
            let said = self.ask(&hop, &turn, bound, redirects < self.max_redirects).await;
            turn.end(said.as_ref().err());
            match said? {
                Said::Done(fetched) => {
                    if let (Fetched::Page(page), 0, true) = (&fetched, redirects, conditional) {
                        self.memory.keep(&self.source, request.url.as_str(), page);
                    }
                    return Ok(fetched);
                }
                Said::Elsewhere { url, keep_method } => {
                    redirects += 1;
                    hop = Hop {
                        post: hop.post && keep_method,
                        json: hop.json.filter(|_| keep_method),
                        url,
                        recalled: None,
                        ..hop
                    };
                }
            }
        }
    }

    fn check(&self, url: &Url, robots: Option<&Robots>) -> Result<(), Error> {
        if url.origin() != self.base_url.origin() {
            return Err(Error::OtherHost);
        }
        if !self.unguarded {
            guard::check_literal(url).map_err(|refused| Error::Private {
                place: place(url),
                reason: refused.to_string(),
            })?;
        }
        match robots {
            Some(robots) if !robots.is_url_allowed(url) => Err(Error::Robots { place: place(url) }),
            _ => Ok(()),
        }
    }

    async fn ask(
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
            return Ok(Said::Done(Fetched::Page(page.clone())));
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
        Ok(Said::Done(Fetched::Page(Page { headers, body })))
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
    match status {
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { place, retry_after },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
            Error::Refused {
                place,
                status: status.as_u16(),
            }
        }
        _ => Error::Status {
            place,
            status: status.as_u16(),
            retry_after,
        },
    }
}

/// Scheme, host and port of a URL, the same whether the port is written or not.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The URL without its query, which may hold what nobody but the site should see.
fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Only a redirect can have brought a user. It fails for URLs without a host alone.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}
