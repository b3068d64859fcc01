//! Drafts: messages that a device writes, changes and sends by Sync; 16.0 and later.

use std::sync::Arc;

use eas::commands::{Email, FolderType, ItemData};
use eas::status::{GlobalStatus, SyncStatus};
use mail_parser::MessageParser;

use super::folder::{Content, Folder, Item};
use super::limits::is_user_name;
use super::mailbox::{Turn, find_number};
use super::{Draft, DraftId, ItemResponse, Message, distinct, folder_mut, place, text_of};
use crate::worker::local_part;

/// A draft that a device has sent, for delivery.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) content: Arc<Content>,
    /// Recipients, without domain.
    pub(super) to: Vec<String>,
}

impl Turn<'_> {
    /// Stores or sends a draft; the answer to the command, if there is one.
    pub(super) fn write_draft(&mut self, folder: u32, draft: &Draft) -> Option<ItemResponse> {
        match &draft.id {
            DraftId::New(client_id) => {
                let added = self.add_draft(folder, draft);
                Some(match added {
                    Ok(Some(number)) => {
                        ItemResponse::Added(client_id.clone(), format!("{folder}:{number}"))
                    }
                    // It is sent: there is no item that would have an id.
                    Ok(None) => ItemResponse::Done(client_id.clone()),
                    Err(status) => ItemResponse::NotAdded(client_id.clone(), status),
                })
            }
            DraftId::Old(id) => {
                let changed = self.change_draft(id, draft);
                let status = changed.err()?;
                Some(ItemResponse::NotChanged(id.clone(), status))
            }
        }
    }

    /// The number of a new draft; `None` if it is sent instead.
    fn add_draft(&mut self, folder: u32, draft: &Draft) -> Result<Option<u32>, u16> {
        // Only the Drafts folder takes messages of a device (MS-ASCMD 2.2.3.7.2).
        if !find_number(self.folders, folder).is_some_and(holds_drafts) {
            return Err(SyncStatus::ConversionError.code());
        }
        let message = draft.message.clone().unwrap_or_default();
        if draft.send {
            self.send_draft(message)?;
            return Ok(None);
        }
        let content = self.draft_content(message)?;
        if !self.has_room(folder, &content) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        let by = Some(self.device.number);
        let item = Item::new(Arc::new(content));
        let number = folder_mut(self.folders, folder).map(|one| one.put(item, by));
        self.announce(folder, true);
        Ok(number)
    }

    /// Replaces what a draft holds, or sends it.
    fn change_draft(&mut self, id: &str, draft: &Draft) -> Result<(), u16> {
        let not_found = SyncStatus::ObjectNotFound.code();
        let (folder, number) = place(id).ok_or(not_found)?;
        let found = find_number(self.folders, folder).ok_or(not_found)?;
        let old = found.content(number).ok_or(not_found)?;
        let ItemData::Email(email) = &old.data else {
            return Err(SyncStatus::ConversionError.code());
        };
        // Of other messages only the marks can be changed.
        if !holds_drafts(found) {
            return Err(SyncStatus::ConversionError.code());
        }
        let stored = || Message {
            email: Email::clone(email),
            attachments: old.attachments.clone(),
        };
        let mut message = draft.message.clone().unwrap_or_else(stored);
        if draft.keeps_attachments {
            message.attachments.clone_from(&old.attachments);
        }
        let by = Some(self.device.number);
        if draft.send {
            self.send_draft(message)?;
            // The device that sends it is told too, so that no device keeps it.
            let folder = folder_mut(self.folders, folder);
            folder.and_then(|folder| folder.take(number, None));
            return Ok(());
        }
        let content = self.draft_content(message)?;
        if !self.has_quota(&content) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        if let Some(folder) = folder_mut(self.folders, folder) {
            folder.replace(number, content, by);
        }
        Ok(())
    }

    fn draft_content(&self, mut message: Message) -> Result<Content, u16> {
        message.email.date_received = text_of(&self.now).into();
        let content = Content::message(message);
        if !content.is_storable() {
            return Err(SyncStatus::ConversionError.code());
        }
        if content.size() > self.limits.message {
            return Err(GlobalStatus::SendQuotaExceeded.code());
        }
        Ok(content)
    }

    /// Hands a draft over for delivery. A draft that cannot be sent gets the common status that SendMail
    /// answers in the same case (MS-ASCMD 2.2.2): Sync has no status of its own for it, and 6 would not
    /// say what is wrong.
    fn send_draft(&mut self, mut message: Message) -> Result<(), u16> {
        let to = recipients(&message.email);
        if to.is_empty() {
            return Err(GlobalStatus::MessageHasNoRecipient.code());
        }
        if to.len() > self.limits.recipients {
            return Err(GlobalStatus::MailSubmissionFailed.code());
        }
        let email = &mut message.email;
        // The recipients must not see the hidden ones, and the marks are the writer's own.
        email.bcc = "".into();
        (email.is_draft, email.read, email.flag) = (false, false, None);
        let content = Arc::new(self.draft_content(message)?);
        self.outgoing.push(Outgoing { content, to });
        Ok(())
    }
}

fn holds_drafts(folder: &Folder) -> bool {
    FolderType(folder.record.folder_type) == FolderType::DRAFTS
}

/// Users that a message is for, each once.
fn recipients(email: &Email<'_>) -> Vec<String> {
    let mut users = Vec::new();
    for list in [&email.to, &email.cc, &email.bcc] {
        // A line end would start another header.
        let header = format!("To: {}\r\n\r\n", list.replace(['\r', '\n'], " "));
        let parsed = MessageParser::default().parse(header.as_bytes());
        let addresses = parsed.as_ref().and_then(|parsed| parsed.to());
        let addresses = addresses.into_iter().flat_map(|list| list.iter());
        let names = addresses.filter_map(|one| one.address()).map(local_part);
        users.extend(names.filter(|user| is_user_name(user)));
    }
    distinct(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_those_of_all_three_lists_each_once() {
        let email = Email {
            to: "\"Load, One\" <load1@lab.example>, LOAD2@lab.example".into(),
            cc: "load1@lab.example".into(),
            bcc: "<load3@lab.example>,\r\n load4@lab.example".into(),
            ..Email::default()
        };
        let users = recipients(&email);
        assert_eq!(users, ["load1", "load2", "load3", "load4"]);
        assert!(recipients(&Email::default()).is_empty());
    }
}
