//! The train split of a log, featurised: what every fit works on.

use std::sync::Arc;

use pointsman::features::SURFACE_SIGNALS;
use pointsman::{Embedding, Features, Featuriser};
use pointsman_evals::log::{EvalLog, Prompt};
use pointsman_evals::split::Split;
use rayon::prelude::*;

use crate::cells::Cells;
use crate::error::Error;

/// Prompts of the train split with their features, and outcomes over the pool.
///
/// Axes: `n` prompts, `k` models. Cells are stored by prompt; a missing cell has no entry.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// Names of the pool's models, `[k]`.
    pub(crate) models: Vec<String>,
    /// What splits a fold: the group, else the prompt; numbered from 0 in the order of their names, `[n]`.
    pub(crate) units: Vec<u32>,
    /// Features, `[n]`.
    pub(crate) features: Vec<Features>,
    /// Task label, `[n]`, below `tasks.len()`.
    pub(crate) labels: Vec<Option<u32>>,
    /// Names of the labels.
    pub(crate) tasks: Vec<String>,
    /// Sample weights, `[n]`, mean 1.
    pub(crate) weights: Vec<f32>,
    /// Observed cells by prompt, `[n]`; `model` is a position in the pool.
    pub(crate) cells: Cells,
    /// The base embedding behind the features, if any.
    pub(crate) base: Option<Arc<Embedding>>,
}

impl Dataset {
    /// Featurises the train split of `log` over the pool (positions in `log.models`).
    pub(crate) fn new(log: &EvalLog, pool: &[u32], base: Option<Arc<Embedding>>) -> Result<Self, Error> {
        let mut position = vec![None; log.models.len()];
        for (new, old) in (0_u32..).zip(pool) {
            position[*old as usize] = Some(new);
        }
        let mut observed = vec![false; log.prompts.len()];
        for outcome in log.outcomes.iter().filter(|outcome| position[outcome.model as usize].is_some()) {
            observed[outcome.prompt as usize] = true;
        }
        let kept: Vec<usize> = (0..log.prompts.len())
            .filter(|&prompt| log.prompts[prompt].split == Split::Train && observed[prompt])
            .collect();
        let mut row_of = vec![None; log.prompts.len()];
        for (row, &prompt) in kept.iter().enumerate() {
            row_of[prompt] = Some(row);
        }
        let cells = Cells::new(kept.len(), log.outcomes.iter(), |outcome| {
            Some((row_of[outcome.prompt as usize]?, position[outcome.model as usize]?))
        });
        let featuriser = Featuriser::with_base(base.clone());
        let features: Result<Vec<Features>, Error> = kept
            .par_iter()
            // A copy is as long as it needs to be; the buffer has grown to the longest prompt.
            .map_init(Features::default, |buffer, &prompt| {
                featurise(&featuriser, &log.prompts[prompt], buffer).map(|()| buffer.clone())
            })
            .collect();

        // Where the log has several datasets and no tasks, the dataset is the label.
        let (tasks, by_task) = if log.tasks.is_empty() { (&log.datasets, false) } else { (&log.tasks, true) };
        let label = |prompt: &Prompt| if by_task { prompt.task } else { prompt.dataset };
        let weights: Vec<f32> = kept.iter().map(|&prompt| log.prompts[prompt].weight).collect();
        let mean = weights.iter().sum::<f32>() / weights.len().max(1) as f32;
        Ok(Self {
            models: pool.iter().map(|&model| log.models[model as usize].clone()).collect(),
            units: numbered(kept.iter().map(|&prompt| {
                let prompt = &log.prompts[prompt];
                prompt.group.as_deref().unwrap_or(&prompt.id)
            })),
            features: features?,
            labels: kept.iter().map(|&prompt| label(&log.prompts[prompt])).collect(),
            tasks: tasks.clone(),
            weights: weights.iter().map(|weight| weight / mean).collect(),
            cells,
            base,
        })
    }

    pub(crate) fn n(&self) -> usize {
        self.features.len()
    }

    pub(crate) fn k(&self) -> usize {
        self.models.len()
    }

    /// Signals of a prompt that are no words, `s`.
    pub(crate) fn dense_signals(&self) -> usize {
        SURFACE_SIGNALS + self.base.as_ref().map_or(0, |base| base.dimensions())
    }

    /// Observed cells in all.
    pub(crate) fn n_outcomes(&self) -> usize {
        self.cells.all().len()
    }

    /// Dense scores and weights of what was observed of some of the models, `[rows.len(), models.len()]`.
    pub(crate) fn scores(&self, rows: &[usize], models: std::ops::Range<usize>) -> (Vec<f32>, Vec<f32>) {
        let width = models.len();
        let mut scores = vec![0.0; rows.len() * width];
        let mut weights = vec![0.0; rows.len() * width];
        for (position, &row) in rows.iter().enumerate() {
            for cell in self.cells[row].iter().filter(|cell| models.contains(&(cell.model as usize))) {
                let at = position * width + cell.model as usize - models.start;
                scores[at] = cell.score;
                weights[at] = self.weights[row];
            }
        }
        (scores, weights)
    }
}

pub(crate) fn featurise(featuriser: &Featuriser, prompt: &Prompt, features: &mut Features) -> Result<(), Error> {
    let done = prompt.with_request(|request| featuriser.featurise(request, features));
    done.map_err(|source| Error::Prompt { prompt_id: prompt.id.clone(), source })
}

/// The place of each name among all, sorted.
fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<u32> {
    let names: Vec<&str> = names.collect();
    let mut sorted = names.clone();
    sorted.par_sort_unstable();
    sorted.dedup();
    let place = |name| sorted.binary_search(name).expect("every name is among the sorted");
    names.par_iter().map(|name| u32::try_from(place(name)).expect("prompts are numbered by u32")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use pointsman_evals::log::{CostSource, Outcome};

    use super::*;

    /// A dataset of these texts, with labels, whose cells hold `score(row, model)` and `cost(row, model)`.
    pub(crate) fn dataset(
        texts: &[(String, u32)],
        models: usize,
        score: impl Fn(usize, usize) -> f32,
        cost: impl Fn(usize, usize) -> f64,
    ) -> Dataset {
        let featuriser = Featuriser::new();
        let features = |text: &str| {
            let mut features = Features::default();
            featuriser.featurise(&pointsman::Request::new(&[pointsman::Turn::user(text)]), &mut features);
            features
        };
        let cell = |row: usize, model: usize| Outcome {
            prompt: u32::try_from(row).expect("few rows"),
            model: u32::try_from(model).expect("few models"),
            runs: 1,
            score: score(row, model),
            score_variance: f32::NAN,
            cost_usd: cost(row, model),
            cost_source: CostSource::Observed,
            input_tokens: f32::NAN,
            output_tokens: f32::NAN,
            latency_ms: f32::NAN,
            propensity: f32::NAN,
        };
        let n = texts.len();
        let cells: Vec<Outcome> = (0..n)
            .flat_map(|row| (0..models).map(move |model| (row, model)))
            .map(|(row, model)| cell(row, model))
            .collect();
        Dataset {
            models: (0..models).map(|model| format!("m{model}")).collect(),
            units: (0..n).map(|row| u32::try_from(row / 2).expect("few rows")).collect(),
            features: texts.iter().map(|(text, _)| features(text)).collect(),
            labels: texts.iter().map(|(_, label)| Some(*label)).collect(),
            tasks: vec!["a".into(), "b".into()],
            weights: vec![1.0; n],
            cells: Cells::new(n, cells.iter(), |cell| Some((cell.prompt as usize, cell.model))),
            base: None,
        }
    }

    /// Texts of two kinds with few words in common.
    pub(crate) fn two_kinds(n: usize) -> Vec<(String, u32)> {
        let mut random = fastrand::Rng::with_seed(3);
        let words = [["sum", "angle", "prove", "root", "seven"], ["poem", "river", "rhyme", "verse", "moon"]];
        let text = |row: usize, random: &mut fastrand::Rng| {
            let kind = row % 2;
            let text: Vec<&str> = (0..12).map(|_| words[kind][random.usize(..5)]).collect();
            (text.join(" "), u32::try_from(kind).expect("0 or 1"))
        };
        (0..n).map(|row| text(row, &mut random)).collect()
    }
}
