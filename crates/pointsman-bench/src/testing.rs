//! A small evaluation log made in code, for the tests of this crate.

use pointsman_evals::{Content, CostSource, EvalLog, Outcome, Prompt, Reading, Split};

/// Names, USD per call and chance of success on the two tasks.
pub(crate) const MODELS: [(&str, f64, [f64; 2]); 4] = [
    ("big", 0.010, [0.85, 0.80]),
    ("medium", 0.004, [0.60, 0.82]),
    ("odd", 0.006, [0.45, 0.45]),
    ("small", 0.001, [0.40, 0.70]),
];

/// `n_train` + `n_test` prompts of two tasks that their words give away; every model answered every prompt.
pub(crate) fn log(n_train: u32, n_test: u32, seed: u64) -> EvalLog {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut prompts = Vec::new();
    let mut outcomes = Vec::new();
    for i in 0..n_train + n_test {
        let task = u32::from(rng.bool());
        let word = ["prove", "translate"][task as usize];
        prompts.push(Prompt {
            id: format!("p{i:05}"),
            content: Content::Text(format!("{word} item {} please, number {i}", rng.u32(..50))),
            context: Vec::new(),
            group: None,
            task: Some(task),
            dataset: None,
            split: if i < n_train { Split::Train } else { Split::Test },
            weight: 1.0,
            timestamp_us: None,
        });
        for (m, (_, cost, success)) in (0..).zip(MODELS) {
            outcomes.push(Outcome {
                prompt: i,
                model: m,
                runs: 1,
                score: f32::from(u8::from(rng.f64() < success[task as usize])),
                score_variance: f32::NAN,
                cost_usd: cost * (0.8 + 0.4 * rng.f64()),
                cost_source: CostSource::Observed,
                input_tokens: f32::NAN,
                output_tokens: f32::NAN,
                latency_ms: f32::NAN,
                propensity: f32::NAN,
            });
        }
    }
    EvalLog {
        prompts,
        models: MODELS.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        tasks: vec!["maths".to_owned(), "translation".to_owned()],
        datasets: Vec::new(),
        outcomes,
        prices: std::collections::BTreeMap::default(),
        reading: Reading::default(),
    }
}

/// An artifact that predicts the same for every prompt: quality and cost by model, in the order given.
pub(crate) fn constant_router(models: &[(&str, f64, f64)], mode: pointsman::artifact::Mode) -> pointsman::Router {
    use pointsman::artifact::{
        Artifact, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, Provenance, SCHEMA_VERSION,
        StaticMeans, TaskProfile, TaskSource, Weights,
    };
    use pointsman::features::{FEATURE_VERSION, SURFACE_SIGNALS};

    let (k, s) = (models.len(), SURFACE_SIGNALS);
    let curve_point = |lambda: Option<f64>| {
        let utility = |m: &(&str, f64, f64)| lambda.map_or(m.1, |l| l * m.1 - m.2);
        let best = (0..k).max_by(|&a, &b| utility(&models[a]).total_cmp(&utility(&models[b]))).expect("models");
        let shares = (0..k).map(|m| f64::from(u8::from(m == best))).collect();
        CurvePoint { lambda, cost: models[best].2, quality: models[best].1, shares }
    };
    let document = Document {
        schema_version: SCHEMA_VERSION,
        feature_version: FEATURE_VERSION,
        models: models.iter().map(|m| m.0.to_owned()).collect(),
        tasks: vec!["all".to_owned()],
        task_source: TaskSource::None,
        dimensions: Dimensions { vocabulary_bits: 4, outcomes: k, trees: 0, nodes: 0, leaves: 0 },
        decision: DecisionRule {
            mode,
            trust: 1.0,
            confidence: 0.0,
            novelty_weight: 0.0,
            novelty_limit: 1.0,
            default_lambda: None,
        },
        costs: vec![CostHead { target: CostTarget::CostUsd, base_tokens: 0.0, tokens_per_char: 0.25 }; k],
        prices: std::collections::BTreeMap::default(),
        statics: models
            .iter()
            .map(|m| StaticMeans { quality: m.1, cost_usd: Some(m.2), latency_ms: None, outcomes: 100 })
            .collect(),
        curve: [Some(0.0), Some(0.03), None].map(curve_point).to_vec(),
        latency_curve: Vec::new(),
        task_profiles: vec![TaskProfile { share: 1.0, weight: vec![1.0; k], score: vec![0.5; k] }],
        base: None,
        provenance: Provenance::default(),
        tensors_sha256: String::new(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    let weights = Weights {
        mean: models.iter().map(|m| m.1 as f32).collect(),
        cost_weight: models
            .iter()
            .flat_map(|m| std::iter::repeat_n(0.0, s + 1).chain(std::iter::once(m.2.ln() as f32)))
            .collect(),
        ..Weights::neutral(&document)
    };
    let bytes = Artifact { document, weights }.to_bytes().expect("a valid artifact");
    pointsman::Router::from_bytes(&bytes).expect("a valid artifact")
}
