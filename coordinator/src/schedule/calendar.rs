//! When a schedule fires.
//!
//! Always holds: time is an argument. A firing is an instant of universal time, so that a
//! day that has an hour twice, or lacks one, gives each firing once: one whose hour is lacking
//! comes at the end of the gap, one whose hour comes twice at its first.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use serde::{Deserialize, Serialize};

/// Seconds since 1970, of universal time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(pub i64);

/// How an instant is written in keys.
const FORMAT: &str = "%Y%m%dT%H%M%SZ";

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::from_timestamp(self.0, 0).unwrap_or_default();
        write!(f, "{}", time.format(FORMAT))
    }
}

impl FromStr for Instant {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(NaiveDateTime::parse_from_str(text, FORMAT)?.and_utc().timestamp()))
    }
}

impl Instant {
    /// As people in a time zone write it.
    #[must_use]
    pub fn local(self, zone: Tz) -> String {
        let time: DateTime<Utc> = DateTime::from_timestamp(self.0, 0).unwrap_or_default();
        time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }
}

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Calendar {
    cron: Cron,
    /// The time zone.
    pub zone: Tz,
}

impl Calendar {
    /// The calendar of a cron expression of five fields in a time zone of the IANA's names.
    ///
    /// # Errors
    /// What is wrong with either, and what is right.
    pub fn new(cron: &str, zone: &str) -> Result<Self, String> {
        // Six fields would begin with seconds: more likely, one is too many.
        let fields = cron.split_whitespace().count();
        let parsed = match fields {
            5 => Cron::from_str(cron).map_err(|error| error.to_string()),
            n => Err(format!("it has {n} fields")),
        };
        let parsed = parsed.map_err(|error| {
            format!(
                "'{cron}' is no cron expression ({error}): write five fields, minute, hour, day, \
                 month, weekday, such as \"0 2 * * *\" for every night at two"
            )
        })?;
        let zone = zone.parse().map_err(|_| {
            format!("'{zone}' is no time zone: write a name such as Europe/Rome or UTC")
        })?;
        let calendar = Self { cron: parsed, zone };
        match calendar.next(Instant(0)) {
            Some(_) => Ok(calendar),
            None => Err(format!("'{cron}' never fires: there is no such day")),
        }
    }

    /// The first firing after an instant.
    #[must_use]
    pub fn next(&self, after: Instant) -> Option<Instant> {
        let after = DateTime::from_timestamp(after.0, 0)?.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        Some(Instant(next.timestamp()))
    }

    /// The last firing after an instant and not after another, and how many there were
    /// before it, counted as far as a thousand.
    #[must_use]
    pub fn last(&self, after: Instant, until: Instant) -> Option<(Instant, u64)> {
        let mut last = self.next(after).filter(|first| *first <= until)?;
        let mut missed = 0;
        while let Some(next) = self.next(last).filter(|next| *next <= until) {
            if missed == 1000 {
                // A clock that was years behind: no one wants each minute of them.
                let near = Instant(until.0 - (until.0 - next.0).min(40 * 24 * 3600));
                let found = self.last(near.max(next), until);
                return found.map(|(last, _)| (last, missed)).or(Some((next, missed)));
            }
            missed += 1;
            last = next;
        }
        Some((last, missed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(cron: &str, after: &str, n: usize) -> Vec<String> {
        let calendar = Calendar::new(cron, "Europe/Rome").unwrap();
        let mut at: Instant = after.parse().unwrap();
        let next = |_| {
            at = calendar.next(at).unwrap();
            at.local(calendar.zone)
        };
        (0..n).map(next).collect()
    }

    #[test]
    fn an_hour_that_is_lacking_or_comes_twice_fires_once() {
        assert_eq!(
            local("30 2 * * *", "20260327T120000Z", 3),
            ["2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"]
        );
        assert_eq!(
            local("30 2 * * *", "20261024T120000Z", 2),
            ["2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"]
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_is_right() {
        let refused = |cron, zone| Calendar::new(cron, zone).unwrap_err();
        assert!(refused("at two", "UTC").contains("five fields"));
        assert!(refused("0 2 * * * *", "UTC").contains("it has 6 fields"));
        assert!(refused("@daily", "UTC").contains("it has 1 fields"));
        assert!(refused("0 2 * * *", "Rome").contains("Europe/Rome"));
        assert!(refused("0 0 30 2 *", "UTC").contains("never"));
    }

    #[test]
    fn the_last_is_found_among_many() {
        let calendar = Calendar::new("* * * * *", "UTC").unwrap();
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let last = |after, until| calendar.last(at(after), at(until));
        assert_eq!(last("20260101T000000Z", "20260101T000030Z"), None);
        let found = last("20260101T000000Z", "20260101T000330Z");
        assert_eq!(found, Some((at("20260101T000300Z"), 2)));
        let found = last("20200101T000000Z", "20260101T000330Z");
        assert_eq!(found, Some((at("20260101T000300Z"), 1000)));
    }

    #[test]
    fn instants_are_read_back() {
        let text = "20261126T010203Z";
        assert_eq!(text.parse::<Instant>().unwrap().to_string(), text);
        assert!("2026".parse::<Instant>().is_err());
    }
}
