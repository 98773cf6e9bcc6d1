//! The way by which pages come: from the site, from the site and onto a tape, or from a tape alone.

use crate::{
    fetch::{Budget, Error, Fetched, Request, Site},
    tape::{Recorder, Tape},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The way by which pages come.
#[derive(Debug)]
pub(crate) enum Way {
    /// From the site.
    Site(Arc<Site>),
    /// From the site, and each of them is written down.
    Recording(Arc<Site>, Arc<Recorder>),
    /// As they were written down; nobody is asked.
    Recorded(Arc<Tape>),
}

impl Way {
    /// Has a page come. As [`Site::fetch`].
    pub(super) async fn fetch(
        &self,
        request: &Request,
        budget: &Budget,
        cancel: &CancellationToken,
        on_retry: &(dyn Fn(&Error, Duration) + Send + Sync),
    ) -> Result<Fetched, Error> {
        match self {
            Self::Site(site) => site.fetch(request, budget, cancel, on_retry).await,
            Self::Recording(site, recorder) => {
                let fetched = site.fetch(request, budget, cancel, on_retry).await;
                recorder.write(request, fetched.as_ref()).await;
                fetched
            }
            Self::Recorded(_) if cancel.is_cancelled() => Err(Error::Cancelled),
            Self::Recorded(tape) => tape.read(request).await,
        }
    }

    /// A page was no good. As [`Site::forget`].
    pub(super) fn forget(&self, request: &Request) {
        match self {
            Self::Site(site) | Self::Recording(site, _) => site.forget(request),
            Self::Recorded(_) => {}
        }
    }
}
