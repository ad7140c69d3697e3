//! A conversation parsed from `OpenAI` chat messages, which lends [`Request`]s.

mod read;

use serde_json::Value;

use crate::error::Error;
use crate::request::{ContextValue, Role, Turn};

/// An owned conversation, parsed from the `messages` array of the `OpenAI` chat API.
///
/// ```
/// use pointsman::{Conversation, Request};
/// let chat = Conversation::from_json(r#"[{"role": "user", "content": "What is 2 + 2?"}]"#)?;
/// let turns = chat.turns();
/// let request = Request { images: chat.images(), ..Request::new(&turns) };
/// assert_eq!(request.turns[0].text, "What is 2 + 2?");
/// assert!(Conversation::from_json("[]").is_err());
/// # Ok::<(), pointsman::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    turns: Vec<(Role, String)>,
    images: usize,
}

impl Conversation {
    /// Parses a JSON array of messages.
    ///
    /// # Errors
    /// [`Error`] when the text is not JSON or not a conversation; see [`Self::from_value`].
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let value = serde_json::from_str(json).map_err(Error::NotJson)?;
        Self::from_value(&value)
    }

    /// Reads an already parsed array of messages: `{"role", "content"}` each, where `content` is a string, null,
    /// or a list of parts (`text` parts are joined by line ends, image parts are counted, others are passed over).
    ///
    /// # Errors
    /// [`Error`] when the value is not a non-empty array of such objects, or a role is unknown.
    pub fn from_value(messages: &Value) -> Result<Self, Error> {
        let list = messages.as_array().ok_or(Error::NotMessages)?;
        if list.is_empty() {
            return Err(Error::NoMessages);
        }
        let mut conversation = Self::default();
        for (position, message) in list.iter().enumerate() {
            let role = role_of(message, position)?;
            let text = conversation.text_of(&message["content"], position)?;
            conversation.turns.push((role, text));
        }
        Ok(conversation)
    }

    /// The turns, borrowed, oldest first.
    pub fn turns(&self) -> Vec<Turn<'_>> {
        self.turns.iter().map(|(role, text)| Turn { role: *role, text }).collect()
    }

    /// How many turns there are: at least 1 in a conversation that was read.
    #[expect(clippy::len_without_is_empty, reason = "a conversation is never empty")]
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// How many image parts the messages held.
    pub fn images(&self) -> usize {
        self.images
    }

    fn text_of(&mut self, content: &Value, position: usize) -> Result<String, Error> {
        match content {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            Value::Array(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part["type"].as_str().map_or(PartKind::Other, part_kind) {
                        PartKind::Text => join(&mut text, part["text"].as_str().unwrap_or_default()),
                        PartKind::Image => self.images += 1,
                        PartKind::Other => {}
                    }
                }
                Ok(text)
            }
            _ => Err(Error::BadContent { position }),
        }
    }
}

/// Request context from a JSON object of strings, numbers and booleans, borrowed; null values count as absent.
///
/// `None` where the value is anything else, or holds a nested value.
pub fn context_from_json(value: &Value) -> Option<Vec<(&str, ContextValue<'_>)>> {
    let mut context = Vec::new();
    for (name, value) in value.as_object()? {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => ContextValue::Text(text),
            Value::Bool(flag) => ContextValue::Bool(*flag),
            Value::Number(number) => ContextValue::Number(number.as_f64().unwrap_or(f64::NAN)),
            Value::Array(_) | Value::Object(_) => return None,
        };
        context.push((name.as_str(), value));
    }
    Some(context)
}

/// What a part of a message's content holds.
#[derive(Clone, Copy)]
enum PartKind {
    Text,
    Image,
    Other,
}

fn part_kind(name: &str) -> PartKind {
    match name {
        "text" | "input_text" => PartKind::Text,
        "image_url" | "input_image" | "image" => PartKind::Image,
        _ => PartKind::Other,
    }
}

/// Appends a part's text on a line of its own.
fn join(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(part);
}

fn role_of(message: &Value, position: usize) -> Result<Role, Error> {
    let name = message["role"].as_str().unwrap_or("none");
    role_named(name).ok_or_else(|| Error::UnknownRole { position, role: name.chars().take(40).collect() })
}

fn role_named(name: &str) -> Option<Role> {
    match name {
        "system" | "developer" => Some(Role::System),
        "user" => Some(Role::User),
        "assistant" => Some(Role::Assistant),
        "tool" | "function" => Some(Role::Tool),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_images_counted() {
        let chat = Conversation::from_json(
            r#"[{"role":"system","content":"be brief"},
                {"role":"user","content":[{"type":"text","text":"what"},{"type":"image_url","image_url":{"url":"x"}},
                                          {"type":"text","text":"is this"}]}]"#,
        )
        .expect("a valid conversation");
        assert_eq!(chat.turns()[1].text, "what\nis this");
        assert_eq!(chat.images(), 1);
    }

    #[test]
    fn a_tool_call_without_content_is_an_empty_turn() {
        let chat = Conversation::from_json(r#"[{"role":"assistant","content":null,"tool_calls":[]}]"#)
            .expect("a valid conversation");
        assert_eq!(chat.turns()[0].text, "");
    }

    #[test]
    fn context_is_flat() {
        let value = serde_json::json!({ "plan": "free", "age": 36, "beta": true, "nothing": null });
        let context = context_from_json(&value).expect("a flat object");
        assert_eq!(context.len(), 3);
        assert!(context.contains(&("plan", ContextValue::Text("free"))));
        assert_eq!(context_from_json(&serde_json::json!({ "plan": {} })), None);
        assert_eq!(context_from_json(&serde_json::json!([])), None);
    }

    #[test]
    fn both_ways_of_reading_agree() {
        for json in [
            "{}",
            "[]",
            "3",
            "[[]]",
            "[null]",
            r#"[{"content":"no role"}]"#,
            r#"[{"role":3,"content":"x"}]"#,
            r#"[{"role":"robot"}]"#,
            r#"[{"role":"user"}]"#,
            r#"[{"role":"user","content":3}]"#,
            r#"[{"role":"user","content":{}}]"#,
            r#"[{"role":"user","content":null},{"role":"developer","content":"a\u00e9\nb"}]"#,
            r#"[{"role":"robot","role":"tool","content":[{"type":"image"}],"content":"last wins"}]"#,
            r#"[{"content":[{"type":"text","text":"a"},"b",3,null,[1],{"type":["text"],"text":"c"},{"type":"image"},
                {"text":"d","type":"input_text"},{"type":"text","text":7},{"type":"text"}],"role":"user"}]"#,
            r#"[{"role":"assistant","content":"x","tool_calls":[{"function":{"arguments":"{\"a\": [1]}"}}]}]"#,
            r#"[{"role":"user","content":"x","more":1e999}]"#,
        ] {
            let explained = Conversation::from_json(json);
            let direct = serde_json::from_str::<Conversation>(json);
            assert_eq!(explained.is_ok(), direct.is_ok(), "{json}");
            assert_eq!(explained.ok(), direct.ok(), "{json}");
        }
    }

    #[test]
    fn wrong_shapes_name_the_position() {
        let message = |json: &str| Conversation::from_json(json).expect_err("invalid").to_string();
        assert_eq!(message("{}"), "messages: expected an array of messages");
        assert_eq!(
            message(r#"[{"role":"robot"}]"#),
            "messages[0].role: expected system, user, assistant or tool, got `robot`"
        );
        assert_eq!(
            message(r#"[{"role":"user","content":3}]"#),
            "messages[0].content: expected a string or a list of parts"
        );
    }
}
