//! A second Ping while the first is open: a client that lost track of the one that it had sent. What a
//! server does with the first is its own affair (mock-fidelity G10); the device goes by the second.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use eas::Command;
use eas::commands::PingAnswer;
use eas::status::PingStatus;
use rand::Rng as _;
use tokio::time::Instant;

use super::event::{Event, PingEnd, Record};
use super::guard::{LoginKind, LoginOutcome, Refusals};
use super::held::{Held, Hold, expired};
use super::life::{Life, Step};
use super::meaning::shows_login;
use super::profile::{Fate, NetworkLoss};
use super::trouble::Trouble;
use crate::transport::{Abandon, Answer, Failure, FailureKind, Transport};

/// Whether the wait ended because the device sends another Ping now. A connection on which an answer has
/// begun cannot be waited on again.
pub(super) fn asks_again(trouble: &Trouble, fate: Option<Fate>) -> bool {
    fate.is_some_and(|fate| fate.loss == NetworkLoss::LostTrack)
        && matches!(
            trouble,
            Trouble::Transport(failure)
                if matches!(failure.kind, FailureKind::TimedOut { received: 0 })
        )
}

fn timed_out(answer: &Result<Answer, Trouble>) -> bool {
    matches!(
        answer,
        Err(Trouble::Transport(failure)) if matches!(failure.kind, FailureKind::TimedOut { .. })
    )
}

impl<T: Transport> Life<T> {
    /// When the device loses track of a Ping that may last so long, if it does.
    pub(super) fn loses_track(&mut self, limit: Duration) -> Option<Fate> {
        let random = self.second.as_mut()?;
        let chosen = random.random::<f64>() < self.client.profile.second_ping;
        let after = limit.mul_f64(random.random());
        chosen.then_some(Fate {
            after,
            how: Abandon::Fin,
            away: Duration::ZERO,
            loss: NetworkLoss::LostTrack,
        })
    }

    /// Sends another Ping over a connection of its own and waits for its answer; the first is read as
    /// long as both are open, and closed with the second.
    pub(super) async fn ask_again(&mut self, first: Held) -> Result<Step, Trouble> {
        let grace = self.client.profile.grace;
        let first_limit = Duration::from_secs(first.seconds.into()) + grace;
        let another = self.client.transport.another();
        let mut older = std::mem::replace(&mut self.client.transport, another);
        let mut open = Older {
            record: Arc::clone(&self.client.record),
            refusals: Arc::clone(&self.client.refusals),
            device: self.client.identity.device,
            user: self.client.identity.user,
            held: first,
            limit: first_limit,
            is_open: true,
        };
        open.tell(Event::SecondPing { open: true });
        let held = match self.send_held(LoginKind::HeldOnly).await {
            Ok(held) => held,
            Err(trouble) => {
                older.abandon(Abandon::Fin);
                open.given_up();
                return Err(trouble);
            }
        };
        self.client.tell(Event::PingSent {
            sent: held.sent,
            gap: None,
            hangs: held.command == Command::Sync,
        });
        let limit = Duration::from_secs(held.seconds.into()) + grace;
        let fate = self.fate(held, limit, false);
        let deadline = held.sent + fate.map_or(limit, |fate| fate.after);
        let hold = Hold::new(&self.client, held, limit);
        let answer = {
            let mut newer = pin!(self.client.receive(held.command, deadline, true));
            let both = {
                let mut answered = pin!(older.answer(first.sent + first_limit));
                tokio::select! {
                    // A seed fixes which of two that come at once is first.
                    biased;
                    ended = &mut answered => Err(ended),
                    answer = &mut newer => Ok(answer),
                }
            };
            match both {
                Ok(answer) => answer,
                Err(ended) => {
                    older.abandon(Abandon::Fin);
                    open.ended(ended);
                    newer.as_mut().await
                }
            }
        };
        hold.end();
        if open.is_open {
            let lost = fate.filter(|_| timed_out(&answer));
            older.abandon(lost.map_or(Abandon::Fin, |fate| fate.how));
            open.given_up();
        }
        self.due = Some(Instant::now());
        match answer {
            Ok(answer) => self.answered(held, &answer),
            Err(trouble) => Box::pin(self.without_answer(held, fate, trouble)).await,
        }
    }
}

/// The first of two Pings, until it has ended; dropped before, it was open when the run ended.
struct Older {
    record: Arc<dyn Record>,
    refusals: Arc<Refusals>,
    device: u32,
    user: u32,
    held: Held,
    limit: Duration,
    is_open: bool,
}

impl Older {
    fn tell(&self, event: Event<'_>) {
        self.record.record(self.device, event);
    }

    fn end(&mut self, end: PingEnd) {
        self.is_open = false;
        let age = self.held.sent.elapsed();
        self.tell(Event::PingEnded { end, age });
        self.tell(Event::SecondPing { open: false });
    }

    fn given_up(&mut self) {
        let left = f64::from(self.held.seconds) - self.held.sent.elapsed().as_secs_f64();
        self.end(PingEnd::Abandoned { left });
    }

    /// What its answer says is not acted upon: the second Ping is told the same.
    fn ended(&mut self, answer: Result<Answer, Failure>) {
        let age = self.held.sent.elapsed();
        let outcome = match &answer {
            Ok(answer) if answer.status == 200 => shows_login(Some(Command::Ping), answer),
            Ok(answer) if answer.status == 401 => LoginOutcome::Refused,
            Ok(_) => LoginOutcome::Answered,
            Err(_) => LoginOutcome::Lost,
        };
        let again = self.refusals.settle(self.user, self.held.login, outcome);
        if outcome == LoginOutcome::Refused {
            self.tell(Event::Refused { why: None, again });
        }
        let end = match answer {
            Ok(answer) if answer.status != 200 => PingEnd::Status(0),
            Ok(answer) => match PingAnswer::decode(&answer.body).map(|answer| answer.status) {
                Ok(PingStatus::Changes) => PingEnd::Changes,
                Ok(PingStatus::Expired) if age < Duration::from_secs(self.held.seconds.into()) => {
                    PingEnd::Superseded
                }
                Ok(PingStatus::Expired) => expired(age, self.held),
                Ok(other) => PingEnd::Status(other.code()),
                Err(_) => PingEnd::Status(0),
            },
            Err(failure) if matches!(failure.kind, FailureKind::TimedOut { .. }) => {
                PingEnd::Overdue {
                    overshoot: age.as_secs_f64() - f64::from(self.held.seconds),
                }
            }
            Err(_) => PingEnd::Cut,
        };
        self.end(end);
    }
}

impl Drop for Older {
    fn drop(&mut self) {
        if self.is_open {
            let overdue = self.held.sent.elapsed() > self.limit;
            self.end(PingEnd::OpenAtEnd { overdue });
            self.refusals
                .settle(self.user, self.held.login, LoginOutcome::Lost);
        }
    }
}
