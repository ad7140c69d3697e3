//! Many streams at a time: every token checked, and what the gateway adds to the time to the first.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pointsman_benches::tally::Tally;
use pointsman_benches::texts;
use pointsman_tests::fakeup::{Script, Span};

use crate::Options;
use crate::client::{Ask, Pool, Verdict};
use crate::pace;
use crate::process::{busy, machine};
use crate::site::Site;

/// Tokens of a stream.
const CHUNKS: usize = 20;

/// What came of one load.
struct Figures {
    first: Tally,
    /// Times between tokens.
    gaps: Tally,
    n_streams: usize,
    wrong: Vec<String>,
    most: usize,
    busy: f64,
}

pub(crate) async fn run(options: &Options, folder: &Path) {
    let n = options.streams.unwrap_or(if options.is_test { 20 } else { 1_000 });
    let gap_ms = if options.is_test { 10 } else { 500 };
    let script = Script { chunks: CHUNKS, gap_ms: Span::Fixed(gap_ms), ..Script::default() };
    let site = Site::start(folder, script, |configuration| configuration.max_in_flight = Some(2 * n + 16));
    // A stream takes this long; so many a second are as many at a time as wanted.
    let length = Duration::from_millis(gap_ms * (CHUNKS as u64 - 1));
    let rate = n as f64 / length.as_secs_f64();
    let time = options.time(3.0 * length.as_secs_f64(), 3.0 * length.as_secs_f64());
    let direct = load(site.upstream, rate, time).await;
    let through = load(site.at.listen, rate, time).await;
    for (name, figures) in [("direct", &direct), ("pointsman", &through)] {
        println!(
            "streams/n={n}/{name}: {} streams of {CHUNKS} tokens, {} at a time, {} wrong; time to first token p50 {} µs, p99 {} µs; \
             between tokens p50 {} µs, p99 {} µs, p99.9 {} µs; machine {:.0} % busy",
            figures.n_streams,
            figures.most,
            figures.wrong.len(),
            figures.first.quantile_us(0.5),
            figures.first.quantile_us(0.99),
            figures.gaps.quantile_us(0.5),
            figures.gaps.quantile_us(0.99),
            figures.gaps.quantile_us(0.999),
            100.0 * figures.busy,
        );
    }
    let added = |of: fn(&Figures) -> &Tally, share| {
        of(&through).quantile_us(share) as f64 - of(&direct).quantile_us(share) as f64
    };
    println!(
        "streams/n={n}: added to the time to first token: p50 {:.0} µs, p99 {:.0} µs; to that between tokens: p99 {:.0} µs",
        added(|f| &f.first, 0.5),
        added(|f| &f.first, 0.99),
        added(|f| &f.gaps, 0.99),
    );
    for wrong in direct.wrong.iter().chain(&through.wrong).take(5) {
        println!("streams: {wrong}");
    }
    assert!(through.wrong.is_empty(), "every stream comes whole and in order");
}

async fn load(to: SocketAddr, rate: f64, time: Duration) -> Figures {
    let (pool, texts) = (Arc::new(Pool::new(to)), texts(300, 1_024, 3));
    let open = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut figures = Figures {
        first: Tally::default(),
        gaps: Tally::default(),
        n_streams: 0,
        wrong: Vec::new(),
        most: 0,
        busy: 0.0,
    };
    let before = machine();
    let each = |number: u64, due: Instant| {
        let text = &texts[usize::try_from(number).unwrap_or(0) % texts.len()];
        let (ask, pool, open) = (Ask::new(text, number, true, CHUNKS), Arc::clone(&pool), Arc::clone(&open));
        async move {
            open.1.fetch_max(open.0.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let answer = pool.ask(&ask).await;
            open.0.fetch_sub(1, Ordering::Relaxed);
            let answer = answer.map(|answer| (answer.verdict(&ask), answer.first, answer.gaps));
            (due, answer)
        }
    };
    pace::open(rate, time, each, |(due, answer)| {
        figures.n_streams += 1;
        match answer {
            Ok((Verdict::Whole, Some(first), gaps)) => {
                figures.first.record(first.saturating_duration_since(due));
                for gap in gaps {
                    figures.gaps.record(gap);
                }
            }
            Ok((verdict, ..)) => figures.wrong.push(format!("{verdict:?}")),
            Err(error) => figures.wrong.push(error),
        }
    })
    .await;
    figures.busy = busy(before, machine());
    figures.most = open.1.load(Ordering::Relaxed);
    figures
}
