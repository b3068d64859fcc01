//! What users do with their devices, against the whole mock in memory under a paused clock: every
//! action on every version, and nothing refused.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Activity, Behaviour, Identity, Profile, Record, Refusals};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{Lean, Limits};
use eas::commands::*;
use eas::status::*;
use eas::{Command, ProtocolVersion};
use easload::measure::Recorder;
use mock_server::FrontDoor;
use scenario::names::{Counter, Gauges};
use scenario::{Action, ActivityPlan, HeartbeatPlan, Wait};
use tokio::time::sleep;
use verdict::timeline::{Interval, Totals};

use crate::device_life::{HOUR, InMemory, Reply, Setup, body, in_memory};
use crate::fixtures::{identity, profile};

/// Users that do something of every kind about every five minutes.
fn busy(users: u32, actions: &[Action]) -> Arc<Activity> {
    let addresses = (0..users).map(|user| format!("load{user:04}@lab.example"));
    Arc::new(Activity {
        plan: ActivityPlan {
            name: String::new(),
            per_day: actions.iter().map(|action| (*action, 96.0)).collect(),
            speed: 1.0,
        },
        addresses: addresses.collect(),
        run: 0,
    })
}

/// How a fleet fared.
struct Fared {
    interval: Interval,
    totals: Totals,
    errors: String,
}

/// One device a user.
async fn fare(kinds: Vec<Arc<Profile>>, hours: u32) -> Fared {
    let users = kinds.len() as u32;
    fare_with(kinds, users, hours, |_| ()).await
}

/// Over so many users, with something that happens at the server after half of the time.
async fn fare_with(
    kinds: Vec<Arc<Profile>>,
    users: u32,
    hours: u32,
    happens: impl Fn(&FrontDoor),
) -> Fared {
    let mock = in_memory(|_| ()).await;
    let users_of: Vec<u32> = (0..kinds.len() as u32)
        .map(|device| device % users)
        .collect();
    let recorder = Arc::new(Recorder::new(1, &users_of, Duration::from_secs(60)));
    let connector = InMemory(Arc::clone(&mock));
    let factory = Lean::factory(connector, 0, Limits::default(), Arc::default());
    let fleet = Fleet::start(
        FleetPlan {
            devices: (0..)
                .zip(&kinds)
                .map(|(device, kind)| {
                    let own = identity(device, "secret");
                    let owner = identity(device % users, "secret");
                    let shared = Identity {
                        user: owner.user,
                        user_name: owner.user_name.clone(),
                        authorization: owner.authorization.clone(),
                        ..(*own).clone()
                    };
                    (Arc::new(shared), Arc::clone(kind))
                })
                .collect(),
            refusals: Arc::new(Refusals::new(users as usize, 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    sleep(HOUR * hours / 2).await;
    happens(&mock);
    sleep(HOUR * hours / 2).await;
    let interval = recorder.interval("all", Gauges::new());
    let totals = recorder.totals();
    fleet.stop(Duration::from_secs(1)).await;
    Fared {
        errors: format!("{:?} {:?}", totals.errors, totals.statuses),
        interval,
        totals,
    }
}

fn kind(version: ProtocolVersion, wait: Wait, activity: &Arc<Activity>) -> Arc<Profile> {
    let mut kind = (*profile(470)).clone();
    kind.versions = vec![version];
    kind.wait = wait;
    kind.heartbeat = HeartbeatPlan::Drawn { from: 300, to: 900 };
    kind.activity = Some(Arc::clone(activity));
    Arc::new(kind)
}

#[tokio::test(start_paused = true)]
async fn every_action_works_on_every_version() {
    let count = ProtocolVersion::ALL.len() as u32 * 2;
    let activity = busy(count, Action::ALL);
    let kinds = ProtocolVersion::ALL
        .iter()
        .flat_map(|version| [Wait::Ping, Wait::Sync].map(|wait| kind(*version, wait, &activity)));
    let fared = fare(kinds.collect(), 5).await;
    let interval = &fared.interval;
    for action in Action::ALL {
        let counter = Counter::of_action(*action);
        let done = interval.count(counter);
        assert!(done > 40, "{}: {done}, {}", action.as_str(), fared.errors);
    }
    assert_eq!(interval.count(Counter::ActFailures), 0, "{}", fared.errors);
    assert_eq!(interval.count(Counter::Malformed), 0, "{}", fared.errors);
    assert!(fared.totals.errors.is_empty(), "{}", fared.errors);
    assert_eq!(interval.count(Counter::PingsOverdue), 0);
}

/// Two devices of a user race for the same mails: one finds what the other has moved or deleted, which
/// is that mail's affair and no reason to end a Ping.
#[tokio::test(start_paused = true)]
async fn devices_of_a_user_that_race_for_a_mail_go_on_waiting() {
    let actions = [Action::Send, Action::Move, Action::Delete, Action::Read];
    let activity = busy(2, &actions);
    let version = ProtocolVersion::V14_1;
    let kinds = (0..6).map(|_| kind(version, Wait::Ping, &activity));
    let fared = fare_with(kinds.collect(), 2, 10, |_| ()).await;
    let interval = &fared.interval;
    assert!(interval.count(Counter::ActMove) > 40, "{}", fared.errors);
    assert_eq!(
        interval.count(Counter::PingsAbandoned),
        0,
        "{}",
        fared.errors
    );
    assert_eq!(
        interval.count(Counter::HierarchyFetches),
        6,
        "{}",
        fared.errors
    );
    assert_eq!(interval.count(Counter::Malformed), 0, "{}", fared.errors);
    // The mails are few, so that the devices do meet.
    let in_vain = interval.count(Counter::ActFailures);
    assert!(in_vain > 20, "{in_vain}");
}

/// The server decides which of two marks stays, which is no failure of either device.
#[tokio::test(start_paused = true)]
async fn devices_of_a_user_that_mark_the_same_mail_do_not_fail() {
    let activity = busy(2, &[Action::Send, Action::Read, Action::Flag]);
    let version = ProtocolVersion::V14_1;
    let kinds = (0..6).map(|_| kind(version, Wait::Ping, &activity));
    let fared = fare_with(kinds.collect(), 2, 10, |_| ()).await;
    let interval = &fared.interval;
    assert!(interval.count(Counter::ActFlag) > 200, "{}", fared.errors);
    assert_eq!(interval.count(Counter::ActFailures), 0, "{}", fared.errors);
    assert!(fared.totals.errors.is_empty(), "{}", fared.errors);
}

/// A policy key that is not valid any more: everything a user does would be refused until the Ping ends
/// by itself, an hour later.
#[tokio::test(start_paused = true)]
async fn what_the_device_has_to_mend_is_mended_before_the_next_act() {
    let activity = busy(2, &[Action::Oof]);
    let kinds = [Wait::Ping, Wait::Sync].map(|wait| {
        let mut kind = (*kind(ProtocolVersion::V14_1, wait, &activity)).clone();
        kind.heartbeat = HeartbeatPlan::Drawn {
            from: 3540,
            to: 3540,
        };
        Arc::new(kind)
    });
    let fared = fare_with(kinds.to_vec(), 2, 4, FrontDoor::unprovision).await;
    let interval = &fared.interval;
    let done = interval.count(Counter::ActOof);
    assert!(done > 60, "{done}, {}", fared.errors);
    // One for each device, and a second provisioning for each.
    assert_eq!(interval.count(Counter::ActFailures), 2, "{}", fared.errors);
    assert_eq!(interval.count(Counter::Provisionings), 4);
    assert_eq!(interval.count(Counter::PingsOverdue), 0);
}

/// Every answer is held against what it should be: none of these says that it was done.
#[tokio::test(start_paused = true)]
async fn answers_that_are_wrong_are_not_taken_for_done() {
    let always = |command, reply: Reply| -> Vec<((Command, usize), Reply)> {
        (1..100)
            .map(|number| ((command, number), reply.clone()))
            .collect()
    };
    let primed = |id: &'static str| CollectionAnswer {
        sync_key: "1".into(),
        id: id.into(),
        status: SyncStatus::Success,
        more_available: false,
        changes: Vec::new(),
        responses: Vec::new(),
        skipped: Skipped::default(),
    };
    let both = SyncAnswer {
        collections: vec![primed("5"), primed("1")],
        ..SyncAnswer::default()
    };
    let version = ProtocolVersion::V14_1;
    let no_oof = SettingsAnswer::new(SettingsStatus::Success);
    let no_id = FolderCreateAnswer {
        sync_key: Some("2".into()),
        ..FolderCreateAnswer::failed(FolderChangeStatus::Success)
    };
    let no_store = SearchAnswer::new(SearchStatus::Success, SearchStatus::ServerError);
    for (action, overrides) in [
        (
            Action::Oof,
            always(Command::Settings, body(no_oof.encode(version))),
        ),
        (
            Action::Folder,
            always(Command::FolderCreate, body(no_id.encode())),
        ),
        (
            Action::Search,
            always(Command::Search, body(no_store.encode(version))),
        ),
        // An answer without a Response to the Add.
        (
            Action::Calendar,
            vec![((Command::Sync, 1), body(both.encode(version)))],
        ),
    ] {
        let mut setup = Setup::new(overrides);
        let mut profile = (*setup.profile).clone();
        profile.activity = Some(busy(2, &[action]));
        setup.profile = Arc::new(profile);
        let acts = setup.live(HOUR).await.acts;
        let name = action.as_str();
        assert!(acts.len() >= 3, "{name}: {acts:?}");
        assert!(acts.iter().all(|failed| *failed), "{name}: {acts:?}");
    }
}
