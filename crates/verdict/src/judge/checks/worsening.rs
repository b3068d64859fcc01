//! Does the service get worse?

use super::*;

/// Series that are looked at for whether the service gets worse: Sync, notification, requests that fail, devices
/// that wait for a Sync, mails that wait. Each may be wrong with this part of the whole error.
pub(in crate::judge) const WORSENING_SERIES: usize = 5;
/// The error of each series.
const TAIL: f64 = ALARM / WORSENING_SERIES as f64;

impl RunData<'_> {
    /// Whether Sync latency, failing requests or mails that wait are worse in a later stretch of the run by `factor`;
    /// `None` with too few samples.
    pub(super) fn worsening(
        &self,
        baseline: &[&Interval],
        degraded: &[&Interval],
        factor: f64,
        figures: &mut Vec<String>,
    ) -> Option<Worse> {
        let fails = failing_more(baseline, degraded, factor, figures);
        // A Sync that hangs has no latency yet.
        let others = [
            self.hanging(baseline, degraded, factor),
            self.longer_wait(baseline, degraded, factor, 0.0),
        ];
        let waits = others.into_iter().flatten().filter_map(|figure| {
            let worse = figure.worse(TAIL)?;
            figures.push(match worse {
                Worse::Proven => figure.text,
                _ => format!("{} ← perhaps by chance", figure.text),
            });
            Some(worse)
        });
        let waits = waits.max();
        let latencies = [
            (Metric::Sync, "Sync"),
            (Metric::Notification, "notification"),
        ];
        let slower = latencies
            .into_iter()
            .filter_map(|(metric, text)| {
                let recorded = (histograms(baseline, metric), histograms(degraded, metric));
                slower(text, recorded, factor, figures)
            })
            .max();
        slower.max(waits).max(fails)
    }
}

/// Whether a latency's p95 has grown by that factor, and not by chance; `None` with too few samples.
fn slower(
    text: &str,
    (baseline, degraded): (Vec<Recorded>, Vec<Recorded>),
    factor: f64,
    figures: &mut Vec<String>,
) -> Option<Worse> {
    /// A p95 has one sample beyond it. A server that starves answers few.
    const LEAST: u64 = 20;
    if samples(&baseline) < MIN_SAMPLES || samples(&degraded) < LEAST {
        return None;
    }
    let [compared] = compare_quantiles(&baseline, &degraded, [0.95], Course::Level)?;
    let (before, after) = compared.value();
    let ratio = compared.ratio(SHOWN);
    figures.push(format!(
        "{text} p95 {} → {}, {} (95 % interval {})",
        time(before),
        time(after),
        times(ratio.value),
        times_between(ratio.low, ratio.high)
    ));
    Some(if ratio.value < factor {
        Worse::No
    } else if compared.ratio(TAIL).low > 1.0 {
        Worse::Proven
    } else {
        Worse::Unproven
    })
}

/// Whether more requests fail by that factor, and more than users bear; `None` where they do not.
fn failing_more(
    baseline: &[&Interval],
    degraded: &[&Interval],
    factor: f64,
    figures: &mut Vec<String>,
) -> Option<Worse> {
    /// Below one in a hundred, users do not notice.
    const MIN_FAILURES: f64 = 0.01;
    let (before, after) = (failing(baseline), failing(degraded));
    if before.max(after) <= 0.0 {
        return None;
    }
    let share = Share::compare(&failing_each(baseline), &failing_each(degraded));
    let bounds = share.as_ref().map(|share| {
        let difference = share.difference(1.0, SHOWN);
        format!(
            " (95 % interval of the difference {:+.1} to {:+.1} points)",
            difference.low * 100.0,
            difference.high * 100.0
        )
    });
    figures.push(format!(
        "requests that fail {:.1} % → {:.1} %{}",
        before * 100.0,
        after * 100.0,
        bounds.unwrap_or_default()
    ));
    if after <= MIN_FAILURES || after <= before * factor {
        return None;
    }
    // As for latencies: by the factor in what was measured, and more than before for certain.
    let is_proven = share.is_some_and(|share| share.lower(1.0, TAIL) > 0.0);
    Some(if is_proven {
        Worse::Proven
    } else {
        Worse::Unproven
    })
}
