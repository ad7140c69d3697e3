//! `GET /openapi.json`: each plane describes itself, from the types its handlers use and the router they serve.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::{config, decisions, metrics, policies, probes, routers, status};
use crate::data;
use crate::live::Live;
use crate::routing::policies::facts::Variable;
use crate::routing::snapshot::AUTO;
use crate::wire::query::Message;
use crate::{data::BatchAnswer, data::BatchLine};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "pointsman: data plane",
        description = "Which model should answer this request?",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        data::chat,
        data::responses,
        data::messages,
        data::embeddings,
        data::route,
        data::batch,
        data::feedback,
        data::models,
        data::explain,
        probes::health,
        probes::ready,
        data_document
    ),
    components(schemas(Message, BatchLine, BatchAnswer))
)]
struct DataPlane;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "pointsman: admin plane",
        description = "Probes, metrics and administration.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        probes::health,
        probes::ready,
        metrics::metrics,
        routers::routers,
        routers::pin,
        routers::rollback,
        routers::unpin,
        routers::reload,
        status::status,
        policies::test,
        config::config,
        config::put,
        config::validate,
        config::rollback,
        config::versions,
        decisions::latest,
        decisions::one,
        data_document
    )
)]
struct AdminPlane;

#[utoipa::path(
    get, path = "/openapi.json", tag = "probes", operation_id = "openapi", summary = "This document",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
#[expect(dead_code, reason = "carries the description of both documents")]
fn data_document() {}

/// The data plane's document.
pub(crate) async fn data(State(live): State<Arc<Live>>) -> Response {
    let mut document = json(&DataPlane::openapi());
    name_models(&mut document, &live);
    describe_other_protocols(&mut document);
    Json(document).into_response()
}

/// The admin plane's document.
pub(crate) async fn admin(State(live): State<Arc<Live>>) -> Response {
    let mut document = json(&AdminPlane::openapi());
    ask_for_keys(&mut document, live.current().admins.is_empty());
    Json(document).into_response()
}

/// Says of every endpoint but the probes that it may ask for a key, and whether it does.
fn ask_for_keys(document: &mut Value, everyone_may: bool) {
    document["components"]["securitySchemes"] =
        json!({ "bearer": { "type": "http", "scheme": "bearer" }, "basic": { "type": "http", "scheme": "basic" } });
    let refusal = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Refusal" } } },
        })
    };
    let mut ways = vec![json!({ "bearer": [] }), json!({ "basic": [] })];
    if everyone_may {
        ways.insert(0, json!({}));
    }
    let paths = document["paths"].as_object_mut().expect("there are paths");
    for (_, operations) in paths.iter_mut().filter(|(path, _)| *path != "/health" && *path != "/ready") {
        for (method, operation) in operations.as_object_mut().expect("operations by method") {
            operation["security"] = json!(ways);
            operation["responses"]["401"] = refusal("No key of the admin plane, where it has some");
            if method != "get" {
                operation["responses"]["403"] = refusal("A page from elsewhere asks for it");
            }
        }
    }
}

fn json(document: &utoipa::openapi::OpenApi) -> Value {
    serde_json::to_value(document).expect("a document always serialises")
}

/// Requests of the other protocols: what the router reads of them, and the replies of a chat completion.
fn describe_other_protocols(document: &mut Value) {
    let chat = document["paths"]["/v1/chat/completions"]["post"].clone();
    let ours = |name: &str| json!({ "$ref": format!("#/components/schemas/RouteRequest/properties/{name}") });
    let texts = json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "object" } }, { "type": "null" }] });
    let items = json!({ "type": "array", "minItems": 1, "items": { "type": "object", "required": ["role"],
        "properties": { "role": { "enum": ["user", "assistant", "system", "developer"] },
            "content": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "object" } }] } } } });
    let turns = json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/components/schemas/Message" } });
    for (path, needed, fields) in [
        (
            "/v1/responses",
            "input",
            json!({ "input": { "anyOf": [{ "type": "string" }, items] },
            "instructions": { "type": ["string", "null"] }, "max_output_tokens": ours("max_tokens") }),
        ),
        ("/v1/messages", "messages", json!({ "messages": turns, "system": texts, "max_tokens": ours("max_tokens") })),
        (
            "/v1/embeddings",
            "input",
            json!({ "input": { "anyOf": [
            { "type": "string" }, { "type": "array", "minItems": 1, "items": { "type": "string" } }] } }),
        ),
    ] {
        let mut properties = fields;
        let metadata = document["components"]["schemas"]["RouteRequest"]["properties"]["metadata"].is_object();
        let post = &mut document["paths"][path]["post"];
        for name in ["model", "models", "session_id", "context", "pointsman", "provider", "tools"] {
            properties[name] = ours(name);
        }
        if metadata {
            properties["metadata"] = ours("metadata");
        }
        for part in ["parameters", "responses"] {
            post[part] = chat[part].clone();
        }
        properties["stream"] = json!({ "type": ["boolean", "null"] });
        post["requestBody"]["content"]["application/json"]["schema"] = json!({ "type": "object", "required": [needed], "properties": properties,
                "not": { "$ref": "#/components/schemas/RouteRequest/not" } });
    }
}

/// Says what is known of this very router: the names that a request may use, and that a body has one of two forms.
fn name_models(document: &mut Value, live: &Live) {
    let current = live.current();
    let names: Vec<&str> = current.snapshot.list().iter().map(|model| model.id).collect();
    let is_fast_known = names.contains(&"auto:fast");
    // A header is there or not; it is never null.
    for path in ["/v1/route", "/v1/route/batch"] {
        let parameters = document["paths"][path]["post"]["parameters"].as_array_mut();
        for parameter in parameters.expect("both take headers") {
            parameter["schema"]["type"] = json!("string");
            if let Some(pattern) = parameter["schema"]["pattern"].as_str().filter(|_| !is_fast_known) {
                parameter["schema"]["pattern"] = json!(pattern.replace("|fast", ""));
            }
        }
    }
    // A chat completion takes the headers of a decision, and the same body but for the prompt.
    let mut parameters = document["paths"]["/v1/route"]["post"]["parameters"].clone();
    if let Some(parameters) = parameters.as_array_mut() {
        parameters.push(json!({ "name": "x-pointsman-timeout-ms", "in": "header", "required": false,
            "description": "How long the client waits for the end of its answer, in milliseconds",
            "schema": { "type": "integer", "minimum": 1, "maximum": 900_000 } }));
        parameters.push(json!({ "name": "x-pointsman-metadata", "in": "header", "required": false,
            "description": "Whether the answer's body says what its headers do, in `pointsman_metadata`",
            "schema": { "enum": ["enabled", "disabled"] } }));
        parameters.push(json!({ "name": "x-pointsman-debug", "in": "header", "required": false,
            "description": "The same, and every call that came to nothing",
            "schema": { "enum": ["enabled", "disabled"] } }));
    }
    document["paths"]["/v1/chat/completions"]["post"]["parameters"] = parameters;
    document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"] = json!({
        "allOf": [{ "$ref": "#/components/schemas/RouteRequest" }],
        "required": ["messages"],
        "properties": { "messages": { "type": "array" }, "prompt": { "type": "null" }, "stream": { "type": ["boolean", "null"] } },
    });
    document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]["text/event-stream"] =
        json!({ "schema": { "description": "A chunk as JSON, or the text [DONE]" } });
    // Lines of JSON have no schema of their own: whatever a line is, its answer says what is wrong with it.
    document["paths"]["/v1/route/batch"]["post"]["requestBody"]["content"]["application/x-ndjson"]["schema"] =
        json!({ "description": "One BatchLine per line" });
    if current.policies.asked().has(Variable::Metadata) {
        document["components"]["schemas"]["RouteRequest"]["properties"]["metadata"] = json!({
            "description": "Strings by name, which rules of this server ask for; null counts as absent",
            "type": ["object", "null"], "additionalProperties": { "type": ["string", "null"] },
        });
    }
    let models = current.snapshot.router().models();
    let schemas = &mut document["components"]["schemas"];
    let mut model = schemas["RouteRequest"]["properties"]["model"].take();
    model["enum"] = names.iter().map(|name| json!(name)).chain([Value::Null]).collect();
    schemas["RouteRequest"]["properties"]["model"] = model;
    // Null counts as absent, hence the types.
    schemas["RouteRequest"]["oneOf"] = json!([
        { "required": ["messages"], "properties": { "messages": { "type": "array" }, "prompt": { "type": "null" } } },
        { "required": ["prompt"], "properties": { "prompt": { "type": "string" }, "messages": { "type": "null" } } },
    ]);
    let named: Vec<&str> = names.iter().copied().filter(|name| name.starts_with("auto:")).collect();
    let two_objectives = json!({
        "required": ["model", "pointsman"],
        "properties": {
            "model": { "enum": named },
            "pointsman": {
                "type": "object",
                "required": ["objective"],
                "properties": { "objective": { "type": ["string", "number"] } },
            },
        },
    });
    // An order of models, and a choice left to the router.
    let choices: Vec<&str> = names.iter().copied().filter(|name| *name == AUTO || name.starts_with("auto:")).collect();
    let two_choices = json!({
        "required": ["model", "models"],
        "properties": { "model": { "enum": choices }, "models": { "type": "array", "minItems": 1 } },
    });
    schemas["RouteRequest"]["not"] = json!({ "anyOf": [two_objectives, two_choices] });
    schemas["RouteRequest"]["properties"]["models"]["items"] = json!({ "enum": models });
    for list in ["order", "only", "ignore"] {
        schemas["Provider"]["properties"][list]["items"]["maxLength"] = json!(128);
    }
    for list in ["allow", "deny"] {
        schemas["Options"]["properties"][list]["items"] =
            json!({ "anyOf": [{ "enum": models }, { "type": "string", "pattern": "[*?]", "maxLength": 64 }] });
    }
    if !is_fast_known {
        schemas["ObjectiveName"]["enum"] = json!(["quality", "balanced", "cheap"]);
    }
}
