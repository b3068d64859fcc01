//! Recycles seen in the timeline.

use std::collections::BTreeSet;
use std::fmt;

use crate::measure::{Counter, Interval};

/// What shows a recycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sign {
    /// The pool's recycle counter rose.
    Counter,
    /// A worker process appeared that was not there before.
    NewProcess,
    /// Many held Pings were cut at once.
    CutPings(u64),
}

/// A recycle that was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// When: end of the interval, in seconds of the run.
    pub t: f64,
    /// By what.
    pub sign: Sign,
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.t;
        match self.sign {
            Sign::Counter => write!(formatter, "at {t:.0} s the pool's recycle counter rose"),
            Sign::NewProcess => write!(formatter, "at {t:.0} s a new worker process appeared"),
            Sign::CutPings(count) => {
                write!(formatter, "at {t:.0} s {count} held Pings were cut at once")
            }
        }
    }
}

/// Share of the held Pings that must be cut within a second; a network that loses single
/// connections stays far below.
const BURST: f64 = 0.2;
/// And at least so many: of three devices one is no burst.
const MIN_BURST: u64 = 5;

/// Whether so many cut Pings of so many held ones are the work of a recycle.
#[must_use]
pub fn is_burst(cut: u64, held: f64) -> bool {
    cut >= MIN_BURST && cut as f64 >= BURST * held
}

/// Every sign in a stretch of the timeline. The first interval is only compared with.
#[must_use]
pub fn detect(intervals: &[Interval]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut recycles: Option<f64> = None;
    let mut held = 0.0_f64;
    for (index, interval) in intervals.iter().enumerate() {
        let t = interval.t;
        if let Some(count) = interval.gauge("server.recycles") {
            if recycles.is_some_and(|before| count > before) {
                seen.push(Seen {
                    t,
                    sign: Sign::Counter,
                });
            }
            recycles = Some(count);
        }
        let pids: BTreeSet<&str> = interval
            .gauges
            .keys()
            .filter_map(|name| name.strip_prefix("server.active."))
            .collect();
        if !pids.is_empty() {
            if !known.is_empty() && pids.difference(&known).next().is_some() {
                seen.push(Seen {
                    t,
                    sign: Sign::NewProcess,
                });
            }
            known.extend(pids);
        }
        let cut = interval.count(Counter::PingsCut);
        if index > 0 && is_burst(cut, held) {
            seen.push(Seen {
                t,
                sign: Sign::CutPings(cut),
            });
        }
        held = interval.gauge("devices.holding").unwrap_or(0.0);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(t: f64, gauges: &[(&str, f64)], cut: u64) -> Interval {
        let mut interval = Interval {
            t,
            ..Interval::default()
        };
        interval.gauges.extend(
            gauges
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value)),
        );
        if cut > 0 {
            interval
                .counts
                .insert(Counter::PingsCut.as_str().to_owned(), cut);
        }
        interval
    }

    #[test]
    fn each_sign_alone_is_enough() {
        let steady = |t| {
            interval(
                t,
                &[
                    ("server.recycles", 3.0),
                    ("server.active.7", 9.0),
                    ("devices.holding", 50.0),
                ],
                0,
            )
        };
        assert_eq!(
            detect(&[steady(1.0), steady(2.0), interval(3.0, &[], 2)]),
            []
        );
        let counter = [steady(1.0), interval(2.0, &[("server.recycles", 4.0)], 0)];
        assert_eq!(
            detect(&counter),
            [Seen {
                t: 2.0,
                sign: Sign::Counter
            }]
        );
        let process = [
            steady(1.0),
            interval(
                2.0,
                &[("server.active.7", 9.0), ("server.active.8", 0.0)],
                0,
            ),
        ];
        assert_eq!(
            detect(&process),
            [Seen {
                t: 2.0,
                sign: Sign::NewProcess
            }]
        );
        let burst = [steady(1.0), interval(2.0, &[], 12)];
        assert_eq!(
            detect(&burst),
            [Seen {
                t: 2.0,
                sign: Sign::CutPings(12)
            }]
        );
        let trickle = [steady(1.0), interval(2.0, &[], 6)];
        assert_eq!(detect(&trickle), []);
    }
}
