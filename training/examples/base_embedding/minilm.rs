//! `MiniLM` in candle: a BERT encoder and the mean of what it says of every token.
//!
//! # References
//! - Devlin et al. (2019), *BERT*; Wang et al. (2020), *`MiniLM`*; Reimers & Gurevych (2019), *Sentence-BERT*, for the mean.

use std::path::Path;

use anyhow::Context;
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{
    Embedding, LayerNorm, LayerNormConfig, Linear, Module, VarBuilder, embedding, layer_norm, linear, ops::softmax,
};

const HIDDEN: usize = 384;
const INNER: usize = 1536;
const LAYERS: usize = 6;
const HEADS: usize = 12;
const POSITIONS: usize = 512;
const NORM: f64 = 1e-12;

/// The encoder, for batches of token sequences of one length.
pub(crate) struct MiniLm {
    words: Embedding,
    positions: Embedding,
    kinds: Embedding,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attended_norm: LayerNorm,
    inner: Linear,
    outer: Linear,
    outer_norm: LayerNorm,
}

impl MiniLm {
    /// Reads the weights from a file in safetensors.
    pub(crate) fn load(path: &Path, vocabulary: usize) -> anyhow::Result<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu).with_context(|| path.display().to_string())?;
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let bottom = weights.pp("embeddings");
        let layer = |at: usize| Layer::new(&weights.pp(format!("encoder.layer.{at}")));
        Ok(Self {
            words: embedding(vocabulary, HIDDEN, bottom.pp("word_embeddings"))?,
            positions: embedding(POSITIONS, HIDDEN, bottom.pp("position_embeddings"))?,
            kinds: embedding(2, HIDDEN, bottom.pp("token_type_embeddings"))?,
            norm: norm(&bottom.pp("LayerNorm"))?,
            layers: (0..LAYERS).map(layer).collect::<anyhow::Result<_>>()?,
        })
    }

    /// Sentence vectors `[batch, 384]` of `ids` `[batch, tokens]`: the mean over tokens, not normalised.
    pub(crate) fn encode(&self, ids: &Tensor) -> anyhow::Result<Tensor> {
        let (_, tokens) = ids.dims2()?;
        let places = Tensor::arange(0, u32::try_from(tokens)?, ids.device())?;
        let kinds = Tensor::zeros_like(&places)?;
        let position = (self.positions.forward(&places)? + self.kinds.forward(&kinds)?)?;
        let mut x = self.norm.forward(&self.words.forward(ids)?.broadcast_add(&position)?)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x.mean(1)?)
    }
}

impl Layer {
    fn new(weights: &VarBuilder<'_>) -> anyhow::Result<Self> {
        let attention = weights.pp("attention");
        let square = |name: &str| linear(HIDDEN, HIDDEN, attention.pp(name));
        Ok(Self {
            query: square("self.query")?,
            key: square("self.key")?,
            value: square("self.value")?,
            attended: square("output.dense")?,
            attended_norm: norm(&attention.pp("output.LayerNorm"))?,
            inner: linear(HIDDEN, INNER, weights.pp("intermediate.dense"))?,
            outer: linear(INNER, HIDDEN, weights.pp("output.dense"))?,
            outer_norm: norm(&weights.pp("output.LayerNorm"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> anyhow::Result<Tensor> {
        let (batch, tokens, _) = x.dims3()?;
        let heads = |linear: &Linear| -> anyhow::Result<Tensor> {
            let split = linear.forward(x)?.reshape((batch, tokens, HEADS, HIDDEN / HEADS))?;
            Ok(split.transpose(1, 2)?.contiguous()?)
        };
        let (query, key, value) = (heads(&self.query)?, heads(&self.key)?, heads(&self.value)?);
        let scale = ((HIDDEN / HEADS) as f64).sqrt();
        let attention = softmax(&(query.matmul(&key.transpose(2, 3)?.contiguous()?)? / scale)?, D::Minus1)?;
        let read = attention.matmul(&value)?.transpose(1, 2)?.reshape((batch, tokens, HIDDEN))?;
        let x = self.attended_norm.forward(&(self.attended.forward(&read)? + x)?)?;
        let inner = self.inner.forward(&x)?.gelu_erf()?;
        Ok(self.outer_norm.forward(&(self.outer.forward(&inner)? + x)?)?)
    }
}

fn norm(weights: &VarBuilder<'_>) -> candle_core::Result<LayerNorm> {
    layer_norm(HIDDEN, LayerNormConfig { eps: NORM, ..LayerNormConfig::default() }, weights.clone())
}
