//! `pointsman predict`: predictions for every distinct prompt of a table, as a stream.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use pointsman::{Bound, Limits, Objective, Policy, Router, Scratch};
use pointsman_evals::write::{CellType, CellValue, TableWriter};
use pointsman_evals::{Progress, PromptReading, PromptRow, ReadOptions, prompts, resolve_paths};
use rayon::prelude::*;
use serde_json::json;

use crate::args::Predict;
use crate::failure::unusable;
use crate::files::check_writable;
use crate::terminal::{bar, print, say};

/// Chunks of prompts that reading may be ahead of predicting.
const AHEAD: usize = 2;

pub(crate) fn run(args: &Predict) -> anyhow::Result<()> {
    let router = Router::load(&args.router)?;
    let files = resolve_paths(&args.logs)?;
    let inputs: Vec<&Path> = files.iter().chain([&args.router]).map(PathBuf::as_path).collect();
    check_writable(&args.output, &inputs)?;
    let mut options = ReadOptions::default();
    for map in &args.map {
        options.add_map(map)?;
    }
    let objective = args.objective.as_deref().map(str::parse).transpose()?.unwrap_or(Objective::Default);
    let policy = Policy { objective, ..Policy::default() };
    let bound = router.bind(&router.default_catalog(), &policy)?;
    let columns = columns(&router, args.full);
    if let Some((name, _)) = columns.iter().enumerate().find_map(|(i, c)| columns[..i].iter().find(|d| d.0 == c.0)) {
        return Err(unusable(format!("router `{}`: model `{name}` is called like a column", args.router.display())));
    }

    let begun = Instant::now();
    let mut writer = TableWriter::create(&args.output, columns)?;
    let (send, chunks) = sync_channel(AHEAD);
    let reading = std::thread::scope(|scope| -> anyhow::Result<PromptReading> {
        let reader = scope.spawn(move || {
            prompts(&files, &options, &mut |chunk, progress| send.send((chunk, progress.clone())).is_ok())
        });
        // Ends when the reader is done; where this side fails, the reader finds nobody listening and ends too.
        predict_chunks(chunks, &bound, args.full, &mut writer)?;
        Ok(reader.join().expect("reading does not panic")?)
    })?;
    writer.finish()?;
    tell(args, &router, &reading, begun.elapsed().as_secs_f64());
    Ok(())
}

/// The columns of the output: without `--full` just those that `bench --predictions` sweeps.
fn columns(router: &Router, full: bool) -> Vec<(String, CellType)> {
    let quality = router.models().iter().map(|model| (model.clone(), CellType::Single));
    let mut columns = vec![("prompt_id".to_owned(), CellType::Text)];
    columns.extend(quality);
    if full {
        columns.extend([("model", CellType::Text), ("reason", CellType::Text), ("novelty", CellType::Single)].map(own));
        for model in router.models() {
            columns.push((format!("{model}|quality_se"), CellType::Single));
            columns.push((format!("{model}|cost_usd"), CellType::Double));
        }
    }
    columns
}

fn own((name, kind): (&str, CellType)) -> (String, CellType) {
    (name.to_owned(), kind)
}

fn predict_chunks(
    chunks: Receiver<(Vec<PromptRow>, Progress)>,
    bound: &Bound,
    full: bool,
    writer: &mut TableWriter,
) -> anyhow::Result<()> {
    let mut scratches = vec![Scratch::default(); rayon::current_num_threads()];
    let progress_bar = bar("predicting", 0);
    for (chunk, progress) in chunks {
        let part = chunk.len().div_ceil(scratches.len());
        let predicted: Vec<Vec<Predicted>> = chunk
            .par_chunks(part)
            .zip(&mut scratches)
            .map(|(prompts, scratch)| prompts.iter().map(|prompt| predict(prompt, bound, full, scratch)).collect())
            .collect::<anyhow::Result<_>>()?;
        for (prompt, predicted) in chunk.iter().zip(predicted.iter().flatten()) {
            writer.push(&predicted.row(prompt))?;
        }
        progress_bar.set_length(progress.bytes_total);
        progress_bar.set_position(progress.bytes_done);
    }
    progress_bar.finish_and_clear();
    Ok(())
}

/// What is written of one prompt.
struct Predicted {
    /// `[k]`.
    quality: Vec<f32>,
    full: Option<Full>,
}

struct Full {
    model: String,
    reason: &'static str,
    novelty: f32,
    /// Standard error of quality, and USD per call: `[k]`.
    beside: Vec<(f32, f64)>,
}

fn predict(prompt: &PromptRow, bound: &Bound, full: bool, scratch: &mut Scratch) -> anyhow::Result<Predicted> {
    let router = bound.router();
    prompt.with_request(|request| router.featurise(request, &mut scratch.features))?;
    router.predict(&scratch.features, &mut scratch.predictions);
    let predictions = &scratch.predictions;
    let full = full.then(|| {
        let decision = bound.decide(predictions, &Limits::default(), &mut scratch.ranking);
        let mut beside: Vec<(f32, f64)> = predictions.quality_se.iter().map(|se| (*se, f64::NAN)).collect();
        for ranked in decision.ranked {
            beside[ranked.model_idx].1 = ranked.cost_usd;
        }
        let (model, reason) = (decision.model.to_owned(), decision.reason.as_str());
        Full { model, reason, novelty: predictions.novelty, beside }
    });
    Ok(Predicted { quality: predictions.quality.clone(), full })
}

impl Predicted {
    /// In the order of [`columns`].
    fn row<'a>(&'a self, prompt: &'a PromptRow) -> Vec<CellValue<'a>> {
        let mut row = vec![CellValue::Text(&prompt.id)];
        row.extend(self.quality.iter().map(|quality| CellValue::Single(*quality)));
        if let Some(full) = &self.full {
            row.extend([CellValue::Text(&full.model), CellValue::Text(full.reason), CellValue::Single(full.novelty)]);
            row.extend(full.beside.iter().flat_map(|(se, usd)| [CellValue::Single(*se), CellValue::Double(*usd)]));
        }
        row
    }
}

fn tell(args: &Predict, router: &Router, reading: &PromptReading, seconds: f64) {
    for (reason, rejected) in &reading.rejected {
        say(format_args!("  {} rows passed over: {reason}", rejected.count));
        for example in &rejected.examples {
            say(format_args!("    {example}"));
        }
    }
    let rate = reading.prompts as f64 / seconds;
    if args.json {
        let summary = json!({
            "predictions": args.output.display().to_string(),
            "router": router.identity(),
            "models": router.models(),
            "prompts": reading.prompts,
            "rows": reading.rows,
            "rejected": reading.rejected,
            "files": reading.files,
            "seconds": seconds,
            "prompts_per_second": rate,
        });
        print(format!("{summary:#}"));
    }
    say(format_args!(
        "wrote {}: {} prompts from {} rows in {seconds:.1} s, {rate:.0} prompts a second",
        args.output.display(),
        reading.prompts,
        reading.rows,
    ));
}

#[cfg(test)]
mod tests {
    use pointsman::{Request, Turn};
    use pointsman_evals::{ReadOptions, read};

    use super::*;

    /// An artifact of the first release.
    const ROUTER: &[u8] = include_bytes!("../../../../tests/formats/fixtures/router-v2.safetensors");

    fn args(folder: &Path, log: &str, output: &str, full: bool) -> Predict {
        let router = folder.join("router.safetensors");
        std::fs::write(&router, ROUTER).expect("the folder is writable");
        Predict {
            router,
            logs: vec![folder.join(log)],
            output: folder.join(output),
            map: Vec::new(),
            full,
            objective: None,
            json: false,
        }
    }

    #[test]
    fn predictions_from_the_file_are_the_routers_own_bit_for_bit() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let texts: Vec<String> = (0..300).map(|i| format!("What is {i} + {i}? Answer in Python.")).collect();
        let table = std::iter::once("prompt\n".to_owned()).chain(texts.iter().map(|text| format!("{text}\n")));
        std::fs::write(folder.path().join("prompts.csv"), table.collect::<String>()).expect("writable");
        run(&args(folder.path(), "prompts.csv", "predictions.csv", false)).expect("valid");

        let router = Router::from_bytes(ROUTER).expect("the fixture opens");
        let mut scratch = Scratch::default();
        let written = std::fs::read_to_string(folder.path().join("predictions.csv")).expect("written");
        let mut lines = written.lines();
        let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
        assert_eq!(header[1..], *router.models());
        assert_eq!(lines.clone().count(), texts.len());
        for (line, text) in lines.zip(&texts) {
            let turns = [Turn::user(text)];
            router.featurise(&Request::new(&turns), &mut scratch.features);
            let own = router.predict(&scratch.features, &mut scratch.predictions);
            for (written, own) in line.split(',').skip(1).zip(&own.quality) {
                assert_eq!(written.parse::<f32>().expect("a number").to_bits(), own.to_bits(), "{text}");
            }
        }
    }

    #[test]
    fn ids_are_those_of_the_log_and_decisions_are_in_the_full_form() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = "prompt,model,score\nWhat is 2 + 2?,a,1\nWhat is 2 + 2?,b,0\nWho was first?,a,1\n";
        std::fs::write(folder.path().join("log.csv"), log).expect("writable");
        run(&args(folder.path(), "log.csv", "full.jsonl", true)).expect("valid");
        let read = read(&[folder.path().join("log.csv")], &ReadOptions::default(), &mut |_| ()).expect("valid");
        let written = std::fs::read_to_string(folder.path().join("full.jsonl")).expect("written");
        let router = Router::from_bytes(ROUTER).expect("the fixture opens");
        let mut ids = Vec::new();
        for line in written.lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("a JSON object");
            ids.push(row["prompt_id"].as_str().expect("an id").to_owned());
            let model = row["model"].as_str().expect("a decision");
            assert!(router.models().iter().any(|known| known == model));
            assert!(row["novelty"].is_number() && row["reason"].is_string());
            assert!(row[format!("{model}|quality_se")].is_number() && row[format!("{model}|cost_usd")].is_number());
        }
        ids.sort();
        let expected: Vec<&str> = read.prompts.iter().map(|prompt| prompt.id.as_str()).collect();
        assert_eq!(ids, expected);
    }
}
