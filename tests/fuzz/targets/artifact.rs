//! Any bytes as an artifact: a router that decides, or a typed error. Checksums are not looked at while fuzzing, or
//! nothing would ever get past them.

use pointsman::{Limits, Policy, Request, Router, Scratch, Turn};

/// Loads `data`, and decides with what loads.
pub(crate) fn run(data: &[u8]) {
    let Ok(router) = Router::from_bytes(data) else { return };
    let mut scratch = Scratch::default();
    for objective in ["quality", "balanced", "cheap", "fast", "0.001"] {
        let policy = Policy { objective: objective.parse().expect("an objective"), ..Policy::default() };
        let Ok(bound) = router.bind(&router.default_catalog(), &policy) else { continue };
        for text in ["", "What is 2 + 2?", "Prove it. \u{1F469}\u{200D}\u{1F52C} ```rust\nfn main() {}\n```"] {
            let turns = [Turn::user(text)];
            let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
            assert_eq!(decision.model, router.document().models[decision.model_idx]);
        }
        for quality in &scratch.predictions.quality {
            assert!((0.0..=1.0).contains(quality), "{quality}");
        }
    }
}
