//! Secrets: a configuration says where they are, and never what.

use std::io::Read;
use std::path::Path;

/// What the name of a secret's variable has to be.
pub(super) const VARIABLE: &str = "the name of an environment variable that is set";
/// What the name of a secret's file has to be.
pub(super) const FILE: &str = "a file that can be read, with the secret and nothing else in it, at most 64 KiB";

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
