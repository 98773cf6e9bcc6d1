//! Asks sites for pages, politely: a bounded number of requests at once for each source, a bounded rate for each host
//! whoever asks it, pauses that the site asks for, and another try only where it makes sense.
//!
//! Requests stay on the host of the source's base URL, redirects included.

mod error;
mod host;
mod retry;

pub use error::Error;

use crate::source::{Retry, Source};
use bytes::{Bytes, BytesMut};
use host::Host;
use oddswire_protocol::{SourceKey, Timestamp};
use reqwest::{
    Client, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};
use retry::jitter;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 3;

/// The process's one way to sites. Cheap to clone; all clones share the limits of hosts.
///
/// The TLS provider must be installed before.
#[derive(Debug, Clone, Default)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// By source, with the key of the definition and the secrets that the site was made for.
    sites: Mutex<HashMap<SourceKey, (u64, Arc<Site>)>>,
}

impl Fetcher {
    /// A fetcher that has asked nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The site of a source. The same definition gives the same site, so that its limits and connections outlive
    /// a run; runs that know the old definition keep the old one.
    ///
    /// # Errors
    /// [`Error::Client`] when the HTTP client cannot be made, for want of a TLS provider for example.
    pub fn site(&self, source: &Source) -> Result<Arc<Site>, Error> {
        let mut sites = lock(&self.shared.sites);
        if let Some((key, site)) = sites.get(&source.key)
            && *key == source.client_key()
        {
            return Ok(Arc::clone(site));
        }
        let site = Arc::new(Site::new(source, self.host(source))?);
        sites.insert(source.key.clone(), (source.client_key(), Arc::clone(&site)));
        Ok(site)
    }

    fn host(&self, source: &Source) -> Arc<Host> {
        let name = authority(&source.base_url);
        let mut hosts = lock(&self.shared.hosts);
        let host = hosts
            .entry(name)
            .or_insert_with(|| Arc::new(Host::new(source.limits)));
        host.restrict(source.limits);
        Arc::clone(host)
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Whether it is a POST; if not, a GET.
    pub(crate) post: bool,
    /// On the host of the base URL.
    pub(crate) url: Url,
    /// The JSON body.
    pub(crate) json: Option<Value>,
    /// Statuses that say that the page is gone, which is no error.
    pub(crate) missing_on: BTreeSet<u16>,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// A page with a status of success.
    Page(Page),
    /// The site says that there is no such page any more.
    Missing,
}

/// A page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, decompressed.
    pub(crate) body: Bytes,
}

/// A source's site: its client, its limits and its manners.
#[derive(Debug)]
pub struct Site {
    client: Client,
    base_url: Url,
    host: Arc<Host>,
    permits: Semaphore,
    timeout: Duration,
    max_body: usize,
    retry: Retry,
    /// Until then nothing is asked, because the site asked for that.
    paused_until: Mutex<Option<Instant>>,
}

impl Site {
    fn new(source: &Source, host: Arc<Host>) -> Result<Self, Error> {
        let base = source.base_url.clone();
        let http = &source.http;
        let on_host = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS || authority(attempt.url()) != authority(&base) {
                attempt.stop()
            } else {
                attempt.follow()
            }
        });
        let mut client = Client::builder()
            .user_agent(http.user_agent.clone())
            .default_headers(http.headers.clone())
            .connect_timeout(http.connect_timeout)
            .redirect(on_host)
            .referer(false);
        if is_loopback(&source.base_url) {
            // A proxy of the environment has another loopback than we have.
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(|error| Error::Client(error.to_string()))?,
            base_url: source.base_url.clone(),
            host,
            permits: Semaphore::new(source.limits.concurrency as usize),
            timeout: http.timeout,
            max_body: http.max_body,
            retry: source.retry.clone(),
            paused_until: Mutex::new(None),
        })
    }

    /// Asks for a page until it comes, the tries are used up, or another try makes no sense. `on_retry` hears of each
    /// failure that is followed by another try, and how long the pause before it is.
    ///
    /// # Errors
    /// The last failure; [`Error::Cancelled`] as soon as `cancel` is cancelled.
    ///
    /// # Cancel safety
    /// Dropping it drops the request.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        cancel: &CancellationToken,
        on_retry: &(dyn Fn(&Error, Duration) + Send + Sync),
    ) -> Result<Fetched, Error> {
        let tries = async {
            let mut attempt = 1;
            loop {
                let error = match self.try_once(request).await {
                    Ok(fetched) => return Ok(fetched),
                    Err(error) => error,
                };
                let Some(pause) = self.retry.pause(attempt, &error, jitter()) else {
                    return Err(error);
                };
                if error.retry_after().is_some() {
                    self.pause(pause);
                }
                on_retry(&error, pause);
                sleep(pause).await;
                attempt += 1;
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            result = tries => result,
        }
    }

    async fn try_once(&self, request: &Request) -> Result<Fetched, Error> {
        if authority(&request.url) != authority(&self.base_url) {
            return Err(Error::OtherHost);
        }
        let _permit = self
            .permits
            .acquire()
            .await
            .expect("the semaphore is never closed");
        self.wait_for_pause().await;
        self.host.wait().await;
        let place = place(&request.url);
        let request_builder = match (&request.json, request.post) {
            (Some(json), _) => self.client.post(request.url.clone()).json(json),
            (None, true) => self.client.post(request.url.clone()),
            (None, false) => self.client.get(request.url.clone()),
        };
        let transport = |error| Error::transport(error, &place, self.timeout);
        let response = request_builder
            .timeout(self.timeout)
            .send()
            .await
            .map_err(transport)?;
        let status = response.status();
        if request.missing_on.contains(&status.as_u16()) {
            return Ok(Fetched::Missing);
        }
        if !status.is_success() {
            return Err(refusal(&response, place));
        }
        let headers = response.headers().clone();
        let body = self.body(response, &place).await?;
        Ok(Fetched::Page(Page { headers, body }))
    }

    async fn body(&self, mut response: Response, place: &str) -> Result<Bytes, Error> {
        let mut body = BytesMut::new();
        let transport = |error| Error::transport(error, place, self.timeout);
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > self.max_body {
                return Err(Error::TooLarge {
                    place: place.to_owned(),
                    limit_bytes: self.max_body,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused = lock(&self.paused_until);
        *paused = (*paused).max(Some(until));
    }

    async fn wait_for_pause(&self) {
        // A pause may have grown while this waited.
        loop {
            let until = *lock(&self.paused_until);
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
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

/// Host and port of a URL, the same whether the port is written or not.
fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// The URL without its query, which may hold what nobody but the site should see.
fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks, and each value is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
