//! Any text is routed: no panic, only finite numbers, the same bits from fresh and from used buffers.

use pointsman::request::{ContextValue, ResponseFormat};
use pointsman::{Conversation, Decision, Features, Limits, Policy, Predictions, Request, Role, Router, Scratch, Turn};
use pointsman_tests::fixture::bits;
use proptest::prelude::*;

use crate::{config, router, text};

/// Everything of a decision that can be compared.
fn outline(decision: &Decision<'_>) -> String {
    format!("{decision:?}")
}

fn assert_sound(router: &Router, features: &Features, predictions: &Predictions) {
    let k = router.models().len();
    assert!(features.surface().iter().all(|signal| signal.is_finite()));
    assert_eq!([predictions.quality.len(), predictions.quality_se.len()], [k, k]);
    for model in 0..k {
        assert!((0.0..=1.0).contains(&predictions.quality[model]));
        assert!(predictions.quality_se[model].is_finite() && predictions.quality_se[model] >= 0.0);
        assert!(predictions.input_tokens[model].is_finite() && predictions.input_tokens[model] >= 0.0);
        let (tokens, cost) = (predictions.output_tokens[model], predictions.direct_cost_usd[model]);
        assert!(tokens.is_finite() != cost.is_finite(), "one of the two is predicted: {tokens}, {cost}");
        assert!(tokens.is_nan() || tokens >= 0.0);
        assert!(cost.is_nan() || cost >= 0.0);
    }
    assert!(predictions.latency_ms.iter().all(|latency| latency.is_finite() && *latency >= 0.0));
    assert!((0.0..=1.0).contains(&predictions.novelty));
    let total: f32 = predictions.tasks.iter().sum();
    assert!((total - 1.0).abs() < 1e-4, "task posterior sums to {total}");
}

/// Routes with fresh and with used buffers, and checks that both are sound and the same.
fn check(router: &Router, request: &Request<'_>, used: &mut Scratch) {
    let bound = router.bind(&router.default_catalog(), &Policy::default()).expect("the default policy binds");
    let mut fresh = Scratch::default();
    let from_fresh = outline(&bound.route(request, &Limits::default(), &mut fresh));
    let from_used = outline(&bound.route(request, &Limits::default(), used));
    assert_sound(router, &fresh.features, &fresh.predictions);
    assert_eq!(from_fresh, from_used);
    assert_eq!(bits(&fresh.features, &fresh.predictions), bits(&used.features, &used.predictions));
    assert_eq!(fresh.features.main(), used.features.main());
    assert_eq!(fresh.features.background(), used.features.background());
    assert_eq!(fresh.features.chars(), used.features.chars());
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_texts_one_after_the_other(texts in prop::collection::vec(text(), 1..6)) {
        let router = router();
        let mut used = Scratch::default();
        for text in &texts {
            check(&router, &Request::new(&[Turn::user(text)]), &mut used);
        }
    }

    #[test]
    fn any_conversation_with_anything_about_it(
        turns in prop::collection::vec((0_usize..4, text()), 0..6),
        tools in 0..usize::MAX,
        images in 0..usize::MAX,
        json in any::<bool>(),
        limit in prop::option::of(any::<u32>()),
        number in any::<f64>(),
        flag in any::<bool>(),
        value in text(),
    ) {
        let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
        let turns: Vec<Turn<'_>> = turns.iter().map(|(role, text)| Turn { role: roles[*role], text }).collect();
        let context = [
            ("n", ContextValue::Number(number)),
            ("flag", ContextValue::Bool(flag)),
            (value.as_str(), ContextValue::Text(&value)),
        ];
        let response_format = if json { ResponseFormat::Json } else { ResponseFormat::Text };
        let request =
            Request { turns: &turns, tools, images, response_format, max_output_tokens: limit, context: &context };
        check(&router(), &request, &mut Scratch::default());
    }

    #[test]
    fn any_text_as_messages(text in text()) {
        // Most texts are no JSON; those that are, or are quoted into it, either parse or give an error.
        let router = router();
        let quoted = serde_json::json!([{ "role": "user", "content": text }]).to_string();
        let chat = Conversation::from_json(&quoted).expect("a text is a conversation");
        prop_assert_eq!(chat.turns()[0].text, text.as_str());
        check(&router, &Request::new(&chat.turns()), &mut Scratch::default());
        drop(Conversation::from_json(&text));
        drop(Conversation::from_json(&quoted[..quoted.len() - 2]));
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn texts_of_a_megabyte(unit in text(), before in text()) {
        let unit = if unit.is_empty() { "x" } else { &unit };
        let long = before + &unit.repeat((1 << 20) / unit.len() + 1);
        let router = router();
        let mut used = Scratch::default();
        check(&router, &Request::new(&[Turn::user(&long)]), &mut used);
        check(&router, &Request::new(&[Turn::user("short again")]), &mut used);
    }
}
