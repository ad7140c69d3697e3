//! The report as one self-contained page: no network, light, dark and print, and prompt texts only where the report holds
//! them. A small script adds a readout to the chart and a volume to the savings; without it nothing is missing but those.

mod calibration;
mod chart;
mod controls;
mod forest;
mod money;
mod paint;
mod shares;
mod slices;
mod tasks;

use std::fmt::Write;

use crate::entrant::RouterKind;
use crate::error::Error;
use crate::report::{BenchReport, IntervalReport, RouterReport};
use crate::wording::thousands;
use forest::{Row, forest};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Routers whose shares and tasks are worth a column: one-model baselines and the uniform mix say nothing there.
const DULL: [&str; 4] = ["random", "cheapest", "dearest", "best_single"];

/// Most lines of a figure of intervals.
const MOST_ROWS: usize = 32;

/// Columns of words, which start where their words do.
const WORDS: [&str; 5] = ["Baseline", "Task", "Chosen", "Expected", "Chosen on train as"];

/// Renders a report as HTML.
///
/// # Errors
///
/// [`Error::Chart`] if the chart cannot be drawn.
pub fn render(report: &BenchReport) -> Result<String, Error> {
    let (chart, readout) = chart::svg(report)?;
    let figures = Figures {
        aiq: aiq_forest(report)?,
        paired: paired_forest(report)?,
        tasks: tasks::figure(report)?,
        slices: slices::figure(report)?,
        chart,
        readout,
        controls: controls::section(report.controls.as_ref())?,
        calibration: calibration::section(report)?,
        shares: shares::figures(report)?,
    };
    let mut page = String::with_capacity(figures.chart.len() + 64 * 1024);
    write_page(&mut page, report, &figures).map_err(|e| Error::Chart(e.to_string()))?;
    Ok(page)
}

/// Every figure of the page: a name that does for a file, and an `svg` element in the page's colours.
pub(crate) fn figures(report: &BenchReport) -> Result<Vec<(String, String)>, Error> {
    let sections = [
        ("curve", chart::svg(report)?.0),
        ("aiq", aiq_forest(report)?),
        ("paired", paired_forest(report)?),
        ("tasks", tasks::figure(report)?),
        ("slices", slices::figure(report)?),
        ("calibration", calibration::section(report)?),
        ("shares", shares::figures(report)?),
        ("learning-curve", controls::section(report.controls.as_ref())?),
    ];
    let mut figures = Vec::new();
    for (name, html) in sections {
        for figure in html.split("<svg ").skip(1) {
            let (svg, rest) = figure.split_once("</svg>").unwrap_or((figure, ""));
            // Figures of one router each are captioned with its name.
            let router = rest
                .split_once("<figcaption><b>")
                .filter(|(before, _)| before.trim().is_empty())
                .map(|(_, after)| after);
            let name = match router.and_then(|r| r.split_once("</b>")) {
                Some((router, _)) => format!("{name}-{}", file_name(router)),
                None => name.to_owned(),
            };
            figures.push((name, format!("<svg {svg}</svg>")));
        }
    }
    Ok(figures)
}

/// Letters and digits of a name, everything else as a hyphen.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '.' || c == '_' { c } else { '-' }).collect()
}

/// The style sheet's variables and their values in the light scheme.
pub(crate) fn light_colours() -> impl Iterator<Item = (&'static str, &'static str)> {
    let block = STYLE.split(['{', '}']).nth(1).unwrap_or_default();
    block.split(';').filter_map(|rule| rule.trim().split_once(": ")).filter(|(name, _)| name.starts_with("--"))
}

/// What is drawn rather than written.
struct Figures {
    aiq: String,
    paired: String,
    tasks: String,
    slices: String,
    chart: String,
    readout: String,
    controls: String,
    calibration: String,
    shares: String,
}

fn write_page(out: &mut String, report: &BenchReport, figures: &Figures) -> std::fmt::Result {
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Routing benchmark</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>Routing benchmark</h1>\n"
    )?;
    writeln!(
        out,
        "<p class=\"facts\">{} {} prompts, {} models, cost {}, baselines chosen on {} training prompts.</p>",
        thousands(report.n_queries),
        escape(&report.split),
        report.models.len(),
        escape(&report.cost),
        thousands(report.n_train),
    )?;
    writeln!(out, "<p class=\"verdict\">{}</p>", marked(&report.verdict))?;
    writeln!(
        out,
        "<section aria-labelledby=\"curve\">\n<h2 id=\"curve\">Quality against cost</h2>\n<figure>{}<figcaption><output \
         id=\"readout\"></output>{}</figcaption></figure>\n<script type=\"application/json\" id=\"curve-data\">{}</script>\n\
         </section>",
        figures.chart,
        escape(&chart::caption(report)),
        figures.readout,
    )?;
    money::section(out, report)?;
    metrics(out, report, &figures.aiq)?;
    paired(out, report, &figures.paired)?;
    pair(out, report)?;
    shares(out, report, &figures.shares)?;
    tasks::section(out, report, &figures.tasks)?;
    slices::section(out, report, &figures.slices)?;
    out.push_str(&figures.calibration);
    out.push_str(&figures.controls);
    singles(out, report)?;
    method(out, report)?;
    data(out, report)?;
    write!(out, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n")?;
    Ok(())
}

/// AIQ of every router, in the order of the table.
fn aiq_forest(report: &BenchReport) -> Result<String, Error> {
    let rows: Vec<Row<'_>> = report
        .routers
        .iter()
        .filter_map(|r| Some(Row { name: &r.name, interval: r.aiq?, ours: r.kind == RouterKind::Pointsman }))
        .collect();
    forest(&rows, "AIQ: mean quality over the range of costs, with 95 % intervals.", false)
}

/// Differences of the first router; the table below it has all.
fn paired_forest(report: &BenchReport) -> Result<String, Error> {
    let first = report.paired.first().map(|p| p.a.as_str());
    let names: Vec<(String, IntervalReport)> = report
        .paired
        .iter()
        .filter(|p| Some(p.a.as_str()) == first && p.metric == "aiq" && p.b != "oracle")
        .filter_map(|p| {
            let interval = IntervalReport { value: p.diff?, low: p.low?, high: p.high? };
            Some((format!("{} − {}", p.a, p.b), interval))
        })
        .collect();
    let rows: Vec<Row<'_>> =
        names.iter().map(|(name, interval)| Row { name, interval: *interval, ours: true }).take(MOST_ROWS).collect();
    forest(
        &rows,
        "Difference in AIQ on the same prompts, with 95 % intervals; right of zero the router is better.",
        true,
    )
}

fn metrics(out: &mut String, report: &BenchReport, figure: &str) -> std::fmt::Result {
    let columns = [
        "AIQ",
        "Best quality",
        "Gap closed",
        "Quality at best single’s cost",
        "QNC",
        "AUC",
        "Brier",
        "ECE (floor)",
        "Abstained",
    ];
    writeln!(out, "<section aria-labelledby=\"metrics\">\n<h2 id=\"metrics\">Routers and baselines</h2>\n{figure}")?;
    table_in_section(
        out,
        "metrics",
        "Quality in points of 100, with 95 % intervals. AIQ (average improvement in quality): mean quality \
         over the range of costs, mixed with the cheapest model where a router costs more; the one figure to compare by. \
         Best quality: where cost is no object. Gap closed: share of the way from the best single model to the oracle. QNC: \
         cost for the best single model’s quality, as a share of its cost. AUC, Brier, ECE: how well qualities are \
         predicted; AUC higher, the others lower is better. A dash means undefined.",
        "Router",
        &columns,
    )?;
    for r in &report.routers {
        row_head(out, r, &r.name)?;
        for interval in [&r.aiq, &r.quality_max] {
            cell_interval(out, interval.as_ref(), 100.0, 1)?;
        }
        cell_interval(out, r.gap_closed.as_ref(), 1.0, 2)?;
        cell_interval(out, r.quality_at_best_single_cost.as_ref(), 100.0, 1)?;
        let qnc = match (r.qnc, &r.aiq) {
            (Some(q), _) => format!("{:.0} %", 100.0 * q),
            (None, Some(_)) if report.best_single.is_some() => "never".to_owned(),
            _ => "–".to_owned(),
        };
        cell(out, &qnc)?;
        cell(out, &number(r.auc_mean, 3))?;
        cell(out, &number(r.brier, 4))?;
        let ece = r.ece.map_or_else(|| "–".to_owned(), |e| format!("{e:.3} ({})", number(r.ece_floor, 3)));
        cell(out, &ece)?;
        cell(out, &r.abstained.map_or_else(|| "–".to_owned(), |a| format!("{:.0} %", 100.0 * a)))?;
        out.push_str("</tr>\n");
    }
    close_table(out);
    let notes: Vec<&RouterReport> = report.routers.iter().filter(|r| r.note.is_some()).collect();
    if !notes.is_empty() {
        out.push_str("<ul class=\"note\">\n");
        for r in notes {
            let note = r.note.as_deref().unwrap_or_default();
            writeln!(out, "<li>{}: {}</li>", escape(&r.name), escape(note))?;
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
    Ok(())
}

fn paired(out: &mut String, report: &BenchReport, figure: &str) -> std::fmt::Result {
    if report.paired.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<section aria-labelledby=\"paired\">\n<h2 id=\"paired\">Differences on the same prompts</h2>\n{figure}"
    )?;
    table_in_section(
        out,
        "paired",
        "Router minus baseline, and ours minus other people’s, in points of 100, with the 95 % interval of the paired bootstrap.",
        "Router",
        &["Baseline", "AIQ", "Best quality"],
    )?;
    for aiq in report.paired.iter().filter(|p| p.metric == "aiq") {
        let max = report.paired.iter().find(|p| p.metric == "quality_max" && p.a == aiq.a && p.b == aiq.b);
        write!(out, "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td>", escape(&aiq.a), escape(&aiq.b))?;
        for p in [Some(aiq), max] {
            let text = p.and_then(|p| Some((p.diff?, p.low?, p.high?))).map_or_else(
                || "–".to_owned(),
                |(diff, low, high)| {
                    format!("{}<span class=\"range\">{} to {}</span>", signed(diff), signed(low), signed(high))
                },
            );
            write!(out, "<td>{text}</td>")?;
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    out.push_str("</section>\n");
    Ok(())
}

fn pair(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let Some(pair) = &report.pair else { return Ok(()) };
    let caption = format!(
        "Strong: {}; weak: {}. APGR 0.5 is a random order; CPT is the share of calls to the strong model that recovers \
         that part of the gap.",
        pair.strong, pair.weak
    );
    open_table(
        out,
        "pair",
        "Strong and weak model",
        &caption,
        "Router",
        &["APGR", "CPT 20 %", "CPT 50 %", "CPT 80 %"],
    )?;
    for r in report.routers.iter().filter(|r| r.apgr.is_some()) {
        row_head(out, r, &r.name)?;
        cell_interval(out, r.apgr.as_ref(), 1.0, 3)?;
        for cpt in [r.cpt20, r.cpt50, r.cpt80] {
            cell(out, &cpt.map_or_else(|| "–".to_owned(), |c| format!("{:.1} %", 100.0 * c)))?;
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    out.push_str("</section>\n");
    Ok(())
}

fn shares(out: &mut String, report: &BenchReport, figures: &str) -> std::fmt::Result {
    let shown: Vec<&RouterReport> =
        report.routers.iter().filter(|r| r.call_share.is_some() && !DULL.contains(&r.name.as_str())).collect();
    let names: Vec<&str> = shown.iter().map(|r| r.name.as_str()).collect();
    writeln!(out, "<section aria-labelledby=\"shares\">\n<h2 id=\"shares\">Who gets the calls</h2>\n{figures}")?;
    table_in_section(
        out,
        "shares",
        "Share of calls per model where cost is no object; models that none but the oracle calls are left out.",
        "Model",
        &names,
    )?;
    for model in &report.models {
        let share = |r: &RouterReport| r.call_share.as_ref().and_then(|s| s.get(model)).copied().unwrap_or(0.0);
        if shown.iter().filter(|r| r.name != "oracle").all(|r| share(r) == 0.0) {
            continue;
        }
        write!(out, "<tr><th scope=\"row\">{}</th>", escape(model))?;
        for r in &shown {
            let s = share(r);
            if s == 0.0 {
                cell(out, "")?;
            } else {
                let width = 4.0 * s;
                write!(out, "<td><span class=\"share\" style=\"width:{width:.2}rem\"></span>{:.1} %</td>", 100.0 * s)?;
            }
        }
        out.push_str("</tr>\n");
    }
    close_table(out);
    out.push_str("</section>\n");
    Ok(())
}

fn singles(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    open_table(
        out,
        "singles",
        "Single models",
        "Each model alone, on the evaluated prompts, by cost. Numbers are those of the dots that have no room for a name.",
        "Model",
        &["Number", "USD per 1,000 prompts", "Quality", "Chosen on train as"],
    )?;
    for (number, m) in (1..).zip(chart::numbered(report)) {
        let single = &report.singles[m];
        let roles = [
            ("cheapest", Some(&report.cheapest)),
            ("best single", report.best_single.as_ref()),
            ("dearest", Some(&report.dearest)),
        ];
        let roles: Vec<&str> =
            roles.iter().filter(|(_, name)| *name == Some(&single.model)).map(|(role, _)| *role).collect();
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{number}</td><td>{}</td><td>{:.1}</td><td class=\"text\">{}</td></tr>",
            escape(&single.model),
            usd(1_000.0 * single.cost),
            100.0 * single.quality,
            roles.join(", "),
        )?;
    }
    close_table(out);
    out.push_str("</section>\n");
    Ok(())
}

fn method(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    out.push_str("<section aria-labelledby=\"method\">\n<h2 id=\"method\">How this was measured</h2>\n<ul>\n");
    writeln!(
        out,
        "<li>AIQ is the mean quality over the cost range from {} to {} USD per 1,000 prompts, the evaluated mean costs of \
         the cheapest ({}) and the dearest ({}) model. Settings are chosen on train and joined by straight lines; no hull \
         is taken on the evaluated prompts.</li>",
        usd(1_000.0 * report.c_lo),
        usd(1_000.0 * report.c_hi),
        escape(&report.cheapest),
        escape(&report.dearest),
    )?;
    writeln!(
        out,
        "<li>Intervals are 95 % percentile intervals of {} bootstrap resamples of {}, seed {}.</li>",
        thousands(report.resamples),
        report.resampled,
        report.seed,
    )?;
    if let Some(smallest) = report.smallest_detectable {
        writeln!(
            out,
            "<li>The smallest difference in AIQ that these prompts can show is about {:.1} points.</li>",
            100.0 * smallest
        )?;
    }
    if let Some(power) = &report.power {
        writeln!(
            out,
            "<li>To see a true difference of {:.0} point in AIQ four times in five it takes about {} prompts like these; these \
             {} show {:.1} points so often.</li>",
            100.0 * power.difference,
            thousands(usize::try_from(power.queries_needed).unwrap_or(usize::MAX)),
            thousands(report.n_queries),
            100.0 * power.detectable,
        )?;
    }
    let compared: Vec<_> = report.paired.iter().filter(|p| p.metric == "aiq" && p.p.is_some()).collect();
    if compared.len() > 1 {
        let clear = compared.iter().filter(|p| p.p.is_some_and(|p| p < 0.05)).count();
        let adjusted = compared.iter().filter(|p| p.p_adjusted.is_some_and(|p| p < 0.05)).count();
        writeln!(
            out,
            "<li>{} differences in AIQ are shown, {clear} of them clear of zero by themselves. Among so many some are so by \
             chance: after Holm’s adjustment for that, {adjusted} remain.</li>",
            compared.len(),
        )?;
    }
    if report.train_overlap > 0 {
        writeln!(
            out,
            "<li>{} evaluated prompts have the text of a training prompt: that flatters whoever learned from them.</li>",
            thousands(report.train_overlap)
        )?;
    }
    if let Some(noise) = &report.noise {
        writeln!(
            out,
            "<li>{:.0} % of the outcomes were run more than once; even perfect predictions would have a Brier score of \
             {:.4} on them.</li>",
            100.0 * noise.repeated,
            noise.brier_floor,
        )?;
    }
    let shares: Vec<String> =
        report.cost_shares.iter().map(|(kind, share)| format!("{kind} {:.0} %", 100.0 * share)).collect();
    if !shares.is_empty() {
        writeln!(out, "<li>Costs: {}.</li>", escape(&shares.join(", ")))?;
    }
    let dropped = &report.dropped;
    if !dropped.models_without_cost.is_empty() {
        writeln!(
            out,
            "<li>Left out for want of a cost or price: {}.</li>",
            escape(&dropped.models_without_cost.join(", "))
        )?;
    }
    if !dropped.models_low_coverage.is_empty() {
        let models: Vec<String> =
            dropped.models_low_coverage.iter().map(|(m, c)| format!("{m} ({:.0} %)", 100.0 * c)).collect();
        writeln!(out, "<li>Left out for low coverage: {}.</li>", escape(&models.join(", ")))?;
    }
    for (split, n) in dropped.prompts_incomplete.iter().filter(|(_, n)| **n > 0) {
        writeln!(out, "<li>{} incomplete prompts of split {split} left out.</li>", thousands(*n))?;
    }
    out.push_str("</ul>\n</section>\n");
    Ok(())
}

/// Health of the data, and where everything came from.
fn data(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let data = &report.data;
    out.push_str("<section aria-labelledby=\"data\">\n<h2 id=\"data\">Data and provenance</h2>\n<ul>\n");
    writeln!(
        out,
        "<li>{}: {} of {} rows used.</li>",
        if data.files.is_empty() { "Log".to_owned() } else { escape(&data.files.join(", ")) },
        thousands(usize::try_from(data.accepted).unwrap_or(usize::MAX)),
        thousands(usize::try_from(data.rows).unwrap_or(usize::MAX)),
    )?;
    for (reason, n) in &data.rejected {
        writeln!(out, "<li>{n} rows rejected: {}.</li>", escape(reason))?;
    }
    if data.duplicate_runs > 0 {
        writeln!(out, "<li>{} rows most likely repeat another.</li>", data.duplicate_runs)?;
    }
    if data.texts_across_splits > 0 {
        writeln!(out, "<li>{} texts are on more than one side of the split.</li>", data.texts_across_splits)?;
    }
    let made = match data.split_source.as_str() {
        "column" => "from the log’s column",
        "hash" => "by hashing texts",
        "mixed" => "from the log’s column where it has one, else by hashing texts",
        _ => "unknown",
    };
    writeln!(
        out,
        "<li>Splits: {made}. Split <code>{}</code>, content <code>{}</code>.</li>",
        short(&data.split_sha256),
        short(&data.data_sha256)
    )?;
    for r in &report.routers {
        if let Some(origin) = &r.origin {
            writeln!(
                out,
                "<li>{}: artifact <code>{}</code>, trained by version {} on {} prompts of {}, seed {}.</li>",
                escape(&r.name),
                short(&origin.identity),
                escape(&origin.tool_version),
                thousands(origin.n_prompts),
                if origin.same_data {
                    "this very log".to_owned()
                } else {
                    format!("another log, <code>{}</code>", short(&origin.data_sha256))
                },
                origin.seed,
            )?;
        }
    }
    writeln!(out, "<li>Measured by pointsman {}.</li>\n</ul>\n</section>", data.tool_version)
}

/// The first twelve digits of a hash: enough to compare by eye.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

fn open_table(
    out: &mut String,
    id: &str,
    title: &str,
    caption: &str,
    first: &str,
    columns: &[&str],
) -> std::fmt::Result {
    writeln!(out, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>")?;
    table_in_section(out, id, caption, first, columns)
}

/// A table below the heading `id`.
fn table_in_section(out: &mut String, id: &str, caption: &str, first: &str, columns: &[&str]) -> std::fmt::Result {
    write!(
        out,
        "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\n<table>\n\
         <caption><span>{}</span></caption>\n<thead><tr><th scope=\"col\">{first}</th>",
        escape(caption)
    )?;
    for column in columns {
        let class = if WORDS.contains(column) { " class=\"text\"" } else { "" };
        write!(out, "<th scope=\"col\"{class}>{}</th>", escape(column))?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    Ok(())
}

fn close_table(out: &mut String) {
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn row_head(out: &mut String, router: &RouterReport, name: &str) -> std::fmt::Result {
    let class = if router.kind == RouterKind::Pointsman { " class=\"ours\"" } else { "" };
    write!(out, "<tr{class}><th scope=\"row\">{}</th>", escape(name))
}

fn cell(out: &mut String, text: &str) -> std::fmt::Result {
    write!(out, "<td>{}</td>", escape(text))
}

fn cell_interval(out: &mut String, interval: Option<&IntervalReport>, scale: f64, digits: usize) -> std::fmt::Result {
    match interval {
        None => cell(out, "–"),
        Some(i) => write!(
            out,
            "<td>{}<span class=\"range\">{} to {}</span></td>",
            fixed(scale * i.value, digits),
            fixed(scale * i.low, digits),
            fixed(scale * i.high, digits),
        ),
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |v| fixed(v, digits))
}

fn fixed(value: f64, digits: usize) -> String {
    format!("{value:.digits$}").replace('-', "−")
}

fn signed(quality: f64) -> String {
    format!("{:+.1}", 100.0 * quality).replace('-', "−")
}

/// USD with three significant digits.
fn usd(value: f64) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=9")]
    let digits = (2.0 - value.log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.digits$}")
}

/// A sentence whose names stand between backticks, as on a terminal: here they are bold.
fn marked(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        let part = escape(part);
        let (open, close) = if i % 2 == 1 { ("<b>", "</b>") } else { ("", "") };
        out.extend([open, &part, close]);
    }
    out
}

/// Text for element content and double-quoted attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(usd(0.012_345), "0.0123");
        assert_eq!(usd(1_234.5), "1234");
        assert_eq!(usd(0.0), "0");
        assert_eq!(signed(-0.012), "−1.2");
    }

    #[test]
    fn names_between_backticks_are_bold() {
        assert_eq!(marked("over `a<b` is"), "over <b>a&lt;b</b> is");
        assert_eq!(marked("plain"), "plain");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
