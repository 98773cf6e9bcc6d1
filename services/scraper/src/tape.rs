//! Pages of a run in a folder, to be read again without the site: `pages.json` says which request got which file.
//!
//! Nothing of what was sent is kept but method, path, query and JSON body. Of what came back, two headers are: the
//! type of the page and the link to the next one, and those by which the definition knows a block page. Cookies never
//! are.

use crate::{
    fetch::{Error, Fetched, Page, Request},
    source::{BlockRule, Source},
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK, SET_COOKIE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use url::Url;
use uuid::Uuid;

/// The file that lists the pages.
const INDEX: &str = "pages.json";

/// The list of the pages.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    version: u32,
    source: String,
    pages: Vec<Entry>,
}

/// One page.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    /// `GET` or `POST`.
    method: String,
    /// Path and query.
    url: String,
    /// The JSON body that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Value>,
    /// The status of an answer that was a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The file; none when the site said that there is no such page, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// Writes pages down.
#[derive(Debug)]
pub(crate) struct Recorder {
    dir: PathBuf,
    source: String,
    /// The headers that are kept.
    keep: Vec<HeaderName>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<String, Entry>,
    failed: Option<String>,
}

impl Recorder {
    /// Prepares the folder.
    ///
    /// # Errors
    /// That it cannot be made, or holds something already.
    pub(crate) fn create(dir: &Path, source: &Source) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        if std::fs::read_dir(dir)?.next().is_some() {
            return Err(io::Error::other("the folder is not empty"));
        }
        let rules = source.expect.blocked_when.iter().filter_map(|rule| match rule {
            BlockRule::Header(name, _) => Some(name.clone()),
            BlockRule::Body(_) => None,
        });
        let keep = [CONTENT_TYPE, LINK].into_iter().chain(rules);
        Ok(Self {
            dir: dir.to_owned(),
            source: source.key.to_string(),
            keep: keep.filter(|name| *name != SET_COOKIE).collect(),
            state: Mutex::default(),
        })
    }

    /// Writes down what a request got: a page, or the status of a failure. What never answered is not written down.
    /// What goes wrong is told by [`Recorder::finish`].
    pub(crate) async fn write(&self, request: &Request, fetched: Result<&Fetched, &Error>) {
        // A host that is left alone was not asked.
        let status = match fetched {
            Ok(_) => None,
            Err(Error::RateLimited { .. }) => Some(429),
            Err(Error::Refused { status, .. } | Error::Status { status, .. }) => Some(*status),
            Err(_) => return,
        };
        let mut entry = Entry {
            method: method(request).to_owned(),
            url: place(&request.url),
            json: request.json.clone(),
            status,
            file: None,
            headers: BTreeMap::new(),
        };
        if let Ok(Fetched::Page(page)) = fetched {
            let file = file_name(request, &page.headers);
            let kept = self.keep.iter().filter_map(|name| {
                let value = page.headers.get(name)?.to_str().ok()?;
                Some((name.to_string(), value.to_owned()))
            });
            entry.headers = kept.collect();
            let written = tokio::fs::write(self.dir.join(&file), &page.body).await;
            entry.file = Some(file);
            if let Err(error) = written {
                self.state(|state| state.failed = Some(error.to_string()));
            }
        }
        self.state(|state| state.pages.insert(key(request), entry));
    }

    /// Writes the list. Gives the number of pages.
    ///
    /// # Errors
    /// The last thing that could not be written.
    pub(crate) fn finish(&self) -> io::Result<usize> {
        let (pages, failed) = self.state(|state| (state.pages.clone(), state.failed.clone()));
        if let Some(failed) = failed {
            return Err(io::Error::other(failed));
        }
        let index = Index {
            version: 1,
            source: self.source.clone(),
            pages: pages.into_values().collect(),
        };
        let mut text = serde_json::to_vec_pretty(&index).expect("the list serialises without failing");
        text.push(b'\n');
        std::fs::write(self.dir.join(INDEX), text)?;
        Ok(index.pages.len())
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Pages that were written down.
#[derive(Debug)]
pub(crate) struct Tape {
    dir: PathBuf,
    pages: BTreeMap<String, Entry>,
}

impl Tape {
    /// Reads the list of the pages.
    ///
    /// # Errors
    /// That it is not there, or is none.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let file = dir.join(INDEX);
        let told = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
        let text = std::fs::read(&file).map_err(|error| told(&error))?;
        let index: Index = serde_json::from_slice(&text).map_err(|error| told(&error))?;
        let pages = index.pages.into_iter().map(|entry| {
            let key = key_of(&entry.method, &entry.url, entry.json.as_ref());
            (key, entry)
        });
        Ok(Self {
            dir: dir.to_owned(),
            pages: pages.collect(),
        })
    }

    /// The page that the same request got.
    pub(crate) async fn read(&self, request: &Request) -> Result<Fetched, Error> {
        let place = place(&request.url);
        let failed = |reason: String| Error::Connect {
            place: place.clone(),
            reason,
        };
        let Some(entry) = self.pages.get(&key(request)) else {
            return Err(failed("this request was not recorded".to_owned()));
        };
        if let Some(status) = entry.status {
            return Err(Error::of_status(place, status, None));
        }
        let Some(file) = &entry.file else {
            return Ok(Fetched::Missing);
        };
        let body = tokio::fs::read(self.dir.join(file)).await;
        let body = body.map_err(|error| failed(format!("{file}: {error}")))?;
        let headers = entry.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        Ok(Fetched::Page(Page {
            status: 200,
            headers: headers.collect(),
            body: body.into(),
        }))
    }
}

fn method(request: &Request) -> &'static str {
    if request.post { "POST" } else { "GET" }
}

fn place(url: &Url) -> String {
    url[url::Position::BeforePath..].to_owned()
}

fn key(request: &Request) -> String {
    key_of(method(request), &place(&request.url), request.json.as_ref())
}

fn key_of(method: &str, url: &str, json: Option<&Value>) -> String {
    format!(
        "{method} {url} {}",
        json.map(Value::to_string).unwrap_or_default()
    )
}

/// A name that people recognise and that no other request has.
fn file_name(request: &Request, headers: &HeaderMap) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = place(&request.url)
        .trim_matches('/')
        .chars()
        .take(60)
        .map(letter)
        .collect();
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, key(request).as_bytes())
        .simple()
        .to_string();
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let known = ["html", "csv", "json"];
    let extension = known.iter().find(|known| kind.contains(*known)).unwrap_or(&"txt");
    format!("{name}-{}.{extension}", &hash[..8])
}
