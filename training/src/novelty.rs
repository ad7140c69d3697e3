//! Novelty: how to tell a prompt of a task that training did not have.
//!
//! Whole tasks are left out of the task heads, group by group, and a logistic regression learns to tell their prompts from those
//! that were held out one by one: by the doubt of the heads, by unknown words, and by how far the surface is from that of the
//! tasks that the heads suggest.
//!
//! # References
//! - Hendrycks, Mazeika & Dietterich (2019), *Deep anomaly detection with outlier exposure*: a detector is taught by outliers
//!   of other kinds than it will meet.

use pointsman::Predictions;
use pointsman::math::ln;
use pointsman::predictor::{Encoder, NOVELTY_SIGNALS};
use rayon::prelude::*;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::lexical::{self, Heads, evenly};
use crate::loss::{Target, loss};
use crate::minimise::minimise;
use crate::recipe::Recipe;

/// Groups that the tasks are dealt to.
const GROUPS: usize = 4;

/// Fewer tasks than that teach too little of what a new one looks like.
const FEWEST_TASKS: usize = 4;

const RIDGE: f64 = 1.0;
const STEPS: usize = 100;

/// Prompts that the heads without a group are fitted on at most.
const MOST_PROMPTS: usize = 20_000;

/// Weights of the signals and a bias, `[NOVELTY_SIGNALS + 1]`; `None` where there are too few tasks, or none to
/// come. `familiar` are the signals of
/// held-out prompts of known tasks, `[n, NOVELTY_SIGNALS]`.
pub(crate) fn fit(
    data: &Dataset,
    labels: &[Option<u32>],
    n_tasks: usize,
    familiar: &[f32],
    recipe: &Recipe,
) -> Result<Option<Vec<f32>>, Error> {
    if n_tasks < FEWEST_TASKS || recipe.settings().new_tasks <= 0.0 {
        return Ok(None);
    }
    let seed = recipe.settings().seed;
    let labelled: Vec<usize> = (0..data.n()).filter(|&row| labels[row].is_some()).collect();
    let labelled = evenly(&labelled, MOST_PROMPTS, seed);
    let group_of = groups(labels, n_tasks, &labelled);
    let group = |row: usize| labels[row].map(|label| group_of[label as usize]);
    let strange: Vec<Vec<f32>> = (0..GROUPS)
        .into_par_iter()
        .map(|out| {
            let (left_out, rows): (Vec<usize>, Vec<usize>) = labelled.iter().partition(|&&row| group(row) == Some(out));
            let heads = lexical::fit(data, labels, n_tasks, &rows, Heads::Tasks, recipe, seed)?;
            let mut predictions = Predictions::default();
            let mut signals = Vec::with_capacity(left_out.len() * NOVELTY_SIGNALS);
            for row in left_out {
                heads.encode(&data.features[row], &mut predictions);
                Encoder::new(&heads.weights, n_tasks).posterior_input(&mut predictions);
                signals.extend(predictions.novelty_signals());
            }
            Ok(signals)
        })
        .collect::<Result<_, Error>>()?;
    let strange = strange.concat();
    let known: Vec<f32> = labelled
        .iter()
        .flat_map(|&row| &familiar[row * NOVELTY_SIGNALS..(row + 1) * NOVELTY_SIGNALS])
        .copied()
        .collect();
    regress(&known, &strange, recipe.settings().new_tasks).map(Some)
}

/// Group of every task: dealt by falling number of prompts, there and back, so that the groups are of a size.
fn groups(labels: &[Option<u32>], n_tasks: usize, rows: &[usize]) -> Vec<usize> {
    let mut counts = vec![0_usize; n_tasks];
    for label in rows.iter().filter_map(|&row| labels[row]) {
        counts[label as usize] += 1;
    }
    let mut order: Vec<usize> = (0..n_tasks).collect();
    order.sort_by_key(|&task| (std::cmp::Reverse(counts[task]), task));
    let mut group = vec![0; n_tasks];
    for (place, task) in order.into_iter().enumerate() {
        let (lap, step) = (place / GROUPS, place % GROUPS);
        group[task] = if lap % 2 == 0 { step } else { GROUPS - 1 - step };
    }
    group
}

/// Logistic regression of strange against known, both sides of equal weight, moved to a `prior` share of strange ones.
#[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
fn regress(known: &[f32], strange: &[f32], prior: f64) -> Result<Vec<f32>, Error> {
    let sides = [(known, 0.0), (strange, 1.0)];
    let total = ((known.len() + strange.len()) / NOVELTY_SIGNALS) as f32;
    let mut parameters = vec![0.0; NOVELTY_SIGNALS + 1];
    minimise(&mut parameters, STEPS, |x, gradient| {
        let (bias, weight) = (x[NOVELTY_SIGNALS], &x[..NOVELTY_SIGNALS]);
        let mut value = 0.5 * RIDGE * weight.iter().map(|w| f64::from(w * w)).sum::<f64>();
        for (gradient, w) in gradient.iter_mut().zip(weight) {
            *gradient = RIDGE as f32 * w;
        }
        gradient[NOVELTY_SIGNALS] = 0.0;
        for (signals, score) in sides {
            let share = 0.5 * total / (signals.len() / NOVELTY_SIGNALS).max(1) as f32;
            for block in signals.chunks(NOVELTY_SIGNALS * 4096) {
                let rows = block.chunks_exact(NOVELTY_SIGNALS);
                let mut logits: Vec<f32> =
                    rows.clone().map(|row| row.iter().zip(weight).map(|(x, w)| x * w).sum::<f32>() + bias).collect();
                let n = logits.len();
                value += loss(&mut logits, 1, Target::Scores(vec![score; n], vec![share; n]))?;
                for (row, g) in rows.zip(&logits) {
                    for (gradient, x) in gradient.iter_mut().zip(row) {
                        *gradient += g * x;
                    }
                    gradient[NOVELTY_SIGNALS] += g;
                }
            }
        }
        Ok(value)
    })?;
    parameters[NOVELTY_SIGNALS] += ln(prior / (1.0 - prior)) as f32;
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sets_the_strange_apart_is_found() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut side = |shift: f32| -> Vec<f32> {
            (0..1_000 * NOVELTY_SIGNALS)
                .map(|i| random.f32() + if i % NOVELTY_SIGNALS == 2 { shift } else { 0.0 })
                .collect()
        };
        let (known, strange) = (side(0.0), side(0.8));
        let weight = regress(&known, &strange, 0.2).expect("a fit");
        let at = |x: f32| {
            weight[2] * x
                + weight[NOVELTY_SIGNALS]
                + 0.5 * (weight.iter().take(NOVELTY_SIGNALS).sum::<f32>() - weight[2])
        };
        assert!(at(0.2) < -2.0 && at(1.6) > 1.0, "{weight:?}");
    }

    #[test]
    fn groups_are_of_a_size() {
        let labels: Vec<Option<u32>> = (0..100).map(|row| Some(if row < 50 { 0 } else { 1 + row % 7 })).collect();
        let rows: Vec<usize> = (0..100).collect();
        let group = groups(&labels, 8, &rows);
        for wanted in 0..GROUPS {
            assert_eq!(group.iter().filter(|group| **group == wanted).count(), 2);
        }
    }
}
