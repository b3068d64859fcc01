//! How long mail is waited for.

use tokio::time::Instant;

/// What is waited for on devices that are there, as integrals: latencies know only of the mails that came,
/// and samples only of the instants at which they are taken.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Mails due.
    due: u64,
    /// Devices on which they are.
    devices: u64,
    /// Both by seconds, until `since`.
    mail_seconds: f64,
    device_seconds: f64,
    since: Instant,
    /// Mails that became due.
    came: u64,
}

impl Waiting {
    /// Nothing is due.
    pub(super) fn new() -> Self {
        Self {
            due: 0,
            devices: 0,
            mail_seconds: 0.0,
            device_seconds: 0.0,
            since: Instant::now(),
            came: 0,
        }
    }

    /// Mails that are due.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// Mails that became due so far.
    pub(super) const fn came(&self) -> u64 {
        self.came
    }

    /// So many became due, each for the first time.
    pub(super) fn comes(&mut self, mails: u32) {
        self.came += u64::from(mails);
    }

    /// Mails, and devices, by seconds.
    pub(super) fn until(&self, now: Instant) -> (f64, f64) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        (
            self.mail_seconds + self.due as f64 * seconds,
            self.device_seconds + self.devices as f64 * seconds,
        )
    }

    /// So many mails were due on a device that is there, and so many are from then on.
    pub(super) fn change(&mut self, from: u32, to: u32, at: Instant) {
        (self.mail_seconds, self.device_seconds) = self.until(at);
        let (waited, waits) = (u8::from(from > 0), u8::from(to > 0));
        // A device may tell of something a moment after others told of what came later.
        let since = self.since.saturating_duration_since(at).as_secs_f64();
        self.mail_seconds += (f64::from(to) - f64::from(from)) * since;
        self.device_seconds += (f64::from(waits) - f64::from(waited)) * since;
        self.since = self.since.max(at);
        self.due = (self.due + u64::from(to)).saturating_sub(from.into());
        self.devices = (self.devices + u64::from(waits)).saturating_sub(waited.into());
    }
}
