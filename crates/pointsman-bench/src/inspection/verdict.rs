//! From the figures to one plain sentence.
//!
//! The first rule that applies decides; *gain* is that of the cross-validated task table in AIQ over the zero router
//! (in quality over the best single model where there are no costs), *headroom* that of the oracle over the same, or
//! the upper bound of the noise ceiling where runs repeat.
//!
//! | finding | rule |
//! |---|---|
//! | needs two models | the pool has fewer than two |
//! | too little data | fewer than [`LEAST_PROMPTS`] prompts are compared |
//! | can pay | the gain, or that of the table in quality, is above zero, at 97.5 % each since there are two |
//! | nothing to gain | headroom below [`WORTH`] |
//! | nothing to gain | one model is best and cheapest, the gain ends below [`WORTH`], [`ENOUGH_PROMPTS`] are compared |
//! | too little data | the gain's upper end is above twice [`WORTH`] |
//! | open | otherwise |

use pointsman_evals::EvalLog;

use super::report::{Finding, InspectionReport};
use crate::report::IntervalReport;
use crate::wording::{percent, points, signed_points, signed_range, thousands};

/// Prompts below which nothing is said; training refuses fewer, too.
const LEAST_PROMPTS: usize = 30;

/// Prompts from which a table that picks one model for every task is taken at its word. A guess: with fewer, a task has
/// too few to be told from the rest.
const ENOUGH_PROMPTS: usize = 200;

/// z.9875 / z.975: widens a 95 % interval to 97.5 %.
const TWO_TESTS: f64 = 2.241_4 / 1.96;

/// One point of 100: a judgement of what anybody would bother for.
const WORTH: f64 = 0.01;

/// Decides and says it.
pub(super) fn decide(log: &EvalLog, report: &InspectionReport) -> (Finding, String) {
    let gain = report.task_table.map(|t| t.aiq_gain.unwrap_or(t.quality_gain));
    let quality_gain = report.task_table.map(|t| t.quality_gain);
    let single = report.best_single.as_deref().unwrap_or("the best model");
    let on_hull = report.models.iter().filter(|m| m.on_hull == Some(true)).count();
    let headroom = headroom(report);
    if report.pool.len() < 2 {
        let text = if log.models.len() < 2 {
            "Routing needs two models: this log has outcomes of one.".to_owned()
        } else {
            format!(
                "Routing needs two models: only {} of the {} in this log can be compared (see what was left out).",
                report.pool.len(),
                log.models.len()
            )
        };
        return (Finding::NeedsTwoModels, text);
    }
    if report.n_compared < LEAST_PROMPTS {
        let text = format!(
            "Too little data to tell: {} prompts can be compared, training takes {LEAST_PROMPTS} and more.",
            report.n_compared
        );
        return (Finding::TooLittleData, text);
    }
    let proven =
        |interval: Option<IntervalReport>| interval.is_some_and(|i| i.value - TWO_TESTS * (i.value - i.low) > 0.0);
    if proven(gain) || proven(quality_gain) {
        return (Finding::CanPay, can_pay(report, single));
    }
    if headroom.is_some_and(|h| h < WORTH) {
        let text = if report.agreement.is_some_and(|a| a.all_equal > 0.999) {
            "Nothing to gain: on every prompt all models score the same. Take the cheapest.".to_owned()
        } else {
            format!(
                "Nothing to gain: even a perfect choice per prompt is only {} points better than {}.",
                points(headroom.unwrap_or(0.0)),
                if report.oracle.is_some_and(|o| o.aiq.is_some()) { "the best mix of single models" } else { single }
            )
        };
        return (Finding::NothingToGain, text);
    }
    if let Some(gain) = gain.filter(|g| on_hull == 1 && g.high < WORTH && report.n_compared >= ENOUGH_PROMPTS) {
        let text = format!(
            "Nothing to gain: {single} is best and cheapest, and knowing the task of every prompt changes nothing \
             ({}).",
            range(gain)
        );
        return (Finding::NothingToGain, text);
    }
    if let Some(gain) = gain.filter(|g| g.high > 2.0 * WORTH) {
        let text = format!(
            "Too little data to tell: knowing the task is worth {} points ({}), which is within chance.{}",
            signed_points(gain.value),
            range(gain),
            needed(report)
        );
        return (Finding::TooLittleData, text);
    }
    (Finding::Open, open(report, gain))
}

/// The most that any router could gain; `None` where no prompt was run on every model.
fn headroom(report: &InspectionReport) -> Option<f64> {
    let oracle = report.oracle?;
    let quality =
        oracle.ceiling.map_or(oracle.quality - oracle.best_single_quality, |c| c.at_most - c.best_single_quality);
    let aiq = oracle.aiq.zip(report.zero_router_aiq).map(|(oracle, zero)| oracle - zero.value);
    Some(aiq.map_or(quality, |aiq| aiq.max(quality)))
}

fn can_pay(report: &InspectionReport, single: &str) -> String {
    let Some(table) = report.task_table else { return String::new() };
    let worth = match table.aiq_gain.filter(|g| g.low > 0.0) {
        Some(gain) => format!(
            "{} points over the best mix of single models at the same cost ({})",
            signed_points(gain.value),
            range(gain)
        ),
        None => format!(
            "{} points of quality over {single} ({})",
            signed_points(table.quality_gain.value),
            range(table.quality_gain)
        ),
    };
    let cheaper = match (table.saving, table.quality_change) {
        (Some(saving), Some(change)) if saving.low > 0.05 && change.high >= -0.5 * WORTH => format!(
            " Set for the quality of {single} it costs {} % less ({} to {} %) and its quality differs by {} points ({}).",
            percent(saving.value),
            percent(saving.low),
            percent(saving.high),
            signed_points(change.value),
            range(change)
        ),
        _ => String::new(),
    };
    format!("Routing can pay here: merely knowing the task of a prompt is worth {worth}.{cheaper}")
}

fn open(report: &InspectionReport, gain: Option<IntervalReport>) -> String {
    let known = match gain {
        Some(gain) => format!("knowing the task is worth next to nothing ({})", range(gain)),
        None if report.size.tasks == 0 => "the log has no task column to judge by".to_owned(),
        None => "what tasks are worth cannot be measured here".to_owned(),
    };
    let Some(headroom) = headroom(report) else {
        return format!("Open: no prompt was run on every model, and {known}. Train and benchmark to find out.");
    };
    let luck = match report.oracle.and_then(|o| o.ceiling) {
        Some(_) => "of mean scores",
        None => "that also picks the lucky runs",
    };
    format!(
        "Open: an oracle {luck} is {} points better, but {known}. Train and benchmark to find out how much of it the texts \
         give away.",
        points(headroom)
    )
}

fn needed(report: &InspectionReport) -> String {
    report.power.map_or_else(String::new, |p| {
        format!(
            " To see one point of difference takes about {} test prompts; there are {}.",
            thousands(usize::try_from(p.needed_for_one_point).unwrap_or(usize::MAX)),
            thousands(p.n_test)
        )
    })
}

fn range(interval: IntervalReport) -> String {
    format!("95 % interval {}", signed_range(&interval))
}
