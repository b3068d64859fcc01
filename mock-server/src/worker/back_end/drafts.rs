//! Drafts: messages that a device writes by Sync (MS-ASCMD 2.2.3.7.2, MS-ASEMAIL), 16.0 and later.

use eas::ProtocolVersion;
use eas::commands::{ClientCommand, Email, ItemChange, ItemData};
use mail_parser::MessageParser;

use super::content::owned;
use super::{Call, Refusal};
use crate::body::{HTML, MIME, PLAIN};
use crate::store::{Draft, DraftId, Message};
use crate::worker::address;

impl Call<'_> {
    /// The draft that a command of a device writes or sends. `None` is any other command, and a message
    /// that cannot be read: the store refuses that as it refuses a message of an earlier version.
    pub(super) fn draft(&self, command: &ClientCommand<'_>) -> Result<Option<Draft>, Refusal> {
        if self.version < ProtocolVersion::V16_0 {
            return Ok(None);
        }
        let (id, email, send) = match command {
            ClientCommand::Add {
                client_id,
                data: ItemData::Email(email),
                send,
                ..
            } => (DraftId::New(client_id.to_string()), Some(email), *send),
            ClientCommand::Change {
                server_id,
                change: ItemChange::Data(ItemData::Email(email)),
                send,
            } => (DraftId::Old(server_id.to_string()), Some(email), *send),
            // Without content the draft is sent as it is.
            ClientCommand::Change {
                server_id,
                change: ItemChange::Nothing | ItemChange::Email { .. },
                send: true,
            } => (DraftId::Old(server_id.to_string()), None, true),
            _ => return Ok(None),
        };
        let message = match email {
            None => None,
            Some(email) => match self.draft_message(&owned(&**email)?) {
                Some(message) => Some(message),
                None => return Ok(None),
            },
        };
        Ok(Some(Draft {
            id,
            keeps_attachments: email.is_some_and(|email| email.body_type != MIME),
            message,
            send,
        }))
    }

    /// A draft as it is stored. The marks are those of the request, whatever the form of the rest.
    fn draft_message(&self, email: &Email<'static>) -> Option<Message> {
        let mut message = match email.body_type {
            MIME => {
                let mime = email.body.as_bytes();
                let parsed = MessageParser::default().parse(mime)?;
                self.read_message(&parsed, mime)
            }
            PLAIN | HTML => Message {
                email: Email {
                    from: address(&self.user).into(),
                    to: email.to.clone(),
                    cc: email.cc.clone(),
                    bcc: email.bcc.clone(),
                    subject: email.subject.clone(),
                    body: email.body.clone(),
                    body_type: email.body_type,
                    ..Email::default()
                },
                attachments: Vec::new(),
            },
            _ => return None,
        };
        message.email.importance = email.importance;
        message.email.read = email.read;
        message.email.flag.clone_from(&email.flag);
        message.email.is_draft = true;
        Some(message)
    }
}
