//! Made-up servers for the judge: what a run against one looks like, second by second.

use hdrhistogram::Histogram;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::names::{Counter, Metric};
use scenario::{Plan, parse};
use verdict::judge::{Check, Digest, Outcome, judge};
use verdict::timeline::{Interval, Latency, LedgerCounts};

pub(crate) const SCENARIO: &str = "
name = \"synthetic\"
[mock]
[devices]
count = 500
[mail]
rate = 10
[[phase]]
kind = \"baseline\"
duration = \"20s\"
[[phase]]
kind = \"aging\"
duration = \"30s\"
[[phase]]
kind = \"recycle\"
duration = \"10s\"
trigger = \"mock\"
[[phase]]
kind = \"recovered\"
duration = \"20s\"
";

pub(crate) fn plan(more: &str) -> Plan {
    parse("synthetic.toml", &format!("{SCENARIO}\n{more}")).unwrap()
}

/// How the made-up server behaves.
pub(crate) struct Story {
    /// Stranded requests gathered per second of aging.
    pub(crate) strands: f64,
    /// Factor on latencies at the end of aging.
    pub(crate) degraded: f64,
    /// Whether the recycle happens, and what it leaves.
    pub(crate) recycle: bool,
    pub(crate) residue: f64,
    /// Factor on latencies after the recycle.
    pub(crate) after: f64,
    /// Share of the latencies after the recycle that are ten times as long.
    pub(crate) spikes: f64,
    pub(crate) ledger: LedgerCounts,
    /// Mails a second, and how many seconds a device waits for each: in the baseline, at the end of aging, after the
    /// recycle.
    pub(crate) mails: [f64; 3],
    pub(crate) waits: [f64; 3],
    /// Syncs and notifications a second.
    pub(crate) rate: u32,
    /// Share of requests that fail: in the baseline, in aging, after the recycle; and how many fail together.
    pub(crate) errors: [f64; 3],
    pub(crate) burst: u32,
    pub(crate) seed: u64,
    /// Makes neighbouring seconds alike, as a real server's are.
    pub(crate) weather: Option<Weather>,
}

/// A first-order autoregressive process each: what the counters add, and by what the server is slow.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    /// How much of a second's excess is left in the next.
    pub(crate) memory: f64,
    /// Standard deviation of the requests that come and go.
    pub(crate) requests: f64,
    /// Standard deviation of the logarithm of the pace: 0.2 makes a second 20 % slower or faster.
    pub(crate) pace: f64,
}

/// Requests a second.
const REQUESTS: u32 = 100;
/// Makes failures independent of the other chances of a seed.
const FAILURES: u64 = 0x5EED << 40;

/// What mails have done so far.
struct Mails {
    arrived: f64,
    /// Seconds times mails.
    waited: f64,
    random: Xoshiro256PlusPlus,
}

/// The weather of a second, in standard deviations.
#[derive(Default)]
struct Sky {
    requests: f64,
    pace: f64,
}

impl Sky {
    fn next(&mut self, memory: f64, random: &mut Xoshiro256PlusPlus) {
        // The sum of twelve uniform numbers is a normal one to the eye of any test here.
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let fresh = (1.0 - memory * memory).sqrt();
        self.requests = memory * self.requests + fresh * normal();
        self.pace = memory * self.pace + fresh * normal();
    }
}

impl Default for Story {
    fn default() -> Self {
        Self {
            strands: 50.0,
            degraded: 10.0,
            recycle: true,
            residue: 0.0,
            after: 1.0,
            spikes: 0.0,
            ledger: LedgerCounts {
                meant: 800,
                accepted: 800,
                synced: 800,
                ..LedgerCounts::default()
            },
            mails: [10.0; 3],
            waits: [0.1; 3],
            rate: 200,
            errors: [0.0; 3],
            burst: 1,
            seed: 1,
            weather: None,
        }
    }
}

impl Story {
    pub(crate) fn timeline(&self) -> Vec<Interval> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let mut sky = Sky::default();
        // Chances of their own, so that the others stay as they are.
        let mut mails = Mails {
            arrived: 0.0,
            waited: 0.0,
            random: Xoshiro256PlusPlus::seed_from_u64(!self.seed),
        };
        let mut failures = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ FAILURES);
        (1..=80)
            .map(|second| {
                if let Some(weather) = self.weather {
                    sky.next(weather.memory, &mut random);
                }
                let interval = self.interval(second, &sky, &mut random);
                let interval = self.fail(interval, &mut failures);
                self.wait(interval, &sky, &mut mails)
            })
            .collect()
    }

    /// Lets requests fail, in bursts that come at random.
    fn fail(&self, mut interval: Interval, random: &mut Xoshiro256PlusPlus) -> Interval {
        let share = match interval.phase.as_str() {
            "baseline" => self.errors[0],
            "aging" => self.errors[1],
            _ => self.errors[2],
        };
        if share <= 0.0 {
            return interval;
        }
        let mut failed = 0;
        for _ in 0..REQUESTS {
            if random.random::<f64>() < share / f64::from(self.burst) {
                failed += u64::from(self.burst);
            }
        }
        let failed = failed.min(u64::from(REQUESTS));
        let name = Counter::HttpErrors.as_str().to_owned();
        interval.counts.insert(name, failed);
        interval
    }

    /// Fills in what the ledger says of mails that wait.
    fn wait(&self, mut interval: Interval, sky: &Sky, sums: &mut Mails) -> Interval {
        let aged = ((interval.t - 20.0) / 30.0).clamp(0.0, 1.0);
        let recycled = self.recycle && interval.t > 52.0;
        let (mails, wait) = match interval.phase.as_str() {
            "baseline" => (self.mails[0], self.waits[0]),
            _ if recycled => (self.mails[2], self.waits[2]),
            _ => (
                self.mails[1],
                self.waits[0] + (self.waits[1] - self.waits[0]) * aged,
            ),
        };
        let pace = self.weather.map_or(0.0, |weather| weather.pace * sky.pace);
        let mut due = 0.0;
        for _ in 0..40 {
            if sums.random.random_range(0.0..40.0) < mails {
                let draw: f64 = sums.random.random_range(1e-9..1.0);
                due -= draw.ln() * wait * pace.exp();
                sums.arrived += 1.0;
            }
        }
        sums.waited += due;
        if interval.t < 80.0 {
            interval.ledger.synced = sums.arrived as u64;
        }
        interval.ledger.came_due = sums.arrived as u64;
        interval.ledger.device_ms = (sums.waited * 1e3) as u64;
        interval.ledger.mail_ms = (sums.waited * 1e3) as u64;
        interval
    }

    fn interval(&self, second: u32, sky: &Sky, random: &mut Xoshiro256PlusPlus) -> Interval {
        let (phase, aged) = match second {
            ..=20 => ("baseline", 0.0),
            21..=50 => ("aging", f64::from(second - 20)),
            51..=60 => ("recycle", 30.0),
            _ => ("recovered", 30.0),
        };
        let recycled = self.recycle && second > 52;
        let stranded = self.strands * aged * if recycled { self.residue } else { 1.0 };
        let factor = match phase {
            "baseline" => 1.0,
            _ if recycled => self.after,
            _ => 1.0 + (self.degraded - 1.0) * aged / 30.0,
        };
        let weather = self.weather;
        let factor = factor * weather.map_or(1.0, |weather| (weather.pace * sky.pace).exp());
        let noise = random.random_range(-3.0..3.0)
            + weather.map_or(0.0, |weather| weather.requests * sky.requests);
        let mut interval = Interval {
            t: second.into(),
            seconds: 1.0,
            phase: phase.to_owned(),
            ..Interval::default()
        };
        for (name, value) in [
            ("stranded", (stranded + noise).max(0.0)),
            ("server.active_requests", 1000.0 + stranded + noise),
            ("server.private_bytes", 50e6 + stranded * 1e5),
            ("server.recycles", f64::from(u8::from(recycled))),
            ("server.workers", 1.0),
            ("devices.holding", 500.0),
        ] {
            interval.gauges.insert(name.to_owned(), value);
        }
        interval
            .counts
            .insert(Counter::PingsSent.as_str().to_owned(), 60);
        interval
            .counts
            .insert(Counter::Answers.as_str().to_owned(), REQUESTS.into());
        interval
            .counts
            .insert(Counter::Connects.as_str().to_owned(), 1);
        /// As many times as long.
        const SPIKE: f64 = 10.0;
        for (metric, mean) in [(Metric::Sync, 20_000.0), (Metric::Notification, 100_000.0)] {
            let mut histogram = Histogram::new(2).unwrap();
            for _ in 0..self.rate {
                let draw: f64 = random.random_range(1e-9..1.0);
                let is_spike =
                    recycled && self.spikes > 0.0 && random.random::<f64>() < self.spikes;
                let mean = if is_spike { mean * SPIKE } else { mean };
                histogram
                    .record((-draw.ln() * mean * factor) as u64 + 1)
                    .unwrap();
            }
            interval
                .latencies
                .insert(metric.as_str().to_owned(), Latency::of(&histogram).unwrap());
        }
        interval.ledger = self.ledger;
        interval
    }

    pub(crate) fn digest(&self) -> Digest {
        self.timeline().into_iter().collect()
    }

    pub(crate) fn judged(&self, more: &str) -> Vec<Check> {
        judge(&plan(more), &self.digest())
    }
}

pub(crate) fn outcome(checks: &[Check], name: &str) -> Outcome {
    let found = checks.iter().find(|check| check.name == name);
    found.expect("there is such a check").outcome
}

pub(crate) fn failed(checks: &[Check]) -> Vec<&str> {
    checks
        .iter()
        .filter(|check| check.outcome == Outcome::Fail)
        .map(|check| check.name.as_str())
        .collect()
}
