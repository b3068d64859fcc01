//! Worker processes: started, listened to, replaced when they die.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use eas::status::GlobalStatus;
use tokio::io::AsyncRead;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::handle::{Handle, State};
use super::pool::{PoolState, WorkerLauncher};
use crate::front_door::StartError;
use crate::front_door::server::Server;
use crate::link::{
    MAX_CONTENT, MAX_QUEUED, Receiver, ToFrontDoor, ToWorker, WorkerStart, send_all,
};
use crate::store::{Operation, text_size};
use crate::worker;

/// Between two attempts to replace a worker that ended by itself. IIS tries at once; a pause keeps
/// a worker that cannot start from eating a core.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Room of the in-process link.
const DUPLEX: usize = 256 << 10;

/// Starts workers until there are `maxProcesses`. The mock does this at its start even where
/// `startMode` is OnDemand, so that it serves at once, and a worker that cannot start is reported.
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
    let generation = pool.next_generation.fetch_add(1, Ordering::Relaxed);
    let (threads, started) = (server.host.config.threads, server.host.clock.elapsed());
    let handle = Arc::new(Handle::new(to, threads, generation, started));
    {
        // Under the lock under which changes are sent to all workers, so that none is missed;
        // and known before it runs, so that one that ends at once does not stay listed.
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
