//! The domain of every field of the document.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::document::{Dimensions, Document};
use crate::error::Error;

/// Nodes of a forest at most: far above any that was grown, low enough that no size overflows.
const MOST_NODES: usize = 1 << 24;

/// Bytes of a base embedding at most.
const MOST_BASE_BYTES: usize = 1 << 30;

impl Document {
    /// Checks every field against its domain and against the others.
    pub(super) fn validate(&self, artifact: &str) -> Result<(), Error> {
        let bad = |field: &str, expected: &'static str, got: String| Error::OutOfDomain {
            artifact: artifact.into(),
            field: field.into(),
            expected,
            got,
        };
        let check = |holds: bool, field: &str, expected: &'static str, got: &dyn Display| {
            if holds { Ok(()) } else { Err(bad(field, expected, got.to_string())) }
        };
        let k = self.models.len();
        let unique: BTreeSet<_> = self.models.iter().collect();
        check((1..=4096).contains(&k), "models", "1 to 4096 names", &k)?;
        check(unique.len() == k, "models", "names that differ", &k)?;
        check((1..=4096).contains(&self.tasks.len()), "tasks", "1 to 4096 names", &self.tasks.len())?;
        let Dimensions { vocabulary_bits, outcomes, trees, nodes, leaves } = self.dimensions;
        check((4..=24).contains(&vocabulary_bits), "dimensions.vocabulary_bits", "4 to 24", &vocabulary_bits)?;
        check((1..=4096).contains(&outcomes), "dimensions.outcomes", "1 to 4096", &outcomes)?;
        check(trees <= 4096, "dimensions.trees", "up to 4096", &trees)?;
        check(nodes <= MOST_NODES, "dimensions.nodes", "up to 2^24", &nodes)?;
        check(leaves <= MOST_NODES, "dimensions.leaves", "up to 2^24", &leaves)?;
        if let Some(base) = &self.base {
            check((1..=1024).contains(&base.dimensions), "base.dimensions", "1 to 1024", &base.dimensions)?;
            check(base.bytes <= MOST_BASE_BYTES, "base.bytes", "up to 2^30", &base.bytes)?;
        }
        let rule = self.decision;
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let amount = |x: f64| x >= 0.0 && x.is_finite();
        check(amount(rule.confidence), "decision.confidence", "0 or more", &rule.confidence)?;
        check(share(rule.novelty_limit), "decision.novelty_limit", "0 to 1", &rule.novelty_limit)?;
        check(share(rule.trust), "decision.trust", "0 to 1", &rule.trust)?;
        check(share(rule.novelty_weight), "decision.novelty_weight", "0 to 1", &rule.novelty_weight)?;
        check(rule.default_lambda.is_none_or(amount), "decision.default_lambda", "0 or more", &"a bad number")?;
        check(self.costs.len() == k, "costs", "one entry per model", &self.costs.len())?;
        check(self.statics.len() == k, "statics", "one entry per model", &self.statics.len())?;
        for head in &self.costs {
            check(head.base_tokens.is_finite(), "costs.base_tokens", "a finite number", &head.base_tokens)?;
            check(amount(head.tokens_per_char), "costs.tokens_per_char", "0 or more", &head.tokens_per_char)?;
        }
        for means in &self.statics {
            check(share(means.quality), "statics.quality", "0 to 1", &means.quality)?;
            check(means.cost_usd.is_none_or(amount), "statics.cost_usd", "0 or more", &"a bad number")?;
            check(means.latency_ms.is_none_or(amount), "statics.latency_ms", "0 or more", &"a bad number")?;
        }
        for price in self.prices.values() {
            let fine = amount(price.input_usd_per_mtok) && amount(price.output_usd_per_mtok);
            check(fine, "prices", "0 or more", &"a bad number")?;
        }
        for point in self.curve.iter().chain(&self.latency_curve) {
            let fine = point.lambda.is_none_or(amount) && amount(point.cost) && share(point.quality);
            check(fine, "curve", "λ and cost of 0 or more, quality from 0 to 1", &"a bad point")?;
            check(point.shares.len() == k, "curve.shares", "one share per model", &point.shares.len())?;
        }
        check(!self.curve.is_empty(), "curve", "at least one point", &0)?;
        check(
            self.task_profiles.len() == self.tasks.len(),
            "task_profiles",
            "one per task",
            &self.task_profiles.len(),
        )?;
        let profiles = self.task_profiles.iter().all(|profile| profile.weight.len() == k && profile.score.len() == k);
        check(profiles, "task_profiles", "one sum per model", &"another number")?;
        Ok(())
    }
}
