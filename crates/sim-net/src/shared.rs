//! The network behind all handles, and the task that plays its events when they are due.

use std::{
    fmt,
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

use crate::{config::Path, driver::Need, inner::Inner};

/// The network behind all handles.
pub(crate) struct Shared(Mutex<Inner>);

impl fmt::Debug for Shared {
    /// Short, since each stream would show the whole network.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(seed: u64, path: Path) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner::new(seed, path))))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock()
    }

    /// Does something with the network, after all that is due by now has happened. So what is seen
    /// does not depend on whether the network's task or the program's runs first. Afterwards,
    /// without the lock, wakes whom it concerns.
    pub(crate) fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let (result, need, wakes, retired) = {
            let mut inner = self.lock();
            let now = Instant::now();
            inner.trace.begun.get_or_insert(now);
            inner.play(now);
            let result = act(&mut inner, now);
            let next = inner.next_event();
            let need = inner.driver.need(next);
            (
                result,
                need,
                mem::take(&mut inner.wakes),
                mem::take(&mut inner.retired),
            )
        };
        for waker in wakes {
            waker.wake();
        }
        drop(retired);
        match need {
            Need::Nothing => {}
            Need::Start => start(self),
            Need::Wake(waker) => waker.wake(),
        }
        result
    }

    fn stop(&self) {
        self.lock().driver.stopped();
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
                inner.driver.sleeps_until(next, context.waker());
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
