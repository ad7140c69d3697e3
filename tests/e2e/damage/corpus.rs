//! The generator of damaged inputs: the same ones every time.
//!
//! A case starts from a good file and damages its bytes (cut, flipped, overwritten, removed, repeated) or its meaning
//! (wrong types, impossible numbers, broken encodings, absurd sizes). Some damage leaves a file that can be used, as
//! when a letter of a prompt changes: only cases marked [`Expected::Refused`] have to be refused, but none may crash.

mod bombs;
mod logs;
mod requests;

pub(crate) use bombs::bombs;
pub(crate) use logs::senseless_logs;
pub(crate) use requests::{DamagedRequest, requests};

/// What must become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A typed error.
    Refused,
    /// A typed error, or a result: the damage may not matter.
    Either,
}

/// One damaged file.
#[derive(Debug)]
pub(crate) struct Case {
    /// What was done to it.
    pub(crate) name: String,
    /// File name, whose ending tells the form.
    pub(crate) file: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// `n` rows of a text form.
pub(crate) fn lines(n: usize, row: impl Fn(usize) -> String) -> String {
    (0..n).map(row).collect::<Vec<String>>().concat()
}

/// Damage to the bytes of a good file, whatever it holds.
pub(crate) fn damaged(file: &'static str, good: &[u8], amount: usize, seed: u64) -> Vec<Case> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cases = Vec::new();
    let mut add = |name: String, bytes: Vec<u8>| {
        cases.push(Case { name: format!("{file}: {name}"), file, bytes, expected: Expected::Either });
    };
    for cut in (0..amount / 5).map(|part| good.len() * part / (amount / 5)) {
        add(format!("cut at {cut}"), good[..cut].to_vec());
    }
    for _ in 0..amount * 2 / 5 {
        let bit = random.usize(..good.len() * 8);
        let mut bytes = good.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        add(format!("bit {bit} flipped"), bytes);
    }
    for _ in 0..amount / 5 {
        let (at, length) = (random.usize(..good.len()), random.usize(1..64));
        let fill = [0x00, 0xff, b'"', b'\n', b','][random.usize(..5)];
        let mut bytes = good.to_vec();
        let end = (at + length).min(bytes.len());
        bytes[at..end].fill(fill);
        add(format!("{at}..{end} filled with {fill:#04x}"), bytes);
    }
    for _ in 0..amount / 10 {
        let (at, length) = (random.usize(..good.len()), random.usize(1..200));
        let end = (at + length).min(good.len());
        add(format!("{at}..{end} removed"), [&good[..at], &good[end..]].concat());
        add(format!("{at}..{end} repeated"), [&good[..end], &good[at..]].concat());
    }
    cases
}
