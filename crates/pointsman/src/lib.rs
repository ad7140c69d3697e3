//! A learned router for language models: which model answers this prompt well enough for the least money.
//!
//! ```no_run
//! use pointsman::{Limits, Policy, Request, Router, Scratch, Turn};
//!
//! let router = Router::load("router.safetensors")?;
//! let bound = router.bind(&router.default_catalog(), &Policy::default())?;
//! let mut scratch = Scratch::default();
//! let turns = [Turn::user("Prove that the square root of 2 is irrational.")];
//! let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
//! println!("{} ({})", decision.model, decision.reason.as_str());
//! # Ok::<(), pointsman::Error>(())
//! ```
//!
//! # Invariants
//!
//! - No thread, clock, socket or random number: the same artifact, request and policy give the same decision, on
//!   every instruction set.
//! - Routing neither allocates after warm-up nor panics, whatever the text.
//! - An artifact is validated as a whole before anything is predicted with it.
//!
//! # Map
//!
//! | module | does |
//! |---|---|
//! | [`request`], [`Conversation`] | what is routed |
//! | [`features`] | text to hashed words and surface signals |
//! | [`embedding`] | what words mean that the log never had |
//! | [`vocabulary`] | which words the router knows |
//! | [`predictor`] | features to predictions for all models |
//! | [`artifact`] | the file that holds a router |
//! | [`catalog`], [`policy`] | prices, abilities, objectives, limits |
//! | [`decision`] | predictions and policy to a choice |
//! | [`router`] | ties the stages together |
#![deny(unsafe_code)]
#![expect(clippy::inline_always, reason = "what is not inlined into `kernels::dispatch` keeps the narrow registers")]

pub mod artifact;
pub mod catalog;
mod conversation;
pub mod decision;
pub mod embedding;
mod error;
pub mod features;
mod forest;
mod kernels;
pub mod math;
pub mod policy;
pub mod predictor;
pub mod request;
pub mod router;
pub mod vocabulary;

pub use catalog::{Capabilities, Catalog, CatalogEntry};
pub use conversation::{Conversation, context_from_json};
pub use decision::{Decision, Ranked, Ranking, Reason};
pub use embedding::Embedding;
pub use error::Error;
pub use features::{Features, Featuriser};
pub use policy::{Limits, Objective, Policy};
pub use predictor::Predictions;
pub use request::{ContextValue, Request, ResponseFormat, Role, Turn};
pub use router::{Bound, Router, Scratch};
