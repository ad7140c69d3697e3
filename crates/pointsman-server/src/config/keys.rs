//! Keys that the configuration does not know, found before the values are looked at.

use toml::de::{DeTable, DeValue};

use super::form::Flaw;
use crate::nearest::nearest;

/// Sections and their keys.
const SECTIONS: [(&str, &[&str]); 13] = [
    (
        "server",
        &[
            "listen",
            "admin_listen",
            "admin_key_sha256",
            "max_body_bytes",
            "max_line_bytes",
            "max_messages",
            "max_in_flight",
            "max_buffered_bytes",
            "read_timeout_ms",
            "drain_timeout_ms",
        ],
    ),
    ("router", &["path", "sha256", "objective", "minisign_key", "default_target"]),
    ("log", &["format", "level", "prompts"]),
    ("health", &["interval_ms", "path", "timeout_ms"]),
    ("hedging", &["after_ms"]),
    ("fallback", &["on"]),
    ("regions", &["policy", "at", "networks", "trusted_proxies"]),
    ("sessions", &["stick", "idle_s", "most"]),
    ("state", &["path", "retention_days", "most_decisions"]),
    ("traces", &["endpoint", "protocol", "sample", "service_name", "headers_env", "headers_file", "ca_file"]),
    (
        "policies",
        &[
            "name",
            "when",
            "allow",
            "deny",
            "objective",
            "max_cost_usd",
            "min_quality",
            "max_latency_ms",
            "region",
            "split",
            "refuse",
        ],
    ),
    (
        "tenants",
        &[
            "name",
            "key_sha256",
            "keys",
            "models",
            "region",
            "region_policy",
            "objective",
            "max_in_flight",
            "requests_per_minute",
            "tokens_per_minute",
            "budget_usd_per_day",
        ],
    ),
    (
        "targets",
        &[
            "name",
            "model",
            "base_url",
            "private_addresses",
            "upstream_model",
            "api_key_env",
            "api_key_file",
            "ca_file",
            "timeouts",
            "region",
            "at",
            "endpoints",
            "capabilities",
            "context_length",
            "price",
            "provider",
            "data_collection",
            "zdr",
            "distillable_text",
            "quantization",
        ],
    ),
];

/// Tables within a section's tables, and their keys.
const WITHIN: [(&str, &str, &[&str]); 3] = [
    ("targets", "price", &["input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok"]),
    ("targets", "timeouts", &["connect_ms", "first_token_ms", "idle_ms", "total_ms"]),
    ("tenants", "keys", &["sha256", "expires"]),
];

/// Sections of the gateway. To pass over one would change what was asked.
const PLANNED: [&str; 1] = ["experiments"];

/// Sections whose keys are the operator's own.
const OPEN: [&str; 1] = ["aliases"];

/// The first unknown key, and where it is.
pub(super) fn first_unknown(tree: &DeTable<'_>) -> Option<Flaw> {
    let mut found: Vec<Flaw> = Vec::new();
    let mut find = |offset, message| found.push(Flaw { offset, message });
    for (section, value) in tree {
        let name = section.get_ref().as_ref();
        if let Some((_, keys)) = SECTIONS.iter().find(|(known, _)| *known == name) {
            for table in tables(value.get_ref()) {
                find_in(table, name, keys, &mut find);
                for (_, key, keys) in WITHIN.iter().filter(|(section, ..)| *section == name) {
                    let within = table.get(*key).map(|value| tables(value.get_ref())).unwrap_or_default();
                    for table in within {
                        find_in(table, &format!("{name}.{key}"), keys, &mut find);
                    }
                }
            }
        } else if OPEN.contains(&name) {
            // The parser looks at the values, and the router at what they name.
        } else if PLANNED.contains(&name) {
            let message = format!("section `{name}` is planned and not there yet; remove it to serve decisions");
            find(section.span().start, message);
        } else {
            let known: Vec<&str> = SECTIONS.iter().map(|(known, _)| *known).chain(OPEN).collect();
            let advice = nearest(name, &known)
                .map_or_else(|| format!(", expected {}", known.join(", ")), |near| format!("; did you mean `{near}`?"));
            find(section.span().start, format!("unknown section `{name}`{advice}"));
        }
    }
    found.into_iter().min()
}

/// The tables that a value is, or is a list of.
fn tables<'v, 't>(value: &'v DeValue<'t>) -> Vec<&'v DeTable<'t>> {
    match value {
        DeValue::Table(table) => vec![table],
        DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
        _ => Vec::new(),
    }
}

fn find_in(table: &DeTable<'_>, name: &str, keys: &[&str], find: &mut impl FnMut(usize, String)) {
    let unknown = table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref()));
    unknown.for_each(|key| find(key.span().start, unknown_key(key.get_ref(), name, keys)));
}

fn unknown_key(key: &str, section: &str, known: &[&str]) -> String {
    let advice = nearest(key, known)
        .map_or_else(|| format!(", which takes {}", known.join(", ")), |near| format!("; did you mean `{near}`?"));
    format!("unknown key `{key}` in [{section}]{advice}")
}
