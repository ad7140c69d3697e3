//! A configuration in YAML: served from, shown, checked, replaced, taken back.

use serde_json::{Value, json};

use super::client::{Reply, Running};

/// A configuration under which `chat` is this model.
fn chat(model: &str) -> String {
    format!("router: {{path: router.safetensors}}\naliases:\n  chat: {model}\n")
}

fn yaml(text: &str) -> Running {
    Running::configured_in("pointsman.yaml", text)
}

/// Replaces whatever the file holds, with these headers.
fn put(server: &Running, headers: &str, text: &str) -> Reply {
    server.tell(&format!("PUT /admin/v1/config HTTP/1.1\r\nif-match: *{headers}"), text)
}

/// What `chat` stands for.
fn answering(server: &Running) -> Value {
    server.route(r#"{"prompt": "hello", "model": "chat"}"#).json()["model"].clone()
}

#[test]
fn a_file_of_yaml_is_served_shown_replaced_and_taken_back() {
    let server = yaml(&chat("small"));
    assert_eq!(answering(&server), "small");
    let shown = server.administer("GET", "/admin/v1/config");
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("application/yaml")));
    assert_eq!(shown.body, chat("small").as_bytes());

    let text = chat("large") + "server:\n  max_messages: 7\nlog: {prompts: off}\n";
    let trial = server.tell("POST /admin/v1/config/validate HTTP/1.1\r\ncontent-type: application/yaml", &text).json();
    let changes = (json!(["aliases.chat"]), json!(["log.prompts", "server.max_messages"]));
    assert_eq!((&trial["at_once"], &trial["at_start"]), (&changes.0, &changes.1));
    assert_eq!(answering(&server), "small", "nothing is changed");

    let reply = put(&server, "", &text);
    assert_eq!((reply.status, &reply.json()["at_once"], &reply.json()["at_start"]), (200, &changes.0, &changes.1));
    assert_eq!((server.text(), answering(&server)), (text, json!("large")));
    // Another way to write the same changes nothing.
    let same = "{server: {max_messages: 0x7}, log: {prompts: 'off'}, aliases: {chat: large}, router: {path: router.safetensors}}";
    let reply = put(&server, "\r\ncontent-type: text/yaml; charset=utf-8", same);
    assert_eq!((reply.status, &reply.json()["at_once"]), (200, &json!([])));

    for (expected, model) in [(200, "large"), (200, "small"), (409, "small")] {
        let reply = server.tell("POST /admin/v1/config/rollback HTTP/1.1\r\nif-match: *", "");
        assert_eq!((reply.status, answering(&server)), (expected, json!(model)));
    }
    assert_eq!(server.text(), chat("small"));

    server.edit(&chat("code é"));
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(answering(&server), "code é");
}

#[test]
fn a_bad_text_is_refused_with_line_and_nearest_key() {
    let server = yaml(&chat("small"));
    for (bad, expected) in [
        ("router:\n  pth: r\n", "line 2: unknown key `pth` in [router]; did you mean `path`?"),
        ("router: [\n", "pointsman.yaml`, line "),
        ("router: {path: a}\nrouter: {path: b}\n", "line 2: duplicate key `router`"),
        ("sessions:\n  stick: maybe\n", "line 2: unknown variant `maybe`"),
        ("[router]\npath = \"router.safetensors\"\n", "line 1: expected sections by name"),
        ("router: {path: nowhere.safetensors}\n", "nowhere.safetensors"),
    ] {
        for reply in [server.tell("POST /admin/v1/config/validate HTTP/1.1", bad), put(&server, "", bad)] {
            assert_eq!(reply.error(), (422, "invalid_config".into(), None), "{bad}");
            let message = reply.json()["error"]["message"].as_str().expect("text").to_owned();
            assert!(message.contains(expected), "{message}");
        }
    }
    server.edit("router:\n  path: router.safetensors\nsever: {}\n");
    let reload = server.administer("POST", "/admin/v1/reload");
    assert_eq!(reload.status, 409);
    let error = reload.json()["error"].as_str().expect("text").to_owned();
    assert!(error.ends_with("line 3: unknown section `sever`; did you mean `server`?"), "{error}");
    assert_eq!(answering(&server), "small");
}

#[test]
fn the_other_form_is_refused() {
    let toml = |model: &str| format!("[router]\npath = \"router.safetensors\"\n[aliases]\nchat = \"{model}\"\n");
    for (server, own, other, old, new) in [
        (yaml(&chat("small")), "application/yaml", "application/toml", chat("small"), chat("large")),
        (Running::configured(&toml("small")), "application/toml", "application/x-yaml", toml("small"), toml("large")),
    ] {
        let head = format!("POST /admin/v1/config/validate HTTP/1.1\r\ncontent-type: {other}");
        for reply in [put(&server, &format!("\r\ncontent-type: {other}"), &new), server.tell(&head, &new)] {
            assert_eq!(reply.error(), (415, "unsupported_form".into(), None));
            let message = reply.json()["error"]["message"].as_str().expect("text").to_owned();
            assert!(message.contains(own), "{message}");
        }
        assert_eq!(server.text(), old);
        // What clients say that were not told anything.
        let reply = put(&server, "\r\ncontent-type: application/x-www-form-urlencoded", &new);
        assert_eq!((reply.status, server.text()), (200, new));
    }
}
