//! What a mock can be told, with the values of a real Exchange 2016 as defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How requests travel inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// Front end and back end in one pool on one server, as Exchange 2016 ships: a Ping counts as
    /// two active requests and costs the worker one outgoing socket.
    OneServer,
    /// No front-end proxy: the worker executes commands itself. For load benchmarks; nothing can
    /// strand.
    Direct,
}

/// Everything that is fixed when a mock starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MockConfig {
    /// Where devices connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where metrics and the control API are; port 0 takes a free one.
    pub control: SocketAddr,
    /// How requests travel.
    pub topology: Topology,
    /// Speak TLS to devices, with a certificate of a CA made at start.
    pub tls: bool,
    /// Seed of every chance the mock takes.
    pub seed: u64,
    /// The password every user has.
    pub password: String,
    /// Whether a device must Provision before anything else.
    pub require_provisioning: bool,
    /// Shortest accepted heartbeat.
    pub min_heartbeat: Duration,
    /// Longest accepted heartbeat.
    pub max_heartbeat: Duration,
    /// A held Ping looks for changes this often, so a notification is 0 to this late.
    pub poll_interval: Duration,
    /// Folders a Ping may watch.
    pub max_ping_folders: usize,
    /// Largest window of a Sync.
    pub max_window: u16,
    /// The pool.
    pub pool: PoolConfig,
    /// The worker's memory and garbage collection.
    pub heap: HeapConfig,
    /// Ports of the worker's outgoing connections.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// The back end closes a connection that has been idle for so long.
    pub back_end_idle_timeout: Duration,
    /// Faults at start; the control API changes them.
    pub faults: FaultConfig,
}

impl Default for MockConfig {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: loopback,
            control: loopback,
            topology: Topology::OneServer,
            tls: false,
            seed: 1,
            // Loopback only, no secret: the harness's scenarios for the mock name the same.
            password: "secret".to_owned(),
            require_provisioning: true,
            // web.config of Exchange 2016's back end: MinHeartbeatInterval, MaxHeartbeatInterval,
            // EventQueuePollingInterval, MaxWindowSize.
            min_heartbeat: Duration::from_secs(60),
            max_heartbeat: Duration::from_secs(3540),
            poll_interval: Duration::from_secs(5),
            max_window: 100,
            // Assumed: MaxNumOfFolders of the same file, which bounds something else.
            max_ping_folders: 1000,
            pool: PoolConfig::default(),
            heap: HeapConfig::default(),
            // The dynamic port range of Windows, 16,384 ports.
            ephemeral_ports: 49152..=65535,
            // IIS sites/limits connectionTimeout.
            back_end_idle_timeout: Duration::from_secs(120),
            faults: FaultConfig::default(),
        }
    }
}

/// The application pool, with IIS's element names (applicationPools/add).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// `periodicRestart time`: age at which a worker is recycled; zero never.
    pub time: Duration,
    /// `disallowOverlappingRotation`: the new worker starts only after the old one has gone.
    pub disallow_overlapping_rotation: bool,
    /// `shutdownTimeLimit`: a worker that has not drained by then is killed.
    pub shutdown_time_limit: Duration,
    /// `startupTimeLimit`: a worker that is not ready by then is killed.
    pub startup_time_limit: Duration,
    /// `queueLength`: requests that may wait for a worker; more get HTTP.sys's 503.
    pub queue_length: usize,
    /// `maxProcesses`: workers that share the load (a web garden).
    pub max_processes: usize,
}

impl Default for PoolConfig {
    /// MSExchangeSyncAppPool as Exchange 2016 ships it.
    fn default() -> Self {
        Self {
            time: Duration::ZERO,
            disallow_overlapping_rotation: false,
            shutdown_time_limit: Duration::from_secs(90),
            startup_time_limit: Duration::from_secs(90),
            queue_length: 1000,
            max_processes: 1,
        }
    }
}

/// The model of the worker's managed heap. Microsoft publishes no figures, so all of these are
/// assumptions: the defaults are round values of a .NET server heap.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeapConfig {
    /// Live bytes of a worker without requests. Modelled, not allocated.
    pub base: u64,
    /// Bytes a request allocates while it runs; they count towards the next collection.
    pub per_request: u64,
    /// Bytes that stay, and are really allocated, for each stranded request.
    pub per_stranded: u64,
    /// A full collection happens each time this many bytes have been allocated.
    pub budget: u64,
    /// How long a full collection stops the worker, per mebibyte of live heap.
    pub pause_per_mib: Duration,
}

impl Default for HeapConfig {
    fn default() -> Self {
        Self {
            base: 48 << 20,
            per_request: 200 << 10,
            per_stranded: 100 << 10,
            budget: 64 << 20,
            // Marking goes at about 1 GiB/s.
            pause_per_mib: Duration::from_millis(1),
        }
    }
}

/// Faults, all off by default.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultConfig {
    /// Share of abandoned Pings, 0 to 1, whose front-end proxy request is never completed.
    pub strand: f64,
    /// Extra time before a command is executed.
    pub latency: Duration,
}

impl FaultConfig {
    /// What is wrong with these values, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        (!(0.0..=1.0).contains(&self.strand)).then_some("`strand` must be between 0 and 1")
    }
}
