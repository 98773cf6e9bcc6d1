//! The address of a client, that proxies tell.

use hyper::{HeaderMap, http::header::FORWARDED};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The client that a request comes from, as proxies tell it; `None` where none tells.
///
/// The peer has to be a trusted proxy, and the right-most address is the one that it saw. Where a request passes several
/// proxies, each address that is a trusted proxy's was told by it about the one to the left, `hops` in all. Whatever
/// stands further left may be the client's own words: also where it is in a network of proxies. Where both headers are
/// there and tell two clients nobody knows which of them the proxy wrote: it counts itself.
pub(super) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet], hops: usize) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return None;
    }
    let by = |name, read: fn(&str) -> Option<IpAddr>| {
        let told = texts(headers, name).into_iter().map(read).collect();
        nearest(peer, told, trusted, hops)
    };
    match (by(X_FORWARDED_FOR, address), by(FORWARDED.as_str(), for_of)) {
        // A proxy writes one of them, and passes on what a client wrote in the other.
        (Some(one), Some(other)) if one != other => Some(peer),
        (one, other) => one.or(other),
    }
}

/// The nearest to the gateway that is no proxy, of those that one header tells.
fn nearest(peer: IpAddr, told: Vec<Option<IpAddr>>, trusted: &[IpNet], hops: usize) -> Option<IpAddr> {
    let mut nearest = None;
    for one in told.into_iter().rev().take(hops) {
        // What cannot be read was passed on by the nearest that is known.
        let Some(one) = one else {
            return nearest.or(Some(peer));
        };
        nearest = Some(one.to_canonical());
        if !is_trusted(one, trusted) {
            break;
        }
    }
    nearest
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// What limits count by: an address, and of IPv6 the network that one link has, a /64.
pub(super) fn key_of(address: IpAddr) -> IpAddr {
    first_bits(address, 64)
}

/// What scarce places are shared by: an address, and of IPv6 the most that one customer is given, a /48 (RFC 6177).
pub(super) fn site_of(address: IpAddr) -> IpAddr {
    first_bits(address, 48)
}

fn first_bits(address: IpAddr, bits: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from(six.to_bits() & !(u128::MAX >> bits)).into(),
        four @ IpAddr::V4(_) => four,
    }
}

fn texts<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers
        .get_all(name)
        .into_iter()
        // What is no text must not vanish: it would make the next one count.
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect()
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()))
}

/// `for` in an element of `Forwarded`, RFC 7239.
fn for_of(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        if !name.eq_ignore_ascii_case("for") {
            return None;
        }
        address(value.trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_beyond(hops: usize, peer: &str, name: &'static str, values: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        let client = client_of(peer.parse().unwrap(), &headers, &trusted, hops);
        client.map_or_else(|| "nobody".to_owned(), |client| client.to_string())
    }

    fn client(peer: &str, name: &'static str, values: &[&str]) -> String {
        client_beyond(1, peer, name, values)
    }

    #[test]
    fn the_client_is_the_one_that_the_proxy_saw() {
        let xff = |peer, value: &str| client(peer, X_FORWARDED_FOR, &[value]);
        assert_eq!(xff("10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(
            xff("10.0.0.1", "1.1.1.1, 203.0.113.7"),
            "203.0.113.7",
            "the client wrote 1.1.1.1"
        );
        assert_eq!(xff("10.0.0.1", "203.0.113.7:4711"), "203.0.113.7");
        assert_eq!(xff("10.0.0.1", "[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(xff("::ffff:10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(
            client("10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1", "2.2.2.2"]),
            "2.2.2.2"
        );
    }

    #[test]
    fn a_client_in_a_network_of_proxies_is_no_proxy() {
        let xff = |hops, value: &str| client_beyond(hops, "10.0.0.1", X_FORWARDED_FOR, &[value]);
        assert_eq!(
            xff(1, "203.0.113.7, 10.2.3.4"),
            "10.2.3.4",
            "it wrote 203.0.113.7"
        );
        assert_eq!(
            xff(2, "203.0.113.7, 10.2.3.4"),
            "203.0.113.7",
            "a second proxy wrote it"
        );
        assert_eq!(xff(2, "203.0.113.7, 10.9.9.9, 10.2.3.4"), "10.9.9.9");
        assert_eq!(xff(2, "203.0.113.7, 192.0.2.1"), "192.0.2.1");
        assert_eq!(xff(3, "10.2.3.4"), "10.2.3.4");
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        assert_eq!(client("203.0.113.9", X_FORWARDED_FOR, &["1.1.1.1"]), "nobody");
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        assert_eq!(
            client("10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1, garbage"]),
            "10.0.0.1"
        );
        assert_eq!(
            client_beyond(3, "10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(client("10.0.0.1", X_FORWARDED_FOR, &[]), "nobody");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_says() {
        let forwarded = |value: &str| client("fd00::1", "forwarded", &[value]);
        assert_eq!(
            forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"),
            "192.0.2.60"
        );
        assert_eq!(
            forwarded("for=1.1.1.1, For=\"[2001:db8::17]:4711\""),
            "2001:db8::17"
        );
        assert_eq!(forwarded("for=_hidden"), "fd00::1");
    }

    #[test]
    fn two_headers_that_tell_two_clients_tell_none() {
        let both = |xff: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_FOR, xff.parse().unwrap());
            headers.append(FORWARDED, forwarded.parse().unwrap());
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            let client = client_of("10.0.0.1".parse().unwrap(), &headers, &trusted, 1);
            client.unwrap().to_string()
        };
        assert_eq!(both("1.1.1.1, 203.0.113.7", "for=203.0.113.7"), "203.0.113.7");
        assert_eq!(both("1.1.1.1", "for=203.0.113.7"), "10.0.0.1", "either is a lie");
        assert_eq!(both("203.0.113.7", "for=unknown"), "10.0.0.1");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let key = |text: &str| key_of(text.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("192.0.2.1"), "192.0.2.1");
        assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
        let site = |text: &str| site_of(text.parse().unwrap()).to_string();
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        assert_eq!(site("192.0.2.1"), "192.0.2.1");
    }
}
