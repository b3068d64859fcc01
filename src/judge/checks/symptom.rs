//! Was the symptom there?

use super::*;

/// Whether requests gather in the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rise {
    /// The server's counters show it.
    Proven,
    /// Devices gave Pings up, and the server cannot be looked into.
    Possible,
    /// They do not.
    None,
}

/// Whether the service gets worse by the plan's factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worse {
    /// It does not.
    No,
    /// It did in what was measured, perhaps by chance.
    Unproven,
    /// It does.
    Proven,
}

impl Bench<'_> {
    /// Did stranded requests gather, and did the service get worse?
    pub(in crate::judge) fn symptom(&self) -> Check {
        let check = Draft::new("symptom");
        if self.plan.checks.symptom == Expectation::Any {
            return check.skip("the scenario does not ask for it");
        }
        let mut figures = Vec::new();
        let rise = self.rise(&mut figures);
        let worse = self.worsening(&mut figures);
        let factor = self.plan.checks.symptom_factor;
        let others = self.look_alikes();
        if self.plan.checks.symptom == Expectation::Expected {
            figures.extend(others.iter().map(|other| other.evidence.clone()));
        }
        let check = check.figures(figures);
        let Some(rise) = rise else {
            return check.no_data(
                "requests that stay active were not looked at long enough in the aging phase",
            );
        };
        match (self.plan.checks.symptom, rise, worse) {
            (Expectation::Absent, Rise::Proven, _) => {
                check.fail("requests gather in the pool though none should strand")
            }
            (Expectation::Absent, Rise::Possible, _) => check.no_data(
                "devices gave Pings up, and without server counters nobody sees what became of them",
            ),
            (Expectation::Absent, Rise::None, _) => check.pass("nothing gathers in the pool"),
            (_, Rise::None | Rise::Possible, _) if !others.is_empty() => {
                let names: Vec<&str> = others.iter().map(|other| other.name).collect();
                check.no_data(format!("not this bug: {}", names.join("; ")))
            }
            (_, Rise::None, _) => check.no_data("not reproduced: nothing gathers in the pool"),
            (_, _, None) => check.no_data(
                "requests gather, but too few Syncs were measured to say whether it hurts",
            ),
            (_, Rise::Proven, Some(Worse::Proven)) => {
                check.pass("stranded requests gather, and the service gets worse")
            }
            (_, Rise::Possible, Some(Worse::Proven)) => check.pass(
                "the service gets worse as devices give Pings up, as it does where they strand; without \
                 server counters that is as much as can be seen",
            ),
            (_, _, Some(Worse::Unproven)) => check.no_data(format!(
                "requests gather, and what was measured is worse by {factor} and more, but it is so little \
                 that it may be chance; a longer aging phase would tell"
            )),
            (_, _, Some(Worse::No)) => check.no_data(format!(
                "not reproduced: requests gather, but neither latencies nor failing requests nor waiting \
                 devices got worse by {factor}"
            )),
        }
    }

    /// Whether requests gather in aging; `None` where that was not seen long enough.
    fn rise(&self, figures: &mut Vec<String>) -> Option<Rise> {
        let aging = self.of(PhaseKind::Aging);
        let needed = MIN_RISE_SHARE * f64::from(self.plan.devices.count);
        let mut slope_of = |name: &str, text: &str| -> Option<bool> {
            let points: Vec<(f64, f64)> = aging
                .iter()
                .filter_map(|interval| Some((interval.t, interval.gauge(name)?)))
                .collect();
            let slope = theil_sen(&points)?;
            let seconds = points.last().map_or(0.0, |(t, _)| *t) - points[0].0;
            figures.push(format!(
                "{text} {:+.1}/s in aging (95 % interval {:+.1} to {:+.1})",
                slope.estimate, slope.low, slope.high
            ));
            Some(slope.low > 0.0 && slope.estimate * seconds >= needed)
        };
        let active = slope_of(gauge::ACTIVE, "Active Requests");
        let pending = slope_of(gauge::PENDING, "Ping Commands Pending");
        if active.is_some() || pending.is_some() {
            let stranded = slope_of(gauge::STRANDED, "stranded");
            let proven = [active, pending, stranded].contains(&Some(true));
            return Some(if proven { Rise::Proven } else { Rise::None });
        }
        // A baseline without any given up Ping has no slope either: what counts is the level.
        let given_up = self.gauges(PhaseKind::Aging, gauge::GIVEN_UP);
        let before = median(&self.gauges(PhaseKind::Baseline, gauge::GIVEN_UP)).unwrap_or(0.0);
        let level = median(&given_up)?;
        figures.push(format!(
            "Pings that were given up and that the server may hold: {before:.0} → {level:.0} in the \
             middle of aging"
        ));
        let gathers = level - before >= needed.max(1.0);
        Some(if gathers { Rise::Possible } else { Rise::None })
    }

    /// Whether Sync latency, failing requests or mails that wait in the last third of aging are worse
    /// than in the baseline by the plan's factor.
    fn worsening(&self, figures: &mut Vec<String>) -> Option<Worse> {
        let aging = self.of(PhaseKind::Aging);
        let degraded = &aging[aging.len() * 2 / 3..];
        let baseline = self.of(PhaseKind::Baseline);
        let (before, after) = (failing(&baseline), failing(degraded));
        /// Below one in a hundred, users do not notice.
        const MIN_FAILURES: f64 = 0.01;
        let fails = after > MIN_FAILURES && after > before * self.plan.checks.symptom_factor;
        if after > 0.0 || before > 0.0 {
            figures.push(format!(
                "requests that fail {:.1} % → {:.1} %",
                before * 100.0,
                after * 100.0
            ));
        }
        // A Sync that hangs has no latency yet.
        let (waited, waits) = (self.syncing(&baseline), self.syncing(degraded));
        let hangs = waits > NOTICED && waits > waited * self.plan.checks.symptom_factor;
        if hangs {
            figures.push(format!(
                "devices that wait for a Sync {:.0} % → {:.0} %",
                waited * 100.0,
                waits * 100.0
            ));
        }
        let waits = self.longer_wait(&baseline, degraded, self.plan.checks.symptom_factor, 0.0);
        let waits = waits.map(|longer| {
            figures.push(longer.text);
            if longer.is_proven {
                Worse::Proven
            } else {
                Worse::Unproven
            }
        });
        let fails = fails || hangs;
        let latencies = [
            (Metric::Sync, "Sync"),
            (Metric::Notification, "notification"),
        ];
        let slower = latencies
            .into_iter()
            .filter_map(|(metric, text)| self.slower(metric, text, &baseline, degraded, figures))
            .max();
        if fails {
            Some(Worse::Proven)
        } else {
            slower.max(waits)
        }
    }

    /// Whether a latency's p95 has grown by the plan's factor, and not by chance; `None` with too few
    /// samples.
    fn slower(
        &self,
        metric: Metric,
        text: &str,
        baseline: &[&Interval],
        degraded: &[&Interval],
        figures: &mut Vec<String>,
    ) -> Option<Worse> {
        /// A p95 has one sample beyond it. A server that starves answers few.
        const LEAST: u64 = 20;
        let count = |intervals: &[&Interval]| merged(intervals.iter().copied(), metric).len();
        if count(baseline) < MIN_SAMPLES || count(degraded) < LEAST {
            return None;
        }
        let [compared] = compare_quantiles(
            &histograms(baseline, metric),
            &histograms(degraded, metric),
            [0.95],
            &mut Xoshiro256PlusPlus::seed_from_u64(self.seed),
        )?;
        let ratio = compared.ratio();
        figures.push(format!(
            "{text} p95 {} → {} in the last third of aging, {} (95 % interval {} to {})",
            time(compared.value.0),
            time(compared.value.1),
            times(ratio.value),
            times(ratio.low),
            times(ratio.high)
        ));
        Some(if ratio.value < self.plan.checks.symptom_factor {
            Worse::No
        } else if ratio.low > 1.0 {
            Worse::Proven
        } else {
            Worse::Unproven
        })
    }
}
