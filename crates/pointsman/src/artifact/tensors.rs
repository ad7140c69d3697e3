//! The tensors of an artifact: one table says name, type and shape of each, for writing and for reading.

use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::document::{Dimensions, Document};
use super::hex;
use crate::embedding::Embedding;
use crate::error::Error;
use crate::predictor::NOVELTY_SIGNALS;

/// Mark of a leaf in [`Weights::node_signal`].
pub const LEAF: u16 = u16::MAX;

/// The weights of a router.
///
/// Axes: `k` models, `o` lexical outcome heads, `t` tasks, `s` surface signals and dimensions of the base embedding, `v` slots of the vocabulary; of the
/// forest, `trees`, `nodes`, `leaves`, and `f = s + t + 1 + o` signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Fingerprint of the word or pair in every slot of the vocabulary `[v]`; 0 where the slot is empty.
    pub vocabulary: Vec<u32>,
    /// One row per slot `[v, t + o + 1]`: task heads, outcome heads, and last the squared inverse document frequency.
    pub table: Vec<i8>,
    /// One step of every column of the table `[t + o + 1]`; positive.
    pub table_scale: Vec<f32>,
    /// Mean of every surface signal over the training prompts `[s]`.
    pub surface_mean: Vec<f32>,
    /// One over its standard deviation `[s]`; 0 for a signal that never varied.
    pub surface_scale: Vec<f32>,
    /// What surface signals add to the lexical heads `[t + o, s]`.
    pub lexical_surface: Vec<f32>,
    /// Bias of the lexical heads `[t + o]`.
    pub lexical_bias: Vec<f32>,
    /// Posterior head `[t, t + s]` on (centred log probability of the lexical task heads, surface).
    pub posterior_weight: Vec<f32>,
    /// Its bias `[t]`.
    pub posterior_bias: Vec<f32>,
    /// Mean quality of every model `[k]`.
    pub mean: Vec<f32>,
    /// Task table `[t, k]`: what a task adds to the mean.
    pub contrast: Vec<f32>,
    /// Posterior variance of what the table says of a model against the others `[t, k]`; at least 0.
    pub contrast_variance: Vec<f32>,
    /// First node of every tree `[trees]`.
    pub root: Vec<u32>,
    /// Signal that a node looks at `[nodes]`, [`LEAF`] for a leaf.
    pub node_signal: Vec<u16>,
    /// Value from which on the right child is taken `[nodes]`; 0 for a leaf.
    pub node_threshold: Vec<f32>,
    /// The left child, the right one being next to it, always behind their parent; for a leaf its row `[nodes]`.
    pub node_child: Vec<u32>,
    /// What a leaf adds to every model's quality, in steps `[leaves, k]`.
    pub leaf: Vec<i8>,
    /// One step of every column of the leaves `[k]`; positive.
    pub leaf_scale: Vec<f32>,
    /// One over the number of training prompts in a leaf `[leaves]`.
    pub leaf_rarity: Vec<f32>,
    /// Variance of what the table leaves over, per model against the others `[k]`; at least 0.
    pub residual_variance: Vec<f32>,
    /// Novelty: weights of its signals and a bias `[NOVELTY_SIGNALS + 1]`; empty where the log's tasks could not teach it.
    pub novelty_weight: Vec<f32>,
    /// Mean standardised surface of every task's prompts `[t, s]`.
    pub novelty_center: Vec<f32>,
    /// One over its variance `[t, s]`; at least 0.
    pub novelty_precision: Vec<f32>,
    /// Cost regressions `[k, s + t + 1]`, the last column the bias; the logarithm's bias correction is in it.
    pub cost_weight: Vec<f32>,
    /// Latency regressions `[k, s + t + 1]` for ln milliseconds; empty where latency was not observed.
    pub latency_weight: Vec<f32>,
    /// The base embedding, where the document names one.
    pub base: Option<Arc<Embedding>>,
}

/// One tensor's data, whatever its type.
enum Data<'a> {
    I8(&'a [i8]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    F32(&'a [f32]),
}

impl Data<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::I8(_) => Dtype::I8,
            Self::U8(_) => Dtype::U8,
            Self::U16(_) => Dtype::U16,
            Self::U32(_) => Dtype::U32,
            Self::F32(_) => Dtype::F32,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(data) => data.iter().map(|value| value.cast_unsigned()).collect(),
            Self::U8(data) => data.to_vec(),
            Self::U16(data) => data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::U32(data) => data.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F32(data) => data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// The name of every tensor and its shape under `document`, sorted by name.
fn layout(document: &Document) -> Vec<(&'static str, Vec<usize>)> {
    let k = document.models.len();
    let t = document.tasks.len();
    let s = document.dense_signals();
    let Dimensions { vocabulary_bits, outcomes: o, trees, nodes, leaves } = document.dimensions;
    let slots = 1 << vocabulary_bits;
    let latency = if document.latency_curve.is_empty() { 0 } else { k };
    let base = document.base.iter().map(|base| ("base", vec![base.bytes]));
    let weights = [
        ("cost.weight", vec![k, s + t + 1]),
        ("forest.child", vec![nodes]),
        ("forest.leaf", vec![leaves, k]),
        ("forest.leaf_rarity", vec![leaves]),
        ("forest.leaf_scale", vec![k]),
        ("forest.residual_variance", vec![k]),
        ("forest.root", vec![trees]),
        ("forest.signal", vec![nodes]),
        ("forest.threshold", vec![nodes]),
        ("latency.weight", vec![latency, s + t + 1]),
        ("lexical.bias", vec![t + o]),
        ("lexical.scale", vec![t + o + 1]),
        ("lexical.surface", vec![t + o, s]),
        ("lexical.table", vec![slots, t + o + 1]),
        ("lexical.vocabulary", vec![slots]),
        ("novelty.center", vec![t, s]),
        ("novelty.precision", vec![t, s]),
        ("novelty.weight", vec![if document.decision.novelty_weight > 0.0 { NOVELTY_SIGNALS + 1 } else { 0 }]),
        ("posterior.bias", vec![t]),
        ("posterior.weight", vec![t, t + s]),
        ("surface.mean", vec![s]),
        ("surface.scale", vec![s]),
        ("table.contrast", vec![t, k]),
        ("table.mean", vec![k]),
        ("table.variance", vec![t, k]),
    ];
    base.chain(weights).collect()
}

impl Weights {
    /// Weights of the shapes that `document` asks for and of no effect: an empty vocabulary, a quality of one half for every
    /// model. A start for tools and tests.
    pub fn neutral(document: &Document) -> Self {
        let k = document.models.len();
        let t = document.tasks.len();
        let s = document.dense_signals();
        let Dimensions { vocabulary_bits, outcomes: o, .. } = document.dimensions;
        let latency = if document.latency_curve.is_empty() { 0 } else { k };
        Self {
            vocabulary: vec![0; 1 << vocabulary_bits],
            table: vec![0; (t + o + 1) << vocabulary_bits],
            table_scale: vec![1.0; t + o + 1],
            surface_mean: vec![0.0; s],
            surface_scale: vec![0.0; s],
            lexical_surface: vec![0.0; (t + o) * s],
            lexical_bias: vec![0.0; t + o],
            posterior_weight: vec![0.0; t * (t + s)],
            posterior_bias: vec![0.0; t],
            mean: vec![0.5; k],
            contrast: vec![0.0; t * k],
            contrast_variance: vec![0.0; t * k],
            leaf_scale: vec![1.0; k],
            residual_variance: vec![0.0; k],
            novelty_center: vec![0.0; t * s],
            novelty_precision: vec![0.0; t * s],
            cost_weight: vec![0.0; k * (s + t + 1)],
            latency_weight: vec![0.0; latency * (s + t + 1)],
            ..Self::default()
        }
    }

    fn data(&self) -> Vec<Data<'_>> {
        let base = self.base.iter().map(|base| Data::U8(base.file()));
        let weights = [
            Data::F32(&self.cost_weight),
            Data::U32(&self.node_child),
            Data::I8(&self.leaf),
            Data::F32(&self.leaf_rarity),
            Data::F32(&self.leaf_scale),
            Data::F32(&self.residual_variance),
            Data::U32(&self.root),
            Data::U16(&self.node_signal),
            Data::F32(&self.node_threshold),
            Data::F32(&self.latency_weight),
            Data::F32(&self.lexical_bias),
            Data::F32(&self.table_scale),
            Data::F32(&self.lexical_surface),
            Data::I8(&self.table),
            Data::U32(&self.vocabulary),
            Data::F32(&self.novelty_center),
            Data::F32(&self.novelty_precision),
            Data::F32(&self.novelty_weight),
            Data::F32(&self.posterior_bias),
            Data::F32(&self.posterior_weight),
            Data::F32(&self.surface_mean),
            Data::F32(&self.surface_scale),
            Data::F32(&self.contrast),
            Data::F32(&self.mean),
            Data::F32(&self.contrast_variance),
        ];
        base.chain(weights).collect()
    }

    /// SHA-256 over name, type, shape and little-endian bytes of every tensor, in order of name.
    pub(super) fn sha256(&self, document: &Document) -> String {
        let mut hash = Sha256::new();
        for ((name, shape), data) in layout(document).iter().zip(self.data()) {
            hash.update(name.as_bytes());
            hash.update(format!(" {:?} {shape:?}\n", data.dtype()));
            hash.update(data.bytes());
        }
        hex(&hash.finalize())
    }

    /// The tensors as safetensors writes them.
    pub(super) fn views(&self, document: &Document) -> Vec<(&'static str, OwnedTensor)> {
        let tensors = layout(document).into_iter().zip(self.data());
        tensors
            .map(|((name, shape), data)| (name, OwnedTensor { shape, dtype: data.dtype(), bytes: data.bytes() }))
            .collect()
    }

    /// Reads all tensors, checking type, shape and domain of each.
    pub(super) fn read(tensors: &SafeTensors<'_>, document: &Document, artifact: &str) -> Result<Self, Error> {
        let layout = layout(document);
        let reader = Reader { tensors, layout: &layout, artifact };
        let weights = Self {
            vocabulary: reader.words("lexical.vocabulary")?,
            table: reader.signed_bytes("lexical.table")?,
            table_scale: reader.floats("lexical.scale", Domain::Positive)?,
            surface_mean: reader.floats("surface.mean", Domain::Finite)?,
            surface_scale: reader.floats("surface.scale", Domain::NotNegative)?,
            lexical_surface: reader.floats("lexical.surface", Domain::Finite)?,
            lexical_bias: reader.floats("lexical.bias", Domain::Finite)?,
            posterior_weight: reader.floats("posterior.weight", Domain::Finite)?,
            posterior_bias: reader.floats("posterior.bias", Domain::Finite)?,
            mean: reader.floats("table.mean", Domain::Finite)?,
            contrast: reader.floats("table.contrast", Domain::Finite)?,
            contrast_variance: reader.floats("table.variance", Domain::NotNegative)?,
            root: reader.words("forest.root")?,
            node_signal: reader.half_words("forest.signal")?,
            node_threshold: reader.floats("forest.threshold", Domain::Finite)?,
            node_child: reader.words("forest.child")?,
            leaf: reader.signed_bytes("forest.leaf")?,
            leaf_scale: reader.floats("forest.leaf_scale", Domain::Positive)?,
            leaf_rarity: reader.floats("forest.leaf_rarity", Domain::NotNegative)?,
            residual_variance: reader.floats("forest.residual_variance", Domain::NotNegative)?,
            novelty_weight: reader.floats("novelty.weight", Domain::Finite)?,
            novelty_center: reader.floats("novelty.center", Domain::Finite)?,
            novelty_precision: reader.floats("novelty.precision", Domain::NotNegative)?,
            cost_weight: reader.floats("cost.weight", Domain::Finite)?,
            latency_weight: reader.floats("latency.weight", Domain::Finite)?,
            base: document.base.is_some().then(|| reader.base(document)).transpose()?,
        };
        weights.check_forest(document, artifact)?;
        Ok(weights)
    }

    /// Every path through the forest must end in a leaf that exists.
    fn check_forest(&self, document: &Document, artifact: &str) -> Result<(), Error> {
        let bad = |field: &str, expected: &'static str, got: String| Error::OutOfDomain {
            artifact: artifact.into(),
            field: field.into(),
            expected,
            got,
        };
        let nodes = self.node_child.len();
        let signals = document.dense_signals() + document.tasks.len() + 1 + document.dimensions.outcomes;
        if let Some(root) = self.root.iter().find(|root| **root as usize >= nodes) {
            return Err(bad("forest.root", "a node", root.to_string()));
        }
        for (node, (&signal, &child)) in self.node_signal.iter().zip(&self.node_child).enumerate() {
            let child = child as usize;
            if signal == LEAF {
                if child >= document.dimensions.leaves {
                    return Err(bad("forest.child", "a leaf", child.to_string()));
                }
            } else if usize::from(signal) >= signals {
                return Err(bad("forest.signal", "a signal of the forest", signal.to_string()));
            } else if child <= node || child + 1 >= nodes {
                return Err(bad("forest.child", "two nodes behind their parent", child.to_string()));
            }
        }
        Ok(())
    }
}

/// Largest magnitude of a weight: far above any learned value, low enough that no sum overflows.
const LARGEST_WEIGHT: f32 = 1e6;

#[derive(Clone, Copy)]
enum Domain {
    Finite,
    NotNegative,
    Positive,
}

impl Domain {
    fn holds(self, value: f32) -> bool {
        value.abs() <= LARGEST_WEIGHT
            && match self {
                Self::Finite => true,
                Self::NotNegative => value >= 0.0,
                Self::Positive => value > 0.0,
            }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Finite => "finite numbers up to 1e6",
            Self::NotNegative => "finite numbers from 0 to 1e6",
            Self::Positive => "finite numbers above 0 and up to 1e6",
        }
    }
}

struct Reader<'a> {
    tensors: &'a SafeTensors<'a>,
    layout: &'a [(&'static str, Vec<usize>)],
    artifact: &'a str,
}

impl Reader<'_> {
    fn bytes(&self, tensor: &'static str, dtype: Dtype) -> Result<&[u8], Error> {
        let view =
            self.tensors.tensor(tensor).map_err(|_| Error::MissingTensor { artifact: self.artifact.into(), tensor })?;
        let (_, shape) = self.layout.iter().find(|(name, _)| *name == tensor).expect("every tensor is in the layout");
        if view.dtype() != dtype || view.shape() != shape {
            return Err(Error::TensorShape {
                artifact: self.artifact.into(),
                tensor,
                expected: format!("{dtype:?} {shape:?}"),
                got: format!("{:?} {:?}", view.dtype(), view.shape()),
            });
        }
        Ok(view.data())
    }

    /// The base embedding, which must be the one that the document names.
    fn base(&self, document: &Document) -> Result<Arc<Embedding>, Error> {
        let embedding = Embedding::from_bytes(self.bytes("base", Dtype::U8)?, self.artifact)?;
        let named = document
            .base
            .as_ref()
            .is_some_and(|base| base.dimensions == embedding.dimensions() && base.sha256 == embedding.identity());
        if named {
            return Ok(embedding);
        }
        Err(Error::OutOfDomain {
            artifact: self.artifact.into(),
            field: "base".into(),
            expected: "the embedding that the document names",
            got: format!("{}, of {} dimensions", embedding.identity(), embedding.dimensions()),
        })
    }

    fn signed_bytes(&self, tensor: &'static str) -> Result<Vec<i8>, Error> {
        Ok(self.bytes(tensor, Dtype::I8)?.iter().map(|byte| byte.cast_signed()).collect())
    }

    fn half_words(&self, tensor: &'static str) -> Result<Vec<u16>, Error> {
        let (blocks, _) = self.bytes(tensor, Dtype::U16)?.as_chunks::<2>();
        Ok(blocks.iter().map(|block| u16::from_le_bytes(*block)).collect())
    }

    fn words(&self, tensor: &'static str) -> Result<Vec<u32>, Error> {
        let (blocks, _) = self.bytes(tensor, Dtype::U32)?.as_chunks::<4>();
        Ok(blocks.iter().map(|block| u32::from_le_bytes(*block)).collect())
    }

    fn floats(&self, tensor: &'static str, domain: Domain) -> Result<Vec<f32>, Error> {
        let bytes = self.bytes(tensor, Dtype::F32)?;
        let (blocks, _) = bytes.as_chunks::<4>();
        let values: Vec<f32> = blocks.iter().map(|block| f32::from_le_bytes(*block)).collect();
        match values.iter().find(|value| !domain.holds(**value)) {
            Some(value) => Err(Error::OutOfDomain {
                artifact: self.artifact.into(),
                field: tensor.into(),
                expected: domain.text(),
                got: value.to_string(),
            }),
            None => Ok(values),
        }
    }
}

/// A tensor ready to be written.
pub(super) struct OwnedTensor {
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

impl safetensors::View for OwnedTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
