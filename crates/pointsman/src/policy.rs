//! What the operator wants: an objective, the pool, and limits; resolved once into numbers.

use serde::{Deserialize, Serialize};

use crate::artifact::{CurvePoint, Document};
use crate::catalog::Capabilities;
use crate::error::Error;

/// What to want from every decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How to weigh quality against cost.
    pub objective: Objective,
    /// Names or patterns (`*`, `?`) of the models that may be chosen; empty: all.
    pub allow: Vec<String>,
    /// Names or patterns of the models that may not, after `allow`.
    pub deny: Vec<String>,
}

/// How to weigh quality against cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// What the artifact was calibrated to, else [`Self::Balanced`].
    #[default]
    Default,
    /// The best predicted quality, whatever it costs.
    Quality,
    /// The least cost at 99 % of the best quality on the out-of-fold curve.
    Balanced,
    /// The least cost at 95 %.
    Cheap,
    /// As balanced, with predicted latency in the place of cost.
    Fast,
    /// USD per unit of quality; 0 or more, infinite meaning [`Self::Quality`].
    Lambda(f64),
    /// The best quality at a mean cost of at most this many USD per request.
    Budget(f64),
    /// The least cost at this fraction of a named model's own mean quality.
    QualityFloor {
        /// Fraction, above 0.
        fraction: f64,
        /// The model whose quality is the measure.
        baseline: String,
    },
    /// The best quality with at most this share of calls to a named model.
    MaxShare {
        /// Share in `[0, 1]`.
        share: f64,
        /// The model, usually the dearest.
        model: String,
    },
}

/// Limits of one request; a model that would break one is not chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most a call may be expected to cost, in USD.
    pub max_cost_usd: Option<f64>,
    /// Least expected quality.
    pub min_quality: Option<f64>,
    /// Longest expected latency, in milliseconds.
    pub max_latency_ms: Option<f64>,
    /// What the model must be able to do.
    pub needs: Capabilities,
}

impl Limits {
    /// Checks every number against its domain.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] naming the first field outside its domain. An unchecked NaN excludes nothing or everything,
    /// never panics.
    pub fn validate(&self) -> Result<(), Error> {
        let amount = |x: f64| x >= 0.0 && x.is_finite();
        for (field, value, holds, expected) in [
            ("max_cost_usd", self.max_cost_usd, self.max_cost_usd.is_none_or(amount), "0 or more USD"),
            (
                "min_quality",
                self.min_quality,
                self.min_quality.is_none_or(|quality| (0.0..=1.0).contains(&quality)),
                "a quality from 0 to 1",
            ),
            ("max_latency_ms", self.max_latency_ms, self.max_latency_ms.is_none_or(amount), "0 or more milliseconds"),
        ] {
            domain(field, value.unwrap_or_default(), holds, expected)?;
        }
        Ok(())
    }
}

/// What stands against quality in the objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Currency {
    /// USD per call.
    Cost,
    /// Milliseconds per call.
    Latency,
}

/// An objective as a number: units of [`Currency`] per unit of quality; infinite for quality alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tradeoff {
    /// λ, 0 or more.
    pub lambda: f64,
    /// What λ is counted in.
    pub currency: Currency,
}

impl Objective {
    /// Finds λ on the artifact's out-of-fold curve.
    ///
    /// # Errors
    /// A number outside its domain, a model that the artifact does not know, a target that no setting reaches, or
    /// `fast` for a router that knows no latencies.
    pub fn resolve(&self, document: &Document) -> Result<Tradeoff, Error> {
        let curve = &document.curve;
        // A router that knows no cost has nothing to weigh against quality.
        let costs_known = document.statics.iter().any(|means| means.cost_usd.is_some());
        let cost = |lambda| {
            Ok(Tradeoff { lambda: if costs_known { lambda } else { f64::INFINITY }, currency: Currency::Cost })
        };
        match self {
            Self::Default => match document.decision.default_lambda {
                Some(lambda) => cost(lambda),
                None => cost(cheapest_at(curve, 0.99 * best_quality(curve)).map_or(f64::INFINITY, lambda_of)),
            },
            Self::Quality => cost(f64::INFINITY),
            Self::Balanced => cost(cheapest_at(curve, 0.99 * best_quality(curve)).map_or(f64::INFINITY, lambda_of)),
            Self::Cheap => cost(cheapest_at(curve, 0.95 * best_quality(curve)).map_or(f64::INFINITY, lambda_of)),
            Self::Fast => {
                let curve = &document.latency_curve;
                if curve.is_empty() {
                    return Err(Error::NoLatency);
                }
                let lambda = cheapest_at(curve, 0.99 * best_quality(curve)).map_or(f64::INFINITY, lambda_of);
                Ok(Tradeoff { lambda, currency: Currency::Latency })
            }
            Self::Lambda(lambda) => {
                cost(domain("objective", *lambda, *lambda >= 0.0, "0 or more USD per unit of quality")?)
            }
            Self::Budget(budget) => {
                domain("budget", *budget, *budget >= 0.0, "0 or more USD per request")?;
                let affordable = curve.iter().filter(|point| point.cost <= *budget);
                let best = affordable.max_by(|a, b| a.quality.total_cmp(&b.quality).then(b.cost.total_cmp(&a.cost)));
                let least = curve.iter().map(|point| point.cost).fold(f64::INFINITY, f64::min);
                cost(lambda_of(best.ok_or_else(|| Error::Unreachable {
                    target: format!("a budget of {budget} USD per request"),
                    closest: format!("{least:.6} USD per request"),
                })?))
            }
            Self::QualityFloor { fraction, baseline } => {
                domain(
                    "quality_floor.fraction",
                    *fraction,
                    *fraction > 0.0 && fraction.is_finite(),
                    "a number above 0",
                )?;
                let floor = fraction * document.statics[document.model_idx(baseline)?].quality;
                let point = cheapest_at(curve, floor).ok_or_else(|| Error::Unreachable {
                    target: format!("a mean quality of {floor:.4}"),
                    closest: format!("{:.4}", best_quality(curve)),
                })?;
                cost(lambda_of(point))
            }
            Self::MaxShare { share, model } => {
                domain("max_share.share", *share, (0.0..=1.0).contains(share), "a share from 0 to 1")?;
                let model = document.model_idx(model)?;
                let allowed = curve.iter().filter(|point| point.shares[model] <= *share);
                let best = allowed.max_by(|a, b| a.quality.total_cmp(&b.quality).then(b.cost.total_cmp(&a.cost)));
                let least = curve.iter().map(|point| point.shares[model]).fold(1.0, f64::min);
                cost(lambda_of(best.ok_or_else(|| Error::Unreachable {
                    target: format!("a share of {share} for that model"),
                    closest: format!("a share of {least:.4}"),
                })?))
            }
        }
    }
}

impl Document {
    /// Position of a model on every model axis.
    ///
    /// # Errors
    /// [`Error::UnknownModel`].
    pub fn model_idx(&self, model: &str) -> Result<usize, Error> {
        let position = self.models.iter().position(|known| known == model);
        position.ok_or_else(|| Error::UnknownModel { model: model.into(), known: self.models.clone() })
    }
}

impl std::str::FromStr for Objective {
    type Err = Error;

    /// `quality`, `balanced`, `cheap`, `fast`, `default`, or a number: USD per unit of quality.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "default" => Ok(Self::Default),
            "quality" => Ok(Self::Quality),
            "balanced" => Ok(Self::Balanced),
            "cheap" => Ok(Self::Cheap),
            "fast" => Ok(Self::Fast),
            _ => match text.parse::<f64>() {
                Ok(lambda) if lambda >= 0.0 => Ok(Self::Lambda(lambda)),
                _ => Err(Error::BadPolicy {
                    field: "objective",
                    expected: "quality, balanced, cheap, fast, or a number (USD per unit of quality)",
                    got: format!("`{text}`"),
                }),
            },
        }
    }
}

fn domain(field: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<f64, Error> {
    if holds { Ok(value) } else { Err(Error::BadPolicy { field, expected, got: value.to_string() }) }
}

fn best_quality(curve: &[CurvePoint]) -> f64 {
    curve.iter().map(|point| point.quality).fold(0.0, f64::max)
}

fn cheapest_at(curve: &[CurvePoint], quality: f64) -> Option<&CurvePoint> {
    curve.iter().filter(|point| point.quality >= quality).min_by(|a, b| a.cost.total_cmp(&b.cost))
}

fn lambda_of(point: &CurvePoint) -> f64 {
    point.lambda.unwrap_or(f64::INFINITY)
}

/// Whether `name` matches `pattern`, in which `*` stands for any text and `?` for any one character.
///
/// Takes at most `pattern` × `name` steps, whatever the pattern: patterns may come from a client.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // What stands behind the last `*`, and the rest of the name that it has not swallowed yet.
    let mut retry = None;
    loop {
        let at_name = name.clone();
        match (pattern.next(), name.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                name = at_name.clone();
                retry = Some((pattern.clone(), at_name));
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(letter)) if wanted == letter => {}
            _ => {
                let Some((behind, swallowed)) = &mut retry else { return false };
                if swallowed.next().is_none() {
                    return false;
                }
                (pattern, name) = (behind.clone(), swallowed.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(matches("gpt-4*", "gpt-4o"));
        assert!(matches("*", ""));
        assert!(matches("a?c*e", "abcde"));
        assert!(!matches("gpt-4", "gpt-4o"));
        assert!(!matches("?", ""));
        assert!(matches("*é?b*", "aéxéyb"));
        assert!(matches("**", "a"));
        assert!(!matches("a*b", "ab!"));
    }

    #[test]
    fn many_wildcards_cost_no_time() {
        assert!(!matches(&"a*".repeat(100), &format!("{}b", "a".repeat(99))));
        assert!(matches(&"a*".repeat(100), &"a".repeat(200)));
    }

    #[test]
    fn limits_have_domains() {
        let limits = |max_cost_usd, min_quality| Limits { max_cost_usd, min_quality, ..Limits::default() };
        assert!(limits(Some(0.0), Some(1.0)).validate().is_ok());
        for bad in [limits(Some(f64::NAN), None), limits(Some(-1.0), None), limits(None, Some(7.0))] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn objectives_are_read_from_text() {
        assert_eq!("cheap".parse::<Objective>().expect("a name"), Objective::Cheap);
        assert_eq!("0.02".parse::<Objective>().expect("a number"), Objective::Lambda(0.02));
        for bad in ["-1", "NaN", "cheapest", ""] {
            let error = bad.parse::<Objective>().expect_err("not an objective").to_string();
            assert!(error.contains("expected quality, balanced, cheap, fast, or a number"), "{error}");
        }
    }
}
