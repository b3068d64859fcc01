//! Are requests stranded, and how is that known? `symptom` and `released` rest on this and on nothing else.
//!
//! A Ping that a device gave up is stranded if the server keeps it for longer than its heartbeat: until then a
//! server that has not noticed holds it by right. So the end of the hold phase tells, in which devices give
//! nothing up and all those heartbeats have ended. Without such a phase, only those Active Requests count that
//! exceed the Pings that may still be held by right.

use std::fmt;

use super::*;
use crate::judge::evidence::is_of_server;

/// Whether requests are stranded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// They are.
    Stranded,
    /// They are not.
    NotStranded,
    /// It is not known.
    Unknown,
}

/// What is known of stranded requests, and from what.
#[derive(Debug, Clone)]
pub(super) struct Stranding {
    pub(super) finding: Finding,
    pub(super) grade: Grade,
    /// In one sentence, without its full stop.
    pub(super) reason: String,
    pub(super) figures: Vec<String>,
}

impl Stranding {
    fn new(finding: Finding, grade: Grade, reason: impl Into<String>) -> Self {
        Self {
            finding,
            grade,
            reason: reason.into(),
            figures: Vec::new(),
        }
    }

    fn possible(reason: impl Into<String>) -> Self {
        Self::new(Finding::Unknown, Grade::Possible, reason)
    }

    fn with(mut self, figures: Vec<String>) -> Self {
        self.figures = figures;
        self
    }
}

/// Intervals at the end of a stretch whose median is its level.
const END: usize = 5;
/// Fewer intervals are no level.
const LEAST_INTERVALS: usize = 3;
/// A stretch that is compared: blocks of three neighbours, of which one is not enough.
const COMPARABLE: usize = 5;
/// What a baseline and an interval of the server's counters differ by in a healthy pool, at least.
const LEAST_STRANDED: f64 = 5.0;

/// The part of the least number that counts, of which Pings may be given up in a hold phase: by devices whose fate was
/// drawn before it, or whose network failed.
const FEW: f64 = 0.2;

/// What to add so that the server's counters tell.
const ADD_COUNTERS: &str = "add an [[observe.source]] with the server's Active Requests";

/// The last intervals.
pub(super) fn end<'a, 'b>(intervals: &'b [&'a Interval]) -> &'b [&'a Interval] {
    &intervals[intervals.len().saturating_sub(END)..]
}

/// A number of stranded requests that an interval of the server's counters gives.
type Reading = fn(&Interval) -> Option<f64>;

fn middle(interval: &Interval) -> Option<f64> {
    interval.gauge(gauge::STRANDED)
}

fn surely(interval: &Interval) -> Option<f64> {
    interval
        .gauge(gauge::STRANDED_LOW)
        .or_else(|| middle(interval))
}

/// Without those that may be held by right.
fn outlived(interval: &Interval) -> Option<f64> {
    let by_right = interval.gauge(gauge::GIVEN_UP).unwrap_or(0.0);
    Some(surely(interval)? - by_right)
}

fn readings(intervals: &[&Interval], of: Reading) -> Vec<f64> {
    let counted = intervals
        .iter()
        .filter(|one| is_of_server(one, gauge::STRANDED));
    counted.filter_map(|one| of(one)).collect()
}

/// The level at the end of some intervals.
fn level(intervals: &[&Interval], of: Reading) -> Option<f64> {
    let values = readings(end(intervals), of);
    median(&values).filter(|_| values.len() >= LEAST_INTERVALS)
}

/// Levels of stranded requests.
struct Levels {
    /// In the busiest tenth of the baseline.
    usual: f64,
    /// At the end of aging.
    aged: f64,
    /// When nothing is held by right any more, if that was seen.
    held: Option<f64>,
    /// How many more than usual are certainly stranded.
    surely: f64,
    /// Whether that is more than what the baseline's noise explains.
    is_clear: bool,
    /// The level that the baseline's noise reaches.
    noise: f64,
}

/// Levels that are looked at: of all that may be stranded, and of those that certainly are. Each may be wrong with
/// this part of the whole error.
const SERIES: f64 = 2.0;

/// The level that the noise of a phase in which nothing gathers reaches.
fn reached_by_noise(calm: &[f64]) -> f64 {
    let mean = calm.iter().sum::<f64>() / calm.len().max(1) as f64;
    mean + noise(calm, END, ALARM / SERIES)
}

impl fmt::Display for Levels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "stranded requests {} in the baseline → {} at the end of aging",
            whole(self.usual),
            whole(self.aged)
        )?;
        match self.held {
            Some(held) => write!(
                formatter,
                " → {} after the heartbeats of all Pings that were given up",
                whole(held)
            ),
            None => write!(
                formatter,
                ", of which {} are certainly past their heartbeat",
                whole(self.surely.max(0.0))
            ),
        }
    }
}

impl<'a> RunData<'a> {
    /// Whether requests are stranded.
    pub(super) fn stranding(&self) -> &Stranding {
        self.stranding.get_or_init(|| {
            let Some(by_counters) = self.by_counters() else {
                return self.seen_from_outside();
            };
            let Some(doubt) = self.digest.doubts_about(gauge::STRANDED).next() else {
                return by_counters;
            };
            // Requests of other clients may strand, so that few Pings that were given up prove nothing against a counter.
            let outside = self.seen_from_outside();
            if outside.finding == Finding::Stranded {
                return outside;
            }
            Stranding::possible(format!("the server's figures are doubted: {}", doubt.text))
                .with(by_counters.figures)
        })
    }

    /// The least rise of a number of requests that counts: fewer come and go.
    pub(super) fn needed(&self) -> f64 {
        f64::max(
            LEAST_STRANDED,
            MIN_RISE_SHARE * f64::from(self.plan.devices.count),
        )
    }

    /// The intervals in which nothing that devices gave up can be held by right: from the grace after the last
    /// heartbeat that was given up, until the recycle.
    pub(super) fn outlasting(&self) -> Vec<&'a Interval> {
        let Some(last) = self.last_of_aging() else {
            return Vec::new();
        };
        let until = self.before_recycle();
        let calm = self.intervals[last + 1..].iter();
        let calm: Vec<&Interval> = calm.take_while(|one| one.t < until).collect();
        let ended = calm.iter().rev().find(|one| {
            one.gauge(gauge::GIVEN_UP)
                .is_some_and(|given_up| given_up > FEW * self.needed())
        });
        let aging = &self.intervals[last];
        let ended = match (aging.gauge(gauge::GIVEN_UP), ended) {
            (_, Some(ended)) => ended.t,
            (Some(_), None) => aging.t,
            // Nobody counted them.
            (None, None) => aging.t + f64::from(self.plan.longest_heartbeat()),
        };
        let from = ended + self.plan.devices.grace.as_secs_f64();
        calm.into_iter().filter(|one| one.t > from).collect()
    }

    /// The last interval of aging before the recycle phase.
    fn last_of_aging(&self) -> Option<usize> {
        let recycle = start_of(self.intervals, PhaseKind::Recycle).unwrap_or(f64::INFINITY);
        self.intervals
            .iter()
            .rposition(|one| one.phase == PhaseKind::Aging.as_str() && one.t <= recycle)
    }

    /// Until when the pool is surely the old one.
    fn before_recycle(&self) -> f64 {
        let seen = self
            .planned_recycle()
            .map_or(f64::INFINITY, |recycle| recycle.t);
        let phase = self.plan.phase(PhaseKind::Recycle);
        let is_own = phase.is_some_and(|phase| {
            !matches!(
                phase.trigger,
                Trigger::None | Trigger::Observe | Trigger::Manual
            )
        });
        let kind = if is_own {
            PhaseKind::Recycle
        } else {
            PhaseKind::Recovered
        };
        let start = start_of(self.intervals, kind).unwrap_or(f64::INFINITY);
        // The interval that ends when the phase begins is the last of the phase before.
        seen.min(start + 0.5)
    }

    /// What the server's counters say; `None` without any.
    fn by_counters(&self) -> Option<Stranding> {
        let levels = self.levels()?;
        let needed = self.needed();
        let rises = |level: f64| level - levels.usual >= needed;
        let is_clear = |level: f64| rises(level) && level >= levels.noise;
        let aging = self.of(PhaseKind::Aging);
        let by_active = aging.iter().any(|one| one.gauge(gauge::ACTIVE).is_some());
        let stranding = if levels.surely >= needed && levels.is_clear {
            Stranding::new(Finding::Stranded, Grade::Server, "stranded requests gather")
        } else if !rises(levels.aged) && !levels.held.is_some_and(rises) {
            if !by_active {
                // Whether Ping Commands Pending counts stranded Pings is not documented.
                return None;
            }
            Stranding::new(
                Finding::NotStranded,
                Grade::Server,
                "nothing gathers in the pool",
            )
        } else if !is_clear(levels.aged) && !levels.held.is_some_and(is_clear) {
            Stranding::possible(
                "requests may gather, but by no more than the baseline varies by chance: a longer baseline would \
                 tell",
            )
        } else {
            match levels.held {
                Some(held) if rises(held) => Stranding::possible(
                    "requests may stay active, but it is not known how many active requests one open \
                     request counts as: set [observe] requests_per_ping to know",
                ),
                Some(_) => Stranding::new(
                    Finding::NotStranded,
                    Grade::Server,
                    "what had gathered ended by itself when devices stopped giving Pings up",
                ),
                None => Stranding::possible(format!(
                    "requests gather, but each of them may end with its heartbeat: add {} to know",
                    self.add_hold()
                )),
            }
        };
        Some(stranding.with(vec![levels.to_string()]))
    }

    /// Levels of stranded requests by the server's counters; `None` without any.
    fn levels(&self) -> Option<Levels> {
        let aging = self.of(PhaseKind::Aging);
        if readings(&aging, middle).len() < LEAST_INTERVALS {
            return None;
        }
        let baseline = self.of(PhaseKind::Baseline);
        let before = |of: Reading| {
            let before = readings(&baseline, of);
            if before.is_empty() {
                readings(&aging[..aging.len().min(END)], of)
            } else {
                before
            }
        };
        let usual = |of: Reading| upper_decile(&before(of)).unwrap_or(0.0);
        let lasting = self.outlasting();
        let held = level(&lasting, middle);
        let surely = level(if held.is_some() { &lasting } else { &aging }, outlived);
        let surely = surely.unwrap_or(0.0);
        Some(Levels {
            usual: usual(middle),
            aged: level(&aging, middle)?,
            held,
            surely: surely - usual(outlived),
            is_clear: surely >= reached_by_noise(&before(outlived)),
            noise: reached_by_noise(&before(middle)),
        })
    }

    /// What can be said without counters of the server.
    fn seen_from_outside(&self) -> Stranding {
        let aging = self.of(PhaseKind::Aging);
        if aging.len() < COMPARABLE {
            return Stranding::possible(if self.is_complete() {
                "the aging phase was too short to see anything gather"
            } else {
                "the run ended before anything was seen to gather in the aging phase"
            });
        }
        let until = self
            .last_of_aging()
            .map_or(0.0, |last| self.intervals[last].t);
        let played = self.intervals.iter().filter(|one| one.t <= until);
        // A server may hold each Ping that ended without its answer, whoever ended it.
        let without_answer = |one: &Interval| -> u64 {
            [
                Counter::PingsAbandoned,
                Counter::PingsCut,
                Counter::PingsLost,
                Counter::PingsTimedOut,
                Counter::PingsOverdue,
            ]
            .map(|counter| one.count(counter))
            .iter()
            .sum()
        };
        let given_up: u64 = played.clone().map(without_answer).sum();
        let census = played.filter_map(|one| one.gauge(gauge::GIVEN_UP));
        let given_up = census.fold(given_up as f64, f64::max);
        if given_up < self.needed() {
            return Stranding::new(
                Finding::NotStranded,
                Grade::Outside,
                "nothing gathers in the pool",
            )
            .with(vec![format!(
                "{given_up:.0} Pings were given up or ended without an answer"
            )]);
        }
        let mut figures = vec![format!(
            "{given_up:.0} Pings were given up or ended without an answer until the end of aging; no counter says \
             how many of them the server kept"
        )];
        let (finding, grade, reason) = match self.pattern(&aging, &mut figures) {
            Ok(()) => (
                Finding::Stranded,
                Grade::Outside,
                "the longer devices gave Pings up the worse the service got, it stayed so after the \
                 heartbeats of all of them, and it was well again with the recycle"
                    .to_owned(),
            ),
            Err(why) => (Finding::Unknown, Grade::Possible, why),
        };
        Stranding::new(finding, grade, reason).with(figures)
    }

    /// Whether the service gets worse as Pings are given up, stays so when none can be held by right any more,
    /// and ends with the recycle; else why that is not known. A server that is slow for another reason fits
    /// one of these, and not all.
    fn pattern(&self, aging: &[&Interval], figures: &mut Vec<String>) -> Result<(), String> {
        let baseline = self.of(PhaseKind::Baseline);
        let last_third = &aging[aging.len() * 2 / 3..];
        let factor = self.plan.checks.symptom_factor;
        if self.worsening(&baseline, last_third, factor, &mut Vec::new()) != Some(Worse::Proven) {
            return Err(format!(
                "Pings were given up, and the service was not shown to get worse by {factor}; from outside nobody sees \
                 whether any of them stay: {ADD_COUNTERS} to know"
            ));
        }
        self.stays(&baseline, figures)?;
        self.grows(aging, last_third, figures)?;
        self.ends(&baseline, figures)
    }

    /// The service is still worse when no Ping can be held by right any more.
    fn stays(&self, baseline: &[&Interval], figures: &mut Vec<String>) -> Result<(), String> {
        let lasting = self.outlasting();
        if lasting.len() < COMPARABLE {
            return Err(format!(
                "the service gets worse while devices give Pings up, which has many causes: {ADD_COUNTERS}, or \
                 add {} to know",
                self.add_hold()
            ));
        }
        let heading = "after the heartbeats of all Pings that were given up";
        match self.compared(heading, baseline, &lasting, figures) {
            Some(Worse::Proven) => Ok(()),
            Some(Worse::No) => Err(
                "what made the service worse ended by itself when devices stopped giving Pings up".to_owned(),
            ),
            Some(Worse::Unproven) | None => Err(
                "too little was measured in the hold phase to say whether the service was still worse: a longer \
                 hold phase would tell"
                    .to_owned(),
            ),
        }
    }

    /// The service gets worse with the number of Pings that were given up, and was not as bad when that began.
    fn grows(
        &self,
        aging: &[&Interval],
        last_third: &[&Interval],
        figures: &mut Vec<String>,
    ) -> Result<(), String> {
        /// The beginning of aging: a sixth, and as much as can be compared.
        const BEGINNING: usize = 6;
        let length = (aging.len() / BEGINNING).max(COMPARABLE + 1);
        let beginning = &aging[..length.min(aging.len())];
        let heading = "from the beginning of aging to its last third";
        match self.compared(heading, beginning, last_third, figures) {
            Some(Worse::Proven) => Ok(()),
            _ => Err(format!(
                "the service was not shown to get worse with the number of Pings that were given up: it was as \
                 bad when aging began, so that the cause may be another; {ADD_COUNTERS} to know"
            )),
        }
    }

    /// The recycle ends it.
    fn ends(&self, baseline: &[&Interval], figures: &mut Vec<String>) -> Result<(), String> {
        if self.recycle_in_phase().is_none() {
            return Err(
                "the service stayed worse after the heartbeats of all Pings that were given up; without a \
                 recycle that ends it, the cause may be another"
                    .to_owned(),
            );
        }
        let recovered = self.of(PhaseKind::Recovered);
        let too_little = || {
            "too little was measured after the recycle to say whether it ended what made the service worse"
                .to_owned()
        };
        match self.compared("after the recycle", baseline, &recovered, figures) {
            Some(Worse::No) => {}
            Some(Worse::Proven) => {
                return Err(format!(
                    "the service stayed worse after the recycle too, so that the cause may be another: \
                     {ADD_COUNTERS} to know"
                ));
            }
            Some(Worse::Unproven) | None => return Err(too_little()),
        }
        // Not worse than the baseline by the factor is not yet better than before the recycle. Half of the way back, by
        // ratios, is the least.
        let half = self.plan.checks.symptom_factor.sqrt();
        let mut told = Vec::new();
        let better = self.worsening(&recovered, &self.outlasting(), half, &mut told);
        figures.push(format!(
            "from after the recycle to before it: {}",
            told.join("; ")
        ));
        match better {
            Some(Worse::Proven) => Ok(()),
            Some(Worse::No) => Err(format!(
                "the recycle was not shown to make the service better, so that the cause may be another: \
                 {ADD_COUNTERS} to know"
            )),
            Some(Worse::Unproven) | None => Err(too_little()),
        }
    }

    /// Whether the service is worse in a later stretch, with one figure of it.
    fn compared(
        &self,
        heading: &str,
        before: &[&Interval],
        later: &[&Interval],
        figures: &mut Vec<String>,
    ) -> Option<Worse> {
        let mut told = Vec::new();
        let factor = self.plan.checks.symptom_factor;
        let worse = self.worsening(before, later, factor, &mut told);
        if !told.is_empty() {
            figures.push(format!("{heading}: {}", told.join("; ")));
        }
        worse
    }

    /// What to add so that the end of the heartbeats tells.
    pub(super) fn add_hold(&self) -> String {
        format!(
            "a hold phase of {} or more between aging and recycle",
            format_duration(self.plan.least_hold())
        )
    }
}
