//! What items hold.

use std::collections::BTreeMap;

use eas::commands::{Email, ItemData};

use super::call::{Blob, Message};
use super::limits::{is_storable, text_size};

/// What an item holds. The mailboxes of all recipients of a message share it.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) data: ItemData<'static>,
    /// By the number that their references end with. A number is never given to another one.
    pub(super) attachments: BTreeMap<u32, Blob>,
    /// The number of the next attachment.
    next_attachment: u32,
    /// Bytes of the item without its attachments.
    text: usize,
}

impl Content {
    pub(super) fn new(data: ItemData<'static>) -> Self {
        Self {
            text: text_size(&data),
            data,
            attachments: BTreeMap::new(),
            next_attachment: 0,
        }
    }

    pub(super) fn message(message: Message) -> Self {
        let mut content = Self::new(ItemData::Email(Box::new(message.email)));
        message.attachments.into_iter().for_each(|one| {
            content.attach(one);
        });
        content
    }

    /// The same with another message.
    pub(super) fn with_email(mut self, change: impl FnOnce(&mut Email<'static>)) -> Self {
        if let ItemData::Email(email) = &mut self.data {
            change(email);
            self.text = text_size(&self.data);
        }
        self
    }

    /// Takes over the attachments of what the item held before, with their numbers.
    pub(super) fn keep_attachments(&mut self, old: &Self) {
        self.attachments.clone_from(&old.attachments);
        self.next_attachment = old.next_attachment;
    }

    /// Adds an attachment; its number.
    pub(super) fn attach(&mut self, blob: Blob) -> u32 {
        let number = self.next_attachment;
        self.next_attachment += 1;
        self.attachments.insert(number, blob);
        number
    }

    /// The number of the next attachment.
    pub(super) const fn next_attachment(&self) -> u32 {
        self.next_attachment
    }

    /// Bytes of the item without its attachments.
    pub(super) const fn text_size(&self) -> usize {
        self.text
    }

    /// Whether it can be sent to a device.
    pub(super) fn is_storable(&self) -> bool {
        let mut blobs = self.attachments.values();
        is_storable(&self.data)
            && blobs.all(|blob| is_storable(&*blob.name) && is_storable(&*blob.content_type))
    }

    /// Bytes of the item with its attachments.
    pub(super) fn size(&self) -> u64 {
        let attachments = self.attachments.values().map(|blob| {
            let names = blob.name.len() + blob.content_type.len();
            size_of::<Blob>() + names + blob.data.len()
        });
        (self.text + attachments.sum::<usize>()) as u64
    }
}
