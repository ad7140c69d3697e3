fn main() {
    let mut o = pointsman_evals::ReadOptions::default();
    let mut files = vec![];
    for a in std::env::args().skip(1) {
        if let Some(p) = a.strip_prefix("--prices=") {
            o.prices = Some(p.into());
        } else if let Some(p) = a.strip_prefix("--map=") {
            o.add_map(p).unwrap();
        } else if let Some(p) = a.strip_prefix("--models=") {
            o.models = Some(p.split(',').map(Into::into).collect());
        } else {
            files.push(a.into());
        }
    }
    let t = std::time::Instant::now();
    let r = pointsman_evals::read(&files, &o, &mut |p| eprintln!("{p:?}"));
    match r {
        Ok(log) => {
            println!(
                "{:?} prompts {} models {} outcomes {} prices {}",
                t.elapsed(),
                log.prompts.len(),
                log.models.len(),
                log.outcomes.len(),
                log.prices.len()
            );
            println!("{:#?}", log.reading);
            let (m, mut d) = pointsman_evals::matrix::pool(&log, 0.9);
            let x = pointsman_evals::matrix::matrix(&log, pointsman_evals::Split::Test, &m, &mut d);
            println!("{d:?}\n{} x {} {:?}", x.prompts.len(), x.models.len(), x.cost_kind);
        }
        Err(e) => println!("error: {e}\nhint: {:?}", e.hint()),
    }
    println!("{:?}", std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmHWM")));
}
