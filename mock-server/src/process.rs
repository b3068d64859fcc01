//! What the operating system says of a worker process.

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Private and resident: Windows' Private Bytes.
    pub(crate) private: u64,
    /// Resident: Working Set.
    pub(crate) resident: u64,
    /// Address space: Virtual Bytes.
    pub(crate) virtual_bytes: u64,
}

/// From `/proc`, so `None` elsewhere than on Linux: a series that is absent is honest.
pub(crate) fn memory(pid: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(kilobytes << 10)
    };
    Some(Memory {
        private: field("RssAnon:")?,
        resident: field("VmRSS:")?,
        virtual_bytes: field("VmSize:")?,
    })
}

/// Open descriptors, which stand for handles.
pub(crate) fn handles(pid: u32) -> Option<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(entries.count() as u64)
}

/// Threads, and the start in seconds since 1970.
pub(crate) fn threads_and_start(pid: u32) -> Option<(u64, f64)> {
    /// `USER_HZ` of every Linux that Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, in brackets, may hold anything; fields are counted from behind it.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let threads = fields.get(17)?.parse().ok()?;
    let ticks: f64 = fields.get(19)?.parse().ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some((
        threads,
        boot.trim().parse::<f64>().ok()? + ticks / TICKS_PER_SECOND,
    ))
}

/// Counters of the host's TCP that concern all its connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpCounters {
    /// Connections that ended by a reset.
    pub(crate) reset: u64,
    /// Segments sent again.
    pub(crate) retransmitted: u64,
}

/// From `/proc/net/snmp`.
pub(crate) fn tcp_counters() -> Option<TcpCounters> {
    let text = std::fs::read_to_string("/proc/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| -> Option<u64> {
        let at = names.split(' ').position(|name| name == wanted)?;
        values.split(' ').nth(at)?.parse().ok()
    };
    Some(TcpCounters {
        reset: value("EstabResets")?,
        retransmitted: value("RetransSegs")?,
    })
}
