//! What an artifact has learned, told over HTTP.

use serde_json::{Value, json};

use super::artifact::{Latencies, MODELS, trained_on};
use super::client::{Running, loopback};
use crate::{Settings, TargetSettings, TenantSettings};

fn explained(server: &Running, version: &str, headers: &str) -> (u16, Value) {
    let reply = server.send(&format!("GET /v1/routers/{version}/explain HTTP/1.1{headers}"), b"");
    (reply.status, serde_json::from_slice(&reply.body).expect("JSON"))
}

fn firsts(body: &Value) -> Vec<(String, String)> {
    let tasks = body["tasks"].as_array().expect("a list");
    let name = |value: &Value| value.as_str().expect("a name").to_owned();
    tasks.iter().map(|task| (name(&task["task"]), name(&task["strengths"][0]["model"]))).collect()
}

#[test]
fn an_artifact_says_who_is_good_at_what() {
    let capabilities = Some(vec!["tools".to_owned()]);
    let target = TargetSettings { capabilities, ..TargetSettings::new("a", MODELS[0], "http://127.0.0.1:9/v1") };
    let server = Running::with(Latencies::Known, Settings { targets: vec![target], ..loopback() });
    let (status, body) = explained(&server, "active", "");
    assert_eq!(status, 200, "{body}");
    assert_eq!(firsts(&body), [("code", MODELS[1]), ("other", MODELS[2])].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let best = body["tasks"][0]["strengths"][0]["quality"].as_f64().expect("a number");
    assert!((best - 0.93).abs() < 1e-6, "the mean and what the task adds: {best}");
    assert_eq!(body["models"][0]["targets"], json!([{"name": "a", "capabilities": ["tools"]}]));
    let version = body["version"].as_str().expect("a version").to_owned();
    assert_eq!(explained(&server, &version, "").1, body);

    server.rewrite(&trained_on(Latencies::Known, 7));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_ne!(explained(&server, "active", "").1["version"], version.as_str());
    assert_eq!(explained(&server, &version, "").0, 200, "those of late too");
    let (status, body) = explained(&server, "sha256:4ac6", "");
    assert_eq!((status, &body["error"]["code"]), (404, &json!("router_not_found")));
}

#[test]
fn a_tenant_sees_its_own_models() {
    let digest = pointsman::artifact::identity(b"pm-acme");
    let acme = TenantSettings { models: vec!["small".into()], ..TenantSettings::new("acme", vec![digest]) };
    let server = Running::with(Latencies::Known, Settings { tenants: vec![acme], ..loopback() });
    assert_eq!(explained(&server, "active", "").0, 401);
    let (status, body) = explained(&server, "active", "\r\nauthorization: Bearer pm-acme");
    assert_eq!((status, body["models"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    assert!(!body.to_string().contains(MODELS[2]), "{body}");
}
