//! The pool of an artifact, changed without training: models leave, change places or names, or are added.
//!
//! Every model is a column (or row) of its own in every tensor, so that what is said of the others stays the same to
//! the bit.

use super::Artifact;
use super::document::{CostHead, CurvePoint, ListPrice, StaticMeans};

/// A model to be added: its column of every tensor and its entries in the document.
///
/// Axes: `t` tasks, `leaves` of the forest, `s` surface signals.
#[derive(Clone, Debug, PartialEq)]
pub struct Addition {
    /// Its name, not yet in the pool.
    pub name: String,
    /// Mean quality.
    pub mean: f32,
    /// What a task adds to it, `[t]`.
    pub contrast: Vec<f32>,
    /// Variance of that, `[t]`; at least 0.
    pub contrast_variance: Vec<f32>,
    /// What a leaf adds, in units of quality, `[leaves]`; kept in 255 steps.
    pub leaf: Vec<f32>,
    /// See [`super::Weights::residual_variance`]; at least 0.
    pub residual_variance: f32,
    /// Cost regression `[s + t + 1]`.
    pub cost_weight: Vec<f32>,
    /// Latency regression `[s + t + 1]`; ignored where the router knows no latencies.
    pub latency_weight: Vec<f32>,
    /// What the cost regression predicts.
    pub cost: CostHead,
    /// List price.
    pub price: Option<ListPrice>,
    /// Mean quality, cost and latency.
    pub statics: StaticMeans,
    /// Sums over its outcomes of posterior weight, and of posterior weight × score, per task: `[t]`.
    pub profile: Vec<(f64, f64)>,
}

impl Artifact {
    /// The same router with only these models, in this order.
    ///
    /// What is predicted of them does not change by a bit. Nobody has observed what the smaller pool would bring, so the
    /// curves are drawn with care: a point at which no removed model was called stays, any other becomes the best fixed
    /// choice among the models left for its λ. The new curve therefore promises no more than the old one had shown.
    ///
    /// # Panics
    /// Where `models` is empty, names a position twice, or one that is not in the pool.
    ///
    /// # Examples
    /// ```no_run
    /// # use pointsman::artifact::Artifact;
    /// let (artifact, _) = Artifact::load("router.safetensors".as_ref())?;
    /// let reversed: Vec<usize> = (0..artifact.document.models.len()).rev().collect();
    /// assert_eq!(artifact.select(&reversed).select(&reversed), artifact);
    /// # Ok::<(), pointsman::Error>(())
    /// ```
    #[must_use]
    pub fn select(&self, models: &[usize]) -> Self {
        let k = self.document.models.len();
        let once = models.iter().enumerate().all(|(i, m)| *m < k && !models[..i].contains(m));
        assert!(once && !models.is_empty(), "a selection holds every position once and below {k}, got {models:?}");
        let mut artifact = self.clone();

        let weights = &mut artifact.weights;
        for column in [&mut weights.mean, &mut weights.leaf_scale, &mut weights.residual_variance] {
            *column = columns(column, k, models);
        }
        for table in [&mut weights.contrast, &mut weights.contrast_variance] {
            *table = columns(table, k, models);
        }
        weights.leaf = columns(&weights.leaf, k, models);
        for rows in [&mut weights.cost_weight, &mut weights.latency_weight] {
            let width = rows.len() / k;
            *rows = models.iter().flat_map(|&m| rows[m * width..(m + 1) * width].iter().copied()).collect();
        }

        let document = &mut artifact.document;
        document.models = pick(&document.models, models);
        document.costs = pick(&document.costs, models);
        document.statics = pick(&document.statics, models);
        document.prices.retain(|name, _| document.models.contains(name));
        for profile in &mut document.task_profiles {
            profile.weight = pick(&profile.weight, models);
            profile.score = pick(&profile.score, models);
        }
        let statics = &document.statics;
        document.curve = without(&document.curve, models, statics, |means| means.cost_usd);
        document.latency_curve = without(&document.latency_curve, models, statics, |means| means.latency_ms);
        artifact
    }

    /// Gives a model another name, which must not be in the pool.
    ///
    /// # Panics
    /// Where `model` is no position in the pool.
    pub fn rename(&mut self, model: usize, name: &str) {
        let document = &mut self.document;
        let old = std::mem::replace(&mut document.models[model], name.to_owned());
        if let Some(price) = document.prices.remove(&old) {
            document.prices.insert(name.to_owned(), price);
        }
    }

    /// Adds a model behind the others. No point of the curves calls it until they are drawn anew.
    ///
    /// # Panics
    /// Where the addition's shapes are not those of this artifact.
    #[expect(clippy::cast_possible_truncation, reason = "held within ±127 before")]
    pub fn push(&mut self, addition: Addition) {
        let k = self.document.models.len();
        let weights = &mut self.weights;
        let leaves = weights.leaf_rarity.len();
        assert_eq!(addition.leaf.len(), leaves, "one value per leaf");
        assert_eq!(addition.contrast.len(), self.document.tasks.len(), "one contrast per task");
        assert_eq!(addition.contrast_variance.len(), self.document.tasks.len(), "one variance per task");
        assert_eq!(addition.profile.len(), self.document.tasks.len(), "one profile per task");
        assert_eq!(addition.cost_weight.len() * k, weights.cost_weight.len(), "one weight per input of the cost head");

        let largest = addition.leaf.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let steps: Vec<i8> =
            addition.leaf.iter().map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8).collect();
        weights.leaf = beside(&weights.leaf, k, &steps);
        weights.leaf_scale.push(scale);
        weights.mean.push(addition.mean);
        weights.residual_variance.push(addition.residual_variance);
        weights.contrast = beside(&weights.contrast, k, &addition.contrast);
        weights.contrast_variance = beside(&weights.contrast_variance, k, &addition.contrast_variance);
        weights.cost_weight.extend(addition.cost_weight);
        if !weights.latency_weight.is_empty() {
            assert_eq!(addition.latency_weight.len() * k, weights.latency_weight.len(), "one weight per input");
            weights.latency_weight.extend(addition.latency_weight);
        }

        let document = &mut self.document;
        if let Some(price) = addition.price {
            document.prices.insert(addition.name.clone(), price);
        }
        document.models.push(addition.name);
        document.costs.push(addition.cost);
        document.statics.push(addition.statics);
        for (profile, (weight, score)) in document.task_profiles.iter_mut().zip(addition.profile) {
            profile.weight.push(weight);
            profile.score.push(score);
        }
        for point in document.curve.iter_mut().chain(&mut document.latency_curve) {
            point.shares.push(0.0);
        }
    }
}

/// The chosen columns of a matrix `[rows, k]`.
fn columns<T: Copy>(matrix: &[T], k: usize, models: &[usize]) -> Vec<T> {
    matrix.chunks_exact(k).flat_map(|row| models.iter().map(|&m| row[m])).collect()
}

/// A matrix `[rows, k]` with one more column.
fn beside<T: Copy>(matrix: &[T], k: usize, column: &[T]) -> Vec<T> {
    matrix.chunks_exact(k).zip(column).flat_map(|(row, new)| row.iter().chain(std::iter::once(new)).copied()).collect()
}

fn pick<T: Clone>(values: &[T], models: &[usize]) -> Vec<T> {
    models.iter().map(|&m| values[m].clone()).collect()
}

/// A curve over the chosen models; `statics` are theirs, and so are the shares.
fn without(
    curve: &[CurvePoint],
    models: &[usize],
    statics: &[StaticMeans],
    price: impl Fn(&StaticMeans) -> Option<f64>,
) -> Vec<CurvePoint> {
    let fixed = |lambda: Option<f64>| {
        let utility = |means: &StaticMeans| match (lambda, price(means)) {
            (None, _) => means.quality,
            (Some(lambda), price) => lambda * means.quality - price.unwrap_or_default(),
        };
        let better = |best: usize, m: usize| if utility(&statics[m]) > utility(&statics[best]) { m } else { best };
        let best = (0..models.len()).reduce(better).expect("a selection is not empty");
        let shares = (0..models.len()).map(|m| f64::from(u8::from(m == best))).collect();
        let cost = price(&statics[best]).unwrap_or_default();
        CurvePoint { lambda, cost, quality: statics[best].quality, shares }
    };
    let mut points: Vec<CurvePoint> = Vec::with_capacity(curve.len());
    for point in curve {
        let strangers = (0..point.shares.len()).filter(|m| !models.contains(m)).any(|m| point.shares[m] > 0.0);
        let new = if strangers {
            fixed(point.lambda)
        } else {
            CurvePoint { shares: pick(&point.shares, models), ..point.clone() }
        };
        // The same fixed choice over a range of λ is one point; quality alone, the last, is asked for by name and stays.
        let repeated = points.last().is_some_and(|last| last.shares == new.shares) && strangers;
        if !repeated || new.lambda.is_none() {
            points.push(new);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{CostTarget, Document};

    fn artifact() -> Artifact {
        let bytes = include_bytes!("../../../../tests/formats/fixtures/router-v2.safetensors");
        Artifact::from_bytes(bytes, "fixture").expect("the fixture opens")
    }

    fn addition(artifact: &Artifact) -> Addition {
        let Document { tasks, dimensions, .. } = &artifact.document;
        let width = artifact.weights.cost_weight.len() / artifact.document.models.len();
        Addition {
            name: "new".into(),
            mean: 0.6,
            contrast: vec![0.1; tasks.len()],
            contrast_variance: vec![0.01; tasks.len()],
            leaf: (0_u16..).take(dimensions.leaves).map(|leaf| f32::from(leaf) * 1e-3).collect(),
            residual_variance: 0.2,
            cost_weight: vec![0.0; width],
            latency_weight: vec![0.0; width],
            cost: CostHead { target: CostTarget::CostUsd, base_tokens: 0.0, tokens_per_char: 0.25 },
            price: Some(ListPrice { input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0 }),
            statics: StaticMeans { quality: 0.6, cost_usd: Some(0.01), latency_ms: None, outcomes: 50 },
            profile: vec![(1.0, 0.5); tasks.len()],
        }
    }

    #[test]
    fn adding_and_leaving_out_again_is_nothing() {
        let before = artifact();
        let mut after = before.clone();
        after.push(addition(&before));
        after.to_bytes().expect("valid");
        let k = before.document.models.len();
        assert_eq!(after.weights.leaf.len(), before.weights.leaf_rarity.len() * (k + 1));
        assert_eq!(after.document.prices.len(), before.document.prices.len() + 1);
        let known: Vec<usize> = (0..k).collect();
        assert_eq!(after.select(&known), before);
    }

    #[test]
    fn orders_undo_each_other() {
        let before = artifact();
        assert_eq!(before.select(&[2, 0, 1]).select(&[1, 2, 0]), before);
    }

    #[test]
    fn a_new_name_takes_the_price_along() {
        let mut artifact = artifact();
        artifact.push(addition(&artifact));
        let last = artifact.document.models.len() - 1;
        artifact.rename(last, "newer");
        assert_eq!(artifact.document.models[last], "newer");
        assert!(artifact.document.prices.contains_key("newer") && !artifact.document.prices.contains_key("new"));
    }

    #[test]
    fn points_that_never_called_the_retired_stay_and_others_are_fixed_choices() {
        let statics = [(0.5, 0.001), (0.8, 0.01)].map(|(quality, cost)| StaticMeans {
            quality,
            cost_usd: Some(cost),
            latency_ms: None,
            outcomes: 1,
        });
        let point = |lambda, shares: [f64; 3]| CurvePoint { lambda, cost: 0.003, quality: 0.6, shares: shares.into() };
        let curve = [
            point(Some(0.001), [0.5, 0.5, 0.0]),
            point(Some(0.01), [0.9, 0.0, 0.1]),
            point(Some(0.02), [0.8, 0.1, 0.1]),
            point(Some(0.1), [0.1, 0.5, 0.4]),
            point(None, [0.1, 0.1, 0.8]),
        ];
        let new = without(&curve, &[0, 2], &statics, |means| means.cost_usd);
        let brief: Vec<_> = new.iter().map(|p| (p.lambda, p.cost, p.quality, p.shares.clone())).collect();
        assert_eq!(
            brief,
            [
                // λ = 0.001: the cheaper one's utility is the higher.
                (Some(0.001), 0.001, 0.5, vec![1.0, 0.0]),
                (Some(0.01), 0.003, 0.6, vec![0.9, 0.1]),
                (Some(0.02), 0.001, 0.5, vec![1.0, 0.0]),
                (Some(0.1), 0.01, 0.8, vec![0.0, 1.0]),
                (None, 0.01, 0.8, vec![0.0, 1.0]),
            ]
        );
    }

    #[test]
    #[should_panic(expected = "every position once")]
    fn a_position_twice_is_the_callers_mistake() {
        let _ = artifact().select(&[0, 0]);
    }
}
