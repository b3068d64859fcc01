//! A mailbox: its folders, and what is known of the devices that read it.

use std::collections::HashMap;

use eas::commands::{Class, FolderType, ItemData, Oof};

use super::content::Content;
use super::folder::Folder;
use super::hierarchy::Hierarchy;
use super::limits::Limits;
use super::{FOLDERS, FolderRecord, INBOX, Mailbox, Message, Original, folder_mut, place};
use crate::body;

/// Whether a mailbox is below its quota with that item.
pub(super) fn has_quota(folders: &[Folder], limits: &Limits, content: &Content) -> bool {
    let used: u64 = folders.iter().map(Folder::size).sum();
    used.saturating_add(content.size()) <= limits.quota
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let folders = FOLDERS.into_iter().map(|(id, name, folder_type)| {
            Folder::new(FolderRecord {
                id,
                parent: 0,
                name: name.to_owned(),
                folder_type: folder_type.0,
            })
        });
        Self {
            folders: folders.collect(),
            hierarchy: Hierarchy::default(),
            devices: HashMap::new(),
            oof: Oof::default(),
        }
    }

    /// A folder that no device of this mailbox has made, unless there are `most` already.
    pub(super) fn add_project(&mut self, most: usize) -> bool {
        if self.folders.len() >= most {
            return false;
        }
        let id = self.hierarchy.free_id();
        let name = format!("Project {id}");
        self.hierarchy.add(&mut self.folders, 0, name, None, None);
        true
    }

    /// A folder, if it can take that item.
    pub(super) fn folder_with_room(
        &mut self,
        folder: u32,
        content: &Content,
        limits: &Limits,
    ) -> Option<&mut Folder> {
        if !has_quota(&self.folders, limits, content) {
            return None;
        }
        let folder = folder_mut(&mut self.folders, folder)?;
        (folder.count_items() < limits.items).then_some(folder)
    }

    /// Forgets what no device needs any more: messages beyond those that are kept, logs, keys of folders
    /// that are gone.
    pub(super) fn tidy(&mut self, limits: &Limits) {
        for folder in &mut self.folders {
            let class = FolderType(folder.record.folder_type).class();
            let kept = match class {
                Some(Class::Email) => limits.kept_items,
                // What a user has made is kept.
                _ => usize::MAX,
            };
            if !folder.is_untidy(kept) {
                continue;
            }
            let devices = self.devices.values();
            let (mut fetched, mut needed) = (usize::MAX, usize::MAX);
            for one in devices.filter_map(|device| device.collections.get(&folder.record.id)) {
                fetched = fetched.min(one.fetched());
                needed = needed.min(one.needs());
            }
            // Mail waits in the Inbox for the first device of its user.
            if fetched == usize::MAX && folder.record.id == INBOX {
                fetched = 0;
            }
            folder.tidy(kept, fetched, needed);
        }
        for device in self.devices.values_mut() {
            if device.collections.len() > self.folders.len() {
                let folders = &self.folders;
                let is_there = |id: u32| find_number(folders, id).is_some();
                device.collections.retain(|id, _| is_there(*id));
            }
        }
        if self.hierarchy.is_untidy() {
            let devices = self.devices.values();
            let known = devices.filter_map(|device| device.hierarchy);
            let known = known.map(|(current, previous)| current.known.min(previous.known));
            self.hierarchy.tidy(known.min().unwrap_or(usize::MAX));
        }
    }
}

pub(super) fn find_number(folders: &[Folder], id: u32) -> Option<&Folder> {
    folders.iter().find(|folder| folder.record.id == id)
}

/// Puts the message that is answered or forwarded into the new one; `false` if it is not there.
pub(super) fn add_original(folders: &[Folder], message: &mut Message, original: &Original) -> bool {
    let Some((folder, number)) = place(&original.item) else {
        return false;
    };
    let Some(folder) = find_number(folders, folder) else {
        return false;
    };
    let Some(content) = folder.content(number) else {
        return false;
    };
    let ItemData::Email(old) = &content.data else {
        return false;
    };
    if original.quoted {
        let quoted = format!(
            "\r\n-----Original Message-----\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\n\r\n{}",
            old.from,
            old.to,
            old.subject,
            body::text(old)
        );
        let email = &mut message.email;
        match email.body_type {
            body::HTML => email.body.to_mut().push_str(&body::text_to_html(&quoted)),
            // Another text would break the signature.
            body::MIME => {}
            _ => email.body.to_mut().push_str(&quoted),
        }
    }
    if original.with_attachments {
        message
            .attachments
            .extend(content.attachments.values().cloned());
    }
    true
}
