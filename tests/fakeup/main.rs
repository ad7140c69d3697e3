//! `fakeup SCRIPT`: fakes of upstreams as a process of their own.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pointsman_tests::fakeup::setup::Setup;

const HELP: &str = "\
fakeup SCRIPT: fakes of OpenAI-compatible services

SCRIPT is TOML, or JSON of the same shape where its name ends in .json:

  panel = \"127.0.0.1:0\"            # scripts and records of all: /_fakeup/NAME/{record,stats,script}

  [[listeners]]
  name = \"a\"
  listen = \"127.0.0.1:0\"           # port 0: any free one
  remembered = 4096                # requests in the record

  [listeners.script]               # every key is optional
  refuses = false                  # nobody listens
  tls = false                      # TLS under a certificate that nobody trusts
  latency_ms = 5                   # or { from = 5, to = 20 }; so are first_token_ms and gap_ms
  first_token_ms = 0
  gap_ms = 0
  chunks = 8                       # tokens of an answer
  text = \"\"                        # follows every token
  usage = { prompt_tokens = 12, completion_tokens = 8 }
  statuses = [200]                 # of requests in turn; the last one repeats
  retry_after = 1                  # seconds, beside a status of 400 and above
  faults = [\"none\"]                # none, reset, hangup, stall, stall_before_content, malformed_json, wrong_type,
                                   # unterminated, stall_at_end, { stall_after = 3 }, { cut = 3 }, { reset_after = 3 },
                                   # { malformed_chunk = 3 }, { error_event = 3 }, { drip_ms = 5 }
  echo = false                     # the request's head stands in the answer
  seed = 0

One line of JSON says where everything is. Every listener answers POST …/chat/completions and GET …/models, and
GET /_fakeup/record, GET /_fakeup/stats, PUT /_fakeup/script (JSON). An answer is the last word of the last message with
numbers: `word:0 word:1 …`.
";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout();
    match &arguments[..] {
        [flag] if flag == "--help" || flag == "-h" => Ok(out.write_all(HELP.as_bytes())?),
        [path] => {
            let setup = read(Path::new(path))?;
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let started = setup.start().await?;
                writeln!(out, "{}", serde_json::to_string(&started)?)?;
                out.flush()?;
                std::future::pending().await
            })
        }
        _ => bail!("expected one argument, the script; --help shows one"),
    }
}

fn read(path: &Path) -> Result<Setup> {
    let text = std::fs::read_to_string(path).with_context(|| format!("script `{}`", path.display()))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    Ok(if is_json { serde_json::from_str(&text)? } else { toml::from_str(&text)? })
}
