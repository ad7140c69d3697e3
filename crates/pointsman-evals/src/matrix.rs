//! A dense view of a log for comparison: the prompts of one split × the models of the pool, no missing cell.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::log::{CostSource, EvalLog, Outcome};
use crate::split::Split;

/// Dense outcomes `[n_queries, n_models]`, row-major, of one split.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Indices into [`EvalLog::prompts`], ascending; length `n_queries`.
    pub prompts: Vec<u32>,
    /// Indices into [`EvalLog::models`], ascending; length `n_models`.
    pub models: Vec<u32>,
    /// Observed quality, `[n_queries, n_models]`, in `[0, 1]`.
    pub quality: Vec<f64>,
    /// Cost in USD, `[n_queries, n_models]`.
    pub cost: Vec<f64>,
    /// Output tokens where known, else NaN, `[n_queries, n_models]`.
    pub output_tokens: Vec<f64>,
    /// Latency in milliseconds where known, else NaN, `[n_queries, n_models]`.
    pub latency_ms: Vec<f64>,
    /// How the costs are known.
    pub cost_kind: CostKind,
}

/// Where the costs of a matrix came from, as a word and as shares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CostKind {
    /// `observed`, `estimated`, `assumed` or `mixed`.
    pub word: String,
    /// Share of cells by source.
    pub shares: BTreeMap<String, f64>,
}

/// What left the comparison and why; printed in every report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Dropped {
    /// Models without any cost or price.
    pub models_without_cost: Vec<String>,
    /// Models whose coverage is below `--min-coverage`, with their coverage.
    pub models_low_coverage: BTreeMap<String, f64>,
    /// Prompts dropped because a model of the pool has no outcome for them, by split.
    pub prompts_incomplete: BTreeMap<Split, usize>,
}

/// Chooses the pool of a comparison: models with a cost and enough coverage.
///
/// A cell counts where it has an outcome and that outcome has a cost. Coverage is the share of *all* prompts of
/// the log with such a cell, so the pool does not depend on which split is looked at. Models leave before
/// prompts do: a model no cell of which has a cost goes to [`Dropped::models_without_cost`], one below
/// `min_coverage`, in `[0, 1]`, to [`Dropped::models_low_coverage`]. Returned are indices into
/// [`EvalLog::models`], ascending.
pub fn pool(log: &EvalLog, min_coverage: f64) -> (Vec<u32>, Dropped) {
    let mut costed = vec![0_usize; log.models.len()];
    for outcome in &log.outcomes {
        costed[outcome.model as usize] += usize::from(!outcome.cost_usd.is_nan());
    }
    let mut dropped = Dropped::default();
    let mut pool = Vec::new();
    for ((index, name), n) in (0_u32..).zip(&log.models).zip(costed) {
        let coverage = n as f64 / log.prompts.len() as f64;
        if n == 0 {
            dropped.models_without_cost.push(name.clone());
        } else if coverage < min_coverage {
            dropped.models_low_coverage.insert(name.clone(), coverage);
        } else {
            pool.push(index);
        }
    }
    (pool, dropped)
}

/// The complete rows of `split` over `models` (as chosen by [`pool`]); incomplete rows are counted in `dropped`.
///
/// A row is complete if every model of the pool has an outcome with a cost for the prompt. `models` must be
/// ascending. With no models there are no rows.
pub fn matrix(log: &EvalLog, split: Split, models: &[u32], dropped: &mut Dropped) -> Matrix {
    let mut column = vec![None; log.models.len()];
    for (position, model) in models.iter().enumerate() {
        column[*model as usize] = Some(position);
    }
    let k = models.len();
    let mut matrix = Matrix {
        prompts: Vec::new(),
        models: models.to_vec(),
        quality: Vec::new(),
        cost: Vec::new(),
        output_tokens: Vec::new(),
        latency_ms: Vec::new(),
        cost_kind: CostKind::of(&BTreeMap::new()),
    };
    let mut sources: BTreeMap<CostSource, usize> = BTreeMap::new();
    let mut n_incomplete = 0;
    let mut row: Vec<Option<&Outcome>> = vec![None; k];
    let mut outcomes = log.outcomes.as_slice();
    for (index, prompt) in (0_u32..).zip(&log.prompts) {
        let n = outcomes.iter().take_while(|outcome| outcome.prompt == index).count();
        let (cells, rest) = outcomes.split_at(n);
        outcomes = rest;
        if prompt.split != split || k == 0 {
            continue;
        }
        row.fill(None);
        for outcome in cells {
            if let Some(position) = column[outcome.model as usize]
                && !outcome.cost_usd.is_nan()
            {
                row[position] = Some(outcome);
            }
        }
        if row.iter().any(Option::is_none) {
            n_incomplete += 1;
            continue;
        }
        matrix.prompts.push(index);
        for outcome in row.iter().flatten() {
            matrix.quality.push(outcome.score.into());
            matrix.cost.push(outcome.cost_usd);
            matrix.output_tokens.push(outcome.output_tokens.into());
            matrix.latency_ms.push(outcome.latency_ms.into());
            *sources.entry(outcome.cost_source).or_default() += 1;
        }
    }
    if n_incomplete > 0 {
        dropped.prompts_incomplete.insert(split, n_incomplete);
    }
    matrix.cost_kind = CostKind::of(&sources);
    matrix
}

impl CostKind {
    /// The word and the shares for numbers of cells by source. Without cells the word is `observed`, the shares empty.
    fn of(cells: &BTreeMap<CostSource, usize>) -> Self {
        let total: usize = cells.values().sum();
        let shares: BTreeMap<String, f64> =
            cells.iter().map(|(source, n)| (source.as_str().to_owned(), *n as f64 / total as f64)).collect();
        let word = match shares.keys().collect::<Vec<_>>().as_slice() {
            [] => CostSource::Observed.as_str().to_owned(),
            [only] => (*only).clone(),
            _ => "mixed".to_owned(),
        };
        Self { word, shares }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, read};

    /// Three models over ten prompts: `a` everywhere with costs, `b` missing one, `c` half of them, `d` without costs.
    fn log() -> EvalLog {
        let mut lines = vec!["prompt,model,score,cost_usd,split".to_owned()];
        for i in 0..10 {
            let split = if i < 6 { "train" } else { "test" };
            lines.push(format!("p{i},a,1,0.1,{split}"));
            lines.push(format!("p{i},d,0.5,,{split}"));
            if i != 9 {
                lines.push(format!("p{i},b,0,0.2,{split}"));
            }
            if i % 2 == 0 {
                lines.push(format!("p{i},c,0.5,0.3,{split}"));
            }
        }
        let folder = tempfile::tempdir().expect("temporary folder is writable");
        let file = folder.path().join("log.csv");
        std::fs::write(&file, lines.join("\n")).expect("temporary folder is writable");
        read(&[file], &ReadOptions::default(), &mut |_| ()).expect("valid")
    }

    #[test]
    fn models_leave_before_prompts() {
        let log = log();
        let (models, mut dropped) = pool(&log, 0.9);
        assert_eq!(models, [0, 1]);
        assert_eq!(dropped.models_without_cost, ["d"]);
        assert_eq!(dropped.models_low_coverage, BTreeMap::from([("c".to_owned(), 0.5)]));
        let test = matrix(&log, Split::Test, &models, &mut dropped);
        assert_eq!(test.prompts.len(), 3);
        assert_eq!(dropped.prompts_incomplete, BTreeMap::from([(Split::Test, 1)]));
        assert_eq!(test.quality, [1.0, 0.0].repeat(3));
        assert_eq!(test.cost, [0.1, 0.2].repeat(3));
        assert!(test.latency_ms.iter().all(|value| value.is_nan()));
        assert_eq!(test.cost_kind.word, "observed");
        let train = matrix(&log, Split::Train, &models, &mut dropped);
        assert_eq!(train.prompts.len(), 6);
        assert_eq!(dropped.prompts_incomplete.len(), 1);
    }

    #[test]
    fn a_lower_bar_keeps_the_model_and_loses_prompts() {
        let log = log();
        let (models, mut dropped) = pool(&log, 0.5);
        assert_eq!(models, [0, 1, 2]);
        let train = matrix(&log, Split::Train, &models, &mut dropped);
        assert_eq!(train.prompts.len(), 3);
        assert_eq!(dropped.prompts_incomplete[&Split::Train], 3);
    }

    #[test]
    fn no_models_no_rows() {
        let log = log();
        let empty = matrix(&log, Split::Test, &[], &mut Dropped::default());
        assert!(empty.prompts.is_empty() && empty.quality.is_empty());
    }

    #[test]
    fn two_sources_are_mixed() {
        let kind = CostKind::of(&BTreeMap::from([(CostSource::Observed, 3), (CostSource::Assumed, 1)]));
        assert_eq!(kind.word, "mixed");
        assert_eq!(kind.shares["assumed"], 0.25);
    }
}
