//! The pattern of `--task`: `*` for any run of characters, `?` for one.

/// Whether `text` as a whole matches `pattern`; case counts. Linear in practice, `O(p · t)` at worst.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to resume when a literal fails after a star: the star, and the first character it has not yet taken.
    let mut resume: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            resume = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, taken)) = resume {
            p = star + 1;
            t = taken + 1;
            resume = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("mmlu/*", "mmlu/law"),
            ("*law*", "mmlu/law"),
            ("m?th", "math"),
            ("a*b*c", "a-b-b-c"),
            ("math", "math"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("m?th", "mth"), ("math", "Math"), ("a*c", "a-b"), ("mmlu/?", "mmlu/law")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
