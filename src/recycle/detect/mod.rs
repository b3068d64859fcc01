//! Recycles seen in the timeline, whoever triggered them, with the time of each stage.

mod sign;
mod usual;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use sign::{Recycle, Sign};
use usual::{Ages, MIN_BURST, Usual};

use crate::measure::{Counter, Interval};
use crate::scenario::PhaseKind;

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
    /// What looks like one, but ended Pings at an age at which others of the run ended too, as the timeout
    /// of a proxy does; in order.
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
        let mut signs = self.by_server(interval);
        let ended = self.by_requests(interval, is_ramp);
        let ages = Ages::of(interval);
        self.ages.add(&ages);
        if !is_ramp {
            signs.extend(ended);
            // A worker goes when its last requests have ended.
            signs.sort_by_key(|(_, sign)| matches!(sign, Sign::OldWorkerGone(_)));
            for (t, sign) in signs {
                self.add(t, sign, &ages);
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
        if self
            .created
            .seldom_rose(t, interval.gauge("server.workers_created"), 0.0)
        {
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
    fn by_requests(&mut self, interval: &Interval, is_ramp: bool) -> Vec<(f64, Sign)> {
        let t = interval.t;
        let count = |counter| interval.count(counter);
        let cut_requests = count(Counter::Closed) + count(Counter::Resets);
        let early = count(Counter::PingsEarly);
        let cut = count(Counter::PingsCut);
        let open = self.open.replace(Open {
            pings: interval.gauge("devices.holding").unwrap_or(0.0),
            requests: interval.open_requests(),
        });
        let lost = [count(Counter::BadGateway), count(Counter::PingsLost)];
        let refused = [count(Counter::ConnectFailures), 0];
        let Some(open) = open.filter(|_| !is_ramp) else {
            self.cut_pings.learn(cut);
            self.cut_requests.learn(cut_requests);
            self.early_pings.learn(early);
            self.lost.usual.learn(lost[0]);
            self.refused.usual.learn(refused[0]);
            return Vec::new();
        };
        let mut signs = Vec::new();
        // Both learn, whatever the other says.
        let by_pings = self.cut_pings.is_burst(cut, open.pings);
        let by_requests = self.cut_requests.is_burst(cut_requests, open.requests);
        if by_pings {
            signs.push((t, Sign::CutPings(cut)));
        } else if by_requests {
            signs.push((t, Sign::CutRequests(cut_requests)));
        }
        if self.early_pings.is_burst(early, open.pings) {
            signs.push((t, Sign::EarlyPings(early)));
        }
        if let Some(over) = self.lost.push(t, lost, open.requests) {
            let sign = if over.pings >= MIN_BURST {
                Sign::LostPings(over.pings)
            } else {
                Sign::LostRequests(over.requests)
            };
            signs.push((over.first, sign));
        }
        if let Some(over) = self.refused.push(t, refused, open.requests) {
            signs.push((over.first, Sign::Refused(over.requests)));
        }
        signs
    }

    fn add(&mut self, t: f64, sign: Sign, ages: &Ages) {
        // An outage is told of when it is over. One that a known recycle ended is what it was for.
        let ended_by_it =
            |last: &Found| last.recycle.is_known() && t + SECONDS_TOGETHER < last.recycle.t;
        if self.found.last().is_some_and(ended_by_it) {
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
            Some(last) if belongs => {
                let stages = &mut last.recycle.stages;
                let place = stages.partition_point(|(at, _)| *at <= t);
                stages.insert(place, (t, sign));
                last.recycle.t = last.recycle.t.min(t);
            }
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
            last.ages.add(ages);
        }
    }

    /// What was found.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        for found in &self.found {
            let recycle = &found.recycle;
            let last = recycle.stages.last().map_or(recycle.t, |(t, _)| *t);
            if self.is_timeout(found) {
                seen.timeouts.push(recycle.clone());
            } else if recycle.is_known() || last - recycle.t <= MOMENT {
                seen.recycles.push(recycle.clone());
            }
        }
        seen
    }
}

/// A figure that rises when something happens.
#[derive(Debug, Default)]
struct Rising {
    before: Option<f64>,
    /// When it rose last, and before that.
    rose: [Option<f64>; 2],
}

impl Rising {
    /// Takes a reading in; whether it is above the last one by more than `grain`.
    fn rose(&mut self, now: Option<f64>, grain: f64) -> bool {
        let rose = matches!((self.before, now), (Some(before), Some(now)) if now > before + grain);
        self.before = now.or(self.before);
        rose
    }

    /// The same, but not of a figure that rises again and again: a server that starts worker processes as
    /// it needs them is not recycled by that.
    fn seldom_rose(&mut self, t: f64, now: Option<f64>, grain: f64) -> bool {
        /// Rises so near to each other are its habit.
        const SELDOM: f64 = 120.0;
        if !self.rose(now, grain) {
            return false;
        }
        let often = self.rose[1].is_some_and(|rose| t - rose <= SELDOM);
        self.rose = [Some(t), self.rose[0]];
        !often
    }
}

/// A total that falls when its process is new.
#[derive(Debug, Default)]
struct Falling {
    before: Option<f64>,
    /// When it fell, and from where.
    fell: Option<(f64, f64)>,
}

impl Falling {
    /// Takes a reading in; when it fell, if it stayed below. One wrong reading is no new process.
    fn fell(&mut self, t: f64, now: Option<f64>) -> Option<f64> {
        let now = now?;
        let confirmed = self.fell.take().filter(|(_, from)| now < *from);
        if confirmed.is_none()
            && let Some(before) = self.before
            && now < before
        {
            self.fell = Some((t, before));
        }
        self.before = Some(now);
        confirmed.map(|(t, _)| t)
    }
}

/// Seconds in which many requests fail in a way in which they fail while a server is started again.
#[derive(Debug, Default)]
struct Outages {
    usual: Usual,
    now: Option<Outage>,
}

/// Such seconds that follow each other.
#[derive(Debug, Clone, Copy)]
struct Outage {
    first: f64,
    last: f64,
    requests: u64,
    pings: u64,
}

impl Outages {
    /// Takes in how many requests, and held Pings among them, failed so in a second; gives an outage that is
    /// over and was as short as a recycle's. A server that has no ports left fails for as long as nobody
    /// recycles it.
    fn push(&mut self, t: f64, [requests, pings]: [u64; 2], open: f64) -> Option<Outage> {
        /// New processes take some seconds.
        const SHORT: f64 = 5.0;
        /// Then it is over.
        const QUIET: f64 = 5.0;
        if self.usual.is_burst(requests, open) {
            let outage = self.now.get_or_insert(Outage {
                first: t,
                last: t,
                requests: 0,
                pings: 0,
            });
            outage.last = t;
            outage.requests += requests;
            outage.pings += pings;
            return None;
        }
        let over = self.now.take_if(|outage| t - outage.last >= QUIET)?;
        (over.last - over.first <= SHORT).then_some(over)
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
