//! Any bytes as a target's stream of events, in pieces of any size: what reaches the client is the beginning of it, whole
//! events alone, and where it does not end well, one event that says so.

use std::sync::OnceLock;

use crate::upstream::{Reply, Service};

/// The first byte chooses the protocol, the second the size of the pieces.
const PROTOCOLS: [(&str, &str); 3] = [
    ("/v1/chat/completions", r#""messages":[{"role":"user","content":"x"}]"#),
    ("/v1/responses", r#""input":"x""#),
    ("/v1/messages", r#""messages":[{"role":"user","content":"x"}]"#),
];

/// Streams what follows the first two bytes of `data`.
pub(crate) fn run(data: &[u8]) {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    let service = SERVICE.get_or_init(Service::start);
    let [protocol, piece, body @ ..] = data else { return };
    let (path, fields) = PROTOCOLS[usize::from(*protocol) % PROTOCOLS.len()];
    let reply = Reply { status: 200, form: "text/event-stream", body: body.to_vec(), piece: usize::from(*piece) + 1 };
    *service.reply.lock().expect("no panic") = reply;
    // One target, asked once: what fails is not tried again.
    let request = format!(r#"{{"model":"auto","stream":true,"provider":{{"allow_fallbacks":false}},{fields}}}"#);
    let (head, answer) = service.ask(path, request.as_bytes());
    if !head.starts_with("HTTP/1.0 200") {
        assert!(head.starts_with("HTTP/1.0 502"), "{head}");
        return;
    }
    let text = String::from_utf8_lossy(&answer);
    let said = if answer.is_empty() || body.starts_with(&answer) {
        &answer[..]
    } else {
        let mark = if path == "/v1/chat/completions" { "data: " } else { "event: error\ndata: " };
        let error = text.rfind(mark).unwrap_or_else(|| panic!("neither the stream nor an error: {text}"));
        assert!(text[error..].contains("upstream_cut"), "{text}");
        // Bytes that are no text are as long as what stands for them is not; so the length is taken from the end.
        &answer[..answer.len() - (text.len() - error)]
    };
    assert!(body.starts_with(said), "something was lost, doubled or reordered: {text}");
    let ends_with_an_event =
        [&b"\n\n"[..], b"\r\r", b"\r\r\n", b"\n\r\n", b"\n\r"].iter().any(|end| said.ends_with(end));
    assert!(said.is_empty() || ends_with_an_event, "half an event: {text}");
}
