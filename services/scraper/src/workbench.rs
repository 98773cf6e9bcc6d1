//! `oddswire source …`: writing and debugging source files without a bus. Nothing here publishes anything but
//! `source retire`, which takes back what a source has published.

mod ask;
mod check;
mod rehearsal;
mod report;
mod retire;
mod schema;
mod watch;

pub use schema::source_schema;

use crate::{
    fetch::{self, FetchOptions, Fetcher},
    service::Problems,
    source::{Lookup, Source, load_files},
};
use clap::{Args, Subcommand};
use oddswire_kit::bus::ConnectError;
use retire::RetireOptions;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Writing and debugging source files, for which no bus is needed; and retiring sources.
#[derive(Debug, Clone, Args)]
pub struct SourceOptions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    /// Reads source files and tells everything that is wrong with them, with file, line and a hint.
    ///
    /// Asks no site. Ends with 0 when all is good, and with 64 when something is wrong.
    Check(CheckOptions),
    /// Asks for one page as the scraper would, and shows it.
    ///
    /// The page goes to the standard output, what is to be said about it to the standard error. Ends with 1 when there
    /// is no page.
    #[command(after_help = "For example:\n  \
        oddswire source fetch my.toml --step leagues\n  \
        oddswire source fetch my.toml --step event --var event_id=7711 --out event.json")]
    Fetch(AskOptions),
    /// Runs a source file and shows what it reads: rows of each step, events, markets, what has no name in [markets].
    ///
    /// Asks the site, or reads pages that `source record` kept. Ends with 0 when the file is usable; with 1 when nothing
    /// could be read or the site is not as [expect] says; with 64 when the file is wrong.
    #[command(after_help = "For example:\n  \
        oddswire source test my.toml --pages 3         # politely: three pages of each step\n  \
        oddswire source test my.toml --from my-pages   # offline, as often as you like")]
    Test(TestOptions),
    /// Runs a source file and keeps all pages that it asks for, for `source test --from`.
    ///
    /// What is sent in headers is never written, nor are cookies. The folder must be new or empty.
    Record(RecordOptions),
    /// Prints the JSON Schema of source files, for editors.
    #[command(
        after_help = "Editors that know Taplo take it from the first line of the source file:\n  \
        #:schema ./source.schema.json"
    )]
    Schema,
    /// Withdraws all that a source offers, and has it listed no more: when it is not scraped any more.
    ///
    /// Remove its file from the scrapers' folder first. This is a run of the source, seen like any other: it withdraws
    /// each market, says that the source was checked, and takes its record away. What is withdrawn vanishes after a week.
    /// It needs what a scraper needs of the bus (role scraper). Ends with 1 when the source is still scraped, when a run
    /// of it is under way, and when nothing is known of it.
    #[command(
        after_help = "For example:\n  rm sources/alpha.toml && sleep 20 && oddswire source retire alpha"
    )]
    Retire(RetireOptions),
}

#[derive(Debug, Clone, Args)]
struct CheckOptions {
    /// A source file, or a folder of *.toml files.
    #[arg(
        env = "ODDSWIRE_SOURCES",
        default_value = "sources",
        value_name = "FOLDER|FILE"
    )]
    path: PathBuf,
}

#[derive(Debug, Clone, Args)]
struct AskOptions {
    /// The source file.
    file: PathBuf,
    /// The step whose page is asked for.
    #[arg(long, value_name = "ID")]
    step: String,
    /// A variable that the steps before would hand on; once for each.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = parse_var)]
    vars: Vec<(String, String)>,
    /// Writes the page to a file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Fetching")]
    fetch: FetchOptions,
}

#[derive(Debug, Clone, Args)]
struct TestOptions {
    /// The source file.
    file: PathBuf,
    /// Reads the pages in this folder, which `source record` made, and asks nobody.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// How many problems, and how many events, are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Asks for no more than so many pages, or lists of pages, in each step.
    #[arg(long, value_name = "N")]
    pages: Option<usize>,
    #[command(flatten, next_help_heading = "Fetching")]
    fetch: FetchOptions,
}

#[derive(Debug, Clone, Args)]
struct RecordOptions {
    /// The source file.
    file: PathBuf,
    /// The folder for the pages.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many problems, and how many events, are shown.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Asks for no more than so many pages, or lists of pages, in each step.
    #[arg(long, value_name = "N")]
    pages: Option<usize>,
    #[command(flatten, next_help_heading = "Fetching")]
    fetch: FetchOptions,
}

fn parse_var(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "must be NAME=VALUE".to_owned())
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source file is wrong: all that is wrong with it.
    #[error("{0}")]
    Source(Problems),
    /// The command line does not fit the source file.
    #[error("{0}")]
    Usage(String),
    /// The way to the site could not be made.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Something could not be read or written.
    #[error("{what}: {error}")]
    File {
        /// What.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// What was to be shown could not be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The address of the bus cannot be understood.
    #[error(transparent)]
    Bus(#[from] ConnectError),
    /// The source was not retired; why.
    #[error("{0}")]
    Retire(String),
    /// Somebody asked to stop.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Whether somebody has to change the file or the command line: exit code 64 instead of 1.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Usage(_) | Self::Bus(_))
    }

    fn file(path: &Path, error: io::Error) -> Self {
        Self::File {
            what: path.display().to_string(),
            error,
        }
    }
}

/// Where a command writes.
pub struct Output<'a> {
    /// What it found.
    pub out: &'a mut (dyn Write + Send),
    /// What a person should know besides.
    pub aside: &'a mut (dyn Write + Send),
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}

/// Runs a command. `lookup` gives the environment variables that source files refer to. Gives the exit code.
///
/// # Errors
/// [`Error`].
pub async fn run(
    options: SourceOptions,
    lookup: Lookup<'_>,
    mut output: Output<'_>,
    stop: CancellationToken,
) -> Result<u8, Error> {
    oddswire_kit::tls::install_provider();
    match options.command {
        Command::Check(options) => check::run(&options.path, lookup, output.out),
        Command::Retire(options) => retire::run(options, &mut output, &stop).await,
        Command::Schema => {
            output.out.write_all(source_schema().as_bytes())?;
            Ok(0)
        }
        Command::Fetch(options) => {
            let source = one_source(&options.file, lookup)?;
            ask::run(&options, &source, &mut output, &stop).await
        }
        Command::Test(options) => {
            let source = one_source(&options.file, lookup)?;
            let from = options.from.as_deref();
            let rehearsal = rehearsal::Rehearsal {
                source,
                limit: options.limit,
                pages: options.pages,
                fetcher: Fetcher::new(options.fetch),
            };
            rehearsal.test(from, output.out, stop).await
        }
        Command::Record(options) => {
            let source = one_source(&options.file, lookup)?;
            let rehearsal = rehearsal::Rehearsal {
                source,
                limit: options.limit,
                pages: options.pages,
                fetcher: Fetcher::new(options.fetch),
            };
            rehearsal.record(&options.out, output.out, stop).await
        }
    }
}

fn one_source(file: &Path, lookup: Lookup<'_>) -> Result<Arc<Source>, Error> {
    if file.is_dir() {
        let file = file.display();
        return Err(Error::Usage(format!(
            "{file} is a folder: name one source file in it"
        )));
    }
    let loaded = load_files(file, lookup).sources;
    let sources = loaded.map_err(|found| Error::Source(Problems(found)))?;
    sources
        .into_iter()
        .next()
        .ok_or_else(|| Error::Usage(format!("{} holds no source", file.display())))
}
