//! Outputs are written whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::unusable;

/// Checks, before any work is done, that `path` can be written to later.
///
/// What is there already must be an ordinary file and none of the `inputs`, since it will be replaced.
pub(crate) fn check_writable(path: &Path, inputs: &[&Path]) -> anyhow::Result<()> {
    if path.is_dir() {
        return Err(unusable(format!("output `{}`: is a folder, expected a file name", path.display())));
    }
    if path.exists() && !path.is_file() {
        return Err(unusable(format!("output `{}`: exists and is no ordinary file", path.display())));
    }
    let same = |input: &&Path| matches!((path.canonicalize(), input.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if inputs.iter().any(same) {
        return Err(unusable(format!("output `{}`: is an input too, and would be overwritten", path.display())));
    }
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(unusable(format!("output `{}`: its folder does not exist", path.display())));
    }
    Ok(())
}

/// Writes to a temporary sibling, then renames: nobody ever sees half a file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    let temporary = folder(path).join(format!(".{name}.{}.partial", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary))).with_context(|| format!("writing `{}`", path.display()))
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
