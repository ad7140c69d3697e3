//! Tables and sentences for people.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use pointsman_bench::controls::{ControlsReport, LeftOutReport, TrialReport};
use pointsman_bench::off_policy::OffPolicyReport;
use pointsman_bench::report::IntervalReport;
use pointsman_bench::{BenchReport, RouterKind, RouterReport};
use pointsman_training::Summary;

use crate::terminal::strong;

/// One line below the header and nothing else: numbers in columns need no boxes.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A plain table with right-aligned numbers from the second column on and its header in bold.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    let mut lines = text.lines().map(str::trim_end);
    let header = lines.next().map(strong);
    header.into_iter().chain(lines.map(str::to_owned)).collect::<Vec<_>>().join("\n")
}

/// Rows of the table of strengths: what fits a screen.
const MOST_TASKS_SHOWN: usize = 12;

/// A share or quality in per cent.
pub(crate) fn percent(x: f64) -> String {
    if x.is_finite() { format!("{:.1} %", 100.0 * x) } else { "–".into() }
}

/// USD per call, as USD per 1,000 calls: the scale on which prices are comparable by eye.
pub(crate) fn usd_per_thousand(x: f64) -> String {
    if !x.is_finite() {
        "–".into()
    } else if x >= 0.1 {
        format!("{:.0}", 1000.0 * x)
    } else if x >= 0.001 {
        format!("{:.2}", 1000.0 * x)
    } else {
        format!("{:.4}", 1000.0 * x)
    }
}

/// What a training run says at its end.
pub(crate) fn training_summary(summary: &Summary) -> String {
    let mut lines = Vec::new();
    if summary.n_tasks > 1 {
        let mut strengths: Vec<_> = summary.strengths.iter().collect();
        strengths.sort_by(|a, b| b.prompts.total_cmp(&a.prompts));
        let shown = strengths.len().min(MOST_TASKS_SHOWN);
        let rows = strengths[..shown].iter().map(|strength| {
            vec![
                strength.task.clone(),
                format!("{:.0}", strength.prompts),
                strength.best_model.clone(),
                percent(strength.best_quality),
                percent(strength.best_single_quality),
            ]
        });
        let header = ["task", "prompts", "best model there", "its score", &summary.best_single.model];
        lines.push(table(&header, rows.collect()));
        if strengths.len() > shown {
            lines.push(format!("  … and {} more tasks", strengths.len() - shown));
        }
        lines.push(String::new());
    }
    lines.extend(summary.sentences());
    if !summary.dropped.is_empty() {
        lines.push(format!(
            "Left out, because nothing is known of their cost: {}. Give prices with --prices.",
            summary.dropped.join(", ")
        ));
    }
    if !summary.too_few.is_empty() {
        let counted = summary.too_few.iter().map(|(model, outcomes)| format!("{model} ({outcomes})"));
        lines.push(format!(
            "Left out, with fewer than 10 training outcomes (a name misspelt?): {}.",
            counted.collect::<Vec<_>>().join(", ")
        ));
    }
    lines.join("\n")
}

/// Breaks at spaces, after at most `width` characters where that can be.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// What a benchmark says on a terminal: one row per router, notes, the verdict.
pub(crate) fn bench_table(report: &BenchReport) -> String {
    let with_pair = report.routers.iter().any(|router| router.apgr.is_some());
    let mut header =
        vec!["router", "AIQ [95 %]", "best quality", "gap closed [95 %]", "cost*", "AUC", "Brier", "ECE (floor)"];
    if with_pair {
        header.extend(["APGR [95 %]", "CPT50", "CPT80"]);
    }
    let mut routers: Vec<&RouterReport> = report.routers.iter().collect();
    routers.sort_by_key(|router| match router.kind {
        RouterKind::Pointsman => 0,
        RouterKind::External => 1,
        RouterKind::Baseline => 2,
    });
    let rows = routers.iter().map(|router| row(router, with_pair)).collect();
    let mut lines = vec![
        format!(
            "{} prompts of split `{}`, {} models, costs {}. Best single model (chosen on train): {}.\n",
            report.n_queries,
            report.split,
            report.models.len(),
            report.cost,
            report.best_single.as_deref().unwrap_or("unknown, no training rows"),
        ),
        table(&header, rows),
        "\nAIQ: mean quality over the range of costs, higher is better. Gap closed: share of the way from the best \
         single\nmodel to an oracle. * cost at the best single model's quality, as a share of its cost; – where never \
         reached."
            .to_owned(),
    ];
    let notes = routers.iter().filter_map(|router| Some(format!("{}: {}", router.name, router.note.as_ref()?)));
    lines.push(notes.collect::<Vec<_>>().join("; "));
    lines.extend(left_out(report));
    if let Some(controls) = &report.controls {
        lines.extend(controls_text(controls));
    }
    lines.push(String::new());
    lines.extend(wrap(&report.verdict, 110).iter().map(strong));
    lines.join("\n")
}

/// One line per control, two where it has several trials.
fn controls_text(controls: &ControlsReport) -> Vec<String> {
    let points = |i: &Option<IntervalReport>| {
        i.as_ref().map_or_else(
            || "undefined".to_owned(),
            |i| format!("{:+.1} points [{:+.1}, {:+.1}]", 100.0 * i.value, 100.0 * i.low, 100.0 * i.high),
        )
    };
    let mut lines = vec!["\nControls (AIQ over the zero router unless said; trained with --effort quick):".to_owned()];
    if let Some(l) = &controls.leakage {
        let without = l.without.as_ref().map_or_else(|| "none left".to_owned(), |t| points(&t.gain));
        lines.push(format!(
            "  leakage          {} of {} prompts are a training prompt's text, {} nearly; all {}, without them {without}",
            l.exact,
            l.n_queries,
            l.near,
            points(&l.all.gain)
        ));
    }
    if let Some(t) = &controls.shuffle {
        lines.push(format!("  shuffle          {}: nothing is there to learn, so zero within noise", points(&t.gain)));
    }
    if let Some(l) = &controls.leave_task_out {
        let worst = worst(l, |t| t.quality_gain);
        lines.push(format!(
            "  leave-task-out   {} trials, mean {}; quality against the best single model, worst {worst}",
            l.trials.len(),
            points(&l.gain)
        ));
    }
    if let Some(l) = &controls.leave_model_out {
        lines.push(format!(
            "  leave-model-out  {} trials, mean {}; worst {}",
            l.trials.len(),
            points(&l.gain),
            worst(l, |t| t.gain)
        ));
    }
    for s in controls.learning_curve.iter().flatten() {
        lines.push(format!(
            "  {:>6} prompts   {}; quality against the best single model {} ({} samples)",
            s.n_train,
            points(&s.gain),
            points(&s.quality_gain),
            s.subsamples
        ));
    }
    if let Some(t) = &controls.time_split {
        lines.push(format!("  time-split       {} on the latest {} prompts", points(&t.gain), t.n_queries));
    }
    if let Some(list) = &controls.robustness {
        lines.push(
            "  robustness       decisions that flip at `balanced`, and the points of quality that costs:".to_owned(),
        );
        for r in list {
            let change = points(&r.quality_change);
            lines.push(format!("    {:<18} {:>7}   {change}", r.perturbation, percent(r.flipped)));
        }
    }
    lines.extend(controls.notes.iter().map(|note| format!("  not run          {note}")));
    lines
}

/// The trial with the least figure, by name.
fn worst(report: &LeftOutReport, figure: impl Fn(&TrialReport) -> Option<IntervalReport>) -> String {
    report
        .trials
        .iter()
        .filter_map(|(name, trial)| Some((name, figure(trial)?.value)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or_else(|| "undefined".to_owned(), |(name, value)| format!("{:+.1} without {name}", 100.0 * value))
}

/// Off-policy estimates as a table, with what happened on the logged traffic above it.
pub(crate) fn off_policy_table(report: &OffPolicyReport) -> String {
    let none = || "–".to_owned();
    let quality = |i: &Option<IntervalReport>| {
        i.as_ref().map_or_else(none, |i| format!("{:.3} [{:.3}, {:.3}]", i.value, i.low, i.high))
    };
    let rows = report
        .policies
        .iter()
        .map(|p| {
            vec![
                p.name.clone(),
                p.setting.to_owned(),
                quality(&p.ips),
                quality(&p.snips),
                quality(&p.dr),
                p.gain.map_or_else(none, |g| format!("{:+.3} [{:+.3}, {:+.3}]", g.value, g.low, g.high)),
                p.cost.map_or_else(none, |c| usd_per_thousand(c.value)),
                percent(p.agreement),
                format!("{:.0}", p.effective_n),
            ]
        })
        .collect();
    let header = ["policy", "setting", "IPS", "SNIPS", "DR", "gain", "$ per 1,000", "agrees", "effective"];
    let logged = &report.logged;
    let mut lines = vec![
        format!(
            "{} logged decisions among {} models ({} without propensity or cost left out). What was chosen earned {:.3} \
             [{:.3}, {:.3}]\nat {} per 1,000.\n",
            report.n_decisions,
            report.models.len(),
            report.n_without,
            logged.quality.value,
            logged.quality.low,
            logged.quality.high,
            usd_per_thousand(logged.cost.value),
        ),
        table(&header, rows),
        "\nEstimated mean quality with 95 % intervals: by inverse propensity, self-normalised, and doubly robust (with the\n\
         router's own predictions). Gain: DR, else SNIPS, minus what was logged. Effective: as many unweighted decisions."
            .to_owned(),
    ];
    let notes = report.policies.iter().filter_map(|p| Some(format!("{} {}: {}", p.name, p.setting, p.note.as_ref()?)));
    lines.extend(notes);
    lines.join("\n")
}

/// What is not in the comparison, and why.
fn left_out(report: &BenchReport) -> Vec<String> {
    let dropped = &report.dropped;
    let mut lines = Vec::new();
    if !dropped.models_without_cost.is_empty() {
        lines.push(format!("Left out, without a cost: {}.", dropped.models_without_cost.join(", ")));
    }
    for (model, coverage) in &dropped.models_low_coverage {
        lines.push(format!("Left out, run on only {} of the prompts: {model}.", percent(*coverage)));
    }
    for (split, count) in &dropped.prompts_incomplete {
        lines.push(format!("Left out, without an outcome of every model: {count} prompts of `{split}`."));
    }
    lines
}

fn row(router: &RouterReport, with_pair: bool) -> Vec<String> {
    let none = || "–".to_owned();
    let decimals = |value: Option<f64>| value.map_or_else(none, |value| format!("{value:.3}"));
    let mut row = vec![
        router.name.clone(),
        router.aiq.map_or_else(none, |aiq| format!("{:.4} [{:.3}, {:.3}]", aiq.value, aiq.low, aiq.high)),
        router.quality_max.map_or_else(none, |quality| percent(quality.value)),
        router.gap_closed.map_or_else(none, |gap| format!("{:+.3} [{:+.2}, {:+.2}]", gap.value, gap.low, gap.high)),
        router.qnc.map_or_else(none, |qnc| format!("{:.0} %", 100.0 * qnc)),
        decimals(router.auc_mean),
        decimals(router.brier),
        match (router.ece, router.ece_floor) {
            (Some(ece), Some(floor)) => format!("{ece:.3} ({floor:.3})"),
            _ => none(),
        },
    ];
    if with_pair {
        row.push(
            router.apgr.map_or_else(none, |apgr| format!("{:.3} [{:.2}, {:.2}]", apgr.value, apgr.low, apgr.high)),
        );
        row.push(router.cpt50.map_or_else(none, percent));
        row.push(router.cpt80.map_or_else(none, percent));
    }
    row
}
