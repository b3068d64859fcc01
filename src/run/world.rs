//! What lies outside of a run: the network that its connections go over, the machine whose sockets are
//! counted, where its mock runs, and where its files are. A run knows no more of it than this, so a whole
//! run can be played in a simulated world.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use client::device::Record;
use client::transport::{
    Lean, LeanFactory, Limits, Network, Reqwest, ReqwestFactory, SimulatedNetwork,
};
use mock_api::MockConfig;
use mock_server::Machine;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::names::Gauges;
use sim_net::SimNet;
use tokio::time::Instant;
use verdict::timeline::{Directory, Folder, Memory, TimelineError};

use super::carriers::{MakeTransport, Parts};
use super::mock::{MockError, RunningMock};
use crate::observe::{HarnessProbe, descriptors};

/// The world that a run lives in.
pub(super) trait World: Send + Sync + 'static {
    /// What makes the transports of its devices.
    type Factory: MakeTransport;

    /// A factory of transports to one server; says what is wrong with its options.
    fn factory(&self, parts: &Parts<'_>) -> Result<Self::Factory, String>;

    /// Starts the bundled mock; it serves when this returns.
    fn start_mock(
        &self,
        config: &MockConfig,
    ) -> impl Future<Output = Result<RunningMock, MockError>> + Send;

    /// The machine that the run is on.
    fn machine(&self) -> Machine;

    /// Where the run keeps its files: in a new directory in `runs`, or in memory.
    fn folder(&self, runs: Option<&Path>, name: &str) -> Result<Arc<dyn Folder>, TimelineError> {
        let Some(runs) = runs else {
            return Ok(Arc::new(Memory::new(name)));
        };
        match Directory::create(runs, name) {
            Ok(directory) => Ok(Arc::new(directory)),
            Err((path, source)) => Err(TimelineError::Io { path, source }),
        }
    }

    /// What the run reads of its own process.
    fn probe(&self) -> Probe;

    /// Most descriptors that the run may have open, if there is a limit.
    fn descriptor_limit(&self) -> Option<u64>;

    /// A seed for a run that names none.
    fn seed(&self) -> u64;

    /// A number that tells this run, or a part of it, from every other.
    fn number(&self) -> u32;

    /// Who hears the devices of a simulated run in place of its recorder. A test may give one with a defect.
    fn hears(&self, recorder: Arc<dyn Record>) -> Arc<dyn Record> {
        recorder
    }

    /// The network, if it is a simulated one.
    fn net(&self) -> Option<SimNet> {
        None
    }

    /// Whether this is a simulated world.
    fn is_simulated(&self) -> bool {
        self.net().is_some()
    }
}

/// Reads the process of a run.
#[derive(Debug)]
pub(super) enum Probe {
    /// This process.
    Process(HarnessProbe),
    /// One that has all the time that it needs: in a simulated world, work takes none.
    Idle,
}

impl Probe {
    pub(super) fn sample(&mut self, due: Instant) -> Gauges {
        match self {
            Self::Process(probe) => probe.sample(due),
            Self::Idle => [
                "harness.lag_ms",
                "harness.cpu_share",
                "harness.clock_step_ms",
            ]
            .map(|name| (name.to_owned(), 0.0))
            .into(),
        }
    }
}

/// This machine and its network, with one kind of transport.
#[derive(Debug, Default)]
pub(super) struct System<T>(std::marker::PhantomData<fn() -> T>);

impl<T> System<T> {
    pub(super) const fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

/// Transports over this machine's network.
pub(super) trait OverSystem: MakeTransport {
    /// A factory for one server.
    fn of(parts: &Parts<'_>) -> Result<Self, String>;
}

impl OverSystem for LeanFactory<Network> {
    fn of(parts: &Parts<'_>) -> Result<Self, String> {
        let network = Network::new(parts.target.clone(), parts.tls);
        let network = network.and_then(|network| network.via(parts.detour.clone()));
        let network = network.map_err(|error| error.to_string())?;
        Ok(Lean::factory_to(
            network
                .with_ends(parts.ends.clone())
                .spread(parts.is_spread),
            parts.silent,
            Limits::default(),
            Arc::clone(parts.uses),
            parts.redirects.clone(),
        ))
    }
}

impl OverSystem for ReqwestFactory {
    fn of(parts: &Parts<'_>) -> Result<Self, String> {
        Reqwest::factory(
            parts.target,
            parts.tls,
            parts.carrier.clone(),
            parts.silent,
            Limits::default(),
            Arc::clone(parts.uses),
            parts.redirects.clone(),
        )
        .map_err(|error| error.to_string())
    }
}

impl<F: OverSystem> World for System<F> {
    type Factory = F;

    fn factory(&self, parts: &Parts<'_>) -> Result<F, String> {
        F::of(parts)
    }

    async fn start_mock(&self, config: &MockConfig) -> Result<RunningMock, MockError> {
        RunningMock::start(config).await
    }

    fn machine(&self) -> Machine {
        Machine::System
    }

    fn probe(&self) -> Probe {
        Probe::Process(HarnessProbe::new())
    }

    fn descriptor_limit(&self) -> Option<u64> {
        descriptors().map(|(limit, _)| limit)
    }

    fn seed(&self) -> u64 {
        rand::rng().random_range(1..=u64::from(u32::MAX))
    }

    fn number(&self) -> u32 {
        rand::rng().random()
    }
}

/// A simulated world: a network inside this process, under tokio's paused clock, on one thread.
pub(super) struct Simulated {
    net: SimNet,
    seed: u64,
    random: parking_lot::Mutex<Xoshiro256PlusPlus>,
}

impl Simulated {
    pub(super) fn new(net: SimNet, seed: u64) -> Self {
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            net,
            seed,
            random: parking_lot::Mutex::new(random),
        }
    }
}

impl World for Simulated {
    type Factory = LeanFactory<SimulatedNetwork>;

    fn factory(&self, parts: &Parts<'_>) -> Result<Self::Factory, String> {
        let network = SimulatedNetwork::new(
            self.net.clone(),
            parts.target.clone(),
            parts.sources,
            parts.ends.clone(),
        )?;
        Ok(Lean::factory_to(
            network,
            parts.silent,
            Limits::default(),
            Arc::clone(parts.uses),
            parts.redirects.clone(),
        ))
    }

    async fn start_mock(&self, config: &MockConfig) -> Result<RunningMock, MockError> {
        RunningMock::simulated(config, self.net.clone()).await
    }

    fn machine(&self) -> Machine {
        Machine::Simulated(self.net.clone())
    }

    fn probe(&self) -> Probe {
        Probe::Idle
    }

    fn descriptor_limit(&self) -> Option<u64> {
        None
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn number(&self) -> u32 {
        self.random.lock().random()
    }

    fn net(&self) -> Option<SimNet> {
        Some(self.net.clone())
    }
}
