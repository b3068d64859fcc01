//! What a server writes down: event log, IIS log, HTTPERR log, performance log.

use std::fs::{File, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iis::RecycleReason;
use jiff::Zoned;
use parking_lot::Mutex;

use super::StartError;
use super::http::Refusal;
use super::note::RequestNote;
use super::was::{Lost, PoolLimits};
use crate::clock::PoolClock;
use crate::link::WireAnswer;
use crate::store;
use crate::surfaces::http_err::{self, FailedRequest, HttpErrLine, Reason};
use crate::surfaces::iis_log::{self, FolderClass, LogFolder, LogPart, RequestLine};
use crate::surfaces::{Event, HeartbeatAverage, PerfmonLog, PerfmonSample, Ring, events};

/// The web site that devices connect to, `Default Web Site`.
const FRONT_END_SITE: u32 = 1;

/// The logs of one server.
pub(super) struct Records {
    pool: String,
    clock: Arc<PoolClock>,
    address: SocketAddr,
    settings: PoolLimits,
    events: Mutex<Ring>,
    requests: Mutex<Ring>,
    errors: Mutex<Ring>,
    perfmon: Mutex<PerfmonLog>,
    heartbeats: Mutex<HeartbeatAverage>,
}

impl Records {
    /// Logs in memory, and in files of `folder` if there is one.
    pub(super) fn new(
        pool: &str,
        server: usize,
        address: SocketAddr,
        clock: Arc<PoolClock>,
        settings: PoolLimits,
        folder: Option<&Path>,
    ) -> Result<Self, StartError> {
        let file = |name: &str| -> Result<Option<File>, StartError> {
            let Some(folder) = folder else {
                return Ok(None);
            };
            let (stem, ending) = name.split_once('.').unwrap_or((name, "log"));
            let path = folder.join(format!("{stem}-{server}.{ending}"));
            let open = || {
                std::fs::create_dir_all(folder)?;
                OpenOptions::new().create(true).append(true).open(&path)
            };
            open().map(Some).map_err(|error| {
                StartError::Config(format!("cannot write {}: {error}", path.display()))
            })
        };
        let began = clock.now();
        let host = crate::worker::server_name(server);
        let zone = began.time_zone().iana_name().unwrap_or("UTC").to_owned();
        Ok(Self {
            pool: pool.to_owned(),
            events: Mutex::new(Ring::new(
                "event log",
                events::HEADER.to_owned(),
                file("events")?,
            )),
            requests: Mutex::new(Ring::new(
                "IIS log",
                iis_log::header(began.timestamp()),
                file("iis")?,
            )),
            errors: Mutex::new(Ring::new(
                "HTTPERR log",
                http_err::header(began.timestamp()),
                file("httperr")?,
            )),
            perfmon: Mutex::new(PerfmonLog::new(
                &host,
                pool,
                &zone,
                clock.scale(),
                file("perfmon.csv")?,
            )),
            heartbeats: Mutex::default(),
            address,
            clock,
            settings,
        })
    }

    /// Where devices connect.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn events(&self) -> String {
        self.events.lock().text()
    }

    pub(super) fn requests(&self) -> String {
        self.requests.lock().text()
    }

    pub(super) fn errors(&self) -> String {
        self.errors.lock().text()
    }

    pub(super) fn perfmon(&self) -> String {
        self.perfmon.lock().text()
    }

    pub(super) fn sampled(&self, sample: &PerfmonSample) {
        self.perfmon.lock().push(&self.clock.now(), sample);
    }

    fn event(&self, make: impl FnOnce(Zoned, &str) -> Event) {
        let event = make(self.clock.now(), &self.pool);
        self.events.lock().push(event);
    }

    /// Only reasons in `logEventOnRecycle` are written.
    pub(super) fn recycled(&self, reason: RecycleReason, pid: u32) {
        let settings = (self.settings)();
        let recycling = &settings.recycling;
        if !recycling.log_event_on_recycle.contains(reason) {
            return;
        }
        let amount = match reason {
            RecycleReason::Time => Some(text::format_duration(recycling.time)),
            RecycleReason::Requests => Some(format!("{} requests", recycling.requests)),
            RecycleReason::Memory => Some(format!("{} kB", recycling.memory_kb)),
            RecycleReason::PrivateMemory => Some(format!("{} kB", recycling.private_memory_kb)),
            _ => None,
        };
        self.event(|at, pool| {
            let (name, id) = (reason.as_str(), reason.event_id());
            Event::recycle(at, pool, pid, name, id, amount.as_deref())
        });
    }

    pub(super) fn shutdown_limit(&self, pid: u32) {
        let limit = (self.settings)().process_model.shutdown_time_limit;
        self.event(|at, pool| Event::shutdown_limit_exceeded(at, pool, pid, limit));
    }

    pub(super) fn idle(&self, pid: u32) {
        let limit = (self.settings)().process_model.idle_timeout;
        self.event(|at, pool| Event::idle_shutdown(at, pool, pid, limit));
    }

    pub(super) fn disabled(&self, crashes: usize) {
        let within = (self.settings)().failure.rapid_fail_protection_interval;
        let crashes = u32::try_from(crashes).unwrap_or(u32::MAX);
        self.event(|at, pool| Event::pool_disabled(at, pool, crashes, within));
    }

    pub(super) fn failed(&self, pid: u32) {
        self.event(|at, pool| Event::worker_died(at, pool, pid));
    }

    pub(super) fn no_pong(&self, pid: u32, limit: Duration) {
        self.event(|at, pool| Event::health_ping_failed(at, pool, pid, limit));
    }

    pub(super) fn overlap_failed(&self, pid: u32, error: &StartError) {
        self.event(|at, pool| Event::overlap_failed(at, pool, pid, error));
    }

    pub(super) fn recycle_failed(&self, pid: u32, error: &StartError) {
        self.event(|at, pool| Event::recycle_failed(at, pool, pid, error));
    }

    /// Windows writes both: the range is used up, and a port is wanted again too soon.
    pub(super) fn ports_exhausted(
        &self,
        ports: &std::ops::RangeInclusive<u16>,
        back_end: SocketAddr,
    ) {
        self.event(|at, _| Event::ports_exhausted(at, ports));
        self.event(|at, _| Event::local_port_reused(at, back_end));
    }

    /// A request was answered by an application.
    pub(super) fn completed(&self, note: &RequestNote, answer: &WireAnswer) {
        let noted = &note.inner;
        if let Some(seconds) = answer.log.heartbeat {
            let mut heartbeats = self.heartbeats.lock();
            if heartbeats.push(seconds) {
                let average = heartbeats.average();
                self.event(|at, _| Event::heartbeats_low(at, average));
            }
        }
        let ids: Vec<String> = answer.log.folders.iter().map(u32::to_string).collect();
        let folders: Vec<LogFolder<'_>> = ids
            .iter()
            .zip(&answer.log.folders)
            .map(|(id, folder)| LogFolder {
                id,
                class: folder_class(*folder),
            })
            .collect();
        let (stem, query) = noted.uri.split_once('?').unwrap_or((&noted.uri, ""));
        self.requests.lock().push(RequestLine {
            at: self.clock.timestamp(),
            server: self.address,
            client: client(noted.client),
            method: &noted.method,
            stem,
            query,
            user: answer.log.user.as_deref(),
            user_agent: noted.user_agent.as_deref(),
            status: answer.status,
            time_taken: noted.began.elapsed(),
            log: LogPart {
                version: answer.log.version.map(u16::from),
                folder_count: u32::try_from(folders.len()).ok().filter(|count| *count > 0),
                folders: &folders,
                heartbeat: answer.log.heartbeat,
            },
        });
    }

    /// A request had no answer of an application.
    pub(super) fn lost(&self, note: &RequestNote, lost: Lost) {
        self.error(
            Some(note),
            note.inner.client,
            match lost {
                Lost::QueueFull => Reason::QueueFull,
                Lost::Offline => Reason::AppOffline,
                Lost::Cut => Reason::ConnectionAbandonedByAppPool,
            },
        );
    }

    /// The client has been gone for long, and the worker has not finished.
    pub(super) fn dropped(&self, note: &RequestNote) {
        self.error(Some(note), note.inner.client, Reason::ConnectionDropped);
    }

    pub(super) fn idle_closed(&self, client: Option<SocketAddr>) {
        self.error(None, client, Reason::TimerConnectionIdle);
    }

    pub(super) fn refused(&self, client: Option<SocketAddr>, refusal: Refusal) {
        let reason = match refusal {
            Refusal::Verb => Reason::Verb,
            Refusal::Url => Reason::Url,
            Refusal::Header => Reason::Header,
            Refusal::Hostname => Reason::Hostname,
            Refusal::TooLong => Reason::RequestLength,
            Refusal::Version => Reason::VersionNotSupported,
            Refusal::Body => Reason::BadRequest,
            // It was understood, and refused by ASP.NET.
            Refusal::TooLarge => return,
        };
        self.error(None, client, reason);
    }

    fn error(&self, note: Option<&RequestNote>, peer: Option<SocketAddr>, reason: Reason) {
        let at = self.clock.timestamp();
        self.errors.lock().push(HttpErrLine {
            at,
            client: client(peer),
            server: self.address,
            request: note.map(|note| FailedRequest {
                version: "HTTP/1.1",
                method: &note.inner.method,
                uri: &note.inner.uri,
            }),
            site: note.map(|_| FRONT_END_SITE),
            reason,
            queue: note.map(|_| self.pool.as_str()),
        });
    }
}

/// What a folder of the mock's mailboxes holds.
const fn folder_class(folder: u32) -> FolderClass {
    match folder {
        store::CALENDAR => FolderClass::Calendar,
        store::CONTACTS => FolderClass::Contacts,
        store::TASKS => FolderClass::Tasks,
        _ => FolderClass::Email,
    }
}

/// In-memory clients of tests have no address.
fn client(address: Option<SocketAddr>) -> SocketAddr {
    address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
}
