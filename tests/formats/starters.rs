//! The starter routers of `models/`: each opens, decides, has a card that names this very file, and all of them are small.

use std::path::{Path, PathBuf};

use pointsman::artifact::identity;
use pointsman::{Limits, Policy, Request, Router, Scratch, Turn};

/// What the folder may hold, in bytes.
const MOST_BYTES: usize = 40_000_000;

/// The file of the base embedding, which is no router.
const BASE: &str = "base-embedding.safetensors";

fn starters() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let files = std::fs::read_dir(folder).expect("models/ is there").map(|entry| entry.expect("readable").path());
    files
        .filter(|file| file.extension().is_some_and(|extension| extension == "safetensors") && !file.ends_with(BASE))
        .collect()
}

#[test]
fn every_starter_decides_and_has_its_card() {
    let starters = starters();
    assert_eq!(starters.len(), 3);
    let mut bytes_in_all = 0;
    for file in starters {
        let bytes = std::fs::read(&file).expect("readable");
        bytes_in_all += bytes.len();
        let router = Router::from_bytes(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let bound = router.bind(&router.default_catalog(), &Policy::default()).expect("the whole pool binds");
        let turns = [Turn::user("What is the derivative of x^2?")];
        let mut scratch = Scratch::default();
        let decision = bound.route(&Request::new(&turns), &Limits::default(), &mut scratch);
        assert!(router.models().iter().any(|model| model == decision.model));

        let card = std::fs::read_to_string(file.with_extension("md")).expect("a card beside the router");
        assert!(card.contains(&identity(&bytes)), "{}: the card is of another file", file.display());
        for model in router.models() {
            assert!(card.contains(model), "{}: the card does not name {model}", file.display());
        }
    }
    let base = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(BASE)).expect("readable");
    let card = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/base-embedding.md"))
        .expect("a card");
    assert!(card.contains(&identity(&base)), "the card is of another base embedding");
    bytes_in_all += base.len();
    assert!(bytes_in_all < MOST_BYTES, "{bytes_in_all} bytes");
}
