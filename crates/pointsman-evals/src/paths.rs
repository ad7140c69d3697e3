//! What a user names as a log: files, patterns, folders.

use std::path::{Path, PathBuf};

use glob::MatchOptions;

use crate::error::Error;
use crate::form::Form;

/// The files behind what a user named, each once, in the order named.
///
/// A name is taken as it stands if such a file exists. Else `*`, `?`, `[…]` and `**` make it a pattern. A folder, named
/// or matched, stands for every file below it whose name tells a known form. Hidden files and folders are passed over,
/// and `prices.csv`, which is no log; links to folders within folders are not followed. Files of one pattern or folder are sorted by path.
///
/// # Errors
///
/// [`Error::NothingFound`] if a pattern or folder leads to no file; [`Error::Io`] if a name that is no pattern does
/// not exist, or a folder cannot be listed.
///
/// # Examples
///
/// ```
/// let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/demo");
/// let files = pointsman_evals::resolve_paths(&[format!("{data}/l*.parquet").into()])?;
/// assert!(files[0].ends_with("log.parquet"));
/// assert!(pointsman_evals::resolve_paths(&[format!("{data}/*.xml").into()]).is_err());
/// # Ok::<(), pointsman_evals::Error>(())
/// ```
pub fn resolve_paths(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    resolve(named, &|file| Form::of_name(file).is_some())
}

/// The same, where `accepts` says which files of a folder are meant.
pub(crate) fn resolve(named: &[PathBuf], accepts: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    for name in named {
        let mut found = Vec::new();
        if name.is_dir() {
            walk(name, accepts, &mut found)?;
        } else if let Some(pattern) = name.to_str().filter(|text| !name.exists() && text.contains(['*', '?', '['])) {
            expand(pattern, accepts, &mut found)?;
        } else {
            // One that does not exist fails when it is opened, with the reason.
            files.push(name.clone());
            continue;
        }
        if found.is_empty() {
            return Err(Error::NothingFound { named: name.clone(), is_folder: name.is_dir() });
        }
        found.sort();
        files.append(&mut found);
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn expand(pattern: &str, accepts: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let options =
        MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, ..MatchOptions::new() };
    let matches = glob::glob_with(pattern, options).map_err(|error| Error::InvalidOption {
        option: "LOG",
        expected: "a file, a folder or a pattern",
        got: format!("{pattern}: {error}"),
    })?;
    for entry in matches {
        let path = entry.map_err(|error| Error::Io { file: error.path().to_owned(), source: error.into() })?;
        if path.is_dir() {
            walk(&path, accepts, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// What a price list is mostly called.
const PRICES: &str = "prices.csv";

fn walk(folder: &Path, accepts: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), Error> {
    let io = |source| Error::Io { file: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let path = entry.path();
        let name = entry.file_name();
        if name.to_string_lossy().starts_with('.') || name == PRICES {
            continue;
        }
        if entry.file_type().map_err(io)?.is_dir() {
            walk(&path, accepts, found)?;
        } else if accepts(&path) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with files of several names.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder is writable");
        for name in [
            "b.csv",
            "a.jsonl.zst",
            "notes.txt",
            ".hidden.csv",
            "deep/er/c.tsv",
            ".git/d.csv",
            "deep/prices.csv",
            "x[1].csv",
            "x1.csv",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
            std::fs::write(path, "x").expect("writable");
        }
        folder
    }

    fn resolved(folder: &tempfile::TempDir, names: &[&str]) -> Vec<String> {
        let named: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        let files = resolve_paths(&named).expect("something is found");
        let relative = |file: PathBuf| file.strip_prefix(folder.path()).expect("inside").display().to_string();
        files.into_iter().map(relative).collect()
    }

    #[test]
    fn a_folder_stands_for_its_tables() {
        assert_eq!(resolved(&folder(), &["."]), ["a.jsonl.zst", "b.csv", "deep/er/c.tsv", "x1.csv", "x[1].csv"]);
    }

    #[test]
    fn a_pattern_is_expanded_in_order_and_each_file_is_taken_once() {
        let folder = folder();
        assert_eq!(resolved(&folder, &["*.csv", "b.csv"]), ["b.csv", "x1.csv", "x[1].csv"]);
        assert_eq!(resolved(&folder, &["**/*.tsv"]), ["deep/er/c.tsv"]);
        assert_eq!(resolved(&folder, &["dee?"]), ["deep/er/c.tsv"], "a folder that matches");
    }

    #[test]
    fn an_existing_file_wins_over_its_name_as_a_pattern() {
        assert_eq!(resolved(&folder(), &["x[1].csv"]), ["x[1].csv"]);
    }

    #[test]
    fn nothing_found_names_the_pattern_or_folder() {
        let folder = folder();
        for (name, is_a) in [("*.parquet", false), (".git/hooks", true)] {
            let path = folder.path().join(name);
            if is_a {
                std::fs::create_dir_all(&path).expect("writable");
            }
            let error = resolve_paths(&[path]).expect_err("nothing is there");
            assert!(matches!(error, Error::NothingFound { is_folder, .. } if is_folder == is_a), "{error}");
            assert!(error.to_string().contains(name) && error.hint().is_some(), "{error}");
        }
        assert!(matches!(resolve_paths(&["a[".into()]), Err(Error::InvalidOption { .. })));
    }
}
