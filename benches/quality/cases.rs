//! The logs that experiments run on.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pointsman_evals::{EvalLog, ReadOptions, read};

use crate::options::Options;

/// One log, with what the benchmark has to know about it.
#[derive(Debug)]
pub(crate) struct Case {
    /// What tables call it.
    pub(crate) name: String,
    pub(crate) log: EvalLog,
    /// Strong and weak model of APGR.
    pub(crate) pair: Option<(String, String)>,
}

/// A real file and how it is read. The settings are part of the benchmark: changing one changes its figures.
struct RealFile {
    name: &'static str,
    models: Option<&'static [&'static str]>,
    task: Option<&'static str>,
    pair: Option<(&'static str, &'static str)>,
}

/// The included synthetic log.
const DEMO: &str = "demo";

/// Ten models of the 32 in `mmlu_pro` that span vendors and prices.
const POOL_OF_TEN: [&str; 10] = [
    "gpt-4o-2024-05-13",
    "gemini-1.5-pro-002",
    "gemini-1.5-flash-002",
    "Meta-Llama-3.1-70B-Instruct",
    "Meta-Llama-3.1-8B-Instruct",
    "Mixtral-8x7B-Instruct-v0.1",
    "jamba-1.5-large",
    "c4ai-command-r-v01",
    "Phi-3-mini-4k-instruct",
    "deepseek-chat-v2",
];

/// `data/README.md` says where they come from.
const REAL_FILES: [RealFile; 5] = [
    RealFile { name: "llmrouter_bench", models: None, task: None, pair: None },
    RealFile { name: "mmlu_pro", models: Some(&POOL_OF_TEN), task: None, pair: None },
    RealFile { name: "routerbench3", models: None, task: None, pair: None },
    RealFile { name: "bfcl_v1", models: None, task: None, pair: None },
    RealFile {
        name: "routellm_pair",
        models: None,
        task: Some("mmlu/*"),
        pair: Some(("gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")),
    },
];

/// The cases that the options name: a log of the caller's, else the real files, else the included log.
pub(crate) fn load(options: &Options) -> anyhow::Result<Vec<Case>> {
    if !options.log.is_empty() {
        let name = options.log[0].file_stem().map_or_else(|| "log".to_owned(), |stem| stem.to_string_lossy().into());
        let reading = ReadOptions {
            models: options.models.clone(),
            task: options.task.clone(),
            prices: options.prices.clone(),
            ..ReadOptions::default()
        };
        return Ok(vec![Case { log: read_log(&options.log, &reading)?, name, pair: options.pair()? }]);
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cases = Vec::new();
    if options.cases.iter().any(|name| name == DEMO) || (options.quick && options.cases.is_empty()) {
        cases.push(demo(&repository)?);
    }
    if options.cases.iter().any(|name| name != DEMO) || (options.cases.is_empty() && !options.quick) {
        let folder =
            std::env::var_os("POINTSMAN_REAL_DATA").map_or_else(|| repository.join("data/real"), PathBuf::from);
        cases.extend(real_cases(&folder, &options.cases)?);
        if cases.is_empty() {
            crate::say(&format!("no real outcome data in {}: running on the included log", folder.display()));
            cases.push(demo(&repository)?);
        }
    }
    Ok(cases)
}

/// The files that are there, of those named (of all, where none is).
fn real_cases(folder: &Path, names: &[String]) -> anyhow::Result<Vec<Case>> {
    let named = |file: &&RealFile| names.is_empty() || names.iter().any(|name| name == file.name);
    let is_there = |file: &&RealFile| folder.join(file.name).with_extension("parquet").is_file();
    REAL_FILES.iter().filter(named).filter(is_there).map(|file| real(folder, file)).collect()
}

/// The names that `--cases` may give.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    REAL_FILES.iter().map(|file| file.name).chain([DEMO])
}

fn demo(repository: &Path) -> anyhow::Result<Case> {
    let log = read_log(&[repository.join("data/demo/log.parquet")], &ReadOptions::default())?;
    Ok(Case { name: DEMO.to_owned(), log, pair: None })
}

fn real(folder: &Path, file: &RealFile) -> anyhow::Result<Case> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let reading = ReadOptions {
        models: file.models.map(owned),
        task: file.task.map(str::to_owned),
        prices: Some(folder.join("prices.csv")),
        ..ReadOptions::default()
    };
    let log = read_log(&[folder.join(file.name).with_extension("parquet")], &reading)?;
    let pair = file.pair.map(|(strong, weak)| (strong.to_owned(), weak.to_owned()));
    Ok(Case { name: file.name.to_owned(), log, pair })
}

fn read_log(files: &[PathBuf], reading: &ReadOptions) -> anyhow::Result<EvalLog> {
    read(files, reading, &mut |_| ()).with_context(|| format!("reading {}", files[0].display()))
}
