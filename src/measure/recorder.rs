//! Takes events in from all devices and gives one [`Interval`] a second out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use client::device::{Event, FailureClass, PingEnd, Record, ThrottleHeader};
use client::transport::{ConnectionEnd, Handshake};
use eas::Command;
use eas::status::HttpStatus;
use hdrhistogram::Histogram;
use parking_lot::{Mutex, MutexGuard};
use scenario::TlsVersion;
use scenario::names::{Counter, DeviceState, Gauges, Metric};
use text::clean;
use tokio::time::Instant;
use verdict::timeline::{
    ACTING, Interval, Latency, LedgerCounts, MAILS_DUE, SECOND_PINGS, SENDING, SLOW_USERS, Totals,
    rounded,
};

use super::ledger::{Ledger, MailId, Marker};
use super::slow::SlowSyncs;

/// Devices share so many sets of histograms; more would cost memory, fewer contention.
const SHARDS: usize = 8;
/// Three significant digits, as everywhere in the field; a histogram grows with its values, up to
/// some 200 kB for hours in microseconds.
const DIGITS: u8 = 3;
/// Different error texts that are kept; more are counted together. Servers put ids and times into
/// their messages.
const MAX_TEXTS: usize = 32;
/// A key that is younger is known to every server that the device reaches, if they share their state.
const FRESH: Duration = Duration::from_secs(5);
/// Longest error text kept.
const MAX_TEXT: usize = 300;

/// Counts and histograms since the last interval.
struct Shard {
    counts: [u64; Counter::ALL.len()],
    histograms: Vec<Histogram<u64>>,
}

impl Shard {
    fn new() -> Self {
        let histograms = Metric::ALL.iter().map(|_| histogram()).collect();
        Self {
            counts: [0; Counter::ALL.len()],
            histograms,
        }
    }

    fn count(&mut self, counter: Counter) {
        self.counts[counter as usize] += 1;
    }

    fn add(&mut self, counter: Counter, number: usize) {
        self.counts[counter as usize] += number as u64;
    }

    fn latency(&mut self, metric: Metric, seconds: f64) {
        let micros = (seconds * 1e6).max(0.0) as u64;
        // An auto-resizing histogram takes any value; see `histogram`.
        let _ = self.histograms[metric as usize].record(micros);
    }

    fn handshake(&mut self, handshake: Handshake) {
        let (kind, metric) = if handshake.resumed {
            (Counter::TlsResumptions, Metric::TlsResumed)
        } else {
            (Counter::TlsFull, Metric::Tls)
        };
        self.count(kind);
        self.count(match handshake.version {
            TlsVersion::Tls12 => Counter::Tls12,
            TlsVersion::Tls13 => Counter::Tls13,
        });
        self.latency(metric, handshake.took.as_secs_f64());
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("{DIGITS} digits are allowed"))
}

/// A metric's latencies of all shards, which have none of it afterwards.
fn taken(shards: &mut [MutexGuard<'_, Shard>], metric: Metric) -> Option<Latency> {
    let histograms = shards.iter_mut();
    let histograms = histograms.map(|shard| &mut shard.histograms[metric as usize]);
    let mut filled: Vec<_> = histograms.filter(|one| !one.is_empty()).collect();
    let (first, others) = filled.split_first_mut()?;
    for other in others {
        // Both resize themselves, so adding cannot fail.
        let _ = first.add(&**other);
        other.reset();
    }
    let latency = Latency::of(first);
    first.reset();
    latency
}

/// How many shards serve the threads of this runtime: one is enough for one thread.
fn shards() -> usize {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    if matches!(flavor, Ok(RuntimeFlavor::CurrentThread)) {
        1
    } else {
        SHARDS
    }
}

/// The recorder of a run.
pub struct Recorder {
    start: Instant,
    shards: Vec<Mutex<Shard>>,
    census: [AtomicI64; DeviceState::ALL.len()],
    /// Pings open beside those that the census tells of.
    second_pings: AtomicI64,
    /// Second connections on which users act.
    acting: AtomicI64,
    /// Mail senders that have a request open.
    sending: AtomicI64,
    /// Pings held now, and Pings that end with the run.
    open_at_end: AtomicU64,
    overdue_at_end: AtomicU64,
    oldest_at_end_ms: AtomicU64,
    /// Pings that were given up, by the second of the run in which their heartbeat ends.
    given_up: Mutex<BTreeMap<u64, u64>>,
    texts: Mutex<BTreeMap<String, u64>>,
    statuses: Mutex<BTreeMap<String, u64>>,
    ledger: Mutex<Ledger>,
    slow: SlowSyncs,
    /// When each device got its last key, in milliseconds of the run and from 1 on; 0 if it has none.
    keyed: Vec<AtomicU32>,
}

/// A mail sender's request that is open.
#[derive(Debug)]
pub struct Sending<'a>(&'a AtomicI64);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Recorder {
    /// A recorder whose run starts now. `devices[n]` is the user of device n; an accepted mail is
    /// late after `late_after`.
    #[must_use]
    pub fn new(run: u32, devices: &[u32], late_after: Duration) -> Self {
        let census: [AtomicI64; DeviceState::ALL.len()] = Default::default();
        census[DeviceState::Off as usize].store(devices.len() as i64, Ordering::Relaxed);
        Self {
            start: Instant::now(),
            shards: (0..shards()).map(|_| Mutex::new(Shard::new())).collect(),
            census,
            second_pings: AtomicI64::new(0),
            acting: AtomicI64::new(0),
            sending: AtomicI64::new(0),
            open_at_end: AtomicU64::new(0),
            overdue_at_end: AtomicU64::new(0),
            oldest_at_end_ms: AtomicU64::new(0),
            given_up: Mutex::default(),
            texts: Mutex::default(),
            statuses: Mutex::default(),
            ledger: Mutex::new(Ledger::new(run, devices, late_after)),
            slow: SlowSyncs::new(devices),
            keyed: devices.iter().map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// When the run started.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Devices in a state.
    #[must_use]
    pub fn devices_in(&self, state: DeviceState) -> u64 {
        u64::try_from(self.census[state as usize].load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Requests that the server should have open: those of devices, on all their connections, and of mail senders.
    #[must_use]
    pub fn really_open(&self) -> u64 {
        DeviceState::ALL
            .into_iter()
            .filter(|state| state.has_request_open())
            .map(|state| self.devices_in(state))
            .sum::<u64>()
            + self.second_pings()
            + self.acting()
            + self.sending_now()
    }

    /// Counts a mail sender's request as open until what it returns is dropped.
    #[must_use]
    pub fn sending(&self) -> Sending<'_> {
        self.sending.fetch_add(1, Ordering::Relaxed);
        Sending(&self.sending)
    }

    fn sending_now(&self) -> u64 {
        u64::try_from(self.sending.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn acting(&self) -> u64 {
        u64::try_from(self.acting.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Pings that devices have open beside another.
    #[must_use]
    pub fn second_pings(&self) -> u64 {
        u64::try_from(self.second_pings.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Pings that devices gave up and whose heartbeat is not over: a server that does not notice may
    /// hold as many.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        let now = self.start.elapsed().as_secs();
        let mut given_up = self.given_up.lock();
        *given_up = given_up.split_off(&now);
        given_up.values().sum()
    }

    /// The worker that may have held the given up Pings is gone.
    pub fn forget_given_up(&self) {
        self.given_up.lock().clear();
    }

    /// Enters a mail; `None` for a user without devices.
    pub fn mail_meant(&self, user: u32, at: Instant) -> Option<Marker> {
        self.ledger.lock().meant(user, at)
    }

    /// A mail goes out.
    pub fn mail_sent(&self, id: MailId) {
        self.ledger.lock().sent(id, Instant::now());
    }

    /// A mail was accepted, so long after it was meant to go.
    pub fn mail_accepted(&self, id: MailId, after: Duration) {
        self.ledger.lock().accepted(id, Instant::now());
        self.shards[0]
            .lock()
            .latency(Metric::Accept, after.as_secs_f64());
    }

    /// A mail was not accepted.
    pub fn mail_failed(&self, id: MailId, text: &str) {
        self.ledger.lock().failed(id);
        self.shards[0].lock().count(Counter::MailFailures);
        self.text(&format!("mail: {text}"));
    }

    /// The ledger's counts.
    #[must_use]
    pub fn ledger(&self) -> LedgerCounts {
        self.ledger.lock().counts(Instant::now())
    }

    /// Devices in each state.
    #[must_use]
    pub fn states(&self) -> [u64; DeviceState::ALL.len()] {
        DeviceState::ALL.map(|state| self.devices_in(state))
    }

    /// The last mail that came twice or to a device of another user, and the number of the device.
    #[must_use]
    pub fn astray(&self) -> Option<(MailId, u32)> {
        self.ledger.lock().astray()
    }

    /// Accepted mails that are not on a device: mail, number of the device, and when the mail was accepted.
    #[must_use]
    pub fn missing(&self) -> Vec<(MailId, u32, Instant)> {
        self.ledger.lock().outstanding().collect()
    }

    /// Ends an interval. `gauges` come from elsewhere; the fleet's own are added.
    pub fn interval(&self, phase: &str, mut gauges: Gauges) -> Interval {
        let mut counts = [0_u64; Counter::ALL.len()];
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        for shard in &mut shards {
            for (sum, count) in counts.iter_mut().zip(&mut shard.counts) {
                *sum += std::mem::take(count);
            }
        }
        let latencies = Metric::ALL.iter().filter_map(|metric| {
            let latency = taken(&mut shards, *metric)?;
            Some((metric.as_str().to_owned(), latency))
        });
        let latencies: BTreeMap<String, Latency> = latencies.collect();
        drop(shards);
        if let Some(sync) = latencies.get(Metric::Sync.as_str()) {
            self.slow.learn(sync.p50);
        }
        for state in DeviceState::ALL {
            gauges.insert(
                format!("devices.{}", state.as_str()),
                self.devices_in(state) as f64,
            );
        }
        let ledger = self.ledger();
        gauges.insert(MAILS_DUE.to_owned(), ledger.due as f64);
        for (name, open) in [
            (SECOND_PINGS, self.second_pings()),
            (ACTING, self.acting()),
            (SENDING, self.sending_now()),
            (SLOW_USERS, self.slow.users()),
        ] {
            // Most plans have none.
            if open > 0 {
                gauges.insert(name.to_owned(), open as f64);
            }
        }
        let counts = Counter::ALL
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0);
        // JSON has no infinity, and a line that cannot be read costs the whole run.
        gauges.retain(|_, value| value.is_finite());
        for value in gauges.values_mut() {
            *value = rounded(*value);
        }
        Interval {
            t: (self.start.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            seconds: 1.0,
            phase: phase.to_owned(),
            counts: counts
                .map(|(counter, count)| (counter.as_str().to_owned(), count))
                .collect(),
            latencies,
            gauges,
            ledger,
        }
    }

    /// What is known only for the whole run.
    #[must_use]
    pub fn totals(&self) -> Totals {
        /// Enough to look them up on the server.
        const MISSING: usize = 20;
        let missing = self.ledger.lock().missing(MISSING, Instant::now());
        Totals {
            errors: self.texts.lock().clone(),
            statuses: self.statuses.lock().clone(),
            pings_open_at_end: self.open_at_end.load(Ordering::Relaxed),
            pings_overdue_at_end: self.overdue_at_end.load(Ordering::Relaxed),
            oldest_ping_at_end: self.oldest_at_end_ms.load(Ordering::Relaxed) as f64 / 1e3,
            missing_mails: missing
                .into_iter()
                .map(|(id, device)| {
                    format!(
                        "mail {} of user {} on device EASLOAD{device:08}",
                        id.number,
                        id.user + 1
                    )
                })
                .collect(),
        }
    }

    /// Counts an error text; the number of different ones is bounded.
    pub fn text(&self, text: &str) {
        let short: String = clean(text).chars().take(MAX_TEXT).collect();
        count_bounded(&mut self.texts.lock(), short);
    }

    /// Whether the event is one of the census, which needs no shard.
    fn census(&self, device: u32, event: &Event<'_>) -> bool {
        let change = |open: bool| if open { 1 } else { -1 };
        match event {
            Event::State { from, to } => {
                self.census[*from as usize].fetch_sub(1, Ordering::Relaxed);
                self.census[*to as usize].fetch_add(1, Ordering::Relaxed);
                let (was_there, is_there) = (from.is_reachable(), to.is_reachable());
                if was_there != is_there {
                    self.ledger.lock().there(device, is_there, Instant::now());
                }
            }
            Event::Acting { open } => {
                self.acting.fetch_add(change(*open), Ordering::Relaxed);
            }
            Event::SecondPing { open } => {
                self.second_pings
                    .fetch_add(change(*open), Ordering::Relaxed);
            }
            _ => return false,
        }
        true
    }

    /// The server gave the device a key.
    fn got_key(&self, device: u32) {
        let now = u32::try_from(self.start.elapsed().as_millis()).unwrap_or(u32::MAX);
        if let Some(keyed) = self.keyed.get(device as usize) {
            keyed.store(now.saturating_add(1), Ordering::Relaxed);
        }
    }

    /// The server does not know a key of the device.
    fn key_unknown(&self, shard: &mut Shard, device: u32, is_given_now: bool) {
        shard.count(Counter::KeysUnknown);
        let keyed = self.keyed.get(device as usize);
        let keyed = keyed.map_or(0, |keyed| keyed.load(Ordering::Relaxed));
        let given = Duration::from_millis(keyed.into());
        let is_fresh = keyed > 0 && self.start.elapsed().saturating_sub(given) < FRESH;
        if is_given_now || is_fresh {
            shard.count(Counter::KeysForgotten);
        }
    }

    fn sync_took(&self, shard: &mut Shard, device: u32, latency: Duration) {
        if let Some(again) = self.slow.push(device, latency) {
            shard.count(Counter::SlowSyncs);
            if again {
                shard.count(Counter::SlowAgain);
            }
        }
    }

    /// Only an answer with HTTP 200 says how fast the command is: an error is quick for the wrong
    /// reason.
    fn answered(
        &self,
        shard: &mut Shard,
        command: Option<Command>,
        http_status: u16,
        seconds: f64,
    ) {
        shard.count(Counter::Answers);
        if http_status != 200 {
            shard.count(Counter::HttpErrors);
            match http_status {
                429 => shard.count(Counter::TooManyRequests),
                502 => shard.count(Counter::BadGateway),
                503 => shard.count(Counter::Unavailable),
                _ => {}
            }
            count_bounded(&mut self.statuses.lock(), format!("HTTP {http_status}"));
            return;
        }
        match command {
            // Told by events of their own, once it is known what the answer says.
            Some(Command::Ping | Command::SendMail | Command::Sync) => {}
            _ => shard.latency(Metric::Command, seconds),
        }
    }

    fn ping_ended(&self, shard: &mut Shard, end: PingEnd, age: Duration) {
        let counter = match end {
            PingEnd::Expired { overshoot } => {
                /// Clocks and networks; anything earlier was no heartbeat.
                const EARLY: f64 = -0.010;
                if overshoot < EARLY {
                    shard.count(Counter::PingsEarly);
                    shard.latency(Metric::EarlyAge, age.as_secs_f64());
                } else {
                    shard.latency(Metric::Overshoot, overshoot);
                }
                Counter::PingsExpired
            }
            PingEnd::Changes => Counter::PingsChanged,
            PingEnd::Interrupted => Counter::PingsOther,
            PingEnd::Superseded => Counter::PingsSuperseded,
            PingEnd::Status(_) => Counter::PingsOther,
            PingEnd::Lost => {
                shard.latency(Metric::EarlyAge, age.as_secs_f64());
                Counter::PingsLost
            }
            PingEnd::TimedOut => {
                shard.latency(Metric::EarlyAge, age.as_secs_f64());
                Counter::PingsTimedOut
            }
            PingEnd::Abandoned { left } => {
                let end = self.start.elapsed().as_secs_f64() + left;
                *self.given_up.lock().entry(end.max(0.0) as u64).or_default() += 1;
                Counter::PingsAbandoned
            }
            PingEnd::Overdue { overshoot } => {
                shard.latency(Metric::Overshoot, overshoot);
                Counter::PingsOverdue
            }
            PingEnd::Cut => {
                shard.latency(Metric::CutAge, age.as_secs_f64());
                Counter::PingsCut
            }
            PingEnd::OpenAtEnd { overdue } => {
                self.open_at_end.fetch_add(1, Ordering::Relaxed);
                self.overdue_at_end
                    .fetch_add(overdue.into(), Ordering::Relaxed);
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                self.oldest_at_end_ms.fetch_max(age_ms, Ordering::Relaxed);
                return;
            }
        };
        shard.count(counter);
    }
}

/// A request without an answer.
fn failed(shard: &mut Shard, command: Option<Command>, class: FailureClass, age: Option<Duration>) {
    shard.count(match class {
        FailureClass::Connect => Counter::ConnectFailures,
        FailureClass::OwnLimit => Counter::OwnLimits,
        FailureClass::Closed => Counter::Closed,
        FailureClass::Reset => Counter::Resets,
        FailureClass::TimedOut => Counter::TimedOut,
        FailureClass::Malformed => Counter::Malformed,
    });
    // A Sync that was given up is a bad sample, not a missing one.
    if let (Some(Command::Sync), FailureClass::TimedOut, Some(age)) = (command, class, age) {
        shard.latency(Metric::Sync, age.as_secs_f64());
    }
}

impl Record for Recorder {
    fn record(&self, device: u32, event: Event<'_>) {
        if self.census(device, &event) {
            return;
        }
        let mut shard = self.shards[device as usize % self.shards.len()].lock();
        match event {
            Event::State { .. } | Event::SecondPing { .. } | Event::Acting { .. } => {}
            Event::Begun { connect, tls } => {
                shard.count(if connect.is_some() {
                    Counter::Connects
                } else {
                    Counter::Reuses
                });
                if let Some(connect) = connect {
                    shard.latency(Metric::Connect, connect.as_secs_f64());
                }
                if let Some(handshake) = tls {
                    shard.handshake(handshake);
                }
            }
            Event::Answered {
                command,
                http_status,
                took,
                end,
            } => {
                self.answered(&mut shard, command, http_status, took.as_secs_f64());
                // Before 14.0, this is Status 142 to 144 (MS-ASCMD 2.2.2).
                if http_status == HttpStatus::NeedsProvisioning.code() {
                    self.key_unknown(&mut shard, device, false);
                }
                if end == ConnectionEnd::ClosedByUs {
                    shard.count(Counter::Malformed);
                }
            }
            Event::Failed {
                command,
                class,
                text,
                age,
            } => {
                failed(&mut shard, command, class, age);
                if let (Some(Command::Sync), FailureClass::TimedOut, Some(age)) =
                    (command, class, age)
                {
                    self.sync_took(&mut shard, device, age);
                }
                self.text(text);
            }
            Event::BadBody { command, text } => {
                shard.count(Counter::Malformed);
                let name = command.map_or("OPTIONS", Command::as_str);
                self.text(&format!("{name}: {text}"));
            }
            Event::WebPage => shard.count(Counter::WebPages),
            Event::Throttled { by } => shard.count(match by {
                ThrottleHeader::RetryAfter => Counter::RetryAfter,
                ThrottleHeader::AsThrottle => Counter::AsThrottle,
            }),
            Event::Skipped {
                command,
                count,
                text,
            } => {
                shard.add(Counter::Malformed, count);
                self.text(&format!("{command}: {text}"));
            }
            Event::Status { command, code } => {
                shard.count(Counter::Statuses);
                if eas::status::is_key_unknown(command, code) {
                    // The second phase of Provision brings the key of the first.
                    let is_given_now = command == Command::Provision;
                    self.key_unknown(&mut shard, device, is_given_now);
                }
                count_bounded(&mut self.statuses.lock(), eas::status::name(command, code));
            }
            Event::PingSent { gap, hangs, .. } => {
                self.ledger.lock().ping_sent(device);
                shard.count(Counter::PingsSent);
                if hangs {
                    shard.count(Counter::HangingSyncs);
                }
                if let Some(gap) = gap {
                    shard.latency(Metric::Gap, gap.as_secs_f64());
                }
            }
            Event::PingEnded { end, age } => {
                let had_all = matches!(
                    end,
                    PingEnd::Expired { .. } | PingEnd::OpenAtEnd { overdue: false }
                );
                self.ledger
                    .lock()
                    .ping_ended(device, had_all, Instant::now());
                self.ping_ended(&mut shard, end, age);
            }
            Event::ItemSynced {
                subject,
                ping_answered,
                at,
            } => {
                shard.count(Counter::Items);
                let arrival = self
                    .ledger
                    .lock()
                    .synced(device, subject, ping_answered, at);
                if let Some(delivery) = arrival.delivery {
                    shard.latency(Metric::Delivery, delivery);
                }
                if let Some(notification) = arrival.notification {
                    shard.latency(Metric::Notification, notification);
                }
            }
            Event::Synced { timing, has_inbox } => {
                if has_inbox {
                    self.ledger.lock().had_all(device, timing.sent);
                }
                self.got_key(device);
                self.sync_took(&mut shard, device, timing.total);
                shard.count(Counter::Syncs);
                shard.latency(Metric::Sync, timing.total.as_secs_f64());
            }
            Event::Acted { action, failed } => shard.count(if failed {
                Counter::ActFailures
            } else {
                Counter::of_action(action)
            }),
            Event::Refused { why, again } => {
                shard.count(Counter::Refused);
                if again {
                    shard.count(Counter::RefusedAgain);
                }
                if let Some(why) = why {
                    self.text(why);
                }
            }
            Event::TokenRenewed => shard.count(Counter::TokensRenewed),
            Event::TokenRefused => shard.count(Counter::TokensRefused),
            Event::TokenFailed { text } => {
                shard.count(Counter::TokenFailures);
                self.text(text);
            }
            Event::Redirected => shard.count(Counter::Redirected),
            Event::NotRedirected { text } => {
                shard.count(Counter::NotRedirected);
                self.text(text);
            }
            Event::Provisioning => shard.count(Counter::Provisionings),
            Event::Provisioned => self.got_key(device),
            Event::NoNews => shard.count(Counter::PingsWithoutNews),
            Event::SyncKeyReset => {
                shard.count(Counter::SyncKeyResets);
                self.ledger.lock().starts_again(device);
            }
            Event::HierarchyFetched => shard.count(Counter::HierarchyFetches),
        }
    }
}

fn count_bounded(map: &mut BTreeMap<String, u64>, key: String) {
    const OTHERS: &str = "others";
    if map.len() >= MAX_TEXTS && !map.contains_key(&key) {
        *map.entry(OTHERS.to_owned()).or_default() += 1;
    } else {
        *map.entry(key).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use client::transport::Timing;

    use super::*;

    /// A Sync that ended just now.
    fn took(millis: u64) -> Timing {
        let total = Duration::from_millis(millis);
        let sent = Instant::now() - total;
        Timing { sent, total }
    }

    /// A busy harness hears of the answer long after it came.
    #[tokio::test(start_paused = true)]
    async fn a_sync_shows_what_the_server_had_when_it_was_sent() {
        const LATE: Duration = Duration::from_secs(60);
        const SECOND: Duration = Duration::from_secs(1);
        for (after, lost) in [(LATE - SECOND, 0), (LATE, 1)] {
            let recorder = Recorder::new(1, &[0], LATE);
            let mail = recorder.mail_meant(0, Instant::now()).unwrap();
            recorder.mail_accepted(mail.id, Duration::ZERO);
            tokio::time::advance(after).await;
            let timing = Timing {
                sent: Instant::now(),
                total: SECOND,
            };
            tokio::time::advance(3 * LATE).await;
            let synced = Event::Synced {
                timing,
                has_inbox: true,
            };
            recorder.record(0, synced);
            assert_eq!(recorder.ledger().lost(), lost, "{after:?}");
        }
    }

    /// What is open and not counted seems to be stranded.
    #[tokio::test(start_paused = true)]
    async fn requests_of_senders_and_of_second_connections_are_open() {
        let recorder = Recorder::new(1, &[0, 0], Duration::from_secs(60));
        let open = || {
            let interval = recorder.interval("", Gauges::new());
            assert_eq!(interval.open_requests(), recorder.really_open() as f64);
            recorder.really_open()
        };
        assert_eq!(open(), 0);
        recorder.record(
            0,
            Event::State {
                from: DeviceState::Off,
                to: DeviceState::Holding,
            },
        );
        assert_eq!(open(), 1);
        recorder.record(0, Event::SecondPing { open: true });
        assert_eq!(open(), 2);
        recorder.record(0, Event::Acting { open: true });
        assert_eq!(open(), 3);
        let senders = (recorder.sending(), recorder.sending());
        assert_eq!(open(), 5);
        drop(senders);
        recorder.record(0, Event::Acting { open: false });
        recorder.record(0, Event::SecondPing { open: false });
        assert_eq!(open(), 1);
    }

    /// A server that loses its state once forgets keys of any age, few of which are fresh. One of several servers that
    /// share nothing does not know a key that another one has just given.
    #[tokio::test(start_paused = true)]
    async fn key_is_forgotten_if_it_is_unknown_within_five_seconds() {
        let recorder = Recorder::new(1, &[0, 0], Duration::from_secs(60));
        let counted = |event| {
            recorder.record(0, event);
            let interval = recorder.interval("", Gauges::new());
            (
                interval.count(Counter::KeysUnknown),
                interval.count(Counter::KeysForgotten),
            )
        };
        let status = |command, code| Event::Status { command, code };
        assert_eq!(counted(status(Command::Sync, 3)), (1, 0), "it had no key");
        assert_eq!(counted(Event::Provisioned), (0, 0));
        tokio::time::advance(Duration::from_millis(4_900)).await;
        assert_eq!(counted(status(Command::FolderSync, 142)), (1, 1));
        assert_eq!(counted(status(Command::Sync, 16)), (0, 0), "no key");
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(counted(status(Command::FolderSync, 142)), (1, 0));
        assert_eq!(counted(status(Command::Provision, 5)), (1, 1));
        let synced = Event::Synced {
            timing: took(10),
            has_inbox: true,
        };
        assert_eq!(counted(synced), (0, 0));
        assert_eq!(counted(status(Command::Sync, 3)), (1, 1));
        recorder.record(1, status(Command::Sync, 3));
        let other = recorder.interval("", Gauges::new());
        assert_eq!(other.count(Counter::KeysForgotten), 0, "another device's");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_syncs_are_counted_with_their_users() {
        let recorder = Recorder::new(1, &[0, 1], Duration::from_secs(60));
        let sync = |device, millis| {
            let synced = Event::Synced {
                timing: took(millis),
                has_inbox: false,
            };
            recorder.record(device, synced);
        };
        for _ in 0..5 {
            sync(0, 20);
        }
        let first = recorder.interval("", Gauges::new());
        assert_eq!(first.count(Counter::SlowSyncs), 0);
        assert_eq!(first.gauge(SLOW_USERS), None);
        sync(0, 20);
        sync(1, 900);
        sync(1, 900);
        recorder.record(
            1,
            Event::Failed {
                command: Some(Command::Sync),
                class: FailureClass::TimedOut,
                text: "",
                age: Some(Duration::from_secs(30)),
            },
        );
        let second = recorder.interval("", Gauges::new());
        assert_eq!(second.count(Counter::SlowSyncs), 3);
        assert_eq!(second.count(Counter::SlowAgain), 2);
        assert_eq!(second.gauge(SLOW_USERS), Some(1.0));
    }

    /// A mail for a device without a network waits for the device, not for the server.
    #[tokio::test(start_paused = true)]
    async fn mails_are_due_on_devices_that_are_there() {
        let recorder = Recorder::new(1, &[0, 0], Duration::from_secs(60));
        let mail = recorder.mail_meant(0, Instant::now()).unwrap();
        recorder.mail_sent(mail.id);
        recorder.mail_accepted(mail.id, Duration::ZERO);
        let due = || recorder.interval("", Gauges::new()).gauge(MAILS_DUE);
        assert_eq!(due(), Some(0.0), "both devices are off");
        let enter = |device, from, to| recorder.record(device, Event::State { from, to });
        enter(0, DeviceState::Off, DeviceState::Starting);
        enter(1, DeviceState::Off, DeviceState::Holding);
        assert_eq!(due(), Some(2.0));
        enter(1, DeviceState::Holding, DeviceState::Away);
        assert_eq!(due(), Some(1.0));
        enter(1, DeviceState::Away, DeviceState::BackingOff);
        assert_eq!(
            due(),
            Some(2.0),
            "a server that turns it away is waited for"
        );
        recorder.record(
            0,
            Event::ItemSynced {
                subject: &mail.to_string(),
                ping_answered: None,
                at: Instant::now(),
            },
        );
        assert_eq!(due(), Some(1.0));
    }
}
