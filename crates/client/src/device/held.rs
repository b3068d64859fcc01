//! A request that a server holds: what it says, and what its device has to settle if the wait is cut short.

use std::sync::Arc;
use std::time::Duration;

use eas::Command;
use tokio::time::Instant;

use super::client::Client;
use super::event::{Event, PingEnd, Record};
use super::guard::{LoginOutcome, Refusals};

/// What the server has cached of the last request that waited, as far as its answers show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cached {
    /// The heartbeat of a Ping; 0 if none.
    pub(super) heartbeat: u32,
    /// The folders of a Ping.
    pub(super) folders: bool,
    /// A whole Sync.
    pub(super) sync: bool,
    /// Empty Syncs in a row that the server refused. After a few of them the device sends only whole Syncs.
    pub(super) refused: u8,
}

impl Cached {
    /// The server has nothing.
    pub(super) fn forget(&mut self) {
        *self = Self {
            refused: self.refused,
            ..Self::default()
        };
    }
}

/// An answer without news that comes before, and before half of the heartbeat, is no heartbeat: to
/// ask again at once would be a loop.
const AT_ONCE: Duration = Duration::from_secs(1);
/// A request that the server is asked to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) command: Command,
    /// Its heartbeat, in seconds.
    pub(super) seconds: u32,
    /// Its body is empty: the server has cached what it says.
    pub(super) is_repeated: bool,
    /// Number of its login.
    pub(super) login: u32,
    /// When it was written.
    pub(super) sent: Instant,
}

impl Held {
    /// Whether an answer of that age came so early that the request was not held.
    pub(super) fn is_at_once(&self, age: Duration) -> bool {
        age < AT_ONCE.min(Duration::from_secs(self.seconds.into()) / 2)
    }

    /// Whether an answer of that age came at the heartbeat's end.
    pub(super) fn lasted(&self, age: Duration) -> bool {
        age + AT_ONCE >= Duration::from_secs(self.seconds.into())
    }
}

pub(super) fn expired(age: Duration, held: Held) -> PingEnd {
    PingEnd::Expired {
        overshoot: age.as_secs_f64() - f64::from(held.seconds),
    }
}

/// Counts the Ping as open at the end when it is dropped in between, and its login as lost.
pub(super) struct Hold {
    record: Arc<dyn Record>,
    refusals: Arc<Refusals>,
    device: u32,
    user: u32,
    login: u32,
    sent: Instant,
    limit: Duration,
    armed: bool,
}

impl Hold {
    pub(super) fn new<T>(client: &Client<T>, held: Held, limit: Duration) -> Self {
        Self {
            record: Arc::clone(&client.record),
            refusals: Arc::clone(&client.refusals),
            device: client.identity.device,
            user: client.identity.user,
            login: held.login,
            sent: held.sent,
            limit,
            armed: true,
        }
    }

    /// The wait is over.
    pub(super) fn end(mut self) {
        self.armed = false;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.armed {
            let age = self.sent.elapsed();
            let overdue = age > self.limit;
            let end = PingEnd::OpenAtEnd { overdue };
            let event = Event::PingEnded { end, age };
            self.record.record(self.device, event);
            self.refusals
                .settle(self.user, self.login, LoginOutcome::Lost);
        }
    }
}
