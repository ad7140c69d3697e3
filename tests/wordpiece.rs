//! Token identifiers against those of the `tokenizers` crate: on every prompt at hand, and on texts made to break them.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};
use pointsman::Embedding;
use pointsman_evals::{Content, ReadOptions, read};
use pointsman_tests::logs;
use rayon::prelude::*;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

/// Random texts in an ordinary run; `POINTSMAN_WORDPIECE_TEXTS` asks for more.
const TEXTS: u64 = 10_000;

/// The shipped embedding, and its vocabulary under the reference implementation.
struct Both {
    ours: std::sync::Arc<Embedding>,
    theirs: Tokenizer,
    pieces: Vec<String>,
}

impl Both {
    fn new() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/base-embedding.safetensors");
        let file = std::fs::read(&path)?;
        let tensors = safetensors::SafeTensors::deserialize(&file)?;
        let text = std::str::from_utf8(tensors.tensor("base.pieces")?.data())?;
        let pieces: Vec<String> = text.lines().map(str::to_owned).collect();
        let vocabulary = tempfile::NamedTempFile::new()?;
        std::fs::write(&vocabulary, text)?;
        let model = WordPiece::from_file(&vocabulary.path().to_string_lossy()).build();
        let mut theirs = Tokenizer::new(model.map_err(|error| anyhow!(error))?);
        theirs.with_normalizer(Some(BertNormalizer::new(true, true, None, true))).map_err(|error| anyhow!(error))?;
        theirs.with_pre_tokenizer(Some(BertPreTokenizer));
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|token| AddedToken::from(token, true));
        theirs.add_special_tokens(special).map_err(|error| anyhow!(error))?;
        Ok(Self { ours: Embedding::load(path)?, theirs, pieces })
    }

    fn check(&self, text: &str) -> Result<()> {
        let mut ids = Vec::new();
        self.ours.encode(text, &mut ids);
        let expected = self.theirs.encode_fast(text, false).map_err(|error| anyhow!(error))?;
        ensure!(ids == expected.get_ids(), "{text:?}: {ids:?}, expected {:?}", expected.get_ids());
        Ok(())
    }
}

/// Plain text, or messages as the JSON they are: a text like any other.
fn text(content: &Content) -> &str {
    let (Content::Text(text) | Content::Messages(text)) = content;
    text
}

#[test]
fn of_the_demonstration_log() -> Result<()> {
    let both = Both::new()?;
    let log = logs::demo()?;
    log.prompts.par_iter().try_for_each(|prompt| both.check(text(&prompt.content)))
}

#[test]
fn of_real_prompts() -> Result<()> {
    let both = Both::new()?;
    for file in logs::real_files() {
        let log = read(&[PathBuf::from(&file)], &ReadOptions::default(), &mut |_| ())?;
        log.prompts.par_iter().try_for_each(|prompt| both.check(text(&prompt.content)))?;
    }
    Ok(())
}

#[test]
fn of_texts_made_to_break_them() -> Result<()> {
    let both = Both::new()?;
    let texts = std::env::var("POINTSMAN_WORDPIECE_TEXTS").ok().and_then(|texts| texts.parse().ok()).unwrap_or(TEXTS);
    (0..texts).into_par_iter().try_for_each(|seed| both.check(&adversary(seed, &both.pieces)))
}

/// A text of words, pieces, marks and characters from all over Unicode.
fn adversary(seed: u64, pieces: &[String]) -> String {
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
                let piece = &pieces[random.usize(..pieces.len())];
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
