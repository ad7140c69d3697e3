//! A logged prompt as the request that a router would have been asked.

use pointsman::{Conversation, Request, Turn};

use crate::log::{Content, ContextValue, Prompt};
use crate::prompts::PromptRow;

impl Prompt {
    /// Calls `f` with the request that this prompt stands for: the same that serving makes of the same input.
    ///
    /// Training, benchmark and batch prediction all come through here, so that they see what a server would see.
    ///
    /// # Errors
    ///
    /// The chat's error where the content is messages that do not parse; reading a log has already refused those.
    pub fn with_request<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> Result<T, pointsman::Error> {
        with_request(&self.content, &self.context, f)
    }
}

impl PromptRow {
    /// As [`Prompt::with_request`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_request<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> Result<T, pointsman::Error> {
        with_request(&self.content, &self.context, f)
    }
}

fn with_request<T>(
    content: &Content,
    context: &[(String, ContextValue)],
    f: impl FnOnce(&Request<'_>) -> T,
) -> Result<T, pointsman::Error> {
    let context: Vec<(&str, pointsman::ContextValue<'_>)> =
        context.iter().map(|(name, value)| (name.as_str(), value.borrowed())).collect();
    match content {
        Content::Text(text) => {
            let turns = [Turn::user(text)];
            Ok(f(&Request { context: &context, ..Request::new(&turns) }))
        }
        Content::Messages(json) => {
            let chat = Conversation::from_json(json)?;
            let turns = chat.turns();
            Ok(f(&Request { images: chat.images(), context: &context, ..Request::new(&turns) }))
        }
    }
}

impl ContextValue {
    /// The value as a request carries it.
    pub fn borrowed(&self) -> pointsman::ContextValue<'_> {
        match self {
            Self::Text(text) => pointsman::ContextValue::Text(text),
            Self::Number(number) => pointsman::ContextValue::Number(*number),
            Self::Bool(flag) => pointsman::ContextValue::Bool(*flag),
        }
    }
}
