//! A thousand tenants, one of them far above its limit: what the others notice, and how much it gets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use pointsman_benches::tally::Tally;
use pointsman_benches::texts;
use pointsman_tests::fakeup::{Script, Span};

use crate::Options;
use crate::client::{Ask, Pool, Verdict};
use crate::config::Tenant;
use crate::pace;
use crate::process::{busy, machine, median};
use crate::site::Site;

const TENANTS: usize = 1_000;

/// Tokens of an answer.
const CHUNKS: usize = 8;

/// Requests a minute that the noisy tenant may make, and those a second that it does make.
const LIMIT: u32 = 600;
const NOISE: f64 = 300.0;

/// The limit of a test, which is over before six hundred have been asked.
const TEST_LIMIT: u32 = 60;

/// What came of one round.
#[derive(Default)]
struct Round {
    others: Tally,
    admitted: u64,
    limited: u64,
    /// Anything that should not be.
    wrong: Vec<String>,
    /// Most requests of the noisy one at a time.
    most: u64,
    busy: f64,
}

pub(crate) async fn run(options: &Options, folder: &Path) {
    let limit = if options.is_test { TEST_LIMIT } else { LIMIT };
    let script = Script { chunks: CHUNKS, latency_ms: Span::Fixed(5), ..Script::default() };
    let site = Site::start(folder, script, |configuration| {
        configuration.tenants = (0..TENANTS)
            .map(|tenant| Tenant {
                name: format!("tenant-{tenant}"),
                key: key(tenant),
                // All have one, so that all are counted.
                requests_per_minute: Some(if tenant == 0 { limit } else { 60_000 }),
                budget_usd_per_day: None,
            })
            .collect();
    });
    let rate = options.rate.unwrap_or(if options.is_test { 100.0 } else { 300.0 });
    let time = options.time(10.0, 1.0);
    // The first connections and pages are nobody's latency.
    round(site.at.listen, rate, time.min(Duration::from_secs(2)), false).await;
    let (mut quiet, mut noisy) = (Vec::new(), Vec::new());
    let per_second = f64::from(limit) / 60.0;
    let (mut level, mut ended, mut admitted, mut expected) = (f64::from(limit), None::<Instant>, 0, 0.0);
    for turn in 0..options.rounds {
        for is_noisy in [turn % 2 == 1, turn % 2 == 0] {
            let begun = Instant::now();
            let round = round(site.at.listen, rate, time, is_noisy).await;
            if is_noisy {
                // What the limit allows: what had come back since it was used up last, and what comes back meanwhile.
                let regained = ended.map_or(0.0, |ended| begun.duration_since(ended).as_secs_f64() * per_second);
                level = (level + regained).min(f64::from(limit));
                let asked = (round.admitted + round.limited) as f64;
                let allowed = (level + time.as_secs_f64() * per_second).min(asked);
                (admitted, expected) = (admitted + round.admitted, expected + allowed);
                level = (level + time.as_secs_f64() * per_second - allowed).max(0.0);
                ended = Some(begun + time);
            }
            if is_noisy { &mut noisy } else { &mut quiet }.push(round);
        }
    }
    let p99 = |rounds: &[Round]| median(rounds.iter().map(|round| round.others.quantile_us(0.99) as f64).collect());
    let p50 = |rounds: &[Round]| median(rounds.iter().map(|round| round.others.quantile_us(0.5) as f64).collect());
    for (name, rounds) in [("quiet", &quiet), ("noisy", &noisy)] {
        let busy = median(rounds.iter().map(|round| round.busy).collect());
        println!(
            "tenants/rate={rate}/{name}: others p50 {:.0} µs, p99 {:.0} µs; machine {:.0} % busy",
            p50(rounds),
            p99(rounds),
            100.0 * busy
        );
    }
    let most = noisy.iter().map(|round| round.most).max().unwrap_or(0);
    let limited: u64 = noisy.iter().map(|round| round.limited).sum();
    println!(
        "tenants/rate={rate}: others' p99 with noise {:.2} times that without (goal 1.10; medians of {} rounds); the noisy one asked {} \
         times, got {admitted}, its limit {expected:.0}, at most {most} at a time",
        p99(&noisy) / p99(&quiet),
        options.rounds,
        admitted + limited,
    );
    let wrong: Vec<&String> = quiet.iter().chain(&noisy).flat_map(|round| &round.wrong).collect();
    for wrong in wrong.iter().take(5) {
        println!("tenants: {wrong}");
    }
    assert!(wrong.is_empty(), "{} answers are wrong", wrong.len());
}

fn key(tenant: usize) -> String {
    format!("pm-tenant-{tenant:04}-of-the-benchmark")
}

/// Load of the others, evenly over all of them, and beside it that of the noisy one.
async fn round(to: SocketAddr, rate: f64, time: Duration, is_noisy: bool) -> Round {
    let (mut round, before) = (Round::default(), machine());
    let texts = texts(300, 1_024, 3);
    let pools = [Arc::new(Pool::new(to)), Arc::new(Pool::new(to))];
    let asking = |number: u64, tenant: usize, pool: &Arc<Pool>| {
        let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
        let mut ask = Ask::new(text, number, false, CHUNKS);
        ask.key = Some(HeaderValue::try_from(format!("Bearer {}", key(tenant))).expect("visible characters"));
        let pool = Arc::clone(pool);
        async move {
            let answer = pool.ask(&ask).await;
            answer.map(|answer| (answer.ended, answer.verdict(&ask)))
        }
    };
    let others = async {
        let (mut tally, mut wrong) = (Tally::default(), Vec::new());
        let each = |number: u64, due: Instant| {
            let tenant = 1 + usize::try_from(number).unwrap_or(0) % (TENANTS - 1);
            let asked = asking(number, tenant, &pools[0]);
            async move { (due, asked.await) }
        };
        pace::open(rate, time, each, |(due, answer)| match answer {
            Ok((ended, Verdict::Whole)) => tally.record(ended.saturating_duration_since(due)),
            other => wrong.push(format!("another tenant: {other:?}")),
        })
        .await;
        (tally, wrong)
    };
    let noise = async {
        let (mut admitted, mut limited, mut wrong) = (0, 0, Vec::new());
        let open = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        if is_noisy {
            let each = |number: u64, _| {
                let asked = asking(number, 0, &pools[1]);
                let open = Arc::clone(&open);
                async move {
                    open.1.fetch_max(open.0.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    let answer = asked.await;
                    open.0.fetch_sub(1, Ordering::Relaxed);
                    answer
                }
            };
            pace::open(NOISE, time, each, |answer| match answer {
                Ok((_, Verdict::Whole)) => admitted += 1,
                Ok((_, Verdict::Refused(429, code))) if code == "rate_limit_exceeded" => limited += 1,
                other => wrong.push(format!("the noisy one: {other:?}")),
            })
            .await;
        }
        (admitted, limited, wrong, open.1.load(Ordering::Relaxed))
    };
    let ((others, mut wrong), (admitted, limited, wrong_too, most)) = tokio::join!(others, noise);
    wrong.extend(wrong_too);
    (round.others, round.admitted, round.limited, round.wrong, round.most) = (others, admitted, limited, wrong, most);
    round.busy = busy(before, machine());
    round
}
