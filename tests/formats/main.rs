//! Every released artifact opens and predicts the same bits; every damaged or foreign file is a typed error.
#![forbid(unsafe_code)]

mod compatibility;
mod damage;
mod edited;
mod starters;

use pointsman::Error;
use pointsman::artifact::Artifact;

/// The error that bytes give; it is an error of this crate's `artifact` family by type, and it is never success.
fn refused(bytes: &[u8]) -> Error {
    let error = Artifact::from_bytes(bytes, "x").expect_err("a damaged artifact is refused");
    assert!(error.to_string().starts_with("artifact `x`: "), "{error}");
    error
}

/// Where the tensors begin: after the header's length and the header.
fn data_offset(bytes: &[u8]) -> usize {
    let (length, _) = bytes.split_first_chunk::<8>().expect("a file has a header");
    8 + usize::try_from(u64::from_le_bytes(*length)).expect("a header fits the memory")
}
