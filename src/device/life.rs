//! The state machine of a device's life.

use std::sync::Arc;
use std::time::Duration;

use eas::Command;
use eas::commands::{
    BodyPreference, Change, Class, FilterType, FolderSyncAnswer, FolderSyncRequest, FolderType,
    PingAnswer, PingFolder, PingRequest, SyncAnswer, SyncCollection, SyncOptions, SyncRequest,
};
use eas::status::{PingStatus, Reaction};
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio::time::{Instant, sleep};

use super::client::{Client, Trouble};
use super::event::{Event, PingEnd, State};
use super::profile::{Behaviour, Fate};
use crate::transport::{Abandon, Answer, FailureKind, Transport};

/// Truncation of message bodies, the usual setting of phones.
const BODY_TRUNCATION: u32 = 500;
/// Longest heartbeat that MS-ASCMD allows, in seconds; no server may teach a longer one.
const MAX_HEARTBEAT: u32 = 3540;
/// Pause after an answer that only an administrator can mend, so that a device which "never gives
/// up its work" does not hammer a server that has refused it.
const GIVE_UP_PAUSE: Duration = Duration::from_secs(60);
/// Failures in a row after which a device starts again with key 0 where the protocol asks for that.
const FAILURES_UNTIL_RESET: u32 = 5;

/// What a device does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Options,
    Provision,
    FolderSync,
    Sync,
    Ping,
}

/// A folder the device watches.
#[derive(Debug)]
struct Watched {
    id: Box<str>,
    class: Class,
    /// `0` until primed.
    key: Box<str>,
    /// To be synced before the next Ping.
    stale: bool,
}

/// A device, from its first OPTIONS on.
pub struct Life<T> {
    client: Client<T>,
    behaviour: Arc<Behaviour>,
    random: Xoshiro256PlusPlus,
    state: State,
    folder_key: Box<str>,
    watched: Vec<Watched>,
    /// As asked for, or as the server taught with Status 5.
    heartbeat: u32,
    /// As the server taught with Status 6.
    max_folders: Option<u32>,
    failures: u32,
    ping_answered: Option<Instant>,
    /// Since when the next Ping is due.
    due: Option<Instant>,
}

impl<T: Transport> Life<T> {
    /// A device that has not begun.
    pub fn new(client: Client<T>, behaviour: Arc<Behaviour>, random: Xoshiro256PlusPlus) -> Self {
        let heartbeat = client.profile.heartbeat;
        Self {
            client,
            behaviour,
            random,
            state: State::Off,
            folder_key: "0".into(),
            watched: Vec::new(),
            heartbeat,
            max_folders: None,
            failures: 0,
            ping_answered: None,
            due: None,
        }
    }

    /// Lives until the fleet stops or the user is stopped. Everything but the held Ping is boxed,
    /// so that a waiting device is small.
    pub async fn run(mut self) {
        let mut step = Step::Options;
        loop {
            if self.behaviour.is_stopping()
                || self.client.refusals.is_stopped(self.client.identity.user)
            {
                return;
            }
            let done = match step {
                Step::Ping => self.ping().await,
                _ => Box::pin(self.work(step)).await,
            };
            step = match done {
                Ok(next) => {
                    // Only a Ping shows that the device is where it should be: a server that asks
                    // for Provision after every Provision succeeds half of the time.
                    if step == Step::Ping {
                        self.failures = 0;
                    }
                    next
                }
                Err(trouble) => Box::pin(self.recover(step, trouble)).await,
            };
        }
    }

    fn enter(&mut self, to: State) {
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
                self.enter(State::Starting);
                self.client.options().await?;
                Ok(Step::Provision)
            }
            Step::Provision => {
                self.enter(State::Starting);
                self.client.provision().await?;
                Ok(if self.watched.is_empty() {
                    Step::FolderSync
                } else {
                    Step::Sync
                })
            }
            Step::FolderSync => {
                self.enter(State::Starting);
                self.folder_sync().await?;
                Ok(Step::Sync)
            }
            Step::Sync | Step::Ping => {
                self.enter(State::Syncing);
                self.sync().await
            }
        }
    }

    async fn folder_sync(&mut self) -> Result<(), Trouble> {
        const COMMAND: Command = Command::FolderSync;
        self.client.tell(Event::HierarchyFetched);
        let request = FolderSyncRequest {
            sync_key: self.folder_key.to_string().into(),
        };
        let answer = self.call(COMMAND, &request.encode()?).await?;
        let answer = FolderSyncAnswer::decode(&answer.body)
            .map_err(|error| self.client.bad_body(COMMAND, &error))?;
        self.client
            .status(COMMAND, answer.status.code(), answer.status.reaction())?;
        if let Some(key) = answer.sync_key {
            self.folder_key = key.into();
        }
        for id in answer.deleted {
            self.watched.retain(|folder| *folder.id != *id);
        }
        for folder in answer.added {
            let wanted = self.client.profile.all_folders || folder.folder_type == FolderType::INBOX;
            let known = self
                .watched
                .iter()
                .any(|watched| *watched.id == *folder.server_id);
            if let Some(class) = folder.folder_type.class().filter(|_| wanted && !known) {
                self.watched.push(Watched {
                    id: folder.server_id.into(),
                    class,
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

    async fn call(&mut self, command: Command, body: &[u8]) -> Result<Answer, Trouble> {
        self.client.send(command, body).await?;
        let deadline = Instant::now() + self.client.profile.request_timeout;
        self.client.receive(command, deadline).await
    }

    /// Syncs stale folders until nothing more comes.
    async fn sync(&mut self) -> Result<Step, Trouble> {
        const COMMAND: Command = Command::Sync;
        while self.watched.iter().any(|folder| folder.stale) && !self.behaviour.is_stopping() {
            let body = self.sync_request().encode(self.client.version)?;
            let received = self.call(COMMAND, &body).await?;
            let at = Instant::now();
            let answer = SyncAnswer::decode(&received.body)
                .map_err(|error| self.client.bad_body(COMMAND, &error))?;
            if let Some(status) = answer.status {
                if status.reaction() == Reaction::ResetSyncKey {
                    self.reset_stale_keys();
                }
                self.client
                    .status(COMMAND, status.code(), status.reaction())?;
            }
            self.take_in(&answer, at)?;
            self.client.tell(Event::Synced {
                latency: received.timing.total,
            });
        }
        self.ping_answered = None;
        Ok(Step::Ping)
    }

    fn sync_request(&self) -> SyncRequest<'static> {
        let collections = self
            .watched
            .iter()
            .filter(|folder| folder.stale)
            .map(|folder| {
                let primed = &*folder.key != "0";
                SyncCollection {
                    sync_key: folder.key.to_string().into(),
                    id: folder.id.to_string().into(),
                    class: Some(folder.class),
                    deletes_as_moves: primed.then_some(true),
                    get_changes: primed.then_some(true),
                    window_size: primed.then_some(self.client.profile.window),
                    options: primed.then_some(SyncOptions {
                        filter: Some(FilterType::ALL),
                        body: Some(BodyPreference {
                            body_type: 1,
                            truncation_size: Some(BODY_TRUNCATION),
                        }),
                    }),
                    commands: Vec::new(),
                }
            });
        SyncRequest {
            collections: collections.collect(),
            ..SyncRequest::default()
        }
    }

    /// Collections without an answer have no changes; those with one are drained when it brings
    /// neither items nor the promise of more. One that was just primed is asked once more.
    fn take_in(&mut self, answer: &SyncAnswer<'_>, at: Instant) -> Result<(), Trouble> {
        let mut trouble = Ok(());
        for folder in &mut self.watched {
            let Some(collection) = answer
                .collections
                .iter()
                .find(|collection| *collection.id == *folder.id)
            else {
                folder.stale = false;
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
            let was_priming = &*folder.key == "0";
            let same_key = *folder.key == *collection.sync_key;
            folder.key = collection.sync_key.as_ref().into();
            let mut items = 0;
            for change in &collection.changes {
                if let Change::Add { email, .. } = change {
                    items += 1;
                    self.client.tell(Event::ItemSynced {
                        subject: &email.subject,
                        ping_answered: self.ping_answered,
                        at,
                    });
                }
            }
            // A promise of more that brings neither items nor a new key is an empty one.
            folder.stale = was_priming || items > 0 || (collection.more_available && !same_key);
        }
        trouble
    }

    async fn ping(&mut self) -> Result<Step, Trouble> {
        Box::pin(self.send_ping()).await?;
        self.enter(State::Holding);
        let sent = Instant::now();
        let gap = self.due.map(|due| sent.saturating_duration_since(due));
        self.client.tell(Event::PingSent { gap });
        let limit = Duration::from_secs(self.heartbeat.into()) + self.client.profile.grace;
        let fate = self
            .behaviour
            .fate(&mut self.random)
            .filter(|fate| fate.after < limit);
        let deadline = sent + fate.map_or(limit, |fate| fate.after);
        let mut hold = Hold {
            client: &mut self.client,
            sent,
            limit,
            armed: true,
        };
        // Dropping the future here, when the run ends, counts the Ping as open.
        let answer = hold.client.receive(Command::Ping, deadline).await;
        hold.armed = false;
        drop(hold);
        self.due = Some(Instant::now());
        match answer {
            Ok(answer) => self.ping_answer(sent, &answer.body),
            Err(trouble) => Box::pin(self.ping_without_answer(sent, fate, trouble)).await,
        }
    }

    async fn send_ping(&mut self) -> Result<(), Trouble> {
        let limit = self.max_folders.map_or(usize::MAX, |limit| limit as usize);
        let folders = self.watched.iter().take(limit).map(|folder| PingFolder {
            id: folder.id.to_string().into(),
            class: folder.class,
        });
        let request = PingRequest {
            heartbeat: Some(i32::try_from(self.heartbeat).unwrap_or(i32::MAX)),
            folders: Some(folders.collect()),
        };
        self.client.send(Command::Ping, &request.encode()?).await
    }

    fn ping_answer(&mut self, sent: Instant, body: &[u8]) -> Result<Step, Trouble> {
        let now = Instant::now();
        let age = now - sent;
        let decoded = PingAnswer::decode(body);
        let end = match &decoded {
            Ok(answer) => match answer.status {
                PingStatus::Expired => PingEnd::Expired {
                    overshoot: age.as_secs_f64() - f64::from(self.heartbeat),
                },
                PingStatus::Changes => PingEnd::Changes,
                other => PingEnd::Status(other.code()),
            },
            Err(_) => PingEnd::Status(0),
        };
        self.client.tell(Event::PingEnded { end, age });
        let answer = decoded.map_err(|error| self.client.bad_body(Command::Ping, &error))?;
        match answer.status {
            PingStatus::Expired => Ok(Step::Ping),
            PingStatus::Changes => {
                self.ping_answered = Some(now);
                for folder in &mut self.watched {
                    folder.stale |= answer.folders.iter().any(|id| **id == *folder.id);
                }
                // Folders that are not watched, or none: sync all rather than ask again at once.
                if !self.watched.iter().any(|folder| folder.stale) {
                    self.watched
                        .iter_mut()
                        .for_each(|folder| folder.stale = true);
                }
                Ok(Step::Sync)
            }
            status => {
                let code = status.code();
                match (status, answer.heartbeat, answer.max_folders) {
                    (PingStatus::HeartbeatOutOfRange, Some(heartbeat), _)
                        if heartbeat != self.heartbeat
                            && (1..=MAX_HEARTBEAT).contains(&heartbeat) =>
                    {
                        self.client.tell(Event::Status {
                            command: Command::Ping,
                            code,
                        });
                        self.heartbeat = heartbeat;
                        // With a short pause: a server may never be content.
                        Err(Trouble::Status(code, status.reaction()))
                    }
                    (PingStatus::TooManyFolders, _, Some(limit))
                        if limit > 0 && (limit as usize) < self.watched.len() =>
                    {
                        self.client.tell(Event::Status {
                            command: Command::Ping,
                            code,
                        });
                        self.max_folders = Some(limit);
                        Err(Trouble::Status(code, status.reaction()))
                    }
                    _ => {
                        self.client.tell(Event::Status {
                            command: Command::Ping,
                            code,
                        });
                        Err(Trouble::Status(code, status.reaction()))
                    }
                }
            }
        }
    }

    async fn ping_without_answer(
        &mut self,
        sent: Instant,
        fate: Option<Fate>,
        trouble: Trouble,
    ) -> Result<Step, Trouble> {
        let age = sent.elapsed();
        let timed_out = matches!(
            &trouble,
            Trouble::Transport(failure) if matches!(failure.kind, FailureKind::TimedOut { .. })
        );
        match (timed_out, fate) {
            (true, Some(fate)) => {
                let left = f64::from(self.heartbeat) - age.as_secs_f64();
                self.client.tell(Event::PingEnded {
                    end: PingEnd::Abandoned { left },
                    age,
                });
                self.client.transport.abandon(fate.how);
                self.enter(State::Away);
                sleep(fate.away).await;
                // Without a network no Ping could be sent.
                self.due = Some(Instant::now());
                Ok(Step::Ping)
            }
            (true, None) => {
                let overshoot = age.as_secs_f64() - f64::from(self.heartbeat);
                self.client.tell(Event::PingEnded {
                    end: PingEnd::Overdue { overshoot },
                    age,
                });
                self.client.transport.abandon(Abandon::Fin);
                // The device has waited long enough; it connects anew at once, as phones do.
                Ok(Step::Ping)
            }
            (false, _) => {
                let end = match &trouble {
                    Trouble::Transport(_) => PingEnd::Cut,
                    Trouble::Http { status, .. } if status.code() == 502 => PingEnd::Lost,
                    _ => PingEnd::Status(0),
                };
                self.client.tell(Event::PingEnded { end, age });
                Err(trouble)
            }
        }
    }

    /// The reaction to trouble: changes what has to change, waits, and says what comes next.
    async fn recover(&mut self, step: Step, trouble: Trouble) -> Step {
        self.failures = self.failures.saturating_add(1);
        let (reaction, retry_after) = match &trouble {
            Trouble::Transport(failure) => {
                if matches!(failure.kind, FailureKind::TimedOut { .. }) {
                    self.client.transport.abandon(Abandon::Fin);
                }
                // A server may close a kept connection at any time; the first failure on one means
                // nothing, and the request goes out again at once.
                if failure.reused && self.failures == 1 && failure.kind.is_disconnect() {
                    return step;
                }
                (Reaction::RetryLater, None)
            }
            Trouble::Http {
                status,
                retry_after,
            } => (status.reaction(), *retry_after),
            Trouble::Status(_, reaction) => (*reaction, None),
            Trouble::Body(_) => {
                self.client.transport.abandon(Abandon::Fin);
                (Reaction::RetryLater, None)
            }
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
            Reaction::ResetSyncKey | Reaction::SendFull | Reaction::SkipItem => step,
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
                self.enter(State::BackingOff);
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

    fn reset_stale_keys(&mut self) {
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
        self.enter(State::BackingOff);
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
        if self.state != State::Off {
            let event = Event::State {
                from: self.state,
                to: State::Off,
            };
            self.client
                .record
                .record(self.client.identity.device, event);
        }
    }
}

/// Counts the Ping as open at the end when it is dropped in between.
struct Hold<'a, T: Transport> {
    client: &'a mut Client<T>,
    sent: Instant,
    limit: Duration,
    armed: bool,
}

impl<T: Transport> Drop for Hold<'_, T> {
    fn drop(&mut self) {
        if self.armed {
            let age = self.sent.elapsed();
            let overdue = age > self.limit;
            self.client.tell(Event::PingEnded {
                end: PingEnd::OpenAtEnd { overdue },
                age,
            });
        }
    }
}
