//! The lock-out guard: bounds the logins of a user that a server may refuse.
//!
//! A directory locks an account after some refused logins in a row. Every request with a user's
//! credential is a login, so every request asks here first ([`Refusals::admit`]) and reports what
//! became of it ([`Refusals::settle`]).
//!
//! The refusals of a user since its last accepted request plus its undecided logins never exceed the
//! limit. `user` says when a login is decided. Until the first request of a user is accepted, at most one
//! of its logins is under way.
//!
//! A login that is given up before it is decided may have been refused, and only a later request can
//! show that it was not. Two rules keep a place for such a request:
//! - while others are given up, a request that the server is asked to hold leaves the last place free: its device
//!   sends another request first, which the server answers immediately ([`Admitted::ProveFirst`]),
//! - a device gives an undecided request up only if another login still has a place
//!   ([`Refusals::may_give_up`]); otherwise it waits until the request is decided.
//!
//! Over all users, only [`Refusals::new`]'s share of them may have refusals. A user that has refusals or was never
//! accepted needs one of that number of places to log in. All others wait while that many have refusals.

mod user;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use self::user::{Counted, Standing, User, Waiter};

/// A server refuses a login within this time, or not at all. Exchange refuses within milliseconds; PAM
/// delays refusals by 2 to 3 s.
pub(crate) const DECIDED: Duration = Duration::from_secs(5);
/// Fewer refused users are mistakes in a list of users, whatever their share.
const MIN_STOPPED: u32 = 3;
/// Relative error of a share of users, far below one user in the largest run.
const ROUNDING: f64 = 1e-9;

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The server did what was asked: the credential is right.
    Accepted,
    /// OPTIONS was answered. Some servers answer it to anybody.
    Discovered,
    /// The server refused the credential.
    Refused,
    /// Answered, but the answer says nothing about the credential.
    Answered,
    /// The server never got the request.
    Unsent,
    /// Given up, or lost with its connection. The server may have looked at the credential.
    Lost,
}

/// How a server is meant to answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// Immediately.
    Answered,
    /// When there is news. The device can send another request first.
    Held,
    /// When there is news. The device can send nothing else first.
    HeldOnly,
}

impl LoginKind {
    pub(crate) fn is_held(self) -> bool {
        self != Self::Answered
    }
}

/// The guard's decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// The request may be sent. This is the number of its login.
    Login(u32),
    /// The device must send a request that is answered immediately before it sends this one.
    ProveFirst,
    /// The user must not log in any more.
    Stopped,
}

/// Refused and undecided logins by user. Shared by everything in a run that logs in.
#[derive(Debug)]
pub struct Refusals {
    limit: usize,
    /// This many users may be refused.
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: Vec<User>,
    /// Users with a refusal since their last accepted request, stopped ones included.
    doubted: u32,
    stopped: u32,
    /// Users that have a place among those that may be refused.
    placed: u32,
    /// Users without refusals that have such a place.
    trying: u32,
    /// Users of each standing that wait for others.
    queues: [VecDeque<u32>; 3],
}

impl State {
    /// Whether the limits of all users together let a user of that standing log in that has no place.
    fn has_share(&self, standing: Standing, most: u32) -> bool {
        match standing {
            Standing::Sound => self.doubted < most,
            Standing::New => self.doubted + self.trying < most,
            Standing::Doubted => self.placed < most,
        }
    }

    /// Counts the user again after a change.
    fn recount(&mut self, index: usize, limit: usize) {
        let user = &mut self.users[index];
        let before = user.counted;
        if user.is_exhausted(limit) {
            user.is_stopped = true;
            user.has_place = true;
        }
        user.has_place &= user.standing() == Standing::Doubted
            || (user.standing() == Standing::New && !user.logins.is_empty());
        let after = Counted {
            doubted: user.standing() == Standing::Doubted,
            stopped: user.is_stopped,
            placed: user.has_place,
            trying: user.has_place && user.standing() == Standing::New,
        };
        user.counted = after;
        let count = |total: &mut u32, before: bool, after: bool| {
            *total = *total + u32::from(after) - u32::from(before);
        };
        count(&mut self.doubted, before.doubted, after.doubted);
        count(&mut self.stopped, before.stopped, after.stopped);
        count(&mut self.placed, before.placed, after.placed);
        count(&mut self.trying, before.trying, after.trying);
    }

    /// Wakes the requests that may go on after a change of that user.
    fn wake(&mut self, index: usize, most: u32) {
        if self.stopped >= most {
            self.users.iter().for_each(User::wake_all);
            return;
        }
        if let Some(user) = self.users.get(index) {
            if user.is_stopped {
                user.wake_all();
            } else {
                user.wake_first();
            }
        }
        self.wake_others(most);
    }

    /// Wakes users that wait for others. One at a time asks for a place: it wakes the next one if it leaves any.
    fn wake_others(&mut self, most: u32) {
        for standing in [Standing::Sound, Standing::New, Standing::Doubted] {
            while self.has_share(standing, most)
                && let Some(next) = self.queues[standing as usize].pop_front()
            {
                let user = &mut self.users[next as usize];
                // It may have changed its standing, and waits in another queue then.
                let is_here = user.queued == Some(standing);
                if is_here {
                    user.queued = None;
                }
                if is_here && user.wake_first() && standing != Standing::Sound {
                    break;
                }
            }
        }
    }

    /// Remembers that the user waits for others.
    fn queue(&mut self, number: u32) {
        let user = &mut self.users[number as usize];
        let standing = user.standing();
        if user.queued.replace(standing) != Some(standing) {
            self.queues[standing as usize].push_back(number);
        }
    }
}

/// What a look at the limits leads to.
enum Look {
    Now(Admitted),
    /// Not before something happens, or until then.
    Wait(Option<Instant>),
}

impl Refusals {
    /// Stops a user at `limit` refusals without a success in between, and all users when that share of
    /// them, rounded up and at least 3, is stopped.
    #[must_use]
    pub fn new(users: usize, limit: u32, share: f64) -> Self {
        let most = (users as f64 * share * (1.0 - ROUNDING)).ceil() as u32;
        Self {
            limit: limit.max(1) as usize,
            most: most.max(MIN_STOPPED),
            state: Mutex::new(State {
                users: (0..users).map(|_| User::default()).collect(),
                ..State::default()
            }),
        }
    }

    /// Waits until a request of that user may be sent.
    pub async fn admit(&self, user: u32, kind: LoginKind) -> Admitted {
        let mut place = Place {
            refusals: self,
            user,
            waiter: None,
        };
        loop {
            let until = match self.look(&mut place, kind) {
                Look::Now(admitted) => return admitted,
                Look::Wait(until) => until,
            };
            let Some(waiter) = &place.waiter else {
                continue;
            };
            let wake = Arc::clone(&waiter.wake);
            match until {
                None => wake.notified().await,
                Some(until) => {
                    let _ = Box::pin(timeout_at(until, wake.notified())).await;
                }
            }
        }
    }

    /// Admits the request at that place if it may go now.
    fn look(&self, place: &mut Place<'_>, kind: LoginKind) -> Look {
        let now = Instant::now();
        let index = place.user as usize;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(user) = state.users.get_mut(index) else {
            return Look::Now(Admitted::Login(0));
        };
        if user.decide_by_time(now) {
            state.recount(index, self.limit);
            state.wake(index, self.most);
        }
        let user = &state.users[index];
        if state.stopped >= self.most || user.is_stopped {
            return Look::Now(Admitted::Stopped);
        }
        let has_share = user.has_place || state.has_share(user.standing(), self.most);
        let user = &mut state.users[index];
        let is_next = user.is_next(place.waiter.as_ref(), kind);
        let has_room = is_next && user.make_room(kind, self.limit, now);
        if !has_room || !has_share {
            if place.waiter.is_none() {
                place.waiter = Some(user.enter_queue(kind));
            }
            // The first one wakes the next when it goes, so only it needs a time.
            let until = user.next_change(self.limit).filter(|_| is_next);
            if has_room {
                state.queue(place.user);
            }
            state.wake_others(self.most);
            return Look::Wait(until);
        }
        if let Some(waiter) = place.waiter.take() {
            user.leave_queue(waiter.number);
        }
        let admitted = if kind == LoginKind::Held && user.must_prove(self.limit) {
            user.proving = Some(now);
            Admitted::ProveFirst
        } else {
            user.has_place |= user.standing() != Standing::Sound;
            Admitted::Login(user.log_in(kind, now))
        };
        state.recount(index, self.limit);
        state.wake(index, self.most);
        Look::Now(admitted)
    }

    /// The request of that login is written. If it is the first one that counts as decided after a time, the request
    /// that waits first learns that time now. The end of a later login is later.
    pub(crate) fn written(&self, user: u32, login: u32) {
        let mut state = self.state.lock();
        if let Some(user) = state.users.get_mut(user as usize) {
            let is_known = user.next_change(self.limit).is_some();
            user.write(login);
            if !is_known {
                user.wake_first();
            }
        }
    }

    /// Whether a device may give up that request before it is decided. The permission is used up with the login.
    pub(crate) fn may_give_up(&self, user: u32, login: u32) -> bool {
        let mut state = self.state.lock();
        let user = state.users.get_mut(user as usize);
        user.is_none_or(|user| user.may_give_up(login, self.limit))
    }

    /// What became of a login; 0 is one that was not admitted here. Whether the user's credential was right the last
    /// time before.
    pub fn settle(&self, user: u32, login: u32, outcome: LoginOutcome) -> bool {
        let now = Instant::now();
        let index = user as usize;
        let mut state = self.state.lock();
        let Some(user) = state.users.get_mut(index) else {
            return false;
        };
        let was_sound = user.standing() == Standing::Sound;
        user.decide_by_time(now);
        user.leave(login, outcome, now);
        match outcome {
            LoginOutcome::Accepted => user.accept(login),
            LoginOutcome::Discovered => user.discover(login),
            LoginOutcome::Refused => user.refuse(),
            LoginOutcome::Answered | LoginOutcome::Unsent | LoginOutcome::Lost => {}
        }
        state.recount(index, self.limit);
        state.wake(index, self.most);
        was_sound
    }

    /// A server refused a Bearer token. Whether it may be renewed once before that counts as the user's
    /// refusal: it may only have expired.
    pub(crate) fn renew(&self, user: u32, login: u32, by_options: bool) -> bool {
        let may = {
            let mut state = self.state.lock();
            let user = state.users.get_mut(user as usize);
            user.is_none_or(|user| user.renew(by_options))
        };
        if may {
            self.settle(user, login, LoginOutcome::Answered);
        }
        may
    }

    /// Refusals and undecided logins of that user, and whether a request of it was accepted.
    #[must_use]
    pub fn counted(&self, user: u32) -> (usize, usize, bool) {
        let state = self.state.lock();
        let user = &state.users[user as usize];
        (user.refusals.len(), user.logins.len(), user.is_proven)
    }

    /// Whether no device of that user may try any more.
    #[must_use]
    pub fn is_stopped(&self, user: u32) -> bool {
        let state = self.state.lock();
        let of_user = state.users.get(user as usize);
        state.stopped >= self.most || of_user.is_some_and(|user| user.is_stopped)
    }

    /// Whether so many users were refused that nobody may try any more.
    #[must_use]
    pub fn are_all_stopped(&self) -> bool {
        self.state.lock().stopped >= self.most
    }

    /// Logins that are under way, and requests that wait for their turn. Both are 0 when nobody is left who logs in.
    #[must_use]
    pub fn open(&self) -> (usize, usize) {
        let state = self.state.lock();
        let open = state.users.iter().map(User::open);
        open.fold((0, 0), |sum, open| (sum.0 + open.0, sum.1 + open.1))
    }

    /// Users that were stopped for their own refusals, by number.
    #[must_use]
    pub fn stopped(&self) -> Vec<u32> {
        let state = self.state.lock();
        let users = (0..).zip(&state.users);
        users
            .filter(|(_, user)| user.is_stopped)
            .map(|(number, _)| number)
            .collect()
    }
}

/// A request's place among those of its user that wait. Leaving it lets the next one look.
struct Place<'a> {
    refusals: &'a Refusals,
    user: u32,
    /// Of a request that waits.
    waiter: Option<Waiter>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter.take() else {
            return;
        };
        let mut state = self.refusals.state.lock();
        if let Some(user) = state.users.get_mut(self.user as usize) {
            user.leave_queue(waiter.number);
        }
        state.wake(self.user as usize, self.refusals.most);
    }
}
