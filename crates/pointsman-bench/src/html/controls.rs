//! The controls, where they were asked for: what each asks, what an honest result looks like, and what came out.

use std::fmt::Write;

use super::paint::{Anchor, Canvas, Ink, figure, fill, line, pixels, text};
use super::{cell, cell_interval, close_table, escape, table_in_section};
use crate::controls::{ControlsReport, LeftOutReport, SizeReport, TrialReport};
use crate::error::Error;
use crate::report::IntervalReport;
use crate::wording::thousands;

const SIZE: (i32, i32) = (640, 300);
const LEFT: i32 = 56;
const TOP: i32 = 14;
const WIDTH: i32 = 560;
const HEIGHT: i32 = 230;

/// The section; empty where no control was run.
pub(super) fn section(controls: Option<&ControlsReport>) -> Result<String, Error> {
    let Some(controls) = controls else { return Ok(String::new()) };
    let mut out = String::from(
        "<section aria-labelledby=\"controls\">\n<h2 id=\"controls\">Controls</h2>\n<p class=\"note\">Runs that show whether the \
         result means what it seems to. Gains are in points of 100 of AIQ over the best mix of single models, with 95 % \
         intervals; routers of controls were trained with the effort quick.</p>\n",
    );
    let error = |e: std::fmt::Error| Error::Chart(e.to_string());
    trials(&mut out, controls).map_err(error)?;
    if let Some(curve) = &controls.learning_curve {
        out.push_str(&learning_curve(curve)?);
    }
    if let Some(list) = &controls.robustness {
        out.push_str("<h3 id=\"robustness\">Perturbed prompts</h3>\n");
        let caption = "Share of decisions that go to another model where nothing of substance changed, and what that costs if \
                       models answer the changed prompt as they did the original.";
        let columns = ["Flipped at balanced", "Flipped at quality", "Quality change at balanced"];
        table_in_section(&mut out, "robustness", caption, "Change", &columns).map_err(error)?;
        for r in list {
            write!(out, "<tr><th scope=\"row\">{}</th>", escape(r.perturbation)).map_err(error)?;
            for share in [r.flipped, r.flipped_quality] {
                cell(&mut out, &format!("{:.1} %", 100.0 * share)).map_err(error)?;
            }
            cell_interval(&mut out, r.quality_change.as_ref(), 100.0, 1).map_err(error)?;
            out.push_str("</tr>\n");
        }
        close_table(&mut out);
    }
    if !controls.notes.is_empty() {
        out.push_str("<ul class=\"note\">\n");
        for note in &controls.notes {
            writeln!(out, "<li>Not run: {}</li>", escape(note)).map_err(error)?;
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
    Ok(out)
}

fn trials(out: &mut String, controls: &ControlsReport) -> std::fmt::Result {
    let columns = ["Expected", "Prompts", "Gain in AIQ", "Quality − best single", "Abstained"];
    table_in_section(out, "controls", "One row per training or measurement.", "Control", &columns)?;
    if let Some(l) = &controls.leakage {
        row(out, "all prompts", "", &l.all)?;
        let twins = format!("without {} prompts of training texts and {} nearly so", l.exact, l.near);
        match &l.without {
            Some(trial) => row(out, &twins, "the same", trial)?,
            None => out.push_str("<tr><th scope=\"row\">leakage: no prompt is left without its twin</th></tr>\n"),
        }
    }
    if let Some(trial) = &controls.shuffle {
        row(out, "trained on shuffled outcomes", "0", trial)?;
    }
    if let Some(trial) = &controls.time_split {
        row(out, "trained on the past, measured on the latest fifth", "about the same", trial)?;
    }
    for (left_out, word, expected) in
        [(&controls.leave_task_out, "task", "no harm"), (&controls.leave_model_out, "model", "about the same")]
    {
        if let Some(report) = left_out {
            left_out_rows(out, report, word, expected)?;
        }
    }
    close_table(out);
    Ok(())
}

fn left_out_rows(out: &mut String, report: &LeftOutReport, word: &str, expected: &str) -> std::fmt::Result {
    for (name, trial) in &report.trials {
        row(out, &format!("without the {word} {name}"), expected, trial)?;
    }
    write!(out, "<tr class=\"mean\"><th scope=\"row\">mean over {word}s left out</th><td></td><td></td>")?;
    cell_interval(out, report.gain.as_ref(), 100.0, 1)?;
    out.push_str("<td></td><td></td></tr>\n");
    Ok(())
}

fn row(out: &mut String, name: &str, expected: &str, trial: &TrialReport) -> std::fmt::Result {
    write!(out, "<tr><th scope=\"row\">{}</th><td class=\"text\">{expected}</td>", escape(name))?;
    cell(out, &thousands(trial.n_queries))?;
    cell_interval(out, trial.gain.as_ref(), 100.0, 1)?;
    cell_interval(out, trial.quality_gain.as_ref(), 100.0, 1)?;
    cell(out, &trial.abstained.map_or_else(|| "–".to_owned(), |a| format!("{:.0} %", 100.0 * a)))?;
    out.push_str("</tr>\n");
    Ok(())
}

fn learning_curve(curve: &[SizeReport]) -> Result<String, Error> {
    let error = |e: std::fmt::Error| Error::Chart(e.to_string());
    let described: Vec<String> = curve
        .iter()
        .filter_map(|s| Some(format!("{} prompts {:+.1}", thousands(s.n_train), 100.0 * s.gain?.value)))
        .collect();
    let drawn = figure(SIZE, &format!("Learning curve. {}.", described.join(", ")), |canvas| draw(canvas, curve))?;
    let mut out = format!(
        "<h3 id=\"learning\">What more labels are worth</h3>\n<figure class=\"narrow\">{drawn}<figcaption>Gain in AIQ over \
         the best mix of single models against training prompts, with 95 % intervals of the mean over subsamples.\
         </figcaption></figure>\n"
    );
    let columns = ["Samples", "Gain in AIQ", "Quality − best single", "Gap closed", "Abstained"];
    table_in_section(&mut out, "learning", "In points of 100; gap closed as a share.", "Prompts", &columns)
        .map_err(error)?;
    for s in curve {
        write!(out, "<tr><th scope=\"row\">{}</th>", thousands(s.n_train)).map_err(error)?;
        cell(&mut out, &s.subsamples.to_string()).map_err(error)?;
        cell_interval(&mut out, s.gain.as_ref(), 100.0, 1).map_err(error)?;
        cell_interval(&mut out, s.quality_gain.as_ref(), 100.0, 1).map_err(error)?;
        cell_interval(&mut out, s.gap_closed.as_ref(), 1.0, 2).map_err(error)?;
        cell(&mut out, &format!("{:.0} %", 100.0 * s.abstained)).map_err(error)?;
        out.push_str("</tr>\n");
    }
    close_table(&mut out);
    Ok(out)
}

fn draw(canvas: &Canvas<'_>, curve: &[SizeReport]) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(f64, IntervalReport)> =
        curve.iter().filter_map(|s| Some(((s.n_train as f64).log10(), s.gain?))).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(()) };
    let low = points.iter().map(|p| p.1.low).fold(0.0, f64::min) - 0.005;
    let high = points.iter().map(|p| p.1.high).fold(0.01, f64::max) + 0.005;
    let x = |n: f64| {
        let share = if last.0 > first.0 { (n - first.0) / (last.0 - first.0) } else { 0.5 };
        LEFT + 24 + pixels(share * f64::from(WIDTH - 48))
    };
    let y = |gain: f64| TOP + pixels((high - gain) / (high - low) * f64::from(HEIGHT));
    fill(canvas, [(LEFT, TOP), (LEFT + 1, TOP + HEIGHT)], Ink::LINE)?;
    line(canvas, vec![(LEFT, y(0.0)), (LEFT + WIDTH, y(0.0))], Ink::SOFT, 1)?;
    text(canvas, "0", (LEFT - 8, y(0.0)), Anchor::Right, Ink::TEXT)?;
    text(canvas, &format!("{:+.1}", 100.0 * high), (LEFT - 8, TOP + 6), Anchor::Right, Ink::TEXT)?;
    line(canvas, points.iter().map(|p| (x(p.0), y(p.1.value))).collect(), Ink::OURS, 3)?;
    for (n, gain) in &points {
        line(canvas, vec![(x(*n), y(gain.low)), (x(*n), y(gain.high))], Ink::OURS, 2)?;
        fill(canvas, [(x(*n) - 4, y(gain.value) - 4), (x(*n) + 4, y(gain.value) + 4)], Ink::OURS)?;
    }
    for s in curve.iter().filter(|s| s.gain.is_some()) {
        let at = (x((s.n_train as f64).log10()), TOP + HEIGHT + 16);
        text(canvas, &thousands(s.n_train), at, Anchor::Centre, Ink::TEXT)?;
    }
    text(canvas, "training prompts", (LEFT + WIDTH / 2, TOP + HEIGHT + 40), Anchor::Centre, Ink::SOFT)
}
