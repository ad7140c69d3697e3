//! The ground every router is measured on: pool, evaluated outcomes, and training outcomes where there are any.

use std::borrow::Cow;

use pointsman::Conversation;
use pointsman_evals::matrix::{Dropped, Matrix, matrix, pool};
use pointsman_evals::{Content, EvalLog, Prompt, Split};

use crate::error::Error;
use crate::options::BenchOptions;

/// Folds of out-of-fold predictions on training rows: five, the usual compromise of cost and bias.
pub(crate) const N_FOLDS: u64 = 5;

/// Pool and outcomes. Model positions are those of the pool everywhere.
#[derive(Debug)]
pub(crate) struct Contest<'a> {
    pub(crate) log: &'a EvalLog,
    /// Names of the pool, in catalogue order.
    pub(crate) models: Vec<String>,
    /// Evaluated outcomes, `[n_queries, n_models]`.
    pub(crate) test: Matrix,
    pub(crate) dropped: Dropped,
    /// `None` where there is no complete training row for this pool.
    pub(crate) train: Option<Training<'a>>,
    /// Positions of the cheapest and the dearest model: by training cost, else by evaluated cost.
    pub(crate) cheapest: usize,
    pub(crate) dearest: usize,
}

/// Training outcomes over the same pool.
#[derive(Debug)]
pub(crate) struct Training<'a> {
    pub(crate) log: &'a EvalLog,
    /// `[n_train, n_models]`.
    pub(crate) matrix: Matrix,
    /// Mean quality per model, `[n_models]`.
    pub(crate) quality: Vec<f64>,
    /// Mean cost per model, `[n_models]`.
    pub(crate) cost: Vec<f64>,
    /// Position of the best model; of equally good ones the cheapest.
    pub(crate) best_single: usize,
    /// Fold of each training row, below [`N_FOLDS`].
    pub(crate) folds: Vec<u64>,
}

impl<'a> Contest<'a> {
    pub(crate) fn new(log: &'a EvalLog, options: &BenchOptions<'a>) -> Result<Self, Error> {
        let (ids, mut dropped) = pool(log, options.min_coverage);
        if ids.is_empty() {
            return Err(Error::EmptyPool { min_coverage: options.min_coverage });
        }
        let test = matrix(log, options.split, &ids, &mut dropped);
        let models: Vec<String> = ids.iter().map(|&m| log.models[m as usize].clone()).collect();
        if test.prompts.is_empty() {
            return Err(Error::EmptySplit { split: options.split.to_string(), n_models: models.len() });
        }
        // Rows cannot be both trained on and evaluated.
        let train = match options.train_log {
            Some(train_log) => Training::new(train_log, &models, &mut Dropped::default()),
            None if options.split == Split::Train => None,
            None => Training::new(log, &models, &mut dropped),
        };
        let cost = train.as_ref().map_or_else(|| column_means(&test.cost, models.len()), |t| t.cost.clone());
        let by_cost = |a: &usize, b: &usize| cost[*a].total_cmp(&cost[*b]);
        let cheapest = (0..models.len()).min_by(by_cost).expect("the pool is not empty");
        // Of equally dear ones the first too.
        let dearest = (0..models.len()).rev().max_by(by_cost).expect("the pool is not empty");
        Ok(Self { log, models, test, dropped, train, cheapest, dearest })
    }

    pub(crate) fn n_models(&self) -> usize {
        self.models.len()
    }

    pub(crate) fn n_queries(&self) -> usize {
        self.test.prompts.len()
    }

    /// Evaluated prompts in the order of the matrix.
    pub(crate) fn prompts(&self) -> impl ExactSizeIterator<Item = &'a Prompt> + use<'a, '_> {
        self.test.prompts.iter().map(|&p| &self.log.prompts[p as usize])
    }

    /// Evaluated quality (or cost) of one model, `[n_queries]`.
    pub(crate) fn column(&self, matrix: &[f64], model: usize) -> Vec<f64> {
        matrix.iter().skip(model).step_by(self.n_models()).copied().collect()
    }

    /// The model that takes a prompt nobody has a prediction for: the best single one, else the dearest.
    pub(crate) fn fallback(&self) -> usize {
        self.train.as_ref().map_or(self.dearest, |t| t.best_single)
    }
}

impl<'a> Training<'a> {
    fn new(log: &'a EvalLog, models: &[String], dropped: &mut Dropped) -> Option<Self> {
        // Both lists are sorted by name, so the order of the pool is kept.
        let ids: Option<Vec<u32>> = models
            .iter()
            .map(|name| log.models.iter().position(|m| m == name).and_then(|m| u32::try_from(m).ok()))
            .collect();
        let matrix = matrix(log, Split::Train, &ids?, dropped);
        if matrix.prompts.is_empty() || matrix.cost.iter().any(|c| !c.is_finite()) {
            return None;
        }
        let quality = column_means(&matrix.quality, models.len());
        let cost = column_means(&matrix.cost, models.len());
        let best_single = (0..models.len())
            .min_by(|&a, &b| quality[b].total_cmp(&quality[a]).then(cost[a].total_cmp(&cost[b])))
            .expect("the pool is not empty");
        let folds = matrix
            .prompts
            .iter()
            .map(|&p| {
                let prompt = &log.prompts[p as usize];
                // Rows of a group stay together, or a fold would be predicted from its own conversations.
                hash(prompt.group.as_deref().unwrap_or(&prompt.id)) % N_FOLDS
            })
            .collect();
        Some(Self { log, matrix, quality, cost, best_single, folds })
    }

    pub(crate) fn n_train(&self) -> usize {
        self.matrix.prompts.len()
    }

    /// Training prompts in the order of the matrix.
    pub(crate) fn prompts(&self) -> impl ExactSizeIterator<Item = &'a Prompt> + use<'a, '_> {
        self.matrix.prompts.iter().map(|&p| &self.log.prompts[p as usize])
    }
}

/// Means of the columns of `[n, k]`.
pub(crate) fn column_means(matrix: &[f64], n_models: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_models];
    for row in matrix.chunks_exact(n_models) {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += value;
        }
    }
    let n = (matrix.len() / n_models).max(1) as f64;
    sums.iter().map(|s| s / n).collect()
}

/// The text that baselines see: the prompt, or the last user turn of its messages.
pub(crate) fn prompt_text(prompt: &Prompt) -> Result<Cow<'_, str>, Error> {
    match &prompt.content {
        Content::Text(text) => Ok(Cow::Borrowed(text)),
        Content::Messages(json) => {
            let chat = conversation(prompt, json)?;
            let turns = chat.turns();
            let user = turns.iter().rfind(|t| t.role == pointsman::Role::User);
            Ok(Cow::Owned(user.or(turns.last()).map_or_else(String::new, |t| t.text.to_owned())))
        }
    }
}

pub(crate) fn conversation(prompt: &Prompt, json: &str) -> Result<Conversation, Error> {
    Conversation::from_json(json)
        .map_err(|source| Error::Messages { prompt_id: prompt.id.clone(), source: Box::new(source) })
}

/// FNV-1a, 64 bit, finalised: stable across platforms and versions, which the folds must be.
pub(crate) fn hash(text: &str) -> u64 {
    let h = text.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^ (h >> 33)
}
