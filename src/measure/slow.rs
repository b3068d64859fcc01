//! Syncs that are slow for the run, and users whose Syncs are slow one after the other.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// A slow Sync takes at least this many times as long as the usual one. Latencies of one server vary by less: of
/// exponential ones, 3 in 100 exceed five medians.
const SLOW: u64 = 5;
/// A faster Sync is not slow, whatever is usual: nobody notices.
const NOTICED: Duration = Duration::from_millis(200);
/// A user with this many slow Syncs in a row is slow.
const RUN: u8 = 3;
/// By what part the usual Sync follows that of a second: down quickly, because the first Syncs of a run are the long
/// ones, and up slowly, because a server that gets slow is not usual.
const DOWN: f64 = 0.5;
const UP: f64 = 0.05;

/// Slow Syncs of a run.
#[derive(Debug)]
pub(super) struct SlowSyncs {
    /// The user of each device.
    user_of: Box<[u32]>,
    /// Slow Syncs in a row, by user.
    runs: Box<[AtomicU8]>,
    /// The usual Sync in microseconds; 0 while it is not known.
    usual: AtomicU64,
}

impl SlowSyncs {
    /// `user_of[n]` is the user of device n.
    pub(super) fn new(user_of: &[u32]) -> Self {
        let users = user_of.iter().max().map_or(0, |most| *most as usize + 1);
        Self {
            user_of: user_of.into(),
            runs: (0..users).map(|_| AtomicU8::new(0)).collect(),
            usual: AtomicU64::new(0),
        }
    }

    /// Takes a Sync in. `None` if it is not slow; otherwise whether the user's Sync before it was slow as well.
    pub(super) fn push(&self, device: u32, latency: Duration) -> Option<bool> {
        let user = *self.user_of.get(device as usize)?;
        let run = self.runs.get(user as usize)?;
        let usual = self.usual.load(Ordering::Relaxed);
        let bound = Duration::from_micros(usual.saturating_mul(SLOW)).max(NOTICED);
        let is_slow = usual > 0 && latency >= bound;
        // Two devices of a user may report at the same time.
        let next = |before: u8| Some(if is_slow { before.saturating_add(1) } else { 0 });
        let before = run.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        is_slow.then_some(before.is_ok_and(|before| before > 0))
    }

    /// Learns the median of a second, in microseconds.
    pub(super) fn learn(&self, median: u64) {
        let usual = self.usual.load(Ordering::Relaxed) as f64;
        let median = median as f64;
        let next = if usual == 0.0 {
            median
        } else {
            usual + if median < usual { DOWN } else { UP } * (median - usual)
        };
        self.usual.store((next as u64).max(1), Ordering::Relaxed);
    }

    /// Users whose last three Syncs were slow.
    pub(super) fn users(&self) -> u64 {
        let runs = self.runs.iter();
        let slow = runs.filter(|run| run.load(Ordering::Relaxed) >= RUN);
        slow.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(1);

    fn after_a_second() -> SlowSyncs {
        // Devices 1 and 2 are the same user's.
        let slow = SlowSyncs::new(&[0, 1, 1, 2]);
        slow.learn(USUAL.as_micros() as u64);
        slow
    }

    #[test]
    fn user_is_slow_after_three_slow_syncs_in_a_row() {
        let slow = after_a_second();
        assert_eq!(slow.push(0, USUAL), None);
        assert_eq!(slow.push(1, LONG), Some(false));
        assert_eq!(slow.push(2, LONG), Some(true));
        assert_eq!(slow.users(), 0);
        assert_eq!(slow.push(1, LONG), Some(true));
        assert_eq!(slow.users(), 1);
        assert_eq!(slow.push(1, LONG), Some(true));
        assert_eq!(slow.users(), 1);
        assert_eq!(slow.push(2, USUAL), None);
        assert_eq!(slow.users(), 0);
        assert_eq!(slow.push(9, LONG), None, "no device of the run");
    }

    #[test]
    fn sync_is_slow_from_five_times_the_usual_one_and_200_ms_on() {
        let slow = after_a_second();
        let millis = Duration::from_millis;
        assert_eq!(slow.push(0, millis(249)), None);
        assert_eq!(slow.push(0, millis(250)), Some(false));
        let quick = SlowSyncs::new(&[0]);
        assert_eq!(quick.push(0, LONG), None, "nothing is usual yet");
        quick.learn(1_000);
        assert_eq!(quick.push(0, millis(199)), None);
        assert_eq!(quick.push(0, millis(200)), Some(false));
    }

    /// The first Syncs of a run are long, and a server that gets slow is not usual for a while.
    #[test]
    fn usual_sync_falls_quickly_and_rises_slowly() {
        let slow = SlowSyncs::new(&[0]);
        let usual = || slow.usual.load(Ordering::Relaxed);
        slow.learn(4_800_000);
        for _ in 0..10 {
            slow.learn(20_000);
        }
        assert!(usual() < 30_000, "{}", usual());
        for _ in 0..10 {
            slow.learn(400_000);
        }
        assert!((100_000..250_000).contains(&usual()), "{}", usual());
    }
}
