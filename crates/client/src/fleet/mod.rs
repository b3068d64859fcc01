//! Devices started, paced and stopped. Knows the plan's figures, not HTTP.

mod pacer;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until};

use crate::device::{Behaviour, Client, Identity, Life, Profile, Record, Refusals, device_random};
use crate::transport::Transport;

pub use pacer::Pacer;

/// A running fleet. Dropping it ends its devices.
pub struct Fleet {
    ramp: JoinSet<()>,
    devices: Devices,
    behaviour: Arc<Behaviour>,
}

/// The devices that were started, shared by the ramp that adds and the stop that ends them.
type Devices = Arc<Mutex<JoinSet<()>>>;

/// What a fleet is made of.
pub struct FleetPlan {
    /// The devices, each with what those of its kind have in common.
    pub devices: Vec<(Arc<Identity>, Arc<Profile>)>,
    /// Refused credentials.
    pub refusals: Arc<Refusals>,
    /// What changes while they run.
    pub behaviour: Arc<Behaviour>,
    /// Run seed.
    pub seed: u64,
    /// How fast they start.
    pub ramp: Pacer,
}

impl Fleet {
    /// Starts a fleet; devices begin in the background, as the ramp says. `transport` makes the
    /// transport of the device of that number.
    pub fn start<T, F>(plan: FleetPlan, record: Arc<dyn Record>, transport: F) -> Self
    where
        T: Transport + 'static,
        F: Fn(u32) -> T + Send + 'static,
    {
        let behaviour = Arc::clone(&plan.behaviour);
        let devices = Devices::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(ramp(plan, record, transport, Arc::clone(&devices)));
        Self {
            ramp: tasks,
            devices,
            behaviour,
        }
    }

    /// Lets devices finish what they do, for at most so long; then ends those that still wait,
    /// which counts their Pings as open. When this returns, every device has ended.
    pub async fn stop(mut self, drain: Duration) {
        self.behaviour.stop();
        self.ramp.shutdown().await;
        let mut devices = std::mem::take(&mut *self.devices.lock());
        let end = Instant::now() + drain;
        tokio::select! {
            biased;
            () = async { while devices.join_next().await.is_some() {} } => {}
            () = sleep_until(end) => {}
        }
        devices.shutdown().await;
    }
}

/// Starts devices when they are due.
async fn ramp<T, F>(plan: FleetPlan, record: Arc<dyn Record>, transport: F, devices: Devices)
where
    T: Transport + 'static,
    F: Fn(u32) -> T + Send + 'static,
{
    let start = Instant::now();
    let mut started = 0;
    let total = plan.devices.len() as u64;
    while started < total {
        let due = plan.ramp.due(start.elapsed()).min(total);
        for index in started..due {
            let (identity, profile) = plan.devices[index as usize].clone();
            let random = device_random(plan.seed, identity.device);
            let client = Client::new(
                transport(identity.device),
                identity,
                profile,
                Arc::clone(&plan.refusals),
                Arc::clone(&record),
            );
            devices
                .lock()
                .spawn(Life::new(client, Arc::clone(&plan.behaviour), random).run());
        }
        started = due;
        if started < total {
            sleep_until(start + plan.ramp.when(started)).await;
        }
    }
}
