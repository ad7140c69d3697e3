//! Logged prompts as the requests that serving would get.

use anyhow::{Context, Result};
use pointsman::{ContextValue, Conversation, Features, Featuriser, Request};
use pointsman_evals::{self as evals, Content, Prompt};
use serde_json::{Value, json};

/// Features of a logged prompt by the path that training, benchmark and batch prediction take.
///
/// # Errors
/// Messages that are no conversation.
pub fn offline(featuriser: &Featuriser, prompt: &Prompt) -> Result<Features> {
    let mut features = Features::default();
    prompt.with_request(|request| featuriser.featurise(request, &mut features))?;
    Ok(features)
}

/// A logged prompt as the body of a request: chat messages and context, written out as JSON text.
///
/// # Errors
/// Messages that are not JSON.
pub fn body(prompt: &Prompt) -> Result<String> {
    let messages = match &prompt.content {
        Content::Text(text) => json!([{ "role": "user", "content": text }]),
        Content::Messages(messages) => serde_json::from_str(messages)?,
    };
    let context: serde_json::Map<String, Value> = prompt
        .context
        .iter()
        .map(|(name, value)| {
            let value = match value {
                evals::ContextValue::Text(text) => json!(text),
                evals::ContextValue::Number(number) => json!(number),
                evals::ContextValue::Bool(flag) => json!(flag),
            };
            (name.clone(), value)
        })
        .collect();
    Ok(json!({ "messages": messages, "context": context }).to_string())
}

/// Features of a request's body, parsed from its text as a server would, into buffers that may have been used before.
///
/// # Errors
/// A body that is not what [`body`] writes.
pub fn online(featuriser: &Featuriser, body: &str, features: &mut Features) -> Result<()> {
    let value: Value = serde_json::from_str(body)?;
    let chat = Conversation::from_value(&value["messages"])?;
    let mut context = Vec::new();
    for (name, value) in value["context"].as_object().context("a context")? {
        let value = match value {
            Value::String(text) => ContextValue::Text(text),
            Value::Bool(flag) => ContextValue::Bool(*flag),
            Value::Number(number) => ContextValue::Number(number.as_f64().context("a number")?),
            _ => anyhow::bail!("`{name}` is no context value"),
        };
        context.push((name.as_str(), value));
    }
    let turns = chat.turns();
    featuriser.featurise(&Request { context: &context, images: chat.images(), ..Request::new(&turns) }, features);
    Ok(())
}
