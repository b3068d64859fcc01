//! Exchange's watch over the heartbeats that devices ask for: a low average means that something
//! between them and the server cuts long requests, such as a firewall (KB 905013).

use std::collections::VecDeque;

/// Intervals averaged: `HeartbeatSampleSize` as shipped.
pub(crate) const SAMPLE: usize = 200;
/// Average at or below which the event is due, in seconds: `HeartbeatAlertThreshold` as shipped.
pub(crate) const THRESHOLD: u32 = 540;

/// The average of the newest intervals.
#[derive(Debug, Default)]
pub(crate) struct HeartbeatAverage {
    /// Oldest first, at most [`SAMPLE`].
    intervals: VecDeque<u32>,
    sum: u64,
    /// How many intervals must come before the event may be due again.
    quiet: usize,
}

impl HeartbeatAverage {
    /// Adds the interval of one Ping, in seconds as the device asked for it, whatever the time
    /// scale. True when event 3033 is due.
    ///
    /// It is due when the sample is full and its average at or below [`THRESHOLD`]. Then it is
    /// due again only after the average has been above, or after [`SAMPLE`] more intervals: an
    /// event for every Ping would flood the log, and until the sample is renewed the average
    /// repeats what was reported. How often Exchange repeats it is not published.
    pub(crate) fn push(&mut self, seconds: u32) -> bool {
        self.sum += u64::from(seconds);
        self.intervals.push_back(seconds);
        if self.intervals.len() > SAMPLE {
            let oldest = self.intervals.pop_front().unwrap_or_default();
            self.sum -= u64::from(oldest);
        }
        self.quiet = self.quiet.saturating_sub(1);
        // The sum, because a rounded average would call 540.9 a 540.
        let is_low = self.sum <= u64::from(THRESHOLD) * SAMPLE as u64;
        if self.intervals.len() < SAMPLE {
            return false;
        }
        if !is_low {
            self.quiet = 0;
            return false;
        }
        if self.quiet > 0 {
            return false;
        }
        self.quiet = SAMPLE;
        true
    }

    /// The average in whole seconds, rounded down; zero without intervals.
    pub(crate) fn average(&self) -> u32 {
        let count = self.intervals.len() as u64;
        let average = self.sum.checked_div(count).unwrap_or_default();
        u32::try_from(average).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(heartbeats: &mut HeartbeatAverage, seconds: u32, count: usize) -> Vec<usize> {
        (1..=count).filter(|_| heartbeats.push(seconds)).collect()
    }

    #[test]
    fn due_with_a_full_sample_and_once_per_sample() {
        let mut heartbeats = HeartbeatAverage::default();
        assert_eq!(due(&mut heartbeats, 540, 650), [200, 400, 600]);
        assert_eq!(heartbeats.average(), 540);
    }

    #[test]
    fn one_second_more_in_the_whole_sample_is_enough() {
        let mut heartbeats = HeartbeatAverage::default();
        assert_eq!(due(&mut heartbeats, 540, 199), Vec::<usize>::new());
        assert!(!heartbeats.push(541));
        assert_eq!(heartbeats.average(), 540);
    }

    #[test]
    fn due_again_once_it_was_above() {
        let mut heartbeats = HeartbeatAverage::default();
        assert_eq!(due(&mut heartbeats, 480, 200), [200]);
        // (200 - n) * 480 + n * 3540 > 540 * 200 for n = 4.
        assert_eq!(due(&mut heartbeats, 3540, 4), Vec::<usize>::new());
        assert_eq!(heartbeats.average(), 541);
        // The high ones leave the sample after 196 more.
        assert_eq!(due(&mut heartbeats, 480, 200), [197]);
    }

    #[test]
    fn no_average_without_intervals() {
        assert_eq!(HeartbeatAverage::default().average(), 0);
    }
}
