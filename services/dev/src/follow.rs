//! The runs, on the terminal.

use crate::say;
use anyhow::{Context, Result, bail};
use oddswire_protocol::{
    BatchId, RunId,
    api::Started,
    envelope::{MessageType, Received},
    progress::{Outcome, Phase, ScrapeProgress, Status},
};
use std::{collections::HashMap, time::Duration};

/// Starts a scrape of everything and tells of runs as they go, until the gateway is gone.
pub(crate) async fn follow(gateway: &str) -> Result<()> {
    let client = reqwest::Client::new();
    let mut stream = client
        .get(format!(
            "{gateway}api/events?topics=scrape_progress&since=snapshot"
        ))
        .send()
        .await
        .context("connect to the gateway")?;
    let mut told = Told {
        first: start_scrape(&client, gateway).await?,
        phases: HashMap::new(),
    };
    // A chunk may end in the middle of an event, and of a character.
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(chunk) = stream.chunk().await? {
        bytes.extend_from_slice(&chunk);
        while let Some(end) = bytes.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = bytes.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            if let Some(line) = progress_of(&event).and_then(|run| told.line(&run)) {
                say(&line);
            }
        }
    }
    bail!("the gateway ended the stream of events")
}

/// Starts a run of each source. `None` when the sources' schedules were faster.
async fn start_scrape(client: &reqwest::Client, gateway: &str) -> Result<Option<BatchId>> {
    let answer = client
        .post(format!("{gateway}api/scrapes"))
        .send()
        .await
        .context("start a scrape")?;
    if answer.status() == reqwest::StatusCode::CONFLICT {
        return Ok(None);
    }
    if !answer.status().is_success() {
        bail!(
            "the gateway did not start a scrape: {}",
            answer.text().await.unwrap_or_default()
        );
    }
    let started: Started =
        serde_json::from_str(&answer.text().await?).context("read the gateway's answer")?;
    Ok(Some(started.batch_id))
}

fn progress_of(event: &str) -> Option<ScrapeProgress> {
    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    let message: Received = serde_json::from_str(data).ok()?;
    (message.message_type == MessageType::ScrapeProgress).then(|| message.data().ok())?
}

/// What was told already.
struct Told {
    /// The runs whose phases are told; of the others, which come by schedule, only the end is.
    first: Option<BatchId>,
    phases: HashMap<RunId, Phase>,
}

impl Told {
    /// The line for a run's new state, when it is worth one.
    fn line(&mut self, run: &ScrapeProgress) -> Option<String> {
        let source = run.source.as_str();
        if run.status.is_terminal() {
            self.phases.remove(&run.run_id);
            return Some(format!("{source:<10} {}", end_of(run)));
        }
        let of_first = self.first.as_ref() == Some(&run.batch_id);
        let new_phase = self.phases.insert(run.run_id.clone(), run.phase) != Some(run.phase);
        (of_first && new_phase).then(|| format!("{source:<10} {}", word(run.phase)))
    }
}

fn end_of(run: &ScrapeProgress) -> String {
    let how = match (run.status, run.outcome) {
        (Status::Completed, Some(Outcome::Complete)) => "done".to_owned(),
        (status, Some(outcome)) => format!("{}, {}", status.as_str(), format!("{outcome:?}").to_lowercase()),
        (status, None) => status.as_str().to_owned(),
    };
    let seconds = Duration::from_millis(run.elapsed_ms).as_secs_f64();
    let error = run
        .error
        .as_ref()
        .map(|e| format!("; {}", e.message))
        .unwrap_or_default();
    let (events, changed) = (run.events_count, run.changed_count);
    format!("{how} in {seconds:.1} s: {events} events, {changed} markets changed{error}")
}

fn word(phase: Phase) -> String {
    format!("{phase:?}").to_lowercase()
}
