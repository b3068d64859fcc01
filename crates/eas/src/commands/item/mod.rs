//! What items of each class hold, and how they stand in ApplicationData and Properties.

mod attachment;
mod body;
mod calendar;
mod contact;
mod elements;
mod email;
mod meeting_request;
mod note;
mod recurrence;
mod task;

use std::borrow::Cow;

use crate::ProtocolVersion;
use crate::commands::Class;
use crate::wbxml::{
    DecodeError, Element, Reader, Tag, Writer, air_sync_base, calendar as calendar_tags,
    contacts as contact_tags, contacts2, email as email_tags, email2, notes as note_tags,
    tasks as task_tags,
};

pub use attachment::{AddedAttachment, Attachment, AttachmentChange};
pub use body::{Body, BodyPart, BodyPreference};
pub(super) use body::{read_body_preference, write_body_preference};
pub use calendar::{Appointment, Attendee, UTC_TIME_ZONE};
pub use contact::Contact;
pub use elements::Elements;
pub use email::{Email, Flag, FlagStatus};
pub use meeting_request::MeetingRequest;
pub use note::Note;
pub use recurrence::Recurrence;
pub use task::Task;

/// Who writes an item: from 16.0 on a client leaves out what the server fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// The content of an item (ASCMD 2.2.3.11). On the wire only the code pages of its elements tell
/// which class it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ItemData<'a> {
    /// A message.
    Email(Box<Email<'a>>),
    /// An appointment.
    Calendar(Box<Appointment<'a>>),
    /// A contact.
    Contact(Box<Contact<'a>>),
    /// A task.
    Task(Box<Task<'a>>),
    /// A note.
    Note(Box<Note<'a>>),
    /// Content without an element of these classes. It is written as nothing.
    Other,
}

impl<'a> ItemData<'a> {
    /// The class it is of.
    #[must_use]
    pub const fn class(&self) -> Option<Class> {
        Some(match self {
            Self::Email(_) => Class::Email,
            Self::Calendar(_) => Class::Calendar,
            Self::Contact(_) => Class::Contacts,
            Self::Task(_) => Class::Tasks,
            Self::Note(_) => Class::Notes,
            Self::Other => return None,
        })
    }

    /// The message, if it is one.
    #[must_use]
    pub fn as_email(&self) -> Option<&Email<'a>> {
        match self {
            Self::Email(email) => Some(email),
            _ => None,
        }
    }

    /// Writes the content into the open element.
    fn write(&self, writer: &mut Writer, version: ProtocolVersion, sender: Sender) {
        match self {
            Self::Email(email) => email.write(writer, version),
            Self::Calendar(appointment) => appointment.write(writer, version, sender),
            Self::Contact(contact) => contact.write(writer, version),
            Self::Task(task) => task.write(writer, version),
            Self::Note(note) => note.write(writer),
            Self::Other => {}
        }
    }

    /// Writes an element that holds the content.
    pub(super) fn write_in(
        &self,
        tag: Tag,
        writer: &mut Writer,
        version: ProtocolVersion,
        sender: Sender,
    ) {
        if *self == Self::Other {
            writer.empty(tag);
            return;
        }
        writer.start(tag);
        self.write(writer, version, sender);
        writer.end();
    }

    /// Consumes an element that holds the content of an item.
    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        Self::read_in(reader, parent, None)
    }

    /// The same, from a collection of that class: elements that all classes share do not tell it.
    pub(super) fn read_in(
        reader: &mut Reader<'a>,
        parent: Element,
        collection: Option<Class>,
    ) -> Result<Self, DecodeError> {
        Ok(match class_ahead(reader, parent, collection)? {
            Some(Class::Email) => Self::Email(Email::read(reader, parent)?.0),
            Some(Class::Calendar) => Self::Calendar(Appointment::read(reader, parent)?),
            Some(Class::Contacts) => Self::Contact(Contact::read(reader, parent)?),
            Some(Class::Tasks) => Self::Task(Task::read(reader, parent)?),
            Some(Class::Notes) => Self::Note(Note::read(reader, parent)?),
            None => {
                reader.skip(parent)?;
                Self::Other
            }
        })
    }
}

/// What a Change says of an item, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ItemChange<'a> {
    /// Marks of a message. One without marks is written as [`Nothing`](Self::Nothing).
    Email {
        /// Read by the user; absent if that did not change.
        read: Option<bool>,
        /// Flagged by the user; absent if that did not change.
        flag: Option<Flag<'a>>,
    },
    /// The whole content anew.
    Data(ItemData<'a>),
    /// Nothing that is kept.
    Nothing,
}

impl<'a> ItemChange<'a> {
    /// Writes an element that holds the change.
    pub(super) fn write_in(
        &self,
        tag: Tag,
        writer: &mut Writer,
        version: ProtocolVersion,
        sender: Sender,
    ) {
        let (read, flag) = match self {
            Self::Data(data) => return data.write_in(tag, writer, version, sender),
            Self::Nothing => (None, None),
            // A flag is an element of 12.0 and later.
            Self::Email { read, flag } => {
                (*read, flag.as_ref().filter(|_| version.has_air_sync_base()))
            }
        };
        if read.is_none() && flag.is_none() {
            writer.empty(tag);
            return;
        }
        writer.start(tag);
        if let Some(read) = read {
            writer.flag(email_tags::READ, read);
        }
        if let Some(flag) = flag {
            flag.write(writer);
        }
        writer.end();
    }

    /// Consumes an element that holds a change. Elements of the Email class count as marks unless
    /// one of them is of the message itself.
    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        Self::read_in(reader, parent, None)
    }

    /// The same, from a collection of that class.
    pub(super) fn read_in(
        reader: &mut Reader<'a>,
        parent: Element,
        collection: Option<Class>,
    ) -> Result<Self, DecodeError> {
        if class_ahead(reader, parent, collection)? == Some(Class::Email) {
            let (email, seen) = Email::read(reader, parent)?;
            if seen.message {
                return Ok(Self::Data(ItemData::Email(email)));
            }
            let (read, flag) = (seen.read.then_some(email.read), email.flag);
            return Ok(match (&read, &flag) {
                (None, None) => Self::Nothing,
                _ => Self::Email { read, flag },
            });
        }
        Ok(match ItemData::read_in(reader, parent, collection)? {
            ItemData::Other => Self::Nothing,
            data => Self::Data(data),
        })
    }
}

/// The class of the first element that belongs to one: a body, which all classes share, may come
/// before it. If there are only elements of all classes, it is that of the collection. Nothing is
/// consumed.
fn class_ahead(
    reader: &Reader<'_>,
    parent: Element,
    collection: Option<Class>,
) -> Result<Option<Class>, DecodeError> {
    let mut ahead = reader.clone();
    let mut is_shared = false;
    while let Some(element) = ahead.child(parent)? {
        let class = class_of(element.tag);
        if class.is_some() {
            return Ok(class);
        }
        is_shared |= element.tag.page() == air_sync_base::BODY.page();
        ahead.skip(element)?;
    }
    Ok(collection.filter(|_| is_shared))
}

fn class_of(tag: Tag) -> Option<Class> {
    const PAGES: [(Tag, Class); 7] = [
        (email_tags::SUBJECT, Class::Email),
        (email2::SENDER, Class::Email),
        (calendar_tags::SUBJECT, Class::Calendar),
        (contact_tags::FILE_AS, Class::Contacts),
        (contacts2::NICK_NAME, Class::Contacts),
        (task_tags::SUBJECT, Class::Tasks),
        (note_tags::SUBJECT, Class::Notes),
    ];
    PAGES
        .iter()
        .find(|(of_page, _)| of_page.page() == tag.page())
        .map(|(_, class)| *class)
}

/// Writes those of the texts that are not empty.
fn write_texts<const N: usize>(writer: &mut Writer, texts: [(Tag, &str); N]) {
    for (tag, text) in texts {
        if !text.is_empty() {
            writer.element(tag, text);
        }
    }
}

/// A place is a text of its class up to 14.1, an element that holds its name from 16.0 on (ASAIRS,
/// Location).
fn write_location(writer: &mut Writer, old: Tag, location: &str, version: ProtocolVersion) {
    if location.is_empty() {
        return;
    }
    if version >= ProtocolVersion::V16_0 {
        writer
            .start(air_sync_base::LOCATION)
            .element(air_sync_base::DISPLAY_NAME, location)
            .end();
    } else {
        writer.element(old, location);
    }
}

fn read_location<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Cow<'a, str>, DecodeError> {
    let mut name = Cow::Borrowed("");
    while let Some(field) = reader.child(parent)? {
        if field.tag == air_sync_base::DISPLAY_NAME {
            name = reader.text(field)?;
        } else {
            reader.skip(field)?;
        }
    }
    Ok(name)
}
