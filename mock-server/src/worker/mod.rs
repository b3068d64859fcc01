//! The worker: w3wp.exe of MSExchangeSyncAppPool in miniature.

mod alone;
mod back_end;
mod heap;
mod identity;
pub(crate) mod outgoing;
mod pings;
mod proxy;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use back_end::answers::{Names, plain};
use heap::Heap;
use mock_api::config::{MockConfig, Topology};
use mock_api::control::{COUNTED_ERRORS, UserSettings, WorkerCounts};
use mock_api::fault::{Fault, FaultKind};
use outgoing::Outgoing;
use parking_lot::Mutex;
use pings::Pings;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::fault::{Faults, Subject};
use crate::link::{
    App, COUNTS_EVERY, MAX_CONTENT, MAX_QUEUED, Receiver, ToFrontDoor, ToWorker, WireAnswer,
    WireRequest, WorkerStart, send_all,
};
use crate::machine::Machine;
use crate::store::{Operation, StoreCall, StoreReply, text_size};
use crate::watched::Watched;

pub(crate) use alone::Alone;
pub(crate) use back_end::answers::{IIS, bare, challenges, server_name};
pub(crate) use back_end::coding::decoded;
pub(crate) use identity::{DOMAIN, address, authenticate, basic_user, local_part};

/// Runs a worker over its two streams until it has drained or the front door is gone. Requests that it
/// still has then end with it, and so do they when this future is dropped: that is how a worker in the
/// same process is killed.
///
/// # Errors
/// When the streams hold something else than the link's messages.
pub async fn run(
    machine: Machine,
    input: impl AsyncRead + Unpin + Send,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let mut messages = Receiver::new(input);
    let Some(ToWorker::Start(start)) = messages.next().await? else {
        return Ok(());
    };
    let (out, queue) = mpsc::channel(MAX_QUEUED);
    let mut sender = tokio::spawn(send_all(queue, output));
    let (drained, mut is_drained) = oneshot::channel();
    let pid = machine.pid(std::process::id(), start.generation);
    let worker = Arc::new(Worker::new(machine, *start, out, drained));
    worker.send(ToFrontDoor::Ready { pid });
    let mut tasks = JoinSet::new();
    tasks.spawn(report_counts(Arc::clone(&worker)));
    loop {
        let message = tokio::select! {
            biased;
            message = messages.next() => message?,
            _ = &mut is_drained => break,
            // The front door no longer reads: it is gone.
            _ = &mut sender => break,
            // Those that have ended are forgotten. The one that reports counts never ends.
            _ = tasks.join_next() => continue,
        };
        let Some(message) = message else { break };
        worker.handle(message, &mut tasks);
    }
    tasks.abort_all();
    // What was counted since the last report.
    worker.send(ToFrontDoor::Counts(worker.counts()));
    worker.send(ToFrontDoor::Drained);
    drop(worker);
    // The last answers are still on their way through the queue; a front door that is gone takes
    // none of them.
    if !sender.is_finished() {
        let _ = tokio::time::timeout(LAST_WORDS, sender).await;
    }
    Ok(())
}

/// How long a drained worker may take to write its last answers.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(2);

async fn report_counts(worker: Arc<Worker>) {
    let mut ticks = tokio::time::interval(COUNTS_EVERY);
    // Two samples at once would make a share of the time out of none.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.heap.sample();
        worker.outgoing.forget_closed();
        worker.send(ToFrontDoor::Counts(worker.counts()));
    }
}

/// A number as a GUID in lower case.
pub(crate) fn guid(number: u128) -> String {
    let part = |shift: u32, digits: u32| (number >> shift) & ((1 << (digits * 4)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}

/// How a client went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientEnd {
    /// By a proper end.
    Closed,
    /// By a reset: its network is gone.
    Reset,
}

/// HTTP status of an answer that cannot be sent.
const INTERNAL_ERROR: u16 = 500;

/// What all requests of the process share.
struct Worker {
    machine: Machine,
    config: MockConfig,
    names: Names,
    started: Instant,
    faults: Mutex<Faults>,
    /// Changes with the faults: what is held looks at them again.
    faults_changed: Watched<()>,
    /// Changes when the mailbox database moves.
    failover: Watched<()>,
    /// Users whose settings are not the default.
    users: Mutex<HashMap<String, UserSettings>>,
    /// Requests that the back end works on, by user.
    busy: Mutex<HashMap<String, usize>>,
    out: mpsc::Sender<ToFrontDoor>,
    heap: Heap,
    outgoing: Outgoing,
    pings: Pings,
    hanging_syncs: Pings,
    random: Mutex<Xoshiro256PlusPlus>,
    /// Requests that are not completed, and how to tell them that their client has gone.
    requests: Mutex<BTreeMap<u64, oneshot::Sender<ClientEnd>>>,
    store_calls: Mutex<BTreeMap<u64, oneshot::Sender<Result<StoreReply, u16>>>>,
    next_call: AtomicU64,
    draining: AtomicBool,
    drained: Mutex<Option<oneshot::Sender<()>>>,
    active: AtomicU64,
    proxied: AtomicU64,
    stranded: AtomicU64,
    served: AtomicU64,
    commands: AtomicU64,
    proxied_ever: AtomicU64,
    errors: [AtomicU64; COUNTED_ERRORS.len()],
    syncs: AtomicU64,
}

impl Worker {
    fn new(
        machine: Machine,
        start: WorkerStart,
        out: mpsc::Sender<ToFrontDoor>,
        drained: oneshot::Sender<()>,
    ) -> Self {
        let WorkerStart {
            config,
            generation,
            server,
            back_end,
            faults,
            users,
        } = start;
        Self {
            machine: machine.clone(),
            heap: Heap::new(config.heap),
            outgoing: Outgoing::new(
                machine,
                back_end,
                config.ephemeral_ports.clone(),
                config.port_wait,
                config.back_end_idle_timeout,
            ),
            pings: Pings::default(),
            hanging_syncs: Pings::default(),
            started: Instant::now(),
            faults_changed: Watched::new(()),
            failover: Watched::new(()),
            users: Mutex::new(users.into_iter().collect()),
            busy: Mutex::default(),
            random: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(config.seed ^ generation)),
            names: Names::new(
                server,
                // On two servers the back end is the other one's.
                if config.topology == Topology::TwoServers {
                    2
                } else {
                    server
                },
                generation,
            ),
            config,
            faults: Mutex::new(Faults::new(faults)),
            out,
            requests: Mutex::default(),
            store_calls: Mutex::default(),
            next_call: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            drained: Mutex::new(Some(drained)),
            active: AtomicU64::new(0),
            proxied: AtomicU64::new(0),
            stranded: AtomicU64::new(0),
            served: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            proxied_ever: AtomicU64::new(0),
            errors: Default::default(),
            syncs: AtomicU64::new(0),
        }
    }

    fn send(&self, message: ToFrontDoor) {
        // Fails only when the front door is gone or reads nothing, and then nobody is left to tell.
        let _ = self.out.try_send(message);
    }

    fn handle(self: &Arc<Self>, message: ToWorker, tasks: &mut JoinSet<()>) {
        match message {
            ToWorker::Start(_) => {}
            ToWorker::Request { id, app, request } => {
                tasks.spawn(self.begin(id, app, request));
            }
            ToWorker::ClientGone { id, reset } => {
                if let Some(gone) = self.requests.lock().remove(&id) {
                    let end = if reset {
                        ClientEnd::Reset
                    } else {
                        ClientEnd::Closed
                    };
                    // A request that has just been answered no longer listens.
                    let _ = gone.send(end);
                }
            }
            ToWorker::StoreReply(call, reply) => {
                if let Some(waiting) = self.store_calls.lock().remove(&call) {
                    // Likewise one whose client has gone.
                    let _ = waiting.send(reply);
                }
            }
            ToWorker::ItemAdded { user, folder, by } => {
                self.pings.item_added(&user, folder, by.as_deref());
                self.hanging_syncs.item_added(&user, folder, by.as_deref());
            }
            ToWorker::HierarchyChanged { user, by } => {
                self.pings.hierarchy_changed(&user, by.as_deref());
                self.hanging_syncs.hierarchy_changed(&user, by.as_deref());
            }
            ToWorker::Faults(faults) => {
                self.faults.lock().replace(faults);
                self.faults_changed.set(());
            }
            ToWorker::User(user, settings) => {
                self.users.lock().insert(user, settings);
            }
            ToWorker::StoreFailover => self.failover.set(()),
            ToWorker::Ping(number) => self.send(ToFrontDoor::Pong(number)),
            ToWorker::Drain => {
                self.draining.store(true, Ordering::SeqCst);
                self.end_if_drained();
            }
        }
    }

    /// Counts a request in; what is returned serves it.
    fn begin(
        self: &Arc<Self>,
        id: u64,
        app: App,
        request: WireRequest,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (gone, is_gone) = oneshot::channel();
        self.requests.lock().insert(id, gone);
        self.active.fetch_add(1, Ordering::SeqCst);
        let worker = Arc::clone(self);
        async move {
            let warm = worker.started + worker.config.warm_up;
            if Instant::now() < warm {
                tokio::time::sleep_until(warm).await;
            }
            worker.heap.allocate(worker.config.heap.per_request).await;
            let answer = if app == App::FrontEnd && worker.config.topology != Topology::Direct {
                proxy::serve(&worker, id, request, is_gone).await
            } else {
                back_end::serve(&worker, id, &request, app, is_gone).await
            };
            worker.heap.pass().await;
            worker.requests.lock().remove(&id);
            // The link ends with a message that is too large, and the worker with the link.
            let is_too_large = |answer: &WireAnswer| answer.body.len() > MAX_CONTENT;
            let answer = match answer {
                Some(answer) if is_too_large(&answer) => Some(plain(&worker, INTERNAL_ERROR)),
                answer => answer,
            };
            worker.count(app, answer.as_ref());
            worker.send(match answer {
                Some(answer) => ToFrontDoor::Answer(id, answer),
                None => ToFrontDoor::Completed(id),
            });
            worker.active.fetch_sub(1, Ordering::SeqCst);
            worker.end_if_drained();
        }
    }

    /// Counts a request that is completed.
    fn count(&self, app: App, answer: Option<&WireAnswer>) {
        self.served.fetch_add(1, Ordering::Relaxed);
        if app == App::BackEnd || self.config.topology == Topology::Direct {
            self.commands.fetch_add(1, Ordering::Relaxed);
        }
        let status = answer.map(|answer| answer.status);
        let counted = COUNTED_ERRORS.iter().position(|one| Some(*one) == status);
        if let Some(index) = counted {
            self.errors[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end_if_drained(&self) {
        if self.draining.load(Ordering::SeqCst)
            && self.active.load(Ordering::SeqCst) == 0
            && let Some(drained) = self.drained.lock().take()
        {
            // The receiver lives as long as the main loop; without it the worker is ending anyway.
            let _ = drained.send(());
        }
    }

    /// Asks the store.
    async fn store(&self, call: StoreCall) -> Result<StoreReply, u16> {
        if text_size(&call) > MAX_CONTENT {
            return Err(eas::status::GlobalStatus::ServerError.code());
        }
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        let (reply, is_replied) = oneshot::channel();
        self.store_calls.lock().insert(number, reply);
        self.send(ToFrontDoor::StoreCall(number, Box::new(call)));
        is_replied
            .await
            .unwrap_or(Err(eas::status::GlobalStatus::MailboxServerOffline.code()))
    }

    async fn ask(
        &self,
        user: &str,
        device: &str,
        policy_key: Option<Option<u32>>,
        operation: Operation,
    ) -> Result<StoreReply, u16> {
        self.store(StoreCall {
            user: user.to_owned(),
            device: device.to_owned(),
            policy_key,
            operation,
        })
        .await
    }

    fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.random.lock().random_bool(probability.min(1.0))
    }

    /// The fault that strikes, if any.
    fn strike(&self, kinds: &[FaultKind], subject: Subject<'_>) -> Option<Fault> {
        self.faults
            .lock()
            .strike(kinds, subject, |probability| self.chance(probability))
    }

    fn user(&self, name: &str) -> UserSettings {
        self.users.lock().get(name).copied().unwrap_or_default()
    }

    fn request_id(&self) -> String {
        guid(self.random.lock().random())
    }

    fn counts(&self) -> WorkerCounts {
        let heap = self.heap.figures();
        WorkerCounts {
            active: self.active.load(Ordering::SeqCst),
            outstanding_proxy: self.proxied.load(Ordering::Relaxed),
            stranded: self.stranded.load(Ordering::Relaxed),
            held_pings: self.pings.held(),
            served: self.served.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            commands: self.commands.load(Ordering::Relaxed),
            proxied: self.proxied_ever.load(Ordering::Relaxed),
            errors: std::array::from_fn(|index| self.errors[index].load(Ordering::Relaxed)),
            heap_bytes: heap.bytes,
            young_bytes: heap.young,
            allocated_bytes: heap.allocated_ever,
            collections: heap.collections,
            gc_share: heap.gc_share,
            outgoing_sockets: self.outgoing.open_count(),
            connects: self.outgoing.made(),
            port_failures: self.outgoing.port_failures(),
            connect_failures: self.outgoing.connect_failures(),
        }
    }
}
