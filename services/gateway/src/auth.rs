//! Who a client is and what it may do: JSON Web Tokens, and tickets in their place.
//!
//! A token is checked here once, and becomes a [`Grant`]. Whoever lets somebody do something asks the grant, and looks
//! at its end: nobody goes on as anybody else, or as nobody, when the time is over.

mod crypto;
mod door;
mod grant;
mod jwks;
mod keys;
mod mint;
mod options;
mod refusal;
mod ticket;

pub use door::Door;
pub use grant::{Grant, Scope};
pub use mint::{Mint, MintError, Wish, keygen};
pub use options::{AuthOptions, Problem};
pub use refusal::Refusal;

use grant::Claims;
use jsonwebtoken::{Algorithm, Validation, errors::ErrorKind};
use jwks::Jwks;
use keys::{Key, KeySet};
use serde::Deserialize;
use std::{path::Path, time::Duration};
use ticket::TicketKey;

/// The largest token that is looked at, in bytes.
pub const TOKEN_MAX_BYTES: usize = 8 * 1024;

/// How tokens are checked. A value is one configuration: another one takes its place whole.
#[derive(Debug)]
pub struct Auth {
    /// None: nobody is asked.
    rules: Option<Rules>,
    pub(crate) notice: Duration,
    pub(crate) ticket: Duration,
    /// Of the secret that tokens are checked with, where there is one.
    ticket_key: Option<TicketKey>,
    pub(crate) cookie: Option<String>,
}

#[derive(Debug)]
struct Rules {
    keys: KeySet,
    jwks: Option<Jwks>,
    /// With no algorithm: each key brings its own.
    validation: Validation,
    leeway_s: u64,
    max_lifetime_s: Option<u64>,
}

/// The part of a token's header that is looked at. Everything else in it is the sender's word alone: keys and addresses
/// of keys that stand there are not used.
#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    /// What the receiver must understand: nothing is.
    crit: Option<serde_json::Value>,
}

impl Auth {
    /// Reads the keys. Tokens are asked for when one is named.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(options: &AuthOptions) -> Result<Self, Vec<Problem>> {
        crypto::install();
        let mut problems = Vec::new();
        let mut note = |problem| problems.push(problem);
        let algorithm = options.auth_algorithm.as_deref().and_then(|name| {
            let parsed = name.parse::<Algorithm>();
            let problem = || {
                Problem::new(
                    "--auth-algorithm",
                    format!("{name:?} is none that is known, such as RS256"),
                )
            };
            parsed.map_err(|_| note(problem())).ok()
        });
        let mut keys = KeySet::default();
        let mut ticket_key = None;
        let no_secret = options.auth_secret.is_none() && options.auth_secret_file.is_none();
        for path in &options.auth_key_file {
            let read = read(path).and_then(|text| KeySet::of_file(&text, algorithm));
            match read {
                Ok(found) => keys.extend(found),
                Err(what) => note(Problem::new(
                    "--auth-key-file",
                    format!("{}: {what}", path.display()),
                )),
            }
        }
        if !no_secret {
            // One algorithm may be meant for RSA keys beside it.
            let algorithm = algorithm.filter(|a| a.family() == jsonwebtoken::AlgorithmFamily::Hmac);
            let secret = match (&options.auth_secret, &options.auth_secret_file) {
                (Some(secret), _) => Ok(secret.expose().to_owned()),
                (None, Some(path)) => read(path).map_err(|what| Problem::new("--auth-secret-file", what)),
                (None, None) => Ok(String::new()),
            };
            let found = secret.and_then(|secret| {
                let secret = secret.strip_suffix('\n').unwrap_or(&secret);
                let secret = secret.strip_suffix('\r').unwrap_or(secret);
                ticket_key = Some(TicketKey::of_secret(secret.as_bytes()));
                KeySet::of_secret(secret.as_bytes(), algorithm)
                    .map_err(|what| Problem::new("--auth-secret", what))
            });
            match found {
                Ok(found) => keys.extend(found),
                Err(problem) => note(problem),
            }
        }
        let every = Duration::from_secs(options.auth_jwks_refresh_s);
        let jwks = options.auth_jwks_url.as_deref();
        let jwks = jwks.and_then(|url| Jwks::new(url, every).map_err(&mut note).ok());
        for (option, values) in [
            ("--auth-issuer", &options.auth_issuer),
            ("--auth-audience", &options.auth_audience),
        ] {
            if options.is_on() && (values.is_empty() || values.iter().any(String::is_empty)) {
                note(Problem::new(
                    option,
                    "must name at least one, and none that is empty",
                ));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            rules: options.is_on().then(|| Rules::new(options, keys, jwks)),
            notice: Duration::from_secs(options.auth_notice_s),
            ticket: Duration::from_secs(options.auth_ticket_s),
            ticket_key,
            cookie: options.auth_cookie.clone(),
        })
    }

    /// Whether tokens are asked for.
    pub fn is_on(&self) -> bool {
        self.rules.is_some()
    }

    /// What a token allows.
    ///
    /// # Errors
    /// [`Refusal`]; without tokens everything is refused.
    pub async fn check(&self, token: &str) -> Result<Grant, Refusal> {
        match &self.rules {
            Some(rules) => rules.check(token).await,
            None => Err(Refusal::UnknownKey),
        }
    }

    /// Keeps the keys of an identity provider fresh, for ever.
    pub async fn keep_fresh(&self) {
        match self.rules.as_ref().and_then(|rules| rules.jwks.as_ref()) {
            Some(jwks) => jwks.keep_fresh().await,
            None => std::future::pending().await,
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

impl Rules {
    fn new(options: &AuthOptions, keys: KeySet, jwks: Option<Jwks>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.algorithms = Vec::new();
        validation.leeway = options.auth_leeway_s;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&options.auth_issuer);
        validation.set_audience(&options.auth_audience);
        Self {
            keys,
            jwks,
            validation,
            leeway_s: options.auth_leeway_s,
            max_lifetime_s: (options.auth_max_lifetime_s > 0).then_some(options.auth_max_lifetime_s),
        }
    }

    async fn check(&self, token: &str) -> Result<Grant, Refusal> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        let head = read_head(token)?;
        let algorithm: Algorithm = head.alg.parse().map_err(|_| Refusal::Algorithm)?;
        let candidates = self.candidates(head.kid.as_deref(), algorithm).await?;
        let mut last = Refusal::UnknownKey;
        for key in &candidates {
            match self.check_with(token, key) {
                Err(Refusal::Signature) => last = Refusal::Signature,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// The keys that may have signed it. One that is not known may be new at the identity provider.
    async fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Key>, Refusal> {
        let known = self.known().candidates(id, algorithm);
        let Some(jwks) = self.jwks.as_ref().filter(|_| known.is_err()) else {
            return known;
        };
        // A key of that name with another algorithm is no reason to look.
        if matches!(known, Err(Refusal::Algorithm)) && id.is_some() {
            return known;
        }
        jwks.look_again().await;
        if jwks.known().is_none() {
            return Err(Refusal::Unavailable(
                "the identity provider's keys cannot be read",
            ));
        }
        self.known().candidates(id, algorithm)
    }

    fn known(&self) -> KeySet {
        let mut keys = self.keys.clone();
        if let Some(provided) = self.jwks.as_ref().and_then(Jwks::known) {
            keys.extend((*provided).clone());
        }
        keys
    }

    fn check_with(&self, token: &str, key: &Key) -> Result<Grant, Refusal> {
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation)
            .map_err(|error| sort(error.kind()))?
            .claims;
        if let Some(most) = self.max_lifetime_s {
            let lifetime = claims
                .lifetime_s()
                .ok_or_else(|| Refusal::Claims("iat is missing".into()))?;
            #[expect(clippy::cast_precision_loss, reason = "seconds are all that counts")]
            if lifetime > most as f64 || claims.left_s() > (most + self.leeway_s) as f64 {
                return Err(Refusal::TooLongLived);
            }
        }
        let grant = claims.into_grant(self.leeway_s)?;
        // The library counts in seconds, and lets the last one pass.
        if grant.left_ms() == 0 {
            return Err(Refusal::Expired);
        }
        Ok(grant)
    }
}

/// The header and the claims of a token, whether or not it is good: for a person to look at.
pub fn peek(token: &str) -> Option<(serde_json::Value, serde_json::Value)> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&bytes).ok()
    });
    Some((parts.next()??, parts.next()??))
}

fn read_head(token: &str) -> Result<Head, Refusal> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let (head, rest) = token
        .split_once('.')
        .ok_or(Refusal::Malformed("it has no dots"))?;
    if rest.split('.').count() != 2 {
        return Err(Refusal::Malformed("it has not three parts"));
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(head)
        .map_err(|_| Refusal::Malformed("its header is no base64"))?;
    let head: Head =
        serde_json::from_slice(&bytes).map_err(|_| Refusal::Malformed("its header is not one of a token"))?;
    if head.crit.is_some() {
        return Err(Refusal::Malformed(
            "its header asks for what is not known here (crit)",
        ));
    }
    Ok(head)
}

fn sort(error: &ErrorKind) -> Refusal {
    match error {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYetValid,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Refusal::Algorithm,
        ErrorKind::MissingRequiredClaim(name) => Refusal::Claims(format!("{name} is missing or malformed")),
        ErrorKind::InvalidClaimFormat(name) => Refusal::Claims(format!("{name} is malformed")),
        // The parser's own words may quote what stands there.
        ErrorKind::Json(_) => Refusal::Claims("not of the form that is expected".into()),
        _ => Refusal::Malformed("a part of it is no base64"),
    }
}

#[cfg(test)]
mod tests;
