//! The log of what happened in a folder. Each entry has a position that never changes; a device's Sync
//! key stands for a position, and what comes after it is new to the device.
//!
//! Compaction drops what no device needs any more. Below [`Log::floor`] only the creation of items that
//! are still there is left, which is all that a device needs that starts with key 0.

/// A device of a mailbox, by number.
pub(super) type DeviceNumber = u32;

/// Entries of a folder that its devices have not passed yet. Beyond it the device that is farthest
/// behind has to start again with key 0. The log then takes some 3 MB.
pub(super) const MAX_ENTRIES: usize = 100_000;
/// A shorter log is not worth a compaction.
const SHORT: usize = 64;

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its position.
    pub(super) at: usize,
    pub(super) item: u32,
    pub(super) what: What,
    /// The device that did it, if one did.
    pub(super) by: Option<DeviceNumber>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Created,
    Changed,
    Deleted,
}

#[derive(Debug)]
pub(super) struct Log {
    /// By rising positions, with gaps where entries were dropped.
    entries: Vec<Entry>,
    /// Position of the next entry.
    end: usize,
    floor: usize,
    /// The length from which on a compaction is due.
    due: usize,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            end: 0,
            floor: 0,
            due: SHORT,
        }
    }
}

impl Log {
    /// Position of the next entry.
    pub(super) const fn end(&self) -> usize {
        self.end
    }

    /// Below this position only the creation of items that are still there is left.
    pub(super) const fn floor(&self) -> usize {
        self.floor
    }

    /// Adds an entry; its position.
    pub(super) fn push(&mut self, item: u32, what: What, by: Option<DeviceNumber>) -> usize {
        let at = self.end;
        self.end += 1;
        self.entries.push(Entry { at, item, what, by });
        at
    }

    /// The entries from that position on.
    pub(super) fn from(&self, known: usize) -> &[Entry] {
        let first = self.entries.partition_point(|entry| entry.at < known);
        &self.entries[first..]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a compaction would be worth its cost.
    pub(super) fn is_due(&self) -> bool {
        self.entries.len() >= self.due
    }

    /// Drops what nobody needs who has passed `passed`, and more if the log is too long.
    pub(super) fn compact(&mut self, passed: usize, is_there: impl Fn(u32) -> bool) {
        let passed = passed.max(self.floor).min(self.end);
        let unpassed = self.from(passed).len();
        let floor = if unpassed < MAX_ENTRIES {
            passed
        } else {
            // Half, so that it does not happen again with the next entry.
            self.entries[self.entries.len() - MAX_ENTRIES / 2].at
        };
        self.floor = floor;
        self.entries.retain(|entry| {
            entry.at >= floor || entry.what == What::Created && is_there(entry.item)
        });
        let length = self.entries.len();
        let full = length - self.from(floor).len() + MAX_ENTRIES;
        self.due = (2 * length).min(full).max(SHORT);
        self.entries.shrink_to(self.due);
    }
}
