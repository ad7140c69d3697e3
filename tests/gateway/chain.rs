//! What a chain of failures looks like to the client, and what becomes of a target that was away.

use std::time::{Duration, Instant};

use pointsman_server::TargetSettings;
use pointsman_tests::fakeup::{Fake, Fault, Script, Span};

use super::client::{ask, asking};
use super::place::{Gateway, MODEL, runtime, target};

/// Enough for targets to be busy.
const CLIENTS: usize = 6;

#[test]
fn two_that_fail_and_one_coherent_stream() {
    runtime().block_on(async {
        let down = Script { statuses: vec![503], ..Script::default() };
        let first = Fake::start("a", down).await.expect("a free port");
        let second = Fake::start("b", Script::faulty(Fault::Cut(0))).await.expect("a free port");
        let third = Fake::start("c", Script::default()).await.expect("a free port");
        let targets: Vec<TargetSettings> = [&first, &second, &third].map(target).into();
        let gateway = Gateway::start(targets).await;
        let address = gateway.address;
        let mut body = asking(MODEL, "nonce", true);
        body["provider"] = serde_json::json!({"order": ["a", "b", "c"]});
        let told = "x-pointsman-metadata: enabled\r\nx-pointsman-debug: enabled\r\n";
        let reply = tokio::task::spawn_blocking(move || ask(address, told, &body)).await.expect("no panic");
        assert_eq!(
            (reply.status, reply.header("x-pointsman-target"), reply.header("x-pointsman-attempts")),
            (200, Some("c"), Some("3"))
        );
        let expected = [0, 1, 2, 3, 4, 5, 6, 7].map(|at| format!("nonce:{at} ")).concat();
        assert_eq!(reply.content(), expected, "every token once, in order");
        assert!(reply.is_whole && reply.body.ends_with("data: [DONE]\n\n"));
        let events = reply.events();
        let metadata = events.iter().find_map(|event| event.get("pointsman_metadata")).expect("it was asked for");
        let failed: Vec<&str> =
            metadata["failed"].as_array().expect("a list").iter().filter_map(|call| call["target"].as_str()).collect();
        assert_eq!(failed, ["a", "b"], "{metadata}");
        // Without fallbacks it is one call, and its failure is the answer.
        let mut alone = asking(MODEL, "nonce", true);
        alone["provider"] = serde_json::json!({"order": ["b"], "allow_fallbacks": false});
        let before = [&first, &second, &third].map(|fake| fake.stats().requests);
        let reply = tokio::task::spawn_blocking(move || ask(address, "", &alone)).await.expect("no panic");
        assert_eq!((reply.status, reply.header("x-pointsman-attempts")), (502, Some("1")));
        let after = [&first, &second, &third].map(|fake| fake.stats().requests);
        assert_eq!(after.iter().sum::<u64>(), before.iter().sum::<u64>() + 1);
    });
}

#[test]
fn one_of_four_goes_away_and_comes_back_little_by_little() {
    runtime().block_on(async {
        let mut fakes = Vec::new();
        for name in ["a", "b", "c", "d"] {
            // Alike in what they take, and slow enough for that to count.
            let script = Script { latency_ms: Span::Fixed(40), ..Script::default() };
            fakes.push(Fake::start(name, script).await.expect("a free port"));
        }
        let gateway = Gateway::start(fakes.iter().map(target).collect()).await;
        let address = gateway.address;
        // Clients that ask one request after another for a while: how many reached the first target, and how many there were. None
        // may fail.
        let ask_for = async |time: Duration| {
            let before = fakes[0].stats().requests;
            let until = Instant::now() + time;
            let clients = (0..CLIENTS).map(|client| {
                tokio::task::spawn_blocking(move || {
                    let mut all = 0;
                    while Instant::now() < until {
                        let reply = ask(address, "", &asking(MODEL, &format!("n{client}:{all}"), all % 2 == 0));
                        assert_eq!((reply.status, reply.is_whole), (200, true), "{reply:?}");
                        all += 1;
                    }
                    all
                })
            });
            let mut all = 0;
            for client in clients.collect::<Vec<_>>() {
                all += client.await.expect("no panic");
            }
            (fakes[0].stats().requests - before, all)
        };
        #[expect(clippy::cast_precision_loss, reason = "few hundred")]
        let share = |(its, all): (u64, u64)| its as f64 / all as f64;
        let usual = share(ask_for(Duration::from_secs(2)).await);
        assert!((0.1..0.5).contains(&usual), "about a quarter, by lot: {usual}");
        fakes[0].kill().await;
        ask_for(Duration::from_millis(1_500)).await;
        fakes[0].revive().await;
        // Left alone for five seconds after it failed, then a tenth of its share at first, all of it after ten seconds.
        let mut shares = Vec::new();
        for _ in 0..9 {
            shares.push(share(ask_for(Duration::from_secs(2)).await));
        }
        println!("a quarter is its share, it had {usual:.2}; after it is back, each two seconds: {shares:.2?}");
        assert!(shares[0] < 0.05, "left alone at first: {shares:?}");
        assert!(shares[7..].iter().sum::<f64>() / 2.0 > 0.1, "all of its share in the end: {shares:?}");
        assert!(shares[2..4].iter().sum::<f64>() < shares[7..].iter().sum::<f64>(), "little by little: {shares:?}");
    });
}
