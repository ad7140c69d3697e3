//! Whose word an artifact is: a signature beside its file, as minisign makes it, by the key that the operator names.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};
use pointsman::artifact::identity;

use crate::error::Error;

/// Longest signature that is looked at; minisign's have 300 bytes.
const LONGEST: u64 = 4 << 10;

/// The public key of a text: what minisign writes into the second line of its `.pub`.
pub(super) fn key(text: &str) -> Result<PublicKey, Error> {
    PublicKey::from_base64(text.trim()).map_err(|_| Error::BadSetting {
        field: "router.minisign_key",
        expected: "a public key of minisign, 56 characters that begin with RW",
        got: text.chars().take(80).collect(),
    })
}

/// Checks that a file, whose content has this identity, is signed with this key.
pub(super) fn check(path: &Path, content: &str, key: &PublicKey) -> Result<(), Error> {
    let beside = beside(path);
    let refused = |why| Error::NotSigned { path: path.to_owned(), signature: beside.clone(), why };
    let length = fs::metadata(&beside).map_err(|_| refused("it cannot be read"))?.len();
    if length > LONGEST {
        return Err(refused("it is too long for one"));
    }
    let signature = fs::read_to_string(&beside).map_err(|_| refused("it cannot be read"))?;
    let signature = Signature::decode(&signature).map_err(|_| refused("it is none of minisign's"))?;
    let bytes = fs::read(path).map_err(|_| refused("the artifact cannot be read again"))?;
    // What was loaded is what is signed, or it was replaced in between.
    if identity(&bytes) != content {
        return Err(refused("the artifact was replaced while it was loaded"));
    }
    key.verify(&bytes, &signature, false).map_err(|_| refused("it is of another key or of another file"))
}

/// Where the signature of a file is.
fn beside(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}
