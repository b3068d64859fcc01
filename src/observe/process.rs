//! This process: a harness that is overloaded measures itself.

use std::time::{Duration, SystemTime};

use scenario::names::Gauges;
use tokio::time::Instant;

/// Soft and hard limit of descriptors; the soft one is raised to the hard one. `None` where there
/// is no such limit.
#[must_use]
pub fn descriptors() -> Option<(u64, u64)> {
    // Without the right to raise it, the soft limit stays as it is and is what counts.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    rlimit::getrlimit(rlimit::Resource::NOFILE).ok()
}

/// Reads this process's figures once a second.
#[derive(Debug)]
pub struct HarnessProbe {
    last: Option<(Instant, Duration)>,
    /// When the wall clock and tokio's were looked at last.
    clocks: Option<(SystemTime, Instant)>,
}

impl Default for HarnessProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl HarnessProbe {
    /// A probe.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last: None,
            clocks: None,
        }
    }

    /// `harness.*`: resident bytes, descriptors, cores used since the last sample and their share of
    /// the machine's, by how much the wall clock was set since then, and how late this sample is,
    /// which is how late every timer of the process is.
    pub fn sample(&mut self, due: Instant) -> Gauges {
        let now = Instant::now();
        let mut gauges = Gauges::new();
        let lag = now.saturating_duration_since(due).as_secs_f64() * 1e3;
        gauges.insert("harness.lag_ms".to_owned(), lag);
        if let Some(bytes) = resident_bytes("self") {
            gauges.insert("harness.resident_bytes".to_owned(), bytes as f64);
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            gauges.insert("harness.descriptors".to_owned(), entries.count() as f64);
        }
        if let Some(cpu) = cpu_time("self") {
            if let Some((at, before)) = self.last {
                let elapsed = (now - at).as_secs_f64();
                if elapsed > 0.0 {
                    let used = cpu.saturating_sub(before).as_secs_f64();
                    gauges.insert("harness.cpu_cores".to_owned(), used / elapsed);
                    let cores = std::thread::available_parallelism().map_or(1, usize::from);
                    let share = used / elapsed / cores as f64;
                    gauges.insert("harness.cpu_share".to_owned(), share);
                }
            }
            self.last = Some((now, cpu));
        }
        let wall = SystemTime::now();
        if let Some((wall_before, before)) = self.clocks {
            let elapsed = (now - before).as_secs_f64();
            // A clock that was set back gives an error with the amount.
            let passed = wall
                .duration_since(wall_before)
                .map_or_else(|back| -back.duration().as_secs_f64(), |on| on.as_secs_f64());
            let step = (passed - elapsed).abs() * 1e3;
            gauges.insert("harness.clock_step_ms".to_owned(), step.round());
        }
        self.clocks = Some((wall, now));
        gauges
    }
}

/// Resident memory of a process, `self` for this one; Linux only.
#[must_use]
pub fn resident_bytes(pid: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Processor time of a process, `self` for this one; Linux only.
#[must_use]
pub fn cpu_time(pid: &str) -> Option<Duration> {
    /// `USER_HZ` of every Linux that Rust runs on.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1000 / TICKS_PER_SECOND,
    ))
}
