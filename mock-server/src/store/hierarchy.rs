//! The folder hierarchy, and what of it a device knows.

use std::collections::VecDeque;

use eas::commands::FolderType;

use super::FolderRecord;
use super::folder::Folder;
use super::limits::MAX_HIERARCHY_LOG;
use super::log::DeviceNumber;

/// Ids of folders that were made later begin here, beyond those of every mailbox.
pub(super) const FIRST_ID: u32 = 100;

/// What happened to the folders of a mailbox.
#[derive(Debug, Default)]
pub(super) struct Hierarchy {
    pub(super) log: VecDeque<Entry>,
    /// Entries before the log, which no device needs any more.
    pub(super) start: usize,
    made: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) folder: u32,
    pub(super) what: What,
    /// The device that did it, if one did.
    pub(super) by: Option<DeviceNumber>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Created,
    Updated,
    Deleted,
}

impl Hierarchy {
    /// The id that the next folder gets.
    pub(super) fn free_id(&self) -> u32 {
        FIRST_ID + self.made
    }

    /// A new folder of mail, or of that type; its id.
    pub(super) fn add(
        &mut self,
        folders: &mut Vec<Folder>,
        parent: u32,
        name: String,
        folder_type: Option<u8>,
        by: Option<DeviceNumber>,
    ) -> u32 {
        let id = self.free_id();
        self.made += 1;
        folders.push(Folder::new(FolderRecord {
            id,
            parent,
            name,
            folder_type: folder_type.unwrap_or(FolderType::USER_MAIL.0),
        }));
        self.note(id, What::Created, by);
        id
    }

    pub(super) fn note(&mut self, folder: u32, what: What, by: Option<DeviceNumber>) {
        self.log.push_back(Entry { folder, what, by });
    }

    /// How many changes there were.
    pub(super) fn end(&self) -> usize {
        self.start + self.log.len()
    }

    /// Whether [`tidy`](Self::tidy) would be worth its cost.
    pub(super) fn is_untidy(&self) -> bool {
        /// A shorter log needs no room worth speaking of.
        const SHORT: usize = 64;
        self.log.len() >= SHORT
    }

    /// Drops the changes that every device knows, and the oldest if there are too many. A device that
    /// needs one of these starts again with key 0.
    pub(super) fn tidy(&mut self, known: usize) {
        let passed = known.saturating_sub(self.start).min(self.log.len());
        let excess = self.log.len().saturating_sub(MAX_HIERARCHY_LOG);
        let dropped = passed.max(excess);
        self.log.drain(..dropped);
        self.start += dropped;
    }

    #[cfg(test)]
    pub(super) fn log_length(&self) -> usize {
        self.log.len()
    }
}

/// Whether a user may make folders of that type.
pub(crate) fn is_user_type(folder_type: u8) -> bool {
    /// User-created folders of every class (ASCMD 2.2.3.186.2).
    const USER_TYPES: [u8; 7] = [1, 12, 13, 14, 15, 16, 17];
    USER_TYPES.contains(&folder_type)
}
