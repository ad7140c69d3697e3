//! Where requests come from, and whom they may reach for that.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::{PolicySettings, RegionPolicy, RegionSettings, Settings, TargetSettings, TenantSettings};

const CHEAP: &str = "small";

/// A target of one model in each of three regions, and one that says nothing of where it is.
struct World {
    eu: Fake,
    us: Fake,
    asia: Fake,
    nowhere: Fake,
}

impl World {
    fn new() -> Self {
        let well = || Fake::new([completion("Hi")]);
        Self { eu: well(), us: well(), asia: well(), nowhere: well() }
    }

    /// Settings with all four, the one that says nothing first.
    fn settings(&self) -> Settings {
        let in_region =
            |fake: &Fake, name: &str| TargetSettings { region: Some(name.to_owned()), ..fake.target(name, CHEAP) };
        let targets = vec![
            self.nowhere.target("nowhere", CHEAP),
            in_region(&self.us, "us"),
            in_region(&self.asia, "asia"),
            in_region(&self.eu, "eu"),
        ];
        Settings { targets, ..loopback() }
    }

    fn served(&self) -> [usize; 4] {
        [&self.eu, &self.us, &self.asia, &self.nowhere].map(|fake| fake.requests().len())
    }
}

fn places() -> BTreeMap<String, [f64; 2]> {
    [("eu", [50.1, 8.7]), ("us", [39.0, -77.5]), ("asia", [1.3, 103.8]), ("africa", [-33.9, 18.4])]
        .map(|(name, at)| (name.to_owned(), at))
        .into()
}

fn chat(server: &Running, headers: &str) -> Reply {
    let body = json!({"model": "auto", "pointsman": {"objective": "cheap", "allow": [CHEAP]}, "messages": [{"role": "user", "content": "Hello"}]});
    server.send(&format!("POST /v1/chat/completions HTTP/1.1{headers}"), body.to_string().as_bytes())
}

fn from(server: &Running, region: &str) -> Reply {
    chat(server, &format!("\r\nx-pointsman-region: {region}"))
}

fn code(reply: &Reply) -> (u16, String) {
    let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
    (reply.status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn who_is_required_to_stay_never_leaves_even_where_nobody_is_left() {
    let world = World::new();
    let server = Running::with(Latencies::Known, world.settings());
    for _ in 0..10 {
        assert_eq!(from(&server, "eu").header("x-pointsman-target"), Some("eu"));
    }
    world.eu.acts([Act::Hangup]);
    for _ in 0..3 {
        assert_eq!(code(&from(&server, "eu")), (503, "region_restricted".to_owned()));
    }
    assert_eq!(code(&from(&server, "mars")), (503, "region_restricted".to_owned()));
    let [_, others @ ..] = world.served();
    assert_eq!(others, [0, 0, 0]);
}

#[test]
fn a_tenant_stays_in_its_region_whatever_it_says() {
    let world = World::new();
    let digest = pointsman::artifact::identity(b"pm-acme");
    let acme = TenantSettings { region: Some("eu".into()), ..TenantSettings::new("acme", vec![digest]) };
    let server = Running::with(Latencies::Known, Settings { tenants: vec![acme.clone()], ..world.settings() });
    let key = "\r\nauthorization: Bearer pm-acme";
    assert_eq!(chat(&server, key).header("x-pointsman-target"), Some("eu"));
    let reply = chat(&server, &format!("{key}\r\nx-pointsman-region: us"));
    assert_eq!(code(&reply), (403, "region_restricted".to_owned()));
    world.eu.acts([Act::Reply(503, "", "application/json", "{}".to_owned())]);
    assert_eq!(code(&chat(&server, key)), (503, "region_restricted".to_owned()));
    let [_, others @ ..] = world.served();
    assert_eq!(others, [0, 0, 0], "not as a fallback either");

    let free = TenantSettings { region_policy: Some(RegionPolicy::Prefer), ..acme };
    let server = Running::with(Latencies::Known, Settings { tenants: vec![free], ..world.settings() });
    let reply = chat(&server, &format!("{key}\r\nx-pointsman-region: us"));
    assert_eq!(reply.header("x-pointsman-target"), Some("us"));
    let reply = chat(&server, key);
    assert_eq!((reply.status, reply.header("x-pointsman-attempts")), (200, Some("2")), "eu first, then anybody");
}

#[test]
fn the_nearest_is_asked_first_and_the_next_nearest_after_it() {
    let world = World::new();
    let regions = RegionSettings { policy: RegionPolicy::Nearest, at: places(), ..RegionSettings::default() };
    let server = Running::with(Latencies::Known, Settings { regions, ..world.settings() });
    for (region, nearest) in [("eu", "eu"), ("us", "us"), ("asia", "asia"), ("africa", "eu")] {
        for _ in 0..5 {
            assert_eq!(from(&server, region).header("x-pointsman-target"), Some(nearest), "{region}");
        }
    }
    world.eu.acts([Act::Hangup]);
    assert_eq!(from(&server, "africa").header("x-pointsman-target"), Some("asia"), "9,700 km, and 12,700 to the next");
    // Of a region that is nowhere nothing is known: its own first, and nobody has it.
    assert_eq!(from(&server, "mars").status, 200);
}

#[test]
fn a_target_may_say_itself_where_it_is() {
    let world = World::new();
    let mut settings = world.settings();
    settings.targets[0].at = Some([-33.9, 18.4]);
    let regions = RegionSettings { policy: RegionPolicy::Nearest, at: places(), ..RegionSettings::default() };
    let server = Running::with(Latencies::Known, Settings { regions, ..settings });
    assert_eq!(from(&server, "africa").header("x-pointsman-target"), Some("nowhere"));
}

#[test]
fn an_address_says_where_a_client_is_where_nothing_else_does() {
    let world = World::new();
    let mut networks = tempfile::NamedTempFile::new().expect("a temporary file");
    networks.write_all(b"127.0.0.0/8,us\n198.51.100.0/24,eu\n").expect("it is writable");
    let regions = |trusted: &[&str]| RegionSettings {
        networks: Some(networks.path().to_owned()),
        trusted_proxies: trusted.iter().map(|&network| network.to_owned()).collect(),
        ..RegionSettings::default()
    };
    let told = "\r\nx-forwarded-for: 198.51.100.7";
    let server = Running::with(Latencies::Known, Settings { regions: regions(&[]), ..world.settings() });
    assert_eq!(chat(&server, "").header("x-pointsman-target"), Some("us"));
    assert_eq!(chat(&server, told).header("x-pointsman-target"), Some("us"), "anybody can write that");
    assert_eq!(from(&server, "asia").header("x-pointsman-target"), Some("asia"));

    let server = Running::with(Latencies::Known, Settings { regions: regions(&["127.0.0.1"]), ..world.settings() });
    assert_eq!(chat(&server, told).header("x-pointsman-target"), Some("eu"));
    let reply = chat(&server, "\r\nx-forwarded-for: 203.0.113.1");
    assert_eq!(reply.status, 200, "nothing is known of it, so it may go anywhere");
}

#[test]
fn rules_see_the_region_that_was_found() {
    let world = World::new();
    let digest = pointsman::artifact::identity(b"pm-acme");
    let acme = TenantSettings { region: Some("eu".into()), ..TenantSettings::new("acme", vec![digest]) };
    let rule = PolicySettings {
        name: "residents".into(),
        when: Some("region == \"eu\"".into()),
        refuse: Some("not today".into()),
        ..PolicySettings::default()
    };
    let settings = Settings { tenants: vec![acme], policies: vec![rule], ..world.settings() };
    let server = Running::with(Latencies::Known, settings);
    let reply = chat(&server, "\r\nauthorization: Bearer pm-acme");
    assert_eq!(code(&reply), (403, "policy_refused".to_owned()));
    let trial = json!({"tenant": "acme", "request": {"prompt": "x"}}).to_string();
    let reply = server.tell("POST /admin/v1/policy/test HTTP/1.1", &trial);
    assert_eq!(reply.json()["policy"], "residents");
}

#[test]
fn the_configuration_has_it_all() {
    let text = r#"
        [router]
        path = "r"
        [regions]
        policy = "nearest"
        networks = "networks.csv"
        trusted_proxies = ["10.0.0.0/8"]
        at = { eu = [50.1, 8.7] }
        [[targets]]
        name = "a"
        model = "m"
        base_url = "http://127.0.0.1:1/v1"
        at = [1, 2.5]
        [[tenants]]
        name = "acme"
        key_sha256 = ["00"]
        region = "eu"
        region_policy = "prefer"
    "#;
    let config = crate::Config::beside(text, std::path::Path::new("/etc/pointsman/p.toml")).expect("valid");
    let settings = config.into_settings().expect("valid");
    assert_eq!(settings.regions.policy, RegionPolicy::Nearest);
    assert_eq!(settings.regions.networks.as_deref(), Some(std::path::Path::new("/etc/pointsman/networks.csv")));
    assert_eq!(settings.regions.at["eu"].map(f64::to_bits), [50.1_f64, 8.7].map(f64::to_bits));
    assert_eq!(settings.targets[0].at.map(|at| at.map(f64::to_bits)), Some([1.0_f64, 2.5].map(f64::to_bits)));
    assert_eq!(settings.tenants[0].region_policy, Some(RegionPolicy::Prefer));
    let refused =
        |text: &str| crate::Config::parse(text, std::path::Path::new("p.toml")).expect_err("refused").to_string();
    assert!(refused("[regions]\npolicy = \"near\"\n").contains("line 2: unknown variant `near`, expected one of"));
    assert!(refused("[regions]\nnetwork = \"x\"\n").contains("did you mean `networks`?"));
}
