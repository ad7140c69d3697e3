//! What a finished router would do with given prompts: its own decisions, and what they should cost and bring.
//!
//! Unlike the rehearsal, which judges fold routers by prompts held out of them, a forecast asks one router. Where outcomes are
//! observed they count; elsewhere its predictions stand in, as far as its decision rule believes them.

use pointsman::artifact::CurvePoint;
use pointsman::policy::Currency;
use pointsman::{Features, Limits, Objective, Policy, Predictions, Ranking, Router};
use pointsman_evals::log::Outcome;
use pointsman_metrics::{Point, hull_vertices};
use rayon::prelude::*;

use crate::error::Error;

/// Expected outcomes of `k` models on `n` prompts, `[n, k]`.
pub(crate) struct Forecast {
    pub(crate) router: Router,
    pub(crate) predictions: Vec<Predictions>,
    /// Sample weights, `[n]`, summing to 1.
    weights: Vec<f64>,
    quality: Vec<f64>,
    /// USD per call; 0 where unknown.
    cost: Vec<f64>,
    /// Milliseconds per call; empty where the router knows none.
    latency: Vec<f64>,
}

impl Forecast {
    /// Predicts for every prompt.
    pub(crate) fn new(router: Router, features: &[Features], weights: &[f32]) -> Result<Self, Error> {
        let predictions: Vec<Predictions> = features
            .par_iter()
            .map(|features| {
                let mut predictions = Predictions::default();
                router.predict(features, &mut predictions);
                predictions
            })
            .collect();
        let total: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let mut forecast = Self {
            predictions,
            weights: weights.iter().map(|weight| f64::from(*weight) / total).collect(),
            quality: Vec::new(),
            cost: Vec::new(),
            latency: Vec::new(),
            router,
        };
        forecast.fill()?;
        Ok(forecast)
    }

    /// The same forecast for a router with the same weights and another curve.
    pub(crate) fn by(self, router: Router) -> Self {
        Self { router, ..self }
    }

    fn fill(&mut self) -> Result<(), Error> {
        let k = self.router.models().len();
        let policy = Policy { objective: Objective::Quality, ..Policy::default() };
        let bound = self.router.bind(&self.router.default_catalog(), &policy).map_err(Error::Artifact)?;
        let mut ranking = Ranking::default();
        let rows = self.predictions.len();
        (self.quality, self.cost) = (vec![0.0; rows * k], vec![0.0; rows * k]);
        for (row, predictions) in self.predictions.iter().enumerate() {
            for entry in bound.decide(predictions, &Limits::default(), &mut ranking).ranked {
                // For quality alone the utility is the quality that the rule believes.
                self.quality[row * k + entry.model_idx] = entry.utility.clamp(0.0, 1.0);
                self.cost[row * k + entry.model_idx] = if entry.cost_usd.is_finite() { entry.cost_usd } else { 0.0 };
            }
        }
        self.latency = self.predictions.iter().flat_map(|p| p.latency_ms.iter().map(|ms| f64::from(*ms))).collect();
        Ok(())
    }

    /// Puts what was observed of a model on a prompt in the place of what was predicted.
    pub(crate) fn observe(&mut self, row: usize, model: usize, outcome: &Outcome) {
        let at = row * self.router.models().len() + model;
        self.quality[at] = f64::from(outcome.score);
        if outcome.cost_usd.is_finite() {
            self.cost[at] = outcome.cost_usd;
        }
    }

    /// Mean quality and cost of always calling one model, `[k]`.
    pub(crate) fn singles(&self, currency: Currency) -> Vec<Point> {
        let k = self.router.models().len();
        let cost = self.price(currency);
        let mean = |values: &[f64], m: usize| -> f64 {
            values.chunks_exact(k).zip(&self.weights).map(|(row, weight)| row[m] * weight).sum()
        };
        (0..k).map(|m| Point::new(mean(cost, m), mean(&self.quality, m))).collect()
    }

    fn price(&self, currency: Currency) -> &[f64] {
        match currency {
            Currency::Cost => &self.cost,
            Currency::Latency => &self.latency,
        }
    }

    /// The model chosen for every prompt, `[n]`.
    pub(crate) fn choices(&self, objective: &Objective, currency: Currency) -> Result<Vec<usize>, Error> {
        let policy = Policy { objective: objective.clone(), ..Policy::default() };
        let bound = self.router.bind(&self.router.default_catalog(), &policy).map_err(Error::Artifact)?;
        let bound = bound.with_currency(currency);
        let decide =
            |ranking: &mut Ranking, predictions| bound.decide(predictions, &Limits::default(), ranking).model_idx;
        Ok(self.predictions.par_iter().map_init(Ranking::default, decide).collect())
    }

    /// Share of calls per model, `[k]`.
    pub(crate) fn shares(&self, choices: &[usize]) -> Vec<f64> {
        let mut shares = vec![0.0; self.router.models().len()];
        for (choice, weight) in choices.iter().zip(&self.weights) {
            shares[*choice] += weight;
        }
        shares
    }

    /// One point for every λ, 0 or more.
    pub(crate) fn sweep(&self, lambdas: &[f64], currency: Currency) -> Result<Vec<CurvePoint>, Error> {
        let k = self.router.models().len();
        let price = self.price(currency);
        let point = |&lambda: &f64| {
            let choices = self.choices(&Objective::Lambda(lambda), currency)?;
            let mean = |values: &[f64]| -> f64 {
                let chosen = choices.iter().enumerate().zip(&self.weights);
                chosen.map(|((row, choice), weight)| values[row * k + choice] * weight).sum()
            };
            Ok(CurvePoint {
                lambda: lambda.is_finite().then_some(lambda),
                cost: mean(price).max(0.0),
                quality: mean(&self.quality).clamp(0.0, 1.0),
                shares: self.shares(&choices),
            })
        };
        lambdas.iter().map(point).collect()
    }

    /// The points of a sweep that are worth having, by rising λ; the last, quality alone, always is.
    pub(crate) fn curve(&self, lambdas: &[f64], currency: Currency) -> Result<Vec<CurvePoint>, Error> {
        let points = self.sweep(lambdas, currency)?;
        let plane: Vec<Point> = points.iter().map(|point| Point::new(point.cost, point.quality)).collect();
        let mut kept = hull_vertices(&plane);
        kept.push(points.len() - 1);
        kept.sort_unstable();
        kept.dedup();
        Ok(kept.into_iter().map(|position| points[position].clone()).collect())
    }
}
