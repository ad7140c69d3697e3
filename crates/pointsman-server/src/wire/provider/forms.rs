//! The forms that values of `provider` take where they are neither a list nor a boolean.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use utoipa::ToSchema;

use crate::targets::quantiles::Cutoffs;
use crate::targets::wish::Sort;
use crate::wire::json::Object;

/// By what targets are sorted.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderSortBy)]
pub(super) enum SortBy {
    /// The cheapest first.
    Price,
    /// The quickest of late first.
    Latency,
    /// Those of the most tokens per second first.
    Throughput,
}

impl From<SortBy> for Sort {
    fn from(by: SortBy) -> Self {
        match by {
            SortBy::Price => Self::Price,
            SortBy::Latency => Self::Latency,
            SortBy::Throughput => Self::Throughput,
        }
    }
}

/// What is sorted as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderPartition)]
pub(super) enum Partition {
    /// The targets of a model: all of the first model go before those of the next.
    #[default]
    Model,
    /// All targets.
    None,
}

/// A sort and what it goes across.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderSortIn)]
pub(super) struct SortIn {
    pub(super) by: Option<SortBy>,
    /// Default: `model`.
    pub(super) partition: Option<Partition>,
}

/// A sort by its name alone, or with what it goes across.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SortForm {
    By(SortBy),
    In(Object<SortIn>),
}

impl SortForm {
    pub(super) fn parts(self) -> SortIn {
        match self {
            Self::By(by) => SortIn { by: Some(by), partition: None },
            Self::In(Object(sort)) => sort,
        }
    }
}

/// Limits for shares of the answers of the last five minutes; all of them are to hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderShares)]
pub(super) struct Shares {
    #[schema(minimum = 0)]
    p50: Option<f64>,
    #[schema(minimum = 0)]
    p75: Option<f64>,
    #[schema(minimum = 0)]
    p90: Option<f64>,
    #[schema(minimum = 0)]
    p99: Option<f64>,
}

/// One limit, which is for half of the answers, or several.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Limits {
    Half(f64),
    Of(Object<Shares>),
}

impl Limits {
    /// The limits, each times `unit`.
    pub(super) fn cutoffs(self, unit: f64) -> Cutoffs {
        let Shares { p50, p75, p90, p99 } = match self {
            Self::Half(p50) => Shares { p50: Some(p50), ..Shares::default() },
            Self::Of(Object(shares)) => shares,
        };
        Cutoffs([p50, p75, p90, p99].map(|limit| limit.map(|limit| limit * unit)))
    }

    /// Whether all of them are 0 or more, and finite.
    pub(super) fn are_amounts(self) -> bool {
        self.cutoffs(1.0).0.iter().flatten().all(|limit| *limit >= 0.0 && limit.is_finite())
    }
}

/// USD, as a number or as a text of digits, as `OpenRouter`'s own clients write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usd(pub(super) f64);

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl Visitor<'_> for Amount {
            type Value = Usd;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E>(self, usd: f64) -> Result<Usd, E> {
                Ok(Usd(usd))
            }

            fn visit_u64<E>(self, usd: u64) -> Result<Usd, E> {
                Ok(Usd(usd as f64))
            }

            fn visit_i64<E>(self, usd: i64) -> Result<Usd, E> {
                Ok(Usd(usd as f64))
            }

            fn visit_str<E: serde::de::Error>(self, usd: &str) -> Result<Usd, E> {
                let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
                let bytes = usd.as_bytes();
                // Neither `1e3` nor `inf`, which Rust would take too.
                let is_plain = bytes.len() <= 32 && bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
                let number = usd.parse().ok().filter(|_| is_plain && is_digit(bytes.first()) && is_digit(bytes.last()));
                number.map(Usd).ok_or_else(|| E::custom("no number"))
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

/// Most that may be asked, in USD: for a million tokens, or for one request or image beside them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Most {
    pub(super) prompt: Option<Usd>,
    pub(super) completion: Option<Usd>,
    pub(super) request: Option<Usd>,
    pub(super) image: Option<Usd>,
    pub(super) audio: Option<Usd>,
}

impl Most {
    /// Every limit with its name and its form.
    pub(super) fn limits(&self) -> [(&'static str, &'static str, Option<f64>); 5] {
        const TOKENS: &str = "0 or more USD per million tokens";
        const ONE: &str = "0 or more USD";
        [
            ("provider.max_price.prompt", TOKENS, self.prompt),
            ("provider.max_price.completion", TOKENS, self.completion),
            ("provider.max_price.request", ONE, self.request),
            ("provider.max_price.image", ONE, self.image),
            ("provider.max_price.audio", ONE, self.audio),
        ]
        .map(|(param, expected, usd)| (param, expected, usd.map(|usd| usd.0)))
    }
}

/// The forms for the `OpenAPI` document.
pub(super) mod schemas {
    use utoipa::ToSchema;

    use super::{Shares, SortBy, SortIn};

    #[derive(ToSchema)]
    #[serde(untagged)]
    #[schema(as = ProviderSort)]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    pub(in crate::wire::provider) enum Sort {
        By(SortBy),
        In(SortIn),
    }

    #[derive(ToSchema)]
    #[serde(untagged)]
    #[schema(as = ProviderLimits)]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    pub(in crate::wire::provider) enum Limits {
        Half(Amount),
        Of(Shares),
    }

    #[derive(ToSchema)]
    #[schema(as = ProviderAmount, minimum = 0)]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    pub(in crate::wire::provider) struct Amount(f64);

    #[derive(ToSchema)]
    #[schema(as = ProviderDigits, max_length = 32, pattern = "^[0-9]+(\\.[0-9]+)?$")]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    struct Digits(String);

    /// USD, as numbers or as texts of them.
    #[derive(ToSchema)]
    #[serde(deny_unknown_fields)]
    #[schema(as = ProviderMaxPrice)]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    pub(in crate::wire::provider) struct MaxPrice {
        /// For a million tokens of a request.
        prompt: Option<Usd>,
        /// For a million tokens of an answer.
        completion: Option<Usd>,
        /// For a request beside its tokens; targets charge for tokens alone.
        request: Option<Usd>,
        /// For an image beside its tokens, likewise.
        image: Option<Usd>,
        /// For audio beside its tokens, likewise.
        audio: Option<Usd>,
    }

    #[derive(ToSchema)]
    #[serde(untagged)]
    #[schema(as = ProviderUsd)]
    #[expect(dead_code, reason = "the form for the OpenAPI document")]
    enum Usd {
        Number(Amount),
        Text(Digits),
    }
}
