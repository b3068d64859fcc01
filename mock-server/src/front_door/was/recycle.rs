//! A recycle: new workers start, old ones drain and are killed at shutdownTimeLimit.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use iis::RecycleReason;

use super::handle::{Handle, State};
use super::worker::{start_one, wanted};
use super::{PoolState, start};
use crate::front_door::StartError;
use crate::front_door::server::Server;

/// Recycles every running worker.
pub(in crate::front_door) async fn recycle_all(
    server: &Arc<Server>,
    reason: RecycleReason,
) -> Result<(), StartError> {
    let _turn = server.pool.recycling.lock().await;
    let old = server.pool.running();
    // maxProcesses may have changed.
    replace(server, old, wanted(server), reason).await
}

/// Recycles one worker, unless it no longer serves by now (mock-fidelity R18).
pub(super) async fn recycle_one(
    server: &Arc<Server>,
    worker: &Arc<Handle>,
    reason: RecycleReason,
) -> Result<(), StartError> {
    let _turn = server.pool.recycling.lock().await;
    if worker.state() != State::Running {
        return Ok(());
    }
    replace(server, vec![Arc::clone(worker)], 1, reason).await
}

/// Puts `new` workers in the place of the old ones. Overlapped, they serve before the old ones
/// drain; otherwise requests wait in the queue in between.
async fn replace(
    server: &Arc<Server>,
    old: Vec<Arc<Handle>>,
    new: usize,
    reason: RecycleReason,
) -> Result<(), StartError> {
    let pool = &server.pool;
    if pool.state() != PoolState::Running {
        return Err(StartError::Worker("the pool is not running".to_owned()));
    }
    for worker in &old {
        server.records.recycled(reason, worker.pid());
    }
    let count = || pool.counters.recycles.fetch_add(1, Ordering::Relaxed);
    if pool.settings().recycling.disallow_overlapping_rotation {
        count();
        return one_after_the_other(server, old).await;
    }
    let mut to_drain = old.iter();
    for number in 0..new {
        // The old worker goes on if the new one does not come.
        if let Err(error) = start_one(server).await {
            for worker in to_drain {
                server.records.overlap_failed(worker.pid(), &error);
            }
            return Err(error);
        }
        if number == 0 {
            count();
        }
        if let Some(worker) = to_drain.next() {
            drain(server, worker);
        }
    }
    to_drain.for_each(|worker| drain(server, worker));
    Ok(())
}

/// The new workers start when the old ones have gone.
async fn one_after_the_other(
    server: &Arc<Server>,
    old: Vec<Arc<Handle>>,
) -> Result<(), StartError> {
    old.iter().for_each(|worker| begin_drain(server, worker));
    let pids: Vec<u32> = old.iter().map(|worker| worker.pid()).collect();
    let drains: Vec<_> = old
        .into_iter()
        .map(|worker| tokio::spawn(end_drain(Arc::clone(server), worker)))
        .collect();
    for drained in drains {
        // A drain does not panic.
        let _ = drained.await;
    }
    start(server).await;
    if !server.pool.running().is_empty() {
        return Ok(());
    }
    let error = StartError::Worker("no new worker serves".to_owned());
    for pid in pids {
        server.records.recycle_failed(pid, &error);
    }
    Err(error)
}

/// Lets a worker finish what it has, in the background.
pub(super) fn drain(server: &Arc<Server>, worker: &Arc<Handle>) {
    begin_drain(server, worker);
    tokio::spawn(end_drain(Arc::clone(server), Arc::clone(worker)));
}

fn begin_drain(server: &Server, worker: &Handle) {
    worker.begin_drain();
    server.pool.serving_changed();
}

/// Lets a worker finish what it has, and kills it at `shutdownTimeLimit`.
async fn end_drain(server: Arc<Server>, worker: Arc<Handle>) {
    let limit = server.pool.settings().process_model.shutdown_time_limit;
    let ended = worker.reached(|state| state == State::Ended);
    if tokio::time::timeout(limit, ended).await.is_err() {
        let failures = &server.pool.counters.shutdown_failures;
        failures.fetch_add(1, Ordering::Relaxed);
        server.records.shutdown_limit(worker.pid());
        worker.kill();
        worker.reached(|state| state == State::Ended).await;
    }
}
