//! Fixtures of released versions: they open, and predict and decide exactly what they did when they were made.

use pointsman::artifact::{Artifact, identity};
use pointsman::{Router, Scratch};
use pointsman_tests::fixture::{ARTIFACT, EXPECTED, Expected, PROMPTS, answer};

fn expected() -> Expected {
    serde_json::from_str(EXPECTED).expect("the fixture's JSON has its own form")
}

#[test]
fn version_2_predicts_the_same_bits() {
    let router = Router::from_bytes(ARTIFACT).expect("version 2 opens");
    let expected = expected();
    assert_eq!(router.identity(), expected.identity);
    assert_eq!(expected.prompts.len(), PROMPTS.len());
    let mut used = Scratch::default();
    for (answer_then, prompt) in expected.prompts.iter().zip(PROMPTS) {
        let now = answer(&router, prompt, &mut Scratch::default()).expect("the objectives bind");
        assert_eq!(&now, answer_then, "prompt {prompt:?}");
        let now = answer(&router, prompt, &mut used).expect("the objectives bind");
        assert_eq!(&now, answer_then, "prompt {prompt:?}, used buffers");
    }
}

#[test]
fn the_fixture_is_worth_comparing_with() {
    let expected = expected();
    let decisions: std::collections::BTreeSet<&str> =
        expected.prompts.iter().flat_map(|answer| answer.decisions.values()).map(String::as_str).collect();
    assert!(decisions.len() >= 4, "decisions hardly vary: {decisions:?}");
    assert!(ARTIFACT.len() < 60_000, "{} bytes", ARTIFACT.len());
}

#[test]
fn version_2_is_written_as_it_was_read() {
    let artifact = Artifact::from_bytes(ARTIFACT, "fixture").expect("version 2 opens");
    let bytes = artifact.to_bytes().expect("what opened can be written");
    assert_eq!(identity(&bytes), expected().identity);
}
