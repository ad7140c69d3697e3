//! Sockets, connections and shutdown.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use crate::endpoints::{Shared, endpoints};
use crate::error::Error;
use crate::settings::{Limits, Settings};
use crate::snapshot::Snapshot;

/// Longest head of a request: method, path and headers.
const LONGEST_HEAD: usize = 64 << 10;

/// Pause after the system refused a connection for want of resources, so that the refusals do not eat the rest.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server whose settings are valid, not yet on the network.
#[derive(Debug)]
pub struct Server {
    listen: String,
    limits: Limits,
    shared: Arc<Shared>,
}

impl Server {
    /// Validates the settings and binds the router to every objective that a request may name.
    ///
    /// # Errors
    /// [`Error::BadSetting`] for a limit outside its domain, [`Error::NoIdentity`] for a router that was not loaded
    /// from an artifact, [`Error::Router`] for an objective that the router cannot serve.
    pub fn new(router: &pointsman::Router, settings: Settings) -> Result<Self, Error> {
        let limits = Limits::new(&settings)?;
        let snapshot = Snapshot::new(router, settings.objective)?;
        Ok(Self { listen: settings.listen, limits, shared: Arc::new(Shared::new(snapshot, limits)) })
    }

    /// Opens the listening socket; from here on clients can connect, and wait for [`Listening::serve`].
    ///
    /// # Errors
    /// [`Error::Listen`] where the address is malformed, taken or forbidden.
    pub async fn bind(self) -> Result<Listening, Error> {
        let failed = |source| Error::Listen { address: self.listen.clone(), source };
        let listener = TcpListener::bind(&self.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Listening { listener, address, limits: self.limits, shared: self.shared })
    }
}

/// A server on the network.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    shared: Arc<Shared>,
}

impl Listening {
    /// The address bound, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `shutdown` completes; then takes no new connection, finishes the requests in flight,
    /// and cuts what is still open after the drain timeout. Gives the number of connections cut.
    ///
    /// Dropping the future cuts everything at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> usize {
        let Self { listener, limits, shared, .. } = self;
        let service = TowerToHyperService::new(endpoints(shared));
        let (draining, drain) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(connection(stream, service.clone(), limits.read_timeout, drain.clone()));
                    }
                    Err(error) if is_of_the_peer(error.kind()) => {}
                    Err(_) => time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        drop(draining);
        // An error here is the deadline; what has finished by then has left the set.
        let _ = time::timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} }).await;
        let cut = connections.len();
        connections.shutdown().await;
        cut
    }
}

/// Serves one connection; `drain` closes when the server shuts down.
async fn connection(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    read_timeout: Duration,
    mut drain: watch::Receiver<()>,
) {
    // A delayed reply is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(read_timeout)
            .max_header_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Errors of a connection are its peer's: it went away, stalled, or does not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = drain.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Whether accepting failed because of the one who called, not because of us.
fn is_of_the_peer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}
