//! Whether the bus answers.

use crate::{bus::Bus, log::ReadError};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Whether the bus answers: asked every two seconds, and remembered with its time.
#[derive(Debug, Clone)]
pub struct Probe {
    state: watch::Receiver<ProbeState>,
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
        let bus = bus.clone();
        let run = async move {
            while !stop.is_cancelled() {
                let found = ask_all(&bus, &streams).await;
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
        (Self { state }, run)
    }

    /// Good when the last good answer is young enough.
    ///
    /// # Errors
    /// What is wrong, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        let state = self.state.borrow();
        match state.last_good {
            Some(at) if at.elapsed() < PROBE_GOOD_FOR => Ok(()),
            _ => Err(state.fault.clone()),
        }
    }
}

async fn ask_all(bus: &Bus, streams: &[String]) -> Result<(), String> {
    if !bus.is_connected() {
        return Err("not connected to NATS".into());
    }
    for stream in streams {
        match bus.stream_state(stream).await {
            Ok(_) => {}
            Err(ReadError::NoStream) => {
                return Err(format!("stream {stream} is missing: run `oddswire provision`"));
            }
            Err(error) => return Err(format!("stream {stream}: {error}")),
        }
    }
    Ok(())
}
