//! Recycles under load, with real workers and real sockets: no mailbox state is lost. `tests/simulated` plays a
//! hundred of them.

use std::sync::Arc;
use std::time::Duration;

use client::device::{Behaviour, Record, Refusals, device_random};
use client::fleet::{Fleet, FleetPlan, Pacer};
use client::transport::{Lean, Limits, Network};
use easload::mail::{Door, MailTraffic, Schedule, send_on_schedule};
use easload::measure::Recorder;
use scenario::names::{DeviceState, Gauges};
use scenario::{Target, TlsOptions};
use tokio::sync::Notify;

use crate::fixtures::{eventually, identity, mock, profile};

const DEVICES: u32 = 40;
const RECYCLES: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recycles_under_load_lose_no_mail_and_double_none() {
    let mock =
        mock(|config| config.pool.process_model.shutdown_time_limit = Duration::from_millis(60))
            .await;
    let target = Target::parse(&mock.addresses().url).unwrap();
    let network = || Network::new(target.clone(), &TlsOptions::default()).unwrap();
    let factory = Lean::factory(network(), 0, Limits::default(), Arc::default());
    let users: Vec<u32> = (0..DEVICES).collect();
    let recorder = Arc::new(Recorder::new(1, &users, Duration::from_secs(20)));
    let fleet = Fleet::start(
        FleetPlan {
            devices: users
                .iter()
                .map(|device| (identity(*device, "secret"), profile(5)))
                .collect(),
            refusals: Arc::new(Refusals::new(users.len(), 3, 1.0)),
            behaviour: Arc::new(Behaviour::default()),
            seed: 1,
            ramp: Pacer::per_second(100.0),
        },
        Arc::clone(&recorder) as Arc<dyn Record>,
        move |_| factory.make(),
    );
    eventually("every device holds a Ping", || async {
        recorder.devices_in(DeviceState::Holding) == u64::from(DEVICES)
    })
    .await;
    let stop = Arc::new(Notify::new());
    let plan = MailTraffic {
        schedule: Schedule::per_second(50.0),
        users: users
            .iter()
            .map(|user| (*user, format!("load{user:04}")))
            .collect(),
        domain: "lab.example".to_owned(),
        size: (200, 200),
    };
    let door: Door<Lean<Network>> =
        Door::Control(mock_client::Control::new(&mock.addresses().control).unwrap());
    let mail = tokio::spawn(send_on_schedule(
        plan,
        door,
        Arc::clone(&recorder),
        device_random(1, u32::MAX),
        Arc::clone(&stop),
    ));
    let keys = mock.truth().devices;
    for _ in 0..RECYCLES {
        // Most devices hold a Ping, which the recycle cuts; some are in a Sync.
        eventually("the herd is back", || async {
            let held = recorder.devices_in(DeviceState::Holding);
            held * 4 >= u64::from(DEVICES) * 3 && mock.truth().workers.len() == 1
        })
        .await;
        mock.recycle().await.unwrap();
    }
    stop.notify_one();
    mail.await.unwrap();
    eventually("every mail has arrived", || async {
        let ledger = recorder.ledger();
        ledger.accepted == ledger.meant && ledger.outstanding == 0
    })
    .await;
    let ledger = recorder.ledger();
    println!("{ledger:?} over {RECYCLES} recycles");
    assert!(ledger.meant > 40, "{ledger:?}");
    assert_eq!((ledger.failed, ledger.duplicates), (0, 0), "{ledger:?}");
    let truth = mock.truth();
    assert_eq!((truth.recycles, truth.failures), (RECYCLES, 0));
    assert!(truth.cut > 10 * RECYCLES, "{} Pings cut", truth.cut);
    assert_eq!(truth.devices, keys);
    // Cut Pings are the price; nobody had to start anew.
    let interval = recorder.interval("all", Gauges::new());
    assert_eq!(
        interval.counts.get("sync_key_resets"),
        None,
        "{:?}",
        interval.counts
    );
    fleet.stop(Duration::from_secs(3)).await;
    mock.shutdown().await;
}
