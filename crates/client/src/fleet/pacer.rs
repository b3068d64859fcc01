//! When the next event is due, as pure arithmetic from elapsed time and count: no clock inside.

use std::time::Duration;

/// Evenly spaced events at a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pacer {
    per_second: f64,
}

impl Pacer {
    /// So many a second; must be above 0.
    #[must_use]
    pub const fn per_second(per_second: f64) -> Self {
        Self { per_second }
    }

    /// So many over a time; all at once if that is zero.
    #[must_use]
    pub fn over(count: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self {
            per_second: if seconds > 0.0 {
                count as f64 / seconds
            } else {
                f64::INFINITY
            },
        }
    }

    /// Events per second.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.per_second
    }

    /// Events due by then, the first at time zero.
    #[must_use]
    pub fn due(&self, elapsed: Duration) -> u64 {
        // A float cast saturates, which is right for an infinite rate.
        (elapsed.as_secs_f64() * self.per_second + 1.0 + 1e-9).min(u64::MAX as f64) as u64
    }

    /// When the event of that number, from 0, is due.
    #[must_use]
    pub fn when(&self, number: u64) -> Duration {
        // Rounded up, so that at that instant the event is due.
        Duration::from_nanos((number as f64 / self.per_second * 1e9).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_and_when_agree() {
        for rate in [0.1, 1.0, 3.0, 20.0, 4999.5] {
            let pacer = Pacer::per_second(rate);
            for number in [0, 1, 2, 7, 100, 12_345] {
                assert_eq!(
                    pacer.due(pacer.when(number)),
                    number + 1,
                    "{rate}/s, event {number}"
                );
            }
        }
    }

    #[test]
    fn table() {
        let pacer = Pacer::over(500, Duration::from_secs(5));
        for (millis, due) in [(0, 1), (9, 1), (10, 2), (1000, 101), (4999, 500)] {
            assert_eq!(pacer.due(Duration::from_millis(millis)), due, "{millis} ms");
        }
        let at_once = Pacer::over(500, Duration::ZERO);
        assert!(at_once.due(Duration::ZERO) >= 500);
        assert_eq!(at_once.when(499), Duration::ZERO);
    }
}
