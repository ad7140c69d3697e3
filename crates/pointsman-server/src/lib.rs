//! Routing decisions over HTTP: ask which model should answer, or have the request forwarded to one that does.
//!
//! ```no_run
//! # async fn example() -> Result<(), pointsman_server::Error> {
//! use pointsman_server::{Server, Settings};
//!
//! let listening = Server::open(|| Ok(Settings::new("router.safetensors")))?.bind().await?;
//! println!("listening on {}", listening.address());
//! listening.serve(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! The README has a tour of the endpoints, the configuration and the limits.
//!
//! # Invariants
//!
//! - A request is answered from one snapshot of router and policies, from the first byte to the last; a reload swaps
//!   the snapshot as a whole, or not at all.
//! - Everything a client can send has a limit in size and time, and every refusal a stable code.
//! - No text of a request is logged or counted; an error repeats the names it gave to models, roles and options,
//!   shortened, and nothing else.
//!
//! # Map
//!
//! A pure core inside a shell of I/O. Requests go down this table and answers come up.
//!
//! | module | does |
//! |---|---|
//! | `net` | sockets, connections, bodies, the guard around every request, shutdown |
//! | `data` | endpoints of the data plane: decisions, batches, requests carried out, the list of models |
//! | `ops` | endpoints of the admin plane: probes, metrics, reload, the `OpenAPI` document |
//! | `wire` | the forms of requests and replies: JSON, headers, the error envelope |
//! | `routing` | the core: snapshot × request → plan |
//! | `targets` | where models can be reached, and how every target fares |
//! | `upstream` | calls to targets: one request, one answer or why there is none |
//! | `state` | decisions, what came of them, and feedback, on file |
//! | `tally` | what the decisions since the start came to |
//! | `traces` | spans of requests and calls, on their way to a collector |
//! | `live` | the snapshot of the moment and its replacement, requests in flight |
//! | [`config`], `settings` | what an operator may set: the file, and its validated form |
//! | `source` | where settings come from, and how the file is replaced |
//! | `admins`, `tenants` | who may use either plane |
//! | `explain` | decisions under a configuration, without a network |
//! | `metrics` | what is counted and timed |
//! | `clock`, `moment` | what time it is; times as texts, hours, days of the week |
//! | `error` | everything that can go wrong |
//!
//! `data::forwarded` is where they meet: a plan of `routing`, the order of `targets`, calls of `upstream`.
#![forbid(unsafe_code)]

mod admins;
mod clock;
pub mod config;
mod data;
mod error;
mod explain;
mod live;
mod metrics;
mod moment;
mod names;
mod nearest;
mod net;
mod ops;
mod regions;
mod routing;
mod settings;
mod source;
mod state;
mod tally;
mod targets;
mod tenants;
#[cfg(test)]
mod tests;
mod traces;
mod upstream;
mod wire;

pub use config::Config;
pub use error::{Attempted, Error, UpstreamOutcome};
pub use explain::Explainer;
pub use net::server::{Listening, Reloader, Server};
pub use regions::{RegionPolicy, RegionSettings};
pub use routing::causes::Cause;
pub use routing::policies::PolicySettings;
pub use routing::sessions::{SessionSettings, Stick};
pub use settings::Settings;
pub use source::{ConfigFile, Source};
pub use state::StateSettings;
pub use targets::settings::{HealthSettings, TargetPrice, TargetSettings, Timeouts};
pub use tenants::{KeySettings, NewKey, TenantSettings};
pub use traces::{TraceProtocol, TraceSettings};
