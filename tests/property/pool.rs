//! The order of the pool is irrelevant: of allow lists, of catalogues, and of the artifact's own list of models.

use std::collections::BTreeMap;

use pointsman::artifact::Artifact;
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
        let moved = artifact.select(&order);
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

    #[test]
    fn of_those_that_left(text in text(), order in order(), keep in 1_usize..3) {
        let artifact = Artifact::from_bytes(ARTIFACT, "fixture").expect("the fixture opens");
        let smaller = artifact.select(&order[..keep]);
        smaller.to_bytes().expect("fewer models are as valid");
        let predict = |artifact: &Artifact| {
            let router = Router::from_artifact(artifact.clone());
            let mut scratch = Scratch::default();
            router.featurise(&Request::new(&[Turn::user(&text)]), &mut scratch.features);
            router.predict(&scratch.features, &mut scratch.predictions);
            scratch.predictions
        };
        let (all, few) = (predict(&artifact), predict(&smaller));
        for (new, &old) in order[..keep].iter().enumerate() {
            prop_assert_eq!(few.quality[new].to_bits(), all.quality[old].to_bits());
            prop_assert_eq!(few.quality_se[new].to_bits(), all.quality_se[old].to_bits());
            prop_assert_eq!(few.output_tokens[new].to_bits(), all.output_tokens[old].to_bits());
            prop_assert_eq!(few.direct_cost_usd[new].to_bits(), all.direct_cost_usd[old].to_bits());
        }
    }
}
