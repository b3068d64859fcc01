//! A whole run in a simulated world: devices, mail, mock, recycle, observers, recorder and judge on one
//! thread under a paused clock. The same plan and seed give the same run.

use std::time::Duration;

use mock_api::MockConfig;
use scenario::{
    Expectation, MailDoor, PasswordSource, PhaseKind, PhasePlan, Plan, RequestsPerPing, TargetPlan,
    Trigger, UserNames,
};
use sim_net::{Path, SimNet, wall_clock};
use tokio::sync::watch;

use super::world::{Simulated, World};
use super::{Finished, Interrupt, Options, RunError, fault_mix, run_in};

/// When every simulated run begins by its own clock: a Monday morning, 2026-01-05 08:00 UTC, in seconds
/// since 1970. A fixed time keeps runs of one seed alike.
const EPOCH: i64 = 1_767_600_000;
/// Seed of a simulation when neither the command line nor the scenario names one.
pub const SEED: u64 = 1;
/// Time zone where a plan leaves it to the machine. The zone of the machine that simulates must not decide.
const TIME_ZONE: &str = "UTC";
/// One way through a local network, with the time that both systems need for a segment.
const LATENCY: std::ops::RangeInclusive<Duration> =
    Duration::from_micros(500)..=Duration::from_millis(1);

/// A scenario as a simulation can play it, and what was changed for that.
#[derive(Debug, Clone)]
pub struct Simulatable {
    /// The plan, which plays on the mock.
    pub plan: Plan,
    /// What differs from the scenario, in sentences.
    pub changes: Vec<String>,
}

/// Puts the bundled mock in place of a plan's server; what leads to the outside world goes.
#[must_use]
pub fn simulatable(mut plan: Plan) -> Simulatable {
    let mut changes = Vec::new();
    name_time_zones(&mut plan, &mut changes);
    let TargetPlan::Server { urls, .. } = &plan.target else {
        keep_inside(&mut plan, &mut changes);
        return Simulatable { plan, changes };
    };
    // A mock has at most that many servers.
    const MOST: usize = 64;
    let mut config = MockConfig {
        servers: urls.len().clamp(1, MOST),
        time_zone: Some(TIME_ZONE.to_owned()),
        ..MockConfig::default()
    };
    config.max_devices = config.max_devices.max(plan.devices.count as usize);
    if let Some(policy) = &plan.policy {
        config.pool.recycling.time = policy.time;
        config.pool.recycling.schedule.clone_from(&policy.schedule);
        config.time_zone.clone_from(&policy.time_zone);
    }
    changes.push(format!(
        "in place of the server there is the bundled mock: {} server(s), versions {}, heartbeats from {} s to \
         {} s, changes looked for every {} s",
        config.servers,
        config.versions.join(", "),
        config.min_heartbeat.as_secs(),
        config.max_heartbeat.as_secs(),
        config.poll_interval.as_secs()
    ));
    plan.target = TargetPlan::Mock(Box::new(config));
    plan.observe.sources.clear();
    plan.observe.requests_per_ping = RequestsPerPing::Known(2.0);
    changes.push("the server's figures are the mock's, whatever [observe] names".to_owned());
    on_the_mock(&mut plan, &mut changes);
    Simulatable { plan, changes }
}

/// Names the time zone wherever a plan leaves it to the machine.
fn name_time_zones(plan: &mut Plan, changes: &mut Vec<String>) {
    let named = |zone: &mut Option<String>| {
        zone.get_or_insert_with(|| TIME_ZONE.to_owned());
    };
    if let TargetPlan::Mock(config) = &mut plan.target {
        named(&mut config.time_zone);
    }
    let Some(policy) = &mut plan.policy else {
        return;
    };
    if policy.time_zone.is_none() && !policy.schedule.is_empty() {
        changes.push(format!(
            "times of day without a time zone are in {TIME_ZONE}"
        ));
    }
    named(&mut policy.time_zone);
}

/// Takes from a plan for the mock what reaches outside of the simulation.
fn keep_inside(plan: &mut Plan, changes: &mut Vec<String>) {
    if !plan.observe.sources.is_empty() {
        plan.observe.sources.clear();
        changes.push("of [observe], only the mock's own figures are there".to_owned());
    }
    if let TargetPlan::Mock(config) = &mut plan.target
        && config.logs.take().is_some()
    {
        changes.push("the mock writes no logs".to_owned());
    }
    if trigger_the_mock(plan) {
        changes.push("the mock is told to recycle, whatever triggers the recycle".to_owned());
    }
}

/// Replaces triggers outside of the simulation by the mock's own; whether there were any.
fn trigger_the_mock(plan: &mut Plan) -> bool {
    let mut is_changed = false;
    for phase in &mut plan.phases {
        if !matches!(
            phase.trigger,
            Trigger::None | Trigger::Observe | Trigger::Mock
        ) {
            phase.trigger = Trigger::Mock;
            is_changed = true;
        }
    }
    is_changed
}

/// Accounts, mail and phases of a plan for a real server, as the mock can play them.
fn on_the_mock(plan: &mut Plan, changes: &mut Vec<String>) {
    let devices = &mut plan.devices;
    devices.password = PasswordSource::Mock;
    devices.token = None;
    devices.certificate_dir = None;
    devices.user_names = UserNames::default();
    if let Some(mail) = &mut plan.mail
        && mail.door == MailDoor::Smtp
    {
        mail.door = MailDoor::Control;
        changes
            .push("mail goes straight into the mock's mailboxes instead of over SMTP".to_owned());
    }
    trigger_the_mock(plan);
    age_the_mock(plan, changes);
}

/// Lets the mock strand what the devices abandon, unless the scenario expects a server on which nothing strands.
fn age_the_mock(plan: &mut Plan, changes: &mut Vec<String>) {
    let ages = |phase: &PhasePlan| phase.kind == PhaseKind::Aging && phase.abandon.is_some();
    if !plan.phases.iter().any(ages) {
        return;
    }
    if plan.checks.symptom == Expectation::Absent {
        if let TargetPlan::Mock(config) = &mut plan.target {
            config.fixed = true;
        }
        changes.push(
            "the scenario expects no symptom: the mock is a fixed server, on which an abandoned Ping ends as any other"
                .to_owned(),
        );
        return;
    }
    for phase in plan.phases.iter_mut().filter(|phase| ages(phase)) {
        phase.strand = 1.0;
    }
    changes.push("every Ping that a device abandons while the pool ages is stranded".to_owned());
    changes.push(
        "how slow stranded requests make a server depends on its memory: the mock has plenty, so `symptom` may be no \
         data here and pass on the server"
            .to_owned(),
    );
}

/// Plays a plan in a simulated world, on this thread.
///
/// # Errors
/// As [`run`](super::run::run).
pub fn simulate(
    plan: Plan,
    options: &Options,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Finished, RunError> {
    simulate_in(Simulated::new, plan, options, interrupt)
}

/// Plays a plan in the simulated world that `make` makes of a network and a seed.
pub(super) fn simulate_in<W: World>(
    make: impl FnOnce(SimNet, u64) -> W,
    plan: Plan,
    options: &Options,
    interrupt: watch::Receiver<Interrupt>,
) -> Result<Finished, RunError> {
    let seed = options.seed.or(plan.seed).unwrap_or(SEED);
    let mut plan = plan;
    if options.faults {
        fault_mix::spread(&mut plan);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        // Nothing here comes from the system, so the clock moves on without asking it for events.
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(RunError::Runtime)?;
    runtime.block_on(async {
        let _clock = wall_clock::simulate(jiff::Timestamp::constant(EPOCH, 0));
        let path = Path {
            latency: LATENCY,
            ..Path::default()
        };
        let world = make(SimNet::new(seed, path), seed);
        run_in(&world, plan, options, interrupt).await
    })
}
