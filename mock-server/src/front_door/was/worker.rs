//! Worker processes: started, listened to, replaced when they die.

use std::collections::{BTreeMap, VecDeque};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use eas::status::GlobalStatus;
use mock_api::control::{WorkerCounts, WorkerTruth};
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use super::{PoolState, WorkerLauncher};
use crate::front_door::StartError;
use crate::front_door::records::RequestNote;
use crate::front_door::server::Server;
use crate::link::{
    App, MAX_CONTENT, MAX_QUEUED, Receiver, ToFrontDoor, ToWorker, WireAnswer, WireRequest,
    WorkerStart, send_all,
};
use crate::store::{Operation, text_size};
use crate::watched::Watched;
use crate::worker;

/// Between two attempts to replace a worker that ended by itself. IIS tries at once; a pause keeps
/// a worker that cannot start from eating a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Room of the in-process link.
const DUPLEX: usize = 256 << 10;

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
    to: mpsc::Sender<ToWorker>,
    /// Requests it has; `None` once it has ended, so that none can be added any more.
    open: Mutex<Option<BTreeMap<u64, Open>>>,
    gone: Mutex<VecDeque<Gone>>,
    counts: Mutex<WorkerCounts>,
    kill: Notify,
    /// Threads that no request occupies.
    pub(super) threads: Arc<Semaphore>,
    all_threads: usize,
    /// Requests given to it.
    pub(in crate::front_door) requests: AtomicU64,
    /// The last ping it answered.
    pub(super) pong: AtomicU64,
}

impl Handle {
    fn new(to: mpsc::Sender<ToWorker>, threads: usize) -> Self {
        Self {
            generation: 0,
            started: Instant::now(),
            started_pool: Duration::ZERO,
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
    fn die(&self) -> State {
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

    fn answered(&self, id: u64, answer: WireAnswer) {
        let entry = self.open.lock().as_mut().and_then(|open| open.remove(&id));
        if let Some(to) = entry.and_then(|entry| entry.answer) {
            // The client may go at this very moment.
            let _ = to.send(answer);
        }
    }

    fn is_held(&self, id: u64) {
        let thread = self
            .open
            .lock()
            .as_mut()
            .and_then(|open| open.get_mut(&id)?.thread.take());
        drop(thread);
    }
}

/// Starts workers until there are `maxProcesses`. The mock does this at its start even where
/// `startMode` is OnDemand, so that it serves at once and a worker that cannot start is told of.
///
/// # Errors
/// With the first that cannot be started.
pub(in crate::front_door) async fn start_all(server: &Arc<Server>) -> Result<(), StartError> {
    let _turn = server.pool.starting.lock().await;
    while server.pool.alive() < wanted(server) {
        start_now(server).await?;
    }
    Ok(())
}

/// `maxProcesses`; 0, one per NUMA node, is 1 here.
pub(super) fn wanted(server: &Server) -> usize {
    server.pool.settings().process_model.max_processes.max(1) as usize
}

/// The same, and tells what went wrong.
pub(super) async fn start(server: &Arc<Server>) {
    if let Err(error) = start_all(server).await {
        server.tell(&error.to_string());
    }
}

/// Starts a worker, however many there are; it serves when this returns.
pub(super) async fn start_one(server: &Arc<Server>) -> Result<(), StartError> {
    let _turn = server.pool.starting.lock().await;
    start_now(server).await
}

async fn start_now(server: &Arc<Server>) -> Result<(), StartError> {
    // Somebody may have stopped the pool while this start waited for its turn.
    if server.pool.state() != PoolState::Running {
        return Err(StartError::Worker("the pool is not running".to_owned()));
    }
    let worker = launch(server)?;
    let limit = server.pool.settings().process_model.startup_time_limit;
    let started = worker.reached(|state| state != State::Starting);
    let problem = if tokio::time::timeout(limit, started).await.is_err() {
        worker.retire();
        worker.kill();
        format!("not ready after startupTimeLimit {limit:?}")
    } else if matches!(worker.state(), State::Dying | State::Ended) {
        "it ended before it was ready".to_owned()
    } else {
        return Ok(());
    };
    let failures = &server.pool.counters.startup_failures;
    failures.fetch_add(1, Ordering::Relaxed);
    count_crash(server);
    Err(StartError::Worker(problem))
}

fn launch(server: &Arc<Server>) -> Result<Arc<Handle>, StartError> {
    let pool = &server.pool;
    let (to, queue) = mpsc::channel(MAX_QUEUED);
    let handle = Arc::new(Handle {
        generation: pool.next_generation.fetch_add(1, Ordering::Relaxed),
        started_pool: server.host.clock.elapsed(),
        ..Handle::new(to, server.host.config.threads)
    });
    {
        // Under the lock in which every worker is told of changes, so that none falls in between;
        // and known before it runs, so that one that ends at once is not listed for ever.
        let mut workers = pool.workers.lock();
        handle.send(ToWorker::Start(Box::new(WorkerStart {
            config: server.host.config.clone(),
            generation: handle.generation + (server.number as u64 - 1) * GENERATIONS_PER_SERVER,
            server: server.number,
            back_end: server.back_end,
            faults: server.host.all_faults(),
            users: server.host.users(),
        })));
        workers.push(Arc::clone(&handle));
    }
    if let Err(problem) = run(server, &handle, queue) {
        let before = handle.die();
        ended(server, &handle, before);
        return Err(StartError::Worker(problem));
    }
    pool.counters.created.fetch_add(1, Ordering::Relaxed);
    Ok(handle)
}

/// Brings a worker to life and listens to it until it ends.
fn run(
    server: &Arc<Server>,
    handle: &Arc<Handle>,
    queue: mpsc::Receiver<ToWorker>,
) -> Result<(), String> {
    match &server.pool.launcher {
        WorkerLauncher::Process { program, arguments } => {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| format!("{}: {error}", program.display()))?;
            handle.pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err("it has no standard streams".to_owned());
            };
            tokio::spawn(send_all(queue, input));
            let (server, handle) = (Arc::clone(server), Arc::clone(handle));
            tokio::spawn(async move {
                let reader = read(&server, &handle, output);
                tokio::select! {
                    biased;
                    () = reader => {}
                    () = handle.kill.notified() => {}
                }
                // Already gone, unless it closed its output or is to be killed.
                let _ = child.start_kill();
                // Its clients need not wait until the system has closed thousands of its sockets.
                let before = handle.die();
                server.pool.serving_changed();
                let _ = child.wait().await;
                ended(&server, &handle, before);
            });
        }
        WorkerLauncher::InProcess => {
            let (here_in, there_out) = tokio::io::duplex(DUPLEX);
            let (there_in, here_out) = tokio::io::duplex(DUPLEX);
            tokio::spawn(send_all(queue, here_out));
            let task = tokio::spawn(worker::run(
                server.host.machine.clone(),
                there_in,
                there_out,
            ));
            let (server, handle) = (Arc::clone(server), Arc::clone(handle));
            tokio::spawn(async move {
                let reader = read(&server, &handle, here_in);
                tokio::select! {
                    biased;
                    () = reader => {}
                    () = handle.kill.notified() => {}
                }
                task.abort();
                // Its requests and sockets are gone once the task is.
                let before = handle.die();
                server.pool.serving_changed();
                let _ = task.await;
                ended(&server, &handle, before);
            });
        }
    }
    Ok(())
}

/// Keeps the generations, and with them the chances, of several servers' workers apart.
const GENERATIONS_PER_SERVER: u64 = 1_000_000;

/// Reads what a worker says until it ends.
async fn read(server: &Arc<Server>, worker: &Arc<Handle>, output: impl AsyncRead + Unpin) {
    let mut messages = Receiver::new(output);
    loop {
        match messages.next::<ToFrontDoor>().await {
            Ok(Some(message)) => heard(server, worker, message),
            Ok(None) => return,
            Err(error) => {
                server.tell(&format!(
                    "worker {} speaks nonsense: {error}",
                    worker.generation
                ));
                return;
            }
        }
    }
}

fn heard(server: &Arc<Server>, worker: &Arc<Handle>, message: ToFrontDoor) {
    match message {
        ToFrontDoor::Ready { pid } => {
            worker.pid.store(pid, Ordering::Relaxed);
            worker
                .state
                .update(|state| (state == State::Starting).then_some(State::Running));
            server.pool.serving_changed();
        }
        ToFrontDoor::Answer(id, answer) => worker.answered(id, answer),
        ToFrontDoor::Async(id) => worker.is_held(id),
        ToFrontDoor::Completed(id) => {
            worker
                .open
                .lock()
                .as_mut()
                .and_then(|open| open.remove(&id));
        }
        ToFrontDoor::StoreCall(call, mut question) => {
            if let Operation::Deliver { to, .. } = &mut question.operation {
                *to = server.host.not_lost(std::mem::take(to));
            }
            let (reply, added) = server.host.store.lock().call(*question);
            // A message that is too large ends the link.
            let reply = reply.and_then(|reply| match text_size(&reply) > MAX_CONTENT {
                true => Err(GlobalStatus::ServerError.code()),
                false => Ok(reply),
            });
            worker.send(ToWorker::StoreReply(call, reply));
            server.host.announce(&added);
        }
        ToFrontDoor::Counts(counts) => {
            let before = std::mem::replace(&mut *worker.counts.lock(), counts);
            if counts.port_failures > before.port_failures {
                let ports = &server.host.config.ephemeral_ports;
                server.records.ports_exhausted(ports, server.back_end);
            }
        }
        ToFrontDoor::Pong(number) => worker.pong.store(number, Ordering::Relaxed),
        ToFrontDoor::Drained => {}
    }
}

/// The worker is gone: it is replaced if nobody told it to end.
fn ended(server: &Arc<Server>, worker: &Arc<Handle>, before: State) {
    worker.state.set(State::Ended);
    {
        // Together, so that nobody who adds both up finds it in neither or in both.
        let mut workers = server.pool.workers.lock();
        server.pool.past.lock().add_past(&worker.counts());
        workers.retain(|other| !Arc::ptr_eq(other, worker));
    }
    server.pool.serving_changed();
    if before != State::Running {
        return;
    }
    server
        .pool
        .counters
        .failures
        .fetch_add(1, Ordering::Relaxed);
    server.records.failed(worker.pid());
    count_crash(server);
    if server.pool.state() != PoolState::Running {
        return;
    }
    let server = Arc::clone(server);
    tokio::spawn(async move {
        while server.pool.state() == PoolState::Running && server.pool.alive() < wanted(&server) {
            if let Err(error) = start_all(&server).await
                && server.pool.state() == PoolState::Running
            {
                server.tell(&format!("cannot replace a worker: {error}"));
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    });
}

/// Rapid-fail protection: too many unexpected ends within its interval disable the pool.
fn count_crash(server: &Arc<Server>) {
    let failure = server.pool.settings().failure.clone();
    let now = server.host.clock.elapsed();
    let count = {
        let mut crashes = server.pool.crashes.lock();
        crashes.push(now);
        // Another crash may have been noted since `now`.
        crashes.retain(|at| now.saturating_sub(*at) <= failure.rapid_fail_protection_interval);
        crashes.len()
    };
    if failure.rapid_fail_protection && count >= failure.rapid_fail_protection_max_crashes as usize
    {
        server.records.disabled(count);
        let server = Arc::clone(server);
        tokio::spawn(async move { super::stop(&server, PoolState::Disabled).await });
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
        let handle = Handle::new(to, 1);
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
