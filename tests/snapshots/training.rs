//! Errors of `pointsman-training`. Those that hold another library's error (tensors, solver) are defects of ours, and
//! cannot be made from outside.

use pointsman_metrics::MetricsError;
use pointsman_tests::logs::{log_of, synthetic_rows, tiny_recipe};
use pointsman_training::{Effort, Error, RecipeSettings, fit};

use crate::{all, declared, shown, variants};

/// Variants that hold a type of the tensor library or the solver.
const OUT_OF_REACH: [&str; 2] = ["Singular", "Tensor"];

#[test]
fn every_text() {
    let syntax = RecipeSettings::from_toml("seed = 1\nbucket_bit = 12\n").expect_err("an unknown key");
    let errors = [
        Error::TooFew { what: "prompts", expected: 30, got: 12 },
        Error::TooFew { what: "models", expected: 2, got: 1 },
        syntax,
        Error::BadRecipe { field: "trees", expected: "0 to 1000", got: "2000".into() },
        Error::Prompt { prompt_id: "p-17".into(), source: pointsman::Error::NoMessages },
        Error::ModelTaken { model: "aster".into() },
        Error::UnknownModel { model: "gpt".into(), known: vec!["aster".into(), "briar".into()] },
        Error::NoModelLeft,
        Error::NotInLog { model: "gpt".into(), found: vec!["aster".into(), "briar".into()] },
        Error::TooFewLabels { model: "gpt".into(), expected: 20, got: 7 },
        Error::NoCost { model: "gpt".into() },
        Error::BadTarget { target: "quality<=0.9".into(), expected: "`>=` after quality", got: "<=".into() },
        Error::NoCosts { target: "cost<=0.5*best".into() },
        Error::Unreachable { target: "quality>=1.1*best".into(), closest: "quality 0.8210 (1.0200*best)".into() },
        Error::Clustering("no convergence".into()),
        Error::Artifact(pointsman::Error::EmptyPool),
        Error::Metrics(MetricsError::Empty { what: "quality" }),
    ];
    let mut declared = declared(include_str!("../../training/src/error.rs"));
    declared.retain(|name| !OUT_OF_REACH.contains(&name.as_str()));
    assert_eq!(variants(&errors), declared);
    insta::assert_snapshot!("training", all(errors.iter().map(|error| shown(error, error.hint()))));
}

#[test]
fn as_they_come_about() {
    let train = |n_prompts, n_models| {
        let log = log_of(synthetic_rows(n_prompts, n_models, 1)).expect("a synthetic log is a log");
        fit(&log, &tiny_recipe(1), 150.0, &|_| ()).expect_err("too little to learn from")
    };
    let mut errors = vec![train(200, 1), train(12, 3)];
    for toml in ["seed = \"x\"", "seed = -1", "effort = \"lots\"", "= 3"] {
        errors.push(RecipeSettings::from_toml(toml).expect_err("not a recipe"));
    }
    errors.push("lots".parse::<Effort>().expect_err("no such effort"));
    let base = RecipeSettings::default;
    for settings in [
        RecipeSettings { vocabulary_bits: 7, ..base() },
        RecipeSettings { surface_weight: f64::NAN, ..base() },
        RecipeSettings { task_ridge: 0.0, ..base() },
        RecipeSettings { depth: 0, ..base() },
        RecipeSettings { leaf: 1, ..base() },
        RecipeSettings { trees: 5_000, ..base() },
        RecipeSettings { new_tasks: 1.0, ..base() },
        RecipeSettings { clusters: 1, ..base() },
    ] {
        errors.push(settings.validate().expect_err("outside its domain"));
    }
    insta::assert_snapshot!("training_met", all(errors.iter().map(|error| shown(error, error.hint()))));
}
