//! A run under way: phases by the clock, an interval a second, and the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::device::{
    AbandonShares, Abandonment, Behaviour, Client, Flight, Identity, Profile, Record, Refusals,
    device_random,
};
use client::fleet::{Fleet, FleetPlan, Pacer};
use mock_api::Fault;
use parking_lot::Mutex;
use scenario::{
    AbandonPlan, LossPlan, MailDoor, PhaseKind, PhasePlan, Plan, TargetPlan, Trigger, split_port,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use verdict::judge::{Digest, Digester};
use verdict::recycle::{self, Detector, FailedTrigger, PoolStart};
use verdict::report::{Progress, RunRecord, RunState};
use verdict::timeline::{Interval, RunFiles, TimelineError};

use super::checkpoint::Checkpoints;
use super::endpoint::MetricsEndpoint;
use super::mock::local_client;
use super::observers::Observers;
use super::simulation::Simulation;
use super::{Interrupt, MakeTransport, RunningMock, Servers, Unrecorded, accounts, fault_mix};
use crate::mail::{Door, MailTraffic, Schedule, Turns, send_on_schedule};
use crate::measure::Recorder;
use crate::terminal::say;
use crate::trigger;
use crate::web::web_client;

/// Devices get so long to finish a Sync when the run ends.
const DRAIN: Duration = Duration::from_secs(3);
/// The stretch after the last phase.
const DRAIN_PHASE: &str = "drain";
/// So many seconds lie between two records of a run that goes on. The first ones have not shown yet what
/// the estimate of stranded requests rests on, and a kill should not cost many.
const CHECKPOINT: u32 = 10;

fn abandonment(plan: &AbandonPlan) -> Abandonment {
    Abandonment {
        share: plan.share,
        after: plan.after.0..=plan.after.1,
        how: shares(&plan.how),
        away: plan.away.0..=plan.away.1,
    }
}

fn shares(plan: &LossPlan) -> AbandonShares {
    AbandonShares {
        fin: plan.fin,
        rst: plan.rst,
        silence: plan.silence,
    }
}

/// The flights of all phases, each at its phase's start by the clock.
fn flights(phases: &[PhasePlan], start: Instant) -> Vec<Flight> {
    let mut at = start;
    let mut flights = Vec::new();
    for phase in phases {
        flights.extend(phase.flight.as_ref().map(|flight| Flight {
            start: at,
            end: at + flight.duration,
            share: flight.share,
            how: shares(&flight.how),
        }));
        at += phase.duration;
    }
    flights
}

/// A run under way.
pub(super) struct Engine {
    pub(super) record: RunRecord,
    pub(super) files: RunFiles,
    pub(super) recorder: Arc<Recorder>,
    pub(super) mock: Option<RunningMock>,
    pub(super) observers: Observers,
    pub(super) endpoint: Option<MetricsEndpoint>,
    /// Recycles as they are seen.
    pub(super) detector: Detector,
    pub(super) interrupt: watch::Receiver<Interrupt>,
    pub(super) quiet: bool,
    /// What a simulated world adds.
    pub(super) simulation: Option<Simulation>,
    pub(super) behaviour: Arc<Behaviour>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) stop_mail: Arc<Notify>,
    /// What became of the triggers, by phase; nothing yet of those that are under way.
    pub(super) pulls: Arc<Mutex<Pulls>>,
    /// Names of the users, by number.
    pub(super) users: Vec<String>,
    /// Users that were stopped, as far as was told.
    pub(super) stopped: usize,
    pub(super) ticks: u32,
    /// When the run began.
    pub(super) started: jiff::Timestamp,
    /// Whether it was told when the policy recycles.
    pub(super) looked_at_policy: bool,
    pub(super) phase: String,
    pub(super) checkpoints: Checkpoints,
    /// Whether it was told that one could not be written.
    pub(super) told_of_checkpoints: bool,
    /// Intervals that could not be written to the timeline, from the first on. They are judged all the same.
    pub(super) unwritten: Vec<Interval>,
}

/// A run that has ended, and whether all of it is in its directory.
pub(super) struct Played {
    pub(super) record: RunRecord,
    pub(super) is_written: bool,
    /// Broken invariants.
    pub(super) broken: Vec<String>,
}

/// What became of each phase's trigger.
pub(super) type Pulls = BTreeMap<usize, Option<Result<(), String>>>;

/// Why the phases ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Interrupted,
    Broken,
}

impl Engine {
    /// Plays all phases and writes the record.
    pub(super) async fn play<F: MakeTransport>(
        mut self,
        devices: Vec<(Arc<Identity>, Arc<Profile>)>,
        servers: Servers<F>,
    ) -> Played {
        let plan = self.record.plan.clone();
        let first_of_each = devices.iter().take(plan.devices.users as usize);
        self.users = first_of_each
            .map(|(identity, _)| identity.user_name.clone())
            .collect();
        let mut senders = self.senders(&plan, &devices, &servers);
        let flights = flights(&plan.phases, self.recorder.start());
        self.behaviour.announce(flights);
        let record: Arc<dyn Record> = match &self.simulation {
            Some(simulation) => Arc::clone(&simulation.invariants) as Arc<dyn Record>,
            None => Arc::clone(&self.recorder) as Arc<dyn Record>,
        };
        let fleet = Fleet::start(
            FleetPlan {
                devices,
                refusals: Arc::clone(&self.refusals),
                behaviour: Arc::clone(&self.behaviour),
                seed: self.record.seed,
                ramp: Pacer::per_second(plan.devices.ramp_per_second),
            },
            record,
            move |device| servers.transport(device as usize),
        );
        let mut background = JoinSet::new();
        if let (Some(simulation), Some(mock)) = (&self.simulation, &self.mock)
            && simulation.faults
        {
            let (net, control) = (simulation.net.clone(), mock.control().clone());
            let invariants = Arc::clone(&simulation.invariants);
            let tell = move |fault| invariants.hear_fault(fault);
            background.spawn(fault_mix::play(self.record.seed, net, control, tell));
        }
        let mut end = End::Complete;
        let mut mail_runs = false;
        for (index, phase) in plan.phases.iter().enumerate() {
            self.enter(index, phase, &mut background).await;
            // Mail begins when the ramp is over, so that the first mails are not late by it.
            if !mail_runs && (phase.kind != PhaseKind::Ramp || index + 1 == plan.phases.len()) {
                mail_runs = true;
                if let Some((mail, door)) = senders.take() {
                    let random = device_random(self.record.seed, u32::MAX);
                    let (recorder, stop) =
                        (Arc::clone(&self.recorder), Arc::clone(&self.stop_mail));
                    background.spawn(send_on_schedule(mail, door, recorder, random, stop));
                }
            }
            let seconds = phase.duration.as_secs().max(1) as u32;
            end = self.ticks(seconds, &mut background, |_| false).await;
            if end != End::Complete {
                break;
            }
        }
        end = self.settle(&mut background, end).await;
        if end == End::Interrupted {
            // A second signal leaves at once; on a disk that does not answer it leaves this unsaid.
            self.record.state = RunState::Interrupted;
            self.take_stock();
            self.end_checkpoints().await;
            let saved = self.record.save(&self.files);
            self.tell_of_checkpoints(saved);
        }
        if !self.quiet {
            say(&format!(
                "stopping the devices, up to {} s; what is measured is in {}",
                DRAIN.as_secs(),
                self.files.directory().display()
            ));
        }
        fleet.stop(DRAIN).await;
        self.conclude(end).await
    }

    /// Senders are devices of their own, one per user from the first on.
    fn senders<F: MakeTransport>(
        &mut self,
        plan: &Plan,
        devices: &[(Arc<Identity>, Arc<Profile>)],
        servers: &Servers<F>,
    ) -> Option<(MailTraffic, Door<F::Transport>)> {
        let Some(mail) = &plan.mail else { return None };
        let door = match (mail.door, &self.mock) {
            (MailDoor::Control, Some(mock)) => Door::Control(mock.control().clone()),
            (MailDoor::Smtp, _) => {
                let (host, port) = mail.smtp.as_deref().and_then(split_port)?;
                Door::Smtp(host.to_owned(), port)
            }
            _ => {
                let senders = accounts::senders(devices, mail.senders);
                let turns = Arc::new(Turns::new(senders.len()));
                let record: Arc<dyn Record> = match &mut self.simulation {
                    Some(simulation) => simulation.of_senders(&senders, &turns),
                    None => Arc::new(Unrecorded),
                };
                let client = |(identity, profile): (Arc<Identity>, Arc<Profile>)| {
                    let transport = servers.sender(identity.device as usize);
                    let refusals = Arc::clone(&self.refusals);
                    Client::new(transport, identity, profile, refusals, Arc::clone(&record))
                };
                Door::Eas(senders.into_iter().map(client).collect(), turns)
            }
        };
        let plan = MailTraffic {
            schedule: Schedule::of(mail),
            users: (0..).zip(self.users.iter().cloned()).collect(),
            domain: mail.domain.clone(),
            size: mail.size,
        };
        Some((plan, door))
    }

    /// Begins a phase: behaviour of the devices, faults of the mock, the recycle.
    async fn enter(&mut self, index: usize, phase: &PhasePlan, background: &mut JoinSet<()>) {
        phase.kind.as_str().clone_into(&mut self.phase);
        let chosen = phase
            .abandon
            .as_ref()
            .map_or_else(Abandonment::none, abandonment);
        self.behaviour.set_abandonment(chosen);
        if let Some(mock) = &self.mock
            && let Err(error) = mock.control().set_faults(&self.faults(phase)).await
        {
            self.problem(format!("the mock did not take its faults: {error}"));
        }
        if phase.trigger != Trigger::None {
            let control = self.mock.as_ref().map(|mock| mock.control().clone());
            let (trigger, recorder) = (phase.trigger.clone(), Arc::clone(&self.recorder));
            let pulls = Arc::clone(&self.pulls);
            pulls.lock().insert(index, None);
            background.spawn(async move {
                // Only a hook may be on another machine, behind TLS.
                let client = match trigger {
                    Trigger::Hook { .. } => web_client().build().unwrap_or_else(|_| local_client()),
                    _ => local_client(),
                };
                let pulled = trigger::pull(&trigger, control.as_ref(), &client).await;
                let pulled = pulled.map_err(|error| error.to_string());
                if let Err(error) = &pulled {
                    recorder.text(error);
                    say(error);
                }
                pulls.lock().insert(index, Some(pulled));
            });
        }
    }

    /// Triggers that failed so far, and at the end of the run those without an end, with the phases that were
    /// not begun.
    fn failed_triggers(&self, is_over: bool) -> Vec<FailedTrigger> {
        let pulls = self.pulls.lock();
        let phases = self.record.plan.phases.iter().enumerate();
        let failed = phases.filter_map(|(phase, plan)| {
            let problem = match (&plan.trigger, pulls.get(&phase)) {
                (Trigger::None | Trigger::Observe, _) | (_, Some(Some(Ok(())))) => return None,
                (_, Some(Some(Err(problem)))) => problem.clone(),
                (_, _) if !is_over => return None,
                (_, Some(None)) => "the trigger had not ended when the run ended".to_owned(),
                (_, None) => "the run ended before this phase".to_owned(),
            };
            Some(FailedTrigger { phase, problem })
        });
        failed.collect()
    }

    /// The mock's faults in a phase: those of the whole run, its own, and its share of strands.
    fn faults(&self, phase: &PhasePlan) -> Vec<Fault> {
        let mut faults = match &self.record.plan.target {
            TargetPlan::Mock(config) => config.faults.clone(),
            TargetPlan::Server { .. } => Vec::new(),
        };
        faults.extend(phase.faults.iter().cloned());
        if phase.strand > 0.0 {
            faults.push(Fault::strand(phase.strand));
        }
        faults
    }

    fn problem(&mut self, text: String) {
        say(&text);
        self.record.problems.push(text);
    }

    /// Lets seconds pass, each with its interval, until `done` says so.
    async fn ticks(
        &mut self,
        seconds: u32,
        background: &mut JoinSet<()>,
        done: impl Fn(&Interval) -> bool,
    ) -> End {
        for _ in 0..seconds {
            self.ticks += 1;
            let due = self.recorder.start() + Duration::from_secs(self.ticks.into());
            let mut interrupt = self.interrupt.clone();
            tokio::select! {
                biased;
                _ = interrupt.wait_for(|signal| *signal != Interrupt::None) => return End::Interrupted,
                () = sleep_until(due) => {}
            }
            while background.try_join_next().is_some() {}
            let interval = self.interval(due).await;
            // A load that leaves no record is useless. What is only waited for at the end needs no disk.
            if !self.unwritten.is_empty() && self.phase != DRAIN_PHASE {
                return End::Broken;
            }
            // A simulation ends in seconds, and a thread of its own would have a time of its own.
            if self.simulation.is_none()
                && self.ticks.is_multiple_of(CHECKPOINT)
                && !self.checkpoints.is_busy()
            {
                self.checkpoint().await;
            }
            if let Some(mock) = &mut self.mock
                && let Some(status) = mock.ended()
            {
                self.problem(format!(
                    "the mock ended in the middle of the run ({status})"
                ));
                return End::Broken;
            }
            if let Some(why) = self.everybody_stopped() {
                self.problem(why);
                return End::Broken;
            }
            if done(&interval) {
                break;
            }
        }
        End::Complete
    }

    /// Tells of users that were stopped since the last second; the reason to end when nobody may
    /// try any more.
    fn everybody_stopped(&mut self) -> Option<String> {
        let stopped = self.refusals.stopped();
        if stopped.len() > self.stopped {
            self.stopped = stopped.len();
            say(&format!(
                "{} users are stopped: their passwords were refused",
                stopped.len()
            ));
        }
        let devices = &self.record.plan.devices;
        if stopped.len() == devices.users as usize {
            return Some(
                "every user's password was refused; there is nothing left to run".to_owned(),
            );
        }
        self.refusals.are_all_stopped().then(|| {
            format!(
                "all devices were stopped when {} of {} users had been refused, so that no list of \
                 wrong passwords locks a directory out (devices.refused_share = {})",
                stopped.len(),
                devices.users,
                devices.refused_share
            )
        })
    }

    async fn interval(&mut self, due: Instant) -> Interval {
        let gauges = self.observers.sample(due).await;
        self.look_at_policy(gauges.get("server.worker_started").copied());
        let truth = match (&self.simulation, &self.mock) {
            (Some(_), Some(mock)) => mock.truth().await.ok(),
            _ => None,
        };
        let interval = self.recorder.interval(&self.phase, gauges);
        if let Some(simulation) = &self.simulation {
            simulation.second(&self.recorder, &interval, truth);
        }
        // With its worker, the pool lost whatever Pings it may have held for nobody.
        if self.detector.push(&interval) {
            self.recorder.forget_given_up();
        }
        if !self.quiet {
            say(&Progress(&interval).to_string());
        }
        if let Some(endpoint) = &self.endpoint {
            endpoint.push(&interval);
        }
        self.keep(&interval);
        interval
    }

    /// Appends to the timeline. From the first failure on, intervals stay in memory: after half a line, no
    /// other may follow.
    fn keep(&mut self, interval: &Interval) {
        if self.unwritten.is_empty() {
            let Err(error) = self.files.append(interval) else {
                return;
            };
            self.problem(format!(
                "cannot write the run directory: {error}; the timeline ends after {:.0} s",
                interval.t - interval.seconds
            ));
        }
        self.unwritten.push(interval.clone());
    }

    /// Everything that was measured, whether it could be written or not.
    fn digest(&mut self) -> Digest {
        let from = self
            .unwritten
            .first()
            .map_or(f64::INFINITY, |first| first.t);
        let mut digester = Digester::default();
        let mut read = || -> Result<(), TimelineError> {
            for interval in self.files.timeline()? {
                // An interval that could not be written may be there all the same.
                let interval = interval?;
                if interval.t < from {
                    digester.push(interval);
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            self.problem(format!("the timeline cannot be read back: {error}"));
        }
        for interval in std::mem::take(&mut self.unwritten) {
            digester.push(interval);
        }
        digester.done()
    }

    /// Says when the policy recycles, as soon as the worker's start is known or will not be.
    fn look_at_policy(&mut self, worker_started: Option<f64>) {
        /// A source that has not been read by then does not tell.
        const PATIENCE: u32 = 15;
        if self.looked_at_policy || !self.record.plan.checks.by_policy {
            return;
        }
        let Some(policy) = self.record.plan.policy.clone() else {
            return;
        };
        let worker = worker_started.and_then(|at| jiff::Timestamp::from_second(at as i64).ok());
        let origin = PoolStart::of(&self.record.plan, self.started, worker);
        let needs_start = !policy.time.is_zero() && origin.started.is_none();
        if needs_start && self.ticks < PATIENCE {
            return;
        }
        self.looked_at_policy = true;
        if needs_start {
            self.problem(
                "nobody tells when the worker started, so it is not known when the policy's interval \
                 recycles it; [policy] started says so"
                    .to_owned(),
            );
        }
        let length = self.record.plan.duration();
        self.record.due = recycle::due(&policy, origin, length);
        // A simulation is over before anybody has read it.
        if self.simulation.is_none() {
            say(&recycle::outlook(&policy, origin, &self.record.due, length));
        }
    }

    /// Ends the mail and waits for what is under way.
    async fn settle(&mut self, background: &mut JoinSet<()>, end: End) -> End {
        DRAIN_PHASE.clone_into(&mut self.phase);
        self.behaviour.set_abandonment(Abandonment::none());
        // Those of phases that are not played any more.
        self.behaviour.announce(Vec::new());
        self.stop_mail.notify_one();
        let mut end = end;
        if let (End::Complete, Some(mail)) = (end, self.record.plan.mail.clone()) {
            // As long as a mail may take before it counts as late, and a second for the interval.
            let limit = mail.late_after.as_secs() as u32 + 1;
            end = self
                .ticks(limit, background, |interval| {
                    let ledger = interval.ledger;
                    ledger.outstanding == 0 && ledger.accepted + ledger.failed == ledger.meant
                })
                .await;
        }
        background.shutdown().await;
        end
    }

    /// Brings into the record what no interval holds.
    fn take_stock(&mut self) {
        self.record.sources = self.observers.reports();
        self.record.stranded_basis = Some(self.observers.basis());
        self.record.totals = self.recorder.totals();
        let is_over = self.record.state != RunState::Running;
        self.record.failed_triggers = self.failed_triggers(is_over);
        if self.record.state != RunState::Complete {
            // They are under way.
            self.record.totals.missing_mails.clear();
        }
    }

    async fn checkpoint(&mut self) {
        self.end_checkpoints().await;
        self.take_stock();
        let begun = self.checkpoints.begin(&self.record, &self.files);
        self.tell_of_checkpoints(begun);
    }

    async fn end_checkpoints(&mut self) {
        let ended = self.checkpoints.end().await;
        self.tell_of_checkpoints(ended);
    }

    /// A run goes on without them, and says so once.
    fn tell_of_checkpoints(&mut self, written: Result<(), TimelineError>) {
        if let Err(error) = written
            && !std::mem::replace(&mut self.told_of_checkpoints, true)
        {
            self.problem(format!(
                "the record of the run so far was not written: {error}"
            ));
        }
    }

    async fn conclude(mut self, end: End) -> Played {
        // What happened while the fleet stopped, and the ledger as it stands now.
        self.interval(Instant::now()).await;
        self.observers.stop().await;
        let stopped = self.refusals.stopped();
        if !stopped.is_empty() {
            let names: Vec<String> = stopped
                .iter()
                .take(10)
                .filter_map(|user| self.users.get(*user as usize).cloned())
                .collect();
            self.problem(format!(
                "{} of {} users were stopped after {} refused logins each, to keep their accounts \
                 from being locked: {}{}",
                stopped.len(),
                self.record.plan.devices.users,
                self.record.plan.devices.refusals,
                names.join(", "),
                if stopped.len() > names.len() {
                    ", …"
                } else {
                    ""
                }
            ));
        }
        self.end_checkpoints().await;
        self.record.state = match end {
            End::Complete => RunState::Complete,
            End::Interrupted => RunState::Interrupted,
            End::Broken => RunState::Broken,
        };
        self.take_stock();
        // Whatever else went wrong follows from a recycle that did not happen.
        let pulled = self.pulls.lock().clone();
        let failed = self.record.failed_triggers.iter();
        let failed = failed.filter(|one| pulled.contains_key(&one.phase));
        let failed = failed.map(|one| one.problem.clone());
        let problems = failed.chain(std::mem::take(&mut self.record.problems));
        self.record.problems = problems.collect();
        let mut is_written = self.unwritten.is_empty();
        if is_written {
            match self.files.finish() {
                Ok(size) => self.record.timeline_bytes = Some(size),
                Err(error) => {
                    is_written = false;
                    self.problem(format!("the timeline was not ended: {error}"));
                }
            }
        }
        let digest = self.digest();
        self.record.conclude(digest);
        // The report is printed in any case, and tells of this.
        if let Err(error) = self.record.save(&self.files) {
            is_written = false;
            self.problem(format!("the record of the run was not written: {error}"));
        }
        if let Some(mock) = self.mock.take() {
            mock.stop().await;
        }
        let mut broken = Vec::new();
        if let Some(simulation) = &self.simulation {
            simulation.at_end(&self.refusals).await;
            broken = simulation.invariants.broken();
        }
        Played {
            record: self.record,
            is_written,
            broken,
        }
    }
}
