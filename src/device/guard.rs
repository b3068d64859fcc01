//! The lock-out guard: bounds the logins of a user that a server may refuse.
//!
//! A directory locks an account after some refused logins in a row. Every request with a user's
//! credential is a login, so every request asks here first ([`Refusals::admit`]) and reports what
//! became of it ([`Refusals::settle`]).
//!
//! A login is *undecided* from its admission until one of these:
//! - its answer comes, or the server cannot have got any of the request,
//! - a request that was admitted after this one had been written is accepted: servers authenticate
//!   requests in the order of their arrival,
//! - it was written and then lost with its connection, while the user is in no doubt,
//! - [`DECIDED`] has passed since it was written, or was lost while it was being written. This holds for requests that
//!   the server is asked to hold, for requests that were given up, and, while the user is in no doubt, for all requests.
//!
//! For each user, the refusals since its last accepted request plus its undecided logins never exceed the
//! limit. Until the first request of a user is accepted, at most one of its logins is under way.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::lock::lock;

/// A server refuses a login within this time, or not at all. Exchange refuses within milliseconds; PAM
/// delays refusals by 2 to 3 s.
const DECIDED: Duration = Duration::from_secs(5);
/// Fewer refused users are mistakes in a list of users, whatever their share.
const MIN_STOPPED: u32 = 3;
/// Waiting requests are woken in groups of users, because a group costs memory and a wake-up in vain
/// costs little.
const GROUPS: usize = 64;
/// Relative error of a share of users, far below one user in the largest run.
const ROUNDING: f64 = 1e-9;

/// What became of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
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

/// Refused and undecided logins by user. Shared by everything in a run that logs in.
#[derive(Debug)]
pub struct Refusals {
    limit: usize,
    /// This many users may be refused.
    most: u32,
    state: Mutex<State>,
    wake: Vec<Notify>,
}

#[derive(Debug, Default)]
struct State {
    users: Vec<User>,
    /// Users with a refusal since their last accepted request, stopped ones included.
    doubted: u32,
    stopped: u32,
    /// Users without any accepted request and any refusal that have a login under way.
    trying: u32,
    /// Users that wait until fewer are refused or trying.
    queue: VecDeque<u32>,
}

#[derive(Debug, Default)]
struct User {
    /// Counts admissions, written requests and refusals, so that their order is known.
    clock: u32,
    /// When a token was refused that was then renewed, until a request is accepted; 0 if none.
    renewed: u32,
    renewed_by_options: bool,
    /// A request was accepted once.
    is_proven: bool,
    is_trying: bool,
    is_stopped: bool,
    is_queued: bool,
    /// When each refusal since the last accepted request came, by the clock.
    refusals: Vec<u32>,
    logins: Vec<Login>,
    /// Requests that wait for their turn, by number.
    waiting: VecDeque<u32>,
}

/// An undecided login.
#[derive(Debug)]
struct Login {
    /// By the clock; identifies it.
    admitted: u32,
    /// By the clock; 0 until it is written.
    written: u32,
    since: Instant,
    /// The server is asked to hold the request.
    is_held: bool,
    is_lost: bool,
}

impl User {
    fn tick(&mut self) -> u32 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    /// Whether the user's credential was right the last time.
    fn is_sound(&self) -> bool {
        self.is_proven && self.refusals.is_empty()
    }

    /// When that login counts as decided without an answer.
    fn decided_at(&self, login: &Login) -> Option<Instant> {
        let ends = login.written > 0 && (login.is_held || login.is_lost || self.is_sound());
        ends.then(|| login.since + DECIDED)
    }

    /// Whether there were any.
    fn forget_decided(&mut self, now: Instant) -> bool {
        let decided = |login: &Login| self.decided_at(login).is_some_and(|at| at <= now);
        let decided: Vec<u32> = self
            .logins
            .iter()
            .filter(|login| decided(login))
            .map(|login| login.admitted)
            .collect();
        self.logins
            .retain(|login| !decided.contains(&login.admitted));
        !decided.is_empty()
    }

    /// When the first of the logins counts as decided without an answer, if one does.
    fn first_decided_at(&self) -> Option<Instant> {
        let ends = self.logins.iter().filter_map(|one| self.decided_at(one));
        ends.min()
    }

    fn has_login_under_way(&self) -> bool {
        self.logins.iter().any(|login| !login.is_lost)
    }

    /// Whether the limits of this user alone let another login go.
    fn has_room(&self, limit: usize) -> bool {
        self.refusals.len() + self.logins.len() < limit
            && (self.is_proven || !self.has_login_under_way())
    }
}

impl State {
    fn has_share(&self, most: u32) -> bool {
        self.doubted + self.trying < most
    }

    /// The user leaves those that try for the first time.
    fn tried(&mut self, user: usize) {
        if std::mem::take(&mut self.users[user].is_trying) {
            self.trying -= 1;
        }
    }
}

/// What an admission leads to.
enum Admission {
    /// A login of that number.
    Granted(u32),
    /// Not before something happens, or until then.
    Wait(Option<Instant>),
    /// The user is stopped.
    Stopped,
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
            wake: (0..GROUPS).map(|_| Notify::new()).collect(),
        }
    }

    fn group(&self, user: u32) -> &Notify {
        &self.wake[user as usize % GROUPS]
    }

    /// Waits until a request of that user may be sent, and gives the number of its login; `None` if the
    /// user is stopped. `is_held` says that the server is asked to hold the request.
    pub(crate) async fn admit(&self, user: u32, is_held: bool) -> Option<u32> {
        let mut place = Place {
            refusals: self,
            user,
            number: 0,
        };
        loop {
            // Created before the look, so that no change in between is missed.
            let changed = self.group(user).notified();
            match self.look(&mut place, is_held) {
                Admission::Granted(login) => return Some(login),
                Admission::Stopped => return None,
                Admission::Wait(None) => changed.await,
                Admission::Wait(Some(until)) => {
                    let _ = Box::pin(timeout_at(until, changed)).await;
                }
            }
        }
    }

    /// Admits the request at that place if it may go now.
    fn look(&self, place: &mut Place<'_>, is_held: bool) -> Admission {
        let now = Instant::now();
        let index = place.user as usize;
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let has_share = state.has_share(self.most);
        if state.stopped >= self.most {
            return Admission::Stopped;
        }
        let Some(user) = state.users.get_mut(index) else {
            return Admission::Granted(0);
        };
        if user.is_stopped {
            return Admission::Stopped;
        }
        let has_forgotten = user.forget_decided(now);
        let is_next = user
            .waiting
            .front()
            .is_none_or(|first| *first == place.number);
        let is_new = !user.is_proven && !user.is_trying && user.refusals.is_empty();
        let has_room = user.has_room(self.limit);
        if !is_next || !has_room || (is_new && !has_share) {
            if place.number == 0 {
                place.number = user.tick();
                user.waiting.push_back(place.number);
            }
            if is_next && has_room && !std::mem::replace(&mut user.is_queued, true) {
                state.queue.push_back(place.user);
            }
            // The first one lets the others look when it goes, so only it needs a timer.
            let until = user.first_decided_at().filter(|_| is_next);
            let next = self.next_in_queue(state);
            drop(guard);
            if has_forgotten && !is_next {
                // The first one may go now, and may not have looked since.
                self.group(place.user).notify_waiters();
            }
            next.inspect(|user| self.group(*user).notify_waiters());
            return Admission::Wait(until);
        }
        if place.number != 0 {
            place.number = 0;
            user.waiting.pop_front();
        }
        let admitted = user.tick();
        user.logins.reserve_exact(1);
        user.logins.push(Login {
            admitted,
            written: 0,
            since: now,
            is_held,
            is_lost: false,
        });
        if is_new {
            user.is_trying = true;
            state.trying += 1;
        }
        let others_wait = !user.waiting.is_empty();
        let next = self.next_in_queue(state);
        drop(guard);
        if others_wait {
            self.group(place.user).notify_waiters();
        }
        next.inspect(|user| self.group(*user).notify_waiters());
        Admission::Granted(admitted)
    }

    /// The request of that login is written. If it is the first one that counts as decided after a time, the request
    /// that waits first learns that time now. The end of a later login is later.
    pub(crate) fn written(&self, user: u32, login: u32) {
        let mut state = lock(&self.state);
        let Some(of_user) = state.users.get_mut(user as usize) else {
            return;
        };
        let is_known = of_user.first_decided_at().is_some();
        of_user.write(login);
        let is_news = !is_known && !of_user.waiting.is_empty();
        drop(state);
        if is_news {
            self.group(user).notify_waiters();
        }
    }

    /// What became of a login; 0 is one that was not admitted here.
    pub(crate) fn settle(&self, user: u32, login: u32, outcome: Outcome) {
        let index = user as usize;
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(of_user) = state.users.get_mut(index) else {
            return;
        };
        of_user.leave(login, outcome);
        let before = !of_user.refusals.is_empty();
        match outcome {
            Outcome::Accepted => of_user.accept(login),
            Outcome::Discovered => of_user.discover(login),
            Outcome::Refused => {
                let now = of_user.tick();
                of_user.refusals.push(now);
                if of_user.refusals.len() >= self.limit && !of_user.is_stopped {
                    of_user.is_stopped = true;
                    state.stopped += 1;
                }
            }
            Outcome::Answered | Outcome::Unsent | Outcome::Lost => {}
        }
        match (before, !of_user.refusals.is_empty()) {
            (false, true) => state.doubted += 1,
            (true, false) => state.doubted -= 1,
            _ => {}
        }
        let tries_no_more =
            of_user.is_proven || !of_user.refusals.is_empty() || !of_user.has_login_under_way();
        if tries_no_more {
            state.tried(index);
        }
        let all_stopped = state.stopped >= self.most;
        let next = self.next_in_queue(state);
        drop(guard);
        if all_stopped {
            self.wake.iter().for_each(Notify::notify_waiters);
        } else {
            self.group(user).notify_waiters();
            next.inspect(|user| self.group(*user).notify_waiters());
        }
    }

    /// A server refused a Bearer token. Whether it may be renewed once before that counts as the user's
    /// refusal: it may only have expired.
    pub(crate) fn renew(&self, user: u32, login: u32, by_options: bool) -> bool {
        let may = {
            let mut state = lock(&self.state);
            state.users.get_mut(user as usize).is_none_or(|user| {
                let may = user.renewed == 0;
                if may {
                    user.renewed = user.tick();
                    user.renewed_by_options = by_options;
                }
                may
            })
        };
        if may {
            self.settle(user, login, Outcome::Answered);
        }
        may
    }

    /// The user that may try next, if the share has room.
    fn next_in_queue(&self, state: &mut State) -> Option<u32> {
        while state.has_share(self.most) {
            let number = state.queue.pop_front()?;
            let user = &mut state.users[number as usize];
            user.is_queued = false;
            if !user.waiting.is_empty() {
                return Some(number);
            }
        }
        None
    }

    /// Whether no device of that user may try any more.
    #[must_use]
    pub fn is_stopped(&self, user: u32) -> bool {
        let state = lock(&self.state);
        let of_user = state.users.get(user as usize);
        state.stopped >= self.most || of_user.is_some_and(|user| user.is_stopped)
    }

    /// Whether so many users were refused that nobody may try any more.
    #[must_use]
    pub fn are_all_stopped(&self) -> bool {
        lock(&self.state).stopped >= self.most
    }

    /// Users that were stopped for their own refusals, by number.
    #[must_use]
    pub fn stopped(&self) -> Vec<u32> {
        let state = lock(&self.state);
        let users = (0..).zip(&state.users);
        users
            .filter(|(_, user)| user.is_stopped)
            .map(|(number, _)| number)
            .collect()
    }
}

impl User {
    /// The time in which the server decides begins.
    fn write(&mut self, login: u32) {
        let written = self.tick();
        if let Some(login) = self.logins.iter_mut().find(|one| one.admitted == login) {
            (login.written, login.since) = (written, Instant::now());
        }
    }

    /// The login is decided, or goes on to count for some time if it was lost. A server can refuse a
    /// request before all of it is written. While the user is in no doubt, a request that was written and then lost
    /// counts no longer: devices that abandon Pings, or that lose them in a recycle, come back without waiting, as
    /// phones do.
    fn leave(&mut self, login: u32, outcome: Outcome) {
        let Some(index) = self.logins.iter().position(|one| one.admitted == login) else {
            return;
        };
        let is_written = self.logins[index].written > 0;
        if outcome != Outcome::Lost || (is_written && self.is_sound()) {
            self.logins.swap_remove(index);
            return;
        }
        self.logins[index].is_lost = true;
        if self.logins[index].written == 0 {
            self.write(login);
        }
    }

    /// Whatever was refused or written before the accepted request was admitted is settled by it. A later
    /// refusal stays: a Ping that was sent with the old password may be answered after it.
    fn accept(&mut self, login: u32) {
        self.is_proven = true;
        if self.renewed < login {
            self.renewed = 0;
        }
        self.logins
            .retain(|one| one.written == 0 || one.written > login);
        if !self.is_stopped {
            self.refusals.retain(|refused| *refused > login);
        }
    }

    fn discover(&mut self, login: u32) {
        // A server that refused OPTIONS before does not answer it to anybody.
        if self.renewed_by_options && self.renewed < login {
            self.renewed = 0;
        }
    }
}

/// A request's place among those of its user that wait. Leaving it lets the next one look.
struct Place<'a> {
    refusals: &'a Refusals,
    user: u32,
    /// 0 until it waits.
    number: u32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.number == 0 {
            return;
        }
        let mut state = lock(&self.refusals.state);
        if let Some(user) = state.users.get_mut(self.user as usize) {
            user.waiting.retain(|number| *number != self.number);
        }
        let next = self.refusals.next_in_queue(&mut state);
        drop(state);
        self.refusals.group(self.user).notify_waiters();
        next.inspect(|user| self.refusals.group(*user).notify_waiters());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// One user whose first request was accepted, and a limit of three.
    async fn proven() -> Arc<Refusals> {
        let refusals = Arc::new(Refusals::new(1, 3, 1.0));
        let login = refusals.admit(0, false).await.unwrap();
        refusals.written(0, login);
        refusals.settle(0, login, Outcome::Accepted);
        refusals
    }

    async fn admitted(refusals: &Refusals, is_held: bool) -> [u32; 3] {
        let mut logins = [0; 3];
        for login in &mut logins {
            *login = refusals.admit(0, is_held).await.unwrap();
        }
        logins
    }

    /// How long a request of the user waits.
    async fn wait(refusals: &Refusals) -> Duration {
        let began = Instant::now();
        assert!(refusals.admit(0, true).await.is_some());
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_for_unwritten_ones_goes_5_s_after_they_are_written() {
        let refusals = proven().await;
        let logins = admitted(&refusals, true).await;
        let others = Arc::clone(&refusals);
        let waiting = tokio::spawn(async move { wait(&others).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        for login in logins {
            refusals.written(0, login);
        }
        let limit = Duration::from_secs(60);
        let waited = tokio::time::timeout(limit, waiting).await;
        assert_eq!(waited.expect("it is woken").unwrap(), DECIDED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_is_lost_before_it_is_written_counts_for_5_s() {
        let limit = Duration::from_secs(60);
        for (outcome, expected) in [(Outcome::Lost, DECIDED), (Outcome::Unsent, Duration::ZERO)] {
            let refusals = proven().await;
            for login in admitted(&refusals, false).await {
                refusals.settle(0, login, outcome);
            }
            let waited = tokio::time::timeout(limit, wait(&refusals)).await;
            assert_eq!(waited.expect("it is woken"), expected, "{outcome:?}");
        }
    }
}
