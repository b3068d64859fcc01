//! Counters that only rise, and signs of a recycle.

use super::second::{Events, MOST, SHUTDOWN, Second};
use super::{ALL, CREATED, Doubt, DoubtKind, RECYCLES, REQUESTS, STARTED, WORKERS, name};
use crate::timeline::Interval;

/// The phase in which the plan recycles.
const RECYCLE: &str = "recycle";

/// A fall of a counter.
#[derive(Debug, Clone, Copy)]
struct Fall {
    t: f64,
    from: f64,
    to: f64,
}

impl Fall {
    /// Whether it looks like a counter of 16, 31 or 32 bits that has passed its end.
    fn is_wrap(self) -> bool {
        /// The last tenth of the range, and the first.
        const NEAR: f64 = 0.1;
        [16, 31, 32].into_iter().any(|bits| {
            let range = 2_f64.powi(bits);
            self.from < range && self.from >= (1.0 - NEAR) * range && self.to <= NEAR * range
        })
    }
}

#[derive(Debug, Clone)]
struct Series {
    gauge: &'static str,
    before: Option<f64>,
    falls: Vec<Fall>,
}

impl Series {
    const fn new(gauge: &'static str) -> Self {
        Self {
            gauge,
            before: None,
            falls: Vec::new(),
        }
    }

    /// The change since the last reading.
    fn push(&mut self, t: f64, value: Option<f64>) -> Option<f64> {
        let value = value?;
        let from = self.before.replace(value)?;
        if value < from && self.falls.len() < MOST {
            self.falls.push(Fall { t, from, to: value });
        }
        Some(value - from)
    }
}

/// A stretch in which `requests_total` did not change.
#[derive(Debug, Clone, Copy, Default)]
struct Still {
    since: f64,
    readings: u64,
    answered: f64,
}

/// The server's counters.
#[derive(Debug, Clone)]
pub(super) struct Counters {
    requests: Series,
    recycles: Series,
    created: Series,
    started: Series,
    workers: Series,
    /// When `recycles`, `created` or `started` showed a recycle.
    signs: Vec<f64>,
    still: Still,
    frozen: Option<(f64, f64)>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            requests: Series::new(REQUESTS),
            recycles: Series::new(RECYCLES),
            created: Series::new(CREATED),
            started: Series::new(STARTED),
            workers: Series::new(WORKERS),
            signs: Vec::new(),
            still: Still::default(),
            frozen: None,
        }
    }
}

impl Counters {
    pub(super) fn push(&mut self, second: &Second, interval: &Interval) {
        let t = second.t;
        let change = |series: &mut Series| series.push(t, interval.gauge(series.gauge));
        let recycled = change(&mut self.recycles).is_some_and(|change| change > 0.0);
        let created = change(&mut self.created).is_some_and(|change| change > 0.0);
        let started = change(&mut self.started).is_some_and(|change| change != 0.0);
        if (recycled || created || started) && self.signs.len() < MOST {
            self.signs.push(t);
        }
        change(&mut self.workers);
        // The recycle phase is where the workers' own counters are meant to begin again.
        let falls = self.requests.falls.len();
        let requests = self.requests.push(t, interval.gauge(REQUESTS));
        if second.phase == RECYCLE {
            self.requests.falls.truncate(falls);
        }
        self.stand_still(second, requests);
    }

    fn stand_still(&mut self, second: &Second, change: Option<f64>) {
        /// Seconds, readings and answers after which a counter of requests must have moved.
        const SECONDS: f64 = 10.0;
        const READINGS: u64 = 5;
        const ANSWERS: f64 = 50.0;
        if change != Some(0.0) {
            self.still = Still {
                since: second.t,
                readings: second.readings,
                answered: 0.0,
            };
            return;
        }
        self.still.answered += second.answered;
        let seconds = second.t - self.still.since;
        if seconds >= SECONDS
            && second.readings - self.still.readings >= READINGS
            && self.still.answered >= ANSWERS
            && self.frozen.is_none_or(|(longest, _)| seconds > longest)
        {
            self.frozen = Some((seconds, self.still.answered));
        }
    }

    /// `is_prompt` says that a level of the same server is known not to lag.
    pub(super) fn doubts(&self, events: &Events, is_prompt: bool, doubts: &mut Vec<Doubt>) {
        if let Some((seconds, answered)) = self.frozen {
            doubts.push(Doubt {
                gauge: REQUESTS,
                kind: DoubtKind::Frozen,
                text: format!(
                    "{} stood still for {seconds:.0} s, while {answered:.0} requests were answered",
                    name(REQUESTS)
                ),
            });
        }
        for series in [&self.requests, &self.recycles, &self.created] {
            self.fall(series, events, doubts);
        }
        if !is_prompt && let Some(lag) = events.lag(&self.signs) {
            doubts.push(Doubt {
                gauge: ALL,
                kind: DoubtKind::Stale,
                text: format!(
                    "the server's counters showed a recycle {lag:.0} s after the held Pings were cut: its figures are \
                     old"
                ),
            });
        }
    }

    /// Requests are counted by the worker, so a recycle begins that counter again. The others count recycles.
    fn fall(&self, series: &Series, events: &Events, doubts: &mut Vec<Doubt>) {
        let is_of_worker = series.gauge == REQUESTS;
        let explained = |t: f64| {
            let near = 10.0 + events.period;
            let is_near = |at: f64| (at - t).abs() <= near;
            // The total also falls when the old worker ends, up to shutdownTimeLimit after the recycle began. The number of
            // workers falls with it, where it is known.
            let ends_late = |sign: f64| (sign..=sign + SHUTDOWN + near).contains(&t);
            let has_ended = self.workers.before.is_none()
                || self.workers.falls.iter().any(|fall| is_near(fall.t));
            let is_sign = |sign: &f64| is_near(*sign) || has_ended && ends_late(*sign);
            is_of_worker && (events.explains(t) || self.signs.iter().any(is_sign))
        };
        for fall in &series.falls {
            let kind = match fall {
                fall if fall.is_wrap() => DoubtKind::Wrapped,
                fall if explained(fall.t) => continue,
                _ => DoubtKind::Restarted,
            };
            let what = match kind {
                DoubtKind::Wrapped => "it passed the largest number that it can hold",
                _ => "it was started again, and nothing was recycled",
            };
            doubts.push(Doubt {
                gauge: series.gauge,
                kind,
                text: format!(
                    "{} fell from {:.0} to {:.0} at {:.0} s: {what}",
                    name(series.gauge),
                    fall.from,
                    fall.to,
                    fall.t
                ),
            });
            return;
        }
    }
}
