//! Splits through whole logs.

use super::*;
use crate::Split;
use crate::text::normalise;

#[test]
fn without_a_column_the_text_decides() {
    let body = (0..50).map(|i| format!("Prompt  {i},a,1")).collect::<Vec<_>>().join("\n");
    let log = csv(&format!("prompt,model,score\n{body}")).expect("valid");
    assert_eq!(log.reading.split_source, "hash");
    for i in 0..50 {
        let text = format!("Prompt  {i}");
        let prompt = log
            .prompts
            .iter()
            .find(|prompt| prompt.content == crate::Content::Text(text.clone()))
            .expect("every prompt is there");
        assert_eq!(prompt.split, Split::of_text(&normalise(&text)));
    }
}

#[test]
fn the_column_is_respected_row_by_row() {
    let log = csv("prompt_id,prompt,model,score,split\n1,x,a,1,validation\n1,x,b,1,\n2,y,a,1,\n").expect("valid");
    assert_eq!(log.reading.split_source, "mixed");
    assert_eq!(log.prompts[0].split, Split::Validation);
    assert_eq!(log.prompts[1].split, Split::of_text("y"));
}

#[test]
fn a_prompt_on_two_sides_is_an_error() {
    let error = csv("prompt,model,score,split\nx,a,1,test\nx,b,1,train\n").expect_err("conflict");
    assert!(error.to_string().ends_with("is in split `train` and in split `test`"), "{error}");
    // The same text in other words of the same normal form.
    assert!(matches!(
        csv("prompt,model,score,split\nx,a,1,test\nX,b,1,train\n"),
        Err(Error::SplitConflict { what: "prompt", .. })
    ));
}

#[test]
fn a_group_on_two_sides_is_an_error() {
    assert!(matches!(
        csv("prompt,model,score,split,group\nx,a,1,test,g\ny,b,1,train,g\n"),
        Err(Error::SplitConflict { what: "group", .. })
    ));
}

#[test]
fn a_group_stays_together() {
    let body = (0..200).map(|i| format!("prompt {i},a,1,g{}", i % 20)).collect::<Vec<_>>().join("\n");
    let log = csv(&format!("prompt,model,score,group\n{body}")).expect("valid");
    let mut seen = std::collections::BTreeMap::new();
    for prompt in &log.prompts {
        let group = prompt.group.clone().expect("every prompt has one");
        assert_eq!(*seen.entry(group.clone()).or_insert(prompt.split), prompt.split);
        assert_eq!(prompt.split, Split::of_group(&group));
    }
    assert!(seen.values().any(|split| *split == Split::Test));
    assert!(seen.values().any(|split| *split == Split::Train));
}

#[test]
fn an_id_in_two_groups_joins_them_and_a_text_does_not() {
    // The two groups fall on different sides by themselves.
    let names: Vec<String> = (0..50).map(|i| format!("g{i}")).collect();
    let train = names.iter().find(|name| Split::of_group(name) == Split::Train).expect("most are");
    let test = names.iter().find(|name| Split::of_group(name) == Split::Test).expect("some are");
    let rows = [("1", "shared", train), ("1", "shared", test), ("2", "x", train), ("3", "y", test)];
    let with_ids = rows.map(|(id, text, group)| format!("{id},{text},a,1,{group}")).join("\n");
    let log = csv(&format!("prompt_id,prompt,model,score,group\n{with_ids}")).expect("valid");
    assert!(log.prompts.iter().all(|prompt| prompt.split == log.prompts[0].split));
    assert_eq!((log.prompts.len(), log.reading.joined_groups), (3, 2));

    let without = rows.map(|(_, text, group)| format!("{text},a,1,{group}")).join("\n");
    let log = csv(&format!("prompt,model,score,group\n{without}")).expect("valid");
    for prompt in &log.prompts {
        assert_eq!(prompt.split, Split::of_group(prompt.group.as_deref().expect("every prompt has one")));
    }
    assert_eq!((log.prompts.len(), log.reading.joined_groups), (4, 0));
    assert_eq!(log.reading.texts_across_splits, 1);
}

#[test]
fn texts_that_straddle_the_column_are_counted() {
    let log = csv("prompt_id,prompt,model,score,split\n1,x,a,1,train\n2,X,a,1,test\n").expect("valid");
    assert_eq!(log.reading.texts_across_splits, 1);
}
