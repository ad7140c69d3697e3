//! SIGKILL under load: how soon the gateway is back, what its ledger has, and what a tenant has spent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hyper::header::HeaderValue;
use pointsman_benches::texts;
use pointsman_ledger::{Archive, WINDOW};
use pointsman_tests::fakeup::{Script, Span, Usage};

use crate::Options;
use crate::client::{Ask, Pool, Verdict};
use crate::config::Tenant;
use crate::pace;
use crate::site::Site;

/// Tokens of an answer.
const CHUNKS: usize = 8;

/// More than the load spends.
const BUDGET: f64 = 1_000.0;

const KEY: &str = "pm-crash-of-the-benchmark";

/// An answer that a client had before the end.
struct Answered {
    id: String,
    at: SystemTime,
    cost_usd: f64,
}

pub(crate) async fn run(options: &Options, folder: &Path) {
    let file = folder.join("ledger.db");
    let script = Script {
        chunks: CHUNKS,
        latency_ms: Span::Uniform { from: 1, to: 10 },
        usage: Some(Usage { prompt_tokens: 60, completion_tokens: 8 }),
        ..Script::default()
    };
    let mut site = Site::start(folder, script, |configuration| {
        configuration.state = Some(file.clone());
        configuration.tenants = vec![Tenant {
            name: "acme".into(),
            key: KEY.into(),
            requests_per_minute: None,
            budget_usd_per_day: Some(BUDGET),
        }];
    });
    let rate = options.rate.unwrap_or(if options.is_test { 100.0 } else { 300.0 });
    let (time, rounds) = (options.time(5.0, 1.0), options.rounds);
    // What was answered before is on file, and must stay there.
    let mut spent_before = 0.0;
    for round in 0..rounds {
        let load = tokio::spawn(load(site.at.listen, rate, time));
        // A load that is still on when the end comes, and not always at the same moment of a window.
        tokio::time::sleep(time.mul_f64(0.8) + Duration::from_millis(17 * round as u64)).await;
        let killed = SystemTime::now();
        let begun = Instant::now();
        site.restart();
        let admin = Pool::new(site.at.admin_listen.expect("an admin plane"));
        let ready = admin.call("GET", "/ready", "").await.expect("the admin plane answers");
        let back = begun.elapsed();
        assert_eq!(ready.status, 200, "it is ready when it listens");
        let answered = load.await.expect("no panic");
        let known = ledger(&file);
        let metrics = admin.call("GET", "/metrics", "").await.expect("the admin plane answers");
        let left = sample(&String::from_utf8_lossy(&metrics.body), "pointsman_budget_remaining_usd{tenant=\"acme\"}");
        let spent = BUDGET - left;
        let age = |at: SystemTime| killed.duration_since(at).unwrap_or_default();
        let missing: Vec<&Answered> = answered.iter().filter(|one| !known.contains_key(&one.id)).collect();
        let unsettled = answered.iter().filter(|one| known.get(&one.id) == Some(&false)).count();
        let oldest = missing.iter().map(|one| age(one.at)).max().unwrap_or_default();
        let late = missing.iter().filter(|one| age(one.at) > WINDOW).count();
        let sum =
            |is: &dyn Fn(&Answered) -> bool| answered.iter().filter(|one| is(one)).map(|one| one.cost_usd).sum::<f64>();
        let (all, kept) = (spent_before + sum(&|_| true), spent_before + sum(&|one| age(one.at) > WINDOW));
        println!(
            "crash/rate={rate}: {} answered before SIGKILL, ready again after {:.0} ms; of their decisions {} are not on file ({unsettled} \
             without their outcome), the oldest from {:.0} ms before, {late} from before the window of {:.0} ms; spent by the \
             answers {all:.6} USD, of that before the window {kept:.6}, afterwards on the books {spent:.6}",
            answered.len(),
            1e3 * back.as_secs_f64(),
            missing.len(),
            1e3 * oldest.as_secs_f64(),
            1e3 * WINDOW.as_secs_f64(),
        );
        assert!(spent >= kept - 1e-9, "money that was spent before the window is still spent");
        spent_before = spent;
    }
}

/// Requests at a constant rate; gives those that were answered whole. Those that meet the end are not.
async fn load(to: std::net::SocketAddr, rate: f64, time: Duration) -> Vec<Answered> {
    let (pool, texts) = (Arc::new(Pool::new(to)), texts(300, 1_024, 3));
    let mut answered = Vec::new();
    let each = |number: u64, _| {
        let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
        let mut ask = Ask::new(text, number, number.is_multiple_of(4), CHUNKS);
        ask.key = Some(HeaderValue::try_from(format!("Bearer {KEY}")).expect("visible characters"));
        let pool = Arc::clone(&pool);
        async move {
            let answer = pool.ask(&ask).await.ok()?;
            let at = SystemTime::now();
            // Both are answered alike, and the price of both is the same; a stream's head comes before its cost.
            let cost_usd = 60.0 * 1e-6 + 8.0 * 2e-6;
            let id = answer.header("x-pointsman-decision-id").to_owned();
            (answer.verdict(&ask) == Verdict::Whole).then_some(Answered { id, at, cost_usd })
        }
    };
    pace::open(rate, time, each, |one| answered.extend(one)).await;
    answered
}

/// Every decision on file, and whether it is known what came of it.
fn ledger(file: &Path) -> BTreeMap<String, bool> {
    let mut known = BTreeMap::new();
    let archive = Archive::open(file).expect("a ledger");
    let read = archive.each::<pointsman_ledger::Error>(|row| {
        known.insert(row.decision.id, row.outcome.is_some());
        Ok(())
    });
    read.expect("a ledger that can be read");
    known
}

/// The value of a sample of `/metrics`; NaN where it is not there.
fn sample(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
}
