//! Asks for the pages of a step and has their rows taken out.

use super::{Fault, Meter, Walk, WalkError};
use crate::{
    extract::{self, EventRows, Listing, Onward},
    fetch::{self, Fetched, Page, Request},
    source::{Paginate, Source, Step, Vars, climbs},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};
use tokio::sync::Semaphore;
use url::Url;

/// Pages are taken apart on as many threads as there are cores, whichever run they belong to: more would be no quicker,
/// and each thread keeps memory of its own for what a large page needs.
static CORES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// What came of a page. `page` is its name where it shows the same events each time, as pages of a moving list do not.
#[derive(Debug)]
pub(super) enum Read<T> {
    /// Rows.
    Rows { page: Option<Arc<str>>, rows: T },
    /// The site says that it is gone.
    Gone { page: Option<Arc<str>> },
    /// Nothing.
    Failed { page: Option<Arc<str>>, fault: Fault },
}

/// The rows of a page, of either kind.
pub(super) trait Rows: Send + 'static {
    /// Rows on the page, good and bad.
    fn count(&self) -> usize;
    /// Bad ones among them.
    fn bad(&self) -> usize;
    /// Events among them.
    fn events(&self) -> usize;
    /// Where the list goes on.
    fn onward(&self) -> &Onward;
}

impl Rows for Listing {
    fn count(&self) -> usize {
        self.count
    }
    fn bad(&self) -> usize {
        self.missing.len()
    }
    fn events(&self) -> usize {
        0
    }
    fn onward(&self) -> &Onward {
        &self.onward
    }
}

impl Rows for EventRows {
    fn count(&self) -> usize {
        self.events.len() + self.missing.len()
    }
    fn bad(&self) -> usize {
        self.missing.len()
    }
    fn events(&self) -> usize {
        self.events.len()
    }
    fn onward(&self) -> &Onward {
        &self.onward
    }
}

/// How rows are taken out of a page.
pub(super) type Extract<T> = fn(&Source, &Step, &Page, &Vars) -> Result<T, extract::Error>;

/// A step that is being read.
pub(super) struct Reader<'a, T> {
    pub(super) walk: &'a Walk,
    index: usize,
    pub(super) step: &'a Step,
    extract: Extract<T>,
    pub(super) meter: &'a Meter<'a>,
}

impl Walk {
    /// Reads all pages of the step at `index` for all items, some at once, in no order.
    pub(super) async fn read_step<T: Rows>(
        &self,
        index: usize,
        items: Vec<Vars>,
        extract: Extract<T>,
        meter: &Meter<'_>,
    ) -> Result<Vec<Read<T>>, WalkError> {
        let step = &self.source.steps[index];
        meter.expect(items.len(), step.paginate.is_some());
        let reader = Reader {
            walk: self,
            index,
            step,
            extract,
            meter,
        };
        let reads: Vec<Vec<Read<T>>> = stream::iter(items)
            .map(|vars| reader.item(vars))
            .buffer_unordered(self.at_once())
            .try_collect()
            .await?;
        Ok(reads.into_iter().flatten().collect())
    }

    /// Requests in flight are bounded by the site; this bounds what waits for that.
    pub(super) fn at_once(&self) -> usize {
        self.source.limits.concurrency as usize
    }
}

impl<T: Rows> Reader<'_, T> {
    async fn item(&self, vars: Vars) -> Result<Vec<Read<T>>, WalkError> {
        match &self.step.paginate {
            None => Ok(vec![self.page(Ask::new(vars), true).await?]),
            Some(paginate) => self.list(vars, paginate).await,
        }
    }

    /// Reads a page. `lasting` tells whether it shows the same events each time.
    pub(super) async fn page(&self, ask: Ask, lasting: bool) -> Result<Read<T>, WalkError> {
        let read = self.read(ask, lasting).await?;
        if let Read::Rows { rows, .. } = &read {
            self.walk.observer.found_events(rows.events() as u64);
        }
        self.walk.observer.advance(1);
        Ok(read)
    }

    async fn read(&self, ask: Ask, lasting: bool) -> Result<Read<T>, WalkError> {
        let request = match request(&self.walk.source, self.step, &ask) {
            Ok(request) => request,
            Err(fault) => return Ok(self.lost(fault, None)),
        };
        let page = lasting.then(|| name(&request));
        let on_retry = |error: &fetch::Error, pause| {
            let fault = Fault::fetching(&self.step.id, error, Some(pause));
            self.walk.observer.fault(fault);
        };
        let Walk {
            way, budget, cancel, ..
        } = self.walk;
        let body = match way.fetch(&request, budget, cancel, &on_retry).await {
            Ok(Fetched::Page(body)) => body,
            Ok(Fetched::Missing) => return Ok(Read::Gone { page }),
            Err(fetch::Error::Cancelled) => return Err(WalkError::Cancelled),
            Err(error) => return Ok(self.lost(Fault::fetching(&self.step.id, &error, None), page)),
        };
        let bytes = body.body.len();
        match self.rows(body, ask.vars).await? {
            Ok(rows) => {
                let (all, bad) = (rows.count() as u64, rows.bad() as u64);
                self.walk.observer.page(&self.step.id, bytes as u64, all, bad);
                Ok(Read::Rows { page, rows })
            }
            Err(error) => {
                way.forget(&request);
                let fault = Fault::extracting(&self.step.id, request.url.path(), &error);
                Ok(self.lost(fault, page))
            }
        }
    }

    /// Takes the rows out on a thread that may be busy for a while: a page of some megabytes takes its time.
    async fn rows(&self, page: Page, vars: Vars) -> Result<Result<T, extract::Error>, WalkError> {
        let (source, index, extract) = (Arc::clone(&self.walk.source), self.index, self.extract);
        let _core = CORES.acquire().await.expect("the semaphore is never closed");
        let task = tokio::task::spawn_blocking(move || extract(&source, &source.steps[index], &page, &vars));
        match task.await {
            Ok(result) => Ok(result),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(WalkError::Cancelled),
            },
        }
    }

    pub(super) fn endless(&self, paginate: &Paginate) -> Read<T> {
        let what = format!(
            "step {:?}: more than max_pages = {} pages",
            self.step.id, paginate.max_pages
        );
        self.lost(Fault::drift(what), None)
    }

    pub(super) fn lost(&self, fault: Fault, page: Option<Arc<str>>) -> Read<T> {
        self.walk.observer.fault(fault.clone());
        Read::Failed { page, fault }
    }
}

/// What is asked for.
pub(crate) struct Ask {
    /// The values of its variables.
    pub(crate) vars: Vars,
    /// Where the page before says that the list goes on; none: where the step says.
    pub(crate) url: Option<Url>,
}

impl Ask {
    /// What the step says.
    pub(crate) fn new(vars: Vars) -> Self {
        Self { vars, url: None }
    }
}

/// The request of a step.
pub(crate) fn request(source: &Source, step: &Step, ask: &Ask) -> Result<Request, Fault> {
    let rule = &step.request;
    let base = source.base_url.as_str().trim_end_matches('/');
    let url = if let Some(url) = &ask.url {
        url.clone()
    } else {
        let told = |why: &str| Fault::drift(format!("step {:?}: no URL comes of it: {why}", step.id));
        let text = rule.url.url(&ask.vars);
        if climbs(&text) {
            return Err(told("a value is `.` or `..`, which means another page"));
        }
        Url::parse(&format!("{base}{text}")).map_err(|error| told(&error.to_string()))?
    };
    Ok(Request {
        post: rule.post,
        url,
        json: rule.json.as_ref().map(|json| json.render(&ask.vars)),
        missing_on: step.missing_on.clone(),
    })
}

/// What the page of a step for these values is remembered by; `None` when it has no address.
pub(super) fn name_of(source: &Source, step: &Step, vars: &Vars) -> Option<Arc<str>> {
    let request = request(source, step, &Ask::new(vars.clone())).ok()?;
    Some(name(&request))
}

/// What a request is remembered by.
fn name(request: &Request) -> Arc<str> {
    match &request.json {
        Some(json) => format!("{} {json}", request.url).into(),
        None => request.url.as_str().into(),
    }
}
