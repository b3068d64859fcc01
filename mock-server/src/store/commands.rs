//! What a device does with items in a Sync.

use std::collections::HashSet;
use std::sync::Arc;

use eas::commands::{AddedAttachment, Class, Elements, ItemChange, ItemData};
use eas::status::{GlobalStatus, SyncStatus};
use eas::wbxml::{Tag, air_sync_base};

use super::collection::Done;
use super::content::Content;
use super::folder::{Folder, Item, Room};
use super::mailbox::find_number;
use super::turn::Turn;
use super::{Blob, DraftId, ItemCommand, ItemResponse, Named, folder_mut, owned, place};

/// What the commands of a collection are executed with.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Items that the device does not know as they are, and that it must not change (ASCMD 2.2.3.34).
    pub(super) contested: HashSet<u32>,
    /// Elements that are deleted where a change leaves them out; `None` means all of them.
    pub(super) supported: Option<Elements>,
}

impl Turn<'_> {
    pub(super) fn execute_command(
        &mut self,
        folder: u32,
        command: &ItemCommand,
        terms: &Terms,
    ) -> Done {
        let done = match command {
            ItemCommand::Add(_, data) => self.add_item(folder, data),
            ItemCommand::Change(id, change, named) => {
                let changed = self.change_item(folder, id, change, named, terms);
                changed.map(|()| Done::Silent)
            }
            ItemCommand::Draft(draft) => self.write_draft(folder, draft, terms),
            ItemCommand::Delete(id) => {
                // What is gone already is as it should be.
                self.delete(id, self.deletes_as_moves(folder));
                Ok(Done::Silent)
            }
            ItemCommand::Fetch(_) => Ok(Done::Silent),
        };
        done.unwrap_or_else(Done::Failed)
    }

    /// The answer to a command, if there is one.
    pub(super) fn response(
        &self,
        folder: u32,
        command: &ItemCommand,
        done: Done,
        room: &mut Room,
    ) -> Option<ItemResponse> {
        let draft = match command {
            ItemCommand::Add(client_id, _) => return added(folder, client_id, done, &[]),
            ItemCommand::Change(id, ..) => return changed(id, done, &[]),
            ItemCommand::Delete(_) => return None,
            ItemCommand::Fetch(id) => return Some(self.fetched(id, room)),
            ItemCommand::Draft(draft) => draft,
        };
        match &draft.id {
            DraftId::New(client_id) => added(folder, client_id, done, &draft.added),
            DraftId::Old(id) => changed(id, done, &draft.added),
        }
    }

    fn add_item(&mut self, folder: u32, data: &ItemData<'static>) -> Result<Done, u16> {
        let by = Some(self.device.number);
        let class = find_number(self.folders, folder).and_then(Folder::class);
        let refused = SyncStatus::ConversionError.code();
        // Clients make no mail (but drafts, from 16.0 on), and nothing that does not belong there.
        if data.class().is_none() || data.class() != class || class == Some(Class::Email) {
            return Err(refused);
        }
        let content = Content::new(ItemData::clone(data));
        if !content.is_storable() {
            return Err(refused);
        }
        if content.size() > self.limits.message || !self.has_room(folder, &content) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        let item = Item::new(Arc::new(content));
        let folder_there = folder_mut(self.folders, folder).ok_or(refused)?;
        let number = folder_there.put(item, by);
        self.announce(folder, true);
        Ok(Done::Added(number, 0))
    }

    fn change_item(
        &mut self,
        folder: u32,
        id: &str,
        change: &ItemChange<'static>,
        named: &Named,
        terms: &Terms,
    ) -> Result<(), u16> {
        let refused = SyncStatus::ConversionError.code();
        let not_found = SyncStatus::ObjectNotFound.code();
        let (at, number) = place(id).ok_or(not_found)?;
        let target = find_number(self.folders, at).ok_or(not_found)?;
        let old = target.data(number).ok_or(not_found)?;
        let change = match change {
            ItemChange::Data(data) if data.class() == old.class() && data.as_email().is_none() => {
                let is_kept = |tag| named.keeps(tag, data.class(), terms.supported.as_ref());
                ItemChange::Data(merged(&old, data, is_kept).ok_or(refused)?)
            }
            change => change.clone(),
        };
        // Both say the same: there is nothing to decide.
        let is_contested = at == folder && terms.contested.contains(&number);
        if is_contested && !target.is_as(number, &change) {
            return Err(SyncStatus::Conflict.code());
        }
        if !self.has_room_for_change(id, &change) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        let by = Some(self.device.number);
        let target = folder_mut(self.folders, at).ok_or(not_found)?;
        match target.change(number, &change, by) {
            Some(true) => Ok(()),
            Some(false) => Err(refused),
            None => Err(not_found),
        }
    }

    fn fetched(&self, id: &str, room: &mut Room) -> ItemResponse {
        match self.data(id) {
            // The answer is full: the device asks again.
            Some(_) if room.bytes == 0 => {
                ItemResponse::NotFetched(id.to_owned(), SyncStatus::Retry.code())
            }
            Some((size, data)) => {
                room.bytes = room.bytes.saturating_sub(size);
                ItemResponse::Fetched(id.to_owned(), Box::new(data))
            }
            None => ItemResponse::NotFetched(id.to_owned(), SyncStatus::ObjectNotFound.code()),
        }
    }

    /// As the request that is being answered has it.
    fn deletes_as_moves(&self, folder: u32) -> bool {
        let part = self.device.last_sync.part(folder);
        part.is_none_or(|part| part.deletes_as_moves)
    }

    /// An item, and its bytes.
    fn data(&self, id: &str) -> Option<(usize, ItemData<'static>)> {
        let (folder, number) = place(id)?;
        let folder = find_number(self.folders, folder)?;
        Some((folder.content(number)?.text_size(), folder.data(number)?))
    }
}

impl Named {
    /// Whether an element stays as it is (ASCMD 2.2.3.24): a change that leaves it out deletes it, unless
    /// it is a body, or the device has said that it does not manage the element (ASCMD 2.2.3.179).
    fn keeps(&self, tag: Tag, class: Option<Class>, supported: Option<&Elements>) -> bool {
        if self.elements.has(tag) {
            return false;
        }
        let is_ghosted = matches!(class, Some(Class::Contacts | Class::Calendar))
            && supported.is_some_and(|supported| !supported.has(tag));
        self.others_stay || tag == air_sync_base::BODY || is_ghosted
    }
}

/// An item with the elements that a change names, and those of the old one that stay.
pub(super) fn merged(
    old: &ItemData<'static>,
    change: &ItemData<'static>,
    is_kept: impl Fn(Tag) -> bool,
) -> Option<ItemData<'static>> {
    ItemData::with_changes(old, change, is_kept, |data| owned(&data))?
}

fn added(
    folder: u32,
    client_id: &str,
    done: Done,
    attachments: &[(String, Blob)],
) -> Option<ItemResponse> {
    let client_id = client_id.to_owned();
    Some(match done {
        Done::Added(number, first) => {
            let id = format!("{folder}:{number}");
            let attachments = references(&id, first, attachments);
            ItemResponse::Added(client_id, id, attachments)
        }
        // There is no item that would have an id.
        Done::Sent => ItemResponse::Done(client_id),
        Done::Failed(status) => ItemResponse::NotAdded(client_id, status),
        Done::Silent | Done::Changed(_) => return None,
    })
}

fn changed(id: &str, done: Done, attachments: &[(String, Blob)]) -> Option<ItemResponse> {
    match done {
        Done::Failed(status) => Some(ItemResponse::NotChanged(id.to_owned(), status)),
        Done::Changed(first) if !attachments.is_empty() => {
            let attachments = references(id, first, attachments);
            Some(ItemResponse::Changed(id.to_owned(), attachments))
        }
        _ => None,
    }
}

/// The references of the attachments of an item, from that number on.
fn references(
    id: &str,
    first: u32,
    attachments: &[(String, Blob)],
) -> Vec<AddedAttachment<'static>> {
    let numbered = (first..).zip(attachments);
    let references = numbered.map(|(number, (client_id, _))| AddedAttachment {
        client_id: client_id.clone().into(),
        file_reference: format!("{id}:{number}").into(),
    });
    references.collect()
}
