//! What `bench` is asked for beyond the comparison: controls, estimates from logged choices, tables and figures for others.

use std::fmt::Write;

use crate::workbench::Workbench;

const BASE: [&str; 8] = ["bench", "log.parquet", "--router", "router.safetensors", "--resamples", "100", "--json", "-"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BASE.iter().chain(more).copied().collect()
}

#[test]
fn controls_are_run_where_they_are_asked_for() {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 900, 3);
    let controls = "leakage,shuffle,robustness,learning-curve,time-split";
    let report = bench.run(&with(&["--controls", controls, "--subsamples", "2"])).done().json();
    let controls = &report["controls"];
    let shuffled = controls["shuffle"]["gain"]["value"].as_f64().expect("a number");
    assert!(shuffled.abs() < 0.02, "nothing is there to learn: {shuffled}");
    assert_eq!(controls["robustness"].as_array().expect("a list").len(), 7);
    assert_eq!(controls["leakage"]["n_queries"], report["n_queries"]);
    assert!(controls["learning_curve"].as_array().expect("a list").len() >= 2);
    assert!(controls["time_split"]["n_queries"].as_u64().expect("a number") > 100);
    assert!(controls["leave_task_out"].is_null());

    let none = bench.run(&BASE).done().json();
    assert!(none.get("controls").is_none());
    let wrong = bench.run(&with(&["--controls", "luck"]));
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("expected leakage, shuffle"), "{}", wrong.stderr);
}

#[test]
fn a_log_of_choices_is_estimated_and_refused_where_it_says_nothing_of_chance() {
    let bench = Workbench::new();
    let mut rng = fastrand::Rng::with_seed(2);
    let mut rows = String::new();
    for i in 0..1_500 {
        let (model, propensity, quality, cost) =
            if rng.f64() < 0.3 { ("big", 0.3, 0.9, 0.01) } else { ("small", 0.7, 0.6, 0.001) };
        let score = f64::from(u8::from(rng.f64() < quality));
        writeln!(
            rows,
            r#"{{"prompt":"question {i}","model":"{model}","score":{score},"cost_usd":{cost},"propensity":{propensity},"split":"test"}}"#
        )
        .expect("a string");
    }
    bench.write("gateway.jsonl", &rows);
    let report = bench.run(&["bench", "gateway.jsonl", "--off-policy", "--json", "-"]).done().json();
    let policies = report["policies"].as_array().expect("a list");
    for (policy, truth) in policies.iter().zip([0.9, 0.6]) {
        let (low, high) = (policy["snips"]["low"].as_f64(), policy["snips"]["high"].as_f64());
        assert!(low.expect("low") - 0.02 < truth && truth < high.expect("high") + 0.02, "{policy}");
    }

    // Without the flag: a hint at it. Without propensities: an error.
    bench.write("unknown.jsonl", rows.replace(",\"propensity\":0.3", "").replace(",\"propensity\":0.7", ""));
    let refused = bench.run(&["bench", "unknown.jsonl", "--off-policy"]);
    assert_eq!(refused.status, Some(2));
    assert!(refused.stderr.contains("`propensity`"), "{}", refused.stderr);
    let both = bench.run(&["bench", "gateway.jsonl", "--off-policy", "--html", "x.html"]);
    assert_eq!(both.status, Some(2));
}

#[test]
fn tables_and_figures_are_written_for_others() {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 900, 3);
    let files = [
        "--html",
        "r.html",
        "--markdown",
        "r.md",
        "--csv",
        "r.csv",
        "--plots",
        "plots",
        "--with-prompts",
        "--stratify",
    ];
    let report = bench.run(&with(&files)).done().json();
    assert_eq!(report["resampled"], "groups within tasks");
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).expect(name);
    assert!(read("r.md").contains("| zero_router |") && read("r.md").contains("p, Holm"));
    let routers = report["routers"].as_array().expect("a list").len();
    assert_eq!(read("r.csv").lines().count(), routers + 1);
    assert!(read("r.html").contains("<section aria-labelledby=\"slices\">"));
    for figure in ["curve", "aiq", "paired", "tasks", "calibration-router", "shares-router"] {
        assert!(read(&format!("plots/{figure}.svg")).starts_with("<svg xmlns="), "{figure}");
    }
    assert!(report["power"]["queries_needed"].as_u64().expect("a number") > 0);
    // A file where the folder should be.
    let blocked = bench.run(&with(&["--plots", "r.md"]));
    assert_eq!(blocked.status, Some(2));
    assert!(blocked.stderr.contains("expected a folder"), "{}", blocked.stderr);
}
