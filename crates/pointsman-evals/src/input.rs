//! The bytes of a text form: unpacked on the way, in bounded memory, whatever the file holds.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use crate::error::Error;
use crate::form::{Compression, Form};

/// Longest record (line) of a text form, in bytes: room for a book as one prompt. Bounds what an unclosed quote or
/// a compressed file of one endless line can make a reader hold.
pub(crate) const LONGEST_RECORD: u64 = 64 << 20;

/// A file and what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a Path,
    pub(crate) form: Form,
    pub(crate) compression: Compression,
}

impl Source<'_> {
    /// Opens the text.
    pub(crate) fn open(&self) -> Result<Text, Error> {
        let io = |source| Error::Io { file: self.file.to_owned(), source };
        let packed = Counted { file: File::open(self.file).map_err(io)?, bytes: Rc::default() };
        let bytes = packed.bytes.clone();
        let packed = BufReader::with_capacity(1 << 16, packed);
        let unpacked: Box<dyn Read> = match self.compression {
            Compression::None => Box::new(packed),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            // Frames whose window is larger than 128 MiB are refused by default; that bounds the decoder's memory.
            Compression::Zstd => Box::new(zstd::Decoder::with_buffer(packed).map_err(io)?),
        };
        Ok(Text { unpacked, bytes, record: 0 })
    }

    /// The first bytes of the text.
    pub(crate) fn first_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut first = Vec::with_capacity(16);
        self.open()?.take(16).read_to_end(&mut first).map_err(|error| self.error(1, error))?;
        if first.is_empty() { Err(Error::EmptyFile { file: self.file.to_owned() }) } else { Ok(first) }
    }

    /// What a failure to read the text means; `line` is where the record at hand begins.
    pub(crate) fn error(&self, line: u64, source: io::Error) -> Error {
        let file = self.file.to_owned();
        if source.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<TooLong>) {
            Error::RecordTooLong { file, line, most: LONGEST_RECORD }
        } else if self.compression == Compression::None || source.raw_os_error().is_some() {
            Error::Io { file, source }
        } else if source.kind() == io::ErrorKind::UnexpectedEof {
            Error::Truncated { file, form: self.compression.as_str() }
        } else {
            Error::Corrupt { file, form: self.compression.as_str(), problem: source.to_string() }
        }
    }
}

/// The text of a file, unpacked, with a limit on the length of a record.
pub(crate) struct Text {
    unpacked: Box<dyn Read>,
    /// Bytes of the file read so far.
    bytes: Rc<Cell<u64>>,
    /// Bytes handed out since the last record began.
    record: u64,
}

impl Text {
    /// A record is complete: the next one may be as long again.
    pub(crate) fn next_record(&mut self) {
        self.record = 0;
    }

    /// Bytes of the file read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.record > LONGEST_RECORD {
            return Err(io::Error::other(TooLong));
        }
        let read = self.unpacked.read(buffer)?;
        self.record += read as u64;
        Ok(read)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// A record is longer than [`LONGEST_RECORD`].
#[derive(Debug, thiserror::Error)]
#[error("record too long")]
struct TooLong;

/// A file that counts what is read of it.
struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}
