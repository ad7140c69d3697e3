//! Entrants and their figures, put together into a report.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use rayon::prelude::*;

use pointsman_evals::Reading;
use pointsman_evals::text::normalise;
use pointsman_metrics::calibration::reliability;
use pointsman_metrics::classification::{auc, brier, ece, ece_floor};
use pointsman_metrics::compat::routerbench::{aiq_compat, aiq_paper};
use pointsman_metrics::mean_interval::Z_95;
use pointsman_metrics::power::{detectable_difference, holm, queries_needed};
use pointsman_metrics::{DeferralCurve, Point};

use crate::contest::{Contest, hash, prompt_text};
use crate::entrant::{Choices, Entrant, RouterKind};
use crate::error::Error;
use crate::measure::{Figures, LEVEL, Measurement, equal_quality_setting, pair_order};
use crate::options::{BenchOptions, PromptListing};
use crate::report::{
    BenchReport, CurvePointReport, DataReport, EqualQualityReport, IntervalReport, NoiseReport, Pair, PairedReport,
    PowerReport, PromptReport, ReliabilityReport, RouterReport, SingleReport, TaskReport,
};
use crate::slices::slices;
use crate::verdict::verdict;

/// Simulations behind the calibration floor: its standard error is then below 2 % of it.
const FLOOR_DRAWS: u32 = 50;

/// Everything a report is made of.
pub(crate) struct Inputs<'i, 'a> {
    pub(crate) contest: &'i Contest<'a>,
    pub(crate) options: &'i BenchOptions<'a>,
    pub(crate) entrants: &'i [Entrant],
    pub(crate) measurement: &'i Measurement,
    pub(crate) pair: Option<(usize, usize)>,
    pub(crate) resampled: &'static str,
}

pub(crate) fn report(inputs: &Inputs<'_, '_>) -> Result<BenchReport, Error> {
    let Inputs { contest, options, entrants, measurement, pair, resampled } = *inputs;
    let name = |m: usize| contest.models[m].clone();
    let all_points: Vec<Vec<Point>> =
        entrants.iter().map(|e| e.choices.as_ref().map_or_else(Vec::new, |c| c.all_points.clone())).collect();
    let compat = aiq_compat(&all_points);
    let routers =
        (0..entrants.len()).map(|e| router(inputs, e, compat[e], &all_points[e])).collect::<Result<Vec<_>, _>>()?;
    let paired = paired(entrants, measurement);
    let (slices, failures) = slices(contest, entrants)?;
    let mut report = BenchReport {
        n_queries: contest.n_queries(),
        n_train: contest.train.as_ref().map_or(0, crate::contest::Training::n_train),
        train_overlap: train_overlap(contest)?,
        noise: noise(contest),
        models: contest.models.clone(),
        split: options.split.to_string(),
        dropped: contest.dropped.clone(),
        cost: contest.test.cost_kind.word.clone(),
        cost_shares: contest.test.cost_kind.shares.clone(),
        cheapest: name(contest.cheapest),
        dearest: name(contest.dearest),
        best_single: contest.train.as_ref().map(|t| name(t.best_single)),
        c_lo: measurement.c_lo,
        c_hi: measurement.c_hi,
        pair: pair.map(|(s, w)| Pair { strong: name(s), weak: name(w) }),
        resamples: options.resamples,
        resampled,
        level: LEVEL,
        seed: options.seed,
        smallest_detectable: paired
            .iter()
            .find(|p| p.b == "zero_router" && p.metric == "aiq")
            .and_then(|p| p.smallest_detectable),
        power: power(&paired, contest.n_queries()),
        singles: singles(contest),
        routers,
        paired,
        tasks: tasks(contest, entrants),
        slices,
        failures,
        data: data(&contest.log.reading),
        prompts: match options.prompts {
            PromptListing::Omitted => None,
            PromptListing::Included => Some(prompts(contest, entrants)?),
        },
        controls: None,
        verdict: String::new(),
    };
    report.verdict = verdict(&report);
    Ok(report)
}

fn router(inputs: &Inputs<'_, '_>, e: usize, compat: Option<f64>, all_points: &[Point]) -> Result<RouterReport, Error> {
    let Inputs { contest, options, entrants, measurement, pair, .. } = *inputs;
    let entrant = &entrants[e];
    let interval = |figure: fn(&Figures) -> Option<f64>| measurement.interval(e, figure).map(Into::into);
    let curve = measurement.curves[e].as_ref();
    let best = measurement.best_single;
    let predictions = entrant.quality.as_deref().filter(|_| entrant.is_prediction);
    let errors = predictions.map(|q| prediction_errors(contest, q, options.seed)).unwrap_or_default();
    let pgr = match (pair, &entrant.quality) {
        (Some((strong, weak)), Some(quality)) => pair_order(quality, contest.n_models(), strong, weak)?
            .map(|order| {
                let quality = &contest.test.quality;
                order.curve(&contest.column(quality, strong), &contest.column(quality, weak), None)
            })
            .transpose()?,
        _ => None,
    };
    let cpt = |level| pgr.as_ref().and_then(|curve| curve.cpt(level));
    Ok(RouterReport {
        name: entrant.name.clone(),
        kind: entrant.kind,
        aiq: interval(|f| f.aiq),
        aiq_compat: compat,
        aiq_paper: aiq_paper(all_points, measurement.c_lo, measurement.c_hi),
        auc_mean: errors.auc,
        brier: errors.brier,
        ece: errors.ece,
        ece_floor: errors.ece_floor,
        reliability: predictions.map_or_else(Vec::new, |q| reliability_bins(contest, q)),
        quality_max: interval(|f| f.quality_max),
        gap_closed: interval(|f| f.gap_closed),
        quality_at_best_single_cost: interval(|f| f.quality_at_best_single_cost),
        cost_at_best_single_quality: curve.and_then(|c| c.cost_at(best?.quality)),
        qnc: curve.and_then(|c| c.qnc(best?)),
        area: curve.and_then(|c: &DeferralCurve| c.area(1.0, measurement.c_hi)),
        apgr: interval(|f| f.apgr),
        cpt20: cpt(0.2),
        cpt50: cpt(0.5),
        cpt80: cpt(0.8),
        cpt_monotone: pgr.as_ref().map(pointsman_metrics::PgrCurve::is_monotone),
        equal_quality: equal_quality_setting(contest, entrant).and_then(|(s, reached)| {
            Some(EqualQualityReport {
                setting: entrant.choices.as_ref()?.settings[s].label.clone(),
                reached,
                saving: interval(|f| f.saving)?,
                quality_change: interval(|f| f.quality_change)?,
            })
        }),
        curve: entrant.choices.as_ref().map_or_else(Vec::new, |c| curve_points(contest, c)),
        call_share: entrant.choices.as_ref().map(|c| call_share(contest, &c.max_shares)),
        abstained: entrant.abstained,
        cost_error: entrant.cost_error,
        origin: entrant.origin.clone(),
        note: (!entrant.notes.is_empty()).then(|| entrant.notes.join("; ")),
    })
}

fn curve_points(contest: &Contest<'_>, choices: &Choices) -> Vec<CurvePointReport> {
    let means = choices.behaviour.means();
    choices
        .settings
        .iter()
        .zip(means)
        .zip(&choices.shares)
        .map(|((setting, mean), shares)| CurvePointReport {
            lambda: setting.lambda.filter(|l| l.is_finite()),
            setting: setting.label.clone(),
            cost: mean.cost,
            quality: mean.quality,
            call_share: call_share(contest, shares),
        })
        .collect()
}

fn call_share(contest: &Contest<'_>, shares: &[f64]) -> BTreeMap<String, f64> {
    contest.models.iter().cloned().zip(shares.iter().copied()).filter(|(_, share)| *share > 0.0).collect()
}

fn data(reading: &Reading) -> DataReport {
    let name =
        |path: &String| Path::new(path).file_name().map_or_else(|| path.clone(), |n| n.to_string_lossy().into_owned());
    DataReport {
        tool_version: env!("CARGO_PKG_VERSION"),
        files: reading.files.iter().map(name).collect(),
        rows: reading.rows,
        accepted: reading.accepted,
        rejected: reading.rejected.iter().map(|(reason, r)| (reason.clone(), r.count)).collect(),
        duplicate_runs: reading.duplicate_runs,
        texts_across_splits: reading.texts_across_splits,
        split_source: reading.split_source.clone(),
        data_sha256: reading.data_sha256.clone(),
        split_sha256: reading.split_sha256.clone(),
    }
}

/// Evaluated prompts whose normalised text is also a training prompt's.
fn train_overlap(contest: &Contest<'_>) -> Result<usize, Error> {
    let Some(train) = &contest.train else { return Ok(0) };
    let key = |prompt| Ok::<_, Error>(hash(&normalise(&prompt_text(prompt)?)));
    let seen = train.prompts().map(key).collect::<Result<HashSet<u64>, _>>()?;
    let mut n = 0;
    for prompt in contest.prompts() {
        n += usize::from(seen.contains(&key(prompt)?));
    }
    Ok(n)
}

/// Noise of the evaluated cells that were run more than once.
fn noise(contest: &Contest<'_>) -> Option<NoiseReport> {
    let prompts = &contest.test.prompts;
    let variances: Vec<f64> = contest
        .log
        .outcomes
        .iter()
        .filter(|o| o.runs > 1 && o.score_variance.is_finite())
        .filter(|o| prompts.binary_search(&o.prompt).is_ok() && contest.test.models.contains(&o.model))
        .map(|o| f64::from(o.score_variance) / f64::from(o.runs))
        .collect();
    let n = variances.len() as f64;
    (n > 0.0).then(|| NoiseReport {
        repeated: n / contest.test.quality.len() as f64,
        brier_floor: variances.iter().sum::<f64>() / n,
    })
}

fn singles(contest: &Contest<'_>) -> Vec<SingleReport> {
    let k = contest.n_models();
    let cost = crate::contest::column_means(&contest.test.cost, k);
    let quality = crate::contest::column_means(&contest.test.quality, k);
    let report = |m: usize| SingleReport { model: contest.models[m].clone(), cost: cost[m], quality: quality[m] };
    (0..k).map(report).collect()
}

fn paired(entrants: &[Entrant], measurement: &Measurement) -> Vec<PairedReport> {
    type Figure = fn(&Figures) -> Option<f64>;
    let metrics: [(&'static str, Figure); 2] = [("aiq", |f| f.aiq), ("quality_max", |f| f.quality_max)];
    let is_ours = |e: &Entrant| e.kind != RouterKind::Baseline && !e.optimistic;
    let mut pairs: Vec<PairedReport> = Vec::new();
    // Every router against every baseline, and ours against other people's.
    let is_compared = |a: &Entrant, b: &Entrant| {
        b.kind == RouterKind::Baseline
            || (a.kind == RouterKind::Pointsman && b.kind == RouterKind::External && !b.optimistic)
    };
    for (a, ours) in entrants.iter().enumerate().filter(|(_, e)| is_ours(e)) {
        for (b, baseline) in entrants.iter().enumerate().filter(|(_, b)| is_compared(ours, b)) {
            for (metric, figure) in metrics {
                let interval = measurement.paired(a, b, figure);
                pairs.push(PairedReport {
                    a: ours.name.clone(),
                    b: baseline.name.clone(),
                    metric,
                    diff: interval.map(|i| i.value),
                    low: interval.map(|i| i.low),
                    high: interval.map(|i| i.high),
                    smallest_detectable: interval.map(|i| i.half_width()),
                    // An interval of no width (a router that is the baseline) has nothing to test.
                    p: interval.filter(|i| i.half_width() > 0.0).and_then(|_| measurement.p_value(a, b, figure)),
                    p_adjusted: None,
                });
            }
        }
    }
    for (metric, _) in metrics {
        let of_metric: Vec<usize> = (0..pairs.len()).filter(|&i| pairs[i].metric == metric).collect();
        let p_values: Vec<f64> = of_metric.iter().map(|&i| pairs[i].p.unwrap_or(f64::NAN)).collect();
        for (&i, adjusted) in of_metric.iter().zip(holm(&p_values)) {
            pairs[i].p_adjusted = Some(adjusted).filter(|p| p.is_finite());
        }
    }
    pairs
}

/// The width of an interval tells the spread of a single prompt's difference, hence what more prompts would show.
fn power(paired: &[PairedReport], n: usize) -> Option<PowerReport> {
    /// One point of quality: what most people would call worth having.
    const DIFFERENCE: f64 = 0.01;
    let against_mix = paired.iter().find(|p| p.b == "zero_router" && p.metric == "aiq")?;
    let sd = against_mix.smallest_detectable.filter(|half| *half > 0.0)? / Z_95 * (n as f64).sqrt();
    Some(PowerReport {
        detectable: detectable_difference(sd, n)?,
        difference: DIFFERENCE,
        queries_needed: queries_needed(sd, DIFFERENCE)?,
    })
}

fn tasks(contest: &Contest<'_>, entrants: &[Entrant]) -> Vec<TaskReport> {
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (i, prompt) in contest.prompts().enumerate() {
        if let Some(task) = prompt.task {
            members.entry(task).or_default().push(i);
        }
    }
    if members.len() < 2 {
        return Vec::new();
    }
    members
        .into_iter()
        .map(|(task, rows)| TaskReport {
            task: contest.log.tasks[task as usize].clone(),
            n_queries: rows.len(),
            quality: entrants
                .iter()
                .filter_map(|e| {
                    let realised = e.choices.as_ref()?.max.quality(0);
                    let mean = rows.iter().map(|&i| realised[i]).sum::<f64>() / rows.len() as f64;
                    Some((e.name.clone(), mean))
                })
                .collect(),
            gain: gains(entrants, &rows),
        })
        .collect()
}

/// Paired differences to the best single model over some rows, for every router that is no baseline.
fn gains(entrants: &[Entrant], rows: &[usize]) -> BTreeMap<String, IntervalReport> {
    let realised = |e: &Entrant| e.choices.as_ref().map(|c| rows.iter().map(|&i| c.max.quality(0)[i]).collect());
    let Some(single): Option<Vec<f64>> = entrants.iter().find(|e| e.name == "best_single").and_then(realised) else {
        return BTreeMap::new();
    };
    entrants
        .iter()
        .filter(|e| e.kind != RouterKind::Baseline)
        .filter_map(|e| {
            let ours: Vec<f64> = realised(e)?;
            let difference = ours.iter().zip(&single).map(|(a, b)| a - b);
            let (n, sum, squares) = difference.fold((0.0, 0.0, 0.0), |(n, s, q), d| (n + 1.0, s + d, q + d * d));
            Some((e.name.clone(), IntervalReport::of_mean(n, sum, squares)?))
        })
        .collect()
}

/// The reliability diagram; none where a prediction is no expected quality.
fn reliability_bins(contest: &Contest<'_>, predicted: &[f64]) -> Vec<ReliabilityReport> {
    let bins = reliability(predicted, &contest.test.quality, contest.n_models()).unwrap_or_default();
    let report = |b: pointsman_metrics::calibration::ReliabilityBin| ReliabilityReport {
        from: b.from,
        to: b.to,
        n: b.n,
        predicted: b.predicted,
        observed: b.observed.into(),
    };
    bins.into_iter().map(report).collect()
}

fn prompts(contest: &Contest<'_>, entrants: &[Entrant]) -> Result<Vec<PromptReport>, Error> {
    let k = contest.n_models();
    contest
        .prompts()
        .enumerate()
        .map(|(i, prompt)| {
            let chosen = |e: &Entrant| {
                let m = e.choices.as_ref()?.max_models.as_ref()?[i];
                Some((e.name.clone(), contest.models[m as usize].clone()))
            };
            Ok(PromptReport {
                prompt_id: prompt.id.clone(),
                prompt: prompt_text(prompt)?.into_owned(),
                choice: entrants.iter().filter_map(chosen).collect(),
                quality: contest
                    .models
                    .iter()
                    .cloned()
                    .zip(contest.test.quality[i * k..(i + 1) * k].iter().copied())
                    .collect(),
            })
        })
        .collect()
}

/// Means over models; `None` where no model has the figure.
#[derive(Default)]
struct PredictionErrors {
    auc: Option<f64>,
    brier: Option<f64>,
    ece: Option<f64>,
    ece_floor: Option<f64>,
}

/// Predictions outside `[0, 1]` are scores, not expected qualities: they have an AUC and nothing else.
fn prediction_errors(contest: &Contest<'_>, predicted: &[f64], seed: u64) -> PredictionErrors {
    let k = contest.n_models();
    let per_model: Vec<[Option<f64>; 4]> = (0..k)
        .into_par_iter()
        .map(|m| {
            let (p, y): (Vec<f64>, Vec<f64>) = predicted
                .iter()
                .skip(m)
                .step_by(k)
                .zip(contest.test.quality.iter().skip(m).step_by(k))
                .filter(|(p, _)| p.is_finite())
                .unzip();
            [
                auc(&p, &y).ok().flatten(),
                brier(&p, &y).ok(),
                ece(&p, &y).ok(),
                ece_floor(&p, FLOOR_DRAWS, seed ^ m as u64).ok(),
            ]
        })
        .collect();
    let mean = |figure: usize| {
        let known: Vec<f64> = per_model.iter().filter_map(|f| f[figure]).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    PredictionErrors { auc: mean(0), brier: mean(1), ece: mean(2), ece_floor: mean(3) }
}
