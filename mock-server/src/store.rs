//! The Information Store: mailboxes, folders, items, and what the server remembers of each device
//! (sync keys, policy key, cached Ping). It lives in the front door, so a recycle loses none of
//! it, as on Exchange, where this is in the mailbox database (mock-fidelity R14).

use std::collections::{HashMap, HashSet, VecDeque};

use eas::commands::FolderType;
use eas::status::GlobalStatus;
use rand::Rng as _;
use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::config::MockConfig;
use crate::control::UserSettings;

/// A question of a worker, for one device of one user.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoreCall {
    /// The user.
    pub user: String,
    /// The device.
    pub device: String,
    /// `None` where the command needs no policy key (Ping, Provision, OPTIONS); otherwise the key
    /// the device sent, if any.
    pub policy_key: Option<Option<u32>>,
    /// What to do.
    pub operation: Operation,
}

/// What a worker asks for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Provision phase 1.
    AskPolicy,
    /// Provision phase 2, with the temporary key.
    AcknowledgePolicy(u32),
    /// FolderSync.
    FolderSync(String),
    /// Sync of one or more collections.
    Sync {
        /// The collections.
        parts: Vec<SyncPart>,
        /// Most items in the answer, all collections together.
        window: u16,
        /// How many seconds it may hang.
        hang: Option<u32>,
        /// Collections of the last request that are not named here are meant too.
        partial: bool,
    },
    /// Sync with an empty body: the last request again.
    RepeatSync,
    /// Ping: merges what the device sent with what is cached, and looks for changes.
    Ping {
        /// Heartbeat in seconds, if sent.
        heartbeat: Option<u32>,
        /// Folders, if sent.
        folders: Option<Vec<String>>,
    },
    /// ItemOperations: an item by its server id.
    Fetch(String),
    /// Nothing but the check of the policy key.
    CheckPolicy,
    /// Whether the device is still to be wiped.
    AskWipe,
    /// The device says that it is wiped.
    Wiped,
    /// GetItemEstimate.
    Estimate(Vec<(String, String)>),
    /// SendMail.
    Deliver {
        /// The ClientId, unique per device (14.0 and later).
        client_id: Option<String>,
        /// The mail.
        mail: Mail,
        /// Recipients, without domain.
        to: Vec<String>,
        /// Keep a copy in Sent Items.
        save_in_sent: bool,
    },
}

/// One collection of a Sync.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncPart {
    /// Collection id.
    pub id: String,
    /// Sync key.
    pub key: String,
    /// Most items in the answer.
    pub window: u16,
    /// Whether items are wanted.
    pub get_changes: bool,
    /// What the device did.
    pub commands: Vec<ItemCommand>,
}

/// What a device did with an item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ItemCommand {
    /// Created one, with its own id for it.
    Add(String),
    /// Read or unread.
    Change(String, Option<bool>),
    /// Deleted.
    Delete(String),
    /// Wants it.
    Fetch(String),
}

/// The answer to an [`ItemCommand`], where there is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ItemResponse {
    /// Clients' items are not stored.
    NotAdded(String),
    /// No such item.
    NotFound(String),
    /// No such item to fetch.
    NotFetched(String),
    /// The item.
    Fetched(String, Mail),
}

/// The store's answer. A failure is a common status (ASCMD 2.2.2).
#[derive(Debug, Serialize, Deserialize)]
pub enum StoreReply {
    /// A policy key, temporary or final.
    PolicyKey(u32),
    /// Phase 2 named another key.
    WrongPolicyKey,
    /// Key and folders that are new since the key that was sent.
    Folders {
        /// The next key.
        key: String,
        /// New folders.
        added: Vec<FolderRecord>,
    },
    /// FolderSync: start again with key 0.
    BadFolderKey,
    /// Sync.
    Sync {
        /// One per collection, in order.
        outcomes: Vec<SyncOutcome>,
        /// How many seconds it may hang.
        hang: Option<u32>,
    },
    /// An item, if it is there.
    Item(Option<Mail>),
    /// Whether the device is to be wiped.
    Wipe(bool),
    /// Nothing to say.
    Done,
    /// Repeat without a cached request.
    NothingCached,
    /// The device's folder hierarchy is out of date.
    HierarchyChanged,
    /// Ping: hold it.
    Hold {
        /// Heartbeat in seconds.
        heartbeat: u32,
        /// Folders.
        folders: Vec<u32>,
    },
    /// Ping: these folders have changes already.
    Changed(Vec<u32>),
    /// GetItemEstimate: per collection a count, or a status of the command.
    Estimates(Vec<Result<u32, u16>>),
    /// SendMail: stored.
    Delivered,
}

/// A folder as FolderSync shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderRecord {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub folder_type: u8,
}

/// What became of one collection of a Sync.
#[derive(Debug, Serialize, Deserialize)]
pub enum SyncOutcome {
    /// A new key, and items.
    Items {
        /// Collection id.
        id: String,
        /// The next key.
        key: String,
        /// The items.
        items: Vec<(u32, Mail)>,
        /// More remain.
        more: bool,
        /// Answers to the device's commands.
        responses: Vec<ItemResponse>,
    },
    /// Nothing to say of this folder.
    Unchanged(u32),
    /// Status 3.
    BadKey(String),
    /// Status 12: no such folder.
    NoFolder(String),
}

/// A message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Recipients, as written.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// When the server received it, in EAS's form.
    pub received: String,
    /// Text.
    pub body: String,
    /// Read by the user.
    pub read: bool,
}

/// Folder ids of every mailbox.
const INBOX: u32 = 5;
const SENT: u32 = 4;
pub(crate) const CALENDAR: u32 = 1;
pub(crate) const CONTACTS: u32 = 6;
pub(crate) const TASKS: u32 = 7;
/// The folders of a new mailbox.
const FOLDERS: [(u32, &str, FolderType); 7] = [
    (INBOX, "Inbox", FolderType::INBOX),
    (2, "Drafts", FolderType::DRAFTS),
    (3, "Deleted Items", FolderType::DELETED_ITEMS),
    (SENT, "Sent Items", FolderType::SENT_ITEMS),
    (CALENDAR, "Calendar", FolderType::CALENDAR),
    (CONTACTS, "Contacts", FolderType::CONTACTS),
    (TASKS, "Tasks", FolderType::TASKS),
];
/// SendMail repetitions are recognised within so many messages of a device.
const REMEMBERED_CLIENT_IDS: usize = 64;

/// All mailboxes.
#[derive(Debug)]
pub(crate) struct Store {
    mailboxes: HashMap<String, Mailbox>,
    users: HashMap<String, UserSettings>,
    require_provisioning: bool,
    max_devices: usize,
    random: Xoshiro256PlusPlus,
    mails: u64,
}

#[derive(Debug, Default)]
struct Mailbox {
    folders: Vec<Folder>,
    devices: HashMap<String, Device>,
}

#[derive(Debug)]
struct Folder {
    record: FolderRecord,
    /// `None` once deleted, so that ids stay.
    items: Vec<Option<Mail>>,
}

#[derive(Debug, Default)]
struct Device {
    policy_key: Option<u32>,
    temporary_key: Option<u32>,
    /// It had a key, and the policy has changed since.
    refresh: bool,
    /// It was wiped, and starts anew.
    wiped: bool,
    /// Folders the device knows: the first so many of the mailbox. Current and previous.
    hierarchy: Option<(Generation, Generation)>,
    collections: HashMap<u32, Collection>,
    last_sync: Vec<SyncPart>,
    last_hang: Option<u32>,
    last_window: u16,
    heartbeat: Option<u32>,
    ping_folders: Option<Vec<u32>>,
    client_ids: VecDeque<String>,
}

/// A sync key and what the client has when it uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Generation {
    key: u32,
    known: usize,
}

#[derive(Debug)]
struct Collection {
    current: Generation,
    /// The key before: a client that lost the answer sends it again.
    previous: Option<Generation>,
}

impl Store {
    pub(crate) fn new(config: &MockConfig) -> Self {
        Self {
            mailboxes: HashMap::new(),
            users: HashMap::new(),
            require_provisioning: config.require_provisioning,
            max_devices: config.max_devices,
            random: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            mails: 0,
        }
    }

    pub(crate) fn set_user(&mut self, user: &str, settings: UserSettings) {
        // An order to wipe that is taken back can be given again.
        if !settings.wipe
            && let Some(mailbox) = self.mailboxes.get_mut(user)
        {
            for device in mailbox.devices.values_mut() {
                device.wiped = false;
            }
        }
        self.users.insert(user.to_owned(), settings);
    }

    pub(crate) fn devices(&self) -> u64 {
        self.mailboxes
            .values()
            .map(|mailbox| mailbox.devices.len() as u64)
            .sum()
    }

    pub(crate) fn mails(&self) -> u64 {
        self.mails
    }

    fn mailbox(&mut self, user: &str) -> &mut Mailbox {
        if !self.mailboxes.contains_key(user) {
            let folders = FOLDERS
                .into_iter()
                .map(|(id, name, folder_type)| Folder {
                    record: FolderRecord {
                        id,
                        name: name.to_owned(),
                        folder_type: folder_type.0,
                    },
                    items: Vec::new(),
                })
                .collect();
            self.mailboxes.insert(
                user.to_owned(),
                Mailbox {
                    folders,
                    devices: HashMap::new(),
                },
            );
        }
        self.mailboxes.get_mut(user).expect("inserted above")
    }

    /// Puts a mail into the inboxes of those users.
    pub(crate) fn deliver(&mut self, to: &[String], mail: &Mail) -> Vec<(String, u32)> {
        let mut added = Vec::with_capacity(to.len());
        for user in to {
            let inbox = self
                .mailbox(user)
                .folder(INBOX)
                .expect("every mailbox has one");
            inbox.items.push(Some(mail.clone()));
            self.mails += 1;
            added.push((user.clone(), INBOX));
        }
        added
    }

    /// Adds a folder to every mailbox; returns the users.
    pub(crate) fn change_hierarchy(&mut self) -> Vec<String> {
        for mailbox in self.mailboxes.values_mut() {
            let id = 100 + mailbox.folders.len() as u32;
            mailbox.folders.push(Folder {
                record: FolderRecord {
                    id,
                    name: format!("Project {id}"),
                    folder_type: FolderType::USER_MAIL.0,
                },
                items: Vec::new(),
            });
        }
        self.mailboxes.keys().cloned().collect()
    }

    /// Forgets every policy key.
    pub(crate) fn unprovision(&mut self) {
        for mailbox in self.mailboxes.values_mut() {
            for device in mailbox.devices.values_mut() {
                device.refresh |= device.policy_key.take().is_some();
            }
        }
    }

    /// Forgets every Sync key.
    pub(crate) fn lose_sync_state(&mut self) {
        for mailbox in self.mailboxes.values_mut() {
            for device in mailbox.devices.values_mut() {
                device.collections.clear();
            }
        }
    }

    /// Executes a worker's call. The second part lists folders that got an item.
    pub(crate) fn call(
        &mut self,
        call: StoreCall,
    ) -> (Result<StoreReply, u16>, Vec<(String, u32)>) {
        let fresh = self.random.random_range(1..=u32::MAX);
        let settings = self.users.get(&call.user).copied().unwrap_or_default();
        let needs_policy = self.require_provisioning && settings.policy;
        let max_devices = self.max_devices;
        let mailbox = self.mailbox(&call.user);
        let Mailbox { folders, devices } = mailbox;
        if !devices.contains_key(&call.device) && devices.len() >= max_devices {
            let status = GlobalStatus::MaximumDevicesReached;
            return (Err(status.code()), Vec::new());
        }
        let device = devices.entry(call.device.clone()).or_default();
        if let Some(sent) = call.policy_key
            && let Some(status) = refusal(device, sent, needs_policy, settings.wipe)
        {
            return (Err(status.code()), Vec::new());
        }
        let reply = match call.operation {
            Operation::AskPolicy => {
                device.temporary_key = Some(fresh);
                StoreReply::PolicyKey(fresh)
            }
            Operation::AcknowledgePolicy(key) if device.temporary_key == Some(key) => {
                device.temporary_key = None;
                device.refresh = false;
                device.policy_key = Some(fresh);
                StoreReply::PolicyKey(fresh)
            }
            Operation::AcknowledgePolicy(_) => StoreReply::WrongPolicyKey,
            Operation::FolderSync(key) => folder_sync(folders, device, &key),
            Operation::Sync {
                mut parts,
                window,
                hang,
                partial,
            } => {
                if partial {
                    if device.last_sync.is_empty() {
                        return (Ok(StoreReply::NothingCached), Vec::new());
                    }
                    let mut rest = current_keys(device);
                    rest.retain(|old| parts.iter().all(|new| new.id != old.id));
                    parts.append(&mut rest);
                }
                device.last_sync.clone_from(&parts);
                for part in &mut device.last_sync {
                    part.commands.clear();
                }
                device.last_hang = hang;
                device.last_window = window;
                sync(folders, device, &parts, fresh)
            }
            Operation::RepeatSync if device.last_sync.is_empty() => StoreReply::NothingCached,
            // With the keys that the request had: where an answer was lost on the way, they bring it
            // again (Y2).
            Operation::RepeatSync => {
                let parts = device.last_sync.clone();
                sync(folders, device, &parts, fresh)
            }
            Operation::Fetch(id) => StoreReply::Item(item(folders, &id).cloned()),
            Operation::CheckPolicy => StoreReply::Done,
            Operation::AskWipe => StoreReply::Wipe(!device.wiped),
            Operation::Wiped => {
                *device = Device {
                    wiped: true,
                    ..Device::default()
                };
                StoreReply::Done
            }
            Operation::Ping {
                heartbeat,
                folders: wanted,
            } => match ping(folders, device, heartbeat, wanted) {
                Ok(reply) => reply,
                Err(status) => return (Err(status), Vec::new()),
            },
            Operation::Estimate(collections) => StoreReply::Estimates(
                collections
                    .iter()
                    .map(|(id, key)| estimate(folders, device, id, key))
                    .collect(),
            ),
            Operation::Deliver {
                client_id,
                mail,
                to,
                save_in_sent,
            } => {
                if let Some(id) = client_id {
                    if device.client_ids.contains(&id) {
                        return (Err(GlobalStatus::MessagePreviouslySent.code()), Vec::new());
                    }
                    if device.client_ids.len() == REMEMBERED_CLIENT_IDS {
                        device.client_ids.pop_front();
                    }
                    device.client_ids.push_back(id);
                }
                let mut added = Vec::new();
                if save_in_sent && let Some(sent) = mailbox.folder(SENT) {
                    sent.items.push(Some(Mail {
                        read: true,
                        ..mail.clone()
                    }));
                    added.push((call.user.clone(), SENT));
                }
                let to: Vec<String> = to.into_iter().collect::<HashSet<_>>().into_iter().collect();
                added.extend(self.deliver(&to, &mail));
                return (Ok(StoreReply::Delivered), added);
            }
        };
        (Ok(reply), Vec::new())
    }
}

impl Mailbox {
    fn folder(&mut self, id: u32) -> Option<&mut Folder> {
        self.folders
            .iter_mut()
            .find(|folder| folder.record.id == id)
    }
}

/// Why a command that needs the policy key is refused, if it is.
fn refusal(
    device: &Device,
    sent: Option<u32>,
    needs_policy: bool,
    wipe: bool,
) -> Option<GlobalStatus> {
    if wipe && !device.wiped {
        return Some(GlobalStatus::RemoteWipeRequested);
    }
    if !needs_policy {
        return None;
    }
    match (device.policy_key, sent) {
        (None, _) if device.refresh => Some(GlobalStatus::PolicyRefresh),
        (None, _) | (_, None) => Some(GlobalStatus::DeviceNotProvisioned),
        (Some(known), Some(sent)) if known != sent => Some(GlobalStatus::InvalidPolicyKey),
        _ => None,
    }
}

fn folder_sync(folders: &[Folder], device: &mut Device, key: &str) -> StoreReply {
    let all = folders.len();
    let from = match (key, device.hierarchy) {
        ("0", _) => 0,
        (_, Some((current, previous))) => {
            match [current, previous]
                .iter()
                .find(|one| one.key.to_string() == key)
            {
                Some(generation) => generation.known,
                None => return StoreReply::BadFolderKey,
            }
        }
        (_, None) => return StoreReply::BadFolderKey,
    };
    let current = device
        .hierarchy
        .map_or(Generation::default(), |(current, _)| current);
    // A key changes only with the hierarchy, so that an answer can be asked for again; key 0 begins
    // anew.
    let next = match key {
        "0" => Generation { key: 1, known: all },
        _ if current.known == all && current.key != 0 => current,
        _ => Generation {
            key: current.key + 1,
            known: all,
        },
    };
    if next != current {
        let previous = if key == "0" { next } else { current };
        device.hierarchy = Some((next, previous));
    }
    StoreReply::Folders {
        key: next.key.to_string(),
        added: folders[from.min(all)..]
            .iter()
            .map(|folder| folder.record.clone())
            .collect(),
    }
}

fn find<'a>(folders: &'a [Folder], id: &str) -> Option<&'a Folder> {
    let id: u32 = id.parse().ok()?;
    folders.iter().find(|folder| folder.record.id == id)
}

/// The last Sync request with the keys the device has by now.
fn current_keys(device: &Device) -> Vec<SyncPart> {
    let mut parts = device.last_sync.clone();
    for part in &mut parts {
        let id: u32 = part.id.parse().unwrap_or(0);
        if let Some(collection) = device.collections.get(&id) {
            part.key = collection.current.key.to_string();
        }
    }
    parts
}

/// Where a server id points, `5:12`: folder and index.
fn place(id: &str) -> Option<(u32, usize)> {
    let (folder, number) = id.split_once(':')?;
    let number: usize = number.parse().ok()?;
    Some((folder.parse().ok()?, number.checked_sub(1)?))
}

fn item<'a>(folders: &'a [Folder], id: &str) -> Option<&'a Mail> {
    let (folder, at) = place(id)?;
    let folder = folders.iter().find(|one| one.record.id == folder)?;
    folder.items.get(at)?.as_ref()
}

fn sync(folders: &mut [Folder], device: &mut Device, parts: &[SyncPart], fresh: u32) -> StoreReply {
    if device
        .hierarchy
        .is_some_and(|(current, _)| current.known != folders.len())
    {
        return StoreReply::HierarchyChanged;
    }
    let mut room = device.last_window;
    let outcomes = parts
        .iter()
        .map(|part| {
            let outcome = sync_part(folders, device, part, part.window.min(room), fresh);
            if let SyncOutcome::Items { items, .. } = &outcome {
                room = room.saturating_sub(u16::try_from(items.len()).unwrap_or(u16::MAX));
            }
            outcome
        })
        .collect();
    StoreReply::Sync {
        outcomes,
        hang: device.last_hang,
    }
}

fn sync_part(
    folders: &mut [Folder],
    device: &mut Device,
    part: &SyncPart,
    window: u16,
    fresh: u32,
) -> SyncOutcome {
    let Some(folder) = find(folders, &part.id) else {
        return SyncOutcome::NoFolder(part.id.clone());
    };
    let id = folder.record.id;
    let length = folder.items.len();
    if part.key == "0" {
        let current = Generation {
            key: fresh,
            known: 0,
        };
        device.collections.insert(
            id,
            Collection {
                current,
                previous: None,
            },
        );
        return SyncOutcome::Items {
            id: part.id.clone(),
            key: fresh.to_string(),
            items: Vec::new(),
            more: false,
            responses: Vec::new(),
        };
    }
    let Some(collection) = device.collections.get_mut(&id) else {
        return SyncOutcome::BadKey(part.id.clone());
    };
    let current = collection.current;
    let repeated = collection
        .previous
        .filter(|previous| previous.key.to_string() == part.key);
    let (from, to, key) = if current.key.to_string() == part.key {
        let available = length - current.known;
        let count = if part.get_changes {
            available.min(usize::from(window))
        } else {
            0
        };
        let has_more = part.get_changes && available > 0;
        if count == 0 && part.commands.is_empty() && !has_more {
            return SyncOutcome::Unchanged(id);
        }
        let next = Generation {
            key: current.key.wrapping_add(1).max(1),
            known: current.known + count,
        };
        *collection = Collection {
            current: next,
            previous: Some(current),
        };
        (current.known, next.known, next.key)
    } else if let Some(previous) = repeated {
        (previous.known, current.known, current.key)
    } else {
        return SyncOutcome::BadKey(part.id.clone());
    };
    // A repeated request repeats its commands, which changes nothing.
    let responses = part
        .commands
        .iter()
        .filter_map(|command| execute(folders, command))
        .collect();
    let folder = find(folders, &part.id);
    let all = folder.map_or(&[][..], |folder| &folder.items);
    let items = (from..to)
        .filter_map(|at| Some((at as u32 + 1, all.get(at)?.clone()?)))
        .collect();
    SyncOutcome::Items {
        id: part.id.clone(),
        key: key.to_string(),
        items,
        more: length > to,
        responses,
    }
}

fn slot<'a>(folders: &'a mut [Folder], id: &str) -> Option<&'a mut Option<Mail>> {
    let (folder, at) = place(id)?;
    let folder = folders.iter_mut().find(|one| one.record.id == folder)?;
    folder.items.get_mut(at)
}

/// Executes a device's command; what other devices have of the item stays as it is.
fn execute(folders: &mut [Folder], command: &ItemCommand) -> Option<ItemResponse> {
    match command {
        ItemCommand::Add(client_id) => Some(ItemResponse::NotAdded(client_id.clone())),
        ItemCommand::Change(id, read) => match slot(folders, id) {
            Some(Some(mail)) => {
                mail.read = read.unwrap_or(mail.read);
                None
            }
            _ => Some(ItemResponse::NotFound(id.clone())),
        },
        ItemCommand::Delete(id) => {
            if let Some(slot) = slot(folders, id) {
                *slot = None;
            }
            None
        }
        ItemCommand::Fetch(id) => Some(match slot(folders, id) {
            Some(Some(mail)) => ItemResponse::Fetched(id.clone(), mail.clone()),
            _ => ItemResponse::NotFetched(id.clone()),
        }),
    }
}

/// A Ping counts as acknowledgement of the last Sync answer, so what the device has is what its
/// current key says (ASCMD 3.1.5.8).
fn ping(
    folders: &[Folder],
    device: &mut Device,
    heartbeat: Option<u32>,
    wanted: Option<Vec<String>>,
) -> Result<StoreReply, u16> {
    use eas::status::PingStatus;
    if let Some(heartbeat) = heartbeat {
        device.heartbeat = Some(heartbeat);
    }
    if let Some(wanted) = wanted {
        device.ping_folders = Some(wanted.iter().filter_map(|id| id.parse().ok()).collect());
    }
    let (Some(heartbeat), Some(wanted)) = (device.heartbeat, device.ping_folders.clone()) else {
        return Err(PingStatus::MissingParameters.code());
    };
    let known = device.hierarchy.map_or(0, |(current, _)| current.known);
    if known != folders.len() {
        return Ok(StoreReply::HierarchyChanged);
    }
    let changed: Vec<u32> = wanted
        .iter()
        .copied()
        .filter(|id| {
            let folder = folders.iter().find(|folder| folder.record.id == *id);
            let known = device
                .collections
                .get(id)
                .map(|collection| collection.current.known);
            matches!((folder, known), (Some(folder), Some(known)) if folder.items.len() > known)
        })
        .collect();
    Ok(if changed.is_empty() {
        StoreReply::Hold {
            heartbeat,
            folders: wanted,
        }
    } else {
        StoreReply::Changed(changed)
    })
}

fn estimate(folders: &[Folder], device: &Device, id: &str, key: &str) -> Result<u32, u16> {
    use eas::status::EstimateStatus;
    let folder = find(folders, id).ok_or(EstimateStatus::UnknownCollection.code())?;
    let collection = device.collections.get(&folder.record.id);
    let current = collection.ok_or(EstimateStatus::NotPrimed.code())?.current;
    if current.key.to_string() != key {
        return Err(EstimateStatus::InvalidSyncKey.code());
    }
    Ok((folder.items.len() - current.known) as u32)
}
