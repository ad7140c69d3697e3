//! Texts made to be slow, against prompts of the same length.

use pointsman::{Bound, Scratch};
use pointsman_benches::stopwatch::{fitted, race};

use crate::decision;

/// Variants of every kind of text.
const VARIANTS: usize = 24;

/// Lengths that are tried.
const LENGTHS: [usize; 3] = [300, 1_000, 4_000];

/// Kinds of text, by what is repeated in them.
const KINDS: [(&str, &[&str]); 14] = [
    ("words of one letter", &["a ", "b ", "c ", "d ", "e ", "f ", "g ", "h ", "i ", "j "]),
    ("rare words", &["qzxv ", "wkjq ", "vxzw ", "pqqz ", "jxkw ", "zvbq "]),
    ("one long word", &["abcdefghijklmnopqrstuvwxyz"]),
    ("capitals", &["THE ", "CAPITAL ", "OF ", "FRANCE ", "IS "]),
    ("digits", &["1 ", "23 ", "456 ", "7.8 "]),
    ("signs", &["{ ", "}; ", "( ", ") => ", "&& ", "!= "]),
    ("line ends", &["a\n", "\n", "b\r\n", "- c\n"]),
    ("Chinese", &["请", "解", "释", "量", "子", "力", "学", "。"]),
    ("accents", &["é", "ß", "ñ", " ", "ü", "ø", "Ç"]),
    ("Cyrillic capitals", &["ПРИВЕТ ", "МИР ", "ЁЖ "]),
    ("emoji", &["😀", "🚀", "👩‍👩‍👧", "🇫🇷", " "]),
    ("combining marks", &["a\u{301}", "e\u{308}\u{323}", "o\u{302} "]),
    ("curly quotes among words", &["“it’s” ", "the ", "‘end’— "]),
    ("letters of three scripts in turn", &["aбγ", "dж δ", "zя ω "]),
];

/// Prints the worst kind at every length.
pub(crate) fn report(bound: &Bound, prompts: &[String], count: usize, rounds: usize) {
    println!("| bytes | prompts p99 | slowest kind of text | p50 | of prompts' p99 |");
    println!("|---|---|---|---|---|");
    for bytes in LENGTHS {
        let timed = |texts: &[String]| {
            let mut scratch = Scratch::default();
            race(texts, &mut [decision(bound, &mut scratch)], rounds).swap_remove(0)
        };
        let usual = timed(&fitted(prompts, bytes, count)).p99();
        let kinds = KINDS.iter().map(|(name, parts)| {
            let texts: Vec<String> = (0..VARIANTS).map(|variant| text(parts, bytes, variant)).collect();
            (*name, timed(&texts).p50())
        });
        let (name, worst) = kinds.max_by(|a, b| a.1.total_cmp(&b.1)).expect("kinds");
        println!("| {bytes} | {usual:.2} | {name} | {worst:.2} | {:.2} × |", worst / usual);
    }
    println!();
}

/// A text of about `bytes` bytes out of `parts`, in an order of its own.
fn text(parts: &[&str], bytes: usize, variant: usize) -> String {
    let mut random = fastrand::Rng::with_seed(variant as u64);
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(parts[random.usize(..parts.len())]);
    }
    text.truncate(text.floor_char_boundary(bytes));
    text
}
