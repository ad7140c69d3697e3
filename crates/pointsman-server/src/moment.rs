//! Moments: microseconds since 1970-01-01 UTC, as RFC 3339 writes them, and what of a day and a week they are.

use toml::value::{Datetime, Offset};

/// Microseconds of an hour and of a day.
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// The moment of an RFC 3339 text, such as `2027-01-31T00:00:00Z`; `None` for any other, one without a zone or without
/// seconds among them.
pub(crate) fn moment(text: &str) -> Option<i64> {
    let Datetime { date, time, offset } = text.parse().ok()?;
    let (date, time, offset) = (date?, time?, offset?);
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = i64::from(time.hour) * 3_600 + (i64::from(time.minute) - minutes) * 60 + i64::from(time.second?);
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    Some(days * DAY_US + seconds * 1_000_000 + i64::from(time.nanosecond.unwrap_or_default() / 1_000))
}

/// The hour of the day, UTC, 0 to 23.
pub(crate) fn hour(at_us: i64) -> i64 {
    at_us.rem_euclid(DAY_US) / HOUR_US
}

/// The day of the week, UTC: 1 is Monday, 7 Sunday.
pub(crate) fn weekday(at_us: i64) -> i64 {
    // 1970 began on a Thursday.
    (at_us.div_euclid(DAY_US) + 3).rem_euclid(7) + 1
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, by eras of 400 years that begin in March: so the day that
/// comes and goes is the last of its year.
///
/// # References
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_moment() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2027-01-31T00:00:00Z", Some(1_801_353_600_000_000)),
            ("2000-02-29T23:59:59.5Z", Some(951_868_799_500_000)),
            ("2026-03-01T01:30:00+01:00", Some(1_772_325_000_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000)),
            ("2027-01-31", None),
            ("2027-01-31T00:00:00", None),
            ("2027-01-31T00:00Z", None),
            ("2027-02-29T00:00:00Z", None),
            ("2027-13-01T00:00:00Z", None),
            ("00:00:00", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
    }

    #[test]
    fn days_have_hours_and_weeks_have_days() {
        // A Sunday, and the Monday behind it.
        for (text, expected) in [
            ("2026-11-29T23:59:59Z", (23, 7)),
            ("2026-11-30T00:00:00Z", (0, 1)),
            ("1969-12-31T12:00:00Z", (12, 3)),
            ("2026-11-30T00:30:00+01:00", (23, 7)),
        ] {
            let at_us = moment(text).expect("valid");
            assert_eq!((hour(at_us), weekday(at_us)), expected, "{text}");
        }
    }
}
