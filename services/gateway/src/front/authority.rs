//! Which host a request asks for. Names, origins and cookies are all compared with what is decided here.

use super::{Asked, Refused};
use hyper::{
    HeaderMap, Version,
    http::header::{FORWARDED, HOST},
};

/// A host and its port, as `Host`, `:authority` and `Origin` have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// In lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`. `None` for anything else, such as a user or a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            // The last colon of `[::1]` is inside of the brackets.
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (text, ""),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            }
        };
        let port = match port {
            "" => None,
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        is_host.then(|| Self {
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// The port, with the default of the scheme where none is written out (RFC 9110, 4.2).
    pub(super) fn port_of(&self, scheme: &str) -> Option<u16> {
        let default = match scheme {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        };
        self.port.or(default)
    }

    /// Whether both are the same host and port. Which of 80 and 443 is the default is not known where TLS ends in front
    /// of the gateway, so both are as good as none.
    pub(super) fn is_same_host(&self, other: &Self) -> bool {
        let explicit = |authority: &Self| authority.port.filter(|port| !matches!(port, 80 | 443));
        self.host == other.host && explicit(self) == explicit(other)
    }
}

/// What a request says that it was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// As HTTP/2 or an absolute target says it, or `Host`.
    direct: Option<Authority>,
    told: Told,
}

/// What a trusted proxy tells that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Nothing,
    Host(Authority),
    /// Something that cannot be understood.
    Unclear,
}

impl Destination {
    /// # Errors
    /// [`Refused::BadHost`] for what RFC 9112, 3.2, and RFC 9113, 8.3.1, have answered with 400.
    pub(super) fn of(asked: Asked<'_>, is_by_proxy: bool) -> Result<Self, Refused> {
        let mut hosts = asked.headers.get_all(HOST).into_iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) if asked.version == Version::HTTP_11 => return Err(Refused::BadHost),
            (None, _) => None,
            (Some(value), None) => {
                let host = value.to_str().ok().and_then(Authority::parse);
                Some(host.ok_or(Refused::BadHost)?)
            }
            (Some(_), Some(_)) => return Err(Refused::BadHost),
        };
        let target = match asked.uri.authority() {
            None => None,
            Some(target) => Some(Authority::parse(target.as_str()).ok_or(Refused::BadHost)?),
        };
        // Over HTTP/1.1 the target counts, and `Host` is ignored. Over HTTP/2 two that differ are an attack.
        if asked.version >= Version::HTTP_2
            && let (Some(target), Some(host)) = (&target, &host)
            && !target.is_same_host(host)
        {
            return Err(Refused::BadHost);
        }
        let told = match forwarded_host(asked.headers).filter(|_| is_by_proxy) {
            None => Told::Nothing,
            Some(told) => Authority::parse(&told).map_or(Told::Unclear, Told::Host),
        };
        let direct = target.or(host);
        Ok(Self { direct, told })
    }

    /// The host that was asked for, with which origins are compared; `None` where nobody says one that can be understood.
    pub(super) fn host(&self) -> Option<&Authority> {
        match &self.told {
            Told::Nothing => self.direct.as_ref(),
            Told::Host(told) => Some(told),
            Told::Unclear => None,
        }
    }

    /// Whether each name is such. A page can set `X-Forwarded-Host`, which some proxies pass on, and cannot set `Host`: both
    /// must be right. Without a name it is no browser.
    pub(super) fn all(&self, is_such: impl Fn(&Authority) -> bool) -> bool {
        let told = match &self.told {
            Told::Nothing => true,
            Told::Host(told) => is_such(told),
            Told::Unclear => false,
        };
        told && self.direct.as_ref().is_none_or(is_such)
    }
}

/// The host that a proxy was asked for: `X-Forwarded-Host`, or `Forwarded` (RFC 7239). What is said twice, or in both and
/// not the same, is none that can be understood.
fn forwarded_host(headers: &HeaderMap) -> Option<String> {
    let texts = |name: &str| -> Vec<&str> {
        let values = headers.get_all(name).into_iter();
        values.map(|value| value.to_str().unwrap_or("?")).collect()
    };
    let hosts: Vec<&str> = texts(FORWARDED.as_str())
        .into_iter()
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, host)| host.trim_matches('"'))
        .collect();
    let mut said = [texts("x-forwarded-host"), hosts]
        .map(|said| said.join(","))
        .to_vec();
    said.retain(|said| !said.is_empty());
    said.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
    (!said.is_empty()).then(|| said.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Method;

    fn asked(
        version: Version,
        target: &str,
        headers: &[(&'static str, &str)],
        is_by_proxy: bool,
    ) -> Result<Option<String>, Refused> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let uri = target.parse().unwrap();
        let asked = Asked {
            method: &Method::GET,
            version,
            uri: &uri,
            headers: &map,
        };
        let known = Destination::of(asked, is_by_proxy)?;
        Ok(known
            .host()
            .map(|a| a.port.map_or(a.host.clone(), |port| format!("{}:{port}", a.host))))
    }

    #[test]
    fn a_host_with_or_without_a_port_is_read_and_nothing_else() {
        for (text, host, port) in [
            ("Odds.example.org", "odds.example.org", None),
            ("odds.example.org:443", "odds.example.org", Some(443)),
            ("odds.example.org:", "odds.example.org", None),
            ("127.0.0.1:8080", "127.0.0.1", Some(8080)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8::1]:8443", "[2001:db8::1]", Some(8443)),
            ("a_b", "a_b", None),
        ] {
            let read = Authority::parse(text).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port), "{text}");
        }
        for bad in [
            "", ":80", "::1", "a:b", "a:99999", "a:+1", "a:1:2", "u@a", "a/b", "a b", "a,b", "[a]", "[::1",
            "a%2e",
        ] {
            assert_eq!(Authority::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn one_host_is_asked_for_in_the_way_of_each_version() {
        let http1 = |target, headers: &[_]| asked(Version::HTTP_11, target, headers, false);
        assert_eq!(http1("/", &[("host", "a:1")]), Ok(Some("a:1".into())));
        assert_eq!(http1("http://b/", &[("host", "a")]), Ok(Some("b".into())));
        assert_eq!(http1("/", &[]), Err(Refused::BadHost));
        assert_eq!(http1("http://b/", &[]), Err(Refused::BadHost));
        assert_eq!(http1("/", &[("host", "a"), ("host", "a")]), Err(Refused::BadHost));
        assert_eq!(http1("/", &[("host", "a/b")]), Err(Refused::BadHost));
        assert_eq!(asked(Version::HTTP_10, "/", &[], false), Ok(None));
        let http2 = |target, headers: &[_]| asked(Version::HTTP_2, target, headers, false);
        assert_eq!(http2("https://b:8443/", &[]), Ok(Some("b:8443".into())));
        assert_eq!(http2("https://b/", &[("host", "b:443")]), Ok(Some("b".into())));
        assert_eq!(http2("https://b/", &[("host", "a")]), Err(Refused::BadHost));
        assert_eq!(http2("https://u@b/", &[]), Err(Refused::BadHost));
    }

    #[test]
    fn a_trusted_proxy_says_what_it_was_asked_for_and_nobody_else_does() {
        let told = |headers: &[_], is_by_proxy| {
            let headers: Vec<_> = [("host", "backend")].iter().chain(headers).copied().collect();
            asked(Version::HTTP_11, "/", &headers, is_by_proxy).unwrap()
        };
        let x = [("x-forwarded-host", "odds.example.org:8443")];
        assert_eq!(told(&x, true).unwrap(), "odds.example.org:8443");
        assert_eq!(told(&x, false).unwrap(), "backend");
        let forwarded = [("forwarded", "for=192.0.2.1;Host=\"odds.example.org\";proto=https")];
        assert_eq!(told(&forwarded, true).unwrap(), "odds.example.org");
        assert_eq!(told(&forwarded, false).unwrap(), "backend");
        let same = ("x-forwarded-host", "Odds.example.org");
        assert_eq!(told(&[same, forwarded[0]], true).unwrap(), "odds.example.org");
        // Two proxies, or a client that wrote one itself: neither is believed.
        for twice in [
            vec![("x-forwarded-host", "a"), ("x-forwarded-host", "b")],
            vec![("x-forwarded-host", "a, b")],
            vec![("forwarded", "host=a, host=b")],
            vec![x[0], forwarded[0]],
        ] {
            assert_eq!(told(&twice, true), None, "{twice:?}");
        }
    }

    #[test]
    fn a_default_port_is_none() {
        let same = |a: &str, b: &str| {
            Authority::parse(a)
                .unwrap()
                .is_same_host(&Authority::parse(b).unwrap())
        };
        assert!(same("a", "A:443") && same("a:80", "a") && same("a:80", "a:443") && same("a:8080", "a:8080"));
        assert!(!same("a", "a:8080") && !same("a:443", "b:443") && !same("a:8080", "a:8081"));
    }
}
