//! A cascade: ask the cheapest model first, and a dearer one where the answer is not expected to be good enough.
//!
//! The chain is the hull of the single models on train. A model's answer stands if its predicted quality reaches the
//! setting's threshold; the last model's always does. Every model asked is paid for. A log holds no answers to judge, so
//! the prediction is the neighbours' (see `knn`), from the prompt: a cascade that reads its answers knows more, and a router
//! that acts on the same prediction without paying for the tries is what this one should be compared with.

use rayon::prelude::*;

use pointsman_metrics::{Behaviour, Point, hull_vertices};

use super::knn::Neighbours;
use crate::contest::{Contest, Training};
use crate::entrant::{Choices, Entrant, RouterKind, Setting, shares};
use crate::error::Error;
use crate::sweep::kept;

/// Thresholds 0, 1/32, … 1: finer than means of a hundred neighbours can tell apart matters to nobody.
const STEPS: u32 = 32;

pub(super) fn entrant(contest: &Contest<'_>, train: &Training<'_>, neighbours: &Neighbours) -> Result<Entrant, Error> {
    let k = contest.n_models();
    let singles: Vec<Point> = (0..k).map(|m| Point::new(train.cost[m], train.quality[m])).collect();
    let chain = hull_vertices(&singles);
    // Past the last step no answer but the last model's stands.
    let thresholds: Vec<f64> =
        (0..=STEPS).map(|s| f64::from(s) / f64::from(STEPS)).chain(std::iter::once(f64::INFINITY)).collect();

    let oof_rows: Vec<usize> = neighbours.rows.clone();
    let on_train = thresholds
        .par_iter()
        .map(|&t| {
            let run = run(&chain, t, k, &neighbours.oof.quality, |i| {
                let row = oof_rows[i] * k;
                (&train.matrix.cost[row..row + k], &train.matrix.quality[row..row + k])
            });
            Ok(Behaviour::new(run.cost, run.quality, oof_rows.len())?.means()[0])
        })
        .collect::<Result<Vec<Point>, Error>>()?;
    let keep = kept(&on_train);
    let top = thresholds.len() - 1;
    let evaluate = |t: f64| {
        run(&chain, t, k, &neighbours.test.quality, |i| {
            (&contest.test.cost[i * k..(i + 1) * k], &contest.test.quality[i * k..(i + 1) * k])
        })
    };
    let n = contest.n_queries();
    let runs: Vec<Run> = keep.iter().map(|&s| evaluate(thresholds[s])).collect();
    let max = evaluate(thresholds[top]);
    let flat = |part: fn(&Run) -> &Vec<f64>| runs.iter().flat_map(part).copied().collect();
    let choices = Choices {
        settings: keep.iter().map(|&s| setting(thresholds[s])).collect(),
        behaviour: Behaviour::new(flat(|r| &r.cost), flat(|r| &r.quality), n)?,
        shares: runs.iter().map(|r| shares(&r.answered, k)).collect(),
        train_points: Some(keep.iter().map(|&s| on_train[s]).collect()),
        max: Behaviour::new(max.cost, max.quality, n)?,
        max_shares: shares(&max.answered, k),
        max_models: Some(max.answered),
        // Its costs may pass the dearest model's, which would move the range that `aiq_compat` gives everyone.
        all_points: Vec::new(),
    };
    let mut entrant = Entrant::new("cascade", RouterKind::Baseline, Some(choices));
    entrant.notes.push(format!(
        "asks {} in turn, pays for each, judged by the neighbours' prediction from the prompt",
        chain.iter().map(|&m| contest.models[m].as_str()).collect::<Vec<_>>().join(", ")
    ));
    Ok(entrant)
}

fn setting(threshold: f64) -> Setting {
    if threshold.is_finite() {
        Setting::named(format!("≥ {threshold:.2}"))
    } else {
        Setting::named("always the last")
    }
}

/// What a threshold did: cost of all models asked and quality of the answer taken, `[n]`, and who gave it.
struct Run {
    cost: Vec<f64>,
    quality: Vec<f64>,
    answered: Vec<u32>,
}

/// `predicted` is `[n, k]`; `outcomes` gives a row's costs and qualities.
fn run<'m>(
    chain: &[usize],
    threshold: f64,
    k: usize,
    predicted: &[f64],
    outcomes: impl Fn(usize) -> (&'m [f64], &'m [f64]),
) -> Run {
    let mut run = Run { cost: Vec::new(), quality: Vec::new(), answered: Vec::new() };
    for (i, predicted) in predicted.chunks_exact(k).enumerate() {
        let (cost, quality) = outcomes(i);
        let asked = chain.iter().position(|&m| predicted[m] >= threshold).unwrap_or(chain.len() - 1);
        run.cost.push(chain[..=asked].iter().map(|&m| cost[m]).sum());
        run.quality.push(quality[chain[asked]]);
        run.answered.push(u32::try_from(chain[asked]).expect("pools are small"));
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_asked_is_paid_for() {
        let (cost, quality) = ([1.0, 10.0, 100.0], [0.0, 0.5, 1.0]);
        let at = |threshold, predicted: [f64; 3]| {
            let run = run(&[0, 1, 2], threshold, 3, &predicted, |_| (&cost, &quality));
            (run.cost[0], run.quality[0], run.answered[0])
        };
        assert_eq!(at(0.5, [0.6, 0.9, 0.9]), (1.0, 0.0, 0));
        assert_eq!(at(0.5, [0.4, 0.9, 0.9]), (11.0, 0.5, 1));
        assert_eq!(at(0.95, [0.4, 0.9, 0.9]), (111.0, 1.0, 2));
    }
}
