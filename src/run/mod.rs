//! A run: target up, devices on, phases by the clock, everything measured, devices off, record
//! written. This is the one place that ties the rooms together.

mod accounts;
mod mock;
mod observers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::device::{
    AbandonShares, Abandonment, Behaviour, Client, Event, Identity, Profile, Record, Refusals,
    Trouble, device_random,
};
use crate::fleet::{Fleet, FleetPlan, Pacer};
use crate::mail::{Door, MailPlan, send_on_schedule};
use crate::measure::{Interval, Recorder, RunFiles, TimelineError, Totals, read_timeline};
use crate::observe::descriptors;
use crate::recycle;
use crate::report::{Progress, RunRecord, RunState, SCHEMA_VERSION};
use crate::scenario::{
    AbandonPlan, MailDoor, Needs, PhaseKind, PhasePlan, Plan, TargetPlan, Trigger,
};
use crate::transport::{FailureKind, Lean, LeanFactory, Limits, Network, Target, TlsOptions};

pub use accounts::AccountError;
pub use mock::{MockError, MockProcess};
use observers::Observers;

/// What the user chose for this run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where run directories are made.
    pub runs: PathBuf,
    /// Seed, over the scenario's.
    pub seed: Option<u64>,
    /// No line a second.
    pub quiet: bool,
}

/// A signal from the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// None so far.
    None,
    /// Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its record.
    pub record: RunRecord,
    /// Its directory.
    pub directory: PathBuf,
}

/// Why a run did not begin, or what broke it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Too few descriptors.
    #[error(
        "this plan needs {needed} descriptors in one process, the limit is {limit}; raise it with \
         `ulimit -n {needed}`, or run fewer devices"
    )]
    Descriptors {
        /// Needed.
        needed: u64,
        /// Allowed.
        limit: u64,
    },
    /// Users or passwords.
    #[error(transparent)]
    Accounts(#[from] AccountError),
    /// The mock does not start.
    #[error(transparent)]
    Mock(#[from] MockError),
    /// The target cannot be used at all.
    #[error("{url}: {problem}")]
    Unreachable {
        /// The target.
        url: String,
        /// Why.
        problem: String,
    },
    /// The plan's TLS options or URL.
    #[error("{0}")]
    Target(String),
    /// The run directory cannot be written.
    #[error("cannot write the run directory: {0}")]
    Files(#[from] TimelineError),
}

/// After the last phase, mails under way get so long to arrive: less than any heartbeat that a
/// person would call a hang, more than a recycled server needs.
const SETTLE: Duration = Duration::from_secs(15);
/// Devices get so long to finish a Sync when the run ends.
const DRAIN: Duration = Duration::from_secs(3);

/// Plays a plan. `interrupt` tells of signals.
///
/// # Errors
/// When the run cannot begin, or its files cannot be written.
pub async fn run(
    plan: Plan,
    options: &Options,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Finished, RunError> {
    let seed = options
        .seed
        .or(plan.seed)
        .unwrap_or_else(|| rand::rng().random_range(1..=u64::from(u32::MAX)));
    check_descriptors(&plan)?;
    let identities = accounts::identities(&plan)?;
    let mut plan = plan;
    let mock = match &mut plan.target {
        TargetPlan::Mock(config) => {
            config.seed = seed;
            Some(MockProcess::start(config).await?)
        }
        TargetPlan::Server { .. } => None,
    };
    let (target, network) = network(&plan, mock.as_ref())?;
    let url = format!(
        "{}://{}:{}{}",
        if target.tls { "https" } else { "http" },
        target.host,
        target.port,
        target.path
    );
    let profile = Arc::new(profile(&plan, &target));
    let factory = Lean::factory(network, Needs::silent(&plan) as usize, Limits::default());
    preflight(&factory, &identities, &profile, &url).await?;

    let started = jiff::Timestamp::now();
    let run_id: u32 = rand::rng().random();
    let directory = options.runs.join(format!(
        "{}-{}",
        started.strftime("%Y%m%dT%H%M%SZ"),
        plan.name
    ));
    let files = RunFiles::create(&directory)?;
    let users: Vec<u32> = identities.iter().map(|identity| identity.user).collect();
    let late_after = plan.mail.as_ref().map_or(SETTLE, |mail| mail.late_after);
    let recorder = Arc::new(Recorder::new(run_id, &users, late_after));
    let record = RunRecord {
        schema_version: SCHEMA_VERSION,
        easload: env!("CARGO_PKG_VERSION").to_owned(),
        state: RunState::Running,
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seed,
        run_id: format!("{run_id:08x}"),
        target: url,
        plan,
        phases: Vec::new(),
        totals: Totals::default(),
        checks: Vec::new(),
        verdict: None,
        problems: Vec::new(),
    };
    record.save(&files)?;
    if !options.quiet {
        eprintln!("run directory {}, seed {seed}", directory.display());
    }
    let observers = Observers::new(&record.plan, &target, mock.as_ref());
    let engine = Engine {
        record,
        files,
        recorder,
        mock,
        observers,
        interrupt,
        quiet: options.quiet,
        behaviour: Arc::new(Behaviour::default()),
        refusals: Arc::new(Refusals::new(users.len(), 0)),
        stop_mail: Arc::new(Notify::new()),
        ticks: 0,
        phase: String::new(),
    };
    let finished = engine.play(identities, profile, factory).await?;
    Ok(Finished {
        record: finished,
        directory,
    })
}

fn check_descriptors(plan: &Plan) -> Result<(), RunError> {
    let needs = Needs::of(plan);
    let needed = needs.descriptors.max(needs.mock_descriptors);
    match descriptors() {
        Some((limit, _)) if limit < needed => Err(RunError::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

fn network(plan: &Plan, mock: Option<&MockProcess>) -> Result<(Target, Network), RunError> {
    let (url, tls) = match (&plan.target, mock) {
        (
            TargetPlan::Server {
                url,
                ca_file,
                insecure,
            },
            _,
        ) => (
            url.clone(),
            TlsOptions {
                ca_file: ca_file.clone(),
                insecure: *insecure,
            },
        ),
        (TargetPlan::Mock(_), mock) => {
            let url = mock
                .map(|mock| mock.addresses().url.clone())
                .unwrap_or_default();
            (
                url,
                TlsOptions {
                    ca_file: mock.and_then(MockProcess::ca_file),
                    insecure: false,
                },
            )
        }
    };
    let target = Target::parse(&url).map_err(|error| RunError::Target(error.to_string()))?;
    let network =
        Network::new(target.clone(), &tls).map_err(|error| RunError::Target(error.to_string()))?;
    Ok((target, network))
}

fn profile(plan: &Plan, target: &Target) -> Profile {
    let devices = &plan.devices;
    Profile {
        path: target.path.clone(),
        versions: devices.versions.clone(),
        device_type: "easload".to_owned(),
        user_agent: concat!("easload/", env!("CARGO_PKG_VERSION")).to_owned(),
        heartbeat: devices.heartbeat,
        grace: devices.grace,
        window: devices.window,
        request_timeout: REQUEST_TIMEOUT,
        retry: devices.retry.0..=devices.retry.1,
        all_folders: devices.all_folders,
    }
}

fn abandonment(plan: &AbandonPlan) -> Abandonment {
    Abandonment {
        share: plan.share,
        after: plan.after.0..=plan.after.1,
        how: AbandonShares {
            fin: plan.fin,
            rst: plan.rst,
            silence: plan.silence,
        },
        away: plan.away.0..=plan.away.1,
    }
}

/// How long any command but Ping may take: Exchange itself holds a throttled request 45 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Sees nothing, for requests that are not part of the run.
struct Unrecorded;

impl Record for Unrecorded {
    fn record(&self, _: u32, _: Event<'_>) {}
}

/// One OPTIONS before the load: a run against nothing is no run.
async fn preflight(
    factory: &LeanFactory<Network>,
    identities: &[Arc<Identity>],
    profile: &Arc<Profile>,
    url: &str,
) -> Result<(), RunError> {
    let Some(first) = identities.first() else {
        return Ok(());
    };
    let refusals = Arc::new(Refusals::new(0, 1));
    let mut client = Client::new(
        factory.make(),
        Arc::clone(first),
        Arc::clone(profile),
        refusals,
        Arc::new(Unrecorded),
    );
    let problem = match client.options().await {
        Ok(_) => return Ok(()),
        Err(Trouble::Transport(failure)) => match failure.kind {
            FailureKind::Connect(error) => error.to_string(),
            kind => kind.to_string(),
        },
        Err(Trouble::Body(text)) => text,
        // One user's refusal or a busy server is the run's business.
        Err(Trouble::Http { status, .. }) if matches!(status.code(), 401 | 403 | 449 | 503) => {
            return Ok(());
        }
        Err(Trouble::Http { status, .. }) => format!("OPTIONS was answered with HTTP {status}"),
        Err(Trouble::Status(code, _)) => format!("OPTIONS was answered with Status {code}"),
    };
    Err(RunError::Unreachable {
        url: url.to_owned(),
        problem,
    })
}

/// A run under way.
struct Engine {
    record: RunRecord,
    files: RunFiles,
    recorder: Arc<Recorder>,
    mock: Option<MockProcess>,
    observers: Observers,
    interrupt: watch::Receiver<Interrupt>,
    quiet: bool,
    behaviour: Arc<Behaviour>,
    refusals: Arc<Refusals>,
    stop_mail: Arc<Notify>,
    ticks: u32,
    phase: String,
}

/// Why the phases ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Interrupted,
    Broken,
}

impl Engine {
    async fn play(
        mut self,
        identities: Vec<Arc<Identity>>,
        profile: Arc<Profile>,
        factory: LeanFactory<Network>,
    ) -> Result<RunRecord, RunError> {
        let plan = self.record.plan.clone();
        self.refusals = Arc::new(Refusals::new(
            plan.devices.users as usize,
            plan.devices.refusals,
        ));
        let mut senders = self.senders(&plan, &identities, &profile, &factory);
        let record: Arc<dyn Record> = Arc::clone(&self.recorder) as Arc<dyn Record>;
        let fleet = Fleet::start(
            FleetPlan {
                identities,
                profile,
                refusals: Arc::clone(&self.refusals),
                behaviour: Arc::clone(&self.behaviour),
                seed: self.record.seed,
                ramp: Pacer::per_second(plan.devices.ramp_per_second),
            },
            record,
            move || factory.make(),
        );
        let mut background = JoinSet::new();
        let mut end = End::Complete;
        let mut mail_runs = false;
        for (index, phase) in plan.phases.iter().enumerate() {
            self.enter(phase, &mut background).await;
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
            end = self.ticks(seconds, &mut background, |_| false).await?;
            if end != End::Complete {
                break;
            }
        }
        self.settle(&mut background, end).await?;
        fleet.stop(DRAIN).await;
        self.conclude(end).await
    }

    /// Senders are devices of their own, one per user from the first on.
    fn senders(
        &self,
        plan: &Plan,
        identities: &[Arc<Identity>],
        profile: &Arc<Profile>,
        factory: &LeanFactory<Network>,
    ) -> Option<(MailPlan, Door<Lean<Network>>)> {
        let Some(mail) = &plan.mail else { return None };
        let door = match (mail.door, &self.mock) {
            (MailDoor::Control, Some(mock)) => {
                Door::Control(reqwest::Client::new(), mock.addresses().control.clone())
            }
            _ => Door::Eas(
                accounts::senders(identities, mail.senders)
                    .into_iter()
                    .map(|identity| {
                        Client::new(
                            factory.make(),
                            identity,
                            Arc::clone(profile),
                            Arc::clone(&self.refusals),
                            Arc::new(Unrecorded),
                        )
                    })
                    .collect(),
            ),
        };
        let plan = MailPlan {
            schedule: Pacer::per_second(mail.rate),
            users: (0..plan.devices.users)
                .map(|user| (user, plan.user_name(user)))
                .collect(),
            domain: mail.domain.clone(),
            size: mail.size,
        };
        Some((plan, door))
    }

    /// Begins a phase: behaviour of the devices, faults of the mock, the recycle.
    async fn enter(&mut self, phase: &PhasePlan, background: &mut JoinSet<()>) {
        phase.kind.as_str().clone_into(&mut self.phase);
        let chosen = phase
            .abandon
            .as_ref()
            .map_or_else(Abandonment::none, abandonment);
        self.behaviour.set_abandonment(chosen);
        if let Some(mock) = &self.mock
            && let Err(error) = mock.set_strand(phase.strand).await
        {
            self.problem(format!("the mock did not take its faults: {error}"));
        }
        if phase.trigger != Trigger::None {
            let control = self
                .mock
                .as_ref()
                .map(|mock| mock.addresses().control.clone());
            let (trigger, recorder) = (phase.trigger.clone(), Arc::clone(&self.recorder));
            background.spawn(async move {
                let pulled =
                    recycle::pull(&trigger, control.as_deref(), &reqwest::Client::new()).await;
                if let Err(error) = pulled {
                    recorder.text(&error.to_string());
                    eprintln!("{error}");
                }
            });
        }
    }

    fn problem(&mut self, text: String) {
        eprintln!("{text}");
        self.record.problems.push(text);
    }

    /// Lets seconds pass, each with its interval, until `done` says so.
    async fn ticks(
        &mut self,
        seconds: u32,
        background: &mut JoinSet<()>,
        done: impl Fn(&Interval) -> bool,
    ) -> Result<End, RunError> {
        for _ in 0..seconds {
            self.ticks += 1;
            let due = self.recorder.start() + Duration::from_secs(self.ticks.into());
            let mut interrupt = self.interrupt.clone();
            tokio::select! {
                () = sleep_until(due) => {}
                _ = interrupt.wait_for(|signal| *signal != Interrupt::None) => return Ok(End::Interrupted),
            }
            while background.try_join_next().is_some() {}
            let interval = self.interval(due).await?;
            if let Some(mock) = &mut self.mock
                && let Some(status) = mock.ended()
            {
                self.problem(format!(
                    "the mock ended in the middle of the run ({status})"
                ));
                return Ok(End::Broken);
            }
            if done(&interval) {
                break;
            }
        }
        Ok(End::Complete)
    }

    async fn interval(&mut self, due: Instant) -> Result<Interval, RunError> {
        let gauges = self
            .observers
            .sample(due, self.recorder.really_open())
            .await;
        let interval = self.recorder.interval(&self.phase, gauges);
        if !self.quiet {
            eprintln!("{}", Progress(&interval));
        }
        self.files.append(&interval)?;
        Ok(interval)
    }

    /// Ends the mail and waits for what is under way.
    async fn settle(&mut self, background: &mut JoinSet<()>, end: End) -> Result<(), RunError> {
        "drain".clone_into(&mut self.phase);
        self.behaviour.set_abandonment(Abandonment::none());
        self.stop_mail.notify_one();
        if end == End::Complete {
            let limit = SETTLE.as_secs() as u32;
            self.ticks(limit, background, |interval| {
                let ledger = interval.ledger;
                ledger.outstanding == 0 && ledger.accepted + ledger.failed == ledger.meant
            })
            .await?;
        }
        background.shutdown().await;
        Ok(())
    }

    async fn conclude(mut self, end: End) -> Result<RunRecord, RunError> {
        // What happened while the fleet stopped, and the ledger as it stands now.
        self.interval(Instant::now()).await?;
        let stopped = self.refusals.stopped();
        if !stopped.is_empty() {
            let names: Vec<String> = stopped
                .iter()
                .take(10)
                .map(|user| self.record.plan.user_name(*user))
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
        for problem in self.observers.problems() {
            self.problem(problem);
        }
        self.record.state = match end {
            End::Complete => RunState::Complete,
            End::Interrupted => RunState::Interrupted,
            End::Broken => RunState::Broken,
        };
        self.record.totals = self.recorder.totals();
        let intervals = read_timeline(self.files.directory())?;
        self.record.conclude(&intervals);
        self.record.save(&self.files)?;
        if let Some(mock) = self.mock.take() {
            mock.stop().await;
        }
        Ok(self.record)
    }
}
