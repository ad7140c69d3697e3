//! `pointsman train`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use pointsman_evals::EvalLog;
use pointsman_training::{Recipe, RecipeSettings, Summary, Trained, fit};

use crate::args::Train;
use crate::files::{check_writable, write_whole};
use crate::reading::read_logs;
use crate::terminal::{bar, print, say, show};
use crate::text::training_summary;

pub(crate) fn run(args: &Train) -> anyhow::Result<()> {
    let inputs: Vec<&Path> = args.log.logs.iter().map(PathBuf::as_path).collect();
    check_writable(&args.output, &inputs)?;
    let recipe = recipe(args)?;
    let log = read_logs(&args.log)?;
    let trained = train(&log, &recipe, args.log.reading.assume_output_tokens)?;
    write_whole(&args.output, &trained.bytes)?;
    if args.json {
        print(summary_json(&trained.summary, &args.output, &trained.identity)?);
    } else {
        show(training_summary(&trained.summary));
        say(format_args!("\nwrote {} ({} KiB)", args.output.display(), trained.bytes.len() / 1024));
    }
    Ok(())
}

/// Fits with a progress bar.
pub(crate) fn train(log: &EvalLog, recipe: &Recipe, assume_output_tokens: f64) -> anyhow::Result<Trained> {
    let progress_bar = bar("training", 0);
    let trained = fit(log, recipe, assume_output_tokens, &|progress| {
        progress_bar.set_length(progress.total);
        progress_bar.set_position(progress.done);
    });
    progress_bar.finish_and_clear();
    Ok(trained?)
}

/// Flags over recipe file over defaults.
fn recipe(args: &Train) -> anyhow::Result<Recipe> {
    let mut settings = match &args.recipe {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| crate::failure::unusable(format!("recipe `{}`: {error}", path.display())))?;
            RecipeSettings::from_toml(&text).with_context(|| format!("recipe `{}`", path.display()))?
        }
        None => RecipeSettings::default(),
    };
    if let Some(effort) = &args.effort {
        settings.effort = effort.parse()?;
    }
    if let Some(profile) = &args.profile {
        settings.profile = profile.parse()?;
    }
    if let Some(seed) = args.seed {
        settings.seed = seed;
    }
    let base = args.base.as_ref().map(pointsman::Embedding::load).transpose()?;
    Ok(settings.validate()?.with_base(base))
}

fn summary_json(summary: &Summary, output: &Path, identity: &str) -> anyhow::Result<String> {
    let mut json = serde_json::to_value(summary)?;
    json["router"] = output.display().to_string().into();
    json["identity"] = identity.into();
    json["sentences"] = summary.sentences().into();
    Ok(serde_json::to_string_pretty(&json)?)
}
