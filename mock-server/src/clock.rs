//! The pool's clock. What takes an Exchange server weeks must fit into minutes, so the life of the
//! pool (ages, schedule, idle and rapid-fail times) runs by a clock of its own, `time_scale` times
//! faster than the devices' and TCP's. It can be moved ahead, never back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};
use mock_api::MockConfig;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How far the clock can be moved ahead. All sums of times stay in range then.
const LONGEST: Duration = Duration::from_secs(1000 * 365 * 86_400);

/// Pool time.
#[derive(Debug)]
pub(crate) struct PoolClock {
    origin: Instant,
    start: Zoned,
    scale: f64,
    advanced: Mutex<Duration>,
}

impl PoolClock {
    /// `start` is the pool time now; `scale` how many pool seconds pass in one.
    pub(crate) fn new(start: Zoned, scale: f64) -> Self {
        Self {
            origin: Instant::now(),
            start,
            scale,
            advanced: Mutex::default(),
        }
    }

    /// The time at which the pool of that configuration starts.
    ///
    /// # Errors
    /// With a text that says what was expected.
    pub(crate) fn start_of(config: &MockConfig) -> Result<Zoned, String> {
        let (zone, start) = config.pool_clock()?;
        match start {
            None => Ok(sim_net::wall_clock::now().to_zoned(zone)),
            Some(civil) => civil.to_zoned(zone).map_err(|error| error.to_string()),
        }
    }

    /// The pool's time at the start.
    pub(crate) fn began(&self) -> Timestamp {
        self.start.timestamp()
    }

    /// Pool time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.origin.elapsed().mul_f64(self.scale) + *self.advanced.lock()
    }

    /// The pool's time without its zone, which costs more to work out than a log line.
    pub(crate) fn timestamp(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        let start = self.start.timestamp();
        start.checked_add(elapsed).unwrap_or(start)
    }

    /// The date and time of the pool.
    pub(crate) fn now(&self) -> Zoned {
        self.at(self.elapsed())
    }

    /// The date and time at that pool time since the start.
    pub(crate) fn at(&self, elapsed: Duration) -> Zoned {
        let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
        // Out of range only after nine thousand years of pool life.
        self.start
            .checked_add(elapsed)
            .unwrap_or_else(|_| self.start.clone())
    }

    /// Moves the clock ahead, a thousand years at most.
    pub(crate) fn advance(&self, by: Duration) {
        let mut advanced = self.advanced.lock();
        *advanced = advanced.saturating_add(by).min(LONGEST);
    }

    /// How long a stretch of pool time really takes.
    pub(crate) fn really(&self, pool_time: Duration) -> Duration {
        Duration::try_from_secs_f64(pool_time.as_secs_f64() / self.scale).unwrap_or(Duration::MAX)
    }

    pub(crate) const fn scale(&self) -> f64 {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn pool_time_really_takes_its_scale_s_share() {
        let clock = |scale| PoolClock::new(Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), scale);
        let day = Duration::from_secs(86_400);
        assert_eq!(clock(1.0).really(day), day);
        assert_eq!(clock(43_200.0).really(day), Duration::from_secs(2));
        assert_eq!(clock(0.0).really(day), Duration::MAX);
    }
}
