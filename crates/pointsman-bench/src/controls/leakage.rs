//! Evaluated prompts that stand among the training prompts, word for word or nearly.

use std::collections::HashMap;

use pointsman_evals::text::normalise;
use pointsman_evals::{EvalLog, Split};
use serde::Serialize;

use super::TrialReport;
use crate::contest::{hash, prompt_text};
use crate::error::Error;
use crate::near_duplicates::{self, Role, THRESHOLD, Twin};

/// Twins listed in the report.
const EXAMPLES: usize = 10;

/// What was found, and what the router gains with and without them.
#[derive(Clone, Debug, Serialize)]
pub struct LeakageReport {
    /// Evaluated prompts looked at.
    pub n_queries: usize,
    /// Those whose normalised text is a training prompt's.
    pub exact: usize,
    /// Those that are nearly a training prompt's: `MinHash` over runs of three words, verified.
    pub near: usize,
    /// Jaccard similarity of such runs from which two texts are nearly the same.
    pub threshold: f64,
    /// Some of them, the most similar first.
    pub examples: Vec<TwinReport>,
    /// The router on all evaluated prompts.
    pub all: TrialReport,
    /// The router without the twins; null where none are left.
    pub without: Option<TrialReport>,
}

/// An evaluated prompt and the training prompt most like it.
#[derive(Clone, Debug, Serialize)]
pub struct TwinReport {
    /// The evaluated prompt.
    pub prompt_id: String,
    /// The training prompt.
    pub train_id: String,
    /// 1 where the normalised texts are the same.
    pub similarity: f64,
}

impl LeakageReport {
    pub(super) fn new(log: &EvalLog, twins: &[Twin], all: TrialReport, without: Option<TrialReport>) -> Self {
        let mut order: Vec<&Twin> = twins.iter().collect();
        order.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.probe.cmp(&b.probe)));
        let id = |i: u32| log.prompts[i as usize].id.clone();
        let exact = twins.iter().filter(|t| t.similarity >= 1.0).count();
        Self {
            n_queries: all.n_queries,
            exact,
            near: twins.len() - exact,
            threshold: THRESHOLD,
            examples: order
                .into_iter()
                .take(EXAMPLES)
                .map(|t| TwinReport { prompt_id: id(t.probe), train_id: id(t.reference), similarity: t.similarity })
                .collect(),
            all,
            without,
        }
    }
}

/// Test prompts with a twin among the training prompts, at most one twin each.
pub(super) fn twins(log: &EvalLog) -> Result<Vec<Twin>, Error> {
    let texts = log
        .prompts
        .iter()
        .map(|p| match p.split {
            Split::Train | Split::Test => Ok(normalise(&prompt_text(p)?).clone()),
            _ => Ok(String::new()),
        })
        .collect::<Result<Vec<String>, Error>>()?;
    let mut first: HashMap<u64, u32> = HashMap::new();
    for (i, text) in (0_u32..).zip(&texts).filter(|(i, _)| log.prompts[*i as usize].split == Split::Train) {
        first.entry(hash(text)).or_insert(i);
    }
    let mut twins = Vec::new();
    let mut roles = vec![Role::Neither; texts.len()];
    for (i, prompt) in (0_u32..).zip(&log.prompts) {
        roles[i as usize] = match prompt.split {
            Split::Train => Role::Reference,
            Split::Test => match first.get(&hash(&texts[i as usize])) {
                Some(&reference) => {
                    twins.push(Twin { probe: i, reference, similarity: 1.0 });
                    Role::Neither
                }
                None => Role::Probe,
            },
            _ => Role::Neither,
        };
    }
    // Runs of words may all agree where the texts do not (punctuation): that is near, not the same.
    let near = near_duplicates::twins(&roles, |i| texts[i].as_str());
    twins.extend(near.into_iter().map(|t| Twin { similarity: t.similarity.min(0.999), ..t }));
    Ok(twins)
}
