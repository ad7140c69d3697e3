//! `pointsman demo`: the whole story on the included log.

use std::path::Path;

use anyhow::Context;
use pointsman::{Limits, Objective, Policy, Request, Router, Scratch, Turn};
use pointsman_bench::{BenchOptions, RouterEntry, html};
use pointsman_evals::ReadOptions;
use pointsman_training::RecipeSettings;

use crate::args::Demo;
use crate::commands::{bench, train};
use crate::files::write_whole;
use crate::reading::read_files;
use crate::terminal::{say, show, strong};
use crate::text::{bench_table, table, training_summary};

/// The included log travels inside the binary, so that the demo needs nothing but it.
const LOG: &[u8] = include_bytes!("../../../../data/demo/log.parquet");

const PROMPTS: [&str; 4] = [
    "Summarise this in two sentences: the meeting moved to Thursday because the room was taken.",
    "Write a function in Python that returns the longest run of equal items in a list.",
    "A train leaves at 9:40 and covers 210 km at 84 km/h. When does it arrive?",
    "Zzyzx qwfp arstdhneio?",
];

pub(crate) fn run(args: &Demo) -> anyhow::Result<()> {
    let out = &args.out;
    std::fs::create_dir_all(out).with_context(|| format!("making the folder `{}`", out.display()))?;
    let log_path = out.join("log.parquet");
    write_whole(&log_path, LOG)?;
    let options = ReadOptions::default();

    heading("1. The evaluation log: invented outcomes of six fictional models (see data/README.md)");
    let log = read_files(std::slice::from_ref(&log_path), &options)?;

    heading("2. Training: what is each model good at?");
    let trained = train::train(&log, &RecipeSettings::default().validate()?, options.assume_output_tokens)?;
    show(training_summary(&trained.summary));
    let router_path = out.join("router.safetensors");
    write_whole(&router_path, &trained.bytes)?;

    heading("3. Benchmark: is it worth it on prompts it has never seen?");
    let router = Router::from_bytes(&trained.bytes)?;
    let entry = RouterEntry { name: "router".into(), router: router.clone() };
    let report = bench::measure(&log, &BenchOptions::default(), vec![entry], &[])?;
    show(bench_table(&report));
    let report_path = out.join("report.html");
    write_whole(&report_path, html::render(&report)?.as_bytes())?;
    write_whole(&out.join("report.json"), serde_json::to_string_pretty(&report)?.as_bytes())?;

    heading("4. Routing: where should these go?");
    show(routes(&router)?);
    say("");
    show(next_steps(&router_path, &report_path));
    Ok(())
}

fn heading(text: &str) {
    show(format_args!("\n{}\n", strong(text)));
}

fn routes(router: &Router) -> anyhow::Result<String> {
    let mut scratch = Scratch::default();
    let mut rows = Vec::new();
    let objectives = [("cheap", Objective::Cheap), ("balanced", Objective::Balanced), ("quality", Objective::Quality)];
    for prompt in PROMPTS {
        let mut row = vec![shorten(prompt)];
        for (_, objective) in &objectives {
            let policy = Policy { objective: objective.clone(), ..Policy::default() };
            let bound = router.bind(&router.default_catalog(), &policy)?;
            let turns = [Turn::user(prompt)];
            let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
            row.push(format!("{} ({})", decision.model, decision.reason.as_str()));
        }
        rows.push(row);
    }
    Ok(table(&["prompt", objectives[0].0, objectives[1].0, objectives[2].0], rows))
}

fn shorten(text: &str) -> String {
    const LENGTH: usize = 48;
    if text.chars().count() <= LENGTH {
        return text.to_owned();
    }
    text.chars().take(LENGTH - 1).chain(['…']).collect()
}

fn next_steps(router: &Path, report: &Path) -> String {
    format!(
        "The report with the cost–quality curve: {}\n\
         Ask the router yourself:  pointsman route {} --explain 'your prompt'\n\
         Train on your own log:    pointsman train LOG -o router.safetensors",
        report.display(),
        router.display()
    )
}
