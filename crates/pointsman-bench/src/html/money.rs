//! What the first router saves, as money for a volume of prompts that the reader sets.

use std::fmt::Write;

use super::escape;
use crate::entrant::RouterKind;
use crate::report::{BenchReport, EqualQualityReport};
use crate::wording::change;

/// Prompts a month before anyone moves the slider, and the decades that it spans.
const PROMPTS: f64 = 1e6;
const DECADES: (u32, u32, u32) = (3, 6, 9);

/// The section; empty where no setting was chosen for the best single model's quality, or nothing costs anything.
pub(super) fn section(out: &mut String, report: &BenchReport) -> std::fmt::Result {
    let subject = report.routers.iter().find(|r| r.kind != RouterKind::Baseline);
    let (Some(router), Some(best)) = (subject, &report.best_single) else { return Ok(()) };
    let Some(equal) = &router.equal_quality else { return Ok(()) };
    let Some(single) = report.singles.iter().find(|s| &s.model == best).filter(|s| s.cost > 0.0) else { return Ok(()) };
    let usd = |part: f64| {
        let cost = part * single.cost;
        format!("<b data-usd=\"{cost:e}\">{}</b>", dollars(cost * PROMPTS))
    };
    let (from, start, to) = DECADES;
    writeln!(
        out,
        "<section aria-labelledby=\"money\">\n<h2 id=\"money\">What that is in money</h2>\n<p class=\"slider\"><label \
         for=\"volume\">Prompts a month</label> <input id=\"volume\" type=\"range\" min=\"{from}\" max=\"{to}\" \
         step=\"0.05\" value=\"{start}\" disabled> <output class=\"prompts\" for=\"volume\">1,000,000</output></p>\n\
         <p id=\"money-figures\">At <span class=\"prompts\">1,000,000</span> prompts a month, always {} costs {}; <b>{}</b>, set on the training prompts for the same quality, {}. \
         That saves {} <span class=\"soft\">(95 % interval {} to {})</span>, at a quality {}.</p>\n<p class=\"note\">At the \
         evaluated mean costs ({}): your prompts and answers may be longer or shorter than these.</p>\n</section>",
        escape(best),
        usd(1.0),
        escape(&router.name),
        usd(1.0 - equal.saving.value),
        usd(equal.saving.value),
        usd(equal.saving.low),
        usd(equal.saving.high),
        quality(equal),
        escape(&report.cost),
    )
}

fn quality(equal: &EqualQualityReport) -> String {
    let reached = if equal.reached { "" } else { "; no setting reached it on train" };
    format!("{}{reached}", change(&equal.quality_change))
}

fn dollars(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    let value = value.abs();
    if value < 100.0 {
        return format!("{sign}${value:.2}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    let whole = value.round() as usize;
    format!("{sign}${}", crate::wording::thousands(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums_have_cents() {
        assert_eq!(dollars(12.345), "$12.35");
        assert_eq!(dollars(12_345.6), "$12,346");
        assert_eq!(dollars(-3.0), "−$3.00");
    }
}
