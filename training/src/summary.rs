//! What was learned, in figures and in plain words.

use std::collections::BTreeMap;

use pointsman::artifact::{Document, Mode, TaskSource};
use pointsman_metrics::Interval;
use pointsman_metrics::classification::{auc, brier, ece, ece_floor};
use serde::Serialize;

use crate::cost_error::CostError;
use crate::crossfit::Part;
use crate::dataset::Dataset;
use crate::error::Error;
use crate::rehearsal::{Comparison, Rehearsal, Trial};
use crate::search::Tried;

/// Out-of-fold figures of the predictions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Mean over models of the area under the ROC curve.
    pub auc_mean: f64,
    /// Mean squared error of the predicted quality.
    pub brier: f64,
    /// Expected calibration error, 15 bins, mean over models.
    pub ece: f64,
    /// The ECE that perfectly calibrated predictions would show on as many outcomes.
    pub ece_floor: f64,
    /// AIQ of the router, strict form.
    pub aiq: f64,
    /// AIQ of the best mix of single models.
    pub aiq_zero_router: f64,
    /// Mean share of the log-variance of cost that the cost head explains; NaN where costs do not vary.
    pub cost_r_squared: f64,
    /// Sum of predicted costs over the sum paid, less 1; out-of-fold, mean over models; NaN where no cost is known.
    pub cost_bias: f64,
    /// Mean absolute error of a call's predicted cost, as a share of the mean cost; likewise.
    pub cost_error: f64,
    /// The same for a model's mean cost in place of a prediction.
    pub cost_error_of_mean: f64,
}

/// The outcome of a training run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Prompts trained on.
    pub n_prompts: usize,
    /// Outcomes trained on.
    pub n_outcomes: usize,
    /// The pool.
    pub models: Vec<String>,
    /// Models left out because nothing is known of their cost while others have one.
    pub dropped: Vec<String>,
    /// Models left out because they have fewer than 10 outcomes, with how many they have.
    pub too_few: BTreeMap<String, usize>,
    /// Whether anything is known of costs.
    pub costs_known: bool,
    /// `labels` or `clusters`.
    pub task_source: TaskSource,
    /// Tasks (or clusters) told apart.
    pub n_tasks: usize,
    /// `learned` or `static`.
    pub mode: Mode,
    /// Share of a predicted difference between models that is believed.
    pub trust: f64,
    /// Standard errors by which a gain must be positive.
    pub confidence: f64,
    /// Share of prompts on which the router holds on to the best static choice, at best quality.
    pub abstained: f64,
    /// The model of the best mean quality.
    pub best_single: BestSingle,
    /// AIQ over the best static choice.
    pub aiq_gain: Option<Range>,
    /// Mean quality at λ = ∞ over the best single model's.
    pub quality_gain: Option<Range>,
    /// Share of the best single model's cost saved at its quality.
    pub saving: Option<Range>,
    /// Figures of the predictions.
    pub figures: Figures,
    /// What was learned: per task, how many prompts and which model does best there.
    pub strengths: Vec<Strength>,
    /// What a search for settings tried, in order; empty where none was made.
    pub tried: Vec<Tried>,
    /// Seconds per stage.
    pub seconds: BTreeMap<String, f64>,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// On the data as they are.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl From<Interval> for Range {
    fn from(interval: Interval) -> Self {
        Self { value: interval.value, low: interval.low, high: interval.high }
    }
}

/// The model of the best mean quality on the training prompts.
#[derive(Clone, Debug, Serialize)]
pub struct BestSingle {
    /// Its name.
    pub model: String,
    /// Mean quality.
    pub quality: f64,
    /// Mean cost in USD per call.
    pub cost_usd: f64,
}

/// One task as the router sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Strength {
    /// Its name.
    pub task: String,
    /// Prompts, by posterior weight.
    pub prompts: f64,
    /// The model that does best there.
    pub best_model: String,
    /// Its mean quality there.
    pub best_quality: f64,
    /// Mean quality there of the best single model.
    pub best_single_quality: f64,
}

impl Figures {
    pub(crate) fn new(
        data: &Dataset,
        document: &Document,
        rehearsal: &Rehearsal<'_>,
        comparison: &Comparison,
        parts: &[Part],
        seed: u64,
    ) -> Result<Self, Error> {
        let k = data.k();
        let mut predicted: Vec<Vec<f64>> = vec![Vec::new(); k];
        let mut observed: Vec<Vec<f64>> = vec![Vec::new(); k];
        for (&row, predictions) in rehearsal.rows.iter().zip(&rehearsal.predictions) {
            for cell in &data.cells[row] {
                let model = cell.model as usize;
                predicted[model].push(f64::from(predictions.quality[model]));
                observed[model].push(f64::from(cell.score));
            }
        }
        let pairs = || predicted.iter().zip(&observed).filter(|(predicted, _)| !predicted.is_empty());
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let fallible =
            |values: Result<Vec<f64>, pointsman_metrics::MetricsError>| values.map(mean).map_err(Error::Metrics);
        let aucs: Vec<Option<f64>> =
            pairs().map(|(p, y)| auc(p, y)).collect::<Result<_, _>>().map_err(Error::Metrics)?;
        let explained: Vec<f64> = parts
            .last()
            .map(|part| part.cost_r_squared.iter().copied().filter(|r| r.is_finite()).collect())
            .unwrap_or_default();
        let costs = CostError::new(rehearsal, document);
        Ok(Self {
            auc_mean: mean(aucs.into_iter().flatten().collect()),
            brier: fallible(pairs().map(|(p, y)| brier(p, y)).collect())?,
            ece: fallible(pairs().map(|(p, y)| ece(p, y)).collect())?,
            ece_floor: fallible(pairs().map(|(p, _)| ece_floor(p, 20, seed)).collect())?,
            aiq: comparison.aiq,
            aiq_zero_router: comparison.zero_aiq,
            cost_r_squared: if explained.is_empty() { f64::NAN } else { mean(explained) },
            cost_bias: costs.bias,
            cost_error: costs.error,
            cost_error_of_mean: costs.error_of_mean,
        })
    }

    /// The figures by name, as they stand in the artifact; what is not defined is left out.
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        let named = [
            ("oof_auc_mean", self.auc_mean),
            ("oof_brier", self.brier),
            ("oof_ece", self.ece),
            ("oof_ece_floor", self.ece_floor),
            ("oof_aiq", self.aiq),
            ("oof_aiq_zero_router", self.aiq_zero_router),
            ("cost_r_squared", self.cost_r_squared),
            ("oof_cost_bias", self.cost_bias),
            ("oof_cost_error", self.cost_error),
            ("oof_cost_error_of_mean", self.cost_error_of_mean),
        ];
        named.into_iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl Summary {
    pub(crate) fn new(
        document: &Document,
        data: &Dataset,
        trial: &Trial,
        comparison: &Comparison,
        figures: Figures,
        seconds: Vec<(&'static str, f64)>,
    ) -> Self {
        let best = comparison.best_single;
        Self {
            n_prompts: data.n(),
            n_outcomes: data.n_outcomes(),
            models: document.models.clone(),
            dropped: Vec::new(),
            too_few: BTreeMap::new(),
            costs_known: document.statics.iter().any(|means| means.cost_usd.is_some()),
            task_source: document.task_source,
            n_tasks: document.tasks.len(),
            mode: document.decision.mode,
            trust: document.decision.trust,
            confidence: document.decision.confidence,
            abstained: trial.abstained,
            best_single: BestSingle {
                model: document.models[best].clone(),
                quality: comparison.best_quality,
                cost_usd: comparison.best_cost,
            },
            aiq_gain: comparison.gain.map(Range::from),
            quality_gain: comparison.quality_gain.map(Range::from),
            saving: comparison.saving.map(Range::from),
            figures,
            strengths: strengths(document, best, data.n()),
            tried: Vec::new(),
            seconds: seconds.into_iter().map(|(stage, seconds)| (stage.to_owned(), seconds)).collect(),
        }
    }

    /// The verdict in plain sentences: what was learned, on how much, and what it should bring.
    pub fn sentences(&self) -> Vec<String> {
        let tasks = match self.task_source {
            TaskSource::Labels => format!("{} tasks named in the log", self.n_tasks),
            TaskSource::Clusters => format!("{} clusters of similar prompts (the log names no tasks)", self.n_tasks),
            TaskSource::None => "all alike as far as the log says (it names no tasks)".to_owned(),
        };
        let mut sentences = vec![format!(
            "Learned from {} prompts and {} outcomes of {} models, over {tasks}.",
            self.n_prompts,
            self.n_outcomes,
            self.models.len()
        )];
        if !self.costs_known {
            sentences.push(
                "The log has no costs and no prices were given, so costs play no part: the cheaper of two equal models \
                 is not known. List prices are enough (`--prices`)."
                    .to_owned(),
            );
        }
        if self.figures.cost_error.is_finite() {
            sentences.push(format!(
                "Predicted cost of a call is off by {:.0} % of the mean cost (its model's mean would be off by {:.0} %), \
                 of all calls together by {:+.1} %.",
                100.0 * self.figures.cost_error,
                100.0 * self.figures.cost_error_of_mean,
                100.0 * self.figures.cost_bias
            ));
        }
        if !self.tried.is_empty() {
            let kept = self.tried.iter().skip(1).filter(|tried| tried.kept);
            let kept: Vec<String> = kept.map(|tried| format!("{} {}", tried.setting, tried.value)).collect();
            sentences.push(format!(
                "Of {} settings tried, {} better than the defaults{}.",
                self.tried.len() - 1,
                match kept.len() {
                    0 => "none is".to_owned(),
                    1 => "one is".to_owned(),
                    n => format!("{n} are"),
                },
                if kept.is_empty() { String::new() } else { format!(": {}", kept.join(", ")) }
            ));
        }
        let best = &self.best_single;
        if self.mode == Mode::Static {
            sentences.push(format!(
                "On these data no prompt-by-prompt choice beats the best static one with confidence, so this router \
                 does not route: it always gives the best fixed choice for your objective (for quality: {}).",
                best.model
            ));
            return sentences;
        }
        match self.saving {
            Some(saving) if saving.low > 0.0 => sentences.push(format!(
                "At the quality of the best single model ({}, {:.1} %) it should cost {:.0} % less (95 % interval {:.0} \
                 to {:.0} %), judged on training prompts it had not seen.",
                best.model,
                100.0 * best.quality,
                100.0 * saving.value,
                100.0 * saving.low,
                100.0 * saving.high
            )),
            _ => sentences.push(format!(
                "It does not reach the quality of the best single model ({}, {:.1} %) for clearly less money; what it \
                 offers are better trade-offs below that quality.",
                best.model,
                100.0 * best.quality
            )),
        }
        if let Some(gain) = self.quality_gain {
            let verb = if gain.low > 0.0 { "raises" } else { "does not clearly change" };
            sentences.push(format!(
                "Chosen for quality alone it {verb} the best single model's score ({:+.1} points, 95 % interval {:+.1} to \
                 {:+.1}).",
                100.0 * gain.value,
                100.0 * gain.low,
                100.0 * gain.high
            ));
        }
        sentences
    }
}

fn strengths(document: &Document, best_single: usize, n: usize) -> Vec<Strength> {
    let tasks = document.tasks.iter().zip(&document.task_profiles);
    let strength = |(task, profile): (&String, &pointsman::artifact::TaskProfile)| {
        let mean = |model: usize| profile.score[model] / profile.weight[model].max(1e-9);
        let best = (0..document.models.len()).max_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap_or(0);
        Strength {
            task: task.clone(),
            prompts: profile.share * n as f64,
            best_model: document.models[best].clone(),
            best_quality: mean(best),
            best_single_quality: mean(best_single),
        }
    };
    tasks.map(strength).collect()
}
