//! The fault matrix: every fault × {plain, stream} × {the only target, the only target and only once, a healthy one beside
//! it}. All cells run at the same time, each with a gateway and fakes of its own.

use std::collections::BTreeMap;
use std::fmt::Write;

use pointsman_server::{Error, Settings, TargetSettings};
use pointsman_tests::fakeup::{Fake, Script, content};
use serde_json::Value;

use super::client::{ask, asking};
use super::faults::{Comes, Row, Scheme, rows};
use super::place::{Gateway, MODEL, runtime, target};

/// Tokens of a whole answer.
const CHUNKS: usize = 8;

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    /// The faulty target, which stays so.
    Alone,
    /// The faulty target, which is well from its second request on.
    Passing,
    /// The faulty target and one that is well.
    Beside,
}

const LAYOUTS: [Layout; 3] = [Layout::Alone, Layout::Passing, Layout::Beside];

#[test]
fn every_fault_comes_to_what_is_documented() {
    let results: BTreeMap<_, _> = runtime().block_on(async {
        let cells: Vec<_> = rows()
            .into_iter()
            .enumerate()
            .flat_map(|(position, row)| {
                LAYOUTS.into_iter().flat_map(move |layout| {
                    let row = row.clone();
                    [false, true].into_iter().filter_map(move |streams| {
                        // A refusing or untrusted listener does not change by being asked.
                        let changes = row.is_seen && row.tries > 1;
                        let row = row.clone();
                        (layout != Layout::Passing || changes)
                            .then(|| ((position, layout, streams), tokio::spawn(cell(row, layout, streams))))
                    })
                })
            })
            .collect();
        let mut results = BTreeMap::new();
        for (key, cell) in cells {
            results.insert(key, cell.await.unwrap_or_else(|error| Err(format!("panicked: {error}"))));
        }
        results
    });
    let rows = rows();
    println!("{:<22}{:>34}{:>26}{:>26}", "", "the only target", "only once", "a healthy one beside it");
    let mut wrong = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        for streams in [false, true] {
            let mut line = format!("{:<22}{:<8}", row.name, if streams { "stream" } else { "plain" });
            for layout in LAYOUTS {
                let said = match results.get(&(position, layout, streams)) {
                    None => "–",
                    Some(Ok(said)) => said.as_str(),
                    Some(Err(error)) => {
                        wrong.push(format!("{}, stream {streams}, {layout:?}: {error}", row.name));
                        "WRONG"
                    }
                };
                // Writing to a string cannot fail.
                let _ = write!(line, "{said:>26}");
            }
            println!("{line}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs one cell; gives what came of it in a few words, or what is wrong with it.
async fn cell(row: Row, layout: Layout, streams: bool) -> Result<String, String> {
    let script = Script { chunks: CHUNKS, ..row.script.clone() };
    let script = if layout == Layout::Passing { once(script) } else { script };
    let bad = Fake::start("bad", script).await.expect("a free port");
    let good = Fake::start("good", Script { chunks: CHUNKS, ..Script::default() }).await.expect("a free port");
    let mut faulty = target(&bad);
    if row.scheme == Scheme::Https {
        faulty.base_url = faulty.base_url.replace("http:", "https:");
    }
    let mut targets: Vec<TargetSettings> = vec![faulty];
    if layout == Layout::Beside {
        targets.push(target(&good));
    }
    let gateway = match Gateway::open(Settings { targets, ..Settings::new("") }).await {
        Ok(gateway) => gateway,
        Err(Error::Certificates(_)) if row.scheme == Scheme::Https => return Ok("no certificates here".into()),
        Err(error) => return Err(error.to_string()),
    };
    let nonce = format!("nonce-{}", row.name.replace([' ', ','], "-"));
    let (address, mut body) = (gateway.address, asking(MODEL, &nonce, streams));
    body["provider"] = serde_json::json!({"order": ["bad"]});
    let reply = tokio::task::spawn_blocking(move || ask(address, "", &body)).await.expect("an answer");
    let seen = [&bad, &good].map(|fake| fake.requests().len());
    let expect = |what: &str, is_so: bool| {
        if is_so { Ok(()) } else { Err(format!("{what}; upstreams saw {seen:?}; {reply:?}")) }
    };
    expect("a whole reply", reply.is_whole)?;
    expect("no word of the upstream's error", !reply.body.contains("scripted"))?;
    let visible = usize::from(row.is_seen);
    let comes = if streams { row.stream } else { row.plain };
    match (comes, layout) {
        (Comes::Error(status, code, cause), Layout::Alone) => {
            let error = &reply.json()["error"];
            expect("the status", reply.status == status)?;
            expect("the code", error["code"] == code)?;
            let attempts = error["metadata"]["attempts"].as_array().cloned().unwrap_or_default();
            let is_so = |attempt: &Value| attempt["target"] == "bad" && attempt["cause"] == cause;
            expect("the attempts", attempts.len() == row.tries && attempts.iter().all(is_so))?;
            expect("what was seen", seen == [row.tries * visible, 0])?;
            let wait = row.script.retry_after.map(|seconds| seconds.to_string());
            expect("the wait", wait.is_none() || reply.header("retry-after") == wait.as_deref())?;
            Ok(format!("{status} {cause} ×{}", row.tries))
        }
        (Comes::Answer, _) => {
            expect("the status", reply.status == 200)?;
            expect("the attempts", reply.header("x-pointsman-attempts") == Some("1"))?;
            expect("one request", seen == [1, 0])?;
            expect("no error", !reply.body.contains("\"error\""))?;
            expect("one end", reply.body.matches("[DONE]").count() == 1)?;
            content::check(&reply.content(), &nonce, CHUNKS, "")?;
            Ok("answered, 1 attempt".into())
        }
        (Comes::Cut(tokens, cause), _) => {
            let events = reply.events();
            let errors: Vec<&Value> = events.iter().filter(|event| event["error"].is_object()).collect();
            expect("the status", reply.status == 200)?;
            expect("one error, at the end", errors.len() == 1 && events.last() == errors.first().copied())?;
            expect("its code", errors[0]["error"]["code"] == "upstream_cut")?;
            expect("its cause", errors[0]["error"]["metadata"]["error_type"] == cause)?;
            expect("its finish", errors[0]["choices"][0]["finish_reason"] == "error")?;
            expect("no end that is none", !reply.body.contains("[DONE]"))?;
            expect("one request", seen == [1, 0])?;
            content::check(&reply.content(), &nonce, tokens, "")?;
            Ok(format!("cut after {tokens}, {cause}"))
        }
        (Comes::Error(..), Layout::Passing | Layout::Beside) => {
            let (answerer, expected) = if layout == Layout::Passing { ("bad", [2, 0]) } else { ("good", [visible, 1]) };
            expect("the status", reply.status == 200)?;
            expect("who answered", reply.header("x-pointsman-target") == Some(answerer))?;
            expect("its own answer", reply.body.contains(&format!("\"system_fingerprint\":\"{answerer}\"")))?;
            expect("the attempts", reply.header("x-pointsman-attempts") == Some("2"))?;
            expect("what was seen", seen == expected)?;
            expect("one end", !streams || reply.body.matches("[DONE]").count() == 1)?;
            content::check(&reply.content(), &nonce, CHUNKS, "")?;
            Ok("answered, 2 attempts".into())
        }
    }
}

/// The same for the first request alone.
fn once(script: Script) -> Script {
    let well = Script::default();
    let then = |mut first: Vec<u16>| {
        first.extend(well.statuses.clone());
        first
    };
    let mut faults = script.faults.clone();
    faults.extend(well.faults.clone());
    Script { statuses: then(script.statuses.clone()), faults, ..script }
}
