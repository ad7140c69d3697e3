//! Unusable input and wrong usage: exit status 2, one sentence on stderr that names the thing, nothing on stdout, and
//! the folder as it was.

use pointsman_evals::synthetic::{SyntheticConfig, rows};

use crate::workbench::Workbench;

/// Arguments, and what the sentence must name.
pub(crate) type Case<'a> = (&'a [&'a str], &'a [&'a str]);

#[track_caller]
pub(crate) fn assert_refused(bench: &Workbench, (arguments, named): Case<'_>) {
    let before = bench.listing();
    let run = bench.run(arguments);
    assert_eq!(run.status, Some(2), "{arguments:?}: {run:#?}");
    assert_eq!(run.stdout, "", "{arguments:?}");
    // What reading has to say may come first.
    let error: Vec<&str> = run.stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(!error.is_empty(), "{arguments:?}: {}", run.stderr);
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{arguments:?}: {}", run.stderr);
    let error = error.join("\n");
    for name in named {
        assert!(error.contains(name), "{arguments:?}: expected `{name}` in: {error}");
    }
    for noise in ["panicked", "RUST_BACKTRACE", "failed to", "called `", "Error {", "Some("] {
        assert!(!run.stderr.contains(noise), "{arguments:?}: {}", run.stderr);
    }
    assert_eq!(bench.listing(), before, "{arguments:?}");
}

/// A folder with good and bad files of every kind.
fn bench() -> Workbench {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 200, 3);
    bench.write_log("log.csv", 200, 3);
    bench.write_log("one-model.csv", 200, 1);
    bench.write_log("few.csv", 12, 3);
    std::fs::create_dir(bench.path("folder")).expect("the folder is writable");
    bench.write("empty.csv", "");
    bench.write("empty.parquet", "");
    let log = std::fs::read(bench.path("log.parquet")).expect("the log was written");
    bench.write("cut.parquet", &log[..log.len() / 2]);
    bench.write("text.parquet", "prompt,model,score\na,b,1\n");
    bench.write("unscored.csv", "prompt,model\nwhat,aster\n");
    bench.write("marks.csv", "prompt,model,score\nwhat,aster,7\nwhat,briar,3\n");
    bench.write("nan.csv", "prompt,model,score\nwhat,aster,NaN\nwhat,briar,nan\n");
    bench.write("header.csv", "prompt,model,score\n");
    bench.write("junk.jsonl", [0xff_u8, 0xfe, 0, 1, b'\n', b'{', b'\n']);
    let router = std::fs::read(bench.path("router.safetensors")).expect("the router was written");
    bench.write("cut.safetensors", &router[..router.len() - 100]);
    bench.write("text.safetensors", "this is no artifact, but it is long enough for a header");
    let mut damaged = router.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    bench.write("damaged.safetensors", damaged);
    bench.write("bad.toml", "bucket_bit = 3\n");
    bench.write("small.toml", "vocabulary_bits = 3\n");
    bench.write("prices.csv", "model,input_usd_per_mtok,output_usd_per_mtok\naster,-1,2\n");
    bench
}

#[test]
fn logs() {
    let bench = bench();
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 12] = [
        ("gone.parquet", &["gone.parquet"]),
        ("empty.csv", &["empty.csv", "empty"]),
        ("empty.parquet", &["empty.parquet"]),
        ("folder", &["folder"]),
        ("cut.parquet", &["cut.parquet", "cut short"]),
        ("text.parquet", &["text.parquet", "Parquet"]),
        ("unscored.csv", &["unscored.csv", "score"]),
        ("marks.csv", &["marks.csv:2", "score 7", "--score-range"]),
        ("nan.csv", &["score"]),
        ("header.csv", &["row"]),
        ("junk.jsonl", &["junk.jsonl"]),
        ("router.safetensors", &["router.safetensors"]),
    ];
    for (log, named) in cases {
        assert_refused(&bench, (&["train", log, "-o", "new.safetensors"], named));
        assert_refused(&bench, (&["bench", log, "--router", "router.safetensors", "--json", "new.json"], named));
    }
}

#[test]
fn too_little_to_learn_from() {
    let bench = bench();
    let train = |log| ["train", log, "-o", "new.safetensors", "--recipe", "tiny.toml"];
    assert_refused(&bench, (&train("one-model.csv"), &["2 models", "got 1"]));
    assert_refused(&bench, (&train("few.csv"), &["30 prompts", "got"]));
}

#[test]
fn routers() {
    let bench = bench();
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 6] = [
        ("gone.safetensors", &["gone.safetensors"]),
        ("folder", &["folder"]),
        ("cut.safetensors", &["cut.safetensors", "safetensors file"]),
        ("text.safetensors", &["text.safetensors", "safetensors file"]),
        ("damaged.safetensors", &["damaged.safetensors", "checksum"]),
        ("log.parquet", &["log.parquet", "safetensors file"]),
    ];
    for (router, named) in cases {
        assert_refused(&bench, (&["show", router], named));
        assert_refused(&bench, (&["show", router, "--json"], named));
        assert_refused(&bench, (&["route", router, "hello"], named));
        assert_refused(&bench, (&["route", router, "--stdin"], named));
        assert_refused(&bench, (&["bench", "log.parquet", "--router", router, "--html", "new.html"], named));
    }
}

#[test]
fn flags_of_train() {
    let bench = bench();
    #[rustfmt::skip]
    let cases: Vec<Case<'_>> = vec![
        (&["train", "log.csv"], &["--output"]),
        (&["train", "-o", "new.safetensors"], &["LOG"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--frobnicate"], &["--frobnicate"]),
        (&["train", "log.csv", "-o", "gone/new.safetensors"], &["gone/new.safetensors", "folder"]),
        (&["train", "log.csv", "-o", "folder"], &["folder"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--models", "gpt,aster"], &["gpt"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--models", ""], &["--models"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--task", "no-such-task"], &["--task"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--recipe", "gone.toml"], &["gone.toml"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--recipe", "bad.toml"], &["bad.toml", "bucket_bit"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--recipe", "small.toml"], &["vocabulary_bits", "8 to 20"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--effort", "lots"], &["lots", "quick"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--seed", "-1"], &["-1"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--map", "promt=question"], &["promt", "prompt"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--map", "prompt=question"], &["question"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--score-range", "10..1"], &["--score-range"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--min-coverage", "2"], &["--min-coverage", "2"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--assume-output-tokens=-5"], &["--assume-output-tokens"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--prices", "gone.csv"], &["gone.csv"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--prices", "prices.csv"], &["prices.csv:2", "input_usd_per_mtok"]),
        (&["train", "log.csv", "-o", "new.safetensors", "--prompts", "gone.csv"], &["gone.csv"]),
        (&["frobnicate"], &["frobnicate"]),
    ];
    for case in cases {
        assert_refused(&bench, case);
    }
}

#[test]
fn flags_of_bench() {
    let bench = bench();
    let good: String = rows(SyntheticConfig { n_prompts: 200, n_models: 1, seed: 1 })
        .filter_map(|row| Some(format!("{},aster-nano\n", row.prompt_id?)))
        .take(3)
        .collect();
    bench.write("some.csv", format!("prompt_id,model\n{good}"));
    bench.write("strangers.csv", "prompt_id,gpt\nsyn-0000001,0.5\n");
    bench.write("unnamed.csv", "id,aster\n1,0.5\n");
    bench.write("some.xml", "<a/>");
    let router = ["bench", "log.csv", "--router", "router.safetensors", "--resamples", "100", "--json", "new.json"];
    #[rustfmt::skip]
    let with_router: Vec<Case<'_>> = vec![
        (&["--pair", "aster"], &["--pair", "aster"]),
        (&["--pair", "gpt,llama"], &["pair", "gpt"]),
        (&["--html", "gone/new.html"], &["gone/new.html", "folder"]),
        (&["--split", "tset"], &["tset", "test"]),
        (&["--split", "calibration"], &["calibration"]),
        (&["--models", "gpt"], &["gpt"]),
        (&["--train-log", "gone.csv"], &["gone.csv"]),
        (&["--predictions", "gone.csv"], &["gone.csv"]),
        (&["--predictions", "some.csv"], &["some.csv", "missing", "--allow-partial"]),
        (&["--predictions", "strangers.csv"], &["strangers.csv", "gpt"]),
        (&["--predictions", "unnamed.csv"], &["unnamed.csv", "prompt_id"]),
        (&["--predictions", "some.xml"], &["some.xml"]),
    ];
    for (more, named) in with_router {
        assert_refused(&bench, (&[&router[..], more].concat(), named));
    }
    assert_refused(&bench, (&["bench", "log.csv"], &["--router"]));
    let few = ["bench", "log.csv", "--router", "router.safetensors", "--resamples", "5"];
    assert_refused(&bench, (&few, &["resamples", "at least 100"]));
    let nowhere = ["bench", "log.csv", "--router", "router.safetensors", "--json", "gone/new.json"];
    assert_refused(&bench, (&nowhere, &["gone/new.json", "folder"]));
}

#[test]
fn flags_of_route_and_show() {
    let bench = bench();
    #[rustfmt::skip]
    let cases: Vec<Case<'_>> = vec![
        (&["route", "router.safetensors"], &["PROMPT"]),
        (&["route", "router.safetensors", "hello", "--stdin"], &["--stdin"]),
        (&["route", "router.safetensors", "hello", "--objective", "cheapest"], &["cheapest", "cheap"]),
        (&["route", "router.safetensors", "hello", "--objective", "-1"], &["-1"]),
        (&["route", "router.safetensors", "hello", "--objective", "NaN"], &["NaN"]),
        (&["route", "router.safetensors", "hello", "--allow", "gpt"], &["gpt", "aster"]),
        (&["route", "router.safetensors", "hello", "--allow", "z*"], &["leave no model"]),
        (&["route", "router.safetensors", "hello", "--deny", "*"], &["leave no model"]),
        (&["route", "router.safetensors", "hello", "--max-cost", "lots"], &["lots"]),
        (&["show"], &["ROUTER"]),
        (&["show", "router.safetensors", "--yaml"], &["--yaml"]),
    ];
    for case in cases {
        assert_refused(&bench, case);
    }
}

#[test]
fn an_output_that_was_there_stays_as_it_was() {
    let bench = bench();
    bench.write("old.safetensors", "kept");
    assert_refused(&bench, (&["train", "few.csv", "-o", "old.safetensors"], &["30 prompts"]));
    assert_eq!(std::fs::read(bench.path("old.safetensors")).expect("it is still there"), b"kept");
}
