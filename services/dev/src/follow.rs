//! The runs, on the terminal.

use crate::say;
use anyhow::{Context, Result, bail};
use oddswire_protocol::{
    RunId,
    envelope::{MessageType, Received},
    progress::{Outcome, Phase, ScrapeProgress, Status},
};
use std::{collections::HashMap, time::Duration};

/// Starts a scrape of everything and tells of runs as they go, until the gateway is gone.
pub(crate) async fn follow(gateway: &str) -> Result<()> {
    let client = reqwest::Client::new();
    let mut phases: HashMap<RunId, Phase> = HashMap::new();
    let mut stream = client
        .get(format!(
            "{gateway}api/events?topics=scrape_progress&since=snapshot"
        ))
        .send()
        .await
        .context("connect to the gateway")?;
    start_scrape(&client, gateway).await?;
    let mut text = String::new();
    while let Some(chunk) = stream.chunk().await? {
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            if let Some(progress) = progress_of(&event) {
                tell(&mut phases, &progress);
            }
        }
    }
    bail!("the gateway ended the stream of events")
}

async fn start_scrape(client: &reqwest::Client, gateway: &str) -> Result<()> {
    let answer = client
        .post(format!("{gateway}api/scrapes"))
        .send()
        .await
        .context("start a scrape")?;
    // Busy means that the schedule was faster: the runs are there to be followed.
    if !answer.status().is_success() && answer.status() != reqwest::StatusCode::CONFLICT {
        bail!(
            "the gateway did not start a scrape: {}",
            answer.text().await.unwrap_or_default()
        );
    }
    Ok(())
}

fn progress_of(event: &str) -> Option<ScrapeProgress> {
    let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
    let message: Received = serde_json::from_str(data).ok()?;
    (message.message_type == MessageType::ScrapeProgress).then(|| message.data().ok())?
}

/// One line a phase, and one at the end.
fn tell(phases: &mut HashMap<RunId, Phase>, run: &ScrapeProgress) {
    let before = phases.insert(run.run_id.clone(), run.phase);
    if before == Some(run.phase) {
        return;
    }
    if !run.status.is_terminal() {
        say(&format!("{:<10} {}", run.source.as_str(), phase_word(run.phase)));
        return;
    }
    phases.remove(&run.run_id);
    let how = match (run.status, run.outcome) {
        (Status::Completed, Some(Outcome::Complete)) => "done".to_owned(),
        (_, Some(outcome)) => format!("{}: {outcome:?}", run.status.as_str()).to_lowercase(),
        (status, None) => status.as_str().to_owned(),
    };
    let seconds = Duration::from_millis(run.elapsed_ms).as_secs_f64();
    let line = format!(
        "{:<10} {how} in {seconds:.1} s: {} events, {} markets changed",
        run.source.as_str(),
        run.events_count,
        run.changed_count
    );
    let error = run
        .error
        .as_ref()
        .map(|e| format!("; {}", e.message))
        .unwrap_or_default();
    say(&format!("{line}{error}"));
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Initializing => "initializing",
        Phase::Discovering => "discovering",
        Phase::Scraping => "scraping",
        Phase::Mapping => "mapping",
        Phase::Storing => "storing",
        Phase::Completed => "completed",
        Phase::Failed => "failed",
        Phase::Cancelled => "cancelled",
    }
}
