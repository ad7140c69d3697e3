//! Importers over files in the shape of every tool. `fixtures/README.md` says which of them the tool itself has written.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pointsman_evals::import::{Format, ImportOptions, Imported, import};
use pointsman_evals::{Error, ReadOptions, read};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("import/fixtures")
}

/// What a fixture needs to be said.
fn options(format: Format) -> ImportOptions {
    let scores = match format {
        Format::LiteLlm => Some("litellm-scores.csv"),
        Format::OpenRouter => Some("openrouter-scores.jsonl"),
        _ => None,
    };
    ImportOptions { scores: scores.map(|name| fixtures().join(name)), ..ImportOptions::default() }
}

/// Imports `input` into a temporary table, and gives the summary and the table's text.
fn imported(format: Format, input: &Path, options: &ImportOptions) -> Result<(Imported, String), Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = folder.path().join("log.jsonl");
    let result = import(format, &[input.to_owned()], &output, options, &mut |_| ());
    if result.is_err() {
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "{format}: a file was left behind");
    }
    let done = result?;
    Ok((done, std::fs::read_to_string(output).expect("written")))
}

#[test]
fn every_format_becomes_the_table() {
    for format in Format::ALL {
        let (done, table) = imported(format, &fixtures().join(format.name()), &options(format)).expect("imports");
        let mut shown = format!(
            "{} rows written of {}: {} prompts, models {:?}, tasks {:?}, {} with cost, {} with length\n",
            done.written, done.rows, done.prompts, done.models, done.tasks, done.with_cost, done.with_length
        );
        for (reason, rejected) in &done.rejected {
            let example = rejected.examples[0].replace(&format!("{}/", fixtures().display()), "");
            writeln!(shown, "{} left out: {reason}: {example}", rejected.count).expect("writing to a string");
        }
        shown.push_str(&table);
        insta::assert_snapshot!(format.name(), shown);
    }
}

#[test]
fn what_was_imported_reads_as_a_log() {
    for format in Format::ALL {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut hashes = Vec::new();
        for name in ["log.parquet", "log.csv", "log.jsonl"] {
            let output = folder.path().join(name);
            let done = import(format, &[fixtures().join(format.name())], &output, &options(format), &mut |_| ())
                .expect("imports");
            let log = read(&[output], &ReadOptions::default(), &mut |_| ()).expect("a log");
            assert_eq!(log.reading.accepted, done.written, "{format} {name}");
            assert_eq!(log.models.len(), done.models.len(), "{format} {name}");
            assert!(log.prompts.len() as u64 >= done.prompts, "{format} {name}");
            hashes.push(log.reading.data_sha256);
        }
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{format}: the form of the table changed the data");
    }
}

/// Files of the fixture of a format.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_file_of_another_tool_is_refused_with_what_was_expected() {
    for format in Format::ALL {
        for other in Format::ALL.into_iter().filter(|other| *other != format) {
            for file in files(&fixtures().join(other.name())) {
                // Both are wide tables; only the text of the prompt and the task are taken differently.
                let tables = [Format::RouterBench, Format::RouteLlm];
                let results = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("results_"));
                if (tables.contains(&format) && tables.contains(&other)) || results {
                    continue;
                }
                let error = imported(format, &file, &ImportOptions::default())
                    .map(|(done, _)| done)
                    .expect_err(&format!("{} under {format}", file.display()));
                assert!(!error.to_string().is_empty(), "{}", file.display());
            }
        }
    }
}

#[test]
fn damaged_files_give_errors_or_fewer_rows() {
    let mut generator = fastrand::Rng::with_seed(20_261_128);
    let mut cases = 0;
    for format in Format::ALL {
        for file in files(&fixtures().join(format.name())) {
            let whole = std::fs::read(&file).expect("readable");
            // Copies keep their names, which tell tasks and forms.
            let folder = tempfile::tempdir().expect("a temporary folder");
            let copy = folder.path().join(file.file_name().expect("a file"));
            for round in 0..24 {
                let mut bytes = whole.clone();
                match round % 4 {
                    0 => bytes.truncate(generator.usize(..bytes.len())),
                    1 => {
                        let at = generator.usize(..bytes.len());
                        bytes[at] ^= 1 << generator.u8(..8);
                    }
                    2 => {
                        let at = generator.usize(..bytes.len());
                        bytes.insert(at, generator.u8(..));
                    }
                    _ => {
                        let from = generator.usize(..bytes.len());
                        let to = generator.usize(from..bytes.len());
                        bytes.drain(from..to);
                    }
                }
                std::fs::write(&copy, &bytes).expect("writable");
                // Neither panics nor leaves anything behind, which `imported` checks.
                let _ = imported(format, &copy, &options(format));
                cases += 1;
            }
        }
    }
    assert!(cases >= 500, "{cases}");
}

#[test]
fn metric_model_and_scale_can_be_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("graded.jsonl");
    std::fs::write(
        &file,
        r#"{"query":"a","model_name":"x","performance":7}
{"query":"b","model_name":"x","performance":1}
"#,
    )
    .expect("writable");
    let off_scale = imported(Format::LlmRouter, &file, &ImportOptions::default()).expect_err("7 is off the scale");
    assert!(off_scale.hint().expect("a hint").contains("--score-range 1..10"));
    let named = ImportOptions { score_range: Some((1.0, 10.0)), model: Some("y".into()), ..ImportOptions::default() };
    let (done, table) = imported(Format::LlmRouter, &file, &named).expect("imports");
    assert_eq!(done.models.keys().collect::<Vec<_>>(), ["y"]);
    assert!(table.contains(r#""score":0.6666667"#), "{table}");
}

#[test]
fn chat_templates_that_differ_between_models_are_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (model, template) in [("a", "<user>"), ("b", "[INST]")] {
        let folder = folder.path().join(model);
        std::fs::create_dir(&folder).expect("writable");
        let sample = format!(
            r#"{{"doc_id":0,"doc":{{"question":"What is 2 + 2?"}},"arguments":{{"gen_args_0":{{"arg_0":"{template}What is 2 + 2?"}}}},"filter":"none","metrics":["acc"],"acc":1.0,"doc_hash":"h"}}"#
        );
        std::fs::write(folder.join("samples_sums_2026-11-28T12-00-00.000000.jsonl"), sample).expect("writable");
    }
    let error = imported(Format::LmEval, folder.path(), &ImportOptions::default()).expect_err("two texts");
    assert!(error.hint().expect("a hint").contains("--prompt-field doc.question"), "{error}");
    let options = ImportOptions { prompt_field: Some("doc.question".into()), ..ImportOptions::default() };
    let (done, _) = imported(Format::LmEval, folder.path(), &options).expect("imports");
    assert_eq!((done.prompts, done.models.len()), (1, 2));
}
