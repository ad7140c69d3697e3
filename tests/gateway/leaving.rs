//! A client that leaves takes its call with it.

use std::io::Read;
use std::time::{Duration, Instant};

use pointsman_server::Timeouts;
use pointsman_tests::fakeup::{Fake, Fault, Script};

use super::client::{asking, send};
use super::place::{Gateway, MODEL, runtime, target};

/// Odd, for a median.
const TIMES: usize = 15;

/// In the middle of them the upstream knows by then.
const SOON: Duration = Duration::from_millis(50);

#[test]
fn an_upstream_knows_soon_that_a_client_has_left() {
    runtime().block_on(async {
        for streams in [false, true] {
            let fault = if streams { Fault::StallAfter(2) } else { Fault::Stall };
            let fake = Fake::start("only", Script::faulty(fault)).await.expect("a free port");
            let mut only = target(&fake);
            let long = Duration::from_secs(30);
            only.timeouts = Timeouts { first_token: long, idle: long, total: long, ..only.timeouts };
            let gateway = Gateway::start(vec![only]).await;
            let mut times = Vec::new();
            for turn in 0..TIMES {
                let address = gateway.address;
                let body = asking(MODEL, "nonce", streams);
                let client = tokio::task::spawn_blocking(move || {
                    let mut client = send(address, "", &body);
                    let mut said = Vec::new();
                    while streams && !said.windows(7).any(|window| window == b"nonce:1") {
                        let mut piece = [0; 4_096];
                        let read = client.read(&mut piece).expect("the stream has begun");
                        said.extend_from_slice(&piece[..read]);
                    }
                    client
                });
                let client = client.await.expect("a stream that has begun");
                while fake.requests().len() <= turn {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let gone = Instant::now();
                drop(client);
                let left = loop {
                    if let Some(left) = fake.requests()[turn].left {
                        break left;
                    }
                    assert!(gone.elapsed() < Duration::from_secs(10), "stream {streams}: the call goes on");
                    tokio::time::sleep(Duration::from_millis(1)).await;
                };
                times.push(left.saturating_duration_since(gone));
            }
            times.sort_unstable();
            println!("left, stream {streams}: noticed upstream after {:?} in the median", times[TIMES / 2]);
            assert!(times[TIMES / 2] < SOON, "stream {streams}: {times:?}");
        }
    });
}
