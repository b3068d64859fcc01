//! Entries of the Windows event logs, in our own words: tools match source and id, and people
//! want pool, process and amount.

use std::fmt::{self, Display, Write as _};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Zoned;

use super::heartbeats;

/// Names the columns of an event's line.
pub(crate) const HEADER: &str = "time\tlog\tlevel\tsource\tid\tmessage";

/// Windows Process Activation Service: starts, recycles and ends workers.
const WAS: &str = "Microsoft-Windows-WAS";
const TCPIP: &str = "Tcpip";
const ACTIVE_SYNC: &str = "MSExchange ActiveSync";

/// The log an event stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    /// Windows itself, WAS and the TCP stack among it.
    System,
    /// Applications, Exchange among them.
    Application,
}

impl Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Application => "Application",
        })
    }
}

/// How serious an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// As configured.
    Information,
    /// Something was lost or will be.
    Warning,
    /// Something does not work.
    Error,
}

impl Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Information => "Information",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

/// One entry; displayed as one line with tabs between the columns of [`HEADER`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// When, in the pool's time zone.
    pub(crate) at: Zoned,
    /// Where it stands.
    pub(crate) log: Log,
    /// How serious it is.
    pub(crate) level: Level,
    /// Who wrote it.
    pub(crate) source: &'static str,
    /// Its number within the source.
    pub(crate) id: u32,
    /// Its text.
    pub(crate) message: String,
}

impl Event {
    /// A worker is recycled. `reason` and `id` are the flag of logEventOnRecycle and its event,
    /// 5074 to 5080 and 5117 (5079 and 5080 unconfirmed); `amount` is what was reached, such as
    /// `29 h` or `6291456 kB`. Not every flag is set: the caller asks before it writes.
    pub(crate) fn recycle(
        at: Zoned,
        pool: &str,
        pid: u32,
        reason: &str,
        id: u32,
        amount: Option<&str>,
    ) -> Self {
        let mut message = format!("pool {pool}: worker {pid} is recycled, reason {reason}");
        if let Some(amount) = amount {
            message.push_str(", reached ");
            message.push_str(amount);
        }
        Self::was(at, Level::Information, id, message)
    }

    /// A draining worker did not end within shutdownTimeLimit and was killed.
    pub(crate) fn shutdown_limit_exceeded(
        at: Zoned,
        pool: &str,
        pid: u32,
        limit: Duration,
    ) -> Self {
        let limit = Seconds(limit);
        let message =
            format!("pool {pool}: worker {pid} did not end within {limit} and was killed");
        Self::was(at, Level::Warning, 5013, message)
    }

    /// A worker ended because it had nothing to do for idleTimeout.
    pub(crate) fn idle_shutdown(at: Zoned, pool: &str, pid: u32, idle: Duration) -> Self {
        let idle = Seconds(idle);
        let message = format!("pool {pool}: worker {pid} was ended after {idle} without a request");
        Self::was(at, Level::Information, 5186, message)
    }

    /// Rapid-fail protection stopped the pool.
    pub(crate) fn pool_disabled(at: Zoned, pool: &str, failures: u32, within: Duration) -> Self {
        let within = Seconds(within);
        let message = format!("pool {pool}: stopped after {failures} failures within {within}");
        Self::was(at, Level::Error, 5002, message)
    }

    /// The successor of a worker could not be started, so the worker goes on. The level is our
    /// assumption.
    pub(crate) fn overlap_failed(at: Zoned, pool: &str, pid: u32, cause: impl Display) -> Self {
        let message = format!("pool {pool}: no successor for worker {pid}: {cause}");
        Self::was(at, Level::Error, 5093, message)
    }

    /// A recycle could not be carried out. The level is our assumption.
    pub(crate) fn recycle_failed(at: Zoned, pool: &str, pid: u32, cause: impl Display) -> Self {
        let message = format!("pool {pool}: worker {pid} cannot be recycled: {cause}");
        Self::was(at, Level::Error, 5070, message)
    }

    /// A worker did not answer WAS's health ping (nothing to do with EAS) within
    /// pingResponseTime. That a kill at that limit is reported by this event alone is
    /// unconfirmed.
    pub(crate) fn health_ping_failed(at: Zoned, pool: &str, pid: u32, limit: Duration) -> Self {
        let limit = Seconds(limit);
        let message =
            format!("pool {pool}: worker {pid} did not answer a health ping within {limit}");
        Self::was(at, Level::Warning, 5010, message)
    }

    /// A worker ended without being told to. That a crash is reported by this event, and not by
    /// 5009, is unconfirmed.
    pub(crate) fn worker_died(at: Zoned, pool: &str, pid: u32) -> Self {
        let message = format!("pool {pool}: worker {pid} broke off its link to WAS");
        Self::was(at, Level::Warning, 5011, message)
    }

    /// An outgoing connection failed because its local port was in use towards the same remote
    /// address a moment ago.
    pub(crate) fn local_port_reused(at: Zoned, remote: SocketAddr) -> Self {
        let message =
            format!("a connection to {remote} failed: its local port was used for one just before");
        Self::tcpip(at, 4227, message)
    }

    /// Every ephemeral port is in use.
    pub(crate) fn ports_exhausted(at: Zoned, ports: &RangeInclusive<u16>) -> Self {
        let (first, last) = (ports.start(), ports.end());
        let count = ports.len();
        let message = format!("all {count} ephemeral ports from {first} to {last} are in use");
        Self::tcpip(at, 4231, message)
    }

    /// Devices ask for short heartbeats; `average` in seconds is what
    /// [`HeartbeatAverage`](heartbeats::HeartbeatAverage) says when it calls the event due.
    pub(crate) fn heartbeats_low(at: Zoned, average: u32) -> Self {
        let (sample, threshold) = (heartbeats::SAMPLE, heartbeats::THRESHOLD);
        let message = format!(
            "the last {sample} heartbeats average {average} s, not more than {threshold} s: \
             something may cut long requests"
        );
        Self {
            at,
            log: Log::Application,
            level: Level::Warning,
            source: ACTIVE_SYNC,
            id: 3033,
            message,
        }
    }

    fn was(at: Zoned, level: Level, id: u32, message: String) -> Self {
        Self {
            at,
            log: Log::System,
            level,
            source: WAS,
            id,
            message,
        }
    }

    /// The severity bits of both status codes (0x80001083, 0x80001087) say warning.
    fn tcpip(at: Zoned, id: u32, message: String) -> Self {
        Self {
            at,
            log: Log::System,
            level: Level::Warning,
            source: TCPIP,
            id,
            message,
        }
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%S%:z");
        let (log, level, source, id) = (self.log, self.level, self.source, self.id);
        write!(f, "{at}\t{log}\t{level}\t{source}\t{id}\t")?;
        // A pool's name or an error's text may hold line ends.
        for c in self.message.chars() {
            f.write_char(if c.is_control() { ' ' } else { c })?;
        }
        Ok(())
    }
}

/// A duration as seconds, fractions only if it has some: a time scale makes short ones.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::{TimeZone, offset};

    use super::*;

    const POOL: &str = "MSExchangeSyncAppPool";

    fn at() -> Zoned {
        let zone = TimeZone::fixed(offset(1));
        let time = date(2026, 3, 14).at(3, 0, 0, 999_000_000);
        time.to_zoned(zone).unwrap()
    }

    #[test]
    fn a_recycle_names_reason_and_amount() {
        let event = Event::recycle(at(), POOL, 4712, "Requests", 5075, Some("100000 requests"));
        assert_eq!(
            event.to_string(),
            "2026-03-14T03:00:00+01:00\tSystem\tInformation\tMicrosoft-Windows-WAS\t5075\t\
             pool MSExchangeSyncAppPool: worker 4712 is recycled, reason Requests, \
             reached 100000 requests"
        );
        let event = Event::recycle(at(), POOL, 4712, "OnDemand", 5079, None);
        assert!(event.to_string().ends_with("recycled, reason OnDemand"));
    }

    #[test]
    fn lines_in_full() {
        let pid = 4712;
        let remote = SocketAddr::from(([10, 0, 0, 5], 444));
        let second = Duration::from_secs;
        let events = [
            Event::shutdown_limit_exceeded(at(), POOL, pid, second(90)),
            Event::idle_shutdown(at(), POOL, pid, second(1200)),
            Event::pool_disabled(at(), POOL, 5, Duration::from_millis(250)),
            Event::overlap_failed(at(), POOL, pid, "not ready in time"),
            Event::recycle_failed(at(), POOL, pid, "stopped"),
            Event::health_ping_failed(at(), POOL, pid, second(90)),
            Event::worker_died(at(), POOL, pid),
            Event::local_port_reused(at(), remote),
            Event::ports_exhausted(at(), &(49152..=65535)),
            Event::heartbeats_low(at(), 480),
        ];
        let lines = events.map(|event| event.to_string().replacen(&at_text(), "", 1));
        assert_eq!(
            lines.join("\n"),
            "\
System\tWarning\tMicrosoft-Windows-WAS\t5013\tpool MSExchangeSyncAppPool: worker 4712 did not end \
within 90 s and was killed
System\tInformation\tMicrosoft-Windows-WAS\t5186\tpool MSExchangeSyncAppPool: worker 4712 was \
ended after 1200 s without a request
System\tError\tMicrosoft-Windows-WAS\t5002\tpool MSExchangeSyncAppPool: stopped after 5 failures \
within 0.25 s
System\tError\tMicrosoft-Windows-WAS\t5093\tpool MSExchangeSyncAppPool: no successor for worker \
4712: not ready in time
System\tError\tMicrosoft-Windows-WAS\t5070\tpool MSExchangeSyncAppPool: worker 4712 cannot be \
recycled: stopped
System\tWarning\tMicrosoft-Windows-WAS\t5010\tpool MSExchangeSyncAppPool: worker 4712 did not \
answer a health ping within 90 s
System\tWarning\tMicrosoft-Windows-WAS\t5011\tpool MSExchangeSyncAppPool: worker 4712 broke off \
its link to WAS
System\tWarning\tTcpip\t4227\ta connection to 10.0.0.5:444 failed: its local port was used for \
one just before
System\tWarning\tTcpip\t4231\tall 16384 ephemeral ports from 49152 to 65535 are in use
Application\tWarning\tMSExchange ActiveSync\t3033\tthe last 200 heartbeats average 480 s, not \
more than 540 s: something may cut long requests"
        );
    }

    fn at_text() -> String {
        "2026-03-14T03:00:00+01:00\t".to_owned()
    }

    #[test]
    fn one_event_is_one_line_of_six_columns() {
        let event = Event::overlap_failed(at(), "a\tb\nc", 1, "x\r\ny");
        let line = event.to_string();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(line.split('\t').count(), HEADER.split('\t').count());
    }
}
