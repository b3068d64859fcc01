//! Recycling, rapid-fail protection, pinging (mock-fidelity section 7).

use std::time::Duration;

use iis::{PoolSettings, RecycleReason, RecycleReasons};
use mock_api::{Fault, MockConfig};
use mock_client::Control;
use mock_server::FrontDoor;
use tokio::time::{Instant, timeout};

use super::phone::Phone;
use super::raw::{Raw, control, held};
use crate::fixtures::{eventually, mock};

const DAY: Duration = Duration::from_secs(86_400);

async fn pool(change: impl FnOnce(&mut PoolSettings)) -> FrontDoor {
    mock(|config| {
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(300);
        change(&mut config.pool);
    })
    .await
}

async fn recycled(mock: &FrontDoor, times: u64) {
    eventually("the pool is recycled", || async {
        mock.truth().recycles == times
    })
    .await;
}

async fn events(mock: &FrontDoor) -> String {
    let control = Control::new(&mock.addresses().control).unwrap();
    control.events().await.unwrap()
}

/// Some ticks of the policy, in which something that must not happen would.
async fn policy_looks() {
    tokio::time::sleep(Duration::from_millis(400)).await;
}

fn only_worker(mock: &FrontDoor) -> u32 {
    mock.truth().workers[0].pid
}

#[tokio::test]
async fn r1_the_shipped_pool_never_recycles_by_itself() {
    let mock = mock(|_| {}).await;
    mock.advance_clock(60 * DAY);
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 0);
    mock.shutdown().await;
}

#[tokio::test]
async fn r2_requests_recycle_the_worker_that_served_them() {
    let mock = pool(|pool| pool.recycling.requests = 10).await;
    let mut phone = Phone::new(&mock, "load1").await;
    // Front end and back end count one request each.
    for _ in 0..4 {
        phone.options().await;
    }
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 0, "8 requests");
    phone.options().await;
    recycled(&mock, 1).await;
    assert!(events(&mock).await.contains("\t5075\t"));
    mock.shutdown().await;
}

#[tokio::test]
async fn r2_memory_limits_are_in_kilobytes() {
    let quiet = pool(|pool| pool.recycling.private_memory_kb = 4 << 20).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(quiet.truth().recycles, 0, "4 GiB are not reached");
    quiet.shutdown().await;
    let private = pool(|pool| pool.recycling.private_memory_kb = 100).await;
    eventually("100 kB are", || async { private.truth().recycles > 0 }).await;
    assert!(events(&private).await.contains("\t5117\t"));
    private.shutdown().await;
    let virtual_memory = pool(|pool| pool.recycling.memory_kb = 1000).await;
    eventually("virtual memory", || async {
        virtual_memory.truth().recycles > 0
    })
    .await;
    assert!(events(&virtual_memory).await.contains("\t5077\t"));
    virtual_memory.shutdown().await;
}

#[tokio::test]
async fn r2_a_configuration_change_recycles_unless_disallowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("applicationHost.config");
    let write = |attribute: &str, time: &str| {
        let text = format!(
            "\u{feff}<configuration><system.applicationHost><applicationPools>\
             <add name=\"msexchangesyncapppool\"><processModel idleTimeout=\"00:00:00\" />\
             <recycling {attribute}>\
             <periodicRestart time=\"{time}\" /></recycling></add>\
             </applicationPools></system.applicationHost></configuration>"
        );
        std::fs::write(&path, text).unwrap();
    };
    write("", "00:00:00");
    let mock = mock(|config| {
        let bytes = std::fs::read(&path).unwrap();
        config.pool = iis::read_pool("test", &bytes, iis::SYNC_POOL)
            .unwrap()
            .settings;
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(300);
        config.pool_file = Some(path.clone());
    })
    .await;
    write("disallowRotationOnConfigChange=\"true\"", "1.00:00:00");
    recycled(&mock, 1).await;
    assert!(events(&mock).await.contains("\t5080\t"));
    // A broken file changes nothing; the next good one does, but now without a recycle.
    std::fs::write(&path, "<configuration").unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    write("disallowRotationOnConfigChange=\"true\"", "2.00:00:00");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(mock.truth().recycles, 1);
    // The new time holds: a day is not enough any more, two are.
    mock.advance_clock(DAY + DAY / 2);
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 1);
    mock.advance_clock(DAY);
    recycled(&mock, 2).await;
    mock.shutdown().await;
}

#[tokio::test]
async fn r3_a4_time_counts_from_the_start_of_the_worker_and_begins_again() {
    let mock = pool(|pool| pool.recycling.time = DAY).await;
    mock.advance_clock(DAY / 2);
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 0);
    mock.advance_clock(DAY / 2);
    recycled(&mock, 1).await;
    mock.advance_clock(DAY / 2);
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 1, "half a day after the recycle");
    mock.advance_clock(DAY / 2);
    recycled(&mock, 2).await;
    mock.shutdown().await;
}

fn scheduled(times: &[&str], start: &str, zone: &str) -> impl FnOnce(&mut MockConfig) {
    let times: Vec<jiff::civil::Time> = times.iter().map(|time| time.parse().unwrap()).collect();
    let (start, zone) = (start.to_owned(), zone.to_owned());
    move |config| {
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(300);
        config.pool.recycling.schedule = times;
        config.clock_start = Some(start);
        config.time_zone = Some(zone);
    }
}

#[tokio::test]
async fn r3_a5_the_schedule_is_local_time_also_on_the_days_the_clock_changes() {
    // Berlin, 25 October 2026: 02:30 comes twice, and counts once.
    let autumn = mock(scheduled(
        &["02:30:00"],
        "2026-10-25T01:59:00",
        "Europe/Berlin",
    ))
    .await;
    autumn.advance_clock(Duration::from_secs(30 * 60));
    policy_looks().await;
    assert_eq!(autumn.truth().recycles, 0, "02:29");
    autumn.advance_clock(Duration::from_secs(2 * 60));
    recycled(&autumn, 1).await;
    autumn.advance_clock(Duration::from_secs(3 * 3600));
    policy_looks().await;
    assert_eq!(
        autumn.truth().recycles,
        1,
        "the second 02:30 does not count"
    );
    assert!(events(&autumn).await.contains("\t5076\t"));
    autumn.shutdown().await;
    // 29 March 2026: 02:30 does not exist, and is kept an hour later.
    let spring = mock(scheduled(
        &["02:30:00"],
        "2026-03-29T01:59:00",
        "Europe/Berlin",
    ))
    .await;
    spring.advance_clock(Duration::from_secs(10 * 60));
    policy_looks().await;
    assert_eq!(spring.truth().recycles, 0, "03:09, as it jumps from 02:00");
    spring.advance_clock(Duration::from_secs(25 * 60));
    recycled(&spring, 1).await;
    spring.shutdown().await;
}

#[tokio::test]
async fn r4_only_reasons_in_log_event_on_recycle_are_written() {
    let mock = pool(|pool| {
        let reasons = [RecycleReason::Time, RecycleReason::Requests];
        pool.recycling.log_event_on_recycle = RecycleReasons::from_iter(reasons);
        pool.recycling.time = DAY;
    })
    .await;
    mock.recycle().await.unwrap();
    mock.advance_clock(DAY);
    recycled(&mock, 2).await;
    let events = events(&mock).await;
    assert!(events.contains("\tSystem\tInformation\tMicrosoft-Windows-WAS\t5074\t"));
    assert!(!events.contains("\t5079\t"), "{events}");
    mock.shutdown().await;
}

#[tokio::test]
async fn l5_r5_r6_r7_a6_overlap_then_drain_then_the_limit() {
    const LIMIT: Duration = Duration::from_secs(3);
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.pool.process_model.shutdown_time_limit = LIMIT;
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    drop(phone);
    eventually("stranded", || async {
        mock.truth().sum(|counts| counts.stranded) == 1
    })
    .await;
    let old = only_worker(&mock);
    let began = Instant::now();
    mock.recycle().await.unwrap();
    let truth = mock.truth();
    assert_eq!(
        (truth.workers.len(), truth.created, truth.recycles),
        (2, 2, 1)
    );
    let metrics = Control::new(&mock.addresses().control).unwrap();
    let text = metrics.metrics().await.unwrap();
    let instances = text
        .lines()
        .filter(|line| line.starts_with("windows_iis_worker_current_requests{"));
    assert_eq!(instances.count(), 2, "one series for each process");
    eventually("the old worker is gone", || async {
        mock.truth().workers.iter().all(|worker| worker.pid != old)
    })
    .await;
    let took = began.elapsed();
    // A stranded Ping makes every drain last the whole limit, and none lasts longer.
    assert!(took >= LIMIT && took < LIMIT * 3, "{took:?}");
    assert!(events(&mock).await.contains("\t5013\t"));
    assert_eq!(mock.truth().shutdown_failures, 1);
    mock.shutdown().await;
}

#[tokio::test]
async fn l1_r8_r9_a_cut_ping_gets_no_answer_and_idle_connections_survive() {
    let mock = pool(|_| {}).await;
    let (mut cut, _) = Phone::ready(&mock, "load1").await;
    let (mut idle, key) = Phone::ready(&mock, "load2").await;
    cut.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    mock.recycle().await.unwrap();
    assert!(cut.raw.rest().await.is_empty(), "closed without a byte");
    assert_eq!(mock.truth().cut, 1);
    let log = control(&mock, "GET", "httperr", "").await;
    let log = String::from_utf8(log.body).unwrap();
    assert!(
        log.contains(" 1 Connection_Abandoned_By_AppPool MSExchangeSyncAppPool"),
        "{log}"
    );
    // The same connection, the same key, another worker.
    idle.sync(&key, "").await.assert_empty();
    mock.shutdown().await;
}

#[tokio::test]
async fn r10_without_overlap_requests_wait_in_a_queue_that_can_be_full() {
    let mock = pool(|pool| {
        pool.recycling.disallow_overlapping_rotation = true;
        pool.process_model.shutdown_time_limit = Duration::from_secs(5);
        pool.queue_length = 10;
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let recycle = mock.recycle();
    let herd = async {
        eventually("draining", || async {
            mock.truth().workers[0].state == "draining"
        })
        .await;
        let mut clients = Vec::new();
        for number in 0..10 {
            let mut client = Phone::new(&mock, &format!("load{number}")).await;
            client.send("FolderSync", super::phone::FOLDER_SYNC_0).await;
            clients.push(client);
        }
        eventually("ten wait", || async { mock.truth().queued == 10 }).await;
        let mut refused = Phone::new(&mock, "load99").await;
        let answer = refused
            .request("FolderSync", super::phone::FOLDER_SYNC_0)
            .await;
        assert_eq!((answer.status, answer.body.len()), (503, 326));
        assert_eq!(mock.truth().rejected, 1);
        for mut client in clients {
            assert_eq!(
                client.raw.answer().await.status,
                200,
                "the new worker answers"
            );
        }
    };
    let (recycled, ()) = tokio::join!(recycle, herd);
    recycled.unwrap();
    mock.shutdown().await;
}

#[tokio::test]
async fn r13_the_first_requests_after_a_start_are_slow() {
    let mock = mock(|config| config.warm_up = Duration::from_secs(3)).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.options().await;
    mock.recycle().await.unwrap();
    let began = Instant::now();
    phone.options().await;
    let first = began.elapsed();
    let began = Instant::now();
    phone.options().await;
    let second = began.elapsed();
    assert!(first > Duration::from_secs(1), "{first:?}");
    assert!(second < first / 2, "{second:?} after {first:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn r14_r15_a7_keys_cached_pings_and_the_cookie_survive() {
    let mock = pool(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    assert_eq!(phone.ping(1).await.statuses(), ["1"]);
    mock.recycle().await.unwrap();
    phone.extra = "Cookie: X-BackEndCookie=MOCK01\r\n";
    // The policy key and the Sync key are good, and the Ping without parameters is cached.
    phone.sync(&key, "").await.assert_empty();
    assert_eq!(phone.request("Ping", "").await.statuses(), ["1"]);
    mock.shutdown().await;
}

async fn crash(mock: &FrontDoor, times: usize) {
    for _ in 0..times {
        // The last one's successor, which is not there at once.
        eventually("a worker runs", || async {
            let workers = mock.truth().workers;
            workers.iter().any(|one| one.state == "running")
        })
        .await;
        let failures = mock.truth().failures;
        assert_eq!(control(mock, "POST", "kill-worker", "").await.status, 204);
        // The pool's clock may be moved next, and the crash belongs to the time before.
        eventually("noticed", || async { mock.truth().failures > failures }).await;
    }
}

#[tokio::test]
async fn r16_rapid_fail_protection_is_off_as_shipped_and_disables_where_it_is_on() {
    let shipped = mock(|_| {}).await;
    crash(&shipped, 6).await;
    eventually("it serves", || async {
        shipped
            .truth()
            .workers
            .iter()
            .any(|one| one.state == "running")
    })
    .await;
    assert_eq!(shipped.truth().pools, ["running"]);
    shipped.shutdown().await;

    let protected = pool(|pool| pool.failure.rapid_fail_protection = true).await;
    crash(&protected, 4).await;
    // Outside the interval of five minutes old crashes do not count.
    protected.advance_clock(Duration::from_secs(301));
    crash(&protected, 5).await;
    eventually("disabled", || async {
        protected.truth().pools == ["disabled"]
    })
    .await;
    assert!(events(&protected).await.contains("\t5002\t"));
    let mut phone = Phone::new(&protected, "load1").await;
    assert_eq!(phone.options().await.status, 503);
    control(&protected, "POST", "pool/start", "").await;
    let mut phone = Phone::new(&protected, "load1").await;
    assert_eq!(phone.options().await.status, 200);
    protected.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn r17_a_hung_worker_is_noticed_only_where_pinging_is_on() {
    let stop = |pid: u32| {
        let done = std::process::Command::new("kill")
            .args(["-STOP", &pid.to_string()])
            .status();
        assert!(done.unwrap().success());
    };
    let set = |pool: &mut PoolSettings, enabled, response_time| {
        pool.process_model.pinging_enabled = enabled;
        pool.process_model.ping_interval = Duration::from_millis(200);
        pool.process_model.ping_response_time = response_time;
    };
    let shipped = pool(|pool| set(pool, false, Duration::from_millis(300))).await;
    let hung = only_worker(&shipped);
    stop(hung);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(only_worker(&shipped), hung);
    shipped.shutdown().await;
    // Long enough for a worker that is only slow.
    let pinged = pool(|pool| set(pool, true, Duration::from_secs(3))).await;
    let hung = only_worker(&pinged);
    stop(hung);
    eventually("another worker serves", || async {
        let truth = pinged.truth();
        truth
            .workers
            .iter()
            .any(|one| one.state == "running" && one.pid != hung)
    })
    .await;
    assert_eq!(pinged.truth().ping_failures, 1);
    assert!(events(&pinged).await.contains("\t5010\t"));
    pinged.shutdown().await;
}

#[tokio::test]
async fn r18_several_triggers_at_once_recycle_a_worker_once() {
    let mock = pool(|pool| {
        pool.recycling.time = DAY;
        pool.recycling.requests = 4;
    })
    .await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.options().await;
    mock.advance_clock(DAY);
    phone.options().await;
    recycled(&mock, 1).await;
    policy_looks().await;
    assert_eq!(mock.truth().recycles, 1);
    mock.shutdown().await;
}

#[tokio::test]
async fn r19_a_stopped_pool_refuses_at_once() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    control(&mock, "POST", "pool/stop", "").await;
    assert!(phone.raw.rest().await.is_empty(), "held Pings are cut");
    let mut other = Phone::new(&mock, "load2").await;
    let began = Instant::now();
    assert_eq!(other.options().await.status, 503);
    assert!(began.elapsed() < Duration::from_secs(5));
    mock.shutdown().await;
}

#[tokio::test]
async fn r20_servers_recycle_one_after_the_other() {
    let mock = mock(|config| {
        config.servers = 2;
        config.schedule_shift = DAY / 4;
        config.pool.recycling.time = DAY;
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    assert_eq!(mock.addresses().servers.len(), 2);
    let pid = |server: usize| {
        let truth = mock.truth();
        let of_server = truth.workers.iter().find(|one| one.server == server);
        of_server.map(|one| one.pid)
    };
    let before = (pid(1), pid(2));
    mock.advance_clock(DAY);
    recycled(&mock, 1).await;
    eventually("the first server", || async { pid(1) != before.0 }).await;
    assert_eq!(pid(2), before.1);
    mock.advance_clock(DAY / 4);
    recycled(&mock, 2).await;
    eventually("the second, six hours later", || async {
        pid(2) != before.1
    })
    .await;
    // Both serve the same mailboxes.
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    phone.raw = Raw::connect(mock.addresses().servers[1].listen).await;
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn an_idle_pool_ends_its_worker_and_a_request_starts_one() {
    let mock = pool(|pool| pool.process_model.idle_timeout = Duration::from_secs(1200)).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.options().await;
    mock.advance_clock(Duration::from_secs(1100));
    policy_looks().await;
    assert_eq!(mock.truth().workers.len(), 1);
    mock.advance_clock(Duration::from_secs(200));
    eventually("no worker", || async { mock.truth().workers.is_empty() }).await;
    assert!(events(&mock).await.contains("\t5186\t"));
    assert_eq!(mock.truth().failures, 0);
    let answer = timeout(Duration::from_secs(60), phone.options()).await;
    assert_eq!(answer.unwrap().status, 200);
    assert_eq!(mock.truth().created, 2);
    mock.shutdown().await;

    let always = pool(|pool| {
        pool.process_model.idle_timeout = Duration::from_secs(1200);
        pool.start_mode = iis::StartMode::AlwaysRunning;
    })
    .await;
    always.advance_clock(DAY);
    policy_looks().await;
    assert_eq!(always.truth().workers.len(), 1);
    always.shutdown().await;
}

/// R5: the new process answers as soon as it is there, and the old one no more.
#[tokio::test]
async fn r5_the_new_worker_answers_while_the_old_one_drains() {
    let mock = mock(|_| {}).await;
    let (mut held_phone, _) = Phone::ready(&mock, "load1").await;
    held_phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let mut phone = Phone::new(&mock, "load2").await;
    let worker = async |phone: &mut Phone| {
        let answer = phone.options().await;
        answer.header("X-Mock-Worker").unwrap().to_owned()
    };
    assert_eq!(worker(&mut phone).await, "1");
    mock.recycle().await.unwrap();
    assert_eq!(mock.truth().workers.len(), 2);
    for _ in 0..5 {
        assert_eq!(worker(&mut phone).await, "2");
    }
    assert!(events(&mock).await.contains("\t5079\t"), "OnDemand");
    mock.shutdown().await;
}

/// R12: every device whose Ping was cut comes back at once, and the new worker collects for it.
#[tokio::test]
async fn r12_a_herd_of_cut_devices_comes_back_with_collections_and_time_wait() {
    const HERD: u64 = 40;
    let mock = mock(|config| {
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
        config.heap.per_request = 1 << 20;
        config.heap.budget = 16 << 20;
    })
    .await;
    let mut phones = Vec::new();
    for number in 0..HERD {
        let (mut phone, _) = Phone::ready(&mock, &format!("load{number}")).await;
        phone.send_ping(600).await;
        phones.push(phone);
    }
    eventually("held", || async { held(&mock) == HERD }).await;
    mock.recycle().await.unwrap();
    for phone in &mut phones {
        assert!(phone.raw.rest().await.is_empty(), "cut");
    }
    assert_eq!(mock.truth().cut, HERD);
    // Until it has ended, the old worker is listed with what it held.
    eventually("the old worker has ended", || async {
        mock.truth().workers.len() == 1
    })
    .await;
    let control = Control::new(&mock.addresses().control).unwrap();
    let time_wait = |text: &str| text.matches("TIME_WAIT").count() as u64;
    let accepted = mock.truth().connections_accepted;
    for phone in &mut phones {
        phone.raw = Raw::connect(mock.addresses().listen).await;
        phone.send_ping(600).await;
    }
    eventually("all are held again", || async { held(&mock) == HERD }).await;
    let truth = mock.truth();
    assert_eq!(truth.connections_accepted, accepted + HERD);
    eventually("the herd's requests set off collections", || async {
        mock.truth().sum(|counts| counts.collections) > 0
    })
    .await;
    // The server closed first, so its ends of the cut connections linger.
    let netstat = control.netstat(false).await.unwrap();
    assert!(time_wait(&netstat) >= HERD / 2, "{netstat}");
    mock.shutdown().await;
}

/// A crash under load is replaced once, whoever notices it first.
#[tokio::test]
async fn l5_a_crashed_worker_is_replaced_by_one() {
    let mock = mock(|_| {}).await;
    for round in 1..=3 {
        let asking: Vec<_> = (0..20)
            .map(|number| {
                let address = mock.addresses().listen;
                tokio::spawn(async move {
                    let mut raw = Raw::connect(address).await;
                    let authorization = super::raw::basic(&format!("load{number}"), "secret");
                    for _ in 0..10 {
                        let path = super::raw::PATH;
                        let head =
                            format!("OPTIONS {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n");
                        raw.send(head.as_bytes()).await;
                        // Those of the dying worker are cut.
                        if raw.rest_or_answer().await.is_none() {
                            raw = Raw::connect(address).await;
                        }
                    }
                })
            })
            .collect();
        crash(&mock, 1).await;
        for one in asking {
            one.await.unwrap();
        }
        eventually("one serves", || async {
            let truth = mock.truth();
            truth.workers.len() == 1 && truth.workers[0].state == "running"
        })
        .await;
        assert_eq!(mock.truth().created, 1 + round);
    }
    mock.shutdown().await;
}

/// `maxProcesses`: a web garden, which gets a crashed worker back, and follows a changed setting.
#[tokio::test]
async fn a_web_garden_keeps_its_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("applicationHost.config");
    let write = |count: u32| {
        let text = format!(
            r#"<configuration><system.applicationHost><applicationPools>
               <add name="MSExchangeSyncAppPool"><processModel maxProcesses="{count}"
               shutdownTimeLimit="00:00:01" idleTimeout="00:00:00" pingingEnabled="false"/></add>
               </applicationPools></system.applicationHost></configuration>"#
        );
        std::fs::write(&path, text).unwrap();
    };
    write(2);
    let bytes = std::fs::read(&path).unwrap();
    let settings = iis::read_pool("file", &bytes, iis::SYNC_POOL)
        .unwrap()
        .settings;
    let mock = mock(|config| {
        config.pool = settings;
        config.pool_file = Some(path.clone());
    })
    .await;
    let running = || {
        let truth = mock.truth();
        truth
            .workers
            .iter()
            .filter(|worker| worker.state == "running")
            .count()
    };
    assert_eq!(running(), 2);
    // Requests go to both.
    let mut workers = std::collections::BTreeSet::new();
    let mut phone = Phone::new(&mock, "load1").await;
    for _ in 0..8 {
        let answer = phone.options().await;
        workers.insert(answer.header("X-Mock-Worker").unwrap().to_owned());
    }
    assert_eq!(workers.len(), 2, "{workers:?}");
    assert_eq!(control(&mock, "POST", "kill-worker", "").await.status, 204);
    eventually("it is replaced", || async {
        running() == 2 && mock.truth().created == 3
    })
    .await;
    write(3);
    eventually("three, after the change of the configuration", || async {
        running() == 3
    })
    .await;
    mock.shutdown().await;
}

/// `startupTimeLimit`: a worker that is not ready in time is killed, and the old one goes on. The
/// reason still holds then, and is not acted on at every look.
#[cfg(unix)]
#[tokio::test]
async fn a_new_worker_that_does_not_come_leaves_the_old_one_serving() {
    let folder = tempfile::tempdir().unwrap();
    let (script, flag) = (folder.path().join("worker"), folder.path().join("hang"));
    let mock = scripted_mock(&script, &flag, "exec sleep 60", |config| {
        config.pool.process_model.startup_time_limit = Duration::from_secs(5);
        config.pool.recycling.time = DAY;
    })
    .await;
    let old = only_worker(&mock);
    std::fs::write(&flag, "").unwrap();
    let error = mock.recycle().await.unwrap_err().to_string();
    assert!(error.contains("startupTimeLimit"), "{error}");
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.options().await.status, 200, "the old one serves");
    let log = events(&mock).await;
    assert!(log.contains("\t5093\t"), "{log}");
    mock.advance_clock(DAY);
    eventually("tried", || async { mock.truth().startup_failures >= 2 }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let truth = mock.truth();
    assert_eq!((truth.startup_failures, truth.recycles), (2, 0));
    assert_eq!(only_worker(&mock), old);
    mock.shutdown().await;
}

/// Rapid-fail protection against a worker that crashes at its start.
#[cfg(unix)]
#[tokio::test]
async fn r16_workers_that_crash_at_their_start_disable_the_pool() {
    let folder = tempfile::tempdir().unwrap();
    let (script, flag) = (folder.path().join("worker"), folder.path().join("crash"));
    let mock = scripted_mock(&script, &flag, "exit 3", |config| {
        config.pool.failure.rapid_fail_protection = true;
        config.pool.failure.rapid_fail_protection_max_crashes = 3;
    })
    .await;
    std::fs::write(&flag, "").unwrap();
    assert_eq!(control(&mock, "POST", "kill-worker", "").await.status, 204);
    eventually("disabled", || async { mock.truth().pools == ["disabled"] }).await;
    assert!(events(&mock).await.contains("\t5002\t"));
    let mut phone = Phone::new(&mock, "load1").await;
    let answer = phone.options().await;
    assert_eq!((answer.status, answer.body.len()), (503, 326));
    // Mended, and started again.
    std::fs::remove_file(&flag).unwrap();
    control(&mock, "POST", "pool/start", "").await;
    let mut phone = Phone::new(&mock, "load1").await;
    assert_eq!(phone.options().await.status, 200);
    mock.shutdown().await;
}

/// A mock whose workers do something else while a file is there.
#[cfg(unix)]
async fn scripted_mock(
    script: &std::path::Path,
    flag: &std::path::Path,
    instead: &str,
    change: impl FnOnce(&mut MockConfig),
) -> FrontDoor {
    let program = crate::fixtures::program();
    let text = format!(
        "#!/bin/sh\n[ -e '{}' ] && {instead}\nexec '{}' mock-worker\n",
        flag.display(),
        program.display()
    );
    crate::fixtures::write_executable(script, text.as_bytes());
    let mut config = MockConfig {
        warm_up: Duration::ZERO,
        ..MockConfig::default()
    };
    config.pool.process_model.shutdown_time_limit = Duration::from_millis(300);
    change(&mut config);
    let launcher = mock_server::WorkerLauncher::Process {
        program: script.to_owned(),
        arguments: Vec::new(),
    };
    FrontDoor::start(config, launcher).await.unwrap()
}

/// R20: a schedule is shifted too.
#[tokio::test]
async fn r20_schedules_are_shifted_from_server_to_server() {
    let mock = mock(|config| {
        scheduled(&["03:00:00"], "2026-03-14T02:50:00", "UTC")(config);
        config.servers = 2;
        config.schedule_shift = Duration::from_secs(3600);
    })
    .await;
    let created = |server: usize| {
        let truth = mock.truth();
        let of_server = truth.workers.iter().filter(|one| one.server == server);
        of_server.map(|one| one.pid).max()
    };
    let second = created(2);
    mock.advance_clock(Duration::from_secs(20 * 60));
    recycled(&mock, 1).await;
    assert_eq!(created(2), second, "not before four");
    mock.advance_clock(Duration::from_secs(3600));
    recycled(&mock, 2).await;
    eventually("the second server", || async { created(2) != second }).await;
    mock.shutdown().await;
}

/// `loadBalancerCapabilities` TcpLevel: a balancer in front sees a closed connection, not a page.
#[tokio::test]
async fn tcp_level_closes_where_http_level_answers_503() {
    let mock = pool(|pool| {
        pool.failure.load_balancer_capabilities = iis::LoadBalancerCapabilities::TcpLevel;
    })
    .await;
    control(&mock, "POST", "pool/stop", "").await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.send("FolderSync", super::phone::FOLDER_SYNC_0).await;
    assert!(phone.raw.rest().await.is_empty());
    mock.shutdown().await;
}
