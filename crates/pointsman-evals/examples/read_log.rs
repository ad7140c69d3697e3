//! Reads evaluation logs and says what is in them and how long that took.
//!
//! ```text
//! cargo run --release -p pointsman-evals --example read_log -- LOG...
//! ```
//!
//! For measuring the reader: run it under a tool that tells peak memory.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use pointsman_evals::{Error, ReadOptions, read};

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let text = match run(&files) {
        Ok(text) => text,
        Err(error) => {
            // Nothing to be done if even this cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {error}\nusage: read_log LOG...");
            return ExitCode::from(2);
        }
    };
    let _ = write!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn run(files: &[PathBuf]) -> Result<String, Error> {
    let begun = Instant::now();
    let mut rows_read = 0.0;
    let log = read(files, &ReadOptions::default(), &mut |_| rows_read = begun.elapsed().as_secs_f64())?;
    let all = begun.elapsed().as_secs_f64();
    let reading = &log.reading;
    Ok(format!(
        "rows       {} ({} accepted)\nprompts    {}\nmodels     {}\noutcomes   {}\nhash       {}\n\
         rows read  {rows_read:.1} s\nassembled  {:.1} s\nrows/s     {:.0}\n",
        reading.rows,
        reading.accepted,
        log.prompts.len(),
        log.models.len(),
        log.outcomes.len(),
        reading.data_sha256,
        all - rows_read,
        reading.rows as f64 / all,
    ))
}
