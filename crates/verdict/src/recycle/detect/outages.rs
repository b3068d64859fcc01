//! Short outages: seconds in which requests fail as they do while a server is started again.

use super::usual::{Ages, Usual};
use super::{Sign, Told};

/// New processes take some seconds. A server that has no ports left fails for as long as nobody recycles it.
const SHORT: f64 = 5.0;
/// An outage is over when it is this long ago, and the server answers.
const QUIET: f64 = 5.0;
/// A server that does not answer for so long after an outage was not recycled by it.
const SILENT: f64 = 30.0;

/// Failures of one kind in one second.
pub(super) struct Failures<'a> {
    pub(super) t: f64,
    pub(super) requests: u64,
    /// Held Pings among them.
    pub(super) pings: u64,
    pub(super) ages: &'a Ages,
    /// Whether the server gave a good answer in this second.
    pub(super) answered: bool,
}

/// Finds outages of one kind of failure.
#[derive(Debug, Default)]
pub(super) struct Outages {
    usual: Usual,
    now: Option<Outage>,
}

/// An outage.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    first: f64,
    last: f64,
    /// When the server gave a good answer after it.
    back: Option<f64>,
    /// Requests that failed.
    pub(super) requests: u64,
    /// Held Pings among them.
    pub(super) pings: u64,
    ages: Ages,
}

impl Outages {
    /// Takes in a second in which nothing can be told.
    pub(super) fn learn(&mut self, failures: &Failures<'_>) {
        self.usual.learn(failures.requests);
    }

    /// Takes a second in, before which so many requests were open. Returns a short outage that is over.
    pub(super) fn push(&mut self, failures: &Failures<'_>, open: f64) -> Option<Outage> {
        let t = failures.t;
        if self.usual.is_burst(failures.requests, open) {
            let outage = self.now.get_or_insert_with(|| Outage {
                first: t,
                last: t,
                back: None,
                requests: 0,
                pings: 0,
                ages: Ages::default(),
            });
            outage.last = t;
            outage.back = None;
            outage.requests += failures.requests;
            outage.pings += failures.pings;
            outage.ages.add(failures.ages);
            return None;
        }
        let outage = self.now.as_mut()?;
        if failures.answered && outage.back.is_none() {
            outage.back = Some(t);
        }
        let since = t - outage.last;
        if since > SILENT {
            self.now = None;
            return None;
        }
        let over = self
            .now
            .take_if(|outage| since >= QUIET && outage.back.is_some())?;
        (over.last - over.first <= SHORT).then_some(over)
    }
}

impl Outage {
    /// Its beginning, by that sign, and its end.
    pub(super) fn told(self, sign: Sign) -> impl Iterator<Item = Told> {
        let begins = Told {
            t: self.first,
            sign,
            ages: self.ages,
        };
        let back = self.back.map(|t| Told {
            t,
            sign: Sign::Back,
            ages: Ages::default(),
        });
        [begins].into_iter().chain(back)
    }
}
