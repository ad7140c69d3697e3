//! What λ does, and what every decision keeps to.
//!
//! Where the router acts on predictions alone (trusted wholly, `confidence` 0, nothing unfamiliar), a larger λ never buys lower
//! predicted quality. Under the artifact's own rule that need not hold: the best static choice changes with λ, and a
//! gain that is enough evidence against one static choice may not be enough against the next. What holds then is
//! what `every_decision_keeps_to_its_word` checks: never worse in predicted utility than the static choice.

use pointsman::artifact::{DecisionRule, Mode};
use pointsman::{Bound, Limits, Objective, Policy, Reason, Request, Scratch, Turn};
use proptest::prelude::*;

use crate::{config, router, text};

/// Values of λ over many decades, and both ends.
fn lambda() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-9.0..3.0_f64).prop_map(|exponent| 10_f64.powf(exponent)),
        1 => Just(0.0),
        1 => Just(f64::INFINITY),
    ]
}

fn bound(lambda: f64, rule: impl Fn(DecisionRule) -> DecisionRule) -> Bound {
    let router = router();
    let policy = Policy { objective: Objective::Lambda(lambda), ..Policy::default() };
    let bound = router.bind(&router.default_catalog(), &policy).expect("the policy binds");
    bound.with_rule(rule(router.document().decision))
}

fn by_prediction_alone(rule: DecisionRule) -> DecisionRule {
    DecisionRule { mode: Mode::Learned, trust: 1.0, novelty_weight: 0.0, confidence: 0.0, novelty_limit: 1.0, ..rule }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn a_larger_lambda_never_buys_lower_quality(text in text(), lambdas in prop::collection::vec(lambda(), 2..12)) {
        let mut lambdas = lambdas;
        lambdas.sort_by(f64::total_cmp);
        let turns = [Turn::user(&text)];
        let mut previous: Option<(f64, f64, f64)> = None;
        for lambda in lambdas {
            let mut scratch = Scratch::default();
            let bound = bound(lambda, by_prediction_alone);
            let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
            let chosen = decision.ranked[0];
            if let Some((lower, quality, cost)) = previous {
                // Two models whose utilities differ by less than rounding may be taken either way round.
                let rounding = 1e-12 * (lower * quality.max(chosen.quality) + cost.max(chosen.cost_usd));
                let lost = if lambda.is_infinite() { quality - chosen.quality } else { (lambda - lower) * (quality - chosen.quality) };
                prop_assert!(lost <= rounding, "λ {} → {}: quality {} → {}", lower, lambda, quality, chosen.quality);
                prop_assert!(cost <= chosen.cost_usd + rounding, "λ {} → {}: cost fell", lower, lambda);
            }
            previous = Some((lambda, chosen.quality, chosen.cost_usd));
        }
    }

    #[test]
    fn the_best_utility_is_chosen(text in text(), lambda in lambda()) {
        let mut scratch = Scratch::default();
        let bound = bound(lambda, by_prediction_alone);
        let turns = [Turn::user(&text)];
        let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
        prop_assert_eq!(decision.reason, Reason::Utility);
        prop_assert!(decision.ranked.iter().all(|other| other.utility <= decision.ranked[0].utility));
    }

    #[test]
    fn every_decision_keeps_to_its_word(
        text in text(),
        lambda in lambda(),
        confidence in 0.0..3.0_f64,
        max_cost_usd in prop::option::of(0.0..0.01_f64),
        min_quality in prop::option::of(0.0..1.0_f64),
    ) {
        let mut scratch = Scratch::default();
        let bound = bound(lambda, |rule| DecisionRule { confidence, ..rule });
        let limits = Limits { max_cost_usd, min_quality, ..Limits::default() };
        let turns = [Turn::user(&text)];
        let decision = bound.route(&Request::new(&turns), &limits, &mut scratch);
        let models = bound.router().models();
        let mut listed: Vec<usize> = decision.ranked.iter().map(|entry| entry.model_idx).collect();
        prop_assert_eq!(listed[0], decision.model_idx);
        prop_assert_eq!(&models[decision.model_idx], decision.model);
        listed.sort_unstable();
        prop_assert!(listed.into_iter().eq(0..models.len()), "every candidate is listed once");
        prop_assert!(decision.margin >= 0.0, "never worse than the static choice: {}", decision.margin);
        let within = |entry: &pointsman::Ranked| {
            max_cost_usd.is_none_or(|limit| entry.cost_usd <= limit) && min_quality.is_none_or(|limit| entry.quality >= limit)
        };
        for entry in decision.ranked {
            prop_assert_eq!(entry.excluded.is_none(), within(entry));
        }
        prop_assert_eq!(decision.reason == Reason::LimitsUnmet, !decision.ranked.iter().any(within));
        prop_assert!(decision.reason == Reason::LimitsUnmet || decision.ranked[0].excluded.is_none());
        if decision.reason.is_abstention() {
            prop_assert!(decision.margin == 0.0);
        }
        let rest = &decision.ranked[1..];
        let key = |entry: &pointsman::Ranked| (entry.excluded.is_some(), -entry.utility);
        prop_assert!(rest.windows(2).all(|pair| key(&pair[0]) <= key(&pair[1])), "the others by falling utility");
    }
}
