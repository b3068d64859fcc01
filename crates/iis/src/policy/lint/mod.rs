//! What is wrong with a pool's recycling settings, as advice.

mod file;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

use super::explain::{cut_share, memory};
use super::rules::Rule;
use super::time_text;
use crate::{LoadBalancerCapabilities, Origin, Pool, RecycleReason};

pub use file::unreadable;

/// How bad a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Probably not what was meant, or it will be felt.
    Warning,
    /// It does harm, or does not do what it is for.
    Error,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Note, Self::Warning, Self::Error];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Versions of Exchange, as far as KB 4337638 tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// Not said.
    Unknown,
    /// 2013, or 2016 before Cumulative Update 11.
    Affected,
    /// 2016 from Cumulative Update 11 on, or 2019.
    Fixed,
}

/// What is known of the server beside its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Its version.
    pub exchange: Exchange,
    /// How many devices it serves, if that was said.
    pub devices: Option<u32>,
    /// Shortest and longest heartbeat of its devices, in seconds.
    pub heartbeat: (u32, u32),
    /// When people work.
    pub office: (Time, Time),
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its rule.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What there is, and what it does.
    pub message: String,
    /// What to do about it.
    pub advice: String,
    /// The setting, or `element@attribute`.
    pub setting: Cow<'static, str>,
    /// File, as it was named.
    pub file: String,
    /// Line of the setting, if the file has it.
    pub line: Option<usize>,
}

const TIME: &str = "recycling.periodicRestart.time";
const REQUESTS: &str = "recycling.periodicRestart.requests";
const MEMORY: &str = "recycling.periodicRestart.memory";
const PRIVATE: &str = "recycling.periodicRestart.privateMemory";
const SCHEDULE: &str = "recycling.periodicRestart.schedule";
const LOGGED: &str = "recycling.logEventOnRecycle";
const OVERLAP: &str = "recycling.disallowOverlappingRotation";
const CONFIG_CHANGE: &str = "recycling.disallowRotationOnConfigChange";
const SHUTDOWN: &str = "processModel.shutdownTimeLimit";
const STARTUP: &str = "processModel.startupTimeLimit";
const DAY: u64 = 86_400;

/// Lints the pool of one file.
#[must_use]
pub fn lint(file: &str, pool: &Pool, context: &Context) -> Vec<Finding> {
    let mut linter = Linter {
        file,
        pool,
        context,
        findings: Vec::new(),
    };
    linter.refused();
    linter.whether_it_recycles();
    linter.when();
    linter.memory_and_requests();
    linter.what_it_costs();
    linter.overlap();
    linter.logging();
    linter.failure();
    linter.process();
    let mut findings = linter.findings;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Lints what only several servers together show.
#[must_use]
pub fn lint_together(pools: &[(String, Pool)]) -> Vec<Finding> {
    let mut times: BTreeMap<Time, Vec<&(String, Pool)>> = BTreeMap::new();
    for entry in pools {
        for time in &entry.1.settings.recycling.schedule {
            times.entry(*time).or_default().push(entry);
        }
    }
    let same = times.into_iter().filter(|(_, servers)| servers.len() > 1);
    same.map(|(time, servers)| {
        let files: Vec<&str> = servers.iter().map(|(file, _)| file.as_str()).collect();
        let (file, pool) = servers[0];
        Finding {
            rule: rule("same-time"),
            severity: Severity::Warning,
            message: format!(
                "{} servers recycle at {}: {}. All their devices come back at once, and none of the \
                 servers can take over for another",
                files.len(),
                time_text(&time),
                files.join(", ")
            ),
            advice: "shift the times by at least half an hour from server to server".to_owned(),
            setting: SCHEDULE.into(),
            file: file.clone(),
            line: line(pool, SCHEDULE),
        }
    })
    .collect()
}

/// The rule's name; a rule that is not in the table cannot be looked up by users.
fn rule(id: &'static str) -> &'static str {
    debug_assert!(Rule::find(id).is_some(), "{id} is not in the table");
    id
}

fn line(pool: &Pool, setting: &str) -> Option<usize> {
    match pool.origins.get(setting)? {
        Origin::Schema => None,
        Origin::Defaults { line } | Origin::Pool { line } => Some(*line),
    }
}

struct Linter<'a> {
    file: &'a str,
    pool: &'a Pool,
    context: &'a Context,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn add(
        &mut self,
        id: &'static str,
        severity: Severity,
        setting: &'static str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.findings.push(Finding {
            rule: rule(id),
            severity,
            message: message.into(),
            advice: advice.into(),
            setting: setting.into(),
            file: self.file.to_owned(),
            line: line(self.pool, setting),
        });
    }

    fn periodic(&self) -> bool {
        let recycling = &self.pool.settings.recycling;
        !recycling.time.is_zero() || !recycling.schedule.is_empty()
    }

    fn recycles(&self) -> bool {
        let recycling = &self.pool.settings.recycling;
        self.periodic()
            || recycling.requests > 0
            || recycling.memory_kb > 0
            || recycling.private_memory_kb > 0
    }

    fn whether_it_recycles(&mut self) {
        let recycles = self.recycles();
        match (self.context.exchange, recycles) {
            (Exchange::Affected, false) => self.add(
                "no-recycle",
                Severity::Error,
                TIME,
                "nothing recycles this pool, and this Exchange version strands Pings: within weeks \
                 Active Requests, memory and ports run up until phones cannot connect",
                "add a daily time outside office hours, such as <schedule><add value=\"03:00:00\" />\
                 </schedule> in <periodicRestart>; keep time=\"00:00:00\"",
            ),
            (Exchange::Unknown, false) => self.add(
                "no-recycle",
                Severity::Warning,
                TIME,
                "nothing recycles this pool, as Exchange ships it. On Exchange 2013, and on 2016 before \
                 Cumulative Update 11, stranded Pings then gather for weeks until phones cannot connect",
                "say which Exchange it is with --exchange; if it is affected, add a daily time outside \
                 office hours",
            ),
            (Exchange::Fixed, true) => self.add(
                "fixed",
                Severity::Note,
                TIME,
                "this version has Microsoft's fix (Exchange 2016 Cumulative Update 11), so the pool need \
                 not be recycled for stranded Pings any more, and each recycle still cuts held Pings",
                "take the recycling out after the update, and watch Active Requests for some weeks",
            ),
            (Exchange::Affected | Exchange::Unknown, true) => self.add(
                "health-checker",
                Severity::Note,
                if self.pool.settings.recycling.schedule.is_empty() {
                    TIME
                } else {
                    SCHEDULE
                },
                "Microsoft's HealthChecker will show this recycling in red as a mistake that disturbs \
                 users; the KB article asks for it on the affected versions. Both are right: it \
                 disturbs, and without it the pool fails",
                "write the KB number (4337638) where colleagues look before they take it out",
            ),
            (Exchange::Fixed, false) => {}
        }
    }

    fn when(&mut self) {
        let recycling = &self.pool.settings.recycling;
        let (time, schedule) = (recycling.time, recycling.schedule.clone());
        /// The KB speaks of days or weeks; a fortnight is no margin.
        const LONG: u64 = 14 * DAY;
        /// More often than this, some Pings are cut in every one of their heartbeats.
        const SHORT: u64 = 3600;
        let seconds = time.as_secs();
        if !time.is_zero() && !schedule.is_empty() {
            let inherited = !matches!(self.pool.origins.get(TIME), Some(Origin::Pool { .. }));
            self.add(
                "two-clocks",
                Severity::Warning,
                TIME,
                format!(
                    "the pool is recycled by schedule and also whenever its worker is {} old{}: the \
                     second comes at times that nobody chose",
                    format_duration(time),
                    if inherited {
                        ", which the pool inherits"
                    } else {
                        ""
                    }
                ),
                "set time=\"00:00:00\" in <periodicRestart> and leave the schedule",
            );
        }
        if seconds >= LONG {
            self.add(
                "interval-long",
                Severity::Warning,
                TIME,
                format!(
                    "a recycle every {} leaves no margin: the symptom shows after days or weeks",
                    format_duration(time)
                ),
                "recycle daily, or at least every week, and measure how far Active Requests rise",
            );
        } else if seconds > 0 && seconds < SHORT {
            self.add(
                "interval-short",
                Severity::Error,
                TIME,
                format!(
                    "a recycle every {} cuts nearly every Ping in each of its heartbeats: devices do \
                     little else than connect anew",
                    format_duration(time)
                ),
                "recycle once a day",
            );
        }
        if (SHORT..LONG).contains(&seconds) {
            if seconds.is_multiple_of(DAY) {
                self.add(
                    "interval-follows-start",
                    Severity::Note,
                    TIME,
                    format!(
                        "a recycle every {} comes at the time of day at which the worker happened to \
                         start, and after a reboot at another",
                        format_duration(time)
                    ),
                    "a <schedule> says the time of day",
                );
            } else {
                self.add(
                    "interval-drifts",
                    Severity::Warning,
                    TIME,
                    format!(
                        "a recycle every {} comes at another time each day, and so in office hours on \
                         some of them",
                        format_duration(time)
                    ),
                    "use a <schedule> with a time outside office hours and time=\"00:00:00\"",
                );
            }
        }
        self.times_of_day(&schedule, SHORT);
    }

    fn times_of_day(&mut self, schedule: &[Time], short: u64) {
        let (opens, closes) = self.context.office;
        let busy: Vec<String> = schedule
            .iter()
            .filter(|time| **time >= opens && **time < closes)
            .map(time_text)
            .collect();
        if !busy.is_empty() {
            self.add(
                "office-hours",
                Severity::Warning,
                SCHEDULE,
                format!(
                    "a recycle at {} is in office hours ({} to {}): devices are cut and come back all \
                     at once while people wait for mail",
                    busy.join(", "),
                    opens.strftime("%H:%M"),
                    closes.strftime("%H:%M")
                ),
                "move it to the night; --office-hours says when people work here",
            );
        }
        let hour = |hour: i8| jiff::civil::time(hour, 0, 0, 0);
        let doubtful: Vec<String> = schedule
            .iter()
            .filter(|time| (hour(1)..hour(3)).contains(*time))
            .map(time_text)
            .collect();
        if !doubtful.is_empty() {
            self.add(
                "clock-change",
                Severity::Note,
                SCHEDULE,
                format!(
                    "{} does not exist, or comes twice, on the days of the change to and from summer \
                     time in many time zones; what IIS does then is not documented",
                    doubtful.join(", ")
                ),
                "03:00:00 to 05:00:00 is quiet as well and has no such doubt",
            );
        }
        let seconds = |time: &Time| {
            time.duration_since(Time::midnight())
                .as_secs()
                .unsigned_abs()
        };
        let near = schedule.iter().enumerate().find_map(|(index, time)| {
            let next = schedule.get(index + 1)?;
            (seconds(next) - seconds(time) < short).then_some((*time, *next))
        });
        if let Some((first, second)) = near {
            self.add(
                "interval-short",
                Severity::Warning,
                SCHEDULE,
                format!(
                    "{} and {} are less than an hour apart: the second recycle cuts devices that have \
                     just come back",
                    time_text(&first),
                    time_text(&second)
                ),
                "once a night is enough",
            );
        }
    }

    fn memory_and_requests(&mut self) {
        let recycling = &self.pool.settings.recycling;
        let (private, virtual_kb, requests) = (
            recycling.private_memory_kb,
            recycling.memory_kb,
            recycling.requests,
        );
        /// A w3wp of this pool needs more than this with nobody connected.
        const FEW_KB: u64 = 256 << 10;
        /// A tebibyte: whoever writes this meant bytes.
        const MANY_KB: u64 = 1 << 30;
        if private > 0 && private < FEW_KB {
            self.add(
                "private-memory-unit",
                Severity::Error,
                PRIVATE,
                format!(
                    "privateMemory=\"{private}\" is in kilobytes and means {}: the worker reaches it as \
                     soon as it has started, and is recycled over and over",
                    memory(private)
                ),
                format!(
                    "if {private} megabytes were meant, write {}",
                    private.saturating_mul(1024)
                ),
            );
        } else if private >= MANY_KB {
            self.add(
                "private-memory-unit",
                Severity::Warning,
                PRIVATE,
                format!(
                    "privateMemory=\"{private}\" is in kilobytes and means {}, which no worker reaches",
                    memory(private)
                ),
                format!("if {private} bytes were meant, write {}", private / 1024),
            );
        }
        if virtual_kb > 0 {
            self.add(
                "virtual-memory",
                Severity::Warning,
                MEMORY,
                format!(
                    "memory=\"{virtual_kb}\" ({}) limits virtual memory, of which a 64-bit .NET process \
                     reserves far more than it uses: it comes at the wrong time, mostly at once",
                    memory(virtual_kb)
                ),
                "limit privateMemory instead",
            );
        }
        if requests > 0 {
            let pace = self.context.devices.map(|devices| {
                // Every heartbeat is a request, and each counts in both applications of the pool.
                let per_day = 2.0 * f64::from(devices) * DAY as f64
                    / f64::from(self.context.heartbeat.1.max(1));
                format!(
                    "; {devices} devices that only hold Pings of {} s reach it in {:.1} days",
                    self.context.heartbeat.1,
                    requests as f64 / per_day
                )
            });
            self.add(
                "requests-limit",
                Severity::Warning,
                REQUESTS,
                format!(
                    "requests=\"{requests}\" counts requests that were served: a stranded Ping never \
                     is, so the limit comes with the load and not with what gathers{}",
                    pace.unwrap_or_default()
                ),
                "use a <schedule>",
            );
        }
    }

    fn what_it_costs(&mut self) {
        let limit = self.pool.settings.process_model.shutdown_time_limit;
        let (shortest, longest) = self.context.heartbeat;
        if self.recycles() {
            let many = self.context.devices.map_or_else(String::new, |devices| {
                let cut = u64::from(devices) * cut_share(limit, longest) / 100;
                format!(
                    ": up to {cut} of {devices} devices lose theirs and connect anew within seconds"
                )
            });
            self.add(
                "pings-cut",
                Severity::Note,
                SHUTDOWN,
                format!(
                    "each recycle cuts the Pings that have more than {} left, {} % of those with a \
                     heartbeat of {shortest} s and {} % of those with {longest} s{many}",
                    format_duration(limit),
                    cut_share(limit, shortest),
                    cut_share(limit, longest),
                ),
                "there is no setting that spares them: a longer limit only keeps the old worker, and \
                 what is stranded in it, alive for longer",
            );
        }
        /// Exchange itself may hold a throttled request this long, and a large Sync takes as long.
        const SHORTEST: Duration = Duration::from_secs(45);
        /// What the old worker holds, it holds so long beside the new one.
        const LONGEST: Duration = Duration::from_secs(600);
        if limit < SHORTEST {
            self.add(
                "shutdown-short",
                Severity::Warning,
                SHUTDOWN,
                format!(
                    "the old worker is killed after {}: Syncs and sent mail that take longer are cut in \
                     the middle",
                    format_duration(limit)
                ),
                "leave the default of 00:01:30",
            );
        } else if limit > LONGEST {
            self.add(
                "shutdown-long",
                Severity::Warning,
                SHUTDOWN,
                format!(
                    "a stranded Ping never ends, so after each recycle the old worker lives on for {} \
                     with all its memory, ports and CLOSE_WAIT sockets beside the new one",
                    format_duration(limit)
                ),
                "leave the default of 00:01:30",
            );
        }
        /// A cold Exchange worker compiles and loads for tens of seconds.
        const STARTUP_LEAST: Duration = Duration::from_secs(60);
        let startup = self.pool.settings.process_model.startup_time_limit;
        if startup < STARTUP_LEAST {
            self.add(
                "startup-short",
                Severity::Warning,
                STARTUP,
                format!(
                    "a new worker is killed if it is not ready within {}; on a busy server a cold start \
                     takes longer",
                    format_duration(startup)
                ),
                "leave the default of 00:01:30",
            );
        }
    }

    fn overlap(&mut self) {
        let settings = &self.pool.settings;
        let (queue, limit) = (
            settings.queue_length,
            settings.process_model.shutdown_time_limit,
        );
        let devices = self.context.devices;
        if settings.recycling.disallow_overlapping_rotation && self.recycles() {
            self.add(
                "no-overlap",
                Severity::Error,
                OVERLAP,
                format!(
                    "with disallowOverlappingRotation=\"true\" nobody serves from the recycle until the \
                     old worker has gone, and with a stranded Ping in it that takes all of {}; \
                     requests wait, and from the {}th on are refused with 503",
                    format_duration(limit),
                    u64::from(queue) + 1
                ),
                "set it to false, as Exchange ships it",
            );
        }
        if let Some(devices) = devices.filter(|devices| *devices > queue) {
            self.add(
                "herd",
                Severity::Note,
                "queueLength",
                format!(
                    "up to {devices} devices come back at once, and {queue} requests fit into the queue \
                     if the new worker is not fast enough; the others are refused with 503 and try again"
                ),
                "let `easload run` measure it before the queue is made longer",
            );
        }
    }

    fn logging(&mut self) {
        let recycling = &self.pool.settings.recycling;
        let in_force = [
            (RecycleReason::Time, !recycling.time.is_zero()),
            (RecycleReason::Schedule, !recycling.schedule.is_empty()),
            (RecycleReason::Requests, recycling.requests > 0),
            (RecycleReason::Memory, recycling.memory_kb > 0),
            (
                RecycleReason::PrivateMemory,
                recycling.private_memory_kb > 0,
            ),
        ];
        let missing: Vec<&str> = in_force
            .into_iter()
            .filter(|(reason, there)| *there && !recycling.log_event_on_recycle.contains(*reason))
            .map(|(reason, _)| reason.as_str())
            .collect();
        if !missing.is_empty() {
            self.add(
                "not-logged",
                Severity::Warning,
                LOGGED,
                format!(
                    "a recycle by {} leaves no event in the System log, so nobody can tell that it \
                     happened",
                    missing.join(", ")
                ),
                format!("add {} to logEventOnRecycle", missing.join(", ")),
            );
        }
        if !recycling.disallow_rotation_on_config_change {
            self.add(
                "config-change",
                Severity::Note,
                CONFIG_CHANGE,
                "a change of this pool's configuration recycles it at once, at whatever hour it is made",
                "make changes at night, or set disallowRotationOnConfigChange=\"true\"",
            );
        }
    }

    fn failure(&mut self) {
        let failure = &self.pool.settings.failure;
        if failure.rapid_fail_protection {
            self.add(
                "rapid-fail",
                Severity::Warning,
                "failure.rapidFailProtection",
                format!(
                    "{} crashes within {} stop the pool, and from then on every phone gets 503 until \
                     somebody starts it again; Exchange ships it off",
                    failure.rapid_fail_protection_max_crashes,
                    format_duration(failure.rapid_fail_protection_interval)
                ),
                "set rapidFailProtection=\"false\" and watch for crashes instead",
            );
        }
        if failure.load_balancer_capabilities == LoadBalancerCapabilities::TcpLevel {
            self.add(
                "tcp-level",
                Severity::Note,
                "failure.loadBalancerCapabilities",
                "refused clients see a closed connection and no 503: phones that honour Retry-After \
                 cannot, and a balancer that looks at HTTP sees a dead server",
                "HttpLevel is the default, and what Exchange ships",
            );
        }
    }

    fn process(&mut self) {
        let process = &self.pool.settings.process_model;
        let (idle, pings, answer, workers) = (
            process.idle_timeout,
            process.pinging_enabled,
            process.ping_response_time,
            process.max_processes,
        );
        if !idle.is_zero() {
            self.add(
                "idle-timeout",
                Severity::Note,
                "processModel.idleTimeout",
                format!(
                    "a worker without a request for {} ends, and the next device waits for a cold \
                     start; a held Ping is a request, so this comes only where there are hardly any \
                     devices. Exchange ships 00:00:00",
                    format_duration(idle)
                ),
                "set idleTimeout=\"00:00:00\"",
            );
        }
        if pings {
            self.add(
                "health-ping",
                Severity::Note,
                "processModel.pingingEnabled",
                format!(
                    "IIS kills a worker that does not answer its health ping within {}: with a heap full \
                     of stranded requests, collections may take as long, and all held Pings are lost at \
                     a time that nobody chose. Exchange ships it off",
                    format_duration(answer)
                ),
                "set pingingEnabled=\"false\"",
            );
        }
        if workers != 1 {
            self.add(
                "web-garden",
                Severity::Warning,
                "processModel.maxProcesses",
                format!(
                    "maxProcesses=\"{workers}\": several workers share the devices, each with a start, an \
                     age and memory of its own, and are recycled apart; Exchange ships 1"
                ),
                "set maxProcesses=\"1\"",
            );
        }
    }
}

#[cfg(test)]
mod tests;
