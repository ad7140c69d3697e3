//! Paired, seeded bootstrap by resample counts.
//!
//! A resample is a vector of counts, one per query: how often the query was drawn. Every mean under the resample
//! is then a dot product of counts with a per-query array, and all routers compared see the same counts, which is
//! what makes differences between them paired. One resample depends only on the seed and its index, so a caller
//! may spread indices over threads in any way and get the same numbers.
//!
//! # References
//!
//! Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13 (percentile interval).

use std::collections::BTreeMap;

use crate::error::{MetricsError, check_length};

/// Length of the pieces in which several resamples share one pass over a row; 2,048 f64 are 16 KiB, half of a
/// common first-level cache. A guess that only speed depends on.
const TILE: usize = 2_048;

/// Draws resamples of n queries, or of the groups they belong to.
///
/// # Examples
///
/// ```
/// use pointsman_metrics::Resampler;
///
/// let resampler = Resampler::new(4, 42)?;
/// let counts = resampler.counts(0);
/// assert_eq!(counts.iter().sum::<f64>(), 4.0);
/// assert_eq!(counts, resampler.counts(0));
/// assert!(Resampler::new(0, 42).is_err());
/// # Ok::<(), pointsman_metrics::MetricsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resampler {
    seed: u64,
    n_queries: usize,
    /// Unit of each query where units are groups; `None`: each query is its own unit.
    unit: Option<Vec<u32>>,
    n_units: usize,
    /// Units of each stratum, drawn among themselves; empty: all units are one stratum.
    strata: Vec<Vec<u32>>,
}

impl Resampler {
    /// Resamples single queries.
    ///
    /// # Errors
    ///
    /// If there is no query.
    pub fn new(n_queries: usize, seed: u64) -> Result<Self, MetricsError> {
        if n_queries == 0 {
            return Err(MetricsError::Empty { what: "queries" });
        }
        Ok(Self { seed, n_queries, unit: None, n_units: n_queries, strata: Vec::new() })
    }

    /// Resamples whole groups of queries that are not independent (one conversation, one document).
    ///
    /// `groups` gives each query its group, `[n_queries]`, numbered from 0 without holes. The number of queries
    /// in a resample then varies; means divide by the sum of counts.
    ///
    /// # Errors
    ///
    /// If there is no query.
    pub fn grouped(groups: Vec<u32>, seed: u64) -> Result<Self, MetricsError> {
        let n_units = groups.iter().map(|&g| g as usize + 1).max().ok_or(MetricsError::Empty { what: "queries" })?;
        Ok(Self { seed, n_queries: groups.len(), unit: Some(groups), n_units, strata: Vec::new() })
    }

    /// The same, but each unit is replaced by one of its own stratum (task, dataset): every resample then has as many
    /// units of each stratum as the data. That is right where the mix of strata is fixed by design, and gives narrower
    /// intervals than it should where the mix itself is a sample.
    ///
    /// `strata` gives each query its stratum, `[n_queries]`, any numbers. A unit of several strata belongs to that of its
    /// first query. A stratum of one unit never varies.
    ///
    /// # Errors
    ///
    /// If there is not one stratum per query.
    ///
    /// # Examples
    ///
    /// ```
    /// use pointsman_metrics::Resampler;
    ///
    /// let counts = Resampler::new(5, 42)?.stratified(&[0, 0, 0, 1, 1])?.counts(7);
    /// assert_eq!((counts[..3].iter().sum::<f64>(), counts[3..].iter().sum::<f64>()), (3.0, 2.0));
    /// # Ok::<(), pointsman_metrics::MetricsError>(())
    /// ```
    pub fn stratified(mut self, strata: &[u32]) -> Result<Self, MetricsError> {
        check_length("strata", strata.len(), self.n_queries)?;
        let mut members: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut seen = vec![false; self.n_units];
        for (query, &stratum) in (0_u32..).zip(strata) {
            let unit = self.unit.as_ref().map_or(query, |unit| unit[query as usize]);
            if !std::mem::replace(&mut seen[unit as usize], true) {
                members.entry(stratum).or_default().push(unit);
            }
        }
        self.strata = members.into_values().collect();
        Ok(self)
    }

    /// Number of queries n.
    pub fn n_queries(&self) -> usize {
        self.n_queries
    }

    /// How often each query occurs in resample `index`, `[n_queries]`; the same for the same seed and index.
    pub fn counts(&self, index: u64) -> Vec<f64> {
        let mut rng = fastrand::Rng::with_seed(mix(self.seed, index));
        let mut drawn = vec![0.0; self.n_units];
        if self.strata.is_empty() {
            for _ in 0..self.n_units {
                drawn[rng.usize(..self.n_units)] += 1.0;
            }
        }
        for stratum in &self.strata {
            for _ in stratum {
                drawn[stratum[rng.usize(..stratum.len())] as usize] += 1.0;
            }
        }
        match &self.unit {
            None => drawn,
            Some(unit) => unit.iter().map(|&u| drawn[u as usize]).collect(),
        }
    }
}

/// A value with its 95 % percentile interval (or another level, where said).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// On the data as they are.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// The percentile interval at `level` (0.95 for 95 %) of a value's resampled replicates.
    ///
    /// Replicates where the statistic was undefined (`None`) are left out; the interval is `None` if fewer than
    /// half are defined, or there is none. Percentiles interpolate linearly.
    ///
    /// # Examples
    ///
    /// ```
    /// use pointsman_metrics::Interval;
    ///
    /// let replicates = (0..=100).map(|i| Some(f64::from(i)));
    /// let interval = Interval::percentile(50.0, replicates, 0.95).expect("defined");
    /// assert!((interval.low - 2.5).abs() < 1e-9 && (interval.high - 97.5).abs() < 1e-9);
    /// assert_eq!(Interval::percentile(1.0, [None, None, Some(1.0)], 0.95), None);
    /// ```
    pub fn percentile(value: f64, replicates: impl IntoIterator<Item = Option<f64>>, level: f64) -> Option<Self> {
        let mut n = 0;
        let mut defined: Vec<f64> =
            replicates.into_iter().inspect(|_| n += 1).flatten().filter(|v| v.is_finite()).collect();
        if defined.is_empty() || defined.len() * 2 < n {
            return None;
        }
        defined.sort_by(f64::total_cmp);
        let tail = (1.0 - level.clamp(0.0, 1.0)) / 2.0;
        Some(Self { value, low: quantile_of_sorted(&defined, tail), high: quantile_of_sorted(&defined, 1.0 - tail) })
    }

    /// Half the width of the interval: about the smallest difference that these data can show.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Dot product of two arrays of one length, in a fixed order of summation.
///
/// # Panics
///
/// If the lengths differ.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "arrays over the same queries");
    // Eight independent sums: the order is fixed, and the compiler may use vector registers.
    let mut lanes = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    let [l0, l1, l2, l3, l4, l5, l6, l7] = lanes;
    ((l0 + l4) + (l1 + l5)) + ((l2 + l6) + (l3 + l7)) + rest
}

/// Dot products of every row with every vector of counts, `[n_counts, n_rows]`.
///
/// Rows and counts have one length n. Rows are read once for all counts, in pieces that stay in cache, so for
/// large n a few resamples at a time cost little more memory traffic than one. The sums do not depend on how
/// resamples are batched.
///
/// # Panics
///
/// If lengths differ.
pub fn weighted_sums(rows: &[&[f64]], counts: &[Vec<f64>]) -> Vec<f64> {
    let mut sums = vec![0.0; rows.len() * counts.len()];
    let Some(n) = counts.first().map(Vec::len) else {
        return sums;
    };
    assert!(rows.iter().all(|r| r.len() == n) && counts.iter().all(|c| c.len() == n), "arrays over the same queries");
    for from in (0..n).step_by(TILE) {
        let tile = from..n.min(from + TILE);
        for (r, row) in rows.iter().enumerate() {
            for (c, count) in counts.iter().enumerate() {
                sums[c * rows.len() + r] += dot(&row[tile.clone()], &count[tile.clone()]);
            }
        }
    }
    sums
}

/// Linear interpolation between order statistics (type 7 of Hyndman & Fan 1996, numpy's default).
pub(crate) fn quantile_of_sorted(sorted: &[f64], p: f64) -> f64 {
    let h = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let low = h.floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= h < len")]
    let i = low as usize;
    let next = sorted.get(i + 1).copied().unwrap_or(sorted[i]);
    sorted[i] + (next - sorted[i]) * (h - low)
}

/// A seed for the pair (seed, index): the finaliser of `SplitMix64`, so that neighbouring indices are unrelated.
fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "expected values are exact in binary")]
mod tests {
    use super::*;

    #[test]
    fn strata_keep_their_size_and_groups_stay_whole() {
        let groups = Resampler::grouped(vec![0, 0, 1, 2, 2, 3], 5).expect("queries");
        let draws = groups.stratified(&[9, 9, 9, 4, 4, 4]).expect("one stratum per query");
        let mut varied = false;
        for index in 0..50 {
            let counts = draws.counts(index);
            assert!(counts[0] == counts[1] && counts[3] == counts[4]);
            assert!(counts[0] + counts[2] == 2.0 && counts[3] + counts[5] == 2.0);
            varied |= counts[0] != 1.0;
        }
        assert!(varied);
        assert!(Resampler::new(3, 1).expect("queries").stratified(&[0]).is_err());
    }

    #[test]
    fn counts_depend_on_seed_and_index_only() {
        let r = Resampler::new(50, 1).expect("not empty");
        assert_eq!(r.counts(3), Resampler::new(50, 1).expect("not empty").counts(3));
        assert_ne!(r.counts(3), r.counts(4));
        assert_ne!(r.counts(3), Resampler::new(50, 2).expect("not empty").counts(3));
        assert_eq!(r.counts(9).iter().sum::<f64>(), 50.0);
        assert_eq!(r.n_queries(), 50);
    }

    #[test]
    fn groups_are_drawn_whole() {
        let r = Resampler::grouped(vec![0, 0, 1, 2, 2], 5).expect("not empty");
        for index in 0..20 {
            let c = r.counts(index);
            assert_eq!((c[0], c[3]), (c[1], c[4]));
            assert_eq!(c[0] + c[2] + c[3], 3.0);
        }
        assert!(Resampler::grouped(vec![], 5).is_err());
    }

    #[test]
    fn standard_error_of_a_mean_is_recovered() {
        // 400 values, half 0 and half 1: sd of the mean is 0.5 / 20 = 0.025.
        let row: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let r = Resampler::new(400, 11).expect("not empty");
        let replicates = (0..2_000).map(|b| Some(dot(&row, &r.counts(b)) / 400.0));
        let interval = Interval::percentile(0.5, replicates, 0.95).expect("defined");
        assert!((interval.half_width() - 1.96 * 0.025).abs() < 0.004, "{interval:?}");
    }

    #[test]
    fn dot_is_the_sum_of_products() {
        let a: Vec<f64> = (0..21).map(f64::from).collect();
        assert_eq!(dot(&a, &a), 2_870.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }

    #[test]
    fn weighted_sums_do_not_depend_on_batching() {
        let mut rng = fastrand::Rng::with_seed(3);
        let rows: Vec<Vec<f64>> = (0..3).map(|_| (0..5_000).map(|_| rng.f64()).collect()).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let r = Resampler::new(5_000, 8).expect("not empty");
        let both = weighted_sums(&rows, &[r.counts(0), r.counts(1)]);
        let first = weighted_sums(&rows, &[r.counts(0)]);
        let second = weighted_sums(&rows, &[r.counts(1)]);
        assert_eq!(both, [first.clone(), second].concat());
        assert!((first[0] - dot(rows[0], &r.counts(0))).abs() < 1e-9);
        assert!(weighted_sums(&rows, &[]).is_empty() && weighted_sums(&[], &[r.counts(0)]).is_empty());
    }

    #[test]
    fn interval_needs_half_of_its_replicates() {
        assert_eq!(Interval::percentile(1.0, [], 0.95), None);
        let single = Interval::percentile(1.0, [Some(2.0), None], 0.95).expect("half are defined");
        assert_eq!((single.value, single.low, single.high), (1.0, 2.0, 2.0));
        assert_eq!(Interval::percentile(1.0, [Some(f64::NAN)], 0.95), None);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile_of_sorted(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile_of_sorted(&[1.0, 2.0, 4.0], 1.0), 4.0);
    }
}
