//! The forms of requests and replies: what JSON and headers mean, and nothing of what is done with them.

pub(crate) mod answer;
pub(crate) mod as_chat;
pub(crate) mod forward;
pub(crate) mod headers;
pub(crate) mod json;
pub(crate) mod metadata;
pub(crate) mod models;
pub(crate) mod options;
pub(crate) mod protocol;
pub(crate) mod provider;
pub(crate) mod query;
pub(crate) mod refusal;
mod strings;
pub(crate) mod usage;
