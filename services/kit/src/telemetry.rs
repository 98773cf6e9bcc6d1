//! Logs.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// What a service logs unless configured otherwise. The bus client's own lines say what ours say already.
pub const SERVICE_DEFAULT: &str = "info,async_nats=warn";

/// How a process logs.
#[derive(Debug, Clone, Args)]
pub struct LogOptions {
    /// What is logged: a level, or a filter such as `info,oddswire_gateway=debug`. [default: info, for dev: warn]
    #[arg(
        long = "log",
        env = "ODDSWIRE_LOG",
        global = true,
        help_heading = "Logging",
        value_name = "FILTER"
    )]
    pub filter: Option<String>,
    /// The form of log lines.
    #[arg(
        long = "log-format",
        env = "ODDSWIRE_LOG_FORMAT",
        default_value = "text",
        global = true
    )]
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("bad log filter {filter:?}: {reason}")]
pub struct FilterError {
    filter: String,
    reason: String,
}

/// Starts logging to standard error, what `default` admits unless configured otherwise. Does nothing when the process
/// logs already.
///
/// # Errors
/// [`FilterError`] when the filter cannot be read.
pub fn init(options: &LogOptions, default: &str) -> Result<(), FilterError> {
    let filter = options.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter).map_err(|e| FilterError {
        filter: filter.to_owned(),
        reason: e.to_string(),
    })?;
    let colours = std::io::stderr().is_terminal();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours);
    // The error only says that a subscriber is installed already.
    let _ = match options.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
