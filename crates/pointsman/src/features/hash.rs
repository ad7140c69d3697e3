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
        hash = mix(hash, u64::from_le_bytes(block));
    }
    finish(hash)
}

/// Longest word in bytes; a longer run of letters is cut into words of this length.
pub(super) const MAX_WORD_BYTES: usize = 64;

/// A word with room for eight bytes behind the longest.
pub(super) type WordBuffer = [u8; MAX_WORD_BYTES + 8];

/// [`hash_bytes`] of the first `len` bytes, at most [`MAX_WORD_BYTES`], whatever stands behind them.
#[inline(always)]
pub(super) fn hash_word(buffer: &WordBuffer, len: usize) -> u64 {
    hash_blocks(len.min(MAX_WORD_BYTES), |at| buffer[at..].first_chunk().map_or(0, |block| u64::from_le_bytes(*block)))
}

/// [`hash_bytes`] of `len` bytes, eight of which `block` gives from a place on; what it gives beyond `len` does not matter.
#[inline(always)]
pub(super) fn hash_blocks(len: usize, block: impl Fn(usize) -> u64) -> u64 {
    let mut hash = len as u64;
    let mut at = 0;
    while at + 8 <= len {
        hash = mix(hash, block(at));
        at += 8;
    }
    if at < len {
        hash = mix(hash, block(at) & (u64::MAX >> (64 - 8 * (len - at))));
    }
    finish(hash)
}

/// Hash of an ordered pair of hashes.
#[inline(always)]
pub(super) fn combine(first: u64, second: u64) -> u64 {
    finish(first.rotate_left(17).wrapping_mul(MULTIPLIER) ^ second)
}

#[inline(always)]
fn mix(hash: u64, block: u64) -> u64 {
    let hash = (hash.rotate_left(25) ^ block).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 32)
}

/// Spreads every bit into the high ones, which choose the row of a table (the finaliser of `MurmurHash3`).
#[inline(always)]
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

    #[test]
    fn what_stands_behind_a_word_does_not_reach_its_hash() {
        let text: Vec<u8> = (1..).take(MAX_WORD_BYTES).collect();
        for len in 0..=MAX_WORD_BYTES {
            let mut buffer = [0xee; MAX_WORD_BYTES + 8];
            buffer[..len].copy_from_slice(&text[..len]);
            assert_eq!(hash_word(&buffer, len), hash_bytes(&text[..len]), "{len} bytes");
        }
    }
}
