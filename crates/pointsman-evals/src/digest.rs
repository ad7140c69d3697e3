//! Hashes of a log's content: equal for equal data, whatever the file form and the order of rows.
//!
//! Every text is preceded by its length and every number is its little-endian bits, so no two logs share a
//! byte string. List prices and splits are not data: costs enter only where they were observed.

use sha2::{Digest, Sha256};

use crate::log::{Content, ContextValue, CostSource, EvalLog};
use crate::text::hex;

struct Writer(Sha256);

impl Writer {
    fn new(what: &str) -> Self {
        let mut writer = Self(Sha256::new());
        writer.text(what);
        writer
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(&(text.len() as u64).to_le_bytes());
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.bytes(&[0]),
            Some(text) => {
                self.bytes(&[1]);
                self.text(text);
            }
        }
    }

    fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of prompts and outcomes.
pub(crate) fn data(log: &EvalLog) -> String {
    let mut out = Writer::new("pointsman-log-v1");
    for model in &log.models {
        out.text(model);
    }
    let name = |names: &[String], index: Option<u32>| index.map(|index| names[index as usize].clone());
    for prompt in &log.prompts {
        out.text(&prompt.id);
        match &prompt.content {
            Content::Text(text) => {
                out.bytes(b"t");
                out.text(text);
            }
            Content::Messages(json) => {
                out.bytes(b"m");
                out.text(json);
            }
        }
        out.bytes(&(prompt.context.len() as u64).to_le_bytes());
        for (name, value) in &prompt.context {
            out.text(name);
            let value = context_bytes(value);
            out.bytes(&(value.len() as u64).to_le_bytes());
            out.bytes(&value);
        }
        out.optional(prompt.group.as_deref());
        out.optional(name(&log.tasks, prompt.task).as_deref());
        out.optional(name(&log.datasets, prompt.dataset).as_deref());
        out.bytes(&prompt.weight.to_le_bytes());
        out.bytes(&prompt.timestamp_us.unwrap_or(i64::MIN).to_le_bytes());
    }
    let mut row = Vec::with_capacity(64);
    for outcome in &log.outcomes {
        row.clear();
        for number in [outcome.prompt, outcome.model, outcome.runs] {
            row.extend_from_slice(&number.to_le_bytes());
        }
        for number in [
            outcome.score,
            outcome.score_variance,
            outcome.input_tokens,
            outcome.output_tokens,
            outcome.latency_ms,
            outcome.propensity,
        ] {
            // One NaN for all.
            let number = if number.is_nan() { f32::NAN } else { number };
            row.extend_from_slice(&number.to_le_bytes());
        }
        let cost = match outcome.cost_source {
            CostSource::Observed => outcome.cost_usd,
            _ => f64::NAN,
        };
        row.extend_from_slice(&cost.to_le_bytes());
        out.bytes(&row);
    }
    out.finish()
}

/// SHA-256 of every prompt's id and split.
pub(crate) fn splits(log: &EvalLog) -> String {
    let mut out = Writer::new("pointsman-splits-v1");
    for prompt in &log.prompts {
        out.text(&prompt.id);
        out.text(prompt.split.as_str());
    }
    out.finish()
}

/// A context value with its type.
pub(crate) fn context_bytes(value: &ContextValue) -> Vec<u8> {
    match value {
        ContextValue::Text(text) => [b"t", text.as_bytes()].concat(),
        ContextValue::Number(number) => [b"n".as_slice(), &number.to_le_bytes()].concat(),
        ContextValue::Bool(flag) => vec![b'b', u8::from(*flag)],
    }
}
