//! `pointsman route`: one prompt, or JSON lines.

mod configured;

use std::io::{BufRead, BufWriter, Write};

use pointsman::artifact::Document;
use pointsman::{
    Bound, Conversation, Decision, Limits, Objective, Policy, Predictions, Request, Router, Scratch, Turn,
    context_from_json,
};
use serde_json::{Value, json};

use crate::args::Route;
use crate::terminal::{bad, print, say, show, strong};
use crate::text::{percent, table};

/// Longest line that `--stdin` takes, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

pub(crate) fn run(args: &Route) -> anyhow::Result<()> {
    if let Some(config) = &args.config {
        return configured::run(args, config);
    }
    let router = Router::load(&args.router)?;
    let policy = Policy {
        objective: args.objective.as_deref().map(str::parse).transpose()?.unwrap_or(Objective::Default),
        allow: args.allow.clone(),
        deny: args.deny.clone(),
    };
    let bound = router.bind(&router.default_catalog(), &policy)?;
    let limits = Limits { max_cost_usd: args.max_cost, min_quality: args.min_quality, ..Limits::default() };
    limits.validate()?;
    if args.stdin {
        return lines(&bound, &limits);
    }
    let mut scratch = Scratch::default();
    let prompt = args.prompt.as_deref().unwrap_or_default();
    let turns = [Turn::user(prompt)];
    let decision = bound.route(&Request::new(&turns), &limits, &mut scratch);
    if decision.reason == pointsman::Reason::LimitsUnmet {
        say(format_args!(
            "{} no model keeps within the limits; this is the best static choice regardless (`serve` refuses)",
            bad("warning:")
        ));
    }
    if args.json {
        print(serde_json::to_string_pretty(&decision_json(router.document(), &decision))?);
    } else if args.explain {
        show(explanation(&bound, &decision));
        print(what_was_seen(router.document(), &scratch.predictions));
    } else {
        print(decision.model);
    }
    Ok(())
}

/// One line out for every line in, in order; an unusable line is answered with an error and the run goes on.
fn lines(bound: &Bound, limits: &Limits) -> anyhow::Result<()> {
    let mut input = std::io::stdin().lock();
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut scratch = Scratch::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // One byte more than the limit tells a line of the limit from a longer one.
        let read = std::io::Read::take(&mut input, LONGEST_LINE + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let too_long = line.len() as u64 > LONGEST_LINE && !line.ends_with(b"\n");
        if too_long {
            skip_line(&mut input)?;
        }
        if !too_long && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let answer = if too_long {
            error_json(&Value::Null, "line_too_long", &format!("expected at most {LONGEST_LINE} bytes"))
        } else {
            answer(bound, limits, &line, &mut scratch)
        };
        let written = serde_json::to_writer(&mut output, &answer).map_err(std::io::Error::from);
        if let Err(error) = written.and_then(|()| output.write_all(b"\n")) {
            // The reader went away (`| head`): nobody is left to answer.
            return if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) };
        }
    }
    output.flush()?;
    Ok(())
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(());
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(available.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn answer(bound: &Bound, limits: &Limits, line: &[u8], scratch: &mut Scratch) -> Value {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return error_json(&Value::Null, "not_json", &error.to_string()),
    };
    let id = &value["id"];
    if !value.is_object() {
        return error_json(id, "not_an_object", "expected an object with `prompt` or `messages`");
    }
    let known = ["id", "prompt", "messages", "context"];
    if let Some(unknown) = value.as_object().and_then(|object| object.keys().find(|key| !known.contains(&key.as_str())))
    {
        return error_json(id, "unknown_key", &format!("expected id, prompt, messages or context, got `{unknown}`"));
    }
    let context = match &value["context"] {
        Value::Null => Some(Vec::new()),
        context => context_from_json(context),
    };
    let Some(context) = context else {
        return error_json(id, "bad_context", "expected an object of strings, numbers and booleans");
    };
    let chat;
    let (turns, images) = match (&value["prompt"], &value["messages"]) {
        (Value::String(prompt), Value::Null) => (vec![Turn::user(prompt)], 0),
        (Value::Null, messages @ Value::Array(_)) => match Conversation::from_value(messages) {
            Ok(parsed) => {
                chat = parsed;
                (chat.turns(), chat.images())
            }
            Err(error) => return error_json(id, "bad_messages", &error.to_string()),
        },
        _ => return error_json(id, "no_prompt", "expected either `prompt` (a string) or `messages` (an array)"),
    };
    let request = Request { context: &context, images, ..Request::new(&turns) };
    let decision = bound.route(&request, limits, scratch);
    let mut answer = decision_json(bound.router().document(), &decision);
    answer["id"] = id.clone();
    answer
}

fn error_json(id: &Value, code: &str, message: &str) -> Value {
    json!({ "id": id, "error": { "code": code, "message": message } })
}

fn decision_json(document: &Document, decision: &Decision<'_>) -> Value {
    let number = |x: f64| if x.is_finite() { json!(x) } else { Value::Null };
    let ranked: Vec<Value> = decision
        .ranked
        .iter()
        .map(|entry| {
            json!({
                "model": document.models[entry.model_idx],
                "quality": entry.quality,
                "quality_se": entry.quality_se,
                "cost_usd": number(entry.cost_usd),
                "utility": number(entry.utility),
                "excluded_by": entry.excluded,
            })
        })
        .collect();
    json!({
        "id": null,
        "model": decision.model,
        "reason": decision.reason.as_str(),
        "margin": number(decision.margin),
        "ranked": ranked,
    })
}

fn explanation(bound: &Bound, decision: &Decision<'_>) -> String {
    let document = bound.router().document();
    let lambda = bound.tradeoff().lambda;
    let rows = decision
        .ranked
        .iter()
        .map(|entry| {
            vec![
                document.models[entry.model_idx].clone(),
                percent(entry.quality),
                format!("± {:.1}", 100.0 * entry.quality_se),
                if entry.cost_usd.is_finite() { format!("{:.6}", entry.cost_usd) } else { "–".into() },
                entry.excluded.map_or_else(String::new, |why| json!(why).as_str().unwrap_or_default().to_owned()),
            ]
        })
        .collect();
    let objective = if lambda.is_infinite() {
        "quality alone (λ = ∞)".to_owned()
    } else {
        format!("λ = {lambda:.3e} USD per unit of quality")
    };
    format!(
        "{}\n\nreason     {}: {}\nobjective  {objective}\n\n{}",
        strong(decision.model),
        decision.reason.as_str(),
        reason_in_words(decision.reason),
        table(&["model", "expected quality", "s.e.", "USD/call", "excluded"], rows)
    )
}

fn reason_in_words(reason: pointsman::Reason) -> &'static str {
    use pointsman::Reason::{LimitsUnmet, OnlyCandidate, Static, Uncertain, Unfamiliar, Utility};
    match reason {
        Utility => "best predicted quality for its cost",
        Uncertain => "another model looked better, but not by enough evidence to leave the best static choice",
        Unfamiliar => "too unlike the prompts of training, so the best static choice",
        Static => "training found nothing to gain, so the best static choice",
        OnlyCandidate => "the only model allowed",
        LimitsUnmet => "no model keeps within the limits, so the best static choice regardless",
        _ => "see the documentation",
    }
}

fn what_was_seen(document: &Document, predictions: &Predictions) -> String {
    let mut tasks: Vec<(&String, f32)> = document.tasks.iter().zip(predictions.tasks.iter().copied()).collect();
    tasks.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top: Vec<String> = tasks.iter().take(3).map(|(task, p)| format!("{task} {:.0} %", 100.0 * p)).collect();
    format!("looks like  {}\nnovelty     {:.0} %", top.join(", "), 100.0 * predictions.novelty)
}
