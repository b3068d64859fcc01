//! The application pool: its settings, its state, and the workers that have not ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use iis::PoolSettings;
use mock_api::control::WorkerCounts;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::handle::{Handle, State};
use crate::link::{App, ToWorker};
use crate::watched::Watched;

/// What events say of the pool's limits. Read when an event is written, as settings may change.
pub(in crate::front_door) type PoolLimits = Box<dyn Fn() -> Arc<PoolSettings> + Send + Sync>;

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
pub(in crate::front_door) enum PoolState {
    Running,
    /// By an administrator, or by the fault `stop-pool`.
    Stopped,
    /// By rapid-fail protection.
    Disabled,
}

impl PoolState {
    pub(in crate::front_door) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Disabled => "disabled",
        }
    }
}

/// Counters of `\APP_POOL_WAS` and the request queue.
#[derive(Debug, Default)]
pub(in crate::front_door) struct Counters {
    pub(in crate::front_door) arrived: AtomicU64,
    pub(in crate::front_door) rejected: AtomicU64,
    pub(in crate::front_door) recycles: AtomicU64,
    pub(in crate::front_door) created: AtomicU64,
    pub(in crate::front_door) shutdown_failures: AtomicU64,
    pub(in crate::front_door) startup_failures: AtomicU64,
    pub(in crate::front_door) ping_failures: AtomicU64,
    pub(in crate::front_door) failures: AtomicU64,
}

/// The pool.
pub(in crate::front_door) struct Pool {
    pub(in crate::front_door::was) settings: Arc<Mutex<Arc<PoolSettings>>>,
    pub(in crate::front_door::was) launcher: WorkerLauncher,
    pub(in crate::front_door::was) state: Watched<PoolState>,
    /// Every worker that has not ended.
    pub(in crate::front_door::was) workers: Mutex<Vec<Arc<Handle>>>,
    /// Changes with every worker that begins or ceases to serve.
    pub(in crate::front_door::was) serving: Watched<()>,
    pub(in crate::front_door::was) next_generation: AtomicU64,
    pub(in crate::front_door::was) next_request: AtomicU64,
    pub(in crate::front_door::was) turns: [AtomicUsize; 2],
    pub(in crate::front_door::was) queued: AtomicUsize,
    pub(in crate::front_door::was) next_ticket: AtomicU64,
    pub(in crate::front_door) counters: Counters,
    /// What workers that have ended had counted: machine-wide counters never fall.
    pub(in crate::front_door::was) past: Mutex<WorkerCounts>,
    /// Requests that wait, by the order of their arrival.
    pub(in crate::front_door::was) waiting: Mutex<BTreeMap<u64, Instant>>,
    /// Requests that arrived in the last second.
    pub(in crate::front_door::was) arrival_rate: AtomicU64,
    /// One recycle at a time.
    pub(in crate::front_door::was) recycling: tokio::sync::Mutex<()>,
    /// One start at a time, so that nobody starts a worker that somebody else is starting.
    pub(in crate::front_door::was) starting: tokio::sync::Mutex<()>,
    /// A start on demand is under way.
    pub(in crate::front_door::was) is_starting: AtomicBool,
    /// Pool times of unexpected ends, for rapid-fail protection.
    pub(in crate::front_door::was) crashes: Mutex<Vec<Duration>>,
    /// Pool time of the last request, for idleTimeout.
    pub(in crate::front_door::was) last_request: Mutex<Duration>,
    /// The policy has something to look at before what it waits for.
    pub(in crate::front_door::was) attention: Notify,
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::front_door) enum Lost {
    /// `queueLength` requests wait already.
    QueueFull,
    /// The pool is stopped or disabled.
    Offline,
    /// The worker ended with the request open.
    Cut,
}

impl Pool {
    pub(in crate::front_door) fn new(settings: PoolSettings, launcher: WorkerLauncher) -> Self {
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

    pub(in crate::front_door) fn settings(&self) -> Arc<PoolSettings> {
        Arc::clone(&self.settings.lock())
    }

    /// Reads the settings as they are by then.
    pub(in crate::front_door) fn limits(&self) -> PoolLimits {
        let settings = Arc::clone(&self.settings);
        Box::new(move || Arc::clone(&settings.lock()))
    }

    pub(in crate::front_door) fn state(&self) -> PoolState {
        self.state.get()
    }

    pub(in crate::front_door) fn workers(&self) -> Vec<Arc<Handle>> {
        self.workers.lock().clone()
    }

    pub(super) fn running(&self) -> Vec<Arc<Handle>> {
        let mut workers = self.workers();
        workers.retain(|worker| worker.state() == State::Running);
        workers
    }

    /// Workers that serve or are about to.
    pub(super) fn alive(&self) -> usize {
        let lives =
            |worker: &&Arc<Handle>| matches!(worker.state(), State::Starting | State::Running);
        self.workers.lock().iter().filter(lives).count()
    }

    pub(in crate::front_door) fn queued(&self) -> u64 {
        self.queued.load(Ordering::Relaxed) as u64
    }

    /// How long the request that has waited longest has waited.
    pub(in crate::front_door) fn oldest_waiting(&self) -> Duration {
        let waiting = self.waiting.lock();
        let oldest = waiting.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }

    /// Takes the number of requests that arrived since the last call, a second ago.
    pub(in crate::front_door) fn measure_arrivals(&self) {
        let arrived = self.counters.arrived.swap(0, Ordering::Relaxed);
        self.arrival_rate.store(arrived, Ordering::Relaxed);
    }

    pub(in crate::front_door) fn arrival_rate(&self) -> u64 {
        self.arrival_rate.load(Ordering::Relaxed)
    }

    /// What all workers have counted since the pool began, and what those that live have now.
    pub(in crate::front_door) fn lifetime(&self) -> WorkerCounts {
        let workers = self.workers.lock();
        let mut sum = *self.past.lock();
        for worker in workers.iter() {
            sum.add_past(&worker.counts());
        }
        sum
    }

    /// The worker for the next request of that application: the running ones in turn. Each
    /// application has its own, as a request of the front end is followed by one of the back end.
    pub(super) fn pick(&self, app: App) -> Option<Arc<Handle>> {
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
    pub(super) fn serving_changed(&self) {
        self.serving.set(());
        self.needs_attention();
    }

    /// The policy looks at the pool now: something has changed that may make a recycle due, or due sooner.
    pub(in crate::front_door) fn needs_attention(&self) {
        self.attention.notify_one();
    }

    /// Sends a message to every worker that lives.
    pub(in crate::front_door) fn tell_all(&self, message: impl Fn() -> ToWorker) {
        for worker in self.workers.lock().iter() {
            worker.send(message());
        }
    }

    /// Ends one running worker as a crash would.
    pub(in crate::front_door) fn kill_one(&self) -> bool {
        let worker = self.pick(App::FrontEnd);
        if let Some(worker) = &worker {
            worker.kill();
        }
        worker.is_some()
    }
}
