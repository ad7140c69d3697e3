//! `pointsman key`.

use anyhow::Context;
use pointsman_server::NewKey;
use serde_json::json;

use crate::args::Key;
use crate::terminal::{advice, print, say, strong};

pub(crate) fn run(args: &Key) -> anyhow::Result<()> {
    let NewKey { key, sha256, .. } = NewKey::random().context("the operating system gives no random numbers")?;
    if args.json {
        print(json!({ "key": key, "sha256": sha256 }));
        return Ok(());
    }
    print(format!("key     {key}\nsha256  {sha256}"));
    say(format!("{} It is shown this once and kept nowhere.", strong("The key is for its holder.")));
    say(advice("The digest goes into key_sha256 of [[tenants]], or into admin_key_sha256 of [server]."));
    Ok(())
}
