//! What the server refused. The client tells it by an event alone: a refused request ends as a time-out, and a refused
//! subscription stays silent for ever.

use async_nats::{ConnectError, Event, ServerError};
use std::{
    error::Error as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What the server refused on this connection. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The last subscription: it is dead until the connection is made again.
    subscription: Option<String>,
    /// The last publication, and when.
    publication: Option<(String, Instant)>,
}

/// After a refused publication the process is not ready for this long: what matters is tried again within it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

impl Refusals {
    pub(super) fn note(&self, event: &Event) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // Subscriptions are made again, and refused again if they still are.
            Event::Connected => *known = Known::default(),
            Event::ServerError(ServerError::Other(text)) => {
                let lower = text.to_lowercase();
                if lower.contains("permissions violation for subscription") {
                    known.subscription = Some(text.clone());
                } else if lower.contains("permissions violation") {
                    known.publication = Some((text.clone(), Instant::now()));
                }
            }
            _ => {}
        }
    }

    /// Good when nothing was refused.
    ///
    /// # Errors
    /// What was, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = known.publication.as_ref();
        let recent = recent
            .filter(|(_, at)| at.elapsed() < FORGOTTEN_AFTER)
            .map(|(text, _)| text);
        match known.subscription.as_ref().or(recent) {
            None => Ok(()),
            Some(text) => Err(format!(
                "NATS refused it: {text}; check this role's permissions (docs/nats.md)"
            )),
        }
    }
}

/// Why a try to connect failed and what to do, in one sentence.
pub(super) fn explain(error: &ConnectError) -> String {
    let mut all = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        all.push_str(": ");
        all.push_str(&inner.to_string());
        source = inner.source();
    }
    let says = |what: &str| all.to_lowercase().contains(what);
    if says("expired") && says("certificate") {
        "the server's certificate has expired: renew it".into()
    } else if says("expired") {
        "these credentials have expired: get new ones from who runs NATS".into()
    } else if says("authorization violation") || says("authentication") {
        "NATS does not know this user or its secret: check the nkey seed, credentials, user or token of this role, \
         and that its public key stands in the server's users.conf"
            .into()
    } else if says("unknownissuer") || says("unknown issuer") || says("no trusted") {
        "no authority known here vouches for the server's certificate: set ODDSWIRE_NATS_CA to the file of the one \
         that does"
            .into()
    } else if says("notvalidforname") || says("not valid for name") {
        "the server's certificate is for another name than that in ODDSWIRE_NATS_URL: use a name that stands in it"
            .into()
    } else if says("certificaterequired") || says("certificate required") {
        "NATS wants a client certificate: set ODDSWIRE_NATS_CERT and ODDSWIRE_NATS_KEY".into()
    } else {
        all
    }
}
