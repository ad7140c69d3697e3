//! Any text: the identifiers of its pieces are those of the `tokenizers` crate, and a router decides for it, with figures in
//! their domains.

use std::sync::LazyLock;

use pointsman::{Features, Predictions, Request, Role, Router, Turn};

use crate::pieces::Both;

const ROUTER: &[u8] = include_bytes!("../../formats/fixtures/router-v2.safetensors");

/// Encodes and routes `data`.
pub(crate) fn run(data: &[u8]) {
    static BOTH: LazyLock<Both> = LazyLock::new(Both::new);
    static LOADED: LazyLock<Router> = LazyLock::new(|| Router::from_bytes(ROUTER).expect("a valid router"));
    let text = String::from_utf8_lossy(data);
    BOTH.check(&text);
    let (mut features, mut predictions) = (Features::default(), Predictions::default());
    LOADED.featurise(&Request::new(&[Turn { role: Role::System, text: &text }, Turn::user(&text)]), &mut features);
    LOADED.predict(&features, &mut predictions);
    assert!(predictions.quality.iter().all(|quality| (0.0..=1.0).contains(quality)), "{predictions:?}");
    assert!((0.0..=1.0).contains(&predictions.novelty), "{predictions:?}");
}
