//! `provider` of a request, as `OpenRouter` has it: which targets may be asked, and in which order those of a model are.

mod forms;

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::json::{Object, kind};
use crate::error::Error;
use crate::nearest::nearest;
use crate::targets::quantiles::Preferred;
use crate::targets::terms::{Demands, Quantization};
use crate::targets::wish::{MaxPrice, Wish};
use forms::{Limits, Most, Partition, SortForm, SortIn, Usd, schemas};

/// All keys, for errors.
const KEYS: [&str; 13] = [
    "order",
    "only",
    "ignore",
    "sort",
    "max_price",
    "preferred_max_latency",
    "preferred_min_throughput",
    "data_collection",
    "zdr",
    "enforce_distillable_text",
    "quantizations",
    "allow_fallbacks",
    "require_parameters",
];

/// Most names in a list, and most characters in one.
const MOST: usize = 128;

/// Milliseconds of a second.
const SECOND_MS: f64 = 1e3;

/// Wishes about targets, by their names in the configuration or by those of their providers.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Provider)]
pub(crate) struct Provider {
    /// These first, in this order.
    #[schema(max_items = 128)]
    order: Option<Vec<String>>,
    /// These alone.
    #[schema(max_items = 128)]
    only: Option<Vec<String>>,
    /// Not these.
    #[schema(max_items = 128)]
    ignore: Option<Vec<String>>,
    /// What comes first among targets of a model, or of all models: the cheapest, the quickest of late, or the one of the
    /// most tokens per second.
    #[schema(value_type = Option<schemas::Sort>)]
    sort: Option<SortForm>,
    /// Targets that may cost more are not asked, nor are those of unknown price.
    #[schema(value_type = Option<schemas::MaxPrice>)]
    max_price: Option<Object<Most>>,
    /// Seconds to the first content of a stream, else to the end. Targets that took longer go after the others of their model.
    #[schema(value_type = Option<schemas::Limits>)]
    preferred_max_latency: Option<Limits>,
    /// Tokens per second. Targets that gave fewer go after the others of their model.
    #[schema(value_type = Option<schemas::Limits>)]
    preferred_min_throughput: Option<Limits>,
    /// With `deny` only targets that are declared not to collect what they are sent.
    data_collection: Option<Collection>,
    /// Whether only targets are asked that are declared to keep nothing of what they are sent.
    zdr: Option<bool>,
    /// Whether only targets are asked that are declared to let others be trained on their answers.
    enforce_distillable_text: Option<bool>,
    /// Only targets whose weights are declared to be kept so.
    #[schema(max_items = 128)]
    quantizations: Option<Vec<Quantization>>,
    /// Whether another target may be asked where the first fails. Default: yes.
    allow_fallbacks: Option<bool>,
    /// Without effect: what a request needs (tools, images, JSON) is always required of a target.
    #[expect(dead_code, reason = "always so")]
    require_parameters: Option<bool>,
}

/// Whether what is sent may be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderDataCollection)]
enum Collection {
    Allow,
    Deny,
}

impl Provider {
    /// Checks what the types do not.
    pub(super) fn validate(&self) -> Result<(), Error> {
        for (param, names) in
            [("provider.order", &self.order), ("provider.only", &self.only), ("provider.ignore", &self.ignore)]
        {
            let names = names.as_deref().unwrap_or_default();
            if names.len() > MOST || names.iter().any(|name| name.chars().count() > MOST) {
                return Err(Error::invalid(param, "at most 128 names of at most 128 characters", "more"));
            }
        }
        if self.quantizations.as_ref().is_some_and(|quantizations| quantizations.len() > MOST) {
            return Err(Error::invalid("provider.quantizations", "at most 128 names", "more"));
        }
        for (param, expected, usd) in self.most().limits() {
            if usd.is_some_and(|usd| !(usd >= 0.0 && usd.is_finite())) {
                return Err(Error::invalid(param, expected, "a number outside that"));
            }
        }
        for (param, expected, limits) in [
            ("provider.preferred_max_latency", "0 or more seconds", self.preferred_max_latency),
            ("provider.preferred_min_throughput", "0 or more tokens per second", self.preferred_min_throughput),
        ] {
            if limits.is_some_and(|limits| !limits.are_amounts()) {
                return Err(Error::invalid(param, expected, "a number outside that"));
            }
        }
        Ok(())
    }

    fn most(&self) -> Most {
        self.max_price.as_ref().map_or_else(Most::default, |most| most.0)
    }

    /// Adds these wishes to `wish`.
    pub(super) fn apply(&self, wish: &mut Wish) {
        let names = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
        (wish.order, wish.only, wish.ignore) = (names(&self.order), names(&self.only), names(&self.ignore));
        let SortIn { by, partition } = self.sort.map(SortForm::parts).unwrap_or_default();
        wish.sort = by.map(Into::into);
        wish.is_across = by.is_some() && partition == Some(Partition::None);
        let Most { prompt, completion, request, image, audio } = self.most();
        let usd = |usd: Option<Usd>| usd.map(|usd| usd.0);
        wish.max_price = MaxPrice {
            input_usd_per_mtok: usd(prompt),
            output_usd_per_mtok: usd(completion),
            is_of_extras: request.or(image).or(audio).is_some(),
        };
        wish.preferred = Preferred {
            latency_ms: self.preferred_max_latency.map(|limits| limits.cutoffs(SECOND_MS)).unwrap_or_default(),
            tokens_per_second: self.preferred_min_throughput.map(|limits| limits.cutoffs(1.0)).unwrap_or_default(),
        };
        wish.demands = Demands {
            no_collection: self.data_collection == Some(Collection::Deny),
            zero_retention: self.zdr == Some(true),
            distillable: self.enforce_distillable_text == Some(true),
            quantizations: self.quantizations.clone().unwrap_or_default(),
        };
        wish.is_single = self.allow_fallbacks == Some(false);
    }

    /// Why a value could not be read as wishes.
    pub(super) fn explain(value: &Value) -> Error {
        let Some(object) = value.as_object() else { return Error::invalid("provider", "an object", kind(value)) };
        if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let key: String = key.chars().take(40).collect();
            let near = nearest(&key, &KEYS).map_or_else(|| KEYS.join(", "), |near| format!("`{near}`"));
            return Error::invalid("provider", near, format!("the unknown key `{key}`"));
        }
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let (holds, expected) = match key.as_str() {
                "order" | "only" | "ignore" => (Vec::<String>::deserialize(value).is_ok(), "an array of names"),
                "sort" => (
                    SortForm::deserialize(value).is_ok(),
                    "price, latency or throughput, or an object of that as `by` and of `partition`, model or none",
                ),
                "max_price" => (
                    Object::<Most>::deserialize(value).is_ok(),
                    "an object of `prompt`, `completion`, `request`, `image` and `audio` in USD",
                ),
                "preferred_max_latency" | "preferred_min_throughput" => {
                    (Limits::deserialize(value).is_ok(), "a number, or an object of `p50`, `p75`, `p90` and `p99`")
                }
                "data_collection" => (Collection::deserialize(value).is_ok(), "allow or deny"),
                "quantizations" => (Vec::<Quantization>::deserialize(value).is_ok(), Quantization::LIST),
                _ => (value.is_boolean(), "a boolean"),
            };
            if !holds {
                // Of the right kind, and wrong all the same.
                let got = match (key.as_str(), value) {
                    ("sort" | "data_collection", Value::String(_)) => "another word",
                    ("order" | "only" | "ignore" | "quantizations", Value::Array(_)) => "one of others",
                    (_, Value::Object(_)) => "another object",
                    _ => kind(value),
                };
                return Error::invalid(format!("provider.{key}"), expected, got);
            }
        }
        Error::invalid("provider", "every key at most once", "one twice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_the_fields() {
        for key in KEYS {
            assert!(serde_json::from_str::<Provider>(&format!("{{\"{key}\":null}}")).is_ok(), "{key}");
        }
        let error = serde_json::from_str::<Provider>("{\"x\":null}").expect_err("unknown").to_string();
        assert_eq!(error.matches('`').count(), 2 * (KEYS.len() + 1), "{error}");
    }
}
