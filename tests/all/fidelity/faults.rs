//! Faults: their effect on new requests and on open ones, and whom they strike. `stranding` has strand,
//! drip, hang-accept and queue-full.

use std::time::Duration;

use mock_api::{Fault, FaultKind};
use mock_client::Control;
use mock_server::FrontDoor;
use tokio::time::Instant;

use super::phone::{FOLDER_SYNC_0, Phone};
use super::raw::{End, held};
use crate::fixtures::{eventually, mock};

fn control(mock: &FrontDoor) -> Control {
    Control::new(&mock.addresses().control).unwrap()
}

fn on(command: &str, kind: FaultKind) -> Fault {
    Fault {
        command: Some(command.to_owned()),
        ..Fault::new(kind)
    }
}

fn status(status: u16) -> Fault {
    Fault {
        status: Some(status),
        ..Fault::new(FaultKind::Error)
    }
}

#[tokio::test]
async fn reset_truncate_and_garbage_strike_ordinary_answers() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    for (kind, bytes) in [
        (FaultKind::Reset, None),
        (FaultKind::Truncate, Some(20)),
        (FaultKind::Garbage, Some(33)),
    ] {
        let fault = Fault {
            bytes,
            ..on("FolderSync", kind)
        };
        control.set_faults(&[fault]).await.unwrap();
        let mut phone = Phone::new(&mock, "load1").await;
        assert_eq!(phone.options().await.status, 200, "another command");
        phone.send("FolderSync", FOLDER_SYNC_0).await;
        match kind {
            FaultKind::Reset => assert_eq!(phone.raw.closed().await, End::Reset),
            FaultKind::Truncate => assert_eq!(phone.raw.rest().await, b"HTTP/1.1 200 OK\r\nCac"),
            _ => assert_eq!(phone.raw.rest().await.len(), 33),
        }
        control.reset_faults().await.unwrap();
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn an_error_is_an_http_status_or_an_eas_status_of_the_version() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    control.set_faults(&[status(507)]).await.unwrap();
    assert_eq!(phone.sync(&key, "").await.status, 507);
    assert_eq!(phone.options().await.status, 507);
    let eas = Fault {
        eas_status: Some(113),
        ..Fault::new(FaultKind::Error)
    };
    control.set_faults(&[eas]).await.unwrap();
    assert_eq!(phone.sync(&key, "").await.statuses(), ["113"]);
    phone.version = "12.1";
    assert_eq!(
        phone.sync(&key, "").await.status,
        507,
        "MailboxQuotaExceeded"
    );
    mock.shutdown().await;
}

/// A fault that is set while a Ping is held ends it, where an answer or a cut can.
#[tokio::test]
async fn open_requests_meet_the_faults_that_are_set_meanwhile() {
    let mock = mock(|config| config.error_response_delay = Duration::from_millis(50)).await;
    let control = control(&mock);
    let retry = Fault {
        delay: Some(Duration::from_secs(7)),
        ..Fault::new(FaultKind::RetryAfter)
    };
    for (fault, expected) in [(status(500), 500), (retry, 503)] {
        let (mut phone, _) = Phone::ready(&mock, "load1").await;
        phone.send_ping(600).await;
        eventually("held", || async { held(&mock) == 1 }).await;
        control.set_faults(&[fault]).await.unwrap();
        let answer = phone.raw.answer().await;
        assert_eq!(answer.status, expected);
        let told = answer.header("Retry-After");
        assert_eq!(told, (expected == 503).then_some("7"));
        control.reset_faults().await.unwrap();
        // Of counts that are half a second old the next round would believe that its Ping is held.
        eventually("no longer held", || async { held(&mock) == 0 }).await;
    }
    let (mut phone, _) = Phone::ready(&mock, "load2").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    control
        .set_faults(&[Fault::new(FaultKind::StopPool)])
        .await
        .unwrap();
    assert!(phone.raw.rest().await.is_empty(), "held Pings are cut");
    control.reset_faults().await.unwrap();
    mock.shutdown().await;
}

/// A held Ping has met the faults of its beginning: a change that leaves them in place does not
/// strike it, and a new one does.
#[tokio::test]
async fn a_held_ping_is_not_struck_by_faults_that_stay() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    // It strikes the answers of Pings; this one has none yet.
    let reset = on("Ping", FaultKind::Reset);
    control
        .set_faults(std::slice::from_ref(&reset))
        .await
        .unwrap();
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let mut other = on("Sync", FaultKind::Error);
    other.status = Some(500);
    control.add_fault(&other).await.unwrap();
    phone.raw.nothing_for(Duration::from_millis(300)).await;
    assert_eq!(held(&mock), 1);
    let garbage = on("Ping", FaultKind::Garbage);
    control.add_fault(&garbage).await.unwrap();
    assert_eq!(phone.raw.rest().await.len(), 512);
    mock.shutdown().await;
}

#[tokio::test]
async fn what_happens_once_happens_when_the_fault_is_set_and_again_when_it_is_posted_again() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let once = |kind| {
        let control = control.clone();
        async move { control.add_fault(&Fault::new(kind)).await.unwrap() }
    };
    once(FaultKind::Unprovision).await;
    assert_eq!(phone.sync(&key, "").await.statuses(), ["143"]);
    phone.provision().await;
    once(FaultKind::Unprovision).await;
    assert_eq!(phone.sync(&key, "").await.statuses(), ["143"]);
    phone.provision().await;
    once(FaultKind::LoseSyncState).await;
    assert_eq!(phone.sync(&key, "").await.statuses(), ["3"]);
    let key = phone.prime().await;
    once(FaultKind::HierarchyChange).await;
    assert_eq!(phone.sync(&key, "").await.statuses(), ["12"]);
    let worker = mock.truth().workers[0].pid;
    once(FaultKind::KillWorker).await;
    eventually("another worker serves", || async {
        let truth = mock.truth();
        truth
            .workers
            .iter()
            .any(|one| one.state == "running" && one.pid != worker)
    })
    .await;
    mock.shutdown().await;
}

/// Those of the configuration too.
#[tokio::test]
async fn faults_given_at_the_start_happen() {
    let stopped = mock(|config| config.faults = vec![Fault::new(FaultKind::StopPool)]).await;
    let mut phone = Phone::new(&stopped, "load1").await;
    assert_eq!(phone.options().await.status, 503);
    control(&stopped).reset_faults().await.unwrap();
    let mut phone = Phone::new(&stopped, "load1").await;
    assert_eq!(phone.options().await.status, 200);
    stopped.shutdown().await;
}

#[tokio::test]
async fn scope_is_by_user_by_device_and_by_command() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let mut fault = status(500);
    fault.user = Some("load1".to_owned());
    fault.device = Some("ONE".to_owned());
    fault.command = Some("FolderSync".to_owned());
    control.set_faults(&[fault]).await.unwrap();
    let mut one = Phone::with_device(&mock, "load1", "ONE").await;
    let mut two = Phone::with_device(&mock, "load1", "TWO").await;
    let mut other = Phone::with_device(&mock, "load2", "ONE").await;
    assert_eq!(one.folder_sync("0").await.status, 500);
    assert_eq!(one.request("Sync", "").await.status, 200, "another command");
    assert_eq!(two.folder_sync("0").await.status, 200, "another device");
    assert_eq!(other.folder_sync("0").await.status, 200, "another user");
    mock.shutdown().await;
}

#[tokio::test]
async fn a_probability_strikes_a_share_and_a_seed_repeats_it() {
    const REQUESTS: usize = 200;
    let run = async |seed| {
        let mock = mock(|config| config.seed = seed).await;
        let mut fault = status(500);
        fault.probability = 0.3;
        control(&mock).set_faults(&[fault]).await.unwrap();
        let mut phone = Phone::new(&mock, "load1").await;
        let mut struck = Vec::new();
        for _ in 0..REQUESTS {
            struck.push(phone.options().await.status == 500);
        }
        mock.shutdown().await;
        struck
    };
    let first = run(7).await;
    let count = first.iter().filter(|struck| **struck).count();
    // Three tenths, within five standard deviations.
    assert!((28..=92).contains(&count), "{count} of {REQUESTS}");
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
}

#[tokio::test]
async fn a_struck_device_is_left_in_peace_also_when_faults_change() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let mut stable = on("FolderSync", FaultKind::Error);
    stable.status = Some(500);
    stable.stable = Duration::from_secs(600);
    control.set_faults(&[stable]).await.unwrap();
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.folder_sync("0").await.status, 500);
    assert_eq!(phone.folder_sync("0").await.status, 200);
    let latency = Fault {
        delay: Some(Duration::from_millis(120)),
        ..on("OPTIONS", FaultKind::Latency)
    };
    control.add_fault(&latency).await.unwrap();
    assert_eq!(phone.folder_sync("0").await.status, 200, "still in peace");
    let began = Instant::now();
    assert_eq!(phone.options().await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(120));
    let mut other = Phone::new(&mock, "load2").await;
    assert_eq!(other.folder_sync("0").await.status, 500, "another device");
    mock.shutdown().await;
}

#[tokio::test]
async fn values_that_would_hurt_the_mock_itself_are_refused() {
    let mock = mock(|_| {}).await;
    let mut endless = Fault::new(FaultKind::Garbage);
    endless.bytes = Some(u64::MAX);
    let refused = control(&mock).add_fault(&endless).await.unwrap_err();
    assert!(refused.to_string().contains("64 MiB"), "{refused}");
    // A line end in a location begins no header of its own.
    let mut forged = Fault::new(FaultKind::Redirect);
    forged.location = Some("https://x/\r\nX-Forged: 1".to_owned());
    control(&mock).set_faults(&[forged]).await.unwrap();
    let mut phone = Phone::new(&mock, "load1").await;
    let answer = phone.options().await;
    assert_eq!((answer.status, answer.header("X-Forged")), (451, None));
    mock.shutdown().await;
}

/// Mail that is accepted and never arrives, by both doors, and only for whom the fault is meant.
#[tokio::test]
async fn lost_mail_is_accepted_and_never_arrives() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let fault = Fault {
        user: Some("load1".to_owned()),
        ..Fault::new(FaultKind::LoseMail)
    };
    control.set_faults(&[fault]).await.unwrap();
    let mails = || async { control.truth().await.unwrap().mails };
    let to = |user: &str| mock_api::control::NewMail {
        to: vec![user.to_owned()],
        subject: "x".to_owned(),
        body: String::new(),
    };
    assert_eq!(control.mail(&to("load1")).await.unwrap().inboxes, 1);
    assert_eq!(mails().await, 0);
    assert_eq!(control.mail(&to("load2")).await.unwrap().inboxes, 1);
    assert_eq!(mails().await, 1);
    control.reset_faults().await.unwrap();
    control.mail(&to("load1")).await.unwrap();
    assert_eq!(mails().await, 2);
    mock.shutdown().await;
}
