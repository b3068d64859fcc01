//! What a device's user does: one command or two, each answer held against what it should be.

use eas::Command;
use eas::commands::{
    Appointment, Class, ClientCommand, CommandResponse, Contact, Flag, FlagStatus, ItemChange,
    ItemData, Oof, OofState, SmartSend, SyncAnswer, SyncCollection, SyncRequest, UserResponse,
};
use eas::status::{Reaction, SyncStatus};
use rand::Rng as _;
use scenario::Action;

use super::desk::{Desk, Letter, Turn};
use super::event::Event;
use super::letter::{self, Enclosed};
use super::life::{Life, Watched};
use super::trouble::Trouble;
use crate::transport::Transport;

/// Bytes of an attachment, from a signature's logo on.
const ATTACHMENT: std::ops::RangeInclusive<usize> = 1 << 10..=letter::LARGEST;
/// Bytes of a text that a user types on a telephone.
const TEXT: std::ops::RangeInclusive<usize> = 40..=1000;
/// Meetings are called for the next days.
const MEETING_WITHIN: std::ops::RangeInclusive<i64> = 3600..=7 * 86_400;

/// FolderDelete: a folder of the system, which cannot be deleted (MS-ASCMD 2.2.3.177.3).
const SYSTEM_FOLDER: u16 = 3;
/// FolderDelete: the folder is not there.
const NO_FOLDER: u16 = 4;

/// What the server said to the one command of a Sync.
#[derive(Default)]
struct Said {
    /// Id of an item that was added.
    added: Option<Box<str>>,
    /// The item that was asked about is not there any more.
    missing: bool,
}

impl<T: Transport> Life<T> {
    /// Does the next thing, over the transport that the client has now. What there is nothing for
    /// (an answer without a mail) is left out.
    ///
    /// # Errors
    /// With what the device has to mend before anything else can succeed.
    pub(super) async fn act(&mut self) -> Result<(), Trouble> {
        let Some(desk) = &mut self.desk else {
            return Ok(());
        };
        let Some(action) = desk.draw() else {
            return Ok(());
        };
        let turn = desk.turn(action);
        let done = self.perform(action, turn).await;
        let done = match done {
            // News that came along, and what they promise, are fetched before the device rests.
            Ok(true) => self.sync().await.map(|_| true),
            other => other,
        };
        // Without anything to act on there was no act, the next request has another token, and a stopped
        // user's device is about to end.
        if matches!(done, Ok(false) | Err(Trouble::Renew | Trouble::Stopped)) {
            return Ok(());
        }
        // Of one that failed, the reason was counted where it happened.
        let failed = done.is_err();
        self.client.tell(Event::Acted { action, failed });
        match done {
            // A mail that another device of the user moved first is answered as a folder that is not
            // there (MoveItems, Status 1).
            Err(trouble) if action != Action::Move && is_the_devices(&trouble) => Err(trouble),
            _ => Ok(()),
        }
    }

    /// Does that; `false` if there was nothing to do it with.
    pub(super) async fn perform(&mut self, action: Action, turn: Turn) -> Result<bool, Trouble> {
        match action {
            Action::Send => self.write(Enclosed::Nothing).await,
            Action::Reply => self.pass_on(SmartSend::Reply).await,
            Action::Forward => self.pass_on(SmartSend::Forward).await,
            Action::Read => self.mark(true).await,
            Action::Flag => self.mark(false).await,
            Action::Delete => self.delete().await,
            Action::Move => self.file().await,
            Action::Calendar => self.keep(Class::Calendar, turn).await,
            Action::Contact => self.keep(Class::Contacts, turn).await,
            Action::Folder => self.folder(turn).await,
            Action::Attachment => self.attachment().await,
            Action::Search => self.search(turn).await,
            Action::Oof => self.oof().await,
            Action::Meeting => self.call_meeting().await,
            Action::Respond => self.respond().await,
        }
    }

    fn desk(&mut self) -> Result<&mut Desk, Trouble> {
        let missing = || Trouble::Body("a device without activity acts".to_owned());
        self.desk.as_deref_mut().ok_or_else(missing)
    }

    /// A message to another user, as bytes.
    fn compose(&mut self, enclosed: Enclosed) -> Result<(String, Vec<u8>), Trouble> {
        let user = self.client.identity.user;
        let device = self.client.identity.device;
        let desk = self.desk()?;
        let to = desk.peer(user);
        let from = desk.activity.addresses.get(user as usize).cloned();
        let size = desk.random.random_range(TEXT);
        let letter = letter::Message {
            from: &from.unwrap_or_default(),
            to: &to,
            number: desk.number,
            text: text::lines(size),
            enclosed,
        };
        let id = format!("{:08x}-{device}-{}", desk.activity.run, desk.number);
        Ok((id, letter.mime().map_err(Trouble::Body)?))
    }

    async fn write(&mut self, enclosed: Enclosed) -> Result<bool, Trouble> {
        let (id, mime) = self.compose(enclosed)?;
        self.client.send_mail(&id, &mime).await?;
        Ok(true)
    }

    async fn pass_on(&mut self, kind: SmartSend) -> Result<bool, Trouble> {
        let Some(letter) = self.desk()?.pick(|_| true) else {
            return Ok(false);
        };
        let Some(inbox) = self.inbox() else {
            return Ok(false);
        };
        let (id, mime) = self.compose(Enclosed::Nothing)?;
        let source = (inbox.as_str(), &*letter.id);
        let sent = self.client.smart_send(kind, &id, source, &mime).await;
        self.forget_if_gone(&letter, &sent)?;
        sent.map(|()| true)
    }

    /// The folder that mails come to.
    fn inbox(&self) -> Option<String> {
        let inbox = self.watched.iter().find(|folder| folder.is_inbox)?;
        Some(inbox.id.to_string())
    }

    /// Sends one command with the Sync of a folder; `None` where that is not watched or not primed.
    async fn change(
        &mut self,
        folder: impl Fn(&Watched) -> bool,
        command: ClientCommand<'_>,
    ) -> Result<Option<Said>, Trouble> {
        const COMMAND: Command = Command::Sync;
        let watched = self
            .watched
            .iter()
            .find(|one| folder(one) && one.is_primed());
        let Some(collection) = watched.map(|one| self.collection(one)) else {
            return Ok(None);
        };
        let id = collection.id.to_string();
        let request = SyncRequest {
            collections: vec![SyncCollection {
                commands: vec![command],
                ..collection
            }],
            ..SyncRequest::default()
        };
        let body = request.encode(self.client.version)?;
        self.cached.sync = false;
        let received = self.client.call(COMMAND, &body).await?;
        let at = received.timing.end();
        let answer = SyncAnswer::decode(&received.body)
            .map_err(|error| self.client.bad_body(COMMAND, &error))?;
        if let Some(status) = answer.status {
            if status.reaction() == Reaction::ResetSyncKey {
                self.client.tell(Event::SyncKeyReset);
                let asked = self.watched.iter_mut().filter(|one| *one.id == *id);
                asked.for_each(Watched::restart);
            }
            self.client
                .status(COMMAND, status.code(), status.reaction())?;
        }
        self.take_in(&answer, at, Some(std::slice::from_ref(&id)))?;
        let has_inbox = self.has_inbox(std::slice::from_ref(&id));
        self.client.tell(Event::Synced {
            timing: received.timing,
            has_inbox,
        });
        let mut said = Said::default();
        let responses = answer.collections.iter().flat_map(|one| &one.responses);
        for response in responses {
            let status = match response {
                CommandResponse::Add {
                    server_id, status, ..
                } => {
                    said.added = server_id.as_deref().map(Into::into);
                    status
                }
                CommandResponse::Change { status, .. }
                | CommandResponse::Delete { status, .. }
                | CommandResponse::Fetch { status, .. } => status,
            };
            match status {
                // Another device of the user was quicker.
                SyncStatus::ObjectNotFound => said.missing = true,
                // It has changed the item, and its version comes with this answer.
                SyncStatus::Conflict => {}
                status => self
                    .client
                    .status(COMMAND, status.code(), status.reaction())?,
            }
        }
        Ok(Some(said))
    }

    /// Marks a mail as read or unread, or flags it or not.
    async fn mark(&mut self, read: bool) -> Result<bool, Trouble> {
        let Some(mut letter) = self.desk()?.pick(|_| true) else {
            return Ok(false);
        };
        let change = if read {
            letter.is_read = !letter.is_read;
            ItemChange::Email {
                read: Some(letter.is_read),
                flag: None,
            }
        } else if !self.client.version.has_air_sync_base() {
            // 2.5 knows no flags.
            return Ok(false);
        } else {
            letter.is_flagged = !letter.is_flagged;
            ItemChange::Email {
                read: None,
                flag: Some(flag(letter.is_flagged)),
            }
        };
        let command = ClientCommand::Change {
            server_id: letter.id.to_string().into(),
            change,
            send: false,
        };
        let Some(said) = self.change(|one| one.is_inbox, command).await? else {
            return Ok(false);
        };
        self.settle(letter, said.missing)?;
        Ok(true)
    }

    fn settle(&mut self, letter: Letter, is_missing: bool) -> Result<(), Trouble> {
        let desk = self.desk()?;
        if is_missing {
            desk.gone(&letter.id);
        } else {
            desk.mark(letter);
        }
        Ok(())
    }

    /// A mail that the server does not do it with is not tried again: mostly another device of the user
    /// was quicker.
    fn forget_if_gone<A>(
        &mut self,
        letter: &Letter,
        done: &Result<A, Trouble>,
    ) -> Result<(), Trouble> {
        if matches!(done, Err(Trouble::Status(..) | Trouble::Http { .. })) {
            self.desk()?.gone(&letter.id);
        }
        Ok(())
    }

    async fn delete(&mut self) -> Result<bool, Trouble> {
        let Some(letter) = self.desk()?.pick(|one| one.may_go) else {
            return Ok(false);
        };
        let command = ClientCommand::Delete {
            server_id: letter.id.to_string().into(),
        };
        let done = self.change(|one| one.is_inbox, command).await?.is_some();
        if done {
            self.settle(letter, true)?;
        }
        Ok(done)
    }

    async fn file(&mut self) -> Result<bool, Trouble> {
        let desk = self.desk()?;
        let (Some(letter), Some(to)) =
            (desk.pick(|one| one.may_go), desk.file().map(str::to_owned))
        else {
            return Ok(false);
        };
        let Some(inbox) = self.inbox() else {
            return Ok(false);
        };
        let moved = self.client.move_item(&letter.id, &inbox, &to).await;
        self.forget_if_gone(&letter, &moved)?;
        moved?;
        self.settle(letter, true)?;
        Ok(true)
    }

    /// Enters an appointment or a contact, changes the last one, or deletes the oldest.
    async fn keep(&mut self, class: Class, turn: Turn) -> Result<bool, Trouble> {
        let version = self.client.version;
        let desk = self.desk()?;
        let data = item(class, desk.number);
        let own = match class {
            Class::Calendar => &mut desk.appointments,
            _ => &mut desk.contacts,
        };
        let own_id = match turn {
            Turn::Add => None,
            Turn::Change => own.newest().map(str::to_owned),
            Turn::Delete => own.oldest().map(str::to_owned),
        };
        let client_id = desk.number.to_string();
        let command = match (turn, own_id.clone()) {
            (Turn::Add, _) => ClientCommand::Add {
                client_id: client_id.into(),
                class: Some(class).filter(|_| version >= eas::ProtocolVersion::V14_0),
                data,
                send: false,
            },
            (_, None) => return Ok(false),
            (Turn::Change, Some(id)) => ClientCommand::Change {
                server_id: id.into(),
                change: ItemChange::Data(data),
                send: false,
            },
            (Turn::Delete, Some(id)) => ClientCommand::Delete {
                server_id: id.into(),
            },
        };
        let done = self.change(|one| one.class == class, command).await;
        let is_gone = match &done {
            Ok(Some(said)) => said.missing || turn == Turn::Delete,
            // An item that the server does nothing with is left alone.
            Err(Trouble::Status(_, Reaction::SkipItem | Reaction::FixRequest)) => true,
            _ => false,
        };
        if let (true, Some(id)) = (is_gone, own_id) {
            let desk = self.desk()?;
            desk.appointments.forget(&id);
            desk.contacts.forget(&id);
        }
        let Some(said) = done? else {
            return Ok(false);
        };
        if turn == Turn::Add && said.added.is_none() {
            let text = "an Add without a ServerId in its Response";
            return Err(self.client.wrong(Command::Sync, text));
        }
        if let Some(id) = said.added {
            let desk = self.desk()?;
            match class {
                Class::Calendar => desk.appointments.push(id),
                _ => desk.contacts.push(id),
            }
        }
        Ok(true)
    }

    /// Makes a folder, renames the last one, or deletes the oldest.
    async fn folder(&mut self, turn: Turn) -> Result<bool, Trouble> {
        let device = self.client.identity.device;
        let desk = self.desk()?;
        let name = format!("easload {device}-{}", desk.number);
        let own: Option<Box<str>> = match turn {
            Turn::Add => None,
            Turn::Change => desk.folders.newest().map(Into::into),
            Turn::Delete => desk.folders.oldest().map(Into::into),
        };
        let key = self.folder_key.to_string();
        let key = match (turn, own) {
            (Turn::Add, _) => {
                let (key, id) = self.client.folder_create(&key, &name).await?;
                self.desk()?.folders.push(id.into());
                key
            }
            (_, None) => return Ok(false),
            (Turn::Change, Some(newest)) => self.client.folder_rename(&key, &newest, &name).await?,
            (Turn::Delete, Some(oldest)) => {
                let deleted = self.client.folder_delete(&key, &oldest).await;
                if matches!(
                    deleted,
                    Ok(_) | Err(Trouble::Status(SYSTEM_FOLDER | NO_FOLDER, _))
                ) {
                    self.desk()?.lost_folder(&oldest);
                }
                let next = deleted?;
                // The hierarchy does not tell a device of what it did itself.
                self.watched.retain(|one| *one.id != *oldest);
                self.cached.forget();
                next
            }
        };
        self.folder_key = key.into();
        Ok(true)
    }

    /// Opens an attachment that came, and sends one.
    async fn attachment(&mut self) -> Result<bool, Trouble> {
        let attached = self.desk()?.pick(|one| one.attachment.is_some());
        if let Some(letter) = attached
            && let Some((reference, size)) = &letter.attachment
        {
            let fetched = self.client.fetch_attachment(reference, *size).await;
            self.forget_if_gone(&letter, &fetched)?;
            fetched?;
        }
        let size = self.desk()?.random.random_range(ATTACHMENT);
        self.write(Enclosed::Attachment(size)).await
    }

    /// In the mailbox, or in the address list.
    async fn search(&mut self, turn: Turn) -> Result<bool, Trouble> {
        if turn == Turn::Add && self.client.version >= eas::ProtocolVersion::V12_0 {
            self.client.search_mailbox(letter::SUBJECT).await?;
        } else {
            let name = self.client.identity.user_name.clone();
            let name = name.rsplit('\\').next().unwrap_or_default();
            let name = name.split('@').next().unwrap_or_default();
            self.client.search_addresses(name).await?;
        }
        Ok(true)
    }

    /// Sets the automatic reply and looks whether it is set; for all devices of the user, so what is
    /// read back need not be what this device wrote last.
    async fn oof(&mut self) -> Result<bool, Trouble> {
        if self.client.version < eas::ProtocolVersion::V12_0 {
            return Ok(false);
        }
        let on = self.desk()?.random.random::<bool>();
        let oof = Oof {
            state: if on {
                OofState::Global
            } else {
                OofState::Disabled
            },
            ..Oof::default()
        };
        self.client.set_oof(oof).await?;
        self.client.oof().await?;
        Ok(true)
    }

    async fn call_meeting(&mut self) -> Result<bool, Trouble> {
        let start = self.desk()?.random.random_range(MEETING_WITHIN);
        self.write(Enclosed::Meeting(start)).await
    }

    async fn respond(&mut self) -> Result<bool, Trouble> {
        let desk = self.desk()?;
        let Some(letter) = desk.pick(|one| one.is_meeting && one.may_go) else {
            return Ok(false);
        };
        const ANSWERS: [UserResponse; 3] = [
            UserResponse::Accept,
            UserResponse::Tentative,
            UserResponse::Decline,
        ];
        let answer = ANSWERS[desk.random.random_range(0..ANSWERS.len())];
        let Some(inbox) = self.inbox() else {
            return Ok(false);
        };
        let answered = self.client.respond_to_meeting(answer, &inbox, &letter.id);
        let answered = answered.await;
        self.forget_if_gone(&letter, &answered)?;
        answered?;
        self.settle(letter, true)?;
        Ok(true)
    }
}

/// Whether all of a device's requests meet that trouble until it has done something: anything else is
/// the one thing's own, and the user goes on with the next.
fn is_the_devices(trouble: &Trouble) -> bool {
    let reaction = match trouble {
        Trouble::Http { status, .. } => status.reaction(),
        Trouble::Status(_, reaction) => *reaction,
        Trouble::Transport(_)
        | Trouble::Body(_)
        | Trouble::Renew
        | Trouble::Token(_)
        | Trouble::Stopped
        | Trouble::Unproven => return false,
    };
    matches!(
        reaction,
        Reaction::Provision
            | Reaction::SendDeviceInformation
            | Reaction::RefreshHierarchy
            | Reaction::ResetHierarchy
            | Reaction::Redirect
    )
}

fn flag(is_set: bool) -> Flag<'static> {
    if is_set {
        Flag {
            status: FlagStatus::Active,
            flag_type: "Follow up".into(),
            ..Flag::default()
        }
    } else {
        Flag::default()
    }
}

/// An appointment or a contact of that number.
fn item(class: Class, number: u32) -> ItemData<'static> {
    if class != Class::Calendar {
        return ItemData::Contact(Box::new(Contact {
            first_name: "Ada".into(),
            last_name: format!("Load {number}").into(),
            file_as: format!("Load {number}, Ada").into(),
            company: "Lab".into(),
            email1: format!("ada{number}@lab.example").into(),
            mobile_phone: "+49 30 1234567".into(),
            ..Contact::default()
        }));
    }
    let now = sim_net::wall_clock::now();
    let at = |hours: i64| {
        let at = now.checked_add(jiff::SignedDuration::from_hours(hours));
        at.unwrap_or(now).strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    ItemData::Calendar(Box::new(Appointment {
        timezone: eas::commands::UTC_TIME_ZONE.into(),
        dt_stamp: at(0).into(),
        start: at(24).into(),
        end: at(25).into(),
        subject: format!("{} {number}", letter::SUBJECT).into(),
        uid: format!("easload-{}-{number}", now.as_nanosecond()).into(),
        location: "Room 1".into(),
        busy_status: 2,
        ..Appointment::default()
    }))
}
