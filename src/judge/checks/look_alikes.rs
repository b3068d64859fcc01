//! Incidents that look like stranded Pings and are not (iis-recycling.md, section 8): "not this
//! bug" is an answer.

use super::*;

/// Another incident that the figures speak for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LookAlike {
    /// What it is.
    pub(super) name: &'static str,
    /// By which figures.
    pub(super) evidence: String,
}

impl Bench<'_> {
    /// Those that the aging phase speaks for.
    pub(super) fn look_alikes(&self) -> Vec<LookAlike> {
        [
            self.own_limits(),
            self.timeout_in_between(),
            self.busy_pool(),
            self.slow_mailbox(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// This machine has no port or descriptor left: the server never saw those connections.
    fn own_limits(&self) -> Option<LookAlike> {
        let count: u64 = self
            .intervals
            .iter()
            .map(|interval| interval.count(Counter::OwnLimits))
            .sum();
        (count > 0).then(|| LookAlike {
            name: "this machine ran out of ports or descriptors",
            evidence: format!(
                "{count} connections failed for want of a port or descriptor on this machine, not on \
                 the server"
            ),
        })
    }

    /// Pings end before their heartbeat, all at the same age: something between device and server ends
    /// what is silent for so long, without an answer or with 408, 502 or 504, or the server itself does. A
    /// recycle ends Pings of every age.
    fn timeout_in_between(&self) -> Option<LookAlike> {
        /// Fewer are no pattern.
        const MIN_PINGS: u64 = 10;
        /// Ages that differ by so much are not one timeout.
        const SPREAD: f64 = 0.15;
        /// Share of Pings that must end so.
        const SHARE: f64 = 0.2;
        let aging = self.of(PhaseKind::Aging);
        let mut ages = merged(aging.iter().copied(), Metric::CutAge);
        // The sum resizes itself, so adding cannot fail.
        let _ = ages.add(merged(aging.iter().copied(), Metric::EarlyAge));
        let ended: u64 = aging
            .iter()
            .map(|interval| {
                interval.count(Counter::PingsExpired) + interval.count(Counter::PingsChanged)
            })
            .sum();
        if ages.len() < MIN_PINGS || (ages.len() as f64) < SHARE * (ages.len() + ended) as f64 {
            return None;
        }
        let (low, middle, high) = (
            ages.value_at_quantile(0.1) as f64,
            ages.value_at_quantile(0.5) as f64,
            ages.value_at_quantile(0.9) as f64,
        );
        (high - low <= SPREAD * middle).then(|| LookAlike {
            name: "a proxy, balancer, firewall or the server ends Pings after a time of its own",
            evidence: format!(
                "{} Pings ended before their heartbeat at an age of {} (80 % of them between {} and {}): {}",
                ages.len(),
                time(middle),
                time(low),
                time(high),
                Self::early_ends(&aging)
            ),
        })
    }

    /// How Pings ended before their heartbeat.
    fn early_ends(intervals: &[&Interval]) -> String {
        let kinds = [
            (Counter::PingsCut, "without an answer"),
            (Counter::PingsTimedOut, "with HTTP 408 or 504"),
            (Counter::PingsLost, "with HTTP 502"),
            (
                Counter::PingsEarly,
                "with the answer that nothing has changed",
            ),
        ];
        let sum = |counter| -> u64 { intervals.iter().map(|one| one.count(counter)).sum() };
        let seen = kinds.iter().filter(|(counter, _)| sum(*counter) > 0);
        let seen: Vec<String> = seen
            .map(|(counter, how)| format!("{} {how}", sum(*counter)))
            .collect();
        seen.join(", ")
    }

    /// KB 2711053: a pool at 100 % of the processor, Active Requests flat.
    fn busy_pool(&self) -> Option<LookAlike> {
        const BUSY: f64 = 0.9;
        let aged = median(&self.gauges(PhaseKind::Aging, gauge::CPU))?;
        let before = median(&self.gauges(PhaseKind::Baseline, gauge::CPU)).unwrap_or(0.0);
        (aged >= BUSY && before < BUSY).then(|| LookAlike {
            name: "the server is short of processor time (as in KB 2711053)",
            evidence: format!(
                "processor of the server {:.0} % → {:.0} %, and Active Requests do not gather",
                before * 100.0,
                aged * 100.0
            ),
        })
    }

    /// KB 2469722: the mailbox server is slow, and requests queue behind it.
    fn slow_mailbox(&self) -> Option<LookAlike> {
        /// So much slower than in the baseline, and slow at all.
        const FACTOR: f64 = 3.0;
        const SLOW: f64 = 0.2;
        let aged = median(&self.gauges(PhaseKind::Aging, gauge::MAILBOX))?;
        let before = median(&self.gauges(PhaseKind::Baseline, gauge::MAILBOX)).unwrap_or(0.0);
        (aged >= SLOW && aged >= FACTOR * before).then(|| LookAlike {
            name: "the mailbox server is slow (as in KB 2469722)",
            evidence: format!(
                "the front end waits {:.0} ms → {:.0} ms to find a mailbox server",
                before * 1e3,
                aged * 1e3
            ),
        })
    }
}
