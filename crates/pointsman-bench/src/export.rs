//! The report for papers and pull requests: Markdown, CSV, and every figure of the page as SVG or PNG.

use std::fmt::Write;
use std::sync::Arc;

use resvg::{tiny_skia, usvg};

use crate::entrant::RouterKind;
use crate::error::Error;
use crate::html;
use crate::report::{BenchReport, IntervalReport, RouterReport};
use crate::wording::thousands;

/// Pixels of a PNG per pixel of its SVG: sharp in print and on dense screens.
const ZOOM: f32 = 2.0;

/// A figure by itself: light colours, white ground, no style sheet needed.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it is called as a file, without an extension: `curve`, `calibration-mine`, …
    pub name: String,
    /// A whole SVG document.
    pub svg: String,
}

/// All figures of the page.
///
/// # Errors
///
/// [`Error::Chart`] if one cannot be drawn.
pub fn plots(report: &BenchReport) -> Result<Vec<Plot>, Error> {
    Ok(html::figures(report)?.into_iter().map(|(name, svg)| Plot { name, svg: standalone(&svg) }).collect())
}

impl Plot {
    /// The figure as a PNG of twice its size in pixels. Texts need a sans-serif font of the system.
    ///
    /// # Errors
    ///
    /// [`Error::NoFont`] if the system has none, [`Error::Chart`] if it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        let chart = |e: &dyn std::fmt::Display| Error::Chart(e.to_string());
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_system_fonts();
        let sans = usvg::fontdb::Query { families: &[usvg::fontdb::Family::SansSerif], ..Default::default() };
        if fonts.query(&sans).is_none() {
            // The family that the system calls its default may not be there; any face is better than none.
            let family = fonts.faces().find_map(|face| Some(face.families.first()?.0.clone())).ok_or(Error::NoFont)?;
            fonts.set_sans_serif_family(family);
        }
        let options = usvg::Options { fontdb: Arc::new(fonts), ..Default::default() };
        let tree = usvg::Tree::from_str(&self.svg, &options).map_err(|e| chart(&e))?;
        let size = tree.size().to_int_size().scale_by(ZOOM).ok_or_else(|| chart(&"a figure without size"))?;
        let mut pixels =
            tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| chart(&"a figure without size"))?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(ZOOM, ZOOM), &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| chart(&e))
    }
}

/// An inline figure as a document: its own namespace, size and ground, and the page's light colours for its variables.
fn standalone(inline: &str) -> String {
    let mut svg = inline.replace("currentColor", "var(--ink)");
    for (name, colour) in html::light_colours() {
        svg = svg.replace(&format!("var({name})"), colour);
    }
    let size = svg.split("viewBox=\"0 0 ").nth(1).and_then(|s| s.split('"').next()).unwrap_or("0 0").to_owned();
    let (width, height) = size.split_once(' ').unwrap_or(("0", "0"));
    let head = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" ");
    let svg = svg.replacen("<svg ", &head, 1);
    let ground = format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
    match svg.find('>') {
        Some(end) => format!("{}{ground}{}\n", &svg[..=end], &svg[end + 1..]),
        None => svg,
    }
}

/// The verdict, the table of routers, the differences and the controls, as Markdown.
pub fn markdown(report: &BenchReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_markdown(&mut out, report);
    out
}

fn write_markdown(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    writeln!(out, "## Routing benchmark\n\n{}\n", report.verdict)?;
    writeln!(
        out,
        "{} prompts of split `{}`, {} models, costs {}; baselines chosen on {} training prompts. Quality in points of 100, 95 % \
         intervals of {} resamples of {}.\n",
        thousands(report.n_queries),
        report.split,
        report.models.len(),
        report.cost,
        thousands(report.n_train),
        thousands(report.resamples),
        report.resampled,
    )?;
    writeln!(out, "| router | AIQ | best quality | gap closed | QNC | AUC | Brier | ECE (floor) |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for r in ordered(report) {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&r.name),
            points(r.aiq.as_ref()),
            points(r.quality_max.as_ref()),
            range(r.gap_closed.as_ref(), 1.0, 2),
            r.qnc.map_or_else(dash, |q| format!("{:.0} %", 100.0 * q)),
            number(r.auc_mean, 3),
            number(r.brier, 4),
            r.ece.map_or_else(dash, |e| format!("{e:.3} ({})", number(r.ece_floor, 3))),
        )?;
    }
    if report.routers.iter().any(|r| r.apgr.is_some()) {
        writeln!(out, "\n| router | APGR | CPT 20 % | CPT 50 % | CPT 80 % |\n|---|---|---|---|---|")?;
        for r in ordered(report).into_iter().filter(|r| r.apgr.is_some()) {
            let cpt = |c: Option<f64>| c.map_or_else(dash, |c| format!("{:.1} %", 100.0 * c));
            let apgr = range(r.apgr.as_ref(), 1.0, 3);
            writeln!(out, "| {} | {apgr} | {} | {} | {} |", cell(&r.name), cpt(r.cpt20), cpt(r.cpt50), cpt(r.cpt80))?;
        }
    }
    if report.paired.iter().any(|p| p.diff.is_some()) {
        writeln!(out, "\n| difference | AIQ | p | p, Holm |\n|---|---|---|---|")?;
    }
    for p in report.paired.iter().filter(|p| p.metric == "aiq") {
        let (Some(value), Some(low), Some(high)) = (p.diff, p.low, p.high) else { continue };
        writeln!(
            out,
            "| {} − {} | {value:+.4} [{low:+.4}, {high:+.4}] | {} | {} |",
            cell(&p.a),
            cell(&p.b),
            p_value(p.p),
            p_value(p.p_adjusted),
        )?;
    }
    for r in report.routers.iter().filter(|r| r.kind != RouterKind::Baseline) {
        if let Some(note) = &r.note {
            writeln!(out, "\n`{}`: {note}.", r.name)?;
        }
    }
    let data = &report.data;
    writeln!(
        out,
        "\nMeasured by pointsman {}, seed {}; content `{}`, split `{}`.",
        data.tool_version, report.seed, data.data_sha256, data.split_sha256
    )
}

/// One line per router with all its figures, for spreadsheets.
///
/// # Errors
///
/// [`Error::Chart`] if the table cannot be written, which a table in memory can always be.
pub fn csv(report: &BenchReport) -> Result<Vec<u8>, Error> {
    let error = |e: csv::Error| Error::Chart(e.to_string());
    let mut table = csv::Writer::from_writer(Vec::new());
    table
        .write_record([
            "name",
            "kind",
            "aiq",
            "aiq_low",
            "aiq_high",
            "aiq_compat",
            "aiq_paper",
            "quality_max",
            "quality_max_low",
            "quality_max_high",
            "gap_closed",
            "gap_closed_low",
            "gap_closed_high",
            "quality_at_best_single_cost",
            "cost_at_best_single_quality",
            "qnc",
            "area",
            "auc_mean",
            "brier",
            "ece",
            "ece_floor",
            "apgr",
            "apgr_low",
            "apgr_high",
            "cpt20",
            "cpt50",
            "cpt80",
            "abstained",
            "cost_error",
            "note",
        ])
        .map_err(error)?;
    for r in ordered(report) {
        let plain = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
        let three = |i: Option<IntervalReport>| {
            i.map_or_else(Default::default, |i| [i.value, i.low, i.high].map(|v| v.to_string()))
        };
        let kind = match r.kind {
            RouterKind::Pointsman => "pointsman",
            RouterKind::Baseline => "baseline",
            RouterKind::External => "external",
        };
        let mut row = vec![r.name.clone(), kind.to_owned()];
        row.extend(three(r.aiq));
        row.extend([r.aiq_compat, r.aiq_paper].map(plain));
        row.extend(three(r.quality_max));
        row.extend(three(r.gap_closed));
        row.extend(
            [
                r.quality_at_best_single_cost.map(|i| i.value),
                r.cost_at_best_single_quality,
                r.qnc,
                r.area,
                r.auc_mean,
                r.brier,
                r.ece,
                r.ece_floor,
            ]
            .map(plain),
        );
        row.extend(three(r.apgr));
        row.extend([r.cpt20, r.cpt50, r.cpt80, r.abstained, r.cost_error].map(plain));
        row.push(r.note.clone().unwrap_or_default());
        table.write_record(row).map_err(error)?;
    }
    table.into_inner().map_err(|e| Error::Chart(e.to_string()))
}

/// Ours, then others', then baselines.
fn ordered(report: &BenchReport) -> Vec<&RouterReport> {
    let mut routers: Vec<&RouterReport> = report.routers.iter().collect();
    routers.sort_by_key(|r| match r.kind {
        RouterKind::Pointsman => 0,
        RouterKind::External => 1,
        RouterKind::Baseline => 2,
    });
    routers
}

fn dash() -> String {
    "–".to_owned()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(dash, |v| format!("{v:.digits$}"))
}

fn p_value(p: Option<f64>) -> String {
    p.map_or_else(dash, |p| if p < 5e-4 { "< 0.001".to_owned() } else { format!("{p:.3}") })
}

fn points(interval: Option<&IntervalReport>) -> String {
    range(interval, 100.0, 1)
}

fn range(interval: Option<&IntervalReport>, scale: f64, digits: usize) -> String {
    interval.map_or_else(dash, |i| {
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", scale * i.value, scale * i.low, scale * i.high)
    })
}

/// A name inside a table: a bar would end its cell.
fn cell(name: &str) -> String {
    name.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use pointsman::artifact::Mode;

    use super::*;
    use crate::testing;
    use crate::{BenchOptions, RouterEntry};

    fn report() -> BenchReport {
        let log = testing::log(300, 100, 8);
        let router = testing::constant_router(
            &[("big", 0.8, 0.01), ("medium", 0.7, 0.004), ("odd", 0.45, 0.006), ("small", 0.55, 0.001)],
            Mode::Learned,
        );
        let options = BenchOptions { resamples: 100, ..BenchOptions::default() };
        let entry = RouterEntry { name: "a|b".to_owned(), router };
        crate::run(&log, &options, vec![entry], &[], &mut |_| ()).expect("valid")
    }

    #[test]
    fn figures_stand_alone() {
        let plots = plots(&report()).expect("drawn");
        let names: Vec<&str> = plots.iter().map(|p| p.name.as_str()).collect();
        for name in ["curve", "aiq", "paired", "tasks", "slices", "calibration-a-b", "shares-a-b"] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        for plot in &plots {
            assert!(plot.svg.starts_with("<svg xmlns="), "{}", plot.name);
            assert!(!plot.svg.contains("var(") && !plot.svg.contains("currentColor"), "{}", plot.name);
            usvg::Tree::from_str(&plot.svg, &usvg::Options::default()).expect("a valid document");
        }
    }

    #[test]
    fn a_png_is_one_where_there_is_a_font() {
        match plots(&report()).expect("drawn")[0].png() {
            Ok(png) => assert!(png.starts_with(b"\x89PNG") && png.len() > 5_000),
            Err(Error::NoFont) => (),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn tables_hold_every_router() {
        let report = report();
        let (markdown, csv) = (markdown(&report), String::from_utf8(csv(&report).expect("written")).expect("text"));
        assert!(markdown.contains("| a\\|b |"));
        for r in &report.routers {
            assert!(csv.contains(&r.name) && (markdown.contains(&r.name) || r.name == "a|b"), "{}", r.name);
        }
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        assert_eq!(reader.records().filter_map(Result::ok).count(), report.routers.len());
    }
}
