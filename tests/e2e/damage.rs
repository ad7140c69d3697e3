//! A thousand and more damaged inputs, each against the real binary or the real service: a typed error or a result,
//! never a crash, never half an output.

mod corpus;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use corpus::{Case, DamagedRequest, Expected};

use crate::workbench::{Run, Workbench};

/// Cases in all; the corpus shrinking unnoticed would be a defect too.
const LEAST_LOGS: usize = 500;
const LEAST_ARTIFACTS: usize = 250;
const LEAST_REQUESTS: usize = 290;

/// Good logs of every form, small enough to train on in a moment.
fn good_logs() -> Vec<(&'static str, Vec<u8>)> {
    let bench = Workbench::new();
    let written = |name: &str| {
        bench.write_log(name, 60, 2);
        std::fs::read(bench.path(name)).expect("the log was written")
    };
    let csv = written("log.csv");
    let jsonl = written("log.jsonl");
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).expect("written to memory");
        encoder.finish().expect("written to memory")
    };
    let chats = corpus::lines(200, |i| {
        format!(
            "{{\"messages\":[{{\"role\":\"system\",\"content\":\"Be kind.\"}},{{\"role\":\"user\",\"content\":\"Question \
                 number {}, please\"}}],\"model\":\"m{}\",\"score\":{},\"context.plan\":\"free\",\"group\":\"g{}\"}}\n",
            i / 2,
            i % 2,
            i % 3 / 2,
            i / 8
        )
    });
    let wide = corpus::lines(60, |i| {
        format!("id-{i},\"What is {i} + {i}?\",arithmetic,{}.0,1.0,four,five,0.001,0.00{}1\n", i % 2, i % 9)
    });
    let header = "sample_id,prompt,eval_name,small,large,small|model_response,large|model_response,\
                  small|total_cost,large|total_cost\n";
    vec![
        ("log.parquet", written("log.parquet")),
        ("log.csv.gz", gzip(&csv)),
        ("log.jsonl.zst", zstd::encode_all(jsonl.as_slice(), 3).expect("compressed in memory")),
        ("log.tsv", String::from_utf8_lossy(&csv).replace(',', "\t").into_bytes()),
        ("log.csv", csv),
        ("log.jsonl", jsonl),
        ("chats.jsonl", chats.into_bytes()),
        ("wide.csv", format!("{header}{wide}").into_bytes()),
    ]
}

/// What is wrong with how a run ended; `None` if nothing is.
fn complaint(run: &Run, expected: Expected) -> Option<String> {
    if run.stderr.contains("panicked") {
        return Some(format!("panicked: {}", run.stderr));
    }
    match (run.status, expected) {
        (Some(0), Expected::Refused) => Some("was accepted".to_owned()),
        (Some(2), _) if !run.stdout.is_empty() => Some(format!("refused with output: {}", run.stdout)),
        (Some(2), _) if run.stderr.lines().filter(|line| line.starts_with("error: ")).count() != 1 => {
            Some(format!("no sentence: {}", run.stderr))
        }
        (Some(0), Expected::Either) | (Some(2), _) => None,
        (status, _) => Some(format!("status {status:?}: {}", run.stderr)),
    }
}

/// Runs every case in a folder of its own on two threads, and gathers complaints.
fn all_end_well(cases: &[Case], end: impl Fn(&Workbench, &Case) -> Run + Sync) {
    let complaints: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(cases.len().div_ceil(2))
            .map(|cases| {
                let end = &end;
                scope.spawn(move || {
                    let bench = Workbench::with_router();
                    let mut complaints = Vec::new();
                    for case in cases {
                        bench.write(case.file, &case.bytes);
                        let before = bench.listing();
                        let run = end(&bench, case);
                        let about = complaint(&run, case.expected);
                        let refused = run.status != Some(0);
                        let littered = refused && bench.listing() != before;
                        complaints.extend(about.map(|about| format!("{}: {about}", case.name)));
                        complaints.extend(littered.then(|| format!("{}: left something behind", case.name)));
                        for file in [case.file, "new.safetensors"] {
                            let _ = std::fs::remove_file(bench.path(file));
                        }
                    }
                    complaints
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker panics")).collect()
    });
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len(), complaints.join("\n"));
}

#[test]
fn logs_of_every_form() {
    let mut cases = corpus::senseless_logs();
    for (seed, (file, good)) in (1..).zip(good_logs()) {
        cases.extend(corpus::damaged(file, &good, 50, seed));
    }
    assert!(cases.len() >= LEAST_LOGS, "{} cases", cases.len());
    all_end_well(&cases, |bench, case| {
        // What can be looked at can be trained on, which takes longer and is tried elsewhere.
        let looked_at = bench.run(&["inspect", case.file]);
        if looked_at.status == Some(0) {
            return looked_at;
        }
        bench.run(&["train", case.file, "-o", "new.safetensors", "--recipe", "tiny.toml"])
    });
}

#[test]
fn good_logs_are_good() {
    let bench = Workbench::with_router();
    for (file, bytes) in good_logs() {
        bench.write(file, bytes);
        bench.run(&["train", file, "-o", "new.safetensors", "--recipe", "tiny.toml"]).done();
    }
}

/// Bombs are read through a small window: the address space is limited to 2 GiB, of which most is code and stacks.
#[test]
fn bombs_do_not_go_off() {
    all_end_well(&corpus::bombs(), |bench, case| {
        let binary = env!("CARGO_BIN_EXE_pointsman");
        // Threads and the allocator's arenas reserve address space by the core: here as on a small machine.
        let few = "MALLOC_ARENA_MAX=2 POLARS_MAX_THREADS=2 RAYON_NUM_THREADS=2";
        let command = format!("ulimit -v 2097152; {few} exec {binary} train {} -o new.safetensors", case.file);
        bench.shell(&command)
    });
}

#[test]
fn artifacts() {
    let bench = Workbench::with_router();
    let good = std::fs::read(bench.path("router.safetensors")).expect("the router is there");
    let mut cases = corpus::damaged("damaged.safetensors", &good, 250, 21);
    for case in &mut cases {
        // Every byte of an artifact is under its checksum or its header's rules.
        case.expected = if case.bytes == good { Expected::Either } else { Expected::Refused };
    }
    assert!(cases.len() >= LEAST_ARTIFACTS, "{} cases", cases.len());
    all_end_well(&cases, |bench, case| bench.run(&["route", case.file, "What is 2 + 2?"]));
}

/// `pointsman serve` in a child process.
struct Service {
    child: Child,
    address: SocketAddr,
}

impl Service {
    fn start(bench: &Workbench) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["serve", "--router"])
            .arg(bench.path("router.safetensors"))
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the service says where it listens");
        let bound: serde_json::Value = serde_json::from_str(&line).expect("one line of JSON");
        let address = bound["listen"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Self { child, address }
    }

    /// Status of the answer and its body; 0 where the connection ended without one.
    fn ask(&self, request: &DamagedRequest) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).expect("the service accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{}\r\n",
            request.method, request.path, request.headers
        );
        // A service that has seen enough may stop reading; what it answered is what counts.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&request.body));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned());
        (status, body)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn requests() {
    let bench = Workbench::with_router();
    let service = Service::start(&bench);
    let cases = corpus::requests();
    assert!(cases.len() >= LEAST_REQUESTS, "{} cases", cases.len());
    let mut complaints = Vec::new();
    for case in &cases {
        let (status, body) = service.ask(case);
        let fits = match case.expected {
            Expected::Refused => (400..500).contains(&status),
            Expected::Either => status == 200 || (400..500).contains(&status),
        };
        if !fits {
            complaints.push(format!("{}: status {status}: {}", case.name, body.chars().take(200).collect::<String>()));
        }
    }
    assert!(complaints.is_empty(), "{} of {}:\n{}", complaints.len(), cases.len(), complaints.join("\n"));
    let good = r#"{"messages":[{"role":"user","content":"What is 2 + 2?"}]}"#;
    let after = DamagedRequest {
        name: "a good request after all of them".into(),
        method: "POST",
        path: "/v1/route",
        headers: format!("content-type: application/json\r\ncontent-length: {}\r\n", good.len()),
        body: good.into(),
        expected: Expected::Either,
    };
    assert_eq!(service.ask(&after).0, 200);
}
