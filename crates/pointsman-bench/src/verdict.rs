//! The finding of a benchmark in plain words, for the terminal and the page alike.

use crate::entrant::RouterKind;
use crate::report::{BenchReport, IntervalReport, PairedReport, RouterReport};
use crate::wording::{change, percent, points, signed_points};

/// A difference that nobody would see, whatever its interval: a twentieth of a point.
const HARDLY: f64 = 5e-4;

/// Below this many prompts a percentile interval is itself unsure (a rule of thumb), and the verdict says so.
const FEW_PROMPTS: usize = 100;

/// Says whether routing is worth it on these data, and what it saves at equal quality, with intervals.
///
/// It speaks of the first router given (ours before others'), not of the best: picking the best on the evaluated
/// split would flatter. Without a router it speaks of the oracle, the most that any router could gain.
pub fn verdict(report: &BenchReport) -> String {
    let subject = [RouterKind::Pointsman, RouterKind::External]
        .into_iter()
        .find_map(|kind| report.routers.iter().find(|r| r.kind == kind));
    let Some(subject) = subject else { return headroom(report) };
    let against_mix =
        report.paired.iter().find(|p| p.a == subject.name && p.b == "zero_router" && p.metric == "aiq").and_then(known);
    let Some((mix, detectable)) = against_mix else {
        return format!(
            "No claim can be made about `{}`: {}.",
            subject.name,
            if report.n_train == 0 {
                "there are no training rows to choose the baselines on"
            } else if report.models.len() < 2 {
                "one model is left in the pool, so there is nothing to choose"
            } else if subject.aiq.is_some() {
                "its settings were chosen on the outcomes it is measured on"
            } else {
                "all models cost the same, so there is no cost to trade"
            }
        );
    };
    let mut text = if mix.low > 0.0 {
        format!(
            "Routing is worth it here: over the whole range of costs `{}` is {} points better than the best mix of \
             single models at the same cost ({}).",
            subject.name,
            points(mix.value),
            range(&mix),
        )
    } else if mix.high < 0.0 {
        format!(
            "Routing is not worth it here: over the whole range of costs `{}` is {} points worse than the best mix of \
             single models at the same cost ({}).",
            subject.name,
            points(-mix.value),
            range(&IntervalReport { value: -mix.value, low: -mix.high, high: -mix.low }),
        )
    } else if mix.low.abs() < HARDLY && mix.high.abs() < HARDLY {
        format!(
            "Routing is not worth it here: `{}` does what the best mix of single models does, prompt for prompt.",
            subject.name
        )
    } else {
        format!(
            "These data do not show that routing is worth it: over the whole range of costs `{}` differs by {} points \
             from the best mix of single models at the same cost ({}), and with {} prompts only about {} points could \
             be told from chance.",
            subject.name,
            signed_points(mix.value),
            range(&mix),
            report.n_queries,
            points(detectable),
        )
    };
    text.push_str(&equal_quality(report, subject));
    if report.n_queries < FEW_PROMPTS {
        let caution = format!(" All of this rests on only {} prompts: a first sign, no proof.", report.n_queries);
        text.push_str(&caution);
    }
    text
}

fn known(paired: &PairedReport) -> Option<(IntervalReport, f64)> {
    let interval = IntervalReport { value: paired.diff?, low: paired.low?, high: paired.high? };
    Some((interval, paired.smallest_detectable?))
}

fn equal_quality(report: &BenchReport, subject: &RouterReport) -> String {
    let (Some(equal), Some(best)) = (&subject.equal_quality, &report.best_single) else { return String::new() };
    let saving = &equal.saving;
    if saving.value.abs() < HARDLY && equal.quality_change.value.abs() < HARDLY {
        return format!(
            " At the quality of always using {best} there is nothing to save: there it is what gets called."
        );
    }
    let cost = if saving.value >= 0.0 {
        format!("{} % less ({} to {} %)", percent(saving.value), percent(saving.low), percent(saving.high))
    } else {
        format!("{} % more ({} to {} %)", percent(-saving.value), percent(-saving.high), percent(-saving.low))
    };
    let set = if equal.reached {
        format!("Set on the training prompts for the quality of always using {best}, it")
    } else {
        format!("No setting reached the quality of always using {best} on the training prompts; its best one")
    };
    format!(" {set} costs {cost} and is {}.", change(&equal.quality_change))
}

fn headroom(report: &BenchReport) -> String {
    let oracle = report.routers.iter().find(|r| r.name == "oracle").and_then(|r| r.quality_max);
    let best = report.routers.iter().find(|r| r.name == "best_single").and_then(|r| r.quality_max);
    match (oracle, best, &report.best_single) {
        (Some(oracle), Some(best), Some(name)) => format!(
            "No router was given. Always using {name} scores {:.1} of 100 points; a perfect choice per prompt would \
             score {:.1}, so {} points are the most that any router could gain.",
            100.0 * best.value,
            100.0 * oracle.value,
            points(oracle.value - best.value),
        ),
        _ => "No router was given, and there are no training rows to choose a best single model on.".to_owned(),
    }
}

fn range(interval: &IntervalReport) -> String {
    format!("95 % interval {:.1} to {:.1}", 100.0 * interval.low, 100.0 * interval.high).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_its_level() {
        let interval = IntervalReport { value: 0.01, low: -0.01, high: 0.03 };
        assert_eq!(range(&interval), "95 % interval −1.0 to 3.0");
    }
}
