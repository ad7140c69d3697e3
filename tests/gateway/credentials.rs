//! What reaches an upstream: its own key, and nobody else's.

use pointsman_server::{Settings, TenantSettings};
use pointsman_tests::fakeup::{Fake, Script};

use super::client::{ask, asking};
use super::place::{Gateway, MODEL, runtime, target};

/// Every way to send a credential that a client may have.
const CREDENTIALS: &str = "authorization: Bearer pm-client-secret\r\nproxy-authorization: Basic client-secret\r\n\
    x-api-key: client-secret\r\napi-key: client-secret\r\ncookie: session=client-secret\r\n\
    x-goog-api-key: client-secret\r\nx-forwarded-authorization: client-secret\r\nopenai-organization: client-secret\r\n";

#[test]
fn no_credential_of_a_client_reaches_an_upstream() {
    runtime().block_on(async {
        let tenant = TenantSettings::new("acme", vec![pointsman::artifact::identity(b"pm-client-secret")]);
        for tenants in [vec![], vec![tenant]] {
            let bad = Fake::start("bad", Script::failing(503)).await.expect("a free port");
            let good = Fake::start("good", Script::default()).await.expect("a free port");
            let targets = vec![target(&bad), target(&good)];
            let gateway = Gateway::with(Settings { targets, tenants, ..Settings::new("") }).await;
            for streams in [false, true] {
                let (address, mut body) = (gateway.address, asking(MODEL, "nonce", streams));
                body["provider"] = serde_json::json!({"order": ["bad"]});
                let reply = tokio::task::spawn_blocking(move || ask(address, CREDENTIALS, &body)).await;
                assert_eq!(reply.expect("an answer").status, 200);
            }
            for fake in [&bad, &good] {
                let seen = fake.requests();
                assert_eq!(seen.len(), 2, "{}", fake.name());
                for request in seen {
                    assert!(!request.head.contains("client-secret"), "{}", request.head);
                    assert!(!String::from_utf8_lossy(&request.body).contains("client-secret"));
                    let own = format!("Bearer key-of-{}", fake.name());
                    assert_eq!(request.header("authorization"), Some(own.as_str()));
                }
            }
        }
    });
}
