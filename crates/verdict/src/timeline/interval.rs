//! One second of a run, as it stands in the timeline.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use scenario::names::{Counter, DeviceState, Gauges, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts of the mail ledger since the start of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LedgerCounts {
    /// Mails that were meant to go.
    pub meant: u64,
    /// Mails the server accepted.
    pub accepted: u64,
    /// Mails the server refused, or whose fate is unknown.
    pub failed: u64,
    /// Arrivals that a Ping had announced, counted per device.
    pub notified: u64,
    /// Arrivals, counted per device.
    pub synced: u64,
    /// Arrivals of a mail that the device had already.
    pub duplicates: u64,
    /// Arrivals on a device of another user.
    pub misplaced: u64,
    /// Arrivals of accepted mails that are still to come.
    pub outstanding: u64,
    /// Those among them that are overdue and were asked for.
    pub late: u64,
    /// Arrivals that came later than they should.
    #[serde(default)]
    pub late_arrivals: u64,
    /// Those among `outstanding` that can still come, because mail took as long in this run (`patience_ms`).
    #[serde(default)]
    pub under_way: u64,
    /// Those among `outstanding` on devices that got no good answer to a Ping or Sync since the mail should have been
    /// there: their mail was not asked for.
    #[serde(default)]
    pub not_asked_for: u64,
    /// The number of those devices.
    #[serde(default)]
    pub silent_devices: u64,
    /// How long after it was accepted a mail can still come, in milliseconds: the longest delivery so far, and at least
    /// `late_after`.
    #[serde(default)]
    pub patience_ms: u64,
    /// Those among `outstanding` on devices that have a network and no later mail.
    #[serde(default)]
    pub due: u64,
    /// Arrivals that became due so.
    #[serde(default)]
    pub came_due: u64,
    /// How long such arrivals have been waited for, all together, in milliseconds.
    #[serde(default)]
    pub mail_ms: u64,
    /// How long devices have waited for one or more of them, all together, in milliseconds.
    #[serde(default)]
    pub device_ms: u64,
}

impl LedgerCounts {
    /// Arrivals that are missing though the server was asked for them and had the time; a mail of an older timeline
    /// counts as well.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.outstanding
            .saturating_sub(self.under_way)
            .saturating_sub(self.not_asked_for)
    }
}

/// A latency in one second, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
    /// The whole histogram: HdrHistogram V2 in base64. Not deflated: the whole file is.
    pub hdr: String,
}

thread_local! {
    /// It has a buffer with room for all of a histogram's counts, some 100 kB, which is not allocated anew for each
    /// latency of each second.
    static SERIALIZER: RefCell<V2Serializer> = RefCell::new(V2Serializer::new());
}

impl Latency {
    /// Of a histogram with samples.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        SERIALIZER
            .with_borrow_mut(|serializer| serializer.serialize(histogram, &mut bytes).ok())?;
        Some(Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.50),
            p95: histogram.value_at_quantile(0.95),
            p99: histogram.value_at_quantile(0.99),
            max: histogram.max(),
            hdr: BASE64.encode(bytes),
        })
    }

    /// The histogram again; `None` if the text is not one.
    #[must_use]
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        let bytes = BASE64.decode(&self.hdr).ok()?;
        // The decoder would believe the length that the header claims.
        let claimed = bytes.get(4..8)?.try_into().ok().map(u32::from_be_bytes)?;
        if claimed as usize > bytes.len() {
            return None;
        }
        Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
    }
}

/// The gauge of Pings that devices have open beside another.
pub const SECOND_PINGS: &str = "devices.second_pings";

/// The gauge of second connections on which users act.
pub const ACTING: &str = "devices.acting";
/// The gauge of users whose last three Syncs were slow.
pub const SLOW_USERS: &str = "devices.slow_users";
/// The gauge of mail senders that have a request open.
pub const SENDING: &str = "mail.sending";

/// The gauge of [`LedgerCounts::due`].
pub const MAILS_DUE: &str = "devices.mails_due";

/// A value with as many digits as it means something: a share of a core in sixteen digits costs the
/// timeline more than all the histograms.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    /// Significant digits of what is not a whole number.
    const DIGITS: i32 = 5;
    if value == 0.0 || value.fract() == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(DIGITS - 1 - value.abs().log10().floor() as i32);
    let rounded = (value * scale).round() / scale;
    // Numbers next to zero have no such scale.
    if rounded.is_finite() { rounded } else { 0.0 }
}

/// One second, or several that were put together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Seconds from the start of the run to the end of the interval.
    pub t: f64,
    /// Its length in seconds.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub seconds: f64,
    /// The phase it belongs to.
    pub phase: String,
    /// Events in it, by [`Counter`] name; zeros are left out.
    pub counts: BTreeMap<String, u64>,
    /// Values at its end: `devices.*` from the fleet, `tcp.*` from socket tables, `server.*` from
    /// the server's counters, `harness.*` from this process.
    pub gauges: Gauges,
    /// Latencies in it, by [`Metric`] name; those without samples are left out.
    pub latencies: BTreeMap<String, Latency>,
    /// The ledger at its end.
    pub ledger: LedgerCounts,
}

const fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_one(seconds: &f64) -> bool {
    *seconds == 1.0
}

impl Interval {
    /// A count.
    #[must_use]
    pub fn count(&self, counter: Counter) -> u64 {
        self.counts.get(counter.as_str()).copied().unwrap_or(0)
    }

    /// A value.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.gauges.get(name).copied()
    }

    /// Requests that devices and mail senders had open.
    #[must_use]
    pub fn open_requests(&self) -> f64 {
        let open = DeviceState::ALL
            .iter()
            .filter(|state| state.has_request_open());
        let level = |state: &DeviceState| self.gauge(&format!("devices.{}", state.as_str()));
        let beside = [SECOND_PINGS, ACTING, SENDING].into_iter();
        let beside = beside.filter_map(|name| self.gauge(name));
        open.filter_map(level).chain(beside).sum()
    }

    /// A latency.
    #[must_use]
    pub fn latency(&self, metric: Metric) -> Option<&Latency> {
        self.latencies.get(metric.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_what_they_mean() {
        assert_eq!(rounded(0.034_482_758_6), 0.034_483);
        assert_eq!(rounded(123_456_789.0), 123_456_789.0);
        assert_eq!(rounded(-1234.5678), -1234.6);
        assert_eq!(rounded(1e-310), 0.0);
    }

    /// A header may claim four gigabytes.
    #[test]
    fn a_histogram_that_lies_about_its_length_is_none() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        histogram.record(5).unwrap();
        let mut latency = Latency::of(&histogram).unwrap();
        assert_eq!(latency.histogram().unwrap().len(), 1);
        let mut bytes = BASE64.decode(&latency.hdr).unwrap();
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        latency.hdr = BASE64.encode(bytes);
        assert_eq!(latency.histogram(), None);
    }
}
