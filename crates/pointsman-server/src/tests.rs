//! The server over real sockets on the loopback.

mod artifact;
mod batches;
mod client;
mod documents;
mod endpoints;
mod fake;
mod gateway;
mod measures;
mod options;
mod overload;
mod policies;
mod refusals;
mod reloads;
mod shutdown;
mod state;
mod tenants;
mod texts;
mod wishes;
