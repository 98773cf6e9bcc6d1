//! Who this process is to NATS, and whom it believes to be NATS.

use crate::secret::Secret;
use async_nats::ConnectOptions;
use clap::Args;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::path::{Path, PathBuf};

/// How a process shows who it is, and how it knows the server. At most one of seed, credentials, token and user.
#[derive(Debug, Clone, Default, Args)]
pub struct BusSecurity {
    /// The nkey seed of this role, `SU...`; `oddswire provision keys` makes one. Better given as a file: what stands on
    /// a command line is seen by everyone on the machine.
    #[arg(long, env = "ODDSWIRE_NATS_NKEY", hide_env_values = true, value_name = "SEED")]
    pub nats_nkey: Option<Secret>,
    /// The file with the nkey seed.
    #[arg(long, env = "ODDSWIRE_NATS_NKEY_FILE", value_name = "FILE")]
    pub nats_nkey_file: Option<PathBuf>,
    /// The file with credentials: a JWT and its seed, as NATS' operators hand them out.
    #[arg(long, env = "ODDSWIRE_NATS_CREDS", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// The user; may stand in the address instead, `nats://user:password@host`.
    #[arg(long, env = "ODDSWIRE_NATS_USER", value_name = "NAME")]
    pub nats_user: Option<String>,
    /// The user's password.
    #[arg(
        long,
        env = "ODDSWIRE_NATS_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub nats_password: Option<Secret>,
    /// The token, where the server wants one.
    #[arg(
        long,
        env = "ODDSWIRE_NATS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub nats_token: Option<Secret>,
    /// The certificates of the authorities that may vouch for the server, in PEM; those of the system unless given.
    #[arg(long, env = "ODDSWIRE_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// This process's certificate, in PEM, where the server asks for one.
    #[arg(long, env = "ODDSWIRE_NATS_CERT", value_name = "FILE")]
    pub nats_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[arg(long, env = "ODDSWIRE_NATS_KEY", value_name = "FILE")]
    pub nats_key: Option<PathBuf>,
    /// Speaks to a server over TLS only. An address with `tls://` and an authority given say the same.
    #[arg(long, env = "ODDSWIRE_NATS_TLS")]
    pub nats_tls: bool,
    /// Begins with TLS before the server says a word: for servers with `handshake_first`.
    #[arg(long, env = "ODDSWIRE_NATS_TLS_FIRST")]
    pub nats_tls_first: bool,
}

impl BusSecurity {
    /// The connection's options with all of this, once every file was read and looks right.
    ///
    /// # Errors
    /// What is wrong and what to do, in one sentence without a secret.
    pub(super) fn apply(&self, urls: &str, options: ConnectOptions) -> Result<ConnectOptions, String> {
        let in_url = user_in(urls);
        let ways = [
            self.nats_nkey.is_some(),
            self.nats_nkey_file.is_some(),
            self.nats_creds.is_some(),
            self.nats_token.is_some(),
            self.nats_user.is_some() || in_url.is_some(),
        ];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            return Err("give one of nkey, nkey file, credentials file, token and user, not several".into());
        }
        let options = self.tls(options)?;
        if let Some(seed) = self.seed()? {
            return Ok(options.nkey(seed));
        }
        if let Some(file) = &self.nats_creds {
            let text = read("the credentials file", file)?;
            // The library's reason may quote the file.
            return options.credentials(&text).map_err(|_| {
                format!(
                    "{} is no credentials file: it must hold a user's JWT and seed, as `nsc generate creds` writes them",
                    file.display()
                )
            });
        }
        if let Some(token) = &self.nats_token {
            return Ok(options.token(token.expose().to_owned()));
        }
        let given = match (&self.nats_user, &self.nats_password) {
            (Some(user), Some(password)) => Some((user.clone(), password.expose().to_owned())),
            (None, None) => in_url,
            (Some(_), None) => return Err("a user needs a password: set ODDSWIRE_NATS_PASSWORD".into()),
            (None, Some(_)) => return Err("a password needs a user: set ODDSWIRE_NATS_USER".into()),
        };
        Ok(match given {
            Some((user, password)) => options.user_and_password(user, password),
            None => options,
        })
    }

    /// The secret part of what this process shows the server, if it shows anything.
    pub(super) fn own_secret(&self, urls: &str) -> Option<Secret> {
        let seed = self.seed().ok().flatten();
        let creds = || read("the credentials file", self.nats_creds.as_deref()?).ok();
        let given = || {
            self.nats_token
                .as_ref()
                .or(self.nats_password.as_ref())
                .map(|s| s.expose().to_owned())
        };
        let in_url = || user_in(urls).map(|(_, password)| password);
        let text = seed.or_else(creds).or_else(given).or_else(in_url)?;
        text.parse().ok()
    }

    fn seed(&self) -> Result<Option<String>, String> {
        let (seed, whence) = match (&self.nats_nkey, &self.nats_nkey_file) {
            (Some(seed), _) => (seed.expose().trim().to_owned(), "ODDSWIRE_NATS_NKEY".to_owned()),
            (None, Some(file)) => {
                let text = read("the nkey file", file)?;
                (text.trim().to_owned(), file.display().to_string())
            }
            (None, None) => return Ok(None),
        };
        let is_user = seed.starts_with("SU") && nkeys::KeyPair::from_seed(&seed).is_ok();
        is_user.then_some(Some(seed)).ok_or_else(|| {
            format!("{whence} holds no nkey seed of a user (SU...): make one with `oddswire provision keys`")
        })
    }

    fn tls(&self, mut options: ConnectOptions) -> Result<ConnectOptions, String> {
        if let Some(ca) = &self.nats_ca {
            certificates("the authority's certificate", ca)?;
            options = options.add_root_certificates(ca.clone());
        }
        match (&self.nats_cert, &self.nats_key) {
            (Some(cert), Some(key)) => {
                certificates("the client's certificate", cert)?;
                let pem = read("the client's key", key)?;
                rustls::pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes())
                    .map_err(|_| format!("the client's key {} holds no private key in PEM", key.display()))?;
                options = options.add_client_certificate(cert.clone(), key.clone());
            }
            (None, None) => {}
            _ => {
                return Err(
                    "a client certificate needs its key: set both ODDSWIRE_NATS_CERT and ODDSWIRE_NATS_KEY"
                        .into(),
                );
            }
        }
        let required = self.nats_tls || self.nats_ca.is_some() || self.nats_cert.is_some();
        options = options.require_tls(required || self.nats_tls_first);
        Ok(if self.nats_tls_first {
            options.tls_first()
        } else {
            options
        })
    }
}

fn read(what: &str, file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{what} {}: {error}", file.display()))
}

fn certificates(what: &str, file: &Path) -> Result<(), String> {
    let text = read(what, file)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    if found.is_empty() || found.iter().any(Result::is_err) {
        return Err(format!("{what} {} holds no certificate in PEM", file.display()));
    }
    Ok(())
}

/// User and password of the first address that has them.
fn user_in(urls: &str) -> Option<(String, String)> {
    urls.split(',').find_map(|url| {
        let (start, end) = userinfo(url)?;
        let (user, password) = url[start..end].split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    })
}

/// The addresses without users and passwords: what may be logged.
pub(super) fn without_users(urls: &str) -> String {
    let bare = |url: &str| match userinfo(url) {
        Some((start, end)) => format!("{}{}", &url[..start], &url[end + 1..]),
        None => url.to_owned(),
    };
    let all: Vec<String> = urls.split(',').map(|url| bare(url.trim())).collect();
    all.join(",")
}

/// Where `user:password` stands, before its `@`.
fn userinfo(url: &str) -> Option<(usize, usize)> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    Some((start, start + url[start..end].rfind('@')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(security: &BusSecurity, urls: &str) -> String {
        security.apply(urls, ConnectOptions::new()).expect_err("refused")
    }

    #[test]
    fn what_is_logged_of_an_address_has_no_password() {
        let urls = "nats://u:p@a:1, tls://b:2,c:p@d";
        assert_eq!(without_users(urls), "nats://a:1,tls://b:2,d");
        assert_eq!(user_in(urls), Some(("u".into(), "p".into())));
    }

    #[test]
    fn a_secret_that_is_wrong_is_told_without_being_shown() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        let cut = BusSecurity {
            nats_nkey: seed[..20].parse().ok(),
            ..BusSecurity::default()
        };
        let said = fault(&cut, "nats://a");
        assert!(
            said.contains("ODDSWIRE_NATS_NKEY") && !said.contains(&seed[..20]),
            "{said}"
        );
        assert!(!format!("{cut:?}").contains(&seed[..20]));
        let account = BusSecurity {
            nats_nkey: nkeys::KeyPair::new_account()
                .seed()
                .ok()
                .and_then(|seed| seed.parse().ok()),
            ..BusSecurity::default()
        };
        fault(&account, "nats://a");
    }

    #[test]
    fn half_of_a_pair_and_two_ways_at_once_are_refused() {
        let user = BusSecurity {
            nats_user: Some("u".into()),
            ..BusSecurity::default()
        };
        assert!(fault(&user, "nats://a").contains("ODDSWIRE_NATS_PASSWORD"));
        let token = BusSecurity {
            nats_token: "t".parse().ok(),
            ..BusSecurity::default()
        };
        fault(&token, "nats://u:p@a");
        let cert = BusSecurity {
            nats_cert: Some("x".into()),
            ..BusSecurity::default()
        };
        assert!(fault(&cert, "nats://a").contains("ODDSWIRE_NATS_KEY"));
    }

    #[test]
    fn a_file_that_is_missing_or_of_another_kind_is_named() {
        let with_ca = |file: &str| BusSecurity {
            nats_ca: Some(file.into()),
            ..BusSecurity::default()
        };
        assert!(fault(&with_ca("/no/ca.pem"), "nats://a").contains("/no/ca.pem"));
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(fault(&with_ca(here), "nats://a").contains("no certificate"));
        let creds = BusSecurity {
            nats_creds: Some(here.into()),
            ..BusSecurity::default()
        };
        assert!(fault(&creds, "nats://a").contains("no credentials file"));
    }
}
