//! A folder: its items, and the log of what happened to them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use eas::commands::{Attachment, Class, Flag, FolderType, ItemChange, ItemData};

use super::call::{FolderRecord, Told};
use super::content::Content;
use super::filter::Filter;
use super::limits::{MAX_FLAG, is_storable, text_size};
use super::log::{DeviceNumber, Entry, Log, What};

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) record: FolderRecord,
    items: BTreeMap<u32, Item>,
    log: Log,
    next: u32,
    /// Bytes of all items.
    size: u64,
}

/// An item: what it holds, and what is its own in this mailbox.
#[derive(Debug)]
pub(super) struct Item {
    content: Arc<Content>,
    read: bool,
    flag: Option<Box<Flag<'static>>>,
    /// Position of its creation in the log.
    created: usize,
}

impl Item {
    pub(super) fn new(content: Arc<Content>) -> Self {
        let (read, flag) = match &content.data {
            ItemData::Email(email) => (email.read, email.flag.clone().map(Box::new)),
            _ => (false, None),
        };
        Self {
            content,
            read,
            flag,
            created: 0,
        }
    }

    /// The same item, read by its user.
    pub(super) fn read(self) -> Self {
        Self { read: true, ..self }
    }
}

/// What a device has of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) device: DeviceNumber,
    /// It knows the entries of the log below this position.
    pub(super) known: usize,
    /// End of the log when it started with key 0: of the entries below, it gets what is left of them.
    pub(super) base: usize,
}

/// The items of one answer.
#[derive(Default)]
struct Batch {
    told: HashSet<u32>,
    /// They came and went.
    passed_over: HashSet<u32>,
}

/// How much an answer may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) changes: usize,
    pub(super) bytes: usize,
}

/// What a device is told next.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) changes: Vec<Told>,
    /// Bytes of the changes.
    pub(super) bytes: usize,
    /// The device knows the entries below this position then.
    pub(super) known: usize,
    pub(super) more: bool,
}

impl Folder {
    /// The class of its items; `None` for a folder of another kind.
    pub(super) fn class(&self) -> Option<Class> {
        FolderType(self.record.folder_type).class()
    }

    pub(super) fn new(record: FolderRecord) -> Self {
        Self {
            record,
            items: BTreeMap::new(),
            log: Log::default(),
            next: 1,
            size: 0,
        }
    }

    pub(super) fn id(&self, number: u32) -> String {
        format!("{}:{number}", self.record.id)
    }

    /// End of the log.
    pub(super) fn end(&self) -> usize {
        self.log.end()
    }

    /// How many items there are.
    pub(super) fn count_items(&self) -> usize {
        self.items.len()
    }

    /// Bytes of all items.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// What an item holds, without what is its own in this mailbox.
    pub(super) fn content(&self, number: u32) -> Option<&Content> {
        self.items.get(&number).map(|item| &*item.content)
    }

    /// An item as devices see it.
    pub(super) fn data(&self, number: u32) -> Option<ItemData<'static>> {
        let item = self.items.get(&number)?;
        Some(self.shown(number, item))
    }

    /// All items with their numbers, the newest first, and whether their user has read them.
    pub(super) fn newest(&self) -> impl Iterator<Item = (u32, &Content, bool)> {
        let items = self.items.iter().rev();
        items.map(|(number, item)| (*number, &*item.content, item.read))
    }

    /// As devices see it: with its marks, and with references to its attachments.
    fn shown(&self, number: u32, item: &Item) -> ItemData<'static> {
        let mut data = item.content.data.clone();
        if let ItemData::Email(email) = &mut data {
            email.read = item.read;
            email.flag = item.flag.as_deref().cloned();
            let blobs = item.content.attachments.iter();
            let attachments = blobs.map(|(index, blob)| Attachment {
                display_name: blob.name.clone().into(),
                file_reference: format!("{}:{index}", self.id(number)).into(),
                size: u32::try_from(blob.data.len()).unwrap_or(u32::MAX),
            });
            email.attachments = attachments.collect();
        }
        data
    }

    /// A new item; its number.
    #[cfg(test)]
    pub(super) fn add(&mut self, data: ItemData<'static>, by: Option<DeviceNumber>) -> u32 {
        self.put(Item::new(Arc::new(Content::new(data))), by)
    }

    /// An item that is there already, in another folder or in a mailbox of another recipient; its number
    /// here.
    pub(super) fn put(&mut self, mut item: Item, by: Option<DeviceNumber>) -> u32 {
        let number = self.next;
        self.next += 1;
        item.created = self.log.push(number, What::Created, by);
        self.size += item.content.size();
        self.items.insert(number, item);
        number
    }

    /// Changes an item; `None` if there is none of that number, `false` if the change does not fit it.
    pub(super) fn change(
        &mut self,
        number: u32,
        change: &ItemChange<'static>,
        by: Option<DeviceNumber>,
    ) -> Option<bool> {
        let item = self.items.get_mut(&number)?;
        match (change, &item.content.data) {
            // A value of the change could not be read, or it is the content of a message: only that of
            // a draft changes, by [`replace`](Self::replace).
            (ItemChange::Data(ItemData::Other | ItemData::Email(_)), _) => return Some(false),
            _ if !is_storable(change) => return Some(false),
            (ItemChange::Email { flag, .. }, _) if text_size(flag) > MAX_FLAG => {
                return Some(false);
            }
            (ItemChange::Email { read, flag }, ItemData::Email(_)) => {
                item.read = read.unwrap_or(item.read);
                if let Some(flag) = flag {
                    item.flag = Some(Box::new(flag.clone()));
                }
            }
            (ItemChange::Data(data), old) if data.class() == old.class() => {
                self.size -= item.content.size();
                let mut content = Content::new(data.clone());
                content.keep_attachments(&item.content);
                item.content = Arc::new(content);
                self.size += item.content.size();
            }
            (ItemChange::Nothing, _) => return Some(true),
            // A change of an item of another class.
            _ => return Some(false),
        }
        self.log.push(number, What::Changed, by);
        Some(true)
    }

    /// Whether an item is as that change would leave it.
    pub(super) fn is_as(&self, number: u32, change: &ItemChange<'static>) -> bool {
        let Some(item) = self.items.get(&number) else {
            return false;
        };
        match change {
            ItemChange::Email { read, flag } => {
                let is_same = |flag: &Flag<'static>| match item.flag.as_deref() {
                    Some(old) => old == flag,
                    None => *flag == Flag::default(),
                };
                read.is_none_or(|read| read == item.read) && flag.as_ref().is_none_or(is_same)
            }
            ItemChange::Data(data) => *data == item.content.data,
            ItemChange::Nothing => true,
        }
    }

    /// Gives an item another content, with its marks.
    pub(super) fn replace(&mut self, number: u32, content: Content, by: Option<DeviceNumber>) {
        let Some(item) = self.items.get_mut(&number) else {
            return;
        };
        self.size -= item.content.size();
        self.size += content.size();
        let new = Item::new(Arc::new(content));
        (item.read, item.flag, item.content) = (new.read, new.flag, new.content);
        self.log.push(number, What::Changed, by);
    }

    /// Takes an item out; `None` if there is none of that number.
    pub(super) fn take(&mut self, number: u32, by: Option<DeviceNumber>) -> Option<Item> {
        let item = self.items.remove(&number)?;
        self.size -= item.content.size();
        self.log.push(number, What::Deleted, by);
        Some(item)
    }

    /// Takes all items out.
    pub(super) fn clear(&mut self, by: Option<DeviceNumber>) {
        self.size = 0;
        for number in std::mem::take(&mut self.items).into_keys() {
            self.log.push(number, What::Deleted, by);
        }
    }

    /// Whether the log still has what a device of that view needs.
    pub(super) fn serves(&self, view: View) -> bool {
        let floor = self.log.floor();
        view.known >= floor || view.base >= floor
    }

    /// What such a device has not seen, as far as there is room.
    pub(super) fn next(&self, view: View, room: Room) -> Next {
        self.next_until(view, room, usize::MAX)
    }

    /// What a device was told between its position and that one (Y2), as far as there is room.
    pub(super) fn again(&self, view: View, room: Room, after: usize) -> Next {
        let mut next = self.next_until(view, room, after);
        next.more |= self.has_more(View {
            known: next.known,
            ..view
        });
        next
    }

    fn next_until(&self, view: View, room: Room, after: usize) -> Next {
        self.next_wanted(view, room, after, |_, _| true)
    }

    /// What such a device has not seen before that position and is to see, as far as there is room. What
    /// is not wanted is passed over.
    pub(super) fn next_wanted(
        &self,
        view: View,
        room: Room,
        after: usize,
        mut is_wanted: impl FnMut(u32, What) -> bool,
    ) -> Next {
        let mut next = Next {
            changes: Vec::new(),
            bytes: 0,
            known: after.min(self.log.end()),
            more: false,
        };
        let mut batch = Batch::default();
        let entries = self.log.from(view.known).iter();
        for entry in entries.take_while(|entry| entry.at < after) {
            if !self.is_told(view, *entry, &mut batch) || !is_wanted(entry.item, entry.what) {
                continue;
            }
            if next.changes.len() >= room.changes || next.bytes >= room.bytes {
                next.known = entry.at;
                next.more = true;
                break;
            }
            next.bytes += self.content(entry.item).map_or(0, Content::text_size);
            next.changes.extend(self.told(*entry));
        }
        next
    }

    /// The items that were deleted between two positions, whoever did it.
    pub(super) fn deleted(&self, from: usize, to: usize) -> impl Iterator<Item = u32> {
        let entries = self.log.from(from).iter();
        let entries = entries.take_while(move |entry| entry.at < to);
        let deleted = entries.filter(|entry| entry.what == What::Deleted);
        deleted.map(|entry| entry.item)
    }

    /// The items that others changed and that such a device does not know of yet.
    pub(super) fn changed_by_others(&self, view: View) -> HashSet<u32> {
        let entries = self.log.from(view.known.max(view.base)).iter();
        let changed = entries.filter(|entry| entry.what == What::Changed && !view.is_own(**entry));
        changed.map(|entry| entry.item).collect()
    }

    /// Whether a Ping of such a device has something to tell: only new items count
    /// (mock-fidelity G5, Y7). A device that has to start again is told so by a Sync.
    pub(super) fn has_news(&self, view: View, filter: &Filter) -> bool {
        let mut entries = self.log.from(view.known).iter();
        !self.serves(view)
            || entries.any(|entry| {
                let content = self.content(entry.item);
                entry.what == What::Created
                    && content.is_some_and(|content| filter.holds(&content.data))
                    && !view.is_own(*entry)
            })
    }

    /// How many changes such a device would be told of.
    pub(super) fn count(&self, view: View) -> usize {
        self.pending(view).count()
    }

    /// The entries that such a device would be told of: the numbers of their items, and what happened.
    pub(super) fn pending(&self, view: View) -> impl Iterator<Item = (u32, What)> {
        let mut batch = Batch::default();
        let entries = self.log.from(view.known).iter();
        let told = entries.filter(move |entry| self.is_told(view, **entry, &mut batch));
        told.map(|entry| (entry.item, entry.what))
    }

    /// The items whose creation such a device knows of, whether its filter showed them or not.
    pub(super) fn known_items(
        &self,
        view: View,
    ) -> impl Iterator<Item = (u32, &ItemData<'static>)> {
        let known = self
            .items
            .iter()
            .filter(move |(_, item)| item.created < view.known);
        known.map(|(number, item)| (*number, &item.content.data))
    }

    /// An item as a new one.
    pub(super) fn told_as_new(&self, number: u32) -> Option<Told> {
        Some(Told::Add(self.id(number), Box::new(self.data(number)?)))
    }

    fn has_more(&self, view: View) -> bool {
        self.pending(view).next().is_some()
    }

    /// Whether a device is told of an entry. One whose item is gone, or was told of with an entry before,
    /// is passed over: the item is told of as it is now.
    fn is_told(&self, view: View, entry: Entry, batch: &mut Batch) -> bool {
        if view.is_own(entry) {
            return false;
        }
        let is_there = self.items.contains_key(&entry.item);
        let is_old = entry.at < view.base;
        match entry.what {
            What::Created if is_there => batch.told.insert(entry.item),
            What::Created => {
                batch.passed_over.insert(entry.item);
                false
            }
            What::Changed => is_there && !is_old && batch.told.insert(entry.item),
            What::Deleted => !is_old && !batch.passed_over.contains(&entry.item),
        }
    }

    fn told(&self, entry: Entry) -> Option<Told> {
        let id = self.id(entry.item);
        if entry.what == What::Deleted {
            return Some(Told::Delete(id));
        }
        let item = self.items.get(&entry.item)?;
        if entry.what == What::Created {
            return Some(Told::Add(id, Box::new(self.shown(entry.item, item))));
        }
        let change = match &item.content.data {
            ItemData::Email(email) if email.is_draft => {
                ItemChange::Data(self.shown(entry.item, item))
            }
            ItemData::Email(_) => ItemChange::Email {
                read: Some(item.read),
                flag: item.flag.as_deref().cloned(),
            },
            other => ItemChange::Data(other.clone()),
        };
        Some(Told::Update(id, Box::new(change)))
    }

    /// Whether [`tidy`](Self::tidy) would be worth its cost.
    pub(super) fn is_untidy(&self, kept: usize) -> bool {
        self.items.len() > kept || self.log.is_due()
    }

    /// Deletes the oldest items beyond `kept`, as long as their creation is below `fetched`, the position
    /// up to which every device has what happened. Then drops what of the log is below `passed`, and
    /// which nobody needs any more.
    pub(super) fn tidy(&mut self, kept: usize, fetched: usize, passed: usize) {
        while self.items.len() > kept
            && let Some((number, item)) = self.items.first_key_value()
            && item.created < fetched
        {
            let number = *number;
            self.take(number, None);
        }
        if self.log.is_due() {
            let items = &self.items;
            self.log.compact(passed, |item| items.contains_key(&item));
        }
    }

    /// Length of the log.
    #[cfg(test)]
    pub(super) fn log_length(&self) -> usize {
        self.log.len()
    }
}

impl View {
    /// What a device did itself it knows, unless it began anew since.
    fn is_own(self, entry: Entry) -> bool {
        entry.by == Some(self.device) && entry.at >= self.base
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::MAX_ANSWER;
    use super::*;
    use eas::commands::Email;

    fn folder() -> Folder {
        Folder::new(FolderRecord {
            id: 5,
            parent: 0,
            name: "Inbox".to_owned(),
            folder_type: 2,
        })
    }

    fn mail(subject: &str) -> ItemData<'static> {
        ItemData::Email(Box::new(Email {
            subject: subject.to_owned().into(),
            ..Email::default()
        }))
    }

    const READ: ItemChange<'static> = ItemChange::Email {
        read: Some(true),
        flag: None,
    };

    #[test]
    fn a_flag_beyond_4096_bytes_is_refused() {
        let mut folder = folder();
        let number = folder.add(mail("x"), None);
        for (letters, is_taken) in [(4000, true), (4096, false)] {
            let flag = Flag {
                flag_type: "x".repeat(letters).into(),
                ..Flag::default()
            };
            let change = ItemChange::Email {
                read: None,
                flag: Some(flag),
            };
            assert_eq!(folder.change(number, &change, None), Some(is_taken));
        }
    }

    /// The changes in short, and how much is known then.
    fn told(folder: &Folder, view: View, window: usize) -> (Vec<String>, usize, bool) {
        let next = folder.next(
            view,
            Room {
                changes: window,
                bytes: MAX_ANSWER,
            },
        );
        let texts = next.changes.iter().map(|change| match change {
            Told::Add(id, _) => format!("add {id}"),
            Told::Update(id, _) => format!("update {id}"),
            Told::Delete(id) => format!("delete {id}"),
            Told::SoftDelete(id) => format!("soft-delete {id}"),
        });
        (texts.collect(), next.known, next.more)
    }

    const DEVICE: View = View {
        device: 1,
        known: 0,
        base: 0,
    };

    #[test]
    fn a_device_is_told_what_others_did_and_not_what_it_did() {
        let mut folder = folder();
        folder.add(mail("a"), None);
        let own = folder.add(mail("b"), Some(1));
        assert_eq!(folder.change(1, &READ, Some(1)), Some(true));
        folder.change(own, &READ, Some(2));
        let all = ["add 5:1", "update 5:2"].map(str::to_owned).to_vec();
        assert_eq!(told(&folder, DEVICE, 10), (all, 4, false));
        // For another device the second one is new, with what has changed since.
        let other = View {
            device: 2,
            ..DEVICE
        };
        let all = ["add 5:1", "add 5:2"].map(str::to_owned).to_vec();
        assert_eq!(told(&folder, other, 10), (all, 4, false));
        assert!(folder.has_news(other, &Filter::All));
        assert!(
            !folder.has_news(View { known: 1, ..DEVICE }, &Filter::All),
            "its own"
        );
    }

    #[test]
    fn an_item_that_changed_before_it_was_told_of_is_added_and_not_updated() {
        let mut folder = folder();
        for subject in ["a", "b", "c"] {
            folder.add(mail(subject), None);
        }
        folder.change(3, &READ, None);
        let (first, known, more) = told(&folder, DEVICE, 2);
        assert_eq!((first.len(), known, more), (2, 2, true));
        let rest = told(&folder, View { known, ..DEVICE }, 2);
        assert_eq!(rest, (vec!["add 5:3".to_owned()], 4, false));
    }

    #[test]
    fn what_is_gone_is_deleted_where_it_was_and_passed_over_where_it_was_not() {
        let mut folder = folder();
        folder.add(mail("a"), None);
        folder.add(mail("b"), None);
        folder.take(1, None);
        let knew = View { known: 2, ..DEVICE };
        assert_eq!(told(&folder, knew, 10).0, ["delete 5:1"]);
        // A device that begins now never hears of it.
        let new = View { base: 3, ..DEVICE };
        assert_eq!(told(&folder, new, 10).0, ["add 5:2"]);
        // Nor does one that was away while it came and went.
        assert_eq!(told(&folder, DEVICE, 10).0, ["add 5:2"]);
    }

    #[test]
    fn a_device_that_begins_anew_gets_its_own_items_back() {
        let mut folder = folder();
        folder.add(mail("a"), Some(1));
        assert_eq!(told(&folder, DEVICE, 10).0.len(), 0);
        let anew = View { base: 1, ..DEVICE };
        assert_eq!(told(&folder, anew, 10).0, ["add 5:1"]);
    }
}
