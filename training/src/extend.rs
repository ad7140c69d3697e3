//! Changes of a router's pool without retraining: a new model from few labels, models retired, models renamed.
//!
//! The new model is a [`mixture`](crate::mixture) of the known ones. Every tensor of the artifact is linear in its model
//! axis, so the mixture is written as one more column of each, and no other column changes.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use pointsman::artifact::{Addition, Artifact, CostHead, CostTarget, ListPrice, StaticMeans, identity};
use pointsman::policy::Currency;
use pointsman::{Objective, Predictions, Router};
use pointsman_evals::log::{CostSource, EvalLog, Outcome};
use pointsman_metrics::Point;
use serde::Serialize;
use serde_json::json;

use crate::costs;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::forecast::Forecast;
use crate::mixture::{self, Evidence, Mixture, Prior};
use crate::rehearsal::lambda_grid;
use crate::summary::Range;

/// Fewest labels that a new model is learned from: below, the standard error of its mean alone is above a tenth.
pub const FEWEST_LABELS: usize = 20;

/// Known models called alike have at least this many times an equal share of the mixture.
const ALIKE: f64 = 1.5;

/// Residuals of a cost beyond e^±4 are held there, as in training.
const RUNAWAY: f64 = 4.0;

/// What to change. Renaming comes first, then retiring, then adding, so that a name can be passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Old and new names.
    pub rename: Vec<(String, String)>,
    /// Models to leave out.
    pub retire: Vec<String>,
    /// The model to learn from the log.
    pub add: Option<String>,
}

/// A router with another pool.
#[derive(Clone, Debug)]
pub struct Extended {
    /// The artifact.
    pub artifact: Artifact,
    /// Its file.
    pub bytes: Vec<u8>,
    /// SHA-256 of the file, in hex.
    pub identity: String,
    /// What was changed and learned.
    pub summary: Extension,
}

/// What was changed and learned.
#[derive(Clone, Debug, Serialize)]
pub struct Extension {
    /// The pool as it is now.
    pub models: Vec<String>,
    /// Models left out.
    pub retired: Vec<String>,
    /// New names by old ones.
    pub renamed: BTreeMap<String, String>,
    /// The model learned.
    pub added: Option<Added>,
    /// Prompts of the log that the curve was forecast on; `None` without a log, where points of the old curve stand.
    pub forecast_prompts: Option<usize>,
}

/// What was learned of a new model.
#[derive(Clone, Debug, Serialize)]
pub struct Added {
    /// Its name.
    pub model: String,
    /// Outcomes learned from.
    pub labels: usize,
    /// Mean quality over prompts like those of training.
    pub quality: Range,
    /// Mean USD per call over prompts like those of training; `None` where the router knows no costs.
    pub cost_usd: Option<f64>,
    /// Whether the log held latencies of it; `None` where the router knows none of any model.
    pub latency_observed: Option<bool>,
    /// Known models that it resembles more than others, the most alike first, with their shares of the mixture.
    pub resembles: Vec<Likeness>,
    /// Share of the log's prompts on which it is chosen, by objective.
    pub calls: BTreeMap<&'static str, f64>,
    /// Tasks where objective `balanced` chooses it most often, with the share of their prompts; none where never.
    pub tasks: Vec<TaskCalls>,
}

/// A known model in the mixture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Likeness {
    /// Its name.
    pub model: String,
    /// Its share, in `[0, 1]`.
    pub share: f64,
}

/// How often the new model is called on one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskCalls {
    /// The task.
    pub task: String,
    /// Share of its prompts, in `[0, 1]`.
    pub share: f64,
}

/// Changes the pool of a router; what it predicts of the models that stay does not change by a bit.
///
/// Only the train split of `log` is looked at. With a log, curves are forecast on its prompts: what the router would
/// choose and what it expects of that, not what was observed, since nobody has tried this pool. Without one,
/// [`Artifact::select`] says what becomes of them. The decision rule stays that of training.
///
/// # Errors
/// A model that is not there, or already is; a log without the new model, with fewer than [`FEWEST_LABELS`] of its
/// outcomes, or without its cost while others have one; no model left. The other variants are defects of ours.
pub fn extend(
    mut artifact: Artifact,
    log: Option<&EvalLog>,
    changes: &Changes,
    assume_output_tokens: f64,
) -> Result<Extended, Error> {
    rename(&mut artifact, &changes.rename)?;
    artifact = retire(&artifact, &changes.retire)?;
    let mut data = None;
    if let Some(log) = log {
        let all: Vec<u32> = (0_u32..).take(log.models.len()).collect();
        data = Some(Dataset::new(log, &all, artifact.weights.base.clone())?).filter(|data| data.n() > 0);
    }
    let mut added = None;
    let mut forecast = None;
    if let Some(name) = &changes.add {
        let (data, log) = labelled(&artifact, log, data.as_ref(), name)?;
        let model = Newcomer { name, data, log, assume_output_tokens };
        let learned = model.learn(&mut artifact)?;
        let view = Forecast::new(Router::from_artifact(artifact.clone()), &data.features, &data.weights)?;
        settle_statics(&mut artifact, &view);
        added = Some(learned);
    }
    if let Some(data) = &data {
        let view = Forecast::new(Router::from_artifact(artifact.clone()), &data.features, &data.weights)?;
        artifact.document.curve = redraw(&artifact, &view, Currency::Cost)?;
        if !artifact.document.latency_curve.is_empty() {
            artifact.document.latency_curve = redraw(&artifact, &view, Currency::Latency)?;
        }
        let view = view.by(Router::from_artifact(artifact.clone()));
        if let Some(added) = &mut added {
            added.tell_calls(&artifact, &view)?;
        }
        forecast = Some(data.n());
    }
    record(&mut artifact, changes, log, added.as_ref());
    let bytes = artifact.to_bytes().map_err(Error::Artifact)?;
    let artifact = Artifact::from_bytes(&bytes, "just extended").map_err(Error::Artifact)?;
    let summary = Extension {
        models: artifact.document.models.clone(),
        retired: changes.retire.clone(),
        renamed: changes.rename.iter().cloned().collect(),
        added,
        forecast_prompts: forecast,
    };
    Ok(Extended { identity: identity(&bytes), artifact, bytes, summary })
}

fn position(artifact: &Artifact, model: &str) -> Result<usize, Error> {
    let known = &artifact.document.models;
    let position = known.iter().position(|known| known == model);
    position.ok_or_else(|| Error::UnknownModel { model: model.to_owned(), known: known.clone() })
}

fn rename(artifact: &mut Artifact, names: &[(String, String)]) -> Result<(), Error> {
    for (old, new) in names {
        let model = position(artifact, old)?;
        if artifact.document.models.contains(new) {
            return Err(Error::ModelTaken { model: new.clone() });
        }
        artifact.rename(model, new);
    }
    Ok(())
}

fn retire(artifact: &Artifact, names: &[String]) -> Result<Artifact, Error> {
    let gone: Vec<usize> = names.iter().map(|name| position(artifact, name)).collect::<Result<_, _>>()?;
    let kept: Vec<usize> = (0..artifact.document.models.len()).filter(|model| !gone.contains(model)).collect();
    if kept.is_empty() { Err(Error::NoModelLeft) } else { Ok(artifact.select(&kept)) }
}

/// The log, if the new model can be learned from it.
fn labelled<'a>(
    artifact: &Artifact,
    log: Option<&'a EvalLog>,
    data: Option<&'a Dataset>,
    name: &str,
) -> Result<(&'a Dataset, &'a EvalLog), Error> {
    let model = || name.to_owned();
    if artifact.document.models.iter().any(|known| known == name) {
        return Err(Error::ModelTaken { model: model() });
    }
    let found = log.map(|log| log.models.clone()).unwrap_or_default();
    let idx = found.iter().position(|found| found == name);
    let (Some(log), Some(idx)) = (log, idx) else { return Err(Error::NotInLog { model: model(), found }) };
    let cells = data.map(|data| data.cells.all()).unwrap_or_default();
    let labels = cells.iter().filter(|cell| cell.model as usize == idx).count();
    match data {
        Some(data) if labels >= FEWEST_LABELS => Ok((data, log)),
        _ => Err(Error::TooFewLabels { model: model(), expected: FEWEST_LABELS, got: labels }),
    }
}

/// The new model and the log it is learned from.
struct Newcomer<'a> {
    name: &'a str,
    data: &'a Dataset,
    log: &'a EvalLog,
    assume_output_tokens: f64,
}

impl Newcomer<'_> {
    /// Adds the model to the artifact, with statics still to be settled.
    fn learn(&self, artifact: &mut Artifact) -> Result<Added, Error> {
        let model = self.data.models.iter().position(|model| model == self.name).expect("checked before");
        let router = Router::from_artifact(artifact.clone());
        let labels: Vec<Label<'_>> = (0..self.data.n())
            .flat_map(|row| self.data.cells[row].iter().map(move |cell| (row, cell)))
            .filter(|(_, cell)| cell.model as usize == model)
            .map(|(row, cell)| {
                let mut predictions = Predictions::default();
                router.predict(&self.data.features[row], &mut predictions);
                Label { row, cell, predictions }
            })
            .collect();
        let mixture = mixture::fit(&self.evidence(artifact, &labels), &prior(artifact))?;
        let (cost, price, cost_weight) = self.cost(artifact, model, &labels)?;
        let (latency_observed, latency_weight) = latency(artifact, &labels);
        let addition = Addition {
            name: self.name.to_owned(),
            cost,
            price,
            cost_weight,
            latency_weight,
            statics: StaticMeans {
                quality: mixture.level.clamp(0.0, 1.0),
                cost_usd: None,
                latency_ms: None,
                outcomes: labels.len(),
            },
            profile: profile(artifact.document.tasks.len(), &labels),
            ..quality(artifact, &mixture)
        };
        let error = 1.96 * mixture.level_variance().sqrt();
        let added = Added {
            model: self.name.to_owned(),
            labels: labels.len(),
            quality: Range {
                value: mixture.level.clamp(0.0, 1.0),
                low: (mixture.level - error).clamp(0.0, 1.0),
                high: (mixture.level + error).clamp(0.0, 1.0),
            },
            cost_usd: None,
            latency_observed,
            resembles: resembles(artifact, &mixture),
            calls: BTreeMap::new(),
            tasks: Vec::new(),
        };
        artifact.push(addition);
        Ok(added)
    }

    fn evidence(&self, artifact: &Artifact, labels: &[Label<'_>]) -> Evidence {
        let document = &artifact.document;
        let (n, k) = (labels.len(), document.models.len());
        let t = if document.tasks.len() > 1 { document.tasks.len() } else { 0 };
        let known = |label: usize, m: usize| f64::from(labels[label].predictions.quality[m]);
        let in_router: Vec<Option<usize>> =
            self.data.models.iter().map(|name| document.models.iter().position(|known| known == name)).collect();
        let luck = |label: &Label<'_>| {
            let observed = self.data.cells[label.row].iter().filter_map(|cell| {
                let predicted = label.predictions.quality[in_router[cell.model as usize]?];
                Some(f64::from(cell.score) - f64::from(predicted))
            });
            let (sum, count) = observed.fold((0.0, 0.0), |(sum, count), luck| (sum + luck, count + 1.0));
            if count > 0.0 { sum / count } else { 0.0 }
        };
        let weights: Array1<f64> = labels.iter().map(|label| f64::from(self.data.weights[label.row])).collect();
        let mean = weights.mean().unwrap_or(1.0);
        Evidence {
            known: Array2::from_shape_fn((n, k), |(label, m)| known(label, m) - document.statics[m].quality),
            tasks: Array2::from_shape_fn((n, t), |(label, task)| {
                f64::from(labels[label].predictions.tasks[task]) - document.task_profiles[task].share
            }),
            luck: labels.iter().map(luck).collect(),
            scores: labels.iter().map(|label| f64::from(label.cell.score)).collect(),
            weights: weights / mean,
        }
    }

    /// The cost head: what the known heads of the same target say, shifted to what was observed.
    fn cost(
        &self,
        artifact: &Artifact,
        model: usize,
        labels: &[Label<'_>],
    ) -> Result<(CostHead, Option<ListPrice>, Vec<f32>), Error> {
        let document = &artifact.document;
        let rows: Vec<usize> = labels.iter().map(|label| label.row).collect();
        let costs_known = document.statics.iter().any(|means| means.cost_usd.is_some());
        // Where nothing is known of the others' costs, one known cost would only stand in the way.
        let price = self.log.prices.get(self.name).filter(|_| costs_known);
        let mut head = costs::head(self.data, model, &rows, price);
        if !costs_known {
            head.target = CostTarget::Unknown;
        } else if head.target == CostTarget::Unknown {
            return Err(Error::NoCost { model: self.name.to_owned() });
        }
        let value = |cell: &Outcome| match head.target {
            CostTarget::OutputTokens => f64::from(cell.output_tokens),
            CostTarget::CostUsd if cell.cost_source != CostSource::Unknown => cell.cost_usd,
            CostTarget::CostUsd | CostTarget::Unknown => f64::NAN,
        };
        let same: Vec<usize> =
            (0..document.models.len()).filter(|&m| document.costs[m].target == head.target).collect();
        let assumed = match head.target {
            CostTarget::OutputTokens => self.assume_output_tokens.max(1e-3),
            CostTarget::CostUsd | CostTarget::Unknown => 1e-12,
        };
        let k = document.models.len();
        let weight = shifted(&artifact.weights.cost_weight, k, &same, labels, value).0;
        let observed = labels.iter().any(|label| value(label.cell) > 0.0);
        let weight = if observed { weight } else { constant(weight.len(), assumed) };
        let price = price.map(|price| ListPrice {
            input_usd_per_mtok: price.input_usd_per_mtok,
            output_usd_per_mtok: price.output_usd_per_mtok,
        });
        Ok((head, price, weight))
    }
}

/// One outcome of the new model.
struct Label<'a> {
    row: usize,
    cell: &'a Outcome,
    predictions: Predictions,
}

/// What the known models say before any label.
fn prior(artifact: &Artifact) -> Prior {
    let document = &artifact.document;
    let k = document.models.len() as f64;
    let level = document.statics.iter().map(|means| means.quality).sum::<f64>() / k;
    let spread = document.statics.iter().map(|means| (means.quality - level).powi(2)).sum::<f64>() / k;
    let contrasts = artifact.weights.contrast.chunks_exact(document.models.len());
    let peculiar = contrasts.zip(&document.task_profiles).map(|(contrast, profile)| {
        let mean = contrast.iter().map(|c| f64::from(*c)).sum::<f64>() / k;
        profile.share * contrast.iter().map(|c| (f64::from(*c) - mean).powi(2)).sum::<f64>() / k
    });
    Prior { level, spread: spread.sqrt(), peculiarity: peculiar.sum::<f64>().sqrt() }
}

/// The new model's columns of task table and forest. What is not of quality is left empty.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn quality(artifact: &Artifact, mixture: &Mixture) -> Addition {
    let (document, weights) = (&artifact.document, &artifact.weights);
    let k = document.models.len();
    let of = |row: &[f32]| -> f64 { row.iter().zip(&mixture.slopes).map(|(x, b)| f64::from(*x) * b).sum() };
    let above: Vec<f64> = (0..k).map(|m| f64::from(weights.mean[m]) - document.statics[m].quality).collect();
    let shares = || document.task_profiles.iter().map(|profile| profile.share);
    let inherited: f64 = above.iter().zip(&mixture.slopes).map(|(above, b)| above * b).sum();
    let centred: f64 = mixture.tasks.iter().zip(shares()).map(|(d, share)| d * share).sum();

    // No less doubt than about any known model, and what the posterior adds to that. The table's variance is
    // weighted with squared posteriors, which suits what differs between tasks but would thin out the doubt about the
    // level; that goes where it does not depend on the task, beside the forest's rarity, if there is a forest.
    let leaves = weights.leaf_rarity.len() as f64;
    let prompts: f64 = weights.leaf_rarity.iter().map(|rarity| 1.0 / f64::from(rarity.max(1e-6))).sum();
    let rarity = if leaves > 0.0 { leaves / prompts } else { 0.0 };
    let on_forest = rarity > 0.0 && document.tasks.len() > 1;
    let level_variance = mixture.level_variance();
    let largest = |row: &[f32]| row.iter().fold(0.0_f32, |largest, variance| largest.max(*variance));
    let rows = || weights.contrast.chunks_exact(k).zip(weights.contrast_variance.chunks_exact(k)).enumerate();
    let variance = |(task, (contrast, variance)): (usize, (&[f32], &[f32]))| {
        let known: Vec<f64> = contrast.iter().zip(&above).map(|(c, above)| f64::from(*c) + above).collect();
        let tasks: Vec<f64> = shares()
            .take(mixture.tasks.len())
            .enumerate()
            .map(|(other, share)| f64::from(u8::from(other == task)) - share)
            .collect();
        let level = if on_forest { 0.0 } else { level_variance };
        (f64::from(largest(variance)) + mixture.variance(&known, &tasks) + level) as f32
    };
    let contrast = |(task, (contrast, _)): (usize, (&[f32], &[f32]))| {
        (of(contrast) + mixture.tasks.get(task).copied().unwrap_or_default()) as f32
    };
    let step: Vec<f64> =
        weights.leaf_scale.iter().zip(&mixture.slopes).map(|(scale, b)| f64::from(*scale) * b).collect();
    let leaf = |row: &[i8]| row.iter().zip(&step).map(|(leaf, step)| f64::from(*leaf) * step).sum::<f64>() as f32;
    let residual = f64::from(largest(&weights.residual_variance));
    Addition {
        name: String::new(),
        mean: (mixture.level + inherited - centred) as f32,
        contrast: rows().map(contrast).collect(),
        contrast_variance: rows().map(variance).collect(),
        leaf: weights.leaf.chunks_exact(k).map(leaf).collect(),
        residual_variance: (residual + if on_forest { level_variance / rarity } else { 0.0 }) as f32,
        cost_weight: Vec::new(),
        latency_weight: Vec::new(),
        cost: CostHead { target: CostTarget::Unknown, base_tokens: 0.0, tokens_per_char: 0.0 },
        price: None,
        statics: StaticMeans { quality: 0.0, cost_usd: None, latency_ms: None, outcomes: 0 },
        profile: Vec::new(),
    }
}

/// The latency head, and whether any latency was observed; where none was, the new model is as the average known one.
fn latency(artifact: &Artifact, labels: &[Label<'_>]) -> (Option<bool>, Vec<f32>) {
    if artifact.weights.latency_weight.is_empty() {
        return (None, Vec::new());
    }
    let k = artifact.document.models.len();
    let all: Vec<usize> = (0..k).collect();
    let (weight, observed) =
        shifted(&artifact.weights.latency_weight, k, &all, labels, |cell| f64::from(cell.latency_ms));
    (Some(observed), weight)
}

/// The mean of these models' regressions of `ln value`, shifted to the observed values, and whether there were any.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn shifted(
    heads: &[f32],
    k: usize,
    models: &[usize],
    labels: &[Label<'_>],
    value: impl Fn(&Outcome) -> f64,
) -> (Vec<f32>, bool) {
    let width = heads.len() / k;
    let mut weight = vec![0.0; width];
    for &m in models {
        for (weight, head) in weight.iter_mut().zip(&heads[m * width..(m + 1) * width]) {
            *weight += f64::from(*head) / models.len() as f64;
        }
    }
    let beyond: Vec<f64> = labels
        .iter()
        .map(|label| (label, value(label.cell)))
        .filter(|(_, value)| value.is_finite() && *value > 0.0)
        .map(|(label, value)| {
            // Surface signals and posterior, which the forest's signals begin with.
            let inputs = &label.predictions.signals()[..width - 1];
            let said: f64 = inputs.iter().zip(&weight).map(|(x, weight)| f64::from(*x) * weight).sum();
            value.ln() - said - weight[width - 1]
        })
        .collect();
    if !beyond.is_empty() {
        let n = beyond.len() as f64;
        let mean = beyond.iter().sum::<f64>() / n;
        // Smearing (Duan 1983), as in training: the mean has to come out right, not the median.
        let smear = beyond.iter().map(|beyond| (beyond - mean).clamp(-RUNAWAY, RUNAWAY).exp()).sum::<f64>() / n;
        weight[width - 1] += mean + smear.ln();
    }
    (weight.iter().map(|weight| *weight as f32).collect(), !beyond.is_empty())
}

/// A regression that says `value` of every prompt.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn constant(width: usize, value: f64) -> Vec<f32> {
    let mut weight = vec![0.0; width];
    weight[width - 1] = value.ln() as f32;
    weight
}

fn profile(t: usize, labels: &[Label<'_>]) -> Vec<(f64, f64)> {
    let mut profile = vec![(0.0, 0.0); t];
    for label in labels {
        for ((weight, score), p) in profile.iter_mut().zip(&label.predictions.tasks) {
            *weight += f64::from(*p);
            *score += f64::from(*p) * f64::from(label.cell.score);
        }
    }
    profile
}

/// Known models whose share of the mixture stands out.
fn resembles(artifact: &Artifact, mixture: &Mixture) -> Vec<Likeness> {
    let models = &artifact.document.models;
    let total: f64 = mixture.slopes.iter().map(|slope| slope.max(0.0)).sum::<f64>().max(1e-9);
    let mut alike: Vec<Likeness> = models
        .iter()
        .zip(&mixture.slopes)
        .map(|(model, slope)| Likeness { model: model.clone(), share: slope.max(0.0) / total })
        .filter(|likeness| likeness.share * models.len() as f64 >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.share.total_cmp(&a.share));
    alike.truncate(3);
    alike
}

/// A curve forecast on the log's prompts: expected, not observed.
fn redraw(
    artifact: &Artifact,
    view: &Forecast,
    currency: Currency,
) -> Result<Vec<pointsman::artifact::CurvePoint>, Error> {
    let singles: Vec<Point> = artifact
        .document
        .statics
        .iter()
        .map(|means| {
            let cost = if currency == Currency::Cost { means.cost_usd } else { means.latency_ms };
            Point::new(cost.unwrap_or_default(), means.quality)
        })
        .collect();
    view.curve(&lambda_grid(&singles), currency)
}

/// Leaves a trace in the artifact's provenance.
fn record(artifact: &mut Artifact, changes: &Changes, log: Option<&EvalLog>, added: Option<&Added>) {
    let provenance = &mut artifact.document.provenance;
    let entry = json!({
        "renamed": changes.rename,
        "retired": changes.retire,
        "added": added.map(|added| &added.model),
        "labels": added.map(|added| added.labels),
        "data_sha256": log.map(|log| &log.reading.data_sha256),
        "tool_version": env!("CARGO_PKG_VERSION"),
    });
    let history = provenance.recipe.entry("extensions".to_owned()).or_insert_with(|| json!([]));
    if let Some(history) = history.as_array_mut() {
        history.push(entry);
    }
    if let Some(added) = added {
        *provenance.metrics.entry("extended_labels".to_owned()).or_default() += added.labels as f64;
    }
}

impl Added {
    /// Where the new model will be chosen, on the prompts of the log.
    fn tell_calls(&mut self, artifact: &Artifact, view: &Forecast) -> Result<(), Error> {
        let document = &artifact.document;
        let newest = document.models.len() - 1;
        self.cost_usd = document.statics[newest].cost_usd;
        let objectives =
            [("cheap", Objective::Cheap), ("balanced", Objective::Balanced), ("quality", Objective::Quality)];
        for (name, objective) in objectives {
            let choices = view.choices(&objective, Currency::Cost)?;
            self.calls.insert(name, view.shares(&choices)[newest]);
            if name == "balanced" && document.tasks.len() > 1 {
                self.tasks = calls_by_task(document, view, &choices);
            }
        }
        Ok(())
    }
}

fn calls_by_task(document: &pointsman::artifact::Document, view: &Forecast, choices: &[usize]) -> Vec<TaskCalls> {
    let newest = document.models.len() - 1;
    let mut counts = vec![(0.0, 0.0); document.tasks.len()];
    for (predictions, choice) in view.predictions.iter().zip(choices) {
        for (count, p) in counts.iter_mut().zip(&predictions.tasks) {
            count.0 += f64::from(*p);
            count.1 += if *choice == newest { f64::from(*p) } else { 0.0 };
        }
    }
    let mut calls: Vec<TaskCalls> = document
        .tasks
        .iter()
        .zip(&counts)
        // Of less than one prompt's worth nothing can be said.
        .filter(|(_, (all, _))| *all >= 1.0)
        .map(|(task, (all, called))| TaskCalls { task: task.clone(), share: called / all })
        .filter(|calls| calls.share >= 0.01)
        .collect();
    calls.sort_by(|a, b| b.share.total_cmp(&a.share));
    calls.truncate(3);
    calls
}

impl Extension {
    /// What was changed and learned, in plain sentences.
    pub fn sentences(&self) -> Vec<String> {
        let percent = |x: f64| format!("{:.0} %", 100.0 * x);
        let mut sentences: Vec<String> =
            self.renamed.iter().map(|(old, new)| format!("`{old}` is now called `{new}`.")).collect();
        sentences.extend(self.retired.iter().map(|model| format!("`{model}` is no longer in the pool.")));
        if let Some(added) = &self.added {
            sentences.push(format!(
                "Learned `{}` from {} labels: mean quality {:.1} % (95 % interval {:.1} to {:.1} %) over prompts like \
                 those of training{}.",
                added.model,
                added.labels,
                100.0 * added.quality.value,
                100.0 * added.quality.low,
                100.0 * added.quality.high,
                added.cost_usd.map_or_else(String::new, |usd| format!(", at {usd:.3e} USD per call")),
            ));
            sentences.push(if added.resembles.is_empty() {
                "The labels do not set it apart: it rises and falls with the average of the known models.".to_owned()
            } else {
                let alike: Vec<String> = added
                    .resembles
                    .iter()
                    .map(|likeness| format!("`{}` ({})", likeness.model, percent(likeness.share)))
                    .collect();
                format!("It rises and falls most like {}.", alike.join(", "))
            });
            let calls: Vec<String> =
                added.calls.iter().map(|(objective, share)| format!("{} for {objective}", percent(*share))).collect();
            let tasks: Vec<String> =
                added.tasks.iter().map(|calls| format!("{} ({})", calls.task, percent(calls.share))).collect();
            let most = if tasks.is_empty() { String::new() } else { format!("; most on {}", tasks.join(", ")) };
            sentences.push(format!("On the log's prompts it would be chosen {}{most}.", calls.join(", ")));
            if added.latency_observed == Some(false) {
                sentences
                    .push("The log holds no latency of it: it counts as fast as the average known model.".to_owned());
            }
        }
        sentences.push(match self.forecast_prompts {
            Some(n) => format!(
                "The curve is a forecast on {n} prompts of the log: what the router expects of its own choices, observed \
                 by nobody. `pointsman bench` measures."
            ),
            None => "Points of the old curve that called no retired model stand; elsewhere the best fixed choice does."
                .to_owned(),
        });
        sentences
    }
}

/// Mean cost and latency over prompts like those of training: over the log's prompts, times what those of the known
/// models differ by between the two.
fn settle_statics(artifact: &mut Artifact, view: &Forecast) {
    let statics = &artifact.document.statics;
    let newest = statics.len() - 1;
    let adjusted = |currency, of: &dyn Fn(&StaticMeans) -> Option<f64>| {
        let singles: Vec<Point> = view.singles(currency);
        let ratios = singles[..newest].iter().zip(statics).filter_map(|(single, means)| {
            let known = of(means)?;
            (known > 0.0 && single.cost > 0.0).then(|| (known / single.cost).ln())
        });
        let (sum, count) = ratios.fold((0.0, 0.0_f64), |(sum, count), ratio| (sum + ratio, count + 1.0));
        singles[newest].cost * (sum / count.max(1.0)).exp()
    };
    let costs_known = statics.iter().any(|means| means.cost_usd.is_some());
    let cost_usd = costs_known.then(|| adjusted(Currency::Cost, &|means| means.cost_usd));
    let timed = !artifact.document.latency_curve.is_empty();
    let latency_ms = timed.then(|| adjusted(Currency::Latency, &|means| means.latency_ms));
    let entry = &mut artifact.document.statics[newest];
    (entry.cost_usd, entry.latency_ms) = (cost_usd, latency_ms);
}

#[cfg(test)]
mod tests {
    use pointsman::{Request, Turn};
    use pointsman_evals::Split;
    use pointsman_evals::log::{Content, Prompt, Reading};

    use super::*;

    fn artifact() -> Artifact {
        let bytes = include_bytes!("../../tests/formats/fixtures/router-v2.safetensors");
        Artifact::from_bytes(bytes, "fixture").expect("the fixture opens")
    }

    fn text(row: usize) -> String {
        let kinds = ["Write a function in Python that sorts", "What is the capital of", "Translate to French:", "Add"];
        format!("{} {row} {}", kinds[row % 4], "and so on ".repeat(row % 7))
    }

    fn predict(artifact: &Artifact, text: &str) -> Predictions {
        let router = Router::from_artifact(artifact.clone());
        let mut scratch = pointsman::Scratch::default();
        router.featurise(&Request::new(&[Turn::user(text)]), &mut scratch.features);
        router.predict(&scratch.features, &mut scratch.predictions);
        scratch.predictions
    }

    /// A log of `n` prompts with outcomes of `new` alone.
    fn log(n: usize, score: impl Fn(usize) -> f32, cost: impl Fn(usize) -> f64) -> EvalLog {
        let number = |row: usize| u32::try_from(row).expect("few rows");
        let prompt = |row: usize| Prompt {
            id: format!("p{row:05}"),
            content: Content::Text(text(row)),
            context: Vec::new(),
            group: None,
            task: None,
            dataset: None,
            split: Split::Train,
            weight: 1.0,
            timestamp_us: None,
        };
        let outcome = |row: usize| Outcome {
            prompt: number(row),
            model: 0,
            runs: 1,
            score: score(row),
            score_variance: f32::NAN,
            cost_usd: cost(row),
            cost_source: if cost(row).is_nan() { CostSource::Unknown } else { CostSource::Observed },
            input_tokens: f32::NAN,
            output_tokens: f32::NAN,
            latency_ms: f32::NAN,
            propensity: f32::NAN,
        };
        EvalLog {
            prompts: (0..n).map(prompt).collect(),
            models: vec!["new".into()],
            tasks: Vec::new(),
            datasets: Vec::new(),
            outcomes: (0..n).map(outcome).collect(),
            prices: BTreeMap::new(),
            reading: Reading::default(),
        }
    }

    fn add() -> Changes {
        Changes { add: Some("new".into()), ..Changes::default() }
    }

    #[test]
    fn what_the_known_models_are_predicted_to_do_does_not_change_by_a_bit() {
        let before = artifact();
        let log = log(40, |row| f32::from(u8::from(row % 3 > 0)), |_| 0.001);
        let after = extend(before.clone(), Some(&log), &add(), 150.0).expect("labels enough").artifact;
        for row in 0..50 {
            let (old, new) = (predict(&before, &text(row)), predict(&after, &text(row)));
            for m in 0..before.document.models.len() {
                assert_eq!(old.quality[m].to_bits(), new.quality[m].to_bits());
                assert_eq!(old.quality_se[m].to_bits(), new.quality_se[m].to_bits());
                assert_eq!(old.direct_cost_usd[m].to_bits(), new.direct_cost_usd[m].to_bits());
                assert_eq!(old.output_tokens[m].to_bits(), new.output_tokens[m].to_bits());
                assert!(new.quality_se[3] > new.quality_se[m], "a new model is less certain");
            }
        }
    }

    #[test]
    fn a_twin_of_a_known_model_is_predicted_like_it() {
        let before = artifact();
        // Scored by the known model's own expected quality, less a tenth.
        let score = |row: usize| predict(&before, &text(row)).quality[1] - 0.1;
        let log = log(600, score, |_| 0.001);
        let extended = extend(before.clone(), Some(&log), &add(), 150.0).expect("labels enough");
        let mut worst = 0.0_f32;
        for row in 0..200 {
            let said = predict(&extended.artifact, &text(row));
            worst = worst.max((said.quality[3] - (said.quality[1] - 0.1)).abs());
        }
        assert!(worst < 0.03, "{worst}");
        let added = extended.summary.added.expect("one was added");
        assert_eq!(added.resembles.first().map(|likeness| &likeness.model), before.document.models.get(1), "{added:?}");
        assert!(added.quality.low < added.quality.value && added.quality.value < added.quality.high);
    }

    #[test]
    fn costs_come_out_as_observed_in_the_mean() {
        let cost = |row: usize| if row.is_multiple_of(2) { 0.004 } else { 0.001 };
        let log = log(200, |_| 0.5, cost);
        let artifact = extend(artifact(), Some(&log), &add(), 150.0).expect("labels enough").artifact;
        let sum: f64 = (0..200).map(|row| f64::from(predict(&artifact, &text(row)).direct_cost_usd[3])).sum();
        assert!((sum / 200.0 / 0.0025 - 1.0).abs() < 0.15, "{}", sum / 200.0);
    }

    #[test]
    fn the_order_of_changes_lets_a_name_be_passed_on() {
        let before = artifact();
        let names = before.document.models.clone();
        let changes = Changes {
            rename: vec![(names[0].clone(), "new".into())],
            retire: vec!["new".into()],
            add: Some("new".into()),
        };
        let log = log(40, |_| 0.5, |_| 0.001);
        let after = extend(before, Some(&log), &changes, 150.0).expect("in this order all is well");
        assert_eq!(after.summary.models, [&names[1], &names[2], "new"]);
        assert_eq!(after.artifact.document.statics[2].outcomes, 40);
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let names = artifact().document.models;
        let enough = log(40, |_| 0.5, |_| 0.001);
        let run = |log: Option<&EvalLog>, changes: &Changes| {
            extend(artifact(), log, changes, 150.0).expect_err("it cannot be done")
        };
        let few = log(19, |_| 0.5, |_| 0.001);
        assert!(matches!(run(Some(&few), &add()), Error::TooFewLabels { got: 19, .. }));
        let free = log(40, |_| 0.5, |_| f64::NAN);
        assert!(matches!(run(Some(&free), &add()), Error::NoCost { .. }));
        assert!(matches!(run(None, &add()), Error::NotInLog { .. }));
        let taken = Changes { add: Some(names[0].clone()), ..Changes::default() };
        assert!(matches!(run(Some(&enough), &taken), Error::ModelTaken { .. }));
        let retire = |names: &[String]| Changes { retire: names.to_vec(), ..Changes::default() };
        assert!(matches!(run(None, &retire(&names)), Error::NoModelLeft));
        assert!(matches!(run(None, &retire(&["gpt".to_owned()])), Error::UnknownModel { .. }));
        let rename = Changes { rename: vec![(names[0].clone(), names[1].clone())], ..Changes::default() };
        assert!(matches!(run(None, &rename), Error::ModelTaken { .. }));
    }
}
