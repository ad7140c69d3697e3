//! `route --config`: what a gateway of this configuration would do with a request, and why.

use std::io::BufRead;
use std::path::Path;

use pointsman_server::{Config, Explainer};
use serde_json::{Value, json};

use crate::args::Route;
use crate::failure::unusable;
use crate::terminal::{print, show};
use crate::text::{percent, table};

pub(crate) fn run(args: &Route, config: &Path) -> anyhow::Result<()> {
    if !args.allow.is_empty() || !args.deny.is_empty() {
        return Err(unusable("--allow and --deny: not together with --config, whose policies say who may be chosen"));
    }
    let mut file = Config::read(config)?;
    file.router.path = Some(args.router.clone());
    let explainer = Explainer::open(file.into_settings()?)?;
    if args.stdin {
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            if !line.trim().is_empty() {
                let told = explain(&explainer, args, &line);
                print(told.unwrap_or_else(|error| json!({ "error": { "message": error.to_string() } })));
            }
        }
        return Ok(());
    }
    let mut options = serde_json::Map::new();
    for (key, limit) in [("max_cost_usd", args.max_cost), ("min_quality", args.min_quality)] {
        options.extend(limit.map(|limit| (key.to_owned(), json!(limit))));
    }
    if let Some(objective) = &args.objective {
        let lambda = objective.parse::<f64>().ok().map(|lambda| json!(lambda));
        options.insert("objective".to_owned(), lambda.unwrap_or_else(|| json!(objective)));
    }
    let body = json!({ "prompt": args.prompt, "pointsman": options });
    let told = explain(&explainer, args, &body.to_string())?;
    if args.json {
        print(format!("{told:#}"));
        return Ok(());
    }
    let decision = &told["decision"];
    if let Some(message) = decision["error"]["message"].as_str() {
        return Err(unusable(message));
    }
    if args.explain {
        show(explanation(&told));
    } else {
        print(decision["model"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// What is made of the body of a request, with what the flags say of whoever sends it.
fn explain(explainer: &Explainer, args: &Route, body: &str) -> Result<Value, pointsman_server::Error> {
    let mut trial = serde_json::Map::new();
    if !args.tags.is_empty() {
        trial.insert("tags".to_owned(), json!(args.tags));
    }
    for (key, text) in [("user_agent", &args.user_agent), ("locale", &args.locale), ("time", &args.time)] {
        trial.extend(text.as_ref().map(|text| (key.to_owned(), json!(text))));
    }
    match serde_json::from_str::<Value>(body) {
        Ok(request) if !trial.is_empty() => {
            trial.insert("request".to_owned(), request);
            explainer.explain_trial(&Value::from(trial).to_string())
        }
        // What is no JSON is explained, too.
        _ => explainer.explain(body),
    }
}

/// What a rule says beside the models that it takes away, or what conditions saw, in one line.
fn listed(object: &Value) -> String {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

fn explanation(told: &Value) -> String {
    let decision = &told["decision"];
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    let mut out = format!(
        "{}\n\nreason  {}\npolicy  {}\n\n",
        text(&decision["model"]),
        text(&decision["reason"]),
        text(&told["policy"]),
    );
    let rules = told["rules"].as_array().into_iter().flatten().map(|rule| {
        let names = rule["denies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let holds = match (&rule["error"], rule["holds"] == true) {
            (Value::Null, true) => "yes".to_owned(),
            (Value::Null, false) => "no".to_owned(),
            (error, true) => format!("yes, to be safe: {}", text(error)),
            (error, false) => format!("no: {}", text(error)),
        };
        vec![text(&rule["name"]), holds, names.collect::<Vec<_>>().join(", "), listed(&rule["sets"])]
    });
    let rules: Vec<_> = rules.collect();
    if !rules.is_empty() {
        out.push_str(&table(&["rule", "holds", "takes away", "sets"], rules));
        out.push_str("\n\n");
        let seen = listed(&told["variables"]);
        if !seen.is_empty() {
            out.push_str(&["seen: ", &seen, "\n\n"].concat());
        }
    }
    let candidates = decision["candidates"].as_array().into_iter().flatten().map(|entry| {
        let cost = entry["cost_usd"].as_f64().map_or("–".to_owned(), |usd| format!("{usd:.6}"));
        vec![
            text(&entry["model"]),
            percent(entry["p_success"].as_f64().unwrap_or(f64::NAN)),
            cost,
            text(&entry["target"]),
            text(&entry["excluded_by"]),
        ]
    });
    out.push_str(&table(&["model", "expected quality", "USD/call", "target", "excluded"], candidates.collect()));
    out
}
