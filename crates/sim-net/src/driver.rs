//! What the network knows of the task that plays its events.

use std::task::Waker;

use tokio::time::Instant;

/// What the network knows of its task.
#[derive(Debug, Default)]
pub(crate) struct Driver {
    /// Whether there is a task.
    running: bool,
    /// What it sleeps until.
    armed: Option<Instant>,
    waker: Option<Waker>,
}

/// What is to be done after the events have changed.
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// A task must be started.
    Start,
    /// The task must be woken, since an event is due sooner than it sleeps.
    Wake(Waker),
}

impl Driver {
    /// What must be done for an event that is due at `next`.
    pub(crate) fn need(&mut self, next: Option<Instant>) -> Need {
        let Some(next) = next else {
            return Need::Nothing;
        };
        if !self.running {
            self.running = true;
            self.armed = Some(next);
            return Need::Start;
        }
        if self.armed.is_some_and(|armed| armed <= next) {
            return Need::Nothing;
        }
        self.armed = Some(next);
        self.waker.take().map_or(Need::Nothing, Need::Wake)
    }

    /// The task sleeps until then. Without an event it ends.
    pub(crate) fn sleeps_until(&mut self, next: Option<Instant>, waker: &Waker) {
        if next.is_none() {
            self.stopped();
            return;
        }
        self.armed = next;
        self.waker = Some(waker.clone());
    }

    pub(crate) fn stopped(&mut self) {
        *self = Self::default();
    }
}
