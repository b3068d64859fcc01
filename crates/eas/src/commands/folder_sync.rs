use std::borrow::Cow;

use super::{Class, Skipped};
use crate::status::FolderSyncStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, folder_hierarchy as tags};

/// A FolderSync request (ASCMD 2.2.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSyncRequest<'a> {
    /// `0` to begin, then the key of the last answer.
    pub sync_key: Cow<'a, str>,
}

impl<'a> FolderSyncRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When the key cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FOLDER_SYNC)
            .element(tags::SYNC_KEY, &self.sync_key)
            .end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderSync request with a key.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::FOLDER_SYNC)?;
        let mut sync_key = None;
        while let Some(element) = reader.child(root)? {
            if element.tag == tags::SYNC_KEY {
                sync_key = Some(reader.text(element)?);
            } else {
                reader.skip(element)?;
            }
        }
        let sync_key = sync_key.ok_or_else(|| reader.missing(tags::FOLDER_SYNC, tags::SYNC_KEY))?;
        reader.finish()?;
        Ok(Self { sync_key })
    }
}

/// What a folder is for (ASCMD 2.2.3.186.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FolderType(pub u8);

impl FolderType {
    /// Inbox.
    pub const INBOX: Self = Self(2);
    /// Drafts.
    pub const DRAFTS: Self = Self(3);
    /// Deleted Items.
    pub const DELETED_ITEMS: Self = Self(4);
    /// Sent Items.
    pub const SENT_ITEMS: Self = Self(5);
    /// Tasks.
    pub const TASKS: Self = Self(7);
    /// Calendar.
    pub const CALENDAR: Self = Self(8);
    /// Contacts.
    pub const CONTACTS: Self = Self(9);
    /// Notes.
    pub const NOTES: Self = Self(10);
    /// A mail folder of the user.
    pub const USER_MAIL: Self = Self(12);

    /// The class of the items in such a folder; `None` for journals, the recipient cache and
    /// folders of unknown type, which Sync and Ping do not take.
    #[must_use]
    pub const fn class(self) -> Option<Class> {
        Some(match self.0 {
            1..=6 | 12 => Class::Email,
            7 | 15 => Class::Tasks,
            8 | 13 => Class::Calendar,
            9 | 14 => Class::Contacts,
            10 | 17 => Class::Notes,
            _ => return None,
        })
    }
}

/// A folder added or updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder<'a> {
    /// Its id, the CollectionId of Sync and the Id of Ping.
    pub server_id: Cow<'a, str>,
    /// Its parent's id, `0` at the top.
    pub parent_id: Cow<'a, str>,
    /// Its name for people.
    pub display_name: Cow<'a, str>,
    /// What it is for.
    pub folder_type: FolderType,
}

/// A FolderSync answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSyncAnswer<'a> {
    /// The command's status.
    pub status: FolderSyncStatus,
    /// The next request's key.
    pub sync_key: Option<Cow<'a, str>>,
    /// Folders that are new to the client.
    pub added: Vec<Folder<'a>>,
    /// Folders that changed.
    pub updated: Vec<Folder<'a>>,
    /// Ids of folders that are gone.
    pub deleted: Vec<Cow<'a, str>>,
    /// Changes that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> FolderSyncAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn failed(status: FolderSyncStatus) -> Self {
        Self {
            status,
            sync_key: None,
            added: Vec::new(),
            updated: Vec::new(),
            deleted: Vec::new(),
            skipped: Skipped::default(),
        }
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FOLDER_SYNC)
            .number(tags::STATUS, self.status.code());
        if let Some(key) = &self.sync_key {
            writer.element(tags::SYNC_KEY, key);
            let count = self.added.len() + self.updated.len() + self.deleted.len();
            writer
                .start(tags::CHANGES)
                .element(tags::COUNT, &count.to_string());
            for (tag, folders) in [(tags::ADD, &self.added), (tags::UPDATE, &self.updated)] {
                for folder in folders {
                    writer.start(tag);
                    writer.element(tags::SERVER_ID, &folder.server_id);
                    writer.element(tags::PARENT_ID, &folder.parent_id);
                    writer.element(tags::DISPLAY_NAME, &folder.display_name);
                    writer.number(tags::TYPE, folder.folder_type.0).end();
                }
            }
            for id in &self.deleted {
                writer
                    .start(tags::DELETE)
                    .element(tags::SERVER_ID, id)
                    .end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderSync answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::FOLDER_SYNC)?;
        let mut status = None;
        let mut answer = Self::failed(FolderSyncStatus::Success);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::SYNC_KEY => answer.sync_key = reader.optional(element, Reader::text)?,
                tags::CHANGES => answer.changes(&mut reader, element)?,
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::FOLDER_SYNC, tags::STATUS))?;
        answer.status = FolderSyncStatus::from_code(status);
        reader.finish()?;
        Ok(answer)
    }

    fn changes(&mut self, reader: &mut Reader<'a>, changes: Element) -> Result<(), DecodeError> {
        while let Some(change) = reader.child(changes)? {
            if ![tags::ADD, tags::UPDATE, tags::DELETE].contains(&change.tag) {
                reader.skip(change)?;
                continue;
            }
            let read = self.skipped.item(reader, change, folder)?;
            match change.tag {
                tags::ADD => self.added.extend(read),
                tags::UPDATE => self.updated.extend(read),
                _ => self.deleted.extend(read.map(|folder| folder.server_id)),
            }
        }
        Ok(())
    }
}

fn folder<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Folder<'a>, DecodeError> {
    const UNKNOWN: FolderType = FolderType(18);
    let mut server_id = None;
    let (mut parent_id, mut display_name) = (Cow::Borrowed("0"), Cow::Borrowed(""));
    let mut folder_type = UNKNOWN;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::SERVER_ID => server_id = Some(reader.text(element)?),
            tags::PARENT_ID => {
                parent_id = reader.optional(element, Reader::text)?.unwrap_or(parent_id);
            }
            tags::DISPLAY_NAME => display_name = reader.text(element)?,
            tags::TYPE => {
                let number = reader.optional(element, Reader::number)?;
                folder_type = number.map_or(UNKNOWN, FolderType);
            }
            _ => reader.skip(element)?,
        }
    }
    let server_id = server_id.ok_or_else(|| reader.missing(parent.tag, tags::SERVER_ID))?;
    Ok(Folder {
        server_id,
        parent_id,
        display_name,
        folder_type,
    })
}
