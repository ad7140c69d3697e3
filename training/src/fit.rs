//! The whole of training: log → features → heads → decision rule → artifact.

use std::collections::BTreeMap;
use std::time::Instant;

use pointsman::artifact::{
    Artifact, Base, DecisionRule, Dimensions, Document, ListPrice, Mode, Provenance, SCHEMA_VERSION, StaticMeans,
    TaskProfile, TaskSource, identity,
};
use pointsman::features::FEATURE_VERSION;
use pointsman::policy::Currency;
use pointsman_evals::Split;
use pointsman_evals::log::{CostSource, EvalLog, Outcome};

use crate::clusters;
use crate::crossfit::{self, CrossFit, Labels, Pricing};
use crate::dataset::Dataset;
use crate::error::Error;
use crate::recipe::Recipe;
use crate::rehearsal::{Comparison, Rehearsal, Trial};
use crate::search;
use crate::summary::{Figures, Summary};

/// Fewest outcomes in the train split for a model to be learned. Of three outcomes nothing can be learned but luck, and
/// a name with three outcomes is as likely a misspelling.
const FEWEST_OUTCOMES: usize = 10;

/// Fewest prompts that are worth cross-fitting on.
const FEWEST_PROMPTS: usize = 30;

/// Where novelty is the share of unknown words, half of them may be unknown (a guess; lower holds still more often).
const LEAST_NOVELTY_LIMIT: f64 = 0.5;

/// Most labels kept as tasks; rarer ones count as unlabelled.
const MOST_TASKS: usize = 256;

/// A trained router.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The artifact.
    pub artifact: Artifact,
    /// Its file.
    pub bytes: Vec<u8>,
    /// SHA-256 of the file, in hex.
    pub identity: String,
    /// What was learned, for people and machines.
    pub summary: Summary,
}

/// What a run reports while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub done: u64,
    /// Steps in all.
    pub total: u64,
}

/// Fits a router to the train split of `log`.
///
/// Same log, recipe and machine: same bytes, but for the number of threads recorded in the document. Other splits are
/// not looked at.
///
/// # Errors
/// [`Error::TooFew`] with fewer than 30 prompts or 2 models; the other variants are defects of ours.
///
/// # Panics
/// Never: what it expects of its own parts holds by construction.
pub fn fit(
    log: &EvalLog,
    recipe: &Recipe,
    assume_output_tokens: f64,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Trained, Error> {
    let clock = Clock::start();
    enough("prompts", FEWEST_PROMPTS, log.prompts.iter().filter(|prompt| prompt.split == Split::Train).count())?;
    let pool = Pool::new(log);
    enough("models", 2, pool.kept.len())?;
    let data = Dataset::new(log, &pool.kept, recipe.base().cloned())?;
    enough("prompts", FEWEST_PROMPTS, data.n())?;
    clock.lap("features");
    let (labels, tasks, task_source) = labels(&data, recipe)?;
    clock.lap("tasks");

    let parts = recipe.folds(data.n()) as u64 + 1;
    let steps = std::sync::atomic::AtomicU64::new(0);
    let total = parts * 2 + 4 + if recipe.searches() { search::CONFIGURATIONS } else { 0 };
    let step = || {
        let done = steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(Progress { done: done.min(total), total });
    };
    let pricing = Pricing { prices: &log.prices, assume_output_tokens };
    let (found, tried) = if recipe.searches() {
        let draft = |cross: &CrossFit| draft(log, &data, recipe, tasks.clone(), task_source, cross);
        search::run(&data, &labels, &pricing, recipe, &draft, &step)?
    } else {
        (recipe.clone(), Vec::new())
    };
    let recipe = &found;
    clock.lap("search");
    let cross = crossfit::run(&data, &labels, &pricing, recipe, &step)?;
    clock.lap("fit");

    let mut document = draft(log, &data, recipe, tasks, task_source, &cross);
    let (trial, comparison, figures) = rehearse(&data, &mut document, &cross, recipe)?;
    step();
    clock.lap("rehearsal");

    let mut last = cross.parts.into_iter().next_back().expect("the part fitted on all rows is always there");
    document.costs = last.costs;
    document.dimensions = last.dimensions;
    if document.latency_curve.is_empty() {
        last.weights.latency_weight.clear();
    }
    document.provenance.metrics = figures.metrics();
    let mut artifact = Artifact { document, weights: last.weights };
    let bytes = artifact.to_bytes().map_err(Error::Artifact)?;
    artifact = Artifact::from_bytes(&bytes, "just trained").map_err(Error::Artifact)?;
    let identity = identity(&bytes);
    clock.lap("artifact");
    let mut summary = Summary::new(&artifact.document, &data, &trial, &comparison, figures, clock.seconds());
    summary.dropped = pool.without_cost;
    summary.too_few = pool.too_few;
    summary.tried = tried;
    step();
    Ok(Trained { artifact, bytes, identity, summary })
}

fn enough(what: &'static str, expected: usize, got: usize) -> Result<(), Error> {
    if got < expected { Err(Error::TooFew { what, expected, got }) } else { Ok(()) }
}

/// Which models are learned.
struct Pool {
    /// Positions in the log's list of models.
    kept: Vec<u32>,
    /// Left out, because nothing is known of their cost while others have one.
    without_cost: Vec<String>,
    /// Left out, with their number of outcomes in the train split: mostly names misspelt in a few rows.
    too_few: BTreeMap<String, usize>,
}

impl Pool {
    /// Models with outcomes enough and, where any model has one, a cost. Missing cells drop nobody.
    fn new(log: &EvalLog) -> Self {
        let mut outcomes = vec![0; log.models.len()];
        let mut priced = vec![false; log.models.len()];
        let of_train = |outcome: &&Outcome| log.prompts[outcome.prompt as usize].split == Split::Train;
        for outcome in log.outcomes.iter().filter(of_train) {
            outcomes[outcome.model as usize] += 1;
            priced[outcome.model as usize] |= outcome.cost_source != CostSource::Unknown;
        }
        let any_priced = priced.iter().any(|priced| *priced);
        let mut pool = Self { kept: Vec::new(), without_cost: Vec::new(), too_few: BTreeMap::new() };
        for (model, name) in log.models.iter().enumerate() {
            if outcomes[model] < FEWEST_OUTCOMES {
                pool.too_few.insert(name.clone(), outcomes[model]);
            } else if any_priced && !priced[model] {
                pool.without_cost.push(name.clone());
            } else {
                pool.kept.push(u32::try_from(model).expect("models are numbered by u32"));
            }
        }
        pool
    }
}

/// Tasks: the log's labels where there are at least two, else clusters if the recipe wants them, else all one.
fn labels(data: &Dataset, recipe: &Recipe) -> Result<(Labels, Vec<String>, TaskSource), Error> {
    let mut counts = vec![0_usize; data.tasks.len()];
    for label in data.labels.iter().flatten() {
        counts[*label as usize] += 1;
    }
    let mut kept: Vec<usize> = (0..counts.len()).filter(|&task| counts[task] > 0).collect();
    kept.sort_by_key(|&task| (std::cmp::Reverse(counts[task]), task));
    kept.truncate(MOST_TASKS);
    kept.sort_unstable();
    if kept.len() >= 2 {
        let mut renumbered = vec![None; counts.len()];
        for (new, old) in (0_u32..).zip(&kept) {
            renumbered[*old] = Some(new);
        }
        let of_row = data.labels.iter().map(|label| label.and_then(|label| renumbered[label as usize])).collect();
        let names = kept.iter().map(|&task| data.tasks[task].clone()).collect();
        return Ok((Labels { of_row, n_tasks: kept.len() }, names, TaskSource::Labels));
    }
    if recipe.settings().clusters == 0 {
        return Ok((Labels { of_row: vec![Some(0); data.n()], n_tasks: 1 }, vec!["all".to_owned()], TaskSource::None));
    }
    let of_row = clusters::assign(data, recipe.settings().clusters, recipe.settings().seed)?;
    let n_tasks = of_row.iter().flatten().max().map_or(1, |largest| *largest as usize + 1);
    let names = (1..=n_tasks).map(|cluster| format!("cluster-{cluster:02}")).collect();
    Ok((Labels { of_row, n_tasks }, names, TaskSource::Clusters))
}

/// The document with everything known before the rehearsal.
fn draft(
    log: &EvalLog,
    data: &Dataset,
    recipe: &Recipe,
    tasks: Vec<String>,
    task_source: TaskSource,
    cross: &CrossFit,
) -> Document {
    let settings = recipe.settings();
    let price = |name: &String| {
        let price = log.prices.get(name)?;
        let list =
            ListPrice { input_usd_per_mtok: price.input_usd_per_mtok, output_usd_per_mtok: price.output_usd_per_mtok };
        Some((name.clone(), list))
    };
    let recipe_json = serde_json::to_value(settings).unwrap_or_default();
    let recipe_map = recipe_json.as_object().map(|map| map.clone().into_iter().collect()).unwrap_or_default();
    Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        models: data.models.clone(),
        task_profiles: profiles(data, cross, tasks.len()),
        base: data.base.as_ref().map(|base| Base {
            sha256: base.identity().to_owned(),
            bytes: base.file().len(),
            dimensions: base.dimensions(),
        }),
        tasks,
        task_source,
        dimensions: Dimensions { vocabulary_bits: 4, outcomes: data.k(), trees: 0, nodes: 0, leaves: 0 },
        decision: DecisionRule {
            mode: Mode::Learned,
            trust: 1.0,
            confidence: 0.0,
            novelty_weight: if cross.knows_novelty { 1.0 } else { 0.0 },
            novelty_limit: 1.0,
            default_lambda: None,
        },
        costs: Vec::new(),
        prices: data.models.iter().filter_map(price).collect(),
        statics: vec![StaticMeans { quality: 0.0, cost_usd: None, latency_ms: None, outcomes: 0 }; data.k()],
        curve: Vec::new(),
        latency_curve: Vec::new(),
        provenance: Provenance {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            data_sha256: log.reading.data_sha256.clone(),
            split_sha256: log.reading.split_sha256.clone(),
            recipe: recipe_map,
            seed: settings.seed,
            threads: rayon::current_num_threads(),
            instruction_set: std::env::consts::ARCH.to_owned(),
            n_prompts: data.n(),
            n_outcomes: data.n_outcomes(),
            metrics: BTreeMap::new(),
        },
        tensors_sha256: String::new(),
    }
}

/// Sums of posterior weight and score per task and model: what a later model needs to be compared.
fn profiles(data: &Dataset, cross: &CrossFit, t: usize) -> Vec<TaskProfile> {
    let mut profiles = vec![TaskProfile { share: 0.0, weight: vec![0.0; data.k()], score: vec![0.0; data.k()] }; t];
    for (cells, posterior) in data.cells.iter().zip(cross.posteriors.chunks_exact(t)) {
        for (profile, p) in profiles.iter_mut().zip(posterior) {
            profile.share += f64::from(*p) / data.n() as f64;
            for cell in cells {
                profile.weight[cell.model as usize] += f64::from(*p);
                profile.score[cell.model as usize] += f64::from(*p) * f64::from(cell.score);
            }
        }
    }
    profiles
}

/// Fills in statics, novelty limit, decision rule and curves.
fn rehearse(
    data: &Dataset,
    document: &mut Document,
    cross: &CrossFit,
    recipe: &Recipe,
) -> Result<(Trial, Comparison, Figures), Error> {
    let mut rehearsal = Rehearsal::new(data, document, &cross.parts);
    if !cross.knows_novelty {
        let mut novelties: Vec<f32> = rehearsal.predictions.iter().map(|predictions| predictions.novelty).collect();
        novelties.sort_by(f32::total_cmp);
        // What one training prompt in two hundred exceeds, and a margin.
        let high = f64::from(novelties[(novelties.len() - 1) * 995 / 1000]);
        document.decision.novelty_limit = (high + 0.1).clamp(LEAST_NOVELTY_LIMIT, 0.98);
    }

    let costs_known = data.cells.all().iter().any(|cell| cell.cost_source != CostSource::Unknown);
    let latencies: Vec<Option<f64>> = (0..data.k()).map(|model| mean_latency(data, model)).collect();
    for (model, single) in rehearsal.singles().iter().enumerate() {
        document.statics[model] = StaticMeans {
            quality: single.quality.clamp(0.0, 1.0),
            cost_usd: costs_known.then_some(single.cost),
            latency_ms: latencies[model],
            outcomes: data.cells.all().iter().filter(|cell| cell.model as usize == model).count(),
        };
    }
    // The fold routers decide against the same static choices as the router itself will.
    rehearsal = Rehearsal::new(data, document, &cross.parts);
    let (rule, trial, comparison) = rehearsal.choose_rule(document, recipe.settings().seed)?;
    document.decision = rule;
    document.curve = rehearsal.curve(&trial);
    if latencies.iter().all(Option::is_some) {
        let timed = rehearsal.trial(document, rule, Currency::Latency)?;
        document.latency_curve = rehearsal.curve(&timed);
    }
    let figures = Figures::new(data, document, &rehearsal, &comparison, &cross.parts, recipe.settings().seed)?;
    Ok((trial, comparison, figures))
}

fn mean_latency(data: &Dataset, model: usize) -> Option<f64> {
    let cells = data.cells.all().iter().filter(|cell| cell.model as usize == model && cell.latency_ms.is_finite());
    let (sum, count) = cells.fold((0.0, 0.0), |(sum, count), cell| (sum + f64::from(cell.latency_ms), count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// Seconds per stage.
struct Clock(std::cell::RefCell<(Instant, Vec<(&'static str, f64)>)>);

impl Clock {
    fn start() -> Self {
        Self(std::cell::RefCell::new((Instant::now(), Vec::new())))
    }

    fn lap(&self, stage: &'static str) {
        let mut inner = self.0.borrow_mut();
        let seconds = inner.0.elapsed().as_secs_f64();
        inner.1.push((stage, seconds));
        inner.0 = Instant::now();
    }

    fn seconds(self) -> Vec<(&'static str, f64)> {
        self.0.into_inner().1
    }
}
