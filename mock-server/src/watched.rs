//! Values that tasks watch for changes. As tokio's `watch` channel, with one difference: the tasks that wait are woken
//! in the order in which they began to wait. That is how HTTP.sys serves its queue, and a simulation needs an order
//! that is the same each time. Tokio's channel wakes its receivers in random order.

use std::sync::Arc;
use std::{mem, pin::pin};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A value that tasks watch.
#[derive(Debug)]
pub(crate) struct Watched<T>(Arc<Shared<T>>);

/// Waits for changes of one value.
#[derive(Debug)]
pub(crate) struct Watcher<T> {
    shared: Arc<Shared<T>>,
    /// The change that was seen last.
    seen: u64,
}

#[derive(Debug)]
struct Shared<T> {
    now: Mutex<Now<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Now<T> {
    value: T,
    /// Counts changes.
    change: u64,
}

impl<T: Copy> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            now: Mutex::new(Now { value, change: 0 }),
            changed: Notify::new(),
        }))
    }

    pub(crate) fn get(&self) -> T {
        self.0.read(|now| now.value)
    }

    /// Changes the value and wakes the tasks that wait. Returns the value before.
    pub(crate) fn set(&self, value: T) -> T {
        let before = self.0.read(|now| {
            now.change += 1;
            mem::replace(&mut now.value, value)
        });
        self.0.changed.notify_waiters();
        before
    }

    /// Changes the value to what `change` returns, if it returns one. Returns whether it did. No other change comes
    /// between reading and changing.
    pub(crate) fn update(&self, change: impl FnOnce(T) -> Option<T>) -> bool {
        let is_changed = self.0.read(|now| {
            let value = change(now.value);
            if let Some(value) = value {
                now.value = value;
                now.change += 1;
            }
            value.is_some()
        });
        if is_changed {
            self.0.changed.notify_waiters();
        }
        is_changed
    }

    /// Waits for changes from now on.
    pub(crate) fn watch(&self) -> Watcher<T> {
        Watcher {
            shared: Arc::clone(&self.0),
            seen: self.0.read(|now| now.change),
        }
    }

    /// Returns when the value is a wanted one, at once if it is one now.
    pub(crate) async fn reached(&self, wanted: impl Fn(T) -> bool) {
        let mut watcher = self.watch();
        while !wanted(self.get()) {
            watcher.changed().await;
        }
    }
}

impl<T: Copy> Watcher<T> {
    /// Returns when the value has changed since the last call, or since [`Watched::watch`]. Several changes may count
    /// as one. A call that is cancelled has seen no change.
    pub(crate) async fn changed(&mut self) {
        loop {
            // The task is registered before it reads the value, so it misses no change.
            let mut woken = pin!(self.shared.changed.notified());
            woken.as_mut().enable();
            let change = self.shared.read(|now| now.change);
            if change != self.seen {
                self.seen = change;
                return;
            }
            woken.await;
        }
    }
}

impl<T> Shared<T> {
    /// A task that panicked under the lock left a complete value.
    fn read<R>(&self, with: impl FnOnce(&mut Now<T>) -> R) -> R {
        with(&mut self.now.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::{JoinSet, yield_now};

    #[tokio::test]
    async fn tasks_are_woken_in_the_order_in_which_they_began_to_wait() {
        let watched = Watched::new(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let waiting = Arc::new(Mutex::new(0));
        for number in 0..100 {
            let mut watcher = watched.watch();
            let (order, waiting) = (Arc::clone(&order), Arc::clone(&waiting));
            tasks.spawn(async move {
                *waiting.lock() += 1;
                watcher.changed().await;
                order.lock().push(number);
            });
        }
        while *waiting.lock() < 100 {
            yield_now().await;
        }
        assert_eq!(watched.set(1), 0);
        tasks.join_all().await;
        let expected: Vec<u64> = (0..100).collect();
        assert_eq!(*order.lock(), expected);
    }

    #[tokio::test]
    async fn change_before_the_wait_is_not_missed_and_is_seen_once() {
        let watched = Watched::new(0);
        let mut watcher = watched.watch();
        watched.set(1);
        watched.set(2);
        watcher.changed().await;
        let mut again = pin!(watcher.changed());
        let waits = std::future::poll_fn(|context| {
            std::task::Poll::Ready(again.as_mut().poll(context).is_pending())
        });
        assert!(waits.await, "both changes were seen as one");
        watched.set(3);
        again.await;
    }

    #[tokio::test]
    async fn update_that_changes_nothing_wakes_nobody() {
        let watched = Watched::new(1);
        let mut watcher = watched.watch();
        assert!(!watched.update(|_| None));
        assert!(watched.update(|value| Some(value + 1)));
        watcher.changed().await;
        assert_eq!(watched.get(), 2);
    }

    #[tokio::test]
    async fn value_that_is_reached_already_is_not_waited_for() {
        let watched = Watched::new(1);
        watched.reached(|value| value == 1).await;
        let later = watched.reached(|value| value == 3);
        let change = async {
            watched.set(2);
            yield_now().await;
            watched.set(3);
        };
        tokio::join!(later, change);
    }
}
