//! The one experiment that looks at the test split.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pointsman_bench::report::IntervalReport;
use pointsman_bench::{BenchReport, RouterKind, RouterReport};
use pointsman_metrics::Interval;

use crate::cases::Case;
use crate::duel::{Contender, Differences, Ground};
use crate::experiment::Bench;
use crate::section::{Section, missing};
use crate::trial::{self, Measure};

/// What our router is called.
const OURS: &str = "pointsman";

/// Fits on train, evaluates test once.
pub(crate) fn test(bench: &Bench) -> anyhow::Result<Section> {
    let resamples = if bench.is_quick { 200 } else { 1_000 };
    let mut section = Section::new(
        "test",
        "trained on train, evaluated on test once",
        format!(
            "Every setting of every curve is chosen on train. “We lead by”: our AIQ less its, on the same {resamples} \
             resamples of the test prompts, with the 95 % interval; “by APGR” likewise. AIQ is the mean quality over the \
             cost range of the pool; gap closed: quality at any price, from the best single model, chosen on train (0), \
             to the oracle (1). The task table is told the task of every prompt. On train: AIQ (APGR for a pair) of a \
             rival's out-of-fold predictions, by which the best rival (*) is chosen."
        ),
        [
            "case",
            "router",
            "AIQ",
            "we lead by",
            "quality",
            "gap closed",
            "Brier",
            "AUC",
            "ECE",
            "floor",
            "APGR",
            "by APGR",
            "on train",
        ],
    );
    for case in &bench.cases {
        let fitted = trial::train(&case.log, &bench.recipe)?;
        let rivals = bench.rivals(&case.name)?;
        let measure = Measure { rivals: &rivals, resamples, ..Measure::of(case) };
        let report = measure.run(&case.log, &[(OURS, &fitted.router)])?;
        let ground = Ground::new(&case.log, &report)?;
        let ours = ground.ours(OURS, &fitted.router)?;
        let rivals = rivals.iter().map(|path| Ok((path.as_path(), ground.rival(path)?)));
        let rivals = rivals.collect::<anyhow::Result<Vec<(&Path, Contender)>>>()?;
        let best =
            rivals.iter().map(|(_, rival)| score(rival)).fold(None, |best: Option<f64>, score| match (best, score) {
                (Some(best), Some(score)) => Some(best.max(score)),
                (best, score) => best.or(score),
            });
        crate::say(&format!(
            "test {}: trained in {:.1} s{}",
            case.name,
            fitted.seconds,
            if fitted.is_static { ", static" } else { "" }
        ));
        for router in &report.routers {
            let rival = rivals.iter().find(|(path, _)| stem(path) == router.name);
            let lead = match (router.kind, rival) {
                (_, Some((_, rival))) => Lead::over(&ground.compare(&ours, rival, resamples)),
                (RouterKind::Baseline, None) => Lead::reported(&report, &router.name),
                (_, None) => Lead::default(),
            };
            let on_train = rival.and_then(|(_, rival)| score(rival));
            let is_best = on_train.is_some() && on_train == best;
            section.rows.push(row(case, router, &lead, on_train, is_best));
            section.runs.push(serde_json::json!({
                "case": case.name, "router": router.name, "is_static": fitted.is_static, "figures": {
                    "aiq": router.aiq, "gap_closed": router.gap_closed, "quality_max": router.quality_max,
                    "brier": router.brier, "auc": router.auc_mean, "ece": router.ece, "ece_floor": router.ece_floor,
                    "apgr": router.apgr, "lead_aiq": lead.aiq, "lead_apgr": lead.apgr,
                }, "on_train": on_train, "is_best_rival": is_best,
            }));
        }
    }
    Ok(section)
}

/// Files of other routers' predictions: `<case>.<router>.csv`.
pub(crate) fn rivals(folder: Option<&Path>, case: &str) -> anyhow::Result<Vec<PathBuf>> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_csv = path.extension().is_some_and(|extension| extension == "csv");
        if is_csv && stem(&path).strip_prefix(case).is_some_and(|rest| rest.starts_with('.')) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// By what rivals are chosen between: APGR where there is a pair, else AIQ.
fn score(rival: &Contender) -> Option<f64> {
    rival.on_train.and_then(|(aiq, apgr)| apgr.or(aiq))
}

/// Our router's figures less another's.
#[derive(Clone, Copy, Debug, Default)]
struct Lead {
    aiq: Option<IntervalReport>,
    apgr: Option<IntervalReport>,
}

impl Lead {
    fn over(differences: &Differences) -> Self {
        Self { aiq: differences.aiq.map(Interval::into), apgr: differences.apgr.map(Interval::into) }
    }

    /// Over a baseline, as the report has it.
    fn reported(report: &BenchReport, baseline: &str) -> Self {
        let found = report.paired.iter().find(|pair| pair.a == OURS && pair.b == baseline && pair.metric == "aiq");
        let aiq = found.and_then(|pair| Some(IntervalReport { value: pair.diff?, low: pair.low?, high: pair.high? }));
        Self { aiq, apgr: None }
    }
}

fn row(case: &Case, router: &RouterReport, lead: &Lead, on_train: Option<f64>, is_best: bool) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| value.map_or_else(missing, |value| format!("{value:.digits$}"));
    let signed = |interval: Option<IntervalReport>, digits: usize| {
        interval.map_or_else(missing, |i| format!("{:+.digits$} [{:+.digits$}, {:+.digits$}]", i.value, i.low, i.high))
    };
    let name = router.name.strip_prefix(&format!("{}.", case.name)).unwrap_or(&router.name);
    vec![
        case.name.clone(),
        format!("{name}{}", if is_best { " *" } else { "" }),
        number(router.aiq.map(|aiq| aiq.value), 4),
        signed(lead.aiq, 4),
        number(router.quality_max.map(|quality| quality.value), 4),
        signed(router.gap_closed, 3),
        number(router.brier, 4),
        number(router.auc_mean, 3),
        number(router.ece, 3),
        number(router.ece_floor, 3),
        number(router.apgr.map(|apgr| apgr.value), 3),
        signed(lead.apgr, 3),
        number(on_train, 4),
    ]
}
