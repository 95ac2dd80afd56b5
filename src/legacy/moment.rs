//! Moments as other systems write them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone as _};

use crate::kernel::clock::Millis;

/// The moment that a text is: with an offset of its own, else with `offset`; or a number of seconds, milliseconds or
/// microseconds since 1970, which its size tells apart. `None` for anything else, and for years before 1971: a zero that
/// stands for «never» is no moment.
#[must_use]
pub fn parse(text: &str, offset: FixedOffset) -> Option<Millis> {
    let text = text.trim();
    let millis = number(text).or_else(|| of_date(text, offset))?;
    (millis >= 365 * Millis::DAY).then_some(Millis(millis))
}

fn number(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let millis = match number {
        // Seconds until the year 5138, milliseconds likewise.
        n if n < 1e11 => n * 1e3,
        n if n < 1e14 => n,
        n if n < 1e17 => n / 1e3,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "below 1e14")]
    let millis = millis.round() as i64;
    Some(millis)
}

fn of_date(text: &str, offset: FixedOffset) -> Option<i64> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment.timestamp_millis());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Some(moment.timestamp_millis());
        }
    }
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let naive = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).or_else(day)?;
    offset.from_local_datetime(&naive).single().map(|moment| moment.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_many_forms() {
        let china = FixedOffset::east_opt(8 * 3600).unwrap();
        let due = Millis(1_767_225_600_000);
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01 00:00:00+00",
            "2026-01-01 08:00:00.000+08:00",
            "2026-01-01 08:00:00",
            "2026-01-01T08:00:00.000",
            "1767225600",
            "1767225600.0",
            "1767225600000",
            "1767225600000000",
        ] {
            assert_eq!(parse(text, china), Some(due), "{text}");
        }
        for text in ["", "0", "-5", "NaN", "yesterday", "0000-00-00 00:00:00", "1970-01-01", "2026-13-01", "1e40"] {
            assert_eq!(parse(text, china), None, "{text}");
        }
    }
}
