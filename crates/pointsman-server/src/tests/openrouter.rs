//! Clients of `OpenRouter` with another `base_url`, and `OpenRouter` as a target.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion, delta};
use crate::{Settings, TargetPrice, TargetSettings};

/// Bodies as `OpenRouter`'s documentation and clients have them, with the target or the model that is to answer.
const CORPUS: &str = include_str!("openrouter.json");

/// Fields that are for the gateway; every other one is the target's.
const OURS: [&str; 5] = ["model", "models", "provider", "session_id", "pointsman"];

fn ask(server: &Running, body: &Value) -> Reply {
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

fn price(usd: f64) -> TargetPrice {
    TargetPrice { input_usd_per_mtok: usd, output_usd_per_mtok: usd, cached_input_usd_per_mtok: None }
}

#[test]
fn every_body_is_taken_and_reaches_its_target_but_for_what_is_ours() {
    let fakes = [0, 1, 2].map(|_| Fake::new([completion("Hi")]));
    let targets = vec![
        TargetSettings { provider: Some("openai".into()), price: Some(price(9.0)), ..fakes[0].target("dear", "small") },
        TargetSettings {
            provider: Some("deepinfra/turbo".into()),
            price: Some(price(1.0)),
            zdr: true,
            distillable_text: true,
            quantization: Some("fp8".into()),
            ..fakes[1].target("cheap", "small")
        },
        TargetSettings {
            provider: Some("anthropic".into()),
            price: Some(price(90.0)),
            ..fakes[2].target("large", "large")
        },
    ];
    let aliases: BTreeMap<String, String> =
        [("openai/gpt-4o", "small"), ("anthropic/claude-sonnet-4.5", "large"), ("openrouter/auto", "auto")]
            .map(|(name, stands_for)| (name.to_owned(), stands_for.to_owned()))
            .into();
    let server = Running::with(Latencies::Known, Settings { targets, aliases, ..loopback() });
    let corpus: Vec<Value> = serde_json::from_str(CORPUS).expect("a list");
    assert!(corpus.len() >= 25);
    for entry in corpus {
        let (what, body) = (&entry["what"], &entry["body"]);
        let streams = body["stream"] == true;
        for fake in &fakes {
            fake.acts([if streams { Act::Stream(vec![delta("Hi")]) } else { completion("Hi") }]);
            fake.seen.lock().expect("no panic").clear();
        }
        let reply = ask(&server, body);
        assert_eq!(reply.status, 200, "{what}: {}", String::from_utf8_lossy(&reply.body));
        if let Some(target) = entry["target"].as_str() {
            assert_eq!(reply.header("x-pointsman-target"), Some(target), "{what}");
        }
        if let Some(model) = entry["answers"].as_str() {
            assert_eq!(reply.header("x-pointsman-selected-model"), Some(model), "{what}");
        }
        let seen: Vec<Value> = fakes.iter().flat_map(Fake::requests).map(|seen| seen.body).collect();
        let [seen] = &seen[..] else { panic!("{what}: {} calls", seen.len()) };
        let fields = |value: &Value| -> BTreeMap<String, Value> {
            let fields = value.as_object().expect("an object").clone().into_iter();
            fields.filter(|(name, _)| !OURS.contains(&name.as_str())).collect()
        };
        assert_eq!(fields(seen), fields(body), "{what}");
        assert!(OURS[1..].iter().all(|ours| seen.get(ours).is_none()), "{what}: {seen}");
        assert!(seen["model"].as_str().is_some_and(|model| model.starts_with("upstream-")), "{what}");
    }
}

#[test]
fn a_demand_that_nobody_is_declared_to_meet_is_refused_and_says_which() {
    let fake = Fake::new([completion("Hi")]);
    let server = Running::with(Latencies::Known, Settings { targets: vec![fake.target("a", "small")], ..loopback() });
    for (provider, by) in [
        (json!({"data_collection": "deny"}), "provider.data_collection"),
        (json!({"zdr": true}), "provider.zdr"),
        (json!({"enforce_distillable_text": true}), "provider.enforce_distillable_text"),
        (json!({"quantizations": ["fp16"]}), "provider.quantizations"),
    ] {
        let body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}], "provider": provider});
        let reply = ask(&server, &body);
        assert_eq!(reply.error(), (404, "constraint_filtered".into(), None), "{provider}");
        let error = reply.json()["error"].clone();
        assert_eq!(error["metadata"]["excluded_by"], json!([by]));
        assert!(error["message"].as_str().is_some_and(|message| message.ends_with(by)), "{error}");
    }
    assert!(fake.requests().is_empty());
    let body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}],
        "provider": {"quantizations": ["unknown", "fp16"]}});
    assert_eq!(ask(&server, &body).status, 200, "of this one nobody says");
}

#[test]
fn what_an_operator_declares_stands_in_the_configuration() {
    let fake = Fake::new([completion("Hi")]);
    let text = |more: &str| {
        let address = fake.address;
        format!(
            "[router]\npath = \"router.safetensors\"\n[[targets]]\nname = \"a\"\nmodel = \"small\"\nbase_url = \"http://{address}/v1\"\n{more}"
        )
    };
    let declared = text(
        "provider = \"openai\"\ndata_collection = \"deny\"\nzdr = true\ndistillable_text = true\nquantization = \"fp8\"\n",
    );
    let server = Running::configured(&declared);
    let body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}], "provider": {
        "only": ["openai"], "data_collection": "deny", "zdr": true, "enforce_distillable_text": true, "quantizations": ["fp8"]}});
    assert_eq!(ask(&server, &body).status, 200);
    // A reload that takes it back takes it back at once.
    server.edit(&text("provider = \"openai\"\nzdr = true\ndistillable_text = true\n"));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(ask(&server, &body).json()["error"]["metadata"]["excluded_by"], json!(["provider.quantizations"]));
    server.edit(&text("data_collection = \"allow\"\nzdr = true\n"));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 409, "it cannot be both");
}

#[test]
fn a_demand_holds_for_fallbacks_too() {
    let (down, keeps) = (Fake::new([Act::Hangup]), Fake::new([completion("Hi")]));
    let targets = vec![
        TargetSettings { zdr: true, ..down.target("down", "small") },
        keeps.target("keeps", "small"),
        keeps.target("keeps-too", "large"),
    ];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    let body = json!({"model": "small", "models": ["large"], "messages": [{"role": "user", "content": "hello"}],
        "provider": {"zdr": true}});
    assert_eq!(ask(&server, &body).status, 502);
    assert!(keeps.requests().is_empty());
}

#[test]
fn openrouter_is_a_target_like_any_other() {
    // Its streams begin with comments while it waits, and end with its count of tokens, which has more than others'.
    let usage = json!({"id": "gen-1", "provider": "DeepInfra", "model": "served", "choices": [], "usage": {
        "prompt_tokens": 3, "completion_tokens": 20, "total_tokens": 23, "cost": 0.000_014, "is_byok": false,
        "prompt_tokens_details": {"cached_tokens": 0}}});
    let waiting = ": OPENROUTER PROCESSING\n\n".to_owned();
    let stream =
        Act::Stream(vec![waiting.clone(), waiting.clone(), delta("Hi"), waiting, format!("data: {usage}\n\n")]);
    let moderated =
        json!({"error": {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "X"}}});
    let late = Act::Stream(vec![": OPENROUTER PROCESSING\n\n".to_owned(), format!("data: {moderated}\n\n")]);
    let openrouter = Fake::new([
        stream,
        Act::Reply(200, "", "application/json", moderated.to_string()),
        late,
        Act::Reply(402, "", "application/json", moderated.to_string()),
    ]);
    let other = Fake::new([completion("Hi")]);
    let targets = vec![
        TargetSettings {
            provider: Some("openrouter".into()),
            upstream_model: Some("meta-llama/llama-3.3-70b-instruct".into()),
            ..openrouter.target("openrouter", "small")
        },
        other.target("other", "large"),
    ];
    let server = Running::with(Latencies::Known, Settings { targets, ..loopback() });
    let body = |streams: bool| {
        json!({"model": "small", "models": ["large"], "stream": streams,
        "messages": [{"role": "user", "content": "hello"}], "provider": {"order": ["openrouter"]}})
    };
    let reply = ask(&server, &body(true));
    assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("openrouter")));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.starts_with(": OPENROUTER PROCESSING") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains("\"provider\":\"DeepInfra\""), "{text}");
    assert_eq!(openrouter.requests()[0].body["model"], "meta-llama/llama-3.3-70b-instruct");
    assert_eq!(openrouter.requests()[0].body.get("provider"), None);
    // An error under status 200, the same in a stream before its content, and an empty purse: somebody else answers.
    assert_eq!(ask(&server, &body(false)).header("x-pointsman-target"), Some("other"));
    other.acts([Act::Stream(vec![delta("Hi")])]);
    assert_eq!(ask(&server, &body(true)).header("x-pointsman-target"), Some("other"));
    other.acts([completion("Hi")]);
    assert_eq!(ask(&server, &body(false)).header("x-pointsman-target"), Some("other"));
    assert_eq!(openrouter.requests().len(), 4);
}
