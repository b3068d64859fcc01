//! What is usual: how often something happens in a second, and at which age Pings end, while nothing is
//! recycled.

use std::collections::{BTreeMap, VecDeque};

use scenario::names::Metric;

use crate::timeline::Interval;

/// Share of the open requests that end in the second of a burst. A network that loses single connections
/// stays far below.
const BURST: f64 = 0.1;
/// The same while fewer than [`SETTLED`] seconds were seen.
const UNSETTLED_BURST: f64 = 0.5;
/// Seconds that tell what is usual.
const SETTLED: usize = 5;
/// Least number of requests in a burst: one of three devices is none.
pub(super) const MIN_BURST: u64 = 5;
/// Seconds that are remembered: longer than most timeouts of proxies, after which their devices come again.
const REMEMBERED: usize = 60;
/// A burst exceeds the busiest of the remembered seconds by this factor.
const TIMES: f64 = 2.0;
/// A burst exceeds the mean of the remembered seconds by so many standard deviations of a Poisson process.
const DEVIATIONS: f64 = 5.0;

/// How many of something there are in a second while nothing is recycled.
#[derive(Debug, Default)]
pub(super) struct Usual {
    recent: VecDeque<u64>,
}

impl Usual {
    /// Takes a second in which nothing can be told.
    pub(super) fn learn(&mut self, count: u64) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(count);
    }

    /// Takes a second in. Returns whether `count` endings are a burst, where `open` requests were open.
    pub(super) fn is_burst(&mut self, count: u64, open: f64) -> bool {
        let share = if self.recent.len() < SETTLED {
            UNSETTLED_BURST
        } else {
            BURST
        };
        let number = count as f64;
        let is_burst = count >= MIN_BURST && number >= share * open && number > self.most();
        // A burst is not usual, so that a second one is seen as well.
        if !is_burst {
            self.learn(count);
        }
        is_burst
    }

    fn most(&self) -> f64 {
        let most = self.recent.iter().max().map_or(0.0, |most| *most as f64);
        let mean = self.recent.iter().sum::<u64>() as f64 / self.recent.len().max(1) as f64;
        (TIMES * most).max(mean + DEVIATIONS * mean.sqrt())
    }
}

/// Ages of Pings that ended too early: how many of each age.
#[derive(Debug, Clone, Default)]
pub(super) struct Ages {
    /// By class, each as wide as [`CLASS`].
    counts: BTreeMap<i32, u64>,
}

/// Ages within a twentieth are alike.
const CLASS: f64 = 1.05;
/// Share of the Pings whose age must be alike.
const ALIKE: f64 = 0.8;

impl Ages {
    /// Those of an interval.
    pub(super) fn of(interval: &Interval) -> Self {
        let mut ages = Self::default();
        for metric in [Metric::CutAge, Metric::EarlyAge] {
            let Some(histogram) = interval.latency(metric).and_then(|one| one.histogram()) else {
                continue;
            };
            for bucket in histogram.iter_recorded() {
                let age = bucket.value_iterated_to().max(1) as f64;
                let class = (age.ln() / CLASS.ln()).floor() as i32;
                *ages.counts.entry(class).or_default() += bucket.count_at_value();
            }
        }
        ages
    }

    /// Adds others.
    pub(super) fn add(&mut self, others: &Self) {
        for (class, count) in &others.counts {
            *self.counts.entry(*class).or_default() += count;
        }
    }

    fn all(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Those of a class and its neighbours.
    fn around(&self, class: i32) -> u64 {
        let near = self.counts.range(class - 1..=class + 1);
        near.map(|(_, count)| count).sum()
    }

    /// The class that most are near to, if nearly all are.
    fn common(&self) -> Option<i32> {
        let classes = self.counts.keys().copied();
        let class = classes.max_by_key(|class| self.around(*class))?;
        (self.around(class) as f64 >= ALIKE * self.all() as f64).then_some(class)
    }

    /// Whether a timeout ended these Pings: nearly all ended at one age, and as many others of the run, which
    /// are in `all_of_run`, ended at this age too. A recycle ends Pings of every age.
    pub(super) fn are_a_timeout(&self, all_of_run: &Self) -> bool {
        let Some(class) = self.common() else {
            return false;
        };
        let own = self.around(class);
        let others = all_of_run.around(class).saturating_sub(own);
        others >= MIN_BURST.max(own / 2)
    }
}
