//! Routing decisions over HTTP: ask which model should answer, and forward the request yourself.
//!
//! ```no_run
//! # async fn example() -> Result<(), pointsman_server::Error> {
//! use pointsman_server::{Server, Settings};
//!
//! let router = pointsman::Router::load("router.safetensors")?;
//! let listening = Server::new(&router, Settings::default())?.bind().await?;
//! println!("listening on {}", listening.address());
//! listening.serve(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! | endpoint | answers |
//! |---|---|
//! | `POST /v1/route` | a decision for an OpenAI chat body, or for `{"prompt": …}` |
//! | `GET /v1/models` | what `model` may be, in the form of OpenAI's list |
//! | `GET /health`, `GET /ready` | 200 while the process lives; while it takes requests |
//!
//! # Invariants
//!
//! - A request is answered from one snapshot of router and policies, from the first byte to the last.
//! - Everything a client can send has a limit in size and time, and every refusal a stable code.
//! - Nothing is logged; no text of a request appears in an error beyond the names it gave to roles and models.
//!
//! # Map
//!
//! | module | does |
//! |---|---|
//! | `settings` | what an operator may set, and its validation |
//! | `server` | sockets, connections, shutdown |
//! | `endpoints` | paths to answers |
//! | `body` | reads a body within its limits |
//! | `query` | JSON body to what is routed |
//! | `snapshot` | a router bound to every objective a client may name |
//! | `answer` | query and snapshot to the JSON of a decision and its headers |
//! | `ids` | identifiers of decisions and requests |
//! | `error` | everything that can go wrong, and what the client is told |
#![forbid(unsafe_code)]

mod answer;
mod body;
mod endpoints;
mod error;
mod ids;
mod query;
mod server;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use server::{Listening, Server};
pub use settings::Settings;
