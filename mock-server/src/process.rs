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
