//! Prompts of eight kinds, composed from templates; some of them could be of two kinds.

#![expect(clippy::format_push_string, reason = "sentences read better than writes, and nobody waits for them")]

use fastrand::Rng;

use super::words::{
    ADJECTIVES, CLOSERS, CODE_JOBS, CODE_LANGUAGES, CODE_LIMITS, COUNTRIES, ELEMENTS, FACTS, GOODS, IDIOMS, NAMES,
    OPENERS, PLACES, RARE_WORDS, TARGET_LANGUAGES, TOPICS,
};

/// A kind of prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Arithmetic,
    CodeWriting,
    CodeReview,
    Summary,
    Translation,
    Factual,
    Extraction,
    Creative,
}

impl Task {
    pub(super) const COUNT: usize = 8;
    pub(super) const ALL: [Self; Self::COUNT] = [
        Self::Arithmetic,
        Self::CodeWriting,
        Self::CodeReview,
        Self::Summary,
        Self::Translation,
        Self::Factual,
        Self::Extraction,
        Self::Creative,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::CodeWriting => "code_writing",
            Self::CodeReview => "code_review",
            Self::Summary => "summary",
            Self::Translation => "translation",
            Self::Factual => "factual",
            Self::Extraction => "extraction",
            Self::Creative => "creative",
        }
    }

    /// Whether answers are marked in steps; else they are right or wrong.
    pub(super) const fn is_graded(self) -> bool {
        matches!(self, Self::CodeReview | Self::Summary | Self::Translation | Self::Creative)
    }
}

/// A prompt, and what only the generator knows of it.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) task: Task,
    /// 0 to 3, see [`super::models::MODELS`].
    pub(super) variant: usize,
    pub(super) text: String,
    /// The difficulty that shows in the text, in `[0, 1]`.
    pub(super) difficulty: f64,
    /// Tokens of a usual answer.
    pub(super) answer_tokens: f64,
}

/// Share of prompts whose wording belongs to another task as well.
const AMBIGUOUS: f64 = 0.07;

/// Draws a prompt; tasks are equally frequent.
pub(super) fn draw(rng: &mut Rng) -> Drawn {
    let task = Task::ALL[rng.usize(..Task::COUNT)];
    let variant = rng.usize(..4);
    let mut drawn = if rng.f64() < AMBIGUOUS {
        ambiguous(rng, task, variant)
    } else {
        match task {
            Task::Arithmetic => arithmetic(rng, variant),
            Task::CodeWriting => code_writing(rng, variant),
            Task::CodeReview => code_review(rng, variant),
            Task::Summary => summary(rng, variant),
            Task::Translation => translation(rng, variant),
            Task::Factual => factual(rng, variant),
            Task::Extraction => extraction(rng, variant),
            Task::Creative => creative(rng, variant),
        }
    };
    if rng.f64() < 0.35 {
        drawn.text = format!("{} {}", pick(rng, &OPENERS), drawn.text);
    }
    if rng.f64() < 0.3 {
        drawn.text = format!("{} {}", drawn.text, pick(rng, &CLOSERS));
    }
    drawn
}

fn pick<'a>(rng: &mut Rng, words: &[&'a str]) -> &'a str {
    words[rng.usize(..words.len())]
}

/// Part of a whole, for difficulties.
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

fn arithmetic(rng: &mut Rng, variant: usize) -> Drawn {
    let (name, other, goods) = (pick(rng, &NAMES), pick(rng, &NAMES), pick(rng, &GOODS));
    let n_steps = rng.usize(1..=6);
    let big = rng.usize(..3);
    let top = [30, 400, 9000][big];
    let (n, price) = (rng.u32(12..top), rng.u32(2..top / 2));
    let mut text = match variant {
        0 => format!("{name} buys {n} {goods} at {price} cents each for {}.", pick(rng, &PLACES)),
        1 => format!("A machine at {} makes {n} {goods} in {price} minutes.", pick(rng, &PLACES)),
        2 => format!("{name} and {other} share {n} {goods} in the ratio {} to {}.", rng.u32(2..9), rng.u32(2..9)),
        _ => format!(
            "{name} has {n} more {goods} than {other}, and twice as many as {} had {price} days ago.",
            pick(rng, &NAMES)
        ),
    };
    for _ in 0..n_steps {
        let k = rng.u32(2..40);
        text.push(' ');
        text.push_str(&match rng.u32(0..7) {
            0 => format!("Then {k} of them are lost."),
            1 => format!("A discount of {k} per cent applies to the rest."),
            2 => format!("{other} returns {k} the next day."),
            3 => format!("Every {k}th one is broken and thrown away."),
            4 => format!("After that the number grows by {k} a week for {} weeks.", rng.u32(2..9)),
            5 => format!("What remains is packed in boxes of {k}."),
            _ => format!("Tax of {k} per cent is added."),
        });
    }
    text.push(' ');
    text.push_str(pick(
        rng,
        &["How many are left?", "What does it come to?", "How much is it in the end?", "Give the final number."],
    ));
    Drawn {
        task: Task::Arithmetic,
        variant,
        text,
        difficulty: 0.75 * share(n_steps - 1, 5) + 0.25 * share(big, 2),
        answer_tokens: 40.0 + 30.0 * n_steps as f64,
    }
}

fn code_writing(rng: &mut Rng, variant: usize) -> Drawn {
    let language = pick(rng, CODE_LANGUAGES[variant]);
    let job = pick(rng, &CODE_JOBS);
    let n_limits = rng.usize(0..=4);
    let mut text = match rng.u32(0..4) {
        0 => format!("Write a {language} function that {job}."),
        1 => format!("I need something in {language} that {job}."),
        2 => format!("How would you implement, in {language}, a routine that {job}?"),
        _ => format!("{language}: {job}. Show the whole thing."),
    };
    let rare = rng.f64() < 0.25;
    if rare {
        text.push_str(&format!(" The records describe {} claims.", pick(rng, &RARE_WORDS)));
    }
    for _ in 0..n_limits {
        text.push(' ');
        text.push_str(pick(rng, &CODE_LIMITS));
    }
    Drawn {
        task: Task::CodeWriting,
        variant,
        text,
        difficulty: 0.8 * share(n_limits, 4) + 0.2 * f64::from(u8::from(rare)),
        answer_tokens: 180.0 + 60.0 * n_limits as f64,
    }
}

fn snippet(rng: &mut Rng, variant: usize, n_blocks: usize) -> String {
    let mut code = String::new();
    for block in 0..n_blocks {
        let name = pick(rng, &["total", "items", "rows", "queue", "cache", "seen", "left", "best", "index", "result"]);
        let n = rng.u32(1..50);
        code.push_str(&match variant {
            0 => format!(
                "def step_{block}({name}):\n    for i in range(len({name}) - {n}):\n        if {name}[i] > {name}[i + 1]:\n            {name}.pop(i)\n    return {name}\n"
            ),
            1 => format!(
                "function step{block}({name}) {{\n  for (var i = 0; i <= {name}.length; i++) {{\n    setTimeout(() => use({name}[i]), {n});\n  }}\n  return {name};\n}}\n"
            ),
            2 => format!(
                "SELECT o.id, COUNT(*) FROM {name} o LEFT JOIN lines l ON l.order_id = o.id WHERE l.qty > {n} GROUP BY o.id;\n"
            ),
            _ => format!(
                "fn step_{block}({name}: &mut Vec<i32>) -> i32 {{\n    let first = &{name}[0];\n    {name}.push({n});\n    *first\n}}\n"
            ),
        });
    }
    code
}

fn code_review(rng: &mut Rng, variant: usize) -> Drawn {
    let n_blocks = rng.usize(1..=5);
    let code = snippet(rng, variant, n_blocks);
    let ask = match rng.u32(0..5) {
        0 => "Review this change and list what should be fixed:".to_owned(),
        1 => "What is wrong here?".to_owned(),
        2 => format!("{} says this is fine. Is it?", pick(rng, &NAMES)),
        3 => "Why does this fail now and then? Do not rewrite it.".to_owned(),
        _ => "Any bugs? Name the worst one first.".to_owned(),
    };
    Drawn {
        task: Task::CodeReview,
        variant,
        text: format!("{ask}\n\n{code}"),
        difficulty: share(n_blocks - 1, 4),
        answer_tokens: 120.0 + 50.0 * n_blocks as f64,
    }
}

fn sentence(rng: &mut Rng, variant: usize) -> String {
    let (name, place, goods) = (pick(rng, &NAMES), pick(rng, &PLACES), pick(rng, &GOODS));
    let (adjective, topic, n) = (pick(rng, &ADJECTIVES), pick(rng, &TOPICS), rng.u32(3..900));
    match variant {
        0 => format!("Visitors to {place} were surprised by a {adjective} exhibition about {topic}, said {name}."),
        1 => format!("{name} reported that the order of {n} {goods} for {place} is {adjective}."),
        2 => format!("In the quarter, {place} handled {n} {goods}, a {adjective} result compared with the plan."),
        _ => format!("You would laugh, dear {name}: {place} has now a {adjective} club for {topic}."),
    }
}

fn passage(rng: &mut Rng, variant: usize, n_sentences: usize) -> String {
    (0..n_sentences).map(|_| sentence(rng, variant)).collect::<Vec<_>>().join(" ")
}

fn summary(rng: &mut Rng, variant: usize) -> Drawn {
    let n_sentences = rng.usize(3..=14);
    let mut body = passage(rng, variant, n_sentences);
    let rare = rng.f64() < 0.3;
    if rare {
        body.push_str(&format!(" The {} clause remains {}.", pick(rng, &RARE_WORDS), pick(rng, &ADJECTIVES)));
    }
    let ask = match rng.u32(0..5) {
        0 => format!("Summarise in {} sentences:", rng.u32(1..4)),
        1 => "What are the main points of the following?".to_owned(),
        2 => "Give me the gist, for someone who was not there:".to_owned(),
        3 => "TL;DR of this, please.".to_owned(),
        _ => "Shorten this for the newsletter without losing the figures:".to_owned(),
    };
    Drawn {
        task: Task::Summary,
        variant,
        text: format!("{ask}\n{body}"),
        difficulty: 0.8 * share(n_sentences - 3, 11) + 0.2 * f64::from(u8::from(rare)),
        answer_tokens: 60.0 + 6.0 * n_sentences as f64,
    }
}

fn translation(rng: &mut Rng, variant: usize) -> Drawn {
    let language = pick(rng, TARGET_LANGUAGES[variant]);
    let n_sentences = rng.usize(1..=5);
    let style = rng.usize(..4);
    let mut body = passage(rng, style, n_sentences);
    let idiom = rng.f64() < 0.4;
    if idiom {
        body = format!("{} {body}", pick(rng, &IDIOMS));
    }
    let text = match rng.u32(0..4) {
        0 => format!("Translate into {language}: {body}"),
        1 => format!("How do you say this in {language}?\n\"{body}\""),
        2 => format!("{body}\n\nThe above in {language}, formal register."),
        _ => format!("My {language} landlord needs to read this: {body}"),
    };
    Drawn {
        task: Task::Translation,
        variant,
        text,
        difficulty: 0.6 * share(n_sentences - 1, 4) + 0.4 * f64::from(u8::from(idiom)),
        answer_tokens: 25.0 + 30.0 * n_sentences as f64,
    }
}

fn factual(rng: &mut Rng, variant: usize) -> Drawn {
    let year = rng.u32(1850..2005);
    let mut text = pick(rng, FACTS[variant])
        .replace("{place}", pick(rng, &COUNTRIES))
        .replace("{element}", pick(rng, &ELEMENTS))
        .replace("{year}", &year.to_string());
    let rare = rng.f64() < 0.3;
    if rare {
        text.push_str(&format!(" And what does \"{}\" mean?", pick(rng, &RARE_WORDS)));
    }
    let base = [0.1, 0.4, 0.5, 0.75][variant];
    Drawn {
        task: Task::Factual,
        variant,
        text,
        difficulty: base + 0.25 * f64::from(u8::from(rare)),
        answer_tokens: 30.0 + 20.0 * variant as f64,
    }
}

fn extraction(rng: &mut Rng, variant: usize) -> Drawn {
    const KEYS: [&str; 8] = ["name", "quantity", "item", "place", "price", "date", "reference", "phone"];
    let n_keys = rng.usize(2..=8);
    let keys = KEYS[..n_keys].join(", ");
    let (name, goods, place) = (pick(rng, &NAMES), pick(rng, &GOODS), pick(rng, &PLACES));
    let (n, price) = (rng.u32(1..400), rng.u32(2..90));
    let body = match variant {
        0 => format!("{name} here, please send {n} {goods} to {place}, {price} euros each as agreed."),
        1 => format!("Booking for {name}, {n} guests at {place}, deposit {price} euros, {goods} on every table."),
        2 => format!(
            "INVOICE no. {}-{n}: {n} x {goods}, delivered to {place}, total {price}.50, attn. {name}.",
            rng.u32(100..999)
        ),
        _ => format!("{name}: so the {goods}?\nme: {n} left\n{name}: at {place}? ok {price} then\nme: deal"),
    };
    let noise = rng.usize(..4);
    let style = rng.usize(..4);
    let filler = passage(rng, style, noise);
    let ask = match rng.u32(0..4) {
        0 => format!("Return JSON with the keys {keys}."),
        1 => format!("Extract {keys} as a JSON object; null where missing."),
        2 => format!("Fill this in: {{{keys}}}"),
        _ => format!("Pull out the fields {keys}."),
    };
    Drawn {
        task: Task::Extraction,
        variant,
        text: format!("{ask}\n\n{filler} {body} Call {}.", rng.u32(2_000_000..9_999_999)),
        difficulty: 0.6 * share(n_keys - 2, 6) + 0.4 * share(noise, 3),
        answer_tokens: 15.0 + 9.0 * n_keys as f64,
    }
}

fn creative(rng: &mut Rng, variant: usize) -> Drawn {
    let topic = pick(rng, &TOPICS);
    let n_rules = rng.usize(0..=4);
    let form = match variant {
        0 => pick(rng, &["poem", "sonnet", "limerick", "ballad"]),
        1 => pick(rng, &["short story", "bedtime story", "scene for two voices", "fable"]),
        2 => pick(rng, &["slogan", "product name", "headline", "tagline"]),
        _ => pick(rng, &["wedding speech", "toast", "farewell speech", "opening address"]),
    };
    let mut text = match rng.u32(0..3) {
        0 => format!("Write a {form} about {topic}."),
        1 => format!("I would love a {} {form} on {topic}.", pick(rng, &ADJECTIVES)),
        _ => format!("{topic}, as a {form}, for {}.", pick(rng, &NAMES)),
    };
    for _ in 0..n_rules {
        text.push(' ');
        text.push_str(&match rng.u32(0..6) {
            0 => format!("Mention {}.", pick(rng, &PLACES)),
            1 => format!("Use the word \"{}\".", pick(rng, &RARE_WORDS)),
            2 => "No adjectives.".to_owned(),
            3 => format!("Exactly {} lines.", rng.u32(3..15)),
            4 => format!("In the voice of {}.", pick(rng, &NAMES)),
            _ => "Every sentence begins with the next letter of the alphabet.".to_owned(),
        });
    }
    Drawn {
        task: Task::Creative,
        variant,
        text,
        difficulty: share(n_rules, 4),
        answer_tokens: [110.0, 320.0, 20.0, 240.0][variant],
    }
}

/// A wording that fits two tasks; which of them is meant, only the outcomes tell.
fn ambiguous(rng: &mut Rng, task: Task, variant: usize) -> Drawn {
    let code = snippet(rng, variant, 1);
    let text = match task {
        Task::CodeWriting | Task::CodeReview => {
            format!("Here is my function. Make it right:\n{code}")
        }
        Task::Summary | Task::Extraction => {
            format!("What are the key facts in this? {}", passage(rng, variant, 3))
        }
        Task::Translation | Task::Creative => {
            let language = pick(rng, TARGET_LANGUAGES[variant]);
            format!("A few lines about {} that work in {language} too.", pick(rng, &TOPICS))
        }
        Task::Arithmetic | Task::Factual => {
            let (place, n) = (pick(rng, &COUNTRIES), rng.u32(2..60));
            format!("How many days of {n} hours would it take to walk across {place}?")
        }
    };
    Drawn { task, variant, text, difficulty: 0.5, answer_tokens: 120.0 }
}
