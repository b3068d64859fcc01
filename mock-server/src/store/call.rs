//! What workers ask the store, and what it answers.

use eas::commands::{
    AddedAttachment, Class, Elements, Email, FilterType, ItemChange, ItemData, Oof, SyncOptions,
};
use serde::{Deserialize, Serialize};

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
    /// FolderCreate, FolderUpdate, FolderDelete: with the key that the device has.
    ChangeFolder {
        /// The key.
        key: String,
        /// What to change.
        change: FolderChange,
    },
    /// Sync of one or more collections.
    Sync {
        /// The collections.
        parts: Vec<SyncPart>,
        /// Most changes in the answer, all collections together.
        window: u16,
        /// How many seconds it may hang.
        hang: Option<u32>,
        /// Collections of the last request that are not named here are meant too.
        partial: bool,
    },
    /// Sync with an empty body: the last request again.
    RepeatSync,
    /// The classes of folders, by their ids.
    Classes(Vec<String>),
    /// Ping: merges what the device sent with what is cached, and looks for changes.
    Ping {
        /// Heartbeat in seconds, if sent.
        heartbeat: Option<u32>,
        /// Folders, if sent.
        folders: Option<Vec<String>>,
    },
    /// ItemOperations: an item by its server id, or by the id that a Search gave.
    Fetch(String),
    /// ItemOperations and GetAttachment: an attachment by its reference.
    FetchAttachment(String),
    /// ItemOperations: everything in a folder goes.
    EmptyFolder {
        /// The folder.
        folder: String,
        /// The folders below it go too.
        sub_folders: bool,
    },
    /// MoveItems: item, the folder it is in, the folder it goes to.
    Move(Vec<(String, String, String)>),
    /// Search and Find in the mailbox.
    Search(Box<MailboxSearch>),
    /// Search in the address list.
    SearchAddresses(String),
    /// The user of that name, or the users whose names hold that text.
    ResolveName(String),
    /// ResolveRecipients: free and busy times of a user, whoever asks.
    FreeBusy {
        /// The user.
        user: String,
        /// From when on, in seconds since 1970.
        start: i64,
        /// Until when, in seconds since 1970.
        end: i64,
    },
    /// MeetingResponse: the request's folder and id, and whether the meeting takes place for the user.
    Respond(Vec<(String, String, Reply)>),
    /// Settings: the automatic reply.
    Oof,
    /// Settings: another automatic reply.
    SetOof(Box<Oof<'static>>),
    /// Nothing but the check of the policy key.
    CheckPolicy,
    /// Whether the device is still to be wiped.
    AskWipe,
    /// The device says that it is wiped.
    Wiped,
    /// GetItemEstimate.
    /// The collection, its key, and the filter if the request has one.
    Estimate(Vec<(String, String, Option<FilterType>)>),
    /// SendMail, SmartReply, SmartForward.
    Deliver {
        /// The ClientId, unique per device (14.0 and later).
        client_id: Option<String>,
        /// The message.
        message: Box<Message>,
        /// Recipients, without domain.
        to: Vec<String>,
        /// Keep a copy in Sent Items.
        save_in_sent: bool,
        /// The message that is answered or forwarded.
        original: Option<Original>,
    },
}

/// A search in the mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxSearch {
    /// What for.
    pub query: SearchQuery,
    /// Search again, even if this was the device's last search.
    pub rebuild: bool,
    /// Which results, from the first to the last, counted from 0.
    pub range: (u32, u32),
    /// The most results that are kept for further ranges.
    pub most: usize,
    /// Only the beginning of each text, up to this many characters.
    pub preview: Option<usize>,
}

/// What is searched for. Two searches with the same are the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SearchQuery {
    /// The client's name for the search, which Find has and Search has not.
    pub name: Option<String>,
    /// Items of these classes, by their names on the wire; of all if there is none.
    pub classes: Vec<String>,
    /// Items in these folders; in all if there is none.
    pub folders: Vec<String>,
    /// The folders below count too.
    pub deep: bool,
    /// Items of a conversation.
    pub is_of_conversation: bool,
    /// Conditions that must all hold.
    pub all: Vec<Condition>,
    /// Conditions of which one must hold, if there is one.
    pub any: Vec<Condition>,
}

/// A condition of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// The item holds what this text in Keyword Query Language says.
    Text(String),
    /// It was received after this time, in milliseconds since 1970.
    After(i64),
    /// It was received before this time.
    Before(i64),
}

/// A message that another one answers or forwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Original {
    /// Its server id, or the id that a Search gave.
    pub item: String,
    /// Its text stands below that of the new one.
    pub quoted: bool,
    /// Its attachments go along.
    pub with_attachments: bool,
}

/// What a device answers to a meeting request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Accepted.
    Accept,
    /// Perhaps.
    Tentative,
    /// Declined.
    Decline,
}

/// A change of the folder hierarchy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FolderChange {
    /// A new folder.
    Create {
        /// Its parent, `0` for the root.
        parent: String,
        /// Its name.
        name: String,
        /// Its type.
        folder_type: u8,
    },
    /// Another name, or another place.
    Update {
        /// The folder.
        id: String,
        /// Its parent.
        parent: String,
        /// Its name.
        name: String,
    },
    /// The folder goes, with what is in it.
    Delete(String),
}

/// One collection of a Sync.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SyncPart {
    /// Collection id.
    pub id: String,
    /// Sync key.
    pub key: String,
    /// Most changes in the answer.
    pub window: u16,
    /// Whether changes are wanted.
    pub get_changes: bool,
    /// Options, if the request has some: they take the place of those before.
    pub options: Option<SyncOptions>,
    /// The request says whether whole conversations are wanted.
    pub has_conversation_mode: bool,
    /// What is deleted goes to Deleted Items.
    pub deletes_as_moves: bool,
    /// Elements that the device manages; with key 0 only.
    pub supported: Option<Elements>,
    /// What the device did.
    pub commands: Vec<ItemCommand>,
}

/// What a device did with an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ItemCommand {
    /// Created one, with its own id for it.
    Add(String, Box<ItemData<'static>>),
    /// Changed one.
    Change(String, Box<ItemChange<'static>>, Named),
    /// Deleted one.
    Delete(String),
    /// Wants one.
    Fetch(String),
    /// Wrote a draft, or sends one; 16.0 and later.
    Draft(Box<Draft>),
}

/// What a change names of an item.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Named {
    /// The elements.
    pub elements: Elements,
    /// All others stay as they are.
    pub others_stay: bool,
}

/// A message that a device writes by Sync.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// Which one.
    pub id: DraftId,
    /// What it holds from now on; absent if that stays as it is.
    pub message: Option<Message>,
    /// What the request names of it.
    pub elements: Elements,
    /// The message is all that there is: of the draft before, only marks stay that are not named.
    /// Otherwise everything stays that is not named.
    pub is_whole: bool,
    /// The device's names of attachments that are new, and the attachments themselves.
    pub added: Vec<(String, Blob)>,
    /// References of attachments that are to go.
    pub removed: Vec<String>,
    /// It is to be sent, not kept.
    pub send: bool,
}

/// Which draft a device means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DraftId {
    /// A new one, with the device's id for it.
    New(String),
    /// The one with this server id.
    Old(String),
}

/// The answer to an [`ItemCommand`], where there is one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ItemResponse {
    /// The device's id, and the server's, and the attachments that came with it.
    Added(String, String, Vec<AddedAttachment<'static>>),
    /// An item that is changed, and the attachments that came with the change.
    Changed(String, Vec<AddedAttachment<'static>>),
    /// The device's id of a draft that is sent: there is no item.
    Done(String),
    /// The device's id of an item that is not added, and a Status of Sync.
    NotAdded(String, u16),
    /// An item that is not changed, and a Status of Sync.
    NotChanged(String, u16),
    /// An item that is not fetched, and a Status of Sync.
    NotFetched(String, u16),
    /// The item.
    Fetched(String, Box<ItemData<'static>>),
}

/// The store's answer. A failure is a common status (ASCMD 2.2.2).
#[derive(Debug, Serialize, Deserialize)]
pub enum StoreReply {
    /// A policy key, temporary or final.
    PolicyKey(u32),
    /// Phase 2 named another key.
    WrongPolicyKey,
    /// Key, and what has changed since the key that was sent.
    Folders {
        /// The next key.
        key: String,
        /// New folders.
        added: Vec<FolderRecord>,
        /// Folders with another name or place.
        updated: Vec<FolderRecord>,
        /// Folders that are gone.
        deleted: Vec<u32>,
    },
    /// FolderSync and folder commands: start again with key 0.
    BadFolderKey,
    /// A folder command: the next key, and the id of a new folder.
    FolderChanged {
        /// The next key.
        key: String,
        /// The folder.
        id: u32,
    },
    /// A folder command that cannot be done.
    FolderRefused(FolderRefusal),
    /// The classes of folders: `None` for one without, and for one that is not there.
    Classes(Vec<Option<Class>>),
    /// Sync.
    Sync {
        /// One per collection, in order.
        outcomes: Vec<SyncOutcome>,
        /// How many seconds it may hang.
        hang: Option<u32>,
    },
    /// An item, if it is there, with its folder and its server id.
    Item(Option<Found>),
    /// An attachment, if it is there.
    Attachment(Option<Blob>),
    /// EmptyFolderContents: whether there is such a folder.
    Emptied(bool),
    /// MoveItems: one per move.
    Moved(Vec<Moved>),
    /// Search and Find: the results of the range, the newest first.
    Found {
        /// The results.
        items: Vec<Found>,
        /// How many there are in all.
        total: u32,
    },
    /// Search and Find: there are no results to be had.
    SearchRefused(SearchRefusal),
    /// Search in the address list: users.
    Addresses(Vec<String>),
    /// ResolveRecipients: a digit for each half hour.
    FreeBusy(String),
    /// MeetingResponse: per request the id in the calendar, if it has one now; `None` where there is no
    /// such request.
    Responded(Vec<Result<Option<String>, u16>>),
    /// The automatic reply.
    Oof(Box<Oof<'static>>),
    /// Whether the device is to be wiped.
    Wipe(bool),
    /// Nothing to say.
    Done,
    /// Repeat without a cached request.
    NothingCached,
    /// Sync: the class of a folder has no such option.
    OptionsRefused,
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
    /// SmartReply and SmartForward: the original is not there.
    NoOriginal,
    /// Settings: an automatic reply that is too large, or that could not be sent.
    OofRefused,
}

/// Why a search is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SearchRefusal {
    /// No such folder.
    NoFolder,
    /// A further range of a search with a name that the device has not begun.
    NotBegun,
}

/// Why a folder command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FolderRefusal {
    /// Another folder of the parent has that name.
    Exists,
    /// A folder of every mailbox.
    Special,
    /// No such folder.
    NotFound,
    /// No such parent.
    NoParent,
    /// A name that no folder can have.
    BadName,
    /// The mailbox has as many folders as it may have.
    Full,
    /// The new parent is the folder itself, or a folder below it.
    Cycle,
}

/// What became of one item of MoveItems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moved {
    /// Its id from now on.
    To(String),
    /// No such item.
    NoItem,
    /// No such folder.
    NoFolder,
    /// It is there already.
    SameFolder,
    /// There is no room for it.
    Full,
}

/// An item that was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// Its server id.
    pub id: String,
    /// The folder it is in.
    pub folder: u32,
    /// Itself.
    pub data: Box<ItemData<'static>>,
}

/// A folder as FolderSync shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderRecord {
    /// Its id.
    pub id: u32,
    /// Its parent; 0 is the root.
    pub parent: u32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub folder_type: u8,
}

/// What became of one collection of a Sync.
#[derive(Debug, Serialize, Deserialize)]
pub enum SyncOutcome {
    /// A new key, and changes.
    Changes {
        /// Collection id.
        id: String,
        /// The next key.
        key: String,
        /// The changes.
        changes: Vec<Told>,
        /// More remain.
        more: bool,
        /// Answers to the device's commands.
        responses: Vec<ItemResponse>,
        /// The options of the collection.
        options: SyncOptions,
    },
    /// Nothing to say of this folder.
    Unchanged(u32),
    /// Status 3.
    BadKey(String),
    /// Status 12: no such folder.
    NoFolder(String),
}

/// A change that a device is told of, with the item's server id.
#[derive(Debug, Serialize, Deserialize)]
pub enum Told {
    /// A new item.
    Add(String, Box<ItemData<'static>>),
    /// A changed item.
    Update(String, Box<ItemChange<'static>>),
    /// An item that is gone.
    Delete(String),
    /// An item that left the filter's window.
    SoftDelete(String),
}

/// A message under way: as it will be shown, and what is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// As it will be shown; the references of its attachments are filled in by the store.
    pub email: Email<'static>,
    /// The attachments themselves.
    pub attachments: Vec<Blob>,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Itself.
    pub data: Vec<u8>,
}
