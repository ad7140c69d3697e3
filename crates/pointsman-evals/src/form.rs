//! The forms a table may have, by its name and by its first bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::Error;
use crate::input::Source;

/// The form of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Parquet,
    Csv,
    Tsv,
    Jsonl,
}

/// How the bytes of a text form are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Form {
    /// By the name's ending, `.gz` and `.zst` apart.
    pub(crate) fn of_name(file: &Path) -> Option<Self> {
        let (name, _) = packed_name(file)?;
        let ending = Path::new(&name).extension()?.to_str()?.to_owned();
        match ending.as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

impl Compression {
    /// By the name's ending.
    pub(crate) fn of_name(file: &Path) -> Self {
        packed_name(file).map_or(Self::None, |(_, compression)| compression)
    }

    /// By the first bytes: RFC 1952 and RFC 8878.
    fn of_bytes(first: &[u8]) -> Self {
        if first.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// The word for messages.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The name in lower case without the ending of a compression, and that compression.
fn packed_name(file: &Path) -> Option<(String, Compression)> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let endings = [(".gz", Compression::Gzip), (".zst", Compression::Zstd), (".zstd", Compression::Zstd)];
    let packed =
        endings.iter().find_map(|(ending, compression)| Some((name.strip_suffix(ending)?.to_owned(), *compression)));
    Some(packed.unwrap_or((name, Compression::None)))
}

/// What a file holds: the form by its name, else by its first bytes; the compression by its first bytes.
pub(crate) fn detect(file: &Path) -> Result<Source<'_>, Error> {
    let first = first_bytes(file)?;
    if first.is_empty() {
        return Err(Error::EmptyFile { file: file.to_owned() });
    }
    let compression = Compression::of_bytes(&first);
    let named = Compression::of_name(file);
    if named != Compression::None && compression != named {
        return Err(Error::Corrupt {
            file: file.to_owned(),
            form: named.as_str(),
            problem: format!("it begins with `{}`", first[..first.len().min(4)].escape_ascii()),
        });
    }
    let form = Form::of_name(file);
    if form == Some(Form::Parquet) && compression != Compression::None {
        return Err(Error::CompressedParquet { file: file.to_owned() });
    }
    if let Some(form) = form {
        return Ok(Source { file, form, compression });
    }
    let source = Source { file, form: Form::Jsonl, compression };
    let first = if compression == Compression::None { first } else { source.first_bytes()? };
    if first.starts_with(b"PAR1") {
        Ok(Source { form: Form::Parquet, ..source })
    } else if matches!(first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first).trim_ascii_start(), [b'{' | b'[', ..]) {
        Ok(source)
    } else {
        Err(Error::UnknownForm { file: file.to_owned() })
    }
}

fn first_bytes(file: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { file: file.to_owned(), source };
    let mut first = Vec::with_capacity(16);
    File::open(file).map_err(io)?.take(16).read_to_end(&mut first).map_err(io)?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_form_and_compression() {
        for (name, form, compression) in [
            ("a.csv", Some(Form::Csv), Compression::None),
            ("logs/A.CSV.GZ", Some(Form::Csv), Compression::Gzip),
            ("a.tab.zst", Some(Form::Tsv), Compression::Zstd),
            ("a.tsv", Some(Form::Tsv), Compression::None),
            ("a.ndjson.zstd", Some(Form::Jsonl), Compression::Zstd),
            ("a.pq", Some(Form::Parquet), Compression::None),
            ("a.gz", None, Compression::Gzip),
            ("a", None, Compression::None),
            (".csv", None, Compression::None),
        ] {
            assert_eq!(
                (Form::of_name(Path::new(name)), Compression::of_name(Path::new(name))),
                (form, compression),
                "{name}"
            );
        }
    }
}
