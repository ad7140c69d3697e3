//! How long a request waits before its targets are asked again.

use std::time::{Duration, Instant};

use pointsman_tests::fakeup::{Fake, Script};

use super::client::{Reply, ask, asking};
use super::place::{Gateway, MODEL, runtime, target};

async fn asked(gateway: &Gateway) -> (Reply, Duration) {
    let (address, begun) = (gateway.address, Instant::now());
    let reply = tokio::task::spawn_blocking(move || ask(address, "", &asking(MODEL, "nonce", false))).await;
    (reply.expect("an answer"), begun.elapsed())
}

#[test]
fn nobody_waits_for_retries_that_will_not_be_made() {
    runtime().block_on(async {
        let fake = Fake::start("only", Script::failing(500)).await.expect("a free port");
        let gateway = Gateway::start(vec![target(&fake)]).await;
        let spending: Vec<_> = (0..16)
            .map(|_| {
                let address = gateway.address;
                tokio::task::spawn_blocking(move || ask(address, "", &asking(MODEL, "nonce", false)))
            })
            .collect();
        for spent in spending {
            spent.await.expect("an answer");
        }
        // Every fifth request may be retried; of two in a row one is not.
        let mut waited = Vec::new();
        for _ in 0..2 {
            let before = fake.stats().requests;
            let (reply, took) = asked(&gateway).await;
            assert_eq!(reply.status, 502);
            if fake.stats().requests == before + 1 {
                waited.push(took);
            }
        }
        let longest = waited.into_iter().max().expect("one that was not retried");
        assert!(longest < Duration::from_millis(75), "{longest:?}, where the first wait is 75 ms at least");
    });
}

#[test]
fn a_busy_target_does_not_keep_a_request_from_another_one_that_failed_in_passing() {
    runtime().block_on(async {
        let busy = Script { retry_after: Some(30), ..Script::failing(429) };
        let busy = Fake::start("busy", busy).await.expect("a free port");
        let passing = Script { statuses: vec![500, 200], ..Script::default() };
        let passing = Fake::start("passing", passing).await.expect("a free port");
        let gateway = Gateway::start(vec![target(&busy), target(&passing)]).await;
        let (reply, _) = asked(&gateway).await;
        assert_eq!((reply.status, passing.requests().len()), (200, 2));
        assert!(busy.requests().len() <= 1, "it said when to come again");
    });
}
