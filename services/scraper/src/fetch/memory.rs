//! Pages that the site may call unchanged, and by what it knows them.

use super::{Page, lock};
use chrono::DateTime;
use oddswire_protocol::Timestamp;
use reqwest::header::{
    CACHE_CONTROL, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Bytes of all pages together, with what it takes to hold them.
const MAX_BYTES: usize = 32 << 20;
/// What an entry takes besides its texts, roughly.
const ENTRY_BYTES: usize = 512;
/// A page that nobody asked for in this time makes room for others.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// So often at most it is looked for idle pages.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// A page that was changed less than this before it was sent may have changed again within the same second, and the
/// site would call it unchanged.
const SURE_AFTER_MS: u64 = 60_000;

/// The bodies of pages with a validator. When it is full, pages that are in it stay and others are not taken: runs
/// ask for the same pages in turn, and throwing out the oldest would throw out the next one to be asked for.
#[derive(Debug, Default)]
pub(super) struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pages: HashMap<Key, Kept>,
    owners: u64,
    bytes: usize,
    swept: Option<Instant>,
}

type Key = (Owner, String);

/// Whose pages they are: what one may see, another may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner(u64);

#[derive(Debug)]
struct Kept {
    page: Page,
    validator: Validator,
    bytes: usize,
    used: Instant,
}

/// The header that asks whether a page has changed.
pub(super) type Validator = (HeaderName, HeaderValue);

impl Memory {
    /// Makes a new owner.
    pub(super) fn owner(&self) -> Owner {
        let mut state = lock(&self.state);
        state.owners += 1;
        Owner(state.owners)
    }

    /// What to send with a request for a page, and the page to take if the site says that it has not changed.
    pub(super) fn recall(&self, owner: Owner, url: &str) -> Option<(Validator, Page)> {
        let mut state = lock(&self.state);
        let kept = state.pages.get_mut(&(owner, url.to_owned()))?;
        kept.used = Instant::now();
        Some((kept.validator.clone(), kept.page.clone()))
    }

    /// Remembers a page in the place of the one before, if the site gives a reason to.
    pub(super) fn keep(&self, owner: Owner, url: &str, page: &Page) {
        let key = (owner, url.to_owned());
        let validator = validator(&page.headers);
        let headers = page
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len());
        let bytes = page.body.len() + url.len() + headers.sum::<usize>() + ENTRY_BYTES;
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.remove(&key);
        let Some(validator) = validator else {
            return;
        };
        if state.bytes + bytes > MAX_BYTES {
            state.sweep(now);
        }
        if state.bytes + bytes > MAX_BYTES {
            return;
        }
        state.bytes += bytes;
        let kept = Kept {
            page: page.clone(),
            validator,
            bytes,
            used: now,
        };
        state.pages.insert(key, kept);
    }

    /// Forgets a page.
    pub(super) fn forget(&self, owner: Owner, url: &str) {
        lock(&self.state).remove(&(owner, url.to_owned()));
    }

    /// Forgets all pages of an owner.
    pub(super) fn forget_all(&self, owner: Owner) {
        lock(&self.state).retain(|key, _| key.0 != owner);
    }
}

impl State {
    fn remove(&mut self, key: &Key) {
        self.bytes -= self.pages.remove(key).map_or(0, |kept| kept.bytes);
    }

    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now - swept < SWEEP_EVERY) {
            return;
        }
        self.swept = Some(now);
        self.retain(|_, kept| now - kept.used < IDLE);
    }

    fn retain(&mut self, stays: impl Fn(&Key, &Kept) -> bool) {
        self.pages.retain(|key, kept| stays(key, kept));
        self.bytes = self.pages.values().map(|kept| kept.bytes).sum();
    }
}

/// The surest way to ask for a change, if there is a sure one.
fn validator(headers: &HeaderMap) -> Option<Validator> {
    let no_store = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .any(|value| value.to_str().is_ok_and(|text| text.contains("no-store")));
    if no_store {
        return None;
    }
    if let Some(tag) = headers.get(ETAG) {
        return Some((IF_NONE_MATCH, tag.clone()));
    }
    let modified = headers.get(LAST_MODIFIED)?;
    let sure = time(headers.get(DATE)?)?.ms_since(time(modified)?) >= SURE_AFTER_MS;
    sure.then(|| (IF_MODIFIED_SINCE, modified.clone()))
}

/// Reads a time as HTTP writes it, in each of its three forms.
fn time(value: &HeaderValue) -> Option<Timestamp> {
    http_date(value.to_str().ok()?)
}

/// Reads a time as HTTP writes it, in each of its three forms.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    Some(Timestamp::from(DateTime::from(time)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn page(headers: &[(HeaderName, &'static str)], bytes: usize) -> Page {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Page {
            status: 200,
            headers: headers.collect(),
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    fn asks(headers: &[(HeaderName, &'static str)]) -> Option<Validator> {
        validator(&page(headers, 0).headers)
    }

    const TAG: (HeaderName, &str) = (ETAG, "\"1\"");
    const SENT: (HeaderName, &str) = (DATE, "Sun, 22 Nov 2026 19:45:00 GMT");

    #[test]
    fn a_tag_is_sure_and_a_time_only_if_it_is_long_past() {
        let tag = HeaderValue::from_static("\"1\"");
        assert_eq!(asks(&[TAG]), Some((IF_NONE_MATCH, tag)));
        let changed = |time| asks(&[SENT, (LAST_MODIFIED, time)]);
        assert!(changed("Sun, 22 Nov 2026 19:44:00 GMT").is_some());
        assert!(changed("Sunday, 22-Nov-26 19:44:00 GMT").is_some());
        assert_eq!(changed("Sun, 22 Nov 2026 19:44:01 GMT"), None);
        assert_eq!(changed("Sun, 22 Nov 2026 19:46:00 GMT"), None);
        assert_eq!(asks(&[(LAST_MODIFIED, "Sun, 22 Nov 2026 19:44:00 GMT")]), None);
        assert_eq!(asks(&[TAG, (CACHE_CONTROL, "private, no-store")]), None);
        assert_eq!(asks(&[]), None);
    }

    #[test]
    fn the_newest_page_of_each_owner_is_kept_and_one_without_a_validator_ends_that() {
        let memory = Memory::default();
        let (one, two) = (memory.owner(), memory.owner());
        memory.keep(one, "u", &page(&[TAG], 10));
        memory.keep(two, "u", &page(&[TAG], 20));
        memory.keep(one, "u", &page(&[TAG], 30));
        let length = |owner| memory.recall(owner, "u").map(|(_, page)| page.body.len());
        assert_eq!((length(one), length(two)), (Some(30), Some(20)));
        memory.keep(one, "u", &page(&[], 40));
        assert_eq!((length(one), length(two)), (None, Some(20)));
        memory.forget_all(two);
        assert_eq!(length(two), None);
        assert_eq!(lock(&memory.state).bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_memory_keeps_what_is_in_use_and_makes_room_from_what_is_not() {
        let memory = Memory::default();
        let owner = memory.owner();
        let big = page(&[TAG], MAX_BYTES / 3);
        for url in ["a", "b", "c"] {
            memory.keep(owner, url, &big);
        }
        assert!(lock(&memory.state).bytes <= MAX_BYTES);
        assert!(memory.recall(owner, "b").is_some() && memory.recall(owner, "c").is_none());
        tokio::time::advance(IDLE / 2).await;
        assert!(memory.recall(owner, "a").is_some());
        tokio::time::advance(IDLE / 2).await;
        memory.keep(owner, "c", &big);
        let has = |url| memory.recall(owner, url).is_some();
        assert!(has("a") && !has("b") && has("c"));
        assert!(lock(&memory.state).bytes <= MAX_BYTES);
    }
}
