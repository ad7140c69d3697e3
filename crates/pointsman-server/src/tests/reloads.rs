//! A new artifact while the server runs.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::artifact::{Latencies, bytes};
use super::client::Running;

fn version(bytes: &[u8]) -> String {
    format!("sha256:{}", pointsman::artifact::identity(bytes))
}

#[test]
fn a_new_artifact_is_used_after_a_reload() {
    let server = Running::new();
    let new = bytes(Latencies::Unknown);
    server.rewrite(&new);
    let reply = server.administer("POST", "/admin/v1/reload");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.json(),
        json!({ "result": "applied", "router_version": version(&new), "config_version": 2, "error": null })
    );
    let answer = server.route(r#"{"prompt": "hello"}"#);
    assert_eq!(answer.json()["router_version"], version(&new));
    assert_eq!(answer.header("x-pointsman-config-version"), Some("2"));
    assert_eq!(
        server.samples("pointsman_router_info"),
        [format!("pointsman_router_info{{version=\"{}\"}} 1", version(&new))]
    );
}

#[test]
fn a_bad_artifact_leaves_the_old_one_running_and_says_so() {
    let server = Running::new();
    let old = bytes(Latencies::Known);
    let mut cut = bytes(Latencies::Unknown);
    cut.truncate(cut.len() - 1);
    for bad in [&cut[..], b"", b"not an artifact"] {
        server.rewrite(bad);
        let reply = server.administer("POST", "/admin/v1/reload");
        assert_eq!(reply.status, 409);
        let reload = reply.json();
        assert_eq!((&reload["result"], &reload["config_version"]), (&json!("refused"), &json!(1)));
        assert!(reload["error"].as_str().is_some_and(|error| error.contains("router.safetensors")), "{reload}");
        assert_eq!(reload["router_version"], version(&old));
    }
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).json()["router_version"], version(&old));
    assert_eq!(server.get("/ready").json()["last_reload"], "refused");
    assert_eq!(server.administer("GET", "/admin/v1/routers").json()["last_reload"]["result"], "refused");
    assert_eq!(
        server.samples("pointsman_config_reload_total{result=\"refused\"}"),
        ["pointsman_config_reload_total{result=\"refused\"} 3"]
    );
    server.rewrite(&old);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(server.reloader.reload()).expect("a good artifact");
    assert_eq!(server.get("/ready").json()["last_reload"], "applied");
}

#[test]
fn every_answer_under_reloads_comes_from_one_artifact() {
    let server = Running::new();
    let artifacts = [bytes(Latencies::Known), bytes(Latencies::Unknown)];
    let versions = artifacts.each_ref().map(|bytes| version(bytes));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = 0;
            while !ended.load(Ordering::Relaxed) {
                let reply = server.route(r#"{"prompt": "hello"}"#);
                let answer = reply.json();
                assert_eq!(
                    (reply.status, reply.header("x-pointsman-router-version")),
                    (200, answer["router_version"].as_str())
                );
                // Only the first of the two knows latencies.
                let known = answer["candidates"][0]["latency_ms"] != Value::Null;
                assert_eq!(answer["router_version"], versions[usize::from(!known)]);
                answers += 1;
            }
            answers
        });
        for i in 0..40 {
            server.rewrite(&artifacts[(i + 1) % 2]);
            assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
        }
        ended.store(true, Ordering::Relaxed);
        assert!(asking.join().expect("every answer is consistent") > 0);
    });
    assert_eq!(server.get("/ready").json()["config_version"], 41);
}

#[test]
fn the_artifact_in_use_is_shown() {
    let server = Running::new();
    let shown = server.administer("GET", "/admin/v1/routers").json();
    assert_eq!(shown["routers"][0]["version"], version(&bytes(Latencies::Known)));
    assert_eq!(shown["routers"][0]["models"], json!(super::artifact::MODELS));
    assert_eq!(shown["last_reload"], Value::Null);
}
