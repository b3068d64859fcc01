//! A level that must follow what the devices have open.

use std::collections::{BTreeMap, VecDeque};

use super::second::{Events, MOST, PROMPT, Second};
use super::{Doubt, DoubtKind, name};

/// Seconds between two readings that are looked at.
const MOST_SECONDS: usize = 120;

/// A stretch in which the reading did not change.
#[derive(Debug, Clone)]
struct Stretch {
    value: f64,
    since: f64,
    until: f64,
    readings: u64,
    /// The fewest and the most requests that devices had open, at moments which the last reading must know of.
    open: Option<(f64, f64)>,
    /// What they had open since: the reading may be of a moment before.
    recent: VecDeque<(f64, f64)>,
}

impl Stretch {
    fn new(second: &Second, value: f64) -> Self {
        Self {
            value,
            since: second.t,
            until: second.t,
            readings: second.readings,
            open: None,
            recent: VecDeque::new(),
        }
    }

    /// Adds a second with the same reading, in which devices have `open` requests open.
    fn extend(&mut self, second: &Second, open: f64) {
        self.until = second.t;
        self.recent.push_back((second.t, open));
        let lag = PROMPT + second.period;
        while let Some((at, open)) = self.recent.front().copied()
            && at + lag <= second.t
        {
            let (fewest, most) = self.open.unwrap_or((open, open));
            self.open = Some((fewest.min(open), most.max(open)));
            self.recent.pop_front();
        }
    }

    /// Whether an honest level would have moved.
    fn is_frozen(&self, readings: u64) -> bool {
        /// Seconds, and readings of the slowest source.
        const SECONDS: f64 = 10.0;
        const READINGS: u64 = 5;
        /// What devices had open must have changed by this share of the most, and by this number.
        const SHARE: f64 = 0.2;
        const NUMBER: f64 = 10.0;
        let Some((fewest, most)) = self.open else {
            return false;
        };
        self.until - self.since >= SECONDS
            && readings - self.readings >= READINGS
            && most - fewest >= NUMBER.max(SHARE * most)
    }
}

/// Seconds of a phase in which the reading was too low.
#[derive(Debug, Clone, Copy, Default)]
struct Low {
    seconds: u32,
    below: u32,
    /// Reading and what devices surely had open, where the difference was largest.
    worst: (f64, f64),
}

/// What is known of one level.
#[derive(Debug, Clone)]
pub(super) struct Level {
    gauge: &'static str,
    devices: f64,
    /// The last reading.
    before: Option<f64>,
    stretch: Option<Stretch>,
    frozen: Option<Stretch>,
    /// By phase.
    low: BTreeMap<String, Low>,
    /// What devices held in the last seconds, and what was cut in each.
    held: VecDeque<(f64, f64)>,
    /// What devices had open, and what was cut, in each second since two seconds before the last reading.
    since: VecDeque<(f64, f64)>,
    /// Rises and falls that nothing the devices did explains.
    swings: (u32, u32),
    largest_swing: (f64, f64),
    wrapped: Option<f64>,
    /// When half of the devices had a request open, and when the level first said so.
    half: (Option<f64>, Option<f64>),
    /// The level was seen below that half afterwards.
    was_low: bool,
    /// When it fell by a third from one reading to the next.
    falls: Vec<f64>,
    /// A fall without a cut, to a level below what devices held.
    lost: Option<(f64, f64, f64, f64)>,
}

impl Level {
    pub(super) fn new(gauge: &'static str) -> Self {
        Self {
            gauge,
            devices: 0.0,
            before: None,
            stretch: None,
            frozen: None,
            low: BTreeMap::new(),
            held: VecDeque::new(),
            since: VecDeque::new(),
            swings: (0, 0),
            largest_swing: (0.0, 0.0),
            wrapped: None,
            half: (None, None),
            was_low: false,
            falls: Vec::new(),
            lost: None,
        }
    }

    /// `open` is what an honest level would count at least.
    pub(super) fn push(&mut self, second: &Second, value: Option<f64>, open: f64) {
        /// 2³¹ less what a counter may be below zero.
        const HUGE: f64 = 2_147_000_000.0;
        self.devices = self.devices.max(second.devices);
        self.half(second, value, open);
        let keep = 4 + second.period.ceil() as usize;
        self.held.push_back((second.holding, second.cut));
        while self.held.len() > keep {
            self.held.pop_front();
        }
        self.since.push_back((open, second.cut));
        while self.since.len() > MOST_SECONDS {
            self.since.pop_front();
        }
        let Some(value) = value else {
            // What changes while nobody looks says nothing.
            self.before = None;
            self.stretch = None;
            return;
        };
        if value >= HUGE {
            self.wrapped = self.wrapped.or(Some(value));
        }
        let is_limited = second.limit.is_some_and(|limit| value >= 0.95 * limit);
        if !is_limited {
            self.below(second, value);
        }
        self.stretch(second, value, open, is_limited);
        if second.is_fresh {
            self.change(second, value);
            self.before = Some(value);
            // The reading may be of a moment before.
            while self.since.len() > 2 {
                self.since.pop_front();
            }
        }
    }

    /// Whether two readings differ by much, and the devices' requests and what was cut explain less than half of it.
    fn is_swing(&self, before: f64, after: f64) -> bool {
        /// A request counts in the front end and in the back end, and no more often.
        const PER_REQUEST: f64 = 2.0;
        /// Of the larger reading.
        const SHARE: f64 = 0.3;
        /// Mail senders and other clients are not seen: a share of the devices, and a number.
        const UNSEEN: (f64, f64) = (0.1, 20.0);
        let opens = || self.since.iter().map(|(open, _)| *open);
        let moved = opens().fold(f64::MIN, f64::max) - opens().fold(f64::MAX, f64::min);
        let cut: f64 = self.since.iter().map(|(_, cut)| cut).sum();
        let swing = (after - before).abs();
        let unseen = UNSEEN.0 * self.devices + UNSEEN.1;
        swing >= unseen.max(SHARE * before.max(after)) && PER_REQUEST * (moved + cut) < 0.5 * swing
    }

    fn half(&mut self, second: &Second, value: Option<f64>, open: f64) {
        /// With fewer devices a handful of other clients is half.
        const LEAST: f64 = 20.0;
        let half = 0.5 * second.devices;
        if second.devices < LEAST {
            return;
        }
        if self.half.0.is_none() && open >= half {
            self.half.0 = Some(second.t);
        }
        if let Some(value) = value {
            self.was_low |= self.half.0.is_some() && self.half.1.is_none() && value < half;
            if self.half.1.is_none() && value >= half {
                self.half.1 = Some(second.t);
            }
        }
    }

    /// What devices surely had open at each moment to which the reading can belong.
    fn surely(&self) -> f64 {
        let held = self.held.iter().map(|(held, _)| *held);
        let cut: f64 = self.held.iter().map(|(_, cut)| cut).sum();
        held.fold(f64::MAX, f64::min) - cut
    }

    fn below(&mut self, second: &Second, value: f64) {
        if !second.is_settled {
            return;
        }
        let (surely, counted) = (self.surely(), value + second.queued);
        let low = self.low.entry(second.phase.clone()).or_default();
        low.seconds += 1;
        if is_below(counted, surely) {
            low.below += 1;
            if surely - counted > low.worst.1 - low.worst.0 {
                low.worst = (counted, surely);
            }
        }
    }

    fn stretch(&mut self, second: &Second, value: f64, open: f64, is_limited: bool) {
        match &mut self.stretch {
            Some(stretch) if stretch.value == value && !is_limited => {
                stretch.extend(second, open);
                let longer = self.frozen.as_ref().is_none_or(|frozen| {
                    stretch.until - stretch.since > frozen.until - frozen.since
                });
                if longer && stretch.is_frozen(second.readings) {
                    self.frozen = Some(stretch.clone());
                }
            }
            _ => {
                self.stretch = Some(Stretch::new(second, value));
            }
        }
    }

    /// Compares a reading with the one before.
    fn change(&mut self, second: &Second, value: f64) {
        /// A fall that can be told from devices that come and go.
        const FALL: (f64, f64) = (0.3, 10.0);
        let Some(before) = self.before else { return };
        let rise = value - before;
        if self.is_swing(before, value) {
            self.swings.0 += u32::from(rise > 0.0);
            self.swings.1 += u32::from(rise < 0.0);
            if rise.abs() > (self.largest_swing.1 - self.largest_swing.0).abs() {
                self.largest_swing = (before, value);
            }
        }
        if -rise >= FALL.1.max(FALL.0 * before) {
            if self.falls.len() < MOST {
                self.falls.push(second.t);
            }
            let surely = self.surely();
            if self.lost.is_none() && !is_below(before, surely) && is_below(value, surely) {
                self.lost = Some((second.t, before, value, surely));
            }
        }
    }

    /// How much later than the devices the level rose at the start of the run, if it could be seen.
    fn lag_of_ramp(&self) -> Option<f64> {
        match self.half {
            (Some(open), Some(level)) if self.was_low => Some(level - open),
            // It was there as soon as the devices were.
            (Some(open), Some(level)) if level >= open - PROMPT => Some(0.0),
            _ => None,
        }
    }

    /// Whether it is known not to lag.
    pub(super) fn is_prompt(&self, events: &Events) -> bool {
        self.lag_of_ramp()
            .is_some_and(|lag| lag <= PROMPT + events.period)
    }

    fn lag(&self, events: &Events) -> Option<(f64, &'static str)> {
        match self.lag_of_ramp() {
            Some(lag) if lag > PROMPT + events.period => {
                Some((lag, "half of the devices had a request open"))
            }
            Some(_) => None,
            None => Some((events.lag(&self.falls)?, "the held Pings were cut")),
        }
    }

    pub(super) fn doubts(&self, events: &Events, doubts: &mut Vec<Doubt>) {
        let name = name(self.gauge);
        let mut doubt = |kind, text: String| {
            doubts.push(Doubt {
                gauge: self.gauge,
                kind,
                text,
            });
        };
        if let Some(Stretch {
            value,
            since,
            until,
            open: Some((fewest, most)),
            ..
        }) = &self.frozen
        {
            doubt(
                DoubtKind::Frozen,
                format!(
                    "{name} stood at {value:.0} for {:.0} s, while devices had {fewest:.0} to {most:.0} requests open",
                    until - since
                ),
            );
        }
        if let Some((phase, low)) = self.low_phase() {
            let (reading, surely) = low.worst;
            doubt(
                DoubtKind::Below,
                format!(
                    "{name} was below what devices had open in {} of {} s of {phase} (at worst {reading:.0} and \
                     {surely:.0}): servers are missing from it, or requests wait in front of it",
                    low.below, low.seconds
                ),
            );
        }
        self.doubt_changes(events, name, &mut doubt);
        if let Some(value) = self.wrapped {
            doubt(
                DoubtKind::Wrapped,
                format!("{name} was {value:.0}, as a negative number is shown that has no sign"),
            );
        }
        if let Some((lag, what)) = self.lag(events) {
            doubt(
                DoubtKind::Stale,
                format!("{name} followed {lag:.0} s after {what}: its readings are old"),
            );
        }
    }

    fn doubt_changes(
        &self,
        events: &Events,
        name: &str,
        doubt: &mut impl FnMut(DoubtKind, String),
    ) {
        /// A recycle is one of each; a leak only rises.
        const SWINGS: u32 = 3;
        let (rises, falls) = self.swings;
        if rises.min(falls) >= SWINGS {
            let (before, after) = self.largest_swing;
            doubt(
                DoubtKind::Jumping,
                format!(
                    "{name} rose {rises} times and fell {falls} times by a third and more (at most from {before:.0} to \
                     {after:.0}), while devices' requests hardly changed"
                ),
            );
        }
        let is_low = self.low_phase().is_some();
        if let Some((t, before, after, held)) =
            self.lost.filter(|(t, ..)| is_low && !events.explains(*t))
        {
            doubt(
                DoubtKind::Restarted,
                format!(
                    "{name} fell from {before:.0} to {after:.0} at {t:.0} s, while devices went on holding {held:.0}"
                ),
            );
        }
    }

    /// The phase in which it was too low for longest.
    fn low_phase(&self) -> Option<(&String, &Low)> {
        /// Of the phase.
        const SHARE: f64 = 0.2;
        /// A worker that starts again is low for some seconds.
        const LEAST: u32 = 5;
        let low = self.low.iter().filter(|(_, low)| {
            low.below >= LEAST && f64::from(low.below) >= SHARE * f64::from(low.seconds)
        });
        low.max_by_key(|(_, low)| low.below)
    }
}

/// Whether a reading is less than what was surely open, by more than some that come and go.
fn is_below(reading: f64, surely: f64) -> bool {
    /// With fewer, nothing can be told.
    const LEAST: f64 = 10.0;
    surely >= LEAST && reading < 0.9 * surely - 2.0
}
