//! What a token allows, and until when.

use super::refusal::Refusal;
use oddswire_protocol::{Timestamp, Topic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Something that requests may need besides topics: a word in a token's `scope`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read over REST: the board, runs, sources, workers.
    Read,
    /// Start runs.
    RunsStart,
    /// Cancel runs.
    RunsCancel,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::RunsStart, Self::RunsCancel];

    /// As it stands in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::RunsStart => "runs:start",
            Self::RunsCancel => "runs:cancel",
        }
    }
}

/// What one who was let in may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who says who it is: `iss`.
    issuer: String,
    /// Who it is: `sub`.
    subject: String,
    topics: Vec<Topic>,
    scopes: BTreeSet<Scope>,
    /// From then on it allows nothing; the leeway is in it.
    expires_at: Timestamp,
}

/// The claims that are read. Others are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    iss: Issuer,
    exp: f64,
    iat: Option<f64>,
    scope: Option<String>,
    oddswire: Option<Own>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Issuer {
    One(String),
    // Some providers write a list.
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct Own {
    #[serde(default)]
    topics: Vec<String>,
}

/// The year 9999: what claims to hold longer holds until then.
const FAR_MS: f64 = 253_402_300_799_000.0;

impl Claims {
    pub(super) fn lifetime_s(&self) -> Option<f64> {
        self.iat.map(|iat| self.exp - iat)
    }

    /// Seconds from now to its end. `iat` is what the token says of itself: one from the future would make it look short.
    #[expect(clippy::cast_precision_loss, reason = "seconds are all that counts")]
    pub(super) fn left_s(&self) -> f64 {
        self.exp - Timestamp::now().unix_ms() as f64 / 1_000.0
    }

    pub(super) fn into_grant(self, leeway_s: u64) -> Result<Grant, Refusal> {
        let own = self.oddswire.map(|own| own.topics).unwrap_or_default();
        let topics = own.iter().map(|name| name.parse::<Topic>());
        let topics: Vec<Topic> = topics
            .collect::<Result<_, _>>()
            .map_err(|error| Refusal::Claims(format!("oddswire.topics: {error}")))?;
        let words: BTreeSet<&str> = self.scope.as_deref().unwrap_or_default().split(' ').collect();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "bounded, and seconds are all that counts"
        )]
        let expires_ms = ((self.exp + leeway_s as f64) * 1_000.0).clamp(0.0, FAR_MS) as i64;
        Ok(Grant {
            issuer: match self.iss {
                Issuer::One(issuer) => issuer,
                Issuer::Many(issuers) => issuers.join(" "),
            },
            subject: self.sub,
            topics: Topic::widest(&topics),
            scopes: Scope::ALL
                .into_iter()
                .filter(|scope| words.contains(scope.as_str()))
                .collect(),
            expires_at: Timestamp::from_unix_ms(expires_ms)
                .ok_or_else(|| Refusal::Claims("exp is no time".into()))?,
        })
    }
}

impl Grant {
    /// Who it is.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What it may listen to: none covers another.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// What else it may do.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scopes.iter().copied()
    }

    /// When it allows nothing any more.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Whether everything that a topic matches is allowed, by one of the patterns alone.
    pub fn covers(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|pattern| pattern.covers(topic))
    }

    /// Whether it may do this.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether another grant is for the same person.
    pub fn is_of_same_subject(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }

    /// Milliseconds until it allows nothing.
    pub fn left_ms(&self) -> u64 {
        self.expires_at.ms_since(Timestamp::now())
    }
}

/// A grant on its way between gateways, in a ticket.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    issuer: String,
    subject: String,
    topics: Vec<String>,
    scopes: Vec<String>,
    expires_at: Timestamp,
}

impl From<&Grant> for Record {
    fn from(grant: &Grant) -> Self {
        Self {
            issuer: grant.issuer.clone(),
            subject: grant.subject.clone(),
            topics: grant.topics.iter().map(ToString::to_string).collect(),
            scopes: grant
                .scopes
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect(),
            expires_at: grant.expires_at,
        }
    }
}

impl Record {
    /// `None` for what no gateway writes.
    pub(super) fn into_grant(self) -> Option<Grant> {
        Some(Grant {
            issuer: self.issuer,
            subject: self.subject,
            topics: self
                .topics
                .iter()
                .map(|name| name.parse().ok())
                .collect::<Option<_>>()?,
            scopes: Scope::ALL
                .into_iter()
                .filter(|scope| self.scopes.iter().any(|word| word == scope.as_str()))
                .collect(),
            expires_at: self.expires_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(claims: serde_json::Value) -> Result<Grant, Refusal> {
        serde_json::from_value::<Claims>(claims).unwrap().into_grant(30)
    }

    fn base() -> serde_json::Value {
        serde_json::json!({"iss": "i", "sub": "s", "exp": 2_000_000_000})
    }

    #[test]
    fn a_token_without_claims_of_ours_allows_nothing() {
        let grant = grant(base()).unwrap();
        assert!(grant.topics().is_empty());
        assert!(Scope::ALL.into_iter().all(|scope| !grant.allows(scope)));
        assert!(!grant.covers(&"scrape_progress.a.b".parse().unwrap()));
    }

    #[test]
    fn wildcards_of_a_client_reach_no_further_than_its_claim() {
        let mut claims = base();
        claims["oddswire"] =
            serde_json::json!({"topics": ["odds_updates.soccer.*.alpha", "scrape_progress.bravo"]});
        let grant = grant(claims).unwrap();
        for (topic, allowed) in [
            ("odds_updates.soccer.*.alpha", true),
            ("odds_updates.soccer.e1.alpha", true),
            ("odds_updates.soccer.*.alpha.h2h-ft", true),
            ("odds_updates", false),
            ("odds_updates.*", false),
            ("odds_updates.soccer", false),
            ("odds_updates.soccer.*", false),
            ("odds_updates.soccer.*.*", false),
            ("odds_updates.soccer.e1.*.h2h-ft", false),
            ("odds_updates.*.e1.alpha", false),
            ("odds_updates.tennis.e1.alpha", false),
            ("scrape_progress", false),
            ("scrape_progress.*", false),
            ("scrape_progress.bravo.*", true),
            ("scrape_progress.*.r1", false),
        ] {
            assert_eq!(grant.covers(&topic.parse().unwrap()), allowed, "{topic}");
        }
    }

    #[test]
    fn a_scope_is_a_whole_word() {
        let mut claims = base();
        claims["scope"] = "openid runs:starts reads read:all runs:cancel".into();
        let grant = grant(claims).unwrap();
        assert_eq!(grant.scopes().collect::<Vec<_>>(), [Scope::RunsCancel]);
    }

    #[test]
    fn a_claim_that_is_no_topic_refuses_the_token() {
        for bad in ["odds_updates.>", "*", "", "odds", "odds_updates.A"] {
            let mut claims = base();
            claims["oddswire"] = serde_json::json!({ "topics": [bad] });
            assert!(matches!(grant(claims), Err(Refusal::Claims(_))), "{bad}");
        }
    }

    #[test]
    fn a_grant_survives_a_ticket() {
        let mut claims = base();
        claims["scope"] = "read".into();
        claims["oddswire"] = serde_json::json!({"topics": ["odds_updates.soccer"]});
        let grant = grant(claims).unwrap();
        let text = serde_json::to_vec(&Record::from(&grant)).unwrap();
        let back: Record = serde_json::from_slice(&text).unwrap();
        assert_eq!(back.into_grant(), Some(grant));
    }
}
