//! World time: a clock that can be sped up, paused and set.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;

use crate::timestamp;
use crate::world::World;

/// The greatest speed, in world seconds for each real second.
pub const MAX_SPEED: f64 = 10_000.0;

/// What `GET /__demo/clock` and `POST /__demo/clock` answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockReport {
    /// World time, with the precision of a millisecond.
    #[serde(with = "timestamp")]
    pub now: DateTime<Utc>,
    /// World seconds for each real second.
    pub speed: f64,
    /// Whether the speed is 0, so that the world stands still.
    pub paused: bool,
}

/// The body of `POST /__demo/clock`. Each part is optional; `at` is applied before `advance_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockOrder {
    /// The new speed, 0 to [`MAX_SPEED`]; 0 pauses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// The new world time, in the years 1971 to 2999.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Milliseconds to go forward, or back if negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advance_ms: Option<i64>,
}

/// Why an order was refused; the clock is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Error {
    /// The speed is negative, too great or not a number.
    #[error("speed must be within 0 and {MAX_SPEED}, got {0}")]
    Speed(f64),
    /// World time would leave the years that the world knows.
    #[error("world time must stay within the years 1971 to 2999")]
    Range,
}

/// The clock. It reads the wall clock once, when it is made, and runs on the monotonic clock from there.
#[derive(Debug)]
pub(crate) struct Clock {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    world: DateTime<Utc>,
    since: Instant,
    speed: f64,
}

impl State {
    fn now_at(self, instant: Instant) -> DateTime<Utc> {
        // The speed is limited, so the product cannot overflow in the life of a process.
        let passed = instant.duration_since(self.since).mul_f64(self.speed);
        TimeDelta::from_std(passed)
            .ok()
            .and_then(|delta| self.world.checked_add_signed(delta))
            .unwrap_or(self.world)
    }

    fn report(self, instant: Instant) -> ClockReport {
        let now = self.now_at(instant);
        let now = DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now);
        ClockReport {
            now,
            speed: self.speed,
            paused: self.speed == 0.0,
        }
    }
}

impl Clock {
    /// Starts world time at the present wall time.
    pub(crate) fn start(speed: f64) -> Result<Self, Error> {
        let state = State {
            world: Utc::now(),
            since: Instant::now(),
            speed: checked_speed(speed)?,
        };
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.report().now
    }

    pub(crate) fn report(&self) -> ClockReport {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .report(Instant::now())
    }

    /// Applies an order completely or not at all.
    pub(crate) fn apply(&self, order: ClockOrder) -> Result<ClockReport, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        let speed = order.speed.map_or(Ok(state.speed), checked_speed)?;
        let base = order.at.unwrap_or_else(|| state.now_at(since));
        let advance = TimeDelta::try_milliseconds(order.advance_ms.unwrap_or(0)).ok_or(Error::Range)?;
        let world = base
            .checked_add_signed(advance)
            .filter(|at| World::knows(*at))
            .ok_or(Error::Range)?;
        *state = State { world, since, speed };
        Ok(state.report(since))
    }
}

fn checked_speed(speed: f64) -> Result<f64, Error> {
    if (0.0..=MAX_SPEED).contains(&speed) {
        Ok(speed)
    } else {
        Err(Error::Speed(speed))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn world_time_runs_at_the_given_speed() {
        let since = Instant::now();
        let world = at("2026-11-22T12:00:00Z");
        let ten_seconds_later = since + Duration::from_secs(10);
        let now = |speed| State { world, since, speed }.report(ten_seconds_later);
        assert_eq!(now(1.0).now, at("2026-11-22T12:00:10Z"));
        assert_eq!(now(60.0).now, at("2026-11-22T12:10:00Z"));
        assert_eq!(
            now(0.0),
            ClockReport {
                now: world,
                speed: 0.0,
                paused: true
            }
        );
    }

    #[test]
    fn a_running_clock_never_goes_back() {
        let clock = Clock::start(1_000.0).unwrap();
        let first = clock.now();
        assert!(clock.now() >= first);
    }

    #[test]
    fn a_refused_order_changes_nothing() {
        let clock = Clock::start(0.0).unwrap();
        let before = clock.report();
        let orders = [
            ClockOrder {
                speed: Some(-1.0),
                advance_ms: Some(5),
                ..ClockOrder::default()
            },
            ClockOrder {
                advance_ms: Some(i64::MIN),
                ..ClockOrder::default()
            },
            ClockOrder {
                advance_ms: Some(i64::MAX),
                ..ClockOrder::default()
            },
            ClockOrder {
                speed: Some(2.0),
                at: Some(at("1960-01-01T00:00:00Z")),
                ..ClockOrder::default()
            },
        ];
        for order in orders {
            clock.apply(order).unwrap_err();
            assert_eq!(clock.report(), before);
        }
    }

    #[test]
    fn setting_and_advancing_combine() {
        let clock = Clock::start(0.0).unwrap();
        let order = ClockOrder {
            at: Some(at("2026-11-22T12:00:00Z")),
            advance_ms: Some(1_500),
            speed: None,
        };
        assert_eq!(clock.apply(order).unwrap().now, at("2026-11-22T12:00:01.500Z"));
    }
}
