//! Which pages may use the gateway, and by which names it may be called.
//!
//! A browser lets any page open a WebSocket to any host, and send simple POSTs anywhere. `Origin` tells whose page it
//! is; programs that are no browsers leave it out, and nobody is protected from them by it.

use hyper::http::Uri;
use std::{fmt, net::IpAddr, str::FromStr};

/// An origin that is allowed: `https://odds.example.org`, `https://*.example.org` for every name below, or
/// `http://localhost:*` for every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    scheme: String,
    /// Whether names below `authority` are meant, and not itself.
    below: bool,
    authority: String,
    /// Whether every port of it is meant.
    any_port: bool,
}

/// Why a text is no pattern.
#[derive(Debug, thiserror::Error)]
pub enum BadPattern {
    /// Everybody.
    #[error(
        "* would be everybody: name the origins, such as https://odds.example.org or https://*.example.org"
    )]
    Everybody,
    /// Something else.
    #[error(
        "an origin is a scheme and a host, without a path: https://odds.example.org or https://*.example.org:8443"
    )]
    Shape,
}

impl FromStr for Pattern {
    type Err = BadPattern;
    fn from_str(text: &str) -> Result<Self, BadPattern> {
        if text == "*" {
            return Err(BadPattern::Everybody);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadPattern::Shape)?;
        let (below, authority) = match rest.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, rest),
        };
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(host) => (host, true),
            None => (authority, false),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        let plain =
            matches!(scheme, "http" | "https") && !authority.is_empty() && authority.chars().all(is_name);
        // `https://*.org` is as good as everybody.
        if !plain || (below && !authority.contains('.')) {
            return Err(BadPattern::Shape);
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            below,
            authority: authority.to_ascii_lowercase(),
            any_port,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        let port = if self.any_port { ":*" } else { "" };
        write!(f, "{}://{below}{}{port}", self.scheme, self.authority)
    }
}

impl Pattern {
    fn admits(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let mut authority = authority.to_ascii_lowercase();
        if self.any_port {
            let port = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
            authority.truncate(port.unwrap_or(authority.len()));
        }
        let fits = if self.below {
            authority
                .strip_suffix(&self.authority)
                .is_some_and(|name| name.len() > 1 && name.ends_with('.'))
        } else {
            authority == self.authority
        };
        fits && scheme == self.scheme
    }
}

/// Whose page asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The gateway's own.
    Own,
    /// Another one that is allowed.
    Allowed,
    Foreign,
}

/// Judges an `Origin` by the host that was asked. The scheme does not count: TLS may end in front of the gateway.
pub(super) fn whose(origin: &str, host: Option<&str>, allowed: &[Pattern]) -> Whose {
    let own = origin
        .split_once("://")
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
    if own {
        Whose::Own
    } else if allowed.iter().any(|pattern| pattern.admits(origin)) {
        Whose::Allowed
    } else {
        Whose::Foreign
    }
}

/// Whether a host is a name that only this machine's owner gives: localhost, an address, or one that is configured. A
/// page at a name that somebody had resolve to 127.0.0.1 calls the gateway by that name.
pub(super) fn is_local_name(host: &str, allowed: &[String]) -> bool {
    // A path makes it a whole address.
    let Ok(uri) = format!("http://{host}/").parse::<Uri>() else {
        return false;
    };
    let Some(name) = uri.host() else { return false };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = name.to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_a_host_may_be_allowed() {
        let admits = |pattern: &str, origin: &str| {
            let pattern: Pattern = pattern.parse().unwrap();
            assert_eq!(pattern.to_string().parse::<Pattern>().unwrap(), pattern);
            whose(origin, None, &[pattern]) == Whose::Allowed
        };
        for origin in [
            "http://localhost:3000",
            "http://localhost",
            "http://LOCALHOST:5173",
        ] {
            assert!(admits("http://localhost:*", origin), "{origin}");
        }
        for origin in [
            "https://localhost:3000",
            "http://localhost.evil:3000",
            "http://evil:3000",
        ] {
            assert!(!admits("http://localhost:*", origin), "{origin}");
        }
        assert!(admits("http://[::1]:*", "http://[::1]:3000") && admits("http://[::1]:*", "http://[::1]"));
    }

    #[test]
    fn an_origin_is_own_allowed_or_foreign() {
        let allowed: Vec<Pattern> = ["https://odds.example.org", "https://*.example.net"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let host = Some("gw.example.com:8443");
        for (origin, expected) in [
            ("https://gw.example.com:8443", Whose::Own),
            ("http://GW.example.com:8443", Whose::Own),
            ("https://gw.example.com", Whose::Foreign),
            ("https://odds.example.org", Whose::Allowed),
            ("http://odds.example.org", Whose::Foreign),
            ("https://odds.example.org.evil.example", Whose::Foreign),
            ("https://evilodds.example.org", Whose::Foreign),
            ("https://a.example.net", Whose::Allowed),
            ("https://a.b.example.net", Whose::Allowed),
            ("https://example.net", Whose::Foreign),
            ("https://.example.net", Whose::Foreign),
            ("https://evilexample.net", Whose::Foreign),
            ("null", Whose::Foreign),
            ("", Whose::Foreign),
        ] {
            assert_eq!(whose(origin, host, &allowed), expected, "{origin}");
        }
        assert_eq!(whose("https://x", None, &[]), Whose::Foreign);
    }

    #[test]
    fn patterns_that_mean_everybody_are_refused() {
        for bad in [
            "*",
            "https://*",
            "https://*.org",
            "null",
            "ftp://a.example",
            "https://a/b",
            "https://a@b",
            "",
        ] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        let pattern: Pattern = "https://*.Example.org".parse().unwrap();
        assert_eq!(pattern.to_string(), "https://*.example.org");
    }

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_local() {
        let allowed = ["odds.lan".to_owned()];
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost",
            "127.0.0.1:80",
            "[::1]:8080",
            "192.168.1.5",
            "odds.lan:1",
        ] {
            assert!(is_local_name(host, &allowed), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "a b",
            "x/y",
            "evil@x",
        ] {
            assert!(!is_local_name(host, &allowed), "{host}");
        }
    }
}
