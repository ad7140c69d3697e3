//! `calibrate`: targets in words, on validation rows or the router's own curve, and what is refused.

use pointsman_evals::Split;
use pointsman_evals::synthetic::{SyntheticConfig, rows};
use pointsman_evals::write::LogRow;
use serde_json::Value;

use crate::broken::assert_refused;
use crate::workbench::Workbench;

/// A bench with a router and a log, half of it validation and half test.
fn bench() -> Workbench {
    let bench = Workbench::with_router();
    let all = rows(SyntheticConfig { n_prompts: 400, n_models: 3, seed: 9 });
    // The group keeps a conversation on one side.
    let side = |row: &LogRow| {
        let name = row.group.as_ref().or(row.prompt_id.as_ref()).map_or(0, |name| name.bytes().map(usize::from).sum());
        if name.is_multiple_of(2) { Split::Validation } else { Split::Test }
    };
    bench.write_rows("log.jsonl", all.map(|row| LogRow { split: Some(side(&row)), ..row }));
    bench
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, got {value}"))
}

#[test]
fn targets_are_met_on_validation_and_looked_at_on_test() {
    let bench = bench();
    for target in ["quality >= 97 % * best", "cost<=0.6*best", "share<=30%", "quality≥0.3", "cost<=1"] {
        let run = bench.run(&["calibrate", "router.safetensors", "log.jsonl", "--target", target, "--json"]).done();
        let json = run.json();
        assert_eq!(json["source"]["kind"], "validation", "{target}");
        assert_eq!(json["expected"]["met"], true, "{target}: {json}");
        let (expected, bound) = (&json["expected"], number(&json["expected"]["bound"]));
        let holds = match &target[..4] {
            "qual" => number(&expected["quality"]) >= bound - 1e-9,
            "cost" => number(&expected["cost_usd"]) <= bound + 1e-9,
            _ => number(&expected["share"]) <= bound + 1e-9,
        };
        assert!(holds, "{target}: {json}");
        assert!(json["test"]["prompts"].as_u64() > Some(50), "{target}: {json}");
    }
}

#[test]
fn without_validation_rows_the_curve_speaks() {
    let bench = bench();
    let run = bench.run(&["calibrate", "router.safetensors", "--target", "cost<=0.7*best", "--json"]).done();
    assert_eq!(run.json()["source"]["kind"], "curve");
    assert!(run.json()["test"].is_null());
    let text = bench.run(&["calibrate", "router.safetensors", "--target", "cost<=0.7*best"]).done().stdout;
    for part in ["λ = ", "Expected there", "curve", "Always"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_default_is_written_and_decides() {
    let bench = bench();
    let calibrate = ["calibrate", "router.safetensors", "log.jsonl", "--target", "cost<=0.5*best"];
    let json = bench.run(&[&calibrate[..], &["-o", "new.safetensors", "--json"]].concat()).done().json();
    let shown = bench.run(&["show", "new.safetensors", "--json"]).done().json();
    assert_eq!(shown["identity"], json["identity"]);
    assert_eq!(shown["decision"]["default_lambda"], json["default_lambda"]);
    let prompt = "Write a function in Python that returns the longest run of equal items in a list.";
    let lambda = json["default_lambda"].to_string();
    let by_default = bench.run(&["route", "new.safetensors", prompt, "--json"]).done();
    let by_name = bench.run(&["route", "new.safetensors", prompt, "--objective", &lambda, "--json"]).done();
    assert_eq!(by_default.stdout, by_name.stdout);
}

#[test]
fn what_cannot_be_met_or_read_is_refused() {
    let bench = bench();
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 14] = [
        ("quality>=1.5*best", &["no setting", "closest is quality", "*best"]),
        ("cost<=0", &["no setting", "closest is cost"]),
        ("quality", &["`>=` or `<=`"]),
        ("quality<=0.9", &["`>=` after quality", "quality>=AMOUNT"]),
        ("cost>=0.9*best", &["`<=` after cost"]),
        ("speed>=1", &["speed", "share(MODEL)"]),
        ("quality>=lots", &["lots", "number"]),
        ("quality>=2", &["from 0 to 1"]),
        ("quality>=-1", &["-1"]),
        ("cost<=50%", &["50%", "USD"]),
        ("share<=1.5", &["1.5", "from 0 to 1"]),
        ("share()<=0.5", &["between the brackets"]),
        ("share(gpt)<=0.5", &["gpt", "aster"]),
        ("", &["target"]),
    ];
    for (target, named) in cases {
        let run = ["calibrate", "router.safetensors", "log.jsonl", "--target", target, "-o", "new.safetensors"];
        assert_refused(&bench, (&run, named));
    }
    assert_refused(&bench, (&["calibrate", "router.safetensors"], &["--target"]));
    assert_refused(&bench, (&["calibrate", "gone.safetensors", "--target", "share<=0.5"], &["gone.safetensors"]));
    let onto_itself = ["calibrate", "router.safetensors", "--target", "share<=1", "-o", "router.safetensors"];
    assert_refused(&bench, (&onto_itself, &["router.safetensors", "overwritten"]));
}
