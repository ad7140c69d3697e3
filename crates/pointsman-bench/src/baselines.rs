//! The baselines every router is compared with.
//!
//! | name | sends a prompt to | chosen on |
//! |---|---|---|
//! | `random` | each model of the pool with equal chance, by expected value | nothing |
//! | `cheapest`, `dearest` | the model of least, greatest mean cost | train |
//! | `best_single` | the model of greatest mean quality | train |
//! | `zero_router` | a random mix of the two neighbouring single models on the hull of all | train |
//! | `task_table` | argmax of λ·q − c, both means of the prompt's task | train, λ out-of-fold |
//! | `knn` | argmax of λ·q − c, q the mean of the 100 most similar training prompts | train, λ out-of-fold |
//! | `cascade` | the cheapest, and on while the answer is not expected to be good enough | train, threshold out-of-fold |
//! | `oracle` | argmax of λ·q − c with the true outcomes: the ceiling, not a router | the evaluated outcomes |
//!
//! Ties go to the cheapest by belief, then to the first in catalogue order. λ runs over zero, infinity and a
//! geometric grid scaled by the spread of the models' mean costs.

mod cascade;
mod knn;
mod task_table;

use pointsman_metrics::{Behaviour, Point, hull_vertices};

use crate::contest::{Contest, Training};
use crate::entrant::{Choices, Entrant, RouterKind, Setting};
use crate::error::Error;
use crate::sweep::{Beliefs, lambda_grid, points, swept_choices};

const NO_TRAIN: &str = "no training rows for this pool";

/// How many there are.
pub(crate) const N_BASELINES: usize = 9;

/// All baselines, in the order of the report. `progress` is told which one is next.
pub(crate) fn all(contest: &Contest<'_>, mut progress: impl FnMut(&str)) -> Result<Vec<Entrant>, Error> {
    type Build = fn(&Contest<'_>) -> Result<Entrant, Error>;
    let simple: [(&str, Build); 6] = [
        ("random", random),
        ("cheapest", |c| by_cost(c, "cheapest", c.cheapest)),
        ("dearest", |c| by_cost(c, "dearest", c.dearest)),
        ("best_single", best_single),
        ("zero_router", zero_router),
        ("task_table", |c| with_train(c, "task_table", task_table::entrant)),
    ];
    let mut all = Vec::with_capacity(N_BASELINES);
    for (name, build) in simple {
        progress(name);
        all.push(build(contest)?);
    }
    progress("knn");
    if let Some(train) = &contest.train {
        let neighbours = knn::neighbours(contest, train)?;
        all.push(knn::entrant(contest, train, &neighbours)?);
        progress("cascade");
        all.push(cascade::entrant(contest, train, &neighbours)?);
    } else {
        all.extend(["knn", "cascade"].map(|name| Entrant::absent(name, RouterKind::Baseline, NO_TRAIN)));
    }
    progress("oracle");
    all.push(oracle(contest)?);
    debug_assert_eq!(all.len(), N_BASELINES);
    Ok(all)
}

fn with_train(
    contest: &Contest<'_>,
    name: &str,
    build: fn(&Contest<'_>, &Training<'_>) -> Result<Entrant, Error>,
) -> Result<Entrant, Error> {
    match &contest.train {
        Some(train) => build(contest, train),
        None => Ok(Entrant::absent(name, RouterKind::Baseline, NO_TRAIN)),
    }
}

fn random(contest: &Contest<'_>) -> Result<Entrant, Error> {
    let k = contest.n_models();
    let shares = vec![1.0 / k as f64; k];
    let behaviour = Behaviour::from_mixture(&shares, &contest.test.cost, &contest.test.quality)?;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / k as f64;
    let choices = Choices {
        settings: vec![Setting::named("uniform")],
        shares: vec![shares.clone()],
        train_points: contest.train.as_ref().map(|t| vec![Point::new(mean(&t.cost), mean(&t.quality))]),
        max: behaviour.clone(),
        max_shares: shares,
        max_models: None,
        all_points: behaviour.means(),
        behaviour,
    };
    let mut entrant = Entrant::new("random", RouterKind::Baseline, Some(choices));
    entrant.notes.push("every model with the same chance".to_owned());
    Ok(entrant)
}

fn by_cost(contest: &Contest<'_>, name: &str, model: usize) -> Result<Entrant, Error> {
    let mut entrant = Entrant::new(name, RouterKind::Baseline, Some(Choices::single(contest, model)?));
    entrant.notes.push(contest.models[model].clone());
    if contest.train.is_none() {
        entrant.notes.push(format!("{NO_TRAIN}: chosen on the evaluated costs"));
    }
    Ok(entrant)
}

fn best_single(contest: &Contest<'_>) -> Result<Entrant, Error> {
    with_train(contest, "best_single", |contest, train| {
        let choices = Choices::single(contest, train.best_single)?;
        let mut entrant = Entrant::new("best_single", RouterKind::Baseline, Some(choices));
        entrant.notes.push(contest.models[train.best_single].clone());
        Ok(entrant)
    })
}

fn zero_router(contest: &Contest<'_>) -> Result<Entrant, Error> {
    with_train(contest, "zero_router", |contest, train| {
        let k = contest.n_models();
        let singles: Vec<Point> = (0..k).map(|m| Point::new(train.cost[m], train.quality[m])).collect();
        let vertices = hull_vertices(&singles);
        let n = contest.n_queries();
        let every: Vec<Vec<u32>> = (0_u32..).take(k).map(|m| vec![m; n]).collect();
        let chosen: Vec<Vec<u32>> = vertices.iter().map(|&m| every[m].clone()).collect();
        let settings: Vec<Setting> = vertices.iter().map(|&m| Setting::named(contest.models[m].as_str())).collect();
        let train_points: Vec<Point> = vertices.iter().map(|&m| singles[m]).collect();
        let mut choices = Choices::all(contest, &settings, &chosen, Some(&train_points), vertices.len() - 1)?;
        choices.all_points = points(&every, &contest.test.cost, &contest.test.quality, k)?;
        let mut entrant = Entrant::new("zero_router", RouterKind::Baseline, Some(choices));
        entrant
            .notes
            .push("the best mix of single models at every cost, drawn without looking at the prompt".to_owned());
        entrant.quality = Some(train.quality.repeat(n));
        Ok(entrant)
    })
}

fn oracle(contest: &Contest<'_>) -> Result<Entrant, Error> {
    let beliefs = Beliefs { quality: contest.test.quality.clone(), cost: contest.test.cost.clone() };
    let mean_costs: Vec<f64> = crate::contest::column_means(&contest.test.cost, contest.n_models());
    let choices = swept_choices(contest, &beliefs, &lambda_grid(&mean_costs), None)?;
    let mut entrant = Entrant::new("oracle", RouterKind::Baseline, Some(choices));
    entrant.quality = Some(beliefs.quality);
    entrant.is_prediction = false;
    entrant.notes.push("knows the outcomes; the ceiling, not a router".to_owned());
    Ok(entrant)
}

/// Sweeps λ over out-of-fold beliefs on (some) training rows, keeps the hull, and evaluates those λ with `test`.
fn learned(
    contest: &Contest<'_>,
    train: &Training<'_>,
    name: &str,
    oof_rows: &[usize],
    oof: &Beliefs,
    test: Beliefs,
) -> Result<Entrant, Error> {
    let k = contest.n_models();
    let rows =
        |matrix: &[f64]| -> Vec<f64> { oof_rows.iter().flat_map(|&i| &matrix[i * k..(i + 1) * k]).copied().collect() };
    let lambdas = lambda_grid(&train.cost);
    let choices = oof.sweep(&lambdas, k, contest.fallback());
    let train_points = points(&choices, &rows(&train.matrix.cost), &rows(&train.matrix.quality), k)?;
    let choices = swept_choices(contest, &test, &lambdas, Some(&train_points))?;
    let mut entrant = Entrant::new(name, RouterKind::Baseline, Some(choices));
    entrant.quality = Some(test.quality);
    Ok(entrant)
}
