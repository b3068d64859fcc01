//! Kinds of devices: versions, queries, ways to wait, networks; under a paused clock.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Behaviour, PingEnd, Profile, Record, Refusals};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{Abandon, Lean, Limits};
use eas::commands::*;
use eas::status::*;
use eas::{Command, ProtocolVersion};
use easload::measure::Recorder;
use mock_api::control::NewMail;
use scenario::names::{Counter, Gauges};
use scenario::{HeartbeatPlan, Ladder, PingBody, QueryForm, SleepPlan, Wait};
use tokio::time::{Instant, sleep};

use crate::device_life::{HOUR, InMemory, Reply, Setup, body, in_memory, ping, sync_answer};
use crate::fixtures::{identity, profile};

fn changed(change: impl FnOnce(&mut Profile)) -> Arc<Profile> {
    let mut profile = (*profile(470)).clone();
    change(&mut profile);
    Arc::new(profile)
}

fn setup(
    overrides: impl IntoIterator<Item = ((Command, usize), Reply)>,
    change: impl FnOnce(&mut Profile),
) -> Setup {
    let mut setup = Setup::new(overrides);
    setup.profile = changed(change);
    setup
}

fn parts(body: &[u8]) -> (bool, bool) {
    let request = PingRequest::decode(body).unwrap();
    (request.heartbeat.is_some(), request.folders.is_some())
}

#[tokio::test(start_paused = true)]
async fn pings_say_what_the_server_has_not_cached() {
    let missing = || {
        let answer = ping(PingStatus::MissingParameters);
        [((Command::Ping, 3), body(answer.encode()))]
    };
    for (ping_body, said) in [
        (PingBody::Full, [(true, true); 5]),
        (
            PingBody::Partial,
            [
                (true, true),
                (true, false),
                (true, false),
                (true, true),
                (true, false),
            ],
        ),
        (
            PingBody::Cached,
            [
                (true, true),
                (false, false),
                (false, false),
                (true, true),
                (false, false),
            ],
        ),
    ] {
        let lived = setup(missing(), |profile| profile.ping_body = ping_body)
            .live(HOUR)
            .await;
        let pings: Vec<_> = lived.of(Command::Ping);
        let seen: Vec<_> = pings.iter().map(|ping| parts(&ping.body)).collect();
        assert_eq!(seen[..5], said, "{ping_body:?}");
        let expired = |end: &&PingEnd| matches!(end, PingEnd::Expired { .. });
        assert_eq!(lived.ends.iter().filter(expired).count(), 7);
    }
    // A heartbeat that grows is the only thing that a cached Ping says.
    let lived = setup([], |profile| {
        profile.ping_body = PingBody::Cached;
        profile.heartbeat = HeartbeatPlan::Adaptive(Ladder::aosp());
    })
    .live(HOUR)
    .await;
    let pings = lived.of(Command::Ping);
    let seen: Vec<_> = pings.iter().map(|ping| parts(&ping.body)).collect();
    assert_eq!(
        seen[..4],
        [(true, true), (true, false), (true, false), (true, false)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_base64_query_holds_version_policy_key_and_command() {
    let lived = setup([], |profile| profile.query = QueryForm::Base64)
        .live(HOUR)
        .await;
    assert!(lived.of(Command::Ping).len() > 5);
    for seen in &lived.seen[1..] {
        let query = seen.query.as_ref().unwrap();
        let binary = query.binary.unwrap();
        assert_eq!(binary.version, ProtocolVersion::V14_1);
        assert_eq!(query.device_id, "EASLOAD00000000");
        assert_eq!((&seen.version, &seen.policy_key), (&None, &None));
    }
    let keys = |command| -> Vec<Option<u32>> {
        let all = lived.of(command).into_iter();
        all.map(|seen| seen.query.as_ref().unwrap().binary.unwrap().policy_key)
            .collect()
    };
    assert_eq!(keys(Command::Provision), [Some(0), Some(100)]);
    assert!(keys(Command::Sync).iter().all(|key| *key == Some(200)));
    assert!(keys(Command::Ping).iter().all(Option::is_none));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_hold_pings_is_not_asked_in_a_loop() {
    let at_once = (1..5000).map(|number| {
        let answer = ping(PingStatus::Expired);
        ((Command::Ping, number), body(answer.encode()))
    });
    let lived = setup(at_once, |_| {}).live(HOUR).await;
    let pings = lived.of(Command::Ping).len();
    assert!((1000..3000).contains(&pings), "{pings} in an hour");
}

/// Changes that are told of at once and never come; a key that is primed and refused again: both are
/// quick answers, and no reason to hurry.
#[tokio::test(start_paused = true)]
async fn quick_answers_that_lead_nowhere_are_followed_by_pauses() {
    let news = (1..20_000).map(|number| {
        let answer = PingAnswer {
            folders: vec!["5".into()],
            ..ping(PingStatus::Changes)
        };
        ((Command::Ping, number), body(answer.encode()))
    });
    let lived = setup(news, |_| {}).live(HOUR).await;
    let pings = lived.of(Command::Ping).len();
    assert!((1000..4000).contains(&pings), "{pings} in an hour");

    let refused = (1..7_000).map(|round| {
        let answer = SyncAnswer::failed(SyncStatus::InvalidSyncKey);
        let answer = answer.encode(ProtocolVersion::V14_1);
        ((Command::Sync, 3 * round), body(answer))
    });
    let lived = setup(refused, |profile| profile.wait = Wait::Sync)
        .live(HOUR)
        .await;
    let syncs = lived.of(Command::Sync).len();
    assert!((1000..12_000).contains(&syncs), "{syncs} in an hour");
}

/// Seconds or minutes that a Sync asks for.
fn hang(body: &[u8]) -> Option<(Option<i32>, Option<i32>)> {
    let request = SyncRequest::decode(body).ok()?;
    Some((request.wait, request.heartbeat))
}

#[tokio::test(start_paused = true)]
async fn a_sync_hangs_and_an_empty_one_repeats_it() {
    for (version, asked, interval) in [
        (ProtocolVersion::V14_1, (None, Some(470)), 470.0),
        (ProtocolVersion::V12_1, (Some(8), None), 480.0),
    ] {
        let lived = setup([], |profile| {
            profile.wait = Wait::Sync;
            profile.versions = vec![version];
        })
        .live(HOUR)
        .await;
        assert_eq!(lived.of(Command::Ping).len(), 0);
        let syncs = lived.of(Command::Sync);
        assert_eq!(hang(&syncs[2].body), Some(asked));
        assert!(syncs[3..].iter().all(|sync| sync.body.is_empty()));
        let gap = syncs[4].at - syncs[3].at;
        assert!((gap - interval).abs() < 0.1, "{gap}");
        let expired = |end: &&PingEnd| matches!(end, PingEnd::Expired { overshoot } if overshoot.abs() < 0.01);
        assert_eq!(lived.ends.iter().filter(expired).count(), 7);
    }
    // Before 12.1 there is no hanging Sync.
    let mut old = setup([], |profile| {
        profile.wait = Wait::Sync;
        profile.versions = vec![ProtocolVersion::V12_0];
    });
    old.options = "2.5,12.0";
    let lived = old.live(HOUR).await;
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_sync_follows_limits_lost_caches_and_changes() {
    let hanging = |overrides: Vec<((Command, usize), Reply)>| {
        setup(overrides, |profile| profile.wait = Wait::Sync).live(HOUR)
    };
    let limited = SyncAnswer {
        limit: Some(60),
        ..SyncAnswer::failed(SyncStatus::IntervalOutOfRange)
    };
    let encoded = |answer: SyncAnswer<'_>| body(answer.encode(ProtocolVersion::V14_1));
    let lived = hanging(vec![((Command::Sync, 3), encoded(limited))]).await;
    let syncs = lived.of(Command::Sync);
    assert_eq!(hang(&syncs[2].body), Some((None, Some(470))));
    assert_eq!(hang(&syncs[3].body), Some((None, Some(60))), "learnt");
    assert!(syncs.len() > 50);

    let lost = SyncAnswer::failed(SyncStatus::IncompleteRequest);
    let lived = hanging(vec![((Command::Sync, 4), encoded(lost))]).await;
    let syncs = lived.of(Command::Sync);
    assert!(syncs[3].body.is_empty());
    assert_eq!(hang(&syncs[4].body), Some((None, Some(470))), "whole again");

    // A server that keeps no request is sent whole ones (seen with SOGo and Wait).
    let never_kept = (4..5000).step_by(2).map(|number| {
        let lost = SyncAnswer::failed(SyncStatus::IncompleteRequest);
        ((Command::Sync, number), encoded(lost))
    });
    let lived = hanging(never_kept.collect()).await;
    let syncs = lived.of(Command::Sync);
    let empty = syncs.iter().filter(|sync| sync.body.is_empty()).count();
    assert_eq!(empty, 2);
    assert!(syncs.len() > 10, "{} in an hour", syncs.len());

    // A server that holds none is not asked in a loop (seen with SOGo and Wait).
    let never_held = (3..5000).map(|number| ((Command::Sync, number), Reply::Body(Vec::new())));
    let lived = hanging(never_held.collect()).await;
    let syncs = lived.of(Command::Sync);
    // Pauses between one and two seconds; 5,000 answers would take four hours.
    assert!(
        (1000..4000).contains(&syncs.len()),
        "{} in an hour",
        syncs.len()
    );

    // An early answer may be the work of an older request that reached the server late. The server has
    // then cached that one, and an empty request would repeat it.
    let early = ((Command::Sync, 4), Reply::Body(Vec::new()));
    let lived = hanging(vec![early]).await;
    let syncs = lived.of(Command::Sync);
    assert!(syncs[3].body.is_empty());
    assert_eq!(hang(&syncs[4].body), Some((None, Some(470))));
    assert!(syncs[5].body.is_empty());

    // Its answer may have been lost on the way, and with it items that only the old key brings.
    let lived = hanging(vec![((Command::Sync, 5), Reply::Never)]).await;
    let syncs = lived.of(Command::Sync);
    assert!(syncs[4].body.is_empty());
    assert_eq!(hang(&syncs[5].body), Some((None, Some(470))));

    let email = Email {
        subject: "news".into(),
        ..Email::default()
    };
    let news = CollectionAnswer {
        sync_key: "7".into(),
        id: "5".into(),
        status: SyncStatus::Success,
        more_available: false,
        changes: vec![Change::Add {
            server_id: "5:1".into(),
            data: ItemData::Email(Box::new(email)),
        }],
        responses: Vec::new(),
        skipped: Skipped::default(),
    };
    let news = SyncAnswer {
        collections: vec![news],
        ..SyncAnswer::default()
    };
    let lived = hanging(vec![((Command::Sync, 4), encoded(news))]).await;
    assert_eq!(lived.ends[1], PingEnd::Changes);
    let syncs = lived.of(Command::Sync);
    let keys = |index: usize| {
        let request = SyncRequest::decode(&syncs[index].body).unwrap();
        request.collections[0].sync_key.to_string()
    };
    assert_eq!(hang(&syncs[4].body), Some((None, None)), "drained first");
    assert_eq!(hang(&syncs[5].body), Some((None, Some(470))));
    assert_eq!((keys(4), keys(5)), ("7".to_owned(), "7".to_owned()));

    let lived = hanging(vec![(
        (Command::Sync, 4),
        sync_answer("0", SyncStatus::InvalidSyncKey),
    )])
    .await;
    let syncs = lived.of(Command::Sync);
    let request = SyncRequest::decode(&syncs[4].body).unwrap();
    assert_eq!(request.collections[0].sync_key, "0");
    assert_eq!(hang(&syncs[4].body), Some((None, None)));
}

fn heartbeats(lived: &crate::device_life::Lived) -> Vec<i32> {
    let pings = lived.of(Command::Ping).into_iter();
    pings
        .map(|seen| PingRequest::decode(&seen.body).unwrap().heartbeat.unwrap())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_device_finds_what_the_network_lets_pass() {
    let aosp = |overrides: Vec<((Command, usize), Reply)>| {
        setup(overrides, |profile| {
            profile.heartbeat = HeartbeatPlan::Adaptive(Ladder::aosp());
        })
    };
    let lived = aosp(Vec::new()).live(2 * HOUR).await;
    assert_eq!(heartbeats(&lived)[..5], [470, 650, 830, 1010, 1010]);
    let never = vec![((Command::Ping, 3), Reply::Never)];
    let lived = aosp(never).live(2 * HOUR).await;
    assert_eq!(heartbeats(&lived)[..6], [470, 650, 830, 650, 650, 650]);

    // A gateway's timeout is a failure of the network; the server's own error is none.
    for (status, then) in [(408, 650), (502, 650), (504, 650), (500, 830)] {
        let answered = vec![((Command::Ping, 3), Reply::Http(status, &[]))];
        let lived = aosp(answered).live(2 * HOUR).await;
        assert_eq!(
            heartbeats(&lived)[..4],
            [470, 650, 830, then],
            "HTTP {status}"
        );
    }

    // A gateway that forgets after ten minutes: silence, a wait in vain, and one step down for good.
    let mut forgetful = aosp(Vec::new());
    forgetful.profile = changed(|profile| {
        profile.heartbeat = HeartbeatPlan::Adaptive(Ladder::aosp());
        profile.nat_timeout = Some(Duration::from_secs(600));
    });
    let lived = forgetful.live(2 * HOUR).await;
    assert_eq!(heartbeats(&lived)[..5], [470, 650, 470, 470, 470]);
    assert_eq!(lived.abandoned, [Abandon::Silence]);
    assert!(
        matches!(lived.ends[1], PingEnd::Abandoned { left } if (49.0..51.0).contains(&left)),
        "{:?}",
        lived.ends[1]
    );
    let (next, waited) = lived.after(Command::Ping, 2);
    assert_eq!(next, Some(Command::Ping));
    assert!((654.9..655.1).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_flight_takes_the_network_and_gives_another() {
    let mut setup = setup([], |profile| {
        profile.heartbeat = HeartbeatPlan::Adaptive(Ladder::aosp());
    });
    setup.flight = Some((Duration::from_secs(1000), Duration::from_secs(300)));
    let lived = setup.live(2 * HOUR).await;
    assert_eq!(lived.abandoned, [Abandon::Silence]);
    assert!(matches!(lived.ends[1], PingEnd::Abandoned { .. }));
    let pings = lived.of(Command::Ping);
    assert!((1300.0..1300.1).contains(&pings[2].at), "{}", pings[2].at);
    // 650 s had worked on the network before.
    assert_eq!(heartbeats(&lived)[..4], [470, 650, 470, 650]);
}

#[tokio::test(start_paused = true)]
async fn a_device_falls_asleep_in_silence_and_syncs_first_when_it_wakes() {
    for wait in [Wait::Ping, Wait::Sync] {
        let lived = setup([], |profile| {
            profile.wait = wait;
            let seconds = Duration::from_secs;
            profile.sleep = Some(SleepPlan {
                awake: (seconds(600), seconds(600)),
                asleep: (seconds(1800), seconds(1800)),
            });
        })
        .live(3 * HOUR)
        .await;
        // Awake and asleep for 2,400 s together.
        assert_eq!(lived.abandoned, [Abandon::Silence; 5], "{wait:?}");
        let slept = |end: &&PingEnd| matches!(end, PingEnd::Abandoned { .. });
        assert_eq!(lived.ends.iter().filter(slept).count(), 5);
        // The second heartbeat of 470 s began at 470 s.
        assert!(
            matches!(lived.ends[1], PingEnd::Abandoned { left } if (339.0..342.0).contains(&left)),
            "{:?}",
            lived.ends[1]
        );
        let woken = lived.seen.iter().find(|seen| seen.at > 600.0).unwrap();
        assert!((2400.0..2400.1).contains(&woken.at), "{}", woken.at);
        assert_eq!(woken.command, Some(Command::Sync));
        assert!(!woken.body.is_empty());
        assert_eq!(hang(&woken.body), Some((None, None)), "it does not hang");
    }
    // Drawn from a source of its own: an awake device lives as one that never sleeps.
    let seen = async |sleep: Option<SleepPlan>| {
        let lived = setup([], |profile| {
            profile.sleep = sleep;
            profile.heartbeat = HeartbeatPlan::Drawn { from: 300, to: 900 };
        });
        lived.live(HOUR).await.seen
    };
    let late = SleepPlan {
        awake: (HOUR * 2, HOUR * 3),
        asleep: (HOUR, HOUR * 2),
    };
    assert_eq!(seen(None).await, seen(Some(late)).await);
}

/// A server that does not mind answers both; the device goes by the second.
#[tokio::test(start_paused = true)]
async fn a_second_ping_is_sent_while_the_first_is_open() {
    let lived = setup([], |profile| profile.second_ping = 1.0)
        .live(HOUR)
        .await;
    let pings = lived.of(Command::Ping);
    assert!(pings[1].at - pings[0].at < 470.0, "{}", pings[1].at);
    assert!(pings[0].body == pings[1].body);
    // Both ended with their heartbeats, and the next came when the second had.
    let expired =
        |end: &PingEnd| matches!(end, PingEnd::Expired { overshoot } if overshoot.abs() < 0.01);
    assert!(lived.ends[..2].iter().all(expired), "{:?}", lived.ends);
    let waited = pings[2].at - pings[1].at;
    assert!((470.0..470.1).contains(&waited), "{waited}");
    // Each first one was closed when it had been answered.
    assert!(lived.abandoned.iter().all(|how| *how == Abandon::Fin));
    let open = |end: &&PingEnd| matches!(end, PingEnd::OpenAtEnd { .. });
    let open = lived.ends.iter().filter(open).count();
    assert_eq!(lived.ends.len(), pings.len(), "each has ended once");
    assert!((1..=2).contains(&open), "{open}");
}

/// The mock ends the first Ping; mail is told of by the second, and nothing stays behind.
#[tokio::test(start_paused = true)]
async fn second_pings_supersede_the_first_and_lose_no_mail() {
    const DEVICES: u32 = 20;
    let mock = in_memory(|_| ()).await;
    let users: Vec<u32> = (0..DEVICES).collect();
    let recorder = Arc::new(Recorder::new(1, &users, Duration::from_secs(60)));
    let connector = InMemory(Arc::clone(&mock));
    let factory = Lean::factory(connector, 0, Limits::default(), Arc::default());
    let kind = changed(|profile| profile.second_ping = 0.5);
    let fleet = Fleet::start(
        FleetPlan {
            devices: users
                .iter()
                .map(|device| (identity(*device, "secret"), Arc::clone(&kind)))
                .collect(),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |device| factory.make_for(device),
    );
    for _ in 0..360 {
        sleep(Duration::from_secs(20)).await;
        for user in &users {
            let marker = recorder.mail_meant(*user, Instant::now()).unwrap();
            recorder.mail_sent(marker.id);
            mock.deliver(&NewMail {
                to: vec![format!("load{user:04}")],
                subject: marker.to_string(),
                body: "x".to_owned(),
            });
            recorder.mail_accepted(marker.id, Duration::ZERO);
        }
    }
    sleep(Duration::from_secs(60)).await;
    let interval = recorder.interval("mail", Gauges::new());
    let ledger = interval.ledger;
    assert_eq!(
        (ledger.synced, ledger.duplicates),
        (360 * u64::from(DEVICES), 0)
    );
    assert_eq!(interval.count(Counter::PingsOverdue), 0);
    sleep(HOUR).await;
    let quiet = recorder.interval("quiet", Gauges::new());
    // Nothing comes, so every second Ping is superseded.
    let superseded = quiet.count(Counter::PingsSuperseded);
    assert!(superseded > u64::from(DEVICES), "{superseded}");
    let totals = recorder.totals();
    assert!(totals.errors.is_empty(), "{:?}", totals.errors);
    fleet.stop(Duration::from_secs(1)).await;
    assert_eq!((recorder.second_pings(), recorder.really_open()), (0, 0));
}

/// Every version, form of query and way to wait, against the whole mock: mail arrives everywhere,
/// once, and before the next heartbeat.
#[tokio::test(start_paused = true)]
async fn every_kind_of_device_gets_its_mail() {
    let mut kinds = Vec::new();
    for version in ProtocolVersion::ALL {
        for query in [QueryForm::Plain, QueryForm::Base64] {
            for wait in [Wait::Ping, Wait::Sync] {
                for ping_body in [PingBody::Full, PingBody::Partial, PingBody::Cached] {
                    kinds.push(changed(|profile| {
                        profile.versions = vec![version];
                        profile.query = query;
                        profile.wait = wait;
                        profile.ping_body = ping_body;
                        profile.heartbeat = HeartbeatPlan::Drawn { from: 300, to: 900 };
                    }));
                }
            }
        }
    }
    let mock = in_memory(|_| ()).await;
    let users: Vec<u32> = (0..kinds.len() as u32).collect();
    let recorder = Arc::new(Recorder::new(1, &users, Duration::from_secs(60)));
    let connector = InMemory(Arc::clone(&mock));
    let factory = Lean::factory(connector, 0, Limits::default(), Arc::default());
    let fleet = Fleet::start(
        FleetPlan {
            devices: users
                .iter()
                .zip(&kinds)
                .map(|(device, kind)| (identity(*device, "secret"), Arc::clone(kind)))
                .collect(),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    sleep(HOUR).await;
    for round in 0..3 {
        for user in &users {
            let marker = recorder.mail_meant(*user, Instant::now()).unwrap();
            recorder.mail_sent(marker.id);
            mock.deliver(&NewMail {
                to: vec![format!("load{user:04}")],
                subject: marker.to_string(),
                body: "x".to_owned(),
            });
            recorder.mail_accepted(marker.id, Duration::ZERO);
        }
        sleep(Duration::from_secs(20)).await;
        let interval = recorder.interval("mail", Gauges::new());
        let wanted = (round + 1) * users.len() as u64;
        assert_eq!(interval.ledger.synced, wanted, "round {round}");
        assert_eq!(interval.ledger.duplicates, 0);
    }
    let all = recorder.totals();
    assert!(all.errors.is_empty(), "{:?}", all.errors);
    assert!(all.statuses.is_empty(), "{:?}", all.statuses);
    let syncs = recorder.interval("end", Gauges::new());
    assert_eq!(syncs.count(Counter::PingsOverdue), 0);
    fleet.stop(Duration::from_secs(1)).await;
}

/// The folders that a Sync asks about.
fn folders_of(body: &[u8]) -> Vec<String> {
    let request = SyncRequest::decode(body).unwrap();
    let collections = request.collections.iter();
    collections.map(|one| one.id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sync_follows_the_limit_of_folders_and_forgets_none_of_them() {
    let limited = |number: usize| {
        let answer = SyncAnswer {
            limit: Some(1),
            ..SyncAnswer::failed(SyncStatus::TooManyCollections)
        };
        let reply = body(answer.encode(ProtocolVersion::V14_1));
        setup(vec![((Command::Sync, number), reply)], |profile| {
            profile.wait = Wait::Sync;
            profile.all_folders = true;
        })
    };
    let lived = limited(1).live(HOUR).await;
    let asked: Vec<_> = lived.of(Command::Sync)[..4]
        .iter()
        .map(|sync| folders_of(&sync.body))
        .collect();
    assert_eq!(asked[0], ["5", "1"]);
    assert_eq!(asked[1], ["5"], "as many as the server takes");
    assert!(asked[2..].contains(&vec!["1".to_owned()]), "{asked:?}");

    // One that hangs.
    let first_hanging = |lived: &crate::device_life::Lived| {
        let syncs = lived.of(Command::Sync);
        let found = syncs.iter().position(|sync| {
            let request = SyncRequest::decode(&sync.body);
            request.is_ok_and(|request| request.heartbeat.is_some())
        });
        found.unwrap()
    };
    let usual = setup(vec![], |profile| {
        profile.wait = Wait::Sync;
        profile.all_folders = true;
    });
    let number = first_hanging(&usual.live(HOUR).await);
    let lived = limited(number + 1).live(HOUR).await;
    let syncs = lived.of(Command::Sync);
    assert_eq!(folders_of(&syncs[number].body), ["5", "1"]);
    assert_eq!(folders_of(&syncs[number + 1].body), ["5"]);
    assert!(syncs.len() > 6, "it goes on waiting: {}", syncs.len());
}

#[tokio::test(start_paused = true)]
async fn devices_of_12_1_and_14_0_introduce_themselves_once() {
    let lived = async |version, options, overrides: Vec<((Command, usize), Reply)>| {
        let mut setup = setup(overrides, |profile| profile.versions = vec![version]);
        setup.options = options;
        setup.live(HOUR).await
    };
    for (version, options, count) in [
        (ProtocolVersion::V12_0, "12.0", 0),
        (ProtocolVersion::V12_1, "12.1", 1),
        (ProtocolVersion::V14_0, "14.0", 1),
        (ProtocolVersion::V14_1, "14.1", 0),
    ] {
        // A second provisioning on the way does not make it say so again.
        let again = vec![((Command::Ping, 2), Reply::Http(449, &[]))];
        let lived = lived(version, options, again).await;
        assert_eq!(lived.of(Command::Provision).len(), 4);
        let settings = lived.of(Command::Settings);
        assert_eq!(settings.len(), count, "{version}");
        for one in settings {
            let request = SettingsRequest::decode(&one.body).unwrap();
            assert!(request.device_information.is_some());
            assert_eq!(
                lived.after(Command::Settings, 1).0,
                Some(Command::FolderSync)
            );
        }
    }
    // A server that does not want to know.
    let refusal = SettingsAnswer::new(SettingsStatus::AccessDenied);
    let refusal = body(refusal.encode(ProtocolVersion::V12_1));
    let refused = vec![((Command::Settings, 1), refusal)];
    let lived = lived(ProtocolVersion::V12_1, "12.1", refused).await;
    assert_eq!(lived.of(Command::Settings).len(), 1);
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_version_is_spoken_whatever_the_server_lists() {
    let mut fixed = setup(vec![], |profile| {
        profile.versions = vec![ProtocolVersion::V14_0];
        profile.negotiate = false;
    });
    fixed.options = "2.5";
    let lived = fixed.live(HOUR).await;
    assert!(
        lived.seen.iter().all(|seen| seen.command.is_some()),
        "no OPTIONS"
    );
    assert_eq!(lived.seen[0].version.as_deref(), Some("14.0"));
    assert!(lived.of(Command::Ping).len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_changed_is_begun_anew_with_once() {
    let changed = || Reply::Http(200, &[("X-MS-RP", "2.5,14.1,16.1")]);
    let said = [2, 4].map(|number| ((Command::Sync, number), changed()));
    let lived = setup(said, |_| ()).live(HOUR).await;
    let options = lived.seen.iter().filter(|seen| seen.command.is_none());
    assert_eq!(options.count(), 2, "its versions are asked for again");
    let keys = lived.of(Command::FolderSync).into_iter().map(|seen| {
        let request = FolderSyncRequest::decode(&seen.body).unwrap();
        request.sync_key.to_string()
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["0", "0"]);
    assert!(lived.of(Command::Sync).len() >= 4 && lived.of(Command::Ping).len() > 5);

    // One that says something else each time is no reason to ask in a loop.
    let other = || Reply::Http(200, &[("X-MS-RP", "2.5")]);
    let never_the_same = (1..5000).map(|number| {
        let reply = if number % 2 == 0 { changed() } else { other() };
        ((Command::Sync, number), reply)
    });
    let lived = setup(never_the_same, |_| ()).live(HOUR).await;
    let syncs = lived.of(Command::Sync).len();
    // Pauses between one and two seconds; 5,000 answers would take minutes without.
    assert!((1000..4000).contains(&syncs), "{syncs} in an hour");
}
