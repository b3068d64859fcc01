//! How many requests are stranded: the server still has them as active, and nobody waits for them.
//! No counter says so; it is estimated from what there is, with its doubt.

use std::fmt;

use scenario::RequestsPerPing;
use scenario::names::Gauges;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the devices know themselves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Census {
    /// Requests that devices have open, the fewest and the most while the server was read.
    pub open: (f64, f64),
    /// Pings that devices hold.
    pub held: f64,
    /// Pings that devices gave up and whose heartbeat is not over.
    pub given_up: f64,
}

/// What an estimate rests on, the best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Active Requests less the requests that devices have open.
    ActiveRequests,
    /// Ping Commands Pending less the Pings that devices hold. Whether it counts stranded Pings is
    /// not documented.
    PingsPending,
    /// The devices' own census: an upper bound, for a server that may notice at once.
    Census,
}

impl Basis {
    /// Its number in a timeline: the smaller, the better.
    const fn number(self) -> f64 {
        match self {
            Self::ActiveRequests => 1.0,
            Self::PingsPending => 2.0,
            Self::Census => 3.0,
        }
    }
}

/// How many requests are stranded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The middle.
    pub value: f64,
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
    /// What it rests on.
    pub basis: Basis,
}

impl Estimate {
    fn between(low: f64, high: f64, basis: Basis) -> Self {
        let (low, high) = (low.max(0.0), high.max(0.0));
        Self {
            value: f64::midpoint(low, high),
            low,
            high,
            basis,
        }
    }

    /// `stranded`, `stranded.low`, `stranded.high`, and what they rest on as `stranded.basis`.
    pub fn add_to(&self, gauges: &mut Gauges) {
        gauges.insert("stranded".to_owned(), self.value);
        gauges.insert("stranded.low".to_owned(), self.low);
        gauges.insert("stranded.high".to_owned(), self.high);
        gauges.insert("stranded.basis".to_owned(), self.basis.number());
    }
}

/// Estimates once a second.
#[derive(Debug)]
pub struct Estimator {
    per_ping: RequestsPerPing,
    /// Active Requests over open requests, before Pings were given up.
    ratios: Vec<f64>,
    begun: bool,
    basis: Option<Basis>,
}

/// With fewer open requests, those of other clients decide the ratio.
const MIN_OPEN: f64 = 20.0;
/// Seconds of the run that must agree.
const MIN_RATIOS: usize = 5;
/// One and two are what Exchange's topologies give; anything else so far from both is not trusted.
const NEAR: f64 = 0.2;

impl Estimator {
    /// An estimator for a server of that kind.
    #[must_use]
    pub const fn new(per_ping: RequestsPerPing) -> Self {
        Self {
            per_ping,
            ratios: Vec::new(),
            begun: false,
            basis: None,
        }
    }

    /// The estimate now. Once there was a better basis, a second without it has none: numbers of two bases in one series
    /// would look like a change of the server.
    pub fn estimate(&mut self, gauges: &Gauges, census: &Census) -> Option<Estimate> {
        let gauge = |name: &str| gauges.get(name).copied();
        let estimate = if let Some(active) = gauge("server.active_requests") {
            self.learn(active, census);
            let (few, many) = self.requests_per_ping();
            Estimate::between(
                active - many * census.open.1,
                active - few * census.open.0,
                Basis::ActiveRequests,
            )
        } else if let Some(pending) = gauge("server.pings_pending") {
            // Between the two readings some Pings end and begin.
            let moved = census.open.1 - census.open.0;
            let middle = pending - census.held;
            Estimate::between(middle - moved, middle + moved, Basis::PingsPending)
        } else {
            Estimate {
                value: census.given_up,
                low: 0.0,
                high: census.given_up,
                basis: Basis::Census,
            }
        };
        if self.basis.is_some_and(|best| estimate.basis > best) {
            return None;
        }
        self.basis = Some(estimate.basis);
        Some(estimate)
    }

    /// While nothing was given up, nothing can have stranded in this run.
    fn learn(&mut self, active: f64, census: &Census) {
        /// A minute tells.
        const ENOUGH: usize = 60;
        self.begun |= census.given_up > 0.0;
        let open = f64::midpoint(census.open.0, census.open.1);
        if !self.begun && open >= MIN_OPEN && self.ratios.len() < ENOUGH {
            self.ratios.push(active / open);
        }
    }

    fn ratio(&self) -> Option<f64> {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        (ratios.len() >= MIN_RATIOS).then(|| ratios[ratios.len() / 2])
    }

    /// The fewest and the most active requests that one open request counts as.
    fn requests_per_ping(&self) -> (f64, f64) {
        const UNKNOWN: (f64, f64) = (1.0, 2.0);
        match self.per_ping {
            RequestsPerPing::Known(count) => (count, count),
            RequestsPerPing::Auto => {
                let ratio = self.ratio();
                let near = |count: f64| ratio.is_some_and(|ratio| (ratio - count).abs() <= NEAR);
                if near(1.0) {
                    (1.0, 1.0)
                } else if near(2.0) {
                    (2.0, 2.0)
                } else {
                    UNKNOWN
                }
            }
        }
    }
}

/// What the estimates of a run rest on, in one sentence.
impl fmt::Display for Estimator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.basis {
            None => formatter.write_str("nothing was read"),
            Some(Basis::ActiveRequests) => {
                formatter.write_str("Active Requests less ")?;
                match (self.requests_per_ping(), self.per_ping, self.ratio()) {
                    ((few, many), RequestsPerPing::Auto, Some(ratio)) if few == many => write!(
                        formatter,
                        "{few} for each request that devices have open ({ratio:.2} were seen before \
                         any Ping was given up)"
                    ),
                    ((few, many), RequestsPerPing::Auto, _) if few < many => write!(
                        formatter,
                        "{few} to {many} for each request that devices have open: which, could not be \
                         found out before Pings were given up; [observe] requests_per_ping says so"
                    ),
                    ((few, _), _, _) => {
                        write!(formatter, "{few} for each request that devices have open")
                    }
                }
            }
            Some(Basis::PingsPending) => formatter.write_str(
                "Ping Commands Pending less the Pings that devices hold; whether that counter \
                 includes stranded Pings is not documented",
            ),
            Some(Basis::Census) => formatter.write_str(
                "the devices' own census, for want of server counters: the Pings that they gave up \
                 and whose heartbeat is not over; at most so many",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauges(active: f64) -> Gauges {
        Gauges::from([("server.active_requests".to_owned(), active)])
    }

    fn open(count: f64) -> Census {
        Census {
            open: (count, count),
            held: count,
            given_up: 0.0,
        }
    }

    #[test]
    fn requests_per_ping_are_found_out_before_pings_strand() {
        for (per_ping, count) in [(1.0, 1.0), (2.02, 2.0)] {
            let mut estimator = Estimator::new(RequestsPerPing::Auto);
            for _ in 0..5 {
                estimator.estimate(&gauges(per_ping * 100.0), &open(100.0));
            }
            let given_up = Census {
                given_up: 30.0,
                ..open(100.0)
            };
            // Now the ratio is another, and must not be learnt.
            for _ in 0..50 {
                estimator.estimate(&gauges(count * 100.0 + 60.0), &given_up);
            }
            let estimate = estimator
                .estimate(&gauges(count * 100.0 + 60.0), &given_up)
                .unwrap();
            assert_eq!((estimate.low, estimate.high), (60.0, 60.0));
            assert_eq!(estimate.basis, Basis::ActiveRequests);
            let statement = estimator.to_string();
            assert!(
                statement.contains(&format!("less {count} for each")),
                "{statement}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_doubt() {
        let mut estimator = Estimator::new(RequestsPerPing::Auto);
        let estimate = estimator.estimate(&gauges(250.0), &open(100.0)).unwrap();
        assert_eq!((estimate.low, estimate.high), (50.0, 150.0));
        assert!(estimator.to_string().contains("1 to 2"), "{estimator}");
        let mut known = Estimator::new(RequestsPerPing::Known(2.0));
        let moving = Census {
            open: (95.0, 105.0),
            ..open(100.0)
        };
        let estimate = known.estimate(&gauges(250.0), &moving).unwrap();
        assert_eq!(
            (estimate.low, estimate.value, estimate.high),
            (40.0, 50.0, 60.0)
        );
    }

    #[test]
    fn without_active_requests_there_are_other_ways() {
        let mut estimator = Estimator::new(RequestsPerPing::Auto);
        let census = Census {
            given_up: 40.0,
            ..open(100.0)
        };
        let bare = estimator.estimate(&Gauges::new(), &census).unwrap();
        assert_eq!(
            (bare.low, bare.high, bare.basis),
            (0.0, 40.0, Basis::Census)
        );
        assert!(estimator.to_string().contains("census"), "{estimator}");
        let pending = Gauges::from([("server.pings_pending".to_owned(), 130.0)]);
        let estimate = estimator.estimate(&pending, &census).unwrap();
        assert_eq!(
            (estimate.value, estimate.basis),
            (30.0, Basis::PingsPending)
        );
    }

    /// Half of the readings are missing: 110 by the counter, 28 by the census, are no series that goes up and down.
    #[test]
    fn an_estimate_never_falls_back_to_a_worse_basis() {
        let mut estimator = Estimator::new(RequestsPerPing::Known(1.0));
        let census = Census {
            given_up: 28.0,
            ..open(100.0)
        };
        let mut seen = |gauges: &Gauges| {
            let estimate = estimator.estimate(gauges, &census);
            estimate.map(|estimate| (estimate.value, estimate.basis))
        };
        // Before the first reading there is nothing better; the basis is written beside it.
        assert_eq!(seen(&Gauges::new()), Some((28.0, Basis::Census)));
        for _ in 0..3 {
            assert_eq!(seen(&gauges(210.0)), Some((110.0, Basis::ActiveRequests)));
            assert_eq!(seen(&Gauges::new()), None);
        }
        let mut written = Gauges::new();
        let estimate = estimator.estimate(&gauges(210.0), &census).unwrap();
        estimate.add_to(&mut written);
        assert_eq!(written["stranded.basis"], 1.0);
    }
}
