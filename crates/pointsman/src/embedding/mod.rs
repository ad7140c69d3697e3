//! The base embedding: a vector for every piece of a word, distilled offline from a sentence encoder.
//!
//! ```text
//! text ─► words ─► identifiers of pieces ─► int8 rows, summed ─► length 1
//! ```
//! A router may have one beside its words and surface signals (`pointsman train --base`). It knows what words mean that the
//! training log never had. The recipe that makes it is `training/examples/base_embedding.rs`.

mod normalise;
mod wordpiece;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::artifact::{hex, identity};
use crate::error::Error;
use crate::kernels::dispatch::{Kernel, widest};
use crate::kernels::{add_row, dot};
use wordpiece::WordPiece;

/// Key of the document in the safetensors metadata.
const DOCUMENT_KEY: &str = "pointsman_embedding";

/// Most pieces and most dimensions that a file may have.
const MOST_PIECES: usize = 1 << 20;
const MOST_DIMENSIONS: usize = 1024;

/// What a base embedding says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The sentence encoder it was distilled from.
    pub encoder: String,
    /// Licence of the encoder's weights.
    pub licence: String,
    /// How it was made.
    pub recipe: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema_version: u32,
    origin: Origin,
    content_sha256: String,
}

/// Version of the file's layout.
const SCHEMA_VERSION: u32 = 1;

/// A loaded base embedding of `v` pieces and `d` dimensions; immutable.
#[derive(Clone, Debug)]
pub struct Embedding {
    pieces: WordPiece,
    /// `[v, d]`: a piece's vector, times its weight, in steps.
    rows: Vec<i8>,
    /// One step of every dimension `[d]`; positive.
    scale: Vec<f32>,
    origin: Origin,
    /// The file, which goes into the routers that use it.
    file: Vec<u8>,
    identity: String,
}

/// Two embeddings of the same file are the same.
impl PartialEq for Embedding {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

/// Buffers of one text at a time.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    ids: Vec<u32>,
    sum: Vec<i32>,
}

/// The embeddings in use, by identity: routers of one base share it.
static SHARED: LazyLock<Mutex<HashMap<String, Weak<Embedding>>>> = LazyLock::new(Mutex::default);

impl Embedding {
    /// Loads a base embedding, in one read; whoever loads the same file again gets the same one.
    ///
    /// # Errors
    /// Every [`Error`] whose text starts with `artifact`.
    pub fn load(path: impl AsRef<Path>) -> Result<Arc<Self>, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::from_bytes(&bytes, &path.display().to_string())
    }

    /// Validates the bytes of one; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Self::load`], but for reading.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Arc<Self>, Error> {
        let identity = identity(bytes);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(&identity).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let embedding = Arc::new(Self::read(bytes, identity.clone(), name)?);
        shared.retain(|_, embedding| embedding.strong_count() > 0);
        shared.insert(identity, Arc::downgrade(&embedding));
        Ok(embedding)
    }

    /// Serialises vectors `rows` `[v, d]`, `d` steps `scale`, and one piece per row.
    ///
    /// # Errors
    /// The same as [`Self::from_bytes`]: what could not be read back is not written.
    pub fn to_bytes(pieces: &[String], rows: &[i8], scale: &[f32], origin: Origin) -> Result<Vec<u8>, Error> {
        let name = "to be written";
        let text = pieces.join("\n").into_bytes();
        let steps: Vec<u8> = scale.iter().flat_map(|step| step.to_le_bytes()).collect();
        let bytes: Vec<u8> = rows.iter().map(|value| value.cast_unsigned()).collect();
        let content_sha256 = checksum(&origin, [&text, &bytes, &steps]);
        let document = Document { schema_version: SCHEMA_VERSION, origin, content_sha256 };
        let json =
            serde_json::to_string(&document).map_err(|source| Error::Document { artifact: name.into(), source })?;
        let view = |dtype, shape: Vec<usize>, data| {
            TensorView::new(dtype, shape, data)
                .map_err(|source| Error::NotSafetensors { artifact: name.into(), source })
        };
        let tensors = [
            ("base.pieces", view(Dtype::U8, vec![text.len()], &text)?),
            ("base.rows", view(Dtype::I8, vec![pieces.len(), scale.len()], &bytes)?),
            ("base.scale", view(Dtype::F32, vec![scale.len()], &steps)?),
        ];
        let metadata = HashMap::from([(DOCUMENT_KEY.to_owned(), json)]);
        let file = safetensors::serialize(tensors, Some(metadata))
            .map_err(|source| Error::NotSafetensors { artifact: name.into(), source })?;
        Self::from_bytes(&file, name)?;
        Ok(file)
    }

    fn read(bytes: &[u8], identity: String, name: &str) -> Result<Self, Error> {
        let artifact = || name.to_owned();
        let not_safetensors = |source| Error::NotSafetensors { artifact: artifact(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
        let json = header.metadata().as_ref().and_then(|metadata| metadata.get(DOCUMENT_KEY));
        let json = json.ok_or_else(|| Error::NoDocument { artifact: artifact(), key: DOCUMENT_KEY })?;
        let document: Document =
            serde_json::from_str(json).map_err(|source| Error::Document { artifact: artifact(), source })?;
        if document.schema_version > SCHEMA_VERSION {
            return Err(Error::Newer {
                artifact: artifact(),
                what: "schema version",
                expected: SCHEMA_VERSION,
                got: document.schema_version,
            });
        }
        let bad = |field: &str, expected, got: String| Error::OutOfDomain {
            artifact: artifact(),
            field: field.into(),
            expected,
            got,
        };
        let tensor = |tensor: &'static str, dtype: Dtype, axes: usize| {
            let view = tensors.tensor(tensor).map_err(|_| Error::MissingTensor { artifact: artifact(), tensor })?;
            if view.dtype() == dtype && view.shape().len() == axes {
                return Ok(view);
            }
            Err(Error::TensorShape {
                artifact: artifact(),
                tensor,
                expected: format!("{dtype:?} of {axes} axes"),
                got: format!("{:?} {:?}", view.dtype(), view.shape()),
            })
        };
        let text = tensor("base.pieces", Dtype::U8, 1)?;
        let rows = tensor("base.rows", Dtype::I8, 2)?;
        let scale = tensor("base.scale", Dtype::F32, 1)?;
        let content = checksum(&document.origin, [text.data(), rows.data(), scale.data()]);
        if content != document.content_sha256 && !cfg!(fuzzing) {
            return Err(Error::Checksum { artifact: artifact(), part: "content" });
        }
        let (v, d) = (rows.shape()[0], rows.shape()[1]);
        if !(1..=MOST_PIECES).contains(&v) || !(1..=MOST_DIMENSIONS).contains(&d) || scale.shape() != [d] {
            let got = format!("{v} × {d}, and {:?} steps", scale.shape());
            return Err(bad("base.rows", "up to 2^20 pieces × 1024 dimensions, and as many steps", got));
        }
        let text =
            std::str::from_utf8(text.data()).map_err(|_| bad("base.pieces", "lines of UTF-8", "other bytes".into()))?;
        let pieces = WordPiece::new(text.split('\n'), name)?;
        if pieces.len() != v {
            return Err(bad("base.pieces", "one line per row", format!("{} lines, {v} rows", pieces.len())));
        }
        let (steps, _) = scale.data().as_chunks::<4>();
        let scale: Vec<f32> = steps.iter().map(|step| f32::from_le_bytes(*step)).collect();
        if let Some(step) = scale.iter().find(|step| !(**step > 0.0 && **step <= 1e6)) {
            return Err(bad("base.scale", "numbers above 0 and up to 1e6", step.to_string()));
        }
        let rows = rows.data().iter().map(|byte| byte.cast_signed()).collect();
        Ok(Self { pieces, rows, scale, origin: document.origin, file: bytes.to_vec(), identity })
    }

    /// Dimensions of a vector.
    pub fn dimensions(&self) -> usize {
        self.scale.len()
    }

    /// Pieces in the vocabulary.
    pub fn vocabulary_len(&self) -> usize {
        self.pieces.len()
    }

    /// Where it comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// SHA-256 of its file, in hex.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its file.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// Appends the identifiers of a text's pieces, as the `tokenizers` crate gives them without special tokens around them.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        widest(Encode(self, text, ids));
    }

    /// Appends the vector of a text given in parts: the sum of its pieces' rows, brought to length 1; all zero for a text
    /// without pieces.
    #[inline(always)]
    pub(crate) fn embed(&self, parts: [&str; 2], buffers: &mut Pieces, out: &mut Vec<f32>) {
        let Pieces { ids, sum } = buffers;
        ids.clear();
        for part in parts {
            self.pieces.encode(part, ids);
        }
        let d = self.scale.len();
        sum.clear();
        sum.resize(d, 0);
        for &id in ids.iter() {
            add_row(&self.rows[id as usize * d..][..d], sum);
        }
        let first = out.len();
        out.extend(sum.iter().zip(&self.scale).map(|(&sum, step)| sum as f32 * step));
        let square = dot(&out[first..], &out[first..]);
        if square > 0.0 {
            let length = square.sqrt();
            out[first..].iter_mut().for_each(|x| *x /= length);
        }
    }
}

struct Encode<'a>(&'a Embedding, &'a str, &'a mut Vec<u32>);

impl Kernel for Encode<'_> {
    #[inline(always)]
    fn run(self) {
        self.0.pieces.encode(self.1, self.2);
    }
}

fn checksum(origin: &Origin, tensors: [&[u8]; 3]) -> String {
    let mut hash = Sha256::new();
    let origin = [&origin.encoder, &origin.licence, &origin.recipe].map(String::as_bytes);
    for part in origin.into_iter().chain(tensors) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Four pieces in two dimensions.
    pub(crate) fn small() -> Vec<u8> {
        let pieces = ["[UNK]", "north", "east", "##ern"].map(str::to_owned);
        let origin = Origin { encoder: "none".into(), licence: "none".into(), recipe: "by hand".into() };
        Embedding::to_bytes(&pieces, &[0, 0, 3, 0, 0, 4, 0, 0], &[1.0, 1.0], origin).expect("an embedding")
    }

    fn vector(text: &str) -> Vec<f32> {
        let mut out = Vec::new();
        let embedding = Embedding::from_bytes(&small(), "test").expect("valid");
        embedding.embed([text, ""], &mut Pieces::default(), &mut out);
        out
    }

    #[test]
    fn a_text_is_the_sum_of_its_pieces_at_length_1() {
        let close = |found: Vec<f32>, expected: [f32; 2]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        };
        close(vector("North"), [1.0, 0.0]);
        close(vector("northern east"), [0.6, 0.8]);
        close(vector("nowhere"), [0.0, 0.0]);
        close(vector(""), [0.0, 0.0]);
    }

    #[test]
    fn the_same_file_is_held_once() {
        let first = Embedding::from_bytes(&small(), "first").expect("valid");
        let second = Embedding::from_bytes(&small(), "second").expect("valid");
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn damage_is_told() {
        let bytes = small();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            assert!(Embedding::from_bytes(&damaged, "damaged").is_err(), "byte {at}");
            assert!(Embedding::from_bytes(&bytes[..at], "cut").is_err(), "cut at {at}");
        }
    }
}
