//! Artifacts pinned, rolled back and taken from the file again.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::artifact::{Latencies, bytes, trained_on};
use super::client::{Reply, Running, loopback};
use crate::{Error, Server, Settings};

/// Tells the others to end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn version(bytes: &[u8]) -> String {
    format!("sha256:{}", pointsman::artifact::identity(bytes))
}

fn nth(i: usize) -> Vec<u8> {
    trained_on(Latencies::Known, i)
}

fn post(server: &Running, path: &str) -> Reply {
    server.administer("POST", &format!("/admin/v1/{path}"))
}

fn pin(server: &Running, version: &str) -> Reply {
    server.tell("POST /admin/v1/routers/pin HTTP/1.1", &json!({ "version": version }).to_string())
}

/// Puts an artifact into the file's place and reloads.
fn promote(server: &Running, bytes: &[u8]) {
    server.rewrite(bytes);
    assert_eq!(post(server, "reload").status, 200);
}

/// The version that decides, the pinned one, and the others.
fn listed(server: &Running) -> (String, Value, Vec<String>) {
    let list = server.administer("GET", "/admin/v1/routers").json();
    let text = |value: &Value| value["version"].as_str().expect("a version").to_owned();
    let former = list["former"].as_array().expect("a list").iter().map(text).collect();
    (text(&list["routers"][0]), list["pinned"].clone(), former)
}

fn deciding(server: &Running) -> Value {
    server.route(r#"{"prompt": "hello"}"#).json()["router_version"].clone()
}

#[test]
fn four_artifacts_are_remembered_and_any_of_them_can_be_pinned() {
    let server = Running::new();
    let versions: Vec<String> = (0..6).map(|i| version(&nth(i))).collect();
    for i in 1..6 {
        promote(&server, &nth(i));
    }
    let former = [4, 3, 2].map(|i| versions[i].clone());
    assert_eq!(listed(&server), (versions[5].clone(), Value::Null, former.to_vec()));
    assert_eq!(pin(&server, &versions[1]).error(), (404, "router_not_found".into(), Some("version".into())));
    let reply = pin(&server, &versions[3]);
    let expected = json!({ "result": "applied", "router_version": versions[3], "config_version": 7, "error": null });
    assert_eq!((reply.status, reply.json()), (200, expected));
    assert_eq!(deciding(&server), versions[3]);
    assert_eq!(server.get("/ready").json()["router_version"], versions[3]);
    let info = format!("pointsman_router_info{{version=\"{}\"}} 1", versions[3]);
    assert_eq!(server.samples("pointsman_router_info"), [info]);
    assert_eq!(server.administer("GET", "/admin/v1/status").json()["pinned"], true);
    // Whatever the file holds.
    for bytes in [nth(7), b"not an artifact".to_vec()] {
        promote(&server, &bytes);
        assert_eq!(deciding(&server), versions[3]);
    }
    let pinned = listed(&server);
    assert_eq!(pinned, (versions[3].clone(), json!(versions[3]), [5, 4, 2].map(|i| versions[i].clone()).to_vec()));
    let reply = post(&server, "routers/unpin");
    assert_eq!((reply.status, &reply.json()["result"]), (409, &json!("refused")));
    assert!(reply.json()["error"].as_str().is_some_and(|error| error.contains("router.safetensors")));
    assert_eq!(listed(&server), pinned, "still pinned");
    server.rewrite(&nth(7));
    assert_eq!(post(&server, "routers/unpin").json()["router_version"], version(&nth(7)));
    assert_eq!(listed(&server).1, Value::Null);
}

#[test]
fn rolling_back_goes_on_until_nothing_is_left() {
    let server = Running::new();
    let nothing = post(&server, "routers/rollback");
    assert_eq!((nothing.status, &nothing.json()["result"]), (409, &json!("refused")));
    promote(&server, &nth(1));
    promote(&server, &nth(2));
    // The artifact in the file's place was there before: it is the newest now.
    promote(&server, &nth(1));
    for i in [2, 0] {
        let reply = post(&server, "routers/rollback");
        assert_eq!((reply.status, &reply.json()["router_version"]), (200, &json!(version(&nth(i)))));
        assert_eq!(deciding(&server), version(&nth(i)));
    }
    assert_eq!(post(&server, "routers/rollback").status, 409);
    assert_eq!(post(&server, "routers/unpin").json()["router_version"], version(&nth(1)));
}

#[test]
fn other_settings_reload_beside_a_pinned_artifact() {
    let text = |model: &str| format!("[router]\npath = \"router.safetensors\"\n[aliases]\nchat = \"{model}\"\n");
    let server = Running::configured(&text("small"));
    promote(&server, &nth(1));
    assert_eq!(post(&server, "routers/rollback").status, 200);
    server.edit(&text("large"));
    assert_eq!(post(&server, "reload").status, 200);
    let answer = server.route(r#"{"prompt": "hello", "model": "chat"}"#).json();
    assert_eq!((&answer["model"], &answer["router_version"]), (&json!("large"), &json!(version(&nth(0)))));
    server.edit(&text("gpt-9"));
    assert_eq!(post(&server, "reload").status, 409, "the pinned artifact has no such model");
    // A bad file keeps nobody from going back: the settings in use do.
    assert_eq!(pin(&server, &version(&nth(1))).status, 200);
    assert_eq!(post(&server, "routers/unpin").status, 200);
    assert_eq!(deciding(&server), version(&nth(1)));
}

#[test]
fn a_pin_that_makes_no_sense_is_refused() {
    let server = Running::new();
    for bad in ["[]", "{}", "{\"version\": 1}", "{\"version\": \"x\", \"more\": 1}"] {
        let reply = server.tell("POST /admin/v1/routers/pin HTTP/1.1", bad);
        assert_eq!(reply.error(), (400, "invalid_request".into(), None), "{bad}");
    }
    assert_eq!(server.tell("POST /admin/v1/routers/pin HTTP/1.1", "{").error().1, "invalid_json");
    // What decides can be held as it is.
    assert_eq!(pin(&server, &version(&nth(0))).status, 200);
    promote(&server, &nth(1));
    assert_eq!(deciding(&server), version(&nth(0)));
}

#[test]
fn a_file_of_another_identity_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let router = folder.path().join("router.safetensors");
    std::fs::write(&router, nth(0)).expect("the folder is writable");
    let start = |sha256: &str| {
        let settings = Settings { router: router.clone(), router_sha256: Some(sha256.into()), ..loopback() };
        Server::open(move || Ok(settings.clone()))
    };
    let (own, other) = (version(&nth(0)), version(&nth(1)));
    for sha256 in [&own, &own["sha256:".len()..], &own["sha256:".len()..].to_uppercase()] {
        start(sha256).expect("its own");
    }
    let error = start(&other).expect_err("another one");
    let expected = format!("artifact `{}`: expected {other}, got {own}", router.display());
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().is_some());
    assert!(matches!(start("4ac6"), Err(Error::BadSetting { field: "router.sha256", .. })));

    let text = format!("[router]\npath = \"router.safetensors\"\nsha256 = \"{own}\"\n");
    let server = Running::configured(&text);
    server.rewrite(&nth(1));
    let reply = post(&server, "reload");
    let error = reply.json()["error"].as_str().expect("a reason").to_owned();
    assert!(reply.status == 409 && error.contains(&own) && error.contains(&other), "{error}");
    assert_eq!(deciding(&server), own);
}

#[test]
fn every_answer_under_swaps_pins_and_rollbacks_comes_from_one_artifact() {
    let server = Running::new();
    let artifacts = [bytes(Latencies::Known), bytes(Latencies::Unknown)];
    let versions = artifacts.each_ref().map(|bytes| version(bytes));
    let (ended, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
    // Only the first of the two knows latencies.
    let consistent = |answer: &Value| {
        let known = answer["candidates"][0]["latency_ms"] != Value::Null;
        assert_eq!(answer["router_version"], versions[usize::from(!known)]);
    };
    let (server, ended, answers, consistent) = (&server, &ended, &answers, &consistent);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    if thread == 0 {
                        let lines = server.batch("{\"prompt\": \"hello\"}\n{\"prompt\": \"hello\"}\n");
                        assert_eq!(lines[0]["router_version"], lines[1]["router_version"]);
                        lines.iter().for_each(consistent);
                    } else {
                        let reply = server.route(r#"{"prompt": "hello"}"#);
                        assert_eq!(reply.status, 200);
                        let answer = reply.json();
                        assert_eq!(reply.header("x-pointsman-router-version"), answer["router_version"].as_str());
                        consistent(&answer);
                    }
                    answers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // However this ends: else the others would ask for ever.
        let _end = End(ended);
        for i in 0..20 {
            promote(server, &artifacts[(i + 1) % 2]);
            assert_eq!(post(server, "routers/rollback").status, 200);
            assert_eq!(deciding(server), versions[i % 2]);
            assert_eq!(pin(server, &versions[(i + 1) % 2]).status, 200);
            assert_eq!(deciding(server), versions[(i + 1) % 2]);
            assert_eq!(post(server, "routers/unpin").status, 200);
        }
    });
    assert!(answers.load(Ordering::Relaxed) > 20);
    assert_eq!(server.get("/ready").json()["config_version"], 81);
}
