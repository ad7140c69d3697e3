//! Somebody else's router, from a file of its predictions or choices.
//!
//! A file (JSONL, JSON, CSV, TSV or Parquet) has `prompt_id` and either
//!
//! - `model`: the choice for that prompt; with `setting`, several choices under names that sweep a curve; or
//! - one column per model, named like it: predicted quality, any finite number on one scale. Swept like ours, with
//!   training mean costs as the cost belief.
//!
//! A prediction file of `RouterArena` is read as it is.
//!
//! If the file covers every training prompt of the comparison too, settings are chosen there. Otherwise they are
//! chosen on the evaluated outcomes, which flatters; the report says so, and such a router enters no paired claim. A
//! file of one choice per prompt has nothing to choose.

mod table;

use std::collections::HashMap;
use std::path::Path;

use crate::contest::{Contest, column_means};
use crate::entrant::{Choices, Entrant, RouterKind, Setting};
use crate::error::Error;
use crate::options::PredictionCoverage;
use crate::sweep::{Beliefs, lambda_grid, points, swept_choices};
use table::Table;

/// Columns that files carry along and that say nothing about a model.
const CARRIED: [&str; 7] = ["prompt", "messages", "task", "dataset", "split", "group", "source"];

const OPTIMISTIC: &str = "hull on test, optimistic";

/// Reads and checks a file.
pub(crate) fn entrant(
    contest: &Contest<'_>,
    name: &str,
    path: &Path,
    coverage: PredictionCoverage,
) -> Result<Entrant, Error> {
    let file = PredictionFile { contest, path, table: table::read(path)?, coverage };
    let Some(id_column) = file.column("prompt_id") else {
        return Err(file.columns_error("a column `prompt_id`"));
    };
    let rows = Rows::new(contest);
    match file.column("model") {
        Some(model_column) => file.choices(name, &rows, id_column, model_column),
        None => file.qualities(name, &rows, id_column),
    }
}

/// Where a prompt id stands in the evaluated and in the training matrix.
struct Rows<'a> {
    by_id: HashMap<&'a str, [Option<usize>; 2]>,
    n: [usize; 2],
}

const TEST: usize = 0;
const TRAIN: usize = 1;

impl<'a> Rows<'a> {
    fn new(contest: &Contest<'a>) -> Self {
        let mut by_id: HashMap<&str, [Option<usize>; 2]> = HashMap::new();
        for (i, prompt) in contest.prompts().enumerate() {
            by_id.entry(&prompt.id).or_default()[TEST] = Some(i);
        }
        let n_train = contest.train.as_ref().map_or(0, |train| {
            for (i, prompt) in train.prompts().enumerate() {
                by_id.entry(&prompt.id).or_default()[TRAIN] = Some(i);
            }
            train.n_train()
        });
        Self { by_id, n: [contest.n_queries(), n_train] }
    }
}

struct PredictionFile<'c, 'a> {
    contest: &'c Contest<'a>,
    path: &'c Path,
    table: Table,
    coverage: PredictionCoverage,
}

impl PredictionFile<'_, '_> {
    fn column(&self, name: &str) -> Option<usize> {
        self.table.columns.iter().position(|c| c == name)
    }

    fn columns_error(&self, expected: &'static str) -> Error {
        Error::Columns { path: self.path.to_owned(), expected, got: self.table.columns.clone() }
    }

    fn text(&self, row: usize, column: usize) -> Result<String, Error> {
        self.table.rows[row][column].text().ok_or_else(|| self.bad_value(row, column, "a text"))
    }

    fn bad_value(&self, row: usize, column: usize, expected: &'static str) -> Error {
        Error::BadValue {
            path: self.path.to_owned(),
            row: row + 1,
            column: self.table.columns[column].clone(),
            expected,
            got: self.table.rows[row][column].show(),
        }
    }

    fn unknown_model(&self, row: Option<usize>, model: &str) -> Error {
        Error::UnknownModel {
            path: self.path.to_owned(),
            row: row.map(|r| r + 1),
            model: model.to_owned(),
            pool: self.contest.models.clone(),
        }
    }

    fn duplicate(&self, row: usize, prompt_id: String, setting: Option<String>) -> Error {
        Error::Duplicate { path: self.path.to_owned(), row: row + 1, prompt_id, setting }
    }

    /// Counts evaluated prompts that were not predicted; an error unless the caller allows gaps.
    fn missing(&self, present: impl Fn(usize) -> bool, setting: Option<&str>) -> Result<usize, Error> {
        let gaps: Vec<usize> = (0..self.contest.n_queries()).filter(|&i| !present(i)).collect();
        match gaps.first() {
            Some(&first) if self.coverage == PredictionCoverage::Complete => Err(Error::Missing {
                path: self.path.to_owned(),
                setting: setting.map(str::to_owned),
                expected: self.contest.n_queries(),
                missing: gaps.len(),
                first: self.contest.prompts().nth(first).map_or_else(String::new, |p| p.id.clone()),
            }),
            _ => Ok(gaps.len()),
        }
    }

    /// One column of predicted quality per model.
    fn qualities(&self, name: &str, rows: &Rows<'_>, id_column: usize) -> Result<Entrant, Error> {
        let (contest, k) = (self.contest, self.contest.n_models());
        let mut model_columns: Vec<(usize, usize)> = Vec::new();
        let mut outside = Vec::new();
        for (column, header) in self.table.columns.iter().enumerate() {
            if let Some(m) = contest.models.iter().position(|model| model == header) {
                model_columns.push((column, m));
            } else if contest.log.models.contains(header) {
                outside.push(header.as_str());
            } else if column != id_column && !CARRIED.contains(&header.as_str()) {
                return Err(self.unknown_model(None, header));
            }
        }
        if model_columns.is_empty() {
            return Err(self.columns_error("a column `model`, or one per model of the pool"));
        }

        let mut quality = rows.n.map(|n| vec![f64::NAN; n * k]);
        let mut present = rows.n.map(|n| vec![false; n]);
        for row in 0..self.table.rows.len() {
            let id = self.text(row, id_column)?;
            // Prompts of other splits, or incomplete ones, are no concern of the comparison.
            let Some(places) = rows.by_id.get(id.as_str()) else { continue };
            for side in [TEST, TRAIN] {
                let Some(i) = places[side] else { continue };
                if std::mem::replace(&mut present[side][i], true) {
                    return Err(self.duplicate(row, id, None));
                }
                for &(column, m) in &model_columns {
                    let value = self.table.rows[row][column].number();
                    quality[side][i * k + m] = value.ok_or_else(|| self.bad_value(row, column, "a finite number"))?;
                }
            }
        }
        let missing = self.missing(|i| present[TEST][i], None)?;

        let [test_quality, train_quality] = quality;
        let mean_costs = contest.train.as_ref().map_or_else(|| column_means(&contest.test.cost, k), |t| t.cost.clone());
        let lambdas = lambda_grid(&mean_costs);
        let beliefs = |quality: Vec<f64>, n: usize| Beliefs { quality, cost: mean_costs.repeat(n) };
        let train_points = match &contest.train {
            Some(train) if present[TRAIN].iter().all(|p| *p) => {
                let choices = beliefs(train_quality, train.n_train()).sweep(&lambdas, k, contest.fallback());
                Some(points(&choices, &train.matrix.cost, &train.matrix.quality, k)?)
            }
            _ => None,
        };
        let test = beliefs(test_quality, contest.n_queries());
        let choices = swept_choices(contest, &test, &lambdas, train_points.as_deref())?;
        let mut entrant = Entrant::new(name, RouterKind::External, Some(choices));
        entrant.quality = Some(test.quality);
        entrant.optimistic = train_points.is_none();
        if model_columns.len() < k {
            let named: Vec<usize> = model_columns.iter().map(|(_, m)| *m).collect();
            let absent: Vec<&str> = (0..k).filter(|m| !named.contains(m)).map(|m| contest.models[m].as_str()).collect();
            entrant.notes.push(format!("does not predict {}", absent.join(", ")));
        }
        if !outside.is_empty() {
            entrant.notes.push(format!("predictions outside the pool not used: {}", outside.join(", ")));
        }
        Ok(self.finish(entrant, missing))
    }

    /// One choice per prompt and setting.
    fn choices(&self, name: &str, rows: &Rows<'_>, id_column: usize, model_column: usize) -> Result<Entrant, Error> {
        let (contest, k) = (self.contest, self.contest.n_models());
        let setting_column = self.column("setting");
        let mut names: Vec<Option<String>> = Vec::new();
        let mut chosen: Vec<[Vec<Option<u32>>; 2]> = Vec::new();
        for row in 0..self.table.rows.len() {
            let id = self.text(row, id_column)?;
            let Some(places) = rows.by_id.get(id.as_str()) else { continue };
            let model = self.text(row, model_column)?;
            let position = contest.models.iter().position(|m| *m == model);
            let Some(m) = position.and_then(|m| u32::try_from(m).ok()) else {
                return Err(self.unknown_model(Some(row), &model));
            };
            let setting = setting_column.and_then(|c| self.table.rows[row][c].text());
            let s = names.iter().position(|n| *n == setting).unwrap_or_else(|| {
                names.push(setting.clone());
                chosen.push(rows.n.map(|n| vec![None; n]));
                names.len() - 1
            });
            for side in [TEST, TRAIN] {
                if places[side].is_some_and(|i| chosen[s][side][i].replace(m).is_some()) {
                    return Err(self.duplicate(row, id, setting));
                }
            }
        }
        if names.is_empty() {
            names.push(None);
            chosen.push(rows.n.map(|n| vec![None; n]));
        }
        let mut missing = 0;
        for (setting, sides) in names.iter().zip(&chosen) {
            missing = missing.max(self.missing(|i| sides[TEST][i].is_some(), setting.as_deref())?);
        }

        let side = |side: usize| -> Vec<Vec<u32>> {
            let fallback = u32::try_from(contest.fallback()).expect("pools are small");
            chosen.iter().map(|c| c[side].iter().map(|m| m.unwrap_or(fallback)).collect()).collect()
        };
        let train_points = match &contest.train {
            Some(train) if chosen.iter().all(|c| c[TRAIN].iter().all(Option::is_some)) => {
                Some(points(&side(TRAIN), &train.matrix.cost, &train.matrix.quality, k)?)
            }
            _ => None,
        };
        let test = side(TEST);
        let ranking = match &train_points {
            Some(points) => points.clone(),
            None => points(&test, &contest.test.cost, &contest.test.quality, k)?,
        };
        let top = (0..ranking.len())
            .min_by(|&a, &b| {
                let (a, b) = (ranking[a], ranking[b]);
                b.quality.total_cmp(&a.quality).then(a.cost.total_cmp(&b.cost))
            })
            .expect("at least one setting");
        let settings: Vec<Setting> = names.iter().map(|n| Setting::named(n.as_deref().unwrap_or("choice"))).collect();
        let choices = Choices::select(contest, &settings, &test, train_points.as_deref(), top)?;
        let mut entrant = Entrant::new(name, RouterKind::External, Some(choices));
        entrant.optimistic = train_points.is_none() && names.len() > 1;
        Ok(self.finish(entrant, missing))
    }

    fn finish(&self, mut entrant: Entrant, missing: usize) -> Entrant {
        if entrant.optimistic {
            entrant.notes.push(OPTIMISTIC.to_owned());
        }
        if missing > 0 {
            let to = &self.contest.models[self.contest.fallback()];
            entrant.notes.push(format!("{missing} prompts without a prediction sent to {to}"));
        }
        entrant
    }
}
