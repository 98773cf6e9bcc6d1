//! Tickets: what they allow stands in them, sealed, so that one that is never used costs nobody anything.
//!
//! A ticket is `salt ‖ ChaCha20-Poly1305(record)` in base64url. Its key is made of the salt and of a secret that gateways
//! share and nobody else has: whoever can write to the bus, or read it, can make none.

use super::{Grant, grant::Record};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oddswire_protocol::Timestamp;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What makes each ticket another one, and its name on the bus once it is used.
const SALT_BYTES: usize = 16;
/// More than the longest token gives, and less than the head of a request may have.
const TICKET_MAX_BYTES: usize = 15 * 1024;
/// Keeps this use of the secret apart from every other one.
const PURPOSE: &[u8] = b"oddswire ticket 1";

/// Seals tickets and opens them.
#[derive(Debug)]
pub(super) struct TicketKey(hmac::Key);

/// A ticket that a gateway with the same secret gave, and that is not too old.
#[derive(Debug)]
pub(super) struct Opened {
    /// What stands for it on the bus once it is used.
    pub(super) id: String,
    pub(super) grant: Grant,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    grant: Record,
    until: Timestamp,
}

impl TicketKey {
    /// The key of all that have this secret.
    pub(super) fn of_secret(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&secret, PURPOSE).as_ref(),
        ))
    }

    /// A ticket for a grant; `None` when the cipher refuses, which it does not.
    pub(super) fn seal(&self, grant: &Grant, until: Timestamp) -> Option<String> {
        let salt: [u8; SALT_BYTES] = rand::random();
        let record = Sealed {
            grant: grant.into(),
            until,
        };
        let mut sealed = serde_json::to_vec(&record).ok()?;
        let (key, nonce) = self.cipher(&salt)?;
        key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([&salt[..], &sealed].concat()))
    }

    /// What a ticket allows; `None` for anything that no gateway with this secret gave, and for what is too old.
    pub(super) fn open(&self, ticket: &str) -> Option<Opened> {
        if ticket.len() > TICKET_MAX_BYTES {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
        let (salt, sealed) = bytes.split_at_mut_checked(SALT_BYTES)?;
        let (key, nonce) = self.cipher(salt)?;
        let record = key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
        let record: Sealed = serde_json::from_slice(record).ok()?;
        let id = salt.iter().fold(String::new(), |mut id, byte| {
            // Writing to a text does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        let grant = record.grant.into_grant()?;
        (record.until > Timestamp::now()).then_some(Opened { id, grant })
    }

    /// A key for one ticket alone, which is why its nonce may be any.
    fn cipher(&self, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, hmac::sign(&self.0, salt).as_ref()).ok()?;
        Some((LessSafeKey::new(key), Nonce::assume_unique_for_key([0; 12])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::grant::Claims;

    fn grant() -> Grant {
        let claims = serde_json::json!({
            "iss": "i", "sub": "ann@example.org", "exp": 4_000_000_000_u64,
            "oddswire": {"topics": ["odds_updates.soccer"]}
        });
        serde_json::from_value::<Claims>(claims)
            .unwrap()
            .into_grant(30)
            .unwrap()
    }

    #[test]
    fn a_ticket_is_opened_with_the_secret_that_it_was_sealed_with_alone() {
        let key = TicketKey::of_secret(b"one");
        let ticket = key.seal(&grant(), Timestamp::now().plus_ms(10_000)).unwrap();
        let again = TicketKey::of_secret(b"one").open(&ticket).unwrap();
        assert_eq!(again.grant, grant());
        assert!(TicketKey::of_secret(b"another").open(&ticket).is_none());
        let other = key.seal(&grant(), Timestamp::now().plus_ms(10_000)).unwrap();
        assert_ne!(key.open(&other).unwrap().id, again.id);
    }

    #[test]
    fn no_byte_of_a_ticket_can_be_another_and_it_shows_nothing() {
        let key = TicketKey::of_secret(b"one");
        let ticket = key.seal(&grant(), Timestamp::now().plus_ms(10_000)).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&ticket).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(key.open(&URL_SAFE_NO_PAD.encode(changed)).is_none(), "byte {at}");
            assert!(
                key.open(&URL_SAFE_NO_PAD.encode(&bytes[..at])).is_none(),
                "{at} bytes"
            );
        }
        assert!(!bytes.windows(3).any(|part| part == b"ann"));
        for never in ["", "x", &"A".repeat(43), &"A".repeat(20_000), "*", "a.b"] {
            assert!(key.open(never).is_none());
        }
    }

    #[test]
    fn a_ticket_that_is_too_old_opens_nothing() {
        let key = TicketKey::of_secret(b"one");
        let ticket = key.seal(&grant(), Timestamp::now().plus_ms(-1)).unwrap();
        assert!(key.open(&ticket).is_none());
    }
}
