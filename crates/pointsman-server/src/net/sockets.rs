//! Sockets to listen on: the system's, or those of a simulated network.

#[cfg(not(simulation))]
pub(crate) use tokio::net::{TcpListener, TcpStream};
#[cfg(simulation)]
pub(crate) use turmoil::net::{TcpListener, TcpStream};
