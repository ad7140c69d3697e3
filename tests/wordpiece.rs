//! Token identifiers against those of the `tokenizers` crate: on every prompt at hand, and on texts made to break them.
#![forbid(unsafe_code)]

#[path = "fuzz/targets/pieces.rs"]
mod pieces;

use std::path::PathBuf;

use anyhow::Result;
use pieces::{Both, vocabulary};
use pointsman_evals::{Content, ReadOptions, read};
use pointsman_tests::logs;
use rayon::prelude::*;

/// Random texts in an ordinary run; `POINTSMAN_WORDPIECE_TEXTS` asks for more.
const TEXTS: u64 = 10_000;

/// Plain text, or messages as the JSON they are: a text like any other.
fn text(content: &Content) -> &str {
    let (Content::Text(text) | Content::Messages(text)) = content;
    text
}

#[test]
fn of_the_demonstration_log() -> Result<()> {
    let both = Both::new();
    let log = logs::demo()?;
    log.prompts.par_iter().for_each(|prompt| both.check(text(&prompt.content)));
    Ok(())
}

#[test]
fn of_real_prompts() -> Result<()> {
    let both = Both::new();
    for file in logs::real_files() {
        let log = read(&[PathBuf::from(&file)], &ReadOptions::default(), &mut |_| ())?;
        log.prompts.par_iter().for_each(|prompt| both.check(text(&prompt.content)));
    }
    Ok(())
}

#[test]
fn of_texts_made_to_break_them() {
    let (both, pieces) = (Both::new(), vocabulary());
    let pieces: Vec<&str> = pieces.lines().collect();
    let texts = std::env::var("POINTSMAN_WORDPIECE_TEXTS").ok().and_then(|texts| texts.parse().ok()).unwrap_or(TEXTS);
    (0..texts).into_par_iter().for_each(|seed| both.check(&adversary(seed, &pieces)));
}

/// A text of words, pieces, marks and characters from all over Unicode.
fn adversary(seed: u64, pieces: &[&str]) -> String {
    const ODD: [&str; 28] = [
        "[MASK]",
        "[SEP]",
        "[sep]",
        "[",
        "]",
        "##",
        "\u{301}",
        "\u{308}",
        "\u{302e}\u{302f}",
        "\u{16ff0}\u{302e}",
        "İ",
        "ſ",
        "ﬁ",
        "Å",
        "\u{37e}",
        "\u{1fef}",
        "學",
        "\u{f900}",
        "한",
        "😀",
        "\u{200d}",
        "\u{feff}",
        "\u{0}",
        "\u{fffd}",
        "\u{a0}",
        "\u{3000}",
        "“x”",
        "…",
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = String::new();
    for _ in 0..random.usize(1..30) {
        match random.u8(..12) {
            0..4 => {
                let piece = pieces[random.usize(..pieces.len())];
                text.push_str(piece.strip_prefix("##").unwrap_or(piece));
            }
            4 => text.push_str(&pieces[random.usize(..pieces.len())].to_uppercase()),
            5 => text.push_str(ODD[random.usize(..ODD.len())]),
            6 => text.extend((0..random.usize(1..6)).map(|_| random.char('\0'..='\u{10ffff}'))),
            7 => text.extend((0..random.usize(1..6)).map(|_| random.char('\0'..='\u{3000}'))),
            8 => text.extend((0..random.usize(1..6)).map(|_| random.char('\u{300}'..='\u{36f}'))),
            9 => text.push_str(&random.alphabetic().to_string().repeat(random.usize(90..110))),
            _ => text.push_str([" ", "\n", "\t", ", ", "-"][random.usize(..5)]),
        }
    }
    text
}
