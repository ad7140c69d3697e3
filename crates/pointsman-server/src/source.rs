//! Where settings come from: a function, or a configuration file that the admin plane shows and replaces.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::form::Form;
use crate::error::Error;
use crate::settings::Settings;

/// Where settings come from, asked anew at every reload from a thread that may block: a function, or a [`ConfigFile`].
pub struct Source(Origin);

type Ask = dyn Fn() -> Result<Settings, Error> + Send + Sync;
type Settle = dyn Fn(Config) -> Result<Settings, Error> + Send + Sync;

enum Origin {
    Function(Box<Ask>),
    File(ConfigFile),
}

/// A configuration file that the admin plane may show, check and replace.
///
/// # Examples
/// ```no_run
/// use pointsman_server::{Config, ConfigFile, Server};
///
/// let server = Server::open(ConfigFile::new("pointsman.toml", Config::into_settings))?;
/// # Ok::<(), pointsman_server::Error>(())
/// ```
pub struct ConfigFile {
    path: PathBuf,
    settle: Box<Settle>,
}

impl ConfigFile {
    /// The file at `path`. `settle` makes settings of what it says, and is where a command line has its say: what it
    /// puts in the place of the file's goes before every text that the file will ever hold.
    pub fn new(
        path: impl Into<PathBuf>,
        settle: impl Fn(Config) -> Result<Settings, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { path: path.into(), settle: Box::new(settle) }
    }

    /// How its texts are written.
    pub(crate) fn form(&self) -> Form {
        Form::of(&self.path)
    }

    /// Its text of this moment.
    pub(crate) fn read(&self) -> Result<String, Error> {
        std::fs::read_to_string(&self.path).map_err(|source| Error::ConfigRead { path: self.path.clone(), source })
    }

    /// The settings that a text in its place would give.
    pub(crate) fn settings(&self, text: &str) -> Result<Settings, Error> {
        (self.settle)(Config::beside(text, &self.path)?)
    }

    /// Puts a text in its place: whoever reads the file finds the old one or the new one, and after a loss of power too.
    pub(crate) fn replace(&self, text: &str) -> Result<(), Error> {
        write_whole(&self.path, text).map_err(|source| Error::ConfigWrite { path: self.path.clone(), source })
    }
}

/// Writes beside the file and moves into its place; permissions are kept, and a link goes on pointing where it did.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let folder = path.parent().expect("a file is in a folder");
    // Nobody else may read it until it has the permissions of the old one.
    let suffix = Form::of(&path).suffix();
    let mut beside = tempfile::Builder::new().prefix(".pointsman-").suffix(suffix).tempfile_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    beside.as_file().sync_all()?;
    beside.persist(&path)?;
    // The text is in place; that the folder says so after a loss of power is what a file system may refuse to promise.
    if let Err(error) = std::fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::warn!(cause = error.to_string(), "the configuration's folder cannot be synchronised");
    }
    Ok(())
}

impl Source {
    /// The settings of this moment, and the text that they were read from where there is a file.
    pub(crate) fn read(&self) -> Result<(Settings, Option<String>), Error> {
        match &self.0 {
            Origin::Function(ask) => Ok((ask()?, None)),
            Origin::File(file) => {
                let text = file.read()?;
                Ok((file.settings(&text)?, Some(text)))
            }
        }
    }

    /// The file behind it.
    pub(crate) fn file(&self) -> Result<&ConfigFile, Error> {
        match &self.0 {
            Origin::Function(_) => Err(Error::NoConfigFile),
            Origin::File(file) => Ok(file),
        }
    }
}

impl<F: Fn() -> Result<Settings, Error> + Send + Sync + 'static> From<F> for Source {
    fn from(ask: F) -> Self {
        Self(Origin::Function(Box::new(ask)))
    }
}

impl From<ConfigFile> for Source {
    fn from(file: ConfigFile) -> Self {
        Self(Origin::File(file))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Origin::Function(_) => f.write_str("Source(function)"),
            Origin::File(file) => f.debug_tuple("Source").field(file).finish(),
        }
    }
}

impl std::fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_permissions_and_links() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
        std::fs::write(&file, "old").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("ours");
        symlink(&file, &link).expect("linked");
        ConfigFile::new(&link, Config::into_settings).replace("new").expect("replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "new");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).expect("there").count(), 2, "nothing is left beside them");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_named() {
        let error = ConfigFile::new("nowhere/p.toml", Config::into_settings).replace("x").expect_err("no folder");
        assert_eq!(error.to_string(), "configuration `nowhere/p.toml`: cannot be replaced");
    }
}
