//! Near-duplicates between two sets of texts in linear time: `MinHash` over word shingles, candidates by LSH banding,
//! every candidate verified.
//!
//! - A text is the *set* of its runs of three words; fewer words are one run. Words are runs of letters and digits;
//!   characters of scripts without spaces (from U+2E80) are words of their own.
//! - A *sketch* is the minimum of each of 64 hash functions over the set, 32 bits each: two sketches agree in one
//!   place with probability J, the Jaccard similarity of the sets. A sketch depends on its text alone.
//! - Two texts are *candidates* if four consecutive places of 16 agree: probability 1 − (1 − J⁴)¹⁶, which is 0.9998 at
//!   J = 0.8, 0.64 at 0.5, 0.12 at 0.3. Of a probe's candidates the one whose sketch agrees most is verified, by the
//!   exact J of the two texts, so what is reported is a twin for certain.
//! - Work is linear: a bucket is compared with at most [`MOST_COMPARED`] references per probe. Where a template makes
//!   a bucket larger, a twin is still met in those of its other bands that the template does not fill.
//! - Memory: 256 bytes per text for sketches and 8 for the band at hand.
//!
//! # References
//!
//! Broder, *On the resemblance and containment of documents*, 1997, doi:10.1109/SEQUEN.1997.666900 (shingles, sketches);
//! Leskovec, Rajaraman & Ullman, *Mining of Massive Datasets*, section 3.4 (banding).

use rayon::prelude::*;

/// Similarity from which two texts are twins. A convention of the field (0.7 to 0.9 are used): at 0.8 a word in
/// thirty may differ, or a sentence in five.
pub(crate) const THRESHOLD: f64 = 0.8;

const HASHES: usize = 64;
const ROWS: usize = 4;
const BANDS: usize = HASHES / ROWS;
const SHINGLE: usize = 3;

/// References of one bucket that a probe is compared with. A guess: past some dozens a bucket is a template's.
const MOST_COMPARED: usize = 32;

/// Agreeing places below which a candidate is not verified. At J = 0.8, 51 of 64 agree on average, and fewer than 38
/// once in 17,000 times.
const LEAST_AGREEING: usize = 38;

/// A probe and the reference most like it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Twin {
    pub(crate) probe: u32,
    pub(crate) reference: u32,
    /// Exact Jaccard similarity of the shingle sets, at least [`THRESHOLD`].
    pub(crate) similarity: f64,
}

/// The role of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A twin is looked for.
    Probe,
    /// May be a twin.
    Reference,
    /// Not looked at.
    Neither,
}

/// Finds, for each probe, a reference that is nearly the same; by ascending probe.
///
/// `text` gives the text of a position, normalised by the caller; it is called about once per text, from any thread.
/// The result does not depend on the number of threads.
pub(crate) fn twins<T: AsRef<str>>(roles: &[Role], text: impl Fn(usize) -> T + Sync) -> Vec<Twin> {
    let members: Vec<u32> = (0_u32..).zip(roles).filter(|(_, role)| **role != Role::Neither).map(|(i, _)| i).collect();
    let seeds = seeds();
    let mut sketches = vec![0_u32; members.len() * HASHES];
    sketches.par_chunks_mut(HASHES).zip(&members).for_each_init(Vec::new, |shingles, (sketch, &i)| {
        shingle(text(i as usize).as_ref(), shingles);
        fill(sketch, shingles, &seeds);
    });
    let is_probe = |member: u32| roles[members[member as usize] as usize] == Role::Probe;
    let best = candidates(&sketches, &is_probe);
    let verified: Vec<Option<Twin>> = best
        .par_iter()
        .map(|&(probe, reference)| {
            let (probe, reference) = (members[probe as usize], members[reference as usize]);
            let similarity = similarity(text(probe as usize).as_ref(), text(reference as usize).as_ref());
            (similarity >= THRESHOLD).then_some(Twin { probe, reference, similarity })
        })
        .collect();
    verified.into_iter().flatten().collect()
}

/// Jaccard similarity of the shingle sets of two texts; 0 where either has no word.
fn similarity(a: &str, b: &str) -> f64 {
    let set = |text: &str| {
        let mut shingles = Vec::new();
        shingle(text, &mut shingles);
        shingles.sort_unstable();
        shingles.dedup();
        shingles
    };
    let (a, b) = (set(a), set(b));
    let both = a.iter().filter(|s| b.binary_search(s).is_ok()).count();
    let either = a.len() + b.len() - both;
    if either == 0 { 0.0 } else { both as f64 / either as f64 }
}

/// (probe, reference) for every probe with a candidate: the one that agrees most, of equals the first.
fn candidates(sketches: &[u32], is_probe: &impl Fn(u32) -> bool) -> Vec<(u32, u32)> {
    let n = u32::try_from(sketches.len() / HASHES).expect("fewer than 2^32 texts");
    let sketch = |i: u32| &sketches[i as usize * HASHES..(i as usize + 1) * HASHES];
    // Per member: agreement and position of the best reference so far.
    let mut best = vec![(0_u8, u32::MAX); n as usize];
    let mut keys: Vec<(u32, u32)> = Vec::with_capacity(n as usize);
    for band in 0..BANDS {
        keys.clear();
        // An empty text has the empty sketch and is like nothing.
        keys.extend((0..n).filter(|&i| sketch(i)[0] != u32::MAX).map(|i| {
            let key = sketch(i)[band * ROWS..(band + 1) * ROWS].iter().fold(0, |h, &s| mix(h ^ u64::from(s)));
            ((key >> 32) as u32, i)
        }));
        keys.par_sort_unstable();
        for bucket in keys.chunk_by(|a, b| a.0 == b.0).filter(|bucket| bucket.len() > 1) {
            let references: Vec<u32> =
                bucket.iter().map(|b| b.1).filter(|&i| !is_probe(i)).take(MOST_COMPARED).collect();
            if references.is_empty() {
                continue;
            }
            for probe in bucket.iter().map(|b| b.1).filter(|&i| is_probe(i)) {
                let place = &mut best[probe as usize];
                for &reference in &references {
                    let agreeing = agreement(sketch(probe), sketch(reference));
                    if agreeing > place.0 || (agreeing == place.0 && reference < place.1) {
                        *place = (agreeing, reference);
                    }
                }
            }
        }
    }
    (0..n)
        .zip(best)
        .filter(|(_, (agreeing, _))| usize::from(*agreeing) >= LEAST_AGREEING)
        .map(|(probe, (_, reference))| (probe, reference))
        .collect()
}

fn agreement(a: &[u32], b: &[u32]) -> u8 {
    a.iter().zip(b).map(|(x, y)| u8::from(x == y)).sum()
}

/// Hashes of the runs of [`SHINGLE`] words, repeats included.
fn shingle(text: &str, shingles: &mut Vec<u64>) {
    shingles.clear();
    let mut window = [0_u64; SHINGLE];
    let mut n_words = 0_usize;
    let mut push = |word: u64| {
        window.rotate_left(1);
        window[SHINGLE - 1] = word;
        n_words += 1;
        if n_words >= SHINGLE {
            shingles.push(run(&window));
        }
    };
    let mut word: Option<u64> = None;
    for c in text.chars() {
        if c >= '\u{2e80}' && c.is_alphanumeric() {
            word.take().into_iter().for_each(&mut push);
            push(mix(u64::from(u32::from(c))));
        } else if c.is_alphanumeric() {
            word =
                Some((word.unwrap_or(0xcbf2_9ce4_8422_2325) ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3));
        } else {
            word.take().into_iter().for_each(&mut push);
        }
    }
    word.into_iter().for_each(&mut push);
    if (1..SHINGLE).contains(&n_words) {
        shingles.push(run(&window));
    }
}

fn run(words: &[u64]) -> u64 {
    words.iter().fold(0, |h, &w| mix(h ^ w))
}

/// Minimum of each hash function, multiply-shift of the shingle's hash; all ones for no shingle.
fn fill(sketch: &mut [u32], shingles: &[u64], seeds: &[(u64, u64); HASHES]) {
    sketch.fill(u32::MAX);
    for &s in shingles {
        for (least, (a, b)) in sketch.iter_mut().zip(seeds) {
            *least = (*least).min((a.wrapping_mul(s).wrapping_add(*b) >> 32) as u32);
        }
    }
}

/// Odd factors and offsets, the same on every machine and day.
fn seeds() -> [(u64, u64); HASHES] {
    let mut state = 0_u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(state)
    };
    std::array::from_fn(|_| (next() | 1, next()))
}

/// The finaliser of `SplitMix64`.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` words drawn from `vocabulary` many.
    fn words(rng: &mut fastrand::Rng, n: usize, vocabulary: u32) -> Vec<String> {
        (0..n).map(|_| format!("w{}", rng.u32(..vocabulary))).collect()
    }

    fn find(references: &[String], probes: &[String]) -> Vec<Twin> {
        let texts: Vec<&String> = references.iter().chain(probes).collect();
        let mut roles = vec![Role::Reference; references.len()];
        roles.resize(texts.len(), Role::Probe);
        twins(&roles, |i| texts[i])
    }

    #[test]
    fn twins_are_found_and_strangers_are_not() {
        let mut rng = fastrand::Rng::with_seed(1);
        let references: Vec<Vec<String>> = (0..2_000).map(|_| words(&mut rng, 60, 5_000)).collect();
        // One word replaced: 3 of 58 shingles differ, J = 55/61 = 0.90.
        let probes: Vec<String> = (0..1_000)
            .map(|i| {
                let mut text = if i < 500 { references[2 * i].clone() } else { words(&mut rng, 60, 5_000) };
                text[10 + i % 40] = "changed".to_owned();
                text.join(" ")
            })
            .collect();
        let references: Vec<String> = references.iter().map(|w| w.join(" ")).collect();
        let found = find(&references, &probes);
        let right = found.iter().filter(|t| 2 * (t.probe - 2_000) == t.reference);
        assert!(right.count() >= 499, "{}", found.len());
        assert!(found.iter().all(|t| t.probe < 2_500), "strangers");
    }

    #[test]
    fn recall_at_the_threshold_is_as_documented() {
        let mut rng = fastrand::Rng::with_seed(2);
        // 102 words have 100 shingles; four replaced words far apart change 12: J = 88/112. Two at the ends and three
        // within change 11: J = 89/111 = 0.802.
        let references: Vec<Vec<String>> = (0..1_000).map(|_| words(&mut rng, 102, 50_000)).collect();
        let probes: Vec<String> = references
            .iter()
            .map(|text| {
                let mut text = text.clone();
                for place in [0, 20, 40, 60, 101] {
                    text[place] = "changed".to_owned();
                }
                text.join(" ")
            })
            .collect();
        let references: Vec<String> = references.iter().map(|w| w.join(" ")).collect();
        let found = find(&references, &probes);
        assert!(found.len() >= 995, "{}", found.len());
        assert!(found.iter().all(|t| (t.similarity - 89.0 / 111.0).abs() < 1e-12));
    }

    #[test]
    fn less_than_the_threshold_is_no_twin() {
        let mut rng = fastrand::Rng::with_seed(3);
        let references: Vec<Vec<String>> = (0..500).map(|_| words(&mut rng, 60, 50_000)).collect();
        let probes: Vec<String> =
            references.iter().map(|t| [&t[..45], &["x".to_owned()][..]].concat().join(" ")).collect();
        let references: Vec<String> = references.iter().map(|w| w.join(" ")).collect();
        assert!(find(&references, &probes).is_empty()); // J = 43/59
    }

    #[test]
    fn a_template_does_not_hide_a_twin() {
        let mut rng = fastrand::Rng::with_seed(4);
        let template = words(&mut rng, 40, 1_000).join(" ");
        let references: Vec<String> =
            (0..3_000).map(|_| format!("{template} {}", words(&mut rng, 60, 50_000).join(" "))).collect();
        let probes: Vec<String> = references.iter().step_by(10).map(|text| format!("{text} please")).collect();
        let found = find(&references, &probes);
        let right = found.iter().filter(|t| (t.probe - 3_000) * 10 == t.reference).count();
        assert!(right >= 297, "{right} of 300");
    }

    #[test]
    fn case_of_few_words_no_words_and_scripts_without_spaces() {
        let references = ["two words", "", "今天天气很好我们去公园散步吧"].map(str::to_owned);
        let probes = ["two, words!", "", "今天天气很好我们去公园散步吧。", "two"].map(str::to_owned);
        let found = find(&references, &probes);
        assert_eq!(found.iter().map(|t| (t.probe, t.reference)).collect::<Vec<_>>(), [(3, 0), (5, 2)]);
    }
}
