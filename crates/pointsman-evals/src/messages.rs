//! Chat messages in a log: whether they parse, their text, and one way of writing them.

use serde::Deserialize;
use serde_json::Value;

/// Parsed messages: what of them is text.
#[derive(Debug)]
pub(crate) struct Chat {
    /// Role and text of each turn, in order.
    turns: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<Body>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    text: Option<String>,
}

/// Parses a JSON array of `{role, content}`, content a string, an array of parts, or null (a turn of tool calls).
pub(crate) fn parse(json: &str) -> Result<Chat, serde_json::Error> {
    let messages: Vec<Message> = serde_json::from_str(json)?;
    if messages.is_empty() {
        return Err(serde::de::Error::custom("no messages"));
    }
    Ok(Chat {
        turns: messages
            .into_iter()
            .map(|message| {
                let text = match message.content {
                    None => String::new(),
                    Some(Body::Text(text)) => text,
                    Some(Body::Parts(parts)) => {
                        parts.into_iter().filter_map(|part| part.text).collect::<Vec<_>>().join("\n")
                    }
                };
                (message.role, text)
            })
            .collect(),
    })
}

impl Chat {
    /// Whether no turn has any text.
    pub(crate) fn is_blank(&self) -> bool {
        self.turns.iter().all(|(_, text)| text.trim().is_empty())
    }

    /// Unicode characters of all turns.
    pub(crate) fn chars(&self) -> usize {
        self.turns.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// One text for the whole conversation: of a single user turn its text, so that it equals the same `prompt`;
    /// else every turn with its role.
    pub(crate) fn transcript(&self) -> String {
        match self.turns.as_slice() {
            [(role, text)] if role == "user" => text.clone(),
            turns => turns.iter().flat_map(|(role, text)| [role, ": ", text, "\n"]).collect(),
        }
    }
}

/// The same JSON with sorted keys and no white space: equal values are equal texts.
pub(crate) fn canonical(json: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    Some(sorted(value).to_string())
}

/// Sorts the keys of all objects within, whichever map `serde_json` was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_parts_and_tool_turns_parse() {
        let chat = parse(
            r#"[{"role":"system","content":"Be brief."},
                {"role":"user","content":[{"type":"text","text":"What is"},{"type":"image_url","image_url":{}},{"type":"text","text":"this?"}]},
                {"role":"assistant","content":null,"tool_calls":[]}]"#,
        )
        .expect("valid");
        assert_eq!(chat.transcript(), "system: Be brief.\nuser: What is\nthis?\nassistant: \n");
        assert_eq!(chat.chars(), 22);
        assert!(!chat.is_blank());
    }

    #[test]
    fn one_user_turn_is_its_text() {
        let chat = parse(r#"[{"role":"user","content":"Hi"}]"#).expect("valid");
        assert_eq!(chat.transcript(), "Hi");
    }

    #[test]
    fn other_json_does_not_parse() {
        for bad in [
            "",
            "[]",
            "{}",
            r#""Hi""#,
            r#"[{"content":"Hi"}]"#,
            r#"[{"role":"user","content":3}]"#,
            r#"[{"role":"user","content":[{"text":"no type"}]}]"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn canonical_json_has_sorted_keys() {
        assert_eq!(
            canonical(r#"[ {"role": "user", "content": "a"} ]"#),
            canonical(r#"[{"content":"a","role":"user"}]"#)
        );
    }
}
