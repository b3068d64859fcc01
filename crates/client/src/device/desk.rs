//! What a device keeps for its user's activity: what there is to act on, and when the next thing is due.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eas::commands::{Class, Email, Folder, FolderType};
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::{Action, ActivityPlan};
use tokio::time::Instant;

use super::letter::{SUBJECT, attachment_size};

/// Mails that a user might act on; older ones are not looked at again.
const MAILS: usize = 16;
/// Appointments, contacts and folders of a user's own making; the oldest is deleted when there are more.
const OWN: usize = 4;

/// What the users of a kind of devices do, and with whom.
#[derive(Debug, Clone)]
pub struct Activity {
    /// How often they do what.
    pub plan: ActivityPlan,
    /// Mail addresses of all users, by number.
    pub addresses: Arc<[String]>,
    /// Another in every run, whatever its seed: a server remembers the ids of messages for a while, and
    /// takes one that it has seen for a repetition (Status 118).
    pub run: u32,
}

/// A mail in the Inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) id: Box<str>,
    pub(super) is_read: bool,
    pub(super) is_flagged: bool,
    pub(super) is_meeting: bool,
    /// Written by activity: it may go.
    pub(super) may_go: bool,
    /// Reference and size of an attachment that easload made.
    pub(super) attachment: Option<(Box<str>, usize)>,
}

/// Ids of what the user has made, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Own(VecDeque<Box<str>>);

impl Own {
    pub(super) fn push(&mut self, id: Box<str>) {
        self.0.push_back(id);
    }

    pub(super) fn oldest(&self) -> Option<&str> {
        self.0.front().map(|id| &**id)
    }

    pub(super) fn newest(&self) -> Option<&str> {
        self.0.back().map(|id| &**id)
    }

    pub(super) fn forget(&mut self, id: &str) {
        self.0.retain(|known| **known != *id);
    }
}

/// What is done with things of the user's own making.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Add,
    /// The newest.
    Change,
    /// The oldest.
    Delete,
}

/// The state of one device's activity.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) activity: Arc<Activity>,
    /// Of its own, so that a device's other chances do not depend on what its user does.
    pub(super) random: Xoshiro256PlusPlus,
    /// When the next thing is due.
    pub(super) due: Instant,
    letters: VecDeque<Letter>,
    pub(super) appointments: Own,
    pub(super) contacts: Own,
    pub(super) folders: Own,
    /// Where mail is filed.
    file: Option<Box<str>>,
    /// Things done so far.
    pub(super) number: u32,
}

impl Desk {
    pub(super) fn new(activity: Arc<Activity>, mut random: Xoshiro256PlusPlus) -> Self {
        random.jump();
        let mut desk = Self {
            activity,
            random,
            due: Instant::now(),
            letters: VecDeque::new(),
            appointments: Own::default(),
            contacts: Own::default(),
            folders: Own::default(),
            file: None,
            number: 0,
        };
        desk.rest();
        desk
    }

    /// Draws when the next thing is due: independent events, as users' are.
    fn rest(&mut self) {
        let point: f64 = self.random.random();
        let seconds = -(1.0 - point).ln() / self.activity.plan.per_second();
        // A count of almost nothing is due beyond any run.
        let pause =
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u32::MAX.into()));
        self.due = Instant::now() + pause;
    }

    /// What is done now.
    pub(super) fn draw(&mut self) -> Option<Action> {
        self.rest();
        self.number = self.number.wrapping_add(1);
        let place = self.random.random();
        self.activity.plan.at(place)
    }

    /// Whether the next thing of that kind is made, changed or deleted.
    pub(super) fn turn(&mut self, action: Action) -> Turn {
        let changes = self.random.random::<bool>();
        let count = match action {
            Action::Search => 1,
            Action::Calendar => self.appointments.0.len(),
            Action::Contact => self.contacts.0.len(),
            _ => self.folders.0.len(),
        };
        match count {
            OWN.. => Turn::Delete,
            1.. if changes => Turn::Change,
            _ => Turn::Add,
        }
    }

    /// Another user's address.
    pub(super) fn peer(&mut self, user: u32) -> String {
        let addresses = &self.activity.addresses;
        let count = addresses.len();
        let other = if count > 1 {
            let steps = self.random.random_range(1..count);
            (user as usize + steps) % count
        } else {
            0
        };
        addresses.get(other).cloned().unwrap_or_default()
    }

    /// Whether a folder has to be watched for what the user does.
    pub(super) fn wants(&self, folder_type: FolderType) -> bool {
        let plan = &self.activity.plan;
        match folder_type {
            FolderType::CALENDAR => plan.has(Action::Calendar),
            FolderType::CONTACTS => plan.has(Action::Contact),
            _ => false,
        }
    }

    /// A folder of the hierarchy.
    pub(super) fn saw_folder(&mut self, folder: &Folder<'_>) {
        let is_mail = folder.folder_type.class() == Some(Class::Email);
        let is_better = folder.folder_type == FolderType::USER_MAIL
            && self.folders.newest() != Some(&folder.server_id);
        if is_mail
            && (is_better || folder.folder_type == FolderType::DELETED_ITEMS && self.file.is_none())
        {
            self.file = Some(folder.server_id.as_ref().into());
        }
    }

    /// A folder is gone.
    pub(super) fn lost_folder(&mut self, id: &str) {
        if self.file.as_deref() == Some(id) {
            self.file = None;
        }
        self.folders.forget(id);
    }

    pub(super) fn file(&self) -> Option<&str> {
        self.folders.newest().or(self.file.as_deref())
    }

    /// A mail of the Inbox.
    pub(super) fn saw(&mut self, id: &str, email: &Email<'_>) {
        self.gone(id);
        if self.letters.len() == MAILS {
            self.letters.pop_front();
        }
        let attachment = email.attachments.iter().find_map(|attachment| {
            let size = attachment_size(&attachment.display_name)?;
            Some((attachment.file_reference.as_ref().into(), size))
        });
        self.letters.push_back(Letter {
            id: id.into(),
            is_read: email.read,
            is_flagged: false,
            is_meeting: email.meeting.is_some(),
            may_go: email.subject.starts_with(SUBJECT),
            attachment,
        });
    }

    /// An item is gone.
    pub(super) fn gone(&mut self, id: &str) {
        self.letters.retain(|letter| *letter.id != *id);
        self.appointments.forget(id);
        self.contacts.forget(id);
    }

    /// Mails that activity wrote.
    pub(super) fn own(&self) -> usize {
        self.letters.iter().filter(|one| one.may_go).count()
    }

    /// One of the mails for which that holds, if there is one.
    pub(super) fn pick(&mut self, which: impl Fn(&Letter) -> bool) -> Option<Letter> {
        let fitting: Vec<&Letter> = self.letters.iter().filter(|one| which(one)).collect();
        if fitting.is_empty() {
            return None;
        }
        let chosen = self.random.random_range(0..fitting.len());
        Some(fitting[chosen].clone())
    }

    /// The same mail, with other marks.
    pub(super) fn mark(&mut self, letter: Letter) {
        if let Some(known) = self.letters.iter_mut().find(|one| one.id == letter.id) {
            *known = letter;
        }
    }
}
