//! Instructions per decision, counted by callgrind: the figure that no busy machine can blur.
//!
//! ```text
//! cargo bench --workspace --bench instructions                 counts, beside the committed baseline
//! cargo bench --workspace --bench instructions -- --test       the same, and fails where a count is 3 % above it
//! cargo bench --workspace --bench instructions -- --accept     counts, and writes them down as the baseline
//! cargo bench --workspace --bench instructions -- --router R   with a router of one's own, beside no baseline
//! ```
//!
//! Without valgrind it says so and passes over. Baselines are of x86-64 with AVX2; elsewhere nothing is compared.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use pointsman::{Bound, Limits, Objective, Policy, Request, Router, Scratch, Turn};
use pointsman_benches::artifact;
use pointsman_evals::log::Content;
use pointsman_evals::synthetic::{SyntheticConfig, rows};

/// Models of the router.
const MODELS: usize = 11;

/// Distinct texts per case.
const TEXTS: usize = 32;

/// Bytes of the texts of every case, about.
const CASES: [usize; 4] = [60, 300, 1_000, 4_000];

/// A count may be this much above the baseline.
const TOLERANCE: f64 = 0.03;

/// Given to the process under callgrind, before the router's file and the case.
const CHILD: &str = "--child";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [CHILD, router, bytes] => {
            child(Path::new(router), bytes.parse()?)?;
            Ok(())
        }
        [] => compare(&counted(None)?, false),
        ["--test"] => compare(&counted(None)?, true),
        ["--accept"] => accept(&counted(None)?),
        ["--router", router] => {
            for (case, instructions) in counted(Some(router.into()))? {
                println!("{case:>6} bytes  {instructions:>8}");
            }
            Ok(())
        }
        _ => bail!("expected nothing, --test, --accept or --router FILE"),
    }
}

/// Instructions per decision by size of text; empty where valgrind is missing.
fn counted(router: Option<PathBuf>) -> anyhow::Result<BTreeMap<usize, u64>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: instructions are not counted");
        return Ok(BTreeMap::new());
    }
    let folder = tempfile::tempdir()?;
    let file = router.unwrap_or_else(|| folder.path().join("router.safetensors"));
    if file.starts_with(folder.path()) {
        std::fs::write(&file, artifact(MODELS, 7).to_bytes()?)?;
    }
    CASES.iter().map(|&bytes| Ok((bytes, count(&file, bytes)?))).collect()
}

fn count(router: &Path, bytes: usize) -> anyhow::Result<u64> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_decisions*"])
        .arg(std::env::current_exe()?)
        .args([CHILD.as_ref(), router.as_os_str(), bytes.to_string().as_ref()])
        .output()?;
    let talk = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "callgrind: {talk}");
    let line =
        talk.lines().find_map(|line| line.split_once("Collected :")).context("callgrind says what it collected")?;
    let total: u64 = line.1.trim().parse().context("a number of instructions")?;
    ensure!(total > 0, "callgrind did not meet the function that is measured");
    Ok(total / TEXTS as u64)
}

/// What runs under callgrind: everything once to warm up, and once more to be counted.
fn child(router: &Path, bytes: usize) -> anyhow::Result<usize> {
    let router = Router::load(router)?;
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    let bound = router.bind(&router.default_catalog(), &policy)?;
    let texts = texts(bytes);
    let mut scratch = Scratch::default();
    for text in &texts {
        bound.route(&Request::new(&[Turn::user(text)]), &Limits::default(), &mut scratch);
    }
    Ok(measured_decisions(&bound, &texts, &mut scratch))
}

#[inline(never)]
fn measured_decisions(bound: &Bound, texts: &[String], scratch: &mut Scratch) -> usize {
    let decide = |text: &String| bound.route(&Request::new(&[Turn::user(text)]), &Limits::default(), scratch).model_idx;
    texts.iter().map(decide).sum()
}

/// Prompts of the synthetic log, joined until they are long enough and cut to size.
fn texts(bytes: usize) -> Vec<String> {
    let mut prompts =
        rows(SyntheticConfig { n_prompts: 4_000, n_models: 1, seed: 5 }).filter_map(|row| match row.content {
            Content::Text(text) => Some(text),
            Content::Messages(_) => None,
        });
    let text = || {
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(&prompts.next()?);
            text.push('\n');
        }
        text.truncate(text.floor_char_boundary(bytes));
        Some(text)
    };
    std::iter::repeat_with(text).map_while(|text| text).take(TEXTS).collect()
}

fn baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

fn accept(counts: &BTreeMap<usize, u64>) -> anyhow::Result<()> {
    let lines = counts.iter().map(|(bytes, instructions)| format!("{bytes} {instructions}\n"));
    std::fs::write(baseline(), lines.collect::<String>()).context("writing the baseline")
}

/// Whether this processor runs what the baseline was counted on.
fn is_comparable() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn compare(counts: &BTreeMap<usize, u64>, fails: bool) -> anyhow::Result<()> {
    let file = baseline();
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let was = |bytes: usize| {
        let of_case = text.lines().filter_map(|line| line.split_once(' ')).find(|(case, _)| *case == bytes.to_string());
        of_case.and_then(|(_, count)| count.parse::<u64>().ok())
    };
    let mut slower = Vec::new();
    for (&bytes, &instructions) in counts {
        let was = was(bytes).with_context(|| format!("{} has no line for {bytes} bytes", file.display()))?;
        let change = instructions as f64 / was as f64 - 1.0;
        println!("{bytes:>6} bytes  {instructions:>8} instructions  baseline {was:>8}  {:+.1} %", 100.0 * change);
        if change > TOLERANCE && is_comparable() {
            slower.push(bytes);
        }
    }
    ensure!(
        !fails || slower.is_empty(),
        "decisions on texts of {slower:?} bytes take more instructions than the baseline allows; if that is meant, run with \
         --accept and say why in the commit"
    );
    Ok(())
}
