//! Our own options: the object `pointsman` of a request. What it does not know it refuses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use pointsman::{ContextValue, Objective};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::Value;
use utoipa::ToSchema;

use super::json::kind;
use crate::error::Error;
use crate::nearest::nearest;

/// All keys, for errors; a test holds them against the fields.
pub(super) const KEYS: [&str; 8] =
    ["objective", "max_cost_usd", "min_quality", "max_latency_ms", "allow", "deny", "context", "prompt_id"];

/// Most patterns in a list, and most bytes in one.
const MOST_PATTERNS: usize = 256;

/// What is wanted of this decision, beyond what OpenAI's body can say.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Options)]
pub(crate) struct Options<'a> {
    /// How to weigh quality against cost: a name, or λ in USD per unit of quality.
    #[schema(value_type = Option<ObjectiveSchema>)]
    pub(crate) objective: Option<NamedObjective>,
    /// Most the call may be expected to cost, in USD.
    #[schema(minimum = 0)]
    pub(crate) max_cost_usd: Option<f64>,
    /// Least expected quality.
    #[schema(minimum = 0, maximum = 1)]
    pub(crate) min_quality: Option<f64>,
    /// Longest expected latency in milliseconds. Models of unknown latency are excluded.
    #[schema(minimum = 0)]
    pub(crate) max_latency_ms: Option<f64>,
    /// Only these models: names, or patterns with `*` and `?`.
    #[schema(max_items = 256)]
    pub(crate) allow: Option<Vec<String>>,
    /// Not these models, after `allow`.
    #[schema(max_items = 256)]
    pub(crate) deny: Option<Vec<String>>,
    /// Context of the request by name, as in the log's `context.*` columns.
    #[serde(borrow)]
    #[schema(value_type = Option<BTreeMap<String, ScalarSchema>>)]
    pub(crate) context: Option<Context<'a>>,
    /// Your own name of this prompt, kept with the decision: visible ASCII. Default: a keyed hash of the text.
    #[schema(value_type = Option<String>, max_length = 128, pattern = "^[!-~]{1,128}$")]
    pub(crate) prompt_id: Option<Cow<'a, str>>,
}

/// A name or λ.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(as = Objective)]
#[expect(dead_code, reason = "the form of an objective for the OpenAPI document; `NamedObjective` reads it")]
enum ObjectiveSchema {
    Name(NameSchema),
    Lambda(LambdaSchema),
}

/// USD per unit of quality.
#[derive(Debug, ToSchema)]
#[schema(as = Lambda, minimum = 0)]
#[expect(dead_code, reason = "the form of λ for the OpenAPI document")]
struct LambdaSchema(f64);

#[derive(Debug, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ObjectiveName)]
#[expect(dead_code, reason = "the names of objectives for the OpenAPI document")]
enum NameSchema {
    Quality,
    Balanced,
    Cheap,
    Fast,
}

/// A string, number or boolean; null counts as absent.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
#[schema(as = Scalar)]
#[expect(dead_code, reason = "the form of a context value for the OpenAPI document; `Scalar` reads it")]
pub(super) enum ScalarSchema {
    Text(String),
    Number(f64),
    Flag(bool),
    Absent,
}

/// Context as a request gives it.
pub(crate) type Context<'a> = BTreeMap<Cow<'a, str>, Scalar<'a>>;

/// A value of the context; null counts as absent.
#[derive(Debug)]
pub(crate) enum Scalar<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(f64),
    Flag(bool),
}

impl Scalar<'_> {
    pub(super) fn value(&self) -> Option<ContextValue<'_>> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(ContextValue::Text(text)),
            Self::Number(number) => Some(ContextValue::Number(*number)),
            Self::Flag(flag) => Some(ContextValue::Bool(*flag)),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Flat;
        impl<'de> Visitor<'de> for Flat {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, number or boolean")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Absent)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Number(number))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_any(Flat)
    }
}

/// An objective by name or λ.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedObjective(pub(crate) Objective);

/// What an objective may be, for errors.
pub(super) const OBJECTIVES: &str = "quality, balanced, cheap, fast, or a number from 0 (USD per unit of quality)";

/// The objective of this name.
pub(super) fn objective_named(name: &str) -> Option<Objective> {
    match name {
        "quality" => Some(Objective::Quality),
        "balanced" => Some(Objective::Balanced),
        "cheap" => Some(Objective::Cheap),
        "fast" => Some(Objective::Fast),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for NamedObjective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl Visitor<'_> for Form {
            type Value = NamedObjective;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(OBJECTIVES)
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<NamedObjective, E> {
                objective_named(name).map(NamedObjective).ok_or_else(|| E::custom("no such objective"))
            }

            fn visit_u64<E: serde::de::Error>(self, lambda: u64) -> Result<NamedObjective, E> {
                self.visit_f64(lambda as f64)
            }

            fn visit_f64<E: serde::de::Error>(self, lambda: f64) -> Result<NamedObjective, E> {
                if lambda >= 0.0 {
                    Ok(NamedObjective(Objective::Lambda(lambda)))
                } else {
                    Err(E::custom("a negative λ"))
                }
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl Options<'_> {
    /// Checks what the types do not.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let amount = |x: f64| x >= 0.0 && x.is_finite();
        let share = |x: f64| (0.0..=1.0).contains(&x);
        for (param, value, holds, expected) in [
            ("pointsman.max_cost_usd", self.max_cost_usd, amount as fn(f64) -> bool, "0 or more USD"),
            ("pointsman.min_quality", self.min_quality, share, "a quality from 0 to 1"),
            ("pointsman.max_latency_ms", self.max_latency_ms, amount, "0 or more milliseconds"),
        ] {
            if value.is_some_and(|value| !holds(value)) {
                return Err(Error::invalid(param, expected, "a number outside that"));
            }
        }
        let is_name =
            |id: &Cow<'_, str>| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if self.prompt_id.as_ref().is_some_and(|id| !is_name(id)) {
            return Err(Error::invalid("pointsman.prompt_id", "1 to 128 visible ASCII characters", "others"));
        }
        for (param, patterns) in [("pointsman.allow", &self.allow), ("pointsman.deny", &self.deny)] {
            let patterns = patterns.as_deref().unwrap_or_default();
            if patterns.len() > MOST_PATTERNS || patterns.iter().any(|pattern| pattern.len() > MOST_PATTERNS) {
                return Err(Error::invalid(param, "at most 256 names of at most 256 bytes", "more"));
            }
        }
        Ok(())
    }

    /// Why a value could not be read as options.
    pub(super) fn explain(value: &Value) -> Error {
        let Some(object) = value.as_object() else {
            return Error::invalid("pointsman", "an object", kind(value));
        };
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Error::UnknownOption {
                key: key.chars().take(40).collect(),
                nearest: nearest(key, &KEYS),
                known: KEYS.join(", "),
            };
        }
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let (holds, expected) = match key.as_str() {
                "objective" => (NamedObjective::deserialize(value).is_ok(), OBJECTIVES),
                "allow" | "deny" => (Vec::<String>::deserialize(value).is_ok(), "an array of strings"),
                "prompt_id" => (value.is_string(), "a string"),
                "context" => (Context::deserialize(value).is_ok(), "an object of strings, numbers and booleans"),
                _ => (value.is_number(), "a number"),
            };
            if !holds {
                return Error::invalid(format!("pointsman.{key}"), expected, kind(value));
            }
        }
        Error::invalid("pointsman", "every key at most once", "one twice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_the_fields() {
        for key in KEYS {
            let json = format!("{{\"{key}\":null}}");
            assert!(serde_json::from_str::<Options<'_>>(&json).is_ok(), "{key}");
        }
        let error = serde_json::from_str::<Options<'_>>("{\"x\":null}").expect_err("unknown").to_string();
        assert_eq!(error.matches('`').count(), 2 * (KEYS.len() + 1), "{error}");
    }
}
