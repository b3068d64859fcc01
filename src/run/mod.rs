//! A run: target up, devices on, phases by the clock, everything measured, devices off, record
//! written. This is the one place that ties the rooms together.

mod account_error;
mod accounts;
mod carriers;
mod checkpoint;
mod discovery;
mod endpoint;
mod engine;
mod fault_mix;
mod invariants;
mod mock;
mod observers;
mod obstacles;
mod preflight;
mod proxy;
mod servers;
mod simulate;
mod simulation;
mod tokens;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use carriers::{AnyFactory, MakeTransport, transport_of};
use checkpoint::Checkpoints;
use client::device::{Activity, Behaviour, Event, Identity, Profile, Record, Refusals};
use client::transport::{LeanFactory, Network, ReqwestFactory};
use endpoint::MetricsEndpoint;
use engine::Engine;
use mock_api::config::time_scale_text;
use observers::Observers;
use preflight::preflight;
use rand::Rng as _;
use scenario::{Needs, Plan, ProfilePlan, TargetPlan, TransportKind};
use servers::Servers;
use sim_net::wall_clock;
use simulation::Simulation;
use tokio::sync::{Notify, watch};
use verdict::recycle::Detector;
use verdict::report::RunRecord;
use verdict::timeline::{RunFiles, TimelineError};
use world::{System, World};

use crate::mail;
use crate::measure::Recorder;
use crate::terminal::say;

pub use account_error::AccountError;
pub use carriers::AnyTransport;
pub use mock::{MockError, RunningMock};
pub use obstacles::obstacles;
pub(crate) use preflight::PATIENCE;
pub use simulate::{SEED, Simulatable, simulatable, simulate};

/// What a report says of a simulation with faults that the seed drew.
const DRAWN_FAULTS: &str = "faults that the seed drew struck beside those of the scenario (--faults any): the verdict \
                            says nothing about the scenario";

/// What the user chose for this run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the run directory is made. Without it the files of the run are kept in memory, and are gone after it.
    pub runs: Option<PathBuf>,
    /// Seed, over the scenario's.
    pub seed: Option<u64>,
    /// No line a second.
    pub quiet: bool,
    /// Where OpenMetrics are served during the run.
    pub metrics: Option<SocketAddr>,
    /// In a simulation, faults that the seed draws strike beside those of the scenario.
    pub faults: bool,
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
    /// Its directory. A run in memory has only this name, for messages.
    pub directory: PathBuf,
    /// Whether record and timeline are there, whole. If not, `record.problems` says why.
    pub is_written: bool,
    /// What was not as it must be whatever the server does: bugs of easload, which a simulation finds.
    pub broken: Vec<String>,
}

/// Why a run did not begin. One that has begun always has a record.
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
    /// OpenMetrics cannot be served there.
    #[error("--metrics {address}: {source}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The user ended it before its load.
    #[error("interrupted before the load; nothing was measured")]
    Interrupted(Interrupt),
    /// No thread can be had for a simulation.
    #[error("cannot start the simulation: {0}")]
    Runtime(std::io::Error),
    /// The run directory cannot be made.
    #[error("cannot write the run directory: {0}")]
    Files(#[from] TimelineError),
}

/// Plays a plan. `interrupt` tells of signals.
///
/// # Errors
/// When the run cannot begin.
pub async fn run(
    plan: Plan,
    options: &Options,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Finished, RunError> {
    match transport_of(&plan) {
        TransportKind::Lean => {
            let world = System::<LeanFactory<Network>>::new();
            run_in(&world, plan, options, interrupt).await
        }
        TransportKind::Reqwest => {
            let world = System::<ReqwestFactory>::new();
            run_in(&world, plan, options, interrupt).await
        }
    }
}

/// The endpoint for those who scrape the run, if there is to be one.
async fn endpoint(address: Option<SocketAddr>) -> Result<Option<MetricsEndpoint>, RunError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = MetricsEndpoint::bind(address).await;
    let (endpoint, bound) = bound.map_err(|source| RunError::Metrics { address, source })?;
    say(&format!("OpenMetrics at http://{bound}/metrics"));
    Ok(Some(endpoint))
}

/// A signal, once there is one.
async fn interrupted(mut interrupt: watch::Receiver<Interrupt>) -> Interrupt {
    let signal = interrupt
        .wait_for(|signal| *signal != Interrupt::None)
        .await;
    match signal.map(|signal| *signal) {
        Ok(signal) => signal,
        // Nobody listens for signals.
        Err(_) => std::future::pending().await,
    }
}

/// What a run has before its load.
struct Prepared<F> {
    plan: Plan,
    seed: u64,
    endpoint: Option<MetricsEndpoint>,
    mock: Option<RunningMock>,
    servers: Servers<F>,
    refusals: Arc<Refusals>,
    devices: Vec<(Arc<Identity>, Arc<Profile>)>,
}

/// Everything up to the load: users, the server, and a look at it.
async fn prepare<W: World>(
    world: &W,
    mut plan: Plan,
    options: &Options,
) -> Result<Prepared<W::Factory>, RunError> {
    let seed = options.seed.or(plan.seed).unwrap_or_else(|| world.seed());
    check_descriptors(&plan, world.descriptor_limit())?;
    if let Some(runs) = &options.runs {
        RunFiles::can_be_made(runs)?;
    }
    let endpoint = endpoint(options.metrics).await?;
    let identities = accounts::identities(&plan).await?;
    let refusals = Arc::new(Refusals::new(
        plan.devices.users as usize,
        plan.devices.refusals,
        plan.devices.refused_share,
    ));
    discovery::find_server(&mut plan, &identities, &refusals).await?;
    let mock = match &mut plan.target {
        TargetPlan::Mock(config) => {
            config.seed = seed;
            Some(world.start_mock(config).await?)
        }
        TargetPlan::Server { .. } => None,
    };
    let servers = Servers::of(world, &plan, mock.as_ref(), seed)?;
    if !world.is_simulated() {
        servers.check_sources().await?;
    }
    let addresses = addresses(&plan, &identities);
    let profiles = profiles(&plan, servers.path(), addresses, || world.number());
    let devices: Vec<(Arc<Identity>, Arc<Profile>)> = identities
        .into_iter()
        .map(|identity| {
            let profile = plan.devices.profile_of(identity.device);
            (identity, Arc::clone(&profiles[profile]))
        })
        .collect();
    preflight(&servers, &devices, &refusals, &plan.devices).await?;
    Ok(Prepared {
        plan,
        seed,
        endpoint,
        mock,
        servers,
        refusals,
        devices,
    })
}

async fn run_in<W: World>(
    world: &W,
    plan: Plan,
    options: &Options,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Finished, RunError> {
    let Prepared {
        plan,
        seed,
        endpoint,
        mock,
        servers,
        refusals,
        devices,
    } = tokio::select! {
        biased;
        signal = interrupted(interrupt.clone()) => return Err(RunError::Interrupted(signal)),
        prepared = prepare(world, plan, options) => prepared?,
    };

    let started = wall_clock::now();
    let run_id = world.number();
    let name = match world.is_simulated() {
        false => format!("{}-{}", started.strftime("%Y%m%dT%H%M%SZ"), plan.name),
        true => format!("simulated-{}-seed-{seed}", plan.name),
    };
    let files = RunFiles::create(world.folder(options.runs.as_deref(), &name)?)?;
    let directory = files.directory().to_owned();
    let users: Vec<u32> = devices.iter().map(|(identity, _)| identity.user).collect();
    let late_after = plan
        .mail
        .as_ref()
        .map_or(Duration::ZERO, |mail| mail.late_after);
    let recorder = Arc::new(Recorder::new(run_id, &users, late_after));
    let simulation = world.net().map(|net| {
        let inner = world.hears(Arc::clone(&recorder) as Arc<dyn Record>);
        let devices = (&plan, users.as_slice());
        let net = (net, options.faults);
        Simulation::new(net, devices, mock.as_ref(), &servers, &refusals, inner)
    });
    let mut record = RunRecord::begun(plan, started, seed, run_id, servers.urls());
    record.simulated = world.is_simulated();
    if options.faults {
        record.problems.push(DRAWN_FAULTS.to_owned());
    }
    record.save(&files)?;
    if !options.quiet {
        say(&format!(
            "run directory {}, seed {seed}, {}",
            directory.display(),
            time_scale_text(record.plan.time_scale())
        ));
    }
    let observers = Observers::start(world, &record.plan, &servers, mock.as_ref(), &recorder);
    let engine = Engine {
        record,
        files,
        recorder,
        mock,
        observers,
        endpoint,
        detector: Detector::default(),
        interrupt,
        quiet: options.quiet,
        simulation,
        behaviour: Arc::new(Behaviour::default()),
        refusals,
        stop_mail: Arc::new(Notify::new()),
        pulls: Arc::default(),
        users: Vec::new(),
        stopped: 0,
        ticks: 0,
        started,
        looked_at_policy: false,
        phase: String::new(),
        checkpoints: Checkpoints::default(),
        told_of_checkpoints: false,
        unwritten: Vec::new(),
    };
    let played = engine.play(devices, servers).await;
    Ok(Finished {
        record: played.record,
        directory,
        is_written: played.is_written,
        broken: played.broken,
    })
}

fn check_descriptors(plan: &Plan, limit: Option<u64>) -> Result<(), RunError> {
    let needs = Needs::of(plan);
    let needed = needs.descriptors.max(needs.mock_descriptors);
    match limit {
        Some(limit) if limit < needed => Err(RunError::Descriptors { needed, limit }),
        _ => Ok(()),
    }
}

/// Mail addresses of all users, by number.
fn addresses(plan: &Plan, identities: &[Arc<Identity>]) -> Arc<[String]> {
    let users = identities.iter().take(plan.devices.users as usize);
    let domain = plan.mail_domain();
    let addresses = users.map(|identity| mail::address(&identity.user_name, domain));
    addresses.collect()
}

/// What the devices of each kind have in common.
fn profiles(
    plan: &Plan,
    path: &str,
    addresses: Arc<[String]>,
    number: impl Fn() -> u32,
) -> Vec<Arc<Profile>> {
    let devices = &plan.devices;
    let profile = |kind: &ProfilePlan| Profile {
        path: path.to_owned(),
        versions: kind.versions.clone(),
        query: kind.query,
        wait: kind.wait,
        ping_body: kind.ping_body,
        nat_timeout: kind.nat_timeout,
        sleep: kind.sleep,
        second_ping: kind.second_ping,
        device_type: kind.device_type.clone(),
        user_agent: kind.user_agent.clone(),
        heartbeat: kind.heartbeat.clone(),
        grace: devices.grace,
        window: kind.window,
        request_timeout: REQUEST_TIMEOUT,
        retry: devices.retry.0..=devices.retry.1,
        all_folders: kind.all_folders,
        activity: kind.activity.clone().map(|plan| {
            let addresses = Arc::clone(&addresses);
            Arc::new(Activity {
                plan,
                addresses,
                run: number(),
            })
        }),
        negotiate: kind.negotiate,
        cookies: kind.cookies,
    };
    let kinds = devices.profiles.iter();
    kinds.map(|kind| Arc::new(profile(kind))).collect()
}

/// The first device of a plan, for a look at its server: who it is, its kind, and how it gets there. A
/// mock is started if that is the target, and lives as long as what is returned.
///
/// # Errors
/// As for a run.
pub async fn first_device(mut plan: Plan, kind: Option<&str>) -> Result<FirstDevice, RunError> {
    let names = plan.devices.profiles.iter().map(|one| one.name.as_str());
    let names: Vec<&str> = names.collect();
    let chosen = match kind {
        None => plan.devices.profile_of(0),
        Some(kind) => names.iter().position(|name| *name == kind).ok_or_else(|| {
            RunError::Target(format!(
                "there is no profile `{kind}`; there are {}",
                names.join(", ")
            ))
        })?,
    };
    plan.devices.profiles = vec![plan.devices.profiles.swap_remove(chosen)];
    plan.devices.count = 1;
    plan.devices.users = 1;
    let identities = accounts::identities(&plan).await?;
    let refusals = Arc::new(Refusals::new(1, plan.devices.refusals, 1.0));
    discovery::find_server(&mut plan, &identities, &refusals).await?;
    let mock = match &plan.target {
        TargetPlan::Mock(config) => Some(RunningMock::start(config).await?),
        TargetPlan::Server { .. } => None,
    };
    let servers = Servers::of_plan(&plan, mock.as_ref(), plan.seed.unwrap_or_default())?;
    servers.check_sources().await?;
    let addresses = addresses(&plan, &identities);
    let profile =
        profiles(&plan, servers.path(), addresses, || rand::rng().random()).swap_remove(0);
    let is_verified = !matches!(plan.target, TargetPlan::Server { insecure: true, .. });
    Ok(FirstDevice {
        identity: identities[0].clone(),
        profile,
        is_verified,
        servers,
        mock,
    })
}

/// What [`first_device`] finds.
pub struct FirstDevice {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Its kind.
    pub profile: Arc<Profile>,
    is_verified: bool,
    servers: Servers<AnyFactory>,
    mock: Option<RunningMock>,
}

impl FirstDevice {
    /// A transport to its server.
    #[must_use]
    pub fn transport(&self) -> AnyTransport {
        self.servers.first()
    }

    /// The server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.servers.urls().swap_remove(0)
    }

    /// Whether the server's certificate is verified, where it shows one.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// Ends the mock, if there is one.
    pub async fn stop(self) {
        if let Some(mock) = self.mock {
            mock.stop().await;
        }
    }
}

/// How long any command but Ping may take: Exchange itself holds a throttled request 45 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Sees nothing, for requests that are not part of the run.
struct Unrecorded;

impl Record for Unrecorded {
    fn record(&self, _: u32, _: Event<'_>) {}
}
