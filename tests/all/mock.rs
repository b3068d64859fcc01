//! The mock over the network, with real worker processes.

use std::sync::Arc;
use std::time::Duration;

use eas::commands::*;
use eas::query::Query;
use eas::status::*;
use eas::{Command, ProtocolVersion};
use easload::observe::{SocketGroups, SocketTable};
use figures::Scope;
use mock_api::control::Truth;
use mock_api::{Fault, FaultKind, Topology};
use mock_server::{FrontDoor, StartError, WorkerLauncher};
use scenario::Format;

use crate::fixtures::{MockProgram, eventually, mock};

/// After so long a request has left, on a busy machine too.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A client that shares no code with the lean transport: reqwest.
struct Phone {
    client: reqwest::Client,
    url: String,
    user: String,
    version: &'static str,
    policy_key: Option<String>,
}

impl Phone {
    fn new(mock: &FrontDoor, user: &str) -> Self {
        let client = mock_client::plain_http()
            .pool_max_idle_per_host(1)
            .build()
            .unwrap();
        Self {
            client,
            url: mock.addresses().url.clone(),
            user: user.to_owned(),
            version: "14.1",
            policy_key: None,
        }
    }

    fn request(&self, command: Command, body: Vec<u8>) -> reqwest::RequestBuilder {
        let query = Query {
            user: Some(self.user.clone()),
            ..Query::new(command, format!("PHONE{}", self.user), "test".to_owned())
        };
        let mut request = self
            .client
            .post(format!("{}?{}", self.url, query.to_plain()))
            .basic_auth(&self.user, Some("secret"))
            .header("MS-ASProtocolVersion", self.version)
            .body(body);
        if let Some(key) = &self.policy_key {
            request = request.header("X-MS-PolicyKey", key);
        }
        request
    }

    async fn call(&self, command: Command, body: Vec<u8>) -> Vec<u8> {
        let answer = self.request(command, body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{command}");
        answer.bytes().await.unwrap().to_vec()
    }

    async fn provision(&mut self) {
        let device = DeviceInformation {
            model: "test".into(),
            ..DeviceInformation::default()
        };
        let ask = self
            .call(
                Command::Provision,
                ProvisionRequest::ask(ProtocolVersion::V14_1, Some(device))
                    .encode()
                    .unwrap(),
            )
            .await;
        let temporary = ProvisionAnswer::decode(&ask)
            .unwrap()
            .policy
            .unwrap()
            .key
            .unwrap()
            .into_owned();
        self.policy_key = Some(temporary.clone());
        let acknowledge = ProvisionRequest::acknowledge(ProtocolVersion::V14_1, temporary)
            .encode()
            .unwrap();
        let done = self.call(Command::Provision, acknowledge).await;
        let policy = ProvisionAnswer::decode(&done).unwrap().policy.unwrap();
        self.policy_key = policy.key.map(Into::into);
    }

    async fn folder_sync(&self, key: &str) -> Vec<u8> {
        self.call(
            Command::FolderSync,
            FolderSyncRequest {
                sync_key: key.into(),
            }
            .encode()
            .unwrap(),
        )
        .await
    }

    async fn sync(&self, key: &str) -> Vec<u8> {
        let collection = SyncCollection {
            sync_key: key.into(),
            id: "5".into(),
            ..SyncCollection::default()
        };
        let request = SyncRequest {
            collections: vec![collection],
            ..SyncRequest::default()
        };
        self.call(
            Command::Sync,
            request.encode(eas::ProtocolVersion::V14_1).unwrap(),
        )
        .await
    }

    /// Ready for a Ping; returns the Sync key.
    async fn start(&mut self) -> String {
        self.provision().await;
        self.folder_sync("0").await;
        let primed = self.sync("0").await;
        SyncAnswer::decode(&primed).unwrap().collections[0]
            .sync_key
            .to_string()
    }

    fn ping_body(heartbeat: i32) -> Vec<u8> {
        let folders = vec![PingFolder {
            id: "5".into(),
            class: Class::Email,
        }];
        PingRequest {
            heartbeat: Some(heartbeat),
            folders: Some(folders),
        }
        .encode()
        .unwrap()
    }

    async fn ping(&self, heartbeat: i32) -> Vec<u8> {
        self.call(Command::Ping, Self::ping_body(heartbeat)).await
    }
}

fn active(truth: &Truth) -> u64 {
    truth
        .workers
        .iter()
        .map(|worker| worker.counts.active)
        .sum()
}

fn stranded(truth: &Truth) -> u64 {
    truth
        .workers
        .iter()
        .map(|worker| worker.counts.stranded)
        .sum()
}

fn held(truth: &Truth) -> u64 {
    truth
        .workers
        .iter()
        .map(|worker| worker.counts.held_pings)
        .sum()
}

async fn post(mock: &FrontDoor, path: &str) -> reqwest::StatusCode {
    let url = format!("{}/{path}", mock.addresses().control);
    mock_client::plain_http()
        .build()
        .unwrap()
        .post(url)
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn a_phone_is_provisioned_synced_and_woken() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load0001");
    // Before provisioning: 142 in the body for 14.1, 449 for 12.1.
    let refused = phone.folder_sync("0").await;
    let status = FolderSyncAnswer::decode(&refused).unwrap().status;
    assert_eq!(status.code(), 142);
    phone.version = "12.1";
    let body = FolderSyncRequest {
        sync_key: "0".into(),
    }
    .encode()
    .unwrap();
    let old = phone
        .request(Command::FolderSync, body)
        .send()
        .await
        .unwrap();
    assert_eq!(old.status(), 449);
    phone.version = "14.1";

    let key = phone.start().await;
    assert!(
        phone.sync(&key).await.is_empty(),
        "nothing changed: an empty body"
    );
    let idle = PingAnswer::decode(&phone.ping(1).await).unwrap().status;
    assert_eq!(idle, PingStatus::Expired);

    // SendMail to oneself ends the Ping with the folder, and the item comes once.
    let other = Phone {
        policy_key: phone.policy_key.clone(),
        ..Phone::new(&mock, "load0001")
    };
    let waiting = tokio::spawn(async move { other.ping(600).await });
    eventually("a Ping is held", || async { held(&mock.truth()) == 1 }).await;
    let send = SendMailRequest {
        client_id: "m1".into(),
        save_in_sent: false,
        mime: b"To: <load0001@lab.example>\r\nSubject: hello\r\n\r\nbody\r\n"[..].into(),
    };
    assert!(
        phone
            .call(Command::SendMail, send.encode().unwrap())
            .await
            .is_empty()
    );
    let woken = waiting.await.unwrap();
    let woken = PingAnswer::decode(&woken).unwrap();
    assert_eq!(
        (woken.status, woken.folders[0].as_ref()),
        (PingStatus::Changes, "5")
    );
    let again = phone.call(Command::SendMail, send.encode().unwrap()).await;
    assert_eq!(
        SendMailAnswer::decode(&again).unwrap().failure,
        Some(GlobalStatus::MessagePreviouslySent)
    );

    let items = phone.sync(&key).await;
    let answer = SyncAnswer::decode(&items).unwrap();
    let Change::Add { data, .. } = &answer.collections[0].changes[0] else {
        panic!("{answer:?}")
    };
    let email = data.as_email().unwrap();
    assert_eq!(
        (email.subject.as_ref(), email.from.as_ref()),
        ("hello", "load0001@lab.example")
    );
    // A client that lost the answer repeats its key and gets the same again; a foreign key is 3.
    assert_eq!(phone.sync(&key).await, items);
    let wrong = phone.sync("987").await;
    assert_eq!(
        SyncAnswer::decode(&wrong).unwrap().collections[0].status,
        SyncStatus::InvalidSyncKey
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn refusal_that_comes_late_ends_with_its_client() {
    // No test waits so long.
    let mock = mock(|config| config.error_response_delay = Duration::from_secs(3600)).await;
    mock.set_faults(vec![Fault::new(FaultKind::RetryAfter)])
        .await;
    let phone = Phone::new(&mock, "load0001");
    let sync = phone.request(Command::Sync, Vec::new());
    let refused = tokio::spawn(sync.send());
    let active = || mock.truth().sum(|counts| counts.active);
    eventually("front end and back end have it", || async { active() == 2 }).await;
    refused.abort();
    eventually("both have ended it", || async { active() == 0 }).await;
    mock.shutdown().await;
}

#[tokio::test]
async fn refusals_are_those_of_the_specification() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load0001");
    let options = |user: &'static str, password: &'static str| {
        let request = phone
            .client
            .request(reqwest::Method::OPTIONS, phone.url.clone());
        request.basic_auth(user, Some(password)).send()
    };
    let refused = options("load0001", "wrong").await.unwrap();
    assert_eq!(refused.status(), 401);
    assert!(
        refused.headers().contains_key("www-authenticate")
            && refused.headers().contains_key("request-id")
    );
    assert!(
        !refused.headers().contains_key("ms-server-activesync"),
        "the front end refuses"
    );
    let good = options("LAB\\load0001", "secret").await.unwrap();
    assert_eq!(good.headers()["allow"], "OPTIONS,POST");
    assert!(
        good.headers()["ms-asprotocolversions"]
            .to_str()
            .unwrap()
            .contains("16.1")
    );

    phone.start().await;
    for (heartbeat, nearest) in [(-5, 1), (0, 1), (3541, 3540)] {
        let body = phone.ping(heartbeat).await;
        let answer = PingAnswer::decode(&body).unwrap();
        assert_eq!(
            (answer.status, answer.heartbeat),
            (PingStatus::HeartbeatOutOfRange, Some(nearest))
        );
    }
    let element = eas::wbxml::HEADER
        .iter()
        .copied()
        .chain([0x00, 0x0D, 0x05])
        .collect();
    let bare = phone.call(Command::Ping, element).await;
    assert_eq!(
        PingAnswer::decode(&bare).unwrap().status,
        PingStatus::SyntaxError
    );
    let stranger = Phone {
        policy_key: phone.policy_key.clone(),
        ..Phone::new(&mock, "load0002")
    };
    let fresh = stranger.call(Command::Ping, Vec::new()).await;
    assert_eq!(
        PingAnswer::decode(&fresh).unwrap().status,
        PingStatus::MissingParameters
    );
    let garbage = phone.call(Command::Ping, b"<html>".to_vec()).await;
    assert_eq!(PingAnswer::decode(&garbage).unwrap().status.code(), 102);
    let get = phone
        .client
        .get(&phone.url)
        .basic_auth("load0001", Some("secret"))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 501);
    let estimate = EstimateRequest {
        collections: vec![EstimateCollection {
            sync_key: "1".into(),
            id: "99".into(),
            class: None,
            filter: None,
            max_items: None,
        }],
    };
    let body = phone
        .call(
            Command::GetItemEstimate,
            estimate.encode(eas::ProtocolVersion::V14_1).unwrap(),
        )
        .await;
    assert_eq!(
        EstimateAnswer::decode(&body).unwrap().estimates[0].status,
        EstimateStatus::UnknownCollection
    );
    mock.shutdown().await;
}

fn scope(mock: &FrontDoor) -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: mock.addresses().listen.port(),
        back_end_port: mock.addresses().back_end.port(),
    }
}

/// What the harness reads of one of the mock's texts.
async fn read(mock: &FrontDoor, format: Format, path: &str) -> scenario::names::Gauges {
    let url = format!("{}{path}", mock.addresses().control);
    let text = mock_client::plain_http()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    figures::parse(format, &text, &scope(mock)).unwrap().gauges
}

async fn sampled(mock: &FrontDoor) -> scenario::names::Gauges {
    read(mock, Format::Exporter, "/metrics").await
}

/// Whatever the user has, the harness sees the same figures.
#[tokio::test]
async fn every_format_tells_the_harness_the_same() {
    let mock = mock(|config| config.faults = vec![Fault::strand(1.0)]).await;
    let mut phone = Phone::new(&mock, "load1");
    phone.start().await;
    let request = phone.request(Command::Ping, Phone::ping_body(600));
    let abandoned = tokio::time::timeout(UNDER_WAY, request.send()).await;
    assert!(abandoned.is_err(), "the Ping is held");
    eventually("the Ping is stranded", || async {
        stranded(&mock.truth()) == 1
    })
    .await;
    let exporter = sampled(&mock).await;
    eventually("perfmon has written a row since", || async {
        let perfmon = read(&mock, Format::Perfmon, "/perfmon").await;
        // Memory and handles move on; the others stand still.
        [
            "active_requests",
            "recycles",
            "queue",
            "pings_pending",
            "outstanding_proxy",
        ]
        .map(|name| format!("server.{name}"))
        .into_iter()
        .all(|name| perfmon[&name] == exporter[&name])
    })
    .await;
    for path in ["/netstat", "/netstat?images=true"] {
        let netstat = read(&mock, Format::Netstat, path).await;
        assert_eq!(netstat["tcp.outgoing.established"], 1.0);
        assert_eq!(
            netstat["server.tcp.established"],
            exporter["server.tcp.established"]
        );
    }
}

/// The fault, by real means: Active Requests, memory and a CLOSE_WAIT that `ss` shows, and all of
/// it gone with the process.
#[tokio::test]
async fn r11_a_recycle_releases_what_abandoned_pings_left() {
    const PINGS: u64 = 6;
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.back_end_idle_timeout = Duration::from_millis(500);
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(700);
        config.heap.per_stranded = 2 << 20;
    })
    .await;
    let addresses = mock.addresses();
    let sockets = SocketTable::new(
        mock_server::Machine::System,
        [SocketGroups {
            target: addresses.listen.port(),
            server_is_local: true,
            back_end: Some(addresses.back_end.port()),
            ipv6: false,
        }],
        Arc::default(),
    );
    let before = sampled(&mock).await;

    for number in 0..PINGS {
        let mut phone = Phone::new(&mock, &format!("load{number}"));
        phone.start().await;
        let request = phone.request(Command::Ping, Phone::ping_body(4));
        let abandoned = tokio::time::timeout(UNDER_WAY, request.send()).await;
        assert!(abandoned.is_err(), "the Ping is held");
    }
    eventually("every abandoned Ping is stranded", || async {
        stranded(&mock.truth()) == PINGS
    })
    .await;
    // The back end answers at the heartbeat and closes the idle connection; the worker does not.
    eventually("the outgoing sockets are in CLOSE_WAIT", || async {
        sockets.sample()["tcp.outgoing.close_wait"] == PINGS as f64
    })
    .await;
    eventually("only the proxy's half is still active", || async {
        active(&mock.truth()) == PINGS
    })
    .await;
    assert_eq!(
        sockets.sample()["tcp.server.close_wait"],
        0.0,
        "HTTP.sys ends its side on FIN"
    );
    let during = sampled(&mock).await;
    assert_eq!(during["server.active_requests"], PINGS as f64);
    let grown = during["server.private_bytes"] - before["server.private_bytes"];
    assert!(
        grown > 0.8 * (PINGS << 21) as f64,
        "the memory is real: {grown}"
    );

    // Healthy from here on: what is stranded stays so.
    mock.set_faults(Vec::new()).await;
    let old = mock.truth().workers[0].pid;
    mock.recycle().await.unwrap();
    let truth = mock.truth();
    assert_eq!(
        (truth.recycles, truth.workers.len()),
        (1, 2),
        "overlapped: both are there"
    );
    assert_ne!(truth.workers[0].pid, old);
    eventually("the old worker is killed at the limit", || async {
        let truth = mock.truth();
        truth.workers.len() == 1 && truth.shutdown_failures == 1
    })
    .await;
    assert_eq!(stranded(&mock.truth()), 0);
    eventually("its sockets are gone", || async {
        sockets.sample()["tcp.outgoing.close_wait"] == 0.0
    })
    .await;
    let after = sampled(&mock).await;
    assert!(
        after["server.private_bytes"] < during["server.private_bytes"] - 0.8 * (PINGS << 21) as f64
    );
    assert_eq!(after["server.recycles"], 1.0);
    mock.shutdown().await;
}

#[tokio::test]
async fn a_healthy_mock_strands_nothing() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1");
    phone.start().await;
    let request = phone.request(Command::Ping, Phone::ping_body(600));
    assert!(
        tokio::time::timeout(UNDER_WAY, request.send())
            .await
            .is_err()
    );
    eventually("the abandoned Ping ends on the server", || async {
        active(&mock.truth()) == 0
    })
    .await;
    assert_eq!(stranded(&mock.truth()), 0);
    mock.shutdown().await;
}

/// A recycle cuts exactly the Pings that outlast the limit; mailboxes and keys survive; idle
/// connections too.
#[tokio::test]
async fn a_recycle_drains_cuts_and_forgets_nothing() {
    let mock =
        mock(|config| config.pool.process_model.shutdown_time_limit = Duration::from_secs(6)).await;
    let (mut short, mut long, mut idle) = (
        Phone::new(&mock, "short"),
        Phone::new(&mock, "long"),
        Phone::new(&mock, "idle"),
    );
    short.start().await;
    long.start().await;
    let key = idle.start().await;
    let accepted = mock.truth().connections_accepted;
    let short_ping = tokio::spawn(async move { short.ping(4).await });
    let long_ping = tokio::spawn(async move {
        long.request(Command::Ping, Phone::ping_body(600))
            .send()
            .await
            .map(drop)
    });
    eventually("both are held", || async { held(&mock.truth()) == 2 }).await;
    mock.recycle().await.unwrap();
    let drained = short_ping.await.unwrap();
    assert_eq!(
        PingAnswer::decode(&drained).unwrap().status,
        PingStatus::Expired,
        "the old worker answers"
    );
    assert!(long_ping.await.unwrap().is_err(), "cut without an answer");
    assert_eq!(mock.truth().cut, 1);
    // The old key, over the old connection, at the new worker.
    assert!(idle.sync(&key).await.is_empty());
    assert_eq!(mock.truth().connections_accepted, accepted);
    mock.shutdown().await;
}

#[tokio::test]
async fn without_overlap_requests_wait_for_the_new_worker() {
    let mock = mock(|config| config.pool.recycling.disallow_overlapping_rotation = true).await;
    let mut phone = Phone::new(&mock, "load1");
    let key = phone.start().await;
    let (recycled, synced) = tokio::join!(mock.recycle(), phone.sync(&key));
    recycled.unwrap();
    assert!(synced.is_empty());
    assert_eq!(mock.truth().workers.len(), 1);
    mock.shutdown().await;
}

#[tokio::test]
async fn the_pool_recycles_by_time() {
    let mock = mock(|config| {
        config.pool.recycling.time = Duration::from_secs(1);
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    eventually("two recycles by age", || async {
        mock.truth().recycles >= 2
    })
    .await;
    mock.shutdown().await;
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_counted() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1");
    let key = phone.start().await;
    let old = mock.truth().workers[0].pid;
    assert_eq!(post(&mock, "kill-worker").await, 204);
    eventually("a new worker serves", || async {
        mock.truth()
            .workers
            .first()
            .is_some_and(|worker| worker.state == "running" && worker.pid != old)
    })
    .await;
    assert_eq!(mock.truth().failures, 1);
    assert!(phone.sync(&key).await.is_empty(), "keys survive a crash");
    mock.shutdown().await;
}

#[tokio::test]
async fn ports_of_the_outgoing_side_run_out() {
    let mock = mock(|config| {
        // Below those that the system hands out to whoever asks.
        config.ephemeral_ports = 29_900..=29_903;
        config.faults = vec![Fault::strand(1.0)];
    })
    .await;
    for number in 0..4 {
        let mut phone = Phone::new(&mock, &format!("load{number}"));
        phone.start().await;
        let ping = phone.request(Command::Ping, Phone::ping_body(600));
        assert!(tokio::time::timeout(UNDER_WAY, ping.send()).await.is_err());
        eventually("stranded", || async {
            stranded(&mock.truth()) == number + 1
        })
        .await;
    }
    let phone = Phone::new(&mock, "load9");
    let answer = phone
        .request(Command::FolderSync, Vec::new())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 502, "no port left: the proxy fails");
    mock.shutdown().await;
}

#[tokio::test]
async fn control_calls_with_wrong_values_are_refused() {
    let mock = mock(|_| {}).await;
    let url = |path: &str| format!("{}/{path}", mock.addresses().control);
    let client = mock_client::plain_http().build().unwrap();
    for (path, body) in [
        ("faults", "{\"fault\": \"strand\", \"probability\": 2}"),
        ("faults", "{\"fault\": \"starnd\"}"),
        ("faults", "{\"fault\": \"latency\", \"delay\": \"fast\"}"),
        ("faults", "{\"fault\": \"reset\", \"bytes\": 1}"),
        ("clock", "{\"advance\": \"-1h\"}"),
        ("mail", "{\"to\": [], \"subject\": \"x\", \"body\": \"\"}"),
        ("mail", "{}"),
    ] {
        let answer = client
            .post(url(path))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.status(),
            422,
            "{path} {body}: {:?}",
            answer.text().await
        );
    }
    let reset = client.delete(url("faults")).send().await.unwrap();
    assert_eq!(reset.json::<Vec<Fault>>().await.unwrap(), Vec::new());
    assert_eq!(
        client.get(url("health")).send().await.unwrap().status(),
        200
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let mock = mock(|_| {}).await;
    let taken = mock_api::MockConfig {
        listen: mock.addresses().listen,
        ..Default::default()
    };
    let error = FrontDoor::start(taken, crate::fixtures::worker_process())
        .await
        .err()
        .unwrap();
    assert!(
        matches!(&error, StartError::Listen { .. }) && error.to_string().contains("in use"),
        "{error}"
    );
    let nowhere = WorkerLauncher::Process {
        program: "/nowhere/worker".into(),
        arguments: Vec::new(),
    };
    let error = FrontDoor::start(Default::default(), nowhere)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("/nowhere/worker"), "{error}");
    let crashing = WorkerLauncher::Process {
        program: "false".into(),
        arguments: Vec::new(),
    };
    let error = FrontDoor::start(Default::default(), crashing)
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("ended before"), "{error}");
    let mut config = mock_api::MockConfig {
        topology: Topology::Direct,
        ..Default::default()
    };
    config.faults = vec![Fault::strand(7.0)];
    assert!(
        FrontDoor::start(config, crate::fixtures::worker_process())
            .await
            .is_err()
    );
    mock.shutdown().await;
}

/// Whatever happens to the parent, nothing is left behind.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn workers_end_with_a_front_door_that_is_killed() {
    use crate::fixtures::{children, is_alive};
    let mut mock = MockProgram::start(&[]);
    let workers = children(mock.child.id());
    assert_eq!(workers.len(), 1, "one worker process");
    // SIGKILL: the front door cannot clean up.
    mock.child.kill().unwrap();
    mock.child.wait().unwrap();
    eventually("the worker has ended", || async { !is_alive(workers[0]) }).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_program_stops_when_it_is_told_to() {
    use crate::fixtures::{children, is_alive};
    let mut mock = MockProgram::start(&[]);
    let workers = children(mock.child.id());
    let url = format!("{}/shutdown", mock.addresses.control);
    mock_client::plain_http()
        .build()
        .unwrap()
        .post(url)
        .send()
        .await
        .unwrap();
    let status =
        tokio::task::spawn_blocking(move || mock.child.wait().map(|status| (status, mock)));
    let (status, _mock) = status.await.unwrap().unwrap();
    assert!(status.success());
    assert!(!is_alive(workers[0]));
}

/// A call that is under way when the mock is to end, as the call that ends it always is, gets its answer.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn calls_under_way_are_answered_before_the_mock_ends() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    let mut mock = MockProgram::start(&[]);
    let control = mock.addresses.control.clone();
    let address = control.strip_prefix("http://").unwrap().to_owned();
    let mut caller = TcpStream::connect(&address).await.unwrap();
    let body = "[]";
    let head = format!(
        "PUT /faults HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    // The mock asks for the body, so the call is under way.
    let mut buffer = [0; 1024];
    let count = caller.read(&mut buffer).await.unwrap();
    assert!(buffer[..count].starts_with(b"HTTP/1.1 100"));
    let client = mock_client::plain_http().build().unwrap();
    let ended = client.post(format!("{control}/shutdown")).send().await;
    assert_eq!(ended.unwrap().status(), 204);
    eventually("the mock takes no further calls", || async {
        TcpStream::connect(&address).await.is_err()
    })
    .await;
    caller.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    let status = tokio::task::spawn_blocking(move || mock.child.wait());
    assert!(status.await.unwrap().unwrap().success());
}

/// As a service in continuous integration: started in the background, found by its file, ended by a
/// signal.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_file_appears_when_the_mock_serves_and_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.json");
    // A mock that was killed left it behind.
    std::fs::write(&path, "stale").unwrap();
    let mut child = std::process::Command::new(crate::fixtures::program())
        .args([
            "mock",
            "--listen",
            "127.0.0.1:0",
            "--control",
            "127.0.0.1:0",
        ])
        .arg("--port-file")
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the file", || async {
        std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with('{'))
    })
    .await;
    let addresses: mock_server::Addresses =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let client = mock_client::plain_http().build().unwrap();
    let health = client.get(format!("{}/health", addresses.control)).send();
    assert_eq!(health.await.unwrap().status(), 200, "it serves by then");
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(!path.exists());
    use std::io::Read as _;
    let mut told = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(
        told.contains("pool life in real time (time_scale 1)"),
        "{told}"
    );
    assert!(told.contains("assumed  how a Ping strands"), "{told}");
    assert!(
        told.contains("MSExchangeSyncAppPool: nothing recycles it; shutdownTimeLimit 1m30s"),
        "{told}"
    );
}

/// All mistakes of the options and files of `easload mock` are told before it listens.
#[test]
fn what_the_mock_cannot_use_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let only_mock = write("mock.toml", "[mock]\nservrs = 2\ntls = 1\n");
    let config = write(
        "applicationHost.config",
        "<configuration><system.applicationHost><applicationPools>\n\
         <add name=\"DefaultAppPool\" />\n\
         </applicationPools></system.applicationHost></configuration>",
    );
    let broken = write("broken.config", "<configuration>\n<oops\n");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(crate::fixtures::program())
            .args([
                "mock",
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = run(&["--scenario", &only_mock]);
    assert!(
        told.contains("mock.toml:2") && told.contains("did you mean `servers`?"),
        "{told}"
    );
    assert!(told.contains("mock.tls: expected true or false"), "{told}");
    let told = run(&["--pool-config", &config]);
    assert!(
        told.contains("MSExchangeSyncAppPool") && told.contains("DefaultAppPool"),
        "{told}"
    );
    let told = run(&["--pool-config", &broken]);
    assert!(told.contains("broken.config:"), "{told}");
    let told = run(&["--pool-config", "/nowhere/x.config"]);
    assert!(told.contains("/nowhere/x.config"), "{told}");
    let told = run(&["--certificate", &config]);
    assert!(told.contains("--key"), "{told}");
    let told = run(&["--certificate", &config, "--key", &config]);
    assert!(told.contains("certificate"), "{told}");
    let told = run(&["--time-scale", "0"]);
    assert!(told.contains("time_scale: expected 0.001"), "{told}");
    let told = run(&["--servers", "65"]);
    assert!(told.contains("servers: expected 1 to 64"), "{told}");
    let told = run(&["--port-file", "/nowhere/mock.json"]);
    assert!(told.contains("cannot write /nowhere/mock.json"), "{told}");
    let told = run(&["--strand", "2"]);
    assert!(told.contains("between 0 and 1"), "{told}");
    let told = run(&["--strand", "0.5", "--fixed"]);
    assert!(told.contains("cannot be used with '--fixed'"), "{told}");
    let told = run(&["--bearer-token", ""]);
    assert!(told.contains("bearer_token: expected a text"), "{told}");
    let told = run(&["--pool", "OtherPool"]);
    assert!(told.contains("--pool-config"), "{told}");
    let fault = write(
        "fault.toml",
        "[mock]\n[[mock.fault]]\nfault = \"latency\"\n",
    );
    let told = run(&["--scenario", &fault]);
    assert!(
        told.contains("needs `delay`") && told.contains("1 mistake\n"),
        "{told}"
    );
}

/// Everything that can be told by options reaches the mock.
#[tokio::test]
async fn options_of_the_mock_take_effect() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/iis/tests/data/exchange2016-applicationHost.config"
    );
    let mock = MockProgram::start(&[
        "--servers",
        "2",
        "--time-scale",
        "60",
        "--bearer-token",
        "token",
        "--pool-config",
        config,
        "--fixed",
        "--logs",
        logs.to_str().unwrap(),
    ]);
    assert_eq!(mock.addresses.servers.len(), 2);
    assert_eq!(mock.addresses.time_scale, 60.0);
    let client = mock_client::plain_http().build().unwrap();
    for server in &mock.addresses.servers {
        let request = client.request(reqwest::Method::OPTIONS, &server.url);
        let answer = request.bearer_auth("load1.token").send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let written = std::fs::read_to_string(logs.join("iis-2.log")).unwrap();
    assert!(
        written.contains("OPTIONS /Microsoft-Server-ActiveSync"),
        "{written}"
    );
}

/// Without descriptors the mock accepts nobody, says so, and goes on when some come back.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_mock_without_descriptors_survives() {
    use std::io::Read as _;
    let program = crate::fixtures::program();
    let mut child = std::process::Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(&program)
        .args(["mock", "--json", "--topology", "direct"])
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let addresses: mock_server::Addresses = serde_json::from_str(&line).unwrap();
    let mut connections = Vec::new();
    for _ in 0..120 {
        connections.push(
            tokio::net::TcpStream::connect(addresses.listen)
                .await
                .unwrap(),
        );
    }
    // More wait in the backlog than were accepted; the mock tries again all the while.
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(connections);
    let client = mock_client::plain_http().build().unwrap();
    eventually("it serves again", || async {
        let request = client.request(reqwest::Method::OPTIONS, &addresses.url);
        let answer = request.basic_auth("load1", Some("secret")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let url = format!("{}/shutdown", addresses.control);
    client.post(url).send().await.unwrap();
    assert!(child.wait().unwrap().success());
    let mut told = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    // It tried again ten times a second, and told only when one had been accepted in between.
    let count = told.matches("cannot accept a connection").count();
    assert!((1..=30).contains(&count), "{told}");
}
