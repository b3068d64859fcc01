//! The application pool: WAS, which starts, watches, drains and kills workers, and HTTP.sys's
//! request queue in front of them.

mod handle;
mod policy;
mod pool;
mod recycle;
mod watch;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use handle::{Handle, Open, State};
use tokio::sync::oneshot;
use tokio::time::Instant;
use worker::start;

use super::note::RequestNote;
use super::server::Server;
use crate::link::{App, WireAnswer, WireRequest};

pub(super) use policy::{keep as keep_policy, ping_workers};
pub use pool::WorkerLauncher;
pub(super) use pool::{Lost, Pool, PoolLimits, PoolState};
pub(super) use recycle::recycle_all;
pub(super) use watch::FileWatch;
pub(super) use worker::start_all;

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
