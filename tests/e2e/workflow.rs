//! Log → `train` → `show` → `bench`, over files of every form.

use serde_json::Value;

use crate::workbench::Workbench;

const BASELINES: [&str; 9] =
    ["random", "cheapest", "dearest", "best_single", "zero_router", "task_table", "knn", "cascade", "oracle"];

/// Keys that a report and each of its routers hold at least.
const REPORT_KEYS: [&str; 7] = ["n_queries", "models", "split", "dropped", "cost", "routers", "paired"];
const ROUTER_KEYS: [&str; 22] = [
    "name",
    "kind",
    "aiq",
    "aiq_compat",
    "auc_mean",
    "brier",
    "ece",
    "ece_floor",
    "quality_max",
    "gap_closed",
    "quality_at_best_single_cost",
    "cost_at_best_single_quality",
    "qnc",
    "area",
    "apgr",
    "cpt20",
    "cpt50",
    "cpt80",
    "curve",
    "call_share",
    "abstained",
    "note",
];

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn assert_keys(value: &Value, expected: &[&str]) {
    let keys = keys(value);
    let missing: Vec<_> = expected.iter().filter(|key| !keys.contains(key)).collect();
    assert!(missing.is_empty(), "missing {missing:?}, found {keys:?}");
}

fn assert_shares(shares: &Value) {
    if let Some(shares) = shares.as_object().filter(|shares| !shares.is_empty()) {
        let total: f64 = shares.values().map(|share| share.as_f64().expect("a share")).sum();
        assert!((total - 1.0).abs() < 1e-9, "{shares:?}");
    }
}

fn assert_report(report: &Value) {
    assert_keys(report, &REPORT_KEYS);
    let routers = report["routers"].as_array().expect("routers");
    for router in routers {
        assert_keys(router, &ROUTER_KEYS);
        assert_shares(&router["call_share"]);
        for point in router["curve"].as_array().into_iter().flatten() {
            assert_keys(point, &["lambda", "cost", "quality"]);
            assert_shares(&point["call_share"]);
        }
        if let Some(interval) = router["aiq"].as_object() {
            let number = |key: &str| interval[key].as_f64().expect("a number");
            assert!(number("low") <= number("value") && number("value") <= number("high"), "{interval:?}");
        }
    }
    let named = |kind: &str| -> Vec<&str> {
        let of_kind = routers.iter().filter(|router| router["kind"] == kind);
        of_kind.map(|router| router["name"].as_str().expect("a name")).collect()
    };
    let mut baselines = named("baseline");
    baselines.sort_unstable();
    let mut expected = BASELINES;
    expected.sort_unstable();
    assert_eq!(baselines, expected);
    assert_eq!(named("pointsman"), ["mine"]);
    let paired = report["paired"].as_array().expect("comparisons");
    for baseline in BASELINES {
        let pair = paired.iter().find(|pair| pair["b"] == baseline && pair["metric"] == "aiq");
        let pair = pair.unwrap_or_else(|| panic!("no comparison with {baseline}"));
        assert_keys(pair, &["a", "b", "metric", "diff", "low", "high"]);
        assert_eq!(pair["a"], "mine");
    }
}

#[test]
fn from_log_to_report() {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 400, 4);
    let train = ["train", "log.parquet", "-o", "mine.safetensors", "--recipe", "tiny.toml", "--seed", "7", "--json"];
    let summary = bench.run(&train).done().json();
    assert_eq!(summary["models"].as_array().map(Vec::len), Some(4));

    let shown = bench.run(&["show", "mine.safetensors", "--json"]).done().json();
    assert_eq!(shown["identity"], summary["identity"]);
    assert_eq!(shown["provenance"]["seed"], 7);
    let text = bench.run(&["show", "mine.safetensors"]).done().stdout;
    assert!(text.contains(summary["identity"].as_str().expect("an identity")), "{text}");

    let base = ["bench", "log.parquet", "--router", "mine.safetensors", "--resamples", "200"];
    let report = bench.run(&[&base[..], &["--json", "-"]].concat()).done().json();
    assert_report(&report);
    assert!(report["prompts"].is_null(), "no text without --with-prompts");

    let run = bench.run(&[&base[..], &["--json", "report.json", "--html", "report.html"]].concat()).done();
    assert!(run.stdout.contains("zero_router"), "the table goes to stdout");
    let written = std::fs::read_to_string(bench.path("report.json")).expect("the report");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), report, "same inputs and seed, same report");
    let html = std::fs::read_to_string(bench.path("report.html")).expect("the page");
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"));
    for outside in ["src=\"http", "href=\"http", "@import", "url(http"] {
        assert!(!html.contains(outside), "the page is self-contained, but has {outside}");
    }
}

#[test]
fn the_form_of_the_log_does_not_matter() {
    let bench = Workbench::with_router();
    let mut identities = Vec::new();
    for name in ["log.parquet", "log.jsonl", "log.csv"] {
        bench.write_log(name, 150, 3);
        let summary =
            bench.run(&["train", name, "-o", "r.safetensors", "--recipe", "tiny.toml", "--json"]).done().json();
        identities.push(summary["identity"].clone());
    }
    assert_eq!(identities[0], identities[1]);
    assert_eq!(identities[0], identities[2]);
}

#[test]
fn a_log_without_any_cost_trains_a_router_for_quality() {
    let bench = Workbench::with_router();
    let rows = pointsman_evals::synthetic::rows(pointsman_evals::synthetic::SyntheticConfig {
        n_prompts: 200,
        n_models: 3,
        seed: 2,
    });
    bench.write_rows("log.jsonl", rows.map(|row| pointsman_evals::write::LogRow { cost_usd: None, ..row }));
    bench.run(&["train", "log.jsonl", "-o", "free.safetensors", "--recipe", "tiny.toml"]).done();
    let decision =
        bench.run(&["route", "free.safetensors", "What is 2 + 2?", "--objective", "quality", "--json"]).done().json();
    let first = &decision["ranked"][0];
    assert!(first["quality"].as_f64().is_some_and(|quality| quality > 0.0), "{decision}");
    assert!(first["cost_usd"].is_null(), "nothing is known of any cost: {decision}");
}
