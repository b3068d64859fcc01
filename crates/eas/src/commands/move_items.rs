use std::borrow::Cow;

use super::Skipped;
use crate::status::MoveStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, move_items as tags};

/// One item that is to go to another folder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Move<'a> {
    /// The item's id.
    pub item: Cow<'a, str>,
    /// The folder it is in.
    pub from: Cow<'a, str>,
    /// The folder it goes to.
    pub to: Cow<'a, str>,
}

/// A MoveItems request (ASCMD 2.2.1.12).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MoveItemsRequest<'a> {
    /// The items.
    pub moves: Vec<Move<'a>>,
}

impl<'a> MoveItemsRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::MOVE_ITEMS);
        for one in &self.moves {
            writer
                .start(tags::MOVE)
                .element(tags::SRC_MSG_ID, &one.item)
                .element(tags::SRC_FLD_ID, &one.from)
                .element(tags::DST_FLD_ID, &one.to)
                .end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no MoveItems request, has no move, or a move lacks an id.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::MOVE_ITEMS)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            if element.tag == tags::MOVE {
                request.moves.push(one_move(&mut reader, element)?);
            } else {
                reader.skip(element)?;
            }
        }
        if request.moves.is_empty() {
            return Err(reader.missing(tags::MOVE_ITEMS, tags::MOVE));
        }
        reader.finish()?;
        Ok(request)
    }
}

fn one_move<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Move<'a>, DecodeError> {
    let (mut item, mut from, mut to) = (None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::SRC_MSG_ID => item = Some(reader.text(element)?),
            tags::SRC_FLD_ID => from = Some(reader.text(element)?),
            tags::DST_FLD_ID => to = Some(reader.text(element)?),
            _ => reader.skip(element)?,
        }
    }
    Ok(Move {
        item: item.ok_or_else(|| reader.missing(tags::MOVE, tags::SRC_MSG_ID))?,
        from: from.ok_or_else(|| reader.missing(tags::MOVE, tags::SRC_FLD_ID))?,
        to: to.ok_or_else(|| reader.missing(tags::MOVE, tags::DST_FLD_ID))?,
    })
}

/// What became of one [`Move`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveResponse<'a> {
    /// The id the item had.
    pub item: Cow<'a, str>,
    /// How it went.
    pub status: MoveStatus,
    /// The id it has now, if it went well.
    pub new_id: Option<Cow<'a, str>>,
}

/// A MoveItems answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MoveItemsAnswer<'a> {
    /// A failure of the whole command, with a status common to all commands.
    pub status: Option<MoveStatus>,
    /// One per move of the request.
    pub responses: Vec<MoveResponse<'a>>,
    /// Responses that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> MoveItemsAnswer<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::MOVE_ITEMS);
        if let Some(status) = self.status {
            writer.number(tags::STATUS, status.code());
        }
        for response in &self.responses {
            writer
                .start(tags::RESPONSE)
                .element(tags::SRC_MSG_ID, &response.item)
                .number(tags::STATUS, response.status.code());
            if let Some(id) = &response.new_id {
                writer.element(tags::DST_MSG_ID, id);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no MoveItems answer, or a response lacks its status.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::MOVE_ITEMS)?;
        let mut answer = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::RESPONSE => {
                    let read = answer.skipped.item(&mut reader, element, response)?;
                    answer.responses.extend(read);
                }
                tags::STATUS => {
                    let code = reader.optional(element, Reader::number)?;
                    answer.status = code.map(MoveStatus::from_code);
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(answer)
    }
}

fn response<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<MoveResponse<'a>, DecodeError> {
    let (mut item, mut status, mut new_id) = (Cow::Borrowed(""), None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::SRC_MSG_ID => item = reader.text(element)?,
            tags::STATUS => status = reader.optional(element, Reader::number)?,
            tags::DST_MSG_ID => new_id = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::RESPONSE, tags::STATUS))?;
    Ok(MoveResponse {
        item,
        status: MoveStatus::from_code(status),
        new_id,
    })
}
