//! The JSON body of a request: what is routed, and to what kind of model.
//!
//! The body is OpenAI's chat body, or the same with a `prompt` in the place of `messages`. Fields that say nothing
//! about routing are passed over; fields that would constrain it in a way not offered here are refused.

use pointsman::{Capabilities, ContextValue, Conversation, Limits, Request, ResponseFormat, Turn, context_from_json};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::snapshot::AUTO;

/// Fields by which OpenAI-compatible routers are steered and which this one does not take.
const UNSUPPORTED: [&str; 3] = ["models", "pointsman", "provider"];

/// Parses a body.
pub(crate) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    serde_json::from_slice(bytes).map_err(|source| match source.classify() {
        Category::Data => Error::InvalidRequest { param: "body", expected: "an object", got: "another JSON value" },
        _ => Error::InvalidJson { line: source.line(), column: source.column(), source },
    })
}

/// A body that can be routed, borrowed from its JSON.
#[derive(Debug)]
pub(crate) struct Query<'b> {
    /// Alias or name of a model.
    pub(crate) model: &'b str,
    text: Text<'b>,
    tools: usize,
    response_format: ResponseFormat,
    max_output_tokens: Option<u32>,
    context: Vec<(&'b str, ContextValue<'b>)>,
}

#[derive(Debug)]
enum Text<'b> {
    Prompt(&'b str),
    Chat(Conversation),
}

impl<'b> Query<'b> {
    /// Reads the fields that matter; null counts as absent.
    pub(crate) fn new(body: &'b Map<String, Value>) -> Result<Self, Error> {
        let field = |name: &str| body.get(name).filter(|value| !value.is_null());
        if let Some(param) = UNSUPPORTED.into_iter().find(|name| field(name).is_some()) {
            return Err(Error::Unsupported { param });
        }
        let max_tokens = |param| field(param).map(|value| tokens(param, value)).transpose();
        Ok(Self {
            model: field("model").map_or(Ok(AUTO), |value| string("model", value))?,
            text: text(field("prompt"), field("messages"))?,
            tools: field("tools").map_or(Ok(0), tools)?,
            response_format: field("response_format").map_or(Ok(ResponseFormat::Text), response_format)?,
            max_output_tokens: max_tokens("max_completion_tokens")?.or(max_tokens("max_tokens")?),
            context: field("context").map_or(Ok(Vec::new()), context)?,
        })
    }

    /// The turns of the conversation, oldest first.
    pub(crate) fn turns(&self) -> Vec<Turn<'_>> {
        match &self.text {
            Text::Prompt(prompt) => vec![Turn::user(prompt)],
            Text::Chat(chat) => chat.turns(),
        }
    }

    /// The request to be routed; `turns` are those of [`Self::turns`].
    pub(crate) fn request<'q>(&'q self, turns: &'q [Turn<'q>]) -> Request<'q> {
        Request {
            turns,
            tools: self.tools,
            images: self.images(),
            response_format: self.response_format,
            max_output_tokens: self.max_output_tokens,
            context: &self.context,
        }
    }

    /// What the model must be able to do.
    pub(crate) fn limits(&self) -> Limits {
        let needs = Capabilities {
            tools: self.tools > 0,
            vision: self.images() > 0,
            json: self.response_format == ResponseFormat::Json,
        };
        Limits { needs, ..Limits::default() }
    }

    fn images(&self) -> usize {
        match &self.text {
            Text::Prompt(_) => 0,
            Text::Chat(chat) => chat.images(),
        }
    }
}

fn text<'b>(prompt: Option<&'b Value>, messages: Option<&Value>) -> Result<Text<'b>, Error> {
    match (prompt, messages) {
        (None, Some(messages)) => Conversation::from_value(messages).map(Text::Chat).map_err(Error::BadMessages),
        (Some(prompt), None) => string("prompt", prompt).map(Text::Prompt),
        (None, None) => invalid("messages", "`messages`, or `prompt` in its place", "neither"),
        (Some(_), Some(_)) => invalid("prompt", "`messages`, or `prompt` in its place", "both"),
    }
}

fn string<'b>(param: &'static str, value: &'b Value) -> Result<&'b str, Error> {
    value.as_str().map_or_else(|| invalid(param, "a string", kind(value)), Ok)
}

fn tools(value: &Value) -> Result<usize, Error> {
    value.as_array().map_or_else(|| invalid("tools", "an array", kind(value)), |tools| Ok(tools.len()))
}

fn tokens(param: &'static str, value: &Value) -> Result<u32, Error> {
    let tokens = value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0);
    tokens.map_or_else(|| invalid(param, "an integer from 1 to 4294967295", kind(value)), Ok)
}

fn response_format(value: &Value) -> Result<ResponseFormat, Error> {
    match value["type"].as_str() {
        Some("text") => Ok(ResponseFormat::Text),
        Some("json_object" | "json_schema") => Ok(ResponseFormat::Json),
        _ => invalid("response_format", "an object whose `type` is text, json_object or json_schema", "another value"),
    }
}

fn context(value: &Value) -> Result<Vec<(&str, ContextValue<'_>)>, Error> {
    const EXPECTED: &str = "an object of strings, numbers and booleans";
    context_from_json(value).map_or_else(|| invalid("context", EXPECTED, kind(value)), Ok)
}

fn invalid<T>(param: &'static str, expected: &'static str, got: &'static str) -> Result<T, Error> {
    Err(Error::InvalidRequest { param, expected, got })
}

/// The kind of a JSON value: as much of it as an error tells.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
