//! OpenAI's `metadata`: strings by name, that the caller keeps with a completion. Rules may ask for it; nothing of it is kept.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::json::Text;

/// Strings by name, in the order in which they stand there; null counts as absent.
#[derive(Debug, Default)]
pub(super) struct Strings<'a>(pub(super) Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Strings<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Strings<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut strings = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, Option<Text<'de>>>()? {
                    strings.extend(value.map(|Text(value)| (name, value)));
                }
                Ok(Strings(strings))
            }
        }
        deserializer.deserialize_map(Form)
    }
}
