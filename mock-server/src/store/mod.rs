//! The Information Store: mailboxes, folders, items, and what the server remembers of each device
//! (sync keys, policy key, cached Ping). It lives in the front door, so a recycle loses none of
//! it, as on Exchange, where this is in the mailbox database (mock-fidelity R14).

mod call;
mod collection;
mod commands;
mod content;
mod drafts;
mod filter;
mod folder;
mod folder_sync;
mod free_busy;
mod hierarchy;
mod kql;
mod limits;
mod log;
mod mailbox;
mod meeting;
mod options;
mod outside;
mod search;
mod searched;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use collection::{Collection, LastSync};
use content::Content;
use eas::commands::{FolderType, ItemData, Oof};
use eas::status::GlobalStatus;
use folder::{Folder, Item};
use hierarchy::Hierarchy;
use jiff::Zoned;
use jiff::tz::TimeZone;
use limits::{Limits, MAX_CLIENT_ID};
use log::DeviceNumber;
use mock_api::config::MockConfig;
use mock_api::control::UserSettings;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use search::SearchResults;
use turn::Turn;

use crate::clock::PoolClock;

pub(crate) use call::{
    Blob, Condition, Draft, DraftId, FolderChange, FolderRecord, FolderRefusal, Found, ItemCommand,
    ItemResponse, MailboxSearch, Message, Moved, Named, Operation, Original, Reply, SearchQuery,
    SearchRefusal, StoreCall, StoreReply, SyncOutcome, SyncPart, Told,
};
pub(crate) use hierarchy::is_user_type;
pub(crate) use limits::{MAX_USER_NAME, is_storable, is_user_name, text_size};
pub(crate) use searched::unix_millis;

/// Folder ids of every mailbox.
const INBOX: u32 = 5;
const SENT: u32 = 4;
pub(crate) const DRAFTS: u32 = 2;
const DELETED: u32 = 3;
pub(crate) const CALENDAR: u32 = 1;
pub(crate) const CONTACTS: u32 = 6;
pub(crate) const TASKS: u32 = 7;
const NOTES: u32 = 8;
/// The folders of a new mailbox.
const FOLDERS: [(u32, &str, FolderType); 8] = [
    (INBOX, "Inbox", FolderType::INBOX),
    (DRAFTS, "Drafts", FolderType::DRAFTS),
    (DELETED, "Deleted Items", FolderType::DELETED_ITEMS),
    (SENT, "Sent Items", FolderType::SENT_ITEMS),
    (CALENDAR, "Calendar", FolderType::CALENDAR),
    (CONTACTS, "Contacts", FolderType::CONTACTS),
    (TASKS, "Tasks", FolderType::TASKS),
    (NOTES, "Notes", FolderType::NOTES),
];
/// SendMail repetitions are recognised within so many messages of a device.
const REMEMBERED_CLIENT_IDS: usize = 64;
/// Most results of a Search (ASCMD 2.2.3.143.8: ranges end at 99).
const MOST_FOUND: usize = 100;

/// All mailboxes.
#[derive(Debug)]
pub(crate) struct Store {
    mailboxes: HashMap<String, Mailbox>,
    users: HashMap<String, UserSettings>,
    require_provisioning: bool,
    limits: Limits,
    /// Runs at the speed of real time, and can be moved ahead.
    clock: PoolClock,
    random: Xoshiro256PlusPlus,
    mails: u64,
}

#[derive(Debug)]
struct Mailbox {
    folders: Vec<Folder>,
    hierarchy: Hierarchy,
    devices: HashMap<String, Device>,
    oof: Oof<'static>,
}

#[derive(Debug, Default)]
struct Device {
    number: DeviceNumber,
    policy_key: Option<u32>,
    temporary_key: Option<u32>,
    /// It had a key, and the policy has changed since.
    refresh: bool,
    /// It was wiped, and starts anew.
    wiped: bool,
    /// What it knows of the folder hierarchy: current and previous.
    hierarchy: Option<(Generation, Generation)>,
    collections: HashMap<u32, Collection>,
    last_sync: LastSync,
    heartbeat: Option<u32>,
    ping_folders: Option<Vec<u32>>,
    search: Option<SearchResults>,
    client_ids: VecDeque<String>,
}

/// A key and how much of a log the client knows when it uses it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Generation {
    key: u32,
    known: usize,
}

/// What devices that wait are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Announcement {
    /// An item was added to a folder.
    Item {
        user: String,
        folder: u32,
        /// The device that added it, which knows.
        by: Option<String>,
    },
    /// The hierarchy changed.
    Hierarchy { user: String, by: Option<String> },
}

impl Store {
    pub(crate) fn new(config: &MockConfig) -> Self {
        Self {
            mailboxes: HashMap::new(),
            users: HashMap::new(),
            require_provisioning: config.require_provisioning,
            limits: Limits::new(config),
            random: Xoshiro256PlusPlus::seed_from_u64(config.seed),
            clock: PoolClock::new(sim_net::wall_clock::now().to_zoned(TimeZone::UTC), 1.0),
            mails: 0,
        }
    }

    /// What the directory says of a user; `false` if it cannot list another user.
    pub(crate) fn set_user(&mut self, user: &str, settings: UserSettings) -> bool {
        let is_listed = self.users.contains_key(user);
        if !is_user_name(user) || !is_listed && self.users.len() >= self.limits.mailboxes {
            return false;
        }
        // An order to wipe that is taken back can be given again.
        if !settings.wipe
            && let Some(mailbox) = self.mailboxes.get_mut(user)
        {
            for device in mailbox.devices.values_mut() {
                device.wiped = false;
            }
        }
        self.users.insert(user.to_owned(), settings);
        true
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

    /// The mailbox of a user, who gets one unless there are too many.
    fn mailbox(&mut self, user: &str) -> Option<&mut Mailbox> {
        if !self.mailboxes.contains_key(user) {
            if !is_user_name(user) || self.mailboxes.len() >= self.limits.mailboxes {
                return None;
            }
            self.mailboxes.insert(user.to_owned(), Mailbox::new());
        }
        self.mailboxes.get_mut(user)
    }

    /// Puts a message into the inboxes of those users that can take it.
    pub(crate) fn deliver(&mut self, to: &[String], mut message: Message) -> Vec<Announcement> {
        message.email.date_received = self.now_text().into();
        self.deliver_content(to, &Arc::new(Content::message(message)))
    }

    fn deliver_content(&mut self, to: &[String], content: &Arc<Content>) -> Vec<Announcement> {
        if !content.is_storable() {
            return Vec::new();
        }
        let limits = self.limits;
        let mut announcements = Vec::with_capacity(to.len());
        for user in to {
            let Some(mailbox) = self.mailbox(user) else {
                continue;
            };
            let Some(inbox) = mailbox.folder_with_room(INBOX, content, &limits) else {
                continue;
            };
            inbox.put(Item::new(Arc::clone(content)), None);
            mailbox.tidy(&limits);
            self.mails += 1;
            announcements.push(Announcement::Item {
                user: user.clone(),
                folder: INBOX,
                by: None,
            });
        }
        announcements
    }

    /// Moves the clock of the mailboxes ahead: what they hold is older then.
    pub(crate) fn advance_clock(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Now, as the mailboxes have it.
    pub(crate) fn now(&self) -> Zoned {
        self.clock.now()
    }

    /// Now, as a message has it (ASDTYPE 2.7.2).
    fn now_text(&self) -> String {
        text_of(&self.clock.now())
    }

    /// Adds a folder to every mailbox that can take one; with the number of those that cannot.
    pub(crate) fn change_hierarchy(&mut self) -> (Vec<Announcement>, usize) {
        let mut announcements = Vec::new();
        let mut full = 0;
        for (user, mailbox) in &mut self.mailboxes {
            if mailbox.add_project(self.limits.folders) {
                let user = user.clone();
                announcements.push(Announcement::Hierarchy { user, by: None });
            } else {
                full += 1;
            }
            mailbox.tidy(&self.limits);
        }
        (announcements, full)
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
                device.collections.values_mut().for_each(Collection::lose);
            }
        }
    }

    /// Executes a worker's call, and says what devices that wait are to be told.
    pub(crate) fn call(&mut self, call: StoreCall) -> (Result<StoreReply, u16>, Vec<Announcement>) {
        let now = self.clock.now();
        let fresh = self.random.random_range(1..=u32::MAX);
        let settings = self.users.get(&call.user).copied().unwrap_or_default();
        let needs_policy = self.require_provisioning && settings.policy;
        let limits = self.limits;
        if let Operation::SearchAddresses(text) = &call.operation {
            return (Ok(self.addresses(text)), Vec::new());
        }
        if let Operation::ResolveName(name) = &call.operation {
            return (Ok(self.resolve(name)), Vec::new());
        }
        if let Operation::FreeBusy { user, start, end } = &call.operation {
            let folders = self.mailboxes.get(user).map(|mailbox| &*mailbox.folders);
            let digits = free_busy::merged(folders.unwrap_or_default(), *start, *end);
            return (Ok(StoreReply::FreeBusy(digits)), Vec::new());
        }
        let Some(mailbox) = self.mailbox(&call.user) else {
            return (Err(GlobalStatus::UserHasNoMailbox.code()), Vec::new());
        };
        let count = mailbox.devices.len();
        if !mailbox.devices.contains_key(&call.device) && count >= limits.devices {
            let status = GlobalStatus::MaximumDevicesReached;
            return (Err(status.code()), Vec::new());
        }
        let device = mailbox
            .devices
            .entry(call.device.clone())
            .or_insert_with(|| Device {
                number: count as DeviceNumber,
                ..Device::default()
            });
        if let Some(sent) = call.policy_key
            && let Some(status) = refusal(device, sent, needs_policy, settings.wipe)
        {
            return (Err(status.code()), Vec::new());
        }
        match call.operation {
            Operation::Deliver {
                client_id,
                message,
                to,
                save_in_sent,
                original,
            } => self.send(
                (&call.user, &call.device),
                client_id,
                *message,
                to,
                save_in_sent,
                original.as_ref(),
            ),
            operation => {
                let names = (&*call.user, &*call.device);
                let mut turn = Turn::new(mailbox, &limits, names, (fresh, now));
                let reply = turn.execute(operation);
                let (mut announcements, outgoing) = (turn.announcements, turn.outgoing);
                mailbox.tidy(&limits);
                for one in outgoing {
                    announcements.extend(self.hand_out(&call.user, &one.content, &one.to, true));
                }
                (reply, announcements)
            }
        }
    }

    fn send(
        &mut self,
        (user, device): (&str, &str),
        client_id: Option<String>,
        mut message: Message,
        to: Vec<String>,
        save_in_sent: bool,
        original: Option<&Original>,
    ) -> (Result<StoreReply, u16>, Vec<Announcement>) {
        let limits = self.limits;
        let received = self.now_text();
        let to = distinct(to);
        let refused = |status: GlobalStatus| (Err(status.code()), Vec::new());
        let Some(mailbox) = self.mailbox(user) else {
            return refused(GlobalStatus::UserHasNoMailbox);
        };
        if let Some(original) = original
            && !mailbox::add_original(&mailbox.folders, &mut message, original)
        {
            return (Ok(StoreReply::NoOriginal), Vec::new());
        }
        message.email.date_received = received.into();
        let content = Arc::new(Content::message(message));
        if to.len() > limits.recipients {
            return refused(GlobalStatus::MailSubmissionFailed);
        }
        if !content.is_storable() {
            return refused(GlobalStatus::InvalidMime);
        }
        if content.size() > limits.message {
            return refused(GlobalStatus::SendQuotaExceeded);
        }
        if let (Some(id), Some(device)) = (client_id, mailbox.devices.get_mut(device)) {
            if id.chars().count() > MAX_CLIENT_ID {
                return refused(GlobalStatus::InvalidXml);
            }
            if device.client_ids.contains(&id) {
                return refused(GlobalStatus::MessagePreviouslySent);
            }
            if device.client_ids.len() == REMEMBERED_CLIENT_IDS {
                device.client_ids.pop_front();
            }
            device.client_ids.push_back(id);
        }
        let announcements = self.hand_out(user, &content, &to, save_in_sent);
        (Ok(StoreReply::Delivered), announcements)
    }

    /// Brings a message of a user to its recipients, and a copy to Sent Items.
    fn hand_out(
        &mut self,
        user: &str,
        content: &Arc<Content>,
        to: &[String],
        save_in_sent: bool,
    ) -> Vec<Announcement> {
        let limits = self.limits;
        let mut announcements = Vec::new();
        if save_in_sent
            && let Some(mailbox) = self.mailbox(user)
            && let Some(sent) = mailbox.folder_with_room(SENT, content, &limits)
        {
            // The device does not have it: it comes with the next Sync of Sent Items.
            sent.put(Item::new(Arc::clone(content)).read(), None);
            mailbox.tidy(&limits);
            announcements.push(Announcement::Item {
                user: user.to_owned(),
                folder: SENT,
                by: None,
            });
        }
        announcements.extend(self.deliver_content(to, content));
        announcements
    }

    /// The items of a user by folder and server id.
    pub(crate) fn contents(
        &self,
        user: &str,
    ) -> BTreeMap<u32, BTreeMap<String, ItemData<'static>>> {
        let mailbox = self.mailboxes.get(user);
        let folders = mailbox.map_or(&[][..], |mailbox| &mailbox.folders);
        let contents = folders.iter().map(|folder| {
            let id = folder.record.id;
            let items = folder.newest().filter_map(|(number, _, _)| {
                Some((format!("{id}:{number}"), folder.data(number)?))
            });
            (id, items.collect())
        });
        contents.collect()
    }

    /// The user of that name, which is nobody else's although other names may contain it. Only a text that is
    /// no whole name is looked for in all names.
    fn resolve(&self, name: &str) -> StoreReply {
        let name = name.to_lowercase();
        if self.mailboxes.contains_key(&name) {
            return StoreReply::Addresses(vec![name]);
        }
        self.addresses(&name)
    }

    /// Users whose name holds that text; all mailboxes there are make up the address list.
    fn addresses(&self, text: &str) -> StoreReply {
        let wanted = text.to_lowercase();
        let users = self.mailboxes.keys();
        // Names are in lower case.
        let mut found: Vec<&String> = users.filter(|user| user.contains(&wanted)).collect();
        found.sort_unstable();
        let found = found.into_iter().take(MOST_FOUND).cloned().collect();
        StoreReply::Addresses(found)
    }
}

/// The same item, with all its texts its own; `None` is for what cannot be serialised, which no item is.
fn owned(data: &ItemData<'_>) -> Option<ItemData<'static>> {
    postcard::from_bytes(&postcard::to_allocvec(data).ok()?).ok()
}

/// A time as a message has it (ASDTYPE 2.7.2).
fn text_of(time: &Zoned) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// Each name once, in the order given.
fn distinct(mut names: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::with_capacity(names.len());
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn folder_mut(folders: &mut [Folder], id: u32) -> Option<&mut Folder> {
    folders.iter_mut().find(|folder| folder.record.id == id)
}

/// A folder by its id on the wire.
fn find<'a>(folders: &'a [Folder], id: &str) -> Option<&'a Folder> {
    let number: u32 = id.parse().ok()?;
    // Another way to write the number is another id.
    let folder = folders.iter().find(|folder| folder.record.id == number)?;
    (number.to_string() == id).then_some(folder)
}

/// Where a server id points, `5:12`: folder and number.
fn place(id: &str) -> Option<(u32, u32)> {
    let (folder, number) = id.split_once(':')?;
    Some((folder.parse().ok()?, number.parse().ok()?))
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
