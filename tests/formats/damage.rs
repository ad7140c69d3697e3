//! Damaged copies of the fixture: cut short, one bit flipped, bytes added. Never accepted, never a panic.

use pointsman::Error;
use pointsman::artifact::Artifact;
use pointsman_tests::fixture::ARTIFACT;
use rayon::prelude::*;

use crate::{data_offset, refused};

/// Flips in the tensors that are tried, of all there are.
const SAMPLED_FLIPS: usize = 2_000;

fn flipped(bit: usize) -> Vec<u8> {
    let mut bytes = ARTIFACT.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Refuses every one of `bits`, on all cores.
fn all_refused(bits: Vec<usize>) {
    let accepted: Vec<usize> =
        bits.into_par_iter().filter(|&bit| Artifact::from_bytes(&flipped(bit), "x").is_ok()).collect();
    assert!(accepted.is_empty(), "bits whose flip goes unnoticed: {accepted:?}");
}

#[test]
fn every_length_short_of_the_whole() {
    let header = data_offset(ARTIFACT);
    let lengths = (0..64)
        .chain((64..header).step_by(97))
        .chain(header - 9..header + 9)
        .chain(ARTIFACT.len() - 65..ARTIFACT.len());
    for length in lengths.chain((header..ARTIFACT.len()).step_by(89)) {
        let error = refused(&ARTIFACT[..length]);
        assert!(matches!(error, Error::NotSafetensors { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn bytes_after_the_end() {
    for extra in [&[0][..], b"\n", &[0; 4096]] {
        assert!(matches!(refused(&[ARTIFACT, extra].concat()), Error::NotSafetensors { .. }));
    }
}

#[test]
fn every_flipped_bit_of_the_header() {
    all_refused((0..8 * data_offset(ARTIFACT)).collect());
}

#[test]
fn sampled_flipped_bits_of_the_tensors() {
    let mut rng = fastrand::Rng::with_seed(1);
    let range = 8 * data_offset(ARTIFACT)..8 * ARTIFACT.len();
    all_refused((0..SAMPLED_FLIPS).map(|_| rng.usize(range.clone())).collect());
}

#[test]
fn overwritten_stretches() {
    let mut rng = fastrand::Rng::with_seed(2);
    for _ in 0..500 {
        let mut bytes = ARTIFACT.to_vec();
        let start = rng.usize(..bytes.len());
        let end = (start + rng.usize(1..256)).min(bytes.len());
        for byte in &mut bytes[start..end] {
            *byte = rng.u8(..);
        }
        if bytes != ARTIFACT {
            refused(&bytes);
        }
    }
}

#[test]
fn two_swapped_tensors_of_one_shape() {
    // Same bytes, other place: only the checksum over names and bytes can notice.
    let artifact = Artifact::from_bytes(ARTIFACT, "fixture").expect("the fixture opens");
    let document = artifact.document.tensors_sha256.clone();
    let mut weights = artifact.weights.clone();
    std::mem::swap(&mut weights.mean, &mut weights.residual_variance);
    assert_ne!(weights.mean, weights.residual_variance, "the two differ, or swapping shows nothing");
    let swapped = Artifact { document: artifact.document, weights }.to_bytes().expect("the swapped artifact is valid");
    let there = data_offset(ARTIFACT);
    let mut bytes = ARTIFACT.to_vec();
    assert_eq!(bytes.len() - there, swapped.len() - data_offset(&swapped));
    bytes.truncate(there);
    bytes.extend_from_slice(&swapped[data_offset(&swapped)..]);
    assert!(matches!(refused(&bytes), Error::Checksum { part: "tensors", .. }), "sealed with {document}");
}
