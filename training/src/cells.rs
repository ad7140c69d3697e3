//! Outcomes by prompt, in one piece of memory.

use std::ops::Index;

use pointsman_evals::log::Outcome;

/// Observed cells, those of a prompt side by side: `cells[row]` are the cells of one prompt.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// Where each prompt's cells end, `[n]`.
    ends: Vec<usize>,
    cells: Vec<Outcome>,
}

impl Cells {
    /// Sorts `outcomes` into the prompts that `row` names; those it names none for are left out.
    pub(crate) fn new<'a>(
        n: usize,
        outcomes: impl Iterator<Item = &'a Outcome> + Clone,
        row: impl Fn(&Outcome) -> Option<(usize, u32)>,
    ) -> Self {
        let mut ends = vec![0; n];
        for (row, _) in outcomes.clone().filter_map(&row) {
            ends[row] += 1;
        }
        // Every prompt's place starts where the one before ends, and moves to its own end while it fills.
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let mut cells = Vec::with_capacity(total);
        if let Some(any) = outcomes.clone().next() {
            cells.resize(total, *any);
        }
        for outcome in outcomes {
            if let Some((row, model)) = row(outcome) {
                cells[ends[row]] = Outcome { model, ..*outcome };
                ends[row] += 1;
            }
        }
        Self { ends, cells }
    }

    /// The cells of every prompt in turn.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[Outcome]> {
        (0..self.ends.len()).map(|row| &self[row])
    }

    /// Every cell.
    pub(crate) fn all(&self) -> &[Outcome] {
        &self.cells
    }
}

impl Index<usize> for Cells {
    type Output = [Outcome];

    fn index(&self, row: usize) -> &[Outcome] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.cells[start..self.ends[row]]
    }
}

#[cfg(test)]
mod tests {
    use pointsman_evals::log::CostSource;

    use super::*;

    fn outcome(prompt: u32, model: u32) -> Outcome {
        Outcome {
            prompt,
            model,
            runs: 1,
            score: 1.0,
            score_variance: f32::NAN,
            cost_usd: f64::NAN,
            cost_source: CostSource::Unknown,
            input_tokens: f32::NAN,
            output_tokens: f32::NAN,
            latency_ms: f32::NAN,
            propensity: f32::NAN,
        }
    }

    #[test]
    fn cells_come_to_lie_with_their_prompt_and_strangers_stay_out() {
        let outcomes = [outcome(2, 0), outcome(0, 1), outcome(2, 1), outcome(9, 0), outcome(0, 0)];
        let cells = Cells::new(3, outcomes.iter(), |o| (o.prompt < 3).then_some((o.prompt as usize, o.model + 10)));
        let models: Vec<Vec<u32>> = cells.iter().map(|cells| cells.iter().map(|cell| cell.model).collect()).collect();
        assert_eq!(models, [vec![11, 10], vec![], vec![10, 11]]);
        assert_eq!(cells[1].len(), 0);
        assert_eq!(cells.all().len(), 4);
    }

    #[test]
    fn no_outcomes_no_cells() {
        let cells = Cells::new(2, [].iter(), |_| None);
        assert_eq!(cells.iter().map(<[Outcome]>::len).collect::<Vec<_>>(), [0, 0]);
    }
}
