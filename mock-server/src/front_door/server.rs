//! One server: its front door, its pool, its logs. Mailboxes, faults and the clock it shares with
//! the others through the [`Host`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use mock_api::config::MockConfig;
use mock_api::control::{Truth, UserSettings};
use mock_api::fault::{Fault, FaultKind};
use parking_lot::Mutex;
use rand::{Rng as _, RngCore as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use tcp_table::State;
use tokio::time::MissedTickBehavior;

use super::note::RequestNote;
use super::records::Records;
use super::was::Pool;
use crate::clock::PoolClock;
use crate::fault::{Faults, Subject};
use crate::link::ToWorker;
use crate::machine::Machine;
use crate::store::{Announcement, Store};
use crate::surfaces::sockets::{Scanner, SocketRow};
use crate::surfaces::{PerfmonSample, PerfmonWorker};
use crate::watched::Watched;
use crate::worker::guid;

/// What all servers share.
pub(super) struct Host {
    pub(super) machine: Machine,
    pub(super) config: MockConfig,
    pub(super) clock: Arc<PoolClock>,
    pub(super) store: Mutex<Store>,
    pub(super) faults: Mutex<Faults>,
    /// The same as they were given.
    pub(super) listed: Mutex<Vec<Fault>>,
    /// One change of the faults at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Changes with every change of the faults.
    pub(super) faults_changed: Watched<()>,
    users: Mutex<BTreeMap<String, UserSettings>>,
    random: Mutex<Xoshiro256PlusPlus>,
    /// Mails lost by the fault `lose-mail`, per recipient.
    mails_lost: AtomicU64,
    servers: OnceLock<Vec<Weak<Server>>>,
    pub(super) stop: Watched<bool>,
}

impl Host {
    pub(super) fn new(machine: Machine, config: MockConfig, clock: PoolClock) -> Self {
        Self {
            machine,
            store: Mutex::new(Store::new(&config)),
            faults: Mutex::default(),
            listed: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
            faults_changed: Watched::new(()),
            users: Mutex::default(),
            random: Mutex::new(Xoshiro256PlusPlus::seed_from_u64(config.seed)),
            mails_lost: AtomicU64::new(0),
            servers: OnceLock::new(),
            stop: Watched::new(false),
            clock: Arc::new(clock),
            config,
        }
    }

    /// Returns when the mock is to end.
    pub(super) async fn asked_to_stop(&self) {
        self.stop.reached(|stop| stop).await;
    }

    pub(super) fn set_servers(&self, servers: &[Arc<Server>]) {
        // Called once, at the start.
        let _ = self
            .servers
            .set(servers.iter().map(Arc::downgrade).collect());
    }

    pub(super) fn servers(&self) -> Vec<Arc<Server>> {
        let servers = self.servers.get().map(Vec::as_slice).unwrap_or_default();
        servers.iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn tell_all(&self, message: impl Fn() -> ToWorker) {
        for server in self.servers() {
            server.pool.tell_all(&message);
        }
    }

    /// Tells every worker what has changed: during an overlap both hold Pings.
    pub(super) fn announce(&self, announcements: &[Announcement]) {
        for announcement in announcements {
            self.tell_all(|| match announcement.clone() {
                Announcement::Item { user, folder, by } => ToWorker::ItemAdded { user, folder, by },
                Announcement::Hierarchy { user, by } => ToWorker::HierarchyChanged { user, by },
            });
        }
    }

    /// Adds a folder to every mailbox. An error says how many mailboxes cannot take one.
    pub(super) fn change_hierarchy(&self) -> Result<(), String> {
        let (announcements, full) = self.store.lock().change_hierarchy();
        self.announce(&announcements);
        if full == 0 {
            return Ok(());
        }
        Err(format!(
            "expected mailboxes of fewer than {} folders (`max_folders`): {full} of {} got no folder",
            self.config.max_folders,
            full + announcements.len()
        ))
    }

    pub(super) fn all_faults(&self) -> Vec<Fault> {
        self.listed.lock().clone()
    }

    /// The fault that strikes this request on the wire, if any.
    pub(super) fn strike(&self, kinds: &[FaultKind], note: &RequestNote) -> Option<Fault> {
        let mut faults = self.faults.lock();
        if faults.is_empty() {
            return None;
        }
        faults.strike(kinds, note.subject(), |probability| {
            self.chance(probability)
        })
    }

    /// The recipients whose mail is not lost by a fault.
    pub(super) fn not_lost(&self, mut users: Vec<String>) -> Vec<String> {
        let mut faults = self.faults.lock();
        if faults.has(FaultKind::LoseMail) {
            let before = users.len();
            users.retain(|user| {
                let subject = Subject {
                    user,
                    device: "",
                    command: "SendMail",
                };
                let chance = |probability| self.chance(probability);
                faults
                    .strike(&[FaultKind::LoseMail], subject, chance)
                    .is_none()
            });
            let lost = (before - users.len()) as u64;
            self.mails_lost.fetch_add(lost, Ordering::Relaxed);
        }
        users
    }

    fn chance(&self, probability: f64) -> bool {
        probability >= 1.0
            || probability > 0.0 && self.random.lock().random_bool(probability.min(1.0))
    }

    /// A lower-case GUID, new each time.
    pub(super) fn request_id(&self) -> String {
        guid(self.random.lock().random())
    }

    pub(super) fn user(&self, name: &str) -> UserSettings {
        self.users.lock().get(name).copied().unwrap_or_default()
    }

    /// The fault on the wire that was set after that change and strikes, and the change up to which
    /// an open request has met them all.
    pub(super) fn strike_open(
        &self,
        kinds: &[FaultKind],
        note: &RequestNote,
        after: u64,
    ) -> (Option<Fault>, u64) {
        let mut faults = self.faults.lock();
        let wanted = |fault: &Fault, since| kinds.contains(&fault.fault) && since > after;
        let chance = |probability| self.chance(probability);
        let struck = faults.strike_if(wanted, note.subject(), chance);
        (struck, faults.change())
    }

    /// The fault that strikes an answer on its way. Those that were set in `met` have had their
    /// chance while the request was open.
    pub(super) fn strike_answer(
        &self,
        kinds: &[FaultKind],
        cutting: &[FaultKind],
        note: &RequestNote,
        met: (u64, u64),
    ) -> Option<Fault> {
        let mut faults = self.faults.lock();
        if faults.is_empty() {
            return None;
        }
        let wanted = |fault: &Fault, since| {
            let has_met = cutting.contains(&fault.fault) && met.0 < since && since <= met.1;
            kinds.contains(&fault.fault) && !has_met
        };
        let chance = |probability| self.chance(probability);
        faults.strike_if(wanted, note.subject(), chance)
    }

    pub(super) fn random_bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.random.lock().fill_bytes(&mut bytes);
        bytes
    }

    pub(super) fn users(&self) -> Vec<(String, UserSettings)> {
        let users = self.users.lock();
        users
            .iter()
            .map(|(user, set)| (user.clone(), *set))
            .collect()
    }

    /// Changes what the directory says of a user; `false` if it cannot list the user.
    pub(super) fn set_user(&self, user: &str, settings: UserSettings) -> bool {
        // Also in a domain, which is left out.
        let has_control = user.contains(char::is_control);
        let user = crate::worker::local_part(user);
        if has_control || !self.store.lock().set_user(&user, settings) {
            return false;
        }
        self.users.lock().insert(user.clone(), settings);
        self.tell_all(|| ToWorker::User(user.clone(), settings));
        true
    }

    /// What really happens, over all servers.
    pub(super) fn truth(&self) -> Truth {
        let mut truth = Truth {
            time_scale: self.clock.scale(),
            pool_time: self.clock.now().to_string(),
            ..Truth::default()
        };
        {
            let store = self.store.lock();
            truth.devices = store.devices();
            truth.mails = store.mails();
        }
        truth.mails_lost = self.mails_lost.load(Ordering::Relaxed);
        for server in self.servers() {
            server.add_to(&mut truth);
        }
        truth
            .workers
            .sort_by_key(|worker| worker.state != "running");
        truth
    }
}

/// One server.
pub(super) struct Server {
    pub(super) host: Arc<Host>,
    /// From 1.
    pub(super) number: usize,
    pub(super) pool: Pool,
    pub(super) records: Records,
    /// Where this server's front-end proxy connects to.
    pub(super) back_end: SocketAddr,
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) cut: AtomicU64,
    /// Client requests whose answer is being sent.
    pub(super) answering: AtomicU64,
    scanner: Mutex<Scanner>,
}

impl Server {
    pub(super) fn new(
        host: Arc<Host>,
        number: usize,
        pool: Pool,
        records: Records,
        back_end: SocketAddr,
        scanner: Scanner,
    ) -> Self {
        Self {
            host,
            number,
            pool,
            records,
            back_end,
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            answering: AtomicU64::new(0),
            scanner: Mutex::new(scanner),
        }
    }

    /// The pool's name, as the configuration spells it.
    pub(super) fn pool_name(&self) -> &str {
        &self.host.config.pool.name
    }

    /// A word to whoever runs the mock.
    pub(super) fn tell(&self, what: &str) {
        eprintln!("mock server {}: {what}", self.number);
    }

    /// `loadBalancerCapabilities` TcpLevel.
    pub(super) fn closes_when_full(&self) -> bool {
        self.pool.settings().failure.load_balancer_capabilities
            == iis::LoadBalancerCapabilities::TcpLevel
    }

    /// By how much pool time this server's recycling comes after that of the first.
    pub(super) fn shift(&self) -> Duration {
        let before = u32::try_from(self.number - 1).unwrap_or(u32::MAX);
        self.host.config.schedule_shift.saturating_mul(before)
    }

    /// Requests whose client has long been gone go to the HTTPERR log. Returns how long it takes until the next
    /// may have to.
    pub(super) fn log_dropped(&self) -> Duration {
        let limit = self.host.config.dropped_after;
        let mut next = limit;
        for worker in self.pool.workers() {
            for note in worker.dropped(limit) {
                self.records.dropped(&note);
            }
            let oldest = worker.gone_since();
            next = next.min(oldest.map_or(limit, |since| limit.saturating_sub(since.elapsed())));
        }
        next
    }

    /// The sockets of this server.
    pub(super) fn sockets(&self) -> Vec<SocketRow> {
        let workers: Vec<u32> = self
            .pool
            .workers()
            .iter()
            .map(|worker| worker.pid())
            .collect();
        self.scanner.lock().scan(&workers)
    }

    /// How many of this server's sockets are in each state, IPv4 and IPv6 apart.
    pub(super) fn socket_states(&self) -> BTreeMap<(bool, State), u64> {
        self.scanner.lock().states()
    }

    fn add_to(&self, truth: &mut Truth) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.pool.counters;
        truth.pools.push(self.pool.state().as_str().to_owned());
        let workers = self.pool.workers();
        truth
            .workers
            .extend(workers.iter().map(|worker| worker.truth(self.number)));
        truth.recycles += count(&counters.recycles);
        truth.created += count(&counters.created);
        truth.shutdown_failures += count(&counters.shutdown_failures);
        truth.startup_failures += count(&counters.startup_failures);
        truth.ping_failures += count(&counters.ping_failures);
        truth.failures += count(&counters.failures);
        truth.rejected += count(&counters.rejected);
        truth.queued += self.pool.queued();
        truth.connections_accepted += count(&self.accepted);
        truth.connections_open += count(&self.open);
        truth.cut += count(&self.cut);
        truth.answering += count(&self.answering);
    }

    /// This server's share of the truth.
    pub(super) fn truth(&self) -> Truth {
        let mut truth = Truth::default();
        self.add_to(&mut truth);
        truth
    }

    /// Writes a row of the performance log once a second until the task is ended.
    pub(super) async fn write_perfmon(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.pool.measure_arrivals();
            let server = Arc::clone(&self);
            // Reads /proc, and may write a file.
            let sampled = self.host.machine.blocking(move || {
                server.records.sampled(&server.perfmon_sample());
            });
            // A sample does not panic.
            let _ = sampled.await;
        }
    }

    fn perfmon_sample(&self) -> PerfmonSample {
        let truth = self.truth();
        let lifetime = self.pool.lifetime();
        let workers = self.pool.workers();
        let machine = &self.host.machine;
        let workers = workers.iter().map(|worker| {
            let (pid, counts) = (worker.pid(), worker.counts());
            PerfmonWorker {
                pid,
                active: counts.active,
                served: counts.served,
                gc_percent: counts.gc_share * 100.0,
                heap_bytes: counts.heap_bytes,
                private_bytes: machine.memory(pid, &counts).map(|memory| memory.private),
                handles: machine.handles(pid, &counts),
            }
        });
        PerfmonSample {
            workers: workers.collect(),
            recycles: truth.recycles,
            workers_created: truth.created,
            shutdown_failures: truth.shutdown_failures,
            queued: truth.queued,
            rejected: truth.rejected,
            connections_established: truth.connections_open
                + truth.sum(|counts| counts.outgoing_sockets),
            connection_failures: lifetime.connect_failures + lifetime.port_failures,
            pings_pending: self.pings_pending(&truth),
            syncs: lifetime.syncs,
            requests: lifetime.commands,
            outstanding_proxy: truth.sum(|counts| counts.outstanding_proxy),
        }
    }

    /// Ping Commands Pending, which may or may not count stranded Pings (mock-fidelity S13).
    pub(super) fn pings_pending(&self, truth: &Truth) -> u64 {
        let stranded = if self.host.config.pending_counts_stranded {
            truth.sum(|counts| counts.stranded)
        } else {
            0
        };
        truth.sum(|counts| counts.held_pings) + stranded
    }
}
