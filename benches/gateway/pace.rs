//! Load: closed loop, where every client waits for its answer, and open loop, where requests are due at a constant rate.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pointsman_benches::tally::Tally;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::client::{Ask, Pool};

/// As many clients as `connections`, each with its next request when it has its answer, for `time`; `ask` makes them of
/// numbers. Answers are looked at briefly.
pub(crate) async fn closed(
    pool: &Arc<Pool>,
    connections: u64,
    time: Duration,
    ask: impl Fn(u64) -> Ask + Clone + Send + 'static,
) -> Tally {
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..connections {
        let (pool, ask) = (Arc::clone(pool), ask.clone());
        clients.spawn(async move {
            let mut tally = Tally::default();
            for turn in 0_u64.. {
                let ask = ask(client + turn * connections);
                let begun = Instant::now();
                if begun - started >= time {
                    break;
                }
                let is_whole = pool.ask(&ask).await.is_ok_and(|answer| answer.seems_whole(&ask));
                tally.record(begun.elapsed());
                tally.failures += usize::from(!is_whole);
            }
            tally
        });
    }
    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        total.add(&tally.expect("no panic"));
    }
    total.took = started.elapsed();
    total
}

/// Requests at a constant rate, each a task of its own from the moment it is due: `each` makes it of its number and that
/// moment, `fold` takes what came of it.
pub(crate) async fn open<F>(
    rate: f64,
    time: Duration,
    mut each: impl FnMut(u64, Instant) -> F,
    mut fold: impl FnMut(F::Output),
) where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut due = clock(rate, time);
    let mut asked = JoinSet::new();
    loop {
        tokio::select! {
            next = due.recv() => match next {
                Some((number, due)) => drop(asked.spawn(each(number, due))),
                None => break,
            },
            Some(answered) = asked.join_next() => fold(answered.expect("no panic")),
        }
    }
    while let Some(answered) = asked.join_next().await {
        fold(answered.expect("no panic"));
    }
}

/// Gives the moments at which requests are due, when they are. A thread of its own: tokio's timer counts milliseconds.
fn clock(rate: f64, time: Duration) -> UnboundedReceiver<(u64, Instant)> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        let started = Instant::now();
        for number in 0_u64.. {
            let after = Duration::from_secs_f64(number as f64 / rate);
            std::thread::sleep((started + after).saturating_duration_since(Instant::now()));
            if after >= time || sender.send((number, started + after)).is_err() {
                return;
            }
        }
    });
    receiver
}
