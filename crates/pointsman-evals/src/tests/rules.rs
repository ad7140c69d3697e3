//! What is rejected, filtered, joined and pooled.

use super::*;
use crate::{Content, CostSource};

fn options(change: impl FnOnce(&mut ReadOptions)) -> ReadOptions {
    let mut options = ReadOptions::default();
    change(&mut options);
    options
}

#[test]
fn rejected_rows_are_counted_with_their_lines() {
    let log = csv(concat!(
        "prompt,model,score\n",
        "\"two\nlines\",a,1\n",
        "p,a,good\n",
        "p,,1\n",
        ",a,1\n",
        "p,a\n",
        "p,a,NaN\n",
    ))
    .expect("one row is usable");
    assert_eq!((log.reading.rows, log.reading.accepted), (6, 1));
    assert_eq!(
        rejected(&log),
        [("empty model", 1), ("empty prompt", 1), ("ragged line", 1), ("score is not a number", 2)]
    );
    let examples = &log.reading.rejected["score is not a number"].examples;
    assert!(examples[0].ends_with("log.csv:4: good"), "{examples:?}");
    assert!(examples[1].ends_with("log.csv:8: NaN"), "{examples:?}");
    let ragged = &log.reading.rejected["ragged line"].examples[0];
    assert!(ragged.ends_with("log.csv:7: 2 fields, the header has 3"), "{ragged}");
}

#[test]
fn only_the_first_examples_are_kept() {
    let rows = "p,a,x\n".repeat(20);
    let log = csv(&format!("prompt,model,score\np,a,1\n{rows}")).expect("one row is usable");
    let rejected = &log.reading.rejected["score is not a number"];
    assert_eq!((rejected.count, rejected.examples.len()), (20, 5));
}

#[test]
fn broken_lines_are_rejected_and_the_rest_is_read() {
    let log = jsonl(concat!(
        "{\"prompt\":\"p\",\"model\":\"a\",\"score\":1}\n",
        "\n",
        "{\"prompt\":\"p\",\n",
        "[1]\n",
        "{\"prompt\":\"p\",\"model\":\"b\",\"score\":1} x\n",
        "{\"prompt\":\"p\",\"model\":\"b\",\"score\":0.5,\"extra\":{\"deep\":[1]}}\n",
    ))
    .expect("two rows are usable");
    assert_eq!(log.reading.accepted, 2);
    assert_eq!(rejected(&log), [("malformed JSON", 3)]);
    assert!(log.reading.rejected["malformed JSON"].examples[0].contains("log.jsonl:3: "));
    assert_eq!(log.reading.ignored_columns, ["extra"]);
}

#[test]
fn bytes_that_are_not_utf8_are_rejected() {
    let options = ReadOptions::default();
    let log = read_text("log.csv", b"prompt,model,score\np,a,1\n\xff\xfe,a,1\n", &options).expect("one row");
    assert_eq!(rejected(&log), [("invalid UTF-8", 1)]);
    let lines = b"{\"prompt\":\"p\",\"model\":\"a\",\"score\":1}\n{\"prompt\":\"\xff\",\"model\":\"a\",\"score\":1}\n";
    let log = read_text("log.jsonl", lines, &options).expect("one row");
    assert_eq!(rejected(&log), [("invalid UTF-8", 1)]);
}

#[test]
fn a_log_with_nothing_usable_is_an_error_with_reasons() {
    let error = csv("prompt,model,score\np,a,x\n,a,1\n").expect_err("nothing usable");
    let text = error.to_string();
    assert!(text.starts_with("the log has no usable row: 2 rows read, 1 rejected: empty prompt"), "{text}");
    assert!(text.contains("1 rejected: score is not a number"), "{text}");
    let error = csv("prompt,model,score\n").expect_err("no rows");
    assert_eq!(error.to_string(), "the log has no usable row: 0 rows read");
    let error = csv("prompt,model,score,split\np,a,1,dev\n").expect_err("nothing usable");
    assert_eq!(error.hint().as_deref(), Some("the split names are train, validation, calibration and test"));
}

#[test]
fn a_score_off_the_scale_is_an_error_with_the_remedy() {
    let error = csv("prompt,model,score\np,a,1\np,b,7\n").expect_err("7 is not in [0, 1]");
    assert!(error.to_string().ends_with("log.csv:3: score 7 is outside [0, 1]"), "{error}");
    assert!(error.hint().expect("a remedy").contains("--score-range 1..10"));
    let marks = options(|o| o.score_range = Some((1.0, 10.0)));
    let log = read_text("log.csv", "prompt,model,score\np,a,1\np,b,5.5\np,c,10\n", &marks).expect("in range");
    let scores: Vec<f32> = log.outcomes.iter().map(|outcome| outcome.score).collect();
    assert_eq!(scores, [0.0, 0.5, 1.0]);
    let error = read_text("log.csv", "prompt,model,score\np,a,0\n", &marks).expect_err("below the range");
    assert!(error.to_string().contains("outside [1, 10]"));
}

#[test]
fn a_column_that_is_missing_is_named_with_the_remedy() {
    let error = csv("question,model,score\np,a,1\n").expect_err("no prompt");
    assert!(error.to_string().contains("column `prompt or messages` is missing"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("if `question` holds it, say `--map prompt=question`"));
    let error = jsonl("{\"prompt\":\"p\",\"model\":\"a\",\"grade\":1}\n").expect_err("no score");
    assert_eq!(error.hint().as_deref(), Some("if `grade` holds it, say `--map score=grade`"));
    let error = csv("prompt_id,model,score\n1,a,1\n").expect_err("no text");
    assert!(error.hint().expect("a remedy").contains("--prompts FILE"));
}

#[test]
fn columns_are_renamed_by_map() {
    let renamed = options(|o| {
        o.add_map("prompt=question").expect("valid");
        o.add_map("context.plan=tier").expect("valid");
    });
    let log = read_text("log.csv", "question,prompt,model,score,tier\nq,ignored,a,1,free\n", &renamed).expect("valid");
    assert_eq!(log.prompts[0].content, Content::Text("q".into()));
    assert_eq!(log.prompts[0].context[0].0, "plan");
    assert_eq!(log.reading.ignored_columns, ["prompt"]);
}

#[test]
fn models_and_tasks_are_filtered_before_anything_is_judged() {
    let text = "prompt,model,score,task\np,a,1,math/x\np,b,broken,math/x\np,c,1,law\np,a,0,law\n";
    let wanted = options(|o| {
        o.models = Some(vec!["a".into(), "c".into()]);
        o.task = Some("math*".into());
    });
    let log = read_text("log.csv", text, &wanted).expect("one row");
    assert_eq!((log.reading.accepted, log.reading.filtered), (1, 3));
    assert_eq!((log.models.as_slice(), log.tasks.as_slice()), (&["a".to_owned()][..], &["math/x".to_owned()][..]));
    assert_eq!(rejected(&log), []);
    let nothing = options(|o| o.task = Some("art".into()));
    let error = read_text("log.csv", text, &nothing).expect_err("no such task");
    assert!(error.hint().expect("a remedy").contains("--task"));
}

#[test]
fn a_model_that_does_not_occur_is_an_error_with_the_nearest_names() {
    let wanted = options(|o| o.models = Some(vec!["gpt4".into()]));
    let error = read_text("log.csv", "prompt,model,score\np,gpt-4,1\np,other,1\n", &wanted).expect_err("unknown");
    assert_eq!(error.to_string(), "model `gpt4` does not occur in the log");
    assert_eq!(error.hint().as_deref(), Some("the log has `gpt-4`"));
}

#[test]
fn equal_texts_are_one_prompt_and_equal_cells_are_pooled() {
    let log =
        csv("prompt,model,score,repeat\nWhat  is it?,a,1,0\nwhat is it?,a,0,1\nWhat is it?,a,0,1\n").expect("valid");
    assert_eq!((log.prompts.len(), log.outcomes.len()), (1, 1));
    // The least of the texts that normalise to the same.
    assert_eq!(log.prompts[0].content, Content::Text("What  is it?".into()));
    assert_eq!(log.outcomes[0].runs, 3);
    assert!((log.outcomes[0].score - 1.0 / 3.0).abs() < 1e-7);
    assert!((log.outcomes[0].score_variance - 1.0 / 3.0).abs() < 1e-6);
    assert_eq!(log.reading.duplicate_runs, 1);
}

#[test]
fn the_same_text_in_two_contexts_is_two_prompts_of_one_split() {
    let log = csv("prompt,model,score,context.plan\np,a,1,free\np,a,0,paid\n").expect("valid");
    assert_eq!(log.prompts.len(), 2);
    assert_eq!(log.prompts[0].split, log.prompts[1].split);
}

#[test]
fn one_id_with_two_texts_loses_all_its_rows_in_any_order() {
    for text in [
        "prompt_id,prompt,model,score\n1,x,a,1\n1,y,a,1\n1,X,b,1\n2,z,a,1\n",
        "prompt_id,prompt,model,score\n2,z,a,1\n1,X,b,1\n1,y,a,1\n1,x,a,1\n",
    ] {
        let log = csv(text).expect("one prompt is left");
        assert_eq!(rejected(&log), [("conflicting texts for one prompt_id", 3)]);
        assert_eq!((log.prompts.len(), log.reading.accepted), (1, 1));
        let example = &log.reading.rejected["conflicting texts for one prompt_id"].examples[0];
        assert!(example.ends_with(": 1"), "{example}");
    }
}

#[test]
fn one_id_with_two_values_of_a_context_loses_its_rows() {
    let log = csv("prompt_id,prompt,model,score,context.plan\n1,x,a,1,free\n1,x,b,1,paid\n2,y,a,1,\n2,y,b,1,free\n")
        .expect("one prompt is left");
    assert_eq!(rejected(&log), [("conflicting context for one prompt_id", 2)]);
    assert_eq!(log.prompts[0].context.len(), 1, "what one row leaves open another may say");
}

#[test]
fn texts_are_joined_by_id() {
    let folder = folder();
    let log = file(&folder, "log.csv", "prompt_id,model,score\n1,a,1\n2,a,0\n3,a,0\n");
    for (name, texts) in [
        ("t.csv", "prompt_id,prompt,note\n1,one,x\n2,two,y\n9,nine,z\n"),
        ("t.jsonl", "{\"prompt_id\":1,\"prompt\":\"one\"}\n{\"prompt_id\":\"2\",\"prompt\":\"two\"}\n"),
    ] {
        let joined = options(|o| o.prompts = Some(file(&folder, name, texts)));
        let log = read_with(&log, &joined).expect("two rows have texts");
        assert_eq!(log.prompts.len(), 2);
        assert_eq!(log.prompts[1].content, Content::Text("two".into()));
        assert_eq!(rejected(&log), [("prompt_id without a text", 1)]);
    }
    let joined = options(|o| o.prompts = Some(file(&folder, "bad.csv", "id,text\n1,one\n")));
    assert!(matches!(read_with(&log, &joined), Err(Error::MissingColumn { .. })));
}

#[test]
fn what_rows_say_of_a_prompt_is_merged_in_any_order() {
    let rows = ["p,a,1,law,2026-01-02T00:00:00Z,1", "p,b,1,art,2026-01-01T00:00:00Z,2", "p,c,1,,,"];
    for order in [[0, 1, 2], [2, 1, 0]] {
        let body: String = order.map(|index| format!("{}\n", rows[index])).concat();
        let log = csv(&format!("prompt,model,score,task,timestamp,weight\n{body}")).expect("valid");
        let prompt = &log.prompts[0];
        assert_eq!(log.tasks, ["art"]);
        assert_eq!((prompt.task, prompt.weight), (Some(0), 2.0));
        assert_eq!(prompt.timestamp_us, Some(1_767_225_600_000_000));
    }
}

#[test]
fn rows_are_counted_by_source() {
    let log = csv("prompt,model,score,source\np,a,1,x\np,b,1,x\np,c,1,y\n").expect("valid");
    assert_eq!(log.reading.sources.into_iter().collect::<Vec<_>>(), [("x".to_owned(), 2), ("y".to_owned(), 1)]);
}

#[test]
fn a_cost_that_is_not_known_is_unknown_not_zero() {
    let log = csv("prompt,model,score,cost_usd\np,a,1,\n").expect("valid");
    assert!(log.outcomes[0].cost_usd.is_nan());
    assert_eq!(log.outcomes[0].cost_source, CostSource::Unknown);
}

#[test]
fn options_are_checked_before_files() {
    let bad = options(|o| o.assume_output_tokens = f64::NAN);
    assert!(matches!(read(&["nowhere.csv".into()], &bad, &mut |_| ()), Err(Error::InvalidOption { .. })));
    assert!(matches!(read(&[], &ReadOptions::default(), &mut |_| ()), Err(Error::NoFiles)));
}
