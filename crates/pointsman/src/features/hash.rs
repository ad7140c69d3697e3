//! Hashes of words and of pairs of words.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of a word's bytes: eight at a time, little-endian, zero-padded, then the length.
///
/// Part of the artifact format: a change moves every row of every table and needs a new feature version.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut block = [0_u8; 8];
        block[..chunk.len()].copy_from_slice(chunk);
        hash = (hash.rotate_left(25) ^ u64::from_le_bytes(block)).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 32;
    }
    finish(hash)
}

/// Hash of an ordered pair of hashes.
pub(super) fn combine(first: u64, second: u64) -> u64 {
    finish(first.rotate_left(17).wrapping_mul(MULTIPLIER) ^ second)
}

/// Spreads every bit into the high ones, which choose the row of a table (the finaliser of `MurmurHash3`).
fn finish(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_part_of_the_format() {
        assert_eq!(hash_bytes(b""), 0);
        assert_eq!(hash_bytes(b"pointsman"), 0x3f7c_fc43_6b4b_d72f);
        assert_eq!(combine(1, 2), 0x91a9_56ff_0d12_5dc2);
        assert_ne!(hash_bytes(b"ab"), hash_bytes(b"ab\0"));
        assert_ne!(combine(1, 2), combine(2, 1));
    }
}
