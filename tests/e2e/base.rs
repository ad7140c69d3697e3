//! `train --base`: a router with a base embedding is a router like any other, and what is no base embedding is refused.

use crate::workbench::Workbench;

/// The shipped embedding, from the folder of the package whose binary is run.
const BASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/base-embedding.safetensors");

#[test]
fn a_router_with_a_base_embedding_is_trained_extended_calibrated_and_asked() {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 400, 4);
    let train = |output: &str, models: &str| {
        bench
            .run(&["train", "log.parquet", "-o", output, "--recipe", "tiny.toml", "--base", BASE, "--models", models])
            .done();
    };
    let shown = |router: &str| bench.run(&["show", router, "--json"]).done().json();
    let names = shown("router.safetensors")["models"].clone();
    let names: Vec<&str> = names.as_array().expect("models").iter().filter_map(|name| name.as_str()).collect();
    train("with.safetensors", &names.join(","));
    let document = shown("with.safetensors");
    assert_eq!(document["base"]["dimensions"], 64);
    assert!(bench.run(&["show", "with.safetensors"]).done().stdout.contains("an embedding of 64 dimensions"));
    assert!(shown("router.safetensors").get("base").is_none());

    // The same log gives the same bytes.
    train("again.safetensors", &names.join(","));
    let bytes = |router: &str| std::fs::read(bench.path(router)).expect("written");
    assert!(bytes("with.safetensors") == bytes("again.safetensors"));

    let route = |router: &str| bench.run(&["route", router, "Prove that 2 + 2 = 4.", "--json"]).done().json();
    assert!(names.contains(&route("with.safetensors")["model"].as_str().expect("a model")));

    let two = names[..2].join(",");
    train("two.safetensors", &two);
    let extend = ["extend", "two.safetensors", "log.parquet", "--model", names[2], "-o", "three.safetensors"];
    bench.run(&extend).done();
    assert_eq!(shown("three.safetensors")["base"], document["base"]);
    bench
        .run(&["calibrate", "three.safetensors", "log.parquet", "--target", "cost<=0.9*best", "-o", "set.safetensors"])
        .done();
    route("set.safetensors");
    bench.run(&["predict", "set.safetensors", "log.parquet", "-o", "predictions.parquet"]).done();
}

#[test]
fn what_is_no_base_embedding_is_refused() {
    let bench = Workbench::with_router();
    bench.write_log("log.parquet", 200, 3);
    let refused = |base: &str| {
        let run = bench.run(&["train", "log.parquet", "-o", "r.safetensors", "--recipe", "tiny.toml", "--base", base]);
        assert_ne!(run.status, Some(0), "{base}");
        assert!(!bench.path("r.safetensors").exists());
        run.stderr
    };
    assert!(refused("router.safetensors").contains("expected a `pointsman_embedding` document"));
    assert!(refused("missing.safetensors").contains("cannot be read"));
    let mut bytes = std::fs::read(BASE).expect("shipped");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bench.write("damaged.safetensors", &bytes);
    assert!(refused("damaged.safetensors").contains("checksum of its content"));
    bench.write("cut.safetensors", &bytes[..middle]);
    assert!(refused("cut.safetensors").contains("not a complete safetensors file"));
}
