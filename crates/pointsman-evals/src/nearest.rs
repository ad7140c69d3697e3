//! Which of the names at hand was most likely meant.

/// The candidates most similar to `name`, best first, at most `most`; only those that share enough with it.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= wanted.chars().count().max(candidate.chars().count()) / 2)
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(most).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Levenshtein distance, except that a name contained in the other is one step away.
fn distance(a: &str, b: &str) -> usize {
    if a == b {
        return 0;
    }
    if a.len() >= 3 && b.len() >= 3 && (a.contains(b) || b.contains(a)) {
        return 1;
    }
    strsim::levenshtein(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name() {
        assert_eq!(nearest("gpt4o", ["gpt-4o", "claude", "gpt-4o-mini"], 1), ["gpt-4o"]);
    }

    #[test]
    fn nothing_alike_finds_nothing() {
        assert!(nearest("prompt", ["zzz", "score"], 3).is_empty());
    }
}
