//! The task table: what a task adds to every model's mean quality, shrunk by evidence.
//!
//! Every task's deviations from the model means are a draw from `N(0, Ω)` seen through the noise of few prompts, `N(0, Σ/n)`; both
//! covariances are over models and estimated from the log. The posterior mean of a task lets what is known of one model speak
//! for those that rise and fall with it, and a task with few prompts stays near zero.
//!
//! # References
//! - Efron & Morris (1972), *Empirical Bayes on vector observations*: shrinkage with an estimated covariance.

use linfa_linalg::cholesky::InverseCInplace;
use linfa_linalg::eigh::Eigh;
use ndarray::{Array1, Array2, Axis};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::lexical::evenly;

/// Added to the variance of every model's outcomes: a model that was always right so far is not always right.
const LEAST_VARIANCE: f64 = 1e-4;

/// The covariance of tasks is mixed with one in which all models are alike, as if that many tasks had shown it.
const ALIKE_TASKS: f64 = 5.0;

/// Means and contrasts feed on each other where cells are missing; three rounds settle them.
const ROUNDS: usize = 3;

/// Prompts that covariances are estimated from at most.
const MOST_PROMPTS: usize = 50_000;

const STAGE: &str = "task table";

/// A fitted table over `t` tasks and `k` models.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// `[k]`.
    pub(crate) mean: Vec<f64>,
    /// What a task adds, `[t, k]`.
    pub(crate) contrast: Vec<f64>,
    /// Posterior variance of a model's contrast against the others, `[t, k]`.
    pub(crate) variance: Vec<f64>,
}

impl Table {
    /// Expected quality of every model under a posterior over tasks, written to `out` `[k]`.
    pub(crate) fn quality(&self, posterior: &[f32], out: &mut [f64]) {
        out.copy_from_slice(&self.mean);
        for (p, contrast) in posterior.iter().zip(self.contrast.chunks_exact(out.len())) {
            for (out, contrast) in out.iter_mut().zip(contrast) {
                *out += f64::from(*p) * contrast;
            }
        }
    }
}

/// Fits on `rows`, by their labels; unlabelled rows count for the means alone.
pub(crate) fn fit(data: &Dataset, labels: &[Option<u32>], t: usize, rows: &[usize]) -> Result<Table, Error> {
    let k = data.k();
    let tally = Tally::new(data, labels, t, rows);
    let mut mean: Vec<f64> = (0..k).map(|m| tally.total.score[m] / tally.total.weight[m].max(1e-9)).collect();
    let mut table = Table { mean: mean.clone(), contrast: vec![0.0; t * k], variance: vec![0.0; t * k] };
    if t < 2 {
        return Ok(table);
    }
    let sigma = within(data, labels, &tally, rows)?;
    for _ in 0..ROUNDS {
        let deviations: Vec<Array1<f64>> = tally
            .tasks
            .iter()
            .map(|task| {
                (0..k)
                    .map(|m| if task.count[m] > 0.0 { task.score[m] / task.weight[m] - mean[m] } else { 0.0 })
                    .collect()
            })
            .collect();
        let omega = between(&tally, &deviations, &sigma)?;
        for (index, (task, deviation)) in tally.tasks.iter().zip(&deviations).enumerate() {
            let (contrast, variance) = posterior(task, deviation, &omega, &sigma)?;
            table.contrast[index * k..(index + 1) * k].copy_from_slice(&contrast);
            table.variance[index * k..(index + 1) * k].copy_from_slice(&variance);
        }
        // A model tried on easy tasks alone is not as good as its mean says.
        for (m, mean) in mean.iter_mut().enumerate() {
            let tasks = tally.tasks.iter().zip(table.contrast.chunks_exact(k));
            let explained: f64 = tasks.map(|(task, contrast)| task.weight[m] * contrast[m]).sum();
            *mean = (tally.total.score[m] - explained) / tally.total.weight[m].max(1e-9);
        }
        table.mean.clone_from(&mean);
    }
    Ok(table)
}

/// Sums over the cells of a task, `[k]` each.
struct Sums {
    weight: Vec<f64>,
    score: Vec<f64>,
    count: Vec<f64>,
    /// Sum over prompts of weight.
    prompts: f64,
}

struct Tally {
    total: Sums,
    tasks: Vec<Sums>,
}

impl Sums {
    fn new(k: usize) -> Self {
        Self { weight: vec![0.0; k], score: vec![0.0; k], count: vec![0.0; k], prompts: 0.0 }
    }
}

impl Tally {
    fn new(data: &Dataset, labels: &[Option<u32>], t: usize, rows: &[usize]) -> Self {
        let mut tally = Self { total: Sums::new(data.k()), tasks: (0..t).map(|_| Sums::new(data.k())).collect() };
        for &row in rows {
            let weight = f64::from(data.weights[row]);
            let task = labels[row].map(|label| label as usize);
            for sums in [Some(&mut tally.total), task.map(|task| &mut tally.tasks[task])].into_iter().flatten() {
                sums.prompts += weight;
                for cell in &data.cells[row] {
                    let m = cell.model as usize;
                    sums.weight[m] += weight;
                    sums.score[m] += weight * f64::from(cell.score);
                    sums.count[m] += 1.0;
                }
            }
        }
        tally
    }
}

/// Σ: covariance over models of the outcomes within a task, from prompts on which both were observed.
fn within(data: &Dataset, labels: &[Option<u32>], tally: &Tally, rows: &[usize]) -> Result<Array2<f64>, Error> {
    let k = data.k();
    let mut products = Array2::<f64>::zeros((k, k));
    let mut counts = Array2::<f64>::zeros((k, k));
    let mut residuals: Vec<(usize, f64)> = Vec::with_capacity(k);
    for row in evenly(rows, MOST_PROMPTS, 0) {
        let Some(label) = labels[row] else { continue };
        let task = &tally.tasks[label as usize];
        residuals.clear();
        residuals.extend(data.cells[row].iter().map(|cell| {
            let m = cell.model as usize;
            (m, f64::from(cell.score) - task.score[m] / task.weight[m].max(1e-9))
        }));
        for &(a, x) in &residuals {
            for &(b, y) in &residuals {
                products[[a, b]] += x * y;
                counts[[a, b]] += 1.0;
            }
        }
    }
    // Every task's own mean took one degree of freedom.
    let observed = rows.len() as f64;
    let lost = (observed / (observed - tally.tasks.len() as f64).max(1.0)).clamp(1.0, 2.0);
    let mut sigma = &products / &counts.mapv(|count| count.max(1.0)) * lost;
    // Pairs rarely seen together may contradict the others.
    sigma = positive_part(sigma)?;
    sigma.diag_mut().mapv_inplace(|variance| variance + LEAST_VARIANCE);
    Ok(sigma)
}

/// Ω: covariance over models of what tasks add, the noise of few prompts taken out.
fn between(tally: &Tally, deviations: &[Array1<f64>], sigma: &Array2<f64>) -> Result<Array2<f64>, Error> {
    let k = sigma.nrows();
    let total: f64 = tally.tasks.iter().map(|task| task.prompts).sum::<f64>().max(1e-9);
    let mut omega = Array2::<f64>::zeros((k, k));
    let mut weights = Array2::<f64>::zeros((k, k));
    for (task, d) in tally.tasks.iter().zip(deviations) {
        let share = task.prompts / total;
        for a in (0..k).filter(|&a| task.count[a] > 0.0) {
            for b in (0..k).filter(|&b| task.count[b] > 0.0) {
                omega[[a, b]] += share * (d[a] * d[b] - noise(task, sigma, a, b));
                weights[[a, b]] += share;
            }
        }
    }
    omega /= &weights.mapv(|weight| weight.max(1e-9));
    let omega = positive_part(omega)?;
    let alike = ALIKE_TASKS / (ALIKE_TASKS + tally.tasks.len() as f64);
    let variance = omega.diag().mean().unwrap_or_default();
    let off = (omega.sum() - omega.diag().sum()) / ((k * k - k).max(1) as f64);
    let symmetric = Array2::from_shape_fn((k, k), |(a, b)| if a == b { variance } else { off });
    Ok(omega * (1.0 - alike) + symmetric * alike)
}

/// Covariance of the means of two models on one task: shared prompts share their noise. As many prompts as the rarer has are taken
/// for shared.
fn noise(task: &Sums, sigma: &Array2<f64>, a: usize, b: usize) -> f64 {
    sigma[[a, b]] / task.count[a].max(task.count[b])
}

/// The nearest matrix without negative eigenvalues.
fn positive_part(mut a: Array2<f64>) -> Result<Array2<f64>, Error> {
    a = (&a + &a.t()) * 0.5;
    let (values, vectors) = a.eigh().map_err(|source| Error::Singular { stage: STAGE, source })?;
    let scaled = &vectors * &values.mapv(|value| value.max(0.0)).insert_axis(Axis(0));
    Ok(scaled.dot(&vectors.t()))
}

/// Posterior mean of a task's contrasts, and its variance against the mean of all models.
fn posterior(
    task: &Sums,
    deviation: &Array1<f64>,
    omega: &Array2<f64>,
    sigma: &Array2<f64>,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let k = omega.nrows();
    let seen: Vec<usize> = (0..k).filter(|&m| task.count[m] > 0.0).collect();
    let singular = |source| Error::Singular { stage: STAGE, source };
    let known = Array2::from_shape_fn((seen.len(), seen.len()), |(i, j)| {
        omega[[seen[i], seen[j]]]
            + noise(task, sigma, seen[i], seen[j])
            + if i == j { LEAST_VARIANCE * 1e-2 } else { 0.0 }
    });
    let cross = omega.select(Axis(1), &seen);
    let gain = if seen.is_empty() {
        Array2::zeros((k, 0))
    } else {
        cross.dot(&known.clone().invc_inplace().map_err(singular)?)
    };
    let observed: Array1<f64> = seen.iter().map(|&m| deviation[m]).collect();
    let contrast = gain.dot(&observed);
    let covariance = omega - &gain.dot(&cross.t());
    let row_means = covariance.mean_axis(Axis(1)).unwrap_or_else(|| Array1::zeros(k));
    let mean = covariance.mean().unwrap_or_default();
    let variance = (0..k).map(|m| (covariance[[m, m]] - 2.0 * row_means[m] + mean).max(0.0)).collect();
    Ok((contrast.to_vec(), variance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};

    /// Model 0 is right on task 0 and wrong on task 1, model 1 the other way round; one row in ten is the reverse.
    fn fitted(n: usize) -> Table {
        let right = |row: usize, model: usize| (row % 2 == model) != (row % 10 == 9);
        let data = dataset(&two_kinds(n), 2, |row, model| f32::from(u8::from(right(row, model))), |_, _| 1.0);
        let rows: Vec<usize> = (0..n).collect();
        fit(&data, &data.labels, 2, &rows).expect("a regular system")
    }

    #[test]
    fn each_model_is_better_where_it_was_right() {
        let table = fitted(400);
        let mut quality = [0.0; 2];
        table.quality(&[1.0, 0.0], &mut quality);
        assert!(quality[0] > 0.75 && quality[1] < 0.25, "{quality:?}");
        table.quality(&[0.0, 1.0], &mut quality);
        assert!(quality[0] < 0.25 && quality[1] > 0.7, "{quality:?}");
    }

    #[test]
    fn little_evidence_stays_near_the_mean_and_is_unsure() {
        let (few, many) = (fitted(10), fitted(2_000));
        assert!(few.contrast[0].abs() < many.contrast[0].abs());
        assert!(few.variance[0] > many.variance[0]);
    }
}
