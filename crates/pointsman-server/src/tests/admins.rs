//! The admin plane's keys over real sockets.

use std::io::{Read, Write};

use serde_json::json;

use super::artifact::{Latencies, bytes};
use super::client::{Reply, Running, loopback};
use crate::{Error, Server, Settings};

/// `me:pm-admin` as HTTP Basic has it.
const BASIC: &str = "Basic bWU6cG0tYWRtaW4=";

fn digest(key: &str) -> String {
    pointsman::artifact::identity(key.as_bytes())
}

fn kept() -> Running {
    Running::with(Latencies::Known, Settings { admin_key_sha256: vec![digest("pm-admin")], ..loopback() })
}

fn ask(server: &Running, line: &str, authorization: &str) -> Reply {
    server.tell(&format!("{line} HTTP/1.1\r\nauthorization: {authorization}"), "")
}

#[test]
fn every_endpoint_but_the_probes_asks_for_a_key() {
    let server = kept();
    for line in ["GET /health", "GET /ready"] {
        assert_eq!(ask(&server, line, "").status, 200, "{line}");
    }
    let document = ask(&server, "GET /openapi.json", "Bearer pm-admin").json();
    let mut lines = vec!["GET /".to_owned()];
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let methods = operations.as_object().expect("methods").keys();
        lines.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert!(lines.len() > 15, "{lines:?}");
    for line in lines.iter().filter(|line| !["GET /health", "GET /ready"].contains(&line.as_str())) {
        for wrong in ["", "Bearer pm-other", "Basic bWU6", &format!("Bearer {}", digest("pm-admin"))] {
            let reply = ask(&server, line, wrong);
            assert_eq!(reply.error(), (401, "invalid_admin_key".into(), None), "{line}");
            assert_eq!(reply.headers("www-authenticate"), ["Bearer", "Basic realm=\"pointsman\""]);
        }
        if line.starts_with("GET") {
            for right in ["Bearer pm-admin", BASIC] {
                let reply = ask(&server, line, right);
                assert_ne!(reply.status, 401, "{line}");
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{line}");
                assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{line}");
            }
        }
    }
    assert_eq!(ask(&server, "POST /admin/v1/reload", BASIC).status, 200);
    assert_eq!(server.route(r#"{"prompt": "hello"}"#).status, 200, "the data plane has keys of its own");
}

#[test]
fn the_page_runs_nothing_but_its_own() {
    let page = ask(&kept(), "GET /", BASIC);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body).expect("text");
    // A hash fits one element: another one, or a handler or style in an attribute, would not run.
    for (element, start) in [("<script", "<script>"), ("<style", "<style>")] {
        assert_eq!((text.matches(element).count(), text.matches(start).count()), (1, 1));
    }
    for attribute in [" style=", " onclick=", " onload=", "javascript:"] {
        assert!(!text.contains(attribute), "{attribute}");
    }
}

#[test]
fn a_page_from_elsewhere_changes_nothing() {
    let server = kept();
    for header in ["sec-fetch-site: cross-site", "origin: http://elsewhere"] {
        let head = format!("POST /admin/v1/reload HTTP/1.1\r\nauthorization: {BASIC}\r\n{header}");
        assert_eq!(server.tell(&head, "").error(), (403, "cross_site".into(), None));
    }
    let head = format!("POST /admin/v1/reload HTTP/1.1\r\nauthorization: {BASIC}\r\norigin: http://localhost");
    assert_eq!(server.tell(&head, "").status, 200);
}

#[test]
fn a_plane_without_keys_is_no_page_that_took_its_address() {
    let server = Running::with(Latencies::Known, loopback());
    for head in ["GET /admin/v1/config", "GET /admin/v1/status", "GET /", "POST /admin/v1/reload", "GET /metrics"] {
        let mut stream = std::net::TcpStream::connect(server.admin).expect("it listens");
        let request = format!("{head} HTTP/1.1\r\nhost: evil.example:8081\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        assert!(reply.starts_with("HTTP/1.1 403") && reply.contains("cross_site"), "{head}: {reply}");
    }
    // Nor does a page spend money where applications need no key.
    let body = br#"{"prompt": "hello"}"#;
    for header in ["sec-fetch-site: cross-site", "origin: http://elsewhere", "origin: null"] {
        let refused = server.send(&format!("POST /v1/route HTTP/1.1\r\n{header}"), body);
        assert_eq!(refused.error(), (403, "cross_site".into(), None), "{header}");
    }
    assert_eq!(server.send("POST /v1/route HTTP/1.1\r\norigin: http://localhost", body).status, 200);
}

#[test]
fn an_open_plane_without_a_key_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let router = folder.path().join("router.safetensors");
    std::fs::write(&router, bytes(Latencies::Known)).expect("the folder is writable");
    let open = Settings { router, admin_listen: Some("0.0.0.0:0".into()), ..loopback() };
    let start = |settings: Settings| Server::open(move || Ok(settings.clone()));
    let error = start(open.clone()).expect_err("refused");
    assert!(matches!(&error, Error::OpenAdmin { address } if address == "0.0.0.0:0"), "{error}");
    let hint = error.hint().expect("what to do");
    assert!(
        hint.contains("127.0.0.1") && hint.contains("admin_key_sha256") && hint.contains("pointsman key"),
        "{hint}"
    );
    start(Settings { admin_key_sha256: vec![digest("pm-admin")], ..open.clone() }).expect("it has a key");
    start(Settings { admin_listen: None, ..open.clone() }).expect("there is none");
    // It is the configuration's explanation that is asked for, and nothing listens.
    crate::Explainer::open(open).expect("nothing listens");
}

#[test]
fn keys_change_with_a_reload() {
    let text = |keys: &str| format!("[router]\npath = \"router.safetensors\"\n[server]\nadmin_key_sha256 = [{keys}]\n");
    let quoted = |key: &str| format!("\"{}\"", digest(key));
    let server = Running::configured(&text(&quoted("pm-admin")));
    server.edit(&text(&quoted("pm-next")));
    assert_eq!(ask(&server, "POST /admin/v1/reload", BASIC).status, 200);
    assert_eq!(ask(&server, "GET /metrics", BASIC).status, 401);
    let changed = ask(&server, "GET /admin/v1/config", "Bearer pm-next");
    let etag = changed.header("etag").expect("an ETag");
    let head = format!("PUT /admin/v1/config HTTP/1.1\r\nauthorization: Bearer pm-next\r\nif-match: {etag}");
    let open = format!("{}admin_listen = \"0.0.0.0:0\"\n", text(""));
    let reply = server.tell(&head, &open);
    assert_eq!(reply.error().1, "invalid_config", "nor may the next start be open");
    assert!(reply.json()["error"]["message"].as_str().is_some_and(|message| message.contains("pointsman key")));
    let reply = server.tell(&head, &text(""));
    assert_eq!((reply.status, &reply.json()["at_once"]), (200, &json!(["server.admin_key_sha256"])));
    assert_eq!(ask(&server, "GET /metrics", "").status, 200);
}
