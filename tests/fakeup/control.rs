//! Scripts and records from outside: on a fake's own listener, and on a panel for several.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::fake::{Fake, Shared};
use super::plan::whole;
use super::script::Script;

/// Where the endpoints are.
pub(super) const PREFIX: &str = "/_fakeup/";

/// What is said to a request, and the script to take into use afterwards.
pub(super) struct Answer {
    pub(super) reply: Vec<u8>,
    pub(super) script: Option<Script>,
}

/// Answers a request about a fake.
pub(super) fn answer(shared: &Shared, method: &str, path: &str, body: &[u8]) -> Answer {
    let json = |value: String| whole(200, "application/json", "", &value);
    let (reply, script) = match (method, path.strip_prefix(PREFIX).unwrap_or(path)) {
        ("GET", "record") => (json(shared.record.as_json().to_string()), None),
        ("DELETE", "record") => {
            shared.record.forget();
            (json("{}".into()), None)
        }
        ("GET", "stats") => (json(serde_json::to_string(&shared.record.stats()).unwrap_or_default()), None),
        ("GET", "script") => (json(serde_json::to_string(&*shared.current().0).unwrap_or_default()), None),
        ("PUT", "script") => match serde_json::from_slice(body) {
            Ok(script) => (json("{}".into()), Some(script)),
            Err(error) => (whole(400, "text/plain", "", &format!("script: {error}\n")), None),
        },
        _ => (whole(404, "text/plain", "", "GET record, stats, script; PUT script; DELETE record\n"), None),
    };
    Answer { reply, script }
}

/// One address for the scripts and records of several fakes: `/_fakeup/NAME/script` and so on. It answers for fakes that
/// refuse connections, too.
#[derive(Debug)]
pub struct Panel {
    address: SocketAddr,
}

impl Panel {
    /// Starts one.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn listen(fakes: Vec<Fake>, address: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let fakes = fakes.clone();
                    tokio::spawn(async move { converse(stream, &fakes).await });
                }
            }
        });
        Ok(Self { address })
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn converse(stream: tokio::net::TcpStream, fakes: &[Fake]) {
    let mut connection = super::connection::Connection::new(stream);
    while let Some(request) = connection.receive().await {
        let (method, path) = request.line();
        let named = path.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
        let fake = named.and_then(|(name, _)| fakes.iter().find(|fake| fake.name() == name));
        let reply = match (fake, named) {
            (Some(fake), Some((_, rest))) => {
                let answer = answer(fake.shared(), method, &format!("{PREFIX}{rest}"), &request.body);
                if let Some(script) = answer.script {
                    fake.set(script).await;
                }
                answer.reply
            }
            _ => whole(404, "text/plain", "", "no fake of this name\n"),
        };
        if connection.write(&reply).await.is_err() {
            return;
        }
    }
}
