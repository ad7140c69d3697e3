//! One row per prompt, one column per model.

use polars::prelude::{Column, DataFrame, IntoColumn, NamedFrom, ParquetWriter, Series};

use super::*;
use crate::{CostSource, parse_score_range};

const ROUTERBENCH: &str = "sample_id,prompt,eval_name,meta/small,gpt-4,meta/small|model_response,gpt-4|model_response,meta/small|total_cost,gpt-4|total_cost,oracle_model_to_route_to
mmlu.1,\"['What is 2 + 2?', 'Answer:']\",mmlu,0.0,1.0,['C)'],['four'],1e-05,0.00074,gpt-4
mbpp.2,['Write a function.'],mbpp,1.0,,['def f'],,2e-05,,meta/small
";

const LONG: &str = "prompt_id,prompt,task,model,score,output_chars,cost_usd
mmlu.1,\"['What is 2 + 2?', 'Answer:']\",mmlu,meta/small,0,6,1e-05
mmlu.1,\"['What is 2 + 2?', 'Answer:']\",mmlu,gpt-4,1,8,0.00074
mbpp.2,['Write a function.'],mbpp,meta/small,1,9,2e-05
";

fn error(name: &str, text: &str) -> Error {
    read_text(name, text, &ReadOptions::default()).expect_err("refused")
}

/// Wide CSV without commas in its values, as JSONL and as TSV.
fn other_forms(text: &str) -> [(&'static str, String); 2] {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let objects: String = lines
        .map(|line| {
            let fields: serde_json::Map<String, serde_json::Value> = names
                .iter()
                .zip(line.split(','))
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| {
                    let typed =
                        value.to_lowercase().parse().ok().filter(|value: &serde_json::Value| !value.is_string());
                    ((*name).to_owned(), typed.unwrap_or_else(|| value.into()))
                })
                .collect();
            serde_json::Value::Object(fields).to_string() + "\n"
        })
        .collect();
    [("wide.jsonl", objects), ("wide.tsv", text.replace(',', "\t"))]
}

#[test]
fn routerbench_is_the_same_log_as_its_long_form() {
    let wide = csv(ROUTERBENCH).expect("valid");
    let long = csv(LONG).expect("valid");
    assert_eq!(rejected(&wide), []);
    assert_eq!(wide.models, ["gpt-4", "meta/small"]);
    assert_eq!((wide.reading.rows, wide.outcomes.len()), (3, 3));
    assert_eq!(wide.prompts, long.prompts);
    assert_eq!(wide.reading.data_sha256, long.reading.data_sha256);
    assert_eq!(wide.reading.ignored_columns, ["oracle_model_to_route_to"]);
}

#[test]
fn routellm_has_flags_and_responses_and_nothing_else() {
    for (flag, not) in [("True", "False"), ("true", "false"), ("1", "0"), ("1.0", "0.0"), ("yes", "no")] {
        let text = format!(
            "prompt,mixtral-8x7b,gpt-4,mixtral-8x7b_response,gpt-4_response\nJanet's ducks,{not},{flag},It is 7.,18\nA robe,{flag},{flag},3,three\n"
        );
        for (name, text) in [("wide.csv", text.clone())].into_iter().chain(other_forms(&text)) {
            if name == "wide.jsonl" && flag == "1.0" {
                continue;
            }
            let log = read_text(name, &text, &ReadOptions::default()).expect("valid");
            assert_eq!(log.models, ["gpt-4", "mixtral-8x7b"], "{name} {flag}");
            let scores: f32 = log.outcomes.iter().map(|outcome| outcome.score).sum();
            assert_eq!((log.outcomes.len(), scores), (4, 3.0), "{name} {flag}");
            assert_eq!(rejected(&log), []);
        }
    }
    let short = csv("prompt,a,b\nx,True,False\ny,False,True\n").expect("valid");
    assert_eq!((short.models.len(), short.outcomes.len()), (2, 4));
}

#[test]
fn every_attribute_reaches_its_outcome() {
    let log = csv("prompt,a,b,a|cost_usd,a|input_tokens,a|output_tokens,a|latency_ms,b|output_chars,b|judge\n\
                   p,1,0.5,0.25,10,20,30,40,x\n")
    .expect("valid");
    let [a, b] = log.outcomes.as_slice() else { panic!("two outcomes") };
    assert_eq!((a.cost_usd, a.cost_source), (0.25, CostSource::Observed));
    assert_eq!((a.input_tokens, a.output_tokens, a.latency_ms), (10.0, 20.0, 30.0));
    assert_eq!((b.output_tokens, b.score), (10.0, 0.5));
    assert_eq!(log.reading.ignored_columns, ["b|judge"]);
}

#[test]
fn wide_rows_have_groups_splits_context_and_messages_in_every_form() {
    let text = "id_in_log,prompt_id,messages,group,split,weight,context.plan,context.seats,a,b\n\
                x,1,[{\"role\":\"user\"|\"content\":\"hi\"}],g,test,2,free,3,1,0\n\
                y,2,[{\"role\":\"user\"|\"content\":\"ho\"}],g,test,2,paid,4,,1\n";
    // The messages' comma, after the fields were told apart.
    let with_comma = |text: String| text.replace("\"|\"", "\",\"");
    let mut forms: Vec<(&str, String)> = other_forms(text)
        .into_iter()
        .map(|(name, text)| (name, with_comma(text.replace("\\\"|\\\"", "\\\",\\\""))))
        .collect();
    let quoted = text
        .replace("[{", "\"[{")
        .replace("}]", "}]\"")
        .replace("\"role\":\"user\"|\"content\":", "\"\"role\"\":\"\"user\"\",\"\"content\"\":");
    forms.push(("wide.csv", quoted.replace("\"hi\"", "\"\"hi\"\"").replace("\"ho\"", "\"\"ho\"\"")));
    let mut hashes = Vec::new();
    for (name, text) in forms {
        let log =
            read_text(name, &text, &ReadOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        assert_eq!(rejected(&log), [], "{name}");
        let prompt = &log.prompts[1];
        assert_eq!((prompt.id.as_str(), prompt.group.as_deref(), prompt.weight), ("2", Some("g"), 2.0), "{name}");
        assert_eq!((prompt.split, prompt.context.len()), (crate::Split::Test, 2), "{name}");
        assert_eq!(log.outcomes.len(), 3, "{name}");
        hashes.push(log.reading.data_sha256);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
}

fn parquet(folder: &TempDir, columns: Vec<Series>) -> PathBuf {
    let path = folder.path().join("wide.parquet");
    let open = std::fs::File::create(&path).expect("temporary folder is writable");
    let height = columns[0].len();
    let columns: Vec<Column> = columns.into_iter().map(IntoColumn::into_column).collect();
    ParquetWriter::new(open)
        .finish(&mut DataFrame::new(height, columns).expect("equal lengths"))
        .expect("temporary folder is writable");
    path
}

#[test]
fn parquet_from_a_data_frame_says_missing_with_nan() {
    let folder = folder();
    let path = parquet(
        &folder,
        vec![
            Series::new("__index_level_0__".into(), [17_i64, 18]),
            Series::new("sample_id".into(), ["mmlu.1", "mbpp.2"]),
            Series::new("prompt".into(), ["['What is 2 + 2?', 'Answer:']", "['Write a function.']"]),
            Series::new("eval_name".into(), ["mmlu", "mbpp"]),
            Series::new("meta/small".into(), [0.0, 1.0]),
            Series::new("gpt-4".into(), [1.0, f64::NAN]),
            Series::new("meta/small|model_response".into(), ["['C)']", "['def f']"]),
            Series::new("gpt-4|model_response".into(), [Some("['four']"), None]),
            Series::new("meta/small|total_cost".into(), [1e-5, 2e-5]),
            Series::new("gpt-4|total_cost".into(), [0.00074, f64::NAN]),
        ],
    );
    let log = read_with(&path, &ReadOptions::default()).expect("valid");
    assert_eq!(rejected(&log), []);
    assert_eq!(log.reading.data_sha256, csv(LONG).expect("valid").reading.data_sha256);
    let flags = parquet(
        &folder,
        vec![
            Series::new("prompt".into(), ["x", "y"]),
            Series::new("a".into(), [true, false]),
            Series::new("b".into(), [1_i64, 0]),
        ],
    );
    assert_eq!(read_with(&flags, &ReadOptions::default()).expect("valid").outcomes.len(), 4);
}

#[test]
fn the_options_of_long_logs_work() {
    let text = "question,small,large,kind\nx,2,10,easy\ny,1,4,hard\n";
    let mut options = ReadOptions::default();
    options.add_map("prompt=question").expect("valid");
    options.add_map("task=kind").expect("valid");
    options.score_range = Some(parse_score_range("1..10").expect("valid"));
    let log = read_text("wide.csv", text, &options).expect("valid");
    assert_eq!((log.models.len(), log.tasks.len(), log.outcomes[0].score), (2, 2, 1.0));
    options.task = Some("ea*".into());
    options.models = Some(vec!["large".into()]);
    let log = read_text("wide.csv", text, &options).expect("valid");
    assert_eq!((log.prompts.len(), log.outcomes.len(), log.reading.filtered), (1, 1, 3));
    options.models = Some(vec!["larg".into()]);
    let error = read_text("wide.csv", text, &options).expect_err("no such model");
    assert_eq!(error.hint().as_deref(), Some("the log has `large`"));

    let folder = folder();
    let prices = file(&folder, "prices.csv", "model,input_usd_per_mtok,output_usd_per_mtok\nsmall,1,2\nlarge,10,20\n");
    let options = ReadOptions { prices: Some(prices), ..ReadOptions::default() };
    let log = read_text("wide.csv", "prompt,small,large\nx,0,1\n", &options).expect("valid");
    assert!(log.outcomes.iter().all(|outcome| outcome.cost_source == CostSource::Assumed));
}

#[test]
fn texts_are_joined_by_the_id_of_the_sample() {
    let folder = folder();
    let prompts = file(&folder, "prompts.csv", "prompt_id,prompt\n1,what\n");
    let options = ReadOptions { prompts: Some(prompts), ..ReadOptions::default() };
    let log = read_text("wide.csv", "sample_id,a,b\n1,0,1\n", &options).expect("valid");
    assert_eq!(log.prompts[0].content, crate::Content::Text("what".into()));
}

#[test]
fn doubtful_columns_are_refused_with_a_remedy() {
    #[rustfmt::skip]
    let cases = [
        ("prompt,a,b,a|total_cost,c\np,0,1,1,1\n", "column `b` may or may not be a model's", "--models"),
        ("prompt,a,b,c|total_cost\np,0,1,1\n", "column `c|total_cost` speaks of model `c`", "after the model"),
        ("prompt,a,b,year\np,0,1,2021\n", "column `year` is no column of the log, and 2021 is no score in [0, 1]", "--models"),
        ("prompt,a,b,cost_usd\np,0,1,0.1\n", "column `cost_usd` belongs to one call", "<model>|total_cost"),
        ("question,a,b\np,0,1\n", "column `prompt or messages` is missing", "--map prompt=question"),
        ("prompt,a,b\np,3,7\n", "wide.csv:2: column `a`: score 3 is outside [0, 1]", "--score-range"),
        ("prompt,model_name,correct\np,a,1\n", "column `model` is missing", "--map model=model_name"),
        ("prompt,a\np,1\n", "column `model` is missing", "--map model=COLUMN"),
        ("prompt,a,b,b\np,0,1,1\n", "column `b` occurs twice", ""),
    ];
    for (text, message, remedy) in cases {
        let error = error("wide.csv", text);
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint().unwrap_or_default().contains(remedy), "{error}: {:?}", error.hint());
    }
}

#[test]
fn naming_the_models_settles_doubts() {
    let options = ReadOptions { models: Some(vec!["a".into(), "b".into()]), ..ReadOptions::default() };
    for text in ["prompt,a,b,a|total_cost,c\np,0,1,1,1\n", "prompt,a,b,year\np,0,1,2021\n"] {
        let log = read_text("wide.csv", text, &options).expect("settled");
        assert_eq!(log.models, ["a", "b"]);
    }
}

#[test]
fn a_prompt_without_any_score_is_counted() {
    let log = csv("prompt,a,b\np,0,1\nq,,\n,1,1\n").expect("valid");
    assert_eq!(rejected(&log), [("empty prompt", 2), ("no score of any model", 1)]);
}

#[test]
fn wide_and_long_files_are_one_log() {
    let folder = folder();
    let files = [file(&folder, "a.csv", ROUTERBENCH), file(&folder, "b.csv", "prompt,model,score\nx,gpt-4,1\n")];
    let log = read(&files, &ReadOptions::default(), &mut |_| ()).expect("valid");
    assert_eq!((log.prompts.len(), log.outcomes.len()), (3, 4));
}
