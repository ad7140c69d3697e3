//! A new model as a mixture of those already known: Bayesian linear regression on their predictions.
//!
//! ```text
//! y = μ + Σ_m b_m (q_m − s_m) + Σ_t d_t (p_t − π_t) + c r + ε        ε ~ N(0, σ²)
//! b = (1 + β) / k + δ        β ~ N(0, 0.3²),  δ_m ~ N(0, τ² / k),  d_t ~ N(0, ω²)
//! ```
//! with `q` the known models' predictions, `s` their training means, `p` the task posterior, `π` the tasks' shares, and `r` what
//! the known models scored on the prompt beyond their predictions, where the log says. With few labels the new model is
//! the average of the known ones, shifted; with more it becomes like those that it resembles. `r` takes the luck of the
//! draw of prompts out of μ; it is not known of a new prompt, has mean zero, and plays no part in predictions.
//!
//! The variances σ², τ² and ω² are not chosen but averaged over, each setting by its evidence: on fifty labels the best setting
//! is rarely clear.
//!
//! # References
//! - `MacKay` (1992), *Bayesian interpolation*, Neural Computation 4(3): evidence of a linear model's variances. He takes
//!   the most probable setting; we average.

use linfa_linalg::cholesky::{Cholesky, InverseC};
use ndarray::{Array1, Array2, ArrayView1, Axis};

use crate::error::Error;

/// Least standard deviation of the prior of μ around the mean of the known models (a guess: wide enough that twenty
/// labels outweigh it).
const LEVEL_DEVIATION: f64 = 0.2;

/// Standard deviation of β: how far the new model may rise and fall more or less than the average one.
const SLOPE_DEVIATION: f64 = 0.3;

/// Prior of c. Models tend to fail on the same prompts (a guess from the five real files).
const SHARED_LUCK: (f64, f64) = (0.7, 0.4);

/// Values of τ: from a mere average to a copy of any one model.
const LIKENESSES: [f64; 6] = [0.0, 0.1, 0.25, 0.5, 1.0, 2.0];

/// Values of ω, in units of the spread of the known models' contrasts about their mean.
const PECULIARITIES: [f64; 4] = [0.0, 0.25, 0.5, 1.0];

/// Values of σ², in units of the variance of the labels.
const NOISES: [f64; 4] = [0.5, 0.7, 0.9, 1.1];

/// Added to the noise: a model that was always right so far is not always right.
const LEAST_NOISE: f64 = 0.01;

const STAGE: &str = "new model";

/// What is known of the prompts that carry a label: `n` labels, `k` known models, `t` tasks.
pub(crate) struct Evidence {
    /// Predictions less training means, `[n, k]`.
    pub(crate) known: Array2<f64>,
    /// Task posterior less the tasks' shares, `[n, t]`; no columns where there is one task only.
    pub(crate) tasks: Array2<f64>,
    /// What known models scored beyond their predictions, mean over those observed; 0 where none was, `[n]`.
    pub(crate) luck: Array1<f64>,
    /// Scores of the new model, `[n]`.
    pub(crate) scores: Array1<f64>,
    /// Sample weights, mean 1, `[n]`.
    pub(crate) weights: Array1<f64>,
}

/// What is known before any label.
pub(crate) struct Prior {
    /// Mean quality of the known models.
    pub(crate) level: f64,
    /// Its standard deviation over them.
    pub(crate) spread: f64,
    /// Standard deviation, over tasks and known models, of contrasts about the mean contrast.
    pub(crate) peculiarity: f64,
}

/// The posterior: its mean and covariance.
pub(crate) struct Mixture {
    /// μ: mean quality over the training population.
    pub(crate) level: f64,
    /// b, `[k]`.
    pub(crate) slopes: Vec<f64>,
    /// d, `[t]`; empty where there is one task only.
    pub(crate) tasks: Vec<f64>,
    /// Over (μ, β, δ, c, d).
    covariance: Array2<f64>,
}

/// Fits on one label or more.
pub(crate) fn fit(evidence: &Evidence, prior: &Prior) -> Result<Mixture, Error> {
    let (n, k) = evidence.known.dim();
    let t = evidence.tasks.ncols();
    let average = evidence.known.mean_axis(Axis(1)).unwrap_or_else(|| Array1::zeros(n));
    // The design over (1, mean of the known, known, luck, tasks), each with a prior around 0.
    let design = Array2::from_shape_fn((n, 3 + k + t), |(row, column)| match column {
        0 => 1.0,
        1 => average[row],
        column if column < 2 + k => evidence.known[[row, column - 2]],
        column if column == 2 + k => evidence.luck[row],
        column => evidence.tasks[[row, column - 3 - k]],
    });
    let offset = &average + &(&evidence.luck * SHARED_LUCK.0) + prior.level;
    let target = &evidence.scores - &offset;
    let weighted = &design * &evidence.weights.view().insert_axis(Axis(1));
    let gram = weighted.t().dot(&design);
    let moment = weighted.t().dot(&target);
    let squares: f64 = target.iter().zip(&evidence.weights).map(|(y, w)| w * y * y).sum();
    let total = evidence.weights.sum().max(1e-9);
    let mean = evidence.scores.dot(&evidence.weights) / total;
    let spread =
        evidence.scores.iter().zip(&evidence.weights).map(|(y, w)| w * (y - mean).powi(2)).sum::<f64>() / total;

    let peculiarities: &[f64] = if t == 0 { &PECULIARITIES[..1] } else { &PECULIARITIES };
    let mut posteriors = Vec::new();
    for likeness in LIKENESSES {
        for peculiarity in peculiarities {
            let scale = Array1::from_shape_fn(design.ncols(), |column| match column {
                0 => prior.spread.max(LEVEL_DEVIATION),
                1 => SLOPE_DEVIATION,
                column if column < 2 + k => likeness / (k as f64).sqrt(),
                column if column == 2 + k => SHARED_LUCK.1,
                _ => peculiarity * prior.peculiarity,
            });
            for noise in NOISES {
                let noise = noise * spread + LEAST_NOISE;
                posteriors.push(posterior(&gram, &moment, squares, n, &scale, noise)?);
            }
        }
    }
    Ok(average_of(&posteriors, prior.level, k))
}

/// One setting's posterior mean and covariance, and the logarithm of its evidence up to a constant.
struct Posterior {
    mean: Array1<f64>,
    covariance: Array2<f64>,
    evidence: f64,
}

/// In units of the prior's deviations the prior is `N(0, I)`, which keeps a deviation of zero harmless.
fn posterior(
    gram: &Array2<f64>,
    moment: &Array1<f64>,
    squares: f64,
    n: usize,
    scale: &Array1<f64>,
    noise: f64,
) -> Result<Posterior, Error> {
    let singular = |source| Error::Singular { stage: STAGE, source };
    let outer = |a: ArrayView1<'_, f64>| &a.insert_axis(Axis(1)) * &a.insert_axis(Axis(0));
    let scaling = outer(scale.view());
    let precision = gram * &scaling / noise + Array2::<f64>::eye(scale.len());
    let factor = precision.cholesky().map_err(singular)?;
    let log_determinant = 2.0 * factor.diag().iter().map(|x| x.ln()).sum::<f64>();
    let inverse = precision.invc().map_err(singular)?;
    let scaled = moment * scale / noise;
    let whitened = inverse.dot(&scaled);
    let evidence = -0.5 * (n as f64 * noise.ln() + log_determinant + squares / noise - scaled.dot(&whitened));
    Ok(Posterior { mean: &whitened * scale, covariance: inverse * scaling, evidence })
}

/// The mean over settings, by evidence, `level` being the prior's; the covariance holds what they disagree on.
fn average_of(posteriors: &[Posterior], level: f64, k: usize) -> Mixture {
    let best = posteriors.iter().map(|posterior| posterior.evidence).fold(f64::NEG_INFINITY, f64::max);
    let likelihood = |posterior: &Posterior| (posterior.evidence - best).exp();
    let total: f64 = posteriors.iter().map(likelihood).sum();
    let width = posteriors[0].mean.len();
    let mut mean = Array1::<f64>::zeros(width);
    for posterior in posteriors {
        mean.scaled_add(likelihood(posterior) / total, &posterior.mean);
    }
    let mut covariance = Array2::<f64>::zeros((width, width));
    for posterior in posteriors {
        let weight = likelihood(posterior) / total;
        let off = &posterior.mean - &mean;
        let disagreement = &off.view().insert_axis(Axis(1)) * &off.view().insert_axis(Axis(0));
        covariance.scaled_add(weight, &posterior.covariance);
        covariance.scaled_add(weight, &disagreement);
    }
    Mixture {
        level: level + mean[0],
        slopes: (0..k).map(|m| (1.0 + mean[1]) / k as f64 + mean[2 + m]).collect(),
        tasks: mean.iter().skip(3 + k).copied().collect(),
        covariance,
    }
}

impl Mixture {
    /// Variance of the mean quality over the training population.
    pub(crate) fn level_variance(&self) -> f64 {
        self.covariance[[0, 0]]
    }

    /// Variance of the expected quality where the known models are `known` `[k]` above their means and the task posterior is `tasks`
    /// `[t]` above its mean; without that of the level.
    pub(crate) fn variance(&self, known: &[f64], tasks: &[f64]) -> f64 {
        let k = self.slopes.len();
        let mut x = Array1::zeros(self.covariance.nrows());
        x[1] = known.iter().sum::<f64>() / k as f64;
        x.iter_mut().skip(2).zip(known).for_each(|(x, known)| *x = *known);
        x.iter_mut().skip(3 + k).zip(tasks).for_each(|(x, task)| *x = *task);
        x.dot(&self.covariance.dot(&x)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIOR: Prior = Prior { level: 0.6, spread: 0.1, peculiarity: 0.1 };

    /// `n` prompts on which three known models are good at different things; the new one scores as `score` says.
    fn evidence(n: usize, score: impl Fn(&[f64; 3], &mut fastrand::Rng) -> f64) -> Evidence {
        let mut random = fastrand::Rng::with_seed(5);
        let mut known = Array2::zeros((n, 3));
        let mut scores = Array1::zeros(n);
        for row in 0..n {
            let q = [0; 3].map(|_| 0.4 * (random.f64() - 0.5));
            known.row_mut(row).assign(&ndarray::aview1(&q));
            scores[row] = score(&q, &mut random);
        }
        Evidence { known, tasks: Array2::zeros((n, 0)), luck: Array1::zeros(n), scores, weights: Array1::ones(n) }
    }

    fn tossed(p: f64, random: &mut fastrand::Rng) -> f64 {
        f64::from(u8::from(random.f64() < p))
    }

    #[test]
    fn a_copy_of_a_known_model_is_recognised_with_labels_enough() {
        let copy = |q: &[f64; 3], random: &mut fastrand::Rng| tossed(0.7 + q[1], random);
        let fitted = |n| fit(&evidence(n, copy), &PRIOR).expect("a regular system");
        let many = fitted(5_000);
        assert!((many.level - 0.7).abs() < 0.03, "{}", many.level);
        assert!(
            many.slopes[1] > 0.85 && many.slopes[0].abs() < 0.15 && many.slopes[2].abs() < 0.15,
            "{:?}",
            many.slopes
        );
        // With few it is the average model, and less sure of itself.
        let few = fitted(20);
        assert!(few.slopes.iter().all(|slope| (0.0..0.8).contains(slope)), "{:?}", few.slopes);
        assert!(few.level_variance() > 20.0 * many.level_variance());
        assert!(few.variance(&[0.1, -0.1, 0.0], &[]) > many.variance(&[0.1, -0.1, 0.0], &[]));
    }

    #[test]
    fn what_known_models_scored_beyond_expectation_is_taken_out_of_the_level() {
        // An unlucky draw of prompts: everybody did 0.2 worse than predicted, the new model too.
        let base = evidence(30, |_, random| tossed(0.5, random));
        let unlucky = Evidence { luck: Array1::from_elem(30, -0.2), ..base };
        let plain = evidence(30, |_, random| tossed(0.5, random));
        let level = |evidence: &Evidence| fit(evidence, &PRIOR).expect("a regular system").level;
        assert!(level(&unlucky) > level(&plain) + 0.08);
    }

    #[test]
    fn what_no_known_model_does_is_learned_by_task() {
        let n = 2_000;
        let mut learned = evidence(n, |_, _| 0.0);
        let mut random = fastrand::Rng::with_seed(8);
        learned.tasks = Array2::from_shape_fn((n, 2), |(row, task)| if row % 2 == task { 0.5 } else { -0.5 });
        learned.scores = (0..n).map(|row| tossed(if row % 2 == 0 { 0.8 } else { 0.4 }, &mut random)).collect();
        let mixture = fit(&learned, &PRIOR).expect("a regular system");
        assert!(mixture.tasks[0] - mixture.tasks[1] > 0.3, "{:?}", mixture.tasks);
    }

    #[test]
    fn a_model_that_was_always_right_stays_within_reason() {
        let mixture = fit(&evidence(20, |_, _| 1.0), &PRIOR).expect("a regular system");
        assert!(mixture.level > 0.85 && mixture.level < 1.02 && mixture.level_variance() > 1e-5);
    }
}
