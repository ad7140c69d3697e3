//! Targets, a client and a gateway on a simulated network.
//!
//! Hosts have names, a link between two of them can be cut, held back and mended, and time passes when everybody waits: a minute
//! of faults takes a second. What is drawn hangs on a seed, so that what went wrong once goes wrong again.

pub mod client;
pub mod target;
