//! `provider` of a request, as `OpenRouter` has it: which targets may be asked, and in which order those of a model are.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::json::{Object, kind};
use crate::error::Error;
use crate::nearest::nearest;
use crate::targets::wish::{MaxPrice, Sort, Wish};

/// All keys, for errors.
const KEYS: [&str; 7] = ["order", "only", "ignore", "sort", "max_price", "allow_fallbacks", "require_parameters"];

/// Most names in a list, and most bytes in one.
const MOST: usize = 128;

/// Wishes about targets, by their names in the configuration.
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
    /// What comes first among targets of a model: the cheapest, or the quickest of late.
    #[schema(value_type = Option<SortSchema>)]
    sort: Option<SortName>,
    /// Targets that may cost more are not asked, nor are those of unknown price.
    #[schema(value_type = Option<MaxPriceSchema>)]
    max_price: Option<Object<Most>>,
    /// Whether another target may be asked where the first fails. Default: yes.
    allow_fallbacks: Option<bool>,
    /// Without effect: what a request needs (tools, images, JSON) is always required of a target.
    #[expect(dead_code, reason = "always so")]
    require_parameters: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SortName {
    Price,
    Latency,
    Throughput,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderSort)]
#[expect(dead_code, reason = "the names for the OpenAPI document")]
enum SortSchema {
    Price,
    Latency,
    Throughput,
}

/// USD per million tokens.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Most {
    prompt: Option<f64>,
    completion: Option<f64>,
}

/// USD per million tokens.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderMaxPrice)]
#[expect(dead_code, reason = "the form for the OpenAPI document")]
struct MaxPriceSchema {
    #[schema(minimum = 0)]
    prompt: Option<f64>,
    #[schema(minimum = 0)]
    completion: Option<f64>,
}

impl Provider {
    /// Checks what the types do not.
    pub(super) fn validate(&self) -> Result<(), Error> {
        for (param, names) in
            [("provider.order", &self.order), ("provider.only", &self.only), ("provider.ignore", &self.ignore)]
        {
            let names = names.as_deref().unwrap_or_default();
            if names.len() > MOST || names.iter().any(|name| name.len() > MOST) {
                return Err(Error::invalid(param, "at most 128 names of at most 128 bytes", "more"));
            }
        }
        let Most { prompt, completion } = self.most();
        for (param, price) in [("provider.max_price.prompt", prompt), ("provider.max_price.completion", completion)] {
            if price.is_some_and(|price| !(price >= 0.0 && price.is_finite())) {
                return Err(Error::invalid(param, "0 or more USD per million tokens", "a number outside that"));
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
        wish.sort = self.sort.map(|sort| match sort {
            SortName::Price => Sort::Price,
            // Of how many tokens a second come nothing is known; how soon an answer does is.
            SortName::Latency | SortName::Throughput => Sort::Latency,
        });
        let Most { prompt, completion } = self.most();
        wish.max_price = MaxPrice { input_usd_per_mtok: prompt, output_usd_per_mtok: completion };
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
                "sort" => (SortName::deserialize(value).is_ok(), "price, latency or throughput"),
                "max_price" => {
                    (Object::<Most>::deserialize(value).is_ok(), "an object with `prompt` and `completion` in USD")
                }
                _ => (value.is_boolean(), "a boolean"),
            };
            if !holds {
                return Error::invalid(format!("provider.{key}"), expected, kind(value));
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
        assert!(serde_json::from_str::<Provider>("{\"x\":null}").is_err());
    }
}
