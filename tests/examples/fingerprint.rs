//! One number for everything that a router predicts on a log and on random texts: the same number from two builds means the
//! same bits.
//!
//! ```text
//! cargo build --release --workspace --example fingerprint      POINTSMAN_NARROW=1 before it: without wide registers
//! target/release/examples/fingerprint ROUTER LOG [RANDOM_TEXTS]
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pointsman::{Features, Predictions, Request, Router, Turn};
use pointsman_evals::{ReadOptions, read};

const USAGE: &str = "usage: fingerprint ROUTER LOG [RANDOM_TEXTS]";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let router = Router::load(arguments.first().context(USAGE)?)?;
    let file = PathBuf::from(arguments.get(1).context(USAGE)?);
    let random_texts = arguments.get(2).map_or(Ok(200_000), |text| text.parse())?;
    let log = read(&[file], &ReadOptions::default(), &mut |_| ())?;

    let mut fingerprint = Fingerprint { router: &router, hasher: DefaultHasher::new(), buffers: Default::default() };
    for prompt in &log.prompts {
        prompt.with_request(|request| fingerprint.add(request))?;
    }
    let of_log = fingerprint.hasher.finish();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..random_texts {
        let text = random_text(&mut random);
        fingerprint.add(&Request::new(&[Turn::user(&text)]));
    }
    let mut out = std::io::stdout();
    writeln!(out, "{} prompts: {of_log:016x}", log.prompts.len())?;
    writeln!(out, "and {random_texts} random texts: {:016x}", fingerprint.hasher.finish())?;
    Ok(())
}

struct Fingerprint<'a> {
    router: &'a Router,
    hasher: DefaultHasher,
    buffers: (Features, Predictions),
}

impl Fingerprint<'_> {
    fn add(&mut self, request: &Request<'_>) {
        let (features, predictions) = &mut self.buffers;
        self.router.featurise(request, features);
        self.router.predict(features, predictions);
        (features.main(), features.background(), features.chars()).hash(&mut self.hasher);
        let Predictions {
            quality, quality_se, input_tokens, output_tokens, direct_cost_usd, latency_ms, tasks, ..
        } = &*predictions;
        let novelty = [predictions.novelty];
        for numbers in [
            features.surface().as_slice(),
            quality,
            quality_se,
            input_tokens,
            output_tokens,
            direct_cost_usd,
            latency_ms,
            tasks,
            &novelty,
        ] {
            for number in numbers {
                number.to_bits().hash(&mut self.hasher);
            }
        }
    }
}

/// Words, digits, marks and characters of every script, in random order and number.
fn random_text(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(..80) {
        match random.u8(..12) {
            0..=4 => (0..random.usize(1..12)).for_each(|_| text.push(random.alphabetic())),
            5 => (0..random.usize(1..6)).for_each(|_| text.push(random.digit(10))),
            6 => text.push(char::from(random.u8(..128))),
            7 => text.push(random.char(..)),
            8 => text.push_str(["…", "“", "é", "学", "\u{301}", "\n", "ß", "İ"][random.usize(..8)]),
            _ => text.push(' '),
        }
    }
    if random.u8(..50) == 0 {
        text = text.repeat(random.usize(1..60));
    }
    text
}
