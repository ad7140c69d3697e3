//! `pointsman inspect`: one screen on whether routing can pay.

use pointsman_bench::PromptListing;
use pointsman_bench::inspection::{
    InspectOptions, InspectionReport, ModelReport, OracleReport, TaskInspection, TaskTableReport, inspect,
};
use pointsman_bench::wording::{signed_points, signed_range, thousands};

use crate::args::Inspect;
use crate::reading::read_logs;
use crate::terminal::{bar, print, show, strong};
use crate::text::{percent, table, usd_per_thousand, wrap};

/// Rows of a table on one screen; JSON has all.
const MOST_MODELS: usize = 11;
const MOST_TASKS: usize = 10;

/// Longest name in a table.
const MOST_CHARS: usize = 26;

pub(crate) fn run(args: &Inspect) -> anyhow::Result<()> {
    let log = read_logs(&args.log)?;
    let options = InspectOptions {
        min_coverage: args.log.reading.min_coverage,
        prompts: if args.with_prompts { PromptListing::Included } else { PromptListing::Omitted },
    };
    let progress_bar = bar("inspecting", 4);
    let report = inspect(&log, &options, &mut |stage| {
        progress_bar.set_message(stage);
        progress_bar.inc(1);
    });
    progress_bar.finish_and_clear();
    let report = report?;
    if args.json {
        print(serde_json::to_string_pretty(&report)?);
    } else {
        show(text(&report));
    }
    Ok(())
}

fn text(report: &InspectionReport) -> String {
    let mut lines = size(report);
    lines.push(String::new());
    lines.extend(models(report));
    if !report.tasks.is_empty() && report.pool.len() > 1 {
        lines.push(String::new());
        lines.extend(tasks(report));
    }
    lines.push(String::new());
    if report.pool.len() > 1 {
        lines.extend(worth(report));
    }
    lines.extend(duplicates(report));
    lines.extend(power(report));
    lines.push(String::new());
    lines.extend(wrap(&report.verdict, 100).iter().map(strong));
    lines.join("\n")
}

/// A heading in a column of its own before its text.
fn line(heading: &str, text: impl std::fmt::Display) -> Vec<String> {
    wrap(&text.to_string(), 86)
        .into_iter()
        .enumerate()
        .map(|(i, part)| format!("{:<13} {part}", if i == 0 { heading } else { "" }))
        .collect()
}

fn size(report: &InspectionReport) -> Vec<String> {
    let size = &report.size;
    let splits: Vec<String> = size.splits.iter().map(|(split, n)| format!("{} {split}", thousands(*n))).collect();
    let mut lines = line(
        "log",
        format_args!(
            "{} prompts ({}), {} models, {} outcomes",
            thousands(size.prompts),
            splits.join(", "),
            size.models,
            thousands(size.outcomes)
        ),
    );
    let cells = if size.cells > 0.999_95 {
        "dense, every model answered every prompt".to_owned()
    } else {
        format!("{} of the cells observed", percent(size.cells))
    };
    let runs = size.mean_runs.map_or_else(String::new, |runs| {
        format!("; {} of them run {runs:.1} times on average", percent(size.repeated))
    });
    lines.extend(line("coverage", cells + &runs));
    let tasks = match (size.tasks, size.prompts - size.prompts_with_task) {
        (0, _) => "none named".to_owned(),
        (n, 0) => n.to_string(),
        (n, without) => format!("{n}; {} prompts have none", thousands(without)),
    };
    let groups = if size.groups > 0 { format!("; {} groups", thousands(size.groups)) } else { String::new() };
    lines.extend(line("tasks", tasks + &groups));
    let costs: Vec<String> = report
        .cost_shares
        .iter()
        .map(|(source, share)| if *share > 0.999_95 { source.clone() } else { format!("{source} {}", percent(*share)) })
        .collect();
    let known = report.cost_shares.keys().any(|source| source != "unknown");
    let costs =
        if known { costs.join(", ") } else { "none, so quality alone is compared; give prices with --prices".into() };
    lines.extend(line("costs", costs));
    lines.extend(line("compared", compared(report)));
    lines
}

fn compared(report: &InspectionReport) -> String {
    let n = thousands(report.n_compared);
    let splits = report.splits.join(", ");
    let mut text = if report.dense {
        format!("{} models on the {n} prompts of {splits} that all of them answered", report.pool.len())
    } else {
        format!(
            "{} models on what was observed of {n} prompts of {splits}: no model covers enough for the same prompts",
            report.pool.len()
        )
    };
    let dropped = &report.dropped;
    let mut left_out = Vec::new();
    if !dropped.models_without_cost.is_empty() {
        left_out.push(format!("without a cost {}", names(&dropped.models_without_cost)));
    }
    if report.dense && !dropped.models_low_coverage.is_empty() {
        let low: Vec<String> =
            dropped.models_low_coverage.iter().map(|(m, share)| format!("{m} ({})", percent(*share))).collect();
        left_out.push(format!("below --min-coverage {}", names(&low)));
    }
    let incomplete: usize = dropped.prompts_incomplete.values().sum();
    if incomplete > 0 {
        left_out.push(format!("with a missing cell {} prompts", thousands(incomplete)));
    }
    if !left_out.is_empty() {
        text.push_str("; left out: ");
        text.push_str(&left_out.join("; "));
    }
    text
}

/// The first few of a list.
fn names(list: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = list[..list.len().min(SHOWN)].join(", ");
    if list.len() > SHOWN { format!("{shown} and {} more", list.len() - SHOWN) } else { shown }
}

fn models(report: &InspectionReport) -> Vec<String> {
    // Of many models those that matter: in the pool and on the hull first, then by quality.
    let mut shown: Vec<&ModelReport> =
        report.models.iter().filter(|m| m.in_pool || report.models.len() <= MOST_MODELS).collect();
    if shown.len() > MOST_MODELS {
        let mut ranked = shown.clone();
        ranked.sort_by_key(|m| m.on_hull != Some(true));
        ranked.truncate(MOST_MODELS);
        shown.retain(|m| ranked.iter().any(|r| r.model == m.model));
    }
    let rows = shown.iter().map(|m| {
        let hull = match m.on_hull {
            Some(true) => "yes",
            Some(false) => "no",
            None if !m.in_pool => "out",
            None => "–",
        };
        vec![
            shorten(&m.model),
            if m.coverage > 0.999_95 { "all".into() } else { percent(m.coverage) },
            m.quality.map_or("–".into(), |q| {
                format!("{:.1} [{:.1}, {:.1}]", 100.0 * q.value, 100.0 * q.low, 100.0 * q.high)
            }),
            m.cost.map_or("–".into(), usd_per_thousand),
            m.only_right.map_or("–".into(), percent),
            m.among_best.map_or("–".into(), percent),
            hull.into(),
        ]
    });
    let header = ["model", "run on", "score [95 %]", "USD/1,000", "alone right", "best", "on hull"];
    let mut lines = vec![table(&header, rows.collect())];
    if report.models.len() > shown.len() {
        lines.push(format!("  … and {} more models (--json)", report.models.len() - shown.len()));
    }
    lines
}

fn tasks(report: &InspectionReport) -> Vec<String> {
    let mut order: Vec<_> = report.tasks.iter().collect();
    // By what the task contributes to the gain of knowing it.
    let worth = |t: &TaskInspection| t.n as f64 * t.margin.map_or(0.0, |m| m.value);
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(b.n.cmp(&a.n)).then(a.task.cmp(&b.task)));
    let single = report.best_single.as_deref().unwrap_or_default();
    let rows = order.iter().take(MOST_TASKS).map(|t| {
        let same = t.best == single;
        vec![
            shorten(&t.task),
            thousands(t.n),
            if same { "the same".into() } else { shorten(&t.best) },
            format!("{:.1}", 100.0 * t.quality),
            if t.best_single_quality.is_nan() { "–".into() } else { format!("{:.1}", 100.0 * t.best_single_quality) },
            match t.margin {
                Some(m) if !same => format!("{} ± {:.1}", signed_points(m.value), 50.0 * (m.high - m.low)),
                _ => "–".into(),
            },
        ]
    });
    let header = ["task", "prompts", "best model there", "its score", "best overall", "margin"];
    let mut lines = vec![table(&header, rows.collect())];
    if let Some(rest) = order.get(MOST_TASKS..).filter(|rest| !rest.is_empty()) {
        let same = rest.iter().filter(|t| t.best == single).count();
        lines.push(format!("  … and {} more tasks, {same} of them with the same best model (--json)", rest.len()));
    }
    lines
}

/// Where a choice matters and what it could gain.
fn worth(report: &InspectionReport) -> Vec<String> {
    let single = report.best_single.as_deref().unwrap_or("the best model");
    let mut lines = Vec::new();
    if let Some(a) = report.agreement {
        lines.extend(line(
            "no choice",
            format_args!(
                "on {} of the prompts: all models right on {}, none on {}",
                percent(a.all_right + a.none_right),
                percent(a.all_right),
                percent(a.none_right)
            ),
        ));
    }
    if let Some(zero) = report.zero_router_aiq {
        lines.extend(line(
            "best mix",
            format_args!(
                "of single models: {:.1} points on average over the range of costs (AIQ, {:.1} to {:.1})",
                100.0 * zero.value,
                100.0 * zero.low,
                100.0 * zero.high
            ),
        ));
    }
    lines.extend(match report.task_table {
        Some(table) => line("told the task", told_the_task(&table, single)),
        None if report.size.tasks == 0 => {
            line("told the task", "no task column, so this cheapest test of routing cannot be made; any labels help")
        }
        None => Vec::new(),
    });
    lines.extend(report.oracle.map(|oracle| line("oracle", oracle_text(report, &oracle, single))).unwrap_or_default());
    lines
}

fn told_the_task(table: &TaskTableReport, single: &str) -> String {
    let gain = &table.quality_gain;
    let mut parts = vec![format!(
        "cross-validated: {} points of quality over {single} ({})",
        signed_points(gain.value),
        signed_range(gain)
    )];
    if let Some(gain) = &table.aiq_gain {
        parts.push(format!("at equal cost {} over the best mix ({})", signed_points(gain.value), signed_range(gain)));
    }
    if let (Some(saving), Some(change)) = (&table.saving, &table.quality_change)
        && saving.value.abs() > 0.005
    {
        parts.push(format!(
            "set for the quality of {single}, its cost changes by {} % ({} to {}) and its quality by {} ({})",
            whole(-saving.value),
            whole(-saving.high),
            whole(-saving.low),
            signed_points(change.value),
            signed_range(change)
        ));
    }
    parts.join("; ")
}

fn oracle_text(report: &InspectionReport, oracle: &OracleReport, single: &str) -> String {
    let found = format!("{:.1} against {:.1} of {single}", 100.0 * oracle.quality, 100.0 * oracle.best_single_quality);
    match oracle.ceiling {
        None if report.size.repeated > 0.0 => {
            found
                + "; optimistic: it picks lucky runs too, and no prompt was run repeatedly on every model to tell how many"
        }
        None => found + "; optimistic: with one run per cell it picks lucky runs too, which no router can",
        Some(c) => format!(
            "{found}; free of luck, any router’s ceiling is {:.1} to {:.1} against {:.1} (on {} prompts run repeatedly; by              single runs it would look like {:.1})",
            100.0 * c.at_least,
            100.0 * c.at_most,
            100.0 * c.best_single_quality,
            thousands(c.n),
            100.0 * c.one_run
        ),
    }
}

fn duplicates(report: &InspectionReport) -> Vec<String> {
    let d = &report.duplicates;
    let mut parts = vec![if d.exact_texts == 0 {
        "no text twice".to_owned()
    } else {
        format!("{} texts stand under {} ids", thousands(d.exact_texts), thousands(d.exact_prompts))
    }];
    parts.push(if d.test == 0 {
        "there is no test split".to_owned()
    } else if d.test_exact + d.test_near == 0 {
        "no test prompt has a twin in another split".to_owned()
    } else {
        let example = d.examples.first().map_or_else(String::new, |e| format!(" (as {} and {})", e.test_id, e.twin_id));
        format!(
            "of {} test prompts {} have their text and {} a near twin in another split, which flatters \
             benchmarks{example}",
            thousands(d.test),
            thousands(d.test_exact),
            thousands(d.test_near)
        )
    });
    let mut lines = line("duplicates", parts.join("; "));
    for example in &d.examples {
        for (id, text) in [&example.test_id, &example.twin_id].into_iter().zip(example.texts.iter().flatten()) {
            let text: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            lines.push(format!("{:<13} {id}: {text}", ""));
        }
    }
    lines
}

fn power(report: &InspectionReport) -> Vec<String> {
    let Some(p) = report.power else { return Vec::new() };
    let what = if p.metric == "aiq" { "in AIQ" } else { "in quality" };
    let shown = match p.detectable {
        Some(d) => {
            format!("{} test prompts show differences {what} of {:.1} points and more", thousands(p.n_test), 100.0 * d)
        }
        None => "no test prompt to compare routers on".to_owned(),
    };
    let needed = usize::try_from(p.needed_for_one_point).unwrap_or(usize::MAX);
    line("power", format_args!("{shown}; for one point it takes about {}", thousands(needed)))
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= MOST_CHARS {
        return name.to_owned();
    }
    name.chars().take(MOST_CHARS - 1).chain(['…']).collect()
}

/// A change in per cent, without decimals.
fn whole(share: f64) -> String {
    format!("{:+.0}", 100.0 * share).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(signed_points(-0.012), "−1.2");
        assert_eq!(signed_points(-0.000_1), "+0.0");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 8), ["incomprehensible"]);
        assert_eq!(line("x", "a b"), ["x             a b"]);
    }
}
