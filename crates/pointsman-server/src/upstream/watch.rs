//! Asking targets how they are, between their calls: one that was down is found out by a question and not by somebody's
//! request, and one that died is known to be dead before the next one comes.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::live::{Current, Live};
use crate::targets::Target;
use crate::targets::health::Report;

/// How often it is looked whether a reload has turned the questions on.
const IDLE: Duration = Duration::from_secs(1);

/// Asks every target of which nothing, or nothing good, was heard for an interval. Never ends.
pub(crate) async fn watch(live: Arc<Live>) {
    loop {
        let interval = live.current().targets.health.interval;
        if interval.is_zero() {
            sleep(IDLE).await;
            continue;
        }
        // Spread, or several gateways would ask at the same time.
        sleep(interval.mul_f64(0.75 + live.ids.fraction() / 2.0)).await;
        let current = live.current();
        let now = clock::now();
        let in_doubt = current.targets.iter().filter(|target| target.is_in_doubt(interval, now));
        let mut asked: JoinSet<()> =
            in_doubt.map(|target| ask(Arc::clone(&live), Arc::clone(&current), target.position)).collect();
        while asked.join_next().await.is_some() {}
    }
}

async fn ask(live: Arc<Live>, current: Arc<Current>, position: usize) {
    let target = current.targets.get(position);
    let health = &current.targets.health;
    if let Some(report) = probe(target, &health.path, health.timeout).await {
        live.metrics.probe(&target.name, if report == Report::Lives { "lives" } else { "failed" });
        live.metrics.circuit(&target.name, target.report(report, clock::now()));
    }
}

/// How a target is; `None` where its answer says nothing of that.
async fn probe(target: &Target, path: &str, time: Duration) -> Option<Report> {
    let mut headers = HeaderMap::with_capacity(2);
    if let Some((name, value)) = target.credential(target.protocol()) {
        headers.insert(name, value);
    }
    let Ok(Ok(reply)) = timeout(time, target.client().get(target.uri(path), headers)).await else {
        return Some(Report::Failed);
    };
    match reply.status().as_u16() {
        401..=403 => Some(Report::KeyRefused),
        408 | 429 => None,
        500.. => Some(Report::Failed),
        _ => Some(Report::Lives),
    }
}
