//! The other commands of a device, and what comes from outside.

use eas::Command;
use eas::ProtocolVersion;
use eas::commands::{
    Email, EmptyFolderContents, Fetch, FindAnswer, FindCriterion, FindProperties, FindRequest,
    FolderCreateAnswer, FolderCreateRequest, FolderDeleteAnswer, FolderDeleteRequest, FolderType,
    FolderUpdateAnswer, FolderUpdateRequest, ItemOperationsAnswer, ItemOperationsRequest,
    MailboxQuery, Move, MoveItemsAnswer, MoveItemsRequest, Oof, OofRequest, SearchAnswer,
    SearchRequest, SearchStore, SendMailAnswer, SendMailRequest, SettingsAnswer, SettingsRequest,
};
use eas::status::{FindStatus, FolderChangeStatus, ItemOperationsStatus};
use eas::wbxml::DecodeError;

use super::sync::is_mail;
use super::{FIRST_MADE, Game, Played};
use crate::store::Message;

/// A search of the whole mailbox for it finds most messages.
const COMMON_TEXT: &str = "plain";
const SEARCH_ID: &str = "C2B5A8E6-1B2C-4D3E-9F00-0123456789AB";

fn read<T>(answer: Result<T, DecodeError>) -> Played<T> {
    answer.map_err(|error| error.to_string())
}

impl Game<'_> {
    /// A message from outside, as the control API delivers it.
    pub(super) fn deliver(&mut self) {
        let number = self.number();
        let to = ["a".to_owned(), "b".to_owned()];
        let count = 1 + self.pick(2);
        for user in &to[..count] {
            self.expect_copy(user, number);
        }
        let message = Message {
            email: Email {
                subject: format!("{number} {}", self.raw_text()).into(),
                body: self.raw_text().into(),
                ..Email::default()
            },
            ..Message::default()
        };
        drop(self.server.store.deliver(&to[..count], message));
    }

    pub(super) fn send(&mut self, device: usize) -> Played {
        let number = self.number();
        let user = self.devices[device].user;
        let save_in_sent = self.pick(2) == 0;
        let is_repeated = self.pick(4) == 1;
        for user in ["a", "b"] {
            self.expect_copy(user, number);
        }
        if save_in_sent {
            self.expect_copy(user, number);
        }
        let mime = format!(
            "From: {user}@lab.example\r\nTo: a@lab.example, b@lab.example, {}@lab.example\r\nSubject: {number} {}\r\n\r\n{}",
            self.raw_text(),
            self.raw_text(),
            self.raw_text(),
        );
        let request = SendMailRequest {
            client_id: number.to_string().into(),
            save_in_sent,
            mime: mime.into_bytes().into(),
        };
        // The device sends a message again if it did not get the answer.
        for _ in 0..=usize::from(is_repeated) {
            let body = self.request(device, Command::SendMail, request.encode())?;
            read(SendMailAnswer::decode(&body))?;
        }
        Ok(())
    }

    /// Syncs a folder; whether the device has the answer to its last request.
    fn is_synced(&mut self, device: usize, folder: u32) -> Played<bool> {
        self.sync(device, folder)?;
        let known = self.devices[device].folders.get(&folder);
        Ok(known.is_some_and(|known| known.unanswered.is_none()))
    }

    pub(super) fn move_item(&mut self, device: usize) -> Played {
        let (from, to) = (self.folder(device), self.folder(device));
        // A phone moves only within a class.
        if from == to || !is_mail(from) || !is_mail(to) {
            return Ok(());
        }
        for folder in [from, to] {
            if !self.is_synced(device, folder)? {
                return Ok(());
            }
        }
        let Some(item) = self.item(device, from) else {
            return Ok(());
        };
        let request = MoveItemsRequest {
            moves: vec![Move {
                item: item.clone().into(),
                from: from.to_string().into(),
                to: to.to_string().into(),
            }],
        };
        let body = self.request(device, Command::MoveItems, request.encode())?;
        let answer = read(MoveItemsAnswer::decode(&body))?;
        let [moved] = &answer.responses[..] else {
            return Err(format!("MoveItems: {answer:?}"));
        };
        let Some(new) = &moved.new_id else {
            return Ok(());
        };
        let folders = &mut self.devices[device].folders;
        let old = folders
            .get_mut(&from)
            .and_then(|known| known.items.remove(&item));
        let target = folders.get_mut(&to).filter(|known| known.key != "0");
        if let (Some(target), Some(old)) = (target, old) {
            target.items.insert(new.to_string(), old);
        }
        Ok(())
    }

    pub(super) fn change_folder(&mut self, device: usize) -> Played {
        let made = self.devices[device].folders.keys().copied();
        let made = made.filter(|id| *id >= FIRST_MADE).max();
        let name = format!("{}{}", self.text(), self.pick(3));
        let (sync_key, parent_id) = (self.devices[device].hierarchy.clone().into(), "0".into());
        let (kind, server_id) = (self.pick(3), made.unwrap_or_default().to_string().into());
        let (status, key, id) = match kind {
            1 if made.is_some() => {
                let request = FolderUpdateRequest {
                    sync_key,
                    server_id,
                    parent_id,
                    name: name.into(),
                };
                let body = self.request(device, Command::FolderUpdate, request.encode())?;
                let answer = read(FolderUpdateAnswer::decode(&body))?;
                (answer.status, answer.sync_key.map(String::from), None)
            }
            2 if made.is_some() => {
                self.has_nul = false;
                let request = FolderDeleteRequest {
                    sync_key,
                    server_id,
                };
                let body = self.request(device, Command::FolderDelete, request.encode())?;
                let answer = read(FolderDeleteAnswer::decode(&body))?;
                (answer.status, answer.sync_key.map(String::from), None)
            }
            _ => {
                let folder_type = FolderType(12);
                let request = FolderCreateRequest {
                    sync_key,
                    parent_id,
                    name: name.into(),
                    folder_type,
                };
                let body = self.request(device, Command::FolderCreate, request.encode())?;
                let answer = read(FolderCreateAnswer::decode(&body))?;
                (
                    answer.status,
                    answer.sync_key.map(String::from),
                    answer.server_id.map(String::from),
                )
            }
        };
        if status != FolderChangeStatus::Success {
            return Ok(());
        }
        let device = &mut self.devices[device];
        device.hierarchy = key.ok_or("a change of folders: no key")?;
        match (id.and_then(|id| id.parse().ok()), made) {
            (Some(id), _) => device.folders.entry(id).or_default().restart(),
            (None, Some(made)) if kind == 2 => drop(device.folders.remove(&made)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn empty(&mut self, device: usize) -> Played {
        let folder = self.folder(device);
        // What the device has added it knows before.
        if !self.is_synced(device, folder)? {
            return Ok(());
        }
        let request = ItemOperationsRequest {
            empties: vec![EmptyFolderContents {
                collection_id: folder.to_string().into(),
                delete_sub_folders: false,
            }],
            ..ItemOperationsRequest::default()
        };
        let body = self.request(device, Command::ItemOperations, request.encode())?;
        let answer = read(ItemOperationsAnswer::decode(&body))?;
        let status = answer.empties.first().map(|one| one.status);
        match status {
            Some(ItemOperationsStatus::Success) => {}
            // Another device has deleted the folder.
            Some(ItemOperationsStatus::InvalidDestinationFolder) if folder >= FIRST_MADE => {
                return Ok(());
            }
            _ => return Err(format!("EmptyFolderContents: {answer:?}")),
        }
        if let Some(known) = self.devices[device].folders.get_mut(&folder) {
            known.items.clear();
        }
        Ok(())
    }

    /// Fetches an item that the device has, which may be gone.
    pub(super) fn fetch(&mut self, device: usize) -> Played {
        let folder = self.folder(device);
        let Some(item) = self.item(device, folder) else {
            return Ok(());
        };
        let known = self.devices[device].folders.get(&folder);
        let options = known.map(|known| known.options.clone()).unwrap_or_default();
        let version = self.devices[device].version();
        let request = ItemOperationsRequest {
            fetches: vec![Fetch {
                store: Fetch::MAILBOX.into(),
                collection_id: Some(folder.to_string().into()),
                server_id: Some(item.into()),
                bodies: options.bodies,
                mime_support: options.mime_support,
                ..Fetch::default()
            }],
            ..ItemOperationsRequest::default()
        };
        let body = self.request(device, Command::ItemOperations, request.encode())?;
        let answer = read(ItemOperationsAnswer::decode(&body))?;
        let is_good = |one: ItemOperationsStatus, has_content: bool| match one {
            ItemOperationsStatus::Success => has_content,
            ItemOperationsStatus::LibraryNotFound => !has_content,
            _ => false,
        };
        match &answer.fetches[..] {
            [one] if is_good(one.status, one.content.is_some()) => Ok(()),
            _ => Err(format!("Fetch in {version}: {answer:?}")),
        }
    }

    pub(super) fn search(&mut self, device: usize) -> Played {
        let text = [COMMON_TEXT, "ünï", "a"][self.pick(3)];
        let stores = [
            SearchStore::Mailbox(MailboxQuery::with_text(text.into())),
            SearchStore::Gal { text: text.into() },
        ];
        for store in stores {
            let request = SearchRequest {
                store,
                range: SearchRequest::DEFAULT_RANGE,
                rebuild: true,
                deep: true,
                bodies: Vec::new(),
                body_part: None,
                mime_support: None,
            };
            let body = self.request(device, Command::Search, request.encode())?;
            let answer = read(SearchAnswer::decode(&body))?;
            if !answer.skipped.is_empty() {
                return Err(format!("Search: {}", answer.skipped));
            }
        }
        Ok(())
    }

    pub(super) fn find(&mut self, device: usize) -> Played {
        if self.devices[device].version() < ProtocolVersion::V16_1 {
            return Ok(());
        }
        let free_text = [COMMON_TEXT, "subject:plain OR a", "from:a"][self.pick(3)];
        let criterion = match self.pick(3) {
            0 => FindCriterion::Gal { text: "a".into() },
            _ => FindCriterion::Mailbox {
                free_text: free_text.into(),
                class: None,
                collection_id: Some(self.folder(device).to_string().into()),
            },
        };
        let request = FindRequest {
            search_id: SEARCH_ID.into(),
            criterion,
            range: [None, Some((0, 0)), Some((1, 9))][self.pick(3)],
            deep: self.pick(2) == 1,
        };
        let body = self.request(device, Command::Find, request.encode())?;
        let answer = read(FindAnswer::decode(&body))?;
        // The folder may be gone.
        let Some(response) = answer.response else {
            return match answer.status {
                FindStatus::FolderSyncRequired => Ok(()),
                other => Err(format!("Find: {other:?}")),
            };
        };
        let is_known = |properties: &FindProperties<'_>| match properties {
            FindProperties::Gal(_) => true,
            FindProperties::Item(message) => !message.subject.contains('\0'),
        };
        if !response.skipped.is_empty()
            || !response.results.iter().all(|one| is_known(&one.properties))
        {
            return Err(format!("Find: {}", response.skipped));
        }
        Ok(())
    }

    pub(super) fn oof(&mut self, device: usize) -> Played {
        let version = self.devices[device].version();
        let oof = Oof {
            start: Some(self.text().into()),
            ..Oof::default()
        };
        for oof in [OofRequest::Set(oof), OofRequest::Get] {
            let request = SettingsRequest {
                oof: Some(oof),
                ..SettingsRequest::default()
            };
            let body = self.request(device, Command::Settings, request.encode())?;
            read(SettingsAnswer::decode(&body))
                .map_err(|error| format!("Settings in {version}: {error}"))?;
        }
        Ok(())
    }
}
