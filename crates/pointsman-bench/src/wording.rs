//! Numbers as people write them, for sentences, pages and terminals alike.

use crate::report::IntervalReport;

/// Quality on a scale of 100, one decimal.
pub fn points(quality: f64) -> String {
    format!("{:.1}", 100.0 * quality)
}

/// The same with its sign.
pub fn signed_points(quality: f64) -> String {
    let text = format!("{:+.1}", 100.0 * quality);
    if text == "-0.0" { "+0.0".to_owned() } else { text.replace('-', "−") }
}

/// `−1.0 to +3.0`
pub fn signed_range(interval: &IntervalReport) -> String {
    format!("{} to {}", signed_points(interval.low), signed_points(interval.high))
}

/// A change of quality with its interval, in words: `4.7 points better (2.4 to 7.1)` where that is sure, else `+0.3 points
/// different (−1.0 to +1.6)`.
pub fn change(interval: &IntervalReport) -> String {
    let (low, high) = (points(interval.low.abs()), points(interval.high.abs()));
    if interval.low > 0.0 {
        format!("{} points better ({low} to {high})", points(interval.value))
    } else if interval.high < 0.0 {
        format!("{} points worse ({high} to {low})", points(interval.value.abs()))
    } else {
        format!("{} points different ({})", signed_points(interval.value), signed_range(interval))
    }
}

/// A share in per cent, without decimals.
pub fn percent(share: f64) -> String {
    let text = format!("{:.0}", 100.0 * share);
    if text == "-0" { "0".to_owned() } else { text.replace('-', "−") }
}

/// `12,345,678`
pub fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(points(0.0123), "1.2");
        assert_eq!(signed_points(-0.004), "−0.4");
        assert_eq!(signed_points(-0.000_1), "+0.0");
        assert_eq!(percent(0.426), "43");
        assert_eq!(percent(-0.001), "0");
        assert_eq!(percent(-0.06), "−6");
        assert_eq!(signed_range(&IntervalReport { value: 0.01, low: -0.01, high: 0.03 }), "−1.0 to +3.0");
    }

    #[test]
    fn a_change_that_is_sure_says_which_way() {
        let of = |value, low, high| change(&IntervalReport { value, low, high });
        assert_eq!(of(0.047, 0.024, 0.071), "4.7 points better (2.4 to 7.1)");
        assert_eq!(of(-0.02, -0.03, -0.01), "2.0 points worse (1.0 to 3.0)");
        assert_eq!(of(0.003, -0.01, 0.016), "+0.3 points different (−1.0 to +1.6)");
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
    }
}
