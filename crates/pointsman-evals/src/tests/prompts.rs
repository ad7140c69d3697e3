//! Streaming prompts: the ids of `read`, each once, in the order of the table.

use super::*;
use crate::synthetic::{SyntheticConfig, rows};
use crate::{Content, PromptReading, PromptRow, prompts};

fn all(path: &Path) -> Result<(Vec<PromptRow>, PromptReading), Error> {
    let mut all = Vec::new();
    let reading = prompts(&[path.to_owned()], &ReadOptions::default(), &mut |chunk, _| {
        all.extend(chunk);
        true
    })?;
    Ok((all, reading))
}

fn of_text(name: &str, text: &str) -> Result<(Vec<PromptRow>, PromptReading), Error> {
    let folder = folder();
    all(&file(&folder, name, text))
}

/// The prompts of the log, by id, as a stream has them.
fn assert_same_as_read(path: &Path) {
    let log = read_with(path, &ReadOptions::default()).expect("valid");
    let (mut streamed, reading) = all(path).expect("valid");
    assert_eq!(reading.prompts, log.prompts.len() as u64);
    streamed.sort_by(|a, b| a.id.cmp(&b.id));
    for (streamed, read) in streamed.iter().zip(&log.prompts) {
        assert_eq!(streamed.id, read.id, "{}", path.display());
        assert_eq!((&streamed.content, &streamed.context), (&read.content, &read.context));
    }
}

#[test]
fn ids_are_those_of_the_log() {
    let folder = folder();
    let mut rows: Vec<LogRow> = rows(SyntheticConfig { n_prompts: 200, n_models: 3, seed: 5 }).collect();
    assert_same_as_read(&table(&folder, "with-ids.parquet", &rows));
    for row in &mut rows {
        row.prompt_id = None;
    }
    // Derived from the text, the context and the group.
    for name in ["a.parquet", "a.csv", "a.jsonl"] {
        assert_same_as_read(&table(&folder, name, &rows));
    }
    assert_same_as_read(&file(&folder, "wide.csv", "sample_id,prompt,a,b\nx,What?,1,0\ny,Why?,0,1\n"));
}

#[test]
fn a_table_of_prompts_needs_nothing_else() {
    let (csv, reading) = of_text("p.csv", "prompt,year\nWhat?,2021\nWhy?,2022\n what?  ,1\n").expect("valid");
    assert_eq!((csv.len(), reading.rows), (2, 3));
    assert_eq!(csv[0].content, Content::Text("What?".into()), "the order of the table");
    let (chat, _) = of_text("p.jsonl", r#"{"messages":[{"role":"user","content":"What?"}],"context":{"plan":"free"}}"#)
        .expect("valid");
    assert_eq!(chat[0].context.len(), 1);
    assert_ne!(chat[0].id, csv[0].id, "the context is part of it");
}

#[test]
fn rows_without_a_prompt_are_counted() {
    let (_, reading) = of_text("p.csv", "prompt_id,prompt\n1,\n1,later\n2,\n,a\nx,y,z\n").expect("valid");
    let counts: Vec<(&str, u64)> =
        reading.rejected.iter().map(|(reason, rows)| (reason.as_str(), rows.count)).collect();
    assert_eq!(counts, [("empty prompt", 2), ("ragged line", 1)]);
    assert_eq!((reading.rows, reading.prompts), (5, 2));
    assert!(reading.rejected["empty prompt"].examples[1].ends_with("p.csv:4: 2"));
    assert!(matches!(of_text("p.csv", "prompt\n"), Err(Error::NothingUsable { .. })));
    let error = of_text("p.csv", "question\nx\n").expect_err("no prompt");
    assert_eq!(error.hint().as_deref(), Some("if `question` holds it, say `--map prompt=question`"));
}

#[test]
fn chunks_come_as_they_fill_and_may_be_declined() {
    let text: String = std::iter::once("prompt\n".to_owned()).chain((0..20_000).map(|i| format!("p{i}\n"))).collect();
    let folder = folder();
    let path = file(&folder, "p.csv", text);
    let mut sizes = Vec::new();
    prompts(std::slice::from_ref(&path), &ReadOptions::default(), &mut |chunk, _| {
        sizes.push(chunk.len());
        true
    })
    .expect("valid");
    assert_eq!(sizes, [8_192, 8_192, 3_616]);
    let reading = prompts(&[path], &ReadOptions::default(), &mut |_, _| false).expect("declined is no error");
    assert_eq!(reading.prompts, 8_192);
}
