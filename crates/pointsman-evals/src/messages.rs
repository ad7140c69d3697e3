//! Chat messages in a log: whether they parse, their text, and one way of writing them.

use pointsman::{Conversation, Role};
use serde_json::Value;

/// Parsed messages: what of them is text.
#[derive(Debug)]
pub(crate) struct Chat(Conversation);

/// Parses a JSON array of messages, exactly as serving does.
pub(crate) fn parse(json: &str) -> Result<Chat, pointsman::Error> {
    Conversation::from_json(json).map(Chat)
}

impl Chat {
    /// Whether no turn has any text.
    pub(crate) fn is_blank(&self) -> bool {
        self.0.turns().iter().all(|turn| turn.text.trim().is_empty())
    }

    /// Unicode characters of all turns.
    pub(crate) fn chars(&self) -> usize {
        self.0.turns().iter().map(|turn| turn.text.chars().count()).sum()
    }

    /// One text for the whole conversation: of a single user turn its text, so that it equals the same `prompt`;
    /// else every turn with its role.
    pub(crate) fn transcript(&self) -> String {
        match self.0.turns().as_slice() {
            [turn] if turn.role == Role::User => turn.text.to_owned(),
            turns => turns.iter().flat_map(|turn| [turn.role.as_str(), ": ", turn.text, "\n"]).collect(),
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
            r#"[{"role":"robot","content":"Hi"}]"#,
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
