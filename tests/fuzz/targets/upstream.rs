//! A service with one target behind it, for what is carried out: the target answers with the same bytes every time, cut
//! into pieces of one size.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use pointsman_server::{Server, Settings, TargetSettings};

const ROUTER: &[u8] = include_bytes!("../../formats/fixtures/router-v2.safetensors");

/// What a target answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) form: &'static str,
    pub(crate) body: Vec<u8>,
    /// Bytes of a piece, at least 1.
    pub(crate) piece: usize,
}

/// A service and what its target answers from now on. Both run as long as the process.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) reply: Arc<Mutex<Reply>>,
}

impl Service {
    pub(crate) fn start() -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base_url = format!("http://{}/v1", upstream.local_addr().expect("bound"));
        let reply: Arc<Mutex<Reply>> = Arc::default();
        let answers = Arc::clone(&reply);
        std::thread::spawn(move || {
            for stream in upstream.incoming().flatten() {
                let reply = answers.lock().expect("no panic").clone();
                // A service that goes away has its reasons.
                let _ = answer(stream, &reply);
            }
        });
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = folder.path().join("router.safetensors");
            std::fs::write(&path, ROUTER).expect("the temporary folder is writable");
            let model = pointsman::Router::load(&path).expect("a valid router").models()[0].clone();
            let target = TargetSettings {
                endpoints: ["chat", "responses", "messages", "embeddings"].map(str::to_owned).into(),
                ..TargetSettings::new("only", model, base_url)
            };
            let settings = Settings {
                listen: "127.0.0.1:0".into(),
                admin_listen: None,
                targets: vec![target],
                ..Settings::new(path)
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let server = Server::open(move || Ok(settings.clone())).expect("a valid router");
                let listening = server.bind().await.expect("a free port");
                tell.send(listening.address()).expect("the other thread waits");
                listening.serve(std::future::pending()).await;
            });
        });
        Self { address: told.recv().expect("the service starts"), reply }
    }

    /// The whole answer to a request: head and body, chunks put together.
    pub(crate) fn ask(&self, path: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).expect("the service accepts");
        // Of the version before chunks, so that the body ends with the connection.
        let head = format!("POST {path} HTTP/1.0\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the service reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the service answers");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).expect("an ASCII head");
        (head, answer.split_off(end + 4))
    }
}

fn answer(mut stream: TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece)?;
        request.extend_from_slice(&piece[..read]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if read == 0 || request.len() >= end + 4 + length.unwrap_or_default() {
            break;
        }
    }
    let Reply { status, form, body, piece } = reply;
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {form}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    for piece in body.chunks((*piece).max(1)) {
        bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    stream.write_all(&bytes)
}
