//! The gateway over real sockets, between clients that share no code with it and upstreams that fail in every way.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the matrix is printed for whoever asks with --nocapture")]

mod amplification;
mod chain;
mod client;
mod credentials;
mod faults;
mod leaving;
mod matrix;
mod outcomes;
mod place;
mod reservations;
mod waits;
