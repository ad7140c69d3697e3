//! Which of the known keys was most likely meant.

/// The key nearest to `name`, if one is near: at most half of the longer of the two would have to change.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // A key is a word; what is longer than any is not worth a comparison.
    let name: String = name.chars().take(40).collect::<String>().to_lowercase();
    let scored = known.iter().map(|key| (strsim::levenshtein(&name, key), *key));
    let (distance, key) = scored.min()?;
    (distance <= name.chars().count().max(key.len()) / 2).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_key() {
        assert_eq!(nearest("objektive", &["allow", "objective"]), Some("objective"));
        assert_eq!(nearest("MaxCost", &["max_cost_usd", "min_quality"]), Some("max_cost_usd"));
    }

    #[test]
    fn nothing_alike_finds_nothing() {
        assert_eq!(nearest("temperature", &["allow", "deny"]), None);
    }
}
