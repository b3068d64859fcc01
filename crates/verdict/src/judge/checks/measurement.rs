//! Can the measurement itself be trusted? A generator that is overloaded measures itself.

use super::*;

/// What a figure of the harness may be, and what it means beyond.
struct Limit {
    gauge: &'static str,
    most: f64,
    text: fn(f64) -> String,
}

/// The gauge of how late the timers of this process are.
pub(super) const LAG: &str = "harness.lag_ms";
/// Timers that are late make every latency as late. More than this spoils a run in which no latency is compared.
const LAG_MS: f64 = 250.0;
/// The latencies that are judged.
const JUDGED: [Metric; 2] = [Metric::Sync, Metric::Notification];
/// A step of the clock shifts figures of the server against those of the devices.
const CLOCK_STEP_MS: f64 = 500.0;
/// Share of all the machine's processors that this process may use.
const CPU_SHARE: f64 = 0.85;

const LIMITS: [Limit; 2] = [
    Limit {
        gauge: "harness.cpu_share",
        most: CPU_SHARE,
        text: |value| {
            format!(
                "this process used {:.0} % of the machine's processors",
                value * 100.0
            )
        },
    },
    Limit {
        gauge: "harness.clock_step_ms",
        most: CLOCK_STEP_MS,
        text: |value| format!("the clock of this machine was set by {value:.0} ms"),
    },
];

impl RunData<'_> {
    /// Whether the run measured the server and not itself.
    pub(in crate::judge) fn measurement(&self) -> Check {
        let check = Draft::new(crate::judge::MEASUREMENT);
        let judged = [
            PhaseKind::Baseline,
            PhaseKind::Aging,
            PhaseKind::Hold,
            PhaseKind::Recovered,
        ];
        let intervals: Vec<&Interval> = judged.iter().flat_map(|kind| self.of(*kind)).collect();
        if intervals.is_empty() {
            return check.no_data("none of the phases that are judged was played");
        }
        let mut wrong = Vec::new();
        for kind in judged {
            for limit in &LIMITS {
                let values = self.gauges(kind, limit.gauge);
                // A step is an event, the others are states: a few slow seconds spoil nothing.
                let value = if limit.gauge == "harness.clock_step_ms" {
                    values.iter().copied().reduce(f64::max)
                } else {
                    high(&values)
                };
                if let Some(value) = value.filter(|value| *value > limit.most) {
                    wrong.push(format!("{}: {}", kind.as_str(), (limit.text)(value)));
                }
            }
            let (lag, most) = (high(&self.gauges(kind, LAG)), self.lag_allowed());
            if let Some(lag) = lag.filter(|lag| *lag > most) {
                wrong.push(format!(
                    "{}: timers of this process were {lag:.0} ms late, and latencies are judged to {most:.0} ms",
                    kind.as_str()
                ));
            }
            self.gaps(kind, &mut wrong);
        }
        let own: u64 = intervals
            .iter()
            .map(|interval| interval.count(Counter::OwnLimits))
            .sum();
        if own > 0 {
            wrong.push(format!(
                "{own} connections failed for want of a port or descriptor on this machine: see \
                 [devices] source_addresses, net.ipv4.ip_local_port_range and ulimit -n"
            ));
        }
        if wrong.is_empty() {
            let check = check.figures(self.doubts());
            return check.pass("this machine was not the bottleneck, and no second is missing");
        }
        wrong.extend(self.doubts());
        check
            .figures(wrong)
            .no_data("this machine, and not only the server, was measured")
    }

    /// How late timers may be, in milliseconds: a latency that is judged may rise by this before it is out of
    /// tolerance, and late timers must not be what raises it.
    pub(super) fn lag_allowed(&self) -> f64 {
        /// Timers have a grain of 1 ms, and a healthy process is a few times as late now and then.
        const LEAST_MS: f64 = 5.0;
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return LAG_MS;
        }
        let baseline = self.of(PhaseKind::Baseline);
        let rises = JUDGED.iter().filter_map(|metric| {
            let usual = merged(baseline.iter().copied(), *metric);
            let median = usual.value_at_quantile(0.5) as f64;
            (usual.len() >= MIN_SAMPLES).then(|| self.bound(median) - median)
        });
        let allowed = rises.fold(LAG_MS, |least, rise| least.min(rise / 1e3));
        allowed.max(LEAST_MS)
    }

    /// The largest latency that counts as restored, in microseconds.
    fn bound(&self, before: f64) -> f64 {
        let checks = &self.plan.checks;
        checks.tolerance * before + checks.slack.as_micros() as f64
    }

    /// Figures of the server that cannot be right, and a baseline that had not settled. What this machine measured stays
    /// right.
    fn doubts(&self) -> Vec<String> {
        let doubts = self.digest.doubts.iter();
        let doubts = doubts.map(|doubt| format!("doubted: {}", doubt.text));
        let unsettled = self.unsettled();
        let unsettled = unsettled.map(|why| format!("the baseline had not settled: {why}"));
        doubts.chain(unsettled).collect()
    }

    fn gaps(&self, kind: PhaseKind, wrong: &mut Vec<String>) {
        /// Of a phase's seconds.
        const MOST: f64 = 0.1;
        let seconds: f64 = self.of(kind).iter().map(|interval| interval.seconds).sum();
        let missing = self.digest.gaps.get(kind.as_str()).copied().unwrap_or(0.0);
        if missing > MOST * (seconds + missing) {
            wrong.push(format!(
                "{}: {missing:.0} of {:.0} seconds are missing",
                kind.as_str(),
                seconds + missing
            ));
        }
    }
}

/// What a fifth of the values exceed.
fn high(values: &[f64]) -> Option<f64> {
    const SHARE: f64 = 0.8;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * SHARE) as usize;
    sorted
        .get(index.min(sorted.len().saturating_sub(1)))
        .copied()
}
