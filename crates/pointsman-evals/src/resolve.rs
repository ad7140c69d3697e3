//! Which split each prompt gets, given what the log says and which prompts belong together.

use std::collections::{BTreeMap, HashMap};

use crate::error::Error;
use crate::split::Split;

/// What matters of one prompt here.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// From the `split` column.
    pub(crate) own: Option<Split>,
    /// The split its text would get.
    pub(crate) hashed: Split,
    /// Equal for equal texts.
    pub(crate) text_key: [u8; 16],
    /// Every group it was seen in.
    pub(crate) groups: Vec<&'a str>,
}

/// The splits of all prompts.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) splits: Vec<Split>,
    /// Distinct texts that the `split` column puts on more than one side.
    pub(crate) texts_across_splits: u64,
}

/// Settles the splits. In this order: the prompt's own; its group's; that of the prompts it is joined with
/// through groups and equal texts, if they agree; else by hash, see [`crate::split`].
///
/// # Errors
///
/// [`Error::SplitConflict`] if the column gives one group two splits.
pub(crate) fn resolve(subjects: &[Subject<'_>]) -> Result<Resolved, Error> {
    let by_group = splits_of_groups(subjects)?;

    // Nodes: one per prompt, then one per group; an edge where a prompt is of a group or of a known text.
    let group_index: BTreeMap<&str, usize> =
        by_group.keys().enumerate().map(|(index, group)| (*group, subjects.len() + index)).collect();
    let mut sets = DisjointSets::new(subjects.len() + group_index.len());
    let mut first_of_text: HashMap<[u8; 16], usize> = HashMap::with_capacity(subjects.len());
    for (index, subject) in subjects.iter().enumerate() {
        let first = *first_of_text.entry(subject.text_key).or_insert(index);
        sets.union(index, first);
        for group in &subject.groups {
            sets.union(index, group_index[group]);
        }
    }

    // Per set: its least group and the splits its members have of their own.
    let mut least_group: HashMap<usize, &str> = HashMap::new();
    for (group, node) in &group_index {
        // Groups come in order, so the first stays.
        least_group.entry(sets.find(*node)).or_insert(group);
    }
    let mut own_of_set: HashMap<usize, Vec<Split>> = HashMap::new();
    let mut own_of_text: HashMap<usize, Vec<Split>> = HashMap::new();
    for (index, subject) in subjects.iter().enumerate() {
        if let Some(own) = subject.own {
            add(own_of_set.entry(sets.find(index)).or_default(), own);
            add(own_of_text.entry(first_of_text[&subject.text_key]).or_default(), own);
        }
    }
    let across =
        (0..subjects.len()).filter(|index| own_of_text.get(index).is_some_and(|splits| splits.len() > 1)).count();

    let splits = subjects
        .iter()
        .enumerate()
        .map(|(index, subject)| {
            let set = sets.find(index);
            let of_group = || subject.groups.iter().find_map(|group| by_group[group]);
            let of_set = || match own_of_set.get(&set).map(Vec::as_slice) {
                Some([only]) => Some(*only),
                _ => None,
            };
            subject
                .own
                .or_else(of_group)
                .or_else(of_set)
                .or_else(|| least_group.get(&set).map(|group| Split::of_group(group)))
                .unwrap_or(subject.hashed)
        })
        .collect();
    Ok(Resolved { splits, texts_across_splits: across as u64 })
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

fn add(splits: &mut Vec<Split>, split: Split) {
    if !splits.contains(&split) {
        splits.push(split);
    }
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
        Subject { own, hashed: Split::Train, text_key: [text; 16], groups: groups.to_vec() }
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
    fn groups_that_share_a_text_stay_together() {
        let (a, b) = (group_of(Split::Train), group_of(Split::Test));
        let subjects = [subject(1, None, &[&a]), subject(1, None, &[&b]), subject(2, None, &[&b])];
        let splits = resolve(&subjects).expect("no conflict").splits;
        assert!(splits.iter().all(|split| *split == splits[0]), "{splits:?}");
        assert_eq!(splits[0], Split::of_group(a.as_str().min(&b)));
    }

    #[test]
    fn a_text_on_two_sides_of_the_column_is_counted() {
        let subjects = [
            subject(1, Some(Split::Test), &[]),
            subject(1, Some(Split::Train), &[]),
            subject(2, Some(Split::Train), &[]),
        ];
        assert_eq!(resolve(&subjects).expect("no conflict").texts_across_splits, 1);
    }
}
