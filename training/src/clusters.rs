//! Pseudo-tasks for logs without labels: clusters of prompts by what they say and look like.

use linfa::DatasetBase;
use linfa::traits::{Fit, Predict};
use linfa_clustering::KMeans;
use ndarray::Array2;
use pointsman::features::SURFACE_SIGNALS;
use rand_xoshiro::Xoshiro256Plus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::dataset::Dataset;
use crate::error::Error;
use crate::linear::BLOCK;

/// Width of the random projection of the word counts.
const PROJECTION: usize = 48;

/// Weight of the surface signals against the words, whose vectors have length 1.
const SURFACE_WEIGHT: f64 = 0.08;

/// Prompts that the centres are fitted to at most.
const MOST_CLUSTERED: usize = 50_000;

/// Bits of the table of document frequencies.
const BITS: u32 = 18;

/// Assigns every prompt to one of at most `clusters` clusters, and none smaller than about 20 prompts on average.
///
/// A prompt is its base embedding or, without one, its bag of words and word pairs under TF-IDF weights, projected by hashed
/// signs to 48 dimensions and normalised; with its standardised surface signals beside it.
pub(crate) fn assign(data: &Dataset, clusters: usize, seed: u64) -> Result<Vec<Option<u32>>, Error> {
    let k = clusters.min(data.n() / 20).max(1);
    if k < 2 {
        return Ok(vec![Some(0); data.n()]);
    }
    let space = Space::new(data);
    // The centres of a million prompts are those of an even sample of them.
    let stride = data.n().div_ceil(MOST_CLUSTERED);
    let sample: Vec<usize> = (0..data.n()).step_by(stride).collect();
    let random = Xoshiro256Plus::seed_from_u64(seed);
    let observations = DatasetBase::from(space.points(data, &sample));
    let model = KMeans::params_with_rng(k, random)
        .n_runs(3)
        .max_n_iterations(60)
        .tolerance(1e-3)
        .fit(&observations)
        .map_err(|error| Error::Clustering(error.to_string()))?;
    let rows: Vec<usize> = (0..data.n()).collect();
    let mut assigned = Vec::with_capacity(data.n());
    for block in rows.chunks(BLOCK) {
        let clusters = model.predict(&space.points(data, block));
        assigned.extend(clusters.iter().map(|cluster| u32::try_from(*cluster).ok()));
    }
    Ok(assigned)
}

/// What turns prompts into points.
struct Space {
    n: f64,
    document_frequency: Vec<u32>,
    surface_mean: [f64; SURFACE_SIGNALS],
    surface_deviation: [f64; SURFACE_SIGNALS],
}

impl Space {
    fn new(data: &Dataset) -> Self {
        let mut document_frequency = vec![0_u32; 1 << BITS];
        let mut last_seen = vec![usize::MAX; 1 << BITS];
        for (row, features) in data.features.iter().enumerate() {
            for hash in features.main() {
                let bucket = bucket(*hash);
                if last_seen[bucket] != row {
                    last_seen[bucket] = row;
                    document_frequency[bucket] += 1;
                }
            }
        }
        let n = data.n() as f64;
        let mut space = Self {
            n,
            document_frequency,
            surface_mean: [0.0; SURFACE_SIGNALS],
            surface_deviation: [0.0; SURFACE_SIGNALS],
        };
        for signal in 0..SURFACE_SIGNALS {
            let values = || data.features.iter().map(|features| f64::from(features.surface()[signal]));
            let mean = values().sum::<f64>() / n;
            space.surface_mean[signal] = mean;
            space.surface_deviation[signal] = (values().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        }
        space
    }

    /// Points of `rows`, `[rows, d]`.
    fn points(&self, data: &Dataset, rows: &[usize]) -> Array2<f64> {
        let meaning = data.base.as_ref().map_or(PROJECTION, |base| base.dimensions());
        let mut points = Array2::<f64>::zeros((rows.len(), meaning + SURFACE_SIGNALS));
        for (mut point, &row) in points.rows_mut().into_iter().zip(rows) {
            let features = &data.features[row];
            for (x, value) in point.iter_mut().zip(features.embedding()) {
                *x = f64::from(*value);
            }
            for hash in features.main().iter().filter(|_| data.base.is_none()) {
                let idf = (self.n / f64::from(self.document_frequency[bucket(*hash)].max(1))).ln().max(0.0);
                // The low 48 bits of the hash are free of the bucket: one sign for each dimension.
                for dimension in 0..PROJECTION {
                    let sign = if hash >> dimension & 1 == 0 { 1.0 } else { -1.0 };
                    point[dimension] += sign * idf;
                }
            }
            let length = point.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-9);
            point.iter_mut().for_each(|x| *x /= length);
            for signal in 0..SURFACE_SIGNALS {
                let (mean, deviation) = (self.surface_mean[signal], self.surface_deviation[signal]);
                if deviation > 1e-9 {
                    let value = (f64::from(features.surface()[signal]) - mean) / deviation;
                    point[meaning + signal] = SURFACE_WEIGHT * value.clamp(-4.0, 4.0);
                }
            }
        }
        points
    }
}

fn bucket(hash: u64) -> usize {
    (hash >> (64 - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};

    #[test]
    fn kinds_of_text_fall_into_different_clusters() {
        let data = dataset(&two_kinds(200), 1, |_, _| 1.0, |_, _| 1.0);
        let clusters = assign(&data, 2, 1).expect("clusters");
        let agree = (0..200).filter(|row| clusters[*row] == clusters[row % 2]).count();
        assert_ne!(clusters[0], clusters[1]);
        assert!(agree > 190, "{agree} of 200");
        assert_eq!(clusters, assign(&data, 2, 1).expect("clusters"), "the same seed gives the same clusters");
    }

    #[test]
    fn a_handful_of_prompts_is_one_cluster() {
        let data = dataset(&two_kinds(30), 1, |_, _| 1.0, |_, _| 1.0);
        assert!(assign(&data, 16, 1).expect("clusters").iter().all(|cluster| *cluster == Some(0)));
    }
}
