//! Which addresses a target's name may stand for. A name is the operator's, but what it resolves to is somebody else's word:
//! one that turns to the machine's own metadata service, or to something behind the firewall, is not followed. What was
//! looked up is what is connected to, so that a second answer cannot differ from the first.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

/// Whom an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Anybody.
    Public,
    /// This machine or this network.
    Private,
    /// The link, where clouds tell machines their secrets, or nobody: no model is reached there.
    Nobody,
}

/// Metadata services that are not on the link: of Alibaba Cloud, Azure, AWS and Google Cloud.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Whom an address belongs to; one of IPv4 in the clothes of IPv6 is what it is.
pub(crate) fn belongs(address: IpAddr) -> Belongs {
    let address = plain(address);
    if METADATA.contains(&address) || address.is_unspecified() || address.is_multicast() {
        return Belongs::Nobody;
    }
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0 | 240..=255, ..] | [169, 254, ..] => Belongs::Nobody,
            [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
                Belongs::Private
            }
            _ => Belongs::Public,
        },
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Belongs::Nobody,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unique_local() => Belongs::Private,
        IpAddr::V6(_) => Belongs::Public,
    }
}

/// The IPv4 address within an IPv6 one that maps, embeds or translates it.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let within = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => within(g, h),
        [0, 0, 0, 0, 0, 0] if g != 0 => within(g, h),
        // Teredo: the client's address, every bit turned.
        [0x2001, 0, ..] => within(!g, !h),
        [0x2002, ..] => within(b, c),
        _ => address,
    }
}

/// What a target's host is allowed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only addresses of the public network.
    Public,
    /// This machine and this network too.
    Private,
}

/// The reach of a host as the configuration has it: where it writes a private address, or this machine's own name, it means
/// that; `None` where it writes one that is never reached.
pub(crate) fn reach(host: &str, allows_private: bool) -> Option<Reach> {
    let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    match literal.map(belongs) {
        Some(Belongs::Nobody) => None,
        Some(Belongs::Private) => Some(Reach::Private),
        _ if allows_private || host.eq_ignore_ascii_case("localhost") => Some(Reach::Private),
        _ => Some(Reach::Public),
    }
}

/// Looks names up and keeps what may be reached.
#[derive(Clone, Debug)]
pub(crate) struct Resolver<R = GaiResolver> {
    names: R,
    reach: Reach,
}

impl Resolver {
    /// By the system's own way of looking names up.
    pub(crate) fn new(reach: Reach) -> Self {
        Self { names: GaiResolver::new(), reach }
    }
}

/// Nothing that a name stands for may be reached.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` stands for {address}, which is not reached")]
pub(crate) struct Refused {
    name: String,
    address: IpAddr,
}

/// What was refused, where that is why there is no connection.
pub(crate) fn refused(error: &legacy::Error) -> Option<&Refused> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        cause = error.source();
    }
    None
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<R> Service<Name> for Resolver<R>
where
    R: Service<Name, Error: Into<BoxError>, Future: Send + 'static>,
    R::Response: Iterator<Item = SocketAddr>,
{
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.names.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (reach, host) = (self.reach, name.as_str().to_owned());
        let found = self.names.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await.map_err(Into::into)?.collect();
            let may = |address: &SocketAddr| match belongs(address.ip()) {
                Belongs::Public => true,
                Belongs::Private => reach == Reach::Private,
                Belongs::Nobody => false,
            };
            let kept: Vec<SocketAddr> = found.iter().copied().filter(may).collect();
            match found.first() {
                Some(first) if kept.is_empty() => Err(Refused { name: host, address: first.ip() }.into()),
                _ => Ok(kept.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::str::FromStr;

    use super::*;

    #[test]
    fn whom_addresses_belong_to() {
        for (address, expected) in [
            ("1.1.1.1", Belongs::Public),
            ("172.15.0.1", Belongs::Public),
            ("172.32.0.1", Belongs::Public),
            ("2606:4700::1", Belongs::Public),
            ("127.0.0.1", Belongs::Private),
            ("127.9.9.9", Belongs::Private),
            ("10.1.2.3", Belongs::Private),
            ("172.16.0.1", Belongs::Private),
            ("192.168.1.1", Belongs::Private),
            ("100.64.0.1", Belongs::Private),
            ("::1", Belongs::Private),
            ("fd12::1", Belongs::Private),
            ("::ffff:10.0.0.1", Belongs::Private),
            ("::127.0.0.1", Belongs::Private),
            ("64:ff9b::7f00:1", Belongs::Private),
            ("2002:7f00:1::", Belongs::Private),
            ("169.254.169.254", Belongs::Nobody),
            ("::ffff:169.254.169.254", Belongs::Nobody),
            ("64:ff9b::a9fe:a9fe", Belongs::Nobody),
            ("2002:a9fe:a9fe::", Belongs::Nobody),
            ("100.100.100.200", Belongs::Nobody),
            ("168.63.129.16", Belongs::Nobody),
            ("fd00:ec2::254", Belongs::Nobody),
            ("fd20:ce::254", Belongs::Nobody),
            // Translated, and by Teredo.
            ("::ffff:0:a9fe:a9fe", Belongs::Nobody),
            ("2001:0:102:304:0:0:5601:5601", Belongs::Nobody),
            ("2001:0:102:304:0:0:80ff:fffe", Belongs::Private),
            ("fe80::1", Belongs::Nobody),
            ("0.0.0.0", Belongs::Nobody),
            ("0.1.2.3", Belongs::Nobody),
            ("::", Belongs::Nobody),
            ("224.0.0.1", Belongs::Nobody),
            ("255.255.255.255", Belongs::Nobody),
            ("ff02::1", Belongs::Nobody),
        ] {
            assert_eq!(belongs(address.parse().expect("an address")), expected, "{address}");
        }
    }

    #[test]
    fn what_the_configuration_writes_it_means() {
        for (host, allows_private, expected) in [
            ("127.0.0.1", false, Some(Reach::Private)),
            ("[::1]", false, Some(Reach::Private)),
            ("localhost", false, Some(Reach::Private)),
            ("10.0.0.1", false, Some(Reach::Private)),
            ("api.example.com", false, Some(Reach::Public)),
            ("vllm.default.svc", true, Some(Reach::Private)),
            // Other ways to write 127.0.0.1, which the system's resolver understands: names, as far as this goes.
            ("2130706433", false, Some(Reach::Public)),
            ("0x7f.1", false, Some(Reach::Public)),
            ("127.1", false, Some(Reach::Public)),
            ("169.254.169.254", true, None),
            ("[::ffff:a9fe:a9fe]", true, None),
        ] {
            assert_eq!(reach(host, allows_private), expected, "{host}");
        }
    }

    /// Names that stand for these addresses.
    #[derive(Clone)]
    struct Names(Vec<IpAddr>);

    impl Service<Name> for Names {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = std::io::Error;
        type Future = Ready<Result<Self::Response, std::io::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            let addresses: Vec<SocketAddr> = self.0.iter().map(|address| (*address, 0).into()).collect();
            ready(Ok(addresses.into_iter()))
        }
    }

    fn kept(reach: Reach, addresses: &[&str]) -> Result<Vec<String>, String> {
        let names = Names(addresses.iter().map(|address| address.parse().expect("an address")).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let found = Resolver { names, reach }.call(Name::from_str("name").expect("a name"));
        let found = runtime.block_on(found).map_err(|error| error.to_string())?;
        Ok(found.map(|address| address.ip().to_string()).collect())
    }

    #[test]
    fn a_name_that_turns_inwards_is_not_followed() {
        assert_eq!(kept(Reach::Public, &["1.1.1.1", "127.0.0.1"]), Ok(vec!["1.1.1.1".to_owned()]));
        assert_eq!(kept(Reach::Private, &["127.0.0.1"]), Ok(vec!["127.0.0.1".to_owned()]));
        let refused = "`name` stands for 10.0.0.1, which is not reached".to_owned();
        assert_eq!(kept(Reach::Public, &["10.0.0.1", "169.254.169.254"]), Err(refused));
        assert!(kept(Reach::Private, &["169.254.169.254"]).is_err(), "the link is nobody's");
        assert_eq!(kept(Reach::Public, &[]), Ok(Vec::new()), "a name without an address is no refusal");
    }
}
