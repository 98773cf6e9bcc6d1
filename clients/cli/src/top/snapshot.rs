//! What is asked for, since no stream tells it.

use super::gateway::Sign;
use crate::{
    connection::{Address, Clock, Error, Gateways},
    image::{Confirmation, RunImage},
};
use oddswire_protocol::{
    SourceKey,
    api::{Sources, Workers},
    job::{SourceRecord, WorkerRecord},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::HashMap;

/// The answers of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The gateway that answered.
    pub(super) address: String,
    pub(super) clock: Clock,
    pub(super) sources: Vec<SourceRecord>,
    pub(super) workers: Vec<WorkerRecord>,
    /// The newest.
    pub(super) runs: Vec<RunImage>,
    pub(super) confirmed: HashMap<SourceKey, Confirmation>,
    pub(super) gateways: Vec<Sign>,
}

#[derive(Deserialize)]
struct RunList {
    runs: Vec<Value>,
}

#[derive(Deserialize)]
struct BoardHead {
    #[serde(default)]
    confirmed: HashMap<SourceKey, Value>,
}

/// What can be read of an answer's parts: one that cannot is left out.
fn readable<T: DeserializeOwned>(part: Value) -> Option<T> {
    serde_json::from_value(part).ok()
}

/// As many runs as are asked for: the last ones of all sources are among them, as a rule.
const RUNS: &str = "200";

fn limit(number: &str) -> [(&'static str, String); 1] {
    [("limit", number.to_owned())]
}

impl Snapshot {
    pub(super) async fn take(gateways: &Gateways, ops: &[Address]) -> Result<Self, Error> {
        let sources = gateways.read("api/sources", &[]).await?;
        let Workers { workers } = gateways.read_as("api/workers", &[]).await?;
        let RunList { runs } = gateways.read_as("api/scrapes", &limit(RUNS)).await?;
        let BoardHead { confirmed } = gateways.read_as("api/odds", &limit("1")).await?;
        let mut signs = Vec::new();
        for address in ops {
            signs.push(Sign::of(gateways, address).await);
        }
        Ok(Self {
            address: sources.address.clone(),
            clock: sources.clock,
            sources: sources.understood::<Sources>()?.sources,
            workers,
            runs: runs.into_iter().filter_map(readable).collect(),
            confirmed: confirmed
                .into_iter()
                .filter_map(|(source, part)| Some((source, readable(part)?)))
                .collect(),
            gateways: signs,
        })
    }
}

/// The same as one object, with everything that the gateway said.
pub(super) async fn as_json(gateways: &Gateways, ops: &[Address]) -> Result<Value, Error> {
    let sources = gateways.read("api/sources", &[]).await?;
    let workers: Value = gateways.read_as("api/workers", &[]).await?;
    let runs: Value = gateways.read_as("api/scrapes", &limit(RUNS)).await?;
    let odds: Value = gateways.read_as("api/odds", &limit("1")).await?;
    let mut signs = Vec::new();
    for address in ops {
        signs.push(Sign::of(gateways, address).await);
    }
    Ok(json!({
        "at": sources.clock.now(),
        "gateway": sources.address,
        "sources": sources.understood::<Value>()?["sources"],
        "workers": workers["workers"],
        "runs": runs["runs"],
        "confirmed": odds["confirmed"],
        "gateways": signs,
    }))
}
