//! One decision and its stages, over text length and pool size. Random weights: speed only, no quality.
//!
//! Texts change from call to call, more of them than a branch predictor remembers.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pointsman::{Bound, Features, Limits, Objective, Policy, Predictions, Request, Router, Scratch, Turn};
use pointsman_benches::{artifact, texts};

/// Distinct texts per length.
const TEXTS: usize = 1_024;

fn bound(k: usize) -> Bound {
    let bytes = artifact(k, 7).to_bytes().expect("a valid artifact");
    let router = Router::from_bytes(&bytes).expect("a valid artifact");
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    router.bind(&router.default_catalog(), &policy).expect("the whole pool binds")
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for bytes in [60, 300, 1_000, 4_000, 100_000] {
        let texts = texts(bytes, TEXTS, 3);
        for k in [2, 11, 32, 100] {
            if k != 11 && bytes != 300 {
                continue;
            }
            let bound = bound(k);
            let mut scratch = Scratch::default();
            let mut next = texts.iter().cycle();
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("bytes={bytes}/k={k}")), |bencher| {
                bencher.iter(|| {
                    let turns = [Turn::user(next.next().expect("an endless cycle"))];
                    bound.route(&Request::new(&turns), &Limits::default(), &mut scratch).model_idx
                });
            });
        }
    }
    group.finish();
}

fn stages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stage");
    let bound = bound(11);
    let router = bound.router();
    let texts = texts(300, TEXTS, 3);
    let mut features = Features::default();
    let mut next = texts.iter().cycle();
    group.bench_function("featurise/bytes=300", |bencher| {
        bencher.iter(|| {
            let turns = [Turn::user(next.next().expect("an endless cycle"))];
            router.featurise(&Request::new(&turns), &mut features);
        });
    });
    let all: Vec<Features> = texts
        .iter()
        .map(|text| {
            let mut features = Features::default();
            router.featurise(&Request::new(&[Turn::user(text)]), &mut features);
            features
        })
        .collect();
    let mut predictions = Predictions::default();
    let mut next = all.iter().cycle();
    group.bench_function("predict/bytes=300/k=11", |bencher| {
        bencher.iter(|| router.predict(next.next().expect("an endless cycle"), &mut predictions).novelty);
    });
    let mut scratch = Scratch::default();
    group.bench_function("decide/k=11", |bencher| {
        bencher.iter(|| bound.decide(&predictions, &Limits::default(), &mut scratch.ranking).model_idx);
    });
    group.finish();
}

fn settings() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
}

criterion_group! { name = route; config = settings(); targets = whole, stages }
criterion_main!(route);
