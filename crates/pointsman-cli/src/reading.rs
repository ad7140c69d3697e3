//! Flags to an evaluation log, with a bar while it is read and a word on what was left out.

use std::path::PathBuf;

use pointsman_evals::{EvalLog, ReadOptions, parse_score_range, read};

use crate::args::{LogArgs, ReadingArgs};
use crate::terminal::{bar, say};

/// Reads the logs of a command.
pub(crate) fn read_logs(args: &LogArgs) -> anyhow::Result<EvalLog> {
    read_files(&args.logs, &options(&args.reading)?)
}

/// Reads files under already validated options.
pub(crate) fn read_files(files: &[PathBuf], options: &ReadOptions) -> anyhow::Result<EvalLog> {
    let progress_bar = bar("reading", 0);
    let log = read(files, options, &mut |progress| {
        progress_bar.set_length(progress.bytes_total);
        progress_bar.set_position(progress.bytes_done);
    });
    progress_bar.finish_and_clear();
    let log = log?;
    tell(&log);
    Ok(log)
}

/// The reading options that the flags mean.
pub(crate) fn options(args: &ReadingArgs) -> anyhow::Result<ReadOptions> {
    let mut options = ReadOptions {
        models: args.models.clone(),
        task: args.task.clone(),
        prices: args.prices.clone(),
        assume_output_tokens: args.assume_output_tokens,
        min_coverage: args.min_coverage,
        score_range: args.score_range.as_deref().map(parse_score_range).transpose()?,
        prompts: args.prompts.clone(),
        ..ReadOptions::default()
    };
    for map in &args.map {
        options.add_map(map)?;
    }
    Ok(options)
}

fn tell(log: &EvalLog) {
    let reading = &log.reading;
    say(format_args!(
        "read {} rows: {} prompts, {} models, {} outcomes",
        reading.rows,
        log.prompts.len(),
        log.models.len(),
        log.outcomes.len()
    ));
    for (column, meant) in reading.ignored() {
        match meant {
            Some(meant) => {
                say(format_args!(
                    "  column `{column}` is ignored; if it is meant as `{meant}`: --map {meant}={column}"
                ));
            }
            None => say(format_args!("  column `{column}` is ignored")),
        }
    }
    for (reason, rejected) in &reading.rejected {
        say(format_args!("  {} rows rejected: {reason}", rejected.count));
        for example in &rejected.examples {
            say(format_args!("    {example}"));
        }
    }
}
