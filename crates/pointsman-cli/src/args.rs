//! The command line: names, flags and help. Raw values only; each command turns them into validated settings.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// A learned router for language models: train it on your evaluation logs, benchmark it, ask it.
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  pointsman demo                                       the whole story on the included log
  pointsman import lm-eval results/ -o log.parquet      another tool's log becomes yours
  pointsman inspect log.parquet                        can routing pay here?
  pointsman train log.parquet -o router.safetensors    learn from your own outcomes
  pointsman bench log.parquet --router router.safetensors --html report.html
  pointsman route router.safetensors 'Prove that the square root of 2 is irrational.'";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole story on the included log: train, benchmark, report, route
    Demo(Demo),
    /// Another tool's log → evaluation log
    Import(Import),
    /// Can routing pay on this log? Scores, headroom, duplicates, before anything is trained
    Inspect(Inspect),
    /// Evaluation log → router
    Train(Train),
    /// Measure routers on held-out prompts against every baseline
    Bench(Bench),
    /// A target in words, such as 97 % of the best quality → a router's default λ
    Calibrate(Calibrate),
    /// A new model from a few labels; models retired or renamed; nothing retrained
    Extend(Extend),
    /// Where should this prompt go?
    Route(Route),
    /// Predictions for every prompt of a table
    Predict(Predict),
    /// What is in a router
    Show(Show),
    /// Answer routing decisions over HTTP, or forward chat completions to the best model
    Serve(Serve),
    /// A gateway's decisions and the feedback on them → evaluation log
    Export(Export),
    /// A new key for a client or for an operator of a gateway
    Key(Key),
    /// Completions for your shell
    Completions(Completions),
    /// Manual pages
    Man(Man),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman demo                  writes the folder pointsman-demo
  pointsman demo --out /srv/demo  open report.html there in a browser")]
pub(crate) struct Demo {
    /// Folder for router, report and log
    #[arg(long, value_name = "DIR", default_value = "pointsman-demo")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman export pointsman.db -o log.parquet
  pointsman export pointsman.db -o log.parquet --metric helpful --prompts asked.jsonl
  pointsman train log.parquet old-log.parquet -o router.safetensors

Every decision with feedback becomes a row: the model that answered, the last word on the metric as its score, cost and latency as
observed, the probability of the choice. Texts are there where the gateway stored them ([log] prompts = \"store\"). Else
--prompts finds them again among texts of yours, or `train --prompts FILE` joins them by the `prompt_id` that requests gave.")]
pub(crate) struct Export {
    /// The ledger of `pointsman serve`, which may be running
    #[arg(value_name = "DB")]
    pub(crate) ledger: PathBuf,
    /// Where to write the evaluation log: .parquet, .csv, .tsv or .jsonl
    #[arg(short, long, value_name = "LOG")]
    pub(crate) output: PathBuf,
    /// Which feedback is the score; needed where there is more than one
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Option<String>,
    /// Texts to look for: a table or JSONL with `prompt` or `messages`
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = import_help())]
pub(crate) struct Import {
    /// Whose log it is, see below
    #[arg(value_name = "FORMAT")]
    pub(crate) format: String,
    /// Files, folders or patterns
    #[arg(required = true, value_name = "IN")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where to write the evaluation log: .parquet, .csv, .tsv or .jsonl
    #[arg(short, long, value_name = "LOG")]
    pub(crate) output: PathBuf,
    /// Model of all rows, where the files do not say or say it badly
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Which of several metrics or scorers is the score; by default the tool's first
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Option<String>,
    /// Path of the text in a record, as in `doc.question`; by default what the model was shown
    #[arg(long, value_name = "PATH")]
    pub(crate) prompt_field: Option<String>,
    /// Scale of the scores where it is not 0..1, as in `1..10`
    #[arg(long, value_name = "LOW..HIGH", allow_hyphen_values = true)]
    pub(crate) score_range: Option<String>,
    /// Scores (and texts) of a gateway's calls: a table with `id`, `score` and perhaps `prompt`
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn import_help() -> String {
    let mut formats = String::new();
    for format in pointsman_evals::import::Format::ALL {
        writeln!(formats, "  {:<15} {}", format.name(), format.describe()).expect("writing to a string cannot fail");
    }
    format!(
        "Formats:
{formats}
Examples:
  pointsman import lm-eval results/ -o log.parquet
  pointsman import lm-eval results/ --prompt-field doc.question -o log.parquet
  pointsman import inspect 'logs/*.eval' -o log.parquet
  pointsman import battles arena.jsonl -o log.parquet
  pointsman import litellm calls.jsonl --scores scores.csv -o log.parquet

Which field becomes which column: data/README.md. What cannot be used is counted by reason."
    )
}

/// Flags common to the commands that read evaluation logs.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Evaluation logs: Parquet, CSV, TSV or JSONL; files, folders or patterns
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reading the log")]
pub(crate) struct ReadingArgs {
    /// The pool: only these models
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub(crate) models: Option<Vec<String>>,
    /// Only rows whose task matches; `*` and `?` stand for any text and any character
    #[arg(long, value_name = "GLOB")]
    pub(crate) task: Option<String>,
    /// List prices: `model,input_usd_per_mtok,output_usd_per_mtok` (and `dataset`)
    #[arg(long, value_name = "CSV")]
    pub(crate) prices: Option<PathBuf>,
    /// Answer length where the log says nothing of it
    #[arg(long, value_name = "N", default_value_t = 150.0)]
    pub(crate) assume_output_tokens: f64,
    /// Least share of prompts a model must have been run on to take part in a comparison
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub(crate) min_coverage: f64,
    /// Column of the log under another name, as in `prompt=question`; repeatable
    #[arg(long, value_name = "NAME=COLUMN")]
    pub(crate) map: Vec<String>,
    /// Scale of the scores where it is not 0..1, as in `1..10`
    #[arg(long, value_name = "LOW..HIGH", allow_hyphen_values = true)]
    pub(crate) score_range: Option<String>,
    /// Texts by `prompt_id`, for logs without them
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman inspect log.parquet
  pointsman inspect runs.jsonl --prices prices.csv --map prompt=question
  pointsman inspect log.parquet --json > inspection.json

Outcomes of the test split are not looked at, so inspecting does not use it up.")]
pub(crate) struct Inspect {
    /// Show the texts of the duplicates found
    #[arg(long)]
    pub(crate) with_prompts: bool,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman train log.parquet -o router.safetensors
  pointsman train runs/*.jsonl --prices prices.csv --map prompt=question -o router.safetensors
  pointsman train log.csv --models small,large --score-range 1..10 -o pair.safetensors")]
pub(crate) struct Train {
    /// Where to write the router
    #[arg(short, long, value_name = "ROUTER")]
    pub(crate) output: PathBuf,
    /// Settings as TOML; flags win
    #[arg(long, value_name = "TOML")]
    pub(crate) recipe: Option<PathBuf>,
    /// How much work to put in
    #[arg(long, value_parser = ["quick", "standard", "thorough"])]
    pub(crate) effort: Option<String>,
    /// A base embedding to put beside words and surface signals, as models/base-embedding.safetensors; helps where a log has no
    /// tasks or few prompts, and makes the router 2 MB larger and slower
    #[arg(long, value_name = "FILE")]
    pub(crate) base: Option<PathBuf>,
    /// `fast` caps trees and vocabulary: quicker decisions, slightly worse ones
    #[arg(long, value_parser = ["full", "fast"])]
    pub(crate) profile: Option<String>,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("measured").required(true).multiple(true).args(["router", "predictions", "off_policy"])))]
#[command(after_help = "Examples:
  pointsman bench log.parquet --router router.safetensors
  pointsman bench log.parquet --router a.safetensors --router b.safetensors --html report.html --json report.json
  pointsman bench log.parquet --predictions theirs.jsonl --pair large,small
  pointsman bench log.parquet --router router.safetensors --controls leakage,shuffle --markdown report.md --plots plots
  pointsman bench gateway.jsonl --router router.safetensors --off-policy")]
pub(crate) struct Bench {
    /// A router to measure; repeatable
    #[arg(long, value_name = "ROUTER")]
    pub(crate) router: Vec<PathBuf>,
    /// Somebody else's router: choices, or predicted quality per model, by `prompt_id`; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Vec<PathBuf>,
    /// Which split to measure on
    #[arg(long, default_value = "test", value_parser = ["train", "validation", "calibration", "test"])]
    pub(crate) split: String,
    /// Training rows for the baselines, where LOG has none
    #[arg(long, value_name = "LOG")]
    pub(crate) train_log: Option<PathBuf>,
    /// Strong and weak model for APGR and CPT
    #[arg(long, value_name = "STRONG,WEAK")]
    pub(crate) pair: Option<String>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Let a predictions file leave out prompts; they go to the best single model
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// Controls to run too: leakage, shuffle, leave-task-out, leave-model-out, learning-curve, time-split, robustness, or
    /// all; most train routers anew, with --effort quick
    #[arg(long, value_name = "CONTROL,…", value_delimiter = ',')]
    pub(crate) controls: Vec<String>,
    /// Subsamples of each size of the learning curve
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) subsamples: usize,
    /// Estimate from traffic in which only the chosen model was run; LOG needs `propensity`
    #[arg(long, conflicts_with_all = ["predictions", "train_log", "pair", "html", "markdown", "csv", "plots", "with_prompts", "stratify", "controls"])]
    pub(crate) off_policy: bool,
    /// Keep the number of prompts of each task in every resample
    #[arg(long)]
    pub(crate) stratify: bool,
    /// Bootstrap resamples behind every interval
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) resamples: usize,
    /// Seed of the bootstrap
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Where the report goes.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write the report as JSON (`-`: to stdout)
    #[arg(long, value_name = "OUT")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as one self-contained HTML page
    #[arg(long, value_name = "OUT")]
    pub(crate) html: Option<PathBuf>,
    /// Write verdict and tables as Markdown, for a pull request
    #[arg(long, value_name = "OUT")]
    pub(crate) markdown: Option<PathBuf>,
    /// Write one line per router with all its figures as CSV
    #[arg(long, value_name = "OUT")]
    pub(crate) csv: Option<PathBuf>,
    /// Write every figure of the page into a folder, as SVG and PNG
    #[arg(long, value_name = "DIR")]
    pub(crate) plots: Option<PathBuf>,
    /// List prompts with their texts in the JSON report, and beside mistakes in the page
    #[arg(long)]
    pub(crate) with_prompts: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman calibrate router.safetensors --target 'quality>=0.97*best'
  pointsman calibrate router.safetensors log.parquet --target 'cost <= 60 % * best' -o cheaper.safetensors
  pointsman calibrate router.safetensors log.parquet --target 'share(gpt-4o)<=0.3' --json

Targets: quality>=AMOUNT, cost<=AMOUNT, share<=NUMBER, share(MODEL)<=NUMBER. AMOUNT is a number (quality from 0 to 1,
cost in USD per call) or NUMBER*best, that part of what the best single model has; a NUMBER may end in %. share counts
calls to the dearest model, or to MODEL.

λ is found on rows of split `validation` (30 prompts or more), else on the router's own curve over training
prompts. Where LOG has test rows, what λ brought there is shown too.")]
pub(crate) struct Calibrate {
    /// The router
    pub(crate) router: PathBuf,
    /// Evaluation logs with a validation or test split; files, folders or patterns
    #[arg(value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// What is wanted on average
    #[arg(long, value_name = "TARGET", value_hint = clap::ValueHint::Other)]
    pub(crate) target: String,
    /// Write a router with that default
    #[arg(short, long, value_name = "ROUTER")]
    pub(crate) output: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(["model", "retire", "rename"])))]
#[command(after_help = "Examples:
  pointsman extend router.safetensors labels.csv --model new-7b -o router-2.safetensors
  pointsman extend router.safetensors log.parquet --model new-7b --retire old-7b --prices prices.csv -o router-2.safetensors
  pointsman extend router.safetensors --retire old-7b --rename gpt-4o=gpt-4o-2024 -o router-2.safetensors

A new model needs 20 labels or more in the train split of LOG; 50 to 200 are better, on prompts drawn at random.
Outcomes of known models on the same prompts help. Names are changed first, then models retired, then the new one added.")]
pub(crate) struct Extend {
    /// The router
    pub(crate) router: PathBuf,
    /// Evaluation logs with outcomes of the new model; files, folders or patterns
    #[arg(value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// The model to add
    #[arg(long, value_name = "NEW", requires = "logs")]
    pub(crate) model: Option<String>,
    /// A model to leave out; repeatable
    #[arg(long, value_name = "MODEL")]
    pub(crate) retire: Vec<String>,
    /// Another name for a model; repeatable
    #[arg(long, value_name = "OLD=NEW")]
    pub(crate) rename: Vec<String>,
    /// Where to write the new router
    #[arg(short, long, value_name = "ROUTER")]
    pub(crate) output: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman route router.safetensors 'Translate to French: good morning'
  pointsman route router.safetensors --objective cheap --json 'Translate to French: good morning'
  pointsman route router.safetensors --stdin < requests.jsonl > decisions.jsonl
  pointsman route router.safetensors --config gateway.toml --explain 'Translate to French: good morning'

--stdin reads one JSON object a line, {\"id\"?, \"prompt\" or \"messages\", \"context\"?}, and answers each with one line.")]
pub(crate) struct Route {
    /// The router
    pub(crate) router: PathBuf,
    /// The prompt
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    pub(crate) prompt: Option<String>,
    /// Read JSON lines from standard input
    #[arg(long)]
    pub(crate) stdin: bool,
    /// quality, balanced, cheap, fast, or USD per unit of quality; default: what the router was calibrated to
    #[arg(long, value_name = "OBJECTIVE", value_hint = clap::ValueHint::Other, allow_hyphen_values = true)]
    pub(crate) objective: Option<String>,
    /// Only these models (`*` and `?` allowed)
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Not these models
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub(crate) deny: Vec<String>,
    /// Most a call may be expected to cost, in USD
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<f64>,
    /// Least expected quality
    #[arg(long, value_name = "QUALITY")]
    pub(crate) min_quality: Option<f64>,
    /// Decide as a gateway of this configuration (TOML or YAML) would, by its policies, aliases and targets; lines of --stdin are
    /// then bodies of requests
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Tags of the request, for the policies
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', requires = "config")]
    pub(crate) tags: Vec<String>,
    /// The client's `user-agent`, for the policies
    #[arg(long, value_name = "TEXT", requires = "config")]
    pub(crate) user_agent: Option<String>,
    /// The client's `accept-language`, for the policies
    #[arg(long, value_name = "LANGUAGE", requires = "config")]
    pub(crate) locale: Option<String>,
    /// When the request comes, as in 2027-01-31T09:30:00Z, for the policies; default: now
    #[arg(long, value_name = "TIME", requires = "config")]
    pub(crate) time: Option<String>,
    /// Show what the decision was made of
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman predict router.safetensors log.parquet -o predictions.parquet
  pointsman predict router.safetensors 'prompts/*.jsonl.zst' --full -o predictions.csv
  pointsman bench log.parquet --predictions predictions.parquet

The output has `prompt_id` and one column of expected quality per model, in the order in which prompts first occur.
--full adds the decision (`model`, `reason`), `novelty`, and `<model>|quality_se` and `<model>|cost_usd`; `bench`
then measures the decisions.")]
pub(crate) struct Predict {
    /// The router
    pub(crate) router: PathBuf,
    /// Evaluation logs, or tables with only `prompt` or `messages`; files, folders or patterns
    #[arg(required = true, value_name = "LOG")]
    pub(crate) logs: Vec<PathBuf>,
    /// Where to write the predictions: .parquet, .csv, .tsv or .jsonl
    #[arg(short, long, value_name = "PREDICTIONS")]
    pub(crate) output: PathBuf,
    /// Column of the table under another name, as in `prompt=question`; repeatable
    #[arg(long, value_name = "NAME=COLUMN")]
    pub(crate) map: Vec<String>,
    /// Also decisions, novelty, standard errors and costs
    #[arg(long)]
    pub(crate) full: bool,
    /// Objective of the decisions; default: what the router was calibrated to
    #[arg(long, value_name = "OBJECTIVE", value_hint = clap::ValueHint::Other, allow_hyphen_values = true, requires = "full")]
    pub(crate) objective: Option<String>,
    /// Print a summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman show router.safetensors
  pointsman show router.safetensors --json | jq .provenance")]
pub(crate) struct Show {
    /// The router
    pub(crate) router: PathBuf,
    /// Print the whole document as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  pointsman serve --router router.safetensors --listen 127.0.0.1:8080
  curl -s localhost:8080/v1/route -d '{\"messages\": [{\"role\": \"user\", \"content\": \"What is 2 + 2?\"}]}'

The addresses bound are printed as one JSON line. SIGHUP reloads configuration and router.
SIGTERM finishes what is in flight; a second one cuts it.")]
pub(crate) struct Serve {
    /// Configuration: TOML, or YAML where the name ends in .yaml or .yml; flags go before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The router; needed here or in the configuration
    #[arg(long, value_name = "ROUTER")]
    pub(crate) router: Option<PathBuf>,
    /// Address of the data plane; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Address of metrics, probes and administration; off: none of them [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR|off")]
    pub(crate) admin_listen: Option<String>,
    /// Objective of requests that name none
    #[arg(long, value_name = "OBJECTIVE", value_hint = clap::ValueHint::Other, allow_hyphen_values = true)]
    pub(crate) objective: Option<String>,
    /// Form of log records on stderr [default: human on a terminal, else json]
    #[arg(long, value_name = "FORM")]
    pub(crate) log: Option<LogForm>,
}

/// Form of log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    Human,
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman key
  pointsman key --json

The key is shown this once and kept nowhere. Its digest goes into the configuration: key_sha256 of [[tenants]] for a client,
admin_key_sha256 of [server] for an operator.")]
pub(crate) struct Key {
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman completions bash > ~/.local/share/bash-completion/completions/pointsman
  pointsman completions zsh  > ~/.zfunc/_pointsman
  pointsman completions fish > ~/.config/fish/completions/pointsman.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pointsman man | man -l -                    read the overview
  pointsman man --out ~/.local/share/man/man1  one page per command, for `man pointsman-train`")]
pub(crate) struct Man {
    /// Write a page for every command into this folder, instead of the overview to stdout
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}
