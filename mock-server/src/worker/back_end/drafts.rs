//! Drafts: messages that a device writes by Sync (MS-ASCMD 2.2.3.7.2, MS-ASEMAIL), 16.0 and later.

use eas::ProtocolVersion;
use eas::commands::{AttachmentChange, ClientCommand, Elements, Email, ItemChange, ItemData};
use mail_parser::MessageParser;

use super::content::owned;
use super::{Call, Refusal};
use crate::body::{HTML, MIME, PLAIN};
use crate::store::{Blob, Draft, DraftId, Message};
use crate::worker::address;

/// The media type of an attachment whose device names none.
const UNKNOWN_TYPE: &str = "application/octet-stream";

impl Call<'_> {
    /// The draft that a command of a device writes or sends. `None` is any other command, and a message
    /// that cannot be read: the store refuses that as it refuses a message of an earlier version.
    pub(super) fn draft(
        &self,
        command: &ClientCommand<'_>,
        elements: &Elements,
    ) -> Result<Option<Draft>, Refusal> {
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
        let mut draft = Draft {
            id,
            message: None,
            elements: elements.clone(),
            is_whole: false,
            added: Vec::new(),
            removed: Vec::new(),
            send,
        };
        let Some(email) = email else {
            return Ok(Some(draft));
        };
        draft.is_whole = email.body_type == MIME;
        draft.message = self.draft_message(&owned(&**email)?);
        (draft.added, draft.removed) = attachments(email);
        Ok(draft.message.is_some().then_some(draft))
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

/// The attachments that a request adds to a draft, with the device's names for them, and the references of
/// those that it removes.
fn attachments(email: &Email<'_>) -> (Vec<(String, Blob)>, Vec<String>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for change in &email.attachment_changes {
        match change {
            AttachmentChange::Add {
                client_id,
                display_name,
                content_type,
                content,
            } => {
                let content_type = match &**content_type {
                    "" => UNKNOWN_TYPE,
                    named => named,
                };
                let blob = Blob {
                    name: display_name.to_string(),
                    content_type: content_type.to_owned(),
                    data: content.to_vec(),
                };
                added.push((client_id.to_string(), blob));
            }
            AttachmentChange::Delete { file_reference } => removed.push(file_reference.to_string()),
        }
    }
    (added, removed)
}
