//! `pointsman extend`: another pool for a trained router.

use std::path::{Path, PathBuf};

use pointsman::artifact::Artifact;
use pointsman_training::{Changes, extend};

use crate::args::Extend;
use crate::failure::unusable;
use crate::files::{check_writable, write_whole};
use crate::reading::{options, read_files};
use crate::terminal::{print, say, show};

pub(crate) fn run(args: &Extend) -> anyhow::Result<()> {
    let inputs: Vec<&Path> = args.logs.iter().chain([&args.router]).map(PathBuf::as_path).collect();
    check_writable(&args.output, &inputs)?;
    let changes = Changes {
        rename: args.rename.iter().map(|text| names(text)).collect::<anyhow::Result<_>>()?,
        retire: args.retire.clone(),
        add: args.model.clone(),
    };
    // The router first: loading is quick and its faults should not wait for the log.
    let (artifact, _) = Artifact::load(&args.router)?;
    let log = match &args.logs[..] {
        [] => None,
        logs => Some(read_files(logs, &options(&args.reading)?)?),
    };
    let extended = extend(artifact, log.as_ref(), &changes, args.reading.assume_output_tokens)?;
    write_whole(&args.output, &extended.bytes)?;
    let sentences = extended.summary.sentences();
    if args.json {
        let mut json = serde_json::to_value(&extended.summary)?;
        json["router"] = args.output.display().to_string().into();
        json["identity"] = extended.identity.into();
        json["sentences"] = sentences.into();
        print(serde_json::to_string_pretty(&json)?);
    } else {
        show(sentences.join("\n"));
        say(format_args!("\nwrote {} ({} KiB)", args.output.display(), extended.bytes.len() / 1024));
    }
    Ok(())
}

fn names(text: &str) -> anyhow::Result<(String, String)> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err(unusable(format!("--rename: expected OLD=NEW, got `{text}`"))),
    }
}
