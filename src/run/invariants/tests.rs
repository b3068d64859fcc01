//! Each invariant speaks when it is broken, and only then.

use client::device::{Admitted, FailureClass, LoginKind, LoginOutcome, PingEnd};
use scenario::names::Use;
use sim_net::Row;
use tcp_table::State as TcpState;
use tokio::time::{advance, sleep};

use super::balance::{ARRIVED, Begins, LEFT, Moment};
use super::*;

struct Nobody;

impl Record for Nobody {
    fn record(&self, _: u32, _: Event<'_>) {}
}

const EXPECTED: Expected = Expected {
    per_ping: 2,
    strands_given_up: true,
    reported: Duration::from_secs(30),
};

/// Refused logins that stop a user.
const LIMIT: u32 = 3;

/// Of two devices of two users.
fn invariants() -> Invariants {
    let refusals = Arc::new(Refusals::new(2, LIMIT, 1.0));
    let ports = ServerPorts::default();
    let uses = Arc::default();
    Invariants::new(&[0, 1], EXPECTED, refusals, ports, uses, Arc::new(Nobody))
}

/// A second in which nothing happened, with two devices that are off.
fn second(interval: &Interval) -> Second<'_> {
    Second {
        interval,
        census: [2, 0, 0, 0, 0, 0],
        missing: Vec::new(),
        astray: None,
        contradictions: Vec::new(),
        connections: Vec::new(),
        truth: Some(Truth::default()),
    }
}

/// What is broken after that.
fn broken(act: impl FnOnce(&Invariants)) -> String {
    let invariants = invariants();
    act(&invariants);
    invariants.broken().join("\n")
}

fn ended(end: PingEnd, age: Duration) -> Event<'static> {
    Event::PingEnded { end, age }
}

fn state(from: DeviceState, to: DeviceState) -> Event<'static> {
    Event::State { from, to }
}

fn ping_sent() -> Event<'static> {
    Event::PingSent {
        sent: Instant::now(),
        hangs: false,
        gap: None,
    }
}

const EXPIRED: PingEnd = PingEnd::Expired { overshoot: 0.0 };

fn begun() -> Event<'static> {
    Event::Begun {
        connect: None,
        tls: None,
    }
}

fn failed(age: Option<Duration>) -> Event<'static> {
    Event::Failed {
        command: None,
        class: FailureClass::Reset,
        text: "",
        age,
    }
}

#[tokio::test(start_paused = true)]
async fn sound_run_breaks_nothing() {
    let found = broken(|invariants| {
        invariants.record(1, state(DeviceState::Off, DeviceState::Starting));
        invariants.record(1, begun());
        invariants.record(1, state(DeviceState::Starting, DeviceState::Holding));
        invariants.record(1, ping_sent());
        let mut interval = Interval::default();
        interval.counts.insert("pings_sent".to_owned(), 1);
        invariants.second(Second {
            census: [1, 0, 0, 1, 0, 0],
            ..second(&interval)
        });
        invariants.record(1, ended(EXPIRED, Duration::ZERO));
        invariants.record(1, state(DeviceState::Holding, DeviceState::Off));
        invariants.second(second(&Interval::default()));
        invariants.at_end(Vec::new());
    });
    assert_eq!(found, "");
}

#[tokio::test(start_paused = true)]
async fn state_that_a_device_is_not_in_cannot_be_left() {
    let found = broken(|invariants| {
        invariants.record(0, state(DeviceState::Syncing, DeviceState::Holding));
    });
    assert!(
        found.contains("device 0 of user 1: it leaves the state Syncing, and was in Off"),
        "{found}"
    );
    assert!(
        found.contains("0.000 s State { from: Syncing, to: Holding }"),
        "{found}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_ping_has_exactly_one_end() {
    let twice = broken(|invariants| {
        invariants.record(0, ping_sent());
        invariants.record(0, ended(PingEnd::Changes, Duration::ZERO));
        invariants.record(0, ended(PingEnd::Changes, Duration::ZERO));
    });
    assert!(twice.contains("a Ping ends that was not sent"), "{twice}");
    let never = broken(|invariants| {
        invariants.record(1, ping_sent());
        invariants.at_end(Vec::new());
    });
    assert!(never.contains("1 of its Pings have no end"), "{never}");
}

#[tokio::test(start_paused = true)]
async fn recorder_and_invariants_must_count_the_same() {
    let states = broken(|invariants| {
        invariants.record(0, state(DeviceState::Off, DeviceState::Starting));
        invariants.second(second(&Interval::default()));
    });
    assert!(
        states.contains("are [1, 1, 0, 0, 0, 0], recorded were [2, 0, 0, 0, 0, 0]"),
        "{states}"
    );
    let pings = broken(|invariants| {
        invariants.record(0, ping_sent());
        invariants.second(second(&Interval::default()));
    });
    assert!(
        pings.contains("1 Pings were sent, recorded were 0"),
        "{pings}"
    );
}

#[tokio::test(start_paused = true)]
async fn counts_of_mail_must_be_possible() {
    let ledger = |change: fn(&mut LedgerCounts)| {
        broken(|invariants| {
            let mut interval = Interval::default();
            change(&mut interval.ledger);
            let truth = Truth {
                mails: 3,
                mails_lost: 1,
                ..Truth::default()
            };
            invariants.second(Second {
                truth: Some(truth),
                ..second(&interval)
            });
        })
    };
    let accepted = |ledger: &mut LedgerCounts| (ledger.meant, ledger.accepted) = (4, 4);
    assert_eq!(ledger(accepted), "");
    type Change = fn(&mut LedgerCounts);
    let wrong: [(Change, &str); 4] = [
        (
            |ledger| ledger.duplicates = 1,
            "1 arrivals of mail came twice, and 0 came to a device of another user",
        ),
        (
            |ledger| ledger.misplaced = 2,
            "0 arrivals of mail came twice, and 2 came to a device of another user",
        ),
        (
            |ledger| (ledger.meant, ledger.accepted, ledger.failed) = (1, 1, 1),
            "1 mails are accepted and 1 failed, of 1 meant",
        ),
        (
            |ledger| (ledger.meant, ledger.accepted) = (5, 5),
            "5 mails are accepted, and the server has put 3 into inboxes and lost 1 by a fault",
        ),
    ];
    for (change, text) in wrong {
        let found = ledger(change);
        assert!(found.contains(text), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn mail_that_came_twice_is_told_once_with_its_device() {
    let found = broken(|invariants| {
        invariants.record(1, begun());
        let mut interval = Interval::default();
        interval.ledger.duplicates = 1;
        for _ in 0..2 {
            invariants.second(Second {
                astray: Some((MailId { user: 1, number: 3 }, 1)),
                ..second(&interval)
            });
        }
    });
    assert_eq!(
        found,
        "at 0.000 s: device 1 of user 2: 1 arrivals of mail came twice, and 0 came to a device of another user; the \
         last is mail 3 of user 2; its last events:\n        0.000 s Begun { connect: None, tls: None }"
    );
}

#[tokio::test(start_paused = true)]
async fn contradictions_of_the_network_are_told() {
    let found = broken(|invariants| {
        invariants.second(Second {
            contradictions: vec!["a socket leaked".to_owned()],
            ..second(&Interval::default())
        });
    });
    assert_eq!(found, "at 0.000 s: a socket leaked");
}

/// Stops user 0.
async fn stop(refusals: &Refusals) {
    for _ in 0..LIMIT {
        let Admitted::Login(login) = refusals.admit(0, LoginKind::Answered).await else {
            panic!("it may still log in");
        };
        refusals.settle(0, login, LoginOutcome::Refused);
    }
    assert!(refusals.is_stopped(0));
}

#[tokio::test(start_paused = true)]
async fn stopped_user_sends_nothing() {
    let invariants = Arc::new(invariants());
    let senders = OfSenders::new(&invariants, [(0, 0), (1, 1)].into_iter());
    let ask_all = || {
        for number in [0, 1] {
            invariants.record(number, begun());
            senders.record(number, begun());
            senders.record(number, failed(Some(Duration::ZERO)));
        }
    };
    ask_all();
    assert_eq!(invariants.broken(), [""; 0]);
    stop(&invariants.refusals).await;
    ask_all();
    let found = invariants.broken();
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, who) in found.iter().zip(["device 0", "mail sender 0"]) {
        let expected = format!("{who} of user 1: it sends a request, and its user is stopped");
        assert!(found.starts_with(&expected), "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_of_a_mail_sender_begins_and_ends_once() {
    let of = |events: Vec<Event<'static>>| {
        let invariants = Arc::new(invariants());
        let senders = OfSenders::new(&invariants, [(0, 0)].into_iter());
        for event in events {
            senders.record(0, event);
        }
        invariants.broken().join("\n")
    };
    let sent = Some(Duration::ZERO);
    assert_eq!(of(vec![begun(), failed(sent), begun(), failed(sent)]), "");
    assert_eq!(of(vec![failed(None)]), "", "it could not connect");
    let found = of(vec![begun(), begun()]);
    assert!(
        found.contains("mail sender 0 of user 1: it begins a request while one is open"),
        "{found}"
    );
    let found = of(vec![begun(), failed(sent), failed(sent)]);
    assert!(
        found.contains("a request ends that was not sent"),
        "{found}"
    );
}

/// A mail for device 0 that was accepted when the run began.
fn missing() -> Vec<(MailId, u32, Instant)> {
    let mail = MailId { user: 0, number: 7 };
    vec![(mail, 0, Instant::now())]
}

/// Looks while mail is missing, the server has lost some, and device 0 is in a state.
fn look(
    invariants: &Invariants,
    missing: &[(MailId, u32, Instant)],
    lost: u64,
    state: DeviceState,
) -> String {
    let mut census = [1, 0, 0, 0, 0, 0];
    census[state as usize] += 1;
    let mut interval = Interval::default();
    let sent = {
        let books = invariants.books.lock();
        books.pings - books.recorded
    };
    interval.counts.insert("pings_sent".to_owned(), sent);
    invariants.second(Second {
        census,
        missing: missing.to_vec(),
        truth: Some(Truth {
            mails_lost: lost,
            ..Truth::default()
        }),
        ..second(&interval)
    });
    invariants.broken().join("\n")
}

#[tokio::test(start_paused = true)]
async fn mail_is_lost_if_a_later_ping_ended_without_news() {
    let invariants = invariants();
    let missing = missing();
    advance(Duration::from_secs(1)).await;
    invariants.record(0, ping_sent());
    let age = Duration::from_secs(5);
    advance(age).await;
    assert_eq!(look(&invariants, &missing, 0, DeviceState::Off), "");
    invariants.record(0, ended(EXPIRED, age));
    assert_eq!(
        look(&invariants, &missing, 1, DeviceState::Off),
        "",
        "a fault lost it"
    );
    let found = look(&invariants, &missing, 0, DeviceState::Off);
    assert!(
        found.starts_with(
            "device 0 of user 1: mail 7 of its user was accepted at 0.000 s and is missing, and the server has \
             answered a later Ping without news"
        ),
        "{found}"
    );
    assert_eq!(
        look(&invariants, &missing, 0, DeviceState::Off),
        found,
        "once"
    );
}

#[tokio::test(start_paused = true)]
async fn mail_is_under_way_if_the_last_ping_without_news_was_sent_before_it() {
    let invariants = invariants();
    invariants.record(0, ping_sent());
    let missing = missing();
    let age = Duration::from_secs(5);
    advance(age).await;
    invariants.record(0, ended(EXPIRED, age));
    assert_eq!(look(&invariants, &missing, 0, DeviceState::Off), "");
    // A Ping that was sent later reports the mail.
    invariants.record(0, ping_sent());
    invariants.record(0, ended(PingEnd::Changes, Duration::ZERO));
    assert_eq!(look(&invariants, &missing, 0, DeviceState::Off), "");
}

#[tokio::test(start_paused = true)]
async fn mail_is_lost_if_a_held_ping_does_not_report_it() {
    let invariants = invariants();
    invariants.record(0, state(DeviceState::Off, DeviceState::Holding));
    invariants.record(0, ping_sent());
    let missing = missing();
    // The server answers slowly until then.
    for _ in 0..5 {
        advance(Duration::from_secs(1)).await;
        invariants.books.lock().disturbed = Instant::now();
    }
    // The server has the Ping.
    let holding = |invariants: &Invariants| look(invariants, &missing, 0, DeviceState::Holding);
    invariants.books.lock().balance = Balance::new(0, false);
    advance(EXPECTED.reported).await;
    assert_eq!(holding(&invariants), "");
    advance(Duration::from_secs(1)).await;
    let found = holding(&invariants);
    assert!(
        found.contains("and a Ping has been held for 36 s"),
        "{found}"
    );
}

#[tokio::test(start_paused = true)]
async fn mail_of_a_stopped_user_is_not_missed() {
    let invariants = invariants();
    let missing = missing();
    advance(Duration::from_secs(1)).await;
    invariants.record(0, ping_sent());
    invariants.record(0, ended(EXPIRED, Duration::ZERO));
    stop(&invariants.refusals).await;
    assert_eq!(look(&invariants, &missing, 0, DeviceState::Off), "");
}

#[tokio::test(start_paused = true)]
async fn device_is_off_when_the_run_has_ended() {
    let found = broken(|invariants| {
        invariants.record(0, state(DeviceState::Off, DeviceState::Away));
        invariants.at_end(vec!["a socket is left".to_owned()]);
    });
    assert!(
        found.starts_with("device 0 of user 1: the run has ended, and it is in the state Away"),
        "{found}"
    );
    assert!(found.ends_with("\na socket is left"), "{found}");
}

/// A server with that many requests of devices, all sound.
fn moment(requests: u64) -> Moment {
    Moment {
        at: Instant::now(),
        workers: 1,
        active: 2 * requests,
        proxied: requests,
        stranded: 0,
        queued: 0,
        answering: 0,
        connections: requests,
        may_carry: requests,
        cut_off: 0,
        orphans: 0,
        begun: Begins::default(),
    }
}

/// What is found in a steady run with 10 open Pings, from the second on in which the moment changes.
async fn found(change: impl Fn(&mut Moment)) -> String {
    let mut balance = Balance::new(2, true);
    for second in 0..10 {
        let mut now = moment(10);
        (now.begun.requests, now.begun.connections) = (10, 10);
        if second > 3 {
            change(&mut now);
        }
        let found = balance.compare(now, |_| 10);
        if !found.is_empty() {
            return found.join("\n");
        }
        sleep(Duration::from_secs(1)).await;
    }
    String::new()
}

#[tokio::test(start_paused = true)]
async fn server_has_no_request_that_nobody_sent() {
    let more = |now: &mut Moment| (now.active, now.proxied) = (22, 11);
    assert_eq!(found(|_| {}).await, "");
    let expected = "the server has 22 active requests, 11 of them forwarded and 0 stranded; clients have sent no more \
                    than 10 that the front end can still have, and with the back end no more than 20";
    assert_eq!(found(more).await, expected);
    let only_back_end = found(|now| now.active = 21).await;
    assert!(
        only_back_end.starts_with("the server has 21 active"),
        "{only_back_end}"
    );
    let orphan = found(|now| (now.active, now.orphans) = (21, 1)).await;
    assert_eq!(orphan, "");
    // It is stranded, or its client has gone without a word, or it was sent a moment ago.
    assert_eq!(
        found(|now| {
            more(now);
            now.stranded = 1;
        })
        .await,
        ""
    );
    let gone = found(|now| {
        more(now);
        (now.connections, now.may_carry) = (11, 11);
        (now.begun.requests, now.begun.connections) = (11, 11);
    });
    assert_eq!(gone.await, "");
    let long_ago = found(|now| {
        more(now);
        (now.begun.requests, now.begun.connections) = (11, 11);
    });
    let long_ago = long_ago.await;
    assert!(
        long_ago.contains("no more than 10 that the front end can still have"),
        "{long_ago}"
    );
    // The back end ends it later than the front end, and in time.
    let left = |seconds: u32| {
        let still = std::cell::Cell::new(seconds);
        found(move |now| {
            (now.begun.requests, now.begun.connections) = (11, 11);
            let remaining = still.get();
            now.active += u64::from(remaining > 0);
            still.set(remaining.saturating_sub(1));
        })
    };
    let limit = LEFT.as_secs() as u32;
    assert_eq!(left(limit).await, "");
    assert_eq!(left(limit + 1).await, only_back_end);
    // All connections have one already.
    let kept = found(|now| {
        more(now);
        now.begun.requests = 1000;
        now.may_carry = 11;
    });
    assert_eq!(kept.await, expected);
    // A client that leaves one worker for another is in the counts of both for a moment.
    let moved = |workers: usize| {
        let begun = std::cell::Cell::new(10);
        found(move |now| {
            more(now);
            begun.set(begun.get() + 1);
            (now.workers, now.begun.requests) = (workers, begun.get());
        })
    };
    assert_eq!(moved(2).await, "");
    assert_eq!(moved(1).await, expected);
}

#[tokio::test(start_paused = true)]
async fn server_has_all_pings_that_are_held() {
    let less = |now: &mut Moment| now.active = 18;
    let expected = "10 Pings are held and 0 requests are stranded, and the server has only 18 active requests, 0 in \
                    its queue, 0 answers on their way and 0 connections cut off";
    assert_eq!(found(less).await, expected);
    let stranded = found(|now| now.stranded = 1).await;
    assert!(
        stranded.contains("and 1 requests are stranded"),
        "{stranded}"
    );
    type Change = fn(&mut Moment);
    let reasons: [Change; 3] = [
        |now| now.queued = 1,
        |now| now.answering = 1,
        |now| now.cut_off = 1,
    ];
    for reason in reasons {
        let found = found(|now| {
            less(now);
            reason(now);
        });
        assert_eq!(found.await, "");
    }
    // It was cut off for a second, and the server counts it a moment later.
    let counted_after = |seconds: u32| {
        let second = std::cell::Cell::new(0);
        found(move |now| {
            now.cut_off = u64::from(second.get() == 0);
            if second.get() <= seconds {
                less(now);
            }
            second.set(second.get() + 1);
        })
    };
    let limit = ARRIVED.as_secs() as u32;
    assert_eq!(counted_after(limit).await, "");
    assert_eq!(counted_after(limit + 1).await, expected);
}

#[tokio::test(start_paused = true)]
async fn connections_show_what_the_server_may_have() {
    let port = 443;
    let ports = ServerPorts {
        clients: vec![port],
        back_ends: vec![444],
    };
    let uses = PortUses::default();
    let of = |used: Use, client: TcpState, server: TcpState, is_cut: bool, port: u16| {
        let [local, remote] = [5000, port].map(|port| ([127, 0, 0, 1], port).into());
        if let Some(end) = uses.end(local) {
            uses.set(end, used);
        }
        let row = |state, local, remote| Row {
            state,
            local,
            remote,
            owned: state == TcpState::Established,
        };
        let linked = Linked {
            client: row(client, local, remote),
            server: row(server, remote, local),
            is_cut,
        };
        let begun = Begins::default();
        let moment = Moment::new(&Truth::default(), &[linked], &ports, &uses, begun);
        assert_eq!(
            moment.connections > 0,
            server != TcpState::Closed && port == 443,
            "{moment:?}"
        );
        (moment.may_carry, moment.cut_off, moment.orphans)
    };
    const OPEN: TcpState = TcpState::Established;
    const GONE: TcpState = TcpState::Closed;
    for (used, client, server, is_cut, at, expected) in [
        (Use::Held, OPEN, OPEN, false, port, (1, 0, 0)),
        (Use::Asking, OPEN, OPEN, false, port, (1, 0, 0)),
        (Use::Silenced, OPEN, OPEN, false, port, (1, 0, 0)),
        (Use::Idle, OPEN, OPEN, false, port, (0, 0, 0)),
        // The server does not know that the client has gone.
        (Use::Closed, GONE, OPEN, false, port, (1, 0, 0)),
        (Use::Idle, GONE, OPEN, true, port, (1, 0, 0)),
        (
            Use::Closed,
            TcpState::FinWait2,
            TcpState::CloseWait,
            false,
            port,
            (1, 0, 0),
        ),
        // The device does not know that the server has gone.
        (Use::Held, OPEN, GONE, false, port, (0, 1, 0)),
        (Use::Held, OPEN, OPEN, true, port, (1, 1, 0)),
        (Use::Idle, OPEN, GONE, true, port, (0, 0, 0)),
        // Of the back end.
        (Use::Connecting, OPEN, OPEN, false, 444, (0, 0, 0)),
        (Use::Connecting, OPEN, OPEN, true, 444, (0, 1, 1)),
        (Use::Connecting, GONE, OPEN, false, 444, (0, 0, 1)),
        (Use::Connecting, OPEN, GONE, false, 444, (0, 0, 0)),
        // Of something else.
        (Use::Held, OPEN, GONE, true, 80, (0, 0, 0)),
    ] {
        assert_eq!(
            of(used, client, server, is_cut, at),
            expected,
            "{used:?} {client:?} {server:?} {is_cut} {at}"
        );
    }
}
