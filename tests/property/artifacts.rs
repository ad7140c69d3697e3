//! Any valid artifact survives its file: read back it is equal, written again it is the same bytes.

use pointsman::artifact::{Artifact, CurvePoint, StaticMeans};
use pointsman::{Request, Router, Scratch, Turn};
use pointsman_tests::fixture::{ARTIFACT, bits};
use proptest::prelude::*;

use crate::{config, text};

/// Any number from 0 to `high`, with all its bits.
fn amount(high: f64) -> impl Strategy<Value = f64> {
    prop_oneof![
        0.0..=high,
        prop::num::f64::POSITIVE.prop_map(move |x| if x <= high { x } else { high / (1.0 + x.log2()) })
    ]
}

/// A weight within the domain, with all its bits; now and then a zero of either sign or a tiny number.
fn weight() -> impl Strategy<Value = f32> {
    prop_oneof![-1e6..=1e6_f32, -1.0..1.0_f32, Just(0.0), Just(-0.0), Just(f32::MIN_POSITIVE / 4.0)]
}

fn artifact() -> impl Strategy<Value = Artifact> {
    let numbers = prop::collection::vec((amount(1.0), amount(1e3)), 8);
    let weights = prop::collection::vec(weight(), 64);
    (numbers, weights, any::<u64>(), any::<u8>(), text()).prop_map(|(numbers, weights, seed, byte, name)| {
        let mut artifact = Artifact::from_bytes(ARTIFACT, "fixture").expect("the fixture opens");
        let document = &mut artifact.document;
        let k = document.models.len();
        document.models[0] = name;
        document.prices.clear();
        document.provenance.seed = seed;
        document.decision.confidence = numbers[0].1;
        document.decision.trust = numbers[1].0;
        document.decision.default_lambda = Some(numbers[2].1);
        document.statics[0] =
            StaticMeans { quality: numbers[3].0, cost_usd: Some(numbers[3].1), latency_ms: None, outcomes: 7 };
        let point =
            |&(quality, cost): &(f64, f64)| CurvePoint { lambda: Some(cost), cost, quality, shares: vec![quality; k] };
        document.curve = numbers.iter().map(point).collect();
        document.provenance.metrics.insert("any".into(), -numbers[4].1);
        let data = &mut artifact.weights;
        for (old, new) in data.contrast.iter_mut().zip(&weights) {
            *old = *new;
        }
        for (old, new) in data.contrast_variance.iter_mut().zip(&weights) {
            *old = new.abs();
        }
        data.table.fill(byte.cast_signed());
        artifact
    })
}

/// Equal but for `tensors_sha256`, which writing fills in.
fn unsealed(mut artifact: Artifact) -> Artifact {
    artifact.document.tensors_sha256.clear();
    artifact
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn round_trip(artifact in artifact(), text in text()) {
        let Ok(bytes) = artifact.to_bytes() else {
            // A name that another model has.
            prop_assert!(artifact.document.models[1..].contains(&artifact.document.models[0]));
            return Ok(());
        };
        let back = Artifact::from_bytes(&bytes, "back").expect("what was written opens");
        prop_assert_eq!(&unsealed(back.clone()), &unsealed(artifact.clone()));
        prop_assert_eq!(&back.to_bytes().expect("what opened can be written"), &bytes);
        // Extreme weights included, predictions are numbers and the same before and after.
        let predicted = [artifact, back].map(|artifact| {
            let router = Router::from_artifact(artifact);
            let mut scratch = Scratch::default();
            router.featurise(&Request::new(&[Turn::user(&text)]), &mut scratch.features);
            router.predict(&scratch.features, &mut scratch.predictions);
            bits(&scratch.features, &scratch.predictions)
        });
        prop_assert_eq!(&predicted[0], &predicted[1]);
        let quality = |bits: &str| f32::from_bits(u32::from_str_radix(bits, 16).expect("hexadecimal digits"));
        prop_assert!(predicted[0]["quality"].iter().all(|bits| (0.0..=1.0).contains(&quality(bits))));
        prop_assert!(predicted[0]["quality_se"].iter().all(|bits| quality(bits).is_finite()));
    }
}
