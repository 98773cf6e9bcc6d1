//! Source definitions: one TOML file says how a bookmaker is asked, what its pages look like and what its markets
//! are in our words. `docs/sources.md` describes every key.
//!
//! A file is read completely or refused with everything that is wrong with it: paths, selectors, expressions and
//! templates are compiled here, so that none of them can fail in a run.

mod body;
mod condition;
mod event;
mod expect;
mod field;
mod folder;
mod http;
mod market_map;
mod paginate;
mod pick;
mod problem;
mod quantity;
mod section;
mod step;
mod surroundings;
mod template;
mod timetable;
mod transform;
mod zone;

pub(crate) use body::{Body, CsvRule, Embedded};
pub(crate) use condition::{Condition, OpenRule};
pub(crate) use event::{CellRule, EventRule, FlatRule, MarketRule, NestedRule, OutcomeRule};
pub(crate) use expect::{BlockRule, Expect};
pub(crate) use field::{Field, TimeField, TimeForm};
pub use folder::load_dir;
pub(crate) use folder::{Loaded, definitions, load_files};
pub(crate) use http::{BreakerRule, Http, Limits, Retry};
pub(crate) use market_map::MarketMap;
pub(crate) use paginate::{Numbering, PageKind, Paginate, Until};
pub(crate) use pick::{Each, Pick};
pub use problem::LoadError;
pub(crate) use step::Step;
pub(crate) use template::{Vars, climbs};
pub use timetable::{Crontab, Timetable};
pub(crate) use transform::{Factor, Transform};
pub(crate) use zone::Zone;

use oddswire_protocol::{SourceKey, SportKey};
use problem::Problems;
use section::Section;
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
    time::Duration,
};
use surroundings::Surroundings;
use toml::de::DeTable;
use url::Url;
use uuid::Uuid;

/// Gives the value of an environment variable, or of whatever stands in for it in a test.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// `stale_after` of a source without an interval that does not say it.
const STALE_AFTER: Duration = Duration::from_secs(90);

/// One source, as its file defines it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its key, the token of it in topics and subjects.
    pub key: SourceKey,
    /// For people.
    pub title: String,
    /// Its site. No request goes to another host.
    pub base_url: Url,
    /// The sport of its events.
    pub sport_key: SportKey,
    /// When it runs by itself; `None` when it runs on request only.
    pub timetable: Option<Timetable>,
    /// By which share of the time to the next one, 0 to 1, a scheduled run may be later.
    pub jitter: f64,
    /// After this time an unconfirmed quote is stale.
    pub stale_after: Duration,
    /// Whether it is scraped when nobody names it.
    pub enabled: bool,
    /// After how many complete runs in a row without it a quote is withdrawn, 1 to 100.
    pub withdraw_after: u32,
    /// Whether it may be at an address that is not of the public internet.
    pub(crate) allow_private: bool,
    /// Whether robots.txt is read and kept to.
    pub(crate) obey_robots: bool,
    pub(crate) http: Http,
    pub(crate) limits: Limits,
    pub(crate) retry: Retry,
    /// The chain; the last one has an event rule, the others have none.
    pub(crate) steps: Vec<Step>,
    pub(crate) expect: Expect,
    pub(crate) markets: MarketMap,
    definition_hash: String,
}

impl Source {
    /// Reads a definition from its text. `file` is for messages, and the place where the paths of included files and
    /// of secrets begin; only these are read from disk.
    ///
    /// # Errors
    /// Everything that is wrong with it, ordered by line. A text that is no TOML is told for its syntax alone.
    pub fn parse(file: &Path, text: &str, lookup: Lookup<'_>) -> Result<Self, Vec<LoadError>> {
        Self::parse_around(&Surroundings::new(file, lookup), file, text)
    }

    fn parse_around(around: &Surroundings<'_>, file: &Path, text: &str) -> Result<Self, Vec<LoadError>> {
        let problems = Problems::new(file, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            problems.add(
                &error.span().unwrap_or(0..0),
                format!("not TOML: {}", error.message()),
            );
        }
        let source = if errors.is_empty() {
            let root = Section::new(table.get_ref(), 0..0, "file".to_owned(), &problems);
            Self::decode(root, around, text)
        } else {
            None
        };
        match (source, problems.into_found()) {
            (Some(source), found) if found.is_empty() => Ok(source),
            (_, found) => Err(found),
        }
    }

    /// Reads a definition from a file.
    ///
    /// # Errors
    /// That the file cannot be read, or everything that is wrong with it.
    pub fn load(file: &Path, lookup: Lookup<'_>) -> Result<Self, Vec<LoadError>> {
        folder::load(file, lookup).0
    }

    /// Which definition this is: equal texts, included ones among them, have equal hashes. 36 characters of `[0-9a-f-]`. The values that came
    /// from the lookup are not part of it.
    pub fn definition_hash(&self) -> &str {
        &self.definition_hash
    }

    /// What its requests depend on: the definition, and the values that came from elsewhere. Not to be shown, for
    /// secrets are part of it.
    pub(crate) fn client_key(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.definition_hash, self.base_url.as_str()).hash(&mut hasher);
        for (name, value) in &self.http.headers {
            (name.as_str(), value.as_bytes()).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn decode(root: Section<'_>, around: &Surroundings<'_>, text: &str) -> Option<Self> {
        if root.has("version") {
            root.integer("version", 1..=1, 1);
        } else {
            root.problem("version is missing: write version = 1");
            root.value("version");
        }
        let steps = decode_steps(&root);
        let expect = Expect::decode(&root);
        let markets = market_map::decode(&root, around);
        let section = root.require("source", root.section("source", "[source]"));
        root.finish();
        let section = section?;

        let key = section.parsed("key", str::parse::<SourceKey>);
        let key = section.require("key", key);
        let title = section.require("title", section.text("title"));
        let base_url = section.parsed("base_url", |text| base_url(&quantity::substituted(text, around)?));
        let base_url = section.require("base_url", base_url);
        let sport_key = section.parsed("sport", str::parse::<SportKey>);
        let sport_key = section.require("sport", sport_key);
        let (timetable, jitter) = timetable::decode(&section);
        let stale_after = section.duration("stale_after", SECOND..=7 * DAY);
        let stale_after = stale_after.or(timetable
            .as_ref()
            .and_then(Timetable::interval)
            .map(|interval| 3 * interval));
        let enabled = section.boolean("enabled", true);
        let withdraw_after = section.integer("withdraw_after", 1..=100, 2);
        let allow_private = section.boolean("allow_private", false);
        let robots = section.parsed("robots", |text| match text {
            "obey" => Ok(true),
            "ignore" => Ok(false),
            _ => Err("must be \"obey\" or \"ignore\""),
        });
        let http = Http::decode(&section, around);
        let limits = Limits::decode(&section);
        let retry = Retry::decode(&section);
        section.finish();
        Some(Self {
            key: key?,
            title: title?.text.to_owned(),
            base_url: base_url?,
            sport_key: sport_key?,
            timetable,
            jitter,
            stale_after: stale_after.unwrap_or(STALE_AFTER),
            enabled,
            withdraw_after,
            allow_private,
            obey_robots: robots.unwrap_or(true),
            http,
            limits,
            retry,
            steps: steps?,
            expect,
            markets,
            definition_hash: around.with_included(|included| hash(text, included)),
        })
    }
}

fn decode_steps(root: &Section<'_>) -> Option<Vec<Step>> {
    let sections = root.sections("step", "[[step]]");
    if sections.is_empty() {
        root.problem("a [[step]] is missing");
        return None;
    }
    let last = sections.len() - 1;
    let mut steps: Vec<Option<Step>> = Vec::new();
    let mut before: Option<(String, BTreeSet<String>)> = None;
    for (index, section) in sections.into_iter().enumerate() {
        let (id, mut vars) = step::outline(&section);
        let parent = before.as_ref().map(|(id, vars)| (id.as_str(), vars.clone()));
        vars.extend(parent.iter().flat_map(|(_, vars)| vars.clone()));
        steps.push(Step::decode(section, parent, index == last));
        before = Some((id, vars));
    }
    steps.into_iter().collect()
}

fn base_url(text: &str) -> Result<Url, String> {
    // What stands before an @ may be a password.
    let shown = text
        .rsplit_once('@')
        .map_or(text.to_owned(), |(_, place)| format!("…@{place}"));
    let wrong = |why: &str| format!("{shown:?} {why}");
    let url =
        Url::parse(text.trim_end_matches('/')).map_err(|error| wrong(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("must begin with http:// or https:// and a host"));
    }
    if url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some()
    {
        // Not as it stands there: a query may hold a key.
        return Err("an address may have a path, but no query, fragment or user".to_owned());
    }
    Ok(url)
}

fn hash(text: &str, included: &str) -> String {
    let text = format!("{text}{included}");
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string()
}

#[cfg(test)]
pub(crate) mod tests;
