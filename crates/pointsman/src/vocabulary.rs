//! Which words and pairs of words the router knows, and where their rows are.
//!
//! An open-addressed table of 32-bit fingerprints: the high bits of a hash name the first slot, the low bits are the
//! fingerprint, and a lookup goes on to the next slot until it finds either. A stranger that shares slot run and
//! fingerprint with a known word is one in about 2³¹.

/// Slots looked at before a word counts as unknown. The builder keeps to it, so a lookup may stop there.
pub const MOST_PROBES: usize = 16;

/// A borrowed vocabulary: fingerprints of `2^bits` slots.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    fingerprints: &'a [u32],
}

impl<'a> Vocabulary<'a> {
    /// `fingerprints` must be as many as a power of two, up to 2²⁴.
    pub fn new(fingerprints: &'a [u32]) -> Self {
        debug_assert!(fingerprints.len().is_power_of_two());
        Self { fingerprints }
    }

    /// The slot of a hash, if it is known.
    #[inline(always)]
    pub fn slot(self, hash: u64) -> Option<usize> {
        let wanted = fingerprint(hash);
        let first = first_slot(hash, self.fingerprints.len());
        match self.fingerprints[first] {
            found if found == wanted => return Some(first),
            0 => return None,
            _ => {}
        }
        match self.fingerprints[first..].first_chunk::<MOST_PROBES>() {
            Some(run) => {
                // All of the run at once: the place of the first that ends the search.
                let ends = |end: u32| {
                    run.iter().zip(0..).fold(0_u32, |mask, (&found, place)| mask | u32::from(found == end) << place)
                };
                let (known, empty) = (ends(wanted), ends(0));
                let place = known.trailing_zeros();
                (place < empty.trailing_zeros()).then(|| first + place as usize)
            }
            None => self.slot_around_the_end(wanted, first),
        }
    }

    #[cold]
    fn slot_around_the_end(self, wanted: u32, first: usize) -> Option<usize> {
        let mask = self.fingerprints.len() - 1;
        let run = (first..first + MOST_PROBES).map(|slot| slot & mask);
        run.take_while(|&slot| self.fingerprints[slot] != 0).find(|&slot| self.fingerprints[slot] == wanted)
    }

    /// Fingerprints of a vocabulary that holds `hashes`: the smallest table, of at least 16 slots, that is at most three quarters
    /// full and finds everyone within [`MOST_PROBES`].
    pub fn build(hashes: &[u64]) -> Vec<u32> {
        let mut slots = (hashes.len() * 4 / 3 + 1).next_power_of_two().max(16);
        loop {
            if let Some(fingerprints) = fill(hashes, slots) {
                return fingerprints;
            }
            slots *= 2;
        }
    }
}

fn fill(hashes: &[u64], slots: usize) -> Option<Vec<u32>> {
    let mut fingerprints = vec![0; slots];
    for &hash in hashes {
        let first = first_slot(hash, slots);
        let free = (0..MOST_PROBES).map(|probe| (first + probe) & (slots - 1)).find(|&slot| {
            let found: u32 = fingerprints[slot];
            found == 0 || found == fingerprint(hash)
        })?;
        fingerprints[free] = fingerprint(hash);
    }
    Some(fingerprints)
}

/// The low half of a hash, never 0.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn fingerprint(hash: u64) -> u32 {
    hash as u32 | 1
}

/// The high bits of a hash, as many as number the slots.
fn first_slot(hash: u64, slots: usize) -> usize {
    (hash >> 32) as usize >> (32 - slots.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well-spread numbers (`SplitMix64`).
    fn hashes(seed: u64, n: usize) -> Vec<u64> {
        let spread = |i: usize| {
            let z = (seed << 32 | i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        (0..n).map(spread).collect()
    }

    #[test]
    fn everyone_is_found_in_a_place_of_their_own_and_strangers_are_not() {
        for n in [0, 1, 11, 12, 13, 5_000] {
            let known = hashes(1, n);
            let table = Vocabulary::build(&known);
            let vocabulary = Vocabulary::new(&table);
            let mut slots: Vec<usize> = known.iter().map(|&hash| vocabulary.slot(hash).expect("known")).collect();
            slots.sort_unstable();
            slots.dedup();
            assert_eq!(slots.len(), n);
            let strangers = hashes(2, 1_000).iter().filter(|&&hash| vocabulary.slot(hash).is_some()).count();
            assert_eq!(strangers, 0, "among {n}");
        }
    }

    #[test]
    fn a_full_table_of_any_content_ends_every_lookup() {
        let full = vec![7; 16];
        assert_eq!(Vocabulary::new(&full).slot(u64::MAX), None);
    }
}
