//! Sync and GetItemEstimate: keys, and what a device is told with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use eas::commands::{Class, FilterType, ItemData, SyncOptions};
use eas::status::{EstimateStatus, GlobalStatus, SyncStatus};
use jiff::Zoned;

use super::filter::{Filter, Outside};
use super::folder::{Content, DeviceNumber, Folder, Item, Room, View};
use super::limits::MAX_ANSWER;
use super::mailbox::{Turn, find_number};
use super::{
    Device, Generation, ItemCommand, ItemResponse, StoreReply, SyncOutcome, SyncPart, find,
    folder_mut, options, place,
};

/// What a device has of a folder.
#[derive(Debug)]
pub(super) struct Collection {
    current: Generation,
    /// The key before: a client that lost the answer sends it again.
    previous: Option<Generation>,
    /// End of the folder's log when the device began with key 0.
    base: usize,
    /// The server has lost its keys: the device has to start again with key 0.
    is_lost: bool,
    /// The last request's commands and what they were answered with: a repeated request does nothing
    /// again, and one with other commands is another request.
    commands: Vec<ItemCommand>,
    responses: Vec<ItemResponse>,
    /// The options of the last request that had some.
    options: SyncOptions,
    /// What the filter keeps from the device.
    outside: Outside,
}

impl Collection {
    /// The server loses the keys. What the device has fetched stays known.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        (self.commands, self.responses) = (Vec::new(), Vec::new());
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
        Filter::new(self.options.filter, class_of(folder), now)
    }

    fn view_from(&self, generation: Generation, device: DeviceNumber) -> View {
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
    parts: Vec<SyncPart>,
    window: u16,
    hang: Option<u32>,
}

impl LastSync {
    pub(super) fn new(parts: Vec<SyncPart>, window: u16, hang: Option<u32>) -> Self {
        Self {
            parts,
            window,
            hang,
        }
    }
}

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
            let class = find(self.folders, &part.id).and_then(class_of);
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
        for part in &mut request.parts {
            part.commands.clear();
        }
        self.device.last_sync = request;
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
            let key = self.prime(id, options.clone());
            return changes(part, key, Vec::new(), false, Vec::new(), options);
        }
        let Some(key) = self.key(id, &part.key) else {
            return SyncOutcome::BadKey(part.id.clone());
        };
        let is_repeated = matches!(key, Key::Previous(_)) && self.has_executed(id, &part.commands);
        let responses = if is_repeated {
            Vec::new()
        } else {
            let commands = part.commands.iter();
            commands
                .filter_map(|command| self.execute_command(id, command, room))
                .collect()
        };
        let number = self.device.number;
        let (Some(folder), Some(collection)) = (
            find_number(self.folders, id),
            self.device.collections.get_mut(&id),
        ) else {
            return SyncOutcome::NoFolder(part.id.clone());
        };
        if let Some(options) = &part.options {
            collection.options.clone_from(options);
        }
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
        if !is_repeated {
            collection.commands.clone_from(&part.commands);
            collection.responses = responses;
        }
        let key = collection.current.key;
        let responses = collection.responses.clone();
        let options = collection.options.clone();
        changes(part, key, next.changes, more, responses, options)
    }

    /// Whether those are the commands of the last request.
    fn has_executed(&self, folder: u32, commands: &[ItemCommand]) -> bool {
        let collection = self.device.collections.get(&folder);
        collection.is_some_and(|collection| collection.commands == commands)
    }

    /// Begins a collection anew; its first key.
    fn prime(&mut self, folder: u32, options: SyncOptions) -> u32 {
        let key = self.fresh;
        let base = find_number(self.folders, folder).map_or(0, Folder::end);
        let collection = Collection {
            current: Generation { key, known: 0 },
            previous: None,
            base,
            is_lost: false,
            commands: Vec::new(),
            responses: Vec::new(),
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

    fn execute_command(
        &mut self,
        folder: u32,
        command: &ItemCommand,
        room: &mut Room,
    ) -> Option<ItemResponse> {
        let by = Some(self.device.number);
        match command {
            ItemCommand::Add(client_id, data) => {
                let class = find_number(self.folders, folder).and_then(class_of);
                // Clients make no mails (but drafts, from 16.0 on), and nothing that does not belong there.
                if data.class().is_none() || data.class() != class || class == Some(Class::Email) {
                    let status = SyncStatus::ConversionError;
                    return Some(ItemResponse::NotAdded(client_id.clone(), status.code()));
                }
                let content = Content::new(ItemData::clone(data));
                if !content.is_storable() {
                    let status = SyncStatus::ConversionError;
                    return Some(ItemResponse::NotAdded(client_id.clone(), status.code()));
                }
                if !self.has_room(folder, &content) {
                    let status = GlobalStatus::MailboxQuotaExceeded;
                    return Some(ItemResponse::NotAdded(client_id.clone(), status.code()));
                }
                let item = Item::new(Arc::new(content));
                let number = folder_mut(self.folders, folder)?.put(item, by);
                self.announce(folder, true);
                let id = format!("{folder}:{number}");
                Some(ItemResponse::Added(client_id.clone(), id))
            }
            ItemCommand::Change(id, change) if !self.has_room_for_change(id, change) => {
                let status = GlobalStatus::MailboxQuotaExceeded;
                Some(ItemResponse::NotChanged(id.clone(), status.code()))
            }
            ItemCommand::Change(id, change) => {
                let changed = place(id).and_then(|(at, number)| {
                    folder_mut(self.folders, at)?.change(number, change, by)
                });
                let status = match changed {
                    Some(true) => return None,
                    Some(false) => SyncStatus::ConversionError,
                    None => SyncStatus::ObjectNotFound,
                };
                Some(ItemResponse::NotChanged(id.clone(), status.code()))
            }
            ItemCommand::Draft(draft) => self.write_draft(folder, draft),
            ItemCommand::Delete(id) => {
                // What is gone already is as it should be.
                self.delete(id, self.deletes_as_moves(folder));
                None
            }
            ItemCommand::Fetch(id) => Some(match self.data(id) {
                // The answer is full: the device asks again.
                Some(_) if room.bytes == 0 => {
                    ItemResponse::NotFetched(id.clone(), SyncStatus::Retry.code())
                }
                Some((size, data)) => {
                    room.bytes = room.bytes.saturating_sub(size);
                    ItemResponse::Fetched(id.clone(), Box::new(data))
                }
                None => ItemResponse::NotFetched(id.clone(), SyncStatus::ObjectNotFound.code()),
            }),
        }
    }

    /// As the request that is being answered has it.
    fn deletes_as_moves(&self, folder: u32) -> bool {
        let mut parts = self.device.last_sync.parts.iter();
        let part = parts.find(|part| part.id == folder.to_string());
        part.is_none_or(|part| part.deletes_as_moves)
    }

    /// An item, and its bytes.
    fn data(&self, id: &str) -> Option<(usize, ItemData<'static>)> {
        let (folder, number) = place(id)?;
        let folder = find_number(self.folders, folder)?;
        Some((folder.content(number)?.text_size(), folder.data(number)?))
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
        let filter = Filter::new(filter, class_of(folder), &self.now);
        let count = collection.outside.count(folder, view, &filter);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

fn class_of(folder: &Folder) -> Option<Class> {
    eas::commands::FolderType(folder.record.folder_type).class()
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
