//! The `OpenAPI` documents are true to the endpoints.

use serde_json::{Value, json};

use super::artifact::{Latencies, MODELS};
use super::client::{Running, loopback};
use crate::{PolicySettings, Settings};

fn paths(document: &Value) -> Vec<&str> {
    document["paths"].as_object().expect("paths").keys().map(String::as_str).collect()
}

#[test]
fn each_plane_describes_itself() {
    let server = Running::new();
    let data = server.get("/openapi.json").json();
    assert_eq!(
        paths(&data),
        [
            "/health",
            "/openapi.json",
            "/ready",
            "/v1/chat/completions",
            "/v1/embeddings",
            "/v1/feedback",
            "/v1/messages",
            "/v1/models",
            "/v1/responses",
            "/v1/route",
            "/v1/route/batch",
            "/v1/routers/{version}/explain"
        ]
    );
    let admin = server.administer("GET", "/openapi.json").json();
    let expected = [
        "/admin/v1/config",
        "/admin/v1/config/rollback",
        "/admin/v1/config/validate",
        "/admin/v1/config/versions",
        "/admin/v1/decisions",
        "/admin/v1/decisions/{id}",
        "/admin/v1/policy/test",
        "/admin/v1/reload",
        "/admin/v1/routers",
        "/admin/v1/routers/pin",
        "/admin/v1/routers/rollback",
        "/admin/v1/routers/unpin",
        "/admin/v1/status",
        "/health",
        "/metrics",
        "/openapi.json",
        "/ready",
    ];
    assert_eq!(paths(&admin), expected);
    for path in paths(&data) {
        assert_ne!(server.get(&path.replace("{version}", "active")).status, 404, "{path}");
    }
}

#[test]
fn every_reference_has_its_schema() {
    let server = Running::new();
    for document in [server.get("/openapi.json").json(), server.administer("GET", "/openapi.json").json()] {
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let path = format!("/components/schemas/{}", reference.split('"').next().expect("a name"));
            assert!(document.pointer(&path).is_some_and(Value::is_object), "{path}");
        }
    }
}

#[test]
fn the_answer_has_the_fields_that_are_described() {
    let server = Running::new();
    let document = server.get("/openapi.json").json();
    let fields = |schema: &str| -> Vec<String> {
        let required = document["components"]["schemas"][schema]["required"].as_array().expect("a list");
        let mut names: Vec<String> = required.iter().map(|name| name.as_str().expect("a name").to_owned()).collect();
        names.sort();
        names
    };
    let keys = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let answer = server.route(r#"{"prompt": "hello"}"#).json();
    assert_eq!(keys(&answer), fields("RouteAnswer"));
    assert_eq!(keys(&answer["candidates"][0]), fields("Candidate"));
    let list = server.get("/v1/models").json();
    assert_eq!(keys(&list["data"][0]), fields("Model"));
}

#[test]
fn tags_are_described_and_metadata_where_a_rule_asks_for_it() {
    let rule = |when: &str| PolicySettings {
        name: "rule".into(),
        when: Some(when.into()),
        deny: vec![MODELS[2].into()],
        ..PolicySettings::default()
    };
    for (when, is_described) in [("has(metadata.plan)", true), ("tools > 0", false)] {
        let server = Running::with(Latencies::Known, Settings { policies: vec![rule(when)], ..loopback() });
        let document = server.get("/openapi.json").json();
        let described = &document["components"]["schemas"]["RouteRequest"]["properties"]["metadata"];
        assert_eq!(described.is_object(), is_described, "{when}");
        let responses = "/paths/~1v1~1responses/post/requestBody/content/application~1json/schema/properties/metadata";
        assert_eq!(document.pointer(responses).is_some(), is_described);
        for path in ["/v1/route", "/v1/route/batch", "/v1/chat/completions", "/v1/messages"] {
            let parameters = document["paths"][path]["post"]["parameters"].as_array().expect("a list");
            let tags = parameters.iter().find(|parameter| parameter["name"] == "x-pointsman-tags").expect("described");
            assert_eq!(tags["schema"]["type"], "string", "a header is never null");
        }
    }
    let document = Running::new().administer("GET", "/openapi.json").json();
    let trial = &document["components"]["schemas"]["PolicyTest"]["properties"];
    let keys: Vec<&str> = trial.as_object().expect("keys").keys().map(String::as_str).collect();
    assert_eq!(keys, ["locale", "region", "request", "tags", "tenant", "time", "user_agent"]);
}

#[test]
fn the_names_of_this_router_are_described() {
    let server = Running::with(Latencies::Unknown, loopback());
    let document = server.get("/openapi.json").json();
    let names = &document["components"]["schemas"]["RouteRequest"]["properties"]["model"]["enum"];
    let expected: Vec<Value> = ["auto", "auto:quality", "auto:balanced", "auto:cheap"]
        .into_iter()
        .chain(MODELS)
        .map(|name| json!(name))
        .chain([Value::Null])
        .collect();
    assert_eq!(names.as_array(), Some(&expected));
}
