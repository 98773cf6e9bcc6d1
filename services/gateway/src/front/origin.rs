//! Which pages may use the gateway, and by which names it may be called.
//!
//! A browser lets any page open a WebSocket to any host, and send simple POSTs anywhere. `Origin` tells whose page it
//! is; programs that are no browsers leave it out, and nobody is protected from them by it.

use super::authority::Authority;
use std::{fmt, net::IpAddr, str::FromStr};

/// An origin that is allowed: `https://odds.example.org`, `https://*.example.org` for every name below, or
/// `http://localhost:*` for every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    scheme: String,
    /// Whether names below `authority` are meant, and not itself.
    below: bool,
    authority: Authority,
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
        let authority = Authority::parse(authority).ok_or(BadPattern::Shape)?;
        // `https://*.org` is as good as everybody.
        if !matches!(scheme, "http" | "https") || (below && !authority.host.contains('.')) {
            return Err(BadPattern::Shape);
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            below,
            authority,
            any_port,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{}://{below}{}", self.scheme, self.authority.host)?;
        match self.authority.port {
            _ if self.any_port => f.write_str(":*"),
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl Pattern {
    fn admits(&self, origin: &Origin<'_>) -> bool {
        let Origin { scheme, authority } = origin;
        let fits = if self.below {
            authority
                .host
                .strip_suffix(&self.authority.host)
                .is_some_and(|name| name.len() > 1 && name.ends_with('.'))
        } else {
            authority.host == self.authority.host
        };
        let port = self.any_port || authority.port_of(scheme) == self.authority.port_of(scheme);
        fits && port && *scheme == self.scheme
    }
}

/// An `Origin` that is not opaque (RFC 6454).
struct Origin<'a> {
    scheme: &'a str,
    authority: Authority,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let authority = Authority::parse(authority)?;
        Some(Self { scheme, authority })
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

/// Judges an `Origin` by the host that was asked. The scheme does not count for the own host: TLS may end in front of the
/// gateway.
pub(super) fn whose(origin: &str, asked: Option<&Authority>, allowed: &[Pattern]) -> Whose {
    let Some(origin) = Origin::parse(origin) else {
        return Whose::Foreign;
    };
    if asked.is_some_and(|asked| asked.is_same_host(&origin.authority)) {
        Whose::Own
    } else if allowed.iter().any(|pattern| pattern.admits(&origin)) {
        Whose::Allowed
    } else {
        Whose::Foreign
    }
}

/// Whether a host is a name that only this machine's owner gives: localhost, an address, or one that is configured. A
/// page at a name that somebody had resolve to 127.0.0.1 calls the gateway by that name.
pub(super) fn is_local_name(asked: &Authority, allowed: &[String]) -> bool {
    let name = asked.host.as_str();
    name.starts_with('[')
        || name.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost")
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
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
        let host = Authority::parse("gw.example.com:8443");
        let host = host.as_ref();
        for (origin, expected) in [
            ("https://gw.example.com:8443", Whose::Own),
            ("http://GW.example.com:8443", Whose::Own),
            ("https://gw.example.com", Whose::Foreign),
            ("https://odds.example.org", Whose::Allowed),
            ("http://odds.example.org", Whose::Foreign),
            ("https://odds.example.org.evil.example", Whose::Foreign),
            ("https://evilodds.example.org", Whose::Foreign),
            ("https://odds.example.org:443", Whose::Allowed),
            ("https://odds.example.org:80", Whose::Foreign),
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
    fn a_default_port_that_is_written_out_is_the_same_origin() {
        for (host, origin) in [
            ("odds.example.org:443", "https://odds.example.org"),
            ("odds.example.org:80", "http://odds.example.org"),
            ("odds.example.org", "https://odds.example.org:443"),
            // An inner proxy that speaks plain HTTP on port 80, behind one that ends TLS.
            ("odds.example.org:80", "https://odds.example.org"),
        ] {
            let host = Authority::parse(host).unwrap();
            assert_eq!(
                whose(origin, Some(&host), &[]),
                Whose::Own,
                "{origin} at {host:?}"
            );
        }
        let written_out: Pattern = "https://odds.example.org:443".parse().unwrap();
        assert_eq!(
            whose("https://odds.example.org", None, &[written_out]),
            Whose::Allowed
        );
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
        let is_local = |host: &str| Authority::parse(host).is_some_and(|host| is_local_name(&host, &allowed));
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "a.localhost",
            "127.0.0.1:80",
            "[::1]:8080",
            "192.168.1.5",
            "odds.lan:1",
        ] {
            assert!(is_local(host), "{host}");
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
            assert!(!is_local(host), "{host}");
        }
    }
}
