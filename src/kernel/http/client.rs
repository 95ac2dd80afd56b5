//! Who the client is: the peer of the connection, or whom a trusted proxy names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Once;

use http::header::{FORWARDED, HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::kernel::config::Settings;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The client's address; in the extensions of requests that are not the API's, and in the data of mutations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What limits count by: IPv4 addresses, and the /64 of IPv6 ones, which is what one customer gets.
    #[must_use]
    pub fn group(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        }
    }
}

/// The proxies in front of the server.
#[derive(Debug)]
pub(super) struct Proxies {
    networks: Vec<IpNet>,
    header: HeaderName,
}

impl Proxies {
    /// Reads `server.trusted_proxies` and `server.proxy_header`.
    pub(super) fn new(settings: &Settings) -> Self {
        let header = match settings.text("server.proxy_header") {
            "forwarded" => FORWARDED,
            _ => X_FORWARDED_FOR,
        };
        Self { networks: settings.list("server.trusted_proxies").filter_map(network).collect(), header }
    }

    /// Whether `peer` is one of them.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// Whom a request of `peer` is from. Only one header is read, because a proxy that writes one passes the other on
    /// as the client sent it. Takes away from others' requests what only a proxy may say.
    pub(super) fn client(&self, peer: IpAddr, headers: &mut HeaderMap) -> ClientAddress {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            headers.remove(X_FORWARDED_HOST);
            if headers.contains_key(&self.header) {
                self.warn_once(peer);
            }
            return ClientAddress(peer);
        }
        // Each proxy appends whom it heard: from the right, the first that is no proxy of ours is the client. What is
        // left of it is hearsay.
        let mut client = peer;
        for hop in headers.get_all(&self.header).iter().rev() {
            let Ok(hops) = hop.to_str() else { break };
            for hop in hops.rsplit(',') {
                let hop = hop.trim();
                let named = if self.header == FORWARDED { forwarded_for(hop) } else { address(hop) };
                let Some(named) = named else { return ClientAddress(client) };
                client = named.to_canonical();
                if !self.trusts(client) {
                    return ClientAddress(client);
                }
            }
        }
        ClientAddress(client)
    }

    /// A proxy that nobody named makes all its clients one: said once, for the logs of servers on the open Internet,
    /// where anybody sends such headers, would be full of it.
    fn warn_once(&self, peer: IpAddr) {
        static WARNED: Once = Once::new();
        WARNED.call_once(|| {
            tracing::warn!(
                %peer,
                header = %self.header,
                "a client's address came from a peer that is not in server.trusted_proxies, and was not believed; if \
                 this is your proxy, name it: all its clients share one limit"
            );
        });
    }
}

/// What an entry of `server.trusted_proxies` must be.
pub(crate) fn proxy_form(entry: &str) -> Result<(), &'static str> {
    network(entry).map(|_| ()).ok_or("an address or a network like 10.0.0.0/8")
}

fn network(entry: &str) -> Option<IpNet> {
    entry.parse().ok().or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The `for` of one element. Source: RFC 7239, 4 and 6; hidden and unknown nodes name nobody.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pair = |pair: &str| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    };
    element.split(';').find_map(pair)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::config::SETTINGS;

    fn client(header: &str, peer: &str, lines: &[(&'static str, &'static str)]) -> String {
        let flags = [
            ("server.trusted_proxies", "10.0.0.0/8, 2001:db8::1".to_owned()),
            ("server.proxy_header", header.to_owned()),
        ];
        let settings = Settings::read(SETTINGS, None, &BTreeMap::new(), &flags).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        Proxies::new(&settings).client(peer.parse().unwrap(), &mut headers).0.to_string()
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_no_proxy() {
        let xff = "x-forwarded-for";
        for (peer, lines, expected) in [
            ("192.0.2.1", &[(xff, "198.51.100.7")][..], "192.0.2.1"),
            ("10.1.1.1", &[], "10.1.1.1"),
            ("10.1.1.1", &[(xff, "198.51.100.7")], "198.51.100.7"),
            ("::ffff:10.1.1.1", &[(xff, "198.51.100.7")], "198.51.100.7"),
            ("2001:db8::1", &[(xff, "198.51.100.7:4711")], "198.51.100.7"),
            ("10.1.1.1", &[(xff, "203.0.113.9, 198.51.100.7, 10.2.2.2")], "198.51.100.7"),
            ("10.1.1.1", &[(xff, "203.0.113.9"), (xff, "198.51.100.7")], "198.51.100.7"),
            ("10.1.1.1", &[(xff, "198.51.100.7, nonsense, 10.2.2.2")], "10.2.2.2"),
            ("10.1.1.1", &[(xff, "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
            ("10.1.1.1", &[(xff, "[2001:db8::7]:80")], "2001:db8::7"),
            ("10.1.1.1", &[("forwarded", "for=203.0.113.9")], "10.1.1.1"),
        ] {
            assert_eq!(client(xff, peer, lines), expected, "{peer} {lines:?}");
        }
        for (value, expected) in [
            ("for=198.51.100.7;proto=https;by=203.0.113.43", "198.51.100.7"),
            ("for=203.0.113.9, For=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("for=unknown", "10.1.1.1"),
            ("for=_hidden, for=10.2.2.2", "10.2.2.2"),
        ] {
            assert_eq!(client("forwarded", "10.1.1.1", &[("forwarded", value), (xff, "203.0.113.1")]), expected);
        }
    }

    #[test]
    fn limits_count_ipv6_by_its_64() {
        let group = |text: &str| ClientAddress(text.parse().unwrap()).group().to_string();
        assert_eq!(group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(group("198.51.100.7"), "198.51.100.7");
        assert_eq!(group("::ffff:198.51.100.7"), "198.51.100.7");
    }
}
