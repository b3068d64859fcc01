//! What a mock can be told, with the values of a real Exchange 2016 as defaults.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use eas::ProtocolVersion;
use iis::PoolSettings;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use text::format_duration;

use crate::fault::Fault;

/// How requests travel inside the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// Front end and back end in one pool on one server, as Exchange 2016 ships: a Ping counts as
    /// two active requests and costs the worker one outgoing socket.
    OneServer,
    /// Front end and back end on two servers: a Ping counts as one active request on each.
    TwoServers,
    /// No front-end proxy: the worker executes commands itself. For load benchmarks; nothing can
    /// strand.
    Direct,
}

impl Topology {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("one-server", Self::OneServer),
        ("two-servers", Self::TwoServers),
        ("direct", Self::Direct),
    ];
}

/// Where TLS comes from, if the mock speaks it to devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tls {
    /// Plain HTTP.
    #[default]
    Off,
    /// A certificate of a CA made at start.
    Generated,
    /// A certificate chain and its key, in PEM.
    Files {
        /// The chain, the server's certificate first.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Everything that is fixed when a mock starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MockConfig {
    /// Where devices connect; port 0 takes a free one. Further servers take the next ports.
    pub listen: SocketAddr,
    /// Where metrics and the control API are; port 0 takes a free one.
    pub control: SocketAddr,
    /// How requests travel.
    pub topology: Topology,
    /// Servers with a pool and a front door each, over the same mailboxes. Above 1 only with
    /// [`Topology::OneServer`] and [`Topology::Direct`].
    pub servers: usize,
    /// By how much pool time each server's recycling comes after that of the server before it
    /// (mock-fidelity R20).
    pub schedule_shift: Duration,
    /// TLS towards devices.
    pub tls: Tls,
    /// Versions of TLS that are spoken, `1.2` and `1.3`. Windows Server speaks 1.3 from 2022 on.
    pub tls_versions: Vec<String>,
    /// Authorities (PEM) whose client certificates log a user in: the common name is the user.
    pub client_ca: Option<PathBuf>,
    /// Seed of every chance the mock takes.
    pub seed: u64,
    /// The password every user has.
    pub password: String,
    /// A Bearer token is `<user>.<this>`; without it Bearer is not offered.
    pub bearer_token: Option<String>,
    /// Whether a device must Provision before anything else.
    pub require_provisioning: bool,
    /// What `MS-ASProtocolVersions` lists.
    pub versions: Vec<String>,
    /// Compress answers for clients that ask for it.
    pub gzip: bool,
    /// Answer with `Transfer-Encoding: chunked` in place of Content-Length.
    pub chunked: bool,
    /// The value of X-MS-ASThrottle on throttled answers. No list of texts is published.
    pub throttle_text: String,
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
    /// Devices a user may have.
    pub max_devices: usize,
    /// Mailboxes. The mock makes one for every user name with the right password; a user beyond has none
    /// (Status 123).
    pub max_mailboxes: usize,
    /// Folders of a mailbox, and collections of a Sync.
    pub max_folders: usize,
    /// Items of a folder. A message beyond is not delivered.
    pub max_items: usize,
    /// Messages of a folder that are kept although every device of the user has fetched them; the oldest
    /// beyond are deleted.
    pub kept_items: usize,
    /// Bytes of a mailbox. A message beyond is not delivered.
    pub mailbox_quota: u64,
    /// Bytes of a message with its attachments.
    pub max_message_size: u64,
    /// Recipients of a message.
    pub max_recipients: usize,
    /// Requests of one user that the back end works on at once.
    pub max_concurrency: usize,
    /// How late an answer of the kind of 503 is sent.
    pub error_response_delay: Duration,
    /// Requests that a worker begins at once; what is held no longer counts.
    pub threads: usize,
    /// How long the front-end proxy waits for a free port before it gives up.
    pub port_wait: Duration,
    /// A new worker works on nothing for so long after its start.
    pub warm_up: Duration,
    /// The pool.
    pub pool: PoolSettings,
    /// An applicationHost.config to watch: a change of the pool's settings in it is a
    /// configuration change.
    pub pool_file: Option<PathBuf>,
    /// Pool seconds per second: ages, schedule, idle and rapid-fail times run so much faster than
    /// devices and TCP.
    pub time_scale: f64,
    /// The pool's date and time at the start, `2026-03-14T02:30:00`; now if absent.
    pub clock_start: Option<String>,
    /// The pool's time zone, `Europe/Berlin`; the system's if absent.
    pub time_zone: Option<String>,
    /// The worker's memory and garbage collection.
    pub heap: HeapConfig,
    /// Ports of the worker's outgoing connections.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// The back end closes a connection that has been idle for so long.
    pub back_end_idle_timeout: Duration,
    /// A client connection without a request is closed after so long.
    pub connection_timeout: Duration,
    /// HTTP.sys logs `Connection_Dropped` when the client has been gone for so long and the worker
    /// has not finished.
    pub dropped_after: Duration,
    /// Whether Ping Commands Pending counts stranded Pings; not known (mock-fidelity S13).
    pub pending_counts_stranded: bool,
    /// Nothing strands, whatever the faults say: Exchange 2016 from Cumulative Update 11 on.
    pub fixed: bool,
    /// A folder for IIS log, HTTPERR log, event lines and performance log; none is written if
    /// absent.
    pub logs: Option<PathBuf>,
    /// Faults at start; the control API changes them.
    pub faults: Vec<Fault>,
}

impl Default for MockConfig {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: loopback,
            control: loopback,
            topology: Topology::OneServer,
            servers: 1,
            schedule_shift: Duration::ZERO,
            tls: Tls::Off,
            tls_versions: ["1.2", "1.3"].map(str::to_owned).to_vec(),
            client_ca: None,
            seed: 1,
            // Loopback only, no secret: the harness's scenarios for the mock name the same.
            password: "secret".to_owned(),
            bearer_token: None,
            require_provisioning: true,
            // Assumed; no source shows Exchange 2016's exact string (mock-fidelity H14).
            versions: [
                "2.0", "2.1", "2.5", "12.0", "12.1", "14.0", "14.1", "16.0", "16.1",
            ]
            .map(str::to_owned)
            .to_vec(),
            gzip: true,
            chunked: false,
            throttle_text: "UserBackOff".to_owned(),
            // web.config of Exchange 2016's back end: MinHeartbeatInterval, MaxHeartbeatInterval,
            // EventQueuePollingInterval, MaxWindowSize, ErrorResponseDelay.
            min_heartbeat: Duration::from_secs(60),
            max_heartbeat: Duration::from_secs(3540),
            poll_interval: Duration::from_secs(5),
            max_window: 100,
            error_response_delay: Duration::from_secs(20),
            // Assumed: MaxNumOfFolders of the same file, which bounds something else.
            max_ping_folders: 1000,
            // Throttling policy: EasMaxDevices, EasMaxConcurrency.
            max_devices: 100,
            max_concurrency: 10,
            // RecipientLimits and MaxRecipientEnvelopeLimit, MaxSendSize and MaxReceiveSize (10 MB),
            // ProhibitSendReceiveQuota of a mailbox database (2.3 GB).
            max_recipients: 500,
            max_message_size: 10 << 20,
            mailbox_quota: 2_469_396_480,
            // Assumed: far above any load test, and bounds all the same.
            max_mailboxes: 100_000,
            max_folders: 1000,
            max_items: 100_000,
            kept_items: 1000,
            // IIS serverRuntime appConcurrentRequestLimit.
            threads: 5000,
            // Assumed: the first retransmission of a SYN, after which a front end gives up.
            port_wait: Duration::from_secs(3),
            // Assumed: code is compiled and caches are filled.
            warm_up: Duration::from_millis(500),
            pool: PoolSettings::exchange_2016(),
            pool_file: None,
            time_scale: 1.0,
            clock_start: None,
            time_zone: None,
            heap: HeapConfig::default(),
            // The dynamic port range of Windows, 16,384 ports.
            ephemeral_ports: 49152..=65535,
            // IIS sites/limits connectionTimeout.
            back_end_idle_timeout: Duration::from_secs(120),
            connection_timeout: Duration::from_secs(120),
            // KB 937692: about two minutes.
            dropped_after: Duration::from_secs(120),
            pending_counts_stranded: false,
            fixed: false,
            logs: None,
            faults: Vec::new(),
        }
    }
}

impl MockConfig {
    /// The pool's time at the start, if it is set; `None`: now.
    #[must_use]
    pub fn clock_begin(&self) -> Option<jiff::Timestamp> {
        let (zone, start) = self.pool_clock().ok()?;
        let begin = start?.to_zoned(zone).ok()?;
        Some(begin.timestamp())
    }

    /// What is wrong with these values, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        /// Above this a worker's start takes days of pool time and nothing can be told apart.
        const MAX_SCALE: f64 = 1e6;
        if let Some(problem) = crate::fault::problems(&self.faults).into_iter().next() {
            return Some(problem);
        }
        if !(1e-3..=MAX_SCALE).contains(&self.time_scale) {
            return Some(format!(
                "time_scale: expected 0.001 to {MAX_SCALE}, found {}",
                self.time_scale
            ));
        }
        if !(1..=64).contains(&self.servers) {
            return Some(format!("servers: expected 1 to 64, found {}", self.servers));
        }
        if self.servers > 1 && self.topology == Topology::TwoServers {
            return Some("servers: topology two-servers has two already".to_owned());
        }
        if self.bearer_token.as_deref() == Some("") {
            return Some(
                "bearer_token: expected a text: nothing would let everybody in".to_owned(),
            );
        }
        if self.threads == 0 || self.ephemeral_ports.is_empty() {
            return Some("threads and ephemeral_ports: expected at least 1".to_owned());
        }
        if self.heap.budget == 0 {
            return Some(
                "heap: budget: expected at least 1: there would be no collections".to_owned(),
            );
        }
        if self.client_ca.is_some() && self.tls == Tls::Off {
            return Some("client_ca: client certificates need TLS".to_owned());
        }
        let known = |version: &String| matches!(version.as_str(), "1.2" | "1.3");
        if self.tls_versions.is_empty() || !self.tls_versions.iter().all(known) {
            return Some("tls_versions: expected \"1.2\", \"1.3\", or both".to_owned());
        }
        if let Some(unknown) = self
            .versions
            .iter()
            .find(|version| !version.chars().all(|c| c.is_ascii_digit() || c == '.'))
        {
            return Some(format!(
                "versions: expected versions such as \"14.1\", found \"{unknown}\""
            ));
        }
        self.pool_clock().err()
    }

    /// The pool's time zone (the system's if none is set), and the local time at which its clock starts: now if there is none.
    ///
    /// # Errors
    /// With a text that says what was expected.
    pub fn pool_clock(&self) -> Result<(TimeZone, Option<DateTime>), String> {
        let zone = match self.time_zone.as_deref() {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                format!("time_zone: expected a name such as \"Europe/Berlin\", found \"{name}\"")
            })?,
        };
        let Some(text) = self.clock_start.as_deref() else {
            return Ok((zone, None));
        };
        let civil: DateTime = text.parse().map_err(|_| {
            format!(
                "clock_start: expected a local time such as \"2026-03-14T02:30:00\", \
                 found \"{text}\""
            )
        })?;
        civil
            .to_zoned(zone.clone())
            .map_err(|error| error.to_string())?;
        Ok((zone, Some(civil)))
    }

    /// Whether a client may speak that version.
    #[must_use]
    pub fn speaks(&self, version: ProtocolVersion) -> bool {
        self.versions
            .iter()
            .any(|listed| listed == version.as_str())
    }

    /// When the pool recycles by itself, in one line.
    #[must_use]
    pub fn pool_text(&self) -> String {
        let recycling = &self.pool.recycling;
        let mut when = Vec::new();
        if !recycling.time.is_zero() {
            when.push(format!("every {}", format_duration(recycling.time)));
        }
        if !recycling.schedule.is_empty() {
            let times: Vec<String> = recycling.schedule.iter().map(ToString::to_string).collect();
            when.push(format!("at {}", times.join(", ")));
        }
        for (limit, unit) in [
            (recycling.requests, "requests"),
            (recycling.memory_kb, "kB of virtual memory"),
            (recycling.private_memory_kb, "kB of private memory"),
        ] {
            if limit > 0 {
                when.push(format!("at {limit} {unit}"));
            }
        }
        let when = match when.as_slice() {
            [] => "nothing recycles it".to_owned(),
            when => format!("recycles {}", when.join(", ")),
        };
        let source = match &self.pool_file {
            None => String::new(),
            Some(path) => format!(" from {}", path.display()),
        };
        format!(
            "{}{source}: {when}; shutdownTimeLimit {}",
            self.pool.name,
            format_duration(self.pool.process_model.shutdown_time_limit)
        )
    }

    /// What the mock assumes where no source says how Exchange behaves, one line each.
    #[must_use]
    pub fn assumptions(&self) -> Vec<String> {
        let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
        let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
        vec![
            "how a Ping strands: its front-end request is never completed".to_owned(),
            format!(
                "heap: {} at rest, {} kept per stranded request, a collection every {} of \
                 allocation, {:?} per MiB alive",
                mib(self.heap.base),
                kib(self.heap.per_stranded),
                mib(self.heap.budget),
                self.heap.pause_per_mib
            ),
            format!(
                "a worker begins {} requests at once, waits {:?} for a free port, and {:?} after \
                 its start until it works",
                self.threads, self.port_wait, self.warm_up
            ),
            format!(
                "Ping Commands Pending {} stranded Pings",
                if self.pending_counts_stranded {
                    "counts"
                } else {
                    "does not count"
                }
            ),
            "a back end that cannot be reached: 502; a user's eleventh request: 503; an older \
             Ping of the same device: Status 1"
                .to_owned(),
            format!("versions: {}", self.versions.join(",")),
        ]
    }
}

/// What a time scale means, for people: every output says it.
#[must_use]
pub fn time_scale_text(scale: f64) -> String {
    const CLOSE: f64 = 1e-9;
    if (scale - 1.0).abs() < CLOSE {
        return "pool life in real time (time_scale 1)".to_owned();
    }
    // Above a century a second the number alone says it.
    let second =
        Duration::try_from_secs_f64(scale).map_or_else(|_| format!("{scale} s"), format_duration);
    format!("1 s stands for {second} of pool life (time_scale {scale})")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests shorten most of these, so a wrong default would be seen by users only.
    #[test]
    fn defaults_are_those_of_exchange_2016() {
        let config = MockConfig::default();
        let seconds = Duration::from_secs;
        assert_eq!(config.min_heartbeat, seconds(60));
        assert_eq!(config.max_heartbeat, seconds(3540));
        assert_eq!(config.poll_interval, seconds(5));
        assert_eq!(config.error_response_delay, seconds(20));
        assert_eq!(config.dropped_after, seconds(120));
        assert_eq!(config.connection_timeout, seconds(120));
        assert_eq!(config.back_end_idle_timeout, seconds(120));
        assert_eq!(config.max_concurrency, 10);
        assert_eq!(config.max_devices, 100);
        assert_eq!(config.max_recipients, 500);
        assert_eq!(config.max_message_size, 10_485_760);
        assert_eq!(config.mailbox_quota, 2_469_396_480);
        assert_eq!(config.max_mailboxes, 100_000);
        assert_eq!(config.max_folders, 1000);
        assert_eq!(config.max_items, 100_000);
        assert_eq!(config.kept_items, 1000);
        assert_eq!(config.max_ping_folders, 1000);
        assert_eq!(config.max_window, 100);
        assert_eq!(config.ephemeral_ports.len(), 16_384);
        assert_eq!(config.pool, PoolSettings::exchange_2016());
        assert!(config.require_provisioning && config.gzip && !config.chunked && !config.fixed);
        assert_eq!(config.problem(), None);
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
