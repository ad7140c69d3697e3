//! Intervals one below the other on one axis: what differs from what, at a glance.

use super::paint::{Anchor, Canvas, Ink, figure, fill, line, pixels, text, text_width};
use crate::error::Error;
use crate::report::IntervalReport;

const WIDTH: i32 = 720;
const ROW: i32 = 24;
const TOP: i32 = 8;
const BOTTOM: i32 = 44;
/// Room for values on the right.
const VALUES: i32 = 70;
/// Most characters of a name.
const LONGEST: usize = 40;

/// One line.
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) interval: IntervalReport,
    /// Ours in colour, baselines in grey.
    pub(super) ours: bool,
}

/// A figure of `rows` in the order given, in points of 100; `zero` draws the line of no difference and signs values.
/// Empty without rows.
pub(super) fn forest(rows: &[Row<'_>], caption: &str, zero: bool) -> Result<String, Error> {
    if rows.is_empty() {
        return Ok(String::new());
    }
    let n = i32::try_from(rows.len()).unwrap_or(i32::MAX / ROW);
    let height = TOP + n * ROW + BOTTOM;
    let value = |i: &IntervalReport| {
        if zero { super::signed(i.value) } else { super::fixed(100.0 * i.value, 1) }
    };
    let described: Vec<String> = rows.iter().map(|r| format!("{} {}", r.name, value(&r.interval))).collect();
    let drawn = figure((WIDTH, height), &format!("{caption} {}.", described.join(", ")), |canvas| {
        draw(canvas, rows, height, zero, &value)
    })?;
    Ok(format!("<figure class=\"forest\">{drawn}<figcaption>{}</figcaption></figure>\n", super::escape(caption)))
}

fn draw(
    canvas: &Canvas<'_>,
    rows: &[Row<'_>],
    height: i32,
    zero: bool,
    value: &dyn Fn(&IntervalReport) -> String,
) -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<String> = rows.iter().map(|r| shorten(r.name)).collect();
    let left = names.iter().map(|n| text_width(n)).max().unwrap_or(0) + 20;
    let right = WIDTH - VALUES;
    let start = if zero { 0.0 } else { rows[0].interval.low };
    let low = rows.iter().map(|r| r.interval.low).fold(start, f64::min);
    let high = rows.iter().map(|r| r.interval.high).fold(start, f64::max);
    let margin = (0.04 * (high - low)).max(1e-4);
    let (low, high) = (low - margin, high + margin);
    let x = |v: f64| left + pixels((v - low) / (high - low) * f64::from(right - left));
    let foot = height - BOTTOM;
    let step = round_step(100.0 * (high - low) / 6.0);
    let first = (100.0 * low / step).ceil();
    for tick in (0..12).map(|i| (first + f64::from(i)) * step).take_while(|t| *t <= 100.0 * high) {
        let at = x(tick / 100.0);
        line(canvas, vec![(at, TOP), (at, foot)], Ink::LINE, 1)?;
        // Minus zero is zero.
        text(canvas, &format!("{}", (tick * 1e6).round() / 1e6 + 0.0), (at, foot + 14), Anchor::Centre, Ink::SOFT)?;
    }
    if zero {
        line(canvas, vec![(x(0.0), TOP), (x(0.0), foot)], Ink::TEXT, 1)?;
    }
    for ((row, name), i) in rows.iter().zip(&names).zip(0..) {
        let y = TOP + ROW * i + ROW / 2;
        let ink = if row.ours { Ink::OURS } else { Ink::SOFT };
        text(canvas, name, (left - 10, y), Anchor::Right, Ink::TEXT)?;
        line(canvas, vec![(x(row.interval.low), y), (x(row.interval.high), y)], ink, 2)?;
        let dot = x(row.interval.value);
        fill(canvas, [(dot - 4, y - 4), (dot + 4, y + 4)], ink)?;
        text(canvas, &value(&row.interval), (WIDTH - 8, y), Anchor::Right, Ink::TEXT)?;
    }
    text(canvas, "points of 100", (i32::midpoint(left, right), foot + 34), Anchor::Centre, Ink::SOFT)
}

fn shorten(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// The least of 1, 2, 5 times a power of ten that is not below `rough`.
pub(super) fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough)
}
