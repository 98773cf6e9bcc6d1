//! Keeps requests away from addresses that are nobody's business: our own machine, our own network, the cloud's
//! metadata service.
//!
//! Names are checked where they become addresses, for each connection anew, so that a name that changes its address
//! after it was looked at gains nothing. Addresses that stand in a URL are checked before the request.

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use url::{Host, Url};

/// An address that is not to be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ip} is {what}; if it is meant, write allow_private = true in [source]")]
pub(super) struct Refused {
    ip: IpAddr,
    what: &'static str,
}

/// Gives the addresses of a name.
type Lookup = dyn Fn(&str) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Looks names up, and passes on only addresses of the public internet unless it is open.
pub(super) struct Guard {
    lookup: Box<Lookup>,
    is_open: bool,
}

impl Guard {
    /// Looks names up as the system does, but for those of this machine.
    pub(super) fn new(is_open: bool) -> Self {
        Self {
            lookup: Box::new(|name| {
                let name = name.to_owned();
                Box::pin(async move {
                    if is_this_machine(&name) {
                        return Ok(vec![
                            (Ipv4Addr::LOCALHOST, 0).into(),
                            (Ipv6Addr::LOCALHOST, 0).into(),
                        ]);
                    }
                    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
                })
            }),
            is_open,
        }
    }
}

/// Names below `localhost`, which not every system looks up: `alpha.localhost`.
///
/// # Source
/// RFC 6761, section 6.3: libraries should recognize them as special and answer with the loopback address.
fn is_this_machine(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() > 10 && name.to_ascii_lowercase().ends_with(".localhost")
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let found = (self.lookup)(name.as_str());
        let is_open = self.is_open;
        Box::pin(async move {
            let found = found.await?;
            let good = if is_open { found } else { public(found)? };
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses that may be reached.
///
/// # Errors
/// The first one that may not, when there is no other.
fn public(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
    let mut refused = None;
    let mut good = Vec::new();
    for address in found {
        match check(address.ip()) {
            Ok(()) => good.push(address),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    match refused {
        Some(refused) if good.is_empty() => Err(refused),
        _ => Ok(good),
    }
}

/// Checks the host of a URL where it is an address. A name is checked when it is looked up.
pub(super) fn check_literal(url: &Url) -> Result<(), Refused> {
    match url.host() {
        Some(Host::Ipv4(ip)) => check(ip.into()),
        Some(Host::Ipv6(ip)) => check(ip.into()),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

fn check(ip: IpAddr) -> Result<(), Refused> {
    let what = match ip {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    };
    what.map_or(Ok(()), |what| Err(Refused { ip, what }))
}

/// What an address is that is not of the public internet, by IANA's registry of special addresses.
fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let what = match ip.octets() {
        [0, ..] => "of this host",
        [127, ..] => "a loopback address",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [169, 254, ..] => "a link-local address",
        // In no registry, but within Azure this is the machine's own platform.
        [168, 63, 129, 16] => "a cloud's own address",
        [100, 64..=127, ..] => "a shared address of a carrier",
        [224..=239, ..] => "a multicast address",
        [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => "a reserved address",
        _ => return None,
    };
    Some(what)
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let Some(v4) = inner_v4(ip) {
        return special_v4(v4);
    }
    let what = match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "of this host",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => "a private address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        // Tunnels to IPv4, protocol assignments, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => "a reserved address",
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    };
    Some(what)
}

/// The IPv4 address that an IPv6 address stands for: mapped ones, and those of the usual translators.
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn addresses_that_are_not_public_are_refused_however_they_are_written() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::ffff:168.63.129.16",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:a00:1::",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(check(ip.parse().unwrap()).is_err(), "{ip}");
        }
    }

    #[test]
    fn public_addresses_pass() {
        for ip in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(check(ip.parse().unwrap()), Ok(()), "{ip}");
        }
    }

    #[test]
    fn hosts_that_are_addresses_are_read_as_the_client_reads_them() {
        let check = |url: &str| check_literal(&Url::parse(url).unwrap());
        for url in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
        assert_eq!(check("http://example.org/"), Ok(()));
        assert_eq!(check("http://1.1.1.1/"), Ok(()));
    }

    fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
        let ips = ips.iter().map(|ip| ip.parse().unwrap());
        ips.map(|ip| SocketAddr::new(ip, 0)).collect()
    }

    #[tokio::test]
    async fn a_name_that_moves_to_a_private_address_is_refused_from_then_on() {
        let looks = AtomicUsize::new(0);
        let guard = Guard {
            is_open: false,
            lookup: Box::new(move |_| {
                let first = looks.fetch_add(1, Ordering::SeqCst) == 0;
                let ip = if first { "1.1.1.1" } else { "169.254.169.254" };
                Box::pin(async move { Ok(addresses(&[ip])) })
            }),
        };
        let resolve = || guard.resolve("rebinding.invalid".parse().unwrap());
        assert_eq!(
            resolve().await.ok().unwrap().collect::<Vec<_>>(),
            addresses(&["1.1.1.1"])
        );
        let error = resolve().await.err().unwrap();
        assert!(error.downcast_ref::<Refused>().is_some(), "{error}");
    }

    #[test]
    fn of_a_names_addresses_the_public_ones_are_used_alone() {
        let public = |ips: &[&str]| public(addresses(ips));
        assert_eq!(public(&["127.0.0.1", "1.1.1.1"]), Ok(addresses(&["1.1.1.1"])));
        let refused = public(&["10.0.0.1", "::1"]).unwrap_err();
        assert!(
            refused.to_string().contains("10.0.0.1 is a private address"),
            "{refused}"
        );
        assert_eq!(public(&[]), Ok(Vec::new()));
    }
}
