use std::borrow::Cow;

use super::body::Body;
use super::write_texts;
use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, notes as tags};

/// The parts of a note that a device keeps; 14.0 and later (MS-ASNOTE 2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Note<'a> {
    /// Subject.
    pub subject: Cow<'a, str>,
    /// When it was changed, `20260314T030000Z`.
    pub last_modified: Cow<'a, str>,
    /// The text.
    pub body: Body<'a>,
}

impl<'a> Note<'a> {
    /// What every note is (MS-ASNOTE, MessageClass).
    const MESSAGE_CLASS: &'static str = "IPM.StickyNote";

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.element(tags::SUBJECT, &self.subject);
        // Notes are of 14.0 and later; their body is the same in all versions.
        if self.body != Body::default() {
            self.body.write(writer, ProtocolVersion::V14_0);
        }
        writer.element(tags::MESSAGE_CLASS, Self::MESSAGE_CLASS);
        write_texts(writer, [(tags::LAST_MODIFIED_DATE, &self.last_modified)]);
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Box<Self>, DecodeError> {
        let mut item = Box::<Self>::default();
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::SUBJECT => item.subject = reader.text(element)?,
                tags::LAST_MODIFIED_DATE => item.last_modified = reader.text(element)?,
                air_sync_base::BODY => item.body = Body::read(reader, element)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(item)
    }
}
