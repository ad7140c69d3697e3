//! Artifacts that have to be signed. The signature in `signed/` was made by minisign 0.10 (`minisign -Sm router-v2.safetensors`)
//! with a key that is kept nowhere.

use std::fs;
use std::path::Path;

use super::client::{Running, loopback};
use super::fake::{Fake, completion};
use crate::{Error, Server, Settings};

const KEY: &str = "RWQakpEUAROw2IxRSzSiIXgK8r5vsZfGAkyLOQUIou0cpqdw9s6f7q1T";

/// Another one, of minisign's own documentation.
const ANOTHER: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

const ARTIFACT: &[u8] = include_bytes!("../../../../tests/formats/fixtures/router-v2.safetensors");
const SIGNATURE: &str = include_str!("signed/router-v2.safetensors.minisig");

fn open(folder: &Path, key: &str) -> Result<Server, Error> {
    let router = folder.join("router.safetensors");
    let settings = Settings { router, minisign_key: Some(key.into()), ..loopback() };
    Server::open(move || Ok(settings.clone()))
}

#[test]
fn a_signed_artifact_is_taken_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (router, signature) =
        (folder.path().join("router.safetensors"), folder.path().join("router.safetensors.minisig"));
    fs::write(&router, ARTIFACT).expect("written");
    let why = |key: &str| match open(folder.path(), key) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(why(KEY).contains("router.safetensors.minisig`: it cannot be read"), "{}", why(KEY));
    fs::write(&signature, SIGNATURE).expect("written");
    assert_eq!(why(KEY), "taken");
    assert!(why(ANOTHER).ends_with("it is of another key or of another file"), "{}", why(ANOTHER));
    for bad in ["", "RW", "untrusted comment", &KEY[1..]] {
        assert!(why(bad).contains("router.minisign_key"), "{}", why(bad));
    }
    for damaged in ["", "untrusted comment: x\n", &SIGNATURE.replace("RUQ", "RUR"), &"x".repeat(5_000)] {
        fs::write(&signature, damaged).expect("written");
        assert!(why(KEY).contains("expected a signature"), "{}", why(KEY));
    }
    // Every bit of the signature counts, those of its comment among them.
    for at in [60, 120, SIGNATURE.find("file:").expect("a comment"), SIGNATURE.len() - 20] {
        let mut flipped = SIGNATURE.as_bytes().to_vec();
        flipped[at] ^= 1;
        fs::write(&signature, flipped).expect("written");
        assert_ne!(why(KEY), "taken", "byte {at}");
    }
    // An artifact that is valid, and another one.
    fs::write(&signature, SIGNATURE).expect("written");
    fs::write(&router, super::artifact::bytes(super::artifact::Latencies::Known)).expect("written");
    assert!(why(KEY).ends_with("it is of another key or of another file"), "{}", why(KEY));
}

#[test]
fn a_reload_takes_no_unsigned_artifact_and_a_default_target_stands_in_for_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (router, signature) =
        (folder.path().join("router.safetensors"), folder.path().join("router.safetensors.minisig"));
    fs::write(&router, ARTIFACT).expect("written");
    fs::write(&signature, SIGNATURE).expect("written");
    let fake = Fake::new([completion("Hi")]);
    let settings = Settings {
        router: router.clone(),
        minisign_key: Some(KEY.into()),
        targets: vec![fake.target("a", "aster-nano")],
        default_target: Some("a".into()),
        ..loopback()
    };
    let server = Running::by(settings.clone());
    let version = || server.administer("GET", "/admin/v1/routers").json()["routers"][0]["version"].clone();
    let before = version();
    fs::write(&router, super::artifact::bytes(super::artifact::Latencies::Known)).expect("written");
    let reply = server.administer("POST", "/admin/v1/reload");
    assert!(
        reply.status == 409 && reply.json()["error"].as_str().is_some_and(|why| why.contains("signature")),
        "{reply:?}"
    );
    assert_eq!(version(), before);

    let server = Running::by(settings);
    let stand_in = server.administer("GET", "/admin/v1/routers").json()["stand_in"].clone();
    assert!(stand_in.as_str().is_some_and(|why| why.contains("signature")), "{stand_in}");
}
