//! The tensors of an artifact: one table says name, type and shape of each, for writing and for reading.

use safetensors::tensor::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::document::Document;
use super::hex;
use crate::error::Error;
use crate::features::SURFACE_SIGNALS;

/// The weights of a router. Axes: `k` models, `t` tasks, `s` surface signals, `d` embedding, `h` hidden units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Lexical table `[2^bucket_bits, d]`.
    pub table: Vec<i8>,
    /// One step of the lexical table in embedding units `[1]`; positive.
    pub table_scale: Vec<f32>,
    /// Mean of every surface signal over the training prompts `[s]`.
    pub surface_mean: Vec<f32>,
    /// One over its standard deviation `[s]`; 0 for a signal that never varied.
    pub surface_scale: Vec<f32>,
    /// Task head `[t, d + s]` on (embedding, standardised surface).
    pub task_weight: Vec<f32>,
    /// Task head's bias `[t]`.
    pub task_bias: Vec<f32>,
    /// Lexical outcome head `[k, d + s]`.
    pub outcome_weight: Vec<f32>,
    /// Its bias `[k]`.
    pub outcome_bias: Vec<f32>,
    /// Level model's hidden layer `[h, s + t + 1]` on (surface, task posterior, mean lexical logit).
    pub level_hidden_weight: Vec<f32>,
    /// Its bias `[h]`.
    pub level_hidden_bias: Vec<f32>,
    /// Level model's output `[h]`.
    pub level_output_weight: Vec<f32>,
    /// Level model's linear part `[s + t + 1]`, beside the hidden layer.
    pub level_linear_weight: Vec<f32>,
    /// α: each model's intercept `[k]`.
    pub intercept: Vec<f32>,
    /// Posterior variance of α `[k]`; at least 0.
    pub intercept_variance: Vec<f32>,
    /// Mean task posterior over the training prompts `[t]`; contrasts are taken from it.
    pub contrast_center: Vec<f32>,
    /// B: contrasts `[k, t]`, columns summing to zero over models.
    pub contrast_weight: Vec<f32>,
    /// Posterior variance of B, diagonal `[k, t]`; at least 0.
    pub contrast_variance: Vec<f32>,
    /// Cost regressions `[k, s + t + 1]`, the last column the bias; the logarithm's bias correction is in it.
    pub cost_weight: Vec<f32>,
    /// Latency regressions `[k, s + t + 1]` for ln milliseconds; empty where latency was not observed.
    pub latency_weight: Vec<f32>,
    /// Set of word hashes seen at training, `2^seen_bits` bits.
    pub seen: Vec<u8>,
}

/// One tensor's data, whatever its type.
enum Data<'a> {
    I8(&'a [i8]),
    U8(&'a [u8]),
    F32(&'a [f32]),
}

impl Data<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::I8(_) => Dtype::I8,
            Self::U8(_) => Dtype::U8,
            Self::F32(_) => Dtype::F32,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::I8(data) => data.iter().map(|value| value.cast_unsigned()).collect(),
            Self::U8(data) => data.to_vec(),
            Self::F32(data) => data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// The name of every tensor and its shape under `document`, sorted by name.
fn layout(document: &Document) -> [(&'static str, Vec<usize>); 20] {
    let k = document.models.len();
    let t = document.tasks.len();
    let s = SURFACE_SIGNALS;
    let d = document.dimensions.embedding;
    let h = document.dimensions.hidden;
    let latency = if document.latency_curve.is_empty() { 0 } else { k };
    [
        ("contrast.center", vec![t]),
        ("contrast.intercept", vec![k]),
        ("contrast.intercept_variance", vec![k]),
        ("contrast.variance", vec![k, t]),
        ("contrast.weight", vec![k, t]),
        ("cost.weight", vec![k, s + t + 1]),
        ("latency.weight", vec![latency, s + t + 1]),
        ("level.hidden_bias", vec![h]),
        ("level.hidden_weight", vec![h, s + t + 1]),
        ("level.linear_weight", vec![s + t + 1]),
        ("level.output_weight", vec![h]),
        ("lexical.scale", vec![1]),
        ("lexical.table", vec![1 << document.dimensions.bucket_bits, d]),
        ("novelty.seen", vec![(1 << document.dimensions.seen_bits) / 8]),
        ("outcome.bias", vec![k]),
        ("outcome.weight", vec![k, d + s]),
        ("surface.mean", vec![s]),
        ("surface.scale", vec![s]),
        ("task.bias", vec![t]),
        ("task.weight", vec![t, d + s]),
    ]
}

impl Weights {
    fn data(&self) -> [Data<'_>; 20] {
        [
            Data::F32(&self.contrast_center),
            Data::F32(&self.intercept),
            Data::F32(&self.intercept_variance),
            Data::F32(&self.contrast_variance),
            Data::F32(&self.contrast_weight),
            Data::F32(&self.cost_weight),
            Data::F32(&self.latency_weight),
            Data::F32(&self.level_hidden_bias),
            Data::F32(&self.level_hidden_weight),
            Data::F32(&self.level_linear_weight),
            Data::F32(&self.level_output_weight),
            Data::F32(&self.table_scale),
            Data::I8(&self.table),
            Data::U8(&self.seen),
            Data::F32(&self.outcome_bias),
            Data::F32(&self.outcome_weight),
            Data::F32(&self.surface_mean),
            Data::F32(&self.surface_scale),
            Data::F32(&self.task_bias),
            Data::F32(&self.task_weight),
        ]
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
            table: reader.bytes("lexical.table", Dtype::I8)?.iter().map(|byte| byte.cast_signed()).collect(),
            table_scale: reader.floats("lexical.scale", Domain::Positive)?,
            surface_mean: reader.floats("surface.mean", Domain::Finite)?,
            surface_scale: reader.floats("surface.scale", Domain::NotNegative)?,
            task_weight: reader.floats("task.weight", Domain::Finite)?,
            task_bias: reader.floats("task.bias", Domain::Finite)?,
            outcome_weight: reader.floats("outcome.weight", Domain::Finite)?,
            outcome_bias: reader.floats("outcome.bias", Domain::Finite)?,
            level_hidden_weight: reader.floats("level.hidden_weight", Domain::Finite)?,
            level_hidden_bias: reader.floats("level.hidden_bias", Domain::Finite)?,
            level_output_weight: reader.floats("level.output_weight", Domain::Finite)?,
            level_linear_weight: reader.floats("level.linear_weight", Domain::Finite)?,
            intercept: reader.floats("contrast.intercept", Domain::Finite)?,
            intercept_variance: reader.floats("contrast.intercept_variance", Domain::NotNegative)?,
            contrast_center: reader.floats("contrast.center", Domain::NotNegative)?,
            contrast_weight: reader.floats("contrast.weight", Domain::Finite)?,
            contrast_variance: reader.floats("contrast.variance", Domain::NotNegative)?,
            cost_weight: reader.floats("cost.weight", Domain::Finite)?,
            latency_weight: reader.floats("latency.weight", Domain::Finite)?,
            seen: reader.bytes("novelty.seen", Dtype::U8)?.to_vec(),
        };
        Ok(weights)
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
