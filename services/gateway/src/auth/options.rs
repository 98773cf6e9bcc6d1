//! How tokens are configured.

use clap::Args;
use oddswire_kit::secret::Secret;
use std::path::PathBuf;

/// Who may do what, by JSON Web Tokens. Off as long as no key is named.
#[derive(Debug, Clone, Args)]
pub struct AuthOptions {
    /// Files with keys that tokens are checked with, separated by commas: a public key in PEM, a JWK, or a set of JWKs.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_KEY_FILE",
        value_delimiter = ',',
        value_name = "PATH"
    )]
    pub auth_key_file: Vec<PathBuf>,
    /// A secret that tokens are checked with (HS256), at least 32 bytes.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub auth_secret: Option<Secret>,
    /// A file with that secret; a line end at its end does not count.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_SECRET_FILE",
        value_name = "PATH",
        conflicts_with = "auth_secret"
    )]
    pub auth_secret_file: Option<PathBuf>,
    /// Where the keys of an identity provider are: a set of JWKs. They are read again at intervals, and when a token
    /// names a key that is not known.
    #[arg(long, env = "ODDSWIRE_AUTH_JWKS_URL", value_name = "URL")]
    pub auth_jwks_url: Option<String>,
    /// The algorithm of the secret and of RSA keys in PEM, which do not say it: HS256 and RS256 unless given.
    #[arg(long, env = "ODDSWIRE_AUTH_ALGORITHM", value_name = "NAME")]
    pub auth_algorithm: Option<String>,
    /// What a token's `iss` must be; several are separated by commas.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_ISSUER",
        default_value = "oddswire",
        value_delimiter = ',',
        value_name = "TEXT"
    )]
    pub auth_issuer: Vec<String>,
    /// What a token's `aud` must be or have; several are separated by commas.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_AUDIENCE",
        default_value = "oddswire",
        value_delimiter = ',',
        value_name = "TEXT"
    )]
    pub auth_audience: Vec<String>,
    /// Seconds by which clocks may differ: a token holds so much longer, and earlier, 0 to 300.
    #[arg(long, env = "ODDSWIRE_AUTH_LEEWAY_S", default_value_t = 30, value_name = "S",
          value_parser = clap::value_parser!(u64).range(0..=300))]
    pub auth_leeway_s: u64,
    /// Seconds from a token's `iat` to its `exp` at most; 0 for no limit.
    #[arg(
        long,
        env = "ODDSWIRE_AUTH_MAX_LIFETIME_S",
        default_value_t = 0,
        value_name = "S"
    )]
    pub auth_max_lifetime_s: u64,
    /// Seconds before its end at which a connection is told to bring a new token, 1 to 3600; at most half of what is left.
    #[arg(long, env = "ODDSWIRE_AUTH_NOTICE_S", default_value_t = 60, value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub auth_notice_s: u64,
    /// Seconds that a ticket for a stream holds, 1 to 60.
    #[arg(long, env = "ODDSWIRE_AUTH_TICKET_S", default_value_t = 30, value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..=60))]
    pub auth_ticket_s: u64,
    /// Seconds after which the identity provider's keys are read again, 1 to 86400.
    #[arg(long, env = "ODDSWIRE_AUTH_JWKS_REFRESH_S", default_value_t = 300, value_name = "S",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub auth_jwks_refresh_s: u64,
    /// A cookie that may carry the token, for pages of the same origin.
    #[arg(long, env = "ODDSWIRE_AUTH_COOKIE", value_name = "NAME")]
    pub auth_cookie: Option<String>,
    /// Serves everybody who can reach this gateway, though others than this machine can.
    #[arg(long, env = "ODDSWIRE_INSECURE_NO_AUTH")]
    pub insecure_no_auth: bool,
}

impl Default for AuthOptions {
    /// Off.
    fn default() -> Self {
        Self {
            auth_key_file: Vec::new(),
            auth_secret: None,
            auth_secret_file: None,
            auth_jwks_url: None,
            auth_algorithm: None,
            auth_issuer: vec!["oddswire".into()],
            auth_audience: vec!["oddswire".into()],
            auth_leeway_s: 30,
            auth_max_lifetime_s: 0,
            auth_notice_s: 60,
            auth_ticket_s: 30,
            auth_jwks_refresh_s: 300,
            auth_cookie: None,
            insecure_no_auth: false,
        }
    }
}

impl AuthOptions {
    /// Whether tokens are asked for.
    pub fn is_on(&self) -> bool {
        !self.auth_key_file.is_empty()
            || self.auth_secret.is_some()
            || self.auth_secret_file.is_some()
            || self.auth_jwks_url.is_some()
    }
}

/// An option that cannot be what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {what}")]
pub struct Problem {
    /// Which, as a flag.
    pub option: &'static str,
    /// What is wrong, for a person.
    pub what: String,
}

impl Problem {
    pub(super) fn new(option: &'static str, what: impl Into<String>) -> Self {
        Self {
            option,
            what: what.into(),
        }
    }
}
