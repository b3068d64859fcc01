//! When mails are meant to go, as pure arithmetic: no clock inside, so that no slow server bends it.

use std::time::Duration;

use scenario::{CurvePlan, MailPlan};

/// The instants of a schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    per_second: f64,
    burst: u64,
    curve: Option<Curve>,
}

/// A rate that changes with the hour.
#[derive(Debug, Clone)]
struct Curve {
    /// Seconds of an hour.
    hour: f64,
    /// Seconds of the day at which mail begins.
    from: f64,
    /// What has come by the end of each hour, as a share of the day.
    by: [f64; 24],
}

impl Schedule {
    /// That of a scenario.
    #[must_use]
    pub fn of(mail: &MailPlan) -> Self {
        Self {
            per_second: mail.rate,
            burst: mail.burst.into(),
            curve: mail.curve.as_ref().map(Curve::new),
        }
    }

    /// So many a second.
    #[must_use]
    pub const fn per_second(per_second: f64) -> Self {
        Self {
            per_second,
            burst: 1,
            curve: None,
        }
    }

    /// When the mail of that number, from 0, is due after the start.
    #[must_use]
    pub fn when(&self, number: u64) -> Duration {
        let first_of_burst = number - number % self.burst;
        let seconds = first_of_burst as f64 / self.per_second;
        let seconds = match &self.curve {
            None => seconds,
            Some(curve) => curve.stretched(seconds),
        };
        Duration::from_secs_f64(seconds)
    }
}

impl Curve {
    fn new(plan: &CurvePlan) -> Self {
        let hour = plan.day.as_secs_f64() / 24.0;
        let mut by = [0.0; 24];
        let mut sum = 0.0;
        for (by, weight) in by.iter_mut().zip(CurvePlan::OFFICE_HOURS) {
            sum += weight / 24.0;
            *by = sum;
        }
        // Rounding must leave no mail for a 25th hour.
        by[23] = 1.0;
        Self {
            hour,
            from: plan.from * hour,
            by,
        }
    }

    /// After how many seconds as much has come as would have come in so many at the average rate.
    fn stretched(&self, seconds: f64) -> f64 {
        let day = self.hour * 24.0;
        let wanted = self.share_by(self.from) + seconds / day;
        let (whole, part) = (wanted.floor(), wanted.fract());
        let hour = self.by.iter().position(|by| part < *by).unwrap_or(23);
        let before = if hour == 0 { 0.0 } else { self.by[hour - 1] };
        let within = (part - before) / (self.by[hour] - before);
        whole * day + (hour as f64 + within) * self.hour - self.from
    }

    /// What has come by that second of the day, as a share of it.
    fn share_by(&self, second: f64) -> f64 {
        let hours = second / self.hour;
        let hour = (hours as usize).min(23);
        let before = if hour == 0 { 0.0 } else { self.by[hour - 1] };
        before + (hours - hour as f64) * (self.by[hour] - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, burst: u64, curve: Option<CurvePlan>) -> Schedule {
        Schedule {
            per_second: rate,
            burst,
            curve: curve.as_ref().map(Curve::new),
        }
    }

    /// How many are due by then.
    fn due(schedule: &Schedule, seconds: f64) -> usize {
        let all = (0..).take_while(|number| schedule.when(*number).as_secs_f64() < seconds);
        all.count()
    }

    #[test]
    fn evenly_and_in_bursts() {
        let even = schedule(4.0, 1, None);
        assert_eq!(even.when(0), Duration::ZERO);
        assert_eq!(even.when(9), Duration::from_millis(2250));
        let bursts = schedule(4.0, 20, None);
        assert_eq!(bursts.when(19), Duration::ZERO);
        assert_eq!(bursts.when(20), Duration::from_secs(5));
        assert_eq!(due(&bursts, 99.9), due(&even, 99.9));
    }

    #[test]
    fn office_hours_are_busy_and_nights_are_not() {
        // A day of 240 seconds, an hour of 10: 2,400 mails.
        let from = |from| {
            let day = Duration::from_secs(240);
            schedule(10.0, 1, Some(CurvePlan { day, from }))
        };
        let midnight = from(0.0);
        let by = |hour: f64| due(&midnight, hour * 10.0);
        assert_eq!(by(24.0), 2400);
        assert_eq!(by(48.0), 4800);
        let of_hour = |hour: f64| by(hour + 1.0) - by(hour);
        assert_eq!((of_hour(9.0), of_hour(3.0)), (270, 10));
        // From eight on the first hour is that of eight.
        let morning = from(8.0);
        assert_eq!(due(&morning, 10.0), 220);
        assert_eq!(due(&morning, 240.0), 2400);
        let all = (0..4800).map(|number| morning.when(number));
        assert!(all.is_sorted());
    }
}
