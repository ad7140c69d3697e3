//! The configuration over HTTP: shown, checked, replaced, taken back.

use std::sync::Barrier;

use serde_json::{Value, json};

use super::client::{Reply, Running};

const ROUTER: &str = "[router]\npath = \"router.safetensors\"\n";

/// A configuration under which `chat` is this model.
fn chat(model: &str) -> String {
    format!("{ROUTER}[aliases]\nchat = \"{model}\"\n")
}

/// The `ETag` of the configuration's file as it is.
fn etag(server: &Running) -> String {
    server.administer("GET", "/admin/v1/config").header("etag").expect("an ETag").to_owned()
}

fn put(server: &Running, etag: &str, text: &str) -> Reply {
    server.tell(&format!("PUT /admin/v1/config HTTP/1.1\r\nif-match: {etag}"), text)
}

fn roll_back(server: &Running) -> Reply {
    server.tell(&format!("POST /admin/v1/config/rollback HTTP/1.1\r\nif-match: {}", etag(server)), "")
}

/// What `chat` stands for.
fn answering(server: &Running) -> Value {
    server.route(r#"{"prompt": "hello", "model": "chat"}"#).json()["model"].clone()
}

#[test]
fn the_text_is_shown_as_it_is() {
    let server = Running::configured(&chat("small"));
    let reply = server.administer("GET", "/admin/v1/config");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/toml")));
    assert_eq!(reply.body, chat("small").as_bytes());
    let digest = pointsman::artifact::identity(chat("small").as_bytes());
    assert_eq!(reply.header("etag"), Some(format!("\"{digest}\"").as_str()));
    assert_eq!(reply.header("x-pointsman-config-version"), Some("1"));
}

#[test]
fn a_new_text_is_on_file_and_in_use() {
    let server = Running::configured(&chat("small"));
    let old = etag(&server);
    let reply = put(&server, &old, &chat("large"));
    let digest = pointsman::artifact::identity(chat("large").as_bytes());
    let answer = reply.json();
    assert_eq!((reply.status, &answer["result"], &answer["config_version"]), (200, &json!("applied"), &json!(2)));
    assert_eq!((&answer["etag"], &answer["at_once"]), (&json!(digest), &json!(["aliases.chat"])));
    assert_eq!(reply.header("etag"), Some(format!("\"{digest}\"").as_str()));
    assert_eq!((server.text(), answering(&server)), (chat("large"), json!("large")));
    assert_eq!(server.get("/ready").json()["last_reload"], "applied");
    // The tag that the answer has will do as it stands there.
    assert_eq!(put(&server, &digest, &chat("small")).status, 200);
}

#[test]
fn only_what_was_seen_is_replaced() {
    let server = Running::configured(&chat("small"));
    for blind in ["", "\r\nif-match: ", "\r\nif-match: ,"] {
        let reply = server.tell(&format!("PUT /admin/v1/config HTTP/1.1{blind}"), &chat("large"));
        assert_eq!(reply.error(), (428, "precondition_required".into(), None));
    }
    let old = etag(&server);
    for stale in ["\"0\"", &format!("W/{old}"), "0, 1", "ä"] {
        let reply = put(&server, stale, &chat("large"));
        assert_eq!(reply.error(), (412, "precondition_failed".into(), None), "{stale}");
        assert_eq!(reply.header("etag"), Some(old.as_str()));
    }
    assert_eq!((server.text(), answering(&server)), (chat("small"), json!("small")));
    // Nor is what an editor wrote meanwhile, reloaded or not.
    server.edit(&chat("code é"));
    assert_eq!(put(&server, &old, &chat("large")).status, 412);
    assert_eq!(server.text(), chat("code é"));
    assert_eq!(put(&server, &format!("\"0\", {}", etag(&server)), &chat("large")).status, 200);
    assert_eq!(put(&server, "*", &chat("small")).status, 200);
}

#[test]
fn of_two_at_a_time_one_wins() {
    let server = Running::configured(&chat("small"));
    for round in 0..10 {
        let (old, barrier) = (etag(&server), Barrier::new(2));
        let texts = [0, 1].map(|i| format!("{}# {round}.{i}\n", chat("large")));
        let statuses = std::thread::scope(|scope| {
            let threads = texts.each_ref().map(|text| {
                scope.spawn(|| {
                    barrier.wait();
                    put(&server, &old, text).status
                })
            });
            threads.map(|thread| thread.join().expect("an answer"))
        });
        let won = texts[usize::from(statuses == [412, 200])].clone();
        assert!(statuses == [200, 412] || statuses == [412, 200], "{statuses:?}");
        assert_eq!(server.text(), won);
    }
}

#[test]
fn who_leaves_does_not_leave_half_a_change() {
    use std::io::Write;
    let server = Running::configured(&chat("small"));
    for round in 0..10 {
        let head = format!("PUT /admin/v1/config HTTP/1.1\r\nif-match: {}", etag(&server));
        let text = format!("{}# {round}\n", chat("large"));
        let mut stream = std::net::TcpStream::connect(server.admin).expect("the server listens");
        stream.write_all(&super::client::request(&head, text.as_bytes())).expect("the server reads");
        drop(stream);
        // File and memory agree, before the change or after it; in between they may not for a moment, half a change never.
        let agree = || {
            let list = server.administer("GET", "/admin/v1/config/versions").json();
            etag(&server) == format!("\"{}\"", list["versions"][0]["etag"].as_str().expect("a digest"))
        };
        assert!((0..200).any(|_| agree()));
    }
}

#[test]
fn a_bad_text_changes_nothing() {
    let server = Running::configured(&chat("small"));
    let old = etag(&server);
    for (bad, expected) in [
        ("[router]\npth = \"r\"\n".to_owned(), "line 2: unknown key `pth` in [router]; did you mean `path`?"),
        ("[router\n".to_owned(), "line 1: "),
        (chat("gpt-9"), "alias `chat`: expected"),
        ("[router]\npath = \"nowhere.safetensors\"\n".to_owned(), "nowhere.safetensors"),
        (format!("{ROUTER}[server]\nmax_messages = 0\n"), "`max_messages` expected at least 1"),
        (String::new(), "router: expected the path of an artifact, got none; give --router"),
    ] {
        let head = "POST /admin/v1/config/validate HTTP/1.1";
        for reply in [server.tell(head, &bad), put(&server, &old, &bad)] {
            assert_eq!(reply.error(), (422, "invalid_config".into(), None), "{bad}");
            let message = reply.json()["error"]["message"].as_str().expect("text").to_owned();
            assert!(message.contains(expected), "{message}");
        }
    }
    assert_eq!((server.text(), answering(&server)), (chat("small"), json!("small")));
    assert_eq!(server.get("/ready").json()["config_version"], 1);
    assert_eq!(server.get("/ready").json()["last_reload"], Value::Null, "nothing was reloaded");
}

#[test]
fn a_check_says_what_would_change_and_when() {
    let server = Running::configured(&chat("small"));
    let text = format!("{}[server]\nmax_messages = 7\n[log]\nlevel = \"debug\"\n", chat("large"));
    let reply = server.tell("POST /admin/v1/config/validate HTTP/1.1", &text);
    let answer = reply.json();
    assert_eq!((reply.status, &answer["valid"]), (200, &json!(true)));
    assert_eq!(answer["at_once"], json!(["aliases.chat"]));
    assert_eq!(answer["at_start"], json!(["log.level", "server.max_messages"]));
    assert_eq!((server.text(), answering(&server)), (chat("small"), json!("small")));
    assert_eq!(server.get("/ready").json()["config_version"], 1);
}

#[test]
fn going_back_goes_on_going_back() {
    let server = Running::configured(&chat("small"));
    assert_eq!(roll_back(&server).error(), (409, "nothing_to_roll_back".into(), None));
    assert_eq!(put(&server, &etag(&server), &chat("large")).status, 200);
    server.edit(&chat("code é"));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    for model in ["large", "small"] {
        let reply = roll_back(&server);
        assert_eq!((reply.status, server.text(), answering(&server)), (200, chat(model), json!(model)));
        assert_eq!(reply.header("etag"), Some(etag(&server).as_str()));
    }
    assert_eq!(roll_back(&server).status, 409);
    let blind = server.tell("POST /admin/v1/config/rollback HTTP/1.1", "");
    assert_eq!(blind.error().1, "precondition_required");
    let list = server.administer("GET", "/admin/v1/config/versions").json();
    let list: Vec<_> = list["versions"].as_array().expect("a list").iter().collect();
    let told = |key: &str| -> Vec<Value> { list.iter().map(|version| version[key].clone()).collect() };
    assert_eq!(told("version"), [5, 4, 3, 2, 1]);
    assert_eq!(told("from"), ["rollback", "rollback", "reload", "put", "start"]);
    assert_eq!(told("active"), [true, false, false, false, false]);
    assert_eq!(told("etag")[0], told("etag")[4]);
    assert!(told("at_us").iter().all(|at| at.as_i64().is_some_and(|at| at > 1_700_000_000_000_000)));
}

#[test]
fn a_file_that_is_gone_is_not_replaced() {
    let server = Running::configured(&chat("small"));
    let old = etag(&server);
    server.remove_config();
    let reply = put(&server, &old, &chat("large"));
    assert_eq!(reply.error(), (409, "config_file_unreadable".into(), None));
    assert_eq!(server.administer("GET", "/admin/v1/config").error().1, "config_file_unreadable");
    assert_eq!(answering(&server), "small");
}

#[test]
fn without_a_file_there_is_nothing_to_show() {
    let server = Running::new();
    for (method, path) in [("GET", ""), ("PUT", ""), ("POST", "/validate"), ("POST", "/rollback")] {
        let reply = server.administer(method, &format!("/admin/v1/config{path}"));
        assert_eq!(reply.error(), (404, "no_config_file".into(), None), "{method} {path}");
    }
    assert_eq!(server.administer("GET", "/admin/v1/config/versions").json(), json!({ "versions": [] }));
}
