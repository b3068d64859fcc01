//! Recycling, rapid-fail protection, pinging (mock-fidelity section 7).

use std::time::Duration;

use iis::{PoolSettings, RecycleReason, RecycleReasons};
use mock_server::{Control, Fault, FrontDoor, MockConfig};
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
async fn l5_r5_r6_r7_overlap_then_drain_then_the_limit() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(900);
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(60).await;
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
    let limit = Duration::from_millis(900);
    assert!(took >= limit && took < limit * 3, "{took:?}");
    assert!(events(&mock).await.contains("\t5013\t"));
    assert_eq!(mock.truth().shutdown_failures, 1);
    mock.shutdown().await;
}

#[tokio::test]
async fn l1_r8_r9_a_cut_ping_gets_no_answer_and_idle_connections_survive() {
    let mock = pool(|_| {}).await;
    let (mut cut, _) = Phone::ready(&mock, "load1").await;
    let (mut idle, key) = Phone::ready(&mock, "load2").await;
    cut.send_ping(60).await;
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
        pool.process_model.shutdown_time_limit = Duration::from_millis(1500);
        pool.queue_length = 10;
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(60).await;
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
    let mock = mock(|config| config.warm_up = Duration::from_millis(600)).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.options().await;
    mock.recycle().await.unwrap();
    let began = Instant::now();
    phone.options().await;
    let first = began.elapsed();
    let began = Instant::now();
    phone.options().await;
    let second = began.elapsed();
    assert!(first > Duration::from_millis(250), "{first:?}");
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
    for number in 1..=times {
        let old = mock.truth().created;
        assert_eq!(control(mock, "POST", "kill-worker", "").await.status, 204);
        if number < times {
            eventually("it is replaced", || async {
                let truth = mock.truth();
                truth.created > old && truth.workers.iter().any(|one| one.state == "running")
            })
            .await;
        }
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
    let set = |pool: &mut PoolSettings, enabled| {
        pool.process_model.pinging_enabled = enabled;
        pool.process_model.ping_interval = Duration::from_millis(200);
        pool.process_model.ping_response_time = Duration::from_millis(300);
    };
    let shipped = pool(|pool| set(pool, false)).await;
    let hung = only_worker(&shipped);
    stop(hung);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(only_worker(&shipped), hung);
    shipped.shutdown().await;
    let pinged = pool(|pool| set(pool, true)).await;
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
    phone.send_ping(60).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    control(&mock, "POST", "pool/stop", "").await;
    assert!(phone.raw.rest().await.is_empty(), "held Pings are cut");
    let mut other = Phone::new(&mock, "load2").await;
    let began = Instant::now();
    assert_eq!(other.options().await.status, 503);
    assert!(began.elapsed() < Duration::from_millis(500));
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
    let answer = timeout(Duration::from_secs(5), phone.options()).await;
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
