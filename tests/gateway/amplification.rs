//! Retries do not make a bad time worse.

use pointsman_tests::fakeup::{Fake, Script};

use super::client::{ask, asking};
use super::place::{Gateway, MODEL, runtime, target};

const REQUESTS: usize = 320;

/// Clients at a time.
const CLIENTS: usize = 32;

/// Retries that a gateway has saved up when it starts.
const ALLOWANCE: usize = 10;

#[test]
fn an_upstream_that_always_fails_is_asked_a_fifth_more_often_than_its_clients_ask() {
    runtime().block_on(async {
        let fake = Fake::start("only", Script::failing(500)).await.expect("a free port");
        let gateway = Gateway::start(vec![target(&fake)]).await;
        let address = gateway.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                tokio::task::spawn_blocking(move || {
                    (0..REQUESTS / CLIENTS)
                        .filter(|_| ask(address, "", &asking(MODEL, "nonce", client % 2 == 0)).status == 502)
                        .count()
                })
            })
            .collect();
        let mut failed = 0;
        for client in clients {
            failed += client.await.expect("no panic");
        }
        let asked = fake.requests().len();
        println!("amplification: {REQUESTS} requests, {asked} upstream");
        assert_eq!(failed, REQUESTS);
        assert!((REQUESTS..=REQUESTS + REQUESTS / 5 + ALLOWANCE).contains(&asked), "{asked} calls");
    });
}
