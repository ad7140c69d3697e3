//! Everything that can go wrong on the way to a decision; nothing can go wrong in a decision itself.

use std::path::PathBuf;

/// What this crate reports; every variant names the thing, the place, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The artifact's file could not be read.
    #[error("artifact `{}`: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's word on it.
        source: std::io::Error,
    },
    /// The bytes are no safetensors file, or a truncated one.
    #[error("artifact `{artifact}`: not a complete safetensors file")]
    NotSafetensors {
        /// The artifact's name.
        artifact: String,
        /// What the format's reader found.
        source: safetensors::SafeTensorError,
    },
    /// A safetensors file without our document: somebody else's weights.
    #[error("artifact `{artifact}`: expected a `{key}` document in the metadata, found none")]
    NoDocument {
        /// The artifact's name.
        artifact: String,
        /// `pointsman` for a router, `pointsman_embedding` for a base embedding.
        key: &'static str,
    },
    /// The document is not of its schema.
    #[error("artifact `{artifact}`: the document does not follow its schema")]
    Document {
        /// The artifact's name.
        artifact: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The artifact was made by a newer version.
    #[error("artifact `{artifact}`: {what} expected at most {expected}, got {got}")]
    Newer {
        /// The artifact's name.
        artifact: String,
        /// `schema version` or `feature version`.
        what: &'static str,
        /// The newest version known here.
        expected: u32,
        /// The artifact's.
        got: u32,
    },
    /// Content and checksum disagree: the file was damaged or edited.
    #[error("artifact `{artifact}`: the checksum of its {part} does not match")]
    Checksum {
        /// The artifact's name.
        artifact: String,
        /// `document`, `tensors` or `content`.
        part: &'static str,
    },
    /// A tensor is missing.
    #[error("artifact `{artifact}`: tensor `{tensor}` is missing")]
    MissingTensor {
        /// The artifact's name.
        artifact: String,
        /// The tensor.
        tensor: &'static str,
    },
    /// A tensor has another type or shape than the document says.
    #[error("artifact `{artifact}`: tensor `{tensor}` expected {expected}, got {got}")]
    TensorShape {
        /// The artifact's name.
        artifact: String,
        /// The tensor.
        tensor: &'static str,
        /// Type and shape that the document implies.
        expected: String,
        /// Type and shape found.
        got: String,
    },
    /// A value is outside its domain.
    #[error("artifact `{artifact}`: `{field}` expected {expected}, got {got}")]
    OutOfDomain {
        /// The artifact's name.
        artifact: String,
        /// Tensor or document field.
        field: String,
        /// The domain.
        expected: &'static str,
        /// The value found.
        got: String,
    },
    /// Messages are not JSON.
    #[error("messages: not JSON")]
    NotJson(#[source] serde_json::Error),
    /// Messages are not an array.
    #[error("messages: expected an array of messages")]
    NotMessages,
    /// Messages are an empty array.
    #[error("messages: expected at least one message, got an empty array")]
    NoMessages,
    /// A message has a role that is not part of the chat API.
    #[error("messages[{position}].role: expected system, user, assistant or tool, got `{role}`")]
    UnknownRole {
        /// Which message, from 0.
        position: usize,
        /// Its role, shortened.
        role: String,
    },
    /// A message's content is neither text nor parts.
    #[error("messages[{position}].content: expected a string or a list of parts")]
    BadContent {
        /// Which message, from 0.
        position: usize,
    },
    /// A policy names a model that the artifact does not know.
    #[error("policy: model `{model}` is not in the artifact, which knows {}", known.join(", "))]
    UnknownModel {
        /// The name asked for.
        model: String,
        /// The artifact's models.
        known: Vec<String>,
    },
    /// Allow and deny lists leave no model.
    #[error("policy: the allow and deny lists leave no model to choose from")]
    EmptyPool,
    /// A number of the policy or the catalogue is outside its domain.
    #[error("policy: `{field}` expected {expected}, got {got}")]
    BadPolicy {
        /// The field.
        field: &'static str,
        /// The domain.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// The objective needs latencies, which the training log did not hold.
    #[error("policy: objective `fast` needs latencies, which this router was trained without")]
    NoLatency,
    /// No setting on the artifact's curve meets the target.
    #[error("policy: no setting reaches {target}; the closest is {closest}")]
    Unreachable {
        /// What was asked for.
        target: String,
        /// The nearest that can be had.
        closest: String,
    },
}

impl Error {
    /// What to do about it, for people; `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotSafetensors { .. } => Some(
                "expected a router made by `pointsman train`; if it is one, it is damaged: copy it again, or train a new one",
            ),
            Self::Checksum { .. } | Self::MissingTensor { .. } => {
                Some("the file is damaged or was not made by pointsman: copy it again, or train a new one")
            }
            Self::NoDocument { key: "pointsman", .. } => Some("give a router made by `pointsman train`"),
            Self::NoDocument { .. } => Some("give a base embedding, as models/base-embedding.safetensors"),
            Self::Newer { .. } => Some("this artifact was made by a newer pointsman: update this one"),
            Self::NoLatency => Some("train on a log with a `latency_ms` column, or choose another objective"),
            Self::NotMessages | Self::NoMessages => Some(r#"the form is [{"role": "user", "content": "…"}]"#),
            _ => None,
        }
    }
}
