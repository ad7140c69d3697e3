//! A conversation straight from JSON bytes, by the same rule as [`Conversation::from_value`] and without its detour
//! over a tree of values. Errors here only say *that* a body is unusable; `from_value` says why.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Conversation, PartKind, join, part_kind, role_named};
use crate::request::Role;

impl<'de> Deserialize<'de> for Conversation {
    /// Reads an array of messages.
    ///
    /// # Errors
    /// Where [`Self::from_value`] has one, without its explanation.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Messages)
    }
}

struct Messages;

impl<'de> Visitor<'de> for Messages {
    type Value = Conversation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<Conversation, A::Error> {
        let mut conversation = Conversation::default();
        while let Some(Message { role, content }) = messages.next_element()? {
            conversation.turns.push((role, content.text));
            conversation.images += content.images;
        }
        if conversation.turns.is_empty() { Err(A::Error::custom("no messages")) } else { Ok(conversation) }
    }
}

struct Message {
    role: Role,
    content: Content,
}

/// The text of a message and the number of its images.
#[derive(Default)]
struct Content {
    text: String,
    images: usize,
}

/// A string, borrowed where the JSON holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Message;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
                let (mut role, mut content) = (None, Content::default());
                while let Some(Text(name)) = map.next_key()? {
                    match &*name {
                        "role" => role = role_named(&map.next_value::<Text<'_>>()?.0),
                        "content" => content = map.next_value()?,
                        _ => drop(map.next_value::<Loose<'_>>()?),
                    }
                }
                let role = role.ok_or_else(|| A::Error::custom("no role"))?;
                Ok(Message { role, content })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of parts")
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::default())
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content { text: text.to_owned(), images: 0 })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut content = Content::default();
                while let Some(part) = parts.next_element::<Loose<'_>>()? {
                    let Loose::Part { kind, text } = part else { continue };
                    match kind {
                        PartKind::Text => join(&mut content.text, &text),
                        PartKind::Image => content.images += 1,
                        PartKind::Other => {}
                    }
                }
                Ok(content)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// Any JSON value, of which only a string, or `type` and `text` of an object, matter. Unlike serde's `IgnoredAny` it
/// keeps to the parser's limit on depth.
enum Loose<'a> {
    Text(Cow<'a, str>),
    Part { kind: PartKind, text: Cow<'a, str> },
    Other,
}

impl<'de> Deserialize<'de> for Loose<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Loose<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<Loose<'_>>()?.is_some() {}
                Ok(Loose::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut kind, mut text) = (PartKind::Other, Cow::Borrowed(""));
                while let Some(Text(name)) = map.next_key()? {
                    match &*name {
                        "type" => {
                            kind = match map.next_value()? {
                                Loose::Text(name) => part_kind(&name),
                                _ => PartKind::Other,
                            }
                        }
                        "text" => {
                            text = match map.next_value()? {
                                Loose::Text(text) => text,
                                _ => Cow::Borrowed(""),
                            }
                        }
                        _ => drop(map.next_value::<Loose<'_>>()?),
                    }
                }
                Ok(Loose::Part { kind, text })
            }
        }
        deserializer.deserialize_any(Any)
    }
}
