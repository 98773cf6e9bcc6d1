//! Asks sites for pages, politely: one limit of rate and of requests at once for each host, whichever sources ask it;
//! what robots.txt forbids is not asked for; pauses that the site asks for are kept to; another try is made only
//! where it makes sense, and none at a host that is down.
//!
//! Requests stay on the host of the source's base URL, redirects included, and away from private addresses unless
//! the source may reach them.

mod breaker;
mod budget;
mod error;
mod guard;
mod host;
mod memory;
mod meter;
mod options;
mod pace;
mod retry;
mod robots;
mod site;
mod slots;

pub(crate) use budget::Budget;
pub use error::Error;
pub(crate) use meter::FetchMetrics;
pub use options::FetchOptions;
pub use site::Site;

use crate::source::Source;
use bytes::Bytes;
use host::{Host, Manners};
use memory::Memory;
use oddswire_protocol::SourceKey;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use url::Url;

/// The process's one way to sites. Cheap to clone; all clones share the limits of hosts.
///
/// The TLS provider must be installed before.
#[derive(Debug, Clone, Default)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    options: FetchOptions,
    memory: Arc<Memory>,
    metrics: FetchMetrics,
    /// By origin.
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// By source, with the key of the definition and the secrets that the site was made for.
    sites: Mutex<HashMap<SourceKey, (u64, Arc<Site>)>>,
}

impl Fetcher {
    /// A fetcher that has asked nobody yet.
    pub fn new(options: FetchOptions) -> Self {
        Self::counting(options, FetchMetrics::default())
    }

    /// One that counts here what it does.
    pub(crate) fn counting(options: FetchOptions, metrics: FetchMetrics) -> Self {
        Self {
            shared: Arc::new(Shared {
                options,
                metrics,
                ..Shared::default()
            }),
        }
    }

    /// The site of a source. The same definition gives the same site, so that its connections outlive a run; runs
    /// that know the old definition keep the old one.
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
        let manners = Manners {
            limits: source.limits,
            breaker: source.retry.breaker,
        };
        let host = self.host(&source.base_url, manners);
        let memory = Arc::clone(&self.shared.memory);
        let meter = self.shared.metrics.of(&source.key);
        let site = Site::new(source, Arc::clone(&host), memory, meter, &self.shared.options)?;
        if let Some((_, old)) = sites.remove(&source.key)
            && !Arc::ptr_eq(&old.host, &host)
        {
            old.host.leave(&source.key);
        }
        host.join(&source.key, manners);
        let site = Arc::new(site);
        sites.insert(source.key.clone(), (source.client_key(), Arc::clone(&site)));
        Ok(site)
    }

    /// Forgets a source that is no longer defined: its limits no longer hold for its host. Runs that have its site
    /// keep that.
    pub fn forget(&self, source: &SourceKey) {
        if let Some((_, site)) = lock(&self.shared.sites).remove(source) {
            site.host.leave(source);
            self.shared.metrics.forget(source);
        }
    }

    fn host(&self, base_url: &Url, manners: Manners) -> Arc<Host> {
        let origin = site::origin(base_url);
        let mut hosts = lock(&self.shared.hosts);
        let host = hosts
            .entry(origin.clone())
            .or_insert_with(|| Arc::new(Host::new(origin, manners)));
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
    /// The status that it came with; of a page that was called unchanged, the one that it came with at first.
    pub(crate) status: u16,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, decompressed.
    pub(crate) body: Bytes,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks, and each value is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
