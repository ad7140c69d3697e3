//! Which split each prompt gets, given what the log says and which prompts belong together.

use std::collections::{BTreeMap, HashMap};

use crate::error::Error;
use crate::split::Split;

/// Two independent hashes of a normalised text; equal only for equal texts, but for one chance in 2^128 a pair.
pub(crate) type TextKey = [u64; 2];

/// What matters of one prompt here.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// From the `split` column.
    pub(crate) own: Option<Split>,
    /// The split its text would get.
    pub(crate) hashed: Split,
    /// Equal for equal texts.
    pub(crate) text_key: TextKey,
    /// Every group it was seen in: several only if a `prompt_id` of the log is.
    pub(crate) groups: Vec<&'a str>,
}

/// The splits of all prompts.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) splits: Vec<Split>,
    /// Distinct texts that fall on more than one side.
    pub(crate) texts_across_splits: u64,
    /// Groups that share a prompt with another, and so its split.
    pub(crate) joined_groups: u64,
}

/// Settles the splits. In this order: the prompt's own; with a group, that of its group, else of the groups joined
/// with it, else by the hash of the least of them; without one, that of the same text, else by the hash of the text.
///
/// # Errors
///
/// [`Error::SplitConflict`] if the column gives one group two splits.
pub(crate) fn resolve(subjects: &[Subject<'_>]) -> Result<Resolved, Error> {
    let of_group = splits_of_groups(subjects)?;
    let index: HashMap<&str, usize> = of_group.keys().enumerate().map(|(index, group)| (*group, index)).collect();
    let mut sets = DisjointSets::new(of_group.len());
    for subject in subjects {
        for pair in subject.groups.windows(2) {
            sets.union(index[pair[0]], index[pair[1]]);
        }
    }
    // Groups are indexed in the order of their names, so the root of a set is its least group.
    let names: Vec<&str> = of_group.keys().copied().collect();
    let mut members = vec![0_u64; names.len()];
    let mut of_set = vec![Agreement::default(); names.len()];
    for (node, own) in of_group.values().enumerate() {
        let root = sets.find(node);
        members[root] += 1;
        of_set[root].add(*own);
    }
    let mut of_text: HashMap<TextKey, Agreement> = HashMap::new();
    for subject in subjects.iter().filter(|subject| subject.groups.is_empty()) {
        of_text.entry(subject.text_key).or_default().add(subject.own);
    }

    let splits: Vec<Split> = subjects
        .iter()
        .map(|subject| {
            if let Some(own) = subject.own {
                return own;
            }
            let Some(group) = subject.groups.first() else {
                return of_text[&subject.text_key].split().unwrap_or(subject.hashed);
            };
            let root = sets.find(index[group]);
            let direct = subject.groups.iter().find_map(|group| of_group[group]);
            direct.or(of_set[root].split()).unwrap_or_else(|| Split::of_group(names[root]))
        })
        .collect();

    let mut sides: HashMap<TextKey, Agreement> = HashMap::with_capacity(subjects.len());
    let mut texts_across_splits = 0;
    for (subject, split) in subjects.iter().zip(&splits) {
        let side = sides.entry(subject.text_key).or_default();
        let agreed = *side != Agreement::Several;
        side.add(Some(*split));
        texts_across_splits += u64::from(agreed && *side == Agreement::Several);
    }
    Ok(Resolved { splits, texts_across_splits, joined_groups: members.into_iter().filter(|n| *n > 1).sum() })
}

/// The split that some prompts have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Agreement {
    #[default]
    None,
    One(Split),
    Several,
}

impl Agreement {
    fn add(&mut self, split: Option<Split>) {
        let Some(split) = split else { return };
        *self = match *self {
            Self::None => Self::One(split),
            Self::One(known) if known == split => Self::One(known),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    fn split(self) -> Option<Split> {
        match self {
            Self::One(split) => Some(split),
            Self::None | Self::Several => None,
        }
    }
}

/// The groups that occur, and the split the column gives to each.
fn splits_of_groups<'a>(subjects: &[Subject<'a>]) -> Result<BTreeMap<&'a str, Option<Split>>, Error> {
    let mut by_group: BTreeMap<&str, Option<Split>> = BTreeMap::new();
    for subject in subjects {
        for group in &subject.groups {
            let known = by_group.entry(group).or_default();
            match (*known, subject.own) {
                (Some(a), Some(b)) if a != b => {
                    return Err(Error::SplitConflict {
                        what: "group",
                        name: (*group).to_owned(),
                        first: a.min(b),
                        second: a.max(b),
                    });
                }
                (None, own) => *known = own,
                _ => {}
            }
        }
    }
    Ok(by_group)
}

/// Union-find with path halving; the root is the least member, so it does not depend on the order of unions.
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn find(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    fn union(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(text: u8, own: Option<Split>, groups: &[&'a str]) -> Subject<'a> {
        Subject { own, hashed: Split::Train, text_key: [text.into(); 2], groups: groups.to_vec() }
    }

    /// Group names whose hash says `split`.
    fn group_of(split: Split) -> String {
        (0..1_000).map(|i| format!("g{i}")).find(|name| Split::of_group(name) == split).expect("both sides occur")
    }

    #[test]
    fn the_column_is_respected() {
        let subjects = [
            subject(1, Some(Split::Validation), &[]),
            subject(2, Some(Split::Calibration), &["g"]),
            subject(3, None, &[]),
        ];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.splits, [Split::Validation, Split::Calibration, Split::Train]);
    }

    #[test]
    fn a_group_takes_the_place_of_the_text() {
        let group = group_of(Split::Test);
        let subjects = [subject(1, None, &[&group]), subject(2, None, &[&group])];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.splits, [Split::Test, Split::Test]);
    }

    #[test]
    fn a_prompt_without_a_split_follows_its_group() {
        let group = group_of(Split::Test);
        let subjects = [subject(1, Some(Split::Validation), &[&group]), subject(2, None, &[&group])];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.splits, [Split::Validation, Split::Validation]);
    }

    #[test]
    fn one_group_on_two_sides_is_an_error() {
        let subjects = [subject(1, Some(Split::Test), &["g"]), subject(2, Some(Split::Train), &["g"])];
        let error = resolve(&subjects).expect_err("conflict");
        assert_eq!(error.to_string(), "group `g` is in split `train` and in split `test`");
        assert!(error.hint().is_some());
    }

    #[test]
    fn groups_that_share_a_prompt_stay_together() {
        let (a, b) = (group_of(Split::Train), group_of(Split::Test));
        let subjects = [subject(1, None, &[&a, &b]), subject(2, None, &[&a]), subject(3, None, &[&b])];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.splits, [Split::of_group(a.as_str().min(&b)); 3]);
        assert_eq!(resolved.joined_groups, 2);
    }

    #[test]
    fn groups_that_share_a_text_do_not() {
        // Else every user who ever said hello would be in one set.
        let (a, b) = (group_of(Split::Train), group_of(Split::Test));
        let subjects = [subject(1, None, &[&a]), subject(1, None, &[&b]), subject(1, None, &[])];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.splits, [Split::Train, Split::Test, Split::Train]);
        assert_eq!((resolved.joined_groups, resolved.texts_across_splits), (0, 1));
    }

    #[test]
    fn a_prompt_without_a_split_follows_its_text() {
        let subjects = [subject(1, Some(Split::Test), &[]), subject(1, None, &[])];
        assert_eq!(resolve(&subjects).expect("no conflict").splits, [Split::Test; 2]);
    }

    #[test]
    fn a_text_on_two_sides_of_the_column_is_counted_once() {
        let subjects = [
            subject(1, Some(Split::Test), &[]),
            subject(1, Some(Split::Train), &[]),
            subject(1, None, &[]),
            subject(2, Some(Split::Train), &[]),
        ];
        let resolved = resolve(&subjects).expect("no conflict");
        assert_eq!(resolved.texts_across_splits, 1);
        assert_eq!(resolved.splits[2], Split::Train, "by its hash");
    }
}
