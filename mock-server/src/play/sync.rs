//! FolderSync and Sync of a device.

use std::collections::BTreeSet;

use eas::Command;
use eas::ProtocolVersion;
use eas::commands::{
    Appointment, Body, ClientCommand, Contact, Email, FolderSyncAnswer, FolderSyncRequest,
    ItemChange, ItemData, Note, SyncAnswer, SyncCollection, SyncRequest, Task,
};
use eas::status::{FolderSyncStatus, SyncStatus};

use super::device::{Changed, Deed, Known, Sent, Summary};
use super::{DRAFTS, Game, Played};

/// What SyncCollection says of how much is wanted; `None` for the default.
#[derive(Clone, Copy, Default)]
struct Wanted {
    window: Option<u16>,
    get_changes: Option<bool>,
}

impl Game<'_> {
    pub(super) fn choose_options(&mut self, device: usize, folder: u32) {
        let (filter, body) = (self.pick(5), self.pick(6));
        let is_mail = is_mail(folder);
        if let Some(known) = self.devices[device].folders.get_mut(&folder)
            && known.unanswered.is_none()
        {
            known.choose(is_mail, filter, body);
        }
    }

    /// Syncs a folder without commands; whether the answer could be taken.
    pub(super) fn sync(&mut self, device: usize, folder: u32) -> Played<bool> {
        self.exchange(device, folder, Vec::new(), Wanted::default(), false)
    }

    /// Syncs a folder with up to three commands. The answer may be lost.
    pub(super) fn sync_with_commands(
        &mut self,
        device: usize,
        folder: u32,
        is_lost: bool,
    ) -> Played<bool> {
        const WINDOWS: [Option<u16>; 5] = [None, Some(0), Some(1), Some(5), Some(600)];
        let wanted = Wanted {
            window: WINDOWS[self.pick(WINDOWS.len())],
            get_changes: [None, Some(false), Some(true)][self.pick(3)],
        };
        let commands = self.commands(device, folder);
        self.exchange(device, folder, commands, wanted, is_lost)
    }

    fn commands(&mut self, device: usize, folder: u32) -> Vec<(ClientCommand<'static>, Deed)> {
        let mut commands = Vec::new();
        let mut named = BTreeSet::new();
        for _ in 0..self.pick(4) {
            let kind = self.pick(4);
            // An answer names the item and not the command, so a request has one command for each.
            let item = self.item(device, folder);
            let item = item.filter(|item| named.insert(item.clone()));
            commands.push(match (kind, item) {
                (0, _) | (_, None) => self.add(device, folder),
                (1, Some(item)) => self.change(device, folder, item),
                (2, Some(item)) => {
                    let server_id = item.clone().into();
                    (ClientCommand::Delete { server_id }, Deed::Delete(item))
                }
                (_, Some(item)) => {
                    let server_id = item.into();
                    (ClientCommand::Fetch { server_id }, Deed::Fetch)
                }
            });
        }
        commands
    }

    /// Whether the device writes drafts in that folder.
    fn writes_drafts(&self, device: usize, folder: u32) -> bool {
        folder == DRAFTS && self.devices[device].version() >= ProtocolVersion::V16_0
    }

    fn add(&mut self, device: usize, folder: u32) -> (ClientCommand<'static>, Deed) {
        let client_id = self.number().to_string();
        let (data, send) = match self.writes_drafts(device, folder) {
            true => self.draft(device),
            false => (self.content(folder), false),
        };
        let summary = (!send).then(|| Summary::of(&data));
        let command = ClientCommand::Add {
            client_id: client_id.clone().into(),
            class: None,
            data,
            send,
        };
        (command, Deed::Add(client_id, summary))
    }

    fn change(
        &mut self,
        device: usize,
        folder: u32,
        item: String,
    ) -> (ClientCommand<'static>, Deed) {
        let (change, send) = if self.writes_drafts(device, folder) {
            let (data, send) = self.draft(device);
            (ItemChange::Data(data), send)
        } else {
            let change = match self.filled_content(folder) {
                ItemData::Email(email) => ItemChange::Email {
                    read: Some(email.body == email.subject),
                    flag: None,
                },
                data => ItemChange::Data(data),
            };
            (change, false)
        };
        let changed = if send {
            Changed::Sent
        } else {
            Changed::of(&change)
        };
        let command = ClientCommand::Change {
            server_id: item.clone().into(),
            change,
            send,
        };
        (command, Deed::Change(item, changed))
    }

    /// A message that a device writes, and whether it is to be sent.
    fn draft(&mut self, device: usize) -> (ItemData<'static>, bool) {
        let number = self.number();
        let to = ["", "a@lab.example", "b@lab.example, a@lab.example"][self.pick(3)];
        let send = self.pick(2) == 1;
        let subject = format!("{number} {}", self.text());
        let user = self.devices[device].user;
        if send {
            // The copy in Sent Items. The draft itself is gone then.
            self.expect_copy(user, number);
            for user in ["a", "b"] {
                if to.contains(&format!("{user}@")) {
                    self.expect_copy(user, number);
                }
            }
        } else {
            self.expect_copy(user, number);
        }
        let email = Email {
            subject: subject.into(),
            to: to.into(),
            body: self.text().into(),
            body_type: 1 + u8::from(self.pick(4) == 1),
            ..Email::default()
        };
        (ItemData::Email(Box::new(email)), send)
    }

    pub(super) fn content(&mut self, folder: u32) -> ItemData<'static> {
        let texts = (self.text(), self.text());
        item_of(folder, texts)
    }

    /// Without empty texts: an element that a Change does not name may stay (MS-ASCMD 2.2.3.24).
    fn filled_content(&mut self, folder: u32) -> ItemData<'static> {
        let texts = (self.text(), self.text());
        let filled = |text: String| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        item_of(folder, (filled(texts.0), filled(texts.1)))
    }
    /// The request of a device; the last one again if its answer was lost.
    fn request_to_send(
        &mut self,
        device: usize,
        folder: u32,
        commands: Vec<(ClientCommand<'static>, Deed)>,
        wanted: Wanted,
    ) -> Played<Option<Sent>> {
        let version = self.devices[device].version();
        let Some(known) = self.devices[device].folders.get_mut(&folder) else {
            self.has_nul = false;
            return Ok(None);
        };
        known.is_followed = true;
        if let Some(unanswered) = known.unanswered.take() {
            self.has_nul = false;
            return Ok(Some(unanswered));
        }
        let (mut commands, deeds): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
        let mut sent = Sent {
            body: Vec::new(),
            deeds,
        };
        let is_first = known.key == "0";
        if is_first {
            commands.clear();
            sent.deeds.clear();
        }
        let has_options = std::mem::take(&mut known.has_new_options);
        let request = SyncRequest {
            collections: vec![SyncCollection {
                sync_key: known.key.clone().into(),
                id: folder.to_string().into(),
                window_size: wanted.window,
                get_changes: wanted.get_changes.filter(|_| !is_first),
                options: has_options.then(|| known.options.clone()),
                commands,
                ..SyncCollection::default()
            }],
            ..SyncRequest::default()
        };
        sent.body = self.finished(request.encode(version))?;
        Ok(Some(sent))
    }

    fn exchange(
        &mut self,
        device: usize,
        folder: u32,
        commands: Vec<(ClientCommand<'static>, Deed)>,
        wanted: Wanted,
        is_lost: bool,
    ) -> Played<bool> {
        let Some(sent) = self.request_to_send(device, folder, commands, wanted)? else {
            return Ok(false);
        };
        let body = self.send_bytes(device, Command::Sync, sent.body.clone())?;
        let answer = SyncAnswer::decode(&body).map_err(|error| error.to_string())?;
        let Some(known) = self.devices[device].folders.get_mut(&folder) else {
            return Ok(false);
        };
        if is_lost {
            known.unanswered = Some(sent);
            return Ok(true);
        }
        match answer.status {
            None => take(known, answer, &sent),
            Some(SyncStatus::HierarchyChanged) => {
                known.unanswered = Some(sent);
                self.folder_sync(device)?;
                Ok(true)
            }
            Some(other) => Err(format!("Sync: {other:?}")),
        }
    }

    pub(super) fn folder_sync(&mut self, device: usize) -> Played {
        loop {
            let key = self.devices[device].hierarchy.clone();
            let request = FolderSyncRequest {
                sync_key: key.clone().into(),
            };
            let body = self.request(device, Command::FolderSync, request.encode())?;
            let answer = FolderSyncAnswer::decode(&body).map_err(|error| error.to_string())?;
            let device = &mut self.devices[device];
            match answer.status {
                FolderSyncStatus::Success if answer.skipped.is_empty() => {}
                FolderSyncStatus::InvalidSyncKey if key != "0" => {
                    device.hierarchy = "0".to_owned();
                    continue;
                }
                other => return Err(format!("FolderSync: {other:?}, {}", answer.skipped)),
            }
            let number = |id: &str| id.parse::<u32>().map_err(|_| format!("the folder {id}"));
            let added = answer.added.iter().map(|one| number(&one.server_id));
            let added = added.collect::<Played<Vec<u32>>>()?;
            if key == "0" {
                device.folders.retain(|id, _| added.contains(id));
            }
            for id in added {
                let known = device.folders.entry(id).or_default();
                if known.key.is_empty() {
                    known.restart();
                }
            }
            for id in &answer.deleted {
                device.folders.remove(&number(id)?);
            }
            let next = answer.sync_key.ok_or("FolderSync: no key")?;
            device.hierarchy = next.into_owned();
            return Ok(());
        }
    }
}

/// Takes an answer; `false` if the device has to start again.
fn take(known: &mut Known, mut answer: SyncAnswer<'_>, sent: &Sent) -> Played<bool> {
    if !answer.skipped.is_empty() {
        return Err(format!("a collection cannot be read: {}", answer.skipped));
    }
    match (answer.collections.pop(), &*answer.collections) {
        // Nothing is new.
        (None, _) if sent.deeds.is_empty() => Ok(true),
        (Some(collection), []) => known.take(collection, &sent.deeds),
        (collection, _) => Err(format!("Sync of one folder: {collection:?} and others")),
    }
}

pub(super) fn is_mail(folder: u32) -> bool {
    matches!(folder, 2..=5 | super::FIRST_MADE..)
}

/// An item of the class of a folder with two texts.
fn item_of(folder: u32, (one, other): (String, String)) -> ItemData<'static> {
    let (subject, body) = (one.into(), other.into());
    match folder {
        1 => ItemData::Calendar(Box::new(Appointment {
            subject,
            location: body,
            ..Appointment::default()
        })),
        6 => ItemData::Contact(Box::new(Contact {
            first_name: subject,
            last_name: body,
            ..Contact::default()
        })),
        7 => ItemData::Task(Box::new(Task {
            subject,
            body: Body::from(body),
            ..Task::default()
        })),
        8 => ItemData::Note(Box::new(Note {
            subject,
            body: Body::from(body),
            ..Note::default()
        })),
        _ => ItemData::Email(Box::new(Email {
            subject,
            body,
            ..Email::default()
        })),
    }
}
