//! `pointsman calibrate`: a target in words to a router's default λ.

use std::path::{Path, PathBuf};

use pointsman::artifact::Artifact;
use pointsman_training::{Target, calibrate, with_default};

use crate::args::Calibrate;
use crate::files::{check_writable, write_whole};
use crate::reading::{options, read_files};
use crate::terminal::{print, say, show};

pub(crate) fn run(args: &Calibrate) -> anyhow::Result<()> {
    let inputs: Vec<&Path> = args.logs.iter().chain([&args.router]).map(PathBuf::as_path).collect();
    if let Some(output) = &args.output {
        check_writable(output, &inputs)?;
    }
    let target: Target = args.target.parse()?;
    let (artifact, _) = Artifact::load(&args.router)?;
    let log = match &args.logs[..] {
        [] => None,
        logs => Some(read_files(logs, &options(&args.reading)?)?),
    };
    let calibration = calibrate(&artifact, log.as_ref(), &target)?;
    let written =
        args.output.as_ref().map(|output| Ok::<_, anyhow::Error>((output, with_default(artifact, &calibration)?)));
    let written = written.transpose()?;
    if let Some((output, (bytes, _))) = &written {
        write_whole(output, bytes)?;
    }
    if args.json {
        let mut json = serde_json::to_value(&calibration)?;
        json["sentences"] = calibration.sentences().into();
        if let Some((output, (_, identity))) = &written {
            json["router"] = output.display().to_string().into();
            json["identity"] = identity.as_str().into();
        }
        print(serde_json::to_string_pretty(&json)?);
    } else {
        show(calibration.sentences().join("\n"));
        if let Some((output, _)) = &written {
            say(format_args!("\nwrote {}, which decides so where no objective is given", output.display()));
        }
    }
    Ok(())
}
