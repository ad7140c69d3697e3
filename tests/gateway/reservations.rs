//! What is put aside for a request is given back however it ends, and who was answered pays.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pointsman_server::{Settings, TargetPrice, TenantSettings};
use pointsman_tests::fakeup::{Fake, Fault, Script, Usage};

use super::client::{ask, asking, sample, send};
use super::place::{Gateway, MODEL, runtime, target};

const KEY: &str = "authorization: Bearer pm-acme\r\n";

const BUDGET: f64 = 100.0;

/// What an answer costs by the fake's count and the target's price.
const ANSWER: f64 = 3.0 * 1.0 + 2.0 * 2.0;

/// A gateway with a tenant whose only target does this.
async fn start(script: Script) -> (Gateway, Fake) {
    let script = Script { usage: Some(Usage { prompt_tokens: 3, completion_tokens: 2 }), chunks: 2, ..script };
    let fake = Fake::start("only", script).await.expect("a free port");
    let price = TargetPrice { input_usd_per_mtok: 1e6, output_usd_per_mtok: 2e6, cached_input_usd_per_mtok: None };
    let keys = vec![pointsman::artifact::identity(b"pm-acme")];
    let tenant = TenantSettings { budget_usd_per_day: Some(BUDGET), ..TenantSettings::new("acme", keys) };
    let mut only = target(&fake);
    only.price = Some(price);
    let settings = Settings { targets: vec![only], tenants: vec![tenant], ..Settings::new("") };
    (Gateway::with(settings).await, fake)
}

/// What is left, once that has come to rest at what is expected; else what it is after some seconds.
fn left(admin: SocketAddr, expected: f64) -> f64 {
    let begun = Instant::now();
    loop {
        let left = sample(admin, "pointsman_budget_remaining_usd{tenant=\"acme\"}").expect("a tenant with a budget");
        if (left - expected).abs() < 1e-6 || begun.elapsed() > Duration::from_secs(5) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn who_is_not_answered_does_not_pay_and_who_is_does() {
    runtime().block_on(async {
        for (fault, streams, expected) in [
            (Fault::None, false, BUDGET - ANSWER),
            (Fault::None, true, BUDGET - ANSWER),
            (Fault::Reset, false, BUDGET),
            (Fault::Stall, true, BUDGET),
            (Fault::Cut(0), true, BUDGET),
            (Fault::MalformedJson, false, BUDGET),
            (Fault::WrongType, true, BUDGET),
        ] {
            let (gateway, _fake) = start(Script::faulty(fault)).await;
            let (address, admin) = (gateway.address, gateway.admin);
            let left = tokio::task::spawn_blocking(move || {
                ask(address, KEY, &asking(MODEL, "nonce", streams));
                left(admin, expected)
            });
            let left = left.await.expect("no panic");
            assert!((left - expected).abs() < 1e-6, "{fault:?}, stream {streams}: {left} is left, not {expected}");
        }
    });
}

#[test]
fn who_leaves_before_an_answer_does_not_pay() {
    runtime().block_on(async {
        for streams in [false, true] {
            let (gateway, fake) = start(Script::faulty(Fault::Stall)).await;
            let address = gateway.address;
            let client = tokio::task::spawn_blocking(move || send(address, KEY, &asking(MODEL, "nonce", streams)));
            let client = client.await.expect("a request");
            while fake.requests().is_empty() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            drop(client);
            let admin = gateway.admin;
            let left = tokio::task::spawn_blocking(move || left(admin, BUDGET)).await.expect("no panic");
            assert!((left - BUDGET).abs() < 1e-6, "stream {streams}: {left} is left");
        }
    });
}
