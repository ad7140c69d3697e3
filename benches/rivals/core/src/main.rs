//! One whole decision beside what other people's parts of one cost: tokenisers, static embeddings, text classifiers, a network
//! in candle, a transformer. One process, one core, interleaved, on the same texts.
//!
//! ```text
//! python3 -c 'import json, pandas; [print(json.dumps(p)) for p in pandas.read_parquet("LOG.parquet").prompt.unique()]' > prompts.jsonl
//! cargo run --release --manifest-path benches/rivals/core/Cargo.toml -- prompts.jsonl --model MINILM \
//!     --router full.safetensors --router fast.safetensors
//! ```
//! `MINILM` is the folder of all-MiniLM-L6-v2 with `tokenizer.json` and `model.safetensors` (`training/examples/base_embedding`
//! says where from). Static tables and the network have random weights, which cost the same; `fastText` is trained on the
//! prompts, telling short ones from long ones.

#[path = "../../../../training/examples/base_embedding/minilm.rs"]
mod minilm;
#[path = "../../../stopwatch.rs"]
mod stopwatch;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, VarBuilder, VarMap, linear};
use clap::Parser;
use fasttext::FastText;
use fasttext::args::{Args, ModelName};
use minilm::MiniLm;
use model2vec_rs::model::StaticModel;
use pointsman::{Bound, Embedding, Features, Limits, Objective, Policy, Request, Router, Scratch, Turn};
use stopwatch::{Contender, fitted, race};
use tokenizers::Tokenizer;
use tokenizers_next::pipeline::{EncodeOptions, PipelineTokenizer};

/// Bytes of the texts.
const LENGTHS: [usize; 4] = [60, 300, 1_000, 4_000];

/// Dimensions of the static tables: those of the small published ones of `Model2Vec`.
const DIMENSIONS: usize = 256;

/// Hidden units of the networks.
const HIDDEN: usize = 128;

/// Texts that the transformer reads: it takes too long for all.
const FEW: usize = 20;

#[derive(Debug, Parser)]
struct Options {
    /// One JSON string a line
    prompts: PathBuf,
    /// Folder of all-MiniLM-L6-v2
    #[arg(long)]
    model: PathBuf,
    /// Routers, each a row
    #[arg(long, required = true)]
    router: Vec<PathBuf>,
    /// A base embedding, timed alone
    #[arg(long)]
    base: Option<PathBuf>,
    /// Distinct texts per length
    #[arg(long, default_value_t = 1_200)]
    texts: usize,
    /// Timed rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let lines = std::fs::read_to_string(&options.prompts).with_context(|| options.prompts.display().to_string())?;
    let prompts: Vec<String> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let rivals = Rivals::new(&options.model, &prompts)?;
    let routers = options.router.iter().map(|path| bound(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let base = options.base.as_ref().map(Embedding::load).transpose()?;
    println!(
        "{} texts per length, median of {} rounds per text, p50 over texts in microseconds (p99), and how many times the first router's.\n",
        options.texts.min(prompts.len()),
        options.rounds
    );
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for bytes in LENGTHS {
        let texts = fitted(&prompts, bytes, options.texts);
        let mut scratches: Vec<Scratch> = routers.iter().map(|_| Scratch::default()).collect();
        let mut contenders = Vec::new();
        for ((router, path), scratch) in routers.iter().zip(&options.router).zip(&mut scratches) {
            contenders.push(Contender::new(format!("**whole decision**, {}", stem(path)), move |text| {
                router.route(&Request::new(&[Turn::user(text)]), &Limits::default(), scratch).model_idx
            }));
        }
        if let Some(base) = &base {
            let featuriser = pointsman::Featuriser::with_base(Some(base.clone()));
            let plain = pointsman::Featuriser::new();
            let (mut with, mut without, mut ids) = (Features::default(), Features::default(), Vec::new());
            contenders.push(Contender::new("our WordPiece, identifiers alone", {
                let base = base.clone();
                move |text| {
                    ids.clear();
                    base.encode(text, &mut ids);
                    ids.len()
                }
            }));
            contenders.push(Contender::new("our features with the base embedding", move |text| {
                featuriser.featurise(&Request::new(&[Turn::user(text)]), &mut with);
                with.main().len()
            }));
            contenders.push(Contender::new("our features without", move |text| {
                plain.featurise(&Request::new(&[Turn::user(text)]), &mut without);
                without.main().len()
            }));
        }
        rivals.join(&mut contenders, &routers[0]);
        let times = race(&texts, &mut contenders, options.rounds);
        let ours = times[0].p50();
        let names: Vec<String> = contenders.iter().map(|contender| contender.name.clone()).collect();
        drop(contenders);
        let few = fitted(&prompts, bytes, FEW);
        let transformer = &mut [rivals.transformer()];
        let slow = race(&few, transformer, 3);
        let cell = |times: &stopwatch::Times| {
            format!("{:.2} ({:.1}), {:.1} ×", times.p50(), times.p99(), times.p50() / ours)
        };
        let names = names.into_iter().chain([transformer[0].name.clone()]);
        for (at, (name, times)) in names.zip(times.iter().chain(&slow)).enumerate() {
            if rows.len() <= at {
                rows.push((name, Vec::new()));
            }
            rows[at].1.push(cell(times));
        }
    }
    println!("| | {} |", LENGTHS.map(|bytes| format!("{bytes} bytes")).join(" | "));
    println!("|---|{}", "---|".repeat(LENGTHS.len()));
    for (name, cells) in rows {
        println!("| {name} | {} |", cells.join(" | "));
    }
    Ok(())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn bound(path: &PathBuf) -> anyhow::Result<Bound> {
    let router = Router::load(path)?;
    let policy = Policy { objective: Objective::Balanced, ..Policy::default() };
    Ok(router.bind(&router.default_catalog(), &policy)?)
}

/// Everybody else, ready to be asked.
struct Rivals {
    tokenizer: Tokenizer,
    next: PipelineTokenizer,
    static_f32: StaticModel,
    static_i8: StaticModel,
    words: FastText,
    characters: FastText,
    table: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    transformer: MiniLm,
}

impl Rivals {
    fn new(model: &Path, prompts: &[String]) -> anyhow::Result<Self> {
        let file = model.join("tokenizer.json");
        let other = |error| anyhow!("{error}");
        let mut tokenizer = Tokenizer::from_file(&file).map_err(|error| anyhow!(error))?;
        tokenizer.with_truncation(None).map_err(|error| anyhow!(error))?;
        tokenizer.with_padding(None);
        let vocabulary = tokenizer.get_vocab_size(true);
        let folder = tempfile::tempdir()?;
        let plain = folder.path().join("tokenizer.json");
        tokenizer.save(&plain, false).map_err(|error| anyhow!(error))?;
        let canonical = folder.path().join("canonical.json");
        std::fs::write(&canonical, tokenizers_next::canonicalize_file(&plain)?)?;
        let next = tokenizers_next::from_json_file(&canonical).map_err(|error| anyhow!("{error}"))?;

        let mut random = fastrand::Rng::with_seed(1);
        let mut floats = |n: usize| -> Vec<f32> { (0..n).map(|_| random.f32() - 0.5).collect() };
        let table = floats(vocabulary * DIMENSIONS);
        let (first, second) = (floats(DIMENSIONS * HIDDEN), floats(HIDDEN * 11));
        let bytes: Vec<u8> = table.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(
            safetensors::Dtype::F32,
            vec![vocabulary, DIMENSIONS],
            &bytes,
        )?;
        let weights = safetensors::serialize([("embeddings", view)], None)?;
        let config = serde_json::json!({"normalize": true}).to_string();
        let read = || StaticModel::from_bytes(std::fs::read(&plain)?, &weights, config.as_bytes(), Some(true));
        let _ = other as fn(String) -> anyhow::Error;

        let train = |max_n: i32| -> anyhow::Result<FastText> {
            let path = folder.path().join("train.txt");
            let line = |prompt: &String| format!("__label__{} {}\n", prompt.len() / 400 % 8, prompt.replace('\n', " "));
            std::fs::write(&path, prompts.iter().map(line).collect::<String>())?;
            let mut args = Args::default();
            args.input = path;
            args.model = ModelName::Supervised;
            args.word_ngrams = 2;
            args.dim = 64;
            args.epoch = 2;
            args.bucket = 1 << 18;
            args.minn = if max_n > 0 { 3 } else { 0 };
            args.maxn = max_n;
            Ok(FastText::train(args)?)
        };
        Ok(Self {
            transformer: MiniLm::load(&model.join("model.safetensors"), vocabulary)?,
            static_f32: read()?,
            static_i8: read()?.quantize_int8(),
            words: train(0)?,
            characters: train(5)?,
            tokenizer,
            next,
            table,
            first,
            second,
        })
    }

    fn join<'c>(&'c self, contenders: &mut Vec<Contender<'c>>, bound: &'c Bound) {
        contenders.push(Contender::new("tokenizers 0.23, `encode_fast`", |text| {
            self.tokenizer.encode_fast(text, false).map_or(0, |found| found.len())
        }));
        let (options, mut tokens) = (EncodeOptions { add_special_tokens: false, ..EncodeOptions::default() }, Vec::new());
        contenders.push(Contender::new("tokenizers 1.0.0-rc.3, `encode_into`", move |text| {
            tokens.clear();
            self.next.encode_into(text, &options, &mut tokens).expect("a text is encoded");
            tokens.len()
        }));
        for (name, model) in
            [("model2vec-rs 0.4, f32", &self.static_f32), ("model2vec-rs 0.4, int8", &self.static_i8)]
        {
            contenders.push(Contender::new(name, |text| model.encode_single(text).len()));
        }
        for (name, model) in [
            ("fasttext 0.8, words and pairs", &self.words),
            ("fasttext 0.8, and 3 to 5 characters", &self.characters),
        ] {
            contenders.push(Contender::new(name, |text| model.predict(text, 1, 0.0).len()));
        }
        contenders.push(Contender::new("the obvious build: tokenizers 0.23, mean of f32, network", |text| {
            self.obvious(text)
        }));
        let signals = {
            let mut scratch = Scratch::default();
            bound.route(&Request::new(&[Turn::user("How many?")]), &Limits::default(), &mut scratch);
            scratch.predictions.signals().to_vec()
        };
        let network = network(signals.len(), bound.router().models().len()).expect("a network of any size");
        contenders.push(Contender::new("candle network on our signals, without the features", move |_| {
            let forward = || -> candle_core::Result<Vec<f32>> {
                let x = Tensor::from_slice(black_box(&signals), (1, signals.len()), &Device::Cpu)?;
                let x = network[1].forward(&network[0].forward(&x)?.relu()?)?;
                x.flatten_all()?.to_vec1()
            };
            forward().map_or(0, |found| found.len())
        }));
    }

    /// Tokens, the mean of their vectors, two layers, the best of eleven.
    fn obvious(&self, text: &str) -> usize {
        let Ok(found) = self.tokenizer.encode_fast(text, false) else { return 0 };
        let mut mean = [0.0_f32; DIMENSIONS];
        for &id in found.get_ids() {
            let row = &self.table[id as usize * DIMENSIONS..][..DIMENSIONS];
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        let tokens = found.len().max(1) as f32;
        let mut hidden = [0.0_f32; HIDDEN];
        for (x, row) in mean.iter().zip(self.first.chunks_exact(HIDDEN)) {
            hidden.iter_mut().zip(row).for_each(|(sum, w)| *sum += x / tokens * w);
        }
        let mut out = [0.0_f32; 11];
        for (h, row) in hidden.iter().zip(self.second.chunks_exact(11)) {
            out.iter_mut().zip(row).for_each(|(sum, w)| *sum += h.max(0.0) * w);
        }
        (0..out.len()).max_by(|&a, &b| out[a].total_cmp(&out[b])).unwrap_or(0)
    }

    fn transformer(&self) -> Contender<'_> {
        Contender::new(format!("MiniLM in candle, {FEW} texts, up to 512 tokens"), |text| {
            let run = || -> anyhow::Result<usize> {
                let found = self.tokenizer.encode_fast(text, true).map_err(|error| anyhow!(error))?;
                let ids = &found.get_ids()[..found.len().min(512)];
                let vectors = self.transformer.encode(&Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu)?)?;
                Ok(vectors.flatten_all()?.to_vec1::<f32>()?.len())
            };
            run().expect("a text is encoded")
        })
    }
}

fn network(inputs: usize, outputs: usize) -> candle_core::Result<[Linear; 2]> {
    let variables = VarMap::new();
    let weights = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    Ok([linear(inputs, HIDDEN, weights.pp("first"))?, linear(HIDDEN, outputs, weights.pp("second"))?])
}
