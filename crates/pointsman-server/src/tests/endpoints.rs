//! What is answered when all is well.

use serde_json::{Value, json};

use super::artifact::{CODE, Latencies, MODELS, bytes};
use super::client::{Running, loopback};

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().expect("a list").iter().map(|model| model["id"].as_str().expect("a name")).collect()
}

#[test]
fn a_decision_has_the_documented_form() {
    let server = Running::new();
    let reply = server.route(&json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string());
    assert_eq!(reply.status, 200);
    let answer = reply.json();
    assert_eq!(answer["model"], "large");
    assert_eq!(answer["models"], json!(["large", "small", "code é"]));
    assert_eq!(answer["route"], "auto");
    assert_eq!(answer["reason"], "utility");
    let version = format!("sha256:{}", pointsman::artifact::identity(&bytes(Latencies::Known)));
    assert_eq!(answer["router_version"], version);
    assert!(answer["elapsed_us"].is_u64());
    let candidate = &answer["candidates"][0];
    assert_eq!(candidate["model"], "large");
    assert!(candidate["p_success"].as_f64().is_some_and(|p| 0.9 < p && p < 1.0));
    assert!(candidate["cost_usd"].as_f64().is_some_and(|cost| (cost - 0.01).abs() < 1e-6));
    assert!(candidate["latency_ms"].as_f64().is_some_and(|latency| (latency - 2000.0).abs() < 1.0));
    assert!(candidate["utility"].is_f64());
    assert_eq!(candidate["excluded_by"], Value::Null);

    for (header, value) in [
        ("x-pointsman-decision-id", &answer["decision_id"]),
        ("x-pointsman-selected-model", &answer["model"]),
        ("x-pointsman-reason", &answer["reason"]),
        ("x-pointsman-router-version", &answer["router_version"]),
        ("x-pointsman-schema-version", &json!("1")),
    ] {
        assert_eq!(reply.header(header), value.as_str(), "{header}");
    }
    assert_eq!(reply.header("x-pointsman-routing-us"), Some(answer["elapsed_us"].to_string().as_str()));
}

#[test]
fn the_prompt_decides() {
    let server = Running::new();
    let reply = server.route(&json!({ "prompt": CODE }).to_string());
    assert_eq!(reply.json()["model"], "code é");
    assert_eq!(reply.header("x-pointsman-selected-model"), Some("code%20%C3%A9"));
    assert_eq!(server.route(&json!({ "prompt": "" }).to_string()).json()["model"], "large");
}

#[test]
fn the_alias_decides() {
    let server = Running::new();
    for (alias, model) in [
        ("auto", "large"),
        ("auto:quality", "large"),
        ("auto:balanced", "large"),
        ("auto:cheap", "small"),
        ("auto:fast", "large"),
    ] {
        let answer = server.route(&json!({ "prompt": "hello", "model": alias }).to_string()).json();
        assert_eq!((answer["route"].as_str(), answer["model"].as_str()), (Some(alias), Some(model)));
    }
}

#[test]
fn the_operators_objective_is_what_auto_means() {
    let settings = crate::Settings { objective: pointsman::Objective::Cheap, ..loopback() };
    let server = Running::with(Latencies::Known, settings);
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).json()["model"], "small");
}

#[test]
fn a_model_asked_for_by_name_is_given() {
    let server = Running::new();
    let reply = server.route(&json!({ "prompt": "hello", "model": "code é" }).to_string());
    let answer = reply.json();
    assert_eq!(answer["model"], "code é");
    assert_eq!(answer["models"], json!(["code é"]));
    assert_eq!(answer["route"], "code é");
    assert_eq!(answer["reason"], "requested");
    assert_eq!(answer["candidates"].as_array().map(Vec::len), Some(1));
    assert_eq!(reply.header("x-pointsman-reason"), Some("requested"));
}

#[test]
fn a_callers_own_order_is_kept() {
    let server = Running::new();
    let asked = |model: Value, models: Value| {
        server.route(&json!({ "prompt": "hello", "model": model, "models": models }).to_string())
    };
    let answer = asked(json!("small"), json!(["large", "small"])).json();
    assert_eq!((&answer["models"], &answer["reason"]), (&json!(["small", "large"]), &json!("requested")));
    assert_eq!(answer["pinned"], true);
    // Without `model` the first of the list goes first.
    assert_eq!(asked(Value::Null, json!(["large", "code é"])).json()["models"], json!(["large", "code é"]));
    assert_eq!(asked(Value::Null, json!([])).json()["route"], "auto");
    let unknown = asked(json!("small"), json!(["gpt-9"]));
    assert_eq!(unknown.error(), (400, "model_not_found".into(), Some("models".into())));
    let both = asked(json!("auto:cheap"), json!(["small"]));
    assert_eq!(both.error(), (400, "invalid_request".into(), Some("models".into())));
}

#[test]
fn aliases_stand_for_models_and_objectives() {
    let aliases = [("chat-fast", "small"), ("smart", "auto:quality")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let server = Running::with(Latencies::Known, crate::Settings { aliases: aliases.into(), ..loopback() });
    let asked = |model: &str| server.route(&json!({ "prompt": "hello", "model": model }).to_string()).json();
    let fast = asked("chat-fast");
    assert_eq!((&fast["model"], &fast["route"], &fast["pinned"]), (&json!("small"), &json!("chat-fast"), &json!(true)));
    let smart = asked("smart");
    assert_eq!((&smart["model"], &smart["route"]), (&asked("auto:quality")["model"], &json!("smart")));
    assert!(ids(&server.get("/v1/models").json()).contains(&"smart"));
    for (name, stands_for) in
        [("a", "gpt-9"), ("auto", "small"), ("auto:mine", "small"), ("", "small"), ("b", "a"), ("c", "c")]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let router = folder.path().join("router.safetensors");
        std::fs::write(&router, super::artifact::bytes(Latencies::Known)).expect("written");
        let aliases = [(name.to_owned(), stands_for.to_owned())].into();
        let settings = crate::Settings { router, aliases, ..loopback() };
        let error = crate::Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("alias `{name}`: expected")), "{error}");
    }
}

#[test]
fn an_alias_may_stand_for_another() {
    let chain = [
        ("chat", "chat~latest"),
        ("chat~latest", "chat@2026-11"),
        ("chat@2026-11", "small"),
        ("chat@2026-05", "large"),
    ];
    let aliases = chain.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
    let server = Running::with(Latencies::Known, crate::Settings { aliases, ..loopback() });
    let asked = |model: &str| server.route(&json!({ "prompt": "hello", "model": model }).to_string()).json();
    for (alias, model) in
        [("chat", "small"), ("chat~latest", "small"), ("chat@2026-11", "small"), ("chat@2026-05", "large")]
    {
        assert_eq!((&asked(alias)["model"], &asked(alias)["route"]), (&json!(model), &json!(alias)));
    }
    // Where a name is a model's that is what it means, be it an alias too.
    let swap = [("small", "large"), ("large", "small"), ("same", "small")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let server = Running::with(Latencies::Known, crate::Settings { aliases: swap.into(), ..loopback() });
    let asked = |model: &str| server.route(&json!({ "prompt": "hello", "model": model }).to_string()).json();
    for (alias, model) in [("small", "large"), ("large", "small"), ("same", "small")] {
        assert_eq!(asked(alias)["model"], model, "{alias}");
    }
    let circle = [("a", "b"), ("b", "c"), ("c", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let router = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(router.path(), super::artifact::bytes(Latencies::Known)).expect("written");
    let settings = crate::Settings { router: router.path().to_owned(), aliases: circle.into(), ..loopback() };
    let error = crate::Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
    assert_eq!(error, "alias `a`: expected a way to a model, got `a circle by way of b`");
    let wrong = [("a", "b"), ("b", "smal")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let settings = crate::Settings { router: router.path().to_owned(), aliases: wrong.into(), ..loopback() };
    let error = crate::Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
    assert!(error.starts_with("alias `b`: expected a model of the router"), "{error}");
}

#[test]
fn a_whole_chat_body_is_taken() {
    let server = Running::new();
    let body = json!({
        "model": "auto:cheap",
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "user", "content": [
                { "type": "text", "text": "what is this?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
            ] },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "1" }] },
            { "role": "tool", "tool_call_id": "1", "content": "a cat" },
        ],
        "context": { "plan": "free", "age": 36, "beta": true, "nothing": null },
        "tools": [{ "type": "function", "function": { "name": "look" } }],
        "response_format": { "type": "json_schema", "json_schema": {} },
        "max_tokens": 100, "max_completion_tokens": 200.0,
        "stream": true, "temperature": 0.2, "user": "somebody", "seed": null, "an_upstreams_own": [1, 2],
    });
    assert_eq!(server.route(&body.to_string()).status, 200);
}

#[test]
fn nulls_count_as_absent() {
    let server = Running::new();
    let body = json!({
        "model": null, "prompt": "hello", "messages": null, "tools": null, "context": null, "response_format": null,
        "max_tokens": null, "models": null, "provider": null,
    });
    assert_eq!(server.route(&body.to_string()).json()["route"], "auto");
}

#[test]
fn models_are_listed_with_the_aliases() {
    let server = Running::new();
    let list = server.get("/v1/models").json();
    assert_eq!(list["object"], "list");
    let entry = json!({ "id": "auto", "object": "model", "created": 0, "owned_by": "pointsman", "pricing": null,
        "context_length": null, "capabilities": null, "regions": [], "endpoints": [] });
    assert_eq!(list["data"][0], entry);
    let aliases = ["auto", "auto:quality", "auto:balanced", "auto:cheap", "auto:fast"];
    assert_eq!(ids(&list), [aliases.as_slice(), &MODELS].concat());
}

#[test]
fn fast_is_offered_only_where_latencies_are_known() {
    let server = Running::with(Latencies::Unknown, loopback());
    assert!(!ids(&server.get("/v1/models").json()).contains(&"auto:fast"));
    let reply = server.route(r#"{"prompt": "hello", "model": "auto:fast"}"#);
    assert_eq!(reply.error(), (400, "model_not_found".into(), Some("model".into())));
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).json()["candidates"][0]["latency_ms"], Value::Null);
}

#[test]
fn probes_answer() {
    let server = Running::new();
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    let ready = server.get("/ready").json();
    assert_eq!(ready["status"], "ready");
    assert!(ready["router_version"].as_str().is_some_and(|version| version.starts_with("sha256:")));
}

#[test]
fn a_sane_request_id_is_kept() {
    let server = Running::new();
    let with = |id: &str| server.send(&format!("GET /health HTTP/1.1\r\nx-request-id: {id}"), b"");
    assert_eq!(with("abc-1/2").header("x-request-id"), Some("abc-1/2"));
    for bad in ["two words", &"x".repeat(129), ""] {
        let reply = with(bad);
        let id = reply.header("x-request-id").expect("one of ours");
        assert!(id.starts_with("req-") && id.len() == 36, "{id}");
    }
}

#[test]
fn a_connection_serves_many_requests() {
    use std::io::Write;
    let server = Running::new();
    let mut stream = server.connect();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let request = super::client::request("POST /v1/route HTTP/1.1", br#"{"prompt": "hello"}"#);
        stream.write_all(&request).expect("the server reads");
        let answer = super::client::Reply::read(&mut stream).json();
        seen.insert(answer["decision_id"].as_str().expect("an identifier").to_owned());
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn concurrent_requests_do_not_mix() {
    let server = Running::new();
    let server = &server;
    let expected = |i: usize| if i.is_multiple_of(2) { ("hello", "large") } else { (CODE, "code é") };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|thread| {
                scope.spawn(move || {
                    for i in 0..10 {
                        let (prompt, model) = expected(thread + i);
                        let id = format!("{thread}.{i}");
                        let head = format!("POST /v1/route HTTP/1.1\r\nx-request-id: {id}");
                        let reply = server.send(&head, json!({ "prompt": prompt }).to_string().as_bytes());
                        assert_eq!(reply.json()["model"], model);
                        assert_eq!(reply.header("x-request-id"), Some(id.as_str()));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("every reply is right");
        }
    });
}
