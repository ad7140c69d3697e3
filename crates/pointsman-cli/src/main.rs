//! The command line of pointsman. Results go to stdout, talk to stderr; exit status 0 done, 1 failed, 2 unusable
//! input or wrong usage.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod files;
mod reading;
mod terminal;
mod text;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Demo(args) => commands::demo::run(&args),
        Command::Import(args) => commands::import::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Train(args) => commands::train::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Calibrate(args) => commands::calibrate::run(&args),
        Command::Extend(args) => commands::extend::run(&args),
        Command::Route(args) => commands::route::run(&args),
        Command::Predict(args) => commands::predict::run(&args),
        Command::Key(args) => commands::key::run(&args),
        Command::Show(args) => commands::show::run(&args),
        Command::Export(args) => commands::export::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Completions(args) => commands::manual::completions(&args),
        Command::Man(args) => commands::manual::man(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}
