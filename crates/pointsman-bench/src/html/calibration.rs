//! Calibration: the reliability diagram of every router that predicts quality, and its numbers.

use std::fmt::Write;

use super::paint::{Anchor, Canvas, Ink, figure, fill, line, pixels, text};
use super::{cell, close_table, escape, number};
use crate::error::Error;
use crate::report::{BenchReport, ReliabilityReport, RouterReport};
use crate::wording::thousands;

const SIZE: (i32, i32) = (320, 350);
/// The square of the diagram in the figure: left, top, side.
const LEFT: i32 = 44;
const TOP: i32 = 12;
const SIDE: i32 = 260;
/// Height of the bar of the fullest bin.
const MOST_BAR: f64 = 46.0;

/// The section, empty where no router predicts quality.
pub(super) fn section(report: &BenchReport) -> Result<String, Error> {
    let shown: Vec<&RouterReport> =
        report.routers.iter().filter(|r| !r.reliability.is_empty() && r.name != "zero_router").collect();
    if shown.is_empty() {
        return Ok(String::new());
    }
    let mut out = String::from(
        "<section aria-labelledby=\"calibration\">\n<h2 id=\"calibration\">Calibration</h2>\n<p class=\"note\">Predicted \
         against observed quality over all models, in ten bins, with 95 % intervals; bars: predictions per bin. On the \
         diagonal, predictions mean what they say. ECE is the mean distance from it per model, beside the floor that \
         perfect predictions would show on so few prompts.</p>\n<div class=\"grid\">\n",
    );
    for router in &shown {
        let drawn = diagram(router)?;
        writeln!(
            out,
            "<figure>{drawn}<figcaption><b>{}</b>: ECE {}, floor {}</figcaption></figure>",
            escape(&router.name),
            number(router.ece, 3),
            number(router.ece_floor, 3),
        )
        .map_err(|e| Error::Chart(e.to_string()))?;
    }
    out.push_str("</div>\n");
    numbers(&mut out, &shown).map_err(|e| Error::Chart(e.to_string()))?;
    out.push_str("</section>\n");
    Ok(out)
}

fn numbers(out: &mut String, shown: &[&RouterReport]) -> std::fmt::Result {
    out.push_str(
        "<details><summary>The numbers</summary>\n<div class=\"scroll\" role=\"region\" aria-label=\"Calibration in \
         numbers\" tabindex=\"0\">\n<table>\n<thead><tr><th scope=\"col\">Router</th><th scope=\"col\">Bin</th><th \
         scope=\"col\">Predictions</th><th scope=\"col\">Mean predicted</th><th scope=\"col\">Mean observed</th></tr></thead>\n\
         <tbody>\n",
    );
    for router in shown {
        for bin in &router.reliability {
            write!(out, "<tr><th scope=\"row\">{}</th>", escape(&router.name))?;
            cell(out, &format!("{:.1} to {:.1}", bin.from, bin.to))?;
            cell(out, &thousands(bin.n))?;
            cell(out, &format!("{:.1}", 100.0 * bin.predicted))?;
            super::cell_interval(out, Some(&bin.observed), 100.0, 1)?;
            out.push_str("</tr>\n");
        }
    }
    close_table(out);
    out.push_str("</details>\n");
    Ok(())
}

fn diagram(router: &RouterReport) -> Result<String, Error> {
    let bins: Vec<String> = router
        .reliability
        .iter()
        .map(|b| format!("predicted {:.0}, observed {:.0}", 100.0 * b.predicted, 100.0 * b.observed.value))
        .collect();
    let description = format!("Reliability of {}, in points of 100: {}.", router.name, bins.join("; "));
    figure(SIZE, &description, |canvas| draw(canvas, &router.reliability))
}

fn draw(canvas: &Canvas<'_>, bins: &[ReliabilityReport]) -> Result<(), Box<dyn std::error::Error>> {
    let x = |p: f64| LEFT + pixels(p * f64::from(SIDE));
    let y = |q: f64| TOP + pixels((1.0 - q) * f64::from(SIDE));
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        line(canvas, vec![(LEFT, y(tick)), (LEFT + SIDE, y(tick))], Ink::LINE, 1)?;
        text(canvas, &format!("{:.0}", 100.0 * tick), (LEFT - 6, y(tick)), Anchor::Right, Ink::TEXT)?;
        text(canvas, &format!("{:.0}", 100.0 * tick), (x(tick), TOP + SIDE + 13), Anchor::Centre, Ink::TEXT)?;
    }
    let most = bins.iter().map(|b| b.n).max().unwrap_or(1).max(1) as f64;
    for bin in bins {
        let height = pixels((MOST_BAR * bin.n as f64 / most).max(1.0));
        let base = TOP + SIDE;
        fill(canvas, [(x(bin.from) + 2, base - height), (x(bin.to) - 2, base)], Ink::LINE)?;
    }
    line(canvas, vec![(x(0.0), y(0.0)), (x(1.0), y(1.0))], Ink::SOFT, 1)?;
    let points: Vec<(i32, i32)> = bins.iter().map(|b| (x(b.predicted), y(b.observed.value))).collect();
    line(canvas, points.clone(), Ink::OURS, 1)?;
    for (bin, &(at, middle)) in bins.iter().zip(&points) {
        line(canvas, vec![(at, y(bin.observed.low)), (at, y(bin.observed.high))], Ink::OURS, 2)?;
        fill(canvas, [(at - 3, middle - 3), (at + 3, middle + 3)], Ink::OURS)?;
    }
    text(canvas, "predicted quality (up: observed)", (LEFT + SIDE / 2, TOP + SIDE + 36), Anchor::Centre, Ink::TEXT)
}
