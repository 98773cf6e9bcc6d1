//! The keys of an identity provider, read by URL. Known keys stay in use while new ones cannot be had.

use super::{keys::KeySet, options::Problem};
use reqwest::{Client, Url, redirect::Policy};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

#[derive(Debug)]
pub(super) struct Jwks {
    url: Url,
    client: Client,
    every: Duration,
    keys: RwLock<Option<Arc<KeySet>>>,
    /// They are not asked for more often than this, however many unknown keys tokens name.
    pub(super) not_before: Duration,
    /// When they were asked for last; held while they are.
    asked_at: Mutex<Option<Instant>>,
}

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const BODY_MAX_BYTES: usize = 256 * 1024;
const REDIRECTS_MAX: usize = 3;
const NOT_BEFORE: Duration = Duration::from_secs(10);

impl Jwks {
    pub(super) fn new(url: &str, every: Duration) -> Result<Self, Problem> {
        let problem = |what: String| Problem::new("--auth-jwks-url", what);
        let url: Url = url.parse().map_err(|error| problem(format!("{error}")))?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(problem("expected https://…".into()));
        }
        if url.scheme() == "http" {
            tracing::warn!("keys for tokens are read by plain HTTP: whoever is on the way can replace them");
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(Policy::limited(REDIRECTS_MAX))
            .build()
            .map_err(|error| problem(error.to_string()))?;
        Ok(Self {
            url,
            client,
            every,
            keys: RwLock::default(),
            not_before: NOT_BEFORE,
            asked_at: Mutex::default(),
        })
    }

    /// The keys as they were read last; `None` before that.
    pub(super) fn known(&self) -> Option<Arc<KeySet>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads them anew, unless that was just tried. Those who ask at the same time wait for one answer.
    pub(super) async fn look_again(&self) {
        let mut asked_at = self.asked_at.lock().await;
        if asked_at.is_some_and(|at| at.elapsed() < self.not_before) {
            return;
        }
        *asked_at = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the keys for tokens: going on with those known");
            }
        }
    }

    /// Reads them at intervals, for ever.
    pub(super) async fn keep_fresh(&self) {
        loop {
            self.look_again().await;
            sleep(if self.known().is_some() {
                self.every
            } else {
                self.not_before
            })
            .await;
        }
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        // An address may hold a password.
        let told = |error: reqwest::Error| error.without_url().to_string();
        let answer = self.client.get(self.url.clone()).send().await.map_err(told)?;
        let mut answer = answer.error_for_status().map_err(told)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            body.extend_from_slice(&chunk);
            if body.len() > BODY_MAX_BYTES {
                return Err(format!("more than {BODY_MAX_BYTES} bytes"));
            }
        }
        KeySet::of_provider(&body)
    }
}
