//! Listening, accepting, and the way out.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::guard::{Guarded, LONGEST_HEAD};
use super::patient::Patient;
use super::sockets::{TcpListener, TcpStream};
use crate::clock;
use crate::error::Error;
use crate::live::Live;
use crate::settings::Settings;
use crate::source::Source;
use crate::upstream::watch::watch;
use crate::{data, ops};

/// Pause after the system refused a connection for want of resources, so that the refusals do not eat the rest.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server whose settings are valid and whose router is loaded, not yet on the network.
#[derive(Debug)]
pub struct Server {
    live: Arc<Live>,
    settings: Settings,
}

impl Server {
    /// Asks `source` for the settings, validates them, loads the router and binds it to every objective that a
    /// request may name. Every reload asks `source` again, from a thread that may block.
    ///
    /// # Errors
    /// Those of `source`; [`Error::BadSetting`] for a limit outside its domain, [`Error::Router`] for an artifact that
    /// cannot be used or an objective that it cannot serve, [`Error::OpenAdmin`] for an admin plane that other machines
    /// reach without a key.
    pub fn open(source: impl Into<Source>) -> Result<Self, Error> {
        let (live, settings) = Live::open(source)?;
        Ok(Self { live: Arc::new(live), settings })
    }

    /// Opens the listening sockets; from here on clients can connect, and wait for [`Listening::serve`].
    ///
    /// # Errors
    /// [`Error::Listen`] where an address is malformed, taken or forbidden; [`Error::OpenAdmin`] as in [`Self::open`].
    pub async fn bind(self) -> Result<Listening, Error> {
        let data = Plane::bind(
            &self.settings.listen,
            Guarded::new(data::endpoints(Arc::clone(&self.live)), Arc::clone(&self.live)),
        );
        let data = data.await?;
        let admin = match &self.settings.admin_listen {
            None => None,
            Some(address) => {
                let guarded = Guarded::new(ops::endpoints(Arc::clone(&self.live)), Arc::clone(&self.live));
                let plane = Plane::bind(address, guarded).await?;
                // A name may stand for another address than it did when the settings were read.
                self.live.current().admins.may_listen(&plane.address.to_string())?;
                Some(plane)
            }
        };
        Ok(Listening { data, admin, live: self.live })
    }
}

/// A socket and who answers there.
struct Plane {
    listener: TcpListener,
    address: SocketAddr,
    service: Guarded,
}

impl std::fmt::Debug for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plane").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Plane {
    async fn bind(address: &str, service: Guarded) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, service })
    }

    /// Takes connections until `shutdown` completes; gives those that are still open, told to finish.
    async fn accept(self, read_timeout: Duration, shutdown: impl Future<Output = ()>) -> JoinSet<()> {
        let Self { listener, service, .. } = self;
        let (draining, drain) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let service = service.clone().with_peer(Some(peer.ip()));
                        connections.spawn(connection(stream, service, read_timeout, drain.clone()));
                    }
                    Err(error) if is_of_the_peer(error.kind()) => {}
                    Err(error) => {
                        tracing::warn!(cause = error.to_string(), "a connection cannot be accepted");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // First of all nobody else comes in; then those who are there are told.
        drop(listener);
        drop(draining);
        connections
    }
}

/// A server on the network.
#[derive(Debug)]
pub struct Listening {
    data: Plane,
    admin: Option<Plane>,
    live: Arc<Live>,
}

/// Reloads a server while it serves.
#[derive(Clone, Debug)]
pub struct Reloader(Arc<Live>);

impl Reloader {
    /// Reads settings and artifact again and takes router and objective into use as one; addresses and limits wait for
    /// the next start. How it ended is logged, counted, and told by the admin plane.
    ///
    /// # Errors
    /// Whatever would have ended a start; what ran before keeps running.
    pub async fn reload(&self) -> Result<(), Error> {
        self.0.reload().await.map(drop)
    }

    /// Makes every decision panic from now on.
    #[cfg(test)]
    pub(crate) fn sabotage(&self) {
        self.0.sabotaged.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Listening {
    /// The address of the data plane, with the port that was really taken.
    pub fn address(&self) -> SocketAddr {
        self.data.address
    }

    /// The address of the admin plane, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// What reloads this server while it serves.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.live))
    }

    /// Answers requests until `shutdown` completes. From then on `/ready` says 503, the data plane takes no new
    /// connection and finishes the requests in flight; what is still open after the drain timeout is cut. The admin
    /// plane answers until the end of that; what is left of the time is for the last traces. Gives the number of connections of
    /// the data plane cut.
    ///
    /// Dropping the future cuts everything at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> usize {
        let Self { data, admin, live } = self;
        let limits = live.limits;
        tracing::info!(
            listen = data.address.to_string(),
            admin_listen = admin.as_ref().map_or_else(|| "off".to_owned(), |admin| admin.address.to_string()),
            router_version = live.current().snapshot.version(),
            "serving"
        );
        if let Some(admin) = admin.as_ref().filter(|admin| !admin.address.ip().is_loopback()) {
            tracing::warn!(
                admin_listen = admin.address.to_string(),
                "the admin plane is open to other machines; its keys travel as they are unless TLS ends in front of it"
            );
        }
        if admin.is_none() {
            tracing::warn!("the admin plane is off: there are no metrics, and only a signal reloads");
        }
        let (ended, end) = watch::channel(());
        let administered = async {
            let Some(admin) = admin else { return };
            let mut end = end;
            let open = admin.accept(limits.read_timeout, async move { drop(end.changed().await) }).await;
            drop(open);
        };
        let served = async {
            let shutdown = async {
                shutdown.await;
                live.drain();
                tracing::info!(deadline_s = limits.drain_timeout.as_secs_f64(), "shutting down");
            };
            let mut connections = data.accept(limits.read_timeout, shutdown).await;
            // An error here is the deadline; what has finished by then has left the set.
            let all = async { while connections.join_next().await.is_some() {} };
            let until = clock::now() + limits.drain_timeout;
            let _ = time::timeout_at(until.into(), all).await;
            let cut = connections.len();
            connections.shutdown().await;
            if let Some(traces) = &live.traces {
                traces.flush(until).await;
            }
            drop(ended);
            cut
        };
        let watched = tokio::spawn(watch(Arc::clone(&live)));
        let (cut, ()) = tokio::join!(served, administered);
        watched.abort();
        tracing::info!(cut, "shut down");
        cut
    }
}

/// Serves one connection; `drain` closes when the server shuts down.
async fn connection(stream: TcpStream, service: Guarded, read_timeout: Duration, mut drain: watch::Receiver<()>) {
    // A delayed reply is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(read_timeout)
            // Twice what is allowed, so that what is too long can be told so in our own words.
            .max_header_size(2 * LONGEST_HEAD)
            .serve_connection(TokioIo::new(Patient::new(stream, read_timeout)), service)
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
