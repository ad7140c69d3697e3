//! The forest: what the task table leaves over, by trees whose leaves hold one number per model.
//!
//! Extremely randomised trees: at every node a random part of the signals is tried, each at one random threshold, and the split
//! that explains most of the variance, summed over models, is taken. Vector leaves share structure between models, so that level and contrast
//! are learned together and cost one walk per tree for all models.
//!
//! # References
//! - Geurts, Ernst & Wehenkel (2006), *Extremely randomized trees*.

use pointsman::artifact::{LEAF, Weights};
use rayon::prelude::*;

use crate::recipe::RecipeSettings;

/// Prompts that one tree sees at most.
const MOST_PROMPTS: usize = 50_000;

/// Share of the prompts that one tree sees, in per cent.
const BAG: usize = 67;

/// Share of the signals tried at a node, in per cent.
const SIGNALS_TRIED: usize = 40;

/// A prompt without an outcome of a model counts as much of an outcome at the leaf's level.
const LEVEL_EVIDENCE: f32 = 0.5;

/// What trees are grown from.
pub(crate) struct Plot<'a> {
    /// Signals `[n, width]`, row-major.
    pub(crate) signals: &'a [f32],
    /// Length of a row of signals.
    pub(crate) width: usize,
    /// The first of them are tried.
    pub(crate) tried: usize,
    /// What is left over `[n, k]`; NaN where not observed.
    pub(crate) residuals: &'a [f32],
    pub(crate) k: usize,
    /// Sample weights `[n]`.
    pub(crate) weights: &'a [f32],
}

/// A grown forest; leaves in single precision.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forest {
    root: Vec<u32>,
    signal: Vec<u16>,
    threshold: Vec<f32>,
    child: Vec<u32>,
    /// `[leaves, k]`.
    leaf: Vec<f32>,
    rarity: Vec<f32>,
}

/// Grows a forest on `rows`.
pub(crate) fn grow(plot: &Plot<'_>, rows: &[usize], settings: &RecipeSettings, trees: usize, seed: u64) -> Forest {
    let columns = Columns::new(plot, rows);
    let bag = (rows.len() * BAG / 100).clamp(1, MOST_PROMPTS);
    let grown: Vec<Forest> = (0..trees as u64)
        .into_par_iter()
        .map(|tree| {
            let mut random = fastrand::Rng::with_seed(seed ^ (tree + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut bagged: Vec<u32> = (0..u32::try_from(rows.len()).expect("prompts are numbered by u32")).collect();
            random.shuffle(&mut bagged);
            bagged.truncate(bag);
            columns.grow(bagged, settings, &mut random)
        })
        .collect();
    let mut forest = Forest::default();
    for tree in grown {
        forest.append(tree);
    }
    forest
}

impl Forest {
    pub(crate) fn trees(&self) -> usize {
        self.root.len()
    }

    pub(crate) fn nodes(&self) -> usize {
        self.child.len()
    }

    pub(crate) fn leaves(&self) -> usize {
        self.rarity.len()
    }

    fn append(&mut self, tree: Self) {
        let (nodes, leaves) = (number(self.child.len()), number(self.rarity.len()));
        self.root.push(nodes);
        let children = tree.child.iter().zip(&tree.signal);
        self.child.extend(children.map(|(child, signal)| child + if *signal == LEAF { leaves } else { nodes }));
        self.signal.extend(tree.signal);
        self.threshold.extend(tree.threshold);
        self.leaf.extend(tree.leaf);
        self.rarity.extend(tree.rarity);
    }

    /// Puts the forest into the tensors, leaves in int8 with one step per model.
    #[expect(clippy::cast_possible_truncation, reason = "values are clamped to the int8 range")]
    pub(crate) fn store(&self, k: usize, weights: &mut Weights) {
        weights.root.clone_from(&self.root);
        weights.node_signal.clone_from(&self.signal);
        weights.node_threshold.clone_from(&self.threshold);
        weights.node_child.clone_from(&self.child);
        weights.leaf_rarity.clone_from(&self.rarity);
        let mut largest = vec![0.0_f32; k];
        for leaf in self.leaf.chunks_exact(k) {
            for (largest, value) in largest.iter_mut().zip(leaf) {
                *largest = largest.max(value.abs());
            }
        }
        weights.leaf_scale = largest.iter().map(|largest| if *largest > 0.0 { largest / 127.0 } else { 1.0 }).collect();
        let step = |leaf: &[f32]| -> Vec<i8> {
            leaf.iter()
                .zip(&weights.leaf_scale)
                .map(|(x, scale)| (x / scale).round().clamp(-127.0, 127.0) as i8)
                .collect()
        };
        weights.leaf = self.leaf.chunks_exact(k).flat_map(step).collect();
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("a forest has far fewer than 2^32 nodes")
}

/// Signals by column, outcomes by row, of the prompts that trees grow on.
struct Columns {
    n: usize,
    k: usize,
    /// `[signals][n]`; those that never vary are left out.
    signals: Vec<(u16, Vec<f32>)>,
    /// Residual times weight `[n, k]`, 0 where not observed.
    residuals: Vec<f32>,
    /// Weight where observed `[n, k]`; empty where everything was observed with weight 1.
    observed: Vec<f32>,
}

/// Sums over the prompts of a node, `[k]` each; where everything was observed, one count serves all models.
#[derive(Clone, Default)]
struct Sums {
    residual: Vec<f32>,
    weight: Vec<f32>,
}

impl Columns {
    fn new(plot: &Plot<'_>, rows: &[usize]) -> Self {
        let k = plot.k;
        let dense = rows.iter().all(|&row| {
            plot.weights[row].to_bits() == 1.0_f32.to_bits()
                && plot.residuals[row * k..(row + 1) * k].iter().all(|r| !r.is_nan())
        });
        let signals = (0..plot.tried)
            .map(|signal| {
                (signal, rows.iter().map(|&row| plot.signals[row * plot.width + signal]).collect::<Vec<f32>>())
            })
            .filter(|(_, values)| values.iter().any(|value| value.to_bits() != values[0].to_bits()))
            .map(|(signal, values)| (u16::try_from(signal).expect("signals are numbered by u16"), values))
            .collect();
        let cells =
            || rows.iter().flat_map(|&row| plot.residuals[row * k..(row + 1) * k].iter().map(move |r| (row, *r)));
        Self {
            n: rows.len(),
            k,
            signals,
            residuals: cells().map(|(row, r)| if r.is_nan() { 0.0 } else { r * plot.weights[row] }).collect(),
            observed: if dense {
                Vec::new()
            } else {
                cells().map(|(row, r)| if r.is_nan() { 0.0 } else { plot.weights[row] }).collect()
            },
        }
    }

    fn grow(&self, mut rows: Vec<u32>, settings: &RecipeSettings, random: &mut fastrand::Rng) -> Forest {
        debug_assert!(rows.len() <= self.n);
        let mut tree = Forest::default();
        tree.push_node();
        let mut open = vec![(0_usize, 0, rows.len(), 0)];
        while let Some((node, start, end, depth)) = open.pop() {
            let members = &mut rows[start..end];
            let split = if depth < settings.depth && members.len() >= 2 * settings.leaf {
                self.split(members, settings.leaf, random)
            } else {
                None
            };
            let Some((column, threshold, left)) = split else {
                tree.child[node] = number(tree.rarity.len());
                tree.rarity.push(1.0 / members.len().max(1) as f32);
                tree.leaf.extend(self.leaf(members));
                continue;
            };
            let (signal, values) = &self.signals[column];
            let middle = partition(members, |row| values[row as usize] < threshold);
            debug_assert_eq!(middle, left);
            let child = tree.child.len();
            tree.push_node();
            tree.push_node();
            tree.signal[node] = *signal;
            tree.threshold[node] = threshold;
            tree.child[node] = number(child);
            open.push((child, start, start + middle, depth + 1));
            open.push((child + 1, start + middle, end, depth + 1));
        }
        tree
    }

    /// The best of the splits tried: column, threshold, prompts to the left.
    fn split(&self, members: &[u32], least: usize, random: &mut fastrand::Rng) -> Option<(usize, f32, usize)> {
        let tries = (self.signals.len() * SIGNALS_TRIED).div_ceil(100);
        let total = self.sums(members.iter().copied());
        let mut order: Vec<usize> = (0..self.signals.len()).collect();
        let mut best: Option<(f64, usize, f32, usize)> = None;
        let mut left = Sums::default();
        for attempt in 0..order.len() {
            // Where none of those tried splits at all, the others get their turn.
            if attempt >= tries && best.is_some() {
                break;
            }
            let pick = random.usize(attempt..order.len());
            order.swap(attempt, pick);
            let column = order[attempt];
            let values = &self.signals[column].1;
            let (low, high) = members.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &row| {
                let value = values[row as usize];
                (low.min(value), high.max(value))
            });
            if low >= high {
                continue;
            }
            let threshold = low + (high - low) * (1.0 - random.f32());
            let count = self.sum_where(members, values, threshold, &mut left);
            if count < least || members.len() - count < least {
                continue;
            }
            let score = self.explained(&total, members.len(), &left, count);
            if best.is_none_or(|(best, ..)| score > best) {
                best = Some((score, column, threshold, count));
            }
        }
        best.map(|(_, column, threshold, count)| (column, threshold, count))
    }

    /// Sums over the members below a threshold; returns their number.
    fn sum_where(&self, members: &[u32], values: &[f32], threshold: f32, sums: &mut Sums) -> usize {
        sums.residual.clear();
        sums.residual.resize(self.k, 0.0);
        sums.weight.clear();
        sums.weight.resize(if self.observed.is_empty() { 0 } else { self.k }, 0.0);
        let mut count = 0;
        for &row in members {
            if values[row as usize] < threshold {
                count += 1;
                self.add(row, sums);
            }
        }
        count
    }

    fn sums(&self, members: impl Iterator<Item = u32>) -> Sums {
        let weight = if self.observed.is_empty() { 0 } else { self.k };
        let mut sums = Sums { residual: vec![0.0; self.k], weight: vec![0.0; weight] };
        members.for_each(|row| self.add(row, &mut sums));
        sums
    }

    fn add(&self, row: u32, sums: &mut Sums) {
        let cells = row as usize * self.k..(row as usize + 1) * self.k;
        for (sum, r) in sums.residual.iter_mut().zip(&self.residuals[cells.clone()]) {
            *sum += r;
        }
        if !self.observed.is_empty() {
            for (sum, w) in sums.weight.iter_mut().zip(&self.observed[cells]) {
                *sum += w;
            }
        }
    }

    /// Sum over models and sides of squared sum over weight: what a split leaves unexplained falls by it.
    fn explained(&self, total: &Sums, members: usize, left: &Sums, count: usize) -> f64 {
        let mut score = 0.0;
        for model in 0..self.k {
            let (l, r) = (left.residual[model], total.residual[model] - left.residual[model]);
            let (nl, nr) = if self.observed.is_empty() {
                (count as f32, (members - count) as f32)
            } else {
                (left.weight[model], total.weight[model] - left.weight[model])
            };
            score += f64::from(l * l / nl.max(1e-3)) + f64::from(r * r / nr.max(1e-3));
        }
        score
    }

    /// Mean residual per model; a missing outcome is in part taken for one at the leaf's level.
    fn leaf(&self, members: &[u32]) -> Vec<f32> {
        let sums = self.sums(members.iter().copied());
        let n = members.len() as f32;
        if self.observed.is_empty() {
            return sums.residual.iter().map(|sum| sum / n.max(1.0)).collect();
        }
        let level = sums.residual.iter().sum::<f32>() / sums.weight.iter().sum::<f32>().max(1e-3);
        let cells = sums.residual.iter().zip(&sums.weight);
        cells
            .map(|(sum, weight)| {
                let missing = LEVEL_EVIDENCE * (n - weight).max(0.0);
                (sum + missing * level) / (weight + missing).max(1e-3)
            })
            .collect()
    }
}

impl Forest {
    fn push_node(&mut self) {
        self.signal.push(LEAF);
        self.threshold.push(0.0);
        self.child.push(0);
    }
}

/// Brings those that `first` holds of to the front; returns their number.
fn partition(members: &mut [u32], first: impl Fn(u32) -> bool) -> usize {
    let mut middle = 0;
    for position in 0..members.len() {
        if first(members[position]) {
            members.swap(position, middle);
            middle += 1;
        }
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two signals, of which the first decides which of two models is better; the second is noise.
    fn grown(n: usize, missing: bool) -> (Vec<f32>, Weights) {
        let mut random = fastrand::Rng::with_seed(5);
        let signals: Vec<f32> = (0..n * 2).map(|_| random.f32()).collect();
        let residual = |row: usize, model: usize| {
            let better = (signals[row * 2] > 0.5) == (model == 0);
            if missing && (row + model).is_multiple_of(3) {
                f32::NAN
            } else if better {
                0.4
            } else {
                -0.4
            }
        };
        let residuals: Vec<f32> = (0..n).flat_map(|row| [residual(row, 0), residual(row, 1)]).collect();
        let weights = vec![1.0; n];
        let plot = Plot { signals: &signals, width: 2, tried: 2, residuals: &residuals, k: 2, weights: &weights };
        let rows: Vec<usize> = (0..n).collect();
        let forest = grow(&plot, &rows, &RecipeSettings::default(), 20, 1);
        assert_eq!(forest.trees(), 20);
        let mut stored = Weights::default();
        forest.store(2, &mut stored);
        (signals, stored)
    }

    fn predicted(weights: &Weights, signals: &[f32], model: usize) -> f32 {
        let sum: i32 = weights
            .root
            .iter()
            .map(|root| {
                let mut node = *root as usize;
                while weights.node_signal[node] != LEAF {
                    let right = signals[usize::from(weights.node_signal[node])] >= weights.node_threshold[node];
                    node = weights.node_child[node] as usize + usize::from(right);
                }
                i32::from(weights.leaf[weights.node_child[node] as usize * 2 + model])
            })
            .sum();
        sum as f32 * weights.leaf_scale[model] / weights.root.len() as f32
    }

    #[test]
    fn the_signal_that_matters_is_found_with_and_without_gaps() {
        for missing in [false, true] {
            let (_, weights) = grown(600, missing);
            let of = |first: f32, model| predicted(&weights, &[first, 0.5], model);
            let found = [of(0.9, 0), of(0.9, 1), of(0.1, 0), of(0.1, 1)];
            assert!(found[0] > 0.15 && found[1] < -0.15 && found[2] < -0.15 && found[3] > 0.15, "{found:?}");
        }
    }

    #[test]
    fn children_stand_behind_their_parents_and_leaves_are_not_too_small() {
        let (_, weights) = grown(300, false);
        for (node, (signal, child)) in weights.node_signal.iter().zip(&weights.node_child).enumerate() {
            assert!(*signal == LEAF || *child as usize > node);
        }
        let least = RecipeSettings::default().leaf as f32;
        assert!(weights.leaf_rarity.iter().all(|rarity| 1.0 / rarity >= least - 0.5));
    }
}
