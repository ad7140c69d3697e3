//! Splits: their names, and the rule that makes them where a log has none.
//!
//! A prompt without a split of its own gets one from its text: `u` = the first 8 bytes, big-endian, of
//! SHA-256(`"split-v1"` + NUL + normalised text), see [`crate::text::normalise`]; `u mod 100 < 80` is
//! `train`, the rest `test`. So the same text falls on the same side in every log, whatever the order of rows.
//! Where the log has a `group`, the group takes the place of the text (`"split-v1"` + NUL + `"group"` + NUL +
//! group): a conversation, user or document never straddles the sides. Groups that share a `prompt_id` are
//! joined and take the name of the least of them. Groups that only share a text are not joined, or every user who
//! ever said hello would be in one set; such texts follow their groups, and
//! [`crate::Reading::texts_across_splits`] counts those that fall on both sides.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Share of train, in percent, of splits made by hashing: the usual 80 to 20. A smaller test part widens the
/// intervals of every benchmark, a larger one takes labels from training.
const TRAIN_PERCENT: u64 = 80;

/// Which part of the log a prompt belongs to.
///
/// # Examples
///
/// ```
/// use pointsman_evals::Split;
///
/// assert_eq!("test".parse(), Ok(Split::Test));
/// assert!("dev".parse::<Split>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// What a router is fitted on.
    Train,
    /// Chosen by: early stopping, thresholds, `calibrate`.
    Validation,
    /// Kept for calibration of probabilities.
    Calibration,
    /// Looked at once, by the benchmark.
    Test,
}

impl Split {
    /// All splits, in order.
    pub const ALL: [Self; 4] = [Self::Train, Self::Validation, Self::Calibration, Self::Test];

    /// The name in the `split` column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Calibration => "calibration",
            Self::Test => "test",
        }
    }

    /// The split of a text that has none of its own; `normalised` as by [`crate::text::normalise`].
    #[must_use]
    pub fn of_text(normalised: &str) -> Self {
        Self::of_key(&[normalised.as_bytes()])
    }

    /// The split of a group that has none of its own.
    #[must_use]
    pub fn of_group(group: &str) -> Self {
        Self::of_key(&[b"group", group.as_bytes()])
    }

    fn of_key(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"split-v1");
        for part in parts {
            hash.update([0]);
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        if u64::from_be_bytes([a, b, c, d, e, f, g, h]) % 100 < TRAIN_PERCENT { Self::Train } else { Self::Test }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A split name that is none of the four.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected train, validation, calibration or test, got `{0}`")]
pub struct UnknownSplit(pub String);

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(text: &str) -> Result<Self, UnknownSplit> {
        Self::ALL.into_iter().find(|split| split.as_str() == text).ok_or_else(|| UnknownSplit(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for split in Split::ALL {
            assert_eq!(split.as_str().parse(), Ok(split));
        }
        assert!("Train".parse::<Split>().is_err());
    }

    #[test]
    fn about_a_fifth_is_test() {
        let n_test = (0..10_000).filter(|i| Split::of_text(&format!("prompt number {i}")) == Split::Test).count();
        assert!((1_850..2_150).contains(&n_test), "{n_test}");
    }

    #[test]
    fn a_group_and_a_text_of_the_same_name_are_hashed_apart() {
        let differ = (0..100).filter(|i| Split::of_text(&i.to_string()) != Split::of_group(&i.to_string())).count();
        assert!(differ > 5);
    }
}
