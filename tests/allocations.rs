//! Routing does not allocate after warm-up, whatever the length of the text.
#![forbid(unsafe_code)]

use allocation_counter::measure;
use pointsman::request::ContextValue;
use pointsman::{Embedding, Features, Featuriser, Limits, Objective, Policy, Request, Role, Router, Scratch, Turn};
use pointsman_tests::fixture::{ARTIFACT, PROMPTS};

/// Decisions that are counted.
const DECISIONS: usize = 1_000;

/// Texts of lengths from nothing to far past the scan budget.
fn texts() -> Vec<String> {
    let lengths = [0, 1, 7, 64, 500, 4_000, 30_000, 200_000, 1_000_000];
    let mut texts: Vec<String> = lengths
        .iter()
        .zip(PROMPTS.iter().cycle().skip(2))
        .map(|(&length, unit)| unit.chars().cycle().take(length / 2).collect())
        .collect();
    texts.extend(PROMPTS.map(str::to_owned));
    texts
}

#[test]
fn decisions_allocate_nothing_after_warm_up() {
    let router = Router::from_bytes(ARTIFACT).expect("the fixture opens");
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    let bound = router.bind(&router.default_catalog(), &policy).expect("the policy binds");
    let texts = texts();
    let conversations: Vec<[Turn<'_>; 3]> = texts
        .iter()
        .zip(texts.iter().rev())
        .map(|(text, other)| [Turn { role: Role::System, text: other }, Turn::user(other), Turn::user(text)])
        .collect();
    let context = [("plan", ContextValue::Text("free")), ("age", ContextValue::Number(36.0))];
    let limits = Limits { max_cost_usd: Some(0.001), ..Limits::default() };
    let mut scratch = Scratch::default();
    let mut decide = |turn: usize| {
        let turns = &conversations[turn % conversations.len()];
        // Every other request is the last turn alone.
        let turns = if turn.is_multiple_of(2) { &turns[2..] } else { &turns[..] };
        let request = Request { context: &context, tools: turn % 3, ..Request::new(turns) };
        bound.route(&request, &limits, &mut scratch).model_idx
    };
    // Twice round, so that every text was seen with and without its earlier turns.
    (0..2 * conversations.len()).for_each(|turn| {
        decide(turn);
    });
    let counted = measure(|| {
        for turn in 0..DECISIONS / 20 {
            decide(turn);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    // The rest without the megabyte, which is slow and proves nothing more.
    let short: Vec<&[Turn<'_>; 3]> =
        conversations.iter().filter(|turns| turns.iter().all(|turn| turn.text.len() < 10_000)).collect();
    let counted = measure(|| {
        for turn in 0..DECISIONS {
            let request = Request { context: &context, ..Request::new(&short[turn % short.len()][turn % 3..]) };
            bound.route(&request, &limits, &mut scratch);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(std::hint::black_box(vec![1_u8; 100]))).count_total > 0);
}

#[test]
fn a_base_embedding_allocates_nothing_after_warm_up() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/base-embedding.safetensors");
    let featuriser = Featuriser::with_base(Some(Embedding::load(path).expect("the shipped embedding opens")));
    let texts = texts();
    let mut features = Features::default();
    let mut featurise = |text: &str| {
        featuriser.featurise(&Request::new(&[Turn::user(text)]), &mut features);
        assert_eq!(features.embedding().len(), 64);
    };
    for text in &texts {
        featurise(text);
    }
    let counted = measure(|| texts.iter().for_each(|text| featurise(text)));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
