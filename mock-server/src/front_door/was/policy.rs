//! The recycling policy: what WAS looks at while workers run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iis::{PoolSettings, RecycleReason, next_due};
use jiff::Zoned;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::handle::{Handle, State};
use super::recycle::{drain, recycle_one};
use super::{PoolState, recycle_all};
use crate::front_door::server::Server;
use crate::link::ToWorker;

/// Longest time between two looks at the policy. Whatever is due later, and each change that is announced, ends
/// the wait; this bounds how long any other change goes unnoticed. Memory is read as often, which is finer than
/// any memory limit needs.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks while something is due that cannot be done yet, such as the end of a worker that has
/// been idle for long and has a request now.
const TICK: Duration = Duration::from_millis(50);
/// tokio's timers count milliseconds.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// After a recycle that failed the reason for it still holds; a worker that cannot start is not
/// tried at every look.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Keeps the pool's policy until the task is ended.
pub(in crate::front_door) async fn keep(server: Arc<Server>) {
    let mut watch = Watch {
        schedule_from: shifted(&server),
        is_scheduled: false,
        under_way: None,
        not_before: Instant::now(),
        memory_due: Instant::now(),
    };
    loop {
        let wait = watch.look(&server);
        tokio::select! {
            biased;
            succeeded = ended(&mut watch.under_way) => {
                watch.under_way = None;
                if !succeeded {
                    watch.not_before = Instant::now() + PAUSE_AFTER_FAILURE;
                }
            }
            () = server.pool.attention.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Waits for the end of a recycle. Without a recycle it never returns.
async fn ended(recycle: &mut Option<JoinHandle<bool>>) -> bool {
    match recycle {
        Some(recycle) => recycle.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}

/// The pool's clock as this server's policy sees it: each server's recycling comes after that of
/// the server before it (mock-fidelity R20).
fn shifted(server: &Server) -> Zoned {
    let shift = server.shift();
    let now = server.host.clock.now();
    let shift = jiff::SignedDuration::try_from(shift).unwrap_or_default();
    now.checked_sub(shift).unwrap_or(now)
}

struct Watch {
    /// Scheduled times up to here have been dealt with.
    schedule_from: Zoned,
    /// A scheduled time has come and is not dealt with.
    is_scheduled: bool,
    /// A recycle, and whether it succeeds. Without overlap it lasts as long as the drain, and the
    /// policy has other things to look at meanwhile.
    under_way: Option<JoinHandle<bool>>,
    not_before: Instant,
    /// When memory is read next.
    memory_due: Instant,
}

impl Watch {
    /// Does what is due; returns how long nothing else will be.
    fn look(&mut self, server: &Arc<Server>) -> Duration {
        let mut wait = LONGEST_WAIT.min(server.log_dropped());
        let settings = server.pool.settings();
        self.is_scheduled |= self.schedule_comes(server, &settings);
        if server.pool.state() != PoolState::Running {
            // Nothing is there to be recycled.
            self.is_scheduled = false;
            return wait.max(SHORTEST_WAIT);
        }
        let now = Instant::now();
        if self.under_way.is_none() && now >= self.not_before {
            self.under_way = self.begin(server, &settings);
        }
        wait = wait.min(end_idle(server, &settings));
        // While a recycle is under way its end is waited for.
        if self.under_way.is_none() {
            let due = self.next_recycle(server, &settings);
            wait = wait.min(due.max(self.not_before.saturating_duration_since(now)));
        }
        wait.max(SHORTEST_WAIT)
    }

    /// How long it takes until the schedule or a worker's age asks for a recycle.
    fn next_recycle(&self, server: &Server, settings: &PoolSettings) -> Duration {
        let clock = &server.host.clock;
        let schedule = next_due(&settings.recycling.schedule, &self.schedule_from);
        let schedule = schedule.map(|due| {
            let left = self.schedule_from.duration_until(&due);
            Duration::try_from(left).unwrap_or_default()
        });
        let workers = server.pool.running().into_iter();
        let ages = workers.filter_map(|worker| {
            let (age, limit) = age(server, settings, &worker)?;
            Some(limit.saturating_sub(age))
        });
        let next = schedule.into_iter().chain(ages).min();
        next.map_or(LONGEST_WAIT, |next| clock.really(next))
    }

    /// Begins the recycle that is due, if one is.
    fn begin(&mut self, server: &Arc<Server>, settings: &PoolSettings) -> Option<JoinHandle<bool>> {
        let server = Arc::clone(server);
        if std::mem::take(&mut self.is_scheduled) {
            return Some(tokio::spawn(async move {
                told(&server, recycle_all(&server, RecycleReason::Schedule).await)
            }));
        }
        let now = Instant::now();
        let reads_memory = now >= self.memory_due;
        if reads_memory {
            self.memory_due = now + LONGEST_WAIT;
        }
        let due: Vec<_> = server
            .pool
            .running()
            .into_iter()
            .filter_map(|worker| {
                let reason = reason(&server, settings, &worker, reads_memory)?;
                Some((worker, reason))
            })
            .collect();
        if due.is_empty() {
            return None;
        }
        Some(tokio::spawn(async move {
            let mut succeeded = true;
            for (worker, reason) in due {
                succeeded &= told(&server, recycle_one(&server, &worker, reason).await);
            }
            succeeded
        }))
    }

    fn schedule_comes(&mut self, server: &Server, settings: &PoolSettings) -> bool {
        let now = shifted(server);
        let due = next_due(&settings.recycling.schedule, &self.schedule_from);
        let is_due = due.is_some_and(|due| due <= now);
        self.schedule_from = now;
        is_due
    }
}

fn told(server: &Server, outcome: Result<(), crate::StartError>) -> bool {
    if let Err(error) = &outcome {
        server.tell(&format!("recycle failed: {error}"));
    }
    outcome.is_ok()
}

/// Why a worker is to be recycled now, if it is.
fn reason(
    server: &Server,
    settings: &PoolSettings,
    worker: &Handle,
    reads_memory: bool,
) -> Option<RecycleReason> {
    let recycling = &settings.recycling;
    let is_on = |limit: u64| limit > 0;
    if let Some((age, limit)) = age(server, settings, worker)
        && age >= limit
    {
        return Some(RecycleReason::Time);
    }
    if is_on(recycling.requests) && worker.requests.load(Ordering::Relaxed) >= recycling.requests {
        return Some(RecycleReason::Requests);
    }
    if !reads_memory || !(is_on(recycling.memory_kb) || is_on(recycling.private_memory_kb)) {
        return None;
    }
    let memory = server.host.machine.memory(worker.pid(), &worker.counts())?;
    if is_on(recycling.memory_kb) && memory.virtual_bytes >> 10 >= recycling.memory_kb {
        return Some(RecycleReason::Memory);
    }
    (is_on(recycling.private_memory_kb) && memory.private >> 10 >= recycling.private_memory_kb)
        .then_some(RecycleReason::PrivateMemory)
}

/// A worker's age and the one at which it is recycled, in pool time. `None` if the pool's workers are not recycled
/// for their age.
fn age(server: &Server, settings: &PoolSettings, worker: &Handle) -> Option<(Duration, Duration)> {
    let limit = settings.recycling.time;
    // The first worker of a server with a shift counts from that much later.
    let shift = if worker.generation <= u64::from(settings.process_model.max_processes.max(1)) {
        server.shift()
    } else {
        Duration::ZERO
    };
    let elapsed = server.host.clock.elapsed();
    let age = elapsed.saturating_sub(worker.started_pool);
    (!limit.is_zero()).then(|| (age, limit.saturating_add(shift)))
}

/// `idleTimeout`: a worker without work ends, unless the pool is to run always. Returns how long it takes until
/// one may have been idle for long enough.
fn end_idle(server: &Arc<Server>, settings: &PoolSettings) -> Duration {
    let limit = settings.process_model.idle_timeout;
    let mut next = LONGEST_WAIT;
    if limit.is_zero() || settings.start_mode == iis::StartMode::AlwaysRunning {
        return next;
    }
    let last = *server.pool.last_request.lock();
    for worker in server.pool.running() {
        let since = last.max(worker.started_pool);
        let idle = server.host.clock.elapsed().saturating_sub(since);
        if idle < limit {
            next = next.min(server.host.clock.really(limit.saturating_sub(idle)));
        } else if worker.is_idle() {
            server.records.idle(worker.pid());
            drain(server, &worker);
        } else {
            next = next.min(TICK);
        }
    }
    next
}

impl Server {
    /// Notes a request for the policy.
    pub(super) fn request_begins(&self, worker: &Handle) {
        *self.pool.last_request.lock() = self.host.clock.elapsed();
        let requests = worker.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let limit = self.pool.settings().recycling.requests;
        if limit > 0 && requests >= limit {
            self.pool.needs_attention();
        }
    }
}

/// `pingingEnabled`: WAS asks each worker whether it lives, and ends one that does not answer
/// within `pingResponseTime`.
pub(in crate::front_door) async fn ping_workers(server: Arc<Server>) {
    let mut number = 0;
    loop {
        let model = server.pool.settings().process_model.clone();
        if !model.pinging_enabled {
            // Settings change rarely; an interval later is soon enough to notice.
            tokio::time::sleep(model.ping_interval.max(TICK)).await;
            continue;
        }
        number += 1;
        let workers = server.pool.running();
        for worker in &workers {
            worker.send(ToWorker::Ping(number));
        }
        let sent = Instant::now();
        tokio::time::sleep(model.ping_response_time).await;
        for worker in workers {
            if worker.pong.load(Ordering::Relaxed) < number && worker.state() == State::Running {
                let failures = &server.pool.counters.ping_failures;
                failures.fetch_add(1, Ordering::Relaxed);
                server
                    .records
                    .no_pong(worker.pid(), model.ping_response_time);
                worker.kill();
            }
        }
        tokio::time::sleep_until(sent + model.ping_interval.max(TICK)).await;
    }
}
