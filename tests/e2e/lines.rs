//! `route --stdin`: one line out for every line that is not empty, in the same order, with its id.

use serde_json::{Value, json};

use crate::workbench::Workbench;

fn answers(input: &[u8]) -> Vec<Value> {
    let run = Workbench::with_router().feed(&["route", "router.safetensors", "--stdin"], input).done();
    assert_eq!(run.stderr, "");
    run.stdout.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// What stands in for an answer in comparisons: its id, and its error's code or `ok`.
fn outline(answer: &Value) -> (Value, String) {
    let code = answer["error"]["code"].as_str().map(str::to_owned);
    if code.is_none() {
        assert!(answer["model"].is_string() && answer["reason"].is_string() && answer["ranked"].is_array(), "{answer}");
    } else {
        assert!(answer["error"]["message"].is_string() && answer["model"].is_null(), "{answer}");
    }
    (answer["id"].clone(), code.unwrap_or_else(|| "ok".to_owned()))
}

#[test]
fn good_and_bad_lines() {
    #[rustfmt::skip]
    let cases: Vec<(&[u8], Value, &str)> = vec![
        (br#"{"id": 1, "prompt": "What is 2 + 2?"}"#, json!(1), "ok"),
        (br#"{"prompt": "no id"}"#, Value::Null, "ok"),
        (br#"{"id": "chat", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]}"#, json!("chat"), "ok"),
        (br#"{"id": {"a": [1, null]}, "prompt": "", "context": {"plan": "free", "n": 3, "pro": false, "x": null}}"#, json!({"a": [1, null]}), "ok"),
        (b"not json", Value::Null, "not_json"),
        (br#"{"id": 2, "prompt": "cut of"#, Value::Null, "not_json"),
        (b"{\"id\": 3, \"prompt\": \"\xff\xfe\"}", Value::Null, "not_json"),
        (b"[]", Value::Null, "not_an_object"),
        (b"null", Value::Null, "not_an_object"),
        (br#"{"id": 4}"#, json!(4), "no_prompt"),
        (br#"{"id": 5, "prompt": 7}"#, json!(5), "no_prompt"),
        (br#"{"id": 6, "prompt": "a", "messages": []}"#, json!(6), "no_prompt"),
        (br#"{"id": 7, "messages": []}"#, json!(7), "bad_messages"),
        (br#"{"id": 8, "messages": [{"role": "robot", "content": "x"}]}"#, json!(8), "bad_messages"),
        (br#"{"id": 9, "prompt": "a", "contxt": {}}"#, json!(9), "unknown_key"),
        (br#"{"id": 10, "prompt": "a", "context": [1]}"#, json!(10), "bad_context"),
        (br#"{"id": 11, "prompt": "a", "context": {"list": []}}"#, json!(11), "bad_context"),
        (br#"{"id": 12, "prompt": "\u0000\ud83d\ude82"}"#, json!(12), "ok"),
    ];
    let input = cases.iter().map(|case| case.0).collect::<Vec<_>>().join(&b"\n"[..]);
    let expected: Vec<(Value, String)> = cases.iter().map(|(_, id, code)| (id.clone(), (*code).to_owned())).collect();
    let given: Vec<(Value, String)> = answers(&input).iter().map(outline).collect();
    assert_eq!(given, expected);
    // Windows line ends and a line end after the last line change nothing.
    let windows = cases.iter().flat_map(|case| [case.0, b"\r\n"]).collect::<Vec<_>>().concat();
    assert_eq!(answers(&windows).iter().map(outline).collect::<Vec<_>>(), expected);
}

#[test]
fn empty_lines_have_no_answer() {
    assert!(answers(b"").is_empty());
    assert!(answers(b"\n\n \t\r\n").is_empty());
    let given = answers(b"\n{\"id\": 1, \"prompt\": \"a\"}\n\n  \n{\"id\": 2, \"prompt\": \"b\"}\n\n");
    assert_eq!(given.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(), [json!(1), json!(2)]);
}

#[test]
fn huge_lines_are_answered_and_the_run_goes_on() {
    let prompt = |id: &str, length: usize| json!({ "id": id, "prompt": "word ".repeat(length / 5) }).to_string();
    let lines = [
        prompt("before", 10),
        prompt("a megabyte", 1 << 20),
        prompt("too long", 17 << 20),
        prompt("between", 10),
        "[".repeat(200_000),
        "x".repeat(20 << 20),
        prompt("after", 10),
    ];
    let given: Vec<(Value, String)> = answers(lines.join("\n").as_bytes()).iter().map(outline).collect();
    let expected = [
        (json!("before"), "ok"),
        (json!("a megabyte"), "ok"),
        (Value::Null, "line_too_long"),
        (json!("between"), "ok"),
        (Value::Null, "not_json"),
        (Value::Null, "line_too_long"),
        (json!("after"), "ok"),
    ];
    assert_eq!(given, expected.map(|(id, code)| (id, code.to_owned())));
}

#[test]
fn a_line_is_answered_as_the_same_prompt_alone() {
    let bench = Workbench::with_router();
    let prompts = ["What is 2 + 2?", "请用三句话解释光合作用", "", "fn main() {}"];
    let input: String = prompts.iter().map(|prompt| json!({ "prompt": prompt }).to_string() + "\n").collect();
    for (answer, prompt) in answers(input.as_bytes()).iter().zip(prompts) {
        let alone = bench.run(&["route", "router.safetensors", "--json", "--", prompt]).done().json();
        assert_eq!(answer, &alone);
    }
}
