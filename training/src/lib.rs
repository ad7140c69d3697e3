//! The offline pipeline: an evaluation log becomes a router artifact.
//!
//! ```no_run
//! use pointsman_evals::{ReadOptions, read};
//! use pointsman_training::{RecipeSettings, fit};
//!
//! let log = read(&["log.parquet".into()], &ReadOptions::default(), &mut |_| ())?;
//! let recipe = RecipeSettings::default().validate()?;
//! let trained = fit(&log, &recipe, 150.0, &|_| ())?;
//! std::fs::write("router.safetensors", &trained.bytes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! - Only the train split is looked at; test labels never reach a fit.
//! - Features, predictions and decisions are computed by the online crate, never by a copy of it.
//! - Same log, recipe, seed and threads: same bytes.
//!
//! # Map
//!
//! `dataset` (features; `cells`: outcomes by prompt) → `clusters` (pseudo-tasks) → `crossfit` over `lexical`, `posterior`,
//! `novelty`, `table`, `forest`, `costs` (with `minimise`, `loss`, `linear`) →
//! `rehearsal` (decision rule, curve; `cost_error`) → `fit` (artifact, after a `search` for settings if the recipe wants one) →
//! `summary` (plain words).
//!
//! Afterwards, without training: `extend` (another pool, with `mixture`) and `calibrate` (targets in words to λ), both with
//! `forecast` (what a finished router would do).
#![forbid(unsafe_code)]

mod calibrate;
mod cells;
mod clusters;
mod cost_error;
mod costs;
mod crossfit;
mod dataset;
mod error;
mod extend;
mod fit;
mod forecast;
mod forest;
mod lexical;
mod linear;
mod loss;
mod minimise;
mod mixture;
mod novelty;
mod posterior;
mod recipe;
mod rehearsal;
mod search;
mod summary;
mod table;

pub use calibrate::{Amount, Calibration, Reached, Single, Source, Target, calibrate, with_default};
pub use error::Error;
pub use extend::{Added, Changes, Extended, Extension, FEWEST_LABELS, Likeness, TaskCalls, extend};
pub use fit::{Progress, Trained, fit};
pub use recipe::{Effort, Profile, Recipe, RecipeSettings};
pub use search::Tried;
pub use summary::{BestSingle, Figures, Range, Strength, Summary};
