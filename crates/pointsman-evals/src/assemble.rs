//! Puts the log together: settles which drafts are one prompt, pools repeated runs, makes splits and costs.
//!
//! Everything is sorted before it is merged or summed, so that the order of rows and files reaches no result.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use crate::builder::{
    Builder, CONFLICTING_CONTEXT, CONFLICTING_TEXT, Draft, NONE, Names, Record, least, merge_context,
};
use crate::cost::{Usage, cost};
use crate::digest;
use crate::error::Error;
use crate::log::{Content, ContextValue, CostSource, EvalLog, Outcome, Price, Prompt};
use crate::messages;
use crate::nearest::nearest;
use crate::prices::PriceList;
use crate::resolve::{Subject, TextKey, resolve};
use crate::row::{Kind, narrow};
use crate::split::Split;
use crate::text::{hex, normalise, sha256};

/// A prompt on its way from a draft into the log.
struct Settled {
    id: String,
    /// The draft it began with; others with the same id follow in [`Settled::more`].
    draft: u32,
    more: Vec<u32>,
    /// Equal for equal normalised texts.
    text_key: TextKey,
    /// The split its text would get; `Train` where it does not matter.
    hashed: Split,
    chars: u32,
}

impl Builder<'_> {
    /// The log, from all rows pushed.
    pub(crate) fn finish(mut self) -> Result<EvalLog, Error> {
        self.check_models()?;
        let mut settled = self.settle();
        settled.sort_by(|a, b| a.id.cmp(&b.id));
        let settled = self.merge(settled);
        self.check_splits(&settled)?;

        // Draft → prompt.
        let mut prompt_of = vec![NONE; self.drafts.len()];
        for (prompt, settled) in settled.iter().enumerate() {
            let prompt = u32::try_from(prompt).expect("not more prompts than drafts");
            for draft in std::iter::once(&settled.draft).chain(&settled.more) {
                prompt_of[*draft as usize] = prompt;
            }
        }
        let records = live_records(std::mem::take(&mut self.records), &prompt_of);
        self.reading.accepted = records.len() as u64;
        if records.is_empty() {
            return Err(Error::NothingUsable {
                rows: self.reading.rows,
                filtered: self.reading.filtered,
                rejected: self.reading.rejected,
            });
        }

        let live = |settled: &Settled| &self.drafts[settled.draft as usize];
        let (tasks, task_of) = sorted_names(&self.tasks, settled.iter().map(|s| live(s).task));
        let (datasets, dataset_of) = sorted_names(&self.datasets, settled.iter().map(|s| live(s).dataset));
        let (models, model_of) = sorted_names(&self.models, records.iter().map(|r| r.model));
        let splits = self.splits(&settled)?;

        let chars: Vec<u32> = settled.iter().map(|settled| settled.chars).collect();
        let mut prompts = Vec::with_capacity(settled.len());
        for (settled, split) in settled.into_iter().zip(splits) {
            let group = self.least_group(&settled);
            let draft = &mut self.drafts[settled.draft as usize];
            prompts.push(Prompt {
                id: settled.id,
                content: {
                    let (kind, text) = draft.content.take().expect("a settled prompt has a text");
                    Content::of(kind, text.into())
                },
                context: std::mem::take(&mut draft.context).into_vec(),
                group,
                task: (draft.task != NONE).then(|| task_of[draft.task as usize]),
                dataset: (draft.dataset != NONE).then(|| dataset_of[draft.dataset as usize]),
                split,
                weight: if draft.weight.is_nan() { 1.0 } else { draft.weight },
                timestamp_us: draft.timestamp_us,
            });
        }
        self.drafts = Vec::new();

        let table = price_table(self.prices.as_ref(), &models, &datasets, &prompts)?;
        let (outcomes, duplicates) = pool_runs(records, &model_of, |prompt, model| {
            let dataset = prompts[prompt as usize].dataset;
            let price = table[dataset.map_or(datasets.len(), |d| d as usize)][model as usize];
            (price, chars[prompt as usize], self.options.assume_output_tokens)
        });
        let mut reading = self.reading;
        reading.files = self.files;
        reading.duplicate_runs = duplicates;
        let prices = prices_of_models(&table, &models, datasets.len(), &prompts);
        let mut log = EvalLog { prompts, models, tasks, datasets, outcomes, prices, reading };
        log.reading.data_sha256 = digest::data(&log);
        log.reading.split_sha256 = digest::splits(&log);
        Ok(log)
    }

    fn check_models(&self) -> Result<(), Error> {
        for model in self.options.models.iter().flatten() {
            if !self.models.contains(model) && !self.models.names.is_empty() {
                return Err(Error::UnknownModel {
                    model: model.clone(),
                    nearest: nearest(model, self.models.names.iter().map(String::as_str), 3),
                });
            }
        }
        Ok(())
    }

    /// One entry for each draft that has a text and no conflict; the rows of the others are counted as rejected.
    fn settle(&mut self) -> Vec<Settled> {
        let mut settled = Vec::with_capacity(self.drafts.len());
        for index in 0..self.drafts.len() {
            let draft = &self.drafts[index];
            let Some((kind, text)) = &draft.content else {
                self.drop_draft(index, "prompt_id without a text");
                continue;
            };
            if let Some((reason, _)) = draft.conflict {
                self.drop_draft(index, reason);
                continue;
            }
            let (normalised, chars) = match kind {
                Kind::Text => (normalise(text), text.chars().count()),
                Kind::Messages => {
                    let chat = messages::parse(text).expect("checked to parse");
                    (normalise(&chat.transcript()), chat.chars())
                }
            };
            settled.push(Settled {
                id: draft.id.as_deref().map_or_else(
                    || {
                        let group = (draft.group != NONE).then(|| self.groups.names[draft.group as usize].as_str());
                        derived_id(&normalised, &draft.context, group)
                    },
                    str::to_owned,
                ),
                draft: u32::try_from(index).expect("fewer than 2^32 drafts"),
                more: Vec::new(),
                text_key: self.hashes.each_ref().map(|state| state.hash_one(&normalised)),
                // Hashing every text for nothing takes a tenth of the reading.
                hashed: if draft.split.is_some() { Split::Train } else { Split::of_text(&normalised) },
                chars: u32::try_from(chars).unwrap_or(u32::MAX),
            });
        }
        settled
    }

    fn drop_draft(&mut self, index: usize, reason: &'static str) {
        let draft = &self.drafts[index];
        let place = draft.conflict.map_or(draft.first, |(_, place)| place);
        let value = match (&draft.id, &draft.content) {
            (Some(id), _) => id.to_string(),
            (None, Some((_, text))) => text.chars().take(40).collect(),
            (None, None) => String::new(),
        };
        let rows = u64::from(draft.rows);
        self.count_rejected(place, reason, &value, rows);
    }

    /// Joins entries with the same id; `sorted` by id.
    fn merge(&mut self, sorted: Vec<Settled>) -> Vec<Settled> {
        let mut merged: Vec<Settled> = Vec::with_capacity(sorted.len());
        let mut conflicting: Vec<(String, &'static str)> = Vec::new();
        for settled in sorted {
            match merged.last_mut() {
                Some(known) if known.id == settled.id => {
                    if let Err(reason) = self.merge_drafts(known, &settled) {
                        conflicting.push((settled.id.clone(), reason));
                    }
                    known.more.push(settled.draft);
                }
                _ => merged.push(settled),
            }
        }
        if conflicting.is_empty() {
            return merged;
        }
        let reasons: BTreeMap<String, &'static str> = conflicting.into_iter().collect();
        merged.retain(|settled| {
            let Some(reason) = reasons.get(&settled.id) else {
                return true;
            };
            for draft in std::iter::once(settled.draft).chain(settled.more.iter().copied()) {
                self.drop_draft(draft as usize, reason);
            }
            false
        });
        merged
    }

    /// Merges what the draft of `other` says into the draft of `known`.
    fn merge_drafts(&mut self, known: &mut Settled, other: &Settled) -> Result<(), &'static str> {
        let (a, b) = (known.draft as usize, other.draft as usize);
        let left = tombstone(&self.drafts[b]);
        let other_draft = std::mem::replace(&mut self.drafts[b], left);
        let draft = &mut self.drafts[a];
        let same_text = known.text_key == other.text_key;
        if other_draft.content < draft.content {
            draft.content = other_draft.content;
            known.chars = other.chars;
        }
        draft.task = least(draft.task, other_draft.task, &self.tasks.names);
        draft.dataset = least(draft.dataset, other_draft.dataset, &self.datasets.names);
        if draft.group == NONE {
            draft.group = other_draft.group;
        } else if other_draft.group != NONE && other_draft.group != draft.group {
            self.more_groups.push((known.draft, other_draft.group));
        }
        match (draft.split, other_draft.split) {
            (None, split) => draft.split = split,
            (Some(x), Some(y)) if x != y => {
                self.split_conflicts.push((known.draft, x.min(y), x.max(y)));
            }
            _ => {}
        }
        draft.weight = draft.weight.max(other_draft.weight);
        draft.timestamp_us = match (draft.timestamp_us, other_draft.timestamp_us) {
            (Some(x), Some(y)) => Some(x.min(y)),
            (x, y) => x.or(y),
        };
        let context = merge_context(&draft.context, &other_draft.context);
        if let Some(context) = &context {
            draft.context = context.clone().into();
        }
        if !same_text {
            return Err(CONFLICTING_TEXT);
        }
        context.map(|_| ()).ok_or(CONFLICTING_CONTEXT)
    }

    fn check_splits(&self, settled: &[Settled]) -> Result<(), Error> {
        if self.split_conflicts.is_empty() {
            return Ok(());
        }
        let conflicts: BTreeMap<u32, (Split, Split)> =
            self.split_conflicts.iter().map(|(draft, a, b)| (*draft, (*a, *b))).collect();
        for prompt in settled {
            for draft in std::iter::once(&prompt.draft).chain(&prompt.more) {
                if let Some((first, second)) = conflicts.get(draft) {
                    return Err(Error::SplitConflict {
                        what: "prompt",
                        name: prompt.id.clone(),
                        first: *first,
                        second: *second,
                    });
                }
            }
        }
        Ok(())
    }

    /// All groups a prompt was seen in.
    fn groups_of(&self, settled: &Settled) -> Vec<u32> {
        let mut groups = Vec::new();
        for draft in std::iter::once(settled.draft).chain(settled.more.iter().copied()) {
            let group = self.drafts[draft as usize].group;
            if group != NONE {
                groups.push(group);
            }
            let from = self.more_groups.partition_point(|(other, _)| *other < draft);
            groups.extend(
                self.more_groups[from..].iter().take_while(|(other, _)| *other == draft).map(|(_, group)| *group),
            );
        }
        groups
    }

    fn least_group(&self, settled: &Settled) -> Option<String> {
        self.groups_of(settled).into_iter().map(|group| &self.groups.names[group as usize]).min().cloned()
    }

    fn splits(&mut self, settled: &[Settled]) -> Result<Vec<Split>, Error> {
        self.more_groups.sort_unstable();
        self.more_groups.dedup();
        let subjects: Vec<Subject<'_>> = settled
            .iter()
            .map(|settled| Subject {
                own: self.drafts[settled.draft as usize].split,
                hashed: settled.hashed,
                text_key: settled.text_key,
                groups: self
                    .groups_of(settled)
                    .into_iter()
                    .map(|group| self.groups.names[group as usize].as_str())
                    .collect(),
            })
            .collect();
        let resolved = resolve(&subjects)?;
        let n_own = subjects.iter().filter(|subject| subject.own.is_some()).count();
        let source = match n_own {
            0 => "hash",
            n if n == subjects.len() => "column",
            _ => "mixed",
        };
        self.reading.texts_across_splits = resolved.texts_across_splits;
        self.reading.joined_groups = resolved.joined_groups;
        self.reading.split_source = source.into();
        Ok(resolved.splits)
    }
}

/// First 16 hexadecimal digits of the SHA-256 of the normalised text; with a context or a group, these follow.
pub(crate) fn derived_id(normalised: &str, context: &[(String, ContextValue)], group: Option<&str>) -> String {
    if context.is_empty() && group.is_none() {
        return hex(&sha256(normalised.as_bytes())[..8]);
    }
    let mut bytes = normalised.as_bytes().to_vec();
    for (name, value) in context {
        bytes.extend_from_slice(b"\0context\0");
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&digest::context_bytes(value));
    }
    if let Some(group) = group {
        bytes.extend_from_slice(b"\0group\0");
        bytes.extend_from_slice(group.as_bytes());
    }
    hex(&sha256(&bytes)[..8])
}

/// What stays of a draft that was merged into another.
fn tombstone(draft: &Draft) -> Draft {
    Draft {
        id: draft.id.clone(),
        content: None,
        context: Box::default(),
        group: NONE,
        task: NONE,
        dataset: NONE,
        split: None,
        weight: f32::NAN,
        timestamp_us: None,
        rows: draft.rows,
        first: draft.first,
        conflict: draft.conflict,
    }
}

/// The names that are used, sorted, and the new index of each old one.
fn sorted_names(names: &Names, used: impl Iterator<Item = u32>) -> (Vec<String>, Vec<u32>) {
    let mut is_used = vec![false; names.names.len()];
    for index in used.filter(|index| *index != NONE) {
        is_used[index as usize] = true;
    }
    let mut order: Vec<usize> = (0..is_used.len()).filter(|index| is_used[*index]).collect();
    order.sort_by(|a, b| names.names[*a].cmp(&names.names[*b]));
    let mut new = vec![NONE; is_used.len()];
    for (position, index) in order.iter().enumerate() {
        new[*index] = u32::try_from(position).expect("not more names than before");
    }
    (order.into_iter().map(|index| names.names[index].clone()).collect(), new)
}

/// The records of prompts that made it into the log, with prompt in place of draft.
fn live_records(mut records: Vec<Record>, prompt_of: &[u32]) -> Vec<Record> {
    for record in &mut records {
        record.draft = prompt_of[record.draft as usize];
    }
    records.retain(|record| record.draft != NONE);
    records
}

/// Sorts the runs and pools those of one cell. Also returns how many runs repeat another's `repeat` index.
///
/// `terms` gives price, prompt characters and assumed output tokens of a cell.
fn pool_runs(
    mut records: Vec<Record>,
    model_of: &[u32],
    terms: impl Fn(u32, u32) -> (Option<Price>, u32, f64),
) -> (Vec<Outcome>, u64) {
    for record in &mut records {
        record.model = model_of[record.model as usize];
    }
    let run = |r: &Record| {
        (
            r.repeat,
            r.score.to_bits(),
            r.cost_usd.to_bits(),
            r.input_tokens.to_bits(),
            r.output_tokens.to_bits(),
            r.latency_ms.to_bits(),
            r.propensity.to_bits(),
        )
    };
    // Nearly all comparisons end at the cell.
    let cell = |r: &Record| (r.draft, r.model);
    records.sort_unstable_by(|a, b| cell(a).cmp(&cell(b)).then_with(|| run(a).cmp(&run(b))));
    let mut duplicates = 0;
    // Of its size at once: growing would hold it twice.
    let mut outcomes = Vec::with_capacity(records.chunk_by(|a, b| cell(a) == cell(b)).count());
    for runs in records.chunk_by(|a, b| cell(a) == cell(b)) {
        duplicates +=
            runs.windows(2).filter(|pair| pair[0].repeat != NONE && pair[0].repeat == pair[1].repeat).count() as u64;
        outcomes.push(pool_cell(runs, terms(runs[0].draft, runs[0].model)));
    }
    (outcomes, duplicates)
}

fn pool_cell(runs: &[Record], (price, prompt_chars, assumed): (Option<Price>, u32, f64)) -> Outcome {
    // Welford's recurrence.
    let (mut mean, mut squares) = (0.0, 0.0);
    for (index, run) in runs.iter().enumerate() {
        let delta = f64::from(run.score) - mean;
        mean += delta / (index + 1) as f64;
        squares += delta * (f64::from(run.score) - mean);
    }
    let cost_of = |run: &Record| {
        let usage = Usage {
            cost_usd: run.cost_usd,
            input_tokens: run.input_tokens.into(),
            output_tokens: run.output_tokens.into(),
            prompt_chars: prompt_chars.into(),
        };
        cost(&usage, price, assumed)
    };
    let source = runs.iter().map(|run| cost_of(run).1).min().unwrap_or(CostSource::Unknown);
    let average = |value: fn(&Record) -> f32| narrow(mean_of(runs.iter().map(|run| value(run).into())));
    Outcome {
        prompt: runs[0].draft,
        model: runs[0].model,
        runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        score: narrow(mean),
        score_variance: if runs.len() > 1 { narrow(squares / (runs.len() - 1) as f64) } else { f32::NAN },
        // Runs whose cost is less well known than another's are left out of the mean.
        cost_usd: mean_of(runs.iter().map(cost_of).filter(|cost| cost.1 == source).map(|cost| cost.0)),
        cost_source: source,
        input_tokens: average(|run| run.input_tokens),
        output_tokens: average(|run| run.output_tokens),
        latency_ms: average(|run| run.latency_ms),
        propensity: average(|run| run.propensity),
    }
}

/// Mean of the values that are there; NaN if none is.
fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0_u32);
    for value in values.filter(|value| !value.is_nan()) {
        sum += value;
        n += 1;
    }
    if n == 0 { f64::NAN } else { sum / f64::from(n) }
}

/// Prices `[n_datasets + 1][n_models]`; the last row is for prompts without a dataset.
fn price_table(
    prices: Option<&PriceList>,
    models: &[String],
    datasets: &[String],
    prompts: &[Prompt],
) -> Result<Vec<Vec<Option<Price>>>, Error> {
    let has_bare_prompts = prompts.iter().any(|prompt| prompt.dataset.is_none());
    let rows = datasets.iter().map(|dataset| Some(dataset.as_str())).chain([None]);
    rows.map(|dataset| {
        models
            .iter()
            .map(|model| match prices {
                Some(prices) if dataset.is_some() || has_bare_prompts => prices.price(model, dataset),
                _ => Ok(None),
            })
            .collect()
    })
    .collect()
}

/// One price per model: that of the dataset with the most prompts that has one.
fn prices_of_models(
    table: &[Vec<Option<Price>>],
    models: &[String],
    n_datasets: usize,
    prompts: &[Prompt],
) -> BTreeMap<String, Price> {
    let mut n_prompts = vec![0_usize; n_datasets + 1];
    for prompt in prompts {
        n_prompts[prompt.dataset.map_or(n_datasets, |dataset| dataset as usize)] += 1;
    }
    let mut order: Vec<usize> = (0..=n_datasets).collect();
    order.sort_by_key(|row| (std::cmp::Reverse(n_prompts[*row]), *row));
    models
        .iter()
        .enumerate()
        .filter_map(|(model, name)| {
            let price = order.iter().find_map(|row| table[*row][model])?;
            Some((name.clone(), price))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::content_key;

    #[test]
    fn the_derived_id_is_the_hash_of_the_normalised_text() {
        let normalised = content_key(Kind::Text, " Hello  World ");
        assert_eq!(normalised, "hello world");
        // printf 'hello world' | sha256sum
        assert_eq!(derived_id(&normalised, &[], None), "b94d27b9934d3e08");
        let plan = |plan: &str| vec![("plan".to_owned(), ContextValue::Text(plan.to_owned()))];
        let free = derived_id(&normalised, &plan("free"), None);
        assert_ne!(free, "b94d27b9934d3e08");
        assert_ne!(free, derived_id(&normalised, &plan("paid"), None));
        assert_ne!(free, derived_id(&normalised, &plan("free"), Some("g")));
    }

    #[test]
    fn runs_are_pooled_whatever_their_order() {
        let run = |score: f32, cost_usd: f64| Record {
            draft: 0,
            model: 0,
            score,
            input_tokens: f32::NAN,
            output_tokens: f32::NAN,
            latency_ms: 10.0 * score,
            propensity: f32::NAN,
            repeat: NONE,
            cost_usd,
        };
        let price = Price { input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0 };
        let pool = |records| pool_runs(records, &[0], |_, _| (Some(price), 8, 10.0)).0;
        let runs = vec![run(0.0, 0.25), run(1.0, f64::NAN), run(0.5, 0.75)];
        let mut reversed = runs.clone();
        reversed.reverse();
        let cell = pool(runs);
        assert_eq!(cell.len(), 1);
        assert_eq!(format!("{cell:?}"), format!("{:?}", pool(reversed)));
        let cell = cell[0];
        assert_eq!((cell.runs, cell.score, cell.score_variance), (3, 0.5, 0.25));
        assert_eq!(cell.latency_ms, 5.0);
        // The run without a cost could only be assumed, so the mean is of the other two.
        assert_eq!((cell.cost_usd, cell.cost_source), (0.5, CostSource::Observed));
        assert!(cell.input_tokens.is_nan());
    }

    #[test]
    fn one_run_has_no_variance() {
        let record = Record {
            draft: 0,
            model: 0,
            score: 1.0,
            input_tokens: 1.0,
            output_tokens: 1.0,
            latency_ms: f32::NAN,
            propensity: f32::NAN,
            repeat: 0,
            cost_usd: f64::NAN,
        };
        let (cells, duplicates) = pool_runs(vec![record], &[0], |_, _| (None, 8, 10.0));
        assert!(cells[0].score_variance.is_nan());
        assert_eq!(cells[0].cost_source, CostSource::Unknown);
        assert_eq!(duplicates, 0);
        let (cells, duplicates) = pool_runs(vec![record, record], &[0], |_, _| (None, 8, 10.0));
        assert_eq!((cells[0].runs, duplicates), (2, 1));
    }
}
