//! What an operator declares of whose a target is, of what becomes there of what it is sent, and of how exactly its model is
//! computed. What is not declared is not promised: a request that demands it goes elsewhere.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as Unread, StrDeserializer};
use utoipa::ToSchema;

use super::settings::TargetSettings;
use super::wish::{Wish, barred};
use crate::error::Error;

/// How exactly a model's weights are kept, in `OpenRouter`'s words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ProviderQuantization)]
pub(crate) enum Quantization {
    Int4,
    Int8,
    Fp4,
    Fp6,
    Fp8,
    Fp16,
    Bf16,
    Fp32,
    /// Nobody says.
    #[default]
    Unknown,
}

impl Quantization {
    /// All names, and a list of them, for errors.
    pub(crate) const NAMES: &str = "int4, int8, fp4, fp6, fp8, fp16, bf16, fp32 or unknown";
    pub(crate) const LIST: &str = "an array of int4, int8, fp4, fp6, fp8, fp16, bf16, fp32 and unknown";

    /// The one of this name.
    fn named(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, Unread> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

/// What a request demands of whoever carries it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Demands {
    /// That what it sends is not collected.
    pub(crate) no_collection: bool,
    /// That nothing of it is kept.
    pub(crate) zero_retention: bool,
    /// That others may be trained on the answer.
    pub(crate) distillable: bool,
    /// One of these; empty for any.
    pub(crate) quantizations: Vec<Quantization>,
}

/// What is declared of a target.
#[derive(Debug)]
pub(super) struct Terms {
    /// Whose it is, such as `openai` or `deepinfra/turbo`.
    provider: Option<String>,
    /// Whether it is said not to collect what it is sent.
    collects_nothing: bool,
    /// Whether it is said to keep nothing.
    retains_nothing: bool,
    is_distillable: bool,
    quantization: Quantization,
}

impl Terms {
    pub(super) fn new(settings: &TargetSettings) -> Result<Self, Error> {
        let TargetSettings { name, provider, data_collection, zdr, distillable_text, quantization, .. } = settings;
        let bad = |field, expected, got: &str| Error::target(name, field, expected, got);
        let is_slug = |slug: &&String| (1..=128).contains(&slug.len()) && slug.bytes().all(|b| b.is_ascii_graphic());
        if let Some(provider) = provider.as_ref().filter(|slug| !is_slug(slug)) {
            return Err(bad("provider", "1 to 128 visible ASCII characters", provider));
        }
        let denies = match data_collection.as_deref() {
            None | Some("allow") => false,
            Some("deny") => true,
            Some(other) => return Err(bad("data_collection", "allow or deny", other)),
        };
        if *zdr && data_collection.is_some() && !denies {
            return Err(bad("data_collection", "deny where `zdr` is true: what is not kept is not collected", "allow"));
        }
        let quantization = quantization
            .as_deref()
            .map(|text| Quantization::named(text).ok_or_else(|| bad("quantization", Quantization::NAMES, text)));
        Ok(Self {
            provider: provider.clone(),
            collects_nothing: denies || *zdr,
            retains_nothing: *zdr,
            is_distillable: *distillable_text,
            quantization: quantization.transpose()?.unwrap_or_default(),
        })
    }

    /// Whether this is what a request calls its provider: by its own name, or `deepinfra` for `deepinfra/turbo` too. Large and
    /// small letters are the same, for there are clients that say `OpenAI`.
    pub(super) fn are_of(&self, name: &str) -> bool {
        let Some(provider) = &self.provider else { return false };
        let (given, own) = (name.as_bytes(), provider.as_bytes());
        own.len() >= given.len()
            && own[..given.len()].eq_ignore_ascii_case(given)
            && (own.len() == given.len() || (own[given.len()] == b'/' && !given.is_empty()))
    }

    /// What keeps a request from it.
    pub(super) fn barred(&self, wish: &Wish) -> Option<&'static str> {
        let Demands { no_collection, zero_retention, distillable, quantizations } = &wish.demands;
        if *no_collection && !self.collects_nothing {
            Some(barred::DATA_COLLECTION)
        } else if *zero_retention && !self.retains_nothing {
            Some(barred::ZDR)
        } else if *distillable && !self.is_distillable {
            Some(barred::DISTILLABLE)
        } else if !quantizations.is_empty() && !quantizations.contains(&self.quantization) {
            Some(barred::QUANTIZATIONS)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TargetSettings {
        TargetSettings::new("t", "small", "http://127.0.0.1:9/v1")
    }

    #[test]
    fn a_provider_goes_by_its_name_and_by_what_stands_before_the_slash() {
        let terms = Terms::new(&TargetSettings { provider: Some("deepinfra/turbo".into()), ..settings() });
        let terms = terms.expect("valid");
        for name in ["deepinfra/turbo", "deepinfra", "DeepInfra"] {
            assert!(terms.are_of(name), "{name}");
        }
        for name in ["deepinfra/", "deepinfra/turbo/x", "deep", "turbo", "", "openai"] {
            assert!(!terms.are_of(name), "{name}");
        }
        assert!(!Terms::new(&settings()).expect("valid").are_of(""));
        let slash = Terms::new(&TargetSettings { provider: Some("/x".into()), ..settings() }).expect("valid");
        assert!(!slash.are_of(""));
    }

    #[test]
    fn only_what_is_declared_is_promised() {
        let barred_by = |settings: TargetSettings, demands: Demands| {
            Terms::new(&settings).expect("valid").barred(&Wish { demands, ..Wish::default() })
        };
        let none = Demands::default();
        let collection = Demands { no_collection: true, ..none.clone() };
        let retention = Demands { zero_retention: true, ..none.clone() };
        let distillable = Demands { distillable: true, ..none.clone() };
        let fp8 = Demands { quantizations: vec![Quantization::Fp8], ..none.clone() };
        let unknown = Demands { quantizations: vec![Quantization::Fp8, Quantization::Unknown], ..none.clone() };
        let denies = TargetSettings { data_collection: Some("deny".into()), ..settings() };
        let zdr = TargetSettings { zdr: true, ..settings() };
        assert_eq!(barred_by(settings(), none), None);
        for (demands, reason) in [
            (&collection, Some(barred::DATA_COLLECTION)),
            (&retention, Some(barred::ZDR)),
            (&distillable, Some(barred::DISTILLABLE)),
            (&fp8, Some(barred::QUANTIZATIONS)),
            (&unknown, None),
        ] {
            assert_eq!(barred_by(settings(), demands.clone()), reason);
        }
        assert_eq!(barred_by(denies.clone(), collection.clone()), None);
        assert_eq!(
            barred_by(denies, retention.clone()),
            Some(barred::ZDR),
            "not collected may still be kept for a while"
        );
        assert_eq!(barred_by(zdr.clone(), collection), None, "what is not kept is not collected");
        assert_eq!(barred_by(zdr, retention), None);
        assert_eq!(barred_by(TargetSettings { distillable_text: true, ..settings() }, distillable), None);
        assert_eq!(barred_by(TargetSettings { quantization: Some("fp8".into()), ..settings() }, fp8), None);
    }

    #[test]
    fn what_cannot_be_declared_is_refused() {
        let text = |value: &str| Some(value.to_owned());
        for (settings, expected) in [
            (
                TargetSettings { provider: text("open ai"), ..settings() },
                "target `t`: provider expected 1 to 128 visible ASCII characters, got `open ai`",
            ),
            (
                TargetSettings { data_collection: text("never"), ..settings() },
                "target `t`: data_collection expected allow or deny, got `never`",
            ),
            (
                TargetSettings { data_collection: text("allow"), zdr: true, ..settings() },
                "target `t`: data_collection expected deny where `zdr` is true: what is not kept is not collected, got `allow`",
            ),
            (
                TargetSettings { quantization: text("q4"), ..settings() },
                "target `t`: quantization expected int4, int8, fp4, fp6, fp8, fp16, bf16, fp32 or unknown, got `q4`",
            ),
        ] {
            assert_eq!(Terms::new(&settings).expect_err("refused").to_string(), expected);
        }
    }
}
