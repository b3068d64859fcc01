//! A fleet and a mock under it, in three processes: what the figures are read from.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Activity, Behaviour, Identity, Profile, Refusals};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{
    Abandon, Answer, Begun, Failure, Lean, LeanFactory, Limits, Network, Origin, RedirectError,
    Request, Transport,
};
use eas::ProtocolVersion;
use hdrhistogram::Histogram;
use mock_api::{MockConfig, Tls, Topology};
use parking_lot::Mutex;
use scenario::names::DeviceState;
use scenario::{
    ActivityPlan, HeartbeatPlan, PingBody, QueryForm, SleepPlan, Target, TlsOptions, Wait,
};
use tokio::time::{Instant, sleep};

use super::Options;
use crate::measure::Recorder;
use crate::observe::{cpu_time, resident_bytes};
use crate::run::RunningMock;

/// Devices that are not held by then never will be.
const RAMP_LIMIT: Duration = Duration::from_secs(120);
/// How often the fleet is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Longest pause of a device that cannot get in.
const MAX_RETRY: Duration = Duration::from_secs(5);
/// Shortest pause, as a scenario's default.
const MIN_RETRY: Duration = Duration::from_millis(500);

/// What the transports saw, beside what the recorder counts.
pub(super) struct Seen {
    /// From the mock's own account of when it answered to when the answer was here.
    pub(super) delays: Histogram<u64>,
    /// Connections cut under a request, and when the last of them was.
    pub(super) cut: u64,
    pub(super) last_cut: Option<Instant>,
    /// Connections made, and when the first and the last of them were.
    pub(super) connects: u64,
    pub(super) first_connect: Option<Instant>,
    pub(super) last_connect: Option<Instant>,
}

impl Seen {
    fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            delays: Histogram::new(3)?,
            cut: 0,
            last_cut: None,
            connects: 0,
            first_connect: None,
            last_connect: None,
        })
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.delays.reset();
        (self.cut, self.connects) = (0, 0);
        (self.last_cut, self.first_connect, self.last_connect) = (None, None, None);
    }

    /// Connections a second, from the first to the last.
    pub(super) fn connects_per_second(&self) -> Option<f64> {
        let took = self.last_connect?.duration_since(self.first_connect?);
        Some(self.connects as f64 / took.as_secs_f64())
    }
}

struct Watched<T> {
    inner: T,
    seen: Arc<Mutex<Seen>>,
}

impl<T: Transport> Transport for Watched<T> {
    fn another(&self) -> Self {
        Self {
            inner: self.inner.another(),
            seen: Arc::clone(&self.seen),
        }
    }

    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        let begun = self.inner.begin(request).await;
        if begun.as_ref().is_ok_and(|begun| begun.connect.is_some()) {
            let now = Instant::now();
            let mut seen = self.seen.lock();
            seen.connects += 1;
            seen.first_connect.get_or_insert(now);
            seen.last_connect = Some(now);
        }
        begun
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let answer = self.inner.answer(deadline).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        match &answer {
            Ok(answer) => {
                if let Ok(now) = now
                    && let Some(stamp) = answer.header(mock_server::ANSWERED)
                    && let Ok(stamp) = stamp.parse::<u128>()
                {
                    let delay = now.as_micros().saturating_sub(stamp);
                    let delay = u64::try_from(delay).unwrap_or(u64::MAX);
                    // An auto-resizing histogram takes any value.
                    let _ = self.seen.lock().delays.record(delay);
                }
            }
            Err(failure) if failure.kind.is_disconnect() => {
                let mut seen = self.seen.lock();
                seen.cut += 1;
                seen.last_cut = Some(Instant::now());
            }
            Err(_) => {}
        }
        answer
    }

    fn abandon(&mut self, how: Abandon) {
        self.inner.abandon(how);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.inner.origin()
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        self.inner.redirect(to)
    }
}

/// What a process or several cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Resident bytes.
    pub(super) memory: u64,
    /// Processor time since their start.
    pub(super) cpu: Duration,
}

/// The costs of both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    pub(super) harness: Cost,
    /// Front door and worker.
    pub(super) mock: Cost,
}

pub(super) struct Rig {
    pub(super) mock: RunningMock,
    pub(super) recorder: Arc<Recorder>,
    pub(super) seen: Arc<Mutex<Seen>>,
    identities: Vec<Arc<Identity>>,
    /// Dealt out to devices in turn.
    profiles: Vec<Arc<Profile>>,
    refusals: Arc<Refusals>,
    factory: Arc<LeanFactory<Network>>,
    rate: f64,
}

impl Rig {
    /// A mock and devices for it; none has started yet.
    pub(super) async fn start(
        options: &Options,
        heartbeat: u32,
        acts: u32,
        shutdown_time_limit: Duration,
    ) -> Result<Self, String> {
        let mut config = MockConfig {
            topology: if options.full {
                Topology::OneServer
            } else {
                Topology::Direct
            },
            tls: if options.tls {
                Tls::Generated
            } else {
                Tls::Off
            },
            min_heartbeat: Duration::from_secs(1),
            ..MockConfig::default()
        };
        config.pool.process_model.max_processes = options.workers;
        config.pool.process_model.shutdown_time_limit = shutdown_time_limit;
        // A full queue would refuse devices, and their pauses would be measured.
        config.threads = options.devices as usize * 2;
        // The model of garbage collection would measure itself here.
        config.heap.pause_per_mib = Duration::ZERO;
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mock = RunningMock::start(&config).await.map_err(|e| text(&e))?;
        let target = Target::parse(&mock.addresses().url).map_err(|e| text(&e))?;
        let tls = TlsOptions {
            ca_file: mock.ca_file(),
            ..TlsOptions::default()
        };
        let network = Network::new(target, &tls).map_err(|e| text(&e))?;
        let users: Vec<u32> = (0..options.devices).collect();
        let identities = users
            .iter()
            .map(|device| identity(*device, &config.password))
            .collect();
        Ok(Self {
            mock,
            recorder: Arc::new(Recorder::new(0, &users, MAX_RETRY)),
            identities,
            profiles: profiles(options, heartbeat, acts, &users),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            factory: Arc::new(Lean::factory(network, 0, Limits::default(), Arc::default())),
            seen: Arc::new(Mutex::new(Seen::new().map_err(|e| text(&e))?)),
            rate: options.rate,
        })
    }

    /// Starts the devices of that range.
    pub(super) fn fleet(&self, range: std::ops::Range<u32>) -> Fleet {
        let range = range.start as usize..range.end as usize;
        let plan = FleetPlan {
            devices: self.identities[range]
                .iter()
                .map(|identity| {
                    let profile = identity.device as usize % self.profiles.len();
                    (Arc::clone(identity), Arc::clone(&self.profiles[profile]))
                })
                .collect(),
            refusals: Arc::clone(&self.refusals),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(self.rate),
        };
        let (factory, seen) = (Arc::clone(&self.factory), Arc::clone(&self.seen));
        Fleet::start(plan, Arc::clone(&self.recorder) as Arc<_>, move |_| {
            Watched {
                inner: factory.make(),
                seen: Arc::clone(&seen),
            }
        })
    }

    /// Waits until so many devices hold a Ping.
    pub(super) async fn held(&self, wanted: u32) -> Result<(), String> {
        self.until(&format!("{wanted} devices hold a Ping"), || {
            self.recorder.devices_in(DeviceState::Holding) >= u64::from(wanted)
        })
        .await
    }

    pub(super) async fn until(&self, what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
        let end = Instant::now() + RAMP_LIMIT;
        while !is_so() {
            if Instant::now() > end {
                let held = self.recorder.devices_in(DeviceState::Holding);
                let totals = self.recorder.totals();
                return Err(format!(
                    "not within {} s: {what}; {held} hold one now: {totals:?}",
                    RAMP_LIMIT.as_secs()
                ));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// When the mock says it has cut so many.
    pub(super) async fn mock_has_cut(&self, wanted: u64) -> Result<Instant, String> {
        let end = Instant::now() + RAMP_LIMIT;
        loop {
            let truth = self.mock.truth().await.map_err(|error| error.to_string())?;
            if truth.cut >= wanted {
                return Ok(Instant::now());
            }
            if Instant::now() > end {
                return Err(format!("the mock has cut {} of {wanted} only", truth.cut));
            }
            sleep(LOOK).await;
        }
    }

    /// What both sides cost by now.
    pub(super) async fn costs(&self) -> Result<Costs, String> {
        let truth = self.mock.truth().await.map_err(|error| error.to_string())?;
        let workers = truth.workers.iter().map(|worker| worker.pid.to_string());
        let front_door = self.mock.addresses().pid.to_string();
        let cost = |pid: &str| -> Option<Cost> {
            Some(Cost {
                memory: resident_bytes(pid)?,
                cpu: cpu_time(pid)?,
            })
        };
        let mock = workers.chain([front_door]).map(|pid| cost(&pid)).try_fold(
            None,
            |sum: Option<Cost>, one| {
                let one = one?;
                Some(Some(sum.map_or(one, |sum| Cost {
                    memory: sum.memory + one.memory,
                    cpu: sum.cpu + one.cpu,
                })))
            },
        );
        match (cost("self"), mock.flatten()) {
            (Some(harness), Some(mock)) => Ok(Costs { harness, mock }),
            _ => Err("memory and processor time can be read on Linux only".to_owned()),
        }
    }
}

fn identity(device: u32, password: &str) -> Arc<Identity> {
    use base64::Engine as _;
    let user_name = user_name(device);
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user_name}:{password}"));
    Arc::new(Identity {
        device,
        user: device,
        user_name,
        authorization: format!("Basic {credentials}").into(),
        device_id: format!("EASLOAD{device:08}"),
    })
}

fn user_name(device: u32) -> String {
    format!("load{device:05}")
}

/// Heavy users who do so much a second together; none if that is nothing.
fn activity(acts: u32, users: &[u32]) -> Option<Arc<Activity>> {
    let mut plan = ActivityPlan::named("heavy").filter(|_| acts > 0)?;
    plan.speed = f64::from(acts) / users.len() as f64 / plan.per_second();
    let addresses = users
        .iter()
        .map(|user| format!("{}@lab.example", user_name(*user)));
    Some(Arc::new(Activity {
        plan,
        addresses: addresses.collect(),
        run: 0,
    }))
}

/// One kind of devices, or one of each that costs memory.
fn profiles(options: &Options, heartbeat: u32, acts: u32, users: &[u32]) -> Vec<Arc<Profile>> {
    let plain = Profile {
        path: eas::http::PATH.to_owned(),
        versions: vec![ProtocolVersion::V14_1],
        device_type: "easload".to_owned(),
        user_agent: "easload".to_owned(),
        query: QueryForm::Plain,
        wait: Wait::Ping,
        ping_body: PingBody::Full,
        nat_timeout: None,
        sleep: None,
        second_ping: 0.0,
        heartbeat: HeartbeatPlan::Fixed(heartbeat),
        grace: Duration::from_secs(60),
        window: 25,
        request_timeout: Duration::from_secs(60),
        retry: MIN_RETRY..=MAX_RETRY,
        all_folders: false,
        activity: activity(acts, users),
        negotiate: true,
        cookies: true,
    };
    if !options.mixed {
        return vec![Arc::new(plain)];
    }
    // Longer than any bench: whoever sleeps is awake now.
    let day = Duration::from_secs(24 * 3600);
    let sleep = SleepPlan {
        awake: (day, day),
        asleep: (day, day),
    };
    let kinds = [
        plain.clone(),
        Profile {
            versions: vec![ProtocolVersion::V16_1],
            query: QueryForm::Base64,
            ping_body: PingBody::Cached,
            sleep: Some(sleep),
            ..plain.clone()
        },
        Profile {
            wait: Wait::Sync,
            heartbeat: HeartbeatPlan::Fixed(heartbeat.max(60)),
            ..plain.clone()
        },
        Profile {
            second_ping: 0.01,
            all_folders: true,
            ..plain.clone()
        },
        // A user's day, who acts some sixteen times an hour.
        Profile {
            activity: activity(users.len() as u32 / 200, users),
            ..plain
        },
    ];
    kinds.map(Arc::new).into()
}
