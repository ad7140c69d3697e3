//! The fuzz targets over their seeds and damaged copies of them, on the stable compiler: keeps the targets alive
//! between fuzzing runs, and holds what fuzzing found.
#![forbid(unsafe_code)]

#[path = "fuzz/targets/artifact.rs"]
mod artifact;
#[path = "fuzz/targets/configuration.rs"]
mod configuration;
#[path = "fuzz/targets/log.rs"]
mod log;
#[path = "fuzz/targets/pieces.rs"]
mod pieces;
#[path = "fuzz/targets/request.rs"]
mod request;
#[path = "fuzz/targets/stream.rs"]
mod stream;
#[path = "fuzz/targets/text.rs"]
mod text;
#[path = "fuzz/targets/upstream.rs"]
mod upstream;

use std::path::Path;

/// Copies of every seed with a few bytes changed; `POINTSMAN_REPLAY_COPIES` asks for more.
const COPIES: usize = 40;

fn replay(folder: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let copies = std::env::var("POINTSMAN_REPLAY_COPIES").ok().and_then(|copies| copies.parse().ok()).unwrap_or(COPIES);
    let mut random = fastrand::Rng::with_seed(5);
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).expect("the seeds are there") {
        let seed = std::fs::read(entry.expect("the seeds are readable").path()).expect("the seeds are readable");
        run(&seed);
        seeds += 1;
        for _ in 0..copies {
            let mut copy = seed.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..copy.len());
                copy[at] = random.u8(..);
            }
            copy.truncate(random.usize(copy.len() / 2..=copy.len()));
            run(&copy);
        }
    }
    assert!(seeds >= 2, "{seeds} seeds");
}

#[test]
fn logs() {
    replay("fuzz/seeds/log", log::run);
}

#[test]
fn configurations() {
    replay("fuzz/seeds/configuration", configuration::run);
}

#[test]
fn requests() {
    replay("fuzz/seeds/request", request::run);
}

#[test]
fn streams() {
    replay("fuzz/seeds/stream", stream::run);
}

#[test]
fn texts() {
    replay("fuzz/seeds/text", text::run);
}

#[test]
fn artifacts() {
    replay("formats/fixtures", artifact::run);
}
