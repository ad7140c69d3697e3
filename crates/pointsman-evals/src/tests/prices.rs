//! Price lists and the costs that follow from them.

use super::*;
use crate::{CostSource, Outcome};

fn priced(log: &str, prices: &str) -> Result<EvalLog, Error> {
    let folder = folder();
    let options = ReadOptions { prices: Some(file(&folder, "prices.csv", prices)), ..ReadOptions::default() };
    read_with(&file(&folder, "log.csv", log), &options)
}

const PRICES: &str = "model,input_usd_per_mtok,output_usd_per_mtok\na,1,10\nunused,5,5\n";

fn cell(log: &EvalLog, index: usize) -> Outcome {
    log.outcomes[index]
}

#[test]
fn every_rule_in_its_order() {
    let text = "x".repeat(400);
    let log = priced(
        &format!(
            "prompt_id,prompt,model,score,cost_usd,input_tokens,output_tokens,output_chars\n\
             1,{text},a,1,0.5,1000,100,\n\
             2,{text},a,1,,1000,100,80\n\
             3,{text},a,1,,,,80\n\
             4,{text},a,1,,,,\n\
             5,{text},b,1,,1000,100,\n"
        ),
        PRICES,
    )
    .expect("valid");
    let expected = [
        (0.5, CostSource::Observed),
        (0.002, CostSource::Estimated),
        ((100.0 + 20.0 * 10.0) / 1e6, CostSource::Estimated),
        ((100.0 + 150.0 * 10.0) / 1e6, CostSource::Assumed),
    ];
    for (index, (usd, source)) in expected.into_iter().enumerate() {
        assert_eq!((cell(&log, index).cost_usd, cell(&log, index).cost_source), (usd, source));
    }
    assert_eq!(cell(&log, 4).cost_source, CostSource::Unknown);
    assert_eq!(cell(&log, 2).output_tokens, 20.0);
    assert!(cell(&log, 3).output_tokens.is_nan());
    assert_eq!(log.prices.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn characters_are_counted_not_bytes_and_over_all_turns() {
    let log = priced("prompt,model,score,output_tokens\näöüß,a,1,0\n", PRICES).expect("valid");
    assert_eq!(cell(&log, 0).cost_usd, 1.0 / 1e6);
    let turns = r#"[{""role"":""system"",""content"":""abcd""},{""role"":""user"",""content"":""efgh""}]"#;
    let log = priced(&format!("messages,model,score,output_tokens\n\"{turns}\",a,1,0\n"), PRICES).expect("valid");
    assert_eq!(cell(&log, 0).cost_usd, 2.0 / 1e6);
}

#[test]
fn prices_do_not_change_the_data_hash() {
    let log = "prompt,model,score\np,a,1\n";
    let with = priced(log, PRICES).expect("valid").reading.data_sha256;
    assert_eq!(with, csv(log).expect("valid").reading.data_sha256);
}

#[test]
fn the_dataset_selects_the_row() {
    let prices = "dataset,model,input_usd_per_mtok,output_usd_per_mtok,source\nd1,a,1,1,x\nd2,a,2,2,x\n,b,3,3,x\n";
    let log = priced(
        "prompt,model,score,dataset,input_tokens,output_tokens\n\
         p,a,1,d1,1000000,0\nq,a,1,d2,1000000,0\nr,a,1,d3,1000000,0\nr,b,1,d3,1000000,0\n",
        prices,
    )
    .expect("valid");
    let mut costs: Vec<(String, f64)> = log
        .outcomes
        .iter()
        .map(|outcome| {
            let dataset = log.prompts[outcome.prompt as usize].dataset.expect("every prompt has one");
            let name = format!("{}{}", log.models[outcome.model as usize], log.datasets[dataset as usize]);
            (name, outcome.cost_usd)
        })
        .collect();
    costs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!((costs[0].1, costs[1].1, costs[3].1), (1.0, 2.0, 3.0));
    assert!(costs[2].1.is_nan(), "d3 has no price for a");
    // Each dataset has as many prompts: the first by name is the model's price.
    assert_eq!(log.prices["a"].input_usd_per_mtok, 1.0);
}

#[test]
fn without_a_dataset_the_prices_have_to_agree() {
    let header = "dataset,model,input_usd_per_mtok,output_usd_per_mtok\n";
    let log = "prompt,model,score\np,a,1\n";
    let agreed = priced(log, &format!("{header}d1,a,1,1\nd2,a,1,1\n")).expect("one price");
    assert_eq!(agreed.prices.len(), 1);
    let error = priced(log, &format!("{header}d1,a,1,1\nd2,a,2,2\n")).expect_err("two prices");
    assert!(error.to_string().ends_with("model `a` has different prices: d1: 1/1, d2: 2/2"), "{error}");
    assert!(error.hint().is_some());
    assert!(priced(log, &format!("{header}d1,other,1,1\nd2,other,2,2\n")).is_ok(), "not a model of the log");
}

#[test]
fn bad_price_lists_are_errors() {
    let log = "prompt,model,score\np,a,1\n";
    let bad = |prices: &str| priced(log, prices).expect_err("a bad price list").to_string();
    assert!(bad("").ends_with("the file is empty"));
    assert!(bad("model,input_usd_per_mtok\na,1\n").contains("column `output_usd_per_mtok` is missing"));
    let header = "model,input_usd_per_mtok,output_usd_per_mtok\n";
    for (row, problem) in [
        ("a,free,1", "input_usd_per_mtok: expected USD per million tokens, finite and not negative, got `free`"),
        ("a,1,-1", "output_usd_per_mtok: expected USD per million tokens, finite and not negative, got `-1`"),
        ("a,1,inf", "got `inf`"),
        ("a,1", "got ``"),
        (",1,1", "model: expected a name, got ``"),
        ("a,1,1\na,2,2", "model: expected one price per model and dataset, got `a`"),
    ] {
        let text = bad(&format!("{header}{row}\n"));
        assert!(text.contains(problem), "{text}");
    }
    assert!(bad(&format!("{header}a,1,1\na,x,2\n")).contains("prices.csv:3`: "));
    let options = ReadOptions { prices: Some("nowhere.csv".into()), ..ReadOptions::default() };
    assert!(matches!(read_text("log.csv", log, &options), Err(Error::Io { .. })));
}
