//! A router as the benchmark sees it: chosen settings, what they realised, and what was predicted.

use pointsman_metrics::{Behaviour, Point};
use serde::{Deserialize, Serialize};

use crate::contest::Contest;
use crate::error::Error;
use crate::report::OriginReport;
use crate::sweep::{kept, points};

/// Who made a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// One of our artifacts.
    Pointsman,
    /// A baseline that the benchmark computes itself.
    Baseline,
    /// A file of somebody else's predictions or choices.
    External,
}

/// One value of a router's policy parameter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// λ in USD per unit of quality; `None` where the setting is no λ.
    pub(crate) lambda: Option<f64>,
    /// For people: `λ = 0.0012`, a model's name, a setting's name.
    pub(crate) label: String,
}

impl Setting {
    pub(crate) fn lambda(lambda: f64) -> Self {
        let label = if lambda.is_infinite() { "λ → ∞".to_owned() } else { format!("λ = {lambda:.3e}") };
        Self { lambda: Some(lambda), label }
    }

    pub(crate) fn named(label: impl Into<String>) -> Self {
        Self { lambda: None, label: label.into() }
    }
}

/// The settings of a router that are joined to its curve, by ascending training cost, and what they realised.
#[derive(Debug)]
pub(crate) struct Choices {
    pub(crate) settings: Vec<Setting>,
    pub(crate) behaviour: Behaviour,
    /// Share of calls per setting and model, `[n_settings][n_models]`.
    pub(crate) shares: Vec<Vec<f64>>,
    /// Points measured on train, per kept setting; `None` where the settings were not chosen on train.
    pub(crate) train_points: Option<Vec<Point>>,
    /// Realised at the greatest quality the router can be set to: one setting.
    pub(crate) max: Behaviour,
    pub(crate) max_shares: Vec<f64>,
    /// Model per query at that setting; `None` for a router that draws at random.
    pub(crate) max_models: Option<Vec<u32>>,
    /// Evaluated points of every setting tried, for figures that take a hull on the evaluated points.
    pub(crate) all_points: Vec<Point>,
}

impl Choices {
    /// Keeps the settings on the hull of `train_points` (of the evaluated points where `None`). `choices` is
    /// `[n_settings][n_queries]`; `top` the setting that goes for quality alone.
    pub(crate) fn select(
        contest: &Contest<'_>,
        settings: &[Setting],
        choices: &[Vec<u32>],
        train_points: Option<&[Point]>,
        top: usize,
    ) -> Result<Self, Error> {
        let (cost, quality, k) = (&contest.test.cost, &contest.test.quality, contest.n_models());
        let all_points = points(choices, cost, quality, k)?;
        let keep = kept(train_points.unwrap_or(&all_points));
        Self::of(contest, settings, choices, &keep, train_points, top, all_points)
    }

    /// Keeps every setting, in the order given, which must be that of ascending training cost.
    pub(crate) fn all(
        contest: &Contest<'_>,
        settings: &[Setting],
        choices: &[Vec<u32>],
        train_points: Option<&[Point]>,
        top: usize,
    ) -> Result<Self, Error> {
        let all_points = points(choices, &contest.test.cost, &contest.test.quality, contest.n_models())?;
        let keep: Vec<usize> = (0..choices.len()).collect();
        Self::of(contest, settings, choices, &keep, train_points, top, all_points)
    }

    fn of(
        contest: &Contest<'_>,
        settings: &[Setting],
        choices: &[Vec<u32>],
        keep: &[usize],
        train_points: Option<&[Point]>,
        top: usize,
        all_points: Vec<Point>,
    ) -> Result<Self, Error> {
        let (cost, quality, k) = (&contest.test.cost, &contest.test.quality, contest.n_models());
        let flat: Vec<u32> = keep.iter().flat_map(|&s| &choices[s]).copied().collect();
        Ok(Self {
            behaviour: Behaviour::from_choices(&flat, cost, quality, k)?,
            shares: keep.iter().map(|&s| shares(&choices[s], k)).collect(),
            train_points: train_points.map(|p| keep.iter().map(|&s| p[s]).collect()),
            settings: keep.iter().map(|&s| settings[s].clone()).collect(),
            max: Behaviour::from_choices(&choices[top], cost, quality, k)?,
            max_shares: shares(&choices[top], k),
            max_models: Some(choices[top].clone()),
            all_points,
        })
    }

    /// A router that sends everything to one model.
    pub(crate) fn single(contest: &Contest<'_>, model: usize) -> Result<Self, Error> {
        let model_u32 = u32::try_from(model).expect("pools are small");
        let train = contest.train.as_ref().map(|t| vec![Point::new(t.cost[model], t.quality[model])]);
        let setting = Setting::named(contest.models[model].as_str());
        let choices = [vec![model_u32; contest.n_queries()]];
        Self::all(contest, &[setting], &choices, train.as_deref(), 0)
    }
}

/// Share of calls per model.
pub(crate) fn shares(choices: &[u32], n_models: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n_models];
    for &m in choices {
        counts[m as usize] += 1.0;
    }
    counts.iter().map(|c| c / choices.len() as f64).collect()
}

/// A router, ready to be measured.
#[derive(Debug)]
pub(crate) struct Entrant {
    pub(crate) name: String,
    pub(crate) kind: RouterKind,
    /// `None` where the router could not be built; `notes` says why.
    pub(crate) choices: Option<Choices>,
    /// Predicted quality on the evaluated split, `[n_queries, n_models]`; NaN columns are models not known to it.
    pub(crate) quality: Option<Vec<f64>>,
    /// Whether [`Self::quality`] are predictions (else they are the truth, and their errors mean nothing).
    pub(crate) is_prediction: bool,
    /// Settings were chosen on the evaluated outcomes: flattering, so kept out of paired claims.
    pub(crate) optimistic: bool,
    /// Share of prompts on which the router declined to leave the best static choice at λ → ∞.
    pub(crate) abstained: Option<f64>,
    /// Mean over models of |mean predicted cost / mean observed cost − 1|.
    pub(crate) cost_error: Option<f64>,
    /// How an artifact was made.
    pub(crate) origin: Option<OriginReport>,
    pub(crate) notes: Vec<String>,
}

impl Entrant {
    pub(crate) fn new(name: impl Into<String>, kind: RouterKind, choices: Option<Choices>) -> Self {
        Self {
            name: name.into(),
            kind,
            choices,
            quality: None,
            is_prediction: true,
            optimistic: false,
            abstained: None,
            cost_error: None,
            origin: None,
            notes: Vec::new(),
        }
    }

    /// A router that cannot be built here.
    pub(crate) fn absent(name: impl Into<String>, kind: RouterKind, note: impl Into<String>) -> Self {
        let mut entrant = Self::new(name, kind, None);
        entrant.notes.push(note.into());
        entrant
    }
}
