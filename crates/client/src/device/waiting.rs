//! How a device waits for changes: by a Ping or a Sync that the server holds, until it is answered,
//! given up, or lost with its network.

use std::time::Duration;

use eas::Command;
use eas::commands::{PingAnswer, PingFolder, PingRequest, SyncAnswer, SyncRequest};
use eas::status::{PingStatus, Reaction, SyncStatus};
use scenario::names::DeviceState;
use scenario::{PingBody, Wait};
use tokio::time::{Instant, sleep};

use super::beside::Waited;
use super::event::{Event, PingEnd};
use super::guard::{DECIDED, LoginKind};
use super::held::{Held, Hold, expired};
use super::life::{Life, Step};
use super::profile::{Fate, NetworkLoss};
use super::second::asks_again;
use super::trouble::Trouble;
use crate::transport::{Abandon, Answer, FailureKind, Transport};

/// Empty Syncs that a server may refuse (Status 13) before it is sent whole ones only.
const MAX_REFUSED: u8 = 2;
/// A mail that comes between a Sync and the next Ping is told of at once, and so may be the mail before
/// it, once more (seen with SOGo).
const MAX_IDLE: u8 = 3;

impl<T: Transport> Life<T> {
    /// Waits for changes once.
    pub(super) async fn hold(&mut self) -> Result<Step, Trouble> {
        if self.watched.iter().any(|folder| folder.stale) {
            return Ok(Step::Sync);
        }
        if let Some(fate) = self.absence(Instant::now())
            && fate.after.is_zero()
        {
            self.client.transport.abandon(fate.how);
            Box::pin(self.go_away(fate)).await;
            // Whether the fleet or the user was stopped meanwhile is asked before the next.
            return Ok(Step::Wait);
        }
        let held = match Box::pin(self.send_held(LoginKind::Held)).await {
            Err(Trouble::Unproven) => {
                Box::pin(self.prove()).await?;
                if self.watched.iter().any(|folder| folder.stale) {
                    return Ok(Step::Sync);
                }
                // Once is enough: other devices may have taken the places meanwhile.
                Box::pin(self.send_held(LoginKind::HeldOnly)).await?
            }
            sent => sent?,
        };
        self.enter(DeviceState::Holding);
        let gap = self.due.map(|due| held.sent.saturating_duration_since(due));
        self.client.tell(Event::PingSent {
            sent: held.sent,
            gap,
            hangs: held.command == Command::Sync,
        });
        let limit = Duration::from_secs(held.seconds.into()) + self.client.profile.grace;
        let fate = self.fate(held, limit, held.command == Command::Ping);
        let deadline = held.sent + fate.map_or(limit, |fate| fate.after);
        // Dropping the future here, when the run ends, counts the Ping as open.
        let hold = Hold::new(&self.client, held, limit);
        let waited = if self.desk.is_some() {
            Box::pin(self.wait_and_act(held, deadline)).await
        } else {
            let answer = self.client.receive(held.command, deadline, true).await;
            Waited::Answered(answer, Instant::now())
        };
        hold.end();
        match waited {
            Waited::Answered(Ok(answer), _) => self.answered(held, &answer),
            Waited::Answered(Err(trouble), at) => {
                self.due = Some(at);
                if asks_again(&trouble, fate) {
                    Box::pin(self.ask_again(held)).await
                } else {
                    Box::pin(self.without_answer(held, fate, trouble)).await
                }
            }
            Waited::Interrupted => {
                let (end, age) = (PingEnd::Interrupted, held.sent.elapsed());
                self.client.tell(Event::PingEnded { end, age });
                self.client.transport.abandon(Abandon::Fin);
                self.enter(DeviceState::Syncing);
                let acted = Box::pin(self.act()).await;
                self.due = Some(Instant::now());
                acted.map(|()| Step::Wait)
            }
            Waited::Troubled(trouble) => {
                self.gave_up(held, Abandon::Fin);
                self.due = Some(Instant::now());
                Err(trouble)
            }
        }
    }

    pub(super) fn answered(&mut self, held: Held, answer: &Answer) -> Result<Step, Trouble> {
        let at = answer.timing.end();
        self.due = Some(at);
        if held.command == Command::Sync {
            self.held_sync_answer(held, at, &answer.body)
        } else {
            self.ping_answer(held, at, &answer.body)
        }
    }

    /// When the device will be without a network by plan, the next time from then on.
    fn absence(&self, now: Instant) -> Option<Fate> {
        let flight = self.behaviour.flight(self.luck, now);
        let sleep = self.sleep.as_ref().map(|sleep| sleep.fate(now));
        let absences = [flight, sleep].into_iter().flatten();
        absences.min_by_key(|fate| fate.after)
    }

    /// Without a network, and then with one again.
    async fn go_away(&mut self, fate: Fate) {
        self.enter(DeviceState::Away);
        sleep(fate.away).await;
        match fate.loss {
            NetworkLoss::Moved => self.heartbeat.new_network(&self.client.profile.heartbeat),
            NetworkLoss::Forgotten => self.heartbeat.failed(&self.client.profile.heartbeat),
            NetworkLoss::LostTrack => {}
            NetworkLoss::Slept => self.wake(),
        }
        // Without a network no Ping could be sent.
        self.due = Some(Instant::now());
    }

    /// On the network that it had, with whatever has come to be fetched before the next wait.
    fn wake(&mut self) {
        if let (Some(sleep), Some(plan)) = (&mut self.sleep, &self.client.profile.sleep) {
            sleep.wake(plan);
        }
        self.watched
            .iter_mut()
            .for_each(|folder| folder.stale = true);
    }

    /// What the network does to a held request, or `again` the device itself, whichever comes
    /// first.
    pub(super) fn fate(&mut self, held: Held, limit: Duration, again: bool) -> Option<Fate> {
        let drawn = self.behaviour.fate(&mut self.random);
        let forgotten = self.client.profile.nat_timeout.map(|after| Fate {
            after,
            how: Abandon::Silence,
            // Nobody tells the device; it waits as long as for any Ping.
            away: limit.saturating_sub(after),
            loss: NetworkLoss::Forgotten,
        });
        let again = again.then(|| self.loses_track(limit)).flatten();
        let fates = [drawn, forgotten, self.absence(held.sent), again];
        let fates = fates.into_iter().flatten();
        let mut fate = fates.min_by_key(|fate| fate.after)?;
        if fate.after < limit {
            fate.after = self.earliest_end(held, fate.after);
        }
        Some(fate).filter(|fate| fate.after < limit)
    }

    /// When the device may give the request up that wants to after that time. The guard against lock-outs can make it wait
    /// until the server has decided about the login.
    pub(super) fn earliest_end(&self, held: Held, after: Duration) -> Duration {
        let user = self.client.identity.user;
        let may = after >= DECIDED || self.client.refusals.may_give_up(user, held.login);
        if may { after } else { DECIDED }
    }

    /// Fetches the folders, because the answer shows whether the password is right. Phones do so too when they come back
    /// to a network.
    async fn prove(&mut self) -> Result<(), Trouble> {
        self.enter(DeviceState::Syncing);
        self.folder_sync().await
    }

    /// Whether the device waits by a Sync that hangs.
    pub(super) fn hangs(&self) -> bool {
        self.client.profile.wait == Wait::Sync && self.client.version.has_hanging_sync()
    }

    pub(super) async fn send_held(&mut self, kind: LoginKind) -> Result<Held, Trouble> {
        if self.hangs() {
            self.send_hanging_sync(kind).await
        } else {
            self.send_ping(kind).await
        }
    }

    async fn send_ping(&mut self, kind: LoginKind) -> Result<Held, Trouble> {
        let seconds = self.heartbeat.seconds();
        let (says_heartbeat, says_folders) = match self.client.profile.ping_body {
            PingBody::Full => (true, true),
            PingBody::Partial => (true, !self.cached.folders),
            PingBody::Cached => (self.cached.heartbeat != seconds, !self.cached.folders),
        };
        let folders = self
            .watched
            .iter()
            .take(self.most_folders())
            .map(|folder| PingFolder {
                id: folder.id.to_string().into(),
                class: folder.class,
            });
        let request = PingRequest {
            heartbeat: says_heartbeat.then(|| i32::try_from(seconds).unwrap_or(i32::MAX)),
            folders: says_folders.then(|| folders.collect()),
        };
        let command = Command::Ping;
        let body = request.encode()?;
        let sent = self.client.send(command, &body, kind).await?;
        Ok(Held {
            command,
            seconds,
            is_repeated: body.is_empty(),
            login: self.client.admitted,
            sent,
        })
    }

    /// Once the server has it cached, an empty body says the same again (ASCMD 2.2.1.21).
    async fn send_hanging_sync(&mut self, kind: LoginKind) -> Result<Held, Trouble> {
        let asked = i32::try_from(self.heartbeat.seconds()).unwrap_or(i32::MAX);
        let (wait, heartbeat, seconds) = if self.client.version.has_sync_heartbeat() {
            (None, Some(asked), asked)
        } else {
            let bounds = SyncRequest::WAIT;
            let minutes = ((asked + 30) / 60).clamp(*bounds.start(), *bounds.end());
            (Some(minutes), None, minutes * 60)
        };
        let body = if self.cached.sync {
            Vec::new()
        } else {
            let request = SyncRequest {
                wait,
                heartbeat,
                ..self.sync_request(true)
            };
            request.encode(self.client.version)?
        };
        // Until there is an answer: one that was lost on the way has moved the server's keys on, and
        // an empty request would be answered from those, without the items that were lost.
        self.cached.sync = false;
        let command = Command::Sync;
        let sent = self.client.send(command, &body, kind).await?;
        Ok(Held {
            command,
            seconds: u32::try_from(seconds).unwrap_or(0),
            is_repeated: body.is_empty(),
            login: self.client.admitted,
            sent,
        })
    }

    fn ping_answer(&mut self, held: Held, now: Instant, body: &[u8]) -> Result<Step, Trouble> {
        let age = now - held.sent;
        let decoded = PingAnswer::decode(body);
        let end = match &decoded {
            Ok(answer) => match answer.status {
                PingStatus::Expired => expired(age, held),
                PingStatus::Changes => PingEnd::Changes,
                other => PingEnd::Status(other.code()),
            },
            Err(_) => PingEnd::Status(0),
        };
        self.client.tell(Event::PingEnded { end, age });
        let answer = decoded.map_err(|error| self.client.bad_body(Command::Ping, &error))?;
        if matches!(answer.status, PingStatus::Expired | PingStatus::Changes) {
            (self.cached.heartbeat, self.cached.folders) = (held.seconds, true);
        }
        match answer.status {
            PingStatus::Expired => self.waited(held, age, answer.status.code()),
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
                // Whatever it says, the device syncs after the pause: the next report may be true.
                self.told(held, age, answer.status.code())?;
                Ok(Step::Sync)
            }
            status => {
                let code = status.code();
                self.client.tell(Event::Status {
                    command: Command::Ping,
                    code,
                });
                match (status, answer.heartbeat, answer.max_folders) {
                    (PingStatus::HeartbeatOutOfRange, Some(nearest), _) => {
                        // With a short pause all the same: a server may never be content.
                        self.heartbeat.limit(nearest);
                    }
                    (PingStatus::TooManyFolders, _, Some(limit))
                        if limit > 0 && (limit as usize) < self.watched.len() =>
                    {
                        self.max_folders = Some(limit);
                        self.cached.folders = false;
                    }
                    _ => {}
                }
                Err(Trouble::Status(code, status.reaction()))
            }
        }
    }

    fn held_sync_answer(&mut self, held: Held, now: Instant, body: &[u8]) -> Result<Step, Trouble> {
        let age = now - held.sent;
        let decoded = SyncAnswer::decode(body);
        let end = match &decoded {
            Ok(answer) => match answer.status {
                Some(status) if status != SyncStatus::Success => PingEnd::Status(status.code()),
                _ if answer.collections.is_empty() && answer.skipped.is_empty() => {
                    expired(age, held)
                }
                _ => PingEnd::Changes,
            },
            Err(_) => PingEnd::Status(0),
        };
        self.client.tell(Event::PingEnded { end, age });
        let answer = decoded.map_err(|error| self.client.bad_body(Command::Sync, &error))?;
        match end {
            PingEnd::Expired { .. } => {
                if held.is_repeated {
                    self.cached.refused = 0;
                }
                // An early answer may be the work of another request of this device: one that was given up long ago
                // and reached the server now. The server has cached that one, with older keys.
                self.cached.sync = self.cached.refused < MAX_REFUSED && held.lasted(age);
                self.waited(held, age, SyncStatus::Success.code())
            }
            PingEnd::Changes => {
                self.ping_answered = Some(now);
                self.take_in(&answer, now, None)?;
                self.told(held, age, SyncStatus::Success.code())?;
                Ok(Step::Sync)
            }
            _ => {
                let status = answer.status.unwrap_or(SyncStatus::ServerError);
                if status == SyncStatus::IncompleteRequest {
                    self.cached.refused = self.cached.refused.saturating_add(1);
                }
                self.adopt_sync_limit(status, answer.limit);
                if let (SyncStatus::IntervalOutOfRange, Some(limit)) = (status, answer.limit) {
                    let seconds = if self.client.version.has_sync_heartbeat() {
                        limit
                    } else {
                        limit.saturating_mul(60)
                    };
                    self.heartbeat.limit(seconds);
                }
                if status.reaction() == Reaction::ResetSyncKey {
                    self.watched
                        .iter_mut()
                        .for_each(|folder| folder.stale = true);
                    self.reset_stale_keys();
                }
                self.client
                    .status(Command::Sync, status.code(), status.reaction())
                    .map(|()| Step::Sync)
            }
        }
    }

    /// Nothing came, after so long.
    fn waited(&mut self, held: Held, age: Duration, code: u16) -> Result<Step, Trouble> {
        if held.is_at_once(age) {
            return Err(Trouble::Status(code, Reaction::RetryLater));
        }
        self.failures = 0;
        // A gateway that answers earlier in the server's name says nothing of the whole heartbeat.
        if held.lasted(age) {
            self.heartbeat.worked(&self.client.profile.heartbeat);
        }
        Ok(Step::Wait)
    }

    /// Changes were told of. Now and then they are old news; a server that tells of none at once, and
    /// again, is asked with pauses.
    fn told(&mut self, held: Held, age: Duration, code: u16) -> Result<(), Trouble> {
        if held.is_at_once(age) {
            self.idle = self.idle.saturating_add(1);
        } else {
            self.idle = 0;
        }
        if self.idle > MAX_IDLE {
            return Err(Trouble::Status(code, Reaction::RetryLater));
        }
        self.failures = 0;
        Ok(())
    }

    /// The device gives the request up, which the server may go on holding.
    fn gave_up(&mut self, held: Held, how: Abandon) {
        let age = held.sent.elapsed();
        let left = f64::from(held.seconds) - age.as_secs_f64();
        self.client.tell(Event::PingEnded {
            end: PingEnd::Abandoned { left },
            age,
        });
        self.client.transport.abandon(how);
        self.failures = 0;
    }

    pub(super) async fn without_answer(
        &mut self,
        held: Held,
        fate: Option<Fate>,
        trouble: Trouble,
    ) -> Result<Step, Trouble> {
        let age = held.sent.elapsed();
        let timed_out = matches!(
            &trouble,
            Trouble::Transport(failure) if matches!(failure.kind, FailureKind::TimedOut { .. })
        );
        match (timed_out, fate) {
            (true, Some(fate)) => {
                self.gave_up(held, fate.how);
                self.go_away(fate).await;
                Ok(Step::Wait)
            }
            (true, None) => {
                let overshoot = age.as_secs_f64() - f64::from(held.seconds);
                self.client.tell(Event::PingEnded {
                    end: PingEnd::Overdue { overshoot },
                    age,
                });
                self.client.transport.abandon(Abandon::Fin);
                self.failures = 0;
                self.heartbeat.failed(&self.client.profile.heartbeat);
                // The device has waited long enough; it connects anew at once, as phones do.
                Ok(Step::Wait)
            }
            (false, _) => {
                let end = match &trouble {
                    Trouble::Transport(_) => PingEnd::Cut,
                    Trouble::Http { status, .. } => match status.code() {
                        502 => PingEnd::Lost,
                        408 | 504 => PingEnd::TimedOut,
                        _ => PingEnd::Status(0),
                    },
                    _ => PingEnd::Status(0),
                };
                // A kept connection that had been closed before says nothing of the heartbeat.
                let was_closed = matches!(
                    &trouble,
                    Trouble::Transport(failure) if failure.reused && failure.kind.is_disconnect()
                ) && held.is_at_once(age);
                let by_network = matches!(end, PingEnd::Cut | PingEnd::Lost | PingEnd::TimedOut);
                if by_network && !was_closed {
                    self.heartbeat.failed(&self.client.profile.heartbeat);
                }
                self.client.tell(Event::PingEnded { end, age });
                Err(trouble)
            }
        }
    }
}
