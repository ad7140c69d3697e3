//! A folder to work in, logs and routers to put there, and the binary run over them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pointsman_evals::synthetic::{SyntheticConfig, rows};
use pointsman_evals::write::{LogRow, LogWriter, TableSchema};
use serde_json::Value;
use tempfile::TempDir;

/// The committed artifact; it knows the first three models of the synthetic log.
const FIXTURE: &[u8] = include_bytes!("../formats/fixtures/router-v2.safetensors");

/// A recipe of the least work.
const TINY_RECIPE: &str = "effort = \"quick\"\nvocabulary_bits = 8\ntrees = 8\ndepth = 4\n";

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The run, if it went well.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.status, Some(0), "{self:#?}");
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A temporary folder in which the binary is run.
pub(crate) struct Workbench(TempDir);

impl Workbench {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A folder with the fixture as `router.safetensors`, and a small recipe as `tiny.toml`.
    pub(crate) fn with_router() -> Self {
        let bench = Self::new();
        bench.write("router.safetensors", FIXTURE);
        bench.write("tiny.toml", TINY_RECIPE);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).expect("the folder is writable");
    }

    /// Writes a synthetic log; its form follows from its name.
    pub(crate) fn write_log(&self, name: &str, n_prompts: u32, n_models: usize) {
        self.write_rows(name, rows(SyntheticConfig { n_prompts, n_models, seed: 1 }));
    }

    pub(crate) fn write_rows(&self, name: &str, rows: impl IntoIterator<Item = LogRow>) {
        let rows: Vec<LogRow> = rows.into_iter().collect();
        let mut writer = LogWriter::create(&self.path(name), TableSchema::of(&rows)).expect("the folder is writable");
        for row in rows {
            writer.push(row).expect("the row fits the schema");
        }
        writer.finish().expect("the folder is writable");
    }

    /// Everything in the folder, with its length.
    pub(crate) fn listing(&self) -> BTreeMap<PathBuf, u64> {
        fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, u64>) {
            for entry in std::fs::read_dir(folder).expect("the folder is readable") {
                let path = entry.expect("the folder is readable").path();
                if path.is_dir() {
                    walk(&path, found);
                }
                found.insert(path.clone(), path.metadata().map_or(0, |data| data.len()));
            }
        }
        let mut found = BTreeMap::new();
        walk(self.0.path(), &mut found);
        found
    }

    /// Runs the binary in the folder, without input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.feed(arguments, b"")
    }

    /// Runs the binary in the folder, feeding it `input`.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Run {
        self.end(Command::new(env!("CARGO_BIN_EXE_pointsman")).args(arguments), input)
    }

    /// Runs a line of shell in the folder, for what only a shell can set.
    pub(crate) fn shell(&self, line: &str) -> Run {
        self.end(Command::new("sh").args(["-c", line]), b"")
    }

    fn end(&self, command: &mut Command, input: &[u8]) -> Run {
        let mut child = command
            .current_dir(self.0.path())
            .env_remove("COLUMNS")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A binary that does not read its input closes it; that is for its status to tell.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().expect("the binary ends")
        });
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        Run { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}
