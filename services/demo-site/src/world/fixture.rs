//! Events: who plays whom, when, and how long the event exists.

use chrono::{DateTime, Utc};

use super::WorldSpec;
use super::geography::{LEAGUES, League, TEAM_NAMES, team_name};
use super::noise::Noise;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Each slot holds one event a day; the slots are spread over the day.
const CYCLE_MS: i64 = 24 * HOUR_MS;
/// From the planned kick-off to the end of the event's life.
const AFTER_KICK_OFF_MS: i64 = 150 * MINUTE_MS;
/// Once in this time a kick-off may move.
const MOVE_PERIOD_MS: i64 = 2 * HOUR_MS;
const MOVE_CHANCE_PER_MILLE: u64 = 170;

/// One event of the world.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    /// The id that all books share.
    pub(crate) match_id: u64,
    /// A smaller number, as unique as `match_id`, from which the books derive their own ids.
    pub(crate) serial: u32,
    pub(crate) league: &'static League,
    pub(crate) home: String,
    pub(crate) away: String,
    /// The root of everything random about this event.
    pub(crate) noise: Noise,
    /// When the first book may show the event.
    pub(crate) opens_ms: i64,
    closes_ms: i64,
    planned_ms: i64,
}

impl Fixture {
    /// Gives the event that a slot holds at a moment. It may not have opened yet.
    pub(super) fn in_slot(spec: WorldSpec, world: Noise, slot: u32, t_ms: i64) -> Self {
        let start_of_slot = world.named("day").below_ms(CYCLE_MS)
            + i64::from(slot) * CYCLE_MS / i64::from(spec.events.max(1));
        let generation = (t_ms - start_of_slot).div_euclid(CYCLE_MS);
        let begins_ms = generation * CYCLE_MS + start_of_slot;
        let closes_ms = begins_ms + CYCLE_MS;
        let planned_ms = (closes_ms - AFTER_KICK_OFF_MS).div_euclid(5 * MINUTE_MS) * 5 * MINUTE_MS;

        // The generation is a number of days since 1970 and fits; the world knows no moment before 1971.
        let day = u32::try_from(generation).unwrap_or(0);
        // A thousand slots have ids of their own each day; further thousands begin far above them.
        let (thousand, rest) = (slot / 1_000, slot % 1_000);
        let serial = (thousand.wrapping_mul(1_000_000_000))
            .wrapping_add(day.wrapping_mul(1_000))
            .wrapping_add(rest);
        let match_id = u64::from(thousand) * 1_000_000_000_000
            + u64::from(day) * 1_000_000
            + u64::from(rest) * 1_000
            + spec.seed % 1_000;
        let noise = world.named("fixture").at(u64::from(slot)).bucket(generation);

        // Four teams belong to each slot, so no team ever plays in two events at once.
        let home = noise.named("home").below(4);
        let away = (home + 1 + noise.named("away").below(3)) % 4;
        let team =
            |place: u64| team_name(world.named("teams").below(TEAM_NAMES) + u64::from(slot) * 4 + place);
        Self {
            match_id,
            serial,
            league: &LEAGUES[slot as usize % LEAGUES.len()],
            home: team(home),
            away: team(away),
            noise,
            opens_ms: begins_ms + noise.named("opens").below_ms(20 * MINUTE_MS),
            closes_ms,
            planned_ms,
        }
    }

    pub(super) fn exists_at(&self, t_ms: i64) -> bool {
        (self.opens_ms..self.closes_ms).contains(&t_ms)
    }

    /// Gives the kick-off that is announced at a moment. It is a whole multiple of five minutes and may move until
    /// an hour before the planned one.
    pub(crate) fn kick_off_ms(&self, t_ms: i64) -> i64 {
        const OFFSETS_MINUTES: [i64; 5] = [-30, -15, 0, 15, 30];
        let moves = self.noise.named("kick-off");
        let last_move_ms = t_ms.min(self.planned_ms - 75 * MINUTE_MS);
        let mut at_ms = last_move_ms;
        while at_ms > self.opens_ms {
            let (index, into_ms) = moves.position(MOVE_PERIOD_MS, at_ms);
            let bucket = moves.bucket(index);
            let start_ms = at_ms - into_ms;
            let moved_ms = start_ms + bucket.named("when").below_ms(MOVE_PERIOD_MS);
            if bucket.happens(MOVE_CHANCE_PER_MILLE) && (self.opens_ms..=last_move_ms).contains(&moved_ms) {
                let choice = usize::try_from(bucket.named("offset").below(5)).unwrap_or(0);
                return self.planned_ms + OFFSETS_MINUTES[choice] * MINUTE_MS;
            }
            at_ms = start_ms - 1;
        }
        self.planned_ms
    }

    /// Like [`Self::kick_off_ms`], as a date.
    pub(crate) fn kick_off(&self, t_ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.kick_off_ms(t_ms)).unwrap_or_default()
    }

    pub(crate) fn in_play(&self, t_ms: i64) -> bool {
        t_ms >= self.kick_off_ms(t_ms)
    }
}
