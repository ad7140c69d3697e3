//! Logs that are wrong in what they say.

use super::Expected::{self, Either, Refused};
use super::{Case, lines};

const HEADER: &str = "prompt,model,score\n";

/// Scores that leave nothing to use where every row has them.
const SCORES: [&str; 15] =
    ["abc", "NaN", "inf", "-inf", "1e400", "-1", "1.5", "7", "0x1", "1,5", "\"\"", "null", "[]", "{}", "١"];

/// Values that no such column has.
const VALUES: [(&str, &str); 16] = [
    ("cost_usd", "-1"),
    ("cost_usd", "NaN"),
    ("cost_usd", "1e999"),
    ("cost_usd", "free"),
    ("input_tokens", "-5"),
    ("output_tokens", "1e30"),
    ("output_chars", "many"),
    ("latency_ms", "-0.5"),
    ("split", "tset"),
    ("weight", "-1"),
    ("weight", "inf"),
    ("timestamp", "yesterday"),
    ("timestamp", "2026-02-30T00:00:00Z"),
    ("repeat", "x"),
    ("propensity", "2"),
    ("propensity", "0"),
];

/// Tables that are none.
const TABLES: [(&str, &str); 15] = [
    ("nothing", ""),
    ("one byte", "p"),
    ("white space", " \n\t\n \r\n"),
    ("only a header", HEADER),
    ("a byte order mark", "\u{feff}"),
    ("a header twice", "prompt,prompt,model,score\na,b,c,1\n"),
    ("no model", "prompt,score\na,1\n"),
    ("no score", "prompt,model\na,b\n"),
    ("no prompt", "model,score\nb,1\n"),
    ("empty cells", "prompt,model,score\n,,\n,,\n"),
    ("a quote that never closes", "prompt,model,score\n\"a,b,1\nc,d,1\n"),
    ("too many cells", "prompt,model,score\na,b,1,2,3,4\n"),
    ("too few cells", "prompt,model,score\na\n"),
    ("HTML", "<!DOCTYPE html><html><body>404 not found</body></html>"),
    ("NUL bytes", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
];

/// The same in bytes that are not text.
const NOT_TEXT: [(&str, &[u8]); 4] = [
    ("invalid UTF-8", b"prompt,model,score\n\xff\xfe\xfd,m,1\n"),
    ("an overlong slash", b"prompt,model,score\n\xc0\xaf,m,1\n"),
    ("UTF-16", b"\xff\xfep\0r\0o\0m\0p\0t\0,\0m\0o\0d\0e\0l\0"),
    ("a surrogate in UTF-8", b"prompt,model,score\n\xed\xa0\x80,m,1\n"),
];

/// Files that are hardly more than a signature.
const SIGNATURES: [(&str, &[u8]); 8] = [
    ("magic.parquet", b"PAR1"),
    ("magic.parquet", b"PAR1PAR1"),
    ("magic.parquet", b"PAR1\xff\xff\xff\x7fPAR1"),
    ("magic.parquet", b"PAR1\0\0\0\0\0\0\0\0PAR1"),
    ("magic.csv.gz", b"\x1f\x8b"),
    ("magic.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
    ("magic.jsonl.zst", b"\x28\xb5\x2f\xfd"),
    ("magic.jsonl.zst", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff"),
];

/// Every such log.
pub(crate) fn senseless_logs() -> Vec<Case> {
    let mut cases = Vec::new();
    scores(&mut cases);
    values(&mut cases);
    for (name, text) in TABLES {
        cases.push(case("text.csv", name, text, Refused));
    }
    for (name, text) in json_lines() {
        cases.push(case("text.jsonl", name, text, Refused));
    }
    for (name, bytes) in NOT_TEXT {
        cases.push(case("bytes.csv", name, bytes, Refused));
    }
    for (file, bytes) in SIGNATURES {
        cases.push(case(file, "hardly more than a signature", bytes, Refused));
    }
    // One line of 5 MB: long for a line, short for a file.
    cases.push(case("long.csv", "one endless line", vec![b'x'; 5_000_000], Refused));
    cases.push(case("long.jsonl", "one endless line", vec![b'{'; 5_000_000], Refused));
    let prompt = "word ".repeat(1_000_000);
    cases.push(case("long.csv", "a prompt of 5 MB", format!("{HEADER}{prompt},m,1\n"), Either));
    cases
}

fn case(file: &'static str, name: &str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { name: format!("{file}: {name}"), file, bytes: bytes.into(), expected }
}

fn scores(cases: &mut Vec<Case>) {
    for score in SCORES {
        let rows = lines(80, |i| format!("question {},m{},{score}\n", i / 2, i % 2));
        cases.push(case("score.csv", score, format!("{HEADER}{rows}"), Refused));
        let rows =
            lines(80, |i| format!("{{\"prompt\":\"q {}\",\"model\":\"m{}\",\"score\":{score}}}\n", i / 2, i % 2));
        cases.push(case("score.jsonl", score, rows, Refused));
    }
}

fn values(cases: &mut Vec<Case>) {
    for (column, value) in VALUES {
        let name = format!("{column}={value}");
        let rows = lines(80, |i| format!("question {},m{},1,{value}\n", i / 2, i % 2));
        cases.push(case("column.csv", &name, format!("prompt,model,score,{column}\n{rows}"), Either));
        let rest = format!("\"score\":1,\"{column}\":\"{value}\"}}\n");
        let rows = lines(80, |i| format!("{{\"prompt\":\"q {}\",\"model\":\"m{}\",{rest}", i / 2, i % 2));
        cases.push(case("column.jsonl", &name, rows, Either));
    }
}

fn json_lines() -> Vec<(&'static str, String)> {
    vec![
        ("nothing", String::new()),
        ("a number", "1\n2\n3\n".into()),
        ("a string", "\"prompt\"\n".into()),
        ("null", "null\n".into()),
        ("an empty object", "{}\n{}\n".into()),
        ("half an object", "{\"prompt\":\"a\",\n".into()),
        ("a lone surrogate", "{\"prompt\":\"\\ud800\",\"model\":\"m\",\"score\":1}\n".into()),
        ("a key twice", "{\"prompt\":\"a\",\"prompt\":\"b\",\"model\":\"m\"}\n".into()),
        ("a prompt that is an object", "{\"prompt\":{\"a\":1},\"model\":\"m\",\"score\":1}\n".into()),
        ("a model that is null", "{\"prompt\":\"a\",\"model\":null,\"score\":1}\n".into()),
        ("messages that are text", "{\"messages\":\"hello\",\"model\":\"m\",\"score\":1}\n".into()),
        ("messages without turns", "{\"messages\":[],\"model\":\"m\",\"score\":1}\n".into()),
        ("messages of numbers", "{\"messages\":[1,2],\"model\":\"m\",\"score\":1}\n".into()),
        (
            "messages of nobody",
            "{\"messages\":[{\"role\":\"nobody\",\"content\":\"a\"}],\"model\":\"m\",\"score\":1}\n".into(),
        ),
        ("arrays 100,000 deep", format!("{}\n", "[".repeat(100_000))),
        ("objects 100,000 deep", "{\"a\":".repeat(100_000)),
        (
            "a deep prompt",
            format!("{{\"prompt\":{}{},\"model\":\"m\",\"score\":1}}\n", "[".repeat(5_000), "]".repeat(5_000)),
        ),
        (
            "a number of a million digits",
            format!("{{\"prompt\":\"a\",\"model\":\"m\",\"score\":{}}}\n", "9".repeat(1_000_000)),
        ),
    ]
}
