//! Recycles seen in the timeline, whoever triggered them, with the time of each stage.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{Counter, Interval};

/// What shows a recycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The pool's recycle counter rose.
    Counter,
    /// A worker process appeared that was not there before. From then on it takes the new requests,
    /// so the old one drains.
    NewWorker(String),
    /// WAS killed a worker at its shutdown limit.
    ShutdownFailure,
    /// Many held Pings were cut at once.
    CutPings(u64),
    /// Many held Pings were answered at once before their heartbeat, though nothing had changed: so
    /// does a server that ends in an orderly way.
    EarlyPings(u64),
    /// A gateway lost its server under many held Pings, for some seconds.
    LostPings(u64),
    /// A worker process has gone.
    OldWorkerGone(String),
}

impl Sign {
    /// Whether it shows the beginning of a recycle for certain.
    const fn is_beginning(&self) -> bool {
        matches!(self, Self::Counter | Self::NewWorker(_))
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter => formatter.write_str("the pool's recycle counter rose"),
            Self::NewWorker(pid) => {
                write!(
                    formatter,
                    "worker {pid} appeared and takes the new requests"
                )
            }
            Self::ShutdownFailure => {
                formatter.write_str("an old worker was killed at its shutdown limit")
            }
            Self::CutPings(count) => write!(formatter, "{count} held Pings were cut at once"),
            Self::EarlyPings(count) => write!(
                formatter,
                "{count} held Pings were answered at once, before their heartbeat"
            ),
            Self::LostPings(count) => write!(
                formatter,
                "a gateway lost the server under {count} held Pings at once"
            ),
            Self::OldWorkerGone(pid) => write!(formatter, "worker {pid} is gone"),
        }
    }
}

/// A recycle that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recycle {
    /// When it was first seen: end of the interval, in seconds of the run.
    pub t: f64,
    /// Its stages in order, each with its time.
    pub stages: Vec<(f64, Sign)>,
}

impl Recycle {
    /// One line for each stage.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let stages = self.stages.iter();
        stages
            .map(|(t, sign)| {
                let since = t - self.t;
                if since > 0.0 {
                    format!("at {t:.0} s (+{since:.0} s) {sign}")
                } else {
                    format!("at {t:.0} s {sign}")
                }
            })
            .collect()
    }

    /// Pings that were cut at once.
    #[must_use]
    pub fn cut(&self) -> u64 {
        let cut = self.stages.iter().map(|(_, sign)| match sign {
            Sign::CutPings(count) => *count,
            _ => 0,
        });
        cut.sum()
    }
}

/// Share of the held Pings that must be cut within a second; a network that loses single
/// connections stays far below.
const BURST: f64 = 0.1;
/// And at least so many: of three devices one is no burst.
const MIN_BURST: u64 = 5;
/// Signs so far apart belong to different recycles: shutdownTimeLimit is rarely longer.
const TOGETHER: f64 = 600.0;

/// And so far apart where nothing shows it but Pings that ended: a network that fails for a moment is
/// none.
const MOMENT: f64 = 10.0;

/// Of several servers, a worker is `server:pid`; of one, just a pid.
fn server_of(worker: &str) -> &str {
    worker.rsplit_once(':').map_or("", |(server, _)| server)
}

/// Whether so many cut Pings of so many held ones are the work of a recycle.
fn is_burst(cut: u64, held: f64) -> bool {
    cut >= MIN_BURST && cut as f64 >= BURST * held
}

/// Finds recycles as intervals come in.
#[derive(Debug, Default)]
pub struct Detector {
    workers: BTreeSet<String>,
    /// Servers whose workers were seen.
    servers: BTreeSet<String>,
    recycles: Option<f64>,
    shutdown_failures: Option<f64>,
    held: Option<f64>,
    outage: Option<Outage>,
    found: Vec<Recycle>,
}

/// Seconds in which a gateway lost the server under many held Pings.
#[derive(Debug)]
struct Outage {
    first: f64,
    last: f64,
    lost: u64,
}

impl Detector {
    /// Takes an interval in. The first one is only compared with.
    pub fn push(&mut self, interval: &Interval) {
        let t = interval.t;
        let mut signs = Vec::new();
        let rose = |before: &mut Option<f64>, now: Option<f64>| {
            let rose = matches!((*before, now), (Some(before), Some(now)) if now > before);
            *before = now.or(*before);
            rose
        };
        if rose(&mut self.recycles, interval.gauge("server.recycles")) {
            signs.push(Sign::Counter);
        }
        let workers: BTreeSet<String> = interval
            .gauges
            .keys()
            .filter_map(|name| name.strip_prefix("server.active."))
            .map(str::to_owned)
            .collect();
        // A server that is heard of for the first time has no new worker.
        let known = |pid: &&String| self.servers.contains(server_of(pid));
        let new = workers.difference(&self.workers).filter(known).cloned();
        signs.extend(new.map(Sign::NewWorker));
        let now = interval.gauge("server.shutdown_failures");
        if rose(&mut self.shutdown_failures, now) {
            signs.push(Sign::ShutdownFailure);
        }
        let cut = interval.count(Counter::PingsCut);
        if self.held.is_some_and(|held| is_burst(cut, held)) {
            signs.push(Sign::CutPings(cut));
        }
        let early = interval.count(Counter::PingsEarly);
        if self.held.is_some_and(|held| is_burst(early, held)) {
            signs.push(Sign::EarlyPings(early));
        }
        let lost = interval.count(Counter::PingsLost);
        let is_outage = self.held.is_some_and(|held| is_burst(lost, held));
        if let Some(outage) = self.outage(t, lost, is_outage) {
            self.add(outage.first, Sign::LostPings(outage.lost));
        }
        // Without a reading nothing is known of workers.
        if !workers.is_empty() {
            let gone = self.workers.difference(&workers).cloned();
            signs.extend(gone.map(Sign::OldWorkerGone));
            for pid in &workers {
                let server = server_of(pid);
                if !self.servers.contains(server) {
                    self.servers.insert(server.to_owned());
                }
            }
            self.workers = workers;
        }
        self.held = Some(interval.gauge("devices.holding").unwrap_or(0.0));
        for sign in signs {
            self.add(t, sign);
        }
    }

    /// Takes a second in; gives an outage that is over and was as short as a recycle's. A server that
    /// has no ports left fails for as long as nobody recycles it.
    fn outage(&mut self, t: f64, lost: u64, is_outage: bool) -> Option<Outage> {
        /// New processes take some seconds.
        const SHORT: f64 = 5.0;
        /// Then it is over.
        const QUIET: f64 = 5.0;
        if is_outage {
            let outage = self.outage.get_or_insert(Outage {
                first: t,
                last: t,
                lost: 0,
            });
            outage.last = t;
            outage.lost += lost;
            return None;
        }
        let over = self
            .outage
            .as_ref()
            .is_some_and(|outage| t - outage.last >= QUIET);
        let outage = if over {
            self.outage.take()?
        } else {
            return None;
        };
        (outage.last - outage.first <= SHORT).then_some(outage)
    }

    fn add(&mut self, t: f64, sign: Sign) {
        let starts = sign.is_beginning();
        let same_kind =
            |other: &Sign| std::mem::discriminant(other) == std::mem::discriminant(&sign);
        let belongs = self.found.last().is_some_and(|last| {
            // What only looked like one, because Pings were cut, is left when signs come later.
            let is_known = last.stages.iter().any(|(_, sign)| sign.is_beginning());
            let is_near = t - last.t <= if is_known { TOGETHER } else { MOMENT };
            // A second beginning is another recycle, unless two servers or workers begin together.
            let begun = last
                .stages
                .iter()
                .any(|(at, other)| same_kind(other) && t - at > SECONDS_TOGETHER);
            is_near && !(starts && begun)
        });
        match self.found.last_mut() {
            Some(last) if belongs => last.stages.push((t, sign)),
            // The end of what began before anybody looked.
            _ if matches!(sign, Sign::OldWorkerGone(_)) => {}
            _ => self.found.push(Recycle {
                t,
                stages: vec![(t, sign)],
            }),
        }
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> &[Recycle] {
        &self.found
    }
}

/// Counters of one event may be read a second apart.
const SECONDS_TOGETHER: f64 = 3.0;

/// Every recycle in a stretch of the timeline. The first interval is only compared with.
#[must_use]
pub fn detect(intervals: &[Interval]) -> Vec<Recycle> {
    let mut detector = Detector::default();
    for interval in intervals {
        detector.push(interval);
    }
    detector.found
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

    fn steady(t: f64) -> Interval {
        interval(
            t,
            &[
                ("server.recycles", 3.0),
                ("server.active.7", 9.0),
                ("devices.holding", 100.0),
            ],
            0,
        )
    }

    fn signs(intervals: &[Interval]) -> Vec<Vec<Sign>> {
        let found = detect(intervals).into_iter();
        found
            .map(|one| one.stages.into_iter().map(|(_, sign)| sign).collect())
            .collect()
    }

    #[test]
    fn each_sign_alone_is_enough() {
        let nothing = interval(3.0, &[], 2);
        assert_eq!(detect(&[steady(1.0), steady(2.0), nothing]), []);
        let counter = [steady(1.0), interval(2.0, &[("server.recycles", 4.0)], 0)];
        assert_eq!(signs(&counter), [[Sign::Counter]]);
        let both = [("server.active.7", 9.0), ("server.active.8", 0.0)];
        let process = [steady(1.0), interval(2.0, &both, 0)];
        assert_eq!(signs(&process), [[Sign::NewWorker("8".to_owned())]]);
        let burst = [steady(1.0), interval(2.0, &[], 12)];
        assert_eq!(signs(&burst), [[Sign::CutPings(12)]]);
        let trickle = [steady(1.0), interval(2.0, &[], 6)];
        assert_eq!(detect(&trickle), []);
        // Before a worker was ever seen nothing is compared.
        assert_eq!(detect(&[interval(1.0, &[], 0), steady(2.0)]), []);
    }

    #[test]
    fn a_short_outage_behind_a_gateway_is_a_recycle_and_a_long_one_is_not() {
        let second = |t: u32, lost: u64| {
            let mut one = interval(t.into(), &[("devices.holding", 100.0)], 0);
            one.counts
                .insert(Counter::PingsLost.as_str().to_owned(), lost);
            one
        };
        let with = |lost: std::ops::Range<u32>| -> Vec<Interval> {
            (1..60)
                .map(|t| second(t, if lost.contains(&t) { 40 } else { 0 }))
                .collect()
        };
        assert_eq!(signs(&with(20..22)), [[Sign::LostPings(80)]]);
        assert_eq!(detect(&with(20..22))[0].t, 20.0);
        assert_eq!(detect(&with(20..40)), []);
        assert_eq!(detect(&with(20..60)), []);
    }

    #[test]
    fn a_server_that_is_first_heard_of_late_has_no_new_worker() {
        let with = |t, pids: &[&str]| {
            let mut one = interval(t, &[("devices.holding", 100.0)], 0);
            for pid in pids {
                one.gauges.insert(format!("server.active.{pid}"), 1.0);
            }
            one
        };
        let late = [with(1.0, &["ex1:7"]), with(2.0, &["ex1:7", "ex2:7"])];
        assert_eq!(detect(&late), []);
        let then = with(3.0, &["ex1:7", "ex2:7", "ex2:8"]);
        let both = [&late[..], &[then]].concat();
        assert_eq!(signs(&both), [[Sign::NewWorker("ex2:8".to_owned())]]);
    }

    #[test]
    fn a_blip_of_the_network_does_not_hide_the_recycle() {
        let held = |t, cut| interval(t, &[("devices.holding", 100.0)], cut);
        let blip = [held(60.0, 0), held(70.0, 15), held(110.0, 90)];
        let found = detect(&blip);
        assert_eq!((found.len(), found[1].t), (2, 110.0));
    }

    #[test]
    fn the_stages_of_one_recycle_stand_together_and_two_apart() {
        let at = |t, recycles, pids: &[&str], failures, cut| {
            let mut one = interval(t, &[("devices.holding", 100.0)], cut);
            one.gauges.insert("server.recycles".to_owned(), recycles);
            one.gauges
                .insert("server.shutdown_failures".to_owned(), failures);
            for pid in pids {
                one.gauges.insert(format!("server.active.{pid}"), 1.0);
            }
            one
        };
        let story = [
            at(1.0, 0.0, &["7"], 0.0, 0),
            at(2.0, 1.0, &["7", "8"], 0.0, 0),
            at(92.0, 1.0, &["8"], 1.0, 81),
            at(300.0, 2.0, &["8", "9"], 1.0, 0),
            at(390.0, 2.0, &["9"], 2.0, 70),
        ];
        let found = detect(&story);
        let shown: Vec<Vec<String>> = found.iter().map(Recycle::lines).collect();
        assert_eq!(
            shown[0],
            [
                "at 2 s the pool's recycle counter rose",
                "at 2 s worker 8 appeared and takes the new requests",
                "at 92 s (+90 s) an old worker was killed at its shutdown limit",
                "at 92 s (+90 s) 81 held Pings were cut at once",
                "at 92 s (+90 s) worker 7 is gone",
            ]
        );
        assert_eq!((found.len(), found[1].t, found[1].cut()), (2, 300.0, 70));
    }
}
