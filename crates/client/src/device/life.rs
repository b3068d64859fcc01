//! The state machine of a device's life.

use std::sync::Arc;
use std::time::Duration;

use eas::Command;
use eas::commands::{
    BodyPreference, Change, Class, FilterType, FolderSyncAnswer, FolderSyncRequest, FolderType,
    SyncAnswer, SyncCollection, SyncOptions, SyncRequest,
};
use eas::status::{Reaction, SyncStatus};
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::names::DeviceState;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::desk::Desk;
use super::event::Event;
use super::heartbeat::Heartbeat;
use super::held::Cached;
use super::profile::{Behaviour, device_random};
use super::sleep::Sleep;
use super::trouble::Trouble;
use crate::transport::{Abandon, FailureKind, Transport};

/// Truncation of message bodies, the usual setting of phones.
const BODY_TRUNCATION: u32 = 500;
/// Pause after an answer that only an administrator can mend, so that a device which "never gives
/// up its work" does not hammer a server that has refused it.
const GIVE_UP_PAUSE: Duration = Duration::from_secs(60);
/// Failures in a row after which a device starts again with key 0 where the protocol asks for that.
const FAILURES_UNTIL_RESET: u32 = 5;

/// The source of chance of second Pings: apart from those of flights, which are numbered from 0, and of
/// sleep, the last number.
const SECOND_PINGS: u32 = u32::MAX - 1;

/// What a device does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Options,
    Provision,
    FolderSync,
    Sync,
    /// By Ping or by a Sync that hangs.
    Wait,
}

/// A folder the device watches.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) id: Box<str>,
    pub(super) class: Class,
    pub(super) is_inbox: bool,
    /// `0` until primed.
    key: Box<str>,
    /// To be synced before the next Ping.
    pub(super) stale: bool,
}

impl Watched {
    /// Begins anew with key 0.
    pub(super) fn restart(&mut self) {
        self.key = "0".into();
        self.stale = true;
    }

    pub(super) fn is_primed(&self) -> bool {
        &*self.key != "0"
    }
}

/// A device, from its first OPTIONS on.
pub struct Life<T> {
    pub(super) client: Client<T>,
    pub(super) behaviour: Arc<Behaviour>,
    pub(super) random: Xoshiro256PlusPlus,
    state: DeviceState,
    pub(super) folder_key: Box<str>,
    pub(super) watched: Vec<Watched>,
    pub(super) heartbeat: Heartbeat,
    /// As the server taught with Status 6.
    pub(super) max_folders: Option<u32>,
    /// What the server has cached of the last request that waited.
    pub(super) cached: Cached,
    /// What its chances of planned absences follow from.
    pub(super) luck: u64,
    /// Boxed: few devices do.
    pub(super) sleep: Option<Box<Sleep>>,
    /// Chances of second Pings, for kinds that send some.
    pub(super) second: Option<Box<Xoshiro256PlusPlus>>,
    /// In a row. Only a request that was held shows that the device is where it should be: a server
    /// that asks for Provision after every Provision succeeds half of the time.
    pub(super) failures: u32,
    /// Answers in a row that told of changes at once, and none came.
    pub(super) idle: u8,
    pub(super) ping_answered: Option<Instant>,
    /// Since when the next Ping is due.
    pub(super) due: Option<Instant>,
    /// What its user does, if anything.
    pub(super) desk: Option<Box<Desk>>,
}

impl<T: Transport> Life<T> {
    /// A device that has not begun.
    pub fn new(
        client: Client<T>,
        behaviour: Arc<Behaviour>,
        mut random: Xoshiro256PlusPlus,
    ) -> Self {
        // Of a copy, so that all other chances are what they would be without.
        let luck = random.clone().random();
        let second =
            (client.profile.second_ping > 0.0).then(|| Box::new(device_random(luck, SECOND_PINGS)));
        let plan = client.profile.sleep.as_ref();
        let sleep = plan.map(|plan| Box::new(Sleep::new(plan, luck)));
        let heartbeat = Heartbeat::new(&client.profile.heartbeat, &mut random);
        let activity = client.profile.activity.clone();
        let desk = activity.map(|activity| Box::new(Desk::new(activity, random.clone())));
        Self {
            client,
            behaviour,
            random,
            state: DeviceState::Off,
            folder_key: "0".into(),
            watched: Vec::new(),
            heartbeat,
            max_folders: None,
            cached: Cached::default(),
            luck,
            sleep,
            second,
            failures: 0,
            idle: 0,
            ping_answered: None,
            due: None,
            desk,
        }
    }

    /// Lives until the fleet stops or the user is stopped. Everything but the held Ping is boxed,
    /// so that a waiting device is small.
    pub async fn run(mut self) {
        let mut step = self.first();
        loop {
            if self.behaviour.is_stopping()
                || self.client.refusals.is_stopped(self.client.identity.user)
            {
                return;
            }
            let done = match step {
                Step::Wait => self.hold().await,
                _ => Box::pin(self.work(step)).await,
            };
            step = match done {
                Ok(next) => next,
                Err(trouble) => Box::pin(self.recover(step, trouble)).await,
            };
            if self.client.take_outdated() {
                step = Box::pin(self.begin_anew()).await;
            }
        }
    }

    /// At once, and with pauses where the server goes on changing before anything was held.
    async fn begin_anew(&mut self) -> Step {
        self.reset_hierarchy();
        self.cached.forget();
        self.failures = self.failures.saturating_add(1);
        if self.failures > 1 {
            self.pause(None).await;
        }
        self.first()
    }

    fn first(&self) -> Step {
        if self.client.profile.negotiate {
            Step::Options
        } else {
            Step::Provision
        }
    }

    /// As far as a device that has its folders.
    pub(super) async fn introduce(&mut self) -> Result<(), Trouble> {
        let mut step = self.first();
        while step != Step::Wait {
            step = self.work(step).await?;
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, to: DeviceState) {
        if self.state != to {
            self.client.tell(Event::State {
                from: self.state,
                to,
            });
            self.state = to;
        }
    }

    async fn work(&mut self, step: Step) -> Result<Step, Trouble> {
        match step {
            Step::Options => {
                self.enter(DeviceState::Starting);
                self.client.options().await?;
                Ok(Step::Provision)
            }
            Step::Provision => {
                self.enter(DeviceState::Starting);
                self.client.provision().await?;
                Ok(if self.watched.is_empty() {
                    Step::FolderSync
                } else {
                    Step::Sync
                })
            }
            Step::FolderSync => {
                self.enter(DeviceState::Starting);
                self.folder_sync().await?;
                Ok(Step::Sync)
            }
            Step::Sync | Step::Wait => {
                self.enter(DeviceState::Syncing);
                self.sync().await
            }
        }
    }

    pub(super) async fn folder_sync(&mut self) -> Result<(), Trouble> {
        const COMMAND: Command = Command::FolderSync;
        self.client.tell(Event::HierarchyFetched);
        let request = FolderSyncRequest {
            sync_key: self.folder_key.to_string().into(),
        };
        let answer = self.client.call(COMMAND, &request.encode()?).await?;
        let answer = FolderSyncAnswer::decode(&answer.body)
            .map_err(|error| self.client.bad_body(COMMAND, &error))?;
        self.client.skipped(COMMAND, &answer.skipped);
        self.client
            .status(COMMAND, answer.status.code(), answer.status.reaction())?;
        if let Some(key) = answer.sync_key {
            self.folder_key = key.into();
        }
        self.cached.forget();
        for id in answer.deleted {
            self.watched.retain(|folder| *folder.id != *id);
            if let Some(desk) = &mut self.desk {
                desk.lost_folder(&id);
            }
        }
        for folder in answer.added {
            let is_inbox = folder.folder_type == FolderType::INBOX;
            let mut wanted = self.client.profile.all_folders || is_inbox;
            if let Some(desk) = &mut self.desk {
                desk.saw_folder(&folder);
                wanted |= desk.wants(folder.folder_type);
            }
            let known = self
                .watched
                .iter()
                .any(|watched| *watched.id == *folder.server_id);
            if let Some(class) = folder.folder_type.class().filter(|_| wanted && !known) {
                self.watched.push(Watched {
                    id: folder.server_id.into(),
                    class,
                    is_inbox,
                    key: "0".into(),
                    stale: true,
                });
            }
        }
        self.watched.shrink_to_fit();
        if self.watched.is_empty() {
            return Err(Trouble::Body(
                "the folder hierarchy has no Inbox".to_owned(),
            ));
        }
        Ok(())
    }

    /// Whether a Sync of those folders brought the rest of the Inbox.
    pub(super) fn has_inbox(&self, asked: &[String]) -> bool {
        let mut inboxes = self.watched.iter().filter(|folder| folder.is_inbox);
        inboxes.any(|inbox| !inbox.stale && asked.iter().any(|id| **id == *inbox.id))
    }

    /// Syncs stale folders until nothing more comes.
    pub(super) async fn sync(&mut self) -> Result<Step, Trouble> {
        const COMMAND: Command = Command::Sync;
        let mut has_news = false;
        while self.watched.iter().any(|folder| folder.stale) && !self.behaviour.is_stopping() {
            let request = self.sync_request(false);
            let asked: Vec<String> = request
                .collections
                .iter()
                .map(|one| one.id.to_string())
                .collect();
            let body = request.encode(self.client.version)?;
            self.cached.sync = false;
            let received = self.client.call(COMMAND, &body).await?;
            let at = received.timing.end();
            let answer = SyncAnswer::decode(&received.body)
                .map_err(|error| self.client.bad_body(COMMAND, &error))?;
            if let Some(status) = answer.status {
                if status.reaction() == Reaction::ResetSyncKey {
                    self.reset_stale_keys();
                }
                self.adopt_sync_limit(status, answer.limit);
                self.client
                    .status(COMMAND, status.code(), status.reaction())?;
            }
            let mut collections = answer.collections.iter();
            has_news |= collections.any(|one| !one.changes.is_empty() || !one.skipped.is_empty());
            self.take_in(&answer, at, Some(&asked))?;
            let has_inbox = self.has_inbox(&asked);
            self.client.tell(Event::Synced {
                timing: received.timing,
                has_inbox,
            });
        }
        // The answer to a hanging Sync brings the news itself.
        if self.ping_answered.take().is_some() && !has_news && !self.hangs() {
            self.client.tell(Event::NoNews);
        }
        Ok(Step::Wait)
    }

    /// A server may take no more than so many folders at once (Status 15), of which it then gets the first.
    pub(super) fn adopt_sync_limit(&mut self, status: SyncStatus, limit: Option<u32>) {
        if let (SyncStatus::TooManyCollections, Some(limit)) = (status, limit)
            && (1..self.watched.len()).contains(&(limit as usize))
        {
            self.max_folders = Some(limit);
        }
    }

    /// As many folders as the server takes in one request.
    pub(super) fn most_folders(&self) -> usize {
        self.max_folders.map_or(usize::MAX, |limit| limit as usize)
    }

    /// For the stale folders, or for `all`.
    pub(super) fn sync_request(&self, all: bool) -> SyncRequest<'static> {
        let collections = self
            .watched
            .iter()
            .filter(|folder| all || folder.stale)
            .take(self.most_folders())
            .map(|folder| self.collection(folder));
        SyncRequest {
            collections: collections.collect(),
            ..SyncRequest::default()
        }
    }

    /// A folder's part of a Sync, without anything the device did.
    pub(super) fn collection(&self, folder: &Watched) -> SyncCollection<'static> {
        let primed = folder.is_primed();
        SyncCollection {
            sync_key: folder.key.to_string().into(),
            id: folder.id.to_string().into(),
            class: Some(folder.class),
            deletes_as_moves: primed.then_some(true),
            get_changes: primed.then_some(true),
            window_size: primed.then_some(self.client.profile.window),
            options: primed.then_some(SyncOptions {
                filter: Some(FilterType::ALL),
                bodies: vec![BodyPreference {
                    truncation_size: Some(BODY_TRUNCATION),
                    ..BodyPreference::default()
                }],
                ..SyncOptions::default()
            }),
            ..SyncCollection::default()
        }
    }

    /// Collections without an answer have no changes; those with one are drained when it brings
    /// neither items nor the promise of more. One that was just primed is asked once more. Where `only`
    /// some were asked, the answer says nothing of the others.
    pub(super) fn take_in(
        &mut self,
        answer: &SyncAnswer<'_>,
        at: Instant,
        only: Option<&[String]>,
    ) -> Result<(), Trouble> {
        self.client.skipped(Command::Sync, &answer.skipped);
        // A skipped collection keeps its key, and would be told of again at once.
        let mut trouble = match &answer.skipped.first {
            Some(error) => Err(Trouble::Body(error.to_string())),
            None => Ok(()),
        };
        let mut news = 0;
        for folder in &mut self.watched {
            let Some(collection) = answer
                .collections
                .iter()
                .find(|collection| *collection.id == *folder.id)
            else {
                folder.stale &= only.is_some_and(|asked| asked.iter().all(|id| **id != *folder.id));
                continue;
            };
            let status = collection.status;
            if status.reaction() == Reaction::ResetSyncKey {
                self.client.tell(Event::SyncKeyReset);
                folder.key = "0".into();
                folder.stale = true;
                trouble = self
                    .client
                    .status(Command::Sync, status.code(), status.reaction());
                continue;
            }
            if let Err(other) = self
                .client
                .status(Command::Sync, status.code(), status.reaction())
            {
                trouble = Err(other);
                continue;
            }
            // Without a usable key the next request would start the collection again, for ever.
            if matches!(collection.sync_key.as_ref(), "" | "0") {
                let text = "a Sync answer without a usable SyncKey".to_owned();
                self.client.tell(Event::BadBody {
                    command: Some(Command::Sync),
                    text: &text,
                });
                trouble = Err(Trouble::Body(text));
                continue;
            }
            let was_priming = !folder.is_primed();
            let same_key = *folder.key == *collection.sync_key;
            folder.key = collection.sync_key.as_ref().into();
            self.client.skipped(Command::Sync, &collection.skipped);
            // A skipped item has been passed by, if the key says so: more may follow it.
            let mut items = if same_key {
                0
            } else {
                collection.skipped.count
            };
            for change in &collection.changes {
                match change {
                    Change::Add { server_id, data } => {
                        items += 1;
                        let email = data.as_email();
                        self.client.tell(Event::ItemSynced {
                            subject: email.map_or("", |email| &email.subject),
                            ping_answered: self.ping_answered,
                            at,
                        });
                        if let (Some(desk), Some(email), true) =
                            (&mut self.desk, email, folder.is_inbox)
                        {
                            desk.saw(server_id, email);
                        }
                    }
                    Change::Delete { server_id } | Change::SoftDelete { server_id } => {
                        if let Some(desk) = &mut self.desk {
                            desk.gone(server_id);
                        }
                    }
                    Change::Update { .. } => {}
                }
            }
            news += items;
            // A promise of more that brings neither items nor a new key is an empty one.
            folder.stale = was_priming || items > 0 || (collection.more_available && !same_key);
        }
        if news > 0 {
            self.idle = 0;
        }
        trouble
    }

    /// What is done about it, and how long the server asks to wait; `None` if the request goes out again
    /// at once.
    fn reaction(&mut self, trouble: &Trouble) -> Option<(Reaction, Option<Duration>)> {
        // A renewal happens once for each token, and a stopped user's device is about to end.
        if matches!(
            trouble,
            Trouble::Renew | Trouble::Stopped | Trouble::Unproven
        ) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        Some(match trouble {
            Trouble::Transport(failure) => {
                if matches!(failure.kind, FailureKind::TimedOut { .. }) {
                    self.client.transport.abandon(Abandon::Fin);
                }
                // A server may close a kept connection at any time; the first failure on one means
                // nothing.
                if failure.reused && self.failures == 1 && failure.kind.is_disconnect() {
                    return None;
                }
                (Reaction::RetryLater, None)
            }
            Trouble::Http {
                status,
                retry_after,
                ..
            } => (status.reaction(), *retry_after),
            Trouble::Status(_, reaction) => (*reaction, None),
            Trouble::Token(_) | Trouble::Renew | Trouble::Stopped | Trouble::Unproven => {
                (Reaction::RetryLater, None)
            }
            Trouble::Body(_) => {
                self.client.transport.abandon(Abandon::Fin);
                (Reaction::RetryLater, None)
            }
        })
    }

    /// The reaction to trouble: changes what has to change, waits, and says what comes next.
    async fn recover(&mut self, step: Step, trouble: Trouble) -> Step {
        let Some((reaction, retry_after)) = self.reaction(&trouble) else {
            return step;
        };
        // Reactions that cure at once are repeated without a pause only the first time: a server
        // that asks for Provision after every Provision must not be hammered.
        let soon = self.failures == 1;
        let next = match reaction {
            Reaction::Provision | Reaction::SendDeviceInformation => Step::Provision,
            Reaction::RefreshHierarchy => {
                self.watched
                    .iter_mut()
                    .for_each(|folder| folder.stale = true);
                Step::FolderSync
            }
            Reaction::ResetHierarchy => {
                self.reset_hierarchy();
                Step::FolderSync
            }
            Reaction::SendFull => {
                self.cached.forget();
                step
            }
            Reaction::ResetSyncKey | Reaction::SkipItem => step,
            Reaction::Redirect if self.client.follow(&trouble).is_ok() => {
                // The other server has cached nothing.
                self.cached.forget();
                step
            }
            Reaction::RetryLater | Reaction::AdoptLimit => {
                if self.failures.is_multiple_of(FAILURES_UNTIL_RESET)
                    && matches!(&trouble, Trouble::Status(..))
                {
                    self.reset_after_repeated_failures(step);
                }
                self.pause(retry_after).await;
                return step;
            }
            _ => {
                self.enter(DeviceState::BackingOff);
                sleep(retry_after.unwrap_or(GIVE_UP_PAUSE.min(*self.client.profile.retry.end())))
                    .await;
                return step;
            }
        };
        if !soon {
            self.pause(retry_after).await;
        }
        next
    }

    pub(super) fn reset_stale_keys(&mut self) {
        self.client.tell(Event::SyncKeyReset);
        for folder in self.watched.iter_mut().filter(|folder| folder.stale) {
            folder.key = "0".into();
        }
    }

    fn reset_hierarchy(&mut self) {
        self.client.tell(Event::SyncKeyReset);
        self.folder_key = "0".into();
        self.watched.clear();
    }

    /// "Retry, then key 0" (ASCMD 2.2.3.177.5 and .17).
    fn reset_after_repeated_failures(&mut self, step: Step) {
        match step {
            Step::FolderSync => self.reset_hierarchy(),
            Step::Sync => {
                self.client.tell(Event::SyncKeyReset);
                for folder in &mut self.watched {
                    folder.key = "0".into();
                    folder.stale = true;
                }
            }
            _ => {}
        }
    }

    /// Doubles from the shortest to the longest pause, each drawn from the upper half, so that a
    /// herd spreads.
    async fn pause(&mut self, retry_after: Option<Duration>) {
        self.enter(DeviceState::BackingOff);
        let pause = retry_after.unwrap_or_else(|| {
            let retry = &self.client.profile.retry;
            let doublings = self.failures.saturating_sub(1).min(16);
            retry
                .start()
                .saturating_mul(1 << doublings)
                .min(*retry.end())
        });
        let drawn = pause.mul_f64(self.random.random_range(0.5..=1.0));
        // A time that the server named is a lower bound.
        sleep(if retry_after.is_some() { pause } else { drawn }).await;
    }
}

/// A device whose task is ended by the fleet leaves the census too.
impl<T> Drop for Life<T> {
    fn drop(&mut self) {
        if self.state != DeviceState::Off {
            let event = Event::State {
                from: self.state,
                to: DeviceState::Off,
            };
            self.client
                .record
                .record(self.client.identity.device, event);
        }
    }
}
