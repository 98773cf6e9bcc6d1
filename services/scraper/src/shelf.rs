//! The source definitions of a running scraper. A folder that changed is read again before the next run starts; a
//! folder that is wrong is told for that, and the definitions from before go on.
//!
//! Its one invariant: what is on the shelf was good as a whole. A run keeps the definition that it started with.

use crate::{
    metrics::Metrics,
    source::{LoadError, Loaded, Source, definitions, load_files},
};
use oddswire_protocol::SourceKey;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, time::interval};
use tokio_util::sync::CancellationToken;

/// How often an idle scraper looks whether the folder changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Definitions by key.
pub(crate) type Sources = BTreeMap<SourceKey, Arc<Source>>;

type Lookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The source definitions of a running scraper.
pub(crate) struct Shelf {
    dir: PathBuf,
    lookup: Lookup,
    metrics: Arc<Metrics>,
    current: watch::Sender<Arc<Sources>>,
    seen: Mutex<Seen>,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// What the folder was like when it was read last, good or not.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Definitions and what they refer to, with what was in them; `None` where there was nothing.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl Seen {
    /// Looks at the folder, and at the files that the definitions in it referred to when they were read.
    fn now(dir: &Path, referred: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = definitions(dir).unwrap_or_default();
        let files = files.into_iter().chain(referred);
        Self {
            files: files
                .map(|file| (file.clone(), std::fs::read(file).ok()))
                .collect(),
        }
    }
}

impl Shelf {
    /// Reads the folder for the first time.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn open(
        dir: PathBuf,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Vec<LoadError>> {
        let lookup: Lookup = Box::new(lookup);
        let (seen, loaded) = read(&dir, &*lookup, Vec::new());
        let sources = by_key(loaded?);
        for key in sources.keys() {
            metrics.knows(key);
        }
        Ok(Self {
            dir,
            lookup,
            metrics,
            current: watch::Sender::new(Arc::new(sources)),
            seen: Mutex::new(seen),
        })
    }

    /// The definitions of now.
    pub(crate) fn current(&self) -> Arc<Sources> {
        Arc::clone(&self.current.borrow())
    }

    /// Hears of each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Sources>> {
        self.current.subscribe()
    }

    /// Reads the folder again if it changed.
    pub(crate) async fn refresh(self: &Arc<Self>) {
        let shelf = Arc::clone(self);
        let look = tokio::task::spawn_blocking(move || shelf.look());
        if look.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("reading the source definitions panicked; those from before go on");
        }
    }

    /// Looks at the folder now and then, until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.refresh().await,
                () = stop.cancelled() => return,
            }
        }
    }

    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.files.keys().cloned();
        let referred: Vec<_> = known
            .filter(|file| file.parent() != Some(&self.dir) || !is_toml(file))
            .collect();
        if Seen::now(&self.dir, referred.clone()) == *seen {
            return;
        }
        let (now, loaded) = read(&self.dir, &*self.lookup, referred);
        *seen = now;
        match loaded {
            // A folder that is empty all of a sudden was more likely unmounted than emptied.
            Ok(sources) if sources.is_empty() => {
                tracing::error!(dir = %self.dir.display(), "no source definition is left; those from before go on");
                self.metrics.definitions_refused(1);
            }
            Ok(sources) => self.take(by_key(sources)),
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "a source definition is wrong; those from before go on");
                }
                self.metrics.definitions_refused(problems.len());
            }
        }
    }

    fn take(&self, mut sources: Sources) {
        let before = self.current();
        let mut changed: Vec<String> = before
            .keys()
            .filter(|key| !sources.contains_key(*key))
            .map(ToString::to_string)
            .collect();
        for (key, source) in &mut sources {
            match before.get(key) {
                // What is the same stays the same: its connections, its schedule.
                Some(old) if old.client_key() == source.client_key() => *source = Arc::clone(old),
                _ => changed.push(key.to_string()),
            }
        }
        self.metrics.definitions_taken();
        for key in sources.keys() {
            self.metrics.knows(key);
        }
        if !changed.is_empty() {
            tracing::info!(
                changed = changed.join(", "),
                sources = sources.len(),
                "source definitions were read again"
            );
            self.current.send_replace(Arc::new(sources));
        }
    }
}

/// Reads the folder, and says what it was like just before.
fn read(
    dir: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
    mut referred: Vec<PathBuf>,
) -> (Seen, Result<Vec<Arc<Source>>, Vec<LoadError>>) {
    loop {
        let seen = Seen::now(dir, referred.clone());
        let Loaded { sources, files } = load_files(dir, lookup);
        // A file that the definitions refer to must have been looked at before it was read.
        if files.iter().all(|file| seen.files.contains_key(file)) {
            return (seen, sources);
        }
        referred = files;
    }
}

fn by_key(sources: Vec<Arc<Source>>) -> Sources {
    sources
        .into_iter()
        .map(|source| (source.key.clone(), source))
        .collect()
}

fn is_toml(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::text;
    use oddswire_kit::metrics::Book;
    use prometheus_client::{encoding::text::encode, registry::Registry};

    struct World {
        dir: tempfile::TempDir,
        shelf: Arc<Shelf>,
        registry: Registry,
    }

    impl World {
        fn open() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("maps")).unwrap();
            std::fs::write(dir.path().join("a.toml"), text("")).unwrap();
            let mut book = Book::new(crate::metrics::PREFIX);
            let metrics = Arc::new(Metrics::new(&mut book));
            let lookup = |name: &str| (name == "URL").then(|| "http://example.org".to_owned());
            let shelf = Shelf::open(dir.path().to_owned(), lookup, metrics).unwrap();
            Self {
                dir,
                shelf: Arc::new(shelf),
                registry: book.into_registry(),
            }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn titles(&self) -> Vec<String> {
            self.shelf
                .current()
                .values()
                .map(|source| source.title.clone())
                .collect()
        }

        fn metric(&self, name: &str) -> String {
            let mut text = String::new();
            encode(&mut text, &self.registry).unwrap();
            let line = text.lines().find(|line| line.starts_with(name));
            line.unwrap().rsplit(' ').next().unwrap().to_owned()
        }
    }

    #[tokio::test]
    async fn a_changed_folder_is_taken_and_what_is_the_same_stays_the_same() {
        let world = World::open();
        let before = Arc::clone(&world.shelf.current()[&"test".parse().unwrap()]);
        world.write(
            "b.toml",
            &text("")
                .replace("\"test\"", "\"zulu\"")
                .replace("\"Test\"", "\"Zulu\""),
        );
        world.shelf.refresh().await;
        assert_eq!(world.titles(), ["Test", "Zulu"]);
        assert!(Arc::ptr_eq(
            &before,
            &world.shelf.current()[&"test".parse().unwrap()]
        ));
        world.write("a.toml", &text("").replace("\"Test\"", "\"Changed\""));
        world.shelf.refresh().await;
        assert_eq!(world.titles(), ["Changed", "Zulu"]);
        assert_eq!(before.title, "Test");
        std::fs::remove_file(world.dir.path().join("b.toml")).unwrap();
        world.shelf.refresh().await;
        assert_eq!(world.titles(), ["Changed"]);
        assert_eq!(world.metric("oddswire_scraper_definition_problems"), "0");
    }

    #[tokio::test]
    async fn a_wrong_folder_is_told_and_the_last_good_one_goes_on() {
        let world = World::open();
        world.write("a.toml", "version = 1");
        world.write("b.toml", &text("").replace("\"test\"", "\"zulu\""));
        world.shelf.refresh().await;
        assert_eq!(world.titles(), ["Test"]);
        assert_ne!(world.metric("oddswire_scraper_definition_problems"), "0");
        world.write("a.toml", &text("").replace("\"Test\"", "\"Mended\""));
        world.shelf.refresh().await;
        assert_eq!(world.titles(), ["Mended", "Test"]);
        assert_eq!(world.metric("oddswire_scraper_definition_problems"), "0");
        for name in ["a.toml", "b.toml"] {
            std::fs::remove_file(world.dir.path().join(name)).unwrap();
        }
        world.shelf.refresh().await;
        assert_eq!(
            world.titles(),
            ["Mended", "Test"],
            "an empty folder is no good one"
        );
    }

    #[tokio::test]
    async fn what_definitions_refer_to_is_watched_too() {
        let world = World::open();
        let headers = "http = { headers = { authorization = \"${file:token:-none}\" } }";
        let including =
            text(headers).replace("[markets.1]", "[markets]\ninclude = \"maps/m.toml\"\n[markets.1]");
        let map =
            |outcome: &str| format!("[markets.9]\nkey = \"btts\"\noutcomes = {{ y = \"{outcome}\" }}\n");
        world.write("maps/m.toml", &map("yes"));
        world.write("a.toml", &including);
        world.shelf.refresh().await;
        let current = || Arc::clone(&world.shelf.current()[&"test".parse().unwrap()]);
        assert_eq!(current().markets["9"].outcomes["y"], "yes");
        let hash = current().definition_hash().to_owned();
        world.write("maps/m.toml", &map("no"));
        world.shelf.refresh().await;
        assert_eq!(current().markets["9"].outcomes["y"], "no");
        assert_ne!(current().definition_hash(), hash);
        // A secret is no part of the definition, but a new one is used.
        let hash = current().definition_hash().to_owned();
        world.write("token", "hunter2");
        world.shelf.refresh().await;
        assert_eq!(current().http.headers["authorization"], "hunter2");
        assert_eq!(current().definition_hash(), hash);
    }
}
