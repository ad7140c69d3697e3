//! Routing metrics: numbers in, numbers out.
//!
//! A router's behaviour is a list of *settings* (values of its policy parameter λ) and, for each setting, the
//! cost and quality it realised on every query. A single model, a random draw, an oracle and a learned router
//! all have that form, so all are measured by the same code.
//!
//! ```
//! use pointsman_metrics::{DeferralCurve, Point, hull_vertices};
//!
//! let train = [Point::new(1.0, 0.50), Point::new(2.0, 0.55), Point::new(3.0, 0.80)];
//! let chosen = hull_vertices(&train); // the second lies under the chord
//! let test = [Point::new(1.1, 0.48), Point::new(2.1, 0.57), Point::new(2.9, 0.82)];
//! let points: Vec<Point> = chosen.iter().map(|&s| test[s]).collect();
//! let curve = DeferralCurve::new(test[0], &points)?;
//! assert_eq!(curve.aiq(1.1, 2.9), Some((0.48 + 0.82) / 2.0));
//! # Ok::<(), pointsman_metrics::MetricsError>(())
//! ```
//!
//! # Invariants
//!
//! - Axes are always n queries, k models, s settings; arrays are row-major.
//! - Quality is in `[0, 1]`, cost in USD per query unless a function says otherwise; neither is ever NaN.
//! - No clock, thread or hidden randomness: what draws numbers takes a seed and gives the same result again.
//! - What is undefined is `None`, never NaN; what is wrong is a [`MetricsError`].
//!
//! # Strict and compat
//!
//! The strict form of a metric is the published formula (or ours, where said) with every edge case defined. The
//! functions in [`compat`] reproduce the number of a public implementation, quirks included.
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`behaviour`] | settings × queries: what a router cost and achieved |
//! | [`deferral`] | hull on train, curve on test, AIQ, QNC, area, gap closed |
//! | [`pgr`] | APGR and CPT of a strong and a weak model |
//! | [`classification`] | AUC, Brier, ECE and its noise floor |
//! | [`calibration`] | the reliability diagram |
//! | [`bootstrap`] | paired, seeded resampling and percentile intervals |
//! | [`mean_interval`] | Wilson's interval of a mean score |
//! | [`off_policy`] | what a router would have earned on logged traffic: IPS, SNIPS, doubly robust |
//! | [`power`] | the smallest difference that a number of queries can show |
//! | [`compat`] | numbers as `RouterBench`, `RouteLLM`, `RouterArena`, CARROT, `LLMRouterBench`, `RouterEval` and `EmbedLLM` compute them |

#![forbid(unsafe_code)]

pub mod behaviour;
pub mod bootstrap;
pub mod calibration;
pub mod classification;
pub mod compat;
pub mod deferral;
mod error;
pub mod mean_interval;
pub mod off_policy;
pub mod pgr;
pub mod power;

pub use behaviour::Behaviour;
pub use bootstrap::{Interval, Resampler};
pub use deferral::{DeferralCurve, Point, gap_closed, hull_vertices};
pub use error::MetricsError;
pub use pgr::{DeferralOrder, PgrCurve};
