//! The mail ledger: which mail was meant, accepted, notified and synced, device by device, so that
//! every one that is missing, late or there twice is found.
//!
//! A mail carries a marker in its subject: run, user, number among the user's mails. Memory is
//! bounded by what is under way: a mail is forgotten when each of its user's devices has it, and a
//! device remembers only how far it has got and what came out of order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;
use verdict::timeline::LedgerCounts;

use super::waiting::Waiting;

/// A mail of this run: user and number among the user's mails, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailId {
    /// Number of the user, from 0.
    pub user: u32,
    /// Number of the mail among the user's, from 1.
    pub number: u32,
}

/// What stands in the subject of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The run, so that mails of earlier runs in the same mailboxes are told apart.
    pub run: u32,
    /// The mail.
    pub id: MailId,
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "easload {:08x} {}/{}",
            self.run, self.id.user, self.id.number
        )
    }
}

impl Marker {
    /// Finds a marker in a subject; servers may put something in front (`Re:`, `[spam]`).
    #[must_use]
    pub fn find(subject: &str) -> Option<Self> {
        let (_, rest) = subject.rsplit_once("easload ")?;
        let (run, id) = rest.split_once(' ')?;
        let (user, number) = id.trim_end().split_once('/')?;
        Some(Self {
            run: u32::from_str_radix(run, 16).ok()?,
            id: MailId {
                user: user.parse().ok()?,
                number: number.parse().ok()?,
            },
        })
    }
}

/// What is known of a mail under way.
#[derive(Debug)]
struct UnderWay {
    meant: Instant,
    /// When the request that carries it was sent.
    sent: Option<Instant>,
    accepted: Option<Instant>,
    /// Devices that have it, by position among the user's devices.
    have: BTreeSet<u16>,
}

#[derive(Debug, Default)]
struct User {
    devices: Vec<u32>,
    next: u32,
    under_way: BTreeMap<u32, UnderWay>,
    /// Mails that the server refused, or whose fate is unknown: they may arrive all the same. Only
    /// the last ones are remembered.
    failed: BTreeSet<u32>,
    got: Vec<Got>,
}

/// What one device has: every number up to `all_to`, and those in `beyond`.
#[derive(Debug, Default)]
struct Got {
    all_to: u32,
    beyond: BTreeSet<u32>,
    /// After a start with key 0 the server sends everything once more: what was there then, and
    /// what has come again since.
    again: Option<(u32, Box<Got>)>,
    /// The highest number that has come.
    latest: u32,
    /// Accepted mails after that which have not come: of those before it a slow server is no reason.
    due: u32,
    /// Those that were accepted since the device was there last.
    fresh: u32,
    /// The device has a network, and is on.
    is_there: bool,
    /// When it last got a network.
    there_since: Option<Instant>,
    asked: Asked,
}

/// What one device asked the server about its Inbox, and what it was told.
#[derive(Debug, Default)]
struct Asked {
    /// Pings that are open now.
    open: u8,
    /// The server has said that the device had everything at this instant: a Sync that was sent then brought the rest
    /// of the Inbox, or a Ping ended then with its heartbeat.
    until: Option<Instant>,
    /// The latest instant at which a mail was sent that has arrived.
    newest: Option<Instant>,
    /// The value of `newest` when the server said so.
    passed: Option<Instant>,
}

impl Asked {
    fn had_all(&mut self, at: Instant) {
        self.until = self.until.max(Some(at));
        self.passed = self.newest;
    }

    /// What is known of a mail that was accepted at that instant and is not on the device. `delivers` says that the
    /// server has delivered to somebody what it accepted later.
    fn fate(&self, accepted: Instant, now: Instant, patience: Duration, delivers: bool) -> Fate {
        // A Ping that is open says nothing of a server that has stopped delivering: it may wait in a queue.
        let is_held = self.open > 0 && delivers;
        let until = if is_held { Some(now) } else { self.until };
        let is_overtaken = self.passed >= Some(accepted);
        if is_overtaken || until >= Some(accepted + patience) {
            Fate::Lost
        } else if now.saturating_duration_since(accepted) <= patience {
            Fate::UnderWay
        } else {
            Fate::NotAskedFor
        }
    }
}

/// What is known of an accepted mail that a device does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The server had the time, was asked, and did not deliver it; or it delivered a mail that was sent later.
    Lost,
    /// Mail has taken as long in this run.
    UnderWay,
    /// The device got no good answer to a Ping or Sync late enough to say anything.
    NotAskedFor,
}

/// Failed mails that are remembered per user.
const MAX_FAILED: usize = 1000;

impl Got {
    fn has(&self, number: u32) -> bool {
        number <= self.all_to || self.beyond.contains(&number)
    }

    fn add(&mut self, number: u32) {
        self.beyond.insert(number);
        while self.beyond.remove(&(self.all_to + 1)) {
            self.all_to += 1;
        }
    }
}

/// Latencies that follow from one synced item, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Arrival {
    /// Meant → synced.
    pub delivery: Option<f64>,
    /// Accepted → Ping answered.
    pub notification: Option<f64>,
}

/// The ledger of a run.
#[derive(Debug)]
pub struct Ledger {
    run: u32,
    late_after: Duration,
    users: Vec<User>,
    /// User and position among the user's devices, by device.
    places: Vec<(u32, u16)>,
    counts: LedgerCounts,
    /// The last arrival of a mail that was not expected there: mail and number of the device.
    astray: Option<(MailId, u32)>,
    waiting: Waiting,
    /// The longest time from accepted to synced so far on a device that was there meanwhile.
    slowest: Duration,
    /// The latest instant at which a mail was accepted that has arrived anywhere.
    delivered: Option<Instant>,
}

impl Ledger {
    /// A ledger for those devices: `devices[n]` is the user of device n. An accepted mail that is
    /// not on every device after `late_after` is late.
    #[must_use]
    pub fn new(run: u32, devices: &[u32], late_after: Duration) -> Self {
        let count = devices.iter().max().map_or(0, |user| *user as usize + 1);
        let mut users: Vec<User> = (0..count).map(|_| User::default()).collect();
        let mut places = Vec::with_capacity(devices.len());
        for (device, number) in devices.iter().enumerate() {
            let user = &mut users[*number as usize];
            places.push((*number, user.devices.len() as u16));
            user.devices.push(device as u32);
            user.got.push(Got::default());
        }
        Self {
            run,
            late_after,
            users,
            places,
            counts: LedgerCounts::default(),
            astray: None,
            waiting: Waiting::new(),
            slowest: Duration::ZERO,
            delivered: None,
        }
    }

    /// Enters a mail that is meant to go to a user at that instant.
    pub fn meant(&mut self, user: u32, at: Instant) -> Option<Marker> {
        let run = self.run;
        let entry = self.users.get_mut(user as usize)?;
        entry.next += 1;
        let number = entry.next;
        entry.under_way.insert(
            number,
            UnderWay {
                meant: at,
                sent: None,
                accepted: None,
                have: BTreeSet::new(),
            },
        );
        self.counts.meant += 1;
        Some(Marker {
            run,
            id: MailId { user, number },
        })
    }

    /// The request that carries the mail goes out.
    pub fn sent(&mut self, id: MailId, at: Instant) {
        if let Some(mail) = self.under_way(id) {
            mail.sent = Some(at);
        }
    }

    /// The server has accepted it.
    pub fn accepted(&mut self, id: MailId, at: Instant) {
        if let Some(mail) = self.under_way(id) {
            mail.accepted = Some(at);
            self.counts.accepted += 1;
            self.is_due(id, at);
        }
        self.settle(id);
    }

    /// A device has a network and is on, or not any more: for one that is away no mail waits.
    pub fn there(&mut self, device: u32, is_there: bool, at: Instant) {
        let Some((user, position)) = self.places.get(device as usize).copied() else {
            return;
        };
        let got = &mut self.users[user as usize].got[usize::from(position)];
        if got.is_there != is_there {
            got.is_there = is_there;
            got.there_since = is_there.then_some(at).or(got.there_since);
            let (from, to) = if is_there { (0, got.due) } else { (got.due, 0) };
            self.waiting.change(from, to, at);
            // A mail comes once, however often the device goes and comes back.
            self.waiting.comes(std::mem::take(&mut got.fresh));
        }
    }

    /// A mail is due on the devices that have neither it nor a later one.
    fn is_due(&mut self, id: MailId, at: Instant) {
        let User { got, under_way, .. } = &mut self.users[id.user as usize];
        let Some(mail) = under_way.get(&id.number) else {
            return;
        };
        for (position, got) in got.iter_mut().enumerate() {
            if id.number > got.latest && !mail.have.contains(&(position as u16)) {
                got.due += 1;
                if got.is_there {
                    self.waiting.change(got.due - 1, got.due, at);
                    self.waiting.comes(1);
                } else {
                    got.fresh += 1;
                }
            }
        }
    }

    /// A device has that mail, and it is the latest: neither it nor those before it are due any more.
    fn has_latest(&mut self, id: MailId, position: usize, at: Instant) {
        let User { got, under_way, .. } = &mut self.users[id.user as usize];
        let got = &mut got[position];
        let passed = under_way.range(got.latest + 1..=id.number);
        let was_due = |(number, mail): &(&u32, &UnderWay)| {
            let had = **number != id.number && mail.have.contains(&(position as u16));
            mail.accepted.is_some() && !had
        };
        let due = got
            .due
            .saturating_sub(passed.filter(was_due).count() as u32);
        let before = std::mem::replace(&mut got.due, due);
        got.fresh = got.fresh.min(due);
        got.latest = id.number;
        if got.is_there {
            self.waiting.change(before, due, at);
        }
    }

    /// The server has not accepted it, as far as is known. Nobody waits for it any more.
    pub fn failed(&mut self, id: MailId) {
        self.counts.failed += 1;
        let Some(user) = self.users.get_mut(id.user as usize) else {
            return;
        };
        if user.under_way.remove(&id.number).is_some() {
            user.got.iter_mut().for_each(|got| got.add(id.number));
            user.failed.insert(id.number);
            if user.failed.len() > MAX_FAILED {
                user.failed.pop_first();
            }
        }
    }

    /// A device starts its collections again with key 0 and will be sent what it has once more.
    pub fn starts_again(&mut self, device: u32) {
        if let Some((user, position)) = self.places.get(device as usize).copied() {
            let user = &mut self.users[user as usize];
            user.got[usize::from(position)].again = Some((user.next, Box::default()));
        }
    }

    fn asked(&mut self, device: u32) -> Option<&mut Asked> {
        let (user, position) = *self.places.get(device as usize)?;
        let got = &mut self.users[user as usize].got[usize::from(position)];
        Some(&mut got.asked)
    }

    /// A device sent a Ping.
    pub fn ping_sent(&mut self, device: u32) {
        if let Some(asked) = self.asked(device) {
            asked.open = asked.open.saturating_add(1);
        }
    }

    /// A Ping of a device ended. `had_all` says that the server reported no changes until then.
    pub fn ping_ended(&mut self, device: u32, had_all: bool, at: Instant) {
        if let Some(asked) = self.asked(device) {
            asked.open = asked.open.saturating_sub(1);
            if had_all {
                asked.had_all(at);
            }
        }
    }

    /// A Sync that a device sent at that instant brought the rest of its Inbox.
    pub fn had_all(&mut self, device: u32, at: Instant) {
        if let Some(asked) = self.asked(device) {
            asked.had_all(at);
        }
    }

    fn under_way(&mut self, id: MailId) -> Option<&mut UnderWay> {
        self.users
            .get_mut(id.user as usize)?
            .under_way
            .get_mut(&id.number)
    }

    /// A device found an item with that subject in a Sync answer.
    pub fn synced(
        &mut self,
        device: u32,
        subject: &str,
        ping_answered: Option<Instant>,
        at: Instant,
    ) -> Arrival {
        let mut arrival = Arrival::default();
        let Some(marker) = Marker::find(subject).filter(|marker| marker.run == self.run) else {
            return arrival;
        };
        let Some(user) = self.users.get_mut(marker.id.user as usize) else {
            return arrival;
        };
        let Some(position) = user.devices.iter().position(|other| *other == device) else {
            self.counts.misplaced += 1;
            self.astray = Some((marker.id, device));
            return arrival;
        };
        let number = marker.id.number;
        if number == 0 || number > user.next {
            return arrival;
        }
        let got = &mut user.got[position];
        if got.has(number) {
            let expected = match &mut got.again {
                Some((limit, again)) if number <= *limit && !again.has(number) => {
                    again.add(number);
                    true
                }
                _ => user.failed.contains(&number),
            };
            self.counts.duplicates += u64::from(!expected);
            if !expected {
                self.astray = Some((marker.id, device));
            }
            return arrival;
        }
        got.add(number);
        let is_latest = number > got.latest;
        self.counts.synced += 1;
        if let Some(mail) = user.under_way.get_mut(&number) {
            mail.have.insert(position as u16);
            if let Some(accepted) = mail.accepted {
                self.delivered = self.delivered.max(Some(accepted));
                if at.saturating_duration_since(accepted) > self.late_after {
                    self.counts.late_arrivals += 1;
                }
                // A device without a network does not show how fast the server is.
                let from = Some(accepted).max(got.there_since).unwrap_or(accepted);
                self.slowest = self.slowest.max(at.saturating_duration_since(from));
            }
            got.asked.newest = got.asked.newest.max(Some(mail.sent.unwrap_or(mail.meant)));
            arrival.delivery = Some((at - mail.meant).as_secs_f64());
            // A Ping that was answered before the mail was even sent reported something else. The
            // answer to the sender may overtake the notification or be overtaken by it.
            arrival.notification = match (ping_answered, mail.sent) {
                (Some(answered), Some(sent)) if answered >= sent => {
                    let accepted = mail.accepted.unwrap_or(answered);
                    Some(answered.saturating_duration_since(accepted).as_secs_f64())
                }
                _ => None,
            };
            if arrival.notification.is_some() {
                self.counts.notified += 1;
            }
        }
        if is_latest {
            self.has_latest(marker.id, position, at);
        }
        self.settle(marker.id);
        arrival
    }

    /// Forgets a mail that every device has.
    fn settle(&mut self, id: MailId) {
        let Some(user) = self.users.get_mut(id.user as usize) else {
            return;
        };
        let devices = user.devices.len();
        let settled = user
            .under_way
            .get(&id.number)
            .is_some_and(|mail| mail.have.len() == devices && mail.accepted.is_some());
        if settled {
            user.under_way.remove(&id.number);
        }
    }

    /// Counts as of now.
    #[must_use]
    pub fn counts(&self, now: Instant) -> LedgerCounts {
        let mut counts = self.counts;
        counts.due = self.waiting.due();
        counts.came_due = self.waiting.came();
        let (mails, devices) = self.waiting.until(now);
        counts.mail_ms = (mails * 1e3) as u64;
        counts.device_ms = (devices * 1e3) as u64;
        counts.patience_ms = u64::try_from(self.patience().as_millis()).unwrap_or(u64::MAX);
        let mut silent = BTreeSet::new();
        for (_, device, accepted) in self.outstanding() {
            counts.outstanding += 1;
            let fate = self.fate(device, accepted, now);
            match fate {
                Fate::Lost => {}
                Fate::UnderWay => counts.under_way += 1,
                Fate::NotAskedFor => {
                    counts.not_asked_for += 1;
                    silent.insert(device);
                }
            }
            let is_overdue = now.saturating_duration_since(accepted) > self.late_after;
            counts.late += u64::from(is_overdue && fate != Fate::NotAskedFor);
        }
        counts.silent_devices = silent.len() as u64;
        counts
    }

    /// A mail can still come this long after it was accepted: as long as one took in this run, and at least until it
    /// counts as late.
    fn patience(&self) -> Duration {
        self.slowest.max(self.late_after)
    }

    fn fate(&self, device: u32, accepted: Instant, now: Instant) -> Fate {
        let (user, position) = self.places[device as usize];
        let got = &self.users[user as usize].got[usize::from(position)];
        let delivers = self.delivered >= Some(accepted);
        got.asked.fate(accepted, now, self.patience(), delivers)
    }

    /// The last mail that came twice or to a device of another user, and the number of the device.
    #[must_use]
    pub const fn astray(&self) -> Option<(MailId, u32)> {
        self.astray
    }

    /// Accepted mails that are not on a device: mail, number of the device, and when the mail was accepted.
    pub fn outstanding(&self) -> impl Iterator<Item = (MailId, u32, Instant)> {
        self.users.iter().enumerate().flat_map(|(index, user)| {
            let accepted = user
                .under_way
                .iter()
                .filter_map(|(number, mail)| Some((*number, mail, mail.accepted?)));
            accepted.flat_map(move |(number, mail, accepted)| {
                let devices = user.devices.iter().enumerate();
                let missing =
                    devices.filter(|(position, _)| !mail.have.contains(&(*position as u16)));
                missing.map(move |(_, device)| {
                    let user = index as u32;
                    (MailId { user, number }, *device, accepted)
                })
            })
        })
    }

    /// The first `most` of those that are lost: mail and number of the device.
    #[must_use]
    pub fn missing(&self, most: usize, now: Instant) -> Vec<(MailId, u32)> {
        let lost = self.outstanding().filter_map(|(mail, device, accepted)| {
            (self.fate(device, accepted, now) == Fate::Lost).then_some((mail, device))
        });
        lost.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_secs(10);

    #[test]
    fn marker_survives_what_servers_put_around_it() {
        let marker = Marker {
            run: 0xAB,
            id: MailId {
                user: 3,
                number: 17,
            },
        };
        assert_eq!(Marker::find(&marker.to_string()), Some(marker));
        assert_eq!(Marker::find(&format!("[lab] Re: {marker} ")), Some(marker));
        assert_eq!(Marker::find("easload news"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn every_mail_is_accounted_for_on_every_device() {
        // Devices 0 and 2 belong to user 0, device 1 to user 1.
        let mut ledger = Ledger::new(7, &[0, 1, 0], LATE);
        let start = Instant::now();
        let marker = ledger.meant(0, start).unwrap();
        ledger.sent(marker.id, start);
        tokio::time::advance(Duration::from_secs(1)).await;
        ledger.accepted(marker.id, Instant::now());
        tokio::time::advance(Duration::from_secs(2)).await;
        let answered = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let subject = marker.to_string();
        let arrival = ledger.synced(0, &subject, Some(answered), Instant::now());
        assert_eq!(
            arrival,
            Arrival {
                delivery: Some(4.0),
                notification: Some(2.0)
            }
        );
        let accepted = start + Duration::from_secs(1);
        let outstanding: Vec<_> = ledger.outstanding().collect();
        assert_eq!(outstanding, [(marker.id, 2, accepted)]);
        ledger.ping_sent(2);
        tokio::time::advance(LATE).await;
        let counts = ledger.counts(Instant::now());
        assert_eq!((counts.outstanding, counts.late), (1, 1));

        ledger.synced(2, &subject, None, Instant::now());
        let counts = ledger.counts(Instant::now());
        assert_eq!(
            (counts.synced, counts.notified, counts.outstanding),
            (2, 1, 0)
        );
        assert!(
            ledger.users[0].under_way.is_empty(),
            "settled mails are forgotten"
        );

        // Negative controls: the same mail again, on a wrong device, of another run.
        ledger.synced(2, &subject, None, Instant::now());
        ledger.synced(1, &subject, None, Instant::now());
        ledger.synced(1, "easload 00000008 1/1", None, Instant::now());
        let counts = ledger.counts(Instant::now());
        assert_eq!(
            (counts.duplicates, counts.misplaced, counts.synced),
            (1, 1, 2)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_ping_is_no_notification_and_order_does_not_matter() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let old = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let markers: Vec<_> = (0..3)
            .map(|_| ledger.meant(0, Instant::now()).unwrap())
            .collect();
        for marker in &markers {
            ledger.sent(marker.id, Instant::now());
            ledger.accepted(marker.id, Instant::now());
        }
        for at in [2, 0, 1] {
            let arrival = ledger.synced(0, &markers[at].to_string(), Some(old), Instant::now());
            assert_eq!(arrival.notification, None);
        }
        assert_eq!(ledger.users[0].got[0].all_to, 3);
        assert!(ledger.users[0].got[0].beyond.is_empty());
        assert_eq!(ledger.counts(Instant::now()).duplicates, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_mail_is_not_missing() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let marker = ledger.meant(0, Instant::now()).unwrap();
        ledger.failed(marker.id);
        let counts = ledger.counts(Instant::now());
        assert_eq!((counts.failed, counts.outstanding), (1, 0));
        assert_eq!(ledger.outstanding().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_with_key_0_brings_everything_once_more_and_no_more() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let marker = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(marker.id, Instant::now());
        let subject = marker.to_string();
        ledger.synced(0, &subject, None, Instant::now());
        ledger.starts_again(0);
        ledger.synced(0, &subject, None, Instant::now());
        assert_eq!(ledger.counts(Instant::now()).duplicates, 0);
        ledger.synced(0, &subject, None, Instant::now());
        assert_eq!(
            ledger.counts(Instant::now()).duplicates,
            1,
            "twice again is once too often"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn refused_mails_leave_no_gap_and_late_ones_are_counted() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let refused = ledger.meant(0, Instant::now()).unwrap();
        ledger.failed(refused.id);
        let good = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(good.id, Instant::now());
        tokio::time::advance(LATE * 2).await;
        ledger.synced(0, &good.to_string(), None, Instant::now());
        assert_eq!(ledger.users[0].got[0].all_to, 2);
        ledger.synced(0, &refused.to_string(), None, Instant::now());
        let counts = ledger.counts(Instant::now());
        assert_eq!((counts.duplicates, counts.late_arrivals), (0, 1));
    }

    /// What was waited for, by seconds: mails and devices; and the mails that are due.
    fn waited(ledger: &Ledger) -> (f64, f64, u64) {
        let counts = ledger.counts(Instant::now());
        let seconds = |ms: u64| ms as f64 / 1e3;
        (
            seconds(counts.mail_ms),
            seconds(counts.device_ms),
            counts.due,
        )
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn devices_that_are_there_wait_for_mail() {
        let mut ledger = Ledger::new(7, &[0, 0], LATE);
        let mail = ledger.meant(0, Instant::now()).unwrap();
        ledger.there(0, true, Instant::now());
        tokio::time::advance(SECOND).await;
        assert_eq!(waited(&ledger), (0.0, 0.0, 0), "it is not accepted");
        ledger.accepted(mail.id, Instant::now());
        assert_eq!(waited(&ledger), (0.0, 0.0, 1), "one device is off");
        tokio::time::advance(2 * SECOND).await;
        ledger.there(1, true, Instant::now());
        assert_eq!(waited(&ledger), (2.0, 2.0, 2));
        tokio::time::advance(SECOND).await;
        ledger.there(0, false, Instant::now());
        ledger.there(0, false, Instant::now());
        assert_eq!(waited(&ledger), (4.0, 4.0, 1));
        tokio::time::advance(10 * SECOND).await;
        ledger.there(0, true, Instant::now());
        assert_eq!(waited(&ledger), (14.0, 14.0, 2));
        // A second mail makes no other device wait.
        let second = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(second.id, Instant::now());
        tokio::time::advance(SECOND).await;
        assert_eq!(waited(&ledger), (18.0, 16.0, 4));
        for device in 0..2 {
            for mail in [mail, second] {
                ledger.synced(device, &mail.to_string(), None, Instant::now());
            }
        }
        tokio::time::advance(SECOND).await;
        assert_eq!(waited(&ledger), (18.0, 16.0, 0));
        // Each mail once for each device, though one of them went and came back.
        assert_eq!(ledger.counts(Instant::now()).came_due, 4);
        ledger.there(9, true, Instant::now());
    }

    /// A lost mail would be waited for for ever, and it is not slowness that it tells of.
    #[tokio::test(start_paused = true)]
    async fn a_mail_that_a_later_one_has_overtaken_is_not_waited_for() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        ledger.there(0, true, Instant::now());
        let mails: Vec<_> = (0..5)
            .map(|_| ledger.meant(0, Instant::now()).unwrap())
            .collect();
        for mail in &mails[..4] {
            ledger.accepted(mail.id, Instant::now());
        }
        ledger.failed(mails[4].id);
        assert_eq!(waited(&ledger).2, 4, "a failed one is nobody's");
        let mut comes = |number: usize| {
            ledger.synced(0, &mails[number].to_string(), None, Instant::now());
            (waited(&ledger).2, ledger.counts(Instant::now()).outstanding)
        };
        assert_eq!(comes(1), (2, 3), "the first is missing, and not due");
        assert_eq!(comes(0), (2, 2));
        assert_eq!(comes(4), (2, 2), "a failed one that came all the same");
        assert_eq!(comes(3), (0, 1));
        assert_eq!(comes(2), (0, 0));
        // After a start with key 0 all comes again, and nothing is due for that.
        ledger.starts_again(0);
        ledger.synced(0, &mails[0].to_string(), None, Instant::now());
        assert_eq!(waited(&ledger), (0.0, 0.0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_late_is_counted_from_when_it_was() {
        let mut ledger = Ledger::new(7, &[0, 1], LATE);
        let start = Instant::now();
        let at = |seconds: u32| start + seconds * SECOND;
        ledger.there(0, true, start);
        ledger.there(1, true, start);
        let (first, second) = (ledger.meant(0, start), ledger.meant(1, start));
        let (first, second) = (first.unwrap(), second.unwrap());
        tokio::time::advance(20 * SECOND).await;
        ledger.accepted(first.id, at(2));
        ledger.accepted(second.id, at(10));
        // Device 0 had its mail at 5 s, and tells of it now.
        ledger.synced(0, &first.to_string(), None, at(5));
        assert_eq!(waited(&ledger), (3.0 + 10.0, 3.0 + 10.0, 1));
        // A mail that comes before its sender hears that it was accepted was not waited for.
        ledger.synced(1, &second.to_string(), None, at(20));
        let early = ledger.meant(0, at(20)).unwrap();
        ledger.synced(0, &early.to_string(), None, at(20));
        tokio::time::advance(SECOND).await;
        ledger.accepted(early.id, Instant::now());
        tokio::time::advance(SECOND).await;
        assert_eq!(waited(&ledger), (13.0, 13.0, 0));
    }

    /// Arrivals that are lost, under way, and not asked for.
    fn fates(ledger: &Ledger) -> (u64, u64, u64) {
        let counts = ledger.counts(Instant::now());
        (counts.lost(), counts.under_way, counts.not_asked_for)
    }

    #[tokio::test(start_paused = true)]
    async fn mail_is_under_way_until_it_is_late_and_lost_afterwards() {
        let mut ledger = Ledger::new(7, &[0, 1], LATE);
        ledger.ping_sent(0);
        let mail = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(mail.id, Instant::now());
        tokio::time::advance(LATE - SECOND).await;
        assert_eq!(fates(&ledger), (0, 1, 0));
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(fates(&ledger), (0, 0, 1), "the server may have stopped");
        let later = ledger.meant(1, Instant::now()).unwrap();
        ledger.accepted(later.id, Instant::now());
        ledger.synced(1, &later.to_string(), None, Instant::now());
        assert_eq!(fates(&ledger), (1, 0, 0), "the Ping is open all the time");
        // An open Ping at the end of the run says the same after the device has gone.
        ledger.ping_ended(0, true, Instant::now());
        tokio::time::advance(SECOND).await;
        assert_eq!(fates(&ledger), (1, 0, 0));
        assert_eq!(ledger.missing(9, Instant::now()), [(mail.id, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn mail_is_under_way_for_as_long_as_another_one_took() {
        let mut ledger = Ledger::new(7, &[0, 1], LATE);
        let slow = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(slow.id, Instant::now());
        ledger.there(0, true, Instant::now());
        tokio::time::advance(3 * LATE).await;
        ledger.synced(0, &slow.to_string(), None, Instant::now());
        ledger.ping_sent(1);
        let mail = ledger.meant(1, Instant::now()).unwrap();
        ledger.accepted(mail.id, Instant::now());
        tokio::time::advance(3 * LATE - SECOND).await;
        assert_eq!(fates(&ledger), (0, 1, 0));
        tokio::time::advance(SECOND).await;
        let later = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(later.id, Instant::now());
        ledger.synced(0, &later.to_string(), None, Instant::now());
        assert_eq!(fates(&ledger), (1, 0, 0));
    }

    /// A device without a network does not make the server slow.
    #[tokio::test(start_paused = true)]
    async fn time_without_a_network_is_no_delivery_time() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let mail = ledger.meant(0, Instant::now()).unwrap();
        ledger.accepted(mail.id, Instant::now());
        tokio::time::advance(20 * LATE).await;
        ledger.there(0, true, Instant::now());
        tokio::time::advance(SECOND).await;
        ledger.synced(0, &mail.to_string(), None, Instant::now());
        assert_eq!(ledger.patience(), LATE);
    }

    #[tokio::test(start_paused = true)]
    async fn mail_is_lost_when_the_device_has_all_of_its_inbox_with_a_later_mail() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let first = ledger.meant(0, Instant::now()).unwrap();
        ledger.sent(first.id, Instant::now());
        ledger.accepted(first.id, Instant::now());
        tokio::time::advance(SECOND).await;
        let second = ledger.meant(0, Instant::now()).unwrap();
        ledger.sent(second.id, Instant::now());
        ledger.accepted(second.id, Instant::now());
        ledger.synced(0, &second.to_string(), None, Instant::now());
        assert_eq!(fates(&ledger), (0, 1, 0), "the Inbox may have more");
        ledger.had_all(0, Instant::now());
        assert_eq!(fates(&ledger), (1, 0, 0));
    }

    /// Two senders at the same time have no order.
    #[tokio::test(start_paused = true)]
    async fn mail_that_was_sent_before_another_was_accepted_does_not_overtake_it() {
        let mut ledger = Ledger::new(7, &[0], LATE);
        let marks = [(); 2].map(|()| ledger.meant(0, Instant::now()).unwrap());
        for mark in marks {
            ledger.sent(mark.id, Instant::now());
        }
        tokio::time::advance(SECOND).await;
        for mark in marks {
            ledger.accepted(mark.id, Instant::now());
        }
        ledger.synced(0, &marks[1].to_string(), None, Instant::now());
        ledger.had_all(0, Instant::now());
        assert_eq!(fates(&ledger), (0, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_without_the_mail_says_that_it_is_lost_when_it_had_the_time() {
        for (after, lost) in [(LATE - SECOND, 0), (LATE, 1)] {
            let mut ledger = Ledger::new(7, &[0], LATE);
            let mail = ledger.meant(0, Instant::now()).unwrap();
            ledger.accepted(mail.id, Instant::now());
            tokio::time::advance(after).await;
            let sent = Instant::now();
            // What counts is when the Sync was sent, not when a slow server answered it.
            tokio::time::advance(3 * LATE).await;
            ledger.had_all(0, sent);
            assert_eq!(fates(&ledger), (lost, 0, 1 - lost));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn mail_of_a_device_whose_pings_are_refused_is_not_asked_for() {
        let mut ledger = Ledger::new(7, &[0, 0], LATE);
        ledger.there(0, true, Instant::now());
        for _ in 0..4 {
            let mail = ledger.meant(0, Instant::now()).unwrap();
            ledger.accepted(mail.id, Instant::now());
            ledger.ping_sent(0);
            ledger.ping_ended(0, false, Instant::now());
            tokio::time::advance(LATE).await;
        }
        tokio::time::advance(SECOND).await;
        let counts = ledger.counts(Instant::now());
        assert_eq!(
            (counts.lost(), counts.under_way, counts.not_asked_for),
            (0, 0, 8)
        );
        assert_eq!((counts.silent_devices, counts.late), (2, 0));
        // Device 0 is told that there is nothing: its mail is lost, and that of device 1 is not asked for.
        ledger.ping_sent(0);
        ledger.ping_ended(0, true, Instant::now());
        assert_eq!(fates(&ledger), (4, 0, 4));
    }

    /// Devices that hold a Ping all the time, on a server that delivers every mail within some seconds. One mail is lost
    /// or none. The run ends at any instant.
    #[tokio::test(start_paused = true)]
    async fn exactly_the_lost_mail_is_lost_however_slow_the_server_is() {
        use rand::{Rng as _, SeedableRng as _};
        const DEVICES: u32 = 5;
        for seed in 0..200 {
            let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
            let users: Vec<u32> = (0..DEVICES).collect();
            let mut ledger = Ledger::new(7, &users, LATE);
            let start = Instant::now();
            users.iter().for_each(|device| ledger.ping_sent(*device));
            let slow = random.random_range(0.1..40.0);
            let lost = random.random_bool(0.5).then_some(5);
            let mut coming: Vec<(u64, Marker)> = Vec::new();
            let end = random.random_range(60..300);
            for second in 0..end {
                let user = random.random_range(0..DEVICES);
                let mail = ledger.meant(user, Instant::now()).unwrap();
                ledger.sent(mail.id, Instant::now());
                ledger.accepted(mail.id, Instant::now());
                if lost != Some(second) {
                    let after = random.random_range(0.0..slow);
                    coming.push((second + after as u64, mail));
                }
                tokio::time::advance(SECOND).await;
                let (arrived, still): (Vec<_>, Vec<_>) =
                    coming.into_iter().partition(|(at, _)| *at <= second);
                coming = still;
                for (_, mail) in arrived {
                    ledger.synced(mail.id.user, &mail.to_string(), None, Instant::now());
                }
                // The first mails show how slow the server is.
                if second == 0 {
                    ledger.slowest = Duration::from_secs_f64(slow + 1.0);
                }
            }
            let (is_lost, _, not_asked_for) = fates(&ledger);
            assert_eq!(
                (is_lost, not_asked_for),
                (u64::from(lost.is_some()), 0),
                "seed {seed}, {slow:.1} s, {} s",
                start.elapsed().as_secs()
            );
        }
    }
}
