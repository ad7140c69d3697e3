//! Sockets and bytes: listening, connections, bodies, and the guard around every request.

pub(crate) mod body;
pub(crate) mod guard;
pub(crate) mod ids;
pub(crate) mod lines;
mod patient;
pub(crate) mod server;
pub(crate) mod sockets;
pub(crate) mod stream;
