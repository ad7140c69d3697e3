//! A split of traffic: a model drawn by weight, the same for the same unit, here, elsewhere and after a restart.
//!
//! Every unit gives every model a number by a hash with nothing secret or random in it, and the smallest, divided by the
//! weight, wins. So shares are as the weights are, a model that may not answer leaves the draws of the others as they
//! were, and so does, but for what has to move, another weight.
//!
//! # References
//! Weighted rendezvous hashing: Schindelhauer and Schomaker, "Weighted distributed hash tables", SPAA 2005, section 4
//! (the logarithmic method); a number `u` in (0, 1) becomes `−ln(u) / weight`, exponential of rate `weight`.

use std::collections::BTreeMap;

use crate::routing::digest::digest;

/// Models and their weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split(Vec<Arm>);

#[derive(Clone, Debug, PartialEq)]
struct Arm {
    model_idx: usize,
    /// Positions change with the router, names do not.
    name: String,
    weight: f64,
}

/// What is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit([u8; 32]);

/// What was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) model_idx: usize,
    /// How likely that was, in `(0, 1]`.
    pub(crate) propensity: f64,
}

impl Unit {
    /// The unit of these parts, under a salt: with another one the same unit draws anew.
    pub(crate) fn of(salt: &str, parts: &[&str]) -> Self {
        let salted: Vec<&str> = std::iter::once(salt).chain(parts.iter().copied()).collect();
        Self(digest(&salted))
    }

    /// A number in `(0, 1)`.
    fn number(&self, model: &str) -> f64 {
        let mut hash = [0; 8];
        hash.copy_from_slice(&crate::routing::digest::keyed(&self.0, model)[..8]);
        ((u64::from_le_bytes(hash) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

impl Split {
    /// Weights by name; the error is what is wrong, and where. `models` are the router's.
    pub(crate) fn new(weights: &BTreeMap<String, f64>, models: &[String]) -> Result<Self, (&'static str, String)> {
        let arms = weights.iter().map(|(name, weight)| {
            let model_idx = models.iter().position(|model| model == name);
            let model_idx = model_idx.ok_or_else(|| ("names of the router's models", name.clone()))?;
            if !(*weight > 0.0 && weight.is_finite()) {
                return Err(("weights above 0", format!("{weight} for {name}")));
            }
            Ok(Arm { model_idx, name: name.clone(), weight: *weight })
        });
        let arms: Vec<Arm> = arms.collect::<Result<_, _>>()?;
        if arms.is_empty() {
            return Err(("at least one model with its weight", "none".into()));
        }
        Ok(Self(arms))
    }

    /// Draws among the models that `may` answer.
    pub(crate) fn draw(&self, unit: &Unit, may: impl Fn(usize) -> bool) -> Option<Drawn> {
        let arms = || self.0.iter().filter(|arm| may(arm.model_idx));
        let score = |arm: &Arm| -unit.number(&arm.name).ln() / arm.weight;
        let drawn = arms().map(|arm| (score(arm), arm)).min_by(|a, b| a.0.total_cmp(&b.0))?.1;
        let total: f64 = arms().map(|arm| arm.weight).sum();
        Some(Drawn { model_idx: drawn.model_idx, propensity: drawn.weight / total })
    }

    /// Names and weights.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|arm| (arm.name.as_str(), arm.weight))
    }

    /// Whether one of its models is among these.
    pub(crate) fn names_one_of(&self, models: &[String]) -> Option<&str> {
        self.0.iter().map(|arm| arm.name.as_str()).find(|name| models.iter().any(|model| model == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<String> {
        ["large", "medium", "small"].map(str::to_owned).into()
    }

    fn split(weights: &[(&str, f64)]) -> Split {
        let weights = weights.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        Split::new(&weights, &models()).expect("valid")
    }

    fn unit(number: usize) -> Unit {
        Unit::of("trial", &["session", "acme", &number.to_string()])
    }

    #[test]
    fn shares_are_as_the_weights_are() {
        const N: usize = 100_000;
        let split = split(&[("small", 80.0), ("medium", 15.0), ("large", 5.0)]);
        let mut counts = [0_usize; 3];
        for number in 0..N {
            let drawn = split.draw(&unit(number), |_| true).expect("one may");
            counts[drawn.model_idx] += 1;
        }
        for (count, share) in counts.into_iter().zip([0.05, 0.15, 0.8]) {
            let (expected, sigma) = (share * N as f64, (share * (1.0 - share) * N as f64).sqrt());
            assert!((count as f64 - expected).abs() < 3.0 * sigma, "{count} of {expected} ± {sigma}");
        }
    }

    #[test]
    fn draws_are_the_same_everywhere() {
        // By another implementation of the formula above. Whoever changes these moves every session of every split.
        let split = split(&[("small", 50.0), ("large", 50.0)]);
        let drawn: String = (0..16).map(|number| if is(&split, number, 2) { 's' } else { 'l' }).collect();
        assert_eq!(drawn, "slsllllsssllllss");
    }

    fn is(split: &Split, number: usize, model_idx: usize) -> bool {
        split.draw(&unit(number), |_| true).is_some_and(|drawn| drawn.model_idx == model_idx)
    }

    #[test]
    fn what_may_not_answer_or_weighs_more_moves_as_few_as_can_be() {
        let before = split(&[("small", 50.0), ("medium", 25.0), ("large", 25.0)]);
        let heavier = split(&[("small", 50.0), ("medium", 25.0), ("large", 50.0)]);
        for number in 0..2_000 {
            let was = before.draw(&unit(number), |_| true).expect("one may");
            let without = before.draw(&unit(number), |model_idx| model_idx != 0).expect("two may");
            assert!(was.model_idx == 0 || without.model_idx == was.model_idx);
            let now = heavier.draw(&unit(number), |_| true).expect("one may").model_idx;
            assert!(now == was.model_idx || now == 0, "only to the one that weighs more");
        }
        let alone = before.draw(&unit(1), |model_idx| model_idx == 1).expect("one may");
        assert_eq!(alone, Drawn { model_idx: 1, propensity: 1.0 });
        assert_eq!(before.draw(&unit(1), |_| false), None);
        assert_ne!(Unit::of("trial", &["a"]), Unit::of("other", &["a"]), "the salt tells rules apart");
    }
}
