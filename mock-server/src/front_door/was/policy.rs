//! The recycling policy: what WAS looks at while workers run.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use iis::{PoolSettings, RecycleReason, next_due};
use jiff::Zoned;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::recycle::{drain, recycle_one};
use super::worker::{Handle, State};
use super::{PoolState, recycle_all};
use crate::front_door::server::Server;
use crate::link::ToWorker;
use crate::lock;

/// How often the policy is looked at. Far below a second, so that a policy of compressed weeks is
/// kept to the second.
const TICK: Duration = Duration::from_millis(50);
/// How often memory is read: once a second is finer than any memory limit needs.
const MEMORY_TICKS: u32 = 20;

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
        ticks: 0,
    };
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(TICK) => {}
            () = server.pool.attention.notified() => {}
        }
        watch.tick(&server).await;
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
    ticks: u32,
}

impl Watch {
    async fn tick(&mut self, server: &Arc<Server>) {
        self.ticks = self.ticks.wrapping_add(1);
        server.log_dropped();
        let settings = server.pool.settings();
        self.is_scheduled |= self.schedule_comes(server, &settings);
        if server.pool.state() != PoolState::Running {
            // Nothing is there to be recycled.
            self.is_scheduled = false;
            return;
        }
        if let Some(recycle) = self.under_way.take_if(|recycle| recycle.is_finished())
            && !recycle.await.unwrap_or(false)
        {
            self.not_before = Instant::now() + PAUSE_AFTER_FAILURE;
        }
        if self.under_way.is_none() && Instant::now() >= self.not_before {
            self.under_way = self.begin(server, &settings);
        }
        end_idle(server, &settings);
    }

    /// Begins the recycle that is due, if one is.
    fn begin(&mut self, server: &Arc<Server>, settings: &PoolSettings) -> Option<JoinHandle<bool>> {
        let server = Arc::clone(server);
        if std::mem::take(&mut self.is_scheduled) {
            return Some(tokio::spawn(async move {
                told(&server, recycle_all(&server, RecycleReason::Schedule).await)
            }));
        }
        let reads_memory = self.ticks.is_multiple_of(MEMORY_TICKS);
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
    // The first worker of a server with a shift counts from that much later.
    let shift = if worker.generation <= u64::from(settings.process_model.max_processes.max(1)) {
        server.shift()
    } else {
        Duration::ZERO
    };
    let age = server
        .host
        .clock
        .elapsed()
        .saturating_sub(worker.started_pool);
    if !recycling.time.is_zero() && age >= recycling.time + shift {
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

/// `idleTimeout`: a worker without work ends, unless the pool is to run always.
fn end_idle(server: &Arc<Server>, settings: &PoolSettings) {
    let limit = settings.process_model.idle_timeout;
    if limit.is_zero() || settings.start_mode == iis::StartMode::AlwaysRunning {
        return;
    }
    let last = *lock(&server.pool.last_request);
    for worker in server.pool.running() {
        let since = last.max(worker.started_pool);
        let idle = server.host.clock.elapsed().saturating_sub(since);
        if idle >= limit && worker.is_idle() {
            server.records.idle(worker.pid());
            drain(server, &worker);
        }
    }
}

impl Server {
    /// Notes a request for the policy.
    pub(super) fn request_begins(&self, worker: &Handle) {
        *lock(&self.pool.last_request) = self.host.clock.elapsed();
        let requests = worker.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let limit = self.pool.settings().recycling.requests;
        if limit > 0 && requests >= limit {
            self.pool.attention.notify_one();
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
