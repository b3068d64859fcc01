//! The task that plays the events when they are due.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
};

use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

use crate::inner::Shared;

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

    fn stopped(&mut self) {
        *self = Self::default();
    }
}

/// Starts the task. Without a runtime, whose clock would be missing too, nothing happens any more.
pub(crate) fn start(shared: &Arc<Shared>) {
    let run = Run {
        shared: Arc::downgrade(shared),
        ended: false,
    };
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(run.play());
    }
}

/// The task. It ends with the last event, or with the network.
struct Run {
    shared: Weak<Shared>,
    ended: bool,
}

impl Run {
    async fn play(mut self) {
        let mut sleep = pin!(sleep_until(Instant::now()));
        poll_fn(|context| self.poll(sleep.as_mut(), context)).await;
    }

    fn poll(&mut self, mut sleep: Pin<&mut Sleep>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return Poll::Ready(());
            };
            let next = shared.with(|inner, _| {
                let next = inner.next_event();
                inner.driver.armed = next;
                inner.driver.waker = next.map(|_| context.waker().clone());
                if next.is_none() {
                    inner.driver.stopped();
                }
                next
            });
            let Some(next) = next else {
                self.ended = true;
                return Poll::Ready(());
            };
            sleep.as_mut().reset(next);
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Run {
    /// A task that was dropped with its runtime makes room for another.
    fn drop(&mut self) {
        if !self.ended
            && let Some(shared) = self.shared.upgrade()
        {
            shared.stop();
        }
    }
}

impl Shared {
    fn stop(&self) {
        self.lock().driver.stopped();
    }
}
