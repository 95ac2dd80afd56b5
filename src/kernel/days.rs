//! Days are those of the configured time zone: 23 or 25 hours long when its clocks are changed.

use chrono::{Offset as _, TimeZone as _};
use chrono_tz::Tz;

use super::clock::Millis;
use super::config::Settings;
use super::error::{Error, Result};

/// The key of the time zone.
pub const TIME_ZONE: &str = "days.time_zone";

/// The calendar of a time zone.
#[derive(Clone, Copy, Debug)]
pub struct Days(Tz);

impl Days {
    /// That of the settings.
    ///
    /// # Errors
    /// For a zone that is none, which no checked setting holds.
    pub fn of(settings: &Settings) -> Result<Self> {
        Self::of_zone(settings.text(TIME_ZONE))
    }

    /// That of a time zone of the IANA database.
    ///
    /// # Errors
    /// For a name that is none of a zone.
    pub fn of_zone(name: &str) -> Result<Self> {
        name.parse().map(Self).map_err(|_| Error::internal(format!("{TIME_ZONE}: {name} is no time zone")))
    }

    /// The day of a moment, as days since 1970-01-01.
    #[must_use]
    pub fn day(&self, at: Millis) -> i64 {
        let offset = self.0.offset_from_utc_datetime(&at.to_utc().naive_utc()).fix().local_minus_utc();
        at.plus(i64::from(offset) * 1000).0.div_euclid(Millis::DAY)
    }
}

/// Takes the names of time zones.
///
/// # Errors
/// What it must be.
pub fn zone_form(name: &str) -> std::result::Result<(), String> {
    let known = name.parse::<Tz>().map(drop);
    known.map_err(|_| "must be a time zone of the IANA database, such as Asia/Shanghai or UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Millis {
        Millis(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn length_of_the_day(zone: &str, noon: &str) -> i64 {
        let days = Days(zone.parse().unwrap());
        let today = days.day(moment(noon));
        let minutes = (-2000..2000).map(|minute| moment(noon).plus(minute * 60_000));
        minutes.filter(|at| days.day(*at) == today).count().try_into().unwrap()
    }

    #[test]
    fn a_day_is_as_long_as_its_clocks_make_it() {
        for (zone, noon, hours) in [
            ("America/New_York", "2026-03-08T12:00:00-04:00", 23),
            ("America/New_York", "2026-11-01T12:00:00-05:00", 25),
            ("Europe/Berlin", "2026-07-01T12:00:00+02:00", 24),
            ("Asia/Shanghai", "2026-03-08T12:00:00+08:00", 24),
        ] {
            assert_eq!(length_of_the_day(zone, noon), hours * 60, "{zone} {noon}");
        }
        let shanghai = Days("Asia/Shanghai".parse().unwrap());
        assert_eq!(shanghai.day(moment("1970-01-01T15:59:59Z")), 0);
        assert_eq!(shanghai.day(moment("1970-01-01T16:00:00Z")), 1);
        assert_eq!(shanghai.day(moment("1969-12-31T15:59:59Z")), -1);
        // Moments that no calendar holds have days, too.
        assert!(shanghai.day(Millis(i64::MIN)) < shanghai.day(Millis(i64::MAX)));
    }

    #[test]
    fn a_zone_that_is_none_is_refused() {
        assert!(zone_form("Asia/Shanghai").is_ok() && zone_form("UTC").is_ok());
        for wrong in ["", "Shanghai", "+08:00", "asia/shanghai", "Asia/Shanghai "] {
            assert!(zone_form(wrong).is_err(), "{wrong}");
        }
    }
}
