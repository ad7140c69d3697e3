//! Where requests come from, and what that means for whom they may reach.
//!
//! ```text
//! x-pointsman-region ─┐
//! the tenant's own ───┼─► region × policy ─► wish: there alone, there first, or the nearest first
//! the address ────────┘
//! ```

pub(crate) mod networks;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use axum::http::HeaderMap;
use ipnet::IpNet;
use serde::Deserialize;

use crate::error::Error;
use networks::Networks;

/// Radius of the earth in kilometres.
const EARTH_KM: f64 = 6_371.0;

/// What the region of a request means for whom it may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RegionPolicy {
    /// Targets of that region alone, be they all down.
    #[default]
    Require,
    /// Those before the others of their model.
    Prefer,
    /// The nearest of a model first.
    Nearest,
}

/// Regions as configured; [`Settings::regions`](crate::Settings::regions).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RegionSettings {
    /// What a region means where the tenant's settings do not say. Default: [`RegionPolicy::Require`].
    pub policy: RegionPolicy,
    /// Latitude and longitude of regions, in degrees. Default: nothing is known.
    pub at: BTreeMap<String, [f64; 2]>,
    /// File with the regions of clients' networks, `203.0.113.0/24,eu` a line; the longest that fits counts. Default: none.
    pub networks: Option<PathBuf>,
    /// Networks of proxies whose `x-forwarded-for` is believed. Default: none.
    pub trusted_proxies: Vec<String>,
}

/// The region of a request, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) policy: RegionPolicy,
}

/// What a tenant's settings say of its requests' region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TenantRegion {
    pub(crate) name: Option<String>,
    pub(crate) policy: Option<RegionPolicy>,
}

/// Regions, validated.
#[derive(Debug, Default)]
pub(crate) struct Regions {
    policy: RegionPolicy,
    networks: Networks,
    trusted: Vec<IpNet>,
}

impl Regions {
    /// Checks what is configured, and reads the file of networks.
    pub(crate) fn new(settings: &RegionSettings) -> Result<Self, Error> {
        for (name, at) in &settings.at {
            if !is_region(name) || !is_place(*at) {
                let got = format!("{name} = {at:?}");
                return Err(Error::BadSetting { field: "regions.at", expected: PLACE, got });
            }
        }
        let network = |text: &String| {
            let expected = "networks such as 10.0.0.0/8";
            networks::network(text).ok_or_else(|| Error::BadSetting {
                field: "regions.trusted_proxies",
                expected,
                got: text.chars().take(80).collect(),
            })
        };
        Ok(Self {
            policy: settings.policy,
            networks: settings.networks.as_deref().map(Networks::read).transpose()?.unwrap_or_default(),
            trusted: settings.trusted_proxies.iter().map(network).collect::<Result<_, _>>()?,
        })
    }

    /// Whether addresses of clients matter.
    pub(crate) fn looks_at_addresses(&self) -> bool {
        !self.networks.is_empty()
    }

    /// The region of a request: as it says itself, else its tenant's, else that of its address.
    pub(crate) fn of(
        &self,
        asked: Option<String>,
        tenant: &TenantRegion,
        address: Option<IpAddr>,
    ) -> Result<Option<Region>, Error> {
        let policy = tenant.policy.unwrap_or(self.policy);
        if let (Some(asked), Some(own)) = (&asked, &tenant.name)
            && policy == RegionPolicy::Require
            && asked != own
        {
            // Residency is the operator's promise: a header does not widen it.
            return Err(Error::RegionDenied);
        }
        let by_address = || address.and_then(|address| self.networks.region(address)).map(str::to_owned);
        let name = asked.or_else(|| tenant.name.clone()).or_else(by_address);
        Ok(name.map(|name| Region { name, policy }))
    }

    /// The address of a client: the peer's, or where that is a trusted proxy, the last one in `x-forwarded-for` that is none.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let hops = headers.get_all("x-forwarded-for");
        let hops = hops.iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for hop in hops {
            if !self.trusted.iter().any(|trusted| trusted.contains(&client)) {
                break;
            }
            // What is no address was not written by a proxy that knows better.
            let Some(address) = address(hop.trim()) else { break };
            client = address;
        }
        client
    }
}

/// An address as proxies write it: alone, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    alone.or_else(with_port).map(|address| address.to_canonical())
}

/// Whether a text can name a region.
pub(crate) fn is_region(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a place has to be.
pub(crate) const PLACE: &str = "latitude from -90 to 90 and longitude from -180 to 180, in degrees";

/// Whether latitude and longitude are some.
pub(crate) fn is_place([latitude, longitude]: [f64; 2]) -> bool {
    (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude)
}

/// Distance of two places along the earth's surface, in kilometres (haversine; the earth is a ball, half a percent off).
pub(crate) fn distance_km(a: [f64; 2], b: [f64; 2]) -> f64 {
    let [[a_latitude, a_longitude], [b_latitude, b_longitude]] = [a, b].map(|place| place.map(f64::to_radians));
    let half = |difference: f64| (difference / 2.0).sin().powi(2);
    let h = half(b_latitude - a_latitude) + a_latitude.cos() * b_latitude.cos() * half(b_longitude - a_longitude);
    2.0 * EARTH_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn distances_are_those_of_the_globe() {
        let (frankfurt, virginia, sydney) = ([50.11, 8.68], [38.95, -77.45], [-33.87, 151.21]);
        for (a, b, km) in [(frankfurt, virginia, 6_500.0), (frankfurt, sydney, 16_480.0), (virginia, sydney, 15_680.0)]
        {
            assert!((distance_km(a, b) - km).abs() < 100.0, "{}", distance_km(a, b));
            assert!((distance_km(a, b) - distance_km(b, a)).abs() < 1e-6);
        }
        assert!(distance_km(sydney, sydney) < 1e-6);
        assert!((distance_km([0.0, 179.5], [0.0, -179.5]) - 111.2).abs() < 0.1, "over the date line");
        assert!((distance_km([90.0, 0.0], [-90.0, 0.0]) - 20_015.0).abs() < 1.0);
    }

    #[test]
    fn only_proxies_that_are_trusted_say_for_whom_they_ask() {
        let settings = RegionSettings {
            trusted_proxies: vec!["10.0.0.0/8".into(), "::1/128".into()],
            ..RegionSettings::default()
        };
        let regions = Regions::new(&settings).expect("valid");
        let client = |peer: &str, hops: &[&str]| {
            let headers = hops.iter().map(|hop| {
                (axum::http::HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(hop).expect("a value"))
            });
            let mut map = HeaderMap::new();
            headers.for_each(|(name, value)| {
                map.append(name, value);
            });
            regions.client(peer.parse().expect("an address"), &map).to_string()
        };
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "anybody can write that");
        assert_eq!(client("10.1.2.3", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("10.1.2.3", &["192.0.2.66, 198.51.100.1, 10.9.9.9"]),
            "198.51.100.1",
            "the last that is none of ours"
        );
        assert_eq!(client("10.1.2.3", &["192.0.2.66", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.1.2.3", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(client("::1", &["198.51.100.1:8080"]), "198.51.100.1");
        assert_eq!(client("10.1.2.3", &["198.51.100.1, unknown"]), "10.1.2.3");
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn a_tenant_that_has_to_stay_where_it_is_cannot_be_talked_out_of_it() {
        let regions = Regions::default();
        let of = |asked: Option<&str>, name: Option<&str>, policy| {
            let tenant = TenantRegion { name: name.map(str::to_owned), policy };
            regions.of(asked.map(str::to_owned), &tenant, None)
        };
        let region = |name: &str, policy| Some(Region { name: name.to_owned(), policy });
        assert_eq!(of(Some("eu"), None, None).expect("free"), region("eu", RegionPolicy::Require));
        assert_eq!(of(None, Some("eu"), None).expect("its own"), region("eu", RegionPolicy::Require));
        assert_eq!(of(Some("eu"), Some("eu"), None).expect("its own"), region("eu", RegionPolicy::Require));
        assert!(matches!(of(Some("us"), Some("eu"), None), Err(Error::RegionDenied)));
        let prefer = Some(RegionPolicy::Prefer);
        assert_eq!(of(Some("us"), Some("eu"), prefer).expect("a wish"), region("us", RegionPolicy::Prefer));
        assert_eq!(of(None, None, prefer).expect("nothing known"), None);
    }

    #[test]
    fn settings_are_checked() {
        for at in [[91.0, 0.0], [0.0, 181.0], [f64::NAN, 0.0]] {
            let settings = RegionSettings { at: BTreeMap::from([("eu".to_owned(), at)]), ..RegionSettings::default() };
            let error = Regions::new(&settings).expect_err("refused").to_string();
            assert!(error.starts_with("settings: `regions.at` expected latitude"), "{error}");
        }
        let settings = RegionSettings { trusted_proxies: vec!["10.0.0.0/33".into()], ..RegionSettings::default() };
        let error = Regions::new(&settings).expect_err("refused").to_string();
        assert_eq!(error, "settings: `regions.trusted_proxies` expected networks such as 10.0.0.0/8, got 10.0.0.0/33");
    }
}
