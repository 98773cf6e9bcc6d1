//! What the services log in tests, kept where `cargo xtask test` looks for secrets in the end; and the secrets.
//!
//! Without `ODDSWIRE_TEST_LOGS`, a folder, nothing is kept.

use oddswire_kit::env;
use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, Once},
};
use tempfile::NamedTempFile;

/// What is in every secret that can have it: the stage `secrets` looks for this word.
pub(crate) const MARK: &str = "planted-secret";

fn folder() -> Option<PathBuf> {
    let folder = env::lookup("ODDSWIRE_TEST_LOGS").filter(|text| !text.is_empty());
    folder.map(PathBuf::from)
}

/// Notes a secret that cannot have the mark, so that it is looked for: of what signs a token, the signature.
pub(crate) fn plant(secret: &str) {
    let Some(folder) = folder() else { return };
    let secret = secret.trim().rsplit('.').next().unwrap_or_default();
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(folder.join("planted"))
        .unwrap();
    // In one write: other tests append as well.
    file.write_all(format!("{secret}\n").as_bytes()).unwrap();
}

/// A file for what a process says.
pub(crate) fn file(name: &str) -> NamedTempFile {
    let Some(folder) = folder() else {
        return NamedTempFile::new().unwrap();
    };
    let mut named = tempfile::Builder::new()
        .prefix(name)
        .suffix(".log")
        .tempfile_in(folder)
        .unwrap();
    named.disable_cleanup(true);
    named
}

/// The filter of a process's log: whatever it can say, where somebody looks.
pub(crate) fn filter() -> &'static str {
    if folder().is_some() { "debug" } else { "off" }
}

/// Not what the tests' own clients say.
const SERVICES: &str =
    "warn,oddswire_gateway=debug,oddswire_scraper=debug,oddswire_kit=debug,async_nats=debug";

/// Has the services that run in this process log, all into one file.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if folder().is_none() {
            return;
        }
        let file = file("services-in-tests-").into_file();
        tracing_subscriber::fmt()
            .with_env_filter(SERVICES)
            .with_ansi(false)
            .with_writer(Mutex::new(file))
            .init();
    });
}
