//! Sync and GetItemEstimate: keys, and what a device is told with them.

use std::collections::BTreeSet;

use eas::commands::{Elements, FilterType, SyncOptions};
use eas::status::{EstimateStatus, GlobalStatus};

use super::collection::{Collection, Done, Executed, LastSync};
use super::commands::Terms;
use super::filter::Filter;
use super::folder::{Folder, Room};
use super::limits::MAX_ANSWER;
use super::mailbox::find_number;
use super::outside::Outside;
use super::turn::Turn;
use super::{Device, Generation, ItemResponse, StoreReply, SyncOutcome, SyncPart, find, options};

/// Conflict: the client's change takes the place of the server's (ASCMD 2.2.3.34).
const CLIENT_WINS: u8 = 0;

/// How a request's key relates to those the server knows.
enum Key {
    /// The one that was given out last.
    Current,
    /// The one before: the answer was lost.
    Previous(Generation),
}

impl Turn<'_> {
    pub(super) fn sync(&mut self, mut request: LastSync, partial: bool) -> StoreReply {
        let is_allowed = |part: &SyncPart| {
            let class = find(self.folders, &part.id).and_then(Folder::class);
            options::are_allowed(part, class)
        };
        if !request.parts.iter().all(is_allowed) {
            return StoreReply::OptionsRefused;
        }
        if partial {
            if self.device.last_sync.parts.is_empty() {
                return StoreReply::NothingCached;
            }
            let mut rest = current_keys(self.device);
            rest.retain(|old| request.parts.iter().all(|new| new.id != old.id));
            request.parts.append(&mut rest);
        }
        let parts = request.parts.clone();
        self.device.last_sync = request.kept(self.folders);
        self.sync_parts(&parts)
    }

    /// With the keys that the request had: where an answer was lost on the way, they bring it
    /// again (Y2).
    pub(super) fn repeat_sync(&mut self) -> StoreReply {
        if self.device.last_sync.parts.is_empty() {
            return StoreReply::NothingCached;
        }
        let parts = self.device.last_sync.parts.clone();
        self.sync_parts(&parts)
    }

    fn sync_parts(&mut self, parts: &[SyncPart]) -> StoreReply {
        if !self.knows_hierarchy() {
            return StoreReply::HierarchyChanged;
        }
        let mut room = Room {
            changes: usize::from(self.device.last_sync.window),
            bytes: MAX_ANSWER,
        };
        let parts = parts.iter();
        let outcomes = parts.map(|part| self.sync_part(part, &mut room)).collect();
        StoreReply::Sync {
            outcomes,
            hang: self.device.last_sync.hang,
        }
    }

    fn sync_part(&mut self, part: &SyncPart, room: &mut Room) -> SyncOutcome {
        let Some(folder) = find(self.folders, &part.id) else {
            return SyncOutcome::NoFolder(part.id.clone());
        };
        let id = folder.record.id;
        if part.key == "0" {
            let options = part.options.clone().unwrap_or_default();
            let key = self.prime(id, options.clone(), part.supported.clone());
            return changes(part, key, Vec::new(), false, Vec::new(), options);
        }
        let Some(key) = self.key(id, &part.key) else {
            return SyncOutcome::BadKey(part.id.clone());
        };
        let done = self.executed(id, part, &key);
        let commands = part.commands.iter().zip(&done);
        let responses = commands.filter_map(|(one, done)| self.response(id, one, *done, room));
        let responses = responses.collect();
        let number = self.device.number;
        let (Some(folder), Some(collection)) = (
            find_number(self.folders, id),
            self.device.collections.get_mut(&id),
        ) else {
            return SyncOutcome::NoFolder(part.id.clone());
        };
        let changes_wanted = if part.get_changes {
            usize::from(part.window).min(room.changes)
        } else {
            0
        };
        let here = Room {
            changes: changes_wanted,
            ..*room
        };
        let filter = collection.filter(folder, &self.now);
        let (mut items, mut moved) = (BTreeSet::new(), BTreeSet::new());
        let next = match key {
            Key::Current => {
                let view = collection.view(number);
                let step = collection.outside.next(folder, view, here, &filter);
                (items, moved) = (step.items, step.moved);
                step.next
            }
            Key::Previous(previous) => {
                let here = Room {
                    changes: usize::MAX,
                    ..here
                };
                let view = collection.view_from(previous, number);
                let until = (collection.current.known, &filter);
                let next = collection.outside.again(folder, view, here, until);
                // Less, if the items have grown since: the device has not seen this key yet.
                collection.current.known = next.known;
                next
            }
        };
        room.changes = room.changes.saturating_sub(next.changes.len());
        room.bytes = room.bytes.saturating_sub(next.bytes);
        let more = part.get_changes && next.more;
        if matches!(key, Key::Current) {
            if next.changes.is_empty() && part.commands.is_empty() && !more {
                // Only what the device did itself was passed over.
                collection.current.known = next.known;
                collection.outside.pass_over(items);
                return SyncOutcome::Unchanged(id);
            }
            collection.outside.advance(items, moved);
            let current = Generation {
                key: collection.current.key.wrapping_add(1).max(1),
                known: next.known,
            };
            collection.previous = Some(std::mem::replace(&mut collection.current, current));
        }
        collection.executed = Executed::new(&part.commands, done);
        let key = collection.current.key;
        let options = collection.options.clone();
        changes(part, key, next.changes, more, responses, options)
    }

    /// Executes the commands of a request, unless it repeats the last one; what became of them.
    fn executed(&mut self, folder: u32, part: &SyncPart, key: &Key) -> Vec<Done> {
        let number = self.device.number;
        let Some(collection) = self.device.collections.get_mut(&folder) else {
            return Vec::new();
        };
        if let Some(options) = &part.options {
            collection.options.clone_from(options);
        }
        let generation = match key {
            Key::Current => collection.current,
            Key::Previous(_) if collection.executed.is_of(&part.commands) => {
                return collection.executed.done().to_vec();
            }
            Key::Previous(previous) => *previous,
        };
        let view = collection.view_from(generation, number);
        let server_wins = collection.options.conflict != Some(CLIENT_WINS);
        let contested = find_number(self.folders, folder)
            .filter(|_| server_wins && !part.commands.is_empty())
            .map(|folder| folder.changed_by_others(view));
        let terms = Terms {
            contested: contested.unwrap_or_default(),
            supported: collection.supported.clone(),
        };
        let commands = part.commands.iter();
        commands
            .map(|command| self.execute_command(folder, command, &terms))
            .collect()
    }

    /// Begins a collection anew; its first key.
    fn prime(&mut self, folder: u32, options: SyncOptions, supported: Option<Elements>) -> u32 {
        let key = self.fresh;
        let base = find_number(self.folders, folder).map_or(0, Folder::end);
        let collection = Collection {
            current: Generation { key, known: 0 },
            previous: None,
            base,
            is_lost: false,
            executed: Executed::default(),
            supported,
            options,
            outside: Outside::default(),
        };
        self.device.collections.insert(folder, collection);
        key
    }

    fn key(&self, folder: u32, sent: &str) -> Option<Key> {
        let collection = self.collection(folder)?;
        let (key, generation) = if collection.current.key.to_string() == sent {
            (Key::Current, collection.current)
        } else {
            let previous = collection.previous?;
            (Key::Previous(previous), previous)
        };
        if generation.key.to_string() != sent {
            return None;
        }
        let view = collection.view_from(generation, self.device.number);
        let folder = find_number(self.folders, folder)?;
        folder.serves(view).then_some(key)
    }

    /// What the device has of a folder, if its keys are still known.
    pub(super) fn collection(&self, folder: u32) -> Option<&Collection> {
        let collection = self.device.collections.get(&folder)?;
        (!collection.is_lost).then_some(collection)
    }

    /// Whether the server has lost the device's keys of that folder.
    pub(super) fn has_lost(&self, folder: u32) -> bool {
        let collection = self.device.collections.get(&folder);
        collection.is_some_and(|collection| collection.is_lost)
    }

    /// GetItemEstimate of a collection, with the filter of the request or of the last Sync.
    pub(super) fn estimate(
        &self,
        id: &str,
        key: &str,
        filter: Option<FilterType>,
    ) -> Result<u32, u16> {
        let folder = find(self.folders, id).ok_or(EstimateStatus::UnknownCollection.code())?;
        let collection = self.collection(folder.record.id);
        let collection = collection.ok_or(EstimateStatus::NotPrimed.code())?;
        let view = collection.view(self.device.number);
        if collection.current.key.to_string() != key || !folder.serves(view) {
            return Err(EstimateStatus::InvalidSyncKey.code());
        }
        // ASCMD 2.2.3.68.1
        if filter.is_some_and(|filter| !options::is_filter(filter)) {
            return Err(GlobalStatus::InvalidXml.code());
        }
        let filter = filter.or(collection.options.filter);
        let filter = Filter::new(filter, folder.class(), &self.now);
        let count = collection.outside.count(folder, view, &filter);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn changes(
    part: &SyncPart,
    key: u32,
    changes: Vec<super::Told>,
    more: bool,
    responses: Vec<ItemResponse>,
    options: SyncOptions,
) -> SyncOutcome {
    SyncOutcome::Changes {
        id: part.id.clone(),
        key: key.to_string(),
        changes,
        more,
        responses,
        options,
    }
}

/// The last Sync request with the keys the device has by now.
fn current_keys(device: &Device) -> Vec<SyncPart> {
    let mut parts = device.last_sync.parts.clone();
    for part in &mut parts {
        let id: u32 = part.id.parse().unwrap_or(0);
        let collection = device.collections.get(&id);
        if let Some(collection) = collection.filter(|one| !one.is_lost) {
            part.key = collection.current.key.to_string();
        }
    }
    parts
}
