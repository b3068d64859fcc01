use std::borrow::Cow;

use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, air_sync, email, search as tags};

/// Which items of a mailbox a Search finds (ASCMD 2.2.3.142.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailboxQuery<'a> {
    /// Items of these classes, by their names on the wire; of every class if there is none.
    pub classes: Vec<Cow<'a, str>>,
    /// Items in these folders; in every folder if there is none.
    pub collection_ids: Vec<Cow<'a, str>>,
    /// Items of this conversation.
    pub conversation_id: Option<Cow<'a, [u8]>>,
    /// Items that meet all of these conditions.
    pub all: Conditions<'a>,
    /// Items that meet at least one of these conditions, if there is one (ASCMD 2.2.3.126).
    pub any: Conditions<'a>,
    /// The request holds several And elements, or a condition outside of And. A server refuses it with
    /// Status 8 (ASCMD 2.2.3.10). Never written.
    pub is_too_complex: bool,
}

/// Conditions of a [`MailboxQuery`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions<'a> {
    /// Texts that an item holds.
    pub free_text: Vec<Cow<'a, str>>,
    /// The item was received after this time (ASCMD 2.2.3.86), `2026-03-14T03:00:00.000Z`.
    pub received_after: Option<Cow<'a, str>>,
    /// The item was received before this time (ASCMD 2.2.3.96).
    pub received_before: Option<Cow<'a, str>>,
}

impl<'a> Conditions<'a> {
    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn write(&self, writer: &mut Writer) {
        for text in &self.free_text {
            writer.element(tags::FREE_TEXT, text);
        }
        for (tag, time) in [
            (tags::GREATER_THAN, &self.received_after),
            (tags::LESS_THAN, &self.received_before),
        ] {
            if let Some(time) = time {
                writer
                    .start(tag)
                    .empty(email::DATE_RECEIVED)
                    .element(tags::VALUE, time)
                    .end();
            }
        }
    }

    /// Consumes an element if it is a condition; whether it is one.
    fn read(&mut self, reader: &mut Reader<'a>, element: Element) -> Result<bool, DecodeError> {
        match element.tag {
            tags::FREE_TEXT => self
                .free_text
                .extend(reader.optional(element, Reader::text)?),
            tags::GREATER_THAN => self.received_after = reader.optional(element, compared_time)?,
            tags::LESS_THAN => self.received_before = reader.optional(element, compared_time)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Consumes GreaterThan or LessThan. DateReceived is the only property that can be compared.
fn compared_time<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Cow<'a, str>, DecodeError> {
    let (mut has_property, mut value) = (false, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            email::DATE_RECEIVED => {
                has_property = true;
                reader.skip(element)?;
            }
            tags::VALUE => value = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    let missing = |child: Tag| reader.missing(parent.tag, child);
    if !has_property {
        return Err(missing(email::DATE_RECEIVED));
    }
    value.ok_or_else(|| missing(tags::VALUE))
}

impl<'a> MailboxQuery<'a> {
    /// Items that hold a text.
    #[must_use]
    pub fn with_text(text: Cow<'a, str>) -> Self {
        let mut query = Self::default();
        if !text.is_empty() {
            query.all.free_text.push(text);
        }
        query
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.start(tags::QUERY).start(tags::AND);
        for class in &self.classes {
            writer.element(air_sync::CLASS, class);
        }
        for id in &self.collection_ids {
            writer.element(air_sync::COLLECTION_ID, id);
        }
        if let Some(id) = &self.conversation_id {
            writer.start(tags::CONVERSATION_ID).opaque(id).end();
        }
        self.all.write(writer);
        if !self.any.is_empty() {
            writer.start(tags::OR);
            self.any.write(writer);
            writer.end();
        }
        writer.end().end();
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut query = Self::default();
        let mut is_first = true;
        while let Some(element) = reader.child(parent)? {
            if element.tag == tags::AND && is_first {
                is_first = false;
                query.and(reader, element)?;
            } else {
                query.is_too_complex = true;
                reader.skip(element)?;
            }
        }
        Ok(query)
    }

    fn and(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                air_sync::CLASS => self.classes.extend(reader.optional(element, Reader::text)?),
                air_sync::COLLECTION_ID => self
                    .collection_ids
                    .extend(reader.optional(element, Reader::text)?),
                tags::CONVERSATION_ID => {
                    self.conversation_id = reader.optional(element, Reader::bytes)?
                }
                tags::OR => self.or(reader, element)?,
                _ if self.all.read(reader, element)? => {}
                tag => {
                    self.is_too_complex |= tag == tags::AND;
                    reader.skip(element)?;
                }
            }
        }
        Ok(())
    }

    /// Only texts and times can be alternatives.
    fn or(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        while let Some(element) = reader.child(parent)? {
            if !self.any.read(reader, element)? {
                self.is_too_complex = true;
                reader.skip(element)?;
            }
        }
        Ok(())
    }
}

/// What a Query element holds.
pub(super) enum Query<'a> {
    /// A text, for the address list.
    Text(Cow<'a, str>),
    /// Elements, for a mailbox.
    Conditions(MailboxQuery<'a>),
}

impl<'a> Query<'a> {
    pub(super) fn read(reader: &mut Reader<'a>, query: Element) -> Result<Self, DecodeError> {
        let mut attempt = reader.clone();
        if let Ok(text) = attempt.text(query) {
            *reader = attempt;
            return Ok(Self::Text(text));
        }
        Ok(Self::Conditions(MailboxQuery::read(reader, query)?))
    }
}
