//! Where clients are let in, by token or by ticket, and counted.

use super::{Auth, Grant, Refusal, ticket::TicketKey};
use crate::{
    front::Refusals,
    metrics::{AuthLabel, Metrics},
};
use oddswire_kit::bus::Bus;
use oddswire_protocol::Timestamp;
use std::{sync::Arc, time::Duration};
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
    /// Of what this role shows the bus, which no other role has; without that, of what tokens are signed with; without
    /// that, this gateway's own.
    bus_key: Option<TicketKey>,
    own_key: TicketKey,
}

/// How long the bus may take.
const BUS_WITHIN: Duration = Duration::from_secs(3);
/// That a ticket was used is forgotten after this: longer than any ticket holds, with a minute for clocks that differ.
const USED_FOR: Duration = Duration::from_secs(120);

impl Door {
    /// A door that asks what `auth` holds at the time.
    pub fn new(auth: watch::Receiver<Arc<Auth>>, bus: Bus, metrics: Arc<Metrics>) -> Self {
        let bus_key = bus
            .own_secret()
            .map(|secret| TicketKey::of_secret(secret.expose().as_bytes()));
        let own: [u8; 32] = rand::random();
        Self {
            auth,
            bus,
            metrics,
            refusals: Refusals::default(),
            bus_key,
            own_key: TicketKey::of_secret(&own),
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

    /// Makes a ticket that allows what its owner may, once; and tells for how many seconds it holds. Nothing is stored.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`].
    pub fn issue(&self, grant: &Grant) -> Result<(String, u64), Refusal> {
        let auth = self.auth();
        let until = Timestamp::now().plus_ms(i64::try_from(auth.ticket.as_millis()).unwrap_or(0));
        let ticket = self.key(&auth).seal(grant, until);
        let ticket = ticket.ok_or(Refusal::Unavailable("a ticket cannot be sealed"))?;
        self.note("ticket_given");
        Ok((ticket, auth.ticket.as_secs()))
    }

    fn key<'a>(&'a self, auth: &'a Auth) -> &'a TicketKey {
        let shared = self.bus_key.as_ref().or(auth.ticket_key.as_ref());
        shared.unwrap_or(&self.own_key)
    }

    async fn redeem(&self, ticket: &str) -> Result<Grant, Refusal> {
        // Anything else was never given, and the bus need not be asked.
        let opened = self.key(&self.auth()).open(ticket).ok_or(Refusal::Ticket)?;
        let stop = CancellationToken::new();
        let key = format!("ticket.{}", opened.id);
        let claimed = self.bus.kv_claim(&key, USED_FOR, &stop);
        match timeout(BUS_WITHIN, claimed).await {
            Ok(Ok(true)) if opened.grant.left_ms() > 0 => Ok(opened.grant),
            Ok(Ok(true)) => Err(Refusal::Expired),
            Ok(Ok(false)) => Err(Refusal::Ticket),
            _ => Err(Refusal::Unavailable("the bus does not answer for a ticket")),
        }
    }
}
