//! Routing by what was learned, seen from the upstreams: a router trained on one part of a log serves the other part, and what
//! counts is whom each prompt reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pointsman_evals::log::Content;
use pointsman_evals::split::Split;
use pointsman_evals::write::LogRow;
use pointsman_server::{Server, Settings, TargetPrice, TargetSettings};
use pointsman_tests::fakeup::{Fake, Script, Usage};
use pointsman_tests::logs::{log_of, synthetic_rows};
use pointsman_training::{Effort, RecipeSettings, fit};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Reply, ask};
use super::place::runtime;

/// What every fake says of tokens.
const USAGE: Usage = Usage { prompt_tokens: 100, completion_tokens: 50 };

/// A router of a log's train split, served before a fake for each of its models.
struct Trained {
    address: SocketAddr,
    fakes: BTreeMap<String, Fake>,
    _folder: TempDir,
}

impl Trained {
    /// `price` gives a model's price, in USD per million tokens of either kind.
    async fn serve(rows: Vec<LogRow>, price: impl Fn(&str) -> f64) -> Self {
        let log = log_of(rows).expect("a log");
        let recipe = RecipeSettings { effort: Effort::Quick, ..RecipeSettings::default() }.validate().expect("valid");
        let trained = fit(&log, &recipe, 150.0, &|_| ()).expect("it trains");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let router = folder.path().join("router.safetensors");
        std::fs::write(&router, &trained.bytes).expect("the folder is writable");
        let mut fakes = BTreeMap::new();
        let mut targets = Vec::new();
        for model in &trained.artifact.document.models {
            let script = Script { chunks: 2, usage: Some(USAGE), ..Script::default() };
            let fake = Fake::start(model.as_str(), script).await.expect("a free port");
            let usd = price(model);
            targets.push(TargetSettings {
                price: Some(TargetPrice {
                    input_usd_per_mtok: usd,
                    output_usd_per_mtok: usd,
                    cached_input_usd_per_mtok: None,
                }),
                ..TargetSettings::new(model, model, fake.base_url())
            });
            fakes.insert(model.clone(), fake);
        }
        let settings = Settings { listen: "127.0.0.1:0".into(), admin_listen: None, targets, ..Settings::new(router) };
        let listening = Server::open(move || Ok(settings.clone())).expect("valid").bind().await.expect("a free port");
        let address = listening.address();
        tokio::spawn(listening.serve(std::future::pending()));
        Self { address, fakes, _folder: folder }
    }

    /// Sends a prompt with more headers; gives the reply and the model that it reached.
    async fn send(&self, text: &str, headers: &str, more: &Value) -> (Reply, String) {
        self.fakes.values().for_each(Fake::forget);
        let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": text}]});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let (address, headers) = (self.address, headers.to_owned());
        let reply = tokio::task::spawn_blocking(move || ask(address, &headers, &body)).await.expect("no panic");
        let reached: Vec<&String> =
            self.fakes.iter().filter(|(_, fake)| !fake.requests().is_empty()).map(|(model, _)| model).collect();
        if reply.status != 200 {
            assert!(reached.is_empty());
            return (reply, String::new());
        }
        let [model] = reached[..] else { panic!("one alone is asked: {reached:?}") };
        let seen = self.fakes[model].requests()[0].json();
        assert_eq!((&seen["model"], &seen["messages"][0]["content"]), (&json!(model), &json!(text)));
        (reply, model.clone())
    }
}

fn text(row: &LogRow) -> &str {
    let Content::Text(text) = &row.content else { panic!("a text") };
    text
}

/// Every fourth prompt is kept back.
fn split(mut rows: Vec<LogRow>) -> Vec<LogRow> {
    let mut numbers = BTreeMap::new();
    for row in &mut rows {
        let next = numbers.len();
        let number = *numbers.entry(text(row).to_owned()).or_insert(next);
        row.split = Some(if number % 4 == 3 { Split::Test } else { Split::Train });
        row.group = None;
    }
    rows
}

/// Scores and costs of the prompts kept back that every model has an outcome of.
fn kept_back(rows: &[LogRow], models: usize) -> BTreeMap<String, BTreeMap<String, (f64, f64)>> {
    let mut cells: BTreeMap<String, BTreeMap<String, (f64, f64)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.split == Some(Split::Test) && row.repeat.unwrap_or_default() == 0) {
        let cell = (row.score, row.cost_usd.unwrap_or_default());
        cells.entry(text(row).to_owned()).or_default().insert(row.model.clone(), cell);
    }
    cells.retain(|_, of_it| of_it.len() == models);
    cells
}

#[test]
fn a_log_kept_back_is_answered_as_well_as_by_the_best_model_for_less() {
    let rows = split(synthetic_rows(1_600, 4, 11));
    let cells = kept_back(&rows, 4);
    runtime().block_on(async {
        let served = Trained::serve(rows, |_| 1.0).await;
        let (mut quality, mut cost) = (0.0, 0.0);
        let mut single: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (prompt, of_it) in &cells {
            let (_, model) = served.send(prompt, "x-pointsman-objective: quality\r\n", &json!({})).await;
            quality += of_it[&model].0;
            cost += of_it[&model].1;
            for (model, (score, usd)) in of_it {
                let sums = single.entry(model).or_default();
                (sums.0, sums.1) = (sums.0 + score, sums.1 + usd);
            }
        }
        let (best, (best_quality, best_cost)) = single.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0)).expect("models");
        #[expect(clippy::cast_precision_loss, reason = "few hundred")]
        let prompts = cells.len() as f64;
        println!(
            "replayed: {prompts} prompts, quality {:.4} at {:.6} USD; {best} alone {:.4} at {:.6} USD",
            quality / prompts,
            cost / prompts,
            best_quality / prompts,
            best_cost / prompts
        );
        assert!(quality >= best_quality - 0.02 * prompts && cost < *best_cost);
    });
}

#[test]
fn the_more_quality_is_worth_the_more_is_paid() {
    let rows = split(synthetic_rows(600, 2, 5));
    let cells = kept_back(&rows, 2);
    let mean = |model: &str| {
        let scores: Vec<f64> = rows.iter().filter(|row| row.model == model).map(|row| row.score).collect();
        #[expect(clippy::cast_precision_loss, reason = "few hundred")]
        let n = scores.len() as f64;
        scores.iter().sum::<f64>() / n
    };
    let models: Vec<String> = cells.values().next().expect("prompts").keys().cloned().collect();
    let dear = if mean(&models[0]) > mean(&models[1]) { models[0].clone() } else { models[1].clone() };
    runtime().block_on(async {
        let served = Trained::serve(rows, |model| if model == dear { 10.0 } else { 1.0 }).await;
        let mut last = 0.0;
        let mut costs = Vec::new();
        for lambda in ["0", "0.0005", "0.002", "0.008", "0.03", "0.1", "1", "100"] {
            let mut all = 0.0;
            for prompt in cells.keys().take(60) {
                let objective = format!("x-pointsman-objective: {lambda}\r\n");
                let (reply, model) = served.send(prompt, &objective, &json!({})).await;
                let cost: f64 = reply.header("x-pointsman-cost-usd").expect("a cost").parse().expect("a number");
                let by_hand = 150.0 * 1e-6 * if model == dear { 10.0 } else { 1.0 };
                assert!((cost - by_hand).abs() < 1e-9, "{cost} is not {by_hand}");
                all += cost;
            }
            costs.push(all);
            assert!(all >= last, "λ = {lambda}: {costs:?}");
            last = all;
        }
        println!("a sweep of λ: {costs:?} USD for sixty prompts");
        assert!(costs[0] < 0.5 * last, "from the cheap one to the dear one: {costs:?}");
        // Nobody asks so little.
        let prompt = cells.keys().next().expect("prompts");
        let (reply, _) = served.send(prompt, "", &json!({"provider": {"max_price": {"prompt": 0.5}}})).await;
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["code"]), (404, &json!("constraint_filtered")));
        assert_eq!(error["metadata"]["excluded_by"], json!(["provider.max_price"]));
    });
}

/// A model for code and one for mathematics.
fn specialists() -> Vec<LogRow> {
    let mut random = fastrand::Rng::with_seed(3);
    let verbs = ["sorts", "reverses", "joins", "counts", "filters", "merges", "parses", "hashes"];
    let things = ["a list of names", "two strings", "a binary tree", "a file of lines", "a map of scores", "a queue"];
    let languages = ["Python", "Rust", "Go", "Java"];
    let mut rows = Vec::new();
    for number in 0..600 {
        let mut pick = |words: &[&'static str]| words[random.usize(..words.len())];
        let is_code = number % 2 == 0;
        let text = if is_code {
            format!("Write a {} function that {} {}, version {number}.", pick(&languages), pick(&verbs), pick(&things))
        } else {
            let (a, b, c) = (random.u32(2..99), random.u32(2..99), random.u32(2..999));
            format!("Solve for x: {a}x + {b} = {c}. Then compute the integral of x^{} from 0 to {b}.", number % 7 + 1)
        };
        for (model, is_its) in [("coder", is_code), ("solver", !is_code)] {
            let score = f64::from(u8::from(random.f64() < if is_its { 0.95 } else { 0.25 }));
            let mut row = LogRow::new(Content::Text(text.clone()), model.to_owned(), score);
            row.task = Some(if is_code { "code" } else { "math" }.to_owned());
            row.cost_usd = Some(0.001);
            rows.push(row);
        }
    }
    split(rows)
}

#[test]
fn each_prompt_goes_to_the_model_that_is_good_at_its_kind() {
    let rows = specialists();
    let kinds: BTreeMap<String, bool> = rows
        .iter()
        .filter(|row| row.split == Some(Split::Test))
        .map(|row| (text(row).to_owned(), row.task.as_deref() == Some("code")))
        .collect();
    runtime().block_on(async {
        let served = Trained::serve(rows, |_| 1.0).await;
        let mut right = 0;
        for (prompt, is_code) in &kinds {
            let (_, model) = served.send(prompt, "", &json!({})).await;
            right += usize::from(model == if *is_code { "coder" } else { "solver" });
        }
        println!("specialists: {right} of {} prompts kept back went where they are answered best", kinds.len());
        assert!(100 * right >= 95 * kinds.len(), "{right} of {}", kinds.len());
        let address = served.address;
        let explained = tokio::task::spawn_blocking(move || {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::connect(address).expect("it listens");
            let path = "/v1/routers/active/explain";
            write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
            let mut reply = String::new();
            stream.read_to_string(&mut reply).expect("text");
            reply.split_once("\r\n\r\n").expect("a body").1.to_owned()
        });
        let explained: Value = serde_json::from_str(&explained.await.expect("no panic")).expect("JSON");
        for (task, model) in [("code", "coder"), ("math", "solver")] {
            let learned = explained["tasks"].as_array().expect("tasks").iter().find(|learned| learned["task"] == task);
            let strengths = &learned.expect("both were labelled")["strengths"];
            assert_eq!(strengths[0]["model"], model, "{explained}");
        }
    });
}
