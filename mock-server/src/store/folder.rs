//! A folder, and the log of what happened in it. A device's Sync key stands for a place in the log: what
//! comes after it is new to the device, except for what the device did itself.

use std::collections::{BTreeMap, HashSet};

use eas::commands::{Attachment, ItemChange, ItemData};

use super::call::{Blob, FolderRecord, Message, Told};

/// A device of a mailbox, by number.
pub(super) type DeviceNumber = u32;

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) record: FolderRecord,
    items: BTreeMap<u32, Item>,
    log: Vec<Entry>,
    next: u32,
}

#[derive(Debug)]
struct Item {
    data: ItemData<'static>,
    attachments: Vec<Blob>,
}

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
struct Entry {
    item: u32,
    what: What,
    /// The device that did it, if one did.
    by: Option<DeviceNumber>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Created,
    Changed,
    Deleted,
}

/// What a device has of a folder.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) device: DeviceNumber,
    /// So many entries of the log it knows.
    pub(super) known: usize,
    /// So many there were when it began with key 0: of those it gets what is left of them.
    pub(super) base: usize,
}

/// The items of one answer.
#[derive(Default)]
struct Batch {
    told: HashSet<u32>,
    /// They came and went.
    passed_over: HashSet<u32>,
}

/// What a device is told next.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) changes: Vec<Told>,
    /// So many entries of the log it knows then.
    pub(super) known: usize,
    pub(super) more: bool,
}

impl Folder {
    pub(super) fn new(record: FolderRecord) -> Self {
        Self {
            record,
            items: BTreeMap::new(),
            log: Vec::new(),
            next: 1,
        }
    }

    fn id(&self, number: u32) -> String {
        format!("{}:{number}", self.record.id)
    }

    pub(super) fn length(&self) -> usize {
        self.log.len()
    }

    pub(super) fn get(&self, number: u32) -> Option<&ItemData<'static>> {
        self.items.get(&number).map(|item| &item.data)
    }

    pub(super) fn attachments(&self, number: u32) -> &[Blob] {
        let item = self.items.get(&number);
        item.map_or(&[], |item| &item.attachments)
    }

    /// All items with their server ids, the newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = (String, &ItemData<'static>)> {
        let items = self.items.iter().rev();
        items.map(|(number, item)| (self.id(*number), &item.data))
    }

    /// A new item; its number.
    pub(super) fn add(&mut self, data: ItemData<'static>, by: Option<DeviceNumber>) -> u32 {
        self.insert(data, Vec::new(), by)
    }

    /// A new message; its attachments get their references.
    pub(super) fn add_message(&mut self, message: Message, by: Option<DeviceNumber>) -> u32 {
        let mut email = message.email;
        email.attachments = message
            .attachments
            .iter()
            .enumerate()
            .map(|(index, blob)| Attachment {
                display_name: blob.name.clone().into(),
                file_reference: format!("{}:{index}", self.id(self.next)).into(),
                size: u32::try_from(blob.data.len()).unwrap_or(u32::MAX),
            })
            .collect();
        self.insert(ItemData::Email(Box::new(email)), message.attachments, by)
    }

    fn insert(
        &mut self,
        data: ItemData<'static>,
        attachments: Vec<Blob>,
        by: Option<DeviceNumber>,
    ) -> u32 {
        let number = self.next;
        self.next += 1;
        self.items.insert(number, Item { data, attachments });
        self.note(number, What::Created, by);
        number
    }

    /// Changes an item; `false` if there is none of that number.
    pub(super) fn change(
        &mut self,
        number: u32,
        change: &ItemChange<'static>,
        by: Option<DeviceNumber>,
    ) -> bool {
        let Some(item) = self.items.get_mut(&number) else {
            return false;
        };
        match (change, &mut item.data) {
            (ItemChange::Email { read, flag }, ItemData::Email(email)) => {
                email.read = read.unwrap_or(email.read);
                if let Some(flag) = flag {
                    email.flag = Some(flag.clone());
                }
            }
            (ItemChange::Data(data), old) if data.class() == old.class() => *old = data.clone(),
            _ => return true,
        }
        self.note(number, What::Changed, by);
        true
    }

    /// Takes an item out; `None` if there is none of that number.
    pub(super) fn take(&mut self, number: u32, by: Option<DeviceNumber>) -> Option<Message> {
        let item = self.items.remove(&number)?;
        self.note(number, What::Deleted, by);
        Some(match item.data {
            ItemData::Email(email) => Message {
                email: *email,
                attachments: item.attachments,
            },
            _ => Message::default(),
        })
    }

    /// Takes all items out.
    pub(super) fn clear(&mut self, by: Option<DeviceNumber>) {
        for number in std::mem::take(&mut self.items).into_keys() {
            self.note(number, What::Deleted, by);
        }
    }

    fn note(&mut self, item: u32, what: What, by: Option<DeviceNumber>) {
        self.log.push(Entry { item, what, by });
    }

    /// What such a device has not seen, at most so many changes.
    pub(super) fn next(&self, view: View, window: usize) -> Next {
        let mut next = Next {
            changes: Vec::new(),
            known: view.known,
            more: false,
        };
        let mut batch = Batch::default();
        for (at, entry) in self.log.iter().enumerate().skip(view.known) {
            if let Some(change) = self.told(view, at, *entry, &mut batch) {
                if next.changes.len() == window {
                    next.more = true;
                    break;
                }
                next.changes.push(change);
            }
            next.known = at + 1;
        }
        next
    }

    /// What a device was told that knew so much before, and so much after (Y2).
    pub(super) fn again(&self, view: View, after: usize) -> Next {
        let mut batch = Batch::default();
        let entries = self.log.iter().enumerate().take(after).skip(view.known);
        let changes = entries.filter_map(|(at, entry)| self.told(view, at, *entry, &mut batch));
        let rest = View {
            known: after,
            ..view
        };
        Next {
            changes: changes.collect(),
            known: after,
            more: self.count(rest) > 0,
        }
    }

    /// Whether a Ping of such a device has something to tell: only new items count
    /// (mock-fidelity G5, Y7).
    pub(super) fn has_news(&self, view: View) -> bool {
        let mut entries = self.log.iter().enumerate().skip(view.known);
        entries.any(|(at, entry)| {
            entry.what == What::Created
                && self.items.contains_key(&entry.item)
                && !view.is_own(at, *entry)
        })
    }

    /// How many changes such a device would be told of.
    pub(super) fn count(&self, view: View) -> usize {
        self.next(view, usize::MAX).changes.len()
    }

    /// What a device is told of an entry. One whose item is gone, or was told of with an entry before,
    /// is passed over: the item is told of as it is now.
    fn told(&self, view: View, at: usize, entry: Entry, batch: &mut Batch) -> Option<Told> {
        if view.is_own(at, entry) {
            return None;
        }
        let item = self.items.get(&entry.item);
        match entry.what {
            What::Created => {
                let Some(item) = item else {
                    batch.passed_over.insert(entry.item);
                    return None;
                };
                batch.told.insert(entry.item);
                let data = Box::new(item.data.clone());
                Some(Told::Add(self.id(entry.item), data))
            }
            What::Changed if at < view.base || !batch.told.insert(entry.item) => None,
            What::Changed => {
                let change = match &item?.data {
                    ItemData::Email(email) => ItemChange::Email {
                        read: Some(email.read),
                        flag: email.flag.clone(),
                    },
                    other => ItemChange::Data(other.clone()),
                };
                Some(Told::Update(self.id(entry.item), Box::new(change)))
            }
            What::Deleted if at < view.base || batch.passed_over.contains(&entry.item) => None,
            What::Deleted => Some(Told::Delete(self.id(entry.item))),
        }
    }
}

impl View {
    /// What a device did itself it knows, unless it began anew since.
    fn is_own(self, at: usize, entry: Entry) -> bool {
        entry.by == Some(self.device) && at >= self.base
    }
}

#[cfg(test)]
mod tests {
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

    /// The changes in short, and how much is known then.
    fn told(folder: &Folder, view: View, window: usize) -> (Vec<String>, usize, bool) {
        let next = folder.next(view, window);
        let texts = next.changes.iter().map(|change| match change {
            Told::Add(id, _) => format!("add {id}"),
            Told::Update(id, _) => format!("update {id}"),
            Told::Delete(id) => format!("delete {id}"),
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
        folder.change(1, &READ, Some(1));
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
        assert!(folder.has_news(other));
        assert!(!folder.has_news(View { known: 1, ..DEVICE }), "its own");
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
