//! `oddswire healthcheck`.

use anyhow::{Result, bail};
use std::{process::ExitCode, time::Duration};

const WITHIN: Duration = Duration::from_secs(3);

pub(crate) async fn run(url: &str) -> Result<ExitCode> {
    let answer = reqwest::Client::new().get(url).timeout(WITHIN).send().await?;
    let status = answer.status();
    if !status.is_success() {
        bail!(
            "{url} answers {status}: {}",
            answer.text().await.unwrap_or_default().trim()
        );
    }
    Ok(ExitCode::SUCCESS)
}
