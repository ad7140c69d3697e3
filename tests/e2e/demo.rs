//! `demo`: the whole story in one command.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workbench::Workbench;

#[test]
fn the_demo_trains_benchmarks_reports_and_routes() {
    let bench = Workbench::new();
    let start = Instant::now();
    let run = bench.run(&["demo", "--out", "story"]).done();
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
    for name in ["log.parquet", "router.safetensors", "report.html", "report.json"] {
        assert!(bench.path("story").join(name).is_file(), "{name}");
    }
    assert_eq!(bench.listing().len(), 5, "the folder and four files: {:?}", bench.listing());
    for heading in ["1. The evaluation log", "2. Training", "3. Benchmark", "4. Routing"] {
        assert!(run.stdout.contains(heading), "{heading}");
    }
    // Where stderr is no terminal there are no bars.
    assert!(!run.stderr.contains('\u{1b}') && !run.stderr.contains('\r'), "{}", run.stderr);

    let report = std::fs::read(bench.path("story/report.json")).expect("the report");
    let report: Value = serde_json::from_slice(&report).expect("the report is JSON");
    let aiq = |name: &str| {
        let routers = report["routers"].as_array().expect("routers");
        let router = routers.iter().find(|router| router["name"] == name).expect("the router is listed");
        router["aiq"]["value"].as_f64().expect("an AIQ")
    };
    assert!(aiq("router") > aiq("zero_router"), "routing pays on the included log, or the demo has no story");
    assert!(aiq("router") < aiq("oracle"));

    // What the demo wrote is what the other commands read, and a second run says the same.
    bench.run(&["show", "story/router.safetensors"]).done();
    let choice = bench.run(&["route", "story/router.safetensors", "What is 2 + 2?"]).done();
    assert_eq!(choice.stdout.lines().count(), 1);
}
