//! The address of a client, that proxies tell.

use hyper::{HeaderMap, http::header::FORWARDED};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a request comes from: the right-most address that is no trusted proxy's. Whatever stands to the left of it was
/// written by somebody who is not trusted.
pub(super) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let forwarded = texts(headers, X_FORWARDED_FOR);
    let hops: Vec<Option<IpAddr>> = if forwarded.is_empty() {
        texts(headers, FORWARDED.as_str())
            .into_iter()
            .map(for_of)
            .collect()
    } else {
        forwarded.into_iter().map(address).collect()
    };
    let mut nearest = peer;
    for hop in hops.into_iter().rev() {
        // What cannot be read was passed on by the nearest that is known.
        let Some(hop) = hop else { return nearest };
        nearest = hop.to_canonical();
        if !is_trusted(nearest, trusted) {
            return nearest;
        }
    }
    nearest
}

pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// What limits count by: an address, and of IPv6 the network that one customer has.
pub(super) fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
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

    fn client(peer: &str, name: &'static str, values: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        client_of(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_right_most_address_counts_that_no_trusted_proxy_has() {
        let xff = |peer, value: &str| client(peer, X_FORWARDED_FOR, &[value]);
        assert_eq!(xff("10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(
            xff("10.0.0.1", "1.1.1.1, 203.0.113.7"),
            "203.0.113.7",
            "the client wrote 1.1.1.1"
        );
        assert_eq!(xff("10.0.0.1", "203.0.113.7, 10.2.3.4"), "203.0.113.7");
        assert_eq!(xff("10.0.0.1", "203.0.113.7:4711"), "203.0.113.7");
        assert_eq!(xff("10.0.0.1", "[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(xff("::ffff:10.0.0.1", "203.0.113.7"), "203.0.113.7");
        assert_eq!(
            client("10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1", "2.2.2.2"]),
            "2.2.2.2"
        );
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        assert_eq!(
            client("203.0.113.9", X_FORWARDED_FOR, &["1.1.1.1"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        assert_eq!(
            client("10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1, garbage"]),
            "10.0.0.1"
        );
        assert_eq!(
            client("10.0.0.1", X_FORWARDED_FOR, &["1.1.1.1, unknown, 10.0.0.2"]),
            "10.0.0.2"
        );
        assert_eq!(client("10.0.0.1", X_FORWARDED_FOR, &[]), "10.0.0.1");
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
    fn one_ipv6_network_is_one_address() {
        let key = |text: &str| key_of(text.parse().unwrap()).to_string();
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key("192.0.2.1"), "192.0.2.1");
        assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
