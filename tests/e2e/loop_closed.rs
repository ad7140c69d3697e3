//! From a gateway back to training: decisions and feedback, a process that is killed, an evaluation log, a router.

use serde_json::json;

use crate::gateway::Gateway;
use crate::workbench::Workbench;

/// Whether the second model does well: on questions about code alone.
fn score(text: &str, model: &str) -> f64 {
    f64::from(u8::from(text.contains("code") == model.starts_with("birch")))
}

#[test]
fn what_users_thought_of_a_gateways_answers_becomes_its_next_router() {
    let bench = Workbench::with_router();
    let config =
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"off\"\n[router]\npath = \"router.safetensors\"\n";
    bench.write("gateway.toml", config);
    let gateway = Gateway::start(&bench);
    let shown = bench.run(&["show", "router.safetensors", "--json"]).done().json();
    let models: Vec<String> =
        shown["models"].as_array().expect("models").iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
    let mut texts = String::new();
    for i in 0..240 {
        let text =
            if i % 2 == 0 { format!("fix this code of mine, number {i}") } else { format!("a poem on river {i}") };
        let model = &models[i / 2 % 2];
        let body = json!({"model": model, "prompt": text, "context": {"plan": if i % 3 == 0 { json!("free") } else { json!(i) }}});
        let decision = gateway.post("/v1/route", &body);
        let id = decision["decision_id"].as_str().expect("an id");
        gateway.post("/v1/feedback", &json!({"decision_id": id, "metric": "helpful", "value": score(&text, model)}));
        if i % 10 == 0 {
            gateway.post("/v1/feedback", &json!({"decision_id": id, "metric": "rude", "value": 0}));
        }
        texts.push_str(&json!({"prompt": text}).to_string());
        texts.push('\n');
    }
    gateway.post("/v1/route", &json!({"prompt": "nobody says anything of this one"}));
    gateway.kill();
    bench.write("texts.jsonl", &texts);

    // Two metrics: one has to be chosen. All feedback that was acknowledged is there.
    let several = bench.run(&["export", "pointsman.db", "-o", "log.parquet"]);
    assert_eq!(several.status, Some(2));
    assert!(several.stderr.contains("helpful (240), rude (24)"), "{}", several.stderr);
    let export =
        ["export", "pointsman.db", "-o", "log.parquet", "--metric", "helpful", "--prompts", "texts.jsonl", "--json"];
    let exported = bench.run(&export).done().json();
    assert_eq!((exported["written"].as_u64(), exported["without_text"].as_u64()), (Some(240), Some(0)));
    let both = models[..2].join(",");
    let trained = bench.run(&[
        "train",
        "log.parquet",
        "-o",
        "next.safetensors",
        "--recipe",
        "tiny.toml",
        "--models",
        &both,
        "--min-coverage",
        "0.1",
    ]);
    trained.done();
    let route = |text: &str| {
        let routed = bench
            .run(&["route", "next.safetensors", text, "--objective", "quality", "--explain", "--json"])
            .done()
            .json();
        let ranked = routed["ranked"].as_array().expect("a list").clone();
        ranked.iter().find(|entry| entry["model"] == models[1]).expect("the second model")["quality"]
            .as_f64()
            .expect("a number")
    };
    assert!(
        route("fix this code of mine, please") > route("a poem on a river") + 0.2,
        "the next router has learned from it"
    );

    // Without texts the rows are there, by the names of their prompts.
    let bare = bench.run(&["export", "pointsman.db", "-o", "bare.csv", "--metric", "helpful"]).done();
    assert!(bare.stderr.contains("240 without their text"), "{}", bare.stderr);
    let header = std::fs::read_to_string(bench.path("bare.csv")).expect("written");
    let header = header.lines().next().expect("a header");
    assert!(header.contains("prompt_id") && !header.contains("prompt,"), "{header}");
}

#[test]
fn what_is_no_ledger_is_refused() {
    let bench = Workbench::with_router();
    for (file, expected) in [("missing.db", "no such file"), ("router.safetensors", "none that a gateway wrote")] {
        let run = bench.run(&["export", file, "-o", "log.parquet"]);
        assert_eq!(run.status, Some(2), "{file}");
        assert!(run.stderr.contains(expected), "{}", run.stderr);
        assert!(!bench.path("log.parquet").exists());
    }
}
