//! One listener: it takes connections, or refuses them, and lets its script be changed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::connection;
use super::record::{REMEMBERED, Record, Seen, Stats};
use super::script::Script;

/// Connections that wait to be taken.
const BACKLOG: u32 = 1_024;

/// A fake; clones are the same one. It lives as long as its runtime.
#[derive(Clone, Debug)]
pub struct Fake(Arc<Shared>);

/// What the tasks of a fake share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    address: SocketAddr,
    /// The script, and the number of the first request under it.
    script: Mutex<(Arc<Script>, u64)>,
    pub(super) record: Record,
    refuses: watch::Sender<bool>,
    /// Its deaths: each ends the connections taken before it, however soon it is alive again.
    deaths: watch::Sender<()>,
    /// Whether somebody listens, once a change has come through.
    is_open: watch::Sender<bool>,
}

impl Fake {
    /// Starts one on a free port of the loopback, which remembers [`REMEMBERED`] requests.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn start(name: impl Into<String>, script: Script) -> std::io::Result<Self> {
        Self::listen(name, script, "127.0.0.1:0", REMEMBERED).await
    }

    /// Starts one at an address, which remembers so many requests.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn listen(
        name: impl Into<String>,
        script: Script,
        address: &str,
        remembered: usize,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let refuses = script.refuses;
        let shared = Arc::new(Shared {
            name: name.into(),
            address: listener.local_addr()?,
            script: Mutex::new((Arc::new(script), 0)),
            record: Record::new(remembered),
            refuses: watch::Sender::new(refuses),
            deaths: watch::Sender::new(()),
            is_open: watch::Sender::new(true),
        });
        tokio::spawn(take(Arc::clone(&shared), listener));
        let fake = Self(shared);
        fake.settled().await;
        Ok(fake)
    }

    /// Its name, which stands in its answers as `system_fingerprint`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its address as the base of an `OpenAI`-compatible service.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.0.address)
    }

    /// The script of the moment.
    pub fn script(&self) -> Script {
        Script::clone(&self.0.current().0)
    }

    /// Gives it another script, and waits until it is in force. Answers that have begun go on as they were planned.
    pub async fn set(&self, script: Script) {
        self.0.set(script);
        self.settled().await;
    }

    /// Closes its listener and connections, as the end of a process would.
    pub async fn kill(&self) {
        self.set(Script { refuses: true, ..self.script() }).await;
    }

    /// Listens again.
    pub async fn revive(&self) {
        self.set(Script { refuses: false, ..self.script() }).await;
    }

    /// What reached it, oldest first, as far as it remembers.
    pub fn requests(&self) -> Vec<Seen> {
        self.0.record.all()
    }

    /// Forgets what reached it; counts stay.
    pub fn forget(&self) {
        self.0.record.forget();
    }

    /// Counts since its start.
    pub fn stats(&self) -> Stats {
        self.0.record.stats()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    async fn settled(&self) {
        let refuses = self.0.current().0.refuses;
        // The sender is in `self`, so waiting ends.
        let _ = self.0.is_open.subscribe().wait_for(|is_open| *is_open != refuses).await;
    }
}

impl Shared {
    /// The script, and the number of the first request under it.
    pub(super) fn current(&self) -> (Arc<Script>, u64) {
        // Nothing is left half changed by a panic.
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, script: Script) {
        let refuses = script.refuses;
        let first = self.record.stats().requests;
        *self.script.lock().unwrap_or_else(PoisonError::into_inner) = (Arc::new(script), first);
        self.refuses.send_replace(refuses);
    }
}

/// Takes connections, but for the times in which it refuses them.
async fn take(shared: Arc<Shared>, mut listener: TcpListener) {
    let mut refuses = shared.refuses.subscribe();
    loop {
        if *refuses.borrow_and_update() {
            drop(listener);
            shared.deaths.send_replace(());
            // The port stays ours: a socket that is bound and does not listen refuses.
            let mut held = hold(shared.address).await;
            shared.is_open.send_replace(false);
            if refuses.wait_for(|refuses| !refuses).await.is_err() {
                return;
            }
            listener = loop {
                match held.listen(BACKLOG) {
                    Ok(again) => break again,
                    Err(_) => held = hold(shared.address).await,
                }
            };
            shared.is_open.send_replace(true);
        }
        tokio::select! {
            _ = refuses.changed() => {}
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                shared.record.connected();
                tokio::spawn(serve(Arc::clone(&shared), stream, shared.deaths.subscribe()));
            }
        }
    }
}

/// Serves a connection until one side has enough, or the next death of those that `deaths` has not seen.
async fn serve(shared: Arc<Shared>, stream: TcpStream, mut deaths: watch::Receiver<()>) {
    tokio::select! {
        () = connection::serve(&shared, stream) => {}
        _ = deaths.changed() => {}
    }
}

async fn hold(address: SocketAddr) -> TcpSocket {
    loop {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        if let Ok(socket) = socket
            && socket.set_reuseaddr(true).and_then(|()| socket.bind(address)).is_ok()
        {
            return socket;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const REQUEST: &str = "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\ncontent-length: 46\r\n\r\n\
                           {\"messages\":[{\"role\":\"user\",\"content\":\"a b\"}]}";

    fn ask(address: SocketAddr) -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.write_all(REQUEST.as_bytes())?;
        let mut answer = vec![0; 1_024];
        let read = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    #[test]
    fn a_fake_that_is_killed_comes_back_at_the_same_port() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let fake = runtime.block_on(Fake::start("a", Script { chunks: 2, ..Script::default() })).expect("a free port");
        let open = std::net::TcpStream::connect(fake.address()).expect("it listens");
        assert!(ask(fake.address()).expect("an answer").contains("b:0 b:1 "));
        for _ in 0..3 {
            runtime.block_on(fake.kill());
            let error = ask(fake.address()).expect_err("nobody listens");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            runtime.block_on(fake.revive());
            assert!(ask(fake.address()).expect("an answer").contains("b:0 b:1 "));
        }
        assert_eq!((&open).read(&mut [0]).unwrap_or_default(), 0, "open connections end with it");
        // An answer is counted once it is sent, and a client may have it a moment before.
        let begun = std::time::Instant::now();
        while fake.stats().sent < 4 && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let stats = fake.stats();
        assert_eq!((stats.connections, stats.requests, stats.sent, stats.left), (5, 4, 4, 0));
        assert_eq!(fake.requests()[3].json()["messages"][0]["content"], "a b");
    }
}
