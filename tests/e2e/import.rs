//! `import`: from another tool's file to a served log, and what is refused.

use std::fmt::Write;

use crate::broken::assert_refused;
use crate::workbench::Workbench;

/// Two models on forty sums, in LLMRouter's shape; the small one fails on large ones.
fn routing_data() -> String {
    let mut lines = String::new();
    for (i, (model, from)) in (0..40).flat_map(|i| [(i, ("small", 20)), (i, ("large", 40))]) {
        let row = serde_json::json!({
            "task_name": "sums", "query": format!("What is {i} + {i}?"), "model_name": model,
            "performance": u8::from(i < from), "input_tokens": 9, "output_tokens": 3, "response_time": 0.5,
        });
        writeln!(lines, "{row}").expect("writing to a string cannot fail");
    }
    lines
}

#[test]
fn another_tools_file_becomes_a_log_that_can_be_inspected() {
    let bench = Workbench::new();
    bench.write("routing.jsonl", routing_data());
    let run = bench.run(&["import", "llmrouter", "routing.jsonl", "-o", "log.parquet", "--json"]).done();
    let summary = run.json();
    assert_eq!((summary["written"].as_u64(), summary["prompts"].as_u64()), (Some(80), Some(40)));
    assert!(run.stderr.contains("next: pointsman inspect log.parquet"), "{}", run.stderr);
    let inspected = bench.run(&["inspect", "log.parquet", "--json"]).done().json();
    assert_eq!(inspected["models"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_cannot_be_imported_is_refused_and_nothing_is_written() {
    let bench = Workbench::new();
    bench.write("routing.jsonl", routing_data());
    bench.write("empty.jsonl", "");
    bench.write("scoreless.jsonl", "{\"query\":\"a\",\"model_name\":\"b\",\"performance\":null}\n");
    for (arguments, expected) in [
        (&["import", "lmrouter", "routing.jsonl", "-o", "log.parquet"][..], "did you mean `llmrouter`"),
        (&["import", "embedllm", "routing.jsonl", "-o", "log.parquet"], "expected `prompt`"),
        (&["import", "llmrouter", "gone.jsonl", "-o", "log.parquet"], "`gone.jsonl`: cannot be read"),
        (&["import", "llmrouter", "empty.jsonl", "-o", "log.parquet"], "the file is empty"),
        (&["import", "llmrouter", "scoreless.jsonl", "-o", "log.parquet"], "missing score"),
        (&["import", "llmrouter", "routing.jsonl", "-o", "routing.jsonl"], "is an input too"),
        (&["import", "llmrouter", "routing.jsonl", "-o", "log.xlsx"], "unknown form"),
        (&["import", "inspect", ".", "-o", "log.parquet"], "it is searched for *.eval"),
    ] {
        assert_refused(&bench, (arguments, &[expected]));
    }
}
