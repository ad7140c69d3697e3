//! Inspections of logs made in code, one for each finding and each shape of log.

use pointsman_evals::{Content, EvalLog, Split};

use pointsman_metrics::mean_interval::Z_95;

use super::*;
use crate::testing::{MODELS, log};

fn look(log: &EvalLog) -> InspectionReport {
    inspect(log, &InspectOptions::default(), &mut |_| {}).expect("valid")
}

/// Overwrites the score of every cell: prompt, model → score.
fn rescore(log: &mut EvalLog, mut score: impl FnMut(u32, u32) -> f32) {
    for outcome in &mut log.outcomes {
        outcome.score = score(outcome.prompt, outcome.model);
    }
}

/// Keeps the cells that `keep` says.
fn thin(log: &mut EvalLog, mut keep: impl FnMut(u32, u32) -> bool) {
    log.outcomes.retain(|o| keep(o.prompt, o.model));
}

/// `big` and `small` take turns by task at .9 and .3; the others are never right.
fn specialists(n_train: u32, n_test: u32, seed: u64) -> EvalLog {
    let mut log = log(n_train, n_test, seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let tasks: Vec<u32> = log.prompts.iter().map(|p| p.task.expect("a task")).collect();
    rescore(&mut log, |p, m| {
        let chance = match (m, tasks[p as usize]) {
            (0, 0) | (3, 1) => 0.9,
            (0 | 3, _) => 0.3,
            _ => 0.0,
        };
        f32::from(u8::from(rng.f64() < chance))
    });
    log
}

#[test]
fn specialists_can_pay() {
    let report = look(&specialists(600, 200, 1));
    assert_eq!(report.finding, Finding::CanPay, "{}", report.verdict);
    assert!(report.verdict.starts_with("Routing can pay here:"), "{}", report.verdict);
    let table = report.task_table.expect("tasks are named");
    assert!((table.quality - 0.9).abs() < 0.04, "{table:?}");
    assert!(table.quality_gain.low > 0.2 && table.quality_gain.high < 0.4, "{table:?}");
    assert!(table.aiq_gain.expect("costs").low > 0.0);
    assert_eq!(report.tasks.iter().map(|t| t.best.as_str()).collect::<Vec<_>>(), ["big", "small"]);
    assert!(report.tasks.iter().any(|t| t.margin.expect("two prompts").low > 0.4));
}

#[test]
fn test_outcomes_are_not_looked_at() {
    let mut log = specialists(600, 200, 2);
    let before = look(&log);
    let test: Vec<bool> = log.prompts.iter().map(|p| p.split == Split::Test).collect();
    for outcome in log.outcomes.iter_mut().filter(|o| test[o.prompt as usize]) {
        outcome.score = 1.0 - outcome.score;
    }
    let after = look(&log);
    assert_eq!(serde_json::to_string(&before).expect("plain"), serde_json::to_string(&after).expect("plain"));
    assert_eq!((before.n_compared, before.splits.as_slice()), (600, ["train".to_owned()].as_slice()));
}

#[test]
fn the_same_best_model_everywhere_is_nothing_to_gain() {
    let mut log = log(4_000, 400, 3);
    let mut rng = fastrand::Rng::with_seed(3);
    // The cheapest model is far the best on both tasks.
    rescore(&mut log, |_, m| f32::from(u8::from(rng.f64() < [0.4, 0.3, 0.2, 0.8][m as usize])));
    let report = look(&log);
    assert_eq!(report.finding, Finding::NothingToGain, "{}", report.verdict);
    assert!(report.verdict.contains("small is best and cheapest"), "{}", report.verdict);
    assert_eq!(report.models.iter().filter(|m| m.on_hull == Some(true)).count(), 1);
}

#[test]
fn equal_scores_are_nothing_to_gain() {
    let mut log = log(300, 100, 4);
    rescore(&mut log, |p, _| f32::from(u8::from(p % 3 == 0)));
    let report = look(&log);
    assert_eq!(report.finding, Finding::NothingToGain, "{}", report.verdict);
    assert!(report.verdict.contains("score the same"), "{}", report.verdict);
    assert_eq!(report.best_single.as_deref(), Some("small"));
    let agreement = report.agreement.expect("complete prompts");
    assert!((agreement.all_right + agreement.none_right - 1.0).abs() < 1e-12);
    assert_eq!(report.power.map(|p| p.spread_of), None);
}

#[test]
fn little_data_within_chance_is_too_little() {
    let mut found = Vec::new();
    for seed in 0..20 {
        let mut log = log(60, 20, seed);
        let mut rng = fastrand::Rng::with_seed(seed + 1_000);
        rescore(&mut log, |_, _| f32::from(u8::from(rng.bool())));
        let report = look(&log);
        let power = report.power.expect("two models");
        assert!(power.detectable.expect("test prompts") > 0.05 && power.needed_for_one_point > 1_000, "{power:?}");
        found.push(report.finding);
    }
    // Chance passes for skill one time in twenty or so.
    let count = |finding| found.iter().filter(|f| **f == finding).count();
    assert!(count(Finding::TooLittleData) >= 15, "{found:?}");
    assert!(count(Finding::CanPay) <= 2 && count(Finding::NothingToGain) == 0, "{found:?}");
}

#[test]
fn a_handful_of_prompts_is_too_little() {
    for n in [1, 2, 29] {
        let report = look(&specialists(n, 0, 6));
        assert_eq!(report.finding, Finding::TooLittleData, "{n}: {}", report.verdict);
    }
}

#[test]
fn without_tasks_headroom_is_open() {
    let mut log = specialists(600, 200, 7);
    log.tasks.clear();
    log.prompts.iter_mut().for_each(|p| p.task = None);
    let report = look(&log);
    assert_eq!(report.finding, Finding::Open, "{}", report.verdict);
    assert!(report.verdict.contains("no task column"), "{}", report.verdict);
    assert!(report.task_table.is_none() && report.tasks.is_empty());
    assert_eq!(report.power.map(|p| p.spread_of), Some("runner_up"));
}

#[test]
fn one_model_needs_another() {
    let mut log = log(100, 50, 8);
    thin(&mut log, |_, m| m == 0);
    log.outcomes.iter_mut().for_each(|o| o.model = 0);
    log.models.truncate(1);
    let report = look(&log);
    assert_eq!(report.finding, Finding::NeedsTwoModels);
    assert_eq!(report.verdict, "Routing needs two models: this log has outcomes of one.");
    assert!(report.oracle.is_none() && report.power.is_none() && report.task_table.is_none());
}

#[test]
fn without_costs_quality_is_compared() {
    let mut log = specialists(600, 200, 9);
    for outcome in &mut log.outcomes {
        outcome.cost_usd = f64::NAN;
        outcome.cost_source = pointsman_evals::CostSource::Unknown;
    }
    let report = look(&log);
    assert_eq!(report.finding, Finding::CanPay, "{}", report.verdict);
    assert_eq!(report.pool.len(), 4);
    assert!(report.zero_router_aiq.is_none() && report.models.iter().all(|m| m.cost.is_none() && m.on_hull.is_none()));
    assert_eq!(report.power.map(|p| p.metric), Some("quality"));
}

#[test]
fn without_a_test_split_there_is_still_an_inspection() {
    let report = look(&specialists(600, 0, 10));
    assert_eq!(report.finding, Finding::CanPay);
    assert_eq!(report.power.and_then(|p| p.detectable), None);
    // All test: inspected whole.
    let report = look(&specialists(0, 600, 10));
    assert_eq!((report.finding, report.splits.as_slice()), (Finding::CanPay, ["test".to_owned()].as_slice()));
}

#[test]
fn a_sparse_log_finds_the_gain_of_the_dense_one() {
    let dense = look(&specialists(3_000, 500, 11));
    let mut log = specialists(3_000, 500, 11);
    let mut rng = fastrand::Rng::with_seed(111); // not the one that drew the scores
    thin(&mut log, |_, _| rng.f64() < 0.3);
    let sparse = look(&log);
    assert!(!sparse.dense && sparse.oracle.is_none());
    assert_eq!(sparse.finding, Finding::CanPay, "{}", sparse.verdict);
    let (a, b) = (dense.task_table.expect("tasks").quality_gain, sparse.task_table.expect("tasks").quality_gain);
    assert!(b.low < a.value && a.value < b.high, "{a:?} {b:?}");
    assert!(b.high - b.low > a.high - a.low, "fewer cells say less: {a:?} {b:?}");
}

#[test]
fn a_table_of_tasks_that_mean_nothing_gains_nothing() {
    // Logs of pure chance: cross-validation must not let the best of four lucky models pass for skill.
    let mut gains = Vec::new();
    for seed in 0..40 {
        let mut log = log(400, 0, seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        rescore(&mut log, |_, _| f32::from(u8::from(rng.bool())));
        gains.push(look(&log).task_table.expect("tasks").quality_gain);
    }
    let mean = gains.iter().map(|g| g.value).sum::<f64>() / gains.len() as f64;
    assert!(mean.abs() < 0.01, "{mean}");
    // Intervals of 95 %: of 40, about one misses on each side.
    let wrong = gains.iter().filter(|g| g.low > 0.0).count();
    assert!(wrong <= 4, "{wrong} of 40");
}

#[test]
fn the_interval_of_the_gain_is_as_wide_as_its_spread() {
    let gains: Vec<IntervalReport> =
        (0..60).map(|seed| look(&specialists(400, 0, seed)).task_table.expect("tasks").quality_gain).collect();
    let n = gains.len() as f64;
    let mean = gains.iter().map(|g| g.value).sum::<f64>() / n;
    let sd = (gains.iter().map(|g| (g.value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let claimed = gains.iter().map(|g| (g.high - g.low) / 2.0 / Z_95).sum::<f64>() / n;
    assert!((0.7..1.4).contains(&(claimed / sd)), "{claimed} {sd}");
}

#[test]
fn repeated_runs_bound_the_oracle() {
    let mut log = log(2_000, 0, 12);
    let mut rng = fastrand::Rng::with_seed(12);
    // Two runs of models that are all right half the time: luck and nothing else.
    for outcome in &mut log.outcomes {
        let runs = [u8::from(rng.bool()), u8::from(rng.bool())].map(f32::from);
        outcome.runs = 2;
        outcome.score = f32::midpoint(runs[0], runs[1]);
        outcome.score_variance = (runs[0] - runs[1]).powi(2) / 2.0;
    }
    let ceiling = look(&log).oracle.expect("complete").ceiling.expect("repeated");
    assert_eq!(ceiling.n, 2_000);
    assert!((ceiling.at_least - 0.5).abs() < 0.03 && ceiling.one_run > 0.9, "{ceiling:?}");
}

#[test]
fn twins_across_the_split_are_counted_and_texts_kept_back() {
    let mut log = log(100, 40, 13);
    let text =
        |i: usize| (0..40).map(|w| format!("word{}", (i * 7919 + w * 104_729) % 5_003)).collect::<Vec<_>>().join(" ");
    for (i, prompt) in log.prompts.iter_mut().enumerate() {
        prompt.content = Content::Text(text(i));
    }
    log.prompts[120].content = Content::Text(text(3).to_uppercase());
    log.prompts[121].content = Content::Text(text(4) + " indeed");
    log.prompts[50].content = Content::Text(text(51));
    let report = look(&log).duplicates;
    assert_eq!((report.exact_texts, report.exact_prompts), (2, 4));
    assert_eq!((report.test, report.test_exact, report.test_near), (40, 1, 1));
    assert_eq!((report.examples[0].test_id.as_str(), report.examples[0].twin_id.as_str()), ("p00121", "p00004"));
    assert!(report.examples.iter().all(|e| e.texts.is_none()));
    let options = InspectOptions { prompts: PromptListing::Included, ..InspectOptions::default() };
    let shown = inspect(&log, &options, &mut |_| {}).expect("valid").duplicates;
    assert!(shown.examples[0].texts.as_ref().expect("asked for")[0].ends_with("indeed"));
}

#[test]
fn models_come_best_first_with_their_shares() {
    let report = look(&log(1_000, 200, 14));
    assert_eq!(report.models.len(), MODELS.len());
    assert!(report.models.is_sorted_by(|a, b| a.quality.map(|q| q.value) >= b.quality.map(|q| q.value)));
    let odd = report.models.iter().find(|m| m.model == "odd").expect("listed");
    assert_eq!(odd.on_hull, Some(false));
    assert!(report.models.iter().all(|m| m.only_right.expect("complete") <= m.among_best.expect("complete")));
    let oracle = report.oracle.expect("complete");
    assert!(oracle.quality > oracle.best_single_quality && oracle.ceiling.is_none());
    assert!(oracle.aiq.expect("costs") > report.zero_router_aiq.expect("costs").value);
}

#[test]
fn a_share_outside_its_domain_is_refused() {
    let options = InspectOptions { min_coverage: 1.5, ..InspectOptions::default() };
    let error = inspect(&log(10, 10, 15), &options, &mut |_| {}).expect_err("out of range");
    assert_eq!(error.to_string(), "option `min_coverage`: expected a share in [0, 1], got 1.5");
}
