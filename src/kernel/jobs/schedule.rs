//! When a job is due: a cron expression, or never.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};

use crate::kernel::clock::Millis;

/// A checked schedule.
#[derive(Clone, Debug)]
pub struct Schedule(Option<cron::Schedule>);

impl Schedule {
    /// Reads a cron expression of six or seven fields (seconds first, UTC), or `off`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let form = "must be off or a cron expression with seconds, in UTC, such as «0 30 3 * * *» (each day at 03:30)";
        let schedule = cron::Schedule::from_str(text).map_err(|error| {
            let why: Vec<_> = error.to_string().split_whitespace().map(str::to_owned).collect();
            format!("{form}: {}", why.join(" "))
        })?;
        // 31 February passes the library's grammar.
        match schedule.after(&DateTime::<Utc>::UNIX_EPOCH).next() {
            Some(_) => Ok(Self(Some(schedule))),
            None => Err(format!("{form}: that day never comes")),
        }
    }

    /// The first tick after a moment; none for `off`, or when there is no later one.
    #[must_use]
    pub fn after(&self, moment: Millis) -> Option<Millis> {
        let next = self.0.as_ref()?.after(&moment.to_utc()).next()?;
        Some(Millis(next.timestamp_millis()))
    }

    /// The last tick up to a moment.
    #[must_use]
    pub fn up_to(&self, moment: Millis) -> Option<Millis> {
        // The library looks before a whole second.
        let second = Millis(moment.0.div_euclid(1000) * 1000 + 1000);
        let last = self.0.as_ref()?.after(&second.to_utc()).next_back()?;
        Some(Millis(last.timestamp_millis()))
    }

    /// Whether it is `off`.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_on_both_sides() {
        let day = Millis(1_767_225_600_000);
        let daily = Schedule::parse("0 30 3 * * *").unwrap();
        let tick = day.plus(3 * Millis::HOUR + 1_800_000);
        assert_eq!(daily.after(day), Some(tick));
        assert_eq!(daily.after(tick.plus(-1)), Some(tick));
        assert_eq!(daily.after(tick), Some(tick.plus(Millis::DAY)));
        assert_eq!(daily.up_to(tick), Some(tick));
        assert_eq!(daily.up_to(tick.plus(999)), Some(tick));
        assert_eq!(daily.up_to(tick.plus(-1)), Some(tick.plus(-Millis::DAY)));
        assert_eq!(daily.up_to(tick.plus(Millis::DAY * 5 + 12)), Some(tick.plus(Millis::DAY * 5)));
        let each_second = Schedule::parse("* * * * * *").unwrap();
        assert_eq!(each_second.after(day), Some(day.plus(1000)));
        assert_eq!(each_second.up_to(day.plus(1500)), Some(day.plus(1000)));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        assert!(Schedule::parse("off").unwrap().is_off());
        for wrong in
            ["", "never", "OFF", "* * * * *", "61 * * * * *", "0 0 0 31 2 *", "0 0 25 * * *", "0 0 0 * * * 1969"]
        {
            let problem = Schedule::parse(wrong).expect_err(wrong);
            assert!(problem.contains("cron expression"), "{wrong}: {problem}");
        }
    }
}
