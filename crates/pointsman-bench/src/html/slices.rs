//! Where the first router goes wrong: its worst kinds of prompts, and its surest mistakes.

use std::collections::HashMap;
use std::fmt::Write;

use super::forest::{Row, forest};
use super::{cell, close_table, escape, number, signed, table_in_section};
use crate::entrant::RouterKind;
use crate::error::Error;
use crate::report::BenchReport;
use crate::slices::SliceReport;
use crate::wording::{signed_range, thousands};

/// Slices shown at either end; the JSON report has all.
const SHOWN: usize = 8;

/// Characters of a prompt shown, where prompts are shown at all.
const PROMPT: usize = 240;

/// Slices shown: the worst and the best, tasks left to their own section.
fn shown(report: &BenchReport) -> Vec<&SliceReport> {
    let is_task = |s: &SliceReport| !report.tasks.is_empty() && s.slice.starts_with("task ");
    let all: Vec<&SliceReport> = report.slices.iter().filter(|s| !is_task(s)).collect();
    let n = all.len();
    if n <= 2 * SHOWN { all } else { [&all[..SHOWN], &all[n - SHOWN..]].concat() }
}

/// The first router's gain on the best single model, by kind of prompt.
pub(super) fn figure(report: &BenchReport) -> Result<String, Error> {
    let rows: Vec<Row<'_>> =
        shown(report).into_iter().map(|s| Row { name: &s.slice, interval: s.gain, ours: true }).collect();
    forest(
        &rows,
        "Router minus best single model where cost is no object, by kind of prompt, with 95 % intervals.",
        true,
    )
}

/// The section; empty where nothing can be compared with a best single model.
pub(super) fn section(out: &mut String, report: &BenchReport, figure: &str) -> std::fmt::Result {
    let subject = report.routers.iter().find(|r| r.kind != RouterKind::Baseline);
    let (Some(router), false) = (subject, report.slices.is_empty()) else { return Ok(()) };
    writeln!(out, "<section aria-labelledby=\"slices\">\n<h2 id=\"slices\">Where it helps least</h2>\n{figure}")?;
    table_in_section(
        out,
        "slices",
        "Kinds of prompts where cost is no object, in points of 100, the worst first. Kinds overlap and there are many, so the worst of them \
         looks worse than it is: places to look at, not findings.",
        "Kind",
        &["Prompts", &router.name, "Best single", "Oracle", "Difference"],
    )?;
    let shown = shown(report);
    for slice in shown {
        let class = match slice.gain {
            g if g.high < 0.0 => " class=\"worse\"",
            g if g.low > 0.0 => " class=\"better\"",
            _ => "",
        };
        write!(out, "<tr{class}><th scope=\"row\">{}</th>", escape(&slice.slice))?;
        cell(out, &thousands(slice.n_queries))?;
        for quality in [slice.quality, slice.best_single, slice.oracle] {
            cell(out, &number(Some(100.0 * quality), 1))?;
        }
        let range = signed_range(&slice.gain);
        writeln!(out, "<td>{}<span class=\"range\">{range}</span></td></tr>", signed(slice.gain.value))?;
    }
    close_table(out);
    failures(out, report)?;
    out.push_str("</section>\n");
    Ok(())
}

fn failures(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    if report.failures.is_empty() {
        return Ok(());
    }
    let texts: HashMap<&str, &str> =
        report.prompts.iter().flatten().map(|p| (p.prompt_id.as_str(), p.prompt.as_str())).collect();
    let columns = ["Task", "Chosen", "Its quality", "Best single’s", "Predicted gain"];
    out.push_str("<h3 id=\"failures\">Its surest mistakes</h3>\n");
    let caption = "Prompts on which it left the best single model and lost, those first where it was surest to gain. What \
                   they have in common is what to label next.";
    table_in_section(out, "failures", caption, "Prompt id", &columns)?;
    for f in &report.failures {
        write!(out, "<tr><th scope=\"row\">{}</th>", escape(&f.prompt_id))?;
        for text in [f.task.as_deref().unwrap_or("–"), &f.chosen] {
            write!(out, "<td class=\"text\">{}</td>", escape(text))?;
        }
        cell(out, &number(Some(100.0 * f.quality), 0))?;
        cell(out, &number(Some(100.0 * f.best_single), 0))?;
        cell(out, &f.predicted_gain.map_or_else(|| "–".to_owned(), signed))?;
        out.push_str("</tr>\n");
        if let Some(text) = texts.get(f.prompt_id.as_str()) {
            let mut short: String = text.chars().take(PROMPT).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            writeln!(out, "<tr class=\"detail\"><td colspan=\"6\">{}</td></tr>", escape(&short))?;
        }
    }
    close_table(out);
    Ok(())
}
