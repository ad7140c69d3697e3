//! Who gets the calls along the curve: one stacked bar per setting, from cheap to quality.

use std::fmt::Write;

use super::paint::{Anchor, Canvas, FONT, Ink, N_MODEL_COLOURS, figure, fill, line, pixels, text, text_width};
use super::{escape, usd};
use crate::entrant::RouterKind;
use crate::error::Error;
use crate::report::{BenchReport, RouterReport};

const SIZE: (i32, i32) = (960, 330);
const LEFT: i32 = 56;
const TOP: i32 = 10;
const WIDTH: i32 = 890;
const HEIGHT: i32 = 240;
/// Least share that has room for a name.
const LEAST_NAMED: f64 = 0.09;
/// Least distance of two cost labels, in pixels.
const LABEL_GAP: i32 = 58;

/// A figure for each router that is no baseline and has a curve, and the legend they share.
pub(super) fn figures(report: &BenchReport) -> Result<String, Error> {
    let shown: Vec<&RouterReport> =
        report.routers.iter().filter(|r| r.kind != RouterKind::Baseline && r.curve.len() > 1).collect();
    if shown.is_empty() {
        return Ok(String::new());
    }
    let ranked = ranked(report, &shown);
    let mut out = String::new();
    for router in shown {
        let drawn = figure(SIZE, &description(router, &ranked), |canvas| draw(canvas, router, &ranked))?;
        writeln!(
            out,
            "<figure>{drawn}<figcaption><b>{}</b>: share of calls per model at each setting of its curve, from the cheapest \
             to quality alone.</figcaption></figure>",
            escape(&router.name)
        )
        .map_err(|e| Error::Chart(e.to_string()))?;
    }
    out.push_str("<ul class=\"legend\">\n");
    for (rank, model) in ranked.iter().take(N_MODEL_COLOURS).enumerate() {
        item(&mut out, Ink::model(rank), model)?;
    }
    if let Some(n) = ranked.len().checked_sub(N_MODEL_COLOURS).filter(|n| *n > 0) {
        item(
            &mut out,
            Ink::model(N_MODEL_COLOURS),
            &if n == 1 { "1 other".to_owned() } else { format!("{n} others") },
        )?;
    }
    out.push_str("</ul>\n");
    Ok(out)
}

fn item(out: &mut String, ink: Ink, name: &str) -> Result<(), Error> {
    writeln!(out, "<li><span class=\"chip\" style=\"background:{}\"></span>{}</li>", ink.css(), escape(name))
        .map_err(|e| Error::Chart(e.to_string()))
}

/// Models that are called at all, most called first, over the routers shown.
fn ranked<'r>(report: &'r BenchReport, shown: &[&RouterReport]) -> Vec<&'r str> {
    let mean = |model: &str| -> f64 {
        let share = |r: &&RouterReport| {
            let sum: f64 = r.curve.iter().filter_map(|p| p.call_share.get(model)).sum();
            sum / r.curve.len() as f64
        };
        shown.iter().map(share).sum()
    };
    let mut called: Vec<(&str, f64)> =
        report.models.iter().map(|m| (m.as_str(), mean(m))).filter(|(_, share)| *share > 0.0).collect();
    called.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    called.into_iter().map(|(model, _)| model).collect()
}

fn description(router: &RouterReport, ranked: &[&str]) -> String {
    let ends = [("cheapest setting", router.curve.first()), ("quality alone", router.curve.last())];
    let told: Vec<String> = ends
        .into_iter()
        .filter_map(|(name, point)| {
            let shares: Vec<String> = ranked
                .iter()
                .filter_map(|m| Some((m, *point?.call_share.get(*m)?)))
                .filter(|(_, share)| *share >= 0.01)
                .map(|(m, share)| format!("{m} {:.0} %", 100.0 * share))
                .collect();
            (!shares.is_empty()).then(|| format!("{name}: {}", shares.join(", ")))
        })
        .collect();
    format!("Call shares of {}. {}.", router.name, told.join("; "))
}

fn draw(canvas: &Canvas<'_>, router: &RouterReport, ranked: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let y = |share: f64| TOP + pixels((1.0 - share) * f64::from(HEIGHT));
    for tick in [0.0, 0.5, 1.0] {
        line(canvas, vec![(LEFT, y(tick)), (LEFT + WIDTH, y(tick))], Ink::LINE, 1)?;
        text(canvas, &format!("{:.0} %", 100.0 * tick), (LEFT - 6, y(tick).max(FONT / 2)), Anchor::Right, Ink::TEXT)?;
    }
    let n = router.curve.len();
    let x = |bar: usize| LEFT + pixels(bar as f64 / n as f64 * f64::from(WIDTH));
    let colours = ranked.len().min(N_MODEL_COLOURS + 1);
    // Per colour and bar: from, to.
    let mut spans = vec![vec![(0.0, 0.0); n]; colours];
    for (bar, point) in router.curve.iter().enumerate() {
        let mut from = 0.0;
        for (colour, span) in spans.iter_mut().enumerate() {
            let last = colour == N_MODEL_COLOURS;
            let models = if last { &ranked[colour..] } else { &ranked[colour..=colour] };
            let share: f64 = models.iter().filter_map(|m| point.call_share.get(*m)).sum();
            span[bar] = (from, from + share);
            from += share;
        }
    }
    for (colour, span) in spans.iter().enumerate() {
        for (bar, &(from, to)) in span.iter().enumerate().filter(|(_, (from, to))| to - from > 0.0) {
            let (top, bottom) = (y(to), y(from));
            fill(canvas, [(x(bar) + 1, top), (x(bar + 1) - 1, bottom)], Ink::model(colour))?;
            if bottom - top > 2 {
                line(canvas, vec![(x(bar) + 1, top), (x(bar + 1) - 1, top)], Ink::PAPER, 1)?;
            }
        }
    }
    let mut last_label = i32::MIN / 2;
    for (bar, point) in router.curve.iter().enumerate() {
        let middle = i32::midpoint(x(bar), x(bar + 1));
        if middle - last_label >= LABEL_GAP {
            text(canvas, &usd(1_000.0 * point.cost), (middle, TOP + HEIGHT + 16), Anchor::Centre, Ink::TEXT)?;
            text(
                canvas,
                &format!("{:.1}", 100.0 * point.quality),
                (middle, TOP + HEIGHT + 36),
                Anchor::Centre,
                Ink::SOFT,
            )?;
            last_label = middle;
        }
    }
    let legend = "above: mean cost, USD per 1,000 prompts; below it: mean quality, points of 100";
    text(canvas, legend, (LEFT + WIDTH / 2, TOP + HEIGHT + 60), Anchor::Centre, Ink::SOFT)?;
    for (colour, span) in spans.iter().enumerate().take(N_MODEL_COLOURS) {
        name(canvas, ranked[colour], span, &x, &y)?;
    }
    Ok(())
}

/// A name inside the widest run of bars that are high enough for it.
fn name(
    canvas: &Canvas<'_>,
    model: &str,
    span: &[(f64, f64)],
    x: &impl Fn(usize) -> i32,
    y: &impl Fn(f64) -> i32,
) -> Result<(), Box<dyn std::error::Error>> {
    // A run goes on while the bars have a height in common.
    let mut best: Option<(i32, usize, usize, f64, f64)> = None;
    for first in 0..span.len() {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        for (last, &(from, to)) in span.iter().enumerate().skip(first) {
            (low, high) = (low.max(from), high.min(to));
            if high - low < LEAST_NAMED {
                break;
            }
            let width = x(last + 1) - x(first);
            if best.is_none_or(|b| width > b.0) {
                best = Some((width, first, last, low, high));
            }
        }
    }
    let Some((width, first, last, low, high)) = best.filter(|b| b.0 > 40) else { return Ok(()) };
    let mut shown = model.to_owned();
    while text_width(&shown) > width - 8 && shown.chars().count() > 4 {
        shown = shown.chars().take(shown.chars().count() - 2).chain(['…']).collect();
    }
    let at = (i32::midpoint(x(first), x(last + 1)), i32::midpoint(y(low), y(high)));
    text(canvas, &shown, at, Anchor::Centre, Ink::ON_MODEL)
}
