//! Where the first router goes wrong: its worst kinds of prompts, and its surest mistakes.

use std::collections::HashMap;

use super::{cell, close_table, escape, number, open_table, signed, table_in_section};
use crate::entrant::RouterKind;
use crate::report::BenchReport;
use crate::slices::SliceReport;
use crate::wording::{signed_range, thousands};

/// Slices shown at either end; the JSON report has all.
const SHOWN: usize = 8;

/// Characters of a prompt shown, where prompts are shown at all.
const PROMPT: usize = 160;

/// The section; empty where nothing can be compared with a best single model.
pub(super) fn section(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let subject = report.routers.iter().find(|r| r.kind != RouterKind::Baseline);
    let (Some(router), false) = (subject, report.slices.is_empty()) else { return Ok(()) };
    open_table(
        out,
        "slices",
        "Where it goes wrong",
        "Kinds of prompts at λ → ∞, in points of 100, the worst first and then the best. Kinds overlap and there are many, so \
         the worst of them looks worse than it is: places to look at, not findings.",
        "Kind",
        &["Prompts", &router.name, "Best single", "Oracle", "Difference"],
    )?;
    let n = report.slices.len();
    let shown: Vec<&SliceReport> = if n <= 2 * SHOWN {
        report.slices.iter().collect()
    } else {
        report.slices[..SHOWN].iter().chain(&report.slices[n - SHOWN..]).collect()
    };
    for slice in shown {
        let class = match slice.gain {
            g if g.high < 0.0 => " class=\"worse\"",
            g if g.low > 0.0 => " class=\"better\"",
            _ => "",
        };
        out.push_str(&format!("<tr{class}><th scope=\"row\">{}</th>", escape(&slice.slice)));
        cell(out, &thousands(slice.n_queries))?;
        for quality in [slice.quality, slice.best_single, slice.oracle] {
            cell(out, &number(Some(100.0 * quality), 1))?;
        }
        let range = signed_range(&slice.gain);
        out.push_str(&format!("<td>{}<span class=\"range\">{range}</span></td></tr>\n", signed(slice.gain.value)));
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
    let mut columns = vec!["Task", "Chosen", "Its quality", "Best single’s", "Predicted gain"];
    if !texts.is_empty() {
        columns.push("Prompt");
    }
    out.push_str("<h3 id=\"failures\">Its surest mistakes</h3>\n");
    let caption = "Prompts on which it left the best single model and lost, those first where it was surest to gain. What \
                   they have in common is what to label next.";
    table_in_section(out, "failures", caption, "Prompt id", &columns)?;
    for f in &report.failures {
        out.push_str(&format!("<tr><th scope=\"row\">{}</th>", escape(&f.prompt_id)));
        for text in [f.task.as_deref().unwrap_or("–"), &f.chosen] {
            out.push_str(&format!("<td class=\"text\">{}</td>", escape(text)));
        }
        cell(out, &number(Some(100.0 * f.quality), 0))?;
        cell(out, &number(Some(100.0 * f.best_single), 0))?;
        cell(out, &f.predicted_gain.map_or_else(|| "–".to_owned(), signed))?;
        if !texts.is_empty() {
            let text = texts.get(f.prompt_id.as_str()).copied().unwrap_or_default();
            let mut short: String = text.chars().take(PROMPT).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            out.push_str(&format!("<td class=\"prompt\">{}</td>", escape(&short)));
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    Ok(())
}
