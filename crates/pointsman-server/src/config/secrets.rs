//! Secrets: a configuration says where they are, and never what.

use std::io::Read;
use std::path::Path;

use crate::tenants::keys::hidden;

/// What the name of a secret's variable has to be.
pub(super) const VARIABLE: &str = "the name of an environment variable that is set";
/// What the name of a secret's file has to be.
pub(super) const FILE: &str = "a file that can be read, with the secret and nothing else in it, at most 64 KiB";

/// What an error repeats of the name of a variable: a secret that stands in its place is not repeated.
pub(super) fn variable_told(name: &str) -> String {
    let is_name =
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if is_name { name.to_owned() } else { hidden(name) }
}

/// The same of a file's: its last part has an ending, or is short.
pub(super) fn file_told(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_name = name.len() <= 16 || file.extension().is_some_and(|extension| extension.len() <= 8);
    if is_name { file.display().to_string() } else { hidden(&name) }
}

const LONGEST: u64 = 64 << 10;

/// The value of an environment variable.
pub(super) fn of_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What is in a file, without the blank space and the line's end around it.
pub(super) fn of_file(file: &Path) -> Option<String> {
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text)).ok()?;
    let secret = text.trim();
    (read as u64 <= LONGEST && !secret.is_empty()).then(|| secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        assert_eq!(variable_told("OPENAI_API_KEY_2"), "OPENAI_API_KEY_2");
        assert_eq!(variable_told("sk-proj-very-secret"), "something else of 19 characters");
        for (file, expected) in [
            ("/run/secrets/openai", "/run/secrets/openai"),
            ("/etc/p/openai-key-of-europe.txt", "/etc/p/openai-key-of-europe.txt"),
            ("/etc/p/sk-proj-0123456789abcdef", "something else of 24 characters"),
        ] {
            assert_eq!(file_told(Path::new(file)), expected);
        }
    }
}
