//! Controls: runs that show whether a result means what it seems to.
//!
//! | control | question | expected of an honest result |
//! |---|---|---|
//! | `leakage` | do evaluated prompts stand among the training prompts? | the gain stays without them |
//! | `shuffle` | does training on shuffled outcomes still gain? | no: the zero router, within noise |
//! | `leave-task-out` | what happens on tasks never trained on? | no harm against the best single model |
//! | `leave-model-out` | does the gain hang on one model of the pool? | it stays without any one of them |
//! | `learning-curve` | what are more labels worth? | it rises, and harms at no size |
//! | `time-split` | does a router trained on the past hold in the future? | about the gain of a random split |
//! | `robustness` | do decisions flip where nothing of substance changes? | seldom |
//!
//! What needs training is trained by the caller's [`Trainer`]: this crate does not know how routers are made.
//! `leave-task-out` stays inside the training prompts; the others measure on the evaluated split.

mod leakage;
mod perturb;
mod resplit;
mod robustness;

use std::str::FromStr;

use pointsman::Router;
use pointsman_evals::{EvalLog, Split};
use serde::Serialize;

use crate::error::Error;
use crate::options::{BenchOptions, Progress, RouterEntry};
use crate::report::{BenchReport, IntervalReport, RouterReport};

pub use leakage::{LeakageReport, TwinReport};
pub use robustness::RobustnessReport;

/// Resamples inside a trial: trials are repeated or compared, so only the control without repeats shows its interval.
const FEW_RESAMPLES: usize = 200;

/// Fewest prompts of a task that is left out by itself: a mean over fewer says nothing.
const FEWEST_OF_TASK: usize = 30;

/// Most trainings of a leave-out control; the tasks or models with most prompts come first.
const MOST_LEFT_OUT: usize = 12;

/// Sizes of the learning curve, below all training prompts.
const SIZES: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];

/// Share of prompts, the latest, that a time split evaluates.
const LATEST: f64 = 0.2;

/// What trains a router on the train split of a log.
pub trait Trainer {
    /// Trains. Rows of other splits must not be looked at.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from training.
    fn fit(&self, log: &EvalLog) -> Result<Router, Box<dyn std::error::Error + Send + Sync>>;
}

/// One of the controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// Exact and near duplicates between evaluated and training prompts.
    Leakage,
    /// Training on shuffled outcomes.
    Shuffle,
    /// Training without a task, measured on it.
    LeaveTaskOut,
    /// Training and measuring without a model.
    LeaveModelOut,
    /// Training on subsamples.
    LearningCurve,
    /// Training on the past, measured on the future.
    TimeSplit,
    /// Perturbed prompts.
    Robustness,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Leakage,
        Self::Shuffle,
        Self::LeaveTaskOut,
        Self::LeaveModelOut,
        Self::LearningCurve,
        Self::TimeSplit,
        Self::Robustness,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leakage => "leakage",
            Self::Shuffle => "shuffle",
            Self::LeaveTaskOut => "leave-task-out",
            Self::LeaveModelOut => "leave-model-out",
            Self::LearningCurve => "learning-curve",
            Self::TimeSplit => "time-split",
            Self::Robustness => "robustness",
        }
    }
}

impl FromStr for Control {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|c| c.name() == text).ok_or_else(|| Error::BadOption {
            option: "controls",
            expected: "leakage, shuffle, leave-task-out, leave-model-out, learning-curve, time-split, robustness or all",
            got: text.to_owned(),
        })
    }
}

/// What the controls found; a control that was not asked for, or could not be run, is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ControlsReport {
    /// Exact and near duplicates.
    pub leakage: Option<LeakageReport>,
    /// Trained on shuffled outcomes.
    pub shuffle: Option<TrialReport>,
    /// One trial per task left out.
    pub leave_task_out: Option<LeftOutReport>,
    /// One trial per model left out.
    pub leave_model_out: Option<LeftOutReport>,
    /// By ascending number of training prompts.
    pub learning_curve: Option<Vec<SizeReport>>,
    /// Trained on the earlier, measured on the latest prompts.
    pub time_split: Option<TrialReport>,
    /// Per perturbation.
    pub robustness: Option<Vec<RobustnessReport>>,
    /// Controls that could not be run, and why.
    pub notes: Vec<String>,
}

/// One training, measured.
#[derive(Clone, Debug, Serialize)]
pub struct TrialReport {
    /// Training prompts with an outcome of every model.
    pub n_train: usize,
    /// Evaluated prompts.
    pub n_queries: usize,
    /// AIQ − the zero router's.
    pub gain: Option<IntervalReport>,
    /// Quality at λ → ∞ − the best single model's, which was chosen on the same training prompts.
    pub quality_gain: Option<IntervalReport>,
    /// Share of the way to the oracle at λ → ∞.
    pub gap_closed: Option<IntervalReport>,
    /// Share of prompts left to the best static choice.
    pub abstained: Option<f64>,
}

/// Trials with one thing left out each.
#[derive(Clone, Debug, Serialize)]
pub struct LeftOutReport {
    /// What was left out, and what came of it.
    pub trials: Vec<(String, TrialReport)>,
    /// Mean gain in AIQ over the trials that have one, with the interval of a mean of that many.
    pub gain: Option<IntervalReport>,
    /// Mean share of the way to the oracle.
    pub gap_closed: Option<IntervalReport>,
}

/// Subsamples of one size.
#[derive(Clone, Debug, Serialize)]
pub struct SizeReport {
    /// Training prompts.
    pub n_train: usize,
    /// Subsamples drawn.
    pub subsamples: usize,
    /// Mean gain in AIQ over the zero router fitted to the same prompts; interval over subsamples.
    pub gain: Option<IntervalReport>,
    /// Mean quality at λ → ∞ − the best single model's.
    pub quality_gain: Option<IntervalReport>,
    /// Mean share of the way to the oracle.
    pub gap_closed: Option<IntervalReport>,
    /// Mean share of prompts left to the best static choice.
    pub abstained: f64,
}

/// What controls are told.
#[derive(Clone, Copy, Debug)]
pub struct ControlOptions<'a> {
    /// How trials are measured: pool, split, seed.
    pub bench: &'a BenchOptions<'a>,
    /// Which ones to run.
    pub controls: &'a [Control],
    /// Subsamples of each size of the learning curve, at least 2.
    pub subsamples: usize,
}

/// Runs the controls asked for. `subject` is the router that `leakage` and `robustness` look at.
///
/// # Errors
///
/// An option outside its domain. A control that cannot be run on this log (no tasks or time stamps, too few prompts, a router
/// that cannot be trained) is a note, no error: what was measured before is not lost for it.
pub fn run(
    log: &EvalLog,
    options: &ControlOptions<'_>,
    trainer: &dyn Trainer,
    subject: Option<&RouterEntry>,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<ControlsReport, Error> {
    if options.subsamples < 2 {
        let got = options.subsamples.to_string();
        return Err(Error::BadOption { option: "subsamples", expected: "at least 2", got });
    }
    let bench = BenchOptions { resamples: FEW_RESAMPLES, train_log: None, ..options.bench.clone() };
    let lab = Lab { log, bench, trainer, subsamples: options.subsamples };
    let mut report = ControlsReport::default();
    for (done, control) in options.controls.iter().enumerate() {
        let mut tell = |done, total| progress(&Progress { stage: control.name(), done, total });
        tell(done, options.controls.len());
        let outcome = match control {
            Control::Leakage => subject_of(subject).and_then(|s| lab.leakage(s).map(|r| report.leakage = Some(r))),
            Control::Shuffle => lab.shuffle().map(|r| report.shuffle = Some(r)),
            Control::LeaveTaskOut => lab.leave_task_out(&mut tell).map(|r| report.leave_task_out = Some(r)),
            Control::LeaveModelOut => lab.leave_model_out(&mut tell).map(|r| report.leave_model_out = Some(r)),
            Control::LearningCurve => lab.learning_curve(&mut tell).map(|r| report.learning_curve = Some(r)),
            Control::TimeSplit => lab.time_split().map(|r| report.time_split = Some(r)),
            Control::Robustness => subject_of(subject)
                .and_then(|s| robustness::run(log, &lab.bench, s).map(|r| report.robustness = Some(r))),
        };
        match outcome {
            Ok(()) => (),
            Err(Error::NoControl { needs }) => report.notes.push(format!("{}: {needs}", control.name())),
            Err(error) => report.notes.push(format!("{}: {}", control.name(), chain(&error))),
        }
    }
    Ok(report)
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn subject_of(subject: Option<&RouterEntry>) -> Result<&RouterEntry, Error> {
    subject.ok_or(Error::NoControl { needs: "looks at a router, and none was given" })
}

/// A log and the means to train and measure on altered copies of it.
pub(crate) struct Lab<'a> {
    log: &'a EvalLog,
    bench: BenchOptions<'a>,
    trainer: &'a dyn Trainer,
    subsamples: usize,
}

impl Lab<'_> {
    /// Trains on the train split of `log` and measures on the evaluated split.
    fn trial(&self, log: &EvalLog) -> Result<TrialReport, Error> {
        let router = self.trainer.fit(log).map_err(Error::Training)?;
        self.measure(log, &RouterEntry { name: "trial".to_owned(), router })
    }

    fn measure(&self, log: &EvalLog, entry: &RouterEntry) -> Result<TrialReport, Error> {
        let options = BenchOptions { split: Split::Test, ..self.bench.clone() };
        let report = crate::run(log, &options, vec![entry.clone()], &[], &mut |_| ())?;
        Ok(TrialReport::of(&report))
    }

    /// A copy in which the evaluated split is called test: what the trials measure on.
    fn copy(&self) -> EvalLog {
        let mut log = self.log.clone();
        for prompt in &mut log.prompts {
            prompt.split = match prompt.split {
                split if split == self.bench.split => Split::Test,
                Split::Train => Split::Train,
                _ => Split::Calibration,
            };
        }
        log
    }

    fn leakage(&self, subject: &RouterEntry) -> Result<LeakageReport, Error> {
        let mut log = self.copy();
        let twins = leakage::twins(&log)?;
        let all = self.measure(&log, subject)?;
        for twin in &twins {
            log.prompts[twin.probe as usize].split = Split::Calibration;
        }
        let without = match self.measure(&log, subject) {
            Ok(trial) => Some(trial),
            // Nothing is left.
            Err(Error::EmptySplit { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(LeakageReport::new(&log, &twins, all, without))
    }

    fn shuffle(&self) -> Result<TrialReport, Error> {
        let mut log = self.copy();
        resplit::shuffle_outcomes(&mut log, self.bench.seed);
        self.trial(&log)
    }

    fn leave_task_out(&self, tell: &mut dyn FnMut(usize, usize)) -> Result<LeftOutReport, Error> {
        let base = self.copy();
        let mut sizes = vec![0; base.tasks.len()];
        for prompt in base.prompts.iter().filter(|p| p.split == Split::Train) {
            if let Some(task) = prompt.task {
                sizes[task as usize] += 1;
            }
        }
        let mut tasks: Vec<usize> = (0..sizes.len()).filter(|&t| sizes[t] >= FEWEST_OF_TASK).collect();
        if tasks.len() < 2 {
            return Err(Error::NoControl { needs: "needs two tasks of 30 training prompts or more" });
        }
        tasks.sort_by_key(|&t| std::cmp::Reverse(sizes[t]));
        tasks.truncate(MOST_LEFT_OUT);
        let mut trials = Vec::new();
        for (done, &task) in tasks.iter().enumerate() {
            tell(done, tasks.len());
            let mut log = base.clone();
            for prompt in &mut log.prompts {
                let is_task = prompt.task.is_some_and(|t| t as usize == task);
                prompt.split = match prompt.split {
                    Split::Train if is_task => Split::Test,
                    Split::Train => Split::Train,
                    _ => Split::Calibration,
                };
            }
            trials.push((base.tasks[task].clone(), self.trial(&log)?));
        }
        Ok(LeftOutReport::new(trials))
    }

    fn leave_model_out(&self, tell: &mut dyn FnMut(usize, usize)) -> Result<LeftOutReport, Error> {
        let base = self.copy();
        let (pool, _) = pointsman_evals::matrix::pool(&base, self.bench.min_coverage);
        if pool.len() < 3 {
            return Err(Error::NoControl { needs: "needs three models, so that two are left" });
        }
        let mut trials = Vec::new();
        let left_out: Vec<u32> = pool.iter().copied().take(MOST_LEFT_OUT).collect();
        for (done, &model) in left_out.iter().enumerate() {
            tell(done, left_out.len());
            let mut log = base.clone();
            resplit::remove_model(&mut log, model);
            trials.push((base.models[model as usize].clone(), self.trial(&log)?));
        }
        Ok(LeftOutReport::new(trials))
    }

    fn learning_curve(&self, tell: &mut dyn FnMut(usize, usize)) -> Result<Vec<SizeReport>, Error> {
        let base = self.copy();
        let all = base.prompts.iter().filter(|p| p.split == Split::Train).count();
        let sizes: Vec<usize> = SIZES.into_iter().filter(|&n| n * 10 <= all * 9).collect();
        if all < SIZES[0] {
            return Err(Error::NoControl { needs: "needs 100 training prompts or more" });
        }
        let total = sizes.len() * self.subsamples + 1;
        let mut done = 0;
        let mut curve = Vec::new();
        for &n in &sizes {
            let mut trials = Vec::new();
            for draw in 0..self.subsamples as u64 {
                tell(done, total);
                done += 1;
                let mut log = base.clone();
                resplit::keep_training_prompts(&mut log, n, self.bench.seed.wrapping_add(draw));
                trials.push(self.trial(&log)?);
            }
            curve.push(SizeReport::new(n, &trials));
        }
        tell(done, total);
        // All prompts are one sample, whose interval is that of its evaluated prompts.
        let trial = self.trial(&base)?;
        curve.push(SizeReport {
            n_train: all,
            subsamples: 1,
            gain: trial.gain,
            quality_gain: trial.quality_gain,
            gap_closed: trial.gap_closed,
            abstained: trial.abstained.unwrap_or(0.0),
        });
        Ok(curve)
    }

    fn time_split(&self) -> Result<TrialReport, Error> {
        let mut log = self.copy();
        resplit::by_time(&mut log, LATEST)
            .ok_or(Error::NoControl { needs: "needs a `timestamp` on every prompt, and not all the same" })?;
        self.trial(&log)
    }
}

impl TrialReport {
    fn of(report: &BenchReport) -> Self {
        let router: &RouterReport =
            report.routers.iter().find(|r| r.kind != crate::RouterKind::Baseline).expect("a trial has a router");
        let paired = |baseline: &str, metric: &str| {
            let p = report.paired.iter().find(|p| p.b == baseline && p.metric == metric)?;
            Some(IntervalReport { value: p.diff?, low: p.low?, high: p.high? })
        };
        Self {
            n_train: report.n_train,
            n_queries: report.n_queries,
            gain: paired("zero_router", "aiq"),
            quality_gain: paired("best_single", "quality_max"),
            gap_closed: router.gap_closed,
            abstained: router.abstained,
        }
    }
}

impl LeftOutReport {
    fn new(trials: Vec<(String, TrialReport)>) -> Self {
        let all: Vec<&TrialReport> = trials.iter().map(|(_, t)| t).collect();
        let (gain, gap_closed) = (mean(&all, |t| t.gain), mean(&all, |t| t.gap_closed));
        Self { trials, gain, gap_closed }
    }
}

impl SizeReport {
    fn new(n_train: usize, trials: &[TrialReport]) -> Self {
        let all: Vec<&TrialReport> = trials.iter().collect();
        Self {
            n_train,
            subsamples: trials.len(),
            gain: mean(&all, |t| t.gain),
            quality_gain: mean(&all, |t| t.quality_gain),
            gap_closed: mean(&all, |t| t.gap_closed),
            abstained: trials.iter().filter_map(|t| t.abstained).sum::<f64>() / trials.len() as f64,
        }
    }
}

/// Mean of a figure over trials, with 1.96 standard errors of that mean; `None` where fewer than two have it.
fn mean(trials: &[&TrialReport], figure: impl Fn(&TrialReport) -> Option<IntervalReport>) -> Option<IntervalReport> {
    let values = trials.iter().filter_map(|t| figure(t)).map(|i| i.value);
    let (n, sum, squares) = values.fold((0.0, 0.0, 0.0), |(n, s, q), v| (n + 1.0, s + v, q + v * v));
    IntervalReport::of_mean(n, sum, squares)
}

#[cfg(test)]
mod tests {
    use pointsman::artifact::Mode;

    use super::*;
    use crate::testing;

    /// A trainer that learns only the means: never better than the zero router, and quick.
    struct Means;

    impl Trainer for Means {
        fn fit(&self, log: &EvalLog) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
            let mut sums = vec![(0.0, 0.0, 0.0); log.models.len()];
            for o in log.outcomes.iter().filter(|o| log.prompts[o.prompt as usize].split == Split::Train) {
                let s = &mut sums[o.model as usize];
                *s = (s.0 + 1.0, s.1 + f64::from(o.score), s.2 + o.cost_usd);
            }
            let models: Vec<(&str, f64, f64)> = log
                .models
                .iter()
                .zip(sums)
                .filter(|(_, s)| s.0 > 0.0)
                .map(|(m, s)| (m.as_str(), s.1 / s.0, s.2 / s.0))
                .collect();
            Ok(testing::constant_router(&models, Mode::Static))
        }
    }

    fn controls(log: &EvalLog, controls: &[Control]) -> ControlsReport {
        let bench = BenchOptions { resamples: 100, ..BenchOptions::default() };
        let options = ControlOptions { bench: &bench, controls, subsamples: 3 };
        let router = Means.fit(log).expect("means");
        let subject = RouterEntry { name: "means".to_owned(), router };
        run(log, &options, &Means, Some(&subject), &mut |_| ()).expect("controls")
    }

    #[test]
    fn every_control_gives_its_figures_and_a_constant_router_gains_nothing() {
        let mut log = testing::log(600, 200, 3);
        for (i, prompt) in (0_i64..).zip(&mut log.prompts) {
            prompt.timestamp_us = Some(i);
        }
        let report = controls(&log, &Control::ALL);
        assert_eq!(report.notes, [""; 0]);
        for trial in [report.shuffle.as_ref(), report.time_split.as_ref()] {
            let gain = trial.expect("run").gain.expect("defined");
            assert!(gain.value.abs() < 0.03, "{gain:?}");
        }
        let tasks = report.leave_task_out.expect("two tasks");
        assert_eq!(tasks.trials.iter().map(|t| t.1.n_queries).sum::<usize>(), 600);
        assert_eq!(report.leave_model_out.expect("four models").trials.len(), 4);
        let sizes: Vec<usize> = report.learning_curve.expect("prompts").iter().map(|s| s.n_train).collect();
        assert_eq!(sizes, [100, 300, 600]);
        assert!(report.robustness.expect("a router").iter().all(|r| r.flipped == 0.0));
        assert!(report.leakage.expect("a router").n_queries == 200);
    }

    #[test]
    fn twins_are_found_and_taken_out() {
        let mut log = testing::log(300, 100, 4);
        for i in 0..10 {
            log.prompts[300 + i].content = log.prompts[i].content.clone();
        }
        let leakage = controls(&log, &[Control::Leakage]).leakage.expect("a router");
        assert!(leakage.exact >= 10, "{leakage:?}");
        assert!(leakage.without.is_none_or(|t| t.n_queries + leakage.exact + leakage.near == 100));
    }

    #[test]
    fn what_a_log_lacks_is_a_note() {
        let mut log = testing::log(60, 60, 5);
        for prompt in &mut log.prompts {
            prompt.task = None;
        }
        let report = controls(&log, &[Control::LeaveTaskOut, Control::TimeSplit, Control::LearningCurve]);
        assert_eq!(report.notes.len(), 3);
        assert!(report.notes[0].starts_with("leave-task-out: needs two tasks"));
    }

    #[test]
    fn a_control_that_fails_does_not_cost_the_others() {
        struct Never;
        impl Trainer for Never {
            fn fit(&self, _: &EvalLog) -> Result<Router, Box<dyn std::error::Error + Send + Sync>> {
                Err("no training prompts".into())
            }
        }
        let log = testing::log(200, 60, 6);
        let bench = BenchOptions { resamples: 100, ..BenchOptions::default() };
        let list = [Control::Shuffle, Control::Robustness];
        let options = ControlOptions { bench: &bench, controls: &list, subsamples: 3 };
        let subject = RouterEntry { name: "means".to_owned(), router: Means.fit(&log).expect("means") };
        let report = run(&log, &options, &Never, Some(&subject), &mut |_| ()).expect("notes");
        assert_eq!(report.notes, ["shuffle: a router cannot be trained: no training prompts"]);
        assert!(report.robustness.is_some());
    }

    #[test]
    fn names_parse() {
        for control in Control::ALL {
            assert_eq!(control.name().parse::<Control>().expect("its own name"), control);
        }
        assert!("luck".parse::<Control>().is_err());
    }
}
