//! Evaluation logs: what models answered to prompts, how well, and for how much money.
//!
//! ```
//! use pointsman_evals::{ReadOptions, Split, matrix, read};
//!
//! let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/demo/log.parquet");
//! let log = read(&[demo.into()], &ReadOptions::default(), &mut |_| ())?;
//! let (models, mut dropped) = matrix::pool(&log, 0.9);
//! let test = matrix::matrix(&log, Split::Test, &models, &mut dropped);
//! assert_eq!(test.quality.len(), test.prompts.len() * test.models.len());
//! # Ok::<(), pointsman_evals::Error>(())
//! ```
//!
//! A log is a table with one row per prompt and model, or one row per prompt and one column per model, in Parquet, CSV,
//! TSV or JSONL, the text forms also as gzip or zstd; `data/README.md` lists the columns. [`read`] judges every row, keeps each distinct prompt once, and returns an [`EvalLog`].
//!
//! # Invariants
//!
//! - Neither the order of rows or files nor the form of the files reaches a result: the same data give the same
//!   `data_sha256` and `split_sha256`. (CSV has no types: there a `context.*` value that reads as a JSON number or
//!   flag is one.)
//! - Splits are made here and nowhere else. A group never straddles two; nor does a text, unless the `split` column
//!   or its groups say so, and then it is counted, see [`split`].
//! - A missing cell is missing, never zero; a cost that is not known is not a number, never zero.
//! - A row that cannot be used is counted by reason and shown, see [`Reading::rejected`]; a scale that cannot be
//!   right, or a log with nothing usable, is an [`Error`], and [`Error::hint`] gives the remedy.
//! - Memory grows with distinct prompts and accepted rows, not with the length of the files.
//!
//! # Rules
//!
//! - *Prompt id*: `prompt_id`, else the first 16 hexadecimal digits of the SHA-256 of the normalised text
//!   ([`text::normalise`]); with a context or a group, of the text followed by them. Texts that normalise to the
//!   same are one prompt, shown as the least of them. One `prompt_id` with texts that do not, or with two values of one
//!   `context.*` column, loses all its rows: none of them can be trusted.
//! - *What rows say of a prompt*: the least `task`, `dataset` and `group`, the largest `weight`, the earliest
//!   `timestamp`. Two `split`s of one prompt, or of one group, are an error.
//! - *Repeated runs* of one cell are pooled: number, mean, unbiased variance.
//! - *Cost*, in this order: `cost_usd`; tokens × price; characters ÷ 4 × price (`output_chars` for the answer, the
//!   prompt's characters for the input, all turns of `messages`); where nothing is known of the answer's length,
//!   an assumed number of output tokens × price. Of a cell's runs, those with the best known cost make the mean.
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`log`] | the log in memory |
//! | [`matrix`] | the dense view that comparisons use |
//! | [`split`] | split names, and the rule that makes them |
//! | [`prices`] | the form of price lists |
//! | [`text`] | normalisation |
//! | [`mod@import`] | other tools' logs become this table |
//! | [`mod@write`] | writing the table |
//! | [`synthetic`] | a seeded generator of logs for demonstrations and tests |
//!
//! Inside: `paths` finds the files, `form` tells what they hold, `input` unpacks text, `survey` looks at the first rows,
//! and `wide` makes long rows of wide ones. The forms (`parquet`, `delimited`, `jsonl`) make `row::RawRow`s of what they find and push them into a
//! `read::Sink`; `row` is the only place that judges values; `builder` interns prompts and collects rows;
//! `assemble` settles, with `resolve` for splits, `cost` for costs and `digest` for the hashes.

#![forbid(unsafe_code)]
#![cfg_attr(test, expect(clippy::float_cmp, reason = "tests compare numbers that are exact"))]

mod assemble;
mod builder;
mod columns;
mod cost;
mod delimited;
mod digest;
mod error;
mod form;
pub mod import;
mod input;
mod jsonl;
pub mod log;
pub mod matrix;
mod messages;
mod nearest;
mod options;
mod parquet;
mod paths;
pub mod prices;
mod prompts;
mod quiet;
mod read;
mod request;
mod resolve;
mod row;
pub mod split;
mod survey;
pub mod synthetic;
#[cfg(test)]
mod tests;
pub mod text;
mod wide;
mod wildcard;
pub mod write;

pub use columns::Column;
pub use error::Error;
pub use log::{Content, ContextValue, CostSource, EvalLog, Outcome, Price, Prompt, Reading, Rejected};
pub use options::{Progress, ReadOptions, parse_score_range};
pub use paths::resolve_paths;
pub use prompts::{PromptReading, PromptRow, prompts};
pub use read::read;
pub use split::Split;
