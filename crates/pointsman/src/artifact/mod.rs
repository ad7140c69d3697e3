//! The artifact: one safetensors file that holds a whole router.
//!
//! Tensors carry the weights; the header's metadata carries one JSON [`Document`] under the key `pointsman`. The
//! layout is documented in `models/README.md`. Reading validates everything before anything is predicted:
//! checksums of document and tensors, versions, types, shapes, ranges and finiteness.

mod document;
mod pool;
mod tensors;
mod validate;

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

pub use document::{
    Base, CostHead, CostTarget, CurvePoint, DecisionRule, Dimensions, Document, ListPrice, Mode, Provenance,
    SCHEMA_VERSION, StaticMeans, TaskProfile, TaskSource,
};
pub use pool::Addition;
pub use tensors::{LEAF, Weights};

use crate::error::Error;
use crate::features::FEATURE_VERSION;

/// Key of the document in the safetensors metadata.
const DOCUMENT_KEY: &str = "pointsman";

/// Last field of the serialised document: a checksum of all that stands before it.
const CHECKSUM_FIELD: &str = ",\"document_sha256\":\"";

/// A fuzzer, which sets this flag of the compiler, would never get past a checksum to what lies behind it.
const CHECKSUMS_COUNT: bool = !cfg!(fuzzing);

/// A router's document and weights, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// Everything that is not a weight.
    pub document: Document,
    /// The weights.
    pub weights: Weights,
}

impl Artifact {
    /// Serialises to the bytes of a safetensors file; the same artifact always gives the same bytes.
    ///
    /// # Errors
    /// The same as [`Self::from_bytes`]: what could not be read back is not written.
    ///
    /// # Panics
    /// Never: a document always serialises to a JSON object.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.document.validate("to be written")?;
        let mut document = self.document.clone();
        document.tensors_sha256 = self.weights.sha256(&document);
        let json = serde_json::to_string(&document)
            .map_err(|source| Error::Document { artifact: "to be written".into(), source })?;
        let body = json.strip_suffix('}').expect("a struct serialises to a JSON object");
        let sealed = format!("{body}{CHECKSUM_FIELD}{}\"}}", hex(&Sha256::digest(body.as_bytes())));
        let metadata = HashMap::from([(DOCUMENT_KEY.to_owned(), sealed)]);
        let bytes = safetensors::serialize(self.weights.views(&document), Some(metadata))
            .map_err(|source| Error::NotSafetensors { artifact: "to be written".into(), source })?;
        Self::from_bytes(&bytes, "to be written")?;
        Ok(bytes)
    }

    /// Reads and validates the bytes of an artifact; `name` is what errors call it.
    ///
    /// # Errors
    /// Every [`Error`] whose text starts with `artifact`; never a partly valid artifact.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, Error> {
        let artifact = || name.to_owned();
        let not_safetensors = |source| Error::NotSafetensors { artifact: artifact(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(not_safetensors)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_safetensors)?;
        let sealed = header.metadata().as_ref().and_then(|metadata| metadata.get(DOCUMENT_KEY));
        let sealed = sealed.ok_or_else(|| Error::NoDocument { artifact: artifact(), key: DOCUMENT_KEY })?;

        let seal = sealed.rfind(CHECKSUM_FIELD).ok_or(Error::Checksum { artifact: artifact(), part: "document" })?;
        let body = &sealed[..seal];
        let intact = sealed[seal + CHECKSUM_FIELD.len()..] == format!("{}\"}}", hex(&Sha256::digest(body.as_bytes())));
        if !intact && CHECKSUMS_COUNT {
            return Err(Error::Checksum { artifact: artifact(), part: "document" });
        }
        let json = format!("{body}}}");
        check_versions(&json, name)?;
        let document: Document =
            serde_json::from_str(&json).map_err(|source| Error::Document { artifact: artifact(), source })?;
        document.validate(name)?;
        let weights = Weights::read(&tensors, &document, name)?;
        if weights.sha256(&document) != document.tensors_sha256 && CHECKSUMS_COUNT {
            return Err(Error::Checksum { artifact: artifact(), part: "tensors" });
        }
        Ok(Self { document, weights })
    }

    /// Reads and validates an artifact's file, in one read.
    ///
    /// # Errors
    /// [`Error::Read`] where the file cannot be read, else as [`Self::from_bytes`].
    pub fn load(path: &Path) -> Result<(Self, String), Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let artifact = Self::from_bytes(&bytes, &path.display().to_string())?;
        Ok((artifact, identity(&bytes)))
    }
}

/// The identity of an artifact: the SHA-256 of its file, in hex.
pub fn identity(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Versions are looked at before the rest, so that a newer artifact is called newer and not malformed.
fn check_versions(json: &str, name: &str) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    struct Versions {
        schema_version: u32,
        feature_version: u32,
    }
    let versions: Versions =
        serde_json::from_str(json).map_err(|source| Error::Document { artifact: name.into(), source })?;
    for (what, expected, got) in [
        ("schema version", SCHEMA_VERSION, versions.schema_version),
        ("feature version", FEATURE_VERSION, versions.feature_version),
    ] {
        if got > expected {
            return Err(Error::Newer { artifact: name.into(), what, expected, got });
        }
        // Nothing before this version was ever released.
        if got != expected {
            return Err(Error::OutOfDomain {
                artifact: name.into(),
                field: what.into(),
                expected: "a released version",
                got: got.to_string(),
            });
        }
    }
    Ok(())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}
