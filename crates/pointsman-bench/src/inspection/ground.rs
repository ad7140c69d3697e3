//! What an inspection computes on: which models, which prompts, and their cells row by row.

use pointsman_evals::matrix::{Dropped, pool};
use pointsman_evals::{EvalLog, Outcome, Split};

use crate::contest::hash;

/// Blocks of prompts that are left out in turn: enough for a standard error good to about 11 %.
pub(super) const BLOCKS: usize = 40;

/// Pool and prompts. The evaluated split is left out wherever there is another.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) log: &'a EvalLog,
    /// Models compared, ascending positions in the log.
    pub(super) pool: Vec<u32>,
    /// Prompts compared: complete over the pool if [`Self::dense`], else those with any cell.
    pub(super) rows: Vec<u32>,
    /// Block of each row, below [`BLOCKS`]: by hash of the group, else of the prompt's id.
    pub(super) blocks: Vec<u8>,
    /// Prompts of the test split that the pool would be compared on.
    pub(super) n_test: usize,
    /// Splits whose outcomes are looked at.
    pub(super) splits: Vec<Split>,
    pub(super) dense: bool,
    /// Whether the models of the pool have costs.
    pub(super) costed: bool,
    pub(super) dropped: Dropped,
    /// First outcome of each prompt, and the end.
    offsets: Vec<usize>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(log: &'a EvalLog, min_coverage: f64) -> Self {
        let (mut ids, mut dropped) = pool(log, min_coverage);
        let every: Vec<u32> = (0_u32..).take(log.models.len()).collect();
        // No model has a cost: quality alone is compared, and nobody is dropped for want of one.
        let costed = dropped.models_without_cost.len() < log.models.len();
        if !costed {
            dropped = Dropped::default();
            ids = pool_by_scores(log, min_coverage, &mut dropped);
        }
        let mut ground = Self {
            log,
            pool: ids,
            rows: Vec::new(),
            blocks: Vec::new(),
            n_test: 0,
            splits: Vec::new(),
            dense: true,
            costed,
            dropped,
            offsets: offsets(log),
        };
        let others: Vec<Split> =
            Split::ALL.into_iter().filter(|s| *s != Split::Test && log.prompts.iter().any(|p| p.split == *s)).collect();
        ground.splits = if others.is_empty() { vec![Split::Test] } else { others };
        ground.choose_rows();
        if ground.rows.is_empty() {
            // Nothing is dense: all models, cell by cell.
            ground.dense = false;
            ground.pool = every;
            if costed {
                ground.pool.retain(|&m| !ground.dropped.models_without_cost.contains(&log.models[m as usize]));
            }
            ground.choose_rows();
        }
        ground.blocks = ground
            .rows
            .iter()
            .map(|&row| {
                let prompt = &log.prompts[row as usize];
                let block = hash(prompt.group.as_deref().unwrap_or(&prompt.id)) % BLOCKS as u64;
                u8::try_from(block).expect("below the number of blocks")
            })
            .collect();
        ground
    }

    fn choose_rows(&mut self) {
        let mut rows = Vec::new();
        let (mut n_test, mut incomplete) = (0, std::collections::BTreeMap::new());
        let mut in_pool = vec![false; self.log.models.len()];
        self.pool.iter().for_each(|&m| in_pool[m as usize] = true);
        for (index, prompt) in (0_u32..).zip(&self.log.prompts) {
            let known = self.cells(index).iter().filter(|o| in_pool[o.model as usize] && self.is_known(o)).count();
            let enough = if self.dense { known == self.pool.len() && known > 0 } else { known > 0 };
            if !enough {
                *incomplete.entry(prompt.split).or_insert(0) += 1;
                continue;
            }
            n_test += usize::from(prompt.split == Split::Test);
            if self.splits.contains(&prompt.split) {
                rows.push(index);
            }
        }
        self.dropped.prompts_incomplete = incomplete;
        self.rows = rows;
        self.n_test = n_test;
    }

    /// Observed cells of a prompt of the log, by model.
    pub(super) fn cells(&self, prompt: u32) -> &'a [Outcome] {
        &self.log.outcomes[self.offsets[prompt as usize]..self.offsets[prompt as usize + 1]]
    }

    /// Whether a cell counts: without costs everywhere it does, else it needs one of its own.
    pub(super) fn is_known(&self, outcome: &Outcome) -> bool {
        !self.costed || !outcome.cost_usd.is_nan()
    }

    /// Fills `cells` with the pool's outcomes for row `i`, `[n_models]`.
    pub(super) fn row(&self, i: usize, cells: &mut Vec<Option<&'a Outcome>>) {
        cells.clear();
        let mut observed = self.cells(self.rows[i]).iter().peekable();
        for &m in &self.pool {
            while observed.next_if(|o| o.model < m).is_some() {}
            cells.push(observed.next_if(|o| o.model == m).filter(|o| self.is_known(o)));
        }
    }

    /// Position of the row's task, the number of tasks where it has none.
    pub(super) fn task(&self, i: usize) -> usize {
        self.log.prompts[self.rows[i] as usize].task.map_or(self.log.tasks.len(), |t| t as usize)
    }

    pub(super) fn name(&self, model: usize) -> String {
        self.log.models[self.pool[model] as usize].clone()
    }

    pub(super) fn k(&self) -> usize {
        self.pool.len()
    }
}

/// As [`pool`], with cells that need no cost.
fn pool_by_scores(log: &EvalLog, min_coverage: f64, dropped: &mut Dropped) -> Vec<u32> {
    let mut n = vec![0_usize; log.models.len()];
    for outcome in &log.outcomes {
        n[outcome.model as usize] += 1;
    }
    let mut ids = Vec::new();
    for ((m, name), n) in (0_u32..).zip(&log.models).zip(n) {
        let coverage = n as f64 / log.prompts.len() as f64;
        if coverage < min_coverage {
            dropped.models_low_coverage.insert(name.clone(), coverage);
        } else {
            ids.push(m);
        }
    }
    ids
}

fn offsets(log: &EvalLog) -> Vec<usize> {
    let mut offsets = Vec::with_capacity(log.prompts.len() + 1);
    let mut at = 0;
    for prompt in (0_u32..).take(log.prompts.len()) {
        offsets.push(at);
        at += log.outcomes[at..].iter().take_while(|o| o.prompt == prompt).count();
    }
    offsets.push(log.outcomes.len());
    offsets
}
