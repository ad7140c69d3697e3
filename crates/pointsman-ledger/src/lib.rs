//! What a gateway decided, what came of it, and what people thought of it: one `SQLite` file.
//!
//! ```text
//! requests ─► bounded queue ─► one thread, one connection ─► SQLite (WAL)
//!                                   ▲
//! questions and feedback ───────────┘ answered behind everything that was recorded before
//! ```
//! Recording never waits and never fails a request: the queue takes it, or it is counted as lost. What the queue has is
//! written every [`WINDOW`], many rows a transaction; a process that is killed loses at most that window. Feedback is different:
//! it is acknowledged once it is on file.
//!
//! # Invariants
//!
//! - Texts are stored only where the caller gives them. Without them a prompt is known by [`PromptKey::id`], a hash under a key that
//!   never leaves the file.
//! - One tenant's rows are not found under another's name.
//!
//! # Map
//!
//! | module | does |
//! |---|---|
//! | `record` | the rows: decisions, outcomes, feedback |
//! | `schema` | the tables, and what opens a file |
//! | `writer` | the thread that owns the connection |
//! | `read` | rows back out, for people and for export |
//! | `key` | prompts by keyed hash |
#![forbid(unsafe_code)]

mod error;
mod key;
mod read;
mod record;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use error::Error;
pub use key::PromptKey;
pub use read::{Archive, Exported, Judgement, Timing, Told, by_model, spent};
pub use record::{Decision, EMBEDDINGS, Feedback, Outcome};
pub use rusqlite::Connection;
pub use schema::Place;
pub use writer::{Ledger, Reply, Settings, WINDOW};
