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
use crate::process::{Served, busy, machine};
use crate::site::Site;

/// Tokens of a stream.
const CHUNKS: usize = 20;

/// Loads of each kind, in turn.
const ROUNDS: usize = 3;

/// What came of loads of one kind.
#[derive(Default)]
struct Figures {
    first: Tally,
    /// How much sooner or later than the target's beat tokens follow each other.
    off_beat: Tally,
    n_streams: usize,
    wrong: Vec<String>,
    most: usize,
    busy: f64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.first.add(&other.first);
        self.off_beat.add(&other.off_beat);
        self.n_streams += other.n_streams;
        self.wrong.extend(other.wrong);
        self.most = self.most.max(other.most);
        self.busy = self.busy.max(other.busy);
    }
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
    let gap = Duration::from_millis(gap_ms);
    let upstream = folder.join("bare.upstream");
    std::fs::write(&upstream, site.upstream.to_string()).expect("the folder is writable");
    let (_bare, bare_at) = Served::bare(&upstream);
    let subjects = [("direct", site.upstream), ("bare proxy", bare_at.listen), ("pointsman", site.at.listen)];
    let mut all = subjects.map(|(name, _)| (name, Figures::default()));
    for _ in 0..if options.is_test { 1 } else { ROUNDS } {
        for ((_, at), (_, figures)) in subjects.iter().zip(&mut all) {
            figures.add(load(*at, rate, time, gap).await);
        }
    }
    let [(_, direct), _, (_, through)] = &all;
    for (name, figures) in &all {
        println!(
            "streams/n={n}/{name}: {} streams of {CHUNKS} tokens, {} at a time, {} wrong; time to first token p50 {} µs, p99 {} µs; \
             tokens off the beat p50 {} µs, p99 {} µs, p99.9 {} µs; machine {:.0} % busy at most",
            figures.n_streams,
            figures.most,
            figures.wrong.len(),
            figures.first.quantile_us(0.5),
            figures.first.quantile_us(0.99),
            figures.off_beat.quantile_us(0.5),
            figures.off_beat.quantile_us(0.99),
            figures.off_beat.quantile_us(0.999),
            100.0 * figures.busy,
        );
    }
    for (name, figures) in &all[1..] {
        let added = |of: fn(&Figures) -> &Tally, share| {
            of(figures).quantile_us(share) as f64 - of(direct).quantile_us(share) as f64
        };
        println!(
            "streams/n={n}/{name}: added to the time to first token: p50 {:.0} µs, p99 {:.0} µs; to how far tokens are off the beat: \
             p99 {:.0} µs",
            added(|f| &f.first, 0.5),
            added(|f| &f.first, 0.99),
            added(|f| &f.off_beat, 0.99),
        );
    }
    for wrong in all.iter().flat_map(|(_, figures)| &figures.wrong).take(5) {
        println!("streams: {wrong}");
    }
    assert!(through.wrong.is_empty(), "every stream comes whole and in order");
}

async fn load(to: SocketAddr, rate: f64, time: Duration, gap: Duration) -> Figures {
    let (pool, texts) = (Arc::new(Pool::new(to)), texts(300, 1_024, 3));
    let open = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let mut figures = Figures::default();
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
                // What follows the last token comes with it.
                for between in gaps.into_iter().take(CHUNKS - 1) {
                    figures.off_beat.record(between.abs_diff(gap));
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
