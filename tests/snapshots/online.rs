//! Errors of `pointsman`.

use pointsman::{Conversation, Error, Router};

use crate::{all, declared, shown, variants};

fn not_json() -> serde_json::Error {
    serde_json::from_str::<serde_json::Value>("{\n\"a\": }").expect_err("not JSON")
}

#[test]
fn every_text() {
    let artifact = || "arena-v2".to_owned();
    let errors = [
        Error::Read { path: "gone.safetensors".into(), source: std::io::ErrorKind::NotFound.into() },
        Error::NotSafetensors { artifact: artifact(), source: safetensors::SafeTensorError::HeaderTooSmall },
        Error::NoDocument { artifact: artifact(), key: "pointsman" },
        Error::Document { artifact: artifact(), source: not_json() },
        Error::Newer { artifact: artifact(), what: "schema version", expected: 1, got: 2 },
        Error::Checksum { artifact: artifact(), part: "tensors" },
        Error::MissingTensor { artifact: artifact(), tensor: "posterior.bias" },
        Error::TensorShape {
            artifact: artifact(),
            tensor: "posterior.weight",
            expected: "F32 [8, 384]".into(),
            got: "F32 [8, 256]".into(),
        },
        Error::OutOfDomain {
            artifact: artifact(),
            field: "decision.trust".into(),
            expected: "0 to 1",
            got: "1.5".into(),
        },
        Error::NotJson(not_json()),
        Error::NotMessages,
        Error::NoMessages,
        Error::UnknownRole { position: 2, role: "robot".into() },
        Error::BadContent { position: 0 },
        Error::UnknownModel { model: "gpt".into(), known: vec!["aster".into(), "briar".into()] },
        Error::EmptyPool,
        Error::BadPolicy { field: "budget", expected: "0 or more USD per request", got: "-1".into() },
        Error::NoLatency,
        Error::Unreachable {
            target: "a budget of 0.00001 USD per request".into(),
            closest: "0.000120 USD per request".into(),
        },
    ];
    assert_eq!(variants(&errors), declared(include_str!("../../crates/pointsman/src/error.rs")));
    insta::assert_snapshot!("online", all(errors.iter().map(|error| shown(error, error.hint()))));
}

#[test]
fn as_they_come_about() {
    let messages = ["", "null", "[]", "[1]", r#"[{"role":"robot"}]"#, r#"[{"role":"user","content":{}}]"#];
    let mut texts: Vec<String> = messages
        .into_iter()
        .map(|json| {
            let error = Conversation::from_json(json).expect_err("no conversation");
            shown(&error, error.hint())
        })
        .collect();
    for bytes in [&b""[..], b"{}", &[0xff; 16]] {
        let error = Router::from_bytes(bytes).expect_err("no artifact");
        texts.push(shown(&error, error.hint()));
    }
    insta::assert_snapshot!("online_met", all(texts));
}
