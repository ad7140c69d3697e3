//! Where a router goes wrong: kinds of prompts on which it loses, and prompts on which it was sure and lost.
//!
//! All is at λ → ∞ and against the best single model, on the evaluated prompts. Slices overlap, and there are many: the
//! worst of them is worse than it will be next time, so a slice is a place to look at, not a finding.

use std::collections::BTreeMap;

use pointsman_evals::{Content, ContextValue, Prompt};
use serde::Serialize;

use crate::contest::{Contest, prompt_text};
use crate::entrant::{Entrant, RouterKind};
use crate::error::Error;
use crate::report::IntervalReport;

/// Fewest prompts of a slice: a mean over fewer says nothing.
const FEWEST: usize = 20;

/// Prompts listed.
const EXAMPLES: usize = 12;

/// Words that start most questions in English; a question mark counts too.
const QUESTION_WORDS: [&str; 8] = ["what", "which", "who", "when", "where", "why", "how", "is"];

/// One kind of prompts.
#[derive(Clone, Debug, Serialize)]
pub struct SliceReport {
    /// What they share: a task, a dataset, a length, a trait of the text, a context value.
    pub slice: String,
    /// Evaluated prompts of that kind.
    pub n_queries: usize,
    /// Mean quality of the router.
    pub quality: f64,
    /// Mean quality of the best single model.
    pub best_single: f64,
    /// Mean quality of the oracle.
    pub oracle: f64,
    /// Router − best single model on the same prompts.
    pub gain: IntervalReport,
}

/// One prompt on which the router left the best single model and lost.
#[derive(Clone, Debug, Serialize)]
pub struct FailureReport {
    /// Its id.
    pub prompt_id: String,
    /// Its task, where the log has one.
    pub task: Option<String>,
    /// The model chosen.
    pub chosen: String,
    /// Its observed quality.
    pub quality: f64,
    /// Observed quality of the best single model.
    pub best_single: f64,
    /// Predicted quality of the chosen model − of the best single one: how sure the router was.
    pub predicted_gain: Option<f64>,
}

/// Slices of the first router that is no baseline, the worst first, and its surest mistakes.
pub(crate) fn slices(
    contest: &Contest<'_>,
    entrants: &[Entrant],
) -> Result<(Vec<SliceReport>, Vec<FailureReport>), Error> {
    let subject = entrants.iter().find(|e| e.kind != RouterKind::Baseline);
    let (Some(subject), Some(train)) = (subject, &contest.train) else { return Ok(Default::default()) };
    let Some(choices) = &subject.choices else { return Ok(Default::default()) };
    let k = contest.n_models();
    let realised = choices.max.quality(0);
    let single = contest.column(&contest.test.quality, train.best_single);

    let mut members: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut lengths = Vec::with_capacity(contest.n_queries());
    for (i, prompt) in contest.prompts().enumerate() {
        let text = prompt_text(prompt)?;
        lengths.push((text.len(), i));
        for slice in traits(contest, prompt, &text) {
            members.entry(slice).or_default().push(i);
        }
    }
    by_length(&mut lengths, &mut members);

    let mut slices: Vec<SliceReport> = members
        .into_iter()
        .filter(|(_, rows)| (FEWEST..contest.n_queries()).contains(&rows.len()))
        .filter_map(|(slice, rows)| {
            let n = rows.len() as f64;
            let mean = |of: &dyn Fn(usize) -> f64| rows.iter().map(|&i| of(i)).sum::<f64>() / n;
            let best = |i: usize| contest.test.quality[i * k..(i + 1) * k].iter().copied().fold(0.0, f64::max);
            let difference = rows.iter().map(|&i| realised[i] - single[i]);
            let (sum, squares) = difference.fold((0.0, 0.0), |(s, q), d| (s + d, q + d * d));
            Some(SliceReport {
                n_queries: rows.len(),
                quality: mean(&|i| realised[i]),
                best_single: mean(&|i| single[i]),
                oracle: mean(&best),
                gain: IntervalReport::of_mean(n, sum, squares)?,
                slice,
            })
        })
        .collect();
    slices.sort_by(|a, b| a.gain.value.total_cmp(&b.gain.value).then(b.n_queries.cmp(&a.n_queries)));
    Ok((slices, failures(contest, subject, train.best_single)))
}

fn failures(contest: &Contest<'_>, subject: &Entrant, single: usize) -> Vec<FailureReport> {
    let k = contest.n_models();
    let Some(models) = subject.choices.as_ref().and_then(|c| c.max_models.as_ref()) else { return Vec::new() };
    let quality = |i: usize, m: usize| contest.test.quality[i * k + m];
    // How much better the choice was thought to be; unknown for a router that gives choices only.
    let sure = |i: usize, m: usize| {
        let predicted = subject.quality.as_ref()?;
        Some(predicted[i * k + m] - predicted[i * k + single]).filter(|g| g.is_finite())
    };
    let mut failures: Vec<(usize, f64, Option<f64>)> = models
        .iter()
        .enumerate()
        .filter_map(|(i, &m)| {
            let (m, loss) = (m as usize, quality(i, single) - quality(i, m as usize));
            (loss > 0.0).then(|| (i, loss, sure(i, m)))
        })
        .collect();
    // The surest of the greatest losses first.
    failures.sort_by(|a, b| {
        let sure = |f: &(usize, f64, Option<f64>)| f.2.unwrap_or(f64::NEG_INFINITY);
        b.1.total_cmp(&a.1).then(sure(b).total_cmp(&sure(a))).then(a.0.cmp(&b.0))
    });
    failures.truncate(EXAMPLES);
    let prompts: Vec<&Prompt> = contest.prompts().collect();
    failures
        .into_iter()
        .map(|(i, _, predicted_gain)| FailureReport {
            prompt_id: prompts[i].id.clone(),
            task: prompts[i].task.map(|t| contest.log.tasks[t as usize].clone()),
            chosen: contest.models[models[i] as usize].clone(),
            quality: quality(i, models[i] as usize),
            best_single: quality(i, single),
            predicted_gain,
        })
        .collect()
}

/// Slices that a prompt belongs to, lengths aside.
fn traits(contest: &Contest<'_>, prompt: &Prompt, text: &str) -> Vec<String> {
    let mut slices = Vec::new();
    if let Some(task) = prompt.task {
        slices.push(format!("task {}", contest.log.tasks[task as usize]));
    }
    if let Some(dataset) = prompt.dataset {
        slices.push(format!("dataset {}", contest.log.datasets[dataset as usize]));
    }
    for (name, value) in &prompt.context {
        slices.push(match value {
            ContextValue::Text(text) => format!("context {name} = {text}"),
            ContextValue::Bool(flag) => format!("context {name} = {flag}"),
            // A number of many values is no kind.
            ContextValue::Number(_) => continue,
        });
    }
    let first = text.split_whitespace().next().unwrap_or_default().to_lowercase();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let foreign = text.chars().filter(|c| c.is_alphabetic() && !c.is_ascii()).count();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_code = text.contains("```") || text.contains("def ") || text.contains("{\n") || text.contains("();");
    let kinds = [
        ("holds code", is_code),
        ("many digits", 20 * digits > text.len()),
        ("many letters outside of ASCII", 5 * foreign > letters),
        ("a question", text.contains('?') || QUESTION_WORDS.contains(&first.as_str())),
        ("no question", !(text.contains('?') || QUESTION_WORDS.contains(&first.as_str()))),
        ("options A, B, C", text.contains("\nA") && text.contains("\nB") && text.contains("\nC")),
        ("a conversation", matches!(prompt.content, Content::Messages(_))),
    ];
    slices.extend(kinds.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name.to_owned()));
    slices
}

/// Four parts of about equal size by length in bytes; equal lengths stay together.
fn by_length(lengths: &mut [(usize, usize)], members: &mut BTreeMap<String, Vec<usize>>) {
    lengths.sort_unstable();
    let n = lengths.len();
    let bounds: Vec<usize> = (1..4).map(|q| lengths[(q * n / 4).min(n - 1)].0).collect();
    for &(length, i) in lengths.iter() {
        let slice = match bounds.iter().filter(|b| length >= **b).count() {
            0 => format!("under {} bytes", bounds[0]),
            3 => format!("{} bytes or more", bounds[2]),
            part => format!("{} to {} bytes", bounds[part - 1], bounds[part]),
        };
        members.entry(slice).or_default().push(i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_make_four_parts() {
        let mut members = BTreeMap::new();
        let mut lengths: Vec<(usize, usize)> = (0..100).map(|i| (10 * i, i)).collect();
        by_length(&mut lengths, &mut members);
        assert_eq!(members.values().map(Vec::len).collect::<Vec<_>>(), [25, 25, 25, 25]);
        let mut members = BTreeMap::new();
        by_length(&mut [(5, 0), (5, 1), (5, 2)], &mut members);
        assert_eq!(members.len(), 1, "equal lengths are one part: {members:?}");
    }
}
