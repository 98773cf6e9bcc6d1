//! Asks for the pages of a step and has their rows taken out.

use super::{Fault, Meter, Walk, WalkError};
use crate::{
    extract::{self, EventRows, Listing},
    fetch::{self, Fetched, Page, Request},
    source::{Paginate, Source, Step, Until, Vars},
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
    /// Events among them.
    fn events(&self) -> usize;
    /// Pages of the list, where the page tells.
    fn total_pages(&self) -> Option<u32>;
}

impl Rows for Listing {
    fn count(&self) -> usize {
        self.count
    }
    fn events(&self) -> usize {
        0
    }
    fn total_pages(&self) -> Option<u32> {
        self.total_pages
    }
}

impl Rows for EventRows {
    fn count(&self) -> usize {
        self.events.len() + self.missing.len()
    }
    fn events(&self) -> usize {
        self.events.len()
    }
    fn total_pages(&self) -> Option<u32> {
        self.total_pages
    }
}

/// How rows are taken out of a page.
pub(super) type Extract<T> = fn(&Source, &Step, &Page, &Vars) -> Result<T, extract::Error>;

/// A step that is being read.
struct Reader<'a, T> {
    walk: &'a Walk,
    index: usize,
    step: &'a Step,
    extract: Extract<T>,
    meter: &'a Meter<'a>,
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
    fn at_once(&self) -> usize {
        self.source.limits.concurrency as usize
    }
}

impl<T: Rows> Reader<'_, T> {
    async fn item(&self, vars: Vars) -> Result<Vec<Read<T>>, WalkError> {
        match &self.step.paginate {
            None => Ok(vec![self.page(vars, true).await?]),
            Some(paginate) => match paginate.until {
                Until::Empty => self.until_empty(vars, paginate).await,
                Until::TotalPages(_) => self.until_total(vars, paginate).await,
            },
        }
    }

    async fn until_empty(&self, vars: Vars, paginate: &Paginate) -> Result<Vec<Read<T>>, WalkError> {
        let mut reads = Vec::new();
        for number in 0..paginate.max_pages {
            let read = self.page(numbered(&vars, paginate, number), false).await?;
            let go_on = matches!(&read, Read::Rows { rows, .. } if rows.count() > 0);
            reads.push(read);
            if !go_on {
                self.meter.list_has(reads.len() as u64);
                return Ok(reads);
            }
        }
        self.meter.list_has(reads.len() as u64);
        reads.push(self.endless(paginate));
        Ok(reads)
    }

    async fn until_total(&self, vars: Vars, paginate: &Paginate) -> Result<Vec<Read<T>>, WalkError> {
        let first = self.page(numbered(&vars, paginate, 0), false).await?;
        let Read::Rows { rows, .. } = &first else {
            self.meter.list_has(1);
            return Ok(vec![first]);
        };
        let Some(total) = rows.total_pages() else {
            self.meter.list_has(1);
            let what = format!("step {:?}: the number of pages is not there", self.step.id);
            return Ok(vec![first, self.lost(Fault::drift(what), None)]);
        };
        let last = total.min(paginate.max_pages);
        self.meter.list_has(u64::from(last.max(1)));
        let pages = stream::iter(1..last).map(|number| self.page(numbered(&vars, paginate, number), false));
        let mut reads: Vec<_> = pages.buffer_unordered(self.walk.at_once()).try_collect().await?;
        reads.push(first);
        if total > paginate.max_pages {
            reads.push(self.endless(paginate));
        }
        Ok(reads)
    }

    async fn page(&self, vars: Vars, lasting: bool) -> Result<Read<T>, WalkError> {
        let read = self.read(vars, lasting).await?;
        if let Read::Rows { rows, .. } = &read {
            self.walk.observer.found_events(rows.events() as u64);
        }
        self.walk.observer.advance(1);
        Ok(read)
    }

    async fn read(&self, vars: Vars, lasting: bool) -> Result<Read<T>, WalkError> {
        let request = match self.request(&vars) {
            Ok(request) => request,
            Err(fault) => return Ok(self.lost(fault, None)),
        };
        let page = lasting.then(|| name(&request));
        let on_retry = |error: &fetch::Error, pause| {
            let fault = Fault::fetching(&self.step.id, error, Some(pause));
            self.walk.observer.fault(fault);
        };
        let Walk {
            site, budget, cancel, ..
        } = self.walk;
        let body = match site.fetch(&request, budget, cancel, &on_retry).await {
            Ok(Fetched::Page(body)) => body,
            Ok(Fetched::Missing) => return Ok(Read::Gone { page }),
            Err(fetch::Error::Cancelled) => return Err(WalkError::Cancelled),
            Err(error) => return Ok(self.lost(Fault::fetching(&self.step.id, &error, None), page)),
        };
        match self.rows(body, vars).await? {
            Ok(rows) => Ok(Read::Rows { page, rows }),
            Err(error) => {
                site.forget(&request);
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

    fn request(&self, vars: &Vars) -> Result<Request, Fault> {
        let rule = &self.step.request;
        let base = self.walk.source.base_url.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{}", rule.url.url(vars)))
            .map_err(|error| Fault::drift(format!("step {:?}: no URL comes of it: {error}", self.step.id)))?;
        Ok(Request {
            post: rule.post,
            url,
            json: rule.json.as_ref().map(|json| json.render(vars)),
            missing_on: self.step.missing_on.clone(),
        })
    }

    fn endless(&self, paginate: &Paginate) -> Read<T> {
        let what = format!(
            "step {:?}: more than max_pages = {} pages",
            self.step.id, paginate.max_pages
        );
        self.lost(Fault::drift(what), None)
    }

    fn lost(&self, fault: Fault, page: Option<Arc<str>>) -> Read<T> {
        self.walk.observer.fault(fault.clone());
        Read::Failed { page, fault }
    }
}

/// The variables of one page of a list.
fn numbered(vars: &Vars, paginate: &Paginate, number: u32) -> Vars {
    let mut vars = vars.clone();
    vars.insert(
        "page".to_owned(),
        paginate.start.saturating_add(number).to_string(),
    );
    vars.insert("size".to_owned(), paginate.size.to_string());
    vars
}

/// What a request is remembered by.
fn name(request: &Request) -> Arc<str> {
    match &request.json {
        Some(json) => format!("{} {json}", request.url).into(),
        None => request.url.as_str().into(),
    }
}
