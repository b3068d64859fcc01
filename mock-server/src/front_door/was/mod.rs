//! The application pool: WAS, which starts, watches, drains and kills workers, and HTTP.sys's
//! request queue in front of them.

mod policy;
mod recycle;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use iis::PoolSettings;
use mock_api::control::WorkerCounts;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use worker::{Handle, Open, State, start};

use super::records::{PoolLimits, RequestNote};
use super::server::Server;
use crate::link::{App, ToWorker, WireAnswer, WireRequest};
use crate::watched::Watched;

pub(super) use policy::{keep as keep_policy, ping_workers};
pub(super) use recycle::recycle_all;
pub(super) use watch::FileWatch;
pub(super) use worker::start_all;

/// How workers come to life.
#[derive(Debug, Clone)]
pub enum WorkerLauncher {
    /// As a process, which must call [`worker::run`](crate::worker::run) on its standard input and
    /// output.
    Process {
        /// The program.
        program: PathBuf,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
    /// As tasks of this process, under a paused clock. A worker that is killed ends with all its requests
    /// and sockets, as a process would.
    InProcess,
}

/// Whether the pool takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolState {
    Running,
    /// By an administrator, or by the fault `stop-pool`.
    Stopped,
    /// By rapid-fail protection.
    Disabled,
}

impl PoolState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Disabled => "disabled",
        }
    }
}

/// Counters of `\APP_POOL_WAS` and the request queue.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) arrived: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) recycles: AtomicU64,
    pub(super) created: AtomicU64,
    pub(super) shutdown_failures: AtomicU64,
    pub(super) startup_failures: AtomicU64,
    pub(super) ping_failures: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// The pool.
pub(super) struct Pool {
    settings: Arc<Mutex<Arc<PoolSettings>>>,
    launcher: WorkerLauncher,
    state: Watched<PoolState>,
    /// Every worker that has not ended.
    workers: Mutex<Vec<Arc<Handle>>>,
    /// Changes with every worker that begins or ceases to serve.
    serving: Watched<()>,
    next_generation: AtomicU64,
    next_request: AtomicU64,
    turns: [AtomicUsize; 2],
    queued: AtomicUsize,
    next_ticket: AtomicU64,
    pub(super) counters: Counters,
    /// What workers that have ended had counted: machine-wide counters never fall.
    past: Mutex<WorkerCounts>,
    /// Requests that wait, by the order of their arrival.
    waiting: Mutex<BTreeMap<u64, Instant>>,
    /// Requests that arrived in the last second.
    arrival_rate: AtomicU64,
    /// One recycle at a time.
    recycling: tokio::sync::Mutex<()>,
    /// One start at a time, so that nobody starts a worker that somebody else is starting.
    starting: tokio::sync::Mutex<()>,
    /// A start on demand is under way.
    is_starting: AtomicBool,
    /// Pool times of unexpected ends, for rapid-fail protection.
    crashes: Mutex<Vec<Duration>>,
    /// Pool time of the last request, for idleTimeout.
    last_request: Mutex<Duration>,
    /// The policy has something to look at before what it waits for.
    attention: Notify,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// `queueLength` requests wait already.
    QueueFull,
    /// The pool is stopped or disabled.
    Offline,
    /// The worker ended with the request open.
    Cut,
}

/// Tells the worker that the client has gone, unless the request was answered.
struct ClientGuard<'a> {
    worker: Arc<Handle>,
    id: u64,
    was_reset: &'a AtomicBool,
    note: Option<RequestNote>,
}

impl Drop for ClientGuard<'_> {
    fn drop(&mut self) {
        let reset = self.was_reset.load(Ordering::Relaxed);
        self.worker.client_gone(self.id, reset, self.note.take());
    }
}

/// A place in the request queue.
struct Place<'a> {
    pool: &'a Pool,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.queued.fetch_sub(1, Ordering::Relaxed);
        self.pool.waiting.lock().remove(&self.ticket);
    }
}

impl Pool {
    pub(super) fn new(settings: PoolSettings, launcher: WorkerLauncher) -> Self {
        Self {
            settings: Arc::new(Mutex::new(Arc::new(settings))),
            launcher,
            state: Watched::new(PoolState::Running),
            workers: Mutex::default(),
            serving: Watched::new(()),
            next_generation: AtomicU64::new(1),
            next_request: AtomicU64::new(0),
            turns: Default::default(),
            queued: AtomicUsize::new(0),
            next_ticket: AtomicU64::new(0),
            counters: Counters::default(),
            past: Mutex::default(),
            waiting: Mutex::default(),
            arrival_rate: AtomicU64::new(0),
            recycling: tokio::sync::Mutex::new(()),
            starting: tokio::sync::Mutex::new(()),
            is_starting: AtomicBool::new(false),
            crashes: Mutex::default(),
            last_request: Mutex::default(),
            attention: Notify::new(),
        }
    }

    pub(super) fn settings(&self) -> Arc<PoolSettings> {
        Arc::clone(&self.settings.lock())
    }

    /// Reads the settings as they are by then.
    pub(super) fn limits(&self) -> PoolLimits {
        let settings = Arc::clone(&self.settings);
        Box::new(move || Arc::clone(&settings.lock()))
    }

    pub(super) fn state(&self) -> PoolState {
        self.state.get()
    }

    pub(super) fn workers(&self) -> Vec<Arc<Handle>> {
        self.workers.lock().clone()
    }

    fn running(&self) -> Vec<Arc<Handle>> {
        let mut workers = self.workers();
        workers.retain(|worker| worker.state() == State::Running);
        workers
    }

    /// Workers that serve or are about to.
    fn alive(&self) -> usize {
        let lives =
            |worker: &&Arc<Handle>| matches!(worker.state(), State::Starting | State::Running);
        self.workers.lock().iter().filter(lives).count()
    }

    pub(super) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed) as u64
    }

    /// How long the request that has waited longest has waited.
    pub(super) fn oldest_waiting(&self) -> Duration {
        let waiting = self.waiting.lock();
        let oldest = waiting.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Takes the number of requests that arrived since the last call, a second ago.
    pub(super) fn measure_arrivals(&self) {
        let arrived = self.counters.arrived.swap(0, Ordering::Relaxed);
        self.arrival_rate.store(arrived, Ordering::Relaxed);
    }

    pub(super) fn arrival_rate(&self) -> u64 {
        self.arrival_rate.load(Ordering::Relaxed)
    }

    /// What all workers have counted since the pool began, and what those that live have now.
    pub(super) fn lifetime(&self) -> WorkerCounts {
        let workers = self.workers.lock();
        let mut sum = *self.past.lock();
        for worker in workers.iter() {
            sum.add_past(&worker.counts());
        }
        sum
    }

    /// The worker for the next request of that application: the running ones in turn. Each
    /// application has its own, as a request of the front end is followed by one of the back end.
    fn pick(&self, app: App) -> Option<Arc<Handle>> {
        let workers = self.workers.lock();
        let running = || {
            workers
                .iter()
                .filter(|worker| worker.state() == State::Running)
        };
        let count = running().count();
        let turn = self.turns[app as usize].fetch_add(1, Ordering::Relaxed);
        running().nth(turn.checked_rem(count)?).map(Arc::clone)
    }

    /// Tells everybody who waits that the set of serving workers has changed.
    fn serving_changed(&self) {
        self.serving.set(());
        self.needs_attention();
    }

    /// The policy looks at the pool now: something has changed that may make a recycle due, or due sooner.
    pub(super) fn needs_attention(&self) {
        self.attention.notify_one();
    }

    /// Sends a message to every worker that lives.
    pub(super) fn tell_all(&self, message: impl Fn() -> ToWorker) {
        for worker in self.workers.lock().iter() {
            worker.send(message());
        }
    }

    /// Ends one running worker as a crash would.
    pub(super) fn kill_one(&self) -> bool {
        let worker = self.pick(App::FrontEnd);
        if let Some(worker) = &worker {
            worker.kill();
        }
        worker.is_some()
    }
}

/// Gives a request to a worker and waits for its answer; dropping the future means that the client
/// has gone.
pub(super) async fn dispatch(
    server: &Arc<Server>,
    app: App,
    request: WireRequest,
    note: &RequestNote,
    was_reset: &AtomicBool,
) -> Result<WireAnswer, Lost> {
    let pool = &server.pool;
    let mut request = Some(request);
    let mut place = None;
    pool.counters.arrived.fetch_add(1, Ordering::Relaxed);
    loop {
        if pool.state() != PoolState::Running {
            return Err(Lost::Offline);
        }
        let mut changes = pool.serving.watch();
        let Some(worker) = pool.pick(app) else {
            take_place(pool, &mut place)?;
            start_on_demand(server);
            tokio::select! {
                biased;
                () = changes.changed() => {}
                () = pool.state.reached(|state| state != PoolState::Running) => {}
            }
            continue;
        };
        let thread = match Arc::clone(&worker.threads).try_acquire_owned() {
            Ok(thread) => thread,
            Err(tokio::sync::TryAcquireError::Closed) => {
                // It ceases to serve in this very moment.
                tokio::task::yield_now().await;
                continue;
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => {
                take_place(pool, &mut place)?;
                // Closed when the worker no longer serves.
                let Ok(thread) = Arc::clone(&worker.threads).acquire_owned().await else {
                    continue;
                };
                thread
            }
        };
        let id = pool.next_request.fetch_add(1, Ordering::Relaxed);
        let (answer, is_answered) = oneshot::channel();
        let open = Open::new(answer, thread);
        let Some(taken) = request.take() else {
            return Err(Lost::Cut);
        };
        // A worker that ceased to serve in this very moment gives the request back.
        if let Err(returned) = worker.take(id, app, taken, open) {
            request = Some(returned);
            tokio::task::yield_now().await;
            continue;
        }
        drop(place.take());
        server.request_begins(&worker);
        let guard = ClientGuard {
            worker,
            id,
            was_reset,
            note: (app == App::FrontEnd).then(|| note.clone()),
        };
        let outcome = is_answered.await.map_err(|_| Lost::Cut);
        drop(guard);
        return outcome;
    }
}

/// A request waits: it takes a place in the queue, once.
fn take_place<'a>(pool: &'a Pool, place: &mut Option<Place<'a>>) -> Result<(), Lost> {
    if place.is_some() {
        return Ok(());
    }
    let before = pool.queued.fetch_add(1, Ordering::Relaxed);
    let ticket = pool.next_ticket.fetch_add(1, Ordering::Relaxed);
    pool.waiting.lock().insert(ticket, Instant::now());
    *place = Some(Place { pool, ticket });
    if before >= pool.settings().queue_length as usize {
        pool.counters.rejected.fetch_add(1, Ordering::Relaxed);
        return Err(Lost::QueueFull);
    }
    Ok(())
}

/// `startMode` OnDemand: the first request starts the worker.
fn start_on_demand(server: &Arc<Server>) {
    let pool = &server.pool;
    let nobody = pool
        .workers
        .lock()
        .iter()
        .all(|worker| !matches!(worker.state(), State::Starting | State::Running));
    // A recycle without overlap starts the new worker itself.
    if !nobody || pool.recycling.try_lock().is_err() {
        return;
    }
    if pool.is_starting.swap(true, Ordering::SeqCst) {
        return;
    }
    let server = Arc::clone(server);
    tokio::spawn(async move {
        start(&server).await;
        server.pool.is_starting.store(false, Ordering::SeqCst);
    });
}

/// Stops the pool: no request gets in, workers end.
pub(super) async fn stop(server: &Arc<Server>, state: PoolState) {
    server.pool.state.set(state);
    let workers = server.pool.workers();
    for worker in &workers {
        worker.retire();
        worker.kill();
    }
    for worker in workers {
        worker.reached(|state| state == State::Ended).await;
    }
    server.pool.serving_changed();
}

/// Starts a stopped pool again.
pub(super) async fn resume(server: &Arc<Server>) {
    server.pool.crashes.lock().clear();
    server.pool.state.set(PoolState::Running);
    server.pool.needs_attention();
    if server.pool.running().is_empty() {
        start(server).await;
    }
}
