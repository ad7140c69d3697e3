//! A server under test and a client that shares no code with it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::artifact::{Latencies, bytes};
use crate::{Config, ConfigFile, Reloader, Server, Settings, Source};

/// The artifact's file, in a folder of the server's own.
const ROUTER: &str = "router.safetensors";

/// The configuration's file, beside it, unless a test says otherwise.
const CONFIG: &str = "pointsman.toml";

/// A server in a thread of its own, with a runtime of its own.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) reloader: Reloader,
    folder: TempDir,
    /// The configuration's file, where there is one.
    config: PathBuf,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: JoinHandle<usize>,
}

/// Settings for free ports of the loopback; [`Running::with`] sets the router.
pub(super) fn loopback() -> Settings {
    let any = "127.0.0.1:0".to_owned();
    Settings { listen: any.clone(), admin_listen: Some(any), ..Settings::new("") }
}

impl Running {
    pub(super) fn new() -> Self {
        Self::with(Latencies::Known, loopback())
    }

    pub(super) fn with(latencies: Latencies, settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings { router: folder.path().join(ROUTER), ..settings };
        std::fs::write(&settings.router, bytes(latencies)).expect("the folder is writable");
        Self::open(folder, move || Ok(settings.clone()))
    }

    /// One whose artifact is where its settings say.
    pub(super) fn by(settings: Settings) -> Self {
        Self::open(tempfile::tempdir().expect("a temporary folder"), move || Ok(settings.clone()))
    }

    /// One whose artifact is that at the start.
    pub(super) fn damaged(artifact: &[u8], settings: Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let router = folder.path().join(ROUTER);
        std::fs::write(&router, artifact).expect("the folder is writable");
        let settings = Settings { router, ..settings };
        Self::open(folder, move || Ok(settings.clone()))
    }

    /// A server with a configuration file of this text, on free ports of the loopback and without state.
    pub(super) fn configured(text: &str) -> Self {
        Self::configured_in(CONFIG, text)
    }

    /// The same with a file of this name.
    pub(super) fn configured_in(name: &str, text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(ROUTER), bytes(Latencies::Known)).expect("the folder is writable");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        let settle = |config: Config| {
            let Settings { listen, admin_listen, .. } = loopback();
            let admin_listen = config.server.admin_listen.clone().or(admin_listen);
            Ok(Settings { listen, admin_listen, state: None, ..config.into_settings()? })
        };
        Self { config: path.clone(), ..Self::open(folder, ConfigFile::new(path, settle)) }
    }

    fn open(folder: TempDir, source: impl Into<Source>) -> Self {
        let server = Server::open(source).expect("valid settings");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listening = runtime.block_on(server.bind()).expect("free ports");
        let (address, admin) = (listening.address(), listening.admin_address().expect("an admin plane"));
        let reloader = listening.reloader();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let thread = std::thread::spawn(move || runtime.block_on(listening.serve(shutdown)));
        Self { address, admin, reloader, folder, config: PathBuf::new(), stop: Mutex::new(Some(stop)), thread }
    }

    /// Replaces the artifact's file; the server does not know yet.
    pub(super) fn rewrite(&self, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(ROUTER), bytes).expect("the folder is writable");
    }

    /// Replaces the configuration's file, as an editor would.
    pub(super) fn edit(&self, text: &str) {
        std::fs::write(&self.config, text).expect("the folder is writable");
    }

    /// Removes the configuration's file.
    pub(super) fn remove_config(&self) {
        std::fs::remove_file(&self.config).expect("it is there");
    }

    /// What the configuration's file holds.
    pub(super) fn text(&self) -> String {
        std::fs::read_to_string(&self.config).expect("it is there")
    }

    /// Begins the shutdown.
    pub(super) fn begin_stop(&self) {
        let stop = self.stop.lock().expect("no panic").take().expect("begun once");
        stop.send(()).expect("the server runs");
    }

    /// Waits for the end of the shutdown; gives the number of connections cut.
    pub(super) fn join(self) -> usize {
        self.thread.join().expect("no panic")
    }

    /// Begins the shutdown; the handle gives the number of connections cut.
    pub(super) fn stop(self) -> JoinHandle<usize> {
        self.begin_stop();
        self.thread
    }

    pub(super) fn connect(&self) -> TcpStream {
        Self::connect_to(self.address)
    }

    fn connect_to(address: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout above 0");
        stream
    }

    /// One request on a connection of its own; `head` is the request line and headers but for the length.
    pub(super) fn send(&self, head: &str, body: &[u8]) -> Reply {
        let mut stream = self.connect();
        stream.write_all(&request(head, body)).expect("the server reads");
        Reply::read(&mut stream)
    }

    /// One request to the admin plane.
    pub(super) fn administer(&self, method: &str, path: &str) -> Reply {
        self.tell(&format!("{method} {path} HTTP/1.1"), "")
    }

    /// One request to the admin plane with headers and a body.
    pub(super) fn tell(&self, head: &str, body: &str) -> Reply {
        let mut stream = Self::connect_to(self.admin);
        stream.write_all(&request(head, body.as_bytes())).expect("the server reads");
        Reply::read(&mut stream)
    }

    /// The samples of `/metrics` that begin so, sorted.
    pub(super) fn samples(&self, start: &str) -> Vec<String> {
        let text = String::from_utf8(self.administer("GET", "/metrics").body).expect("text");
        let mut samples: Vec<String> = text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect();
        samples.sort();
        samples
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1"), b"")
    }

    /// A batch; the answers' lines.
    pub(super) fn batch(&self, lines: &str) -> Vec<Value> {
        let reply = self.send("POST /v1/route/batch HTTP/1.1", lines.as_bytes());
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")));
        let text = std::str::from_utf8(&reply.body).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(super) fn route(&self, body: &str) -> Reply {
        self.send("POST /v1/route HTTP/1.1", body.as_bytes())
    }
}

/// The bytes of a request.
pub(super) fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{head}\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A reply, read to the end that its length announces.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn read(stream: &mut TcpStream) -> Self {
        let head = Self::head(stream);
        let mut reply = Self { status: head[9..12].parse().expect("a status"), head, body: Vec::new() };
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = Self::chunk(stream) {
                reply.body.extend(chunk);
            }
            return reply;
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        reply.body.resize(length, 0);
        stream.read_exact(&mut reply.body).expect("a whole body");
        reply
    }

    /// The head of a reply, its body not read.
    pub(super) fn head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        String::from_utf8(head).expect("an ASCII head")
    }

    /// The next chunk of a chunked body; `None` is its good end.
    pub(super) fn chunk(stream: &mut TcpStream) -> Option<Vec<u8>> {
        let mut length = Vec::new();
        let mut byte = [0];
        while !length.ends_with(b"\r\n") {
            stream.read_exact(&mut byte).expect("a chunk's length");
            length.push(byte[0]);
        }
        let length = std::str::from_utf8(&length).expect("a number").trim();
        let length = usize::from_str_radix(length, 16).expect("a number");
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).expect("a whole chunk");
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// Names of all headers, in lower case.
    pub(super) fn names(&self) -> Vec<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
    }

    pub(super) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Status, code and param of an error, having checked the rest of the envelope.
    pub(super) fn error(&self) -> (u16, String, Option<String>) {
        let error = self.json()["error"].clone();
        assert_eq!(error["type"], if self.status < 500 { "invalid_request_error" } else { "server_error" });
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert!(error["metadata"]["error_type"].is_string());
        assert!(self.header("x-request-id").is_some());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        (self.status, text(&error["code"]).expect("a code"), text(&error["param"]))
    }
}
