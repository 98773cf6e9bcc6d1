//! Whether the bus answers.

use crate::{
    bus::{Bus, Refusals},
    log::ReadError,
    provision::{Difference, strange},
};
use oddswire_protocol::stream::{self, Sizing};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Whether the bus answers: asked every two seconds, and remembered with its time.
#[derive(Debug, Clone)]
pub struct Probe {
    state: watch::Receiver<ProbeState>,
    refusals: Refusals,
}

#[derive(Debug, Clone)]
struct ProbeState {
    last_good: Option<Instant>,
    fault: String,
}

/// Without a good answer for this long the bus counts as down.
pub const PROBE_GOOD_FOR: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(2);

impl Probe {
    /// A probe that asks for the state of each of `streams` until `stop`, and the future that does it.
    pub fn new(
        bus: &Bus,
        streams: Vec<String>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let first = ProbeState {
            last_good: None,
            fault: "NATS has not answered yet".into(),
        };
        let (sender, state) = watch::channel(first);
        let refusals = bus.refusals().clone();
        let bus = bus.clone();
        let run = async move {
            let mut said = Said::default();
            let mut looked = false;
            while !stop.is_cancelled() {
                let found = tokio::select! {
                    found = ask_all(&bus, &streams) => found,
                    () = stop.cancelled() => return,
                };
                said.note(&found);
                if found.is_ok() && !looked {
                    tell_strange(&bus, &streams).await;
                    looked = true;
                }
                sender.send_modify(|state| match found {
                    Ok(()) => state.last_good = Some(Instant::now()),
                    Err(fault) => state.fault = fault,
                });
                tokio::select! {
                    () = tokio::time::sleep(PROBE_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
        };
        (Self { state, refusals }, run)
    }

    /// Good when the last good answer is young enough, and nothing was refused.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        self.refusals.check()?;
        let state = self.state.borrow();
        match state.last_good {
            Some(at) if at.elapsed() < PROBE_GOOD_FOR => Ok(()),
            _ => Err(state.fault.clone()),
        }
    }
}

/// What was found last, and whether it was said.
#[derive(Debug, Default)]
struct Said {
    fault: String,
    told: bool,
}

impl Said {
    /// Logs a fault that two looks in a row found, once: a service that waits says what for, and one that is about to
    /// connect says nothing.
    fn note(&mut self, found: &Result<(), String>) {
        let fault = found.as_ref().err().map(String::as_str).unwrap_or_default();
        if fault != self.fault {
            fault.clone_into(&mut self.fault);
            self.told = false;
        } else if !fault.is_empty() && !self.told {
            tracing::error!(fault, "the bus is of no use");
            self.told = true;
        }
    }
}

/// Logs, at the start, where streams are not as this program expects. That is no fault of readiness: while a deployment
/// rolls on, the streams are the next version's already.
async fn tell_strange(bus: &Bus, streams: &[String]) {
    let mut expected = stream::streams(bus.subjects(), &Sizing::DEV);
    expected.retain(|spec| streams.contains(&spec.name));
    // When the bus is gone again, readiness says so.
    for (
        stream,
        Difference {
            setting,
            found,
            wanted,
            ..
        },
    ) in strange(bus, &expected).await.unwrap_or_default()
    {
        tracing::warn!(
            stream,
            setting,
            found,
            wanted,
            "a stream is not as this version expects: run `oddswire provision` as the role provision"
        );
    }
}

async fn ask_all(bus: &Bus, streams: &[String]) -> Result<(), String> {
    if !bus.is_connected() {
        let why = bus.why_not_connected().await;
        return Err(why.map_or_else(
            || "not connected to NATS".into(),
            |why| format!("not connected to NATS: {why}"),
        ));
    }
    bus.check_server()?;
    for stream in streams {
        match bus.stream_state(stream).await {
            Ok(_) => {}
            Err(ReadError::NoStream) => {
                return Err(format!(
                    "stream {stream} is missing: run `oddswire provision` as the role provision"
                ));
            }
            Err(error) => return Err(format!("stream {stream}: {error}")),
        }
    }
    Ok(())
}
