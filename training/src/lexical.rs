//! The lexical heads: a linear embedding classifier over words and pairs of words.
//!
//! A prompt is a vector of words, weighted by inverse document frequency and of length 1, beside its surface
//! signals. Two linear models see it: a softmax over tasks, and a logistic regression per model. The row that a word has in all
//! of them is its embedding, kept as int8.
//!
//! # References
//! - Joulin et al. (2017), *Bag of Tricks for Efficient Text Classification*: words and pairs under a linear head.
//! - Manning, Raghavan & Schütze (2008), *Introduction to Information Retrieval*, 6.2: inverse document frequency.

use std::collections::HashMap;

use pointsman::artifact::Weights;
use pointsman::features::MAIN_TURN_WEIGHT;
use pointsman::predictor::{Encoder, standardise};
use pointsman::vocabulary::Vocabulary;
use pointsman::{Features, Predictions};

use crate::dataset::Dataset;
use crate::error::Error;
use crate::loss::{Target, loss, rows_at_once};
use crate::minimise::minimise;
use crate::recipe::Recipe;

/// A word of which one training prompt holds all there is teaches nothing about others.
const LEAST_DOCUMENTS: u32 = 2;

/// Counters of the first pass, in which words share: 2 to this power.
const SKETCH_BITS: u32 = 24;

/// Prompts that the heads are fitted on at most, evenly chosen: a tenth of a million teaches them all but the rarest words.
const MOST_PROMPTS: usize = 200_000;

/// Outcome heads fitted together: more would only take more memory.
const MODELS_AT_ONCE: usize = 16;

/// Fitted heads: the vocabulary, lexical and surface tensors, quantised as they will be served.
#[derive(Clone, Debug)]
pub(crate) struct Lexical {
    pub(crate) weights: Weights,
    tasks: usize,
}

impl Lexical {
    /// Signals of one prompt up to the lexical logits, by the online code.
    pub(crate) fn encode(&self, features: &Features, out: &mut Predictions) {
        Encoder::new(&self.weights, self.tasks).lexical(features, out);
    }
}

/// Which heads to fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heads {
    /// Tasks and outcomes.
    All,
    /// Tasks alone, to see what they say of a task they were not shown.
    Tasks,
}

/// Fits on the prompts `rows` of `data`; `labels` are below `n_tasks`.
#[expect(clippy::cast_possible_truncation, reason = "the design is single precision")]
pub(crate) fn fit(
    data: &Dataset,
    labels: &[Option<u32>],
    n_tasks: usize,
    rows: &[usize],
    heads: Heads,
    recipe: &Recipe,
    seed: u64,
) -> Result<Lexical, Error> {
    let settings = recipe.settings();
    let surface_weight = settings.surface_weight as f32;
    let rows = evenly(rows, MOST_PROMPTS, seed);
    let mut weights = Weights::default();
    (weights.surface_mean, weights.surface_scale) = surface_moments(data, &rows);
    let terms = Terms::new(data, &rows, 1 << settings.vocabulary_bits);
    weights.vocabulary = Vocabulary::build(&terms.hashes);
    let design = Design::new(data, &rows, &terms, &weights, surface_weight);

    let steps = Recipe::steps(rows.len());
    let task_target = |block: &[usize]| {
        let mut target = vec![0.0; block.len() * n_tasks];
        for (target, &row) in target.chunks_exact_mut(n_tasks).zip(block) {
            if let Some(label) = labels[row] {
                target[label as usize] = data.weights[row];
            }
        }
        Target::Classes(target)
    };
    let start = vec![0.0; n_tasks];
    let mut fitted = vec![design.fit(&rows, n_tasks, start, settings.task_ridge, steps, task_target)?];
    let means = if heads == Heads::All { mean_logits(data, &rows) } else { Vec::new() };
    for (block, start) in means.chunks(MODELS_AT_ONCE).enumerate() {
        let first = block * MODELS_AT_ONCE;
        let target = |block: &[usize]| {
            let (scores, mask) = data.scores(block, first..first + start.len());
            Target::Scores(scores, mask)
        };
        fitted.push(design.fit(&rows, start.len(), start.to_vec(), settings.outcome_ridge, steps, target)?);
    }
    (weights.novelty_center, weights.novelty_precision) = surface_by_task(data, labels, n_tasks, &rows, &weights);
    store(&fitted, &terms, surface_weight, &mut weights);
    Ok(Lexical { weights, tasks: n_tasks })
}

/// All of `rows`, or an even sample in order.
pub(crate) fn evenly(rows: &[usize], most: usize, seed: u64) -> Vec<usize> {
    let mut rows = rows.to_vec();
    if rows.len() > most {
        fastrand::Rng::with_seed(seed).shuffle(&mut rows);
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

/// Mean and one over standard deviation of every surface signal.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn surface_moments(data: &Dataset, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let n = rows.len().max(1) as f64;
    let mut mean = vec![0.0; data.dense_signals()];
    for &row in rows {
        for (sum, x) in mean.iter_mut().zip(data.features[row].dense()) {
            *sum += f64::from(x);
        }
    }
    for sum in &mut mean {
        *sum /= n;
    }
    let mut variance = vec![0.0; mean.len()];
    for &row in rows {
        for ((sum, mean), x) in variance.iter_mut().zip(&mean).zip(data.features[row].dense()) {
            *sum += (f64::from(x) - mean).powi(2);
        }
    }
    let scale = |sum: &f64| if sum / n > 1e-10 { (1.0 / (sum / n).sqrt()) as f32 } else { 0.0 };
    (mean.iter().map(|mean| *mean as f32).collect(), variance.iter().map(scale).collect())
}

/// Mean and one over variance of the standardised surface of every task's prompts, `[t, s]` each; the variance of few prompts is
/// drawn towards that of all, which is 1.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn surface_by_task(
    data: &Dataset,
    labels: &[Option<u32>],
    n_tasks: usize,
    rows: &[usize],
    weights: &Weights,
) -> (Vec<f32>, Vec<f32>) {
    const PRIOR_PROMPTS: f64 = 5.0;
    const LEAST_VARIANCE: f64 = 0.05;
    let s = data.dense_signals();
    let size = n_tasks * s;
    let (mut sum, mut squares, mut count) = (vec![0.0; size], vec![0.0; size], vec![0.0; n_tasks]);
    for &row in rows {
        let Some(task) = labels[row].map(|label| label as usize) else { continue };
        count[task] += 1.0;
        for (signal, u) in standardise(&data.features[row], weights).enumerate() {
            sum[task * s + signal] += f64::from(u);
            squares[task * s + signal] += f64::from(u) * f64::from(u);
        }
    }
    let moments = sum.iter().zip(&squares).enumerate().map(|(at, (sum, squares))| {
        let n: f64 = count[at / s];
        let mean = sum / (n + 1.0);
        let spread = (squares - 2.0 * mean * sum + n * mean * mean).max(0.0);
        let variance = (spread + PRIOR_PROMPTS) / (n + PRIOR_PROMPTS);
        (mean as f32, (1.0 / variance.max(LEAST_VARIANCE)) as f32)
    });
    moments.unzip()
}

/// Every model's mean score as a logit: where its head starts.
#[expect(clippy::cast_possible_truncation, reason = "stored in single precision")]
fn mean_logits(data: &Dataset, rows: &[usize]) -> Vec<f32> {
    let mut sums = vec![(0.0, 0.0); data.k()];
    for cell in rows.iter().flat_map(|&row| &data.cells[row]) {
        let (score, count) = &mut sums[cell.model as usize];
        *score += f64::from(cell.score);
        *count += 1.0;
    }
    sums.iter().map(|(score, count)| pointsman::math::logit((score + 0.5) / (count + 1.0)) as f32).collect()
}

/// The words and pairs that are learned.
struct Terms {
    /// In ascending order.
    hashes: Vec<u64>,
    /// Inverse document frequency of each.
    idf: Vec<f32>,
    place: HashMap<u64, u32>,
}

impl Terms {
    /// Those of at least two prompts, and of so many prompts that they fill at most three quarters of `slots`.
    #[expect(clippy::cast_possible_truncation, reason = "stored in single precision; terms are numbered by u32")]
    fn new(data: &Dataset, rows: &[usize], slots: usize) -> Self {
        let most = slots / 4 * 3;
        // Two passes, so that the many words seen once never fill a map: first counters that words share, then exact
        // counts of those that may have enough.
        let mut sketch = vec![0_u16; 1 << SKETCH_BITS];
        let bucket = |hash: u64| (hash >> (64 - SKETCH_BITS)) as usize;
        let mut seen = Vec::new();
        let mut distinct = |features: &Features, each: &mut dyn FnMut(u64)| {
            seen.clear();
            seen.extend(features.main().iter().chain(features.background()));
            seen.sort_unstable();
            seen.dedup();
            for hash in &seen {
                each(*hash);
            }
        };
        for &row in rows {
            distinct(&data.features[row], &mut |hash| {
                let count = &mut sketch[bucket(hash)];
                *count = count.saturating_add(1);
            });
        }
        let mut documents: HashMap<u64, u32> = HashMap::new();
        for &row in rows {
            distinct(&data.features[row], &mut |hash| {
                if u32::from(sketch[bucket(hash)]) >= LEAST_DOCUMENTS {
                    *documents.entry(hash).or_default() += 1;
                }
            });
        }
        let mut terms: Vec<(u64, u32)> = documents.into_iter().filter(|(_, count)| *count >= LEAST_DOCUMENTS).collect();
        terms.sort_unstable_by_key(|(hash, count)| (std::cmp::Reverse(*count), *hash));
        terms.truncate(most);
        terms.sort_unstable();
        let n = rows.len() as f64;
        Self {
            idf: terms.iter().map(|(_, count)| (((1.0 + n) / (1.0 + f64::from(*count))).ln() + 1.0) as f32).collect(),
            place: terms.iter().enumerate().map(|(place, (hash, _))| (*hash, place as u32)).collect(),
            hashes: terms.into_iter().map(|(hash, _)| hash).collect(),
        }
    }
}

/// Prompts as the heads see them: sparse words, dense surface signals.
struct Design {
    /// Where each prompt's terms end.
    ends: Vec<usize>,
    /// Place of a term and its share of the prompt's vector.
    entries: Vec<(u32, f32)>,
    /// Standardised, times the surface weight, `[rows, s]`.
    surface: Vec<f32>,
    /// Signals that are no words, `s`.
    width: usize,
    terms: usize,
}

/// Heads of one fit, `c` of them, before they are quantised.
struct Fitted {
    columns: usize,
    /// `[terms, c]`, then `[s, c]`, then `[c]`.
    parameters: Vec<f32>,
}

impl Design {
    fn new(data: &Dataset, rows: &[usize], terms: &Terms, weights: &Weights, surface_weight: f32) -> Self {
        let mut design = Self {
            ends: Vec::with_capacity(rows.len()),
            entries: Vec::new(),
            surface: Vec::with_capacity(rows.len() * data.dense_signals()),
            width: data.dense_signals(),
            terms: terms.hashes.len(),
        };
        let mut found: Vec<(u32, f32)> = Vec::new();
        for &row in rows {
            let features = &data.features[row];
            found.clear();
            let mut square = 0.0;
            for (hashes, weight) in [(features.main(), MAIN_TURN_WEIGHT as f32), (features.background(), 1.0)] {
                for place in hashes.iter().filter_map(|hash| terms.place.get(hash)) {
                    let value = weight * terms.idf[*place as usize];
                    square += value * value;
                    found.push((*place, value));
                }
            }
            found.sort_unstable_by_key(|(place, _)| *place);
            let length = square.sqrt().max(1e-6);
            let first = design.entries.len();
            for &(place, value) in &found {
                match design.entries.get_mut(first..).and_then(<[_]>::last_mut) {
                    Some((last, sum)) if *last == place => *sum += value / length,
                    _ => design.entries.push((place, value / length)),
                }
            }
            design.ends.push(design.entries.len());
            design.surface.extend(standardise(features, weights).map(|x| x * surface_weight));
        }
        design
    }

    fn entries(&self, position: usize) -> &[(u32, f32)] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.entries[start..self.ends[position]]
    }

    fn surface(&self, position: usize) -> &[f32] {
        &self.surface[position * self.width..(position + 1) * self.width]
    }

    /// Minimises the summed loss plus half the ridge times the squared weights; biases are free.
    #[expect(clippy::cast_possible_truncation, reason = "gradients are single precision")]
    fn fit(
        &self,
        rows: &[usize],
        columns: usize,
        bias: Vec<f32>,
        ridge: f64,
        steps: usize,
        target: impl Fn(&[usize]) -> Target,
    ) -> Result<Fitted, Error> {
        let (words, dense) = (self.terms * columns, self.width * columns);
        let mut parameters = vec![0.0; words + dense];
        parameters.extend(bias);
        let mut logits = Vec::new();
        minimise(&mut parameters, steps, |x, gradient| {
            let mut value = 0.5 * ridge * x[..words + dense].iter().map(|w| f64::from(w * w)).sum::<f64>();
            for (gradient, w) in gradient.iter_mut().zip(x) {
                *gradient = ridge as f32 * w;
            }
            gradient[words + dense..].fill(0.0);
            let at_once = rows_at_once(columns);
            for (block, rows) in rows.chunks(at_once).enumerate() {
                let first = block * at_once;
                logits.clear();
                logits.resize(rows.len() * columns, 0.0);
                for (position, out) in logits.chunks_exact_mut(columns).enumerate() {
                    out.copy_from_slice(&x[words + dense..]);
                    for &(place, share) in self.entries(first + position) {
                        add(out, share, &x[place as usize * columns..][..columns]);
                    }
                    for (signal, &share) in self.surface(first + position).iter().enumerate() {
                        add(out, share, &x[words + signal * columns..][..columns]);
                    }
                }
                value += loss(&mut logits, columns, target(rows))?;
                for (position, out) in logits.chunks_exact(columns).enumerate() {
                    add(&mut gradient[words + dense..], 1.0, out);
                    for &(place, share) in self.entries(first + position) {
                        add(&mut gradient[place as usize * columns..][..columns], share, out);
                    }
                    for (signal, &share) in self.surface(first + position).iter().enumerate() {
                        add(&mut gradient[words + signal * columns..][..columns], share, out);
                    }
                }
            }
            Ok(value)
        })?;
        Ok(Fitted { columns, parameters })
    }
}

fn add(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// Rows of the served table: each head's weight times the word's inverse document frequency, and that frequency's square,
/// in int8 with one step per column.
#[expect(clippy::cast_possible_truncation, reason = "values are clamped to the int8 range")]
fn store(heads: &[Fitted], terms: &Terms, surface_weight: f32, weights: &mut Weights) {
    let columns: usize = heads.iter().map(|head| head.columns).sum::<usize>() + 1;
    let (n, s) = (terms.hashes.len(), weights.surface_mean.len());
    let value =
        |head: &Fitted, term: usize, column: usize| head.parameters[term * head.columns + column] * terms.idf[term];
    weights.table_scale = Vec::with_capacity(columns);
    for head in heads {
        for column in 0..head.columns {
            let largest = (0..n).map(|term| value(head, term, column).abs()).fold(0.0, f32::max);
            weights.table_scale.push(if largest > 0.0 { largest / 127.0 } else { 1.0 });
            weights.lexical_bias.push(head.parameters[(n + s) * head.columns + column]);
            let surface = (0..s).map(|signal| head.parameters[(n + signal) * head.columns + column]);
            weights.lexical_surface.extend(surface.map(|weight| weight * surface_weight));
        }
    }
    let largest = terms.idf.iter().map(|idf| idf * idf).fold(1.0, f32::max);
    weights.table_scale.push(largest / 127.0);
    let vocabulary = Vocabulary::new(&weights.vocabulary);
    weights.table = vec![0; weights.vocabulary.len() * columns];
    for (term, hash) in terms.hashes.iter().enumerate() {
        let slot = vocabulary.slot(*hash).expect("every term is in the vocabulary built of them");
        let values = heads.iter().flat_map(|head| (0..head.columns).map(move |column| value(head, term, column)));
        let values = values.chain(std::iter::once(terms.idf[term] * terms.idf[term]));
        let row = &mut weights.table[slot * columns..(slot + 1) * columns];
        for ((out, value), scale) in row.iter_mut().zip(values).zip(&weights.table_scale) {
            *out = (value / scale).round().clamp(-127.0, 127.0) as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::{dataset, two_kinds};
    use crate::recipe::RecipeSettings;

    #[test]
    fn tasks_and_models_are_told_apart_and_the_served_heads_say_what_the_fit_said() {
        let recipe = RecipeSettings::default().validate().expect("a valid recipe");
        let data = dataset(&two_kinds(300), 2, |row, model| f32::from(u8::from(row % 2 == model)), |_, _| 1.0);
        let rows: Vec<usize> = (0..200).collect();
        let fitted = fit(&data, &data.labels, 2, &rows, Heads::All, &recipe, 1).expect("a fit");
        let mut out = Predictions::default();
        for row in 200..300 {
            fitted.encode(&data.features[row], &mut out);
            let kind = row % 2;
            let logits = out.lexical();
            assert!(logits[kind] > logits[1 - kind] + 1.0, "row {row}: {logits:?}");
            assert!(logits[2 + kind] > logits[3 - kind], "row {row}: {logits:?}");
        }
    }

    #[test]
    fn rare_words_are_left_out_before_frequent_ones() {
        let data = dataset(&two_kinds(300), 1, |_, _| 1.0, |_, _| 1.0);
        let rows: Vec<usize> = (0..300).collect();
        let all = Terms::new(&data, &rows, 1 << 12);
        let few = Terms::new(&data, &rows, 16);
        assert!(all.hashes.len() > 12);
        assert_eq!(few.hashes.len(), 12);
        let least = few.idf.iter().copied().fold(0.0, f32::max);
        assert!(all.idf.iter().filter(|idf| **idf < least).count() <= 12);
    }
}
