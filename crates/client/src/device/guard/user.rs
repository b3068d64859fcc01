//! The logins of one user, and when each of them is decided.
//!
//! A login is *undecided* from its admission until one of these:
//! - its answer comes, or the server cannot have got any of the request,
//! - a request that was admitted after this one had been written is accepted. Servers authenticate
//!   requests in the order of their arrival, and a password that is right now was right before, unless it
//!   was changed and changed back in between,
//! - its device waits for the answer, and [`DECIDED`] has passed since it was written: the server has not refused it
//!   then. This holds for requests that the server is asked to hold, and for all requests of a user without
//!   refusals. It decides the logins before it as an accepted request does, but clears no refusals,
//! - it was lost, so were all others of the user, and [`DECIDED`] has passed since: see [`User::make_room`].

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{DECIDED, LoginKind, LoginOutcome};

/// What is known of a user's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was right the last time.
    Sound,
    /// It was neither accepted nor refused yet.
    New,
    /// It was refused since it was accepted.
    Doubted,
}

/// As what the user is counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) doubted: bool,
    pub(super) stopped: bool,
    pub(super) placed: bool,
    pub(super) trying: bool,
}

#[derive(Debug, Default)]
pub(super) struct User {
    /// Counts admissions, written requests and refusals, so that their order is known.
    clock: u32,
    /// When a token was refused that was then renewed, until a request is accepted; 0 if none.
    renewed: u32,
    renewed_by_options: bool,
    /// A request was accepted once.
    pub(super) is_proven: bool,
    pub(super) is_stopped: bool,
    /// Has a place among the users that may be refused.
    pub(super) has_place: bool,
    pub(super) counted: Counted,
    /// In which queue of users it waits.
    pub(super) queued: Option<Standing>,
    /// When a device was told to prove the user's logins, until it begins to.
    pub(super) proving: Option<Instant>,
    /// When each refusal since the last accepted request came, by the clock.
    pub(super) refusals: Vec<u32>,
    pub(super) logins: Vec<Login>,
    waiting: VecDeque<Waiter>,
}

/// An undecided login.
#[derive(Debug)]
pub(super) struct Login {
    /// By the clock; identifies it.
    admitted: u32,
    /// By the clock; 0 until it is written.
    written: u32,
    /// When it was admitted, then when it was written, then when it was lost.
    since: Instant,
    /// The server is asked to hold the request.
    is_held: bool,
    /// Its device may give it up.
    may_be_lost: bool,
    is_lost: bool,
}

/// A request that waits for its turn.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    /// By the clock.
    pub(super) number: u32,
    pub(super) wake: Arc<Notify>,
    is_held: bool,
}

impl User {
    fn tick(&mut self) -> u32 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    pub(super) fn standing(&self) -> Standing {
        match (self.refusals.is_empty(), self.is_proven) {
            (false, _) => Standing::Doubted,
            (true, true) => Standing::Sound,
            (true, false) => Standing::New,
        }
    }

    fn is_sound(&self) -> bool {
        self.standing() == Standing::Sound
    }

    /// Refusals and undecided logins.
    fn count(&self) -> usize {
        self.refusals.len() + self.logins.len()
    }

    fn has_login_under_way(&self) -> bool {
        self.logins.iter().any(|login| !login.is_lost)
    }

    /// Logins that are under way, and requests that wait.
    pub(super) fn open(&self) -> (usize, usize) {
        let logins = self.logins.iter().filter(|login| !login.is_lost);
        (logins.count(), self.waiting.len())
    }

    /// When that login counts as decided without an answer.
    fn decided_at(&self, login: &Login) -> Option<Instant> {
        let ends = login.written > 0 && !login.is_lost && (login.is_held || self.is_sound());
        ends.then(|| login.since + DECIDED)
    }

    /// Whether any login was decided.
    pub(super) fn decide_by_time(&mut self, now: Instant) -> bool {
        let decided = |login: &&Login| self.decided_at(login).is_some_and(|at| at <= now);
        let decided = self.logins.iter().filter(decided);
        // Logins that were written before that one was admitted were written before `now - DECIDED` too.
        let last = decided.map(|login| login.admitted).max();
        if let Some(last) = last {
            let decided: Vec<u32> = (self.logins.iter())
                .filter(|login| {
                    let is_before = login.written > 0 && login.written <= last;
                    is_before || self.decided_at(login).is_some_and(|at| at <= now)
                })
                .map(|login| login.admitted)
                .collect();
            self.logins
                .retain(|login| !decided.contains(&login.admitted));
        }
        last.is_some()
    }

    /// When a request that waits may find room without any event, if that time is known.
    pub(super) fn next_change(&self, limit: usize) -> Option<Instant> {
        let decided = self.logins.iter().filter_map(|one| self.decided_at(one));
        let proving = self.proving.map(|since| since + DECIDED);
        decided.chain(self.overdue_at(limit)).chain(proving).min()
    }

    /// When one more login is allowed because all of them were lost.
    fn overdue_at(&self, limit: usize) -> Option<Instant> {
        let is_stuck = self.count() >= limit && self.refusals.is_empty();
        if !is_stuck || self.has_login_under_way() {
            return None;
        }
        let lost = self.logins.iter().map(|login| login.since).max();
        lost.map(|lost| lost + DECIDED)
    }

    /// Whether the limits of this user alone let another login go.
    ///
    /// If connections failed under all logins that the limit allows, no login can show any more that the others were not
    /// refused. One more at a time is allowed then, each [`DECIDED`] after the one before, in place of the oldest.
    pub(super) fn make_room(&mut self, kind: LoginKind, limit: usize, now: Instant) -> bool {
        if self.overdue_at(limit).is_some_and(|at| at <= now) {
            let oldest = (0..self.logins.len()).min_by_key(|index| self.logins[*index].admitted);
            oldest.map(|index| self.logins.swap_remove(index));
        }
        self.proving = self.proving.filter(|since| now < *since + DECIDED);
        let is_free = self.is_proven || !self.has_login_under_way();
        let waits_for_proof = kind.is_held() && self.proving.is_some();
        self.count() < limit && is_free && !waits_for_proof
    }

    /// Whether a request to be held would take the last place, while devices give up others and a request that is
    /// answered immediately can decide these.
    pub(super) fn must_prove(&self, limit: usize) -> bool {
        let is_given_up = |login: &Login| login.is_lost || login.may_be_lost;
        self.is_sound() && self.count() + 1 == limit && self.logins.iter().any(is_given_up)
    }

    /// Whether the user must not log in any more. If it was refused, the logins that were lost count as refused too.
    pub(super) fn is_exhausted(&self, limit: usize) -> bool {
        let is_refused = !self.refusals.is_empty() && !self.has_login_under_way();
        self.refusals.len() >= limit || (is_refused && self.count() >= limit)
    }

    pub(super) fn log_in(&mut self, kind: LoginKind, now: Instant) -> u32 {
        let admitted = self.tick();
        let is_held = kind.is_held();
        if !is_held {
            self.proving = None;
        }
        self.logins.reserve_exact(1);
        self.logins.push(Login {
            admitted,
            written: 0,
            since: now,
            is_held,
            may_be_lost: false,
            is_lost: false,
        });
        admitted
    }

    /// The time in which the server decides begins.
    pub(super) fn write(&mut self, login: u32) {
        let written = self.tick();
        if let Some(login) = self.logins.iter_mut().find(|one| one.admitted == login) {
            (login.written, login.since) = (written, Instant::now());
        }
    }

    /// Whether a place stays for another login if this one is lost, and all others that may be.
    pub(super) fn may_give_up(&mut self, login: u32, limit: usize) -> bool {
        let lost = self
            .logins
            .iter()
            .filter(|one| one.is_lost || one.may_be_lost);
        let unclear = self.refusals.len() + lost.count();
        let Some(login) = self.logins.iter_mut().find(|one| one.admitted == login) else {
            // Decided already.
            return true;
        };
        login.may_be_lost |= login.is_lost || unclear + 2 <= limit;
        login.may_be_lost
    }

    /// The login is decided, or goes on to count if it was lost. A server can refuse a request before
    /// all of it is written.
    pub(super) fn leave(&mut self, login: u32, outcome: LoginOutcome, now: Instant) {
        let Some(index) = self.logins.iter().position(|one| one.admitted == login) else {
            return;
        };
        if outcome != LoginOutcome::Lost {
            self.logins.swap_remove(index);
            return;
        }
        if self.logins[index].written == 0 {
            self.write(login);
        }
        let login = &mut self.logins[index];
        (login.is_lost, login.since) = (true, now);
    }

    /// Whatever was refused or written before the accepted request was admitted is settled by it. A later
    /// refusal stays: a Ping that was sent with the old password may be answered after it.
    pub(super) fn accept(&mut self, login: u32) {
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

    pub(super) fn discover(&mut self, login: u32) {
        // A server that refused OPTIONS before does not answer it to anybody.
        if self.renewed_by_options && self.renewed < login {
            self.renewed = 0;
        }
    }

    pub(super) fn refuse(&mut self) {
        let now = self.tick();
        self.refusals.push(now);
    }

    /// Whether a token may be renewed without counting the refusal.
    pub(super) fn renew(&mut self, by_options: bool) -> bool {
        let may = self.renewed == 0;
        if may {
            self.renewed = self.tick();
            self.renewed_by_options = by_options;
        }
        may
    }

    /// Whether no request waits before that one.
    pub(super) fn is_next(&self, waiter: Option<&Waiter>, kind: LoginKind) -> bool {
        match (self.waiting.front(), waiter) {
            (None, _) => true,
            (Some(first), Some(waiter)) => first.number == waiter.number,
            (Some(first), None) => first.is_held && !kind.is_held(),
        }
    }

    /// Requests that are answered immediately go before requests to be held: they decide the logins that those wait for.
    pub(super) fn enter_queue(&mut self, kind: LoginKind) -> Waiter {
        let waiter = Waiter {
            number: self.tick(),
            wake: Arc::new(Notify::new()),
            is_held: kind.is_held(),
        };
        let first_held = self.waiting.iter().position(|one| one.is_held);
        let index = first_held.filter(|_| !kind.is_held());
        let index = index.unwrap_or(self.waiting.len());
        self.waiting.insert(index, waiter.clone());
        waiter
    }

    pub(super) fn leave_queue(&mut self, number: u32) {
        self.waiting.retain(|waiter| waiter.number != number);
    }

    /// Wakes the request that waits first; `false` if none waits.
    pub(super) fn wake_first(&self) -> bool {
        let first = self.waiting.front();
        first.inspect(|first| first.wake.notify_one()).is_some()
    }

    pub(super) fn wake_all(&self) {
        self.waiting.iter().for_each(|one| one.wake.notify_one());
    }
}
