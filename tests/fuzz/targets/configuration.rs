//! Any configuration, and any request under it: rules, tenants, targets and aliases are taken or refused, and never panic.
//!
//! The input is a configuration, a line of three dashes, and the body of a request. What is no configuration in TOML may be one
//! in YAML.

use std::path::Path;

use pointsman_server::{Config, Explainer};

/// The committed artifact, whatever the configuration names.
const ROUTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/formats/fixtures/router-v2.safetensors");
const FROM_FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/fixtures/router-v2.safetensors");

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (config, body) = text.split_once("\n---\n").unwrap_or((text, "{\"prompt\": \"hello\"}"));
    let parsed =
        Config::parse(config, Path::new("fuzz.toml")).or_else(|_| Config::parse(config, Path::new("fuzz.yaml")));
    let Ok(mut config) = parsed else { return };
    let router = if Path::new(ROUTER).is_file() { ROUTER } else { FROM_FUZZ };
    config.router.path = Some(router.into());
    // What a target's key or certificate is, is the machine's business.
    for target in &mut config.targets {
        (target.api_key_env, target.api_key_file) = (None, None);
        target.ca_file = None;
        target.base_url = target.base_url.replace("https:", "http:");
    }
    if let Some(traces) = &mut config.traces {
        traces.ca_file = None;
        traces.headers_file.clear();
    }
    let Ok(settings) = config.into_settings() else { return };
    let Ok(explainer) = Explainer::open(settings) else { return };
    if let Ok(told) = explainer.explain(body) {
        assert!(told["decision"].is_object());
    }
}
