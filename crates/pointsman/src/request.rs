//! What is routed: a conversation, what it asks of a model, and the context it comes with.

/// One request to be routed, borrowed from the caller.
///
/// The text a router looks at first is the **last user turn**; earlier turns and system prompts enter through
/// surface signals and a down-weighted lexical part. A conversation without a user turn is judged by its last turn.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The conversation, oldest turn first.
    pub turns: &'a [Turn<'a>],
    /// How many tools are offered to the model.
    pub tools: usize,
    /// How many images the conversation holds.
    pub images: usize,
    /// What form the answer must have.
    pub response_format: ResponseFormat,
    /// The caller's limit on the answer's length, if any.
    pub max_output_tokens: Option<u32>,
    /// Request context by name (plan, device, locale, tenant…), as in the log's `context.*` columns.
    pub context: &'a [(&'a str, ContextValue<'a>)],
}

impl<'a> Request<'a> {
    /// A request with these turns and nothing else.
    pub fn new(turns: &'a [Turn<'a>]) -> Self {
        Self {
            turns,
            tools: 0,
            images: 0,
            response_format: ResponseFormat::Text,
            max_output_tokens: None,
            context: &[],
        }
    }

    /// Position of the turn whose text is routed: the last user turn, else the last turn.
    pub(crate) fn main_turn(&self) -> Option<usize> {
        let last_user = self.turns.iter().rposition(|turn| turn.role == Role::User);
        last_user.or(self.turns.len().checked_sub(1))
    }
}

/// One turn of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub text: &'a str,
}

impl<'a> Turn<'a> {
    /// A user's turn; a plain prompt is a conversation of one of these.
    pub fn user(text: &'a str) -> Self {
        Self { role: Role::User, text }
    }
}

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Standing instructions (`system` or `developer`).
    System,
    /// The person or program that asks.
    User,
    /// A model's earlier answer.
    Assistant,
    /// The result of a tool call (`tool` or `function`).
    Tool,
}

impl Role {
    /// Its name in the chat API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// What form the answer must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseFormat {
    /// Free text.
    #[default]
    Text,
    /// A JSON object, with or without a schema.
    Json,
}

/// A value of the request context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ContextValue<'a> {
    /// A category.
    Text(&'a str),
    /// A number; one that is not finite counts as absent.
    Number(f64),
    /// A flag.
    Bool(bool),
}
