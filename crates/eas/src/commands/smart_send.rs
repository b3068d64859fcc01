use std::borrow::Cow;

use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Tag, Writer, compose_mail as tags};

/// Which of the two commands that send a message with another one in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmartSend {
    /// SmartReply (ASCMD 2.2.1.20).
    Reply,
    /// SmartForward (ASCMD 2.2.1.19).
    Forward,
}

impl SmartSend {
    /// The root element of its bodies.
    pub(super) const fn root(self) -> Tag {
        match self {
            Self::Reply => tags::SMART_REPLY,
            Self::Forward => tags::SMART_FORWARD,
        }
    }
}

/// The message that is answered or forwarded (ASCMD, Source).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmartSource<'a> {
    /// By folder and id.
    Item {
        /// The folder's id.
        folder_id: Cow<'a, str>,
        /// The message's id.
        item_id: Cow<'a, str>,
    },
    /// By the id that a Search gave.
    LongId(Cow<'a, str>),
}

/// A SmartReply or SmartForward request of 14.0 and later. Up to 12.1 the body is the MIME message
/// itself, its media type [`crate::http::MIME`], and the source stands in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmartSendRequest<'a> {
    /// Which of the two.
    pub kind: SmartSend,
    /// Unique per message, at most 40 characters; a repetition is answered with Status 118.
    pub client_id: Cow<'a, str>,
    /// The message that is answered or forwarded.
    pub source: SmartSource<'a>,
    /// Whether the message goes to Sent Items too.
    pub save_in_sent: bool,
    /// The message is complete: the server adds nothing of the source to it.
    pub replace_mime: bool,
    /// The message, as RFC 5322 bytes.
    pub mime: Cow<'a, [u8]>,
}

impl<'a> SmartSendRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When an id cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(self.kind.root())
            .element(tags::CLIENT_ID, &self.client_id)
            .start(tags::SOURCE);
        match &self.source {
            SmartSource::Item { folder_id, item_id } => writer
                .element(tags::FOLDER_ID, folder_id)
                .element(tags::ITEM_ID, item_id),
            SmartSource::LongId(id) => writer.element(tags::LONG_ID, id),
        };
        writer.end();
        if self.save_in_sent {
            writer.empty(tags::SAVE_IN_SENT_ITEMS);
        }
        if self.replace_mime {
            writer.empty(tags::REPLACE_MIME);
        }
        writer.start(tags::MIME).opaque(&self.mime).end().end();
        writer.finish()
    }

    /// From a body of the command that the query names.
    ///
    /// # Errors
    /// When it is no such request with id, source and message.
    pub fn decode(kind: SmartSend, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(kind.root())?;
        let (mut client_id, mut message, mut from) = (None, None, None);
        let (mut save_in_sent, mut replace_mime) = (false, false);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::CLIENT_ID => client_id = Some(super::client_id(&mut reader, element)?),
                tags::SOURCE => from = Some(source(&mut reader, element)?),
                tags::SAVE_IN_SENT_ITEMS => save_in_sent = reader.flag(element)?,
                tags::REPLACE_MIME => replace_mime = reader.flag(element)?,
                tags::MIME => message = Some(reader.bytes(element)?),
                _ => reader.skip(element)?,
            }
        }
        let missing = |tag| reader.missing(kind.root(), tag);
        let request = Self {
            kind,
            client_id: client_id.ok_or_else(|| missing(tags::CLIENT_ID))?,
            source: from.ok_or_else(|| missing(tags::SOURCE))?,
            save_in_sent,
            replace_mime,
            mime: message.ok_or_else(|| missing(tags::MIME))?,
        };
        reader.finish()?;
        Ok(request)
    }
}

fn source<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<SmartSource<'a>, DecodeError> {
    let (mut folder_id, mut item_id, mut long_id) = (None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::FOLDER_ID => folder_id = reader.optional(element, Reader::text)?,
            tags::ITEM_ID => item_id = reader.optional(element, Reader::text)?,
            tags::LONG_ID => long_id = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    if let Some(id) = long_id {
        return Ok(SmartSource::LongId(id));
    }
    Ok(SmartSource::Item {
        folder_id: folder_id.ok_or_else(|| reader.missing(tags::SOURCE, tags::FOLDER_ID))?,
        item_id: item_id.ok_or_else(|| reader.missing(tags::SOURCE, tags::ITEM_ID))?,
    })
}
