//! Routes every line of standard input and prints model, reason and expected quality.
//!
//! ```text
//! echo 'What is 2 + 2?' | cargo run --release -p pointsman --example route -- router.safetensors
//! ```

use std::io::{BufRead, Write};

use pointsman::{Limits, Objective, Policy, Request, Router, Scratch, Turn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of a router")?;
    let router = Router::load(path)?;
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    let bound = router.bind(&router.default_catalog(), &policy)?;
    let mut scratch = Scratch::default();
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let turns = [Turn::user(&line)];
        let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
        let quality = decision.ranked[0].quality;
        writeln!(stdout, "{}\t{}\t{quality:.3}", decision.model, decision.reason.as_str())?;
    }
    Ok(())
}
