//! Texts that stand in the log more than once, or on both sides of the split.

use rayon::prelude::*;

use pointsman_evals::text::normalise;
use pointsman_evals::{EvalLog, Split};

use super::report::{DuplicateExample, DuplicateReport};
use crate::contest::{hash, prompt_text};
use crate::error::Error;
use crate::near_duplicates::{Role, THRESHOLD, twins};
use crate::options::PromptListing;

/// Twins shown.
const EXAMPLES: usize = 3;

/// Looks for texts with several ids, and for test prompts with a twin among the others.
pub(super) fn duplicates(log: &EvalLog, listing: PromptListing) -> Result<DuplicateReport, Error> {
    // Parsed messages first, so that the searches below cannot fail.
    let keys = log
        .prompts
        .par_iter()
        .map(|prompt| Ok(hash(&normalise(&prompt_text(prompt)?))))
        .collect::<Result<Vec<u64>, Error>>()?;
    let mut order: Vec<u32> = (0_u32..).take(keys.len()).collect();
    order.par_sort_unstable_by_key(|&i| (keys[i as usize], i));
    let is_test = |i: u32| log.prompts[i as usize].split == Split::Test;

    let mut report = DuplicateReport {
        exact_texts: 0,
        exact_prompts: 0,
        test: log.prompts.iter().filter(|p| p.split == Split::Test).count(),
        test_exact: 0,
        test_near: 0,
        threshold: THRESHOLD,
        examples: Vec::new(),
    };
    let mut roles: Vec<Role> =
        log.prompts.iter().map(|p| if p.split == Split::Test { Role::Probe } else { Role::Reference }).collect();
    let mut exact = Vec::new();
    for same in order.chunk_by(|&a, &b| keys[a as usize] == keys[b as usize]).filter(|same| same.len() > 1) {
        report.exact_texts += 1;
        report.exact_prompts += same.len();
        let first = same.iter().copied().find(|&i| !is_test(i));
        let mut referred = false;
        for &i in same {
            match first {
                // Its twin is known.
                Some(twin) if is_test(i) => {
                    report.test_exact += 1;
                    roles[i as usize] = Role::Neither;
                    exact.push((i, twin, 1.0));
                }
                // One reference per text is enough.
                Some(_) if referred => roles[i as usize] = Role::Neither,
                _ => referred = true,
            }
        }
    }
    let near = if report.test == 0 || report.test == log.prompts.len() {
        Vec::new()
    } else {
        twins(&roles, |i| prompt_text(&log.prompts[i]).map_or_else(|_| String::new(), |text| normalise(&text)))
    };
    report.test_near = near.len();
    exact.sort_unstable_by_key(|e| e.0);
    // Near twins are the news: a log with exact ones has been told above.
    let shown = near.iter().map(|t| (t.probe, t.reference, t.similarity)).chain(exact).take(EXAMPLES);
    for (test, twin, similarity) in shown {
        let (a, b) = (&log.prompts[test as usize], &log.prompts[twin as usize]);
        let texts = match listing {
            PromptListing::Omitted => None,
            PromptListing::Included => Some([prompt_text(a)?.into_owned(), prompt_text(b)?.into_owned()]),
        };
        report.examples.push(DuplicateExample {
            test_id: a.id.clone(),
            twin_id: b.id.clone(),
            twin_split: b.split.to_string(),
            similarity,
            texts,
        });
    }
    Ok(report)
}
