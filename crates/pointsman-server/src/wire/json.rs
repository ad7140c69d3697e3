//! Pieces of JSON that requests are read from.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A string, borrowed where the JSON holds no escapes.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// An object and nothing else: what serde derives would also take an array of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

/// Any value, passed over. Unlike serde's `IgnoredAny` it keeps to the parser's limit on depth.
pub(super) struct PassedOver;

/// An array, of which only the length matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Length(pub(super) usize);

impl<'de> Deserialize<'de> for PassedOver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = PassedOver;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_bool<E>(self, _: bool) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_i64<E>(self, _: i64) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_u64<E>(self, _: u64) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_f64<E>(self, _: f64) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_str<E>(self, _: &str) -> Result<PassedOver, E> {
                Ok(PassedOver)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PassedOver, A::Error> {
                while list.next_element::<PassedOver>()?.is_some() {}
                Ok(PassedOver)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PassedOver, A::Error> {
                while map.next_entry::<PassedOver, PassedOver>()?.is_some() {}
                Ok(PassedOver)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A count from 1. JSON does not tell `5.0` from `5`, and some clients write the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count(pub(super) u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 1 to 4294967295")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Count, E> {
                let count = u32::try_from(count).ok().filter(|count| *count > 0);
                count.map(Count).ok_or_else(|| E::custom("out of range"))
            }

            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a whole u32")]
            fn visit_f64<E: serde::de::Error>(self, count: f64) -> Result<Count, E> {
                let whole = count.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&count);
                if whole { Ok(Count(count as u32)) } else { Err(E::custom("out of range")) }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Length, A::Error> {
                let mut length = 0;
                while list.next_element::<PassedOver>()?.is_some() {
                    length += 1;
                }
                Ok(Length(length))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// The kind of a JSON value: as much of it as an error tells.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
