//! The files of `deploy/` fit this server: their configuration is taken, and the metrics they show exist.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use super::artifact::{Latencies, bytes};
use super::client::{Running, loopback};
use super::fake::{Fake, completion};
use crate::{Config, Explainer, Settings, TenantSettings};

const EXAMPLE: &str = include_str!("../../deploy/pointsman.toml");
const UNIT: &str = include_str!("../../deploy/pointsman.service");
const VALUES: &str = include_str!("../../deploy/helm/values.yaml");
const DASHBOARD: &str = include_str!("../../deploy/grafana.json");

fn example() -> Settings {
    let mut config = Config::parse(EXAMPLE, Path::new("pointsman.toml")).expect("every key is known");
    for target in &mut config.targets {
        assert!(target.api_key_env.is_none() || target.name.starts_with("example"));
        // Set where it is deployed, and not here.
        target.api_key_env = None;
    }
    config.into_settings().expect("valid")
}

/// The number after `key` at the start of a line.
fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("it is there");
    line.trim().parse().expect("a number")
}

#[test]
fn the_example_is_taken_and_lets_nobody_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let router = folder.path().join("router.safetensors");
    std::fs::write(&router, bytes(Latencies::Known)).expect("the folder is writable");
    let settings = example();
    let zeroes = ["0".repeat(64)];
    assert_eq!((&settings.admin_key_sha256[..], &settings.tenants[0].key_sha256[..]), (&zeroes[..], &zeroes[..]));
    Explainer::open(Settings { router, ..settings }).expect("it fits a router with these models");
}

#[test]
fn the_chart_has_the_same_example() {
    assert_eq!(include_str!("../../deploy/helm/pointsman.toml"), EXAMPLE);
}

#[test]
fn nobody_kills_before_the_drain_has_ended() {
    let drain = example().drain_timeout.as_secs();
    assert!(number(UNIT, "TimeoutStopSec=") > drain);
    // The chart adds a pause and ten seconds.
    assert!(number(VALUES, "drainSeconds: ") >= drain);
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let fake = Fake::new([completion("Hi")]);
    let tenant = TenantSettings {
        requests_per_minute: Some(2),
        budget_usd_per_day: Some(1.0),
        ..TenantSettings::new("acme", vec![pointsman::artifact::identity(b"pm-acme")])
    };
    let settings = Settings { targets: vec![fake.target("a", "small")], tenants: vec![tenant], ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    let chat = || {
        let body = json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer pm-acme";
        server.send(head, body.as_bytes()).status
    };
    // A family is printed once it has a sample: a decision, a call, a request without a decision, a limit reached.
    assert_eq!(chat(), 200);
    server.reloader.sabotage();
    assert_eq!((chat(), chat()), (200, 429));
    let text = String::from_utf8(server.administer("GET", "/metrics").body).expect("text");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let printed: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let used: BTreeSet<&str> = DASHBOARD.split(|c| !is_name(c)).filter(|word| word.starts_with("pointsman_")).collect();
    assert!(used.len() > 10, "{used:?}");
    let unknown: Vec<_> = used.difference(&printed).collect();
    assert!(unknown.is_empty(), "{unknown:?} is not among {printed:?}");
    serde_json::from_str::<serde_json::Value>(DASHBOARD).expect("JSON");
}
