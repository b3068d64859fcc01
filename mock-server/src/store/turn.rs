//! What a device does with its user's mailbox.

use std::sync::Arc;

use eas::commands::{ItemChange, Oof};
use eas::status::PingStatus;
use jiff::Zoned;

use super::collection::LastSync;
use super::content::Content;
use super::folder::Folder;
use super::hierarchy::Hierarchy;
use super::limits::{Limits, MAX_OOF, is_storable, text_size};
use super::log::DeviceNumber;
use super::mailbox::{find_number, has_quota};
use super::{
    Announcement, Blob, DELETED, Device, Found, Mailbox, Moved, Operation, StoreReply, find,
    folder_mut, place,
};

/// A draft that a device has sent, for delivery.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) content: Arc<Content>,
    /// Recipients, without domain.
    pub(super) to: Vec<String>,
}

/// One call of one device.
pub(super) struct Turn<'a> {
    pub(super) folders: &'a mut Vec<Folder>,
    pub(super) hierarchy: &'a mut Hierarchy,
    pub(super) device: &'a mut Device,
    pub(super) limits: &'a Limits,
    oof: &'a mut Oof<'static>,
    user: &'a str,
    device_id: &'a str,
    /// A number that was not there before.
    pub(super) fresh: u32,
    /// By the clock of the mailboxes.
    pub(super) now: Zoned,
    /// What devices that wait are to be told.
    pub(super) announcements: Vec<Announcement>,
    /// Drafts that are sent.
    pub(super) outgoing: Vec<Outgoing>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(
        mailbox: &'a mut Mailbox,
        limits: &'a Limits,
        (user, device_id): (&'a str, &'a str),
        (fresh, now): (u32, Zoned),
    ) -> Self {
        Self {
            folders: &mut mailbox.folders,
            hierarchy: &mut mailbox.hierarchy,
            device: mailbox.devices.entry(device_id.to_owned()).or_default(),
            limits,
            oof: &mut mailbox.oof,
            user,
            device_id,
            fresh,
            now,
            announcements: Vec::new(),
            outgoing: Vec::new(),
        }
    }

    pub(super) fn execute(&mut self, operation: Operation) -> Result<StoreReply, u16> {
        Ok(match operation {
            Operation::AskPolicy => {
                self.device.temporary_key = Some(self.fresh);
                StoreReply::PolicyKey(self.fresh)
            }
            Operation::AcknowledgePolicy(key) if self.device.temporary_key == Some(key) => {
                self.device.temporary_key = None;
                self.device.refresh = false;
                self.device.policy_key = Some(self.fresh);
                StoreReply::PolicyKey(self.fresh)
            }
            Operation::AcknowledgePolicy(_) => StoreReply::WrongPolicyKey,
            Operation::FolderSync(key) => self.folder_sync(&key),
            Operation::ChangeFolder { key, change } => self.change_folder(&key, change),
            Operation::Sync {
                parts,
                window,
                hang,
                partial,
            } => self.sync(LastSync::new(parts, window, hang), partial),
            Operation::RepeatSync => self.repeat_sync(),
            Operation::Classes(ids) => {
                let folders = ids.iter().map(|id| find(self.folders, id));
                StoreReply::Classes(folders.map(|one| one.and_then(Folder::class)).collect())
            }
            Operation::Ping { heartbeat, folders } => return self.ping(heartbeat, folders),
            Operation::Estimate(collections) => {
                let estimates = collections.iter();
                let counts = estimates.map(|(id, key, filter)| self.estimate(id, key, *filter));
                StoreReply::Estimates(counts.collect())
            }
            Operation::Fetch(id) => StoreReply::Item(self.item(&id)),
            Operation::FetchAttachment(reference) => {
                StoreReply::Attachment(self.attachment(&reference))
            }
            Operation::EmptyFolder {
                folder,
                sub_folders,
            } => StoreReply::Emptied(self.empty(&folder, sub_folders)),
            Operation::Move(moves) => StoreReply::Moved(
                moves
                    .iter()
                    .map(|(item, from, to)| self.move_item(item, from, to))
                    .collect(),
            ),
            Operation::Search(search) => self.search(*search),
            Operation::Respond(replies) => StoreReply::Responded(
                replies
                    .iter()
                    .map(|(folder, request, reply)| self.respond(folder, request, *reply))
                    .collect(),
            ),
            Operation::Oof => StoreReply::Oof(Box::new(self.oof.clone())),
            Operation::SetOof(oof) if text_size(&*oof) > MAX_OOF || !is_storable(&*oof) => {
                StoreReply::OofRefused
            }
            Operation::SetOof(oof) => {
                *self.oof = *oof;
                StoreReply::Done
            }
            Operation::AskWipe => StoreReply::Wipe(!self.device.wiped),
            Operation::Wiped => {
                *self.device = Device {
                    number: self.device.number,
                    wiped: true,
                    ..Device::default()
                };
                StoreReply::Done
            }
            // The last four are for all mailboxes, and answered before.
            Operation::CheckPolicy
            | Operation::SearchAddresses(_)
            | Operation::ResolveName(_)
            | Operation::FreeBusy { .. }
            | Operation::Deliver { .. } => StoreReply::Done,
        })
    }

    /// Devices that wait are to be told of a new item; this one not, if it is its own.
    pub(super) fn announce(&mut self, folder: u32, is_own: bool) {
        self.announcements.push(Announcement::Item {
            user: self.user.to_owned(),
            folder,
            by: is_own.then(|| self.device_id.to_owned()),
        });
    }

    pub(super) fn announce_hierarchy(&mut self) {
        self.announcements.push(Announcement::Hierarchy {
            user: self.user.to_owned(),
            by: Some(self.device_id.to_owned()),
        });
    }

    /// A Ping counts as acknowledgement of the last Sync answer, so what the device has is what its
    /// current key says (ASCMD 3.1.5.8).
    fn ping(
        &mut self,
        heartbeat: Option<u32>,
        wanted: Option<Vec<String>>,
    ) -> Result<StoreReply, u16> {
        if let Some(heartbeat) = heartbeat {
            self.device.heartbeat = Some(heartbeat);
        }
        if let Some(wanted) = wanted {
            // An id that no folder has comes from a hierarchy that is not the server's (MS-ASCMD
            // 2.2.3.177.11, Status 7). Such a list is not kept for later Pings.
            let ids = wanted
                .iter()
                .map(|id| Some(find(self.folders, id)?.record.id));
            match ids.collect() {
                Some(ids) => self.device.ping_folders = Some(ids),
                None => return Ok(StoreReply::HierarchyChanged),
            }
        }
        let (Some(heartbeat), Some(wanted)) =
            (self.device.heartbeat, self.device.ping_folders.clone())
        else {
            return Err(PingStatus::MissingParameters.code());
        };
        let exists = |id: &u32| find_number(self.folders, *id).is_some();
        if self.device.hierarchy.is_none() || !self.knows_hierarchy() || !wanted.iter().all(exists)
        {
            return Ok(StoreReply::HierarchyChanged);
        }
        let number = self.device.number;
        let now = &self.now;
        let has_news = |id: &u32| {
            let folder = find_number(self.folders, *id);
            // What a device has whose keys are lost is not known. It learns that from its next Sync.
            self.has_lost(*id)
                || matches!((folder, self.collection(*id)), (Some(folder), Some(collection))
                    if folder.has_news(collection.view(number), &collection.filter(folder, now)))
        };
        let changed: Vec<u32> = wanted.iter().copied().filter(has_news).collect();
        Ok(if changed.is_empty() {
            StoreReply::Hold {
                heartbeat,
                folders: wanted,
            }
        } else {
            StoreReply::Changed(changed)
        })
    }

    fn item(&self, id: &str) -> Option<Found> {
        let (folder, number) = place(id)?;
        let data = find_number(self.folders, folder)?.data(number)?;
        Some(Found {
            id: id.to_owned(),
            folder,
            data: Box::new(data),
        })
    }

    /// Of a reference `5:12:0`: the item's id and the number of the attachment.
    fn attachment(&self, reference: &str) -> Option<Blob> {
        let (item, index) = reference.rsplit_once(':')?;
        let (folder, number) = place(item)?;
        let content = find_number(self.folders, folder)?.content(number)?;
        content.attachments.get(&index.parse().ok()?).cloned()
    }

    fn empty(&mut self, id: &str, sub_folders: bool) -> bool {
        let number = self.device.number;
        let Some(folder) = find(self.folders, id).map(|folder| folder.record.id) else {
            return false;
        };
        if let Some(folder) = folder_mut(self.folders, folder) {
            folder.clear(Some(number));
        }
        if sub_folders && self.delete_below(folder) {
            self.announce_hierarchy();
        }
        true
    }

    fn move_item(&mut self, item: &str, from: &str, to: &str) -> Moved {
        let Some(target) = find(self.folders, to).map(|folder| folder.record.id) else {
            return Moved::NoFolder;
        };
        match place(item) {
            Some((source, _)) if source.to_string() != from => Moved::NoItem,
            Some((source, _)) if source == target => Moved::SameFolder,
            Some(_) if self.is_full(target) => Moved::Full,
            // The answer names the new id, so this device is not told again.
            Some((source, number)) => self
                .carry(source, number, target, Some(self.device.number))
                .map_or(Moved::NoItem, Moved::To),
            None => Moved::NoItem,
        }
    }

    /// Takes an item to another folder, where it is the work of `by`; its id there.
    fn carry(
        &mut self,
        from: u32,
        number: u32,
        to: u32,
        by: Option<DeviceNumber>,
    ) -> Option<String> {
        let own = Some(self.device.number);
        let item = folder_mut(self.folders, from)?.take(number, own)?;
        let number = folder_mut(self.folders, to)?.put(item, by);
        self.announce(to, by.is_some());
        Some(format!("{to}:{number}"))
    }

    /// Deletes an item; `false` if there is none.
    pub(super) fn delete(&mut self, id: &str, as_move: bool) -> bool {
        let Some((folder, number)) = place(id) else {
            return false;
        };
        if as_move && folder != DELETED && !self.is_full(DELETED) {
            return self.carry(folder, number, DELETED, None).is_some();
        }
        let by = Some(self.device.number);
        folder_mut(self.folders, folder).is_some_and(|one| one.take(number, by).is_some())
    }

    /// Whether a folder holds as many items as it may hold.
    fn is_full(&self, folder: u32) -> bool {
        let folder = find_number(self.folders, folder);
        folder.is_none_or(|folder| folder.count_items() >= self.limits.items)
    }

    /// Whether a folder of the mailbox can take that item.
    pub(super) fn has_room(&self, folder: u32, content: &Content) -> bool {
        !self.is_full(folder) && self.has_quota(content)
    }

    /// Whether the mailbox is below its quota with that item.
    pub(super) fn has_quota(&self, content: &Content) -> bool {
        has_quota(self.folders, self.limits, content)
    }

    /// Whether the mailbox can take an item as it is after a change. One that does not grow has room.
    pub(super) fn has_room_for_change(&self, id: &str, change: &ItemChange<'static>) -> bool {
        let ItemChange::Data(data) = change else {
            return true;
        };
        let old = place(id)
            .and_then(|(folder, number)| find_number(self.folders, folder)?.content(number));
        let Some(old) = old else {
            return true;
        };
        let growth = text_size(data).saturating_sub(old.text_size()) as u64;
        let used: u64 = self.folders.iter().map(Folder::size).sum();
        growth == 0
            || (old.size().saturating_add(growth) <= self.limits.message
                && used.saturating_add(growth) <= self.limits.quota)
    }
}
