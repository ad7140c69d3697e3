//! Compressed text forms: the same log, and typed errors for what is damaged, cut or endless.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::input::LONGEST_RECORD;

const CSV: &str = "prompt,model,score\nWhat is 2 + 2?,a,1\nWhat is 2 + 2?,b,0\n";
const JSONL: &str = "{\"prompt\":\"What is 2 + 2?\",\"model\":\"a\",\"score\":1}\n{\"prompt\":\"What is 2 + 2?\",\"model\":\"b\",\"score\":0}\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory is writable");
    encoder.finish().expect("memory is writable")
}

/// With a checksum, as the command-line tool writes them.
fn zstd(text: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory is writable");
    encoder.include_checksum(true).expect("supported");
    encoder.write_all(text).expect("memory is writable");
    encoder.finish().expect("memory is writable")
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<EvalLog, Error> {
    read_text(name, bytes, &ReadOptions::default())
}

#[test]
fn every_text_form_may_be_packed() {
    let plain = csv(CSV).expect("valid").reading.data_sha256;
    let tsv = CSV.replace(',', "\t");
    for (name, text) in [("log.csv", CSV), ("log.tsv", tsv.as_str()), ("log.jsonl", JSONL), ("LOG.NDJSON", JSONL)] {
        let (gz, zst) = (gzip(text.as_bytes()), zstd(text.as_bytes()));
        for (ending, bytes) in [(".gz", &gz), (".GZ", &gz), (".zst", &zst), (".zstd", &zst), ("", &gz), ("", &zst)] {
            let log = read_bytes(&format!("{name}{ending}"), bytes).expect("valid");
            assert_eq!(log.reading.data_sha256, plain, "{name}{ending}");
        }
    }
    // No name at all: the first bytes of what is inside tell.
    for bytes in [gzip(JSONL.as_bytes()), zstd(JSONL.as_bytes())] {
        assert_eq!(read_bytes("log", &bytes).expect("valid").reading.data_sha256, plain);
    }
}

#[test]
fn streams_may_have_several_members() {
    let (head, tail) = CSV.as_bytes().split_at(30);
    for (name, bytes) in
        [("log.csv.gz", [gzip(head), gzip(tail)].concat()), ("log.csv.zst", [zstd(head), zstd(tail)].concat())]
    {
        assert_eq!(read_bytes(name, &bytes).expect("valid").outcomes.len(), 2, "{name}");
    }
}

#[test]
fn a_stream_cut_anywhere_is_a_typed_error() {
    let text = CSV.repeat(50);
    for (name, bytes) in [("log.csv.gz", gzip(text.as_bytes())), ("log.csv.zst", zstd(text.as_bytes()))] {
        for keep in [4, 10, 12, bytes.len() / 2, bytes.len() - 1] {
            let error = read_bytes(name, &bytes[..keep]).expect_err("cut");
            assert!(matches!(error, Error::Truncated { .. }), "{name} {keep}: {error:?}");
            assert!(error.hint().is_some());
        }
    }
}

#[test]
fn what_follows_the_end_and_what_is_damaged_is_a_typed_error() {
    let text = CSV.repeat(50);
    for (name, bytes) in [("log.csv.gz", gzip(text.as_bytes())), ("log.csv.zst", zstd(text.as_bytes()))] {
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        let garbage = [bytes.as_slice(), b"trailing garbage"].concat();
        for bytes in [flipped, garbage] {
            let error = read_bytes(name, &bytes).expect_err("damaged");
            assert!(matches!(error, Error::Corrupt { .. } | Error::Truncated { .. }), "{name}: {error:?}");
        }
        let error = read_bytes(name, CSV.as_bytes()).expect_err("not compressed");
        assert!(matches!(error, Error::Corrupt { .. }), "{name}: {error}");
        assert!(error.hint().expect("a remedy").contains("not compressed"));
        let error = read_bytes(name, &[]).expect_err("empty");
        assert!(matches!(error, Error::EmptyFile { .. }), "{name}: {error}");
    }
    let folder = folder();
    let bytes = zstd(&std::fs::read(table(&folder, "log.parquet", &[row()])).expect("just written"));
    assert!(matches!(read_bytes("log.parquet.zst", &bytes), Err(Error::CompressedParquet { .. })));
}

fn row() -> LogRow {
    LogRow::new(crate::Content::Text("p".into()), "a".into(), 1.0)
}

/// A few kilobytes that unpack to one record without end.
fn bomb(head: &str) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory is writable");
    encoder.write_all(head.as_bytes()).expect("memory is writable");
    io::copy(&mut io::Read::take(io::repeat(b'x'), 4 * LONGEST_RECORD), &mut encoder).expect("memory is writable");
    encoder.finish().expect("memory is writable")
}

#[test]
fn a_record_without_end_is_a_typed_error_with_its_line() {
    for (name, head, line) in [
        ("log.csv.zst", "prompt,model,score\np,a,1\n\"", 3),
        ("log.csv.zst", "prompt,model,", 1),
        ("log.jsonl.zst", "{\"prompt\":\"p\",\"model\":\"a\",\"score\":1}\n{\"prompt\":\"", 2),
    ] {
        let bytes = bomb(head);
        assert!(bytes.len() < 1 << 20);
        let error = read_bytes(name, &bytes).expect_err("no end");
        assert!(matches!(error, Error::RecordTooLong { line: at, .. } if at == line), "{error}");
    }
}

#[test]
fn progress_counts_the_bytes_of_the_file() {
    let folder = folder();
    let text = format!("prompt,model,score\n{}", "What is 2 + 2?,a,1\n".repeat(200_000));
    let path = file(&folder, "log.csv.gz", gzip(text.as_bytes()));
    let mut most = 0;
    read(&[path], &ReadOptions::default(), &mut |now| {
        assert!(now.bytes_done <= now.bytes_total && now.bytes_done >= most);
        most = now.bytes_done;
    })
    .expect("valid");
    assert!(most > 0);
}
