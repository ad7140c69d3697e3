//! `pointsman completions` and `pointsman man`: made from the same definitions that parse the command line.

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Cli, Completions, Man};
use crate::terminal::{print, say};

/// Prints a completion script.
pub(crate) fn completions(args: &Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pointsman", &mut script);
    print(String::from_utf8(script)?.trim_end());
    Ok(())
}

/// Prints the overview page, or writes every page into a folder.
pub(crate) fn man(args: &Man) -> anyhow::Result<()> {
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        print(String::from_utf8(page)?.trim_end());
        return Ok(());
    };
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder `{}`", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| format!("writing to `{}`", folder.display()))?;
    say(format_args!("wrote the manual pages to {}", folder.display()));
    Ok(())
}
