//! Predictors that know nothing of the prompt, fed through `bench --predictions`: they must score what mixing single
//! models scores, or the benchmark pays for nothing.

use pointsman_evals::{EvalLog, ReadOptions, Split, read};
use serde_json::{Map, Value, json};

use crate::workbench::Workbench;

const DEMO: &[u8] = include_bytes!("../../data/demo/log.parquet");

/// Standard deviation of the noisy predictor about the training means.
const NOISE: f64 = 0.03;

/// Mean quality of each model over the training prompts.
fn training_means(log: &EvalLog) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); log.models.len()];
    for outcome in &log.outcomes {
        if log.prompts[outcome.prompt as usize].split == Split::Train {
            let (sum, n) = &mut sums[outcome.model as usize];
            *sum += f64::from(outcome.score);
            *n += 1.0;
        }
    }
    sums.into_iter().map(|(sum, n)| sum / n).collect()
}

/// One line per prompt of every split, one column per model.
fn predictions(log: &EvalLog, mut predict: impl FnMut(usize) -> f64) -> String {
    let line = |id: &String| {
        let mut line: Map<String, Value> =
            log.models.iter().enumerate().map(|(model, name)| (name.clone(), json!(predict(model)))).collect();
        line.insert("prompt_id".into(), json!(id));
        Value::Object(line).to_string() + "\n"
    };
    log.prompts.iter().map(|prompt| &prompt.id).map(line).collect()
}

/// Normal to good approximation.
fn normal(rng: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
}

#[test]
fn constant_and_noise_are_worth_what_the_zero_router_is() {
    let bench = Workbench::new();
    bench.write("log.parquet", DEMO);
    let log = read(&[bench.path("log.parquet")], &ReadOptions::default(), &mut |_| ()).expect("the included log");
    let means = training_means(&log);
    bench.write("constant.jsonl", predictions(&log, |model| means[model]));
    let mut rng = fastrand::Rng::with_seed(1);
    bench.write("noise.jsonl", predictions(&log, |model| means[model] + NOISE * normal(&mut rng)));

    let report = bench
        .run(&[
            "bench",
            "log.parquet",
            "--predictions",
            "constant.jsonl",
            "--predictions",
            "noise.jsonl",
            "--json",
            "-",
        ])
        .done()
        .json();
    let routers = report["routers"].as_array().expect("routers");
    let aiq = |name: &str| {
        let router = routers.iter().find(|router| router["name"] == name).expect("the router is listed");
        router["aiq"]["value"].as_f64().expect("an AIQ")
    };
    let against_zero = |name: &str| {
        let paired = report["paired"].as_array().expect("comparisons");
        let pair =
            paired.iter().find(|pair| pair["a"] == name && pair["b"] == "zero_router" && pair["metric"] == "aiq");
        let pair = pair.expect("a comparison with the zero router");
        ["diff", "low", "high"].map(|key| pair[key].as_f64().expect("a number"))
    };
    let zero = aiq("zero_router");
    assert!((aiq("constant") - zero).abs() < 1e-9, "constant {} zero router {zero}", aiq("constant"));
    // Noise takes prompts to models at random, which costs a little and must not seem to gain.
    let [diff, low, high] = against_zero("noise");
    assert!((aiq("noise") - zero - diff).abs() < 1e-9);
    assert!(diff.abs() < 0.01, "noise is {diff} from the zero router");
    assert!(low <= 0.002 && high >= -0.01, "noise is told from the zero router: [{low}, {high}]");
    assert!(aiq("oracle") > zero + 0.05, "there is something to gain on this log, which noise does not");
}
