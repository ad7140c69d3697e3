//! What a router costs to load and to keep.

use std::path::Path;
use std::time::Instant;

use pointsman::{Bound, Limits, Objective, Policy, Request, Router, Scratch, Turn};
use pointsman_benches::stopwatch::Times;

/// Policies bound to one router, and routers of their own.
const POLICIES: u32 = 1_000;
const ROUTERS: usize = 100;

/// Prints time and memory.
pub(crate) fn report(path: &Path, repeats: usize) -> anyhow::Result<()> {
    let file = std::fs::metadata(path)?.len();
    let mut millis = Vec::new();
    for _ in 0..repeats {
        let begun = Instant::now();
        let bound = crate::bound(&Router::load(path)?)?;
        let mut scratch = Scratch::default();
        std::hint::black_box(bound.route(&Request::new(&[Turn::user("Hi")]), &Limits::default(), &mut scratch));
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "Loading ({:.1} MB) to the first decision: p50 {:.1} ms, worst of {repeats} {:.1} ms.",
        megabytes(file),
        Times::of(millis.clone()).p50(),
        Times::of(millis).quantile(1.0),
    );
    let Some(before) = resident() else { return Ok(()) };
    let router = Router::load(path)?;
    let one = resident().unwrap_or(before);
    let policies: Vec<Bound> = (0..POLICIES)
        .map(|i| {
            let objective = Objective::Lambda(1e-4 * f64::from(1 + i));
            router.bind(&router.default_catalog(), &Policy { objective, ..Policy::default() })
        })
        .collect::<Result<_, _>>()?;
    let bound = resident().unwrap_or(one);
    let routers: Vec<Router> = (0..ROUTERS).map(|_| Router::load(path)).collect::<Result<_, _>>()?;
    let many = resident().unwrap_or(bound);
    println!(
        "Resident memory: one router {:+.1} MB, {POLICIES} policies on it {:+.1} MB, {ROUTERS} more routers {:+.1} MB.",
        megabytes(one.saturating_sub(before)),
        megabytes(bound.saturating_sub(one)),
        megabytes(many.saturating_sub(bound)),
    );
    std::hint::black_box((&policies, &routers));
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Resident memory of this process; `None` where the system does not tell by `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
