//! Where clients are let in, by token or by ticket, and counted.

use super::{Auth, Grant, Refusal, grant::Record};
use crate::{
    front::Refusals,
    metrics::{AuthLabel, Metrics},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oddswire_kit::bus::Bus;
use oddswire_protocol::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

/// The door.
#[derive(Debug)]
pub struct Door {
    /// May be another one any time.
    auth: watch::Receiver<Arc<Auth>>,
    bus: Bus,
    metrics: Arc<Metrics>,
    refusals: Refusals,
}

/// What stands on the bus for a ticket, under a hash of it: who reads the bus cannot use it.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    grant: Record,
    until: Timestamp,
}

/// How long the bus may take.
const BUS_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of chance in a ticket.
const TICKET_BYTES: usize = 32;
/// What is left of a used ticket is forgotten after this: longer than any ticket holds.
const USED_FOR: Duration = Duration::from_secs(120);

impl Door {
    /// A door that asks what `auth` holds at the time.
    pub fn new(auth: watch::Receiver<Arc<Auth>>, bus: Bus, metrics: Arc<Metrics>) -> Self {
        Self {
            auth,
            bus,
            metrics,
            refusals: Refusals::default(),
        }
    }

    /// The rules now.
    pub fn auth(&self) -> Arc<Auth> {
        Arc::clone(&self.auth.borrow())
    }

    /// Whether tokens are asked for.
    pub fn is_on(&self) -> bool {
        self.auth.borrow().is_on()
    }

    /// What a token allows.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn by_token(&self, token: &str) -> Result<Arc<Grant>, Refusal> {
        let checked = self.auth().check(token).await;
        self.count(checked)
    }

    /// What a ticket allows. Nobody else can use it afterwards, at whatever gateway.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn by_ticket(&self, ticket: &str) -> Result<Arc<Grant>, Refusal> {
        let redeemed = self.redeem(ticket).await;
        self.count(redeemed)
    }

    /// Tells the operator why somebody was not let in: in the counters, and seldom in the log.
    pub fn refuse(&self, refusal: Refusal) -> Refusal {
        self.note(refusal.reason());
        if let Some(left_out) = self.refusals.due(refusal.reason()) {
            tracing::info!(
                reason = refusal.reason(),
                left_out,
                "a client was not let in; {refusal}"
            );
        }
        refusal
    }

    fn count(&self, checked: Result<Grant, Refusal>) -> Result<Arc<Grant>, Refusal> {
        match checked {
            Ok(grant) => {
                self.note("ok");
                Ok(Arc::new(grant))
            }
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }

    /// Counts an outcome.
    pub fn note(&self, outcome: &'static str) {
        let label = AuthLabel {
            outcome: outcome.into(),
        };
        self.metrics.auth.get_or_create(&label).inc();
    }

    /// Makes a ticket that allows what its owner may, once; and tells for how many seconds it holds.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    pub async fn issue(&self, grant: &Grant) -> Result<(String, u64), Refusal> {
        let holds = self.auth().ticket;
        let ticket = URL_SAFE_NO_PAD.encode(rand::random::<[u8; TICKET_BYTES]>());
        let stored = Stored {
            grant: grant.into(),
            until: Timestamp::now().plus_ms(i64::try_from(holds.as_millis()).unwrap_or(0)),
        };
        let value = serde_json::to_vec(&stored).unwrap_or_default();
        let stop = CancellationToken::new();
        // The bus forgets it a moment after it has lost its force.
        let kept = holds + Duration::from_secs(1);
        let key = key(&ticket);
        let put = self.bus.kv_put(&key, value.into(), Some(kept), &stop);
        match timeout(BUS_WITHIN, put).await {
            Ok(Ok(())) => {
                self.note("ticket_given");
                Ok((ticket, holds.as_secs()))
            }
            _ => Err(Refusal::Unavailable("the bus does not take a ticket")),
        }
    }

    async fn redeem(&self, ticket: &str) -> Result<Grant, Refusal> {
        // Anything else was never given, and the bus need not be asked.
        if URL_SAFE_NO_PAD
            .decode(ticket)
            .is_ok_and(|b| b.len() == TICKET_BYTES)
        {
            let stop = CancellationToken::new();
            let key = key(ticket);
            let taken = self.bus.kv_take(&key, USED_FOR, &stop);
            let Ok(Ok(value)) = timeout(BUS_WITHIN, taken).await else {
                return Err(Refusal::Unavailable("the bus does not answer for a ticket"));
            };
            let stored = value.and_then(|value| serde_json::from_slice::<Stored>(&value).ok());
            if let Some(stored) = stored.filter(|stored| stored.until > Timestamp::now())
                && let Some(grant) = stored.grant.into_grant()
            {
                return if grant.left_ms() > 0 {
                    Ok(grant)
                } else {
                    Err(Refusal::Expired)
                };
            }
        }
        Err(Refusal::Ticket)
    }
}

fn key(ticket: &str) -> String {
    let mut key = "ticket.".to_owned();
    for byte in digest(&SHA256, ticket.as_bytes()).as_ref() {
        // Writing to a text does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}
