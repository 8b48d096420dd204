//! Limits requests to addresses of the public internet: for a program in a private network that
//! follows addresses of others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// A host that is not on the public internet.
#[derive(Debug, thiserror::Error)]
#[error("{host} is {address}, which is no address of the public internet")]
pub(super) struct NotPublic {
    pub(super) host: String,
    pub(super) address: IpAddr,
}

/// Resolves hosts, and refuses those with an address that is not public. The connection is made to
/// the addresses that were checked, and the host of each redirect is resolved in the same way.
#[derive(Debug, Default)]
pub(super) struct PublicOnly(DefaultResolver);

impl Resolver for PublicOnly {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.0.resolve(uri, config, timeout)?;
        let refused = addresses
            .iter()
            .map(SocketAddr::ip)
            .find(|address| !is_public(*address));
        match refused {
            None => Ok(addresses),
            Some(address) => {
                let host = uri.host().unwrap_or_default().to_owned();
                let refused = NotPublic { host, address };
                Err(ureq::Error::Io(std::io::Error::other(refused)))
            }
        }
    }
}

/// Returns whether an address is on the public internet: not of this computer, of a private network, of
/// a link (where clouds serve the credentials of a machine), nor reserved
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, and the same for IPv6).
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // This network, private, this computer.
        (0 | 10 | 127, ..) => true,
        // Shared among the customers of a provider.
        (100, 64..=127, _) => true,
        // Link-local, with the metadata of clouds.
        (169, 254, _) => true,
        (172, 16..=31, _) => true,
        // Protocols and examples.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        (192, 168, _) => true,
        // Measurements.
        (198, 18 | 19, _) => true,
        // Multicast, and reserved.
        (224.., ..) => true,
        _ => false,
    };
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // IPv6 addresses with an IPv4 address: mapped, compatible, translated (64:ff9b::/96), or 6to4
    // (2002::/16).
    let is_public_inside = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => is_public_inside(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_inside(high, low),
        [0x2002, high, low, ..] => is_public_inside(high, low),
        // Teredo, which encodes an IPv4 address in another way.
        [0x2001, 0, ..] => false,
        // Examples.
        [0x2001, 0xdb8, ..] => false,
        // All addresses that are assigned begin with these three bits.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_and_special_addresses() {
        for public in [
            "8.8.8.8",
            "100.63.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "223.255.255.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }
}
