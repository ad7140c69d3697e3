//! What a request needs and wishes of targets: over real sockets.

use pointsman::artifact::{Artifact, CostTarget, ListPrice};
use serde_json::{Value, json};

use super::artifact::{Latencies, bytes};
use super::client::{Reply, Running, loopback};
use super::fake::{Act, Fake, completion};
use crate::{Settings, TargetPrice, TargetSettings};

fn serving(targets: Vec<TargetSettings>) -> Running {
    Running::with(Latencies::Known, Settings { targets, ..loopback() })
}

fn price(usd: f64) -> TargetPrice {
    TargetPrice { input_usd_per_mtok: usd, output_usd_per_mtok: usd, cached_input_usd_per_mtok: None }
}

fn ask(server: &Running, head: &str, more: &Value) -> Reply {
    let mut body = json!({"model": "small", "messages": [{"role": "user", "content": "hello"}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    server.send(&format!("POST /v1/chat/completions HTTP/1.1{head}"), body.to_string().as_bytes())
}

fn target(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.header("x-pointsman-target").expect("a target")
}

#[test]
fn what_a_target_cannot_do_never_reaches_it_not_even_as_a_fallback() {
    let (able, unable) = (Fake::new([completion("Hi")]), Fake::new([completion("Hi")]));
    let broken = Fake::new([Act::Hangup]);
    let server = serving(vec![
        TargetSettings { capabilities: Some(vec!["json".into()]), ..unable.target("unable", "small") },
        TargetSettings { context_length: Some(20), ..unable.target("short", "small") },
        TargetSettings {
            capabilities: Some(vec!["tools".into(), "vision".into()]),
            ..broken.target("broken", "small")
        },
        able.target("able", "large"),
    ]);
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    // The first able target of the model fails; what is left of it is too short or cannot, so that the next model answers.
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "what is it? ".repeat(30)}]}]);
    let reply = ask(&server, "", &json!({"models": ["large"], "messages": image}));
    assert_eq!(target(&reply), "able");
    assert_eq!(ask(&server, "", &tools).status, 200, "a short request with tools fits where nothing is said of tools");
    let mut long = tools.clone();
    long["messages"] = json!([{"role": "user", "content": "a long request ".repeat(50)}]);
    let reply = ask(&server, "", &long);
    assert_eq!(reply.status, 502, "one target is able, and it is broken");
    assert!(unable.requests().iter().all(|seen| seen.head.contains("content-length: 1")), "only the short one came by");
    assert_eq!(unable.requests().len(), 1);
}

#[test]
fn where_no_target_may_be_reached_the_reply_says_why() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![TargetSettings {
        region: Some("us".into()),
        capabilities: Some(Vec::new()),
        price: Some(price(3.0)),
        ..fake.target("us", "small")
    }]);
    let reason = |reply: &Reply| {
        let error = reply.json()["error"].clone();
        (reply.status, error["code"].as_str().expect("a code").to_owned(), error["metadata"]["excluded_by"].clone())
    };
    let tools = ask(&server, "", &json!({"tools": [{"type": "function", "function": {"name": "f"}}]}));
    assert_eq!(reason(&tools), (404, "constraint_filtered".into(), json!(["capabilities"])));
    let abroad = ask(&server, "\r\nx-pointsman-region: eu", &json!({}));
    assert_eq!(reason(&abroad), (503, "region_restricted".into(), json!(["region"])));
    for (provider, expected) in [
        (json!({"only": ["eu"]}), "provider.only"),
        (json!({"ignore": ["us"]}), "provider.ignore"),
        (json!({"max_price": {"prompt": 1.0}}), "provider.max_price"),
    ] {
        let reply = ask(&server, "", &json!({"provider": provider}));
        assert_eq!(reason(&reply), (404, "constraint_filtered".into(), json!([expected])));
    }
    assert!(fake.requests().is_empty());
    assert_eq!(
        target(&ask(&server, "\r\nx-pointsman-region: us", &json!({"provider": {"max_price": {"prompt": 3.0}}}))),
        "us"
    );
}

#[test]
fn wishes_reorder_the_targets_of_a_model() {
    let fakes = [0, 1, 2].map(|_| Fake::new([completion("Hi")]));
    let server = serving(vec![
        TargetSettings { price: Some(price(3.0)), ..fakes[0].target("dear", "small") },
        TargetSettings { price: Some(price(1.0)), ..fakes[1].target("cheap", "small") },
        // The catalogue's price: one dollar in, two out.
        fakes[2].target("usual", "small"),
    ]);
    for (more, expected) in [
        (json!({"provider": {"sort": "price"}}), "cheap"),
        (json!({"model": "small:floor"}), "cheap"),
        (json!({"provider": {"order": ["usual", "cheap"]}}), "usual"),
        (json!({"provider": {"order": ["nobody", "dear"]}}), "dear"),
        (json!({"provider": {"sort": "price", "ignore": ["cheap"]}}), "usual"),
        (json!({"provider": {"max_price": {"completion": 2.5}, "ignore": ["cheap"]}}), "usual"),
    ] {
        assert_eq!(target(&ask(&server, "", &more)), expected, "{more}");
    }
    let seen = fakes[1].requests();
    assert!(seen.iter().all(|seen| seen.body.get("provider").is_none() && seen.body["model"] == "upstream-small"));
    // Price per target is what a completion is counted by: three tokens in, one out, at three dollars a million.
    let reply = ask(&server, "", &json!({"provider": {"only": ["dear"]}}));
    let cost: f64 = reply.header("x-pointsman-cost-usd").expect("a cost").parse().expect("a number");
    assert!((cost - 12e-6).abs() < 1e-12, "{cost}");
    assert_eq!(ask(&server, "", &json!({"model": "nobody:floor"})).error().1, "model_not_found");
}

#[test]
fn without_fallbacks_one_target_is_asked_once() {
    let (bad, good) = (Fake::new([Act::Hangup]), Fake::new([completion("Hi")]));
    let server = serving(vec![bad.target("bad", "small"), good.target("good", "small")]);
    let reply = ask(&server, "", &json!({"provider": {"order": ["bad"], "allow_fallbacks": false}}));
    assert_eq!((reply.status, bad.requests().len(), good.requests().len()), (502, 1, 0));
    assert_eq!(target(&ask(&server, "", &json!({"provider": {"order": ["bad"]}}))), "good");
}

#[test]
fn a_target_that_became_slow_gets_less() {
    let (slow, quick) = (Fake::new([Act::Late(150, Box::new(completion("Hi")))]), Fake::new([completion("Hi")]));
    let server = serving(vec![slow.target("slow", "small"), quick.target("quick", "small")]);
    for _ in 0..10 {
        ask(&server, "", &json!({}));
    }
    assert!(slow.requests().len() <= 2, "{}", slow.requests().len());
    assert_eq!(target(&ask(&server, "", &json!({"model": "small:nitro"}))), "quick");
}

#[test]
fn wishes_that_make_no_sense_are_refused() {
    let server = serving(vec![Fake::new([completion("Hi")]).target("a", "small")]);
    for (provider, param) in [
        (json!({"sort": "beauty"}), "provider.sort"),
        (json!({"order": "a"}), "provider.order"),
        (json!({"max_price": {"prompt": -1}}), "provider.max_price.prompt"),
        (json!({"max_price": 1}), "provider.max_price"),
        (json!({"allow_fallbacks": "no"}), "provider.allow_fallbacks"),
        (json!({"sort": {"by": "beauty"}}), "provider.sort"),
        (json!({"sort": {"by": "price", "across": "none"}}), "provider.sort"),
        (json!({"sort": ["price"]}), "provider.sort"),
        (json!({"max_price": {"request": "cheap"}}), "provider.max_price"),
        (json!({"max_price": {"image": "1e3"}}), "provider.max_price"),
        (json!({"max_price": {"audio": -0.5}}), "provider.max_price.audio"),
        (json!({"max_price": {"tokens": 1}}), "provider.max_price"),
        (json!({"preferred_max_latency": "soon"}), "provider.preferred_max_latency"),
        (json!({"preferred_max_latency": -1}), "provider.preferred_max_latency"),
        (json!({"preferred_max_latency": {"p95": 1}}), "provider.preferred_max_latency"),
        (json!({"preferred_min_throughput": {"p50": -1}}), "provider.preferred_min_throughput"),
        (json!({"preferred_min_throughput": [1]}), "provider.preferred_min_throughput"),
        (json!({"data_collection": "never"}), "provider.data_collection"),
        (json!({"zdr": "yes"}), "provider.zdr"),
        (json!({"quantizations": ["fp8", "q4"]}), "provider.quantizations"),
        (json!({"quantizations": "fp8"}), "provider.quantizations"),
        (json!({"quantizations": vec!["fp8"; 129]}), "provider.quantizations"),
        (json!({"orders": []}), "provider"),
        (json!({"max_price": []}), "provider.max_price"),
        (json!([null, null, null, null, null, null, null, null, null, null, null, null, null]), "provider"),
        (json!([]), "provider"),
    ] {
        let (status, code, at) = ask(&server, "", &json!({"provider": provider})).error();
        assert_eq!((status, code.as_str(), at.as_deref()), (400, "invalid_request", Some(param)), "{provider}");
    }
    let message =
        |provider: Value| ask(&server, "", &json!({ "provider": provider })).json()["error"]["message"].clone();
    assert_eq!(
        message(json!({"sort": "beauty"})),
        "provider.sort: expected price, latency or throughput, or an object of that as `by` and of `partition`, model or \
         none, got another word"
    );
    assert_eq!(
        message(json!({"prefered_max_latency": 1})),
        "provider: expected `preferred_max_latency`, got the unknown key `prefered_max_latency`"
    );
    assert_eq!(
        ask(&server, "\r\nx-pointsman-region: a b", &json!({})).error().2.as_deref(),
        Some("x-pointsman-region")
    );
}

#[test]
fn the_last_part_of_a_name_counts_in_a_list_too() {
    let fakes: [Fake; 2] = std::array::from_fn(|_| Fake::new([completion("Hi")]));
    let priced =
        |at: usize, usd| TargetSettings { price: Some(price(usd)), ..fakes[at].target(["dear", "cheap"][at], "small") };
    let server =
        Running::with(Latencies::Known, Settings { targets: vec![priced(0, 9.0), priced(1, 1.0)], ..loopback() });
    for names in [
        json!({"models": ["small:floor"]}),
        json!({"model": "large", "models": ["small:floor"]}),
        json!({"models": ["small:nitro", "large"]}),
    ] {
        for _ in 0..8 {
            let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
            body.as_object_mut().expect("an object").extend(names.as_object().expect("an object").clone());
            let reply = server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes());
            assert_eq!(reply.status, 200, "{names}: {}", String::from_utf8_lossy(&reply.body));
            if names.to_string().contains("floor") {
                assert_eq!(reply.header("x-pointsman-target"), Some("cheap"), "{names}");
            }
        }
    }
}

#[test]
fn what_targets_ask_is_what_decisions_count_with() {
    // A router that predicts tokens and not money.
    let mut artifact = Artifact::from_bytes(&bytes(Latencies::Known), "of tests").expect("valid");
    let list = ListPrice { input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0 };
    for (model, head) in artifact.document.models.iter().zip(&mut artifact.document.costs) {
        head.target = CostTarget::OutputTokens;
        artifact.document.prices.insert(model.clone(), list);
    }
    let artifact = artifact.to_bytes().expect("valid");
    let fake = Fake::new([completion("Hi")]);
    let with = |usd: [f64; 2]| {
        let target = |(at, usd): (usize, f64)| TargetSettings {
            price: Some(price(usd)),
            ..fake.target(&format!("small-{at}"), "small")
        };
        let targets = usd.into_iter().enumerate().map(target).chain([fake.target("large-a", "large")]).collect();
        let server = Running::damaged(&artifact, Settings { targets, ..loopback() });
        let answer = server
            .route(r#"{"prompt": "hello", "pointsman": {"objective": 1e-6, "allow": ["small", "large"]}}"#)
            .json();
        let listed = server.get("/v1/models").json();
        let listed = listed["data"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|model| model["id"] == "small")
            .expect("it is there")["pricing"]["input_usd_per_mtok"]
            .clone();
        let cost = answer["candidates"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["model"] == "small")
            .expect("it is there")["cost_usd"]
            .as_f64()
            .expect("a number");
        (answer["model"].as_str().expect("a name").to_owned(), cost, listed.as_f64().expect("a number"))
    };
    let (model, cost, listed) = with([0.5, 7.0]);
    assert_eq!((model.as_str(), listed), ("small", 0.5), "the cheapest of a model's");
    let (model, dearer, listed) = with([5_000_000.0, 7_000_000.0]);
    assert_eq!((model.as_str(), listed), ("large", 5_000_000.0));
    assert!((dearer / cost - 1e7).abs() < 10.0, "{dearer} {cost}");
}

#[test]
fn a_decision_is_about_targets_that_answer_prompts_in_any_protocol() {
    let fake = Fake::new([completion("Hi")]);
    let with = |endpoints: &[&str], model: &str| TargetSettings {
        endpoints: endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect(),
        ..fake.target("a", model)
    };
    // Nobody is asked anything here but for embeddings: the decision is the client's to carry out.
    let server = serving(vec![with(&["embeddings"], "embed")]);
    let decision = server.route(r#"{"prompt": "hello"}"#).json();
    assert_eq!(
        (&decision["candidates"][0]["excluded_by"], &decision["candidates"][0]["target"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(ask(&server, "", &json!({})).error().1, "constraint_filtered", "a completion is another matter");
    let server = serving(vec![with(&["messages"], "large")]);
    let decision = server.route(r#"{"prompt": "hello"}"#).json();
    assert_eq!((&decision["model"], &decision["candidates"][0]["target"]), (&json!("large"), &json!("a")));
}

#[test]
fn a_region_that_keeps_everybody_away_is_told_from_models_without_a_target() {
    let fake = Fake::new([completion("Hi")]);
    let server = serving(vec![TargetSettings { region: Some("us".into()), ..fake.target("us", "small") }]);
    for more in [
        json!({"model": "auto"}),
        json!({"models": ["small", "large"]}),
        json!({"model": "auto", "pointsman": {"max_cost_usd": 0.0005}}),
    ] {
        let reply = ask(&server, "\r\nx-pointsman-region: eu", &more);
        assert_eq!((reply.status, reply.error().1.as_str()), (503, "region_restricted"), "{more}: {}", reply.json());
        let excluded_by = reply.json()["error"]["metadata"]["excluded_by"].clone();
        assert!(!excluded_by.as_array().expect("a list").contains(&json!("targets")), "{excluded_by}");
    }
}

#[test]
fn a_decision_names_whom_the_completion_asks() {
    let fakes = [0, 1, 2].map(|_| Fake::new([completion("Hi")]));
    let server = serving(vec![
        TargetSettings { context_length: Some(200), ..fakes[0].target("short", "small") },
        TargetSettings {
            capabilities: Some(vec!["json".into()]),
            region: Some("us".into()),
            ..fakes[1].target("plain", "small")
        },
        TargetSettings { region: Some("eu".into()), price: Some(price(9.0)), ..fakes[2].target("able", "large") },
    ]);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let functions = json!([{"name": "f"}]);
    let cases = [
        ("", json!({"provider": {"order": ["short"]}}), "short", None),
        ("", json!({"provider": {"order": ["plain"]}}), "plain", None),
        ("", json!({"provider": {"sort": "price", "ignore": ["short"]}}), "plain", None),
        ("", json!({"max_tokens": 300}), "plain", None),
        ("", json!({"max_completion_tokens": 300, "tools": tools}), "able", Some("context_length")),
        ("", json!({"max_tokens": 300, "functions": functions}), "able", Some("context_length")),
        ("\r\nx-pointsman-region: eu", json!({}), "able", Some("region")),
        ("", json!({"provider": {"only": ["able"]}}), "able", Some("provider.only")),
        ("", json!({"model": "small", "models": ["large"], "provider": {"ignore": ["short"]}}), "plain", None),
    ];
    for (head, more, expected, excluded_by) in cases {
        let mut body = json!({"model": "auto:cheap", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let body = body.to_string();
        let send = |path: &str| server.send(&format!("POST {path} HTTP/1.1{head}"), body.as_bytes());
        let completion = send("/v1/chat/completions");
        assert_eq!(target(&completion), expected, "{body}");
        let decision = send("/v1/route").json();
        let first = &decision["candidates"][0];
        assert_eq!(decision["model"], completion.header("x-pointsman-selected-model").expect("a model"), "{body}");
        assert_eq!((&first["model"], &first["target"]), (&decision["model"], &json!(expected)), "{body}");
        assert_eq!(first["excluded_by"], Value::Null);
        if let Some(excluded_by) = excluded_by {
            let small = &decision["candidates"][1];
            assert_eq!(small["model"], "small");
            assert_eq!((&small["target"], &small["excluded_by"]), (&Value::Null, &json!(excluded_by)), "{body}");
            assert_eq!((&decision["models"], &decision["reason"]), (&json!(["large"]), &json!("only_candidate")));
        }
    }
    // And it refuses what the completion would.
    for (head, more) in [("\r\nx-pointsman-region: asia", json!({})), ("", json!({"provider": {"only": ["nobody"]}}))] {
        let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let body = body.to_string();
        let [completion, decision] = ["/v1/chat/completions", "/v1/route"]
            .map(|path| server.send(&format!("POST {path} HTTP/1.1{head}"), body.as_bytes()));
        assert_eq!((completion.status, completion.error()), (decision.status, decision.error()), "{body}");
        assert_eq!(completion.json()["error"]["metadata"], decision.json()["error"]["metadata"]);
    }
}
