//! The task table: for each task of the log, the training means of every model.
//!
//! It is given the true task of every prompt, which a router has to guess from the text.

use crate::contest::{Contest, N_FOLDS, Training};
use crate::entrant::{Entrant, RouterKind};
use crate::error::Error;
use crate::sweep::Beliefs;

/// Sums over rows of one task, per model.
#[derive(Clone)]
struct Sums {
    n: f64,
    quality: Vec<f64>,
    cost: Vec<f64>,
}

impl Sums {
    fn new(n_models: usize) -> Self {
        Self { n: 0.0, quality: vec![0.0; n_models], cost: vec![0.0; n_models] }
    }

    fn add(&mut self, quality: &[f64], cost: &[f64], sign: f64) {
        self.n += sign;
        for m in 0..quality.len() {
            self.quality[m] += sign * quality[m];
            self.cost[m] += sign * cost[m];
        }
    }
}

pub(super) fn entrant(contest: &Contest<'_>, train: &Training<'_>) -> Result<Entrant, Error> {
    if train.log.tasks.is_empty() {
        return Ok(Entrant::absent("task_table", RouterKind::Baseline, "the log has no task column"));
    }
    let k = contest.n_models();
    // By name: a separate training log numbers its tasks in its own way.
    let train_tasks: Vec<Option<usize>> = train.prompts().map(|p| p.task.map(|t| t as usize)).collect();
    let test_tasks: Vec<Option<usize>> = contest
        .prompts()
        .map(|p| {
            let name = &contest.log.tasks[p.task? as usize];
            train.log.tasks.iter().position(|t| t == name)
        })
        .collect();

    let n_tasks = train.log.tasks.len();
    let rows: Vec<usize> = (0..train.n_train()).collect();
    let mut oof = Beliefs { quality: vec![0.0; rows.len() * k], cost: vec![0.0; rows.len() * k] };
    for fold in 0..N_FOLDS {
        let table = Table::new(train, &train_tasks, n_tasks, k, |i| train.folds[i] != fold);
        for &i in rows.iter().filter(|&&i| train.folds[i] == fold) {
            table.fill(train_tasks[i], &mut oof.quality[i * k..(i + 1) * k], &mut oof.cost[i * k..(i + 1) * k]);
        }
    }
    let table = Table::new(train, &train_tasks, n_tasks, k, |_| true);
    let n = contest.n_queries();
    let mut test = Beliefs { quality: vec![0.0; n * k], cost: vec![0.0; n * k] };
    for (i, task) in test_tasks.iter().enumerate() {
        table.fill(*task, &mut test.quality[i * k..(i + 1) * k], &mut test.cost[i * k..(i + 1) * k]);
    }
    let mut entrant = super::learned(contest, train, "task_table", &rows, &oof, test)?;
    entrant.notes.push("is told the task of every prompt".to_owned());
    let unseen = test_tasks.iter().filter(|t| t.is_none()).count();
    if unseen > 0 {
        entrant.notes.push(format!("{unseen} prompts of unknown task by the means of all"));
    }
    Ok(entrant)
}

struct Table {
    tasks: Vec<Sums>,
    all: Sums,
}

impl Table {
    fn new(
        train: &Training<'_>,
        tasks: &[Option<usize>],
        n_tasks: usize,
        k: usize,
        keep: impl Fn(usize) -> bool,
    ) -> Self {
        let mut table = Self { tasks: vec![Sums::new(k); n_tasks], all: Sums::new(k) };
        for i in (0..train.n_train()).filter(|&i| keep(i)) {
            let (q, c) = (&train.matrix.quality[i * k..(i + 1) * k], &train.matrix.cost[i * k..(i + 1) * k]);
            table.all.add(q, c, 1.0);
            if let Some(task) = tasks[i] {
                table.tasks[task].add(q, c, 1.0);
            }
        }
        table
    }

    /// Means of the task, of all rows where the task was not seen; zero where nothing was.
    fn fill(&self, task: Option<usize>, quality: &mut [f64], cost: &mut [f64]) {
        let sums = task.map(|t| &self.tasks[t]).filter(|s| s.n > 0.0).unwrap_or(&self.all);
        let n = sums.n.max(1.0);
        for m in 0..quality.len() {
            quality[m] = sums.quality[m] / n;
            cost[m] = sums.cost[m] / n;
        }
    }
}
