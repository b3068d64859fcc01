//! How long a device asks the server to hold, and what it learns from how that went.

use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::{Fall, HeartbeatPlan, Ladder, MAX_HEARTBEAT};

/// A device's heartbeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Heartbeat {
    /// Asked for next, in seconds.
    seconds: u32,
    /// The longest that has worked on this network; 0 when none has.
    good: u32,
    /// The shortest that has failed on this network.
    failed: u32,
    /// What the server accepts, as it taught.
    least: u32,
    most: u32,
}

/// Nothing has failed.
const NEVER: u32 = u32::MAX;

impl Heartbeat {
    pub(super) fn new(plan: &HeartbeatPlan, random: &mut Xoshiro256PlusPlus) -> Self {
        let seconds = match plan {
            HeartbeatPlan::Fixed(seconds) => *seconds,
            HeartbeatPlan::Drawn { from, to } => random.random_range(*from..=*to),
            HeartbeatPlan::Adaptive(ladder) => ladder.start,
        };
        Self {
            seconds,
            good: 0,
            failed: NEVER,
            least: 1,
            most: MAX_HEARTBEAT,
        }
    }

    pub(super) const fn seconds(&self) -> u32 {
        self.seconds
    }

    /// The server named the nearest value that it accepts; `false` when that is no new one.
    pub(super) fn limit(&mut self, nearest: u32) -> bool {
        if nearest == self.seconds || !(1..=MAX_HEARTBEAT).contains(&nearest) {
            return false;
        }
        if nearest < self.seconds {
            self.most = nearest;
        } else {
            self.least = nearest;
        }
        self.seconds = nearest;
        true
    }

    /// A Ping was answered at its heartbeat: that long works. One that ends early by a change says
    /// nothing of the network.
    pub(super) fn worked(&mut self, plan: &HeartbeatPlan) {
        let HeartbeatPlan::Adaptive(ladder) = plan else {
            return;
        };
        self.good = self.good.max(self.seconds);
        if self.failed != NEVER && !ladder.rises_again {
            return;
        }
        let above = ladder
            .steps
            .iter()
            .copied()
            .find(|step| *step > self.seconds);
        if let Some(step) = above.filter(|step| *step < self.failed) {
            self.set(step);
        }
    }

    /// A Ping ended without an answer: so long is too long, or the server was not there, which a
    /// device cannot tell apart.
    pub(super) fn failed(&mut self, plan: &HeartbeatPlan) {
        let HeartbeatPlan::Adaptive(ladder) = plan else {
            return;
        };
        self.failed = self.failed.min(self.seconds);
        if self.good >= self.failed {
            self.good = 0;
        }
        self.set(self.below(ladder));
    }

    fn below(&self, ladder: &Ladder) -> u32 {
        let bottom = ladder.steps.first().copied().unwrap_or(self.seconds);
        match ladder.fall {
            Fall::Bottom if self.good > 0 => self.good,
            Fall::Bottom => bottom,
            Fall::Step => {
                let below = ladder.steps.iter().rev().find(|step| **step < self.seconds);
                below.copied().unwrap_or(bottom)
            }
        }
    }

    /// Another network: what was learned of the last one does not hold.
    pub(super) fn new_network(&mut self, plan: &HeartbeatPlan) {
        if let HeartbeatPlan::Adaptive(ladder) = plan {
            (self.good, self.failed) = (0, NEVER);
            self.set(ladder.start);
        }
    }

    fn set(&mut self, seconds: u32) {
        self.seconds = seconds.clamp(self.least, self.most.max(self.least));
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    /// Plays answers (`+`), failures (`-`) and changes of network (`n`) and lists the heartbeats.
    fn played(plan: &HeartbeatPlan, story: &str) -> Vec<u32> {
        let mut heartbeat = Heartbeat::new(plan, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let mut seen = vec![heartbeat.seconds()];
        for event in story.chars() {
            match event {
                '+' => heartbeat.worked(plan),
                '-' => heartbeat.failed(plan),
                _ => heartbeat.new_network(plan),
            }
            seen.push(heartbeat.seconds());
        }
        seen
    }

    #[test]
    fn aosp_rises_by_180_s_and_after_a_failure_never_again_on_that_network() {
        let plan = HeartbeatPlan::Adaptive(Ladder::aosp());
        assert_eq!(played(&plan, "++++"), [470, 650, 830, 1010, 1010]);
        assert_eq!(played(&plan, "++-+++"), [470, 650, 830, 650, 650, 650, 650]);
        assert_eq!(played(&plan, "---+"), [470, 290, 290, 290, 290]);
        assert_eq!(played(&plan, "-+n+"), [470, 290, 290, 470, 650]);
    }

    #[test]
    fn direct_push_falls_to_8_minutes_and_keeps_the_last_good_value() {
        let plan = HeartbeatPlan::Adaptive(Ladder::direct_push());
        // The example of Microsoft's description: a timeout at 15, then 8, 12, and not 16.
        assert_eq!(played(&plan, "-+++"), [900, 480, 720, 720, 720]);
        assert_eq!(played(&plan, "++"), [900, 960, 960]);
        assert_eq!(played(&plan, "+-+"), [900, 960, 900, 900]);
        assert_eq!(played(&plan, "-+-"), [900, 480, 720, 480]);
        // What has worked may fail later: down to what the ladder has, and no value in between.
        assert_eq!(played(&plan, "++-+"), [900, 960, 960, 480, 720]);
        assert_eq!(played(&plan, "-+--"), [900, 480, 720, 480, 480]);
    }

    #[test]
    fn a_server_s_bounds_hold_for_what_comes_after() {
        let plan = HeartbeatPlan::Adaptive(Ladder::aosp());
        let mut heartbeat = Heartbeat::new(&plan, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        assert!(heartbeat.limit(300));
        assert!(!heartbeat.limit(300) && !heartbeat.limit(0) && !heartbeat.limit(4000));
        heartbeat.worked(&plan);
        assert_eq!(heartbeat.seconds(), 300);
        heartbeat.failed(&plan);
        assert_eq!(heartbeat.seconds(), 290);
    }

    #[test]
    fn a_drawn_heartbeat_is_within_its_range_and_stays() {
        let plan = HeartbeatPlan::Drawn { from: 60, to: 600 };
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let drawn: Vec<u32> = (0..200)
            .map(|_| Heartbeat::new(&plan, &mut random).seconds())
            .collect();
        assert!(drawn.iter().all(|seconds| (60..=600).contains(seconds)));
        assert!(drawn.iter().min() < Some(&100) && drawn.iter().max() > Some(&560));
        assert!(
            played(&plan, "+-+")
                .windows(2)
                .all(|pair| pair[0] == pair[1])
        );
    }
}
