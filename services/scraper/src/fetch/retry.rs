//! When another try makes sense, and after which pause.

use super::{Error, memory::http_date};
use crate::source::Retry;
use oddswire_protocol::Timestamp;
use std::time::Duration;

impl Retry {
    /// The pause before the next try after `attempt` tries (1 for the first) of which the last failed with `error`.
    /// `None`: no further try. `random` is from 0 to 1.
    ///
    /// A pause that the site asks for is kept to, though never longer than `max`; without one the pause is anything
    /// from nothing to `base` doubled for each try, at most `max`.
    pub(super) fn pause(&self, attempt: u32, error: &Error, random: f64) -> Option<Duration> {
        let again = match error {
            Error::Timeout { .. } | Error::Connect { .. } => true,
            Error::RateLimited { .. } => self.on_status.contains(&429),
            Error::Status { status, .. } | Error::Refused { status, .. } => self.on_status.contains(status),
            // The breaker has waited as long as makes sense.
            Error::Unwell { .. }
            | Error::Cancelled
            | Error::TooLarge { .. }
            | Error::Robots { .. }
            | Error::RobotsUnknown { .. }
            | Error::Private { .. }
            | Error::OutOfPages { .. }
            | Error::OutOfTime { .. }
            | Error::OtherHost
            | Error::Client(_) => false,
        };
        if !again || attempt >= self.attempts {
            return None;
        }
        if let Some(asked) = self.asked(error) {
            return Some(asked);
        }
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(attempt - 1));
        Some(doubled.min(self.max).mul_f64(random.clamp(0.0, 1.0)))
    }
    /// The pause that the site asks for, as far as we keep to it.
    pub(super) fn asked(&self, error: &Error) -> Option<Duration> {
        let asked = error.retry_after().filter(|_| self.respect_retry_after)?;
        Some(asked.min(self.max))
    }
}

/// A random number from 0 to 1.
pub(super) fn jitter() -> f64 {
    rand::random()
}

/// Reads `Retry-After`: seconds, or a date as RFC 9110 writes it. A date in the past is no time at all.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let at = http_date(text.trim())?;
    Some(Duration::from_millis(at.ms_since(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn status(status: u16) -> Error {
        Error::Status {
            place: String::new(),
            status,
            retry_after: None,
        }
    }

    fn limited(seconds: u64) -> Error {
        Error::RateLimited {
            place: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    fn retry() -> Retry {
        Retry {
            attempts: 3,
            ..Retry::default()
        }
    }

    #[test]
    fn each_class_of_error_is_tried_again_or_not() {
        let timeout = Error::Timeout {
            place: String::new(),
            timeout: Duration::ZERO,
        };
        let connect = Error::Connect {
            place: String::new(),
            reason: String::new(),
        };
        let refused = Error::Refused {
            place: String::new(),
            status: 403,
        };
        let large = Error::TooLarge {
            place: String::new(),
            limit_bytes: 1,
        };
        let again = |error: &Error| retry().pause(1, error, 0.5).is_some();
        for error in [
            timeout,
            connect,
            status(500),
            status(503),
            status(408),
            limited(1),
        ] {
            assert!(again(&error), "{error}");
        }
        for error in [
            refused,
            large,
            status(404),
            status(501),
            Error::OtherHost,
            Error::Cancelled,
        ] {
            assert!(!again(&error), "{error}");
        }
    }

    #[test]
    fn tries_are_used_up() {
        assert!(retry().pause(2, &status(500), 0.5).is_some());
        assert_eq!(retry().pause(3, &status(500), 0.5), None);
    }

    #[test]
    fn the_site_decides_the_pause_within_our_limit() {
        assert_eq!(retry().pause(1, &limited(2), 0.0), Some(Duration::from_secs(2)));
        assert_eq!(
            retry().pause(1, &limited(3_600), 0.0),
            Some(Duration::from_secs(15))
        );
        let rude = Retry {
            respect_retry_after: false,
            ..retry()
        };
        assert_eq!(rude.pause(1, &limited(3_600), 1.0), Some(rude.base));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-22T19:45:00.000Z".parse().unwrap();
        let read = |text| retry_after(text, now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Sun, 22 Nov 2026 19:45:30 GMT"),
            Some(Duration::from_secs(30))
        );
        for older_form in ["Sunday, 22-Nov-26 19:45:30 GMT", "Sun Nov 22 19:45:30 2026"] {
            assert_eq!(read(older_form), Some(Duration::from_secs(30)), "{older_form}");
        }
        assert_eq!(read("Sun, 22 Nov 2026 19:44:30 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }

    proptest! {
        #[test]
        fn no_pause_is_longer_than_the_longest(attempt in 1_u32..100, random in -1.0_f64..2.0) {
            let retry = Retry { attempts: 101, ..Retry::default() };
            let pause = retry.pause(attempt, &status(500), random).unwrap();
            prop_assert!(pause <= retry.max);
        }
    }
}
