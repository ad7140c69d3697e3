//! The benchmark as a whole, on a log made in code.

use std::fmt::Write as _;
use std::path::PathBuf;

use pointsman::artifact::Mode;
use pointsman_evals::{Content, EvalLog};

use crate::report::{BenchReport, RouterReport};
use crate::testing::{MODELS, constant_router, log};
use crate::{BenchOptions, Error, PredictionCoverage, PromptListing, RouterEntry, RouterKind, run};

fn bench(log: &EvalLog, options: &BenchOptions<'_>, predictions: &[PathBuf]) -> Result<BenchReport, Error> {
    run(log, options, Vec::new(), predictions, &mut |_| {})
}

fn quick() -> BenchOptions<'static> {
    BenchOptions { resamples: 200, ..BenchOptions::default() }
}

fn router<'r>(report: &'r BenchReport, name: &str) -> &'r RouterReport {
    report.routers.iter().find(|r| r.name == name).expect("a router of that name")
}

fn aiq(report: &BenchReport, name: &str) -> f64 {
    router(report, name).aiq.expect("an AIQ").value
}

/// Writes a file of predicted qualities for the prompts kept, one column per model.
fn quality_file(
    dir: &tempfile::TempDir,
    name: &str,
    log: &EvalLog,
    keep: impl Fn(&str) -> bool,
    mut quality: impl FnMut(usize, usize) -> f64,
) -> PathBuf {
    let mut text = format!("prompt_id,{}\n", MODELS.map(|m| m.0).join(","));
    for (i, prompt) in log.prompts.iter().enumerate().filter(|(_, p)| keep(&p.id)) {
        let values = [0, 1, 2, 3].map(|m| quality(i, m).to_string()).join(",");
        writeln!(text, "{},{values}", prompt.id).expect("a string");
    }
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}

/// Predictions of a router that knows every prompt's task and what each model is worth there.
fn informed(dir: &tempfile::TempDir, log: &EvalLog) -> PathBuf {
    let worth = |i: usize, m: usize| MODELS[m].2[log.prompts[i].task.expect("a task") as usize];
    quality_file(dir, "informed.csv", log, |_| true, worth)
}

#[test]
fn every_baseline_is_there_and_in_order() {
    let log = log(800, 400, 1);
    let report = bench(&log, &quick(), &[]).expect("valid");
    let names: Vec<&str> = report.routers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(
        names,
        ["random", "cheapest", "dearest", "best_single", "zero_router", "task_table", "knn", "cascade", "oracle"]
    );
    assert_eq!((report.n_queries, report.n_train), (400, 800));
    assert_eq!(
        (report.cheapest.as_str(), report.dearest.as_str(), report.best_single.as_deref()),
        ("small", "big", Some("big"))
    );
    assert!(report.c_lo < report.c_hi);
    for r in &report.routers {
        let interval = r.aiq.expect("every baseline has an AIQ");
        assert!(interval.low <= interval.value && interval.value <= interval.high, "{}: {interval:?}", r.name);
        let shares: f64 = r.call_share.as_ref().expect("shares").values().sum();
        assert!((shares - 1.0).abs() < 1e-9);
    }
    // The order that outcomes of this shape must have.
    assert!(aiq(&report, "oracle") > aiq(&report, "task_table"));
    assert!(aiq(&report, "task_table") > aiq(&report, "zero_router"));
    assert!(aiq(&report, "zero_router") > aiq(&report, "cheapest"));
    assert!((aiq(&report, "knn") - aiq(&report, "task_table")).abs() < 0.03);
    assert_eq!(router(&report, "best_single").gap_closed.map(|g| g.value), Some(0.0));
    assert_eq!(router(&report, "oracle").gap_closed.map(|g| g.value), Some(1.0));
    assert!(report.paired.is_empty());
    assert_eq!(report.tasks.len(), 2);
    assert!(report.verdict.starts_with("No router was given."), "{}", report.verdict);
}

#[test]
fn constant_and_noise_score_the_zero_router() {
    let log = log(1_500, 600, 2);
    let dir = tempfile::tempdir().expect("a directory");
    let means = [0.825, 0.71, 0.45, 0.55];
    let mut files = vec![quality_file(&dir, "constant.csv", &log, |_| true, |_, m| means[m])];
    for seed in 1..=9_u32 {
        let mut rng = fastrand::Rng::with_seed(u64::from(seed));
        let sd = 0.01 * f64::from(1 + seed % 3);
        // The sum of twelve uniform numbers has variance one.
        let mut normal = move || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        files.push(quality_file(&dir, &format!("noise-{seed}.csv"), &log, |_| true, |_, m| means[m] + sd * normal()));
    }
    let report = bench(&log, &quick(), &files).expect("valid");
    let zero = aiq(&report, "zero_router");
    assert!((aiq(&report, "constant") - zero).abs() < 0.003, "{} {zero}", aiq(&report, "constant"));
    // One noisy router may be lucky on 600 prompts; nine of them may not on average. A hull on test gains them
    // 0.003 to 0.008 each.
    let differences: Vec<f64> = (1..=9).map(|seed| aiq(&report, &format!("noise-{seed}")) - zero).collect();
    let mean = differences.iter().sum::<f64>() / 9.0;
    assert!((-0.01..0.002).contains(&mean), "{mean}: {differences:?}");
    let won = report
        .paired
        .iter()
        .filter(|p| p.a.starts_with("noise") && p.b == "zero_router" && p.metric == "aiq")
        .filter(|p| p.low.expect("defined") > 0.0);
    assert_eq!(won.count(), 0);
    assert_eq!(router(&report, "constant").auc_mean, Some(0.5));
    assert!(report.verdict.starts_with("Routing is not worth it here: `constant` does what"), "{}", report.verdict);
}

#[test]
fn knowledge_of_the_task_beats_the_mix() {
    let log = log(1_500, 600, 3);
    let dir = tempfile::tempdir().expect("a directory");
    let informed = informed(&dir, &log);
    let report = bench(&log, &quick(), &[informed]).expect("valid");
    assert!(aiq(&report, "informed") > aiq(&report, "zero_router") + 0.02);
    assert!(report.verdict.starts_with("Routing is worth it here"), "{}", report.verdict);
    assert!(report.smallest_detectable.expect("compared") > 0.0);
    let r = router(&report, "informed");
    assert_eq!(r.kind, RouterKind::External);
    assert!(r.ece.expect("predictions") < 0.08 && r.ece_floor.expect("predictions") > 0.0);
    assert!(r.equal_quality.as_ref().expect("train rows").saving.value > 0.1);
    // Two metrics against nine baselines.
    assert_eq!(report.paired.len(), 18);
}

#[test]
fn without_train_predictions_the_hull_is_optimistic_and_unpaired() {
    let log = log(400, 200, 4);
    let dir = tempfile::tempdir().expect("a directory");
    let test_only = quality_file(&dir, "late.csv", &log, |id| id >= "p00400", |i, m| ((i * 7 + m * 3) % 10) as f64);
    let report = bench(&log, &quick(), &[test_only]).expect("valid");
    let late = router(&report, "late");
    assert_eq!(late.note.as_deref(), Some("hull on test, optimistic"));
    assert!(report.paired.is_empty());
    assert!(late.equal_quality.is_none());
    // Scores outside [0, 1] rank but are no probabilities.
    assert!(late.auc_mean.is_some() && late.brier.is_none() && late.ece.is_none());
    assert!(report.verdict.starts_with("No claim can be made about `late`"), "{}", report.verdict);
}

#[test]
fn the_report_does_not_depend_on_threads() {
    let log = log(300, 150, 5);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let report = pool.install(|| bench(&log, &quick(), &[])).expect("valid");
        serde_json::to_string(&report).expect("serialises")
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn choices_of_one_setting_and_of_several() {
    let log = log(300, 150, 6);
    let dir = tempfile::tempdir().expect("a directory");
    let mut one = String::new();
    let mut several = String::new();
    for (i, prompt) in log.prompts.iter().enumerate() {
        let id = &prompt.id;
        if i >= 300 {
            writeln!(one, r#"{{"prompt_id":"{id}","model":"medium"}}"#).expect("a string");
        }
        for (setting, model) in [("low", "small"), ("high", "big"), ("silly", "odd")] {
            writeln!(several, r#"{{"prompt_id":"{id}","model":"{model}","setting":"{setting}"}}"#).expect("a string");
        }
    }
    let files = [file(&dir, "x.jsonl", &one), file(&dir, "several.jsonl", &several)];
    let report = bench(&log, &quick(), &files).expect("valid");
    let x = router(&report, "x");
    assert_eq!(x.call_share.as_ref().and_then(|s| s.get("medium")), Some(&1.0));
    assert!(x.note.is_none() && x.curve.len() == 1);
    let s = router(&report, "several");
    let settings: Vec<&str> = s.curve.iter().map(|p| p.setting.as_str()).collect();
    assert_eq!(settings, ["low", "high"]);
    assert!(s.note.is_none());
    assert_eq!(s.quality_max.map(|q| q.value), router(&report, "dearest").quality_max.map(|q| q.value));
    // One choice has nothing to choose, so it may be compared too.
    assert!(report.paired.iter().any(|p| p.a == "x"));
}

#[test]
fn prediction_files_of_routerarena_are_read_as_they_are() {
    let (log, dir) = (log(100, 60, 21), tempfile::tempdir().expect("temporary"));
    let entries: Vec<serde_json::Value> = (100..160)
        .flat_map(|i| {
            let entry = |model: &str, optimality: bool| {
                serde_json::json!({
                    "global index": format!("p{i:05}"), "prompt": "…", "prediction": model, "generated_result": null,
                    "cost": null, "accuracy": null, "for_optimality": optimality,
                })
            };
            [entry("big", false), entry("small", true)]
        })
        .collect();
    let path = file(&dir, "arena.json", &serde_json::to_string(&entries).expect("json"));
    let report = bench(&log, &quick(), &[path]).expect("valid");
    assert!((router(&report, "arena").call_share.as_ref().expect("choices")["big"] - 1.0).abs() < 1e-12);
    let list = file(&dir, "list.json", r#"[{"prompt_id": "p00100", "model": "big"}]"#);
    let error = bench(&log, &quick(), &[list]).expect_err("one prompt of sixty");
    assert!(error.to_string().contains("59 are missing"), "{error}");
    let broken = file(&dir, "broken.json", r#"{"prompt_id": "p00100"}"#);
    assert!(bench(&log, &quick(), &[broken]).is_err());
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let log = log(60, 40, 7);
    let dir = tempfile::tempdir().expect("a directory");
    let refused = |path: PathBuf| {
        let error = bench(&log, &quick(), &[path]).expect_err("refused");
        error.to_string().replace(&dir.path().display().to_string(), "DIR")
    };
    assert_eq!(
        refused(file(&dir, "a.csv", "prompt_id,model\np00060,small\n")),
        "predictions `DIR/a.csv`: expected all 40 prompts of the split, 39 are missing, first `p00061`"
    );
    assert_eq!(
        refused(file(&dir, "b.csv", "prompt_id,model\np00060,tiny\n")),
        "predictions `DIR/b.csv`, row 1: model `tiny` is not in the pool of `big`, `medium`, `odd`, `small`"
    );
    assert_eq!(
        refused(file(&dir, "c.csv", "prompt_id,small,tiny\np00060,0.5,0.5\n")),
        "predictions `DIR/c.csv`, header: model `tiny` is not in the pool of `big`, `medium`, `odd`, `small`"
    );
    assert_eq!(
        refused(file(&dir, "d.csv", "prompt_id,small,big\np00060,0.5,NaN\n")),
        "predictions `DIR/d.csv`, row 1, column `big`: expected a finite number, got `NaN`"
    );
    assert_eq!(
        refused(file(&dir, "e.csv", "prompt_id,model\np00060,small\np00060,big\n")),
        "predictions `DIR/e.csv`, row 2: prompt `p00060` was predicted before"
    );
    assert_eq!(
        refused(file(&dir, "f.csv", "id,model\np00060,small\n")),
        "predictions `DIR/f.csv`: expected a column `prompt_id`, got `id`, `model`"
    );
    assert_eq!(
        refused(file(&dir, "g.csv", "prompt_id,task\np00060,x\n")),
        "predictions `DIR/g.csv`: expected a column `model`, or one per model of the pool, got `prompt_id`, `task`"
    );
    assert_eq!(refused(file(&dir, "h.txt", "")), "predictions `DIR/h.txt`: expected .jsonl, .json, .csv or .parquet");
    assert_eq!(refused(dir.path().join("none.csv")), "predictions `DIR/none.csv`: cannot be read");
    assert!(bench(&log, &quick(), &[file(&dir, "i.jsonl", "[1]\n")]).is_err());
}

#[test]
fn gaps_are_filled_where_allowed() {
    let log = log(200, 100, 8);
    let dir = tempfile::tempdir().expect("a directory");
    let partial = quality_file(&dir, "partial.csv", &log, |id| id != "p00250", |_, m| [0.1, 0.2, 0.3, 0.9][m]);
    let options = BenchOptions { coverage: PredictionCoverage::Partial, ..quick() };
    let report = bench(&log, &options, &[partial]).expect("valid");
    let r = router(&report, "partial");
    assert_eq!(r.note.as_deref(), Some("1 prompts without a prediction sent to big"));
    assert!((r.call_share.as_ref().expect("shares")["big"] - 0.01).abs() < 1e-12);
}

#[test]
fn without_training_rows_baselines_are_null_with_a_note() {
    let log = log(0, 150, 9);
    let report = bench(&log, &quick(), &[]).expect("valid");
    for name in ["best_single", "zero_router", "task_table", "knn"] {
        let r = router(&report, name);
        assert!(r.aiq.is_none() && r.curve.is_empty());
        assert_eq!(r.note.as_deref(), Some("no training rows for this pool"));
    }
    assert!(router(&report, "random").aiq.is_some());
    assert!(report.best_single.is_none());
    // Training rows of another log take their place.
    let other = crate::testing::log(300, 0, 10);
    let options = BenchOptions { train_log: Some(&other), ..quick() };
    let report = bench(&log, &options, &[]).expect("valid");
    assert!(report.routers.iter().all(|r| r.aiq.is_some()));
    assert_eq!(report.n_train, 300);
}

#[test]
fn a_pair_gives_apgr() {
    let log = log(400, 300, 11);
    let options = BenchOptions { pair: Some(("big".to_owned(), "small".to_owned())), ..quick() };
    let report = bench(&log, &options, &[]).expect("valid");
    let constant = router(&report, "zero_router").apgr.expect("predictions of both");
    assert!((constant.value - 0.5).abs() < 1e-9);
    let table = router(&report, "task_table");
    assert!(table.apgr.expect("predictions of both").value > 0.55);
    assert!(table.cpt50.expect("a gap") < 0.5);
    assert!(router(&report, "oracle").apgr.expect("truth").value > 1.0);
    assert!(router(&report, "random").apgr.is_none());

    let wrong = BenchOptions { pair: Some(("big".to_owned(), "tiny".to_owned())), ..quick() };
    assert!(matches!(bench(&log, &wrong, &[]), Err(Error::PairNotInPool { .. })));
    let twice = BenchOptions { pair: Some(("big".to_owned(), "big".to_owned())), ..quick() };
    assert!(matches!(bench(&log, &twice, &[]), Err(Error::PairOfOne { .. })));
}

#[test]
fn names_are_unique_and_options_checked() {
    let log = log(60, 30, 12);
    let dir = tempfile::tempdir().expect("a directory");
    let twin = |folder: &str| {
        let path = dir.path().join(folder);
        std::fs::create_dir(&path).expect("created");
        let rows: Vec<String> = log.prompts.iter().map(|p| format!("{},small", p.id)).collect();
        let text = format!("prompt_id,model\n{}\n", rows.join("\n"));
        std::fs::write(path.join("knn.csv"), text).expect("written");
        path.join("knn.csv")
    };
    let report = bench(&log, &quick(), &[twin("a"), twin("b")]).expect("valid");
    let names: Vec<&str> = report.routers.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names[..2], ["knn-2", "knn-3"]);
    let few = BenchOptions { resamples: 10, ..BenchOptions::default() };
    assert_eq!(
        bench(&log, &few, &[]).expect_err("refused").to_string(),
        "option `resamples`: expected at least 100, got 10"
    );
}

#[test]
fn overlap_and_noise_are_told() {
    let mut log = log(50, 30, 19);
    log.prompts[60].content = log.prompts[10].content.clone();
    for outcome in log.outcomes.iter_mut().filter(|o| o.prompt >= 65) {
        outcome.runs = 2;
        outcome.score_variance = 0.5;
    }
    let report = bench(&log, &quick(), &[]).expect("valid");
    assert_eq!(report.train_overlap, 1);
    let noise = report.noise.expect("repeated runs");
    assert_eq!((noise.repeated, noise.brier_floor), (0.5, 0.25));
}

#[test]
fn one_model_alone_has_no_curve_and_no_claim() {
    let mut log = log(50, 30, 20);
    log.outcomes.retain(|o| o.model == 0);
    let report = bench(&log, &quick(), &[]).expect("valid");
    assert_eq!(report.models, ["big"]);
    assert!(report.routers.iter().all(|r| r.aiq.is_none() && r.quality_max.is_some()));
    assert!(crate::html::render(&report).is_ok());
    let ours = bench_router(&log, &CONSTANT[..1], Mode::Learned).expect("valid");
    assert!(ours.verdict.contains("nothing to choose"), "{}", ours.verdict);
}

#[test]
fn messages_are_routed_by_their_last_user_turn() {
    let mut log = log(40, 30, 22);
    for prompt in &mut log.prompts {
        if let Content::Text(text) = &prompt.content {
            let chat = format!(r#"[{{"role":"system","content":"be brief"}},{{"role":"user","content":"{text}"}}]"#);
            prompt.content = Content::Messages(chat);
        }
    }
    let report = bench_router(&log, &CONSTANT, Mode::Learned).expect("valid");
    assert!(report.routers.iter().all(|r| r.aiq.is_some()));
    log.prompts[50].content = Content::Messages("{".to_owned());
    assert!(matches!(bench_router(&log, &CONSTANT, Mode::Learned), Err(Error::Messages { .. })));
}

#[test]
fn groups_are_resampled_whole() {
    let mut log = log(50, 40, 21);
    for (i, prompt) in log.prompts.iter_mut().enumerate() {
        prompt.group = (i % 2 == 0).then(|| format!("g{}", i / 10));
    }
    let report = bench(&log, &quick(), &[]).expect("valid");
    assert_eq!(report.resampled, "groups");
}

#[test]
fn json_has_the_promised_keys() {
    let log = log(100, 60, 13);
    let report = bench(&log, &quick(), &[]).expect("valid");
    let json = serde_json::to_value(&report).expect("serialises");
    for key in ["n_queries", "models", "split", "dropped", "cost", "routers", "paired"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    for key in [
        "name",
        "kind",
        "aiq",
        "aiq_compat",
        "auc_mean",
        "brier",
        "ece",
        "ece_floor",
        "reliability",
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
    ] {
        assert!(json["routers"][0].get(key).is_some(), "{key}");
    }
    assert_eq!(json["routers"][0]["kind"], "baseline");
    assert!(json.get("prompts").is_none());
    let curve = &json["routers"][7]["curve"];
    assert!(curve[0].get("lambda").is_some() && curve[0].get("cost").is_some());
    assert!(!json.to_string().contains("please"), "no prompt text");
}

const CONSTANT: [(&str, f64, f64); 4] =
    [("big", 0.825, 0.010), ("medium", 0.71, 0.004), ("odd", 0.45, 0.006), ("small", 0.55, 0.001)];

fn bench_router(log: &EvalLog, models: &[(&str, f64, f64)], mode: Mode) -> Result<BenchReport, Error> {
    let router = RouterEntry { name: "ours".to_owned(), router: constant_router(models, mode) };
    run(log, &quick(), vec![router], &[], &mut |_| {})
}

#[test]
fn a_constant_artifact_is_the_zero_router() {
    let log = log(1_000, 500, 14);
    let report = bench_router(&log, &CONSTANT, Mode::Learned).expect("valid");
    let ours = router(&report, "ours");
    assert_eq!(ours.kind, RouterKind::Pointsman);
    assert_eq!(ours.abstained, Some(0.0));
    assert!(ours.note.is_none(), "{:?}", ours.note);
    assert!((aiq(&report, "ours") - aiq(&report, "zero_router")).abs() < 1e-9);
    assert_eq!(ours.curve.len(), 3);
    assert!(ours.curve[2].lambda.is_none() && ours.curve[2].setting == "λ → ∞");
    assert!((ours.brier.expect("predictions") - router(&report, "zero_router").brier.expect("means")).abs() < 0.01);
    assert!(ours.cost_error.expect("predicted costs") < 0.02);
    let paired = report.paired.iter().find(|p| p.b == "zero_router" && p.metric == "aiq").expect("compared");
    assert!(paired.diff.expect("defined").abs() < 1e-9);

    let report = bench_router(&log, &CONSTANT, Mode::Static).expect("valid");
    assert_eq!(router(&report, "ours").abstained, Some(1.0));
}

#[test]
fn a_router_that_knows_part_of_the_pool_says_so() {
    let log = log(200, 100, 15);
    let known = [CONSTANT[0], ("elsewhere", 0.9, 0.002), CONSTANT[3]];
    let report = bench_router(&log, &known, Mode::Learned).expect("valid");
    let ours = router(&report, "ours");
    assert_eq!(
        ours.note.as_deref(),
        Some("does not know medium, odd; every λ of its curve kept: the pool is not the one it was trained with")
    );
    let called: Vec<&String> = ours.call_share.as_ref().expect("shares").keys().collect();
    assert_eq!(called, ["big"]);
    let stranger = bench_router(&log, &[("elsewhere", 0.9, 0.002)], Mode::Learned);
    assert!(matches!(stranger, Err(Error::NoCommonModel { .. })));
}

#[test]
fn parquet_predictions_read_like_csv() {
    use polars::prelude::{DataFrame, NamedFrom, ParquetWriter, Series};

    let log = log(120, 80, 18);
    let dir = tempfile::tempdir().expect("a directory");
    let quality = |i: usize, m: usize| ((i * 13 + m * 29) % 17) as f64 / 17.0;
    let csv = quality_file(&dir, "a.csv", &log, |_| true, quality);
    let ids: Vec<&str> = log.prompts.iter().map(|p| p.id.as_str()).collect();
    let mut columns = vec![Series::new("prompt_id".into(), ids).into()];
    for (m, (name, ..)) in MODELS.iter().enumerate() {
        let values: Vec<f64> = (0..log.prompts.len()).map(|i| quality(i, m)).collect();
        columns.push(Series::new((*name).into(), values).into());
    }
    let mut frame = DataFrame::new(log.prompts.len(), columns).expect("columns of one length");
    let path = dir.path().join("b.parquet");
    ParquetWriter::new(std::fs::File::create(&path).expect("created")).finish(&mut frame).expect("written");
    let report = bench(&log, &quick(), &[csv, path]).expect("valid");
    let (a, b) = (router(&report, "a"), router(&report, "b"));
    assert_eq!((a.aiq, a.quality_max, a.brier), (b.aiq, b.quality_max, b.brier));
}

#[test]
fn the_page_is_self_contained() {
    let log = log(300, 200, 17);
    let options = BenchOptions { pair: Some(("big".to_owned(), "small".to_owned())), ..quick() };
    let router = RouterEntry { name: "<ours>".to_owned(), router: constant_router(&CONSTANT, Mode::Learned) };
    let report = run(&log, &options, vec![router], &[], &mut |_| {}).expect("valid");
    let page = crate::html::render(&report).expect("drawn");
    assert!(page.contains("<figure><svg viewBox") && page.contains("role=\"img\" aria-label="));
    assert!(page.contains("var(--s0)") && page.contains("currentColor"));
    assert!(page.contains("&lt;ours&gt;") && !page.contains("<ours>"));
    for foreign in
        ["http:", "https:", "<script src", "fetch(", "import(", "@import", "url(", "please", "#0102", "#0908", "#0301"]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for section in [
        "id=\"money\"",
        "id=\"slices\"",
        "id=\"data\"",
        "id=\"curve-data\"",
        "id=\"calibration\"",
        "id=\"shares\"",
        "id=\"tasks\"",
        "<ul class=\"legend\">",
        "Reliability of &lt;ours&gt;",
    ] {
        assert!(page.contains(section), "{section}");
    }
    for tag in ["details", "section", "table", "figure", "tr", "th", "td", "ul", "li", "svg", "text"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(page.contains("<th scope=\"col\">AIQ</th>") && page.contains("<caption>"));
}

#[test]
fn the_reliability_of_constant_predictions_is_one_bin_per_model() {
    let log = log(300, 200, 18);
    let report = bench_router(&log, &CONSTANT, Mode::Learned).expect("valid");
    let bins = &report.routers[0].reliability;
    assert_eq!(bins.iter().map(|b| b.n).collect::<Vec<_>>(), [200; 4]);
    assert!(bins.iter().all(|b| b.from <= b.predicted && b.predicted <= b.to), "{bins:?}");
    assert!(bins.iter().all(|b| b.observed.low < b.predicted && b.predicted < b.observed.high), "{bins:?}");
}

#[test]
fn tasks_tell_the_paired_difference_to_the_best_single_model() {
    let log = log(800, 400, 19);
    let dir = tempfile::tempdir().expect("a directory");
    let informed = informed(&dir, &log);
    let report = bench(&log, &quick(), &[informed]).expect("valid");
    for task in &report.tasks {
        let gain = task.gain["informed"];
        assert!((gain.value - (task.quality["informed"] - task.quality["best_single"])).abs() < 1e-12);
        assert!(gain.low <= gain.value && gain.value <= gain.high);
        assert_eq!(task.gain.len(), 1);
    }
}

#[test]
fn prompts_are_listed_only_where_asked_for() {
    let log = log(50, 20, 18);
    let options = BenchOptions { prompts: PromptListing::Included, ..quick() };
    let report = bench(&log, &options, &[]).expect("valid");
    let prompts = report.prompts.expect("asked for");
    assert_eq!(prompts.len(), 20);
    assert!(prompts[0].prompt.contains("please"));
    assert_eq!(prompts[0].choice["best_single"], "big");
    assert!(!prompts[0].choice.contains_key("random"));
}
