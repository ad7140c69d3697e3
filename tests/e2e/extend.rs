//! `extend`: a new model from a few labels, models retired and renamed, and what is refused.

use std::collections::BTreeMap;

use pointsman_evals::Split;
use pointsman_evals::synthetic::{SyntheticConfig, rows};
use pointsman_evals::write::LogRow;
use serde_json::Value;

use crate::broken::assert_refused;
use crate::workbench::Workbench;

const NEW: &str = "newcomer";

/// A bench with a router, and labels of one more model, which answers as the second known model does, for half the
/// money.
fn bench(labels: usize) -> Workbench {
    let bench = Workbench::with_router();
    bench.write_rows("labels.jsonl", newcomers().take(labels));
    bench
}

fn newcomers() -> impl Iterator<Item = LogRow> {
    let of_one = rows(SyntheticConfig { n_prompts: 2_000, n_models: 3, seed: 1 })
        .filter(|row| row.model.starts_with("birch") && row.repeat.is_none_or(|repeat| repeat == 0));
    of_one.map(|row| LogRow {
        model: NEW.into(),
        cost_usd: row.cost_usd.map(|usd| usd / 2.0),
        split: Some(Split::Train),
        ..row
    })
}

fn models(bench: &Workbench, router: &str) -> Vec<String> {
    let shown = bench.run(&["show", router, "--json"]).done().json();
    shown["models"].as_array().expect("models").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// Everything predicted for a few prompts: per prompt and model its quality, error and cost, as printed.
fn predictions(bench: &Workbench, router: &str) -> Vec<BTreeMap<String, [Value; 3]>> {
    let prompts = "prompt\nWhat is 2 + 2?\nWrite a sort in Python.\nTranslate to French: good morning\nZzyzx qwfp?\n";
    bench.write("prompts.csv", prompts);
    bench.run(&["predict", router, "prompts.csv", "-o", "predictions.jsonl", "--full"]).done();
    let text = std::fs::read_to_string(bench.path("predictions.jsonl")).expect("written");
    let models = models(bench, router);
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            let of = |model: &String| {
                let values = [model.clone(), format!("{model}|quality_se"), format!("{model}|cost_usd")];
                (model.clone(), values.map(|column| row[&column].clone()))
            };
            models.iter().map(of).collect()
        })
        .collect()
}

#[test]
fn a_new_model_joins_and_the_others_stay_as_they_were() {
    let bench = bench(60);
    let extend = ["extend", "router.safetensors", "labels.jsonl", "--model", NEW, "-o", "new.safetensors", "--json"];
    let summary = bench.run(&extend).done().json();
    let added = &summary["added"];
    assert_eq!(added["model"], NEW);
    assert_eq!(added["labels"], 60);
    let quality = |key: &str| added["quality"][key].as_f64().expect("a number");
    assert!(quality("low") < quality("value") && quality("value") < quality("high"), "{added}");
    for objective in ["cheap", "balanced", "quality"] {
        assert!((0.0..=1.0).contains(&added["calls"][objective].as_f64().expect("a share")), "{added}");
    }

    let shown = bench.run(&["show", "new.safetensors", "--json"]).done().json();
    assert_eq!(shown["identity"], summary["identity"]);
    assert_eq!(shown["provenance"]["metrics"]["extended_labels"], 60.0);
    let cost = |model: usize| shown["statics"][model]["cost_usd"].as_f64().expect("a cost");
    let ratio = cost(3) / cost(1);
    assert!((0.3..0.8).contains(&ratio), "half the money, got {ratio}");

    let (before, after) = (predictions(&bench, "router.safetensors"), predictions(&bench, "new.safetensors"));
    for (before, mut after) in before.into_iter().zip(after) {
        let [_, error, _] = after.remove(NEW).expect("the new model is predicted");
        for [_, known, _] in before.values() {
            assert!(error.as_f64() > known.as_f64(), "a new model is less certain: {error} against {known}");
        }
        assert_eq!(before, after);
    }
    let decision = bench.run(&["route", "new.safetensors", "What is 2 + 2?", "--allow", NEW]).done();
    assert_eq!(decision.stdout.trim_end(), NEW);
}

#[test]
fn models_are_retired_and_renamed_with_and_without_a_log() {
    let bench = bench(60);
    let old = models(&bench, "router.safetensors");
    let rename = format!("{}=other name", old[0]);
    let base = ["-o", "new.safetensors", "--retire", &old[1], "--rename", &rename];
    for log in [&[][..], &["labels.jsonl"]] {
        let run = bench.run(&[&["extend", "router.safetensors"], log, &base].concat()).done();
        assert!(run.stdout.contains("`other name`") && run.stdout.contains("no longer"), "{}", run.stdout);
        assert_eq!(run.stdout.contains("forecast"), !log.is_empty(), "{}", run.stdout);
        assert_eq!(models(&bench, "new.safetensors"), ["other name", &old[2]]);
        let before = predictions(&bench, "router.safetensors");
        let after = predictions(&bench, "new.safetensors");
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before[&old[0]], after["other name"]);
            assert_eq!(before[&old[2]], after[&old[2]]);
        }
        for objective in ["cheap", "balanced", "quality"] {
            bench.run(&["route", "new.safetensors", "What is 2 + 2?", "--objective", objective]).done();
        }
    }
}

#[test]
fn a_name_is_passed_on() {
    let bench = bench(60);
    let old = models(&bench, "router.safetensors");
    let rename = format!("{}={NEW}", old[0]);
    let run = ["extend", "router.safetensors", "labels.jsonl", "--rename", &rename, "--retire", NEW, "--model", NEW];
    bench.run(&[&run[..], &["-o", "new.safetensors"]].concat()).done();
    assert_eq!(models(&bench, "new.safetensors"), [&old[1], &old[2], NEW]);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let bench = bench(60);
    bench.write_rows("few.jsonl", newcomers().take(19));
    bench.write_rows("free.jsonl", newcomers().take(60).map(|row| LogRow { cost_usd: None, ..row }));
    let old = models(&bench, "router.safetensors");
    let known = old[0].as_str();
    let taken = format!("{known}={}", old[1]);
    #[rustfmt::skip]
    let cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        (vec![], vec!["--model", "--retire", "--rename"]),
        (vec!["--model", NEW], vec!["LOG"]),
        (vec!["labels.jsonl", "--model", known], vec![known, "already"]),
        (vec!["labels.jsonl", "--model", "gpt"], vec!["gpt", NEW]),
        (vec!["few.jsonl", "--model", NEW], vec![NEW, "at least 20", "19"]),
        (vec!["free.jsonl", "--model", NEW], vec![NEW, "cost", "--prices"]),
        (vec!["gone.jsonl", "--model", NEW], vec!["gone.jsonl"]),
        (vec!["--retire", "gpt"], vec!["gpt", known]),
        (vec!["--retire", known, "--retire", &old[1], "--retire", &old[2]], vec!["no model would be left"]),
        (vec!["--rename", "gpt=claude"], vec!["gpt", known]),
        (vec!["--rename", &taken], vec![&old[1], "already"]),
        (vec!["--rename", known], vec!["--rename", "OLD=NEW"]),
        (vec!["--rename", "=x"], vec!["--rename", "OLD=NEW"]),
    ];
    for (more, named) in cases {
        let base = ["extend", "router.safetensors", "-o", "new.safetensors"];
        assert_refused(&bench, (&[&base[..], &more].concat(), &named));
    }
    let onto_itself = ["extend", "router.safetensors", "--retire", known, "-o", "router.safetensors"];
    assert_refused(&bench, (&onto_itself, &["router.safetensors", "overwritten"]));
    assert_refused(&bench, (&["extend", "labels.jsonl", "--retire", "x", "-o", "n.safetensors"], &["labels.jsonl"]));
}
