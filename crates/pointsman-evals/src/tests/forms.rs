//! One content, several forms and orders: one log.

use super::*;
use crate::synthetic::{SyntheticConfig, rows};
use crate::{Content, ContextValue, Split};

/// Rows with something in every column.
fn full_rows() -> Vec<LogRow> {
    let config = SyntheticConfig { n_prompts: 60, n_models: 4, seed: 3 };
    let mut rows: Vec<LogRow> = rows(config).collect();
    for (index, row) in rows.iter_mut().enumerate() {
        row.dataset = Some("d".into());
        row.output_chars = Some(100);
        row.propensity = Some(0.25);
        row.weight = Some(0.3);
        row.cost_usd = row.cost_usd.map(|cost| cost / 3.0);
        row.split = Some(if row.prompt_id < Some("syn-0000040".into()) { Split::Train } else { Split::Calibration });
        row.group = None;
        if let Content::Text(text) = &row.content
            && row.prompt_id >= Some("syn-0000050".into())
        {
            let turn = serde_json::json!([{"role": "user", "content": text}]);
            row.content = Content::Messages(turn.to_string());
        }
        row.context.push(("paying".into(), ContextValue::Bool(index > 1_000)));
        row.context.push(("seats".into(), ContextValue::Number(0.1)));
    }
    rows
}

#[test]
fn every_form_gives_the_same_log() {
    let folder = folder();
    let rows = full_rows();
    let options = ReadOptions::default();
    let logs = ["log.parquet", "log.csv", "log.tsv", "log.jsonl"]
        .map(|name| read_with(&table(&folder, name, &rows), &options).expect("just written"));
    for log in &logs {
        assert_eq!(log.reading.rows, rows.len() as u64);
        assert_eq!(rejected(log), []);
        assert_eq!(log.reading.data_sha256, logs[0].reading.data_sha256);
        assert_eq!(log.reading.split_sha256, logs[0].reading.split_sha256);
        assert_eq!(log.prompts, logs[0].prompts);
        assert_eq!(log.reading.split_source, "column");
    }
    let prompt = &logs[0].prompts[0];
    assert_eq!(prompt.weight, 0.3);
    assert!(prompt.timestamp_us.is_some());
    assert_eq!(prompt.context.len(), 4);
    assert!(matches!(logs[0].prompts[59].content, Content::Messages(_)));
}

#[test]
fn the_order_of_rows_and_files_does_not_matter() {
    let folder = folder();
    let mut rows = full_rows();
    let options = ReadOptions::default();
    let straight = read_with(&table(&folder, "a.parquet", &rows), &options).expect("valid");
    let mut rng = fastrand::Rng::with_seed(1);
    rng.shuffle(&mut rows);
    let (some, others) = rows.split_at(rows.len() / 3);
    let files = [table(&folder, "b.jsonl", some), table(&folder, "c.parquet", others)];
    let shuffled = read(&files, &options, &mut |_| ()).expect("valid");
    assert_eq!(shuffled.reading.data_sha256, straight.reading.data_sha256);
    assert_eq!(shuffled.prompts, straight.prompts);
    assert_eq!(format!("{:?}", shuffled.outcomes), format!("{:?}", straight.outcomes));
}

#[test]
fn other_data_have_another_hash() {
    let folder = folder();
    let mut rows = full_rows();
    let options = ReadOptions::default();
    let before = read_with(&table(&folder, "a.parquet", &rows), &options).expect("valid");
    rows[7].latency_ms = Some(1.0);
    let after = read_with(&table(&folder, "b.parquet", &rows), &options).expect("valid");
    assert_ne!(before.reading.data_sha256, after.reading.data_sha256);
    assert_eq!(before.reading.split_sha256, after.reading.split_sha256);
}

#[test]
fn a_text_and_its_single_user_turn_share_id_and_split() {
    let text = jsonl(r#"{"prompt": "What is  AI?", "model": "a", "score": 1}"#).expect("valid");
    let turn = jsonl(r#"{"messages": [{"role": "user", "content": "what is ai?"}], "model": "a", "score": 1}"#)
        .expect("valid");
    assert_eq!(text.prompts[0].id, turn.prompts[0].id);
    assert_eq!(text.prompts[0].split, turn.prompts[0].split);
    assert_eq!(turn.prompts[0].content, Content::Messages(r#"[{"content":"what is ai?","role":"user"}]"#.into()));
}

#[test]
fn context_may_be_nested_or_flat() {
    let nested = jsonl(r#"{"prompt":"p","model":"a","score":1,"context":{"plan":"free","age":3,"gone":null}}"#);
    let flat = jsonl(r#"{"prompt":"p","model":"a","score":1,"context.age":3,"context.plan":"free"}"#);
    let table = csv("prompt,model,score,context.plan,context.age\np,a,1,free,3\n").expect("valid");
    assert_eq!(
        table.prompts[0].context,
        [("age".to_owned(), ContextValue::Number(3.0)), ("plan".to_owned(), ContextValue::Text("free".into()))]
    );
    assert_eq!(nested.expect("valid").prompts, table.prompts);
    assert_eq!(flat.expect("valid").prompts, table.prompts);
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_the_first_name() {
    assert!(csv("\u{feff}prompt,model,score\np,a,1\n").is_ok());
    assert!(jsonl("\u{feff}{\"prompt\":\"p\",\"model\":\"a\",\"score\":1}\n").is_ok());
}

#[test]
fn a_file_without_a_telling_name_is_judged_by_its_bytes() {
    let options = ReadOptions::default();
    assert!(read_text("log", "{\"prompt\":\"p\",\"model\":\"a\",\"score\":1}", &options).is_ok());
    assert!(matches!(read_text("log.txt", "prompt,model", &options), Err(Error::UnknownForm { .. })));
}

#[test]
fn progress_ends_with_everything_read() {
    let folder = folder();
    let files = [table(&folder, "a.parquet", &full_rows()), table(&folder, "b.csv", &full_rows())];
    let mut last = None;
    let log = read(&files, &ReadOptions::default(), &mut |now| last = Some(now.clone())).expect("valid");
    let last = last.expect("told at least once a file");
    assert_eq!((last.file_idx, last.n_files, last.rows), (1, 2, log.reading.rows));
    assert_eq!(last.bytes_done, last.bytes_total);
}

#[test]
fn an_unfinished_file_leaves_nothing_behind() {
    let folder = folder();
    let rows = full_rows();
    for name in ["a.parquet", "a.csv", "a.jsonl"] {
        let mut writer = LogWriter::create(&folder.path().join(name), TableSchema::of(&rows)).expect("known form");
        writer.push(rows[0].clone()).expect("fits");
        drop(writer);
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0);
}

#[test]
fn a_row_that_does_not_fit_the_schema_is_an_error() {
    let folder = folder();
    let row = LogRow { group: Some("g".into()), ..LogRow::new(Content::Text("p".into()), "a".into(), 1.0) };
    let schema = TableSchema::new(&[], &[]);
    let mut writer = LogWriter::create(&folder.path().join("a.csv"), schema).expect("known form");
    assert!(matches!(writer.push(row), Err(Error::Write { .. })));
}

#[test]
fn many_row_groups_read_back_whole() {
    let folder = folder();
    let rows: Vec<LogRow> = (0..140_000)
        .map(|i| {
            let text = format!("prompt {}", i / 2);
            LogRow::new(Content::Text(text), format!("m{}", i % 2), f64::from(i % 3) / 2.0)
        })
        .collect();
    let log = read_with(&table(&folder, "big.parquet", &rows), &ReadOptions::default()).expect("valid");
    assert_eq!((log.prompts.len(), log.outcomes.len()), (70_000, 140_000));
    let sum: f64 = log.outcomes.iter().map(|outcome| f64::from(outcome.score)).sum();
    let expected: f64 = rows.iter().map(|row| row.score).sum();
    assert_eq!(sum, expected);
}

/// One log with the columns that forms treat differently, as text of each form.
fn same_in_every_text_form() -> Vec<(&'static str, String)> {
    let messages = r#"[{"role":"user","content":"What's new?\nTell me, \"please\"."}]"#;
    let quoted = messages.replace('"', "\"\"");
    let delimited = |d: char| {
        format!(
            "messages{d}model{d}score{d}group{d}context.plan{d}context.seats{d}context.paying\r\n\
             \"{quoted}\"{d}a{d}7{d}g{d}free{d}2.5{d}true\r\n\"{quoted}\"{d}b{d}1{d}g{d}free{d}2.5{d}true\r\n"
        )
    };
    let line = |messages: &str, model: &str, score: u8| {
        format!(
            r#"{{"messages":{messages},"model":"{model}","score":{score},"group":"g","context":{{"plan":"free","seats":2.5,"paying":true}}}}"#
        ) + "\r\n"
    };
    let text = serde_json::Value::String(messages.to_owned()).to_string();
    vec![
        ("log.csv", delimited(',')),
        ("log.tsv", delimited('\t')),
        ("bom.csv", format!("\u{feff}{}", delimited(','))),
        ("bom.tab", format!("\u{feff}{}", delimited('\t'))),
        ("log.jsonl", line(messages, "a", 7) + &line(messages, "b", 1)),
        ("text.ndjson", line(&text, "a", 7) + "\r\n" + &line(&text, "b", 1)),
        ("bom.jsonl", format!("\u{feff}{}", line(messages, "a", 7) + &line(messages, "b", 1))),
    ]
}

#[test]
fn messages_groups_context_and_scale_are_the_same_in_every_form() {
    let folder = folder();
    let options = ReadOptions { score_range: Some((1.0, 10.0)), ..ReadOptions::default() };
    let forms = same_in_every_text_form();
    let first = read_with(&file(&folder, forms[0].0, &forms[0].1), &options).expect("valid");
    assert_eq!(first.prompts.len(), 1);
    assert_eq!(first.prompts[0].group.as_deref(), Some("g"));
    assert_eq!(first.prompts[0].context.len(), 3);
    assert!((first.outcomes[0].score - 2.0 / 3.0).abs() < 1e-6 && first.outcomes[1].score == 0.0);

    // Parquet through the writer: what it was given is what was read.
    let rows: Vec<LogRow> = first
        .outcomes
        .iter()
        .map(|outcome| LogRow {
            group: Some("g".into()),
            context: first.prompts[0].context.clone(),
            ..LogRow::new(
                first.prompts[0].content.clone(),
                first.models[outcome.model as usize].clone(),
                if outcome.model == 0 { 7.0 } else { 1.0 },
            )
        })
        .collect();
    let mut files: Vec<PathBuf> = forms[1..].iter().map(|(name, text)| file(&folder, name, text)).collect();
    files.push(table(&folder, "log.parquet", &rows));
    for path in files {
        let log = read_with(&path, &options).expect("valid");
        assert_eq!(rejected(&log), [], "{}", path.display());
        assert_eq!(log.prompts, first.prompts, "{}", path.display());
        assert_eq!(log.reading.data_sha256, first.reading.data_sha256, "{}", path.display());
    }
}

#[test]
fn line_breaks_within_quotes_are_text() {
    let log = csv("prompt,model,score\r\n\"first\r\nsecond, \"\"third\"\"\",a,1\r\nplain,a,x\r\n").expect("valid");
    assert_eq!(log.prompts[0].content, Content::Text("first\r\nsecond, \"third\"".into()));
    let example = &log.reading.rejected["score is not a number"].examples[0];
    assert!(example.ends_with("log.csv:4: x"), "{example}");
}

#[test]
fn a_json_array_is_refused_with_the_remedy() {
    for text in [r#"[{"prompt":"p","model":"a","score":1}]"#, "\n [\n{}]"] {
        for name in ["log.jsonl", "log"] {
            let error = read_text(name, text, &ReadOptions::default()).expect_err("an array");
            assert!(matches!(error, Error::JsonArray { .. }), "{error}");
        }
    }
}

#[test]
fn files_patterns_and_folders_of_several_forms_are_one_log() {
    let folder = folder();
    let rows = full_rows();
    let (some, others) = rows.split_at(rows.len() / 2);
    table(&folder, "part-1.parquet", some);
    table(&folder, "part-2.tsv", others);
    file(&folder, "README.md", "about");
    let options = ReadOptions::default();
    let whole = read(&[folder.path().join("part-1.parquet"), folder.path().join("part-2.tsv")], &options, &mut |_| ());
    let whole = whole.expect("valid").reading;
    for named in [folder.path().to_owned(), folder.path().join("part-*"), folder.path().join("*/../part-[12].*")] {
        if named.to_string_lossy().contains("*/") {
            std::fs::create_dir_all(folder.path().join("deep")).expect("writable");
        }
        let log = read_with(&named, &options).expect("valid");
        assert_eq!(log.reading.data_sha256, whole.data_sha256, "{}", named.display());
        assert_eq!(log.reading.files.len(), 2);
    }
}
