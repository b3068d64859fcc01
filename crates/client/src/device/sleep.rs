//! A device that falls asleep now and then: its radio goes off in the middle of a Ping, without a word,
//! and comes back much later.

use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::SleepPlan;
use tokio::time::{Duration, Instant};

use super::profile::{Fate, NetworkLoss, between, device_random};
use crate::transport::Abandon;

/// Its source of chance is apart from those of flights, which are numbered from 0.
const NUMBER: u32 = u32::MAX;

/// When a device falls asleep next, and for how long.
#[derive(Debug)]
pub(super) struct Sleep {
    random: Xoshiro256PlusPlus,
    at: Instant,
    asleep: Duration,
}

impl Sleep {
    /// Of a device that is awake from now on.
    pub(super) fn new(plan: &SleepPlan, luck: u64) -> Self {
        let mut sleep = Self {
            random: device_random(luck, NUMBER),
            at: Instant::now(),
            asleep: Duration::ZERO,
        };
        sleep.wake(plan);
        sleep
    }

    /// The device is awake from now on.
    pub(super) fn wake(&mut self, plan: &SleepPlan) {
        let awake = between(&(plan.awake.0..=plan.awake.1), &mut self.random);
        self.at = Instant::now() + awake;
        self.asleep = between(&(plan.asleep.0..=plan.asleep.1), &mut self.random);
    }

    /// What it does to a request sent then.
    pub(super) fn fate(&self, now: Instant) -> Fate {
        Fate {
            after: self.at.saturating_duration_since(now),
            how: Abandon::Silence,
            away: self.asleep,
            loss: NetworkLoss::Slept,
        }
    }
}
