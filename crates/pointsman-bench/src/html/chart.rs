//! The cost–quality chart as inline SVG.
//!
//! Drawn with stand-in colours, which are then mapped to CSS variables and `currentColor`, so that the chart
//! follows the page's light, dark and print colours. Curves are named at the right margin, single models at their
//! dots where there is room for a name, else by their number in the page's table.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use pointsman_metrics::{DeferralCurve, Point};

use super::forest::round_step;
use crate::entrant::RouterKind;
use crate::error::Error;
use crate::report::BenchReport;

const WIDTH: i32 = 960;
const HEIGHT: i32 = 520;
/// Room for the names of curves.
const RIGHT: i32 = 190;
/// Font size as the drawing library counts it; it divides by 1.24, so text is 13.7 px high.
const FONT: i32 = 17;
/// Mean width of a character of a sans-serif font, in such font sizes.
const CHARACTER: f64 = 0.46;
/// Costs that span more than this factor are drawn on a logarithmic axis.
const LOG_FROM: f64 = 12.0;
/// Points per straight piece of a curve, which bends on a logarithmic axis.
const STEPS: u32 = 24;
/// Colours of routers in the style sheet.
const N_COLOURS: u8 = 8;

/// Placeholder colours; no two may be equal, and none may occur by chance.
const INK: RGBColor = RGBColor(1, 2, 3);
const LINE: RGBColor = RGBColor(1, 2, 4);
const DOT: RGBColor = RGBColor(1, 2, 5);

/// One line of the chart.
struct Series {
    name: String,
    colour: RGBColor,
    /// As it stands in the SVG after mapping.
    style: String,
    width: u32,
    curve: DeferralCurve,
}

/// A rectangle taken by text, in pixels: left, top, right, bottom.
type Taken = (i32, i32, i32, i32);

/// What the chart shows, in words.
pub(super) fn caption(report: &BenchReport) -> String {
    let scale = if Scale::new(report).log { " (logarithmic scale)" } else { "" };
    format!(
        "Mean quality against mean cost{scale}. Solid: routers; dashed: baselines; dotted: the oracle, which knows the \
         outcomes. Dots: single models, by name or by their number in the table of single models."
    )
}

/// Positions of the single models in the order of their numbers: by cost.
pub(super) fn numbered(report: &BenchReport) -> Vec<usize> {
    let mut order: Vec<usize> = (0..report.singles.len()).collect();
    order.sort_by(|&a, &b| report.singles[a].cost.total_cmp(&report.singles[b].cost).then(a.cmp(&b)));
    order
}

/// The chart as an `svg` element, and what the readout needs to know of it as JSON.
pub(super) fn svg(report: &BenchReport) -> Result<(String, String), Error> {
    let series = series(report);
    let mut svg = String::new();
    let frame = draw(report, &series, &mut svg).map_err(|e| Error::Chart(e.to_string()))?;
    Ok((restyle(&svg, &series, &description(report)), readout(report, &series, frame)))
}

/// The plot's rectangle in pixels: left, top, right, bottom.
type Frame = (i32, i32, i32, i32);

/// Frame, axis and curves, for the script of the page.
fn readout(report: &BenchReport, series: &[Series], frame: Frame) -> String {
    let range = Scale::new(report).x_range();
    let curves: Vec<serde_json::Value> = series
        .iter()
        .map(|s| {
            let points: Vec<[f64; 2]> = s.curve.points().iter().map(|p| [p.cost, p.quality]).collect();
            serde_json::json!({ "name": s.name, "points": points })
        })
        .collect();
    let json = serde_json::json!({
        "left": frame.0, "top": frame.1, "right": frame.2, "bottom": frame.3,
        "log": Scale::new(report).log, "from": range.start, "to": range.end, "series": curves,
    });
    // Inside of a script element nothing is escaped, so nothing may end it.
    json.to_string().replace('<', "\\u003c")
}

fn description(report: &BenchReport) -> String {
    let routers: Vec<String> =
        report.routers.iter().filter_map(|r| Some(format!("{} {:.1}", r.name, 100.0 * r.aiq?.value))).collect();
    format!("Cost-quality curves. AIQ in points of 100: {}.", routers.join(", "))
}

fn series(report: &BenchReport) -> Vec<Series> {
    let start = report
        .singles
        .iter()
        .find(|s| s.model == report.cheapest)
        .map_or(Point::new(report.c_lo, 0.0), |s| Point::new(s.cost, s.quality));
    let mut number = 0;
    let mut all = Vec::new();
    for r in &report.routers {
        let (style, width) = match (r.kind, r.name.as_str()) {
            (RouterKind::Baseline, "oracle") => ("stroke=\"var(--oracle)\" stroke-dasharray=\"2 4\"".to_owned(), 2),
            (RouterKind::Baseline, "zero_router") => {
                ("stroke=\"var(--baseline)\" stroke-dasharray=\"8 4\"".to_owned(), 2)
            }
            (RouterKind::Baseline, "task_table") => ("stroke=\"var(--s3)\" stroke-dasharray=\"6 3\"".to_owned(), 2),
            (RouterKind::Baseline, "knn") => ("stroke=\"var(--s6)\" stroke-dasharray=\"3 3\"".to_owned(), 2),
            (RouterKind::Baseline, _) => continue,
            _ => {
                number += 1;
                (format!("stroke=\"var(--s{})\"", (number - 1) % N_COLOURS), 3)
            }
        };
        let points: Vec<Point> = r.curve.iter().map(|p| Point::new(p.cost, p.quality)).collect();
        if points.is_empty() {
            continue;
        }
        let Ok(curve) = DeferralCurve::new(start, &points) else { continue };
        let position = u8::try_from(all.len()).unwrap_or(u8::MAX);
        all.push(Series { name: r.name.clone(), colour: RGBColor(9, 8, position), style, width, curve });
    }
    all
}

/// Both axes: costs in USD per 1,000 prompts, quality in points of 100.
struct Scale {
    log: bool,
    cost: (f64, f64),
    quality: (f64, f64),
}

impl Scale {
    fn new(report: &BenchReport) -> Self {
        let costs = report
            .singles
            .iter()
            .map(|s| s.cost)
            .chain(report.routers.iter().flat_map(|r| r.curve.iter().map(|p| p.cost)));
        let qualities = report
            .singles
            .iter()
            .map(|s| s.quality)
            .chain(report.routers.iter().flat_map(|r| r.curve.iter().map(|p| p.quality)));
        let span = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (low, high) = span(&mut costs.map(|c| 1_000.0 * c));
        let (worst, best) = span(&mut qualities.map(|q| 100.0 * q));
        let log = low > 0.0 && high / low > LOG_FROM;
        let cost = if log {
            (low / 1.15, high * 1.08)
        } else {
            let margin = if high > low { 0.04 * (high - low) } else { 0.5 * high.abs().max(1e-6) };
            ((low - margin).max(0.0), high + margin)
        };
        let margin = (0.05 * (best - worst)).max(0.5);
        Self { log, cost, quality: (worst - margin, best + margin) }
    }

    /// A cost in USD per prompt on the axis.
    fn x(&self, cost: f64) -> f64 {
        let cost = 1_000.0 * cost;
        if self.log { cost.log10() } else { cost }
    }

    fn x_range(&self) -> std::ops::Range<f64> {
        if self.log { self.cost.0.log10()..self.cost.1.log10() } else { self.cost.0..self.cost.1 }
    }

    /// 1, 2 and 5 of every decade, or round steps.
    fn x_ticks(&self) -> Vec<f64> {
        if !self.log {
            let step = round_step((self.cost.1 - self.cost.0) / 6.0);
            let first = (self.cost.0 / step).ceil();
            return (0..12).map(|i| (first + f64::from(i)) * step).filter(|t| *t <= self.cost.1).collect();
        }
        let decades = -12..=9;
        decades
            .flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10_f64.powi(d)))
            .filter(|t| (self.cost.0..=self.cost.1).contains(t))
            .map(f64::log10)
            .collect()
    }

    fn tick(&self, x: f64) -> String {
        let value = if self.log { 10_f64.powf(x) } else { x };
        // Ticks are 1, 2 or 5 times a power of ten, up to rounding.
        let text = format!("{value:.7}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// A linear axis with ticks of its own.
struct Axis {
    range: std::ops::Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let offset = (share * f64::from(limit.1 - limit.0)).round() as i32;
        limit.0 + offset
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.range.clone()
    }
}

fn draw(report: &BenchReport, series: &[Series], svg: &mut String) -> Result<Frame, Box<dyn std::error::Error>> {
    let scale = Scale::new(report);
    let size = (WIDTH.unsigned_abs(), HEIGHT.unsigned_abs());
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    let x = Axis { range: scale.x_range(), ticks: scale.x_ticks() };
    let mut chart = ChartBuilder::on(&root)
        .margin(12)
        .margin_right(RIGHT)
        .x_label_area_size(46)
        .y_label_area_size(54)
        .build_cartesian_2d(x, scale.quality.0..scale.quality.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .x_labels(24)
        .y_labels(8)
        .x_label_formatter(&|x| scale.tick(*x))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc("mean cost, USD per 1,000 prompts")
        .y_desc("mean quality, points of 100")
        .label_style(("sans-serif", FONT).into_font().color(&INK))
        .axis_desc_style(("sans-serif", FONT).into_font().color(&INK))
        .draw()?;

    let corner = |x, y| chart.backend_coord(&(x, y));
    let ((left, bottom), (edge, top)) =
        (corner(scale.x_range().start, scale.quality.0), corner(scale.x_range().end, scale.quality.1));

    let right = scale.cost.1 / 1_000.0;
    let mut ends = Vec::new();
    for s in series {
        let line = trace(&s.curve, right, scale.log);
        let line: Vec<(f64, f64)> = line.iter().map(|p| (scale.x(p.cost), 100.0 * p.quality)).collect();
        ends.push(chart.backend_coord(line.last().expect("a curve has a point")));
        chart.draw_series(std::iter::once(PathElement::new(line, s.colour.stroke_width(s.width))))?;
        if s.width > 2 {
            let points = s.curve.points().iter().map(|p| (scale.x(p.cost), 100.0 * p.quality));
            chart.draw_series(points.map(|p| Circle::new(p, 3, s.colour.filled())))?;
        }
    }
    let dots: Vec<(i32, i32)> =
        report.singles.iter().map(|s| chart.backend_coord(&(scale.x(s.cost), 100.0 * s.quality))).collect();
    for &dot in &dots {
        root.draw(&Circle::new(dot, 4, DOT.filled()))?;
    }
    if let Some(random) = report.routers.iter().find(|r| r.name == "random").and_then(|r| r.curve.first()) {
        let at = chart.backend_coord(&(scale.x(random.cost), 100.0 * random.quality));
        root.draw(&Cross::new(at, 5, DOT.stroke_width(2)))?;
        name_dots(&root, report, &dots, Some(at))?;
    } else {
        name_dots(&root, report, &dots, None)?;
    }
    name_curves(&root, series, &ends)?;
    root.present()?;
    drop(chart);
    drop(root);
    Ok((left, top, edge, bottom))
}

/// The curve up to the right edge, bent pieces in small steps.
fn trace(curve: &DeferralCurve, right: f64, log: bool) -> Vec<Point> {
    let points = curve.points();
    let mut line = vec![points[0]];
    for w in points.windows(2) {
        let steps = if log { STEPS } else { 1 };
        for i in 1..=steps {
            let t = f64::from(i) / f64::from(steps);
            line.push(Point::new(
                w[0].cost + t * (w[1].cost - w[0].cost),
                w[0].quality + t * (w[1].quality - w[0].quality),
            ));
        }
    }
    let last = line[line.len() - 1];
    line.push(Point::new(right.max(last.cost), last.quality));
    line
}

/// Names at the right margin, moved apart, each tied to its curve by a thin line.
fn name_curves(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    series: &[Series],
    ends: &[(i32, i32)],
) -> Result<(), Box<dyn std::error::Error>> {
    let gap = FONT + 4;
    let mut order: Vec<usize> = (0..series.len()).collect();
    order.sort_by_key(|&s| (ends[s].1, s));
    let mut heights: Vec<i32> = Vec::with_capacity(order.len());
    for &s in &order {
        let lowest = heights.last().map_or(i32::MIN, |h| h + gap);
        heights.push(ends[s].1.max(lowest).max(gap));
    }
    // What was pushed past the bottom is pushed up again.
    let mut limit = HEIGHT - 2 * gap;
    for h in heights.iter_mut().rev() {
        *h = (*h).min(limit);
        limit = *h - gap;
    }
    for (&s, &y) in order.iter().zip(&heights) {
        let (x, end) = ends[s];
        root.draw(&PathElement::new(vec![(x + 2, end), (x + 16, y)], series[s].colour.stroke_width(1)))?;
        let style = ("sans-serif", FONT).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(shorten(&series[s].name, 24), (x + 20, y), style))?;
    }
    Ok(())
}

/// Names beside dots, the important ones first, wherever nothing else stands.
fn name_dots(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    report: &BenchReport,
    dots: &[(i32, i32)],
    random: Option<(i32, i32)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let roles = |name: &str| -> Vec<&str> {
        let all = [
            ("cheapest", Some(report.cheapest.as_str())),
            ("best single", report.best_single.as_deref()),
            ("dearest", Some(report.dearest.as_str())),
        ];
        all.iter().filter(|(_, model)| *model == Some(name)).map(|(role, _)| *role).collect()
    };
    let mut taken: Vec<Taken> = dots.iter().chain(&random).map(|&(x, y)| (x - 5, y - 5, x + 5, y + 5)).collect();
    if let Some(at) = random {
        place(root, &["random"], at, &mut taken)?;
    }
    let mut order: Vec<usize> = (0..dots.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&report.singles[a], &report.singles[b]);
        let key = |name: &str| std::cmp::Reverse(roles(name).len());
        key(&a.model).cmp(&key(&b.model)).then(b.quality.total_cmp(&a.quality)).then(a.model.cmp(&b.model))
    });
    let mut numbers = vec![0; dots.len()];
    for (number, m) in (1..).zip(numbered(report)) {
        numbers[m] = number;
    }
    for m in order {
        let model = &report.singles[m].model;
        let roles = roles(model).join(", ");
        let name = shorten(model, 26);
        let name = if roles.is_empty() { name } else { format!("{name} ({roles})") };
        place(root, &[&name, &numbers[m].to_string()], dots[m], &mut taken)?;
    }
    Ok(())
}

/// Draws the first of `names` that has room, right, left, below or above of a dot; nothing if none has.
fn place(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    names: &[&str],
    dot: (i32, i32),
    taken: &mut Vec<Taken>,
) -> Result<(), Box<dyn std::error::Error>> {
    for name in names {
        if let Some(spot) = free_spot(name, dot, taken) {
            let style = ("sans-serif", FONT - 1).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Top));
            root.draw(&Text::new((*name).to_owned(), (spot.0, spot.1), style))?;
            taken.push(spot);
            return Ok(());
        }
    }
    Ok(())
}

fn free_spot(name: &str, (x, y): (i32, i32), taken: &[Taken]) -> Option<Taken> {
    #[expect(clippy::cast_possible_truncation, reason = "a few hundred pixels")]
    let width = (name.chars().count() as f64 * CHARACTER * f64::from(FONT)).ceil() as i32;
    let half = FONT / 2 + 1;
    let spots = [
        (x + 8, y - half),
        (x - 8 - width, y - half),
        (x - width / 2, y + 7),
        (x - width / 2, y - 7 - 2 * half),
        (x + 6, y + 5),
        (x + 6, y - 5 - 2 * half),
        (x - 6 - width, y + 5),
        (x - 6 - width, y - 5 - 2 * half),
    ];
    spots.into_iter().map(|(left, top)| (left, top, left + width, top + 2 * half)).find(|r| {
        r.0 > 70
            && r.2 < WIDTH - RIGHT
            && r.1 > 12
            && r.3 < HEIGHT - 60
            && taken.iter().all(|t| r.2 < t.0 || t.2 < r.0 || r.3 < t.1 || t.3 < r.1)
    })
}

/// A long name without its middle: names that begin alike mostly end differently.
fn shorten(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= most {
        return name.to_owned();
    }
    let head = (most - 1) / 3;
    let tail = most - 1 - head;
    letters[..head].iter().chain(['…'].iter()).chain(&letters[letters.len() - tail..]).collect()
}

/// Placeholder colours to the page's colours; a name and a description for those who cannot see it.
fn restyle(svg: &str, series: &[Series], description: &str) -> String {
    let hex = |c: RGBColor| format!("\"#{:02X}{:02X}{:02X}\"", c.0, c.1, c.2);
    let mut svg = svg.replace(&hex(INK), "\"currentColor\"");
    svg = svg.replace(&hex(LINE), "\"var(--line)\"").replace(&hex(DOT), "\"var(--dot)\"");
    for s in series {
        let colour = s.style.split(' ').next().unwrap_or_default().trim_start_matches("stroke=");
        // Dashes belong on the curve, not on the thin line to its name.
        let thin = " stroke-width=\"1\"";
        svg = svg.replace(&format!("stroke={}{thin}", hex(s.colour)), &format!("stroke={colour}{thin}"));
        svg = svg.replace(&format!("fill={}", hex(s.colour)), &format!("fill={colour}"));
        svg = svg.replace(&format!("stroke={}", hex(s.colour)), &s.style);
    }
    let open = svg.find("<svg ").unwrap_or(0);
    let close = svg[open..].find('>').map_or(open, |i| open + i);
    let label = super::escape(description);
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">{}", &svg[close + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(shorten("short", 10), "short");
        let names = ["llmrouter_bench.routerbench-knn", "llmrouter_bench.routerbench-mlp"].map(|n| shorten(n, 20));
        assert_eq!(names.each_ref().map(String::as_str), ["llmrou…uterbench-knn", "llmrou…uterbench-mlp"]);
        assert!(shorten(&"ä".repeat(50), 20).chars().count() == 20);
    }
}
