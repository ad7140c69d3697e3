//! The body of a request: what is routed, and what is wanted of the decision.
//!
//! The body is OpenAI's chat body, or the same with a `prompt` in the place of `messages`. It is read once, from its
//! bytes into these types. Fields that say nothing about routing are passed over; fields that would constrain it in
//! a way not offered here are refused.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use pointsman::{Capabilities, ContextValue, Conversation, Limits, Objective, Request, ResponseFormat, Turn};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use utoipa::ToSchema;

use super::json::{Count, Length, Object, PassedOver, Text, kind};
use super::options::{Context, Options, ScalarSchema};
use super::provider::Provider;
use super::strings::Strings;
use crate::error::Error;
use crate::targets::wish::Wish;

/// Longest body that is read a second time to explain what is wrong with it: explaining takes ten times its size.
const LONGEST_EXPLAINED: usize = 1 << 20;

/// Most names in a caller's own order: more is no order but a list of everything.
const MOST_MODELS: usize = 64;

/// A chat completion's body, or one with a `prompt` in the place of `messages`. Exactly one of the two is needed.
///
/// Every other field of a chat completion may be there and is passed over.
#[derive(Debug, Default, ToSchema)]
#[schema(as = RouteRequest)]
pub(crate) struct Query<'b> {
    /// `auto`, `auto:<objective>`, or the name of a model, which is then the answer.
    #[schema(value_type = Option<String>)]
    model: Option<Cow<'b, str>>,
    /// Names of models in the caller's own order: where the first fails, the next is tried. With `model`, that goes first.
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    models: Option<Vec<Text<'b>>>,
    /// The conversation, oldest message first.
    #[schema(value_type = Option<Vec<Message>>, min_items = 1)]
    messages: Option<Conversation>,
    /// A conversation of one message, in short.
    #[schema(value_type = Option<String>)]
    prompt: Option<Cow<'b, str>>,
    /// Tools that the model may call. Only their number matters here.
    #[schema(value_type = Option<Vec<Value>>)]
    tools: Option<Length>,
    /// The same by their older name; both count.
    #[schema(value_type = Option<Vec<Value>>)]
    functions: Option<Length>,
    /// The form of the answer.
    #[schema(value_type = Option<ResponseFormatSchema>)]
    response_format: Option<Format>,
    /// Limit on the answer's length, in tokens.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u64)]
    max_tokens: Option<Count>,
    /// The same by its newer name, which goes first.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u64)]
    max_completion_tokens: Option<Count>,
    /// Context of the request by name; passed over where `pointsman.context` is given.
    #[schema(value_type = Option<BTreeMap<String, ScalarSchema>>)]
    context: Option<Context<'b>>,
    /// Our own options.
    #[schema(value_type = Option<Options<'static>>)]
    pointsman: Option<Options<'b>>,
    /// Wishes about targets, where there are any.
    #[schema(value_type = Option<Provider>)]
    provider: Option<Provider>,
    /// Names the line of a batch; the answer's line has the same.
    #[schema(value_type = Option<Value>)]
    id: Option<Value>,
    /// Names the session; it is given back.
    #[schema(value_type = Option<String>, max_length = 256)]
    session_id: Option<Cow<'b, str>>,
    /// Names the session too, where nothing else does; it is not given back.
    #[schema(value_type = Option<String>)]
    prompt_cache_key: Option<Cow<'b, str>>,
    /// What the operator's rules are told, where they ask for it.
    #[schema(ignore)]
    metadata: Option<Strings<'b>>,
}

/// A message of a conversation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the form of a message for the OpenAPI document; `pointsman::Conversation` reads it")]
pub(crate) struct Message {
    role: RoleSchema,
    /// A string, null, or a list of parts, of which `text` parts are read and image parts are counted.
    content: Option<ContentSchema>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Role)]
#[expect(dead_code, reason = "the roles for the OpenAPI document")]
enum RoleSchema {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = Content)]
#[expect(dead_code, reason = "the form of a content for the OpenAPI document")]
enum ContentSchema {
    Text(String),
    Parts(Vec<Value>),
}

#[derive(ToSchema)]
#[schema(as = ResponseFormat)]
#[expect(dead_code, reason = "the form of `response_format` for the OpenAPI document; `Format` reads it")]
struct ResponseFormatSchema {
    r#type: FormatSchema,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseFormatType)]
#[expect(dead_code, reason = "the names of forms for the OpenAPI document")]
enum FormatSchema {
    Text,
    JsonObject,
    JsonSchema,
}

impl<'b> Query<'b> {
    /// Reads a body.
    pub(crate) fn parse(bytes: &'b [u8], max_messages: usize) -> Result<Self, Error> {
        Self::read(bytes, max_messages, false)
    }

    /// Reads a body and its `metadata`, which otherwise is passed over.
    pub(crate) fn parse_with_metadata(bytes: &'b [u8], max_messages: usize) -> Result<Self, Error> {
        Self::read(bytes, max_messages, true)
    }

    fn read(bytes: &'b [u8], max_messages: usize, has_metadata: bool) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 { offset: error.valid_up_to() })?;
        let at = Cell::new(None);
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = Fields { at: &at, has_metadata }.deserialize(&mut deserializer).and_then(|query| {
            deserializer.end()?;
            Ok(query)
        });
        let query = read.map_err(|source| explain(text, at.get(), source))?;
        query.validate(max_messages)?;
        Ok(query)
    }

    fn validate(&self, max_messages: usize) -> Result<(), Error> {
        const EXPECTED: &str = "`messages`, or `prompt` in its place";
        match (&self.prompt, &self.messages) {
            (None, None) => return Err(Error::invalid("messages", EXPECTED, "neither")),
            (Some(_), Some(_)) => return Err(Error::invalid("prompt", EXPECTED, "both")),
            (None, Some(chat)) if chat.len() > max_messages => {
                return Err(Error::invalid("messages", format!("at most {max_messages} messages"), "more"));
            }
            _ => {}
        }
        if self.models.as_ref().is_some_and(|models| models.len() > MOST_MODELS) {
            return Err(Error::invalid("models", format!("at most {MOST_MODELS} names"), "more"));
        }
        if self.session_id.as_ref().is_some_and(|id| id.chars().count() > 256) {
            return Err(Error::invalid("session_id", "at most 256 characters", "more"));
        }
        if let Some(provider) = &self.provider {
            provider.validate()?;
        }
        let Some(options) = &self.pointsman else { return Ok(()) };
        options.validate()
    }

    /// Whether it has a `prompt` in the place of `messages`.
    pub(crate) fn is_prompt(&self) -> bool {
        self.prompt.is_some()
    }

    /// What is to answer, as the request names it.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The caller's own order of models; empty without one.
    pub(crate) fn models(&self) -> &[Text<'b>] {
        self.models.as_deref().unwrap_or_default()
    }

    /// The objective of our own options.
    pub(crate) fn objective(&self) -> Option<&Objective> {
        self.pointsman.as_ref()?.objective.as_ref().map(|named| &named.0)
    }

    /// Patterns of the models that may be chosen, and of those that may not.
    pub(crate) fn pool(&self) -> (&[String], &[String]) {
        fn list(patterns: Option<&Vec<String>>) -> &[String] {
            patterns.map_or(&[], Vec::as_slice)
        }
        let options = self.pointsman.as_ref();
        (list(options.and_then(|options| options.allow.as_ref())), list(options.and_then(|o| o.deny.as_ref())))
    }

    /// The name of this line in its batch.
    pub(crate) fn id(&self) -> Option<&Value> {
        self.id.as_ref()
    }

    /// The session, as the body names it.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    /// What the request calls its part of a target's cache, which names its session too.
    pub(crate) fn prompt_cache_key(&self) -> Option<&str> {
        self.prompt_cache_key.as_deref()
    }

    /// The metadata, where it was read.
    pub(crate) fn metadata(&self) -> &[(Cow<'b, str>, Cow<'b, str>)] {
        self.metadata.as_ref().map_or(&[], |metadata| &metadata.0)
    }

    /// The caller's own name of the prompt.
    pub(crate) fn prompt_id(&self) -> Option<&str> {
        self.pointsman.as_ref()?.prompt_id.as_deref()
    }

    /// What is wanted of targets.
    pub(crate) fn wish(&self) -> Wish {
        let mut wish = Wish { needs: self.limits().needs, output_tokens: self.max_output_tokens(), ..Wish::default() };
        if let Some(provider) = &self.provider {
            provider.apply(&mut wish);
        }
        wish
    }

    /// The turns of the conversation, oldest first.
    pub(crate) fn turns(&self) -> Vec<Turn<'_>> {
        match (&self.messages, &self.prompt) {
            (Some(chat), _) => chat.turns(),
            (None, prompt) => vec![Turn::user(prompt.as_deref().unwrap_or_default())],
        }
    }

    /// The context by name.
    pub(crate) fn context(&self) -> Vec<(&str, ContextValue<'_>)> {
        let ours = self.pointsman.as_ref().and_then(|options| options.context.as_ref());
        let given = ours.or(self.context.as_ref()).into_iter().flatten();
        given.filter_map(|(name, value)| Some((name.as_ref(), value.value()?))).collect()
    }

    /// The request to be routed; `turns` and `context` are those of [`Self::turns`] and [`Self::context`].
    pub(crate) fn request<'q>(&self, turns: &'q [Turn<'q>], context: &'q [(&'q str, ContextValue<'q>)]) -> Request<'q> {
        Request {
            turns,
            tools: self.tools(),
            images: self.images(),
            response_format: self.response_format.map_or(ResponseFormat::Text, |format| format.0),
            max_output_tokens: self.max_output_tokens(),
            context,
        }
    }

    /// Limit on the answer's length, in tokens.
    fn max_output_tokens(&self) -> Option<u32> {
        self.max_completion_tokens.or(self.max_tokens).map(|count| count.0)
    }

    /// What the decision must keep within, and what the model must be able to do.
    pub(crate) fn limits(&self) -> Limits {
        let needs = Capabilities {
            tools: self.tools() > 0,
            vision: self.images() > 0,
            json: self.response_format.is_some_and(|format| format.0 == ResponseFormat::Json),
        };
        let options = self.pointsman.as_ref();
        Limits {
            max_cost_usd: options.and_then(|options| options.max_cost_usd),
            min_quality: options.and_then(|options| options.min_quality),
            max_latency_ms: options.and_then(|options| options.max_latency_ms),
            needs,
        }
    }

    /// Tools that the model may call.
    pub(crate) fn tools(&self) -> usize {
        [self.tools, self.functions].into_iter().flatten().map(|tools| tools.0).sum()
    }

    /// Images of all messages.
    pub(crate) fn images(&self) -> usize {
        self.messages.as_ref().map_or(0, Conversation::images)
    }
}

/// The name that a line of a batch gives itself, where the line is JSON at all.
pub(crate) fn id_of(line: &[u8]) -> Value {
    let value: Option<Value> = serde_json::from_slice(line).ok();
    value.and_then(|mut value| value.get_mut("id").map(Value::take)).unwrap_or_default()
}

/// A field and the form it should have.
type At = Option<(&'static str, &'static str)>;

/// Reads the fields, and leaves in `at` which one it was reading.
struct Fields<'c> {
    at: &'c Cell<At>,
    has_metadata: bool,
}

impl Fields<'_> {
    /// The value of a field; null counts as absent.
    fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        name: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, A::Error> {
        self.at.set(Some((name, expected)));
        let value = map.next_value::<Option<T>>()?;
        self.at.set(None);
        Ok(value)
    }

    fn text<'de, A: MapAccess<'de>>(&self, map: &mut A, name: &'static str) -> Result<Option<Cow<'de, str>>, A::Error> {
        Ok(self.value::<Text<'de>, A>(map, name, "a string")?.map(|text| text.0))
    }
}

const TOKENS: &str = "an integer from 1 to 4294967295";
const FORMAT: &str = "an object whose `type` is text, json_object or json_schema";
const METADATA: &str = "an object of strings";
const CONTEXT: &str = "an object of strings, numbers and booleans";

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Query<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Query<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Query<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Query<'de>, A::Error> {
        let mut query = Query::default();
        while let Some(Text(name)) = map.next_key()? {
            let map = &mut map;
            match name.as_ref() {
                "model" => query.model = self.text(map, "model")?,
                "prompt" => query.prompt = self.text(map, "prompt")?,
                "session_id" => query.session_id = self.text(map, "session_id")?,
                "prompt_cache_key" => query.prompt_cache_key = self.text(map, "prompt_cache_key")?,
                "messages" => query.messages = self.value(map, "messages", "an array of messages")?,
                "tools" => query.tools = self.value(map, "tools", "an array")?,
                "functions" => query.functions = self.value(map, "functions", "an array")?,
                "response_format" => query.response_format = self.value(map, "response_format", FORMAT)?,
                "max_tokens" => query.max_tokens = self.value(map, "max_tokens", TOKENS)?,
                "max_completion_tokens" => {
                    query.max_completion_tokens = self.value(map, "max_completion_tokens", TOKENS)?;
                }
                "context" => query.context = self.value(map, "context", CONTEXT)?,
                "pointsman" => {
                    query.pointsman =
                        self.value::<Object<_>, A>(map, "pointsman", "an object")?.map(|options| options.0);
                }
                "id" => query.id = self.value(map, "id", "any value")?,
                "metadata" if self.has_metadata => query.metadata = self.value(map, "metadata", METADATA)?,
                "models" => query.models = self.value(map, "models", "an array of names")?,
                "provider" => {
                    query.provider = self.value::<Object<_>, A>(map, "provider", "an object")?.map(|wishes| wishes.0);
                }
                _ => {
                    map.next_value::<PassedOver>()?;
                }
            }
        }
        Ok(query)
    }
}

/// The form of the answer that a request demands.
#[derive(Clone, Copy, Debug)]
struct Format(ResponseFormat);

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Format;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORMAT)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Format, A::Error> {
                let mut format = None;
                while let Some(Text(name)) = map.next_key()? {
                    if name != "type" {
                        map.next_value::<PassedOver>()?;
                        continue;
                    }
                    format = match map.next_value::<Text<'_>>()?.0.as_ref() {
                        "text" => Some(ResponseFormat::Text),
                        "json_object" | "json_schema" => Some(ResponseFormat::Json),
                        _ => None,
                    };
                }
                format.map(Format).ok_or_else(|| serde::de::Error::custom("no such form"))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// What is wrong with a body that could not be read. Nothing here is on the way of a good request.
fn explain(text: &str, at: At, source: serde_json::Error) -> Error {
    if source.classify() != Category::Data {
        return Error::InvalidJson { line: source.line(), column: source.column(), source };
    }
    let Some((param, expected)) = at else {
        return Error::invalid("body", "an object", "another JSON value");
    };
    if text.len() > LONGEST_EXPLAINED {
        return Error::invalid(param, expected, "another value");
    }
    let body: Value = match serde_json::from_str(text) {
        Ok(body) => body,
        Err(source) => return Error::InvalidJson { line: source.line(), column: source.column(), source },
    };
    match param {
        "messages" => match Conversation::from_value(&body[param]) {
            Err(error) => Error::BadMessages(error),
            Ok(_) => Error::invalid(param, expected, "another value"),
        },
        "pointsman" => Options::explain(&body[param]),
        "provider" => Provider::explain(&body[param]),
        "metadata" if body[param].is_object() => Error::invalid(param, expected, "an object of other values"),
        _ => Error::invalid(param, expected, kind(&body[param])),
    }
}
