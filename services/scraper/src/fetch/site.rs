//! A source's site: its client, its host and its manners.

mod ask;

use super::{
    Budget, Error, FetchOptions, Fetched, Request, guard,
    host::Host,
    memory::{Memory, Owner},
    meter::Meter,
    retry::jitter,
    robots::{self, Answer},
};
use crate::source::{Retry, Source};
use ask::{Bound, Hop, Said};
use reqwest::{Client, Proxy, redirect};
use robotxt::Robots;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Hears of each failure that is followed by another try, and how long the pause before it is.
type OnRetry<'a> = &'a (dyn Fn(&Error, Duration) + Send + Sync);

/// A source's site: its client, its host and its manners.
#[derive(Debug)]
pub struct Site {
    client: Client,
    pub(super) base_url: Url,
    pub(super) host: Arc<Host>,
    memory: Arc<Memory>,
    owner: Owner,
    pub(super) meter: Meter,
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

impl Site {
    pub(super) fn new(
        source: &Source,
        host: Arc<Host>,
        memory: Arc<Memory>,
        meter: Meter,
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
            None => Ok(client.dns_resolver(guard::Guard::new(unguarded))),
        };
        let client = client.and_then(reqwest::ClientBuilder::build);
        Ok(Self {
            client: client.map_err(|error| Error::Client(error.to_string()))?,
            base_url: source.base_url.clone(),
            host,
            owner: memory.owner(),
            memory,
            meter,
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
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            error = budget.end() => Err(error),
            result = work => result,
        };
        if let Err(Error::Robots { .. } | Error::RobotsUnknown { .. }) = &result {
            self.meter.robots_refusal();
        }
        result
    }

    /// Takes a page for changed, whatever the site will say: what came was no good.
    pub(crate) fn forget(&self, request: &Request) {
        self.memory.forget(self.owner, request.url.as_str());
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
            // Whether this request is tried again or not, no other one goes out before.
            if let Some(asked) = self.retry.asked(&error) {
                self.host.pause(asked);
            }
            let Some(pause) = self.retry.pause(attempt, &error, jitter()) else {
                return Err(error);
            };
            on_retry(&error, pause);
            sleep(pause).await;
            self.meter.retry(&error);
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
            .then(|| self.memory.recall(self.owner, request.url.as_str()))
            .flatten();
        let mut hop = Hop {
            post: request.post,
            url: without_user(request.url.clone()),
            json: request.json.as_ref(),
            missing_on: &request.missing_on,
            recalled,
        };
        let mut redirects = 0;
        loop {
            self.check(&hop.url, robots)?;
            let turn = self.host.turn(on_retry).await;
            let turn = turn.inspect_err(|_| self.show_host())?;
            let said = self.ask(&hop, &turn, bound, redirects < self.max_redirects).await;
            turn.end(said.as_ref().err());
            self.meter
                .request(said.as_ref().map_or_else(Error::class, Said::class));
            self.show_host();
            match said? {
                Said::Unchanged(page) => {
                    self.meter.unchanged();
                    return Ok(Fetched::Page(page));
                }
                Said::Done(fetched) => {
                    if let Fetched::Page(page) = &fetched {
                        self.meter.body(page.body.len());
                    }
                    if let (Fetched::Page(page), 0, true) = (&fetched, redirects, conditional) {
                        self.memory.keep(self.owner, request.url.as_str(), page);
                    }
                    return Ok(fetched);
                }
                Said::Elsewhere { url, keep_method } => {
                    redirects += 1;
                    hop = Hop {
                        post: hop.post && keep_method,
                        json: hop.json.filter(|_| keep_method),
                        url: without_user(url),
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
}

impl Drop for Site {
    fn drop(&mut self) {
        self.memory.forget_all(self.owner);
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
    without_user(url).into()
}

/// The URL without user and password. Only a page or a redirect can have brought them, and the client would send them
/// in the place of the source's own `Authorization`.
fn without_user(mut url: Url) -> Url {
    // It fails for URLs without a host alone.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url
}
