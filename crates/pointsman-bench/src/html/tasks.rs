//! The table by task: where the first router gains on the best single model and where it loses.

use std::fmt::Write;

use super::forest::{Row, forest};
use super::{cell, close_table, escape, number, signed, table_in_section};
use crate::entrant::RouterKind;
use crate::error::Error;
use crate::report::{BenchReport, IntervalReport, TaskReport};
use crate::wording::{signed_range, thousands};

/// Most tasks shown, those of the smallest difference left out; the JSON report has all.
const SHOWN: usize = 60;

/// The first router's gain on the best single model, by task.
pub(super) fn figure(report: &BenchReport) -> Result<String, Error> {
    let rows: Vec<Row<'_>> = ordered(report)
        .into_iter()
        .filter_map(|t| Some(Row { name: &t.task, interval: gain(report, t)?, ours: true }))
        .collect();
    forest(&rows, "Router minus best single model where cost is no object, by task, with 95 % intervals.", true)
}

fn subject(report: &BenchReport) -> Option<&str> {
    report.routers.iter().find(|r| r.kind != RouterKind::Baseline).map(|r| r.name.as_str())
}

fn gain(report: &BenchReport, task: &TaskReport) -> Option<IntervalReport> {
    task.gain.get(subject(report)?).copied()
}

/// The tasks shown, the worst first.
fn ordered(report: &BenchReport) -> Vec<&TaskReport> {
    let mut order: Vec<&TaskReport> = report.tasks.iter().collect();
    // What matters least goes first, if anything has to.
    let weight = |t: &TaskReport| gain(report, t).map_or(t.n_queries as f64, |g| g.value.abs() * t.n_queries as f64);
    order.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    order.truncate(SHOWN);
    let key = |t: &TaskReport| gain(report, t).map_or(f64::INFINITY, |g| g.value);
    order.sort_by(|a, b| key(a).total_cmp(&key(b)).then(b.n_queries.cmp(&a.n_queries)).then(a.task.cmp(&b.task)));
    order
}

/// The section, empty where the log has fewer than two tasks.
pub(super) fn section(out: &mut String, report: &BenchReport, figure: &str) -> std::fmt::Result {
    if report.tasks.is_empty() {
        return Ok(());
    }
    let subject = subject(report);
    let order = ordered(report);

    let shown: Vec<&str> = report
        .routers
        .iter()
        .filter(|r| r.kind != RouterKind::Baseline || ["best_single", "task_table"].contains(&r.name.as_str()))
        .map(|r| r.name.as_str())
        .filter(|name| report.tasks[0].quality.contains_key(*name))
        .collect();
    let difference = format!("{} − best single", subject.unwrap_or_default());
    // The difference first: on a narrow screen what comes after is out of sight.
    let mut columns = vec!["Prompts"];
    if subject.is_some() {
        columns.push(&difference);
    }
    columns.extend(&shown);
    let mut caption = "Quality in points of 100 where cost is no object".to_owned();
    if subject.is_some() {
        caption.push_str(
            ", the worst first. Difference on the same prompts with its 95 % interval; marked where that lies below zero, \
             bold where it lies above",
        );
    }
    if report.tasks.len() > SHOWN {
        write!(caption, "; {SHOWN} of {} tasks", report.tasks.len())?;
    }
    caption.push('.');
    writeln!(out, "<section aria-labelledby=\"tasks\">\n<h2 id=\"tasks\">By task</h2>\n{figure}")?;
    table_in_section(out, "tasks", &caption, "Task", &columns)?;
    for task in order {
        let gain = gain(report, task);
        let class = match gain {
            Some(g) if g.high < 0.0 => " class=\"worse\"",
            Some(g) if g.low > 0.0 => " class=\"better\"",
            _ => "",
        };
        write!(out, "<tr{class}><th scope=\"row\">{}</th>", escape(&task.task))?;
        cell(out, &thousands(task.n_queries))?;
        let text = match gain {
            // The router chose as always; that is no certainty.
            Some(g) if g.low == 0.0 && g.high == 0.0 => "0<span class=\"range\">same answers</span>".to_owned(),
            Some(g) => format!("{}<span class=\"range\">{}</span>", signed(g.value), signed_range(&g)),
            None => "–".to_owned(),
        };
        if subject.is_some() {
            write!(out, "<td>{text}</td>")?;
        }
        for name in &shown {
            cell(out, &number(task.quality.get(*name).map(|q| 100.0 * q), 1))?;
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    out.push_str("</section>\n");
    Ok(())
}
