//! What must hold at every moment of a run, whatever the server and the network do. A simulation looks at it
//! each second. A broken invariant is a bug of easload.

mod balance;
mod book;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use balance::{Balance, Begins, Moment};
use book::{Book, Who};
use client::device::{Event, Record, Refusals};
use client::transport::PortUses;
use mock_api::control::Truth;
use mock_api::{Fault, FaultKind, StrandTrigger, Topology};
use parking_lot::Mutex;
use scenario::names::{Counter, DeviceState};
use scenario::{Plan, TargetPlan};
use sim_net::Linked;
use tokio::time::Instant;
use verdict::timeline::{Interval, LedgerCounts};

use crate::measure::MailId;

pub(super) use balance::ServerPorts;

/// Broken invariants that are told. One bug breaks many.
const TOLD: usize = 20;
/// Faults of the mix that are told with the first broken invariant: a fault strikes every 8 s on average and lasts
/// up to 20 s.
const FAULTS_TOLD: usize = 8;
/// A server that nothing disturbs reports a mail within this time and its poll interval. The longest delay that a
/// fault of a scenario adds is 8 s.
const REPORTED: Duration = Duration::from_secs(30);

/// What a run is expected to do, as far as invariants depend on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Active Requests of each Ping.
    per_ping: u64,
    /// Whether a Ping strands only when its client gives it up.
    strands_given_up: bool,
    /// The longest time until the server reports a mail to a device that holds a Ping.
    reported: Duration,
}

impl Default for Expected {
    /// Of one server without faults.
    fn default() -> Self {
        Self {
            per_ping: 2,
            strands_given_up: true,
            reported: REPORTED,
        }
    }
}

impl Expected {
    pub(super) fn of(plan: &Plan) -> Self {
        let TargetPlan::Mock(config) = &plan.target else {
            return Self::default();
        };
        let of_phases = plan.phases.iter().flat_map(|phase| &phase.faults);
        let strands_open = |fault: &Fault| {
            let trigger = fault.trigger.unwrap_or(StrandTrigger::Abandon);
            fault.fault == FaultKind::Strand
                && matches!(
                    trigger,
                    StrandTrigger::Random | StrandTrigger::StoreFailover
                )
        };
        Self {
            per_ping: match config.topology {
                Topology::Direct => 1,
                Topology::OneServer | Topology::TwoServers => 2,
            },
            strands_given_up: !config.faults.iter().chain(of_phases).any(strands_open),
            reported: REPORTED + config.poll_interval,
        }
    }
}

/// One second of a run, seen from everywhere.
pub(super) struct Second<'a> {
    /// What was recorded.
    pub(super) interval: &'a Interval,
    /// Devices in each state, as they were recorded.
    pub(super) census: [u64; DeviceState::ALL.len()],
    /// Accepted mails that are not on a device, with the device and the time at which they were accepted.
    pub(super) missing: Vec<(MailId, u32, Instant)>,
    /// The last mail that came where it was not expected, and the device.
    pub(super) astray: Option<(MailId, u32)>,
    /// What the network knows to be wrong.
    pub(super) contradictions: Vec<String>,
    /// All connections of the network.
    pub(super) connections: Vec<Linked>,
    /// What the simulated server really has.
    pub(super) truth: Option<Truth>,
}

struct Books {
    books: BTreeMap<Who, Book>,
    begun: Begins,
    /// Pings that were sent.
    pings: u64,
    /// Pings that were recorded as sent.
    recorded: u64,
    balance: Balance,
    /// Arrivals of mail that came twice or to another user, as far as they were told.
    astray: u64,
    /// The last time at which something kept Pings from their answers.
    disturbed: Instant,
    /// The last faults of the mix, each with its time since the run began.
    faults: VecDeque<(Duration, String)>,
    broken: Vec<String>,
    /// Broken ones beyond those that are told.
    more: usize,
}

/// Hears what devices and mail senders report, and passes on what devices report.
pub(super) struct Invariants {
    began: Instant,
    expected: Expected,
    books: Mutex<Books>,
    refusals: Arc<Refusals>,
    ports: ServerPorts,
    uses: Arc<PortUses>,
    inner: Arc<dyn Record>,
}

impl Invariants {
    /// For devices of those users, by number. `inner` hears the devices as it would without this.
    pub(super) fn new(
        users: &[u32],
        expected: Expected,
        refusals: Arc<Refusals>,
        ports: ServerPorts,
        uses: Arc<PortUses>,
        inner: Arc<dyn Record>,
    ) -> Self {
        let devices = (0..).zip(users).map(|(number, user)| {
            let who = Who::Device(number);
            (who, Book::new(who, *user))
        });
        let began = Instant::now();
        Self {
            began,
            expected,
            books: Mutex::new(Books {
                books: devices.collect(),
                begun: Begins::default(),
                pings: 0,
                recorded: 0,
                balance: Balance::new(expected.per_ping, expected.strands_given_up),
                astray: 0,
                disturbed: began,
                faults: VecDeque::new(),
                broken: Vec::new(),
                more: 0,
            }),
            refusals,
            ports,
            uses,
            inner,
        }
    }

    /// Remembers a fault of the mix that begins now, in words.
    pub(super) fn hear_fault(&self, fault: String) {
        let faults = &mut self.books.lock().faults;
        faults.push_back((self.began.elapsed(), fault));
        if faults.len() > FAULTS_TOLD {
            faults.pop_front();
        }
    }

    /// Looks at what concerns the whole run.
    pub(super) fn second(&self, second: Second<'_>) {
        let mut found = second.contradictions;
        found.extend(of_ledger(&second.interval.ledger, second.truth.as_ref()));
        let mut guard = self.books.lock();
        let books = &mut *guard;
        books.recorded += second.interval.count(Counter::PingsSent);
        found.extend(books.recorded_otherwise(&second.census));
        if let Some(truth) = &second.truth {
            let (connections, begun) = (&second.connections, books.begun);
            let moment = Moment::new(truth, connections, &self.ports, &self.uses, begun);
            if !moment.is_calm() {
                books.disturbed = moment.at;
            }
            let devices = &books.books;
            let open = |by| {
                let open = devices.values().map(|book| book.pings_since(by) as u64);
                open.sum()
            };
            found.extend(books.balance.compare(moment, open));
        }
        found.extend(self.astray(books, &second.interval.ledger, second.astray));
        let at = self.began.elapsed().as_secs_f64();
        for text in found {
            books.tell(format!("at {at:.3} s: {text}"));
        }
        let lost = second.truth.map_or(0, |truth| truth.mails_lost);
        self.look_for_mail(books, &second.missing, lost);
    }

    /// Arrivals of mail that came twice or to another user since the last look, with the device of the last one.
    fn astray(
        &self,
        books: &mut Books,
        ledger: &LedgerCounts,
        last: Option<(MailId, u32)>,
    ) -> Option<String> {
        let arrivals = ledger.duplicates + ledger.misplaced;
        if std::mem::replace(&mut books.astray, arrivals) >= arrivals {
            return None;
        }
        let what = format!(
            "{} arrivals of mail came twice, and {} came to a device of another user",
            ledger.duplicates, ledger.misplaced
        );
        let book = last.and_then(|(mail, device)| {
            let book = books.books.get(&Who::Device(device))?;
            Some((mail, book))
        });
        Some(match book {
            None => what,
            Some((mail, book)) => {
                let last = format!("the last is mail {} of user {}", mail.number, mail.user + 1);
                book.told(self.began, &format!("{what}; {last}"))
            }
        })
    }

    /// Every missing mail must have a reason: its user is stopped, the server lost it by a fault that says so, or it is
    /// under way. It is not under way if its device was told that there is no news, or if the device holds a Ping and
    /// nothing keeps the server from answering it.
    fn look_for_mail(&self, books: &mut Books, missing: &[(MailId, u32, Instant)], lost: u64) {
        let now = Instant::now();
        let without_reason = missing.iter().filter_map(|(mail, device, accepted)| {
            let book = books.books.get(&Who::Device(*device))?;
            if self.refusals.is_stopped(book.user) {
                return None;
            }
            let what = if book.was_told_nothing(*accepted) {
                "the server has answered a later Ping without news".to_owned()
            } else {
                let held = book.holds_since()?;
                let since = held.max(*accepted).max(books.disturbed);
                let is_overdue =
                    self.expected.strands_given_up && now > since + self.expected.reported;
                is_overdue.then(|| {
                    let for_seconds = (now - held).as_secs_f64();
                    format!("a Ping has been held for {for_seconds:.0} s")
                })?
            };
            Some((*mail, *device, *accepted, what))
        });
        let without_reason: Vec<_> = without_reason.collect();
        let mails: BTreeSet<MailId> = without_reason.iter().map(|(mail, ..)| *mail).collect();
        if mails.len() as u64 <= lost {
            return;
        }
        for (mail, device, accepted, what) in without_reason {
            let Some(book) = books.books.get_mut(&Who::Device(device)) else {
                continue;
            };
            if !std::mem::replace(&mut book.told_of_mail, true) {
                let number = mail.number;
                let at = accepted.saturating_duration_since(self.began).as_secs_f64();
                let what = format!(
                    "mail {number} of its user was accepted at {at:.3} s and is missing, and {what}"
                );
                let text = book.told(self.began, &what);
                books.tell(text);
            }
        }
    }

    /// What must hold when everything has stopped: each device is off, each Ping has ended, and `left` is empty.
    pub(super) fn at_end(&self, left: Vec<String>) {
        let mut books = self.books.lock();
        let mut found = Vec::new();
        for book in books.books.values() {
            let open = book.open_pings();
            if open > 0 {
                found.push(book.told(self.began, &format!("{open} of its Pings have no end")));
            }
            if book.state != DeviceState::Off {
                let what = format!("the run has ended, and it is in the state {:?}", book.state);
                found.push(book.told(self.began, &what));
            }
        }
        for text in found.into_iter().chain(left) {
            books.tell(text);
        }
    }

    /// What was broken, each in words.
    pub(super) fn broken(&self) -> Vec<String> {
        let books = self.books.lock();
        let mut broken = books.broken.clone();
        if books.more > 0 {
            broken.push(format!("and {} more", books.more));
        }
        broken
    }

    fn hear(&self, who: Who, event: &Event<'_>) {
        let mut guard = self.books.lock();
        let books = &mut *guard;
        if let Event::Begun { connect, .. } = event {
            books.begun.requests += 1;
            books.begun.connections += u64::from(connect.is_some());
        }
        books.pings += u64::from(matches!(event, Event::PingSent { .. }));
        let Some(book) = books.books.get_mut(&who) else {
            return;
        };
        let is_stopped = self.refusals.is_stopped(book.user);
        if let Some(what) = book.hear(event, is_stopped) {
            let text = book.told(self.began, &what);
            books.tell(text);
        }
    }
}

/// What is wrong with the counts of the mail ledger.
fn of_ledger(ledger: &LedgerCounts, truth: Option<&Truth>) -> Vec<String> {
    let mut found = Vec::new();
    if ledger.accepted + ledger.failed > ledger.meant {
        found.push(format!(
            "{} mails are accepted and {} failed, of {} meant",
            ledger.accepted, ledger.failed, ledger.meant
        ));
    }
    if let Some(truth) = truth
        && ledger.accepted > truth.mails + truth.mails_lost
    {
        found.push(format!(
            "{} mails are accepted, and the server has put {} into inboxes and lost {} by a fault",
            ledger.accepted, truth.mails, truth.mails_lost
        ));
    }
    found
}

impl Books {
    fn tell(&mut self, mut text: String) {
        if self.broken.is_empty() && !self.faults.is_empty() {
            text.push_str("\n  the last faults of the mix:");
            for (at, fault) in &self.faults {
                let _ = write!(text, "\n  {:.3} s: {fault}", at.as_secs_f64());
            }
        }
        if self.broken.len() < TOLD {
            self.broken.push(text);
        } else {
            self.more += 1;
        }
    }

    /// Where the recorder has counted otherwise.
    fn recorded_otherwise(&self, census: &[u64; DeviceState::ALL.len()]) -> Vec<String> {
        let mut found = Vec::new();
        let mut counted = [0; DeviceState::ALL.len()];
        for (who, book) in &self.books {
            if matches!(who, Who::Device(_)) {
                counted[book.state as usize] += 1;
            }
        }
        if counted != *census {
            found.push(format!(
                "devices in {:?} are {counted:?}, recorded were {census:?}",
                DeviceState::ALL
            ));
        }
        if self.pings != self.recorded {
            found.push(format!(
                "{} Pings were sent, recorded were {}",
                self.pings, self.recorded
            ));
        }
        found
    }
}

impl Record for Invariants {
    fn record(&self, device: u32, event: Event<'_>) {
        self.hear(Who::Device(device), &event);
        self.inner.record(device, event);
    }
}

/// Hears mail senders. Their requests are not part of what the run measures.
pub(super) struct OfSenders(pub(super) Arc<Invariants>);

impl OfSenders {
    /// For senders of those users, each with its number.
    pub(super) fn new(
        invariants: &Arc<Invariants>,
        senders: impl Iterator<Item = (u32, u32)>,
    ) -> Self {
        let mut books = invariants.books.lock();
        for (number, user) in senders {
            let who = Who::Sender(number);
            books.books.insert(who, Book::new(who, user));
        }
        drop(books);
        Self(Arc::clone(invariants))
    }
}

impl Record for OfSenders {
    fn record(&self, device: u32, event: Event<'_>) {
        self.0.hear(Who::Sender(device), &event);
    }
}
