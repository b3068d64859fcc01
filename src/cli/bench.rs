//! `easload bench`: what holding Pings costs, against a mock without proxy hop, which is the
//! cheapest server there is: the device side is what is measured.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use mock_server::control::Truth;
use mock_server::{MockConfig, Tls, Topology};
use tokio::time::{Instant, sleep};

use super::{Exit, print_or_fail};
use crate::device::{Behaviour, Identity, Profile, Refusals, State};
use crate::fleet::{Fleet, FleetPlan, Pacer};
use crate::lock::lock;
use crate::measure::{Counter, Gauges, Metric, Recorder};
use crate::observe::{descriptors, resident_bytes};
use crate::run::MockProcess;
use crate::transport::{
    Abandon, Answer, Begun, Failure, Lean, LeanFactory, Limits, Network, Request, Target,
    TlsOptions, Transport,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Devices that hold a Ping at the end.
    #[arg(long, default_value_t = 18_000)]
    devices: u32,
    /// Devices at the first memory reading.
    #[arg(long, default_value_t = 2_000)]
    from: u32,
    /// Devices started a second.
    #[arg(long, default_value_t = 3_000.0)]
    rate: f64,
    /// Heartbeat in seconds; must outlast the ramp.
    #[arg(long, default_value_t = 40)]
    heartbeat: u32,
    /// Workers of the mock.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// TLS instead of plain HTTP.
    #[arg(long)]
    tls: bool,
    /// Front end and back end instead of the direct topology; twice the descriptors in the mock.
    #[arg(long)]
    full: bool,
    /// Leave out the wait for the heartbeats to end (overshoot).
    #[arg(long)]
    no_overshoot: bool,
}

/// Devices that are not held by then never will be.
const RAMP_LIMIT: Duration = Duration::from_secs(120);
/// Memory settles after the last provisioning.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) async fn main(arguments: Arguments) -> Exit {
    match bench(&arguments).await {
        Ok(text) => print_or_fail(&text, Exit::Passed),
        Err(problem) => {
            eprintln!("error: {problem}");
            Exit::Internal
        }
    }
}

/// Compares the mock's own account of when it answered with when the answer was here: what is left
/// is the harness's share, the kernel's included.
struct Stamped<T> {
    inner: T,
    delays: Arc<Mutex<Histogram<u64>>>,
}

impl<T: Transport> Transport for Stamped<T> {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        self.inner.begin(request).await
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let answer = self.inner.answer(deadline).await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        if let (Ok(answer), Ok(now)) = (&answer, now)
            && let Some(stamp) = answer.header(mock_server::ANSWERED)
            && let Ok(stamp) = stamp.parse::<u128>()
        {
            let delay = u64::try_from(now.as_micros().saturating_sub(stamp)).unwrap_or(u64::MAX);
            // An auto-resizing histogram takes any value.
            let _ = lock(&self.delays).record(delay);
        }
        answer
    }

    fn abandon(&mut self, how: Abandon) {
        self.inner.abandon(how);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }
}

/// Resident bytes of the three processes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    devices: u32,
    harness: u64,
    mock: u64,
}

struct Bench {
    mock: MockProcess,
    recorder: Arc<Recorder>,
    identities: Vec<Arc<Identity>>,
    profile: Arc<Profile>,
    refusals: Arc<Refusals>,
    factory: Arc<LeanFactory<Network>>,
    delays: Arc<Mutex<Histogram<u64>>>,
    rate: f64,
}

async fn bench(arguments: &Arguments) -> Result<String, String> {
    if arguments.from >= arguments.devices || arguments.from == 0 {
        return Err("--from must be above 0 and below --devices".to_owned());
    }
    if let Some((limit, _)) = descriptors()
        && limit < u64::from(arguments.devices) + 64
    {
        return Err(format!(
            "{} devices do not fit into {limit} descriptors",
            arguments.devices
        ));
    }
    let bench = Bench::start(arguments).await?;
    let began = Instant::now();
    let small = bench.fleet(0..arguments.from);
    bench.wait_until_held(arguments.from).await?;
    let first_part = began.elapsed();
    sleep(SETTLE).await;
    let low = bench.memory(arguments.from).await?;
    let began = Instant::now();
    let large = bench.fleet(arguments.from..arguments.devices);
    bench.wait_until_held(arguments.devices).await?;
    let ramp = first_part + began.elapsed();
    sleep(SETTLE).await;
    let high = bench.memory(arguments.devices).await?;

    let slope = |from: u64, to: u64| {
        (to as f64 - from as f64) / f64::from(high.devices - low.devices) / 1e3
    };
    let mut text = format!(
        "held Pings in one process            {}\n\
         all held after                       {:.1} s (started at {:.0} a second)\n\
         user memory per held device          {:.2} kB (RSS slope {} to {} devices)\n\
         harness RSS                          {:.1} MiB\n\
         mock, user memory per held Ping      {:.2} kB (front door + worker)\n",
        arguments.devices,
        ramp.as_secs_f64(),
        arguments.rate,
        slope(low.harness, high.harness),
        low.devices,
        high.devices,
        high.harness as f64 / 1_048_576.0,
        slope(low.mock, high.mock),
    );
    if !arguments.no_overshoot {
        text.push_str(&bench.overshoot(arguments).await);
    }
    drop((small, large));
    bench.mock.stop().await;
    Ok(text)
}

impl Bench {
    async fn start(arguments: &Arguments) -> Result<Self, String> {
        let mut config = MockConfig {
            topology: if arguments.full {
                Topology::OneServer
            } else {
                Topology::Direct
            },
            tls: if arguments.tls {
                Tls::Generated
            } else {
                Tls::Off
            },
            min_heartbeat: Duration::from_secs(1),
            ..MockConfig::default()
        };
        config.pool.process_model.max_processes = arguments.workers;
        // A full queue would refuse devices, and their pauses would be measured.
        config.threads = arguments.devices as usize * 2;
        // The model of garbage collection would measure itself here.
        config.heap.pause_per_mib = Duration::ZERO;
        let mock = MockProcess::start(&config)
            .await
            .map_err(|error| error.to_string())?;
        let target = Target::parse(&mock.addresses().url).map_err(|error| error.to_string())?;
        let options = TlsOptions {
            ca_file: mock.ca_file(),
            insecure: false,
        };
        let network = Network::new(target, &options).map_err(|error| error.to_string())?;
        let users: Vec<u32> = (0..arguments.devices).collect();
        let identities = users
            .iter()
            .map(|device| identity(*device, &config.password))
            .collect();
        Ok(Self {
            mock,
            recorder: Arc::new(Recorder::new(0, &users, SETTLE)),
            identities,
            profile: Arc::new(Profile {
                path: eas::http::PATH.to_owned(),
                versions: vec![eas::ProtocolVersion::V14_1],
                device_type: "easload".to_owned(),
                user_agent: "easload".to_owned(),
                heartbeat: arguments.heartbeat,
                grace: Duration::from_secs(60),
                window: 25,
                request_timeout: Duration::from_secs(60),
                retry: Duration::from_millis(500)..=Duration::from_secs(5),
                all_folders: false,
            }),
            refusals: Arc::new(Refusals::new(users.len(), 3)),
            factory: Arc::new(Lean::factory(network, 0, Limits::default())),
            delays: Arc::new(Mutex::new(
                Histogram::new(3).map_err(|error| error.to_string())?,
            )),
            rate: arguments.rate,
        })
    }

    fn fleet(&self, range: std::ops::Range<u32>) -> Fleet {
        let range = range.start as usize..range.end as usize;
        let plan = FleetPlan {
            identities: self.identities[range].to_vec(),
            profile: Arc::clone(&self.profile),
            refusals: Arc::clone(&self.refusals),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(self.rate),
        };
        let (factory, delays) = (Arc::clone(&self.factory), Arc::clone(&self.delays));
        Fleet::start(plan, Arc::clone(&self.recorder) as Arc<_>, move || {
            Stamped {
                inner: factory.make(),
                delays: Arc::clone(&delays),
            }
        })
    }

    async fn wait_until_held(&self, wanted: u32) -> Result<(), String> {
        let end = Instant::now() + RAMP_LIMIT;
        while self.recorder.devices_in(State::Holding) < u64::from(wanted) {
            if Instant::now() > end {
                let held = self.recorder.devices_in(State::Holding);
                return Err(format!(
                    "only {held} of {wanted} devices hold a Ping: {:?}",
                    self.recorder.totals()
                ));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn memory(&self, devices: u32) -> Result<Memory, String> {
        let addresses = self.mock.addresses();
        let truth = reqwest::get(format!("{}/truth", addresses.control))
            .await
            .map_err(|error| error.to_string())?;
        let truth: Truth = truth.json().await.map_err(|error| error.to_string())?;
        let pids = truth
            .workers
            .iter()
            .map(|worker| worker.pid)
            .chain([addresses.pid]);
        let mock = pids
            .map(|pid| resident_bytes(&pid.to_string()))
            .sum::<Option<u64>>();
        match (resident_bytes("self"), mock) {
            (Some(harness), Some(mock)) => Ok(Memory {
                devices,
                harness,
                mock,
            }),
            _ => Err("memory can be read on Linux only".to_owned()),
        }
    }

    /// Waits for a whole round of heartbeats: most Pings end without changes.
    async fn overshoot(&self, arguments: &Arguments) -> String {
        self.recorder.interval("", Gauges::new());
        lock(&self.delays).reset();
        sleep(Duration::from_secs(u64::from(arguments.heartbeat) + 5)).await;
        let interval = self.recorder.interval("", Gauges::new());
        let histogram: Option<Histogram<u64>> = interval
            .latency(Metric::Overshoot)
            .and_then(|latency| latency.histogram());
        let Some(histogram) = histogram else {
            return "overshoot                            no Ping ended\n".to_owned();
        };
        let line = |histogram: &Histogram<u64>| {
            let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
            format!(
                "p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms",
                at(0.5),
                at(0.99),
                at(1.0)
            )
        };
        format!(
            "overshoot of {} Pings             {} (the mock's timers included)\n\
             answered by the mock → seen here     {} (the harness's own share)\n\
             connections made in that round       {}\n",
            histogram.len(),
            line(&histogram),
            line(&lock(&self.delays)),
            interval.count(Counter::Connects),
        )
    }
}

fn identity(device: u32, password: &str) -> Arc<Identity> {
    use base64::Engine as _;
    let user_name = format!("load{device:05}");
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user_name}:{password}"));
    Arc::new(Identity {
        device,
        user: device,
        user_name,
        authorization: format!("Basic {credentials}"),
        device_id: format!("EASLOAD{device:08}"),
    })
}
