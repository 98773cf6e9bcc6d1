//! Logs, and where spans go.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tokio::runtime::Handle;
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

/// Exports the spans of this process from now on to the collector that the environment names (`OTEL_EXPORTER_OTLP_ENDPOINT`),
/// in the name of `service`. Requests are made on `runtime`. Says so where this build cannot.
///
/// # Errors
/// What is wrong with the environment, in a sentence.
#[cfg(feature = "otlp")]
pub fn export_spans(service: &str, runtime: &Handle) -> Result<(), crate::otlp::Error> {
    crate::otlp::begin(service, runtime)
}

/// Sends the spans that are still queued, for 3 s at most. Blocks: not for a thread of the runtime.
#[cfg(feature = "otlp")]
pub fn flush_spans() {
    crate::otlp::end();
}

/// Exports nothing: this build has no feature `otlp`.
///
/// # Errors
/// None.
#[cfg(not(feature = "otlp"))]
pub fn export_spans(_: &str, _: &Handle) -> Result<(), std::convert::Infallible> {
    let asked = [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    ];
    if asked.into_iter().any(|name| crate::env::lookup(name).is_some()) {
        tracing::warn!("this build exports no spans: it was built without the feature otlp");
    }
    Ok(())
}

/// There is nothing to send.
#[cfg(not(feature = "otlp"))]
pub fn flush_spans() {}
