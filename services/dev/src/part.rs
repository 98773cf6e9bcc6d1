//! One part of the product, as a process of its own.

use anyhow::{Context, Result, bail};
use oddswire_kit::child;
use std::{io::Write, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    task::JoinSet,
    time::{Instant, sleep},
};

/// A running part.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    child: Child,
    ready_url: Option<String>,
    /// Passes its log on.
    log: JoinSet<()>,
}

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// This program again, with a subcommand, logging what `log` admits.
pub(crate) fn command(subcommand: &str, log: &str) -> Command {
    let mut command = Command::new(child::this_program());
    command.arg(subcommand).env("ODDSWIRE_LOG", log);
    command
}

impl Part {
    /// Starts it. It is killed when this value is dropped.
    pub(crate) fn start(name: &str, mut command: Command, ready_url: Option<String>) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C comes to the supervisor alone, which stops the parts in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let mut log = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            log.spawn(pass_on(name.to_owned(), stderr));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            ready_url,
            log,
        })
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn wait_ready(&mut self) -> Result<()> {
        let Some(url) = self.ready_url.clone() else {
            return Ok(());
        };
        let client = reqwest::Client::new();
        let give_up = Instant::now() + READY_WITHIN;
        loop {
            let last = match client.get(&url).timeout(Duration::from_secs(2)).send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.child.try_wait()? {
                // Its own words say why; let them through first.
                while self.log.join_next().await.is_some() {}
                bail!("{} ended: {status}", self.name);
            }
            if Instant::now() > give_up {
                bail!(
                    "{} is not ready after {} s: {}",
                    self.name,
                    READY_WITHIN.as_secs(),
                    last.trim()
                );
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Waits until any part ends, and says which.
pub(crate) async fn any_ended(parts: &mut [Part]) -> anyhow::Error {
    let waits = parts.iter_mut().map(|part| {
        Box::pin(async {
            let status = part.child.wait().await;
            let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
            anyhow::anyhow!("{} ended: {status}", part.name)
        })
    });
    futures_util::future::select_all(waits).await.0
}

/// Stops all parts at once, and waits for each.
pub(crate) async fn stop_all(parts: Vec<Part>) {
    let stops = parts.into_iter().map(|mut part| async move {
        child::stop(&mut part.child, STOP_WITHIN).await;
        while part.log.join_next().await.is_some() {}
    });
    futures_util::future::join_all(stops).await;
}

async fn pass_on(name: String, stderr: ChildStderr) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // Whoever reads it may be gone; the part must not be held up by a full pipe.
        let _ = writeln!(std::io::stderr(), "[{name}] {line}");
    }
}
