//! The server over real sockets on the loopback.

mod admins;
mod artifact;
mod balance;
mod batches;
mod client;
mod collector;
mod configuration;
mod documents;
mod endpoints;
mod fake;
mod gateway;
mod measures;
mod options;
mod overload;
mod policies;
mod protocols;
mod refusals;
mod reloads;
mod sessions;
mod shutdown;
mod state;
mod tenants;
mod texts;
mod traces;
mod versions;
mod wishes;
