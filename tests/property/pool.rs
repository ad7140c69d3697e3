//! The order of the pool is irrelevant: of allow lists, of catalogues, and of the artifact's own list of models.

use std::collections::BTreeMap;

use pointsman::artifact::{Artifact, Document, Weights};
use pointsman::{Catalog, Limits, Objective, Policy, Request, Router, Scratch, Turn};
use pointsman_tests::fixture::ARTIFACT;
use proptest::prelude::*;

use crate::{config, router, text};

/// Orders of the fixture's models.
fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..router().models().len()).collect::<Vec<usize>>()).prop_shuffle()
}

fn decided(router: &Router, catalog: &Catalog, policy: &Policy, text: &str) -> String {
    let bound = router.bind(catalog, policy).expect("the policy binds");
    let mut scratch = Scratch::default();
    format!("{:?}", bound.route(&Request::new(&[Turn::user(text)]), &Limits::default(), &mut scratch))
}

/// The same router with its models in another order: new position `i` holds old model `order[i]`.
fn reordered(artifact: &Artifact, order: &[usize]) -> Artifact {
    fn rows<T: Clone>(values: &[T], order: &[usize]) -> Vec<T> {
        let width = values.len() / order.len();
        order.iter().flat_map(|&model| values[model * width..(model + 1) * width].to_vec()).collect()
    }
    fn columns<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
        values.chunks_exact(order.len()).flat_map(|row| order.iter().map(|&model| row[model])).collect()
    }
    let old = &artifact.document;
    let point = |point: &pointsman::artifact::CurvePoint| {
        let mut point = point.clone();
        point.shares = rows(&point.shares, order);
        point
    };
    let profile = |profile: &pointsman::artifact::TaskProfile| {
        let mut profile = profile.clone();
        profile.weight = rows(&profile.weight, order);
        profile.score = rows(&profile.score, order);
        profile
    };
    let document = Document {
        models: rows(&old.models, order),
        costs: rows(&old.costs, order),
        statics: rows(&old.statics, order),
        curve: old.curve.iter().map(point).collect(),
        latency_curve: old.latency_curve.iter().map(point).collect(),
        task_profiles: old.task_profiles.iter().map(profile).collect(),
        ..old.clone()
    };
    let old = &artifact.weights;
    let weights = Weights {
        mean: rows(&old.mean, order),
        contrast: columns(&old.contrast, order),
        contrast_variance: columns(&old.contrast_variance, order),
        leaf: columns(&old.leaf, order),
        leaf_scale: rows(&old.leaf_scale, order),
        residual_variance: rows(&old.residual_variance, order),
        cost_weight: rows(&old.cost_weight, order),
        latency_weight: rows(&old.latency_weight, order),
        ..old.clone()
    };
    Artifact { document, weights }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn of_allow_list_and_catalogue(text in text(), order in order(), keep in 1_usize..4, lambda in 0.0..0.1_f64) {
        let router = router();
        let kept: Vec<String> = order.iter().take(keep).map(|&model| router.models()[model].clone()).collect();
        let mut sorted = kept.clone();
        sorted.sort();
        let catalog = router.default_catalog();
        let mut entries = catalog.entries.clone();
        entries.reverse();
        let policy = |allow| Policy { objective: Objective::Lambda(lambda), allow, ..Policy::default() };
        let one = decided(&router, &catalog, &policy(kept), &text);
        let other = decided(&router, &Catalog { entries }, &policy(sorted), &text);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn of_the_artifact(text in text(), order in order()) {
        let artifact = Artifact::from_bytes(ARTIFACT, "fixture").expect("the fixture opens");
        let moved = reordered(&artifact, &order);
        moved.to_bytes().expect("models in another order are as valid");
        let mut qualities: Vec<BTreeMap<String, f32>> = Vec::new();
        for artifact in [artifact, moved] {
            let router = Router::from_artifact(artifact);
            let mut scratch = Scratch::default();
            router.featurise(&Request::new(&[Turn::user(&text)]), &mut scratch.features);
            router.predict(&scratch.features, &mut scratch.predictions);
            qualities.push(router.models().iter().cloned().zip(scratch.predictions.quality).collect());
        }
        for (model, quality) in &qualities[0] {
            prop_assert_eq!(quality.to_bits(), qualities[1][model].to_bits(), "{} of {:?}", model, qualities);
        }
    }
}
