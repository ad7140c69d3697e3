//! Targets and collectors behind TLS, with certificates of an authority that only this machine could know.
//!
//! `tls/` was made by `openssl`, for a hundred years: two authorities (`req -x509 -newkey ec -pkeyopt
//! ec_paramgen_curve:P-256 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign`), and a
//! certificate of the first for `IP:127.0.0.1,DNS:localhost` (`x509 -req` with `extendedKeyUsage=serverAuth` and
//! `basicConstraints=CA:FALSE`). Nobody trusts them, so nothing depends on the key.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::artifact::Latencies;
use super::client::{Reply, Running, loopback};
use super::collector::Collector;
use super::fake::{Fake, completion, delta};
use crate::TraceProtocol::{Grpc, Http};
use crate::tests::fake::Act;
use crate::{Config, Settings, TargetSettings, TraceSettings};

/// Who vouches for the certificate.
pub(crate) const AUTHORITY: &str = include_str!("tls/authority.pem");

/// Who does not.
const ANOTHER: &str = include_str!("tls/another.pem");

/// An address behind TLS that leads to this one.
pub(super) fn before(plain: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("the usual versions").with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate], key).expect("they belong together");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut inside = acceptor.accept(stream).await?;
                    let mut outside = tokio::net::TcpStream::connect(plain).await?;
                    tokio::io::copy_bidirectional(&mut inside, &mut outside).await
                });
            }
        });
    });
    address
}

/// A target behind TLS, which trusts whom these certificates say.
fn target(fake: &Fake, ca_pem: Option<&str>) -> TargetSettings {
    let base_url = format!("https://{}/v1", before(fake.address));
    TargetSettings { base_url, ca_pem: ca_pem.map(str::to_owned), ..fake.target("a", "small") }
}

fn serving(target: TargetSettings) -> Running {
    Running::with(Latencies::Known, Settings { targets: vec![target], ..loopback() })
}

fn chat(server: &Running, stream: bool) -> Reply {
    let body = json!({"model": "small", "messages": [{"role": "user", "content": "Hello"}], "stream": stream});
    server.send("POST /v1/chat/completions HTTP/1.1", body.to_string().as_bytes())
}

/// The causes of the attempts of a request that failed.
fn causes(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.error(), (502, "upstream_failed".into(), None));
    let attempts = reply.json()["error"]["metadata"]["attempts"].clone();
    attempts.as_array().expect("attempts").iter().map(|attempt| attempt["cause"].clone()).collect()
}

#[test]
fn a_target_of_an_own_authority_is_reached() {
    let fake = Fake::new([completion("Hi"), Act::Stream(vec![delta("Hi")])]);
    // More authorities than one, and words between them.
    let server = serving(target(&fake, Some(&format!("another\n{ANOTHER}\nours\n{AUTHORITY}"))));
    let reply = chat(&server, false);
    assert_eq!((reply.status, reply.header("x-pointsman-target")), (200, Some("a")));
    let reply = chat(&server, true);
    assert_eq!(reply.status, 200);
    assert!(String::from_utf8_lossy(&reply.body).contains("[DONE]"));
    assert_eq!(fake.requests().len(), 2);
    assert!(fake.requests()[0].head.contains("authorization: bearer key-of-a"), "{}", fake.requests()[0].head);
}

#[test]
fn nobody_else_is_trusted_with_a_key() {
    for ca_pem in [None, Some(ANOTHER)] {
        let fake = Fake::new([completion("Hi")]);
        let server = serving(target(&fake, ca_pem));
        assert!(causes(&chat(&server, false)).iter().all(|cause| *cause == "connect"));
        assert!(fake.requests().is_empty());
    }
}

#[test]
fn a_new_file_of_authorities_is_used_after_a_reload() {
    let fake = Fake::new([completion("Hi")]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ANOTHER).expect("written");
    let text = format!(
        "[router]\npath = \"router.safetensors\"\n[[targets]]\nname = \"a\"\nmodel = \"small\"\nbase_url = \"https://{}\"\nca_file = {:?}\n",
        before(fake.address),
        file
    );
    let server = Running::configured(&text);
    assert!(causes(&chat(&server, false)).contains(&json!("connect")));
    std::fs::write(&file, "no certificate").expect("written");
    let refused = server.administer("POST", "/admin/v1/reload");
    assert_eq!(refused.status, 409);
    let expected = "target `a`: ca_file expected certificates in PEM, got `others, or none`";
    assert_eq!(refused.json()["error"], expected);
    std::fs::write(&file, AUTHORITY).expect("written");
    assert_eq!(server.administer("POST", "/admin/v1/reload").status, 200);
    assert_eq!(chat(&server, false).status, 200);
}

#[test]
fn files_of_authorities_are_beside_the_configuration_and_have_to_be_some() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("pointsman.yaml");
    let settings = |target: &str, traces: &str| {
        let text = format!(
            "router: {{path: r}}\ntargets:\n- {{name: a, model: small, base_url: 'https://a.example', ca_file: {target}}}\n\
             traces: {{endpoint: 'https://b.example', ca_file: {traces}}}\n"
        );
        std::fs::write(&path, text).expect("written");
        Config::read(&path).and_then(Config::into_settings)
    };
    std::fs::write(folder.path().join("ca.pem"), AUTHORITY).expect("written");
    std::fs::write(folder.path().join("long.pem"), "x".repeat((1 << 20) + 1)).expect("written");
    let good = settings("ca.pem", "ca.pem").expect("both are there");
    assert_eq!(good.targets[0].ca_pem.as_deref(), Some(AUTHORITY));
    assert_eq!(good.traces.expect("given").ca_pem.as_deref(), Some(AUTHORITY));
    for bad in ["nowhere.pem", "long.pem", "."] {
        let target = settings(bad, "ca.pem").expect_err("refused").to_string();
        assert!(target.starts_with("target `a`: ca_file expected a file of certificates in PEM"), "{target}");
        let traces = settings("ca.pem", bad).expect_err("refused").to_string();
        assert!(traces.starts_with("settings: `traces.ca_file` expected a file of certificates in PEM"), "{traces}");
    }
}

#[test]
fn authorities_are_for_https_alone() {
    let fake = Fake::new([completion("Hi")]);
    let settings = Settings {
        targets: vec![TargetSettings { ca_pem: Some(AUTHORITY.into()), ..fake.target("a", "small") }],
        ..loopback()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = Settings { router: folder.path().join("router.safetensors"), ..settings };
    std::fs::write(&settings.router, super::artifact::bytes(Latencies::Known)).expect("written");
    let error = crate::Server::open(move || Ok(settings.clone())).expect_err("refused").to_string();
    assert!(error.starts_with("target `a`: ca_file expected https:// in base_url, got `http://127.0.0.1"), "{error}");
}

#[test]
fn traces_go_to_a_collector_of_an_own_authority_and_to_no_other() {
    for (protocol, collector) in [(Http, Collector::http()), (Grpc, Collector::grpc())] {
        let tracing = |ca_pem: &str| {
            let endpoint = collector.secure_endpoint();
            let traces = TraceSettings {
                protocol: Some(protocol),
                ca_pem: Some(ca_pem.to_owned()),
                ..TraceSettings::new(endpoint)
            };
            let server = Running::with(Latencies::Known, Settings { traces: Some(traces), ..loopback() });
            assert_eq!(server.route(r#"{"prompt": "hello"}"#).status, 200);
            server
        };
        let server = tracing(ANOTHER);
        let begun = Instant::now();
        while server.samples("pointsman_spans_lost_total") != ["pointsman_spans_lost_total 1"] {
            assert!(begun.elapsed() < Duration::from_secs(30), "{protocol:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        server.stop().join().expect("no panic");
        assert!(collector.sent().is_empty(), "{protocol:?}");

        tracing(AUTHORITY).stop().join().expect("no panic");
        let names: Vec<String> = collector.spans().into_iter().map(|span| span.name).collect();
        assert_eq!(names, ["POST /v1/route"], "{protocol:?}");
    }
}
