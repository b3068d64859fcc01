//! The lock-out guard: how many logins a server sees that it refuses, counted by the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::device::{
    AbandonShares, Abandonment, Authorization, Behaviour, Client, Event, Fetching, Identity,
    Profile, Record, Refusals, Token, TokenSource, Tokens,
};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{
    Abandon, Answer, Begun, ConnectionEnd, Failure, FailureKind, Lean, LeanFactory, Limits,
    LocalEnd, Method, Request, Timing, Transport,
};
use easload::mail::{Door, MailTraffic, Schedule, Turns, send_on_schedule};
use easload::measure::Recorder;
use mock_api::control::NewMail;
use mock_server::FrontDoor;
use rand::SeedableRng as _;
use scenario::names::{Counter, Gauges};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::device_life::{InMemory, in_memory};
use crate::fixtures::{identity, profile};

/// The limit of all tests: the default of `devices.refusals`.
const LIMIT: u32 = 3;
const USERS: u32 = 20;
const DEVICES: u32 = 200;
/// A fifth of the users.
const MOST: usize = 4;

/// Looks at every login in front of the mock, and refuses some.
#[derive(Default)]
struct Gate {
    /// By Authorization header: the user, and whether its logins are refused.
    users: Mutex<BTreeMap<String, (u32, bool)>>,
    /// OPTIONS is answered to anybody.
    is_open: bool,
    /// A refusal takes so long.
    delay: Duration,
    /// A login page is the answer instead of a refusal.
    is_page: bool,
    /// Each login of each user, in the order of arrival: whether it was refused.
    logins: Mutex<BTreeMap<u32, Vec<bool>>>,
}

impl Gate {
    /// Refuses a user's logins from now on.
    fn refuse(&self, users: impl IntoIterator<Item = u32>) {
        let users: BTreeSet<u32> = users.into_iter().collect();
        for (user, is_refused) in self.users.lock().unwrap().values_mut() {
            *is_refused |= users.contains(user);
        }
    }

    fn arrives(&self, request: &Request<'_>) -> bool {
        let authorization = request
            .headers
            .iter()
            .find(|(name, _)| *name == "Authorization");
        let (_, header) = authorization.expect("every request logs in");
        let (user, is_refused) = self.users.lock().unwrap()[*header];
        if request.method == Method::Options && self.is_open {
            return false;
        }
        let mut logins = self.logins.lock().unwrap();
        logins.entry(user).or_default().push(is_refused);
        is_refused
    }

    /// Refused logins of each user that has any.
    fn refused(&self) -> BTreeMap<u32, usize> {
        let logins = self.logins.lock().unwrap();
        let refused = logins.iter().map(|(user, logins)| {
            let refused = logins.iter().filter(|is_refused| **is_refused);
            (*user, refused.count())
        });
        refused.filter(|(_, count)| *count > 0).collect()
    }
}

struct Guarded<T> {
    inner: T,
    gate: Arc<Gate>,
    /// When the refusal comes.
    refused: Option<(Instant, Instant)>,
}

impl<T: Transport> Transport for Guarded<T> {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        self.refused = None;
        if self.gate.arrives(&request) {
            let now = Instant::now();
            self.refused = Some((now, now + self.gate.delay));
            return Ok(Begun {
                sent: now,
                local: LocalEnd::default(),
                connect: None,
                tls: None,
            });
        }
        self.inner.begin(request).await
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let Some((sent, due)) = self.refused else {
            return self.inner.answer(deadline).await;
        };
        sleep_until(due.min(deadline)).await;
        if due > deadline {
            return Err(Failure {
                kind: FailureKind::TimedOut { received: 0 },
                sent: Some(sent),
                reused: false,
            });
        }
        self.refused = None;
        let total = due - sent;
        let timing = Timing { sent, total };
        let (status, body) = if self.gate.is_page {
            (
                200,
                b"<html><form action=\"/login\"></form></html>".to_vec(),
            )
        } else {
            (401, Vec::new())
        };
        let end = ConnectionEnd::Kept;
        Ok(Answer::from_parts(status, &[], body, timing, end))
    }

    fn another(&self) -> Self {
        Self {
            inner: self.inner.another(),
            gate: Arc::clone(&self.gate),
            refused: None,
        }
    }

    fn abandon(&mut self, how: Abandon) {
        self.refused = None;
        self.inner.abandon(how);
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }
}

/// A mock behind a gate, and what the devices of a run share.
struct Lab {
    mocks: Vec<Arc<FrontDoor>>,
    factories: Vec<Arc<LeanFactory<InMemory>>>,
    gate: Arc<Gate>,
    refusals: Arc<Refusals>,
    recorder: Arc<Recorder>,
    behaviour: Arc<Behaviour>,
    devices: Vec<(Arc<Identity>, Arc<Profile>)>,
}

impl Lab {
    async fn new(gate: Gate, servers: usize, limit: u32, kind: impl Fn(&mut Profile)) -> Self {
        let mut kind_of_all = (*profile(470)).clone();
        // As in a scenario without these keys.
        kind_of_all.request_timeout = Duration::from_secs(90);
        kind(&mut kind_of_all);
        let kind_of_all = Arc::new(kind_of_all);
        let mut mocks = Vec::new();
        for _ in 0..servers {
            mocks.push(in_memory(|_| ()).await);
        }
        let factories = mocks.iter().map(|mock| {
            let connector = InMemory(Arc::clone(mock));
            Arc::new(Lean::factory(
                connector,
                0,
                Limits::default(),
                Arc::default(),
            ))
        });
        let devices: Vec<_> = (0..DEVICES)
            .map(|device| {
                let of_user = identity(device % USERS, "secret");
                let identity = Identity {
                    device,
                    device_id: format!("EASLOAD{device:08}"),
                    ..(*of_user).clone()
                };
                (Arc::new(identity), Arc::clone(&kind_of_all))
            })
            .collect();
        for user in 0..USERS {
            let header = identity(user, "secret").authorization.header().await;
            let header = header.unwrap().to_string();
            gate.users.lock().unwrap().insert(header, (user, false));
        }
        let users: Vec<u32> = devices.iter().map(|(identity, _)| identity.user).collect();
        Self {
            factories: factories.collect(),
            mocks,
            gate: Arc::new(gate),
            refusals: Arc::new(Refusals::new(USERS as usize, limit, 0.2)),
            recorder: Arc::new(Recorder::new(1, &users, Duration::from_secs(60))),
            behaviour: Arc::default(),
            devices,
        }
    }

    fn transport(&self, device: u32) -> Guarded<Lean<InMemory>> {
        let factory = &self.factories[device as usize % self.factories.len()];
        Guarded {
            inner: factory.make_for(device),
            gate: Arc::clone(&self.gate),
            refused: None,
        }
    }

    fn fleet(&self, rate: f64) -> Fleet {
        let (factories, gate) = (self.factories.clone(), Arc::clone(&self.gate));
        Fleet::start(
            FleetPlan {
                devices: self.devices.clone(),
                refusals: Arc::clone(&self.refusals),
                behaviour: Arc::clone(&self.behaviour),
                seed: 1,
                ramp: Pacer::per_second(rate),
            },
            Arc::clone(&self.recorder) as Arc<dyn Record>,
            move |device| Guarded {
                inner: factories[device as usize % factories.len()].make_for(device),
                gate: Arc::clone(&gate),
                refused: None,
            },
        )
    }

    /// One message to each user, at the same instant.
    fn deliver_to_all(&self) {
        for mock in &self.mocks {
            mock.deliver(&NewMail {
                to: (0..USERS).map(|user| format!("load{user:04}")).collect(),
                subject: "easload".to_owned(),
                body: "x".to_owned(),
            });
        }
    }

    /// Devices that hold a request now.
    fn holding(&self) -> u64 {
        let interval = self.recorder.interval("now", Gauges::new());
        interval.gauge("devices.holding").unwrap_or_default() as u64
    }
}

/// Refusals that are quick, slow, and slower than most servers'.
const DELAYS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_millis(4500),
];

/// One wrong password for everybody: a fifth of the users is refused, each exactly as often as allowed.
#[tokio::test(start_paused = true)]
async fn wrong_passwords_of_all_users_cost_the_limit_of_a_fifth_of_them() {
    for delay in DELAYS {
        for is_open in [false, true] {
            for servers in [1, 3] {
                let gate = Gate {
                    is_open,
                    delay,
                    ..Gate::default()
                };
                let lab = Lab::new(gate, servers, LIMIT, |_| ()).await;
                lab.gate.refuse(0..USERS);
                let fleet = lab.fleet(1000.0);
                sleep(Duration::from_secs(600)).await;
                let refused = lab.gate.refused();
                assert_eq!(
                    refused.len(),
                    MOST,
                    "{delay:?} {is_open} {servers}: {refused:?}"
                );
                assert!(
                    refused.values().all(|count| *count == LIMIT as usize),
                    "{refused:?}"
                );
                assert_eq!(lab.refusals.stopped().len(), MOST);
                assert!(lab.refusals.are_all_stopped());
                fleet.stop(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Fewer than a fifth: these are stopped, and all devices of the others come up.
#[tokio::test(start_paused = true)]
async fn wrong_passwords_of_three_users_stop_these_only() {
    for delay in DELAYS {
        let gate = Gate {
            is_open: true,
            delay,
            ..Gate::default()
        };
        let lab = Lab::new(gate, 1, LIMIT, |_| ()).await;
        lab.gate.refuse([2, 3, 19]);
        let fleet = lab.fleet(50.0);
        sleep(Duration::from_secs(300)).await;
        let refused: Vec<(u32, usize)> = lab.gate.refused().into_iter().collect();
        assert_eq!(refused, [(2, 3), (3, 3), (19, 3)], "{delay:?}");
        assert_eq!(lab.refusals.stopped(), [2, 3, 19]);
        assert_eq!(lab.holding(), 170);
        fleet.stop(Duration::from_secs(1)).await;
    }
}

/// All devices of a user send at the same moment, when a message ends their Pings. Their Pings were sent with
/// the old password, and their answers must not excuse the refusals that came before.
#[tokio::test(start_paused = true)]
async fn a_password_that_changes_in_mid_run_costs_the_limit() {
    for delay in DELAYS {
        for second_ping in [0.0, 1.0] {
            let gate = Gate {
                delay,
                ..Gate::default()
            };
            let lab = Lab::new(gate, 1, LIMIT, |profile| profile.second_ping = second_ping).await;
            let fleet = lab.fleet(50.0);
            sleep(Duration::from_secs(60)).await;
            let before = lab.holding();
            lab.gate.refuse([7]);
            lab.deliver_to_all();
            sleep(Duration::from_secs(900)).await;
            let refused: Vec<(u32, usize)> = lab.gate.refused().into_iter().collect();
            assert_eq!(refused, [(7, 3)], "{delay:?} {second_ping}");
            assert_eq!(lab.refusals.stopped(), [7]);
            // A second Ping ends the first, so some devices are between two Pings.
            if second_ping == 0.0 {
                let others = u64::from(DEVICES - DEVICES / USERS);
                assert_eq!((before, lab.holding()), (u64::from(DEVICES), others));
            }
            fleet.stop(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn passwords_of_all_users_that_change_in_mid_run_cost_each_at_most_the_limit() {
    for delay in DELAYS {
        let gate = Gate {
            delay,
            ..Gate::default()
        };
        let lab = Lab::new(gate, 2, LIMIT, |_| ()).await;
        let fleet = lab.fleet(50.0);
        sleep(Duration::from_secs(60)).await;
        lab.gate.refuse(0..USERS);
        lab.deliver_to_all();
        sleep(Duration::from_secs(900)).await;
        let refused = lab.gate.refused();
        assert!(
            refused.values().all(|count| *count <= LIMIT as usize),
            "{refused:?}"
        );
        assert!(lab.refusals.are_all_stopped());
        fleet.stop(Duration::from_secs(1)).await;
    }
}

/// Every Ping is given up before a slow refusal comes.
fn impatient() -> Abandonment {
    Abandonment {
        share: 1.0,
        after: Duration::from_millis(100)..=Duration::from_millis(900),
        how: AbandonShares {
            fin: 1.0,
            rst: 1.0,
            silence: 1.0,
        },
        away: Duration::ZERO..=Duration::from_millis(500),
    }
}

/// Devices give all Pings up, so that they do not see the refusals of these.
#[tokio::test(start_paused = true)]
async fn a_password_that_changes_while_pings_are_abandoned_costs_the_limit() {
    for delay in DELAYS {
        for limit in [1, LIMIT] {
            for all in [false, true] {
                let gate = Gate {
                    delay,
                    ..Gate::default()
                };
                let mut lab = Lab::new(gate, 1, limit, |_| ()).await;
                lab.devices.truncate(3 * USERS as usize);
                lab.behaviour.set_abandonment(impatient());
                let fleet = lab.fleet(50.0);
                sleep(Duration::from_secs(20)).await;
                assert!(lab.refusals.stopped().is_empty());
                lab.gate.refuse(if all { 0..USERS } else { 7..8 });
                sleep(Duration::from_secs(60)).await;
                let refused = lab.gate.refused();
                assert!(
                    refused.values().all(|count| *count <= limit as usize),
                    "{delay:?} {limit}: {refused:?}"
                );
                if all {
                    assert!(lab.refusals.are_all_stopped(), "{delay:?} {limit}");
                } else {
                    // Logins given up before the change count too, and the server accepted them.
                    let users: Vec<u32> = refused.keys().copied().collect();
                    assert_eq!(users, [7], "{delay:?} {limit}");
                    assert_eq!(lab.refusals.stopped(), [7]);
                }
                fleet.stop(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One device of each user logs in when the passwords of all have changed. A fifth of the users goes on to its limit.
#[tokio::test(start_paused = true)]
async fn passwords_of_all_users_that_change_cost_a_fifth_the_limit_and_the_others_one_login() {
    for delay in DELAYS {
        let gate = Gate {
            delay,
            ..Gate::default()
        };
        let mut lab = Lab::new(gate, 1, LIMIT, |_| ()).await;
        lab.devices.truncate(USERS as usize);
        let fleet = lab.fleet(50.0);
        sleep(Duration::from_secs(60)).await;
        lab.gate.refuse(0..USERS);
        lab.deliver_to_all();
        sleep(Duration::from_secs(400)).await;
        let refused: Vec<usize> = lab.gate.refused().into_values().collect();
        // Refusals without delay come before the other users send.
        let users = if delay.is_zero() {
            MOST
        } else {
            USERS as usize
        };
        assert_eq!(refused.len(), users, "{delay:?} {refused:?}");
        let at_limit = refused.iter().filter(|count| **count == LIMIT as usize);
        assert_eq!(at_limit.count(), MOST, "{delay:?} {refused:?}");
        let total: usize = refused.iter().sum();
        assert_eq!(
            total,
            MOST * LIMIT as usize + users - MOST,
            "{delay:?} {refused:?}"
        );
        assert!(lab.refusals.are_all_stopped());
        fleet.stop(Duration::from_secs(1)).await;
    }
}

/// Pings that two devices of each user abandon in a minute, with a guard of that limit.
async fn abandoned(limit: u32) -> u64 {
    let mut lab = Lab::new(Gate::default(), 1, limit, |_| ()).await;
    lab.devices.truncate(2 * USERS as usize);
    lab.behaviour.set_abandonment(impatient());
    let fleet = lab.fleet(10.0);
    sleep(Duration::from_secs(60)).await;
    lab.recorder.interval("before", Gauges::new());
    sleep(Duration::from_secs(60)).await;
    let interval = lab.recorder.interval("abandoning", Gauges::new());
    fleet.stop(Duration::from_secs(1)).await;
    interval.count(Counter::PingsAbandoned)
}

/// Two devices of each user abandon every Ping, and no mail comes. A server that answers FolderSync lets them go
/// on at nearly their own pace. With a limit of one, a Ping lasts until the server has decided about it.
#[tokio::test(start_paused = true)]
async fn abandoning_devices_keep_their_pace_at_a_server_that_answers() {
    let (free, bound) = (abandoned(1000).await, abandoned(LIMIT).await);
    assert!(free > 2500, "{free}");
    assert!(bound * 100 >= free * 95, "{bound} of {free}");
    let one = abandoned(1).await;
    assert!(
        one * 8 < free && one > u64::from(USERS) * 8,
        "{one} of {free}"
    );
}

/// A proxy that answers with a login page has not accepted the password: one login of a user at a time is under way,
/// and no later refusal is excused.
#[tokio::test(start_paused = true)]
async fn a_login_page_proves_no_password() {
    let gate = Gate {
        delay: Duration::from_secs(1),
        is_page: true,
        ..Gate::default()
    };
    let lab = Lab::new(gate, 1, LIMIT, |profile| profile.negotiate = false).await;
    lab.gate.refuse(0..USERS);
    let fleet = lab.fleet(1000.0);
    sleep(Duration::from_secs(30)).await;
    assert!(lab.refusals.stopped().is_empty());
    let logins: Vec<usize> = lab.gate.refused().into_values().collect();
    // Four users may try at a time, each for a second.
    let total: usize = logins.iter().sum();
    assert!((100..=124).contains(&total), "{logins:?}");
    fleet.stop(Duration::from_secs(1)).await;
}

struct Deaf;

impl Record for Deaf {
    fn record(&self, _: u32, _: Event<'_>) {}
}

/// Senders of mail log in as the users of the devices, from the start and after a change of the password.
#[tokio::test(start_paused = true)]
async fn senders_of_mail_and_devices_share_the_limit() {
    for (delay, changes_after) in DELAYS
        .into_iter()
        .flat_map(|delay| [(delay, 0), (delay, 60)])
    {
        let gate = Gate {
            is_open: true,
            delay,
            ..Gate::default()
        };
        let lab = Lab::new(gate, 1, LIMIT, |_| ()).await;
        if changes_after == 0 {
            lab.gate.refuse([0, 1, 2]);
        }
        let senders = (0..USERS).map(|user| {
            let (identity, profile) = lab.devices[user as usize].clone();
            let identity = Identity {
                device_id: format!("EASLOADMAIL{user:08}"),
                ..(*identity).clone()
            };
            Client::new(
                lab.transport(user),
                Arc::new(identity),
                profile,
                Arc::clone(&lab.refusals),
                Arc::new(Deaf),
            )
        });
        let plan = MailTraffic {
            schedule: Schedule::per_second(2.0),
            users: (0..USERS)
                .map(|user| (user, format!("load{user:04}")))
                .collect(),
            domain: "lab.example".to_owned(),
            size: (10, 20),
        };
        let stop = Arc::new(Notify::new());
        let random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
        let mail = tokio::spawn(send_on_schedule(
            plan,
            Door::Eas(senders.collect(), Arc::new(Turns::new(USERS as usize))),
            Arc::clone(&lab.recorder),
            random,
            Arc::clone(&stop),
        ));
        let fleet = lab.fleet(50.0);
        sleep(Duration::from_secs(60)).await;
        lab.gate.refuse([0, 1, 2]);
        sleep(Duration::from_secs(240)).await;
        let refused: Vec<(u32, usize)> = lab.gate.refused().into_iter().collect();
        assert_eq!(
            refused,
            [(0, 3), (1, 3), (2, 3)],
            "{delay:?} {changes_after}"
        );
        assert_eq!(lab.refusals.stopped(), [0, 1, 2]);
        stop.notify_one();
        mail.await.unwrap();
        fleet.stop(Duration::from_secs(1)).await;
    }
}

/// Requests that a device gives up before their answer count as well.
#[tokio::test(start_paused = true)]
async fn a_limit_of_one_allows_one_refused_login() {
    let gate = Gate {
        delay: Duration::from_secs(1),
        ..Gate::default()
    };
    let lab = Lab::new(gate, 1, 1, |_| ()).await;
    lab.gate.refuse(0..USERS);
    let fleet = lab.fleet(1000.0);
    sleep(Duration::from_secs(600)).await;
    let refused = lab.gate.refused();
    assert_eq!(refused.values().copied().collect::<Vec<_>>(), [1; MOST]);
    fleet.stop(Duration::from_secs(1)).await;
}

/// With right passwords the guard delays nothing where users have no more devices than refusals: the same
/// run with a guard that allows a thousand counts the same, second by second.
#[tokio::test(start_paused = true)]
async fn right_passwords_are_not_slowed_down() {
    let mut played = Vec::new();
    for limit in [LIMIT, 1000] {
        let mut lab = Lab::new(Gate::default(), 1, limit, |_| ()).await;
        lab.devices.truncate(2 * USERS as usize);
        let fleet = lab.fleet(10.0);
        let mut counts = Vec::new();
        for second in 0..120 {
            if second % 10 == 0 {
                lab.deliver_to_all();
            }
            sleep(Duration::from_secs(1)).await;
            let interval = lab.recorder.interval("now", Gauges::new());
            counts.push((
                interval.count(Counter::PingsSent),
                interval.count(Counter::Answers),
                interval.gauge("devices.holding").unwrap_or_default() as u64,
            ));
        }
        assert_eq!(counts[119].2, 2 * u64::from(USERS), "{counts:?}");
        assert!(lab.gate.refused().is_empty());
        fleet.stop(Duration::from_secs(1)).await;
        played.push(counts);
    }
    assert_eq!(played[0], played[1]);
}

/// Ten devices of each user, all at the same time: they come up, and nobody is refused.
#[tokio::test(start_paused = true)]
async fn ten_devices_of_each_user_come_up_together() {
    let lab = Lab::new(Gate::default(), 1, LIMIT, |_| ()).await;
    let fleet = lab.fleet(100_000.0);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(lab.holding(), u64::from(DEVICES));
    fleet.stop(Duration::from_secs(1)).await;
}

/// Gives `t1`, `t2` …
#[derive(Default)]
struct Numbered(Mutex<u32>);

impl TokenSource for Numbered {
    fn fetch(&self) -> Fetching<'_> {
        let mut number = self.0.lock().unwrap();
        *number += 1;
        let value = format!("t{number}");
        Box::pin(async { Ok(Token { value, lasts: None }) })
    }
}

/// A token may have expired, so its first refusal renews it; what follows counts as a password's refusals do.
#[tokio::test(start_paused = true)]
async fn refused_tokens_cost_one_login_more_than_passwords() {
    for delay in DELAYS {
        let gate = Gate {
            delay,
            ..Gate::default()
        };
        let mut lab = Lab::new(gate, 1, LIMIT, |_| ()).await;
        let tokens = Arc::new(Tokens::new(Numbered::default()));
        lab.devices.truncate(10);
        for (identity, _) in &mut lab.devices {
            *identity = Arc::new(Identity {
                user: 0,
                authorization: Authorization::Token(Arc::clone(&tokens)),
                ..(**identity).clone()
            });
        }
        for number in 1..100 {
            let header = format!("Bearer t{number}");
            lab.gate.users.lock().unwrap().insert(header, (0, true));
        }
        let fleet = lab.fleet(1000.0);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(
            lab.gate.refused(),
            [(0, LIMIT as usize + 1)].into(),
            "{delay:?}"
        );
        assert_eq!(lab.refusals.stopped(), [0]);
        fleet.stop(Duration::from_secs(1)).await;
    }
}
