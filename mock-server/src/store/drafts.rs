//! Drafts: messages that a device writes, changes and sends by Sync; 16.0 and later.

use std::sync::Arc;

use eas::commands::{Email, FolderType, ItemData};
use eas::status::{GlobalStatus, SyncStatus};
use eas::wbxml::{Tag, email};
use mail_parser::MessageParser;

use super::collection::Done;
use super::commands::{Terms, merged};
use super::content::Content;
use super::folder::{Folder, Item};
use super::limits::is_user_name;
use super::mailbox::find_number;
use super::turn::{Outgoing, Turn};
use super::{Draft, DraftId, distinct, folder_mut, place, text_of};
use crate::worker::local_part;

impl Turn<'_> {
    /// Stores or sends a draft.
    pub(super) fn write_draft(
        &mut self,
        folder: u32,
        draft: &Draft,
        terms: &Terms,
    ) -> Result<Done, u16> {
        match &draft.id {
            DraftId::New(_) => self.add_draft(folder, draft),
            DraftId::Old(id) => self.change_draft(folder, id, draft, terms),
        }
    }

    fn add_draft(&mut self, folder: u32, draft: &Draft) -> Result<Done, u16> {
        // Only the Drafts folder takes messages of a device (MS-ASCMD 2.2.3.7.2).
        if !find_number(self.folders, folder).is_some_and(holds_drafts) {
            return Err(SyncStatus::ConversionError.code());
        }
        let mut content = Content::message(draft.message.clone().unwrap_or_default());
        let first = attach(&mut content, draft);
        if draft.send {
            self.send_draft(content)?;
            return Ok(Done::Sent);
        }
        let content = self.checked(content)?;
        if !self.has_room(folder, &content) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        let by = Some(self.device.number);
        let item = Item::new(Arc::new(content));
        let there = folder_mut(self.folders, folder).ok_or(SyncStatus::ConversionError.code())?;
        let number = there.put(item, by);
        self.announce(folder, true);
        Ok(Done::Added(number, first))
    }

    /// Changes what a draft holds, or sends it.
    fn change_draft(
        &mut self,
        collection: u32,
        id: &str,
        draft: &Draft,
        terms: &Terms,
    ) -> Result<Done, u16> {
        let not_found = SyncStatus::ObjectNotFound.code();
        let refused = SyncStatus::ConversionError.code();
        let (at, number) = place(id).ok_or(not_found)?;
        let found = find_number(self.folders, at).ok_or(not_found)?;
        let old = found.content(number).ok_or(not_found)?;
        let shown = found.data(number).ok_or(not_found)?;
        // Of other messages only the marks can be changed.
        if shown.as_email().is_none() || !holds_drafts(found) {
            return Err(refused);
        }
        let mut content = changed(old, shown, draft).ok_or(refused)?;
        let first = attach(&mut content, draft);
        if at == collection && terms.contested.contains(&number) {
            return Err(SyncStatus::Conflict.code());
        }
        let by = Some(self.device.number);
        if draft.send {
            self.send_draft(content)?;
            // The device that sends it is told too, so that no device keeps it.
            let folder = folder_mut(self.folders, at);
            folder.and_then(|folder| folder.take(number, None));
            return Ok(Done::Sent);
        }
        let content = self.checked(content)?;
        if !self.has_quota(&content) {
            return Err(GlobalStatus::MailboxQuotaExceeded.code());
        }
        if let Some(folder) = folder_mut(self.folders, at) {
            folder.replace(number, content, by);
        }
        Ok(Done::Changed(first))
    }

    /// The content as it is stored, if it can be.
    fn checked(&self, content: Content) -> Result<Content, u16> {
        let now = text_of(&self.now);
        let content = content.with_email(|email| email.date_received = now.into());
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
    fn send_draft(&mut self, content: Content) -> Result<(), u16> {
        let to = content.data.as_email().map(recipients).unwrap_or_default();
        if to.is_empty() {
            return Err(GlobalStatus::MessageHasNoRecipient.code());
        }
        if to.len() > self.limits.recipients {
            return Err(GlobalStatus::MailSubmissionFailed.code());
        }
        let content = content.with_email(|email| {
            // The recipients must not see the hidden ones, and the marks are the writer's own.
            email.bcc = "".into();
            (email.is_draft, email.read, email.flag) = (false, false, None);
        });
        let content = Arc::new(self.checked(content)?);
        self.outgoing.push(Outgoing { content, to });
        Ok(())
    }
}

/// What a draft holds after a change, without attachments that come with it.
fn changed(old: &Content, shown: ItemData<'static>, draft: &Draft) -> Option<Content> {
    let marks = [email::READ, email::FLAG, email::IMPORTANCE];
    let named = |tag: Tag| draft.elements.has(tag);
    let data = match &draft.message {
        None => shown,
        Some(message) => {
            let new = ItemData::Email(Box::new(message.email.clone()));
            let is_kept = |tag| !named(tag) && (!draft.is_whole || marks.contains(&tag));
            merged(&shown, &new, is_kept)?
        }
    };
    let mut content = Content::new(data).with_email(|email| email.attachments.clear());
    match &draft.message {
        Some(message) if draft.is_whole => {
            // Other numbers than those of the attachments before.
            content.keep_attachments(old);
            content.attachments.clear();
            message.attachments.iter().cloned().for_each(|blob| {
                content.attach(blob);
            });
        }
        _ => content.keep_attachments(old),
    }
    if let DraftId::Old(id) = &draft.id {
        // One that is gone already is as it should be.
        let numbers = draft.removed.iter().filter_map(|one| {
            let (item, number) = one.rsplit_once(':')?;
            number.parse::<u32>().ok().filter(|_| item == id)
        });
        for number in numbers {
            content.attachments.remove(&number);
        }
    }
    Some(content)
}

/// Adds the attachments that come with a draft; the number of the first of them.
fn attach(content: &mut Content, draft: &Draft) -> u32 {
    let first = content.next_attachment();
    for (_, blob) in &draft.added {
        content.attach(blob.clone());
    }
    first
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
