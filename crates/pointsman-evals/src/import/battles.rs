//! Pairwise preferences: battles of two models over one prompt become scores of both.
//!
//! Strengths are fitted over all battles (Bradley–Terry; a tie is half a win for each). The score of a model in a battle
//! is its chance against an average opponent of the pool, plus what this battle went better or worse than expected of
//! these two: `q̄_m + (y − p_mo)`, kept within `[0, 1]`. So a win over a strong model is worth more than one over a weak
//! one, scores of different battles are on one scale, and their mean is the model's chance against the pool.
//!
//! # References
//!
//! Bradley & Terry 1952, doi:10.2307/2334029; the fit by minorisation: Hunter 2004, doi:10.1214/aos/1079120141, eq. 3.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::record::{asked, at, from_slice, micros, number, records, set, set_content, text};
use super::{Context, Unseen, Visit};
use crate::columns::Column;
use crate::error::Error;
use crate::row::{Cell, RawRow};

/// Half a win and half a loss against a model of strength 1, for every model: keeps the strength of a model that won or
/// lost everything finite. A guess; twice as much moves a model with 10 battles by about 0.02.
const PRIOR: f64 = 0.5;

/// Steps of the fit at most, and the change of a strength, relative, at which it ends.
const STEPS: usize = 10_000;
const TOLERANCE: f64 = 1e-10;

/// Strengths of all models.
#[derive(Debug)]
pub(super) struct Battles {
    /// Strength by model, around 1.
    strength: BTreeMap<String, f64>,
}

/// One battle.
struct Battle {
    models: [String; 2],
    /// What the first made of it: 1, 0.5 or 0.
    outcome: f64,
}

impl Battles {
    /// Fits the strengths over all files.
    pub(super) fn fit(files: &[PathBuf], context: &Context<'_>) -> Result<Self, Error> {
        let mut tally = Tally::default();
        for file in files {
            let mut is_first = true;
            records(file, &mut Unseen, &mut |record, line, _| {
                if std::mem::take(&mut is_first) {
                    check(file, &record, line, context)?;
                }
                if let Some(battle) = Battle::of(&record) {
                    tally.add(&battle);
                }
                Ok(())
            })?;
        }
        Ok(Self { strength: tally.strengths() })
    }

    /// Reads a file into `out`.
    pub(super) fn read(&self, file: &Path, out: &mut dyn Visit) -> Result<(), Error> {
        records(file, out, &mut |record, line, out| {
            let Some(battle) = Battle::of(&record) else {
                let winner = text(at(&record, "winner")).unwrap_or_default();
                out.reject(line, "no verdict: expected a winner of model_a, model_b or tie", &winner);
                return Ok(());
            };
            let mut raw = RawRow::default();
            if let Some(content) = content(&record) {
                set_content(&mut raw, &content);
            }
            for path in ["task", "category"] {
                set(&mut raw, Column::Task, at(&record, path));
            }
            for path in ["tstamp", "timestamp"] {
                if let Some(time) = micros(at(&record, path)) {
                    raw.set(Column::Timestamp, Cell::Micros(time));
                }
            }
            for path in ["conversation_id", "session_id"] {
                set(&mut raw, Column::Group, at(&record, path));
            }
            let [a, b] = self.scores(&battle);
            for (model, score) in battle.models.iter().zip([a, b]) {
                let mut raw = raw.clone();
                raw.set(Column::Model, Cell::Text(model.clone().into()));
                raw.set(Column::Score, Cell::Number(score));
                out.row(raw, line)?;
            }
            Ok(())
        })
    }

    /// Scores of both models of a battle.
    fn scores(&self, battle: &Battle) -> [f64; 2] {
        let [a, b] = [0, 1].map(|side| self.strength[&battle.models[side]]);
        let expected = a / (a + b);
        let score = |own: f64, surprise: f64| (self.against_the_pool(own) + surprise).clamp(0.0, 1.0);
        [score(a, battle.outcome - expected), score(b, expected - battle.outcome)]
    }

    /// Mean chance of a model of that strength against all models but itself.
    fn against_the_pool(&self, own: f64) -> f64 {
        let all: f64 = self.strength.values().map(|other| own / (own + other)).sum();
        // Against itself it is one half.
        (all - 0.5) / (self.strength.len() - 1) as f64
    }
}

/// Wins and meetings.
#[derive(Debug, Default)]
struct Tally {
    models: BTreeMap<String, usize>,
    /// Wins of each, ties half.
    wins: Vec<f64>,
    /// Battles by pair, the smaller index first.
    met: BTreeMap<(usize, usize), f64>,
}

impl Tally {
    fn add(&mut self, battle: &Battle) {
        let next = self.models.len();
        let a = *self.models.entry(battle.models[0].clone()).or_insert(next);
        let next = self.models.len();
        let b = *self.models.entry(battle.models[1].clone()).or_insert(next);
        self.wins.resize(self.models.len(), 0.0);
        self.wins[a] += battle.outcome;
        self.wins[b] += 1.0 - battle.outcome;
        *self.met.entry((a.min(b), a.max(b))).or_default() += 1.0;
    }

    fn strengths(self) -> BTreeMap<String, f64> {
        let mut strength = vec![1.0; self.wins.len()];
        for _ in 0..STEPS {
            let mut weight: Vec<f64> = strength.iter().map(|own| 2.0 * PRIOR / (own + 1.0)).collect();
            for ((a, b), met) in &self.met {
                let shared = met / (strength[*a] + strength[*b]);
                weight[*a] += shared;
                weight[*b] += shared;
            }
            let mut change = 0.0_f64;
            for ((own, wins), weight) in strength.iter_mut().zip(&self.wins).zip(weight) {
                let next = (wins + PRIOR) / weight;
                change = change.max((next / *own - 1.0).abs());
                *own = next;
            }
            if change < TOLERANCE {
                break;
            }
        }
        self.models.into_iter().map(|(model, index)| (model, strength[index])).collect()
    }
}

impl Battle {
    /// The battle of a record, if it has two models and a verdict.
    fn of(record: &Value) -> Option<Self> {
        let models = [text(at(record, "model_a"))?, text(at(record, "model_b"))?];
        let is = |name: &str| number(at(record, name)) == Some(1.0) || at(record, name) == true;
        let outcome = match text(at(record, "winner")).map(|winner| winner.trim().to_lowercase()) {
            Some(winner) => match winner.as_str() {
                "model_a" | "a" => 1.0,
                "model_b" | "b" => 0.0,
                "tie" | "tie (bothbad)" | "both_bad" | "bothbad" => 0.5,
                named if named == models[0].to_lowercase() => 1.0,
                named if named == models[1].to_lowercase() => 0.0,
                _ => return None,
            },
            None if is("winner_model_a") => 1.0,
            None if is("winner_model_b") => 0.0,
            None if is("winner_tie") => 0.5,
            None => return None,
        };
        (models[0] != models[1]).then_some(Self { models, outcome })
    }
}

/// What was asked: a text, turns up to the first answer, or a list of user turns as JSON.
fn content(record: &Value) -> Option<Value> {
    for path in ["conversation_a", "conversation", "full_conversation"] {
        if let Some(asked) = asked(at(record, path)) {
            return Some(asked);
        }
    }
    for path in ["prompt", "question", "instruction"] {
        if let Some(found) = text(at(record, path)) {
            let turns = found.starts_with("[\"").then(|| from_slice(found.as_bytes()).ok()).flatten();
            let first = turns.as_ref().and_then(|turns| at(turns, "0").as_str().map(str::to_owned));
            return Some(Value::String(first.unwrap_or(found)));
        }
    }
    None
}

fn check(file: &Path, record: &Value, line: u64, context: &Context<'_>) -> Result<(), Error> {
    let missing = ["model_a", "model_b"].into_iter().find(|path| record.get(*path).is_none());
    let verdict = ["winner", "winner_model_a"].iter().any(|path| record.get(*path).is_some());
    if let Some(path) = missing.or((!verdict).then_some("winner")) {
        return Err(Error::not_of(context.format, file, line, path, record));
    }
    if content(record).is_none() {
        return Err(Error::not_of(context.format, file, line, "prompt", record));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn battle(a: &str, b: &str, outcome: f64) -> Battle {
        Battle { models: [a.into(), b.into()], outcome }
    }

    fn fitted(battles: &[Battle]) -> Battles {
        let mut tally = Tally::default();
        for battle in battles {
            tally.add(battle);
        }
        Battles { strength: tally.strengths() }
    }

    #[test]
    fn strengths_follow_the_wins() {
        // 3:1 between two models; without the prior the ratio of strengths would be 3.
        let many: Vec<Battle> = (0..4000).map(|i| battle("a", "b", f64::from(u8::from(i % 4 > 0)))).collect();
        let battles = fitted(&many);
        let ratio = battles.strength["a"] / battles.strength["b"];
        assert!((ratio - 3.0).abs() < 0.01, "{ratio}");
        assert!((battles.against_the_pool(battles.strength["a"]) - 0.75).abs() < 0.001);
    }

    #[test]
    fn mean_scores_are_chances_against_the_pool_whoever_the_opponents_were() {
        // `a` mostly meets the weak `c`, `b` mostly the strong `d`; both win half against each other.
        let mut all = Vec::new();
        for i in 0..2000 {
            let wins = |of: usize| f64::from(u8::from(i % 10 < of));
            all.extend([
                battle("a", "c", wins(8)),
                battle("d", "b", wins(8)),
                battle("a", "b", wins(5)),
                battle("d", "c", wins(9)),
            ]);
        }
        let battles = fitted(&all);
        for model in ["a", "b"] {
            let scores: Vec<f64> = all
                .iter()
                .flat_map(|battle| battle.models.iter().zip(battles.scores(battle)))
                .filter(|(name, _)| *name == model)
                .map(|(_, score)| score)
                .collect();
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            let chance = battles.against_the_pool(battles.strength[model]);
            // Keeping scores within [0, 1] costs a little.
            assert!((mean - chance).abs() < 0.06, "{model}: {mean} {chance}");
        }
        assert!((battles.strength["a"] / battles.strength["b"] - 1.0).abs() < 0.3);
    }

    #[test]
    fn a_model_that_lost_everything_has_a_strength() {
        let battles = fitted(&[battle("a", "b", 1.0), battle("a", "b", 1.0)]);
        assert!(battles.strength["b"] > 0.0 && battles.strength["a"].is_finite());
        let [a, b] = battles.scores(&battle("a", "b", 1.0));
        assert!(a > b && (0.0..=1.0).contains(&a) && (0.0..=1.0).contains(&b));
    }
}
