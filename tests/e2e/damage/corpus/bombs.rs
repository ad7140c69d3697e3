//! Small files that unpack to much.

use std::io::Write;

use super::{Case, Expected};

/// Small files that unpack to much more.
pub(crate) fn bombs() -> Vec<Case> {
    const UNPACKED: usize = 1 << 30;
    let block = |fill: u8| vec![fill; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).expect("an encoder in memory");
    let mut lines = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    lines.write_all(b"prompt,model,score\n").expect("written to memory");
    let rows = "a,m,nonsense\n".repeat((1 << 20) / 13);
    for _ in 0..32 {
        lines.write_all(rows.as_bytes()).expect("written to memory");
    }
    for _ in 0..UNPACKED >> 20 {
        gzip.write_all(&block(b'x')).expect("written to memory");
        zstd.write_all(&block(b'{')).expect("written to memory");
    }
    let case =
        |name: &str, file, bytes| Case { name: format!("{file}: {name}"), file, bytes, expected: Expected::Refused };
    vec![
        case("a gigabyte on one line", "bomb.csv.gz", gzip.finish().expect("written to memory")),
        case("a gigabyte on one line", "bomb.jsonl.zst", zstd.finish().expect("written to memory")),
        case("32 MiB of unusable rows", "rows.csv.gz", lines.finish().expect("written to memory")),
    ]
}
