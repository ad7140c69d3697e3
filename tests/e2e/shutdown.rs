//! How a gateway begins and ends: signals, what is under way then, what is on file afterwards, and how much memory it takes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use pointsman_ledger::Archive;
use pointsman_tests::fakeup::{Fake, Script, Span};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::gateway::Gateway;
use crate::workbench::Workbench;

/// Tokens of a stream.
const CHUNKS: usize = 12;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A folder with a router, and with a configuration for the model that `fake` answers for.
fn configured(fake: &Fake, more: &str) -> (Workbench, String) {
    let bench = Workbench::with_router();
    let shown = bench.run(&["show", "router.safetensors", "--json"]).done().json();
    let model = shown["models"][0].as_str().expect("a name").to_owned();
    bench.write(
        "gateway.toml",
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n{more}\n[router]\npath = \"router.safetensors\"\n\
             [[targets]]\nname = \"only\"\nmodel = \"{model}\"\nbase_url = \"{}\"\n",
            fake.base_url()
        ),
    );
    (bench, model)
}

fn body(model: &str, streams: bool) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "a word"}], "stream": streams}).to_string()
}

/// Reads up to and with the first content of a stream.
fn begun(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    while !said.windows(6).any(|window| window == b"word:0") {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).expect("the stream goes on");
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&piece[..read]);
    }
    said
}

fn gone(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// Every decision on file with what came of it.
fn ledger(bench: &Workbench) -> BTreeMap<String, Option<String>> {
    let mut rows = BTreeMap::new();
    let archive = Archive::open(&bench.path("pointsman.db")).expect("a ledger");
    let read = archive.each::<pointsman_ledger::Error>(|row| {
        rows.insert(row.decision.id, row.outcome.map(|outcome| outcome.outcome));
        Ok(())
    });
    read.expect("it can be read");
    rows
}

fn decision_id(reply: &str) -> String {
    let head = "x-pointsman-decision-id: ";
    let line = reply.lines().find_map(|line| line.strip_prefix(head));
    line.unwrap_or_else(|| panic!("{reply}")).to_owned()
}

#[test]
fn what_is_under_way_at_the_signal_is_finished_and_everything_is_on_file() {
    let runtime = runtime();
    // Three seconds, which is time enough to look.
    let script = Script { chunks: CHUNKS, gap_ms: Span::Fixed(250), ..Script::default() };
    let fake = runtime.block_on(Fake::start("only", script)).expect("a free port");
    let (bench, model) = configured(&fake, "");
    let gateway = Gateway::start(&bench);
    let (address, admin) = (gateway.address, gateway.admin.expect("an admin plane"));
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(decision_id(&Gateway::ask(address, "POST", "/v1/chat/completions", &body(&model, false))));
        asked.push(decision_id(&Gateway::ask(address, "POST", "/v1/route", &body(&model, false))));
    }
    assert!(Gateway::ask(admin, "GET", "/ready", "").starts_with("HTTP/1.1 200"));
    let mut stream = Gateway::send(address, "POST", "/v1/chat/completions", &body(&model, true));
    let mut said = begun(&mut stream);
    gateway.signal("TERM");
    // While the stream goes on: not ready, and nobody is let in.
    let since = Instant::now();
    while !Gateway::ask(admin, "GET", "/ready", "").starts_with("HTTP/1.1 503") || !gone(address) {
        assert!(since.elapsed() < Duration::from_secs(2), "still ready, or still open to others");
    }
    stream.read_to_end(&mut said).expect("the stream goes on to its end");
    let said = String::from_utf8(said).expect("text");
    for at in 0..CHUNKS {
        assert_eq!(said.matches(&format!("word:{at} ")).count(), 1, "{said}");
    }
    assert!(said.contains("data: [DONE]\n\n"), "{said}");
    asked.push(decision_id(&said));
    let (status, _) = gateway.ended();
    assert_eq!(status.code(), Some(0));
    let rows = ledger(&bench);
    assert_eq!(rows.len(), asked.len(), "a row for every request, and no other");
    for (at, id) in asked.iter().enumerate() {
        let is_route = at < 10 && at % 2 == 1;
        assert_eq!(rows[id].as_deref(), (!is_route).then_some("answered"), "request {at}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_what_was_decided_is_on_file() {
    let runtime = runtime();
    let script = Script { chunks: 1_000, gap_ms: Span::Fixed(100), ..Script::default() };
    let fake = runtime.block_on(Fake::start("only", script)).expect("a free port");
    let (bench, model) = configured(&fake, "");
    let gateway = Gateway::start(&bench);
    let address = gateway.address;
    let decided = decision_id(&Gateway::ask(address, "POST", "/v1/route", &body(&model, false)));
    let mut stream = Gateway::send(address, "POST", "/v1/chat/completions", &body(&model, true));
    let mut said = begun(&mut stream);
    gateway.signal("TERM");
    while !gone(address) {
        std::thread::sleep(Duration::from_millis(2));
    }
    gateway.signal("TERM");
    let (_, took) = gateway.ended();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let _ = stream.read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("[DONE]"), "a stream that was cut says nothing of an end");
    let rows = ledger(&bench);
    assert!(rows.contains_key(&decided) && rows.contains_key(&decision_id(&said)), "{rows:?}");
}

#[test]
fn an_artifact_that_is_none_is_an_input_that_cannot_be_used() {
    let bench = Workbench::with_router();
    let router = std::fs::read(bench.path("router.safetensors")).expect("the fixture");
    let mut flipped = router.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for (name, bytes) in [("cut", &router[..router.len() / 2]), ("flipped", &flipped), ("empty", b"")] {
        bench.write("bad.safetensors", bytes);
        let run =
            bench.run(&["serve", "--router", "bad.safetensors", "--listen", "127.0.0.1:0", "--admin-listen", "off"]);
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{name}");
        assert!(run.stderr.contains("bad.safetensors"), "{name}: {}", run.stderr);
    }
    let bench = Workbench::with_router();
    bench.write("gateway.toml", "[router]\npath = \"router.safetensors\"\n[sever]\n");
    let run = bench.run(&["serve", "--config", "gateway.toml"]);
    assert_eq!(run.status, Some(2));
    assert!(run.stderr.contains("line 3: unknown section `sever`; did you mean `server`?"), "{}", run.stderr);
}

#[test]
fn the_environment_says_what_flags_do_not() {
    let bench = Workbench::with_router();
    bench.write("gateway.toml", "[server]\nlisten = \"127.0.0.1:1\"\nadmin_listen = \"127.0.0.1:1\"\n");
    let environment = [
        ("POINTSMAN_CONFIG", "gateway.toml"),
        ("POINTSMAN_ROUTER", "router.safetensors"),
        ("POINTSMAN_LISTEN", "127.0.0.1:0"),
        ("POINTSMAN_ADMIN_LISTEN", "127.0.0.1:2"),
        ("POINTSMAN_OBJECTIVE", ""),
        ("POINTSMAN_LOG", ""),
    ];
    let gateway = Gateway::start_with(&bench, &["serve", "--admin-listen", "off"], &environment);
    assert_eq!(gateway.admin, None, "flags go first");
    let decision: Value = gateway.post("/v1/route", &json!({"prompt": "hello"}));
    assert!(decision["model"].is_string());
    let run = bench
        .shell(&format!("POINTSMAN_LOG=loud {} serve --router router.safetensors", env!("CARGO_BIN_EXE_pointsman")));
    assert_eq!(run.status, Some(2));
    assert!(run.stderr.contains("POINTSMAN_LOG: expected human or json, got `loud`"), "{}", run.stderr);
}

#[test]
fn bodies_that_are_slow_to_come_take_no_more_memory_than_is_allowed() {
    /// Of all bodies together.
    const ALLOWED: usize = 24 << 20;
    let runtime = runtime();
    let fake = runtime.block_on(Fake::start("only", Script::default())).expect("a free port");
    let (bench, model) = configured(&fake, &format!("max_buffered_bytes = {ALLOWED}\nread_timeout_ms = 20000"));
    let gateway = Gateway::start(&bench);
    assert!(Gateway::ask(gateway.address, "POST", "/v1/chat/completions", &body(&model, false)).contains(" 200 "));
    let before = gateway.memory();
    let piece = vec![b'x'; 2 << 20];
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut stream = TcpStream::connect(gateway.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time above 0");
        write!(stream, "POST /v1/route HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9000000\r\n\r\n")
            .expect("it reads");
        // Who is refused may be so before all of it is sent.
        let _ = stream.write_all(&piece);
        clients.push(stream);
    }
    let most = (0..50).map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        gateway.memory()
    });
    let grown = most.max().unwrap_or_default().saturating_sub(before);
    // What grows in vectors that double, and what each connection reads into.
    assert!(grown < 3 * ALLOWED, "{} MiB more than before", grown >> 20);
    let mut refused = 0;
    for mut stream in clients {
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a time above 0");
        let mut reply = [0; 512];
        let read = stream.read(&mut reply).unwrap_or_default();
        refused += usize::from(String::from_utf8_lossy(&reply[..read]).starts_with("HTTP/1.1 503"));
    }
    assert!(refused >= 30, "{refused} were told to come back");
    // They have left, and took with them what they held.
    let again = Gateway::ask(gateway.address, "POST", "/v1/chat/completions", &body(&model, false));
    assert!(again.contains(" 200 "), "{again}");
}
