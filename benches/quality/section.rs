//! What an experiment found: one table for people, every run for machines.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use crate::mean::Mean;
use crate::trial::Figures;

/// The result of one experiment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    /// The name on the command line.
    pub(crate) experiment: String,
    pub(crate) title: &'static str,
    /// How to read the table.
    pub(crate) explanation: String,
    pub(crate) headings: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// Every run behind the table.
    pub(crate) runs: Vec<Value>,
}

/// One router in one run, for the JSON.
#[derive(Debug, Serialize)]
struct Run<'a> {
    case: &'a str,
    repeat: u64,
    /// Fold of the repeat, or size of the training set.
    part: usize,
    router: &'a str,
    #[serde(flatten)]
    figures: &'a Figures,
}

impl Section {
    pub(crate) fn new(
        experiment: &str,
        title: &'static str,
        explanation: String,
        headings: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let headings = headings.into_iter().collect();
        Self { experiment: experiment.to_owned(), title, explanation, headings, rows: Vec::new(), runs: Vec::new() }
    }

    /// Notes one router in one run, and says so on stderr.
    pub(crate) fn push(&mut self, case: &str, repeat: u64, part: usize, router: &str, figures: &Figures) {
        let number = |value: Option<f64>| value.map_or_else(missing, |value| format!("{value:+.4}"));
        crate::say(&format!(
            "{} {case} {repeat}/{part} {router}: gain {}, gap closed {}{}, trained in {:.1} s",
            self.experiment,
            number(figures.gain()),
            number(figures.gap_closed),
            if figures.is_static { ", static" } else { "" },
            figures.training_seconds
        ));
        self.runs.push(json!(Run { case, repeat, part, router, figures }));
    }

    pub(crate) fn markdown(&self) -> String {
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.chain([self.headings[column].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let mut text = format!("## {}: {}\n\n{}\n\n", self.experiment, self.title, self.explanation);
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        let rule = widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>();
        for row in [&headings, &rule].into_iter().chain(&self.rows) {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:<width$} ");
            }
            text.push_str("|\n");
        }
        text
    }
}

/// A mean to `digits` places.
pub(crate) fn plain(mean: Option<Mean>, digits: usize) -> String {
    mean.map_or_else(missing, |mean| format!("{:.digits$}", mean.value))
}

/// A mean with its sign and its interval.
pub(crate) fn signed(mean: Option<Mean>, digits: usize) -> String {
    mean.map_or_else(missing, |mean| match mean.half_width {
        Some(half) => format!("{:+.digits$} ± {half:.digits$}", mean.value),
        None => format!("{:+.digits$}", mean.value),
    })
}

/// The share of runs for which something holds.
pub(crate) fn share(flags: impl IntoIterator<Item = bool>) -> String {
    let (n, held) = flags.into_iter().fold((0_usize, 0_usize), |(n, held), flag| (n + 1, held + usize::from(flag)));
    if n == 0 { missing() } else { format!("{:.0} %", 100.0 * held as f64 / n as f64) }
}

/// What stands where there is no figure.
pub(crate) fn missing() -> String {
    "–".to_owned()
}
