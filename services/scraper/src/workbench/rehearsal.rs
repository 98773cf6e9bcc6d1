//! `oddswire source test` and `oddswire source record`: a whole walk, without a bus.

use super::{Error, report, watch::Watch};
use crate::{
    fetch::Fetcher,
    reading::Harvest,
    source::Source,
    tape::{Recorder, Tape},
    walk::{Observer, Walk, WalkError, Way},
};
use oddswire_protocol::progress::Outcome;
use std::{io::Write, path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A walk that publishes nothing.
pub(super) struct Rehearsal {
    pub(super) source: Arc<Source>,
    /// How many problems and events are shown.
    pub(super) limit: usize,
    /// How many pages, or lists of pages, are asked for in each step.
    pub(super) pages: Option<usize>,
    /// The way to the site.
    pub(super) fetcher: Fetcher,
}

impl Rehearsal {
    /// Walks over the site, or over the pages in `from`.
    pub(super) async fn test(
        self,
        from: Option<&Path>,
        out: &mut (dyn Write + Send),
        stop: CancellationToken,
    ) -> Result<u8, Error> {
        let (way, place) = match from {
            Some(dir) => {
                let tape = Tape::open(dir).map_err(|error| Error::file(dir, error))?;
                (Way::Recorded(Arc::new(tape)), dir.display().to_string())
            }
            None => (
                Way::Site(self.fetcher.site(&self.source)?),
                self.source.base_url.to_string(),
            ),
        };
        self.walk(way, &place, out, stop).await
    }

    /// Walks over the site and keeps its pages.
    pub(super) async fn record(
        self,
        dir: &Path,
        out: &mut (dyn Write + Send),
        stop: CancellationToken,
    ) -> Result<u8, Error> {
        let failed = |error| Error::file(dir, error);
        let recorder = Arc::new(Recorder::create(dir, &self.source).map_err(failed)?);
        let way = Way::Recording(self.fetcher.site(&self.source)?, Arc::clone(&recorder));
        let place = self.source.base_url.to_string();
        let code = self.walk(way, &place, out, stop).await;
        // What came until somebody stopped it is worth keeping too.
        let pages = recorder.finish().map_err(failed)?;
        writeln!(
            out,
            "\n{pages} pages are in {}. Now: oddswire source test … --from {0}",
            dir.display()
        )?;
        code
    }

    async fn walk(
        &self,
        way: Way,
        place: &str,
        out: &mut (dyn Write + Send),
        stop: CancellationToken,
    ) -> Result<u8, Error> {
        let watch = Arc::new(Watch::default());
        let observer = Arc::clone(&watch) as Arc<dyn Observer>;
        let most = self.pages.unwrap_or(usize::MAX);
        let walk = Walk::by(way, Arc::clone(&self.source), observer, stop, most);
        let result = async {
            let targets = walk.discover().await?;
            let scraped = walk.scrape(targets).await?;
            Ok(walk.map(scraped))
        };
        let result = result.await;
        if matches!(result, Err(WalkError::Cancelled)) {
            return Err(Error::Stopped);
        }
        let report = report::Report {
            source: &self.source,
            place,
            seen: &watch.seen(),
            result: &result,
            limit: self.limit,
            sample: self.pages,
        };
        out.write_all(report.to_string().as_bytes())?;
        Ok(u8::from(!usable(&result)))
    }
}

/// Whether something was read that the site's definition lets stand.
fn usable(result: &Result<Harvest, WalkError>) -> bool {
    match result {
        Ok(harvest) => !harvest.events.is_empty() && harvest.outcome != Outcome::Broken,
        Err(_) => false,
    }
}
