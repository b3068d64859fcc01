//! What a device has of a folder, and what is kept of its last Sync request.

use std::hash::{DefaultHasher, Hasher as _};

use eas::commands::{Elements, SyncOptions};
use jiff::Zoned;

use super::filter::Filter;
use super::folder::{Folder, View};
use super::limits::MAX_SYNC_KEY;
use super::log::DeviceNumber;
use super::outside::Outside;
use super::{Generation, ItemCommand, SyncPart, find};

/// What a device has of a folder.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) current: Generation,
    /// The key before: a client that lost the answer sends it again.
    pub(super) previous: Option<Generation>,
    /// End of the folder's log when the device began with key 0.
    pub(super) base: usize,
    /// The server has lost its keys: the device has to start again with key 0.
    pub(super) is_lost: bool,
    /// The last request's commands and what became of them: a repeated request does nothing again, and
    /// one with other commands is another request.
    pub(super) executed: Executed,
    /// The elements that the device manages, if it has said so.
    pub(super) supported: Option<Elements>,
    /// The options of the last request that had some.
    pub(super) options: SyncOptions,
    /// What the filter keeps from the device.
    pub(super) outside: Outside,
}

impl Collection {
    /// The server loses the keys. What the device has fetched stays known.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        self.executed = Executed::default();
    }

    /// Bytes of what is kept of the last request.
    #[cfg(test)]
    pub(super) fn executed_size(&self) -> usize {
        self.executed.size()
    }

    /// The device has every item that was created below this position, also if the last answer was lost.
    pub(super) fn fetched(&self) -> usize {
        let previous = self.previous.map_or(usize::MAX, |one| one.known);
        self.current.known.min(previous)
    }

    /// The device needs the folder's log from this position on; below it, only what is left of the
    /// items.
    pub(super) fn needs(&self) -> usize {
        if self.is_lost {
            return usize::MAX;
        }
        self.fetched().max(self.base)
    }

    pub(super) fn view(&self, device: DeviceNumber) -> View {
        self.view_from(self.current, device)
    }

    pub(super) fn filter(&self, folder: &Folder, now: &Zoned) -> Filter {
        Filter::new(self.options.filter, folder.class(), now)
    }

    pub(super) fn view_from(&self, generation: Generation, device: DeviceNumber) -> View {
        View {
            device,
            known: generation.known,
            base: self.base,
        }
    }
}

/// The last Sync request, without what the device did.
#[derive(Debug, Default)]
pub(super) struct LastSync {
    pub(super) parts: Vec<SyncPart>,
    pub(super) window: u16,
    pub(super) hang: Option<u32>,
}

impl LastSync {
    pub(super) fn new(parts: Vec<SyncPart>, window: u16, hang: Option<u32>) -> Self {
        Self {
            parts,
            window,
            hang,
        }
    }

    /// Its bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        super::text_size(&self.parts)
    }

    /// What the request says of a folder.
    pub(super) fn part(&self, folder: u32) -> Option<&SyncPart> {
        let id = folder.to_string();
        self.parts.iter().find(|part| part.id == id)
    }

    /// The part of the request that is kept: folders that are there, without what the device did. What a
    /// device sends cannot make it grow.
    pub(super) fn kept(mut self, folders: &[Folder]) -> Self {
        self.parts.retain(|part| find(folders, &part.id).is_some());
        for part in &mut self.parts {
            part.commands = Vec::new();
            // No key is as long: it stays a wrong one.
            part.key = part.key.chars().take(MAX_SYNC_KEY).collect();
        }
        self
    }
}

/// What became of a command, without what the command itself says. It takes the same few bytes whatever
/// the command holds, so it can be kept for a request that is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It went well, and the answer says nothing of it. Or it is a Fetch, which is done again.
    Silent,
    /// A new item: its number, and the number of the first attachment that came with it.
    Added(u32, u32),
    /// A changed draft: the number of the first attachment that came with the change.
    Changed(u32),
    /// A draft that was sent.
    Sent,
    /// It was refused with this status.
    Failed(u16),
}

/// The commands of a collection's last request, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Executed {
    /// Stands for the commands, which may hold megabytes.
    hash: u64,
    done: Vec<Done>,
}

impl Executed {
    pub(super) fn new(commands: &[ItemCommand], done: Vec<Done>) -> Self {
        Self {
            hash: hash(commands),
            done,
        }
    }

    /// Whether those are the commands.
    pub(super) fn is_of(&self, commands: &[ItemCommand]) -> bool {
        self.done.len() == commands.len() && self.hash == hash(commands)
    }

    /// Its bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.done.capacity() * size_of::<Done>()
    }

    /// What became of them, in their order.
    pub(super) fn done(&self) -> &[Done] {
        &self.done
    }
}

/// A device that sends other commands with the same hash gets a wrong answer: it harms itself alone.
fn hash(commands: &[ItemCommand]) -> u64 {
    let mut hasher = DefaultHasher::new();
    if !commands.is_empty() {
        // What cannot be serialised could not come from a worker.
        hasher.write(&postcard::to_allocvec(commands).unwrap_or_default());
    }
    hasher.finish()
}
