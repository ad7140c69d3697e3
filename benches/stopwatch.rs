//! Times of one call over many texts, contenders interleaved.
//!
//! Every text is timed once per round, all texts of a contender in a row, contenders in turn. A text's time is the median over
//! rounds, which a busy machine hardly moves; percentiles are over texts. With more than a thousand texts neither caches nor
//! branch predictors remember a text from one round to the next.

use std::hint::black_box;
use std::time::Instant;

/// Something to be timed: a name, and what it does with a text.
pub struct Contender<'c> {
    /// What tables call it.
    pub name: String,
    /// One call; the number keeps the compiler from leaving it out.
    pub call: Box<dyn FnMut(&str) -> usize + 'c>,
}

impl std::fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'c> Contender<'c> {
    /// A contender of that name.
    pub fn new(name: impl Into<String>, call: impl FnMut(&str) -> usize + 'c) -> Self {
        Self { name: name.into(), call: Box::new(call) }
    }
}

/// Microseconds per call, sorted.
#[derive(Clone, Debug, PartialEq)]
pub struct Times(Vec<f64>);

impl Times {
    /// Of these microseconds.
    pub fn of(mut micros: Vec<f64>) -> Self {
        micros.sort_by(f64::total_cmp);
        Self(micros)
    }

    /// The value that a share of all times does not exceed; NaN where there are none.
    pub fn quantile(&self, share: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place within the list")]
        let place = ((self.0.len().max(1) - 1) as f64 * share).round() as usize;
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub fn p50(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The one that 99 of 100 do not exceed.
    pub fn p99(&self) -> f64 {
        self.quantile(0.99)
    }
}

/// The time of every contender on every text, in the order of `contenders`; the first round only warms up.
pub fn race(texts: &[String], contenders: &mut [Contender<'_>], rounds: usize) -> Vec<Times> {
    let mut times = vec![vec![Vec::with_capacity(rounds); texts.len()]; contenders.len()];
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            for (text, times) in texts.iter().zip(times) {
                let begun = Instant::now();
                black_box((contender.call)(black_box(text)));
                let micros = begun.elapsed().as_nanos() as f64 / 1000.0;
                if round > 0 {
                    times.push(micros);
                }
            }
        }
    }
    let median = |rounds: Vec<f64>| Times::of(rounds).p50();
    times.into_iter().map(|texts| Times::of(texts.into_iter().map(median).collect())).collect()
}

/// Texts of exactly `bytes` bytes (less where a character would be cut), each beginning with another of `prompts`: cut where
/// one is longer, followed by its successors where it is shorter.
pub fn fitted(prompts: &[String], bytes: usize, count: usize) -> Vec<String> {
    let text = |start: usize| {
        let mut text = String::with_capacity(bytes + 64);
        for prompt in prompts.iter().cycle().skip(start) {
            if text.len() >= bytes {
                break;
            }
            text.push_str(prompt);
            text.push('\n');
        }
        text.truncate(text.floor_char_boundary(bytes));
        text
    };
    (0..count.min(prompts.len())).map(text).collect()
}
