//! `pointsman import`: another tool's log becomes an evaluation log.

use std::path::{Path, PathBuf};

use pointsman_evals::import::{Format, ImportOptions, Imported, import};
use pointsman_evals::parse_score_range;
use serde_json::json;

use crate::args::Import;
use crate::files::check_writable;
use crate::terminal::{bar, print, say};

/// Models that the summary names.
const NAMED: usize = 12;

pub(crate) fn run(args: &Import) -> anyhow::Result<()> {
    let format: Format = args.format.parse()?;
    let inputs: Vec<&Path> = args.inputs.iter().chain(&args.scores).map(PathBuf::as_path).collect();
    check_writable(&args.output, &inputs)?;
    let options = ImportOptions {
        model: args.model.clone(),
        metric: args.metric.clone(),
        prompt_field: args.prompt_field.clone(),
        score_range: args.score_range.as_deref().map(parse_score_range).transpose()?,
        scores: args.scores.clone(),
    };
    let progress_bar = bar("importing", 0);
    let done = import(format, &args.inputs, &args.output, &options, &mut |progress| {
        progress_bar.set_length(progress.bytes_total);
        progress_bar.set_position(progress.bytes_done);
    });
    progress_bar.finish_and_clear();
    let done = done?;
    tell(args, &done);
    if args.json {
        let mut summary = json!(done);
        summary["log"] = json!(args.output);
        summary["format"] = json!(format.name());
        print(format!("{summary:#}"));
    }
    Ok(())
}

fn tell(args: &Import, done: &Imported) {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    say(format_args!(
        "wrote {}: {} rows of {}, {}, {}, from {}",
        args.output.display(),
        done.written,
        count(usize::try_from(done.prompts).unwrap_or(usize::MAX), "prompt"),
        count(done.models.len(), "model"),
        count(done.tasks.len(), "task"),
        count(done.files.len(), "file"),
    ));
    for (model, rows) in done.models.iter().take(NAMED) {
        say(format_args!("  {model}: {rows}"));
    }
    if done.models.len() > NAMED {
        say(format_args!("  and {} more models", done.models.len() - NAMED));
    }
    for (reason, rejected) in &done.rejected {
        say(format_args!("  {} left out: {reason}", rejected.count));
        for example in &rejected.examples {
            say(format_args!("    {example}"));
        }
    }
    match (done.with_cost, done.with_length) {
        (0, 0) => say("  neither costs nor lengths: with --prices, answers are taken for 150 tokens long"),
        (0, _) => say("  no costs: with --prices they are estimated from lengths"),
        (cost, _) if cost < done.written => say(format_args!("  {cost} rows have a cost")),
        _ => {}
    }
    if done.models.len() == 1 {
        say("  one model is nothing to route between: import the others' logs together with this one");
    } else {
        say(format_args!("next: pointsman inspect {}", args.output.display()));
    }
}
