//! Odds: `odds_update` and `odds_confirmed`. Names follow the-odds-api where it has one.

use crate::{EventId, Line, MarketKey, MarketToken, Period, Price, RunId, SourceKey, SportKey, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More events than this are not listed one by one in `odds_confirmed`.
pub const UNCONFIRMED_MAX: usize = 500;

/// `data` of `odds_update`: the **image** of one market of one event at one source. Published when it changed, never
/// otherwise; the newest image replaces the one before it whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OddsUpdate {
    /// The one event.
    pub event_ids: [EventId; 1],
    /// The source.
    pub source: SourceKey,
    /// Quotes in this image.
    pub snapshot_count: usize,
    /// The run that saw it.
    pub run_id: RunId,
    /// The event.
    pub event: Event,
    /// The market.
    pub market: Market,
}

impl OddsUpdate {
    /// The market as one token: `<key>-<period>`. `None` when the two make no token.
    pub fn market_token(&self) -> Option<MarketToken> {
        MarketToken::of(&self.market.key, &self.market.period)
    }
}

/// A sporting event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its id, the same at every source.
    pub event_id: EventId,
    /// Its sport.
    pub sport_key: SportKey,
    /// The league as the source writes it.
    pub league: String,
    /// The country of the league: two countries may have leagues of one name. Null when the source does not say.
    pub country: Option<String>,
    /// Kick-off.
    pub commence_time: Timestamp,
    /// The home team as the source writes it.
    pub home_team: String,
    /// The away team as the source writes it.
    pub away_team: String,
}

/// A market of an event: one row a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Market {
    /// What is bet on: `h2h`, `totals`, `spreads`, `btts`, `double_chance`.
    pub key: MarketKey,
    /// Over which part of the event.
    pub period: Period,
    /// The quotes, ordered by line, none first.
    pub quotes: Vec<Quote>,
}

/// Whether a quote or an outcome can be bet on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuoteStatus {
    /// Yes.
    Open,
    /// Shown, but not taken for now.
    Suspended,
    /// No longer offered.
    Withdrawn,
}

/// The prices of one line of a market.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// The line; null for a market without one. Null is not 0.
    pub line: Option<Line>,
    /// Whether it can be bet on.
    pub status: QuoteStatus,
    /// The outcomes, ordered by name.
    pub outcomes: Vec<Outcome>,
    /// When a price or a status of this quote changed last, as we saw it.
    pub changed_at: Timestamp,
    /// When we saw it last, at the time of this image. Its source's `odds_confirmed` moves it on.
    pub confirmed_at: Timestamp,
    /// When the source says that it changed, which may be wrong; null when it does not say.
    pub source_updated_at: Option<Timestamp>,
}

/// One thing that can happen, and its price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// In our words: `home` `draw` `away` `over` `under` `yes` `no`, and of `double_chance` `home_draw` `home_away`
    /// `draw_away`.
    pub name: String,
    /// As the source writes it.
    pub label: String,
    /// The price; the last known one while suspended; null when none was ever seen.
    pub price: Option<Price>,
    /// The price before the last change of price; null when there was none.
    pub previous_price: Option<Price>,
    /// Whether it can be bet on.
    pub status: QuoteStatus,
}

/// `data` of `odds_confirmed`: a source was checked, and all that is shown of it stands as of `confirmed_at`, but
/// for the listed events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OddsConfirmed {
    /// The source.
    pub source: SourceKey,
    /// The run that checked it.
    pub run_id: RunId,
    /// When.
    pub confirmed_at: Timestamp,
    /// Events whose pages could not be read. At most [`UNCONFIRMED_MAX`].
    pub unconfirmed_event_ids: Vec<EventId>,
    /// Present and true when more events than that could not be read: nothing is confirmed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub all_unconfirmed: bool,
}
