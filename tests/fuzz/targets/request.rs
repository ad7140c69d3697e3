//! Any bytes as the body of a request to a running service: a decision or an answer of the 400 kind, on a connection
//! that lives on.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;

use pointsman_server::{Server, Settings};

const ROUTER: &[u8] = include_bytes!("../../formats/fixtures/router-v2.safetensors");

/// The first byte chooses the endpoint.
const PATHS: [&str; 2] = ["/v1/route", "/v1/route/batch"];

/// Sends `data` as a body.
pub(crate) fn run(data: &[u8]) {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    let address = *ADDRESS.get_or_init(start);
    let Some((path, body)) = data.split_first() else { return };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    let mut stream = TcpStream::connect(address).expect("the service accepts");
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the service reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the service answers");
    let status = answer.get(9..12).unwrap_or_default();
    let fine = status == b"200" || status.first() == Some(&b'4');
    assert!(fine, "{}", String::from_utf8_lossy(&answer));
    assert!(!answer.windows(14).any(|window| window == b"internal_error"), "{}", String::from_utf8_lossy(&answer));
}

/// Starts a service that runs as long as the process.
fn start() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("router.safetensors");
        std::fs::write(&path, ROUTER).expect("the temporary folder is writable");
        let settings = Settings { listen: "127.0.0.1:0".into(), admin_listen: None, ..Settings::new(path) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let server = Server::open(move || Ok(settings.clone())).expect("a valid router");
            let listening = server.bind().await.expect("a free port");
            tell.send(listening.address()).expect("the other thread waits");
            listening.serve(std::future::pending()).await;
        });
    });
    told.recv().expect("the service starts")
}
