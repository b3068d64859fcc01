//! Incidents that show in how Pings end.

use super::*;

/// Fewer Pings are no pattern.
const MIN_PINGS: u64 = 10;
/// Nor is a smaller share of them.
const SHARE: f64 = 0.2;

impl RunData<'_> {
    /// Pings end before their heartbeat, all at the same age: something between device and server ends
    /// what is silent for so long, without an answer or with 408, 502 or 504, or the server itself does. A
    /// recycle ends Pings of every age.
    pub(super) fn timeout_in_between(&self) -> Option<LookAlike> {
        /// Ages that differ by so much are not one timeout.
        const SPREAD: f64 = 0.15;
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
            explains: true,
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

    /// The server answers Pings early and at any age. A single age is [`timeout_in_between`](Self::timeout_in_between)'s.
    pub(super) fn early_answers(&self) -> Option<LookAlike> {
        let before = self.before_recycle_phase();
        let early = total(&before, Counter::PingsEarly);
        let ended = total(&before, Counter::PingsExpired) + total(&before, Counter::PingsChanged);
        let is_pattern = early >= MIN_PINGS && early as f64 >= SHARE * ended as f64;
        if !is_pattern || self.timeout_in_between().is_some() {
            return None;
        }
        let ages = merged(before, Metric::EarlyAge);
        let age = |quantile| time(ages.value_at_quantile(quantile) as f64);
        Some(LookAlike {
            name: "the server answers Pings before their heartbeat though nothing has changed",
            evidence: format!(
                "{early} of {ended} Pings were answered early and without a change, 80 % of them at an age of {} to {}",
                age(0.1),
                age(0.9)
            ),
            explains: false,
        })
    }

    /// The server reports changes, and a Sync finds none.
    pub(super) fn no_news(&self) -> Option<LookAlike> {
        let before = self.before_recycle_phase();
        let empty = total(&before, Counter::PingsWithoutNews);
        let changed = total(&before, Counter::PingsChanged);
        let is_pattern = empty >= MIN_PINGS && empty as f64 >= SHARE * changed as f64;
        is_pattern.then(|| LookAlike {
            name: "the server reports changes that no Sync brings",
            evidence: format!(
                "after {empty} of {changed} Pings that reported changes, the Sync brought none"
            ),
            explains: false,
        })
    }
}
