//! The application pool: WAS, which starts, watches, drains and kills workers, and HTTP.sys's
//! request queue in front of them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::{Shared, StartError, lock};
use crate::config::PoolConfig;
use crate::control::{Truth, WorkerCounts, WorkerTruth};
use crate::link::{
    App, Receiver, ToFrontDoor, ToWorker, WireAnswer, WireRequest, WorkerStart, send_all,
};
use crate::worker;

/// Between two attempts to replace a worker that ended by itself. IIS tries at once; a pause keeps
/// a worker that cannot start from eating a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Room of the in-process link.
const DUPLEX: usize = 256 << 10;

/// How workers come to life.
#[derive(Debug, Clone)]
pub enum WorkerLauncher {
    /// As a process, which must call [`worker::run`] on its standard input and output.
    Process {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
    /// As tasks of this process, for tests under a paused clock. Such a worker has no sockets of
    /// its own and cannot be killed.
    InProcess,
}

/// The pool.
pub(super) struct Pool {
    config: PoolConfig,
    launcher: WorkerLauncher,
    back_end: SocketAddr,
    /// Every worker that has not ended.
    workers: Mutex<Vec<Arc<Handle>>>,
    /// Changes with every worker that begins or ceases to serve.
    serving: watch::Sender<u64>,
    next_generation: AtomicU64,
    next_request: AtomicU64,
    queued: AtomicUsize,
    rejected: AtomicU64,
    recycles: AtomicU64,
    created: AtomicU64,
    shutdown_failures: AtomicU64,
    failures: AtomicU64,
    /// One recycle at a time.
    recycling: tokio::sync::Mutex<()>,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// `queueLength` requests wait already.
    QueueFull,
    /// The pool has ended.
    Stopped,
    /// The worker ended with the request open.
    Cut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting,
    Running,
    Draining,
    Ended,
}

/// One worker, seen from outside.
struct Handle {
    generation: u64,
    started: Instant,
    pid: AtomicU32,
    state: watch::Sender<State>,
    to: mpsc::UnboundedSender<ToWorker>,
    /// Open requests; `None` once the worker has ended, so that none can be added any more.
    open: Mutex<Option<HashMap<u64, oneshot::Sender<WireAnswer>>>>,
    counts: Mutex<WorkerCounts>,
    kill: Notify,
}

impl Handle {
    fn state(&self) -> State {
        *self.state.borrow()
    }

    fn send(&self, message: ToWorker) {
        // Fails only when the worker has ended, which its reader notices and deals with.
        let _ = self.to.send(message);
    }

    async fn reached(&self, wanted: impl Fn(State) -> bool) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| wanted(*state))
            .await;
    }
}

/// Tells the worker that the client has gone, unless the request was answered.
struct ClientGuard {
    worker: Arc<Handle>,
    id: u64,
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        let was_open = lock(&self.worker.open)
            .as_mut()
            .and_then(|open| open.remove(&self.id));
        if was_open.is_some() {
            self.worker.send(ToWorker::ClientGone(self.id));
        }
    }
}

impl Pool {
    pub(super) fn new(config: PoolConfig, launcher: WorkerLauncher, back_end: SocketAddr) -> Self {
        Self {
            config,
            launcher,
            back_end,
            workers: Mutex::default(),
            serving: watch::Sender::new(0),
            next_generation: AtomicU64::new(1),
            next_request: AtomicU64::new(0),
            queued: AtomicUsize::new(0),
            rejected: AtomicU64::new(0),
            recycles: AtomicU64::new(0),
            created: AtomicU64::new(0),
            shutdown_failures: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            recycling: tokio::sync::Mutex::new(()),
        }
    }

    /// The worker for the next request: the running ones in turn.
    fn pick(&self) -> Option<Arc<Handle>> {
        let workers = lock(&self.workers);
        let running = || {
            workers
                .iter()
                .filter(|worker| worker.state() == State::Running)
        };
        let count = running().count();
        let turn = self.next_request.load(Ordering::Relaxed) as usize;
        running().nth(turn.checked_rem(count)?).map(Arc::clone)
    }

    /// Gives a request to a worker and waits for its answer; dropping the future means that the
    /// client has gone.
    pub(super) async fn dispatch(
        &self,
        app: App,
        request: WireRequest,
    ) -> Result<WireAnswer, Lost> {
        let mut request = Some(request);
        loop {
            let worker = match self.pick() {
                Some(worker) => worker,
                None => self.wait_in_queue().await?,
            };
            let id = self.next_request.fetch_add(1, Ordering::Relaxed);
            let (answer, is_answered) = oneshot::channel();
            {
                // Under the lock in which `begin_drain` ends the service, so that no request can
                // be queued behind the drain message.
                let mut open = lock(&worker.open);
                let serves = worker.state() == State::Running;
                let Some(open) = open.as_mut().filter(|_| serves) else {
                    continue;
                };
                let request = request.take().ok_or(Lost::Stopped)?;
                open.insert(id, answer);
                worker.send(ToWorker::Request { id, app, request });
            }
            let _guard = ClientGuard { worker, id };
            return is_answered.await.map_err(|_| Lost::Cut);
        }
    }

    async fn wait_in_queue(&self) -> Result<Arc<Handle>, Lost> {
        struct Place<'a>(&'a AtomicUsize);
        impl Drop for Place<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.queued);
        if before >= self.config.queue_length {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return Err(Lost::QueueFull);
        }
        let mut changes = self.serving.subscribe();
        loop {
            if let Some(worker) = self.pick() {
                return Ok(worker);
            }
            changes.changed().await.map_err(|_| Lost::Stopped)?;
        }
    }

    /// Sends a message to every worker that lives.
    pub(super) fn tell_all(&self, message: impl Fn() -> ToWorker) {
        for worker in lock(&self.workers).iter() {
            worker.send(message());
        }
    }

    pub(super) fn truth(&self) -> Truth {
        let mut workers: Vec<WorkerTruth> = lock(&self.workers)
            .iter()
            .map(|worker| WorkerTruth {
                pid: worker.pid.load(Ordering::Relaxed),
                state: match worker.state() {
                    State::Starting => "starting",
                    State::Running => "running",
                    State::Draining | State::Ended => "draining",
                }
                .to_owned(),
                age: worker.started.elapsed().as_secs_f64(),
                counts: *lock(&worker.counts),
            })
            .collect();
        workers.sort_by_key(|worker| worker.state != "running");
        Truth {
            workers,
            recycles: self.recycles.load(Ordering::Relaxed),
            shutdown_failures: self.shutdown_failures.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            queued: self.queued.load(Ordering::Relaxed) as u64,
            rejected: self.rejected.load(Ordering::Relaxed),
            ..Truth::default()
        }
    }

    pub(super) fn created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }

    /// Ends one running worker as a crash would.
    pub(super) fn kill_one(&self) -> bool {
        let worker = self.pick();
        if let Some(worker) = &worker {
            worker.kill.notify_one();
        }
        worker.is_some()
    }

    pub(super) async fn end_all(&self) {
        let workers = lock(&self.workers).clone();
        for worker in &workers {
            worker.state.send_replace(State::Draining);
            worker.kill.notify_one();
        }
        for worker in workers {
            worker.reached(|state| state == State::Ended).await;
        }
    }
}

/// Starts `maxProcesses` workers.
pub(super) async fn start(shared: &Arc<Shared>) -> Result<(), StartError> {
    for _ in 0..shared.pool.config.max_processes.max(1) {
        let worker = launch(shared)?;
        ready(shared, &worker).await?;
    }
    Ok(())
}

/// Recycles by `periodicRestart time`; sleeps for ever without one.
pub(super) async fn keep_policy(shared: Arc<Shared>) {
    let limit = shared.pool.config.time;
    if limit.is_zero() {
        return;
    }
    loop {
        let oldest = lock(&shared.pool.workers)
            .iter()
            .filter(|worker| worker.state() == State::Running)
            .map(|worker| worker.started)
            .min();
        let due = oldest.unwrap_or_else(Instant::now) + limit;
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        } else if let Err(error) = recycle(&shared).await {
            eprintln!("mock: recycle by time failed: {error}");
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }
}

/// Replaces every running worker. Overlapped, the new ones serve before the old ones drain;
/// otherwise requests wait in the queue in between.
pub(super) async fn recycle(shared: &Arc<Shared>) -> Result<(), StartError> {
    let pool = &shared.pool;
    let _turn = pool.recycling.lock().await;
    let old: Vec<_> = lock(&pool.workers)
        .iter()
        .filter(|worker| worker.state() == State::Running)
        .cloned()
        .collect();
    pool.recycles.fetch_add(1, Ordering::Relaxed);
    if pool.config.disallow_overlapping_rotation {
        old.iter().for_each(|worker| begin_drain(shared, worker));
        let drains: Vec<_> = old
            .iter()
            .map(|worker| end_drain(Arc::clone(shared), Arc::clone(worker)))
            .collect();
        for drained in drains.into_iter().map(tokio::spawn).collect::<Vec<_>>() {
            // A drain does not panic.
            let _ = drained.await;
        }
        return start(shared).await;
    }
    start(shared).await?;
    for worker in old {
        begin_drain(shared, &worker);
        tokio::spawn(end_drain(Arc::clone(shared), worker));
    }
    Ok(())
}

/// From now on a worker gets no new request.
fn begin_drain(shared: &Shared, worker: &Handle) {
    let open = lock(&worker.open);
    worker.state.send_if_modified(|state| {
        let running = *state == State::Running;
        if running {
            *state = State::Draining;
        }
        running
    });
    worker.send(ToWorker::Drain);
    drop(open);
    shared.pool.serving.send_modify(|change| *change += 1);
}

/// Lets a worker finish what it has, and kills it at `shutdownTimeLimit`.
async fn end_drain(shared: Arc<Shared>, worker: Arc<Handle>) {
    let limit = shared.pool.config.shutdown_time_limit;
    if tokio::time::timeout(limit, worker.reached(|state| state == State::Ended))
        .await
        .is_err()
    {
        shared
            .pool
            .shutdown_failures
            .fetch_add(1, Ordering::Relaxed);
        worker.kill.notify_one();
        worker.reached(|state| state == State::Ended).await;
    }
}

async fn ready(shared: &Arc<Shared>, worker: &Arc<Handle>) -> Result<(), StartError> {
    let limit = shared.pool.config.startup_time_limit;
    let started = worker.reached(|state| state != State::Starting);
    if tokio::time::timeout(limit, started).await.is_err() {
        worker.kill.notify_one();
        return Err(StartError::Worker(format!(
            "not ready after startupTimeLimit {limit:?}"
        )));
    }
    match worker.state() {
        State::Ended => Err(StartError::Worker(
            "it ended before it was ready".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn launch(shared: &Arc<Shared>) -> Result<Arc<Handle>, StartError> {
    let pool = &shared.pool;
    let (to, queue) = mpsc::unbounded_channel();
    let handle = Arc::new(Handle {
        generation: pool.next_generation.fetch_add(1, Ordering::Relaxed),
        started: Instant::now(),
        pid: AtomicU32::new(0),
        state: watch::Sender::new(State::Starting),
        to,
        open: Mutex::new(Some(HashMap::new())),
        counts: Mutex::default(),
        kill: Notify::new(),
    });
    handle.send(ToWorker::Start(Box::new(WorkerStart {
        config: shared.config.clone(),
        generation: handle.generation,
        back_end: pool.back_end,
        faults: *lock(&shared.faults),
    })));
    match &pool.launcher {
        WorkerLauncher::Process { program, arguments } => {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| StartError::Worker(format!("{}: {error}", program.display())))?;
            handle.pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(StartError::Worker("it has no standard streams".to_owned()));
            };
            tokio::spawn(send_all(queue, input));
            let watcher = {
                let (shared, handle) = (Arc::clone(shared), Arc::clone(&handle));
                async move {
                    let reader = read(&shared, &handle, output);
                    tokio::select! {
                        () = reader => {}
                        () = handle.kill.notified() => {}
                    }
                    // Already gone, unless it closed its output or is to be killed.
                    let _ = child.start_kill();
                    let _ = child.wait().await;
                    ended(&shared, &handle);
                }
            };
            tokio::spawn(watcher);
        }
        WorkerLauncher::InProcess => {
            let (here_in, there_out) = tokio::io::duplex(DUPLEX);
            let (there_in, here_out) = tokio::io::duplex(DUPLEX);
            tokio::spawn(send_all(queue, here_out));
            let task = tokio::spawn(worker::run(there_in, there_out));
            let (shared, handle) = (Arc::clone(shared), Arc::clone(&handle));
            tokio::spawn(async move {
                let reader = read(&shared, &handle, here_in);
                tokio::select! {
                    () = reader => {}
                    () = handle.kill.notified() => {}
                }
                task.abort();
                ended(&shared, &handle);
            });
        }
    }
    pool.created.fetch_add(1, Ordering::Relaxed);
    lock(&pool.workers).push(Arc::clone(&handle));
    Ok(handle)
}

/// Reads what a worker says until it ends.
async fn read(shared: &Arc<Shared>, worker: &Arc<Handle>, output: impl AsyncRead + Unpin) {
    let mut messages = Receiver::new(output);
    loop {
        match messages.next::<ToFrontDoor>().await {
            Ok(Some(message)) => heard(shared, worker, message),
            Ok(None) => return,
            Err(error) => {
                eprintln!(
                    "mock: worker {} speaks nonsense: {error}",
                    worker.generation
                );
                return;
            }
        }
    }
}

fn heard(shared: &Arc<Shared>, worker: &Arc<Handle>, message: ToFrontDoor) {
    match message {
        ToFrontDoor::Ready { pid } => {
            worker.pid.store(pid, Ordering::Relaxed);
            worker.state.send_replace(State::Running);
            shared.pool.serving.send_modify(|change| *change += 1);
        }
        ToFrontDoor::Answer(id, answer) => {
            let open = lock(&worker.open)
                .as_mut()
                .and_then(|open| open.remove(&id));
            if let Some(open) = open {
                // The client may go at this very moment.
                let _ = open.send(answer);
            }
        }
        ToFrontDoor::StoreCall(call, question) => {
            let (reply, added) = lock(&shared.store).call(*question);
            worker.send(ToWorker::StoreReply(call, reply));
            shared.announce(&added);
        }
        ToFrontDoor::Counts(counts) => *lock(&worker.counts) = counts,
        ToFrontDoor::Drained => {}
    }
}

/// Cuts what the worker had open and replaces it if nobody told it to end.
fn ended(shared: &Arc<Shared>, worker: &Arc<Handle>) {
    let before = worker.state.send_replace(State::Ended);
    drop(lock(&worker.open).take());
    lock(&shared.pool.workers).retain(|other| !Arc::ptr_eq(other, worker));
    shared.pool.serving.send_modify(|change| *change += 1);
    if before == State::Running {
        shared.pool.failures.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            loop {
                let replaced = match launch(&shared) {
                    Ok(worker) => ready(&shared, &worker).await,
                    Err(error) => Err(error),
                };
                match replaced {
                    Ok(()) => return,
                    Err(error) => eprintln!("mock: cannot replace a worker: {error}"),
                }
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        });
    }
}
