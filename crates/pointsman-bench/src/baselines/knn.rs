//! Nearest neighbours over words: the mean outcome of the 100 most similar training prompts.
//!
//! A prompt is the vector of its lower-cased words (runs of letters and digits), weighted by count × inverse document
//! frequency ln((1 + n)/(1 + df)) + 1 and scaled to length one, as scikit-learn's `TfidfVectorizer` does; similarity
//! is the cosine. Neighbours that share no word do not count; a prompt without neighbours gets the means of all.
//! Equally similar prompts are taken in the order of their ids.
//!
//! An inverted index makes a query as dear as the lists of its words are long. To keep large logs affordable, words
//! in more than a fifth of the prompts (and in more than [`COMMON`] of them) are left out of the vectors, at most
//! [`MAX_INDEX`] training prompts are indexed, and λ is chosen on at most [`MAX_SWEEP`] of them.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::contest::{Contest, Training, hash, prompt_text};
use crate::entrant::Entrant;
use crate::error::Error;
use crate::sweep::Beliefs;

/// Neighbours averaged: a usual choice on tables of some thousand rows.
const NEIGHBOURS: usize = 100;

/// Words in fewer prompts than this are never too common.
const COMMON: usize = 1_000;

/// Most training prompts indexed: past this, more neighbours of a prompt change its mean little.
const MAX_INDEX: usize = 50_000;

/// Most training prompts over which λ is swept.
const MAX_SWEEP: usize = 5_000;

/// Predictions of the neighbours, which the cascade goes by too.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Training rows that [`Self::oof`] predicts, ascending.
    pub(super) rows: Vec<usize>,
    /// Out of fold, `[rows, n_models]`.
    pub(super) oof: Beliefs,
    /// `[n_queries, n_models]`.
    pub(super) test: Beliefs,
    n_indexed: usize,
}

pub(super) fn entrant(contest: &Contest<'_>, train: &Training<'_>, neighbours: &Neighbours) -> Result<Entrant, Error> {
    let test = neighbours.test.clone();
    let mut entrant = super::learned(contest, train, "knn", &neighbours.rows, &neighbours.oof, test)?;
    entrant.notes.push(format!("{NEIGHBOURS} nearest by TF-IDF cosine"));
    if neighbours.n_indexed < train.n_train() {
        entrant.notes.push(format!("{} of {} training prompts indexed", neighbours.n_indexed, train.n_train()));
    }
    Ok(entrant)
}

pub(super) fn neighbours(contest: &Contest<'_>, train: &Training<'_>) -> Result<Neighbours, Error> {
    let k = contest.n_models();
    let prompts: Vec<_> = train.prompts().collect();
    // By hash of the id: a sample that does not depend on the order of ids.
    let mut sample: Vec<usize> = (0..prompts.len()).collect();
    sample.sort_by_key(|&i| (hash(&prompts[i].id), i));
    sample.truncate(MAX_INDEX);
    let mut sweep = sample[..sample.len().min(MAX_SWEEP)].to_vec();
    sweep.sort_unstable();
    sample.sort_unstable();

    let texts = sample.iter().map(|&i| prompt_text(prompts[i])).collect::<Result<Vec<_>, _>>()?;
    let index = Index::new(&texts);
    let folds: Vec<u64> = sample.iter().map(|&i| train.folds[i]).collect();
    let row = |matrix: &'_ [f64], i: usize| -> Vec<f64> { matrix[sample[i] * k..(sample[i] + 1) * k].to_vec() };

    let predict = |text: &str, skip: Option<u64>, finder: &mut Finder| -> Vec<f64> {
        let near = finder.nearest(&index, text, |doc| skip != Some(folds[doc]));
        if near.is_empty() {
            return train.quality.clone();
        }
        let mut mean = vec![0.0; k];
        for &doc in &near {
            for (m, q) in mean.iter_mut().zip(row(&train.matrix.quality, doc as usize)) {
                *m += q / near.len() as f64;
            }
        }
        mean
    };
    let new_finder = || Finder::new(texts.len());
    let oof: Vec<f64> = sweep
        .par_iter()
        .map_init(new_finder, |finder, &i| {
            let text = prompt_text(prompts[i]).expect("texts of the sample were read above");
            predict(&text, Some(train.folds[i]), finder)
        })
        .flatten_iter()
        .collect();
    let test_prompts: Vec<_> = contest.prompts().collect();
    let test = test_prompts
        .par_iter()
        .map_init(new_finder, |finder, prompt| Ok(predict(&prompt_text(prompt)?, None, finder)))
        .collect::<Result<Vec<_>, Error>>()?
        .concat();

    let oof = Beliefs { cost: train.cost.repeat(sweep.len()), quality: oof };
    let test = Beliefs { cost: train.cost.repeat(contest.n_queries()), quality: test };
    Ok(Neighbours { rows: sweep, oof, test, n_indexed: sample.len() })
}

/// Inverted index of unit vectors.
struct Index {
    words: HashMap<String, u32>,
    /// Per word its inverse document frequency; zero where too common.
    idf: Vec<f32>,
    /// Per word the documents that hold it, with their weight.
    postings: Vec<Vec<(u32, f32)>>,
}

impl Index {
    fn new<T: AsRef<str>>(texts: &[T]) -> Self {
        let mut words: HashMap<String, u32> = HashMap::new();
        let mut counts: Vec<Vec<(u32, f32)>> = Vec::with_capacity(texts.len());
        let mut frequency: Vec<usize> = Vec::new();
        for text in texts {
            let doc = count_words(text.as_ref(), |word| {
                let next = u32::try_from(words.len()).expect("fewer than 2^32 words");
                Some(*words.entry(word).or_insert(next))
            });
            frequency.resize(words.len(), 0);
            for &(word, _) in &doc {
                frequency[word as usize] += 1;
            }
            counts.push(doc);
        }
        let n = texts.len() as f64;
        let idf: Vec<f32> = frequency
            .iter()
            .map(|&df| {
                let too_common = df > COMMON && df as f64 > n / 5.0;
                #[expect(clippy::cast_possible_truncation, reason = "a weight of a few units")]
                let idf = (((1.0 + n) / (1.0 + df as f64)).ln() + 1.0) as f32;
                if too_common { 0.0 } else { idf }
            })
            .collect();
        let mut postings: Vec<Vec<(u32, f32)>> = vec![Vec::new(); idf.len()];
        for (doc, mut vector) in (0_u32..).zip(counts) {
            normalise(&mut vector, &idf);
            for (word, weight) in vector {
                postings[word as usize].push((doc, weight));
            }
        }
        Self { words, idf, postings }
    }
}

/// The buffers of one search at a time.
struct Finder {
    score: Vec<f32>,
    touched: Vec<u32>,
}

impl Finder {
    fn new(n_docs: usize) -> Self {
        Self { score: vec![0.0; n_docs], touched: Vec::new() }
    }

    /// Documents most similar to `text` among those kept, at most [`NEIGHBOURS`], in no order.
    fn nearest(&mut self, index: &Index, text: &str, keep: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut query = count_words(text, |word| index.words.get(&word).copied());
        normalise(&mut query, &index.idf);
        for (word, weight) in query {
            for &(doc, other) in &index.postings[word as usize] {
                let score = &mut self.score[doc as usize];
                if *score == 0.0 {
                    self.touched.push(doc);
                }
                *score += weight * other;
            }
        }
        let mut near: Vec<(f32, u32)> = Vec::with_capacity(self.touched.len());
        for doc in self.touched.drain(..) {
            let score = std::mem::take(&mut self.score[doc as usize]);
            if keep(doc as usize) {
                near.push((score, doc));
            }
        }
        if near.len() > NEIGHBOURS {
            near.select_nth_unstable_by(NEIGHBOURS - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            near.truncate(NEIGHBOURS);
        }
        near.sort_unstable_by_key(|&(_, doc)| doc); // sums in one order whatever the selection did
        near.into_iter().map(|(_, doc)| doc).collect()
    }
}

/// Words of a text with their counts, by ascending word number; words that `number` does not know are left out.
fn count_words(text: &str, mut number: impl FnMut(String) -> Option<u32>) -> Vec<(u32, f32)> {
    let mut words: Vec<u32> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .filter_map(|w| number(w.to_lowercase()))
        .collect();
    words.sort_unstable();
    words.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32)).collect()
}

/// Counts to a vector of length one; words of no weight are dropped.
fn normalise(vector: &mut Vec<(u32, f32)>, idf: &[f32]) {
    for (word, weight) in vector.iter_mut() {
        *weight *= idf[*word as usize];
    }
    vector.retain(|&(_, weight)| weight > 0.0);
    let norm = vector.iter().map(|(_, w)| w * w).sum::<f32>().sqrt();
    for (_, weight) in vector.iter_mut() {
        *weight /= norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_nearest() {
        let texts = ["Sum two numbers", "translate this poem", "two poems", "unrelated"];
        let index = Index::new(&texts);
        let mut finder = Finder::new(texts.len());
        assert_eq!(finder.nearest(&index, "SUM of two, numbers!", |_| true), [0, 2]);
        assert_eq!(finder.nearest(&index, "SUM of two, numbers!", |doc| doc != 0), [2]);
        assert!(finder.nearest(&index, "nothing known", |_| true).is_empty());
        // Buffers are clean again.
        assert_eq!(finder.nearest(&index, "poem", |_| true), [1]);
    }

    #[test]
    fn vectors_have_length_one() {
        let index = Index::new(&["a b b", "a c"]);
        let norm: f32 = index.postings.iter().flatten().filter(|(doc, _)| *doc == 0).map(|(_, w)| w * w).sum();
        assert!((norm - 1.0).abs() < 1e-6);
    }

    #[test]
    fn at_most_a_hundred_neighbours_ties_by_position() {
        let texts = vec!["same words"; 150];
        let index = Index::new(&texts);
        let near = Finder::new(150).nearest(&index, "same", |_| true);
        assert_eq!(near, (0..100).collect::<Vec<u32>>());
    }
}
