//! The server over real sockets on the loopback.

mod artifact;
mod client;
mod endpoints;
mod refusals;
mod shutdown;
mod texts;
