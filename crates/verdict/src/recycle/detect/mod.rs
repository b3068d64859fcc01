//! Recycles seen in the timeline, whoever triggered them, with the time of each stage.

mod figures;
mod outages;
mod sign;
mod usual;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use figures::{Falling, Rising};
use outages::{Failures, Outages};
use scenario::PhaseKind;
use scenario::names::Counter;
use usual::{Ages, MIN_BURST, Usual};

use crate::timeline::Interval;

pub use sign::{Recycle, Sign};

/// Signs so far apart belong to different recycles: shutdownTimeLimit is rarely longer.
const TOGETHER: f64 = 600.0;
/// And so far apart where nothing shows it but requests that ended. It lasts no longer either: a server that
/// fails for as long as nobody recycles it is none.
const MOMENT: f64 = 10.0;
/// Counters of one event may be read a second apart.
const SECONDS_TOGETHER: f64 = 3.0;

/// Of several servers, a worker is `server:pid`; of one, just a pid.
fn server_of(worker: &str) -> &str {
    worker.rsplit_once(':').map_or("", |(server, _)| server)
}

/// What was seen in a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Recycles, in order.
    pub recycles: Vec<Recycle>,
    /// Bursts in which Pings ended at an age at which others of the run ended too, as by the timeout of a
    /// proxy; in order.
    pub timeouts: Vec<Recycle>,
}

/// Finds recycles as intervals come in.
#[derive(Debug, Default)]
pub struct Detector {
    workers: BTreeSet<String>,
    /// Servers whose workers were seen.
    servers: BTreeSet<String>,
    recycles: Rising,
    created: Rising,
    started: Rising,
    shutdown_failures: Rising,
    total: Falling,
    /// What was open at the end of the interval before.
    open: Option<Open>,
    cut_pings: Usual,
    cut_requests: Usual,
    early_pings: Usual,
    lost: Outages,
    refused: Outages,
    ages: Ages,
    found: Vec<Found>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    pings: f64,
    requests: f64,
}

/// A sign, when it was seen, and the ages of the Pings that ended with it.
#[derive(Debug)]
struct Told {
    t: f64,
    sign: Sign,
    ages: Ages,
}

/// A recycle, with the ages of the Pings that ended with it.
#[derive(Debug)]
struct Found {
    recycle: Recycle,
    ages: Ages,
}

impl Detector {
    /// Takes an interval in; says whether a recycle begins in it. The first one is only compared with, and
    /// so are those of the ramp, in which workers may still start.
    pub fn push(&mut self, interval: &Interval) -> bool {
        let before = self.found.len();
        let is_ramp = interval.phase == PhaseKind::Ramp.as_str();
        let signs = self.by_server(interval);
        let ages = Ages::of(interval);
        let ended = self.by_requests(interval, &ages, is_ramp);
        self.ages.add(&ages);
        if !is_ramp {
            // A worker goes when its last requests have ended.
            let (gone, begun): (Vec<_>, Vec<_>) = signs
                .into_iter()
                .partition(|(_, sign)| matches!(sign, Sign::OldWorkerGone(_)));
            let by_server = |(t, sign)| Told {
                t,
                sign,
                ages: Ages::default(),
            };
            let begun = begun.into_iter().map(by_server);
            for told in begun.chain(ended).chain(gone.into_iter().map(by_server)) {
                self.add(told);
            }
        }
        let begins = self.found.len() > before;
        begins && self.found.last().is_some_and(|last| !self.is_timeout(last))
    }

    /// Whether only Pings that a timeout ended show it.
    fn is_timeout(&self, found: &Found) -> bool {
        !found.recycle.is_known() && found.ages.are_a_timeout(&self.ages)
    }

    /// What the server's own figures show.
    fn by_server(&mut self, interval: &Interval) -> Vec<(f64, Sign)> {
        let t = interval.t;
        let mut signs = Vec::new();
        if self.recycles.rose(interval.gauge("server.recycles"), 0.0) {
            signs.push((t, Sign::Counter));
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
        signs.extend(new.map(|pid| (t, Sign::NewWorker(pid))));
        let created = interval.gauge("server.workers_created");
        if self.created.seldom_rose(t, created, 0.0) {
            signs.push((t, Sign::WorkerCreated));
        }
        /// The start is often computed from an age in whole seconds.
        const GRAIN: f64 = 2.0;
        let started = interval.gauge("server.worker_started");
        if self.started.seldom_rose(t, started, GRAIN) {
            signs.push((t, Sign::WorkerStarted));
        }
        if let Some(fell) = self.total.fell(t, interval.gauge("server.requests_total")) {
            signs.push((fell, Sign::TotalFell));
        }
        let failures = interval.gauge("server.shutdown_failures");
        if self.shutdown_failures.rose(failures, 0.0) {
            signs.push((t, Sign::ShutdownFailure));
        }
        // Without a reading nothing is known of workers.
        if !workers.is_empty() {
            let gone = self.workers.difference(&workers).cloned();
            signs.extend(gone.map(|pid| (t, Sign::OldWorkerGone(pid))));
            self.servers
                .extend(workers.iter().map(|pid| server_of(pid).to_owned()));
            self.workers = workers;
        }
        signs
    }

    /// What became of the requests that were open.
    fn by_requests(&mut self, interval: &Interval, ages: &Ages, is_ramp: bool) -> Vec<Told> {
        let t = interval.t;
        let count = |counter| interval.count(counter);
        let cut_requests = count(Counter::Closed) + count(Counter::Resets);
        let early = count(Counter::PingsEarly);
        let cut = count(Counter::PingsCut);
        let answered = count(Counter::Answers) > count(Counter::HttpErrors);
        let [lost, refused] = [
            (Counter::BadGateway, count(Counter::PingsLost)),
            (Counter::ConnectFailures, 0),
        ]
        .map(|(counter, pings)| Failures {
            t,
            requests: count(counter),
            pings,
            ages,
            answered,
        });
        let open = self.open.replace(Open {
            pings: interval.gauge("devices.holding").unwrap_or(0.0),
            requests: interval.open_requests(),
        });
        let Some(open) = open.filter(|_| !is_ramp) else {
            self.cut_pings.learn(cut);
            self.cut_requests.learn(cut_requests);
            self.early_pings.learn(early);
            self.lost.learn(&lost);
            self.refused.learn(&refused);
            return Vec::new();
        };
        let now = |sign| Told {
            t,
            sign,
            ages: ages.clone(),
        };
        let mut told = Vec::new();
        // Both learn, whatever the other says.
        let by_pings = self.cut_pings.is_burst(cut, open.pings);
        let by_requests = self.cut_requests.is_burst(cut_requests, open.requests);
        if by_pings {
            told.push(now(Sign::CutPings(cut)));
        } else if by_requests {
            told.push(now(Sign::CutRequests(cut_requests)));
        }
        if self.early_pings.is_burst(early, open.pings) {
            told.push(now(Sign::EarlyPings(early)));
        }
        if let Some(over) = self.lost.push(&lost, open.requests) {
            let sign = if over.pings >= MIN_BURST {
                Sign::LostPings(over.pings)
            } else {
                Sign::LostRequests(over.requests)
            };
            told.extend(over.told(sign));
        }
        if let Some(over) = self.refused.push(&refused, open.requests) {
            let sign = Sign::Refused(over.requests);
            told.extend(over.told(sign));
        }
        told
    }

    fn add(&mut self, Told { t, sign, ages }: Told) {
        // An outage is known only when it is over. If the server's figures show a recycle that came later, the
        // outage is the symptom that this recycle ended, and not a part of it.
        let ended_by_it =
            |last: &Found| last.recycle.is_known() && t + SECONDS_TOGETHER < last.recycle.t;
        if self.found.last().is_some_and(ended_by_it) {
            return;
        }
        if sign == Sign::Back {
            // It ends the outage before it, and begins nothing.
            if let Some(last) = self.found.last_mut() {
                last.recycle.enter(t, sign);
            }
            return;
        }
        let starts = sign.is_beginning();
        let same_kind =
            |other: &Sign| std::mem::discriminant(other) == std::mem::discriminant(&sign);
        let belongs = self
            .found
            .last()
            .is_some_and(|Found { recycle: last, .. }| {
                // What only looked like one, because requests ended, is left when signs come later.
                let end = last.stages.last().map_or(last.t, |(t, _)| *t);
                let is_near = if last.is_known() {
                    t - last.t <= TOGETHER
                } else {
                    t - end <= SECONDS_TOGETHER
                };
                // A second beginning is another recycle, unless two servers or workers begin together.
                let begun = last
                    .stages
                    .iter()
                    .any(|(at, other)| same_kind(other) && t - at > SECONDS_TOGETHER);
                is_near && !(starts && begun)
            });
        let is_outside = sign.is_outside();
        match self.found.last_mut() {
            Some(last) if belongs => last.recycle.enter(t, sign),
            // The end of what began before anybody looked.
            _ if matches!(sign, Sign::OldWorkerGone(_)) => return,
            _ => self.found.push(Found {
                recycle: Recycle {
                    t,
                    stages: vec![(t, sign)],
                },
                ages: Ages::default(),
            }),
        }
        if let Some(last) = self.found.last_mut()
            && is_outside
        {
            last.ages.add(&ages);
        }
    }

    /// What was found.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for found in &self.found {
            let recycle = &found.recycle;
            let last = recycle.last_failure();
            if self.is_timeout(found) {
                seen.timeouts.push(recycle.clone());
            } else if recycle.is_known() || last - recycle.t <= MOMENT {
                seen.recycles.push(recycle.clone());
            }
        }
        seen
    }
}

/// Every recycle in a stretch of the timeline. The first interval is only compared with.
#[must_use]
pub fn detect(intervals: &[Interval]) -> Vec<Recycle> {
    let mut detector = Detector::default();
    for interval in intervals {
        detector.push(interval);
    }
    detector.seen().recycles
}
