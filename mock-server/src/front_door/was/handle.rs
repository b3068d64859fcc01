//! One worker, seen from outside.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use mock_api::control::{WorkerCounts, WorkerTruth};
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::front_door::note::RequestNote;
use crate::link::{App, ToWorker, WireAnswer, WireRequest};
use crate::watched::Watched;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::front_door) enum State {
    Starting,
    Running,
    Draining,
    /// It serves no more, and its process is not gone yet.
    Dying,
    Ended,
}

/// A request that a worker has.
pub(super) struct Open {
    /// Where the answer goes, unless the client has gone.
    answer: Option<oneshot::Sender<WireAnswer>>,
    /// The thread it occupies until it is held.
    thread: Option<OwnedSemaphorePermit>,
}

impl Open {
    pub(super) const fn new(
        answer: oneshot::Sender<WireAnswer>,
        thread: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            answer: Some(answer),
            thread: Some(thread),
        }
    }
}

/// A request whose client has gone while the worker has it.
struct Gone {
    id: u64,
    since: Instant,
    note: RequestNote,
}

/// One worker, seen from outside.
pub(in crate::front_door) struct Handle {
    pub(super) generation: u64,
    pub(super) started: Instant,
    /// Pool time of its start.
    pub(super) started_pool: Duration,
    pub(super) pid: AtomicU32,
    pub(super) state: Watched<State>,
    pub(super) to: mpsc::Sender<ToWorker>,
    /// Requests it has; `None` once it has ended, so that none can be added any more.
    pub(super) open: Mutex<Option<BTreeMap<u64, Open>>>,
    gone: Mutex<VecDeque<Gone>>,
    pub(super) counts: Mutex<WorkerCounts>,
    pub(super) kill: Notify,
    /// Threads that no request occupies.
    pub(super) threads: Arc<Semaphore>,
    all_threads: usize,
    /// Requests given to it.
    pub(in crate::front_door) requests: AtomicU64,
    /// The last ping it answered.
    pub(super) pong: AtomicU64,
}

impl Handle {
    /// `started_pool` is the pool time of its start.
    pub(super) fn new(
        to: mpsc::Sender<ToWorker>,
        threads: usize,
        generation: u64,
        started_pool: Duration,
    ) -> Self {
        Self {
            generation,
            started: Instant::now(),
            started_pool,
            pid: AtomicU32::new(0),
            state: Watched::new(State::Starting),
            to,
            open: Mutex::new(Some(BTreeMap::new())),
            gone: Mutex::default(),
            counts: Mutex::default(),
            kill: Notify::new(),
            threads: Arc::new(Semaphore::new(threads)),
            all_threads: threads,
            requests: AtomicU64::new(0),
            pong: AtomicU64::new(0),
        }
    }

    pub(in crate::front_door) fn state(&self) -> State {
        self.state.get()
    }

    pub(in crate::front_door) fn counts(&self) -> WorkerCounts {
        *self.counts.lock()
    }

    pub(in crate::front_door) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub(in crate::front_door) fn truth(&self, server: usize) -> WorkerTruth {
        WorkerTruth {
            server,
            pid: self.pid(),
            state: match self.state() {
                State::Starting => "starting",
                State::Running => "running",
                State::Draining | State::Dying | State::Ended => "draining",
            }
            .to_owned(),
            age: self.started.elapsed().as_secs_f64(),
            requests: self.requests.load(Ordering::Relaxed),
            threads_busy: (self.all_threads - self.threads.available_permits()) as u64,
            counts: self.counts(),
        }
    }

    pub(super) fn send(&self, message: ToWorker) {
        // A worker that has ended is noticed by its reader. One that reads nothing for so long hangs,
        // and what waits for it must not grow without end.
        if let Err(TrySendError::Full(_)) = self.to.try_send(message) {
            self.kill();
        }
    }

    /// Its end is expected from now on. One that has ended stays so: nobody would end it again.
    pub(super) fn retire(&self) {
        let lives = |state| !matches!(state, State::Dying | State::Ended);
        self.state
            .update(|state| lives(state).then_some(State::Draining));
    }

    /// Ends it as a crash would.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    pub(super) async fn reached(&self, wanted: impl Fn(State) -> bool) {
        self.state.reached(wanted).await;
    }

    /// Takes a request, unless the worker no longer serves.
    pub(super) fn take(
        &self,
        id: u64,
        app: App,
        request: WireRequest,
        entry: Open,
    ) -> Result<(), WireRequest> {
        // Under the lock in which a drain begins, so that no request can be queued behind the
        // drain message.
        let mut open = self.open.lock();
        let serves = self.state() == State::Running;
        let Some(open) = open.as_mut().filter(|_| serves) else {
            return Err(request);
        };
        open.insert(id, entry);
        self.send(ToWorker::Request { id, app, request });
        Ok(())
    }

    /// From now on it gets no new request; what it has it finishes.
    pub(super) fn begin_drain(&self) {
        let open = self.open.lock();
        self.state
            .update(|state| (state == State::Running).then_some(State::Draining));
        self.send(ToWorker::Drain);
        drop(open);
        self.threads.close();
    }

    /// Ends every request it has without an answer; it gets none any more. What it was before.
    pub(super) fn die(&self) -> State {
        let mut before = State::Ended;
        self.state.update(|state| {
            before = state;
            let lives = !matches!(state, State::Dying | State::Ended);
            lives.then_some(State::Dying)
        });
        drop(self.open.lock().take());
        self.threads.close();
        before
    }

    /// The client of a request has gone, if the request is still open.
    pub(super) fn client_gone(&self, id: u64, reset: bool, note: Option<RequestNote>) {
        let mut open = self.open.lock();
        let Some(entry) = open.as_mut().and_then(|open| open.get_mut(&id)) else {
            return;
        };
        entry.answer = None;
        self.send(ToWorker::ClientGone { id, reset });
        if let Some(note) = note {
            let since = Instant::now();
            self.gone.lock().push_back(Gone { id, since, note });
        }
    }

    /// Whether it has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.open.lock().as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Requests whose client has been gone for `limit` and that the worker has not completed.
    pub(in crate::front_door) fn dropped(&self, limit: Duration) -> Vec<RequestNote> {
        let open = self.open.lock();
        let mut gone = self.gone.lock();
        let mut dropped = Vec::new();
        while gone
            .front()
            .is_some_and(|first| first.since.elapsed() >= limit)
        {
            if let Some(first) = gone.pop_front()
                && open
                    .as_ref()
                    .is_some_and(|open| open.contains_key(&first.id))
            {
                dropped.push(first.note);
            }
        }
        dropped
    }

    /// Since when the client of the first request that [`Handle::dropped`] has not returned has been gone.
    pub(in crate::front_door) fn gone_since(&self) -> Option<Instant> {
        self.gone.lock().front().map(|gone| gone.since)
    }

    pub(super) fn answered(&self, id: u64, answer: WireAnswer) {
        let entry = self.open.lock().as_mut().and_then(|open| open.remove(&id));
        if let Some(to) = entry.and_then(|entry| entry.answer) {
            // The client may go at this very moment.
            let _ = to.send(answer);
        }
    }

    pub(super) fn is_held(&self, id: u64) {
        let thread = self
            .open
            .lock()
            .as_mut()
            .and_then(|open| open.get_mut(&id)?.thread.take());
        drop(thread);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_worker_that_leaves_too_many_messages_unread_is_ended() {
        const QUEUED: u64 = 100;
        let (to, mut queue) = mpsc::channel(QUEUED as usize);
        let handle = Handle::new(to, 1, 1, Duration::ZERO);
        let announced = |number: u64| ToWorker::ItemAdded {
            user: format!("user{number}"),
            folder: 5,
            by: None,
        };
        for number in 0..QUEUED {
            handle.send(announced(number));
        }
        assert_eq!(handle.kill.notified().now_or_never(), None);
        handle.send(announced(QUEUED));
        assert_eq!(handle.kill.notified().now_or_never(), Some(()));
        assert_eq!(queue.len(), QUEUED as usize);
        // One that has ended is not ended again.
        queue.close();
        while queue.try_recv().is_ok() {}
        handle.send(announced(0));
        assert_eq!(handle.kill.notified().now_or_never(), None);
    }
}
