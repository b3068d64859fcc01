//! Everything that a user can do, once, one after the other: what a server knows of the protocol.

use std::time::Duration;

use scenario::Action;
use tokio::time::sleep;

use super::desk::Turn;
use super::life::Life;
use super::trouble::Trouble;
use crate::transport::{Abandon, Transport};

/// What a rehearsal tells.
#[derive(Debug)]
pub enum Rehearsed {
    /// This comes next.
    Begins(&'static str),
    /// It went as it should.
    Done,
    /// There was nothing to do it with: something before did not go well, or the version has no such
    /// thing.
    LeftOut,
    /// It did not go well.
    Failed(Trouble),
}

/// What is done in which order: mails first, which the rest acts on.
const SCRIPT: [(&str, Action, Turn); 20] = [
    ("send", Action::Send, Turn::Add),
    ("send an attachment", Action::Attachment, Turn::Add),
    ("call a meeting", Action::Meeting, Turn::Add),
    (ARRIVE, Action::Read, Turn::Add),
    ("mark as read", Action::Read, Turn::Add),
    ("flag", Action::Flag, Turn::Add),
    ("reply", Action::Reply, Turn::Add),
    ("forward", Action::Forward, Turn::Add),
    ("open an attachment", Action::Attachment, Turn::Add),
    ("answer a meeting request", Action::Respond, Turn::Add),
    ("enter an appointment", Action::Calendar, Turn::Add),
    ("change an appointment", Action::Calendar, Turn::Change),
    ("delete an appointment", Action::Calendar, Turn::Delete),
    ("enter a contact", Action::Contact, Turn::Add),
    ("change a contact", Action::Contact, Turn::Change),
    ("delete a contact", Action::Contact, Turn::Delete),
    ("make a folder", Action::Folder, Turn::Add),
    ("rename a folder", Action::Folder, Turn::Change),
    ("move a mail", Action::Move, Turn::Add),
    ("delete a folder", Action::Folder, Turn::Delete),
];
/// The rest, which needs no order.
const REST: [(&str, Action, Turn); 4] = [
    ("delete a mail", Action::Delete, Turn::Add),
    ("search the mailbox", Action::Search, Turn::Add),
    ("search the address list", Action::Search, Turn::Change),
    ("set and read the automatic reply", Action::Oof, Turn::Add),
];
/// The step that waits for the mails.
const ARRIVE: &str = "wait for the mails";
/// Mails that the first steps send.
const MAILS: usize = 3;
/// A server that takes longer to deliver to itself is not waited for.
const ARRIVAL: Duration = Duration::from_secs(30);
/// Between two looks into the Inbox.
const LOOK: Duration = Duration::from_millis(500);

impl<T: Transport> Life<T> {
    /// Introduces the device and does it all. The device's user writes to itself if it is the only one
    /// that the activity names.
    ///
    /// # Errors
    /// When the device does not get as far as its Inbox.
    pub async fn rehearse(mut self, mut tell: impl FnMut(Rehearsed)) -> Result<(), Trouble> {
        tell(Rehearsed::Begins("introduce the device"));
        self.introduce().await?;
        tell(Rehearsed::Done);
        for (name, action, turn) in SCRIPT.into_iter().chain(REST) {
            tell(Rehearsed::Begins(name));
            let done = if name == ARRIVE {
                self.arrive().await
            } else {
                self.one(action, turn).await
            };
            tell(match done {
                Ok(true) => Rehearsed::Done,
                Ok(false) => Rehearsed::LeftOut,
                Err(trouble) => {
                    self.client.transport.abandon(Abandon::Fin);
                    Rehearsed::Failed(trouble)
                }
            });
        }
        Ok(())
    }

    async fn one(&mut self, action: Action, turn: Turn) -> Result<bool, Trouble> {
        if let Some(desk) = &mut self.desk {
            desk.number = desk.number.wrapping_add(1);
        }
        let done = self.perform(action, turn).await?;
        // What the step changed for this device too comes with the next Sync. A key that the server does
        // not know any more is told of, and the folder begun anew, as in a device's life.
        if self.refresh().await.is_err() {
            self.refresh().await?;
        }
        Ok(done)
    }

    /// Syncs all folders, whether or not they are stale; folders that others changed first.
    async fn refresh(&mut self) -> Result<(), Trouble> {
        self.watched
            .iter_mut()
            .for_each(|folder| folder.stale = true);
        self.sync().await.map(drop)
    }

    /// `false` if not all came in time.
    async fn arrive(&mut self) -> Result<bool, Trouble> {
        let looks = ARRIVAL.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            let has_all = self.desk.as_ref().is_some_and(|desk| desk.own() >= MAILS);
            if has_all {
                return Ok(true);
            }
            sleep(LOOK).await;
            self.refresh().await?;
        }
        Ok(false)
    }
}
