use std::borrow::Cow;

use super::{SmartSend, status_of};
use crate::status::GlobalStatus;
use crate::wbxml::{DecodeError, EncodeError, Reader, Tag, Writer, compose_mail as tags};

/// A SendMail request of 14.0 and later (ASCMD 2.2.1.17). Up to 12.1 the body is the MIME message
/// itself, its media type [`crate::http::MIME`], and `SaveInSent` stands in the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMailRequest<'a> {
    /// Unique per message, at most 40 characters; a repetition is answered with Status 118.
    pub client_id: Cow<'a, str>,
    /// Whether the message goes to Sent Items too.
    pub save_in_sent: bool,
    /// The message, as RFC 5322 bytes.
    pub mime: Cow<'a, [u8]>,
}

impl<'a> SendMailRequest<'a> {
    /// The longest ClientId (ASCMD 2.2.3.28.2).
    pub const CLIENT_ID_LENGTH: usize = 40;

    /// As a body.
    ///
    /// # Errors
    /// When the id cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::SEND_MAIL)
            .element(tags::CLIENT_ID, &self.client_id);
        if self.save_in_sent {
            writer.empty(tags::SAVE_IN_SENT_ITEMS);
        }
        writer.start(tags::MIME).opaque(&self.mime).end().end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no SendMail request with id and message.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SEND_MAIL)?;
        let (mut client_id, mut mime, mut save_in_sent) = (None, None, false);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::CLIENT_ID => client_id = Some(super::client_id(&mut reader, element)?),
                tags::SAVE_IN_SENT_ITEMS => save_in_sent = reader.flag(element)?,
                tags::MIME => mime = Some(reader.bytes(element)?),
                _ => reader.skip(element)?,
            }
        }
        let client_id =
            client_id.ok_or_else(|| reader.missing(tags::SEND_MAIL, tags::CLIENT_ID))?;
        let mime = mime.ok_or_else(|| reader.missing(tags::SEND_MAIL, tags::MIME))?;
        reader.finish()?;
        Ok(Self {
            client_id,
            save_in_sent,
            mime,
        })
    }
}

/// An answer of 14.0 and later to SendMail, SmartReply or SmartForward: an empty body means
/// success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendAnswer {
    /// Why the message was refused; `None` when it was accepted.
    pub failure: Option<GlobalStatus>,
}

/// The answer to SendMail.
pub type SendMailAnswer = SendAnswer;

impl SendAnswer {
    /// As a body of SendMail, empty on success.
    ///
    /// # Errors
    /// Never in practice: the document is fixed.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        self.encode_under(tags::SEND_MAIL)
    }

    /// As a body of SmartReply or SmartForward, empty on success.
    ///
    /// # Errors
    /// Never in practice: the document is fixed.
    pub fn encode_smart(&self, kind: SmartSend) -> Result<Vec<u8>, EncodeError> {
        self.encode_under(kind.root())
    }

    fn encode_under(&self, root: Tag) -> Result<Vec<u8>, EncodeError> {
        match self.failure {
            Some(status) => super::encode_status_only(root, tags::STATUS, status),
            None => Ok(Vec::new()),
        }
    }

    /// From a body of SendMail.
    ///
    /// # Errors
    /// When it is neither empty nor a SendMail answer.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_under(tags::SEND_MAIL, body)
    }

    /// From a body of SmartReply or SmartForward.
    ///
    /// # Errors
    /// When it is neither empty nor such an answer.
    pub fn decode_smart(kind: SmartSend, body: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_under(kind.root(), body)
    }

    fn decode_under(root: Tag, body: &[u8]) -> Result<Self, DecodeError> {
        /// Not in the tables, but the usual "success" of every other command.
        const SUCCESS: u16 = 1;
        if body.is_empty() {
            return Ok(Self { failure: None });
        }
        let code = status_of(body, root, tags::STATUS)?;
        let failure = (code != SUCCESS).then(|| GlobalStatus::from_code(code));
        Ok(Self { failure })
    }
}
