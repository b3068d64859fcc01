//! Random commands of several devices against the store, for tests and for fuzzing.
//!
//! Invariants: everything that is stored can be sent, no call ends with Status 110, and in the end every
//! device has what the mailbox holds.

use std::collections::BTreeMap;

use eas::ProtocolVersion;
use eas::commands::{
    Appointment, Body, Change, ClientCommand, CollectionAnswer, Contact, Email, ItemChange,
    ItemData, Note, Oof, SyncAnswer, SyncCollection, SyncOptions, SyncRequest, Task,
};
use eas::status::{GlobalStatus, SyncStatus};
use eas::wbxml::{Event, Reader, Writer};

use crate::body::notes;
use crate::config::MockConfig;
use crate::store::{
    Announcement, FolderChange, Found, ItemCommand, ItemResponse, MailboxSearch, Message, Moved,
    Operation, SearchQuery, Store, StoreCall, StoreReply, SyncOutcome, SyncPart, Told,
};

/// Users and their devices.
const DEVICES: [(&str, &str); 4] = [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")];
/// Folders whose items the devices make, with the main ones of mail.
const FOLDERS: [u32; 7] = [5, 4, 3, 1, 6, 7, 8];
/// Stands for a NUL in the texts of requests, which no encoder writes.
const NUL: char = '\u{1}';
const TEXTS: [&str; 7] = [
    "",
    "plain",
    "a\u{1}b",
    "\u{1}",
    "ünï\u{fffe}",
    "<&>\\u0000",
    "\u{2}",
];
/// Rounds in which all devices must have caught up.
const ROUNDS: usize = 50;

type Played<T = ()> = Result<T, String>;

/// Plays commands until they end. An error says which invariant is broken.
///
/// # Errors
/// If an invariant is broken.
pub fn play(commands: &[u8]) -> Result<(), String> {
    let config = MockConfig {
        require_provisioning: false,
        kept_items: 3,
        max_items: 20,
        max_folders: 12,
        max_message_size: 2000,
        mailbox_quota: 20_000,
        ..MockConfig::default()
    };
    let mut game = Game {
        store: Store::new(&config),
        devices: DEVICES.map(Device::new).into(),
        input: commands,
        next: 0,
    };
    for device in 0..DEVICES.len() {
        game.folder_sync(device)?;
    }
    while let Some(command) = game.byte() {
        game.command(command)?;
    }
    game.converge()
}

struct Game<'a> {
    store: Store,
    devices: Vec<Device>,
    input: &'a [u8],
    /// Number of the next ClientId.
    next: u32,
}

struct Device {
    user: &'static str,
    id: &'static str,
    hierarchy: String,
    folders: BTreeMap<u32, Known>,
}

/// What a device has of a folder.
#[derive(Default)]
struct Known {
    key: String,
    items: BTreeMap<String, ItemData<'static>>,
    /// Commands whose answer was lost: they are sent again.
    unanswered: Option<Vec<ItemCommand>>,
}

impl Known {
    fn restart(&mut self) {
        *self = Self {
            key: "0".to_owned(),
            ..Self::default()
        };
    }
}

impl Device {
    fn new((user, id): (&'static str, &'static str)) -> Self {
        Self {
            user,
            id,
            hierarchy: "0".to_owned(),
            folders: BTreeMap::new(),
        }
    }

    fn forget(&mut self, item: &str) {
        for known in self.folders.values_mut() {
            known.items.remove(item);
        }
    }
}

impl Game<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(*first)
    }

    /// A number below `count`; 0 once the input has ended.
    fn pick(&mut self, count: usize) -> usize {
        usize::from(self.byte().unwrap_or(0)) % count.max(1)
    }

    fn text(&mut self) -> String {
        let text = TEXTS[self.pick(TEXTS.len())];
        text.repeat(1 + self.pick(3))
    }

    /// The same as it is in a call that does not come as WBXML.
    fn raw_text(&mut self) -> String {
        self.text().replace(NUL, "\0")
    }

    fn call(&mut self, device: usize, operation: Operation) -> Played<Result<StoreReply, u16>> {
        let Device { user, id, .. } = self.devices[device];
        let call = StoreCall {
            user: user.to_owned(),
            device: id.to_owned(),
            policy_key: Some(None),
            operation,
        };
        let (reply, _) = self.store.call(call);
        if reply.as_ref().err() == Some(&GlobalStatus::ServerError.code()) {
            return Err("Status 110".to_owned());
        }
        Ok(reply)
    }

    fn command(&mut self, command: u8) -> Played {
        let device = self.pick(self.devices.len());
        match command % 16 {
            0..=3 => {
                let folder = self.folder(device);
                let commands = self.item_commands(device, folder)?;
                self.sync(device, folder, commands, command % 16 == 3)?;
            }
            4 => {
                let folder = self.folder(device);
                self.sync(device, folder, Vec::new(), false)?;
            }
            5 => {
                let folder = self.folder(device);
                if let Some(known) = self.devices[device].folders.get_mut(&folder) {
                    known.restart();
                }
            }
            6 => self.deliver(),
            7 => self.send(device)?,
            8 => self.move_item(device)?,
            9 => self.change_folder(device)?,
            10 => self.empty(device)?,
            11 => self.store.lose_sync_state(),
            12 => drop(self.store.change_hierarchy()),
            13 => self.search(device)?,
            14 => self.oof(device)?,
            _ => self.folder_sync(device)?,
        }
        Ok(())
    }

    /// A folder that the device knows.
    fn folder(&mut self, device: usize) -> u32 {
        let at = self.pick(FOLDERS.len() + 2);
        let made = || {
            let folders = self.devices[device].folders.keys();
            folders.copied().find(|id| *id >= 100)
        };
        FOLDERS.get(at).copied().or_else(made).unwrap_or(FOLDERS[0])
    }

    /// An item that the device has in a folder.
    fn item(&mut self, device: usize, folder: u32) -> Option<String> {
        let count = self.devices[device].folders.get(&folder)?.items.len();
        let at = self.pick(count);
        let items = &self.devices[device].folders.get(&folder)?.items;
        items.keys().nth(at).cloned()
    }

    fn content(&mut self, folder: u32) -> ItemData<'static> {
        let (one, other) = (self.text(), self.text());
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

    /// Up to three commands as the server reads them from a request.
    fn item_commands(&mut self, device: usize, folder: u32) -> Played<Vec<ItemCommand>> {
        let mut commands = Vec::new();
        for _ in 0..self.pick(4) {
            let kind = self.pick(4);
            let item = self.item(device, folder);
            commands.extend(match (kind, item) {
                (0, _) | (_, None) => {
                    self.next += 1;
                    Some(ClientCommand::Add {
                        client_id: self.next.to_string().into(),
                        class: None,
                        data: self.content(folder),
                        send: false,
                    })
                }
                (1, Some(item)) => {
                    let change = match self.content(folder) {
                        ItemData::Email(email) => ItemChange::Email {
                            read: Some(email.subject.is_empty()),
                            flag: None,
                        },
                        data => ItemChange::Data(data),
                    };
                    Some(ClientCommand::Change {
                        server_id: item.into(),
                        change,
                        send: false,
                    })
                }
                (2, Some(item)) => Some(ClientCommand::Delete {
                    server_id: item.into(),
                }),
                (_, Some(item)) => Some(ClientCommand::Fetch {
                    server_id: item.into(),
                }),
            });
        }
        through_the_wire(commands)
    }

    fn sync(
        &mut self,
        device: usize,
        folder: u32,
        mut commands: Vec<ItemCommand>,
        is_lost: bool,
    ) -> Played<bool> {
        let Some(known) = self.devices[device].folders.get_mut(&folder) else {
            return Ok(false);
        };
        if let Some(unanswered) = known.unanswered.take() {
            commands = unanswered;
        }
        if known.key == "0" {
            commands.clear();
        }
        // What a device does it has done before the server knows.
        for command in &commands {
            match command {
                ItemCommand::Change(id, change, _) => {
                    let mut change = change.clone();
                    keep_body(known.items.get(id), &mut change);
                    apply(&mut known.items, id, &change);
                }
                ItemCommand::Delete(id) => drop(known.items.remove(id)),
                _ => {}
            }
        }
        let key = known.key.clone();
        // By turns the client wins, the server does, and the request does not say.
        let conflict = [Some(0), Some(1), None][self.next as usize % 3];
        let part = SyncPart {
            id: folder.to_string(),
            key: key.clone(),
            window: 5,
            get_changes: true,
            deletes_as_moves: true,
            options: Some(SyncOptions {
                conflict,
                ..SyncOptions::default()
            }),
            has_conversation_mode: false,
            supported: None,
            commands: commands.clone(),
        };
        let operation = Operation::Sync {
            parts: vec![part],
            window: 100,
            hang: None,
            partial: false,
        };
        let reply = self.call(device, operation)?;
        let Some(known) = self.devices[device].folders.get_mut(&folder) else {
            return Ok(false);
        };
        if is_lost {
            known.unanswered = (key != "0").then_some(commands);
            return Ok(true);
        }
        match reply {
            Ok(StoreReply::Sync { outcomes, .. }) => {
                for outcome in outcomes {
                    if !known.told(outcome, &commands)? {
                        return Ok(false);
                    }
                }
            }
            Ok(StoreReply::HierarchyChanged) => {
                known.unanswered = Some(commands);
                self.folder_sync(device)?;
            }
            other => return Err(format!("Sync: {other:?}")),
        }
        Ok(true)
    }

    fn deliver(&mut self) {
        let message = Message {
            email: Email {
                subject: self.raw_text().into(),
                body: self.raw_text().into(),
                ..Email::default()
            },
            ..Message::default()
        };
        let to = ["a".to_owned(), "b".to_owned()];
        let count = 1 + self.pick(2);
        let _: Vec<Announcement> = self.store.deliver(&to[..count], message);
    }

    fn send(&mut self, device: usize) -> Played {
        let operation = Operation::Deliver {
            client_id: None,
            message: Box::new(Message {
                email: Email {
                    subject: self.raw_text().into(),
                    to: self.raw_text().into(),
                    ..Email::default()
                },
                ..Message::default()
            }),
            to: vec!["a".to_owned(), self.raw_text()],
            save_in_sent: true,
            original: None,
        };
        self.call(device, operation).map(drop)
    }

    fn move_item(&mut self, device: usize) -> Played {
        let (from, to) = (self.folder(device), self.folder(device));
        let is_mail = |id: u32| matches!(id, 3..=5 | 100..);
        // A phone moves only within a class.
        if from == to || !is_mail(from) || !is_mail(to) {
            return Ok(());
        }
        for folder in [from, to] {
            self.sync(device, folder, Vec::new(), false)?;
        }
        let Some(item) = self.item(device, from) else {
            return Ok(());
        };
        let moves = vec![(item.clone(), from.to_string(), to.to_string())];
        let Ok(StoreReply::Moved(moved)) = self.call(device, Operation::Move(moves))? else {
            return Err("MoveItems: no answer".to_owned());
        };
        if let [Moved::To(new)] = &moved[..] {
            let device = &mut self.devices[device];
            let data = device
                .folders
                .get(&from)
                .and_then(|known| known.items.get(&item));
            let data = data.cloned();
            device.forget(&item);
            let target = device.folders.get_mut(&to).filter(|known| known.key != "0");
            if let (Some(target), Some(data)) = (target, data) {
                target.items.insert(new.clone(), data);
            }
        }
        Ok(())
    }

    fn change_folder(&mut self, device: usize) -> Played {
        let made = self.devices[device].folders.keys().copied();
        let made = made.filter(|id| *id >= 100).max();
        let name = format!("{}{}", self.raw_text(), self.pick(3));
        let parent = "0".to_owned();
        let change = match (self.pick(3), made) {
            (1, Some(id)) => FolderChange::Update {
                id: id.to_string(),
                parent,
                name,
            },
            (2, Some(id)) => FolderChange::Delete(id.to_string()),
            _ => FolderChange::Create {
                parent,
                name,
                folder_type: 12,
            },
        };
        let key = self.devices[device].hierarchy.clone();
        if let Ok(StoreReply::FolderChanged { key, id }) = self.call(
            device,
            Operation::ChangeFolder {
                key,
                change: change.clone(),
            },
        )? {
            let device = &mut self.devices[device];
            device.hierarchy = key;
            match change {
                FolderChange::Create { .. } => {
                    device.folders.entry(id).or_default().restart();
                }
                FolderChange::Delete(_) => drop(device.folders.remove(&id)),
                FolderChange::Update { .. } => {}
            }
        }
        Ok(())
    }

    fn empty(&mut self, device: usize) -> Played {
        let folder = self.folder(device);
        // What the device has added it knows before.
        self.sync(device, folder, Vec::new(), false)?;
        let operation = Operation::EmptyFolder {
            folder: folder.to_string(),
            sub_folders: false,
        };
        self.call(device, operation)?
            .map_err(|status| format!("EmptyFolderContents: {status}"))?;
        if let Some(known) = self.devices[device].folders.get_mut(&folder) {
            known.items.clear();
        }
        Ok(())
    }

    fn search(&mut self, device: usize) -> Played {
        let everything = Operation::Search(Box::new(MailboxSearch {
            query: SearchQuery::default(),
            rebuild: true,
            range: (0, 99),
            most: 100,
            preview: None,
        }));
        let Ok(StoreReply::Found { items, .. }) = self.call(device, everything)? else {
            return Err("Search: no answer".to_owned());
        };
        for Found { id, data, .. } in items {
            can_be_sent(&data).map_err(|problem| format!("found {id}: {problem}"))?;
        }
        let users = self.call(device, Operation::SearchAddresses(String::new()))?;
        let Ok(StoreReply::Addresses(users)) = users else {
            return Err("Search: no addresses".to_owned());
        };
        match users.iter().find(|user| user.contains('\0')) {
            Some(user) => Err(format!("a user named {user:?}")),
            None => Ok(()),
        }
    }

    fn oof(&mut self, device: usize) -> Played {
        let oof = Oof {
            start: Some(self.raw_text().into()),
            ..Oof::default()
        };
        self.call(device, Operation::SetOof(Box::new(oof)))?
            .map_err(|status| format!("Settings: {status}"))?;
        match self.call(device, Operation::Oof)? {
            Ok(StoreReply::Oof(oof)) if oof.start.iter().any(|text| text.contains('\0')) => {
                Err("an automatic reply with a NUL".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn folder_sync(&mut self, device: usize) -> Played {
        loop {
            let key = self.devices[device].hierarchy.clone();
            let reply = self.call(device, Operation::FolderSync(key.clone()))?;
            let device = &mut self.devices[device];
            match reply {
                Ok(StoreReply::Folders {
                    key: next,
                    added,
                    deleted,
                    ..
                }) => {
                    if key == "0" {
                        let is_there = |id: &u32| added.iter().any(|one| one.id == *id);
                        device.folders.retain(|id, _| is_there(id));
                    }
                    for folder in added {
                        if folder.name.contains('\0') {
                            return Err(format!("a folder named {:?}", folder.name));
                        }
                        let known = device.folders.entry(folder.id).or_default();
                        if known.key.is_empty() {
                            known.restart();
                        }
                    }
                    for id in deleted {
                        device.folders.remove(&id);
                    }
                    device.hierarchy = next;
                    return Ok(());
                }
                Ok(StoreReply::BadFolderKey) if key != "0" => device.hierarchy = "0".to_owned(),
                other => return Err(format!("FolderSync: {other:?}")),
            }
        }
    }

    /// Everybody syncs until nothing is new. Then all have what the mailbox holds.
    fn converge(&mut self) -> Played {
        for _ in 0..ROUNDS {
            let mut is_quiet = true;
            for device in 0..self.devices.len() {
                self.folder_sync(device)?;
                let folders: Vec<u32> = self.devices[device].folders.keys().copied().collect();
                for folder in folders {
                    is_quiet &= !self.catch_up(device, folder)?;
                }
            }
            if is_quiet {
                return self.compare();
            }
        }
        Err(format!("devices do not come to rest in {ROUNDS} rounds"))
    }

    /// Syncs a folder until nothing is new; whether something was.
    fn catch_up(&mut self, device: usize, folder: u32) -> Played<bool> {
        for count in 0..ROUNDS {
            let before = self.devices[device].folders.get(&folder);
            let before = before.map(|known| known.key.clone());
            self.sync(device, folder, Vec::new(), false)?;
            let after = self.devices[device].folders.get(&folder);
            if before == after.map(|known| known.key.clone()) {
                return Ok(count > 0);
            }
        }
        Err(format!("folder {folder} has no end"))
    }

    fn compare(&self) -> Played {
        for device in &self.devices {
            let held = self.store.contents(device.user);
            let has: BTreeMap<_, _> = device
                .folders
                .iter()
                .map(|(id, one)| (*id, &one.items))
                .collect();
            let held: BTreeMap<_, _> = held.iter().map(|(id, items)| (*id, items)).collect();
            if has != held {
                return Err(format!("{} has {has:?}, the mailbox {held:?}", device.id));
            }
        }
        Ok(())
    }
}

impl Known {
    /// Takes an answer for this folder; `false` if the device has to start again.
    fn told(&mut self, outcome: SyncOutcome, commands: &[ItemCommand]) -> Played<bool> {
        let (key, changes, responses) = match outcome {
            SyncOutcome::Changes {
                key,
                changes,
                responses,
                ..
            } => (key, changes, responses),
            SyncOutcome::Unchanged(_) => return Ok(true),
            SyncOutcome::BadKey(_) | SyncOutcome::NoFolder(_) => {
                self.restart();
                return Ok(false);
            }
        };
        self.key = key;
        for response in responses {
            match response {
                ItemResponse::Added(name, id, _) => {
                    let added = commands.iter().find_map(|command| match command {
                        ItemCommand::Add(client_id, data) if *client_id == name => Some(data),
                        _ => None,
                    });
                    let data = added.ok_or("an answer to an Add that was not sent")?;
                    self.items.insert(id, ItemData::clone(data));
                }
                ItemResponse::Fetched(id, data) => {
                    can_be_sent(&data).map_err(|problem| format!("fetched {id}: {problem}"))?;
                }
                _ => {}
            }
        }
        for change in changes {
            match change {
                Told::Add(id, data) => {
                    can_be_sent(&data).map_err(|problem| format!("added {id}: {problem}"))?;
                    self.items.insert(id, *data);
                }
                Told::Update(id, change) => {
                    if let ItemChange::Data(data) = &*change {
                        can_be_sent(data).map_err(|problem| format!("changed {id}: {problem}"))?;
                    }
                    apply(&mut self.items, &id, &change);
                }
                Told::Delete(id) | Told::SoftDelete(id) => drop(self.items.remove(&id)),
            }
        }
        Ok(true)
    }
}

/// An empty body is not written, and a body that is absent stays (ASCMD 2.2.3.24).
fn keep_body(old: Option<&ItemData<'static>>, change: &mut ItemChange<'static>) {
    if let (Some(old), ItemChange::Data(new)) = (old, change)
        && let Some(body) = notes(new)
        && *body == Body::default()
        && let Some(old) = notes(&mut old.clone())
    {
        *body = old.clone();
    }
}

/// Makes a change to an item that a device has.
fn apply(items: &mut BTreeMap<String, ItemData<'static>>, id: &str, change: &ItemChange<'static>) {
    match (items.get_mut(id), change) {
        (Some(ItemData::Email(email)), ItemChange::Email { read, flag }) => {
            email.read = read.unwrap_or(email.read);
            if let Some(flag) = flag {
                email.flag = Some(flag.clone());
            }
        }
        // A value could not be read: the server refuses it.
        (_, ItemChange::Data(ItemData::Other)) => {}
        (Some(old), ItemChange::Data(new)) => *old = new.clone(),
        _ => {}
    }
}

/// Commands as the server has them: written, with NUL characters in their texts, and read.
fn through_the_wire(commands: Vec<ClientCommand<'_>>) -> Played<Vec<ItemCommand>> {
    let request = SyncRequest {
        collections: vec![SyncCollection {
            sync_key: "1".into(),
            id: "1".into(),
            commands,
            ..SyncCollection::default()
        }],
        ..SyncRequest::default()
    };
    let body = request
        .encode(ProtocolVersion::V14_1)
        .map_err(|error| error.to_string())?;
    let body = with_nul(&body)?;
    let (request, elements) =
        SyncRequest::decode_in(&body, |_| None).map_err(|error| error.to_string())?;
    let commands = request.collections.iter().flat_map(|one| &one.commands);
    commands
        .zip(elements.iter().flatten())
        .map(|(command, elements)| {
            crate::worker::item_command(command, elements).ok_or("a command is not kept".to_owned())
        })
        .collect()
}

/// The same document with a NUL where [`NUL`] is, as opaque data.
fn with_nul(body: &[u8]) -> Played<Vec<u8>> {
    let mut reader = Reader::new(body).map_err(|error| error.to_string())?;
    let mut writer = Writer::new();
    while let Some(event) = reader.next_event().map_err(|error| error.to_string())? {
        match event {
            Event::Start(element) if element.has_content => writer.start(element.tag),
            Event::Start(element) => writer.empty(element.tag),
            Event::End => writer.end(),
            Event::Text(text) if text.contains(NUL) => {
                writer.opaque(text.replace(NUL, "\0").as_bytes())
            }
            Event::Text(text) => writer.text(text),
            Event::Entity(letter) => writer.text(&letter.to_string()),
            Event::Opaque(bytes) => writer.opaque(bytes),
        };
    }
    writer.finish().map_err(|error| error.to_string())
}

/// Whether an answer brings an item to devices of the oldest and of the newest version.
fn can_be_sent(data: &ItemData<'static>) -> Played {
    for version in [ProtocolVersion::V2_5, ProtocolVersion::V16_1] {
        let answer = SyncAnswer {
            collections: vec![CollectionAnswer {
                sync_key: "1".into(),
                id: "1".into(),
                status: SyncStatus::Success,
                more_available: false,
                changes: vec![Change::Add {
                    server_id: "1".into(),
                    data: data.clone(),
                }],
                responses: Vec::new(),
                skipped: eas::commands::Skipped::default(),
            }],
            ..SyncAnswer::default()
        };
        let body = answer.encode(version).map_err(|error| error.to_string())?;
        let read = SyncAnswer::decode(&body).map_err(|error| error.to_string())?;
        if read
            .collections
            .iter()
            .map(|one| one.changes.len())
            .sum::<usize>()
            != 1
        {
            return Err(format!("{data:?} cannot be sent"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::{RngCore as _, SeedableRng as _};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// Each seed is a game of its own; a failure names it.
    #[test]
    fn devices_converge_and_everything_stored_can_be_sent() {
        const GAMES: u64 = 400;
        for seed in 0..GAMES {
            let mut commands = vec![0; 1500];
            Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut commands);
            if let Err(problem) = play(&commands) {
                panic!("seed {seed}: {problem}");
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_is_told_from_what_can() {
        let note = |subject: &'static str| {
            ItemData::Note(Box::new(Note {
                subject: subject.into(),
                ..Note::default()
            }))
        };
        assert_eq!(can_be_sent(&note("x\u{1}")), Ok(()));
        assert!(can_be_sent(&note("x\0")).is_err());
    }

    /// One value in an item is wrong: this item gets its status, the others are taken.
    #[test]
    fn a_nul_in_an_item_of_any_class_costs_only_this_item() {
        let mut game = Game {
            store: Store::new(&MockConfig {
                require_provisioning: false,
                ..MockConfig::default()
            }),
            devices: DEVICES.map(Device::new).into(),
            input: &[],
            next: 0,
        };
        game.folder_sync(0).unwrap();
        for (folder, text) in [1, 6, 7, 8].into_iter().zip(["a\u{1}b"; 4]) {
            let content = |game: &mut Game<'_>, text: &str| {
                let at = TEXTS.iter().position(|one| *one == text).unwrap();
                let input = [at as u8, 0, at as u8, 0];
                let mut other = Game {
                    store: Store::new(&MockConfig::default()),
                    devices: Vec::new(),
                    input: &input,
                    next: 0,
                };
                game.next += 1;
                ClientCommand::Add {
                    client_id: game.next.to_string().into(),
                    class: None,
                    data: other.content(folder),
                    send: false,
                }
            };
            game.sync(0, folder, Vec::new(), false).unwrap();
            let good = content(&mut game, "plain");
            let bad = content(&mut game, text);
            let commands = through_the_wire(vec![bad, good]).unwrap();
            let operation = Operation::Sync {
                parts: vec![SyncPart {
                    id: folder.to_string(),
                    key: game.devices[0].folders[&folder].key.clone(),
                    window: 5,
                    get_changes: true,
                    deletes_as_moves: true,
                    options: None,
                    has_conversation_mode: false,
                    supported: None,
                    commands: commands.clone(),
                }],
                window: 100,
                hang: None,
                partial: false,
            };
            let reply = game.call(0, operation).unwrap();
            let Ok(StoreReply::Sync { outcomes, .. }) = reply else {
                panic!("{reply:?}");
            };
            let SyncOutcome::Changes { responses, .. } = &outcomes[0] else {
                panic!("{outcomes:?}");
            };
            assert!(
                matches!(
                    &responses[..],
                    [ItemResponse::NotAdded(_, 6), ItemResponse::Added(..)]
                ),
                "folder {folder}: {responses:?}"
            );
        }
    }
}
