//! Stranded Pings and what they do to the server (mock-fidelity section 6), and the surfaces that
//! show it (section 8).

use std::time::Duration;

use mock_api::{Fault, FaultKind, MockConfig, StrandTrigger};
use mock_client::Control;
use mock_server::FrontDoor;
use tokio::time::Instant;

use super::phone::Phone;
use super::raw::{Raw, active, held};
use crate::fixtures::{eventually, mock};

fn stranded(mock: &FrontDoor) -> u64 {
    mock.truth().sum(|counts| counts.stranded)
}

fn control(mock: &FrontDoor) -> Control {
    Control::new(&mock.addresses().control).unwrap()
}

fn when(trigger: StrandTrigger) -> Vec<Fault> {
    vec![Fault {
        trigger: Some(trigger),
        ..Fault::strand(1.0)
    }]
}

/// Strands that many Pings, each of a user of its own, by abandoning them.
async fn strand(mock: &FrontDoor, count: u64) {
    eventually("those before have ended in the back end", || async {
        held(mock) == 0
    })
    .await;
    let before = stranded(mock);
    let mut phones = Vec::new();
    for number in 0..count {
        phones.push(Phone::ready(mock, &format!("load{number}")).await.0);
    }
    for phone in &mut phones {
        // Long enough to be seen in counts that are half a second old, on a busy machine too.
        phone.send_ping(3).await;
    }
    eventually("all are held", || async { held(mock) == count }).await;
    drop(phones);
    eventually("stranded", || async { stranded(mock) == before + count }).await;
}

#[tokio::test]
async fn s1_s3_a3_a_stranded_ping_ends_neither_by_heartbeat_nor_mail_nor_by_its_client() {
    let mock = mock(|config| config.faults = when(StrandTrigger::Random)).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(1).await;
    eventually("stranded", || async { stranded(&mock) == 1 }).await;
    super::raw::mail(&mock, "load1", 1).await;
    phone.raw.nothing_for(Duration::from_millis(1500)).await;
    drop(phone);
    // S3: the device comes back with another connection and Ping, which strands again.
    let (mut again, _) = Phone::ready(&mock, "load1").await;
    again.send_ping(1).await;
    eventually("another", || async { stranded(&mock) == 2 }).await;
    assert!(active(&mock) >= 2);
    mock.shutdown().await;
}

#[tokio::test]
async fn s2_l4_a_stranded_ping_is_active_once_and_a_held_one_twice() {
    let mock = mock(|config| config.faults = vec![Fault::strand(1.0)]).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    // Counts are those of some moment ago, and a Sync on its way is two requests as well.
    eventually("held by front end and back end", || async {
        held(&mock) == 1 && active(&mock) == 2
    })
    .await;
    drop(phone);
    // The back end's half ends; the front end's stays.
    eventually("stranded", || async { stranded(&mock) == 1 }).await;
    mock.set_faults(Vec::new()).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!((1..=2).contains(&active(&mock)));
    mock.shutdown().await;
}

#[tokio::test]
async fn s4_s15_m3_m7_the_outgoing_socket_is_in_close_wait_and_belongs_to_the_worker() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.back_end_idle_timeout = Duration::from_millis(300);
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(5).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    drop(phone);
    let pid = mock.truth().workers[0].pid;
    let back_end = mock.addresses().back_end;
    let control = control(&mock);
    let line = format!("{back_end}");
    eventually("CLOSE_WAIT in netstat, under the worker", || async {
        let text = control.netstat(true).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        lines.windows(2).any(|two| {
            two[0].contains(&line)
                && two[0].contains("CLOSE_WAIT")
                && two[0].trim_end().ends_with(&pid.to_string())
                && two[1] == " [w3wp.exe]"
        })
    })
    .await;
    let netstat = control.netstat(false).await.unwrap();
    let listen = format!("{}", mock.addresses().listen);
    assert!(
        netstat.lines().any(|line| line.contains(&listen)
            && line.contains("LISTENING")
            && line.trim_end().ends_with(" 4")),
        "HTTP.sys listens as PID 4: {netstat}"
    );
    // M1: the same in the exporter's text, where absent states stay absent.
    let metrics = control.metrics().await.unwrap();
    let name = "windows_tcp_connections_state_count{af=\"ipv4\",state=\"CLOSE_WAIT\"} 1";
    assert!(metrics.contains(name), "{metrics}");
    assert!(!metrics.contains("LAST_ACK"));
    // S15: the client's side does not pile up.
    assert_eq!(netstat.matches("CLOSE_WAIT").count(), 1, "{netstat}");
    mock.shutdown().await;
}

#[tokio::test]
async fn l6_s5_s6_s9_memory_grows_and_collections_really_stop_the_worker() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.heap.base = 1 << 20;
        config.heap.per_stranded = 20 << 20;
        config.heap.per_request = 1 << 20;
        config.heap.budget = 4 << 20;
        config.heap.pause_per_mib = Duration::from_millis(2);
    })
    .await;
    let mut phone = Phone::new(&mock, "load9").await;
    // Of a dozen, half of which meet a collection when Pings are stranded; the fourth slowest, for a
    // busy machine makes any of them slow.
    let mut slow = async || {
        let mut took = Vec::new();
        for _ in 0..12 {
            let began = Instant::now();
            phone.options().await;
            took.push(began.elapsed());
        }
        took.sort();
        took[8]
    };
    let before = slow().await;
    let heap = mock.truth().sum(|counts| counts.heap_bytes);
    strand(&mock, 4).await;
    let after = slow().await;
    assert!(
        after > before + Duration::from_millis(80),
        "{before:?} before, {after:?} after"
    );
    eventually("the counters show it", || async {
        let truth = mock.truth();
        let grown = truth.sum(|counts| counts.heap_bytes) > heap + (70 << 20);
        grown && truth.sum(|counts| counts.collections) > 0
    })
    .await;
    mock.shutdown().await;
}

#[tokio::test]
async fn s7_s8_ports_run_out_for_the_whole_host() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.ephemeral_ports = 29_910..=29_912;
    })
    .await;
    let page = "GET /owa/healthcheck.htm HTTP/1.1\r\nHost: mock\r\n\r\n";
    let mut browser = Raw::connect(mock.addresses().listen).await;
    browser.send(page.as_bytes()).await;
    assert_eq!(browser.answer().await.status, 200);
    strand(&mock, 3).await;
    let mut phone = Phone::new(&mock, "load9").await;
    assert_eq!(phone.options().await.status, 502, "the proxy has no port");
    browser.send(page.as_bytes()).await;
    assert_eq!(
        browser.answer().await.status,
        502,
        "nor has another program"
    );
    eventually("events 4231 and 4227", || async {
        let events = control(&mock).events().await.unwrap();
        events.contains("\t4231\t") && events.contains("\t4227\t")
    })
    .await;
    mock.recycle().await.unwrap();
    mock.shutdown().await;
}

#[tokio::test]
async fn s10_a_queue_fills_when_the_worker_is_blocked() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.ephemeral_ports = 29_920..=29_921;
        config.port_wait = Duration::from_secs(60);
        config.threads = 2;
        config.pool.queue_length = 10;
    })
    .await;
    strand(&mock, 2).await;
    let mut blocked = Vec::new();
    for number in 0..12 {
        let mut phone = Phone::new(&mock, &format!("load{number}")).await;
        phone.send("FolderSync", super::phone::FOLDER_SYNC_0).await;
        blocked.push(phone);
    }
    eventually("two wait for ports, ten in the queue", || async {
        mock.truth().queued == 10
    })
    .await;
    let mut refused = Phone::new(&mock, "load99").await;
    let answer = refused.options().await;
    assert_eq!((answer.status, answer.body.len()), (503, 326));
    let metrics = control(&mock).metrics().await.unwrap();
    let name = "windows_iis_http_requests_current_queue_size{site=\"MSExchangeSyncAppPool\"} 10";
    assert!(metrics.contains(name), "{metrics}");
    let log = control(&mock).httperr().await.unwrap();
    assert!(
        log.contains(" 503 1 QueueFull MSExchangeSyncAppPool"),
        "{log}"
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn s11_the_trigger_can_be_chosen() {
    let mock = mock(|config| config.faults = when(StrandTrigger::NetworkCut)).await;
    let (mut closing, _) = Phone::ready(&mock, "load1").await;
    closing.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    drop(closing);
    eventually("a proper end strands nothing", || async {
        active(&mock) == 0
    })
    .await;
    assert_eq!(stranded(&mock), 0);

    mock.set_faults(when(StrandTrigger::StoreFailover)).await;
    let (mut phone, _) = Phone::ready(&mock, "load2").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    assert_eq!(stranded(&mock), 0);
    control(&mock).store_failover().await.unwrap();
    eventually("stranded", || async { stranded(&mock) == 1 }).await;
    mock.shutdown().await;
}

#[tokio::test]
async fn s12_the_fixed_server_strands_nothing_under_the_same_load() {
    let load = |config: &mut MockConfig| config.faults = vec![Fault::strand(1.0)];
    let fixed = mock(|config| {
        load(config);
        config.fixed = true;
    })
    .await;
    for number in 0..5 {
        let (mut phone, _) = Phone::ready(&fixed, &format!("load{number}")).await;
        phone.send_ping(600).await;
        eventually("held", || async { held(&fixed) == 1 }).await;
        drop(phone);
        eventually("ended", || async { active(&fixed) == 0 }).await;
    }
    assert_eq!(stranded(&fixed), 0);
    fixed.shutdown().await;
    let faulty = mock(load).await;
    strand(&faulty, 5).await;
    assert_eq!(stranded(&faulty), 5);
    faulty.shutdown().await;
}

#[tokio::test]
async fn s13_ping_commands_pending_may_count_stranded_pings_or_not() {
    for (counts, expected) in [(false, 0), (true, 1)] {
        let mock = mock(|config| {
            config.faults = vec![Fault::strand(1.0)];
            config.pending_counts_stranded = counts;
        })
        .await;
        strand(&mock, 1).await;
        eventually("the back end's half has ended", || async {
            held(&mock) == 0
        })
        .await;
        let metrics = control(&mock).metrics().await.unwrap();
        let line = format!("windows_exchange_activesync_ping_cmds_pending {expected}\n");
        assert!(metrics.contains(&line), "{metrics}");
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn s14_m5_the_device_of_a_stranded_ping_leaves_one_connection_dropped_and_no_iis_line() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.dropped_after = Duration::from_secs(3);
    })
    .await;
    strand(&mock, 1).await;
    let control = control(&mock);
    assert!(
        !control
            .httperr()
            .await
            .unwrap()
            .contains("Connection_Dropped")
    );
    eventually("the line", || async {
        let log = control.httperr().await.unwrap();
        log.contains("Cmd=Ping") && log.contains(" - 1 Connection_Dropped MSExchangeSyncAppPool")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let log = control.httperr().await.unwrap();
    assert_eq!(log.matches("Connection_Dropped").count(), 1, "once");
    let iis = control.iis_log().await.unwrap();
    assert!(!iis.contains("Cmd=Ping"), "{iis}");
    assert!(iis.contains("Cmd=FolderSync"), "others are logged: {iis}");
    mock.shutdown().await;
}

#[tokio::test]
async fn m1_the_metrics_are_text_that_promtool_accepts() {
    use std::io::Write as _;
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    let text = control(&mock).metrics().await.unwrap();
    assert!(text.contains("# TYPE windows_iis_worker_current_requests counter"));
    assert!(text.contains("windows_iis_current_application_pool_state"));
    let child = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    match child {
        Err(error) => {
            assert!(
                std::env::var_os("EASLOAD_REQUIRE_PROMTOOL").is_none(),
                "promtool: {error}"
            );
            eprintln!("skipped: promtool is not here: {error}");
        }
        Ok(mut child) => {
            let mut input = child.stdin.take().unwrap();
            input.write_all(text.as_bytes()).unwrap();
            drop(input);
            let output = child.wait_with_output().unwrap();
            // 3 is its opinion on names, which are windows_exporter's; 1 is text it cannot parse.
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
            assert!(!said.contains("error while linting"), "{said}");
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn m2_the_performance_log_is_pdh_csv_with_a_segment_for_each_set_of_workers() {
    let mock = mock(|config| {
        config.time_zone = Some("Europe/Berlin".to_owned());
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    let control = control(&mock);
    eventually("two rows", || async {
        control.perfmon().await.unwrap().lines().count() > 2
    })
    .await;
    let text = control.perfmon().await.unwrap();
    let header = text.lines().find(|line| line.contains("PDH-CSV")).unwrap();
    assert!(
        header.starts_with("\"(PDH-CSV 4.0) (Europe/Berlin)("),
        "{header}"
    );
    let pid = mock.truth().workers[0].pid;
    let column = format!("\\W3SVC_W3WP({pid}_MSExchangeSyncAppPool)\\Active Requests\"");
    assert!(header.contains(&column), "{header}");
    mock.recycle().await.unwrap();
    eventually("a new segment", || async {
        let text = control.perfmon().await.unwrap();
        text.matches("PDH-CSV").count() >= 2
    })
    .await;
    mock.shutdown().await;
}

#[tokio::test]
async fn m4_two_hundred_short_heartbeats_are_event_3033() {
    let mock = mock(|_| {}).await;
    let mut phones = Vec::new();
    for number in 0..50 {
        phones.push(Phone::ready(&mock, &format!("load{number}")).await.0);
    }
    for round in 1..=4 {
        for phone in &mut phones {
            phone.send_ping(1).await;
        }
        for phone in &mut phones {
            assert_eq!(phone.raw.answer().await.statuses(), ["1"]);
        }
        let events = control(&mock).events().await.unwrap();
        assert_eq!(
            events.contains("\t3033\t"),
            round == 4,
            "round {round}: {events}"
        );
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn m6_the_clock_moves_ahead_by_scale_and_by_hand() {
    let mock = mock(|config| {
        config.time_scale = 86_400.0;
        config.clock_start = Some("2026-03-01T00:00:00".to_owned());
        config.time_zone = Some("UTC".to_owned());
        config.pool.recycling.time = Duration::from_secs(2 * 86_400);
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    assert_eq!(mock.truth().time_scale, 86_400.0);
    // A day a second: recycled every two seconds.
    eventually("two recycles", || async { mock.truth().recycles == 2 }).await;
    let time = mock.truth().pool_time;
    assert!(
        time.starts_with("2026-03-") && time.as_str() > "2026-03-05",
        "{time}"
    );
    mock.shutdown().await;
}

/// Faults of the vocabulary that change what is on the wire, also for a Ping that is held.
#[tokio::test]
async fn wire_faults_strike_answers_and_held_pings() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    for kind in [FaultKind::Reset, FaultKind::Truncate, FaultKind::Garbage] {
        let user = format!("load{}", kind.as_str());
        let (mut phone, _) = Phone::ready(&mock, &user).await;
        phone.send_ping(600).await;
        eventually("held", || async { held(&mock) == 1 }).await;
        let fault = Fault {
            user: Some(user),
            command: Some("Ping".to_owned()),
            ..Fault::new(kind)
        };
        control.set_faults(&[fault]).await.unwrap();
        let bytes = match kind {
            FaultKind::Reset => {
                assert_eq!(phone.raw.closed().await, super::raw::End::Reset);
                Vec::new()
            }
            _ => phone.raw.rest().await,
        };
        match kind {
            FaultKind::Truncate => assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n")),
            FaultKind::Garbage => {
                assert_eq!(bytes.len(), 512);
                assert!(!bytes.starts_with(b"HTTP"));
            }
            _ => {}
        }
        eventually("no longer held", || async { held(&mock) == 0 }).await;
        // Another user is not in scope.
        let mut other = Phone::new(&mock, "load9").await;
        assert_eq!(other.options().await.status, 200);
        control.reset_faults().await.unwrap();
    }
    let mut drip = Fault::new(FaultKind::Drip);
    drip.bytes = Some(50);
    drip.delay = Some(Duration::from_millis(20));
    control.set_faults(&[drip]).await.unwrap();
    let mut phone = Phone::new(&mock, "load9").await;
    let began = Instant::now();
    assert_eq!(phone.options().await.status, 200);
    assert!(began.elapsed() > Duration::from_millis(150), "in pieces");
    mock.shutdown().await;
}

#[tokio::test]
async fn refusing_faults_strike_held_pings_too_and_end_with_the_reset() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let mut redirect = Fault::new(FaultKind::Redirect);
    redirect.location = Some("https://other.lab.example/x".to_owned());
    control.add_fault(&redirect).await.unwrap();
    let answer = phone.raw.answer().await;
    assert_eq!(answer.status, 451);
    assert_eq!(
        answer.header("X-MS-Location"),
        Some("https://other.lab.example/x")
    );
    let mut error = Fault::new(FaultKind::Error);
    error.eas_status = Some(111);
    error.command = Some("Sync".to_owned());
    control.set_faults(&[error]).await.unwrap();
    assert_eq!(phone.sync(&key, "").await.statuses(), ["111"]);
    assert_eq!(phone.options().await.status, 200);
    control.reset_faults().await.unwrap();
    phone.sync(&key, "").await.assert_empty();
    control.lose_sync_state().await.unwrap();
    assert_eq!(phone.sync(&key, "").await.statuses(), ["3"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn server_wide_faults_queue_full_stop_pool_and_hang_accept() {
    let mock = mock(|_| {}).await;
    let control = control(&mock);
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    for kind in [FaultKind::QueueFull, FaultKind::StopPool] {
        control.set_faults(&[Fault::new(kind)]).await.unwrap();
        let mut refused = Phone::new(&mock, "load2").await;
        let answer = refused.options().await;
        assert_eq!((answer.status, answer.body.len()), (503, 326), "{kind:?}");
        control.reset_faults().await.unwrap();
        let mut served = Phone::new(&mock, "load2").await;
        assert_eq!(served.options().await.status, 200, "{kind:?}");
    }
    control
        .set_faults(&[Fault::new(FaultKind::HangAccept)])
        .await
        .unwrap();
    let accepted = mock.truth().connections_accepted;
    let mut waiting = Phone::new(&mock, "load3").await;
    waiting
        .send("FolderSync", super::phone::FOLDER_SYNC_0)
        .await;
    waiting.raw.nothing_for(Duration::from_millis(300)).await;
    assert_eq!(mock.truth().connections_accepted, accepted);
    // Connections that are there already are served.
    phone.sync(&key, "").await.assert_empty();
    control.reset_faults().await.unwrap();
    assert_eq!(waiting.raw.answer().await.status, 200);
    mock.shutdown().await;
}

#[tokio::test]
async fn l4_on_two_servers_each_worker_counts_one_request() {
    let mock = mock(|config| config.topology = mock_api::Topology::TwoServers).await;
    assert_eq!(mock.truth().workers.len(), 2);
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    // The back end is the second server's, and a request counts there before its Ping is held.
    eventually("one each, and the Ping held by the second", || async {
        let mut workers = mock.truth().workers;
        workers.sort_by_key(|worker| worker.server);
        let counts = workers.iter().map(|worker| &worker.counts);
        counts
            .map(|counts| (counts.active, counts.held_pings))
            .eq([(1, 0), (1, 1)])
    })
    .await;
    mock.shutdown().await;
}

/// S1: a share strands.
#[tokio::test]
async fn s1_a_chosen_share_of_abandoned_pings_strands() {
    const PINGS: usize = 40;
    let mock = mock(|config| config.faults = vec![Fault::strand(0.5)]).await;
    let mut phones = Vec::new();
    for number in 0..PINGS {
        let (mut phone, _) = Phone::ready(&mock, &format!("load{number}")).await;
        phone.send_ping(600).await;
        phones.push(phone);
    }
    eventually("held", || async { held(&mock) == PINGS as u64 }).await;
    drop(phones);
    // What did not strand has ended; what did is one request each until its heartbeat, then half.
    eventually("given up", || async {
        let truth = mock.truth();
        let counts = truth.workers[0].counts;
        counts.outstanding_proxy == counts.stranded
    })
    .await;
    let stranded = stranded(&mock);
    assert!((8..=32).contains(&stranded), "{stranded} of {PINGS}");
    mock.shutdown().await;
}

/// S11: only a reset is a network that was cut.
#[tokio::test]
async fn s11_a_cut_network_strands() {
    let mock = mock(|config| config.faults = when(StrandTrigger::NetworkCut)).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    phone.raw.reset();
    drop(phone);
    eventually("stranded", || async { stranded(&mock) == 1 }).await;
    mock.shutdown().await;
}

/// S2, L4: after the back end's half has ended at its heartbeat, the front end's alone is active.
#[tokio::test]
async fn s2_l4_the_front_end_s_half_stays_active_alone() {
    let mock = mock(|config| config.faults = vec![Fault::strand(1.0)]).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(5).await;
    eventually("held by front end and back end", || async {
        held(&mock) == 1 && active(&mock) == 2
    })
    .await;
    drop(phone);
    eventually("the back end's half ends", || async { held(&mock) == 0 }).await;
    eventually("one is left", || async { active(&mock) == 1 }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(active(&mock), 1, "for good");
    mock.shutdown().await;
}

/// S6: below a tenth while nothing is stranded, and high afterwards; the requests really wait.
#[tokio::test]
async fn s6_time_in_collections_rises_from_below_a_tenth() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.heap.base = 1 << 20;
        config.heap.per_stranded = 60 << 20;
        config.heap.per_request = 1 << 20;
        config.heap.budget = 20 << 20;
        config.heap.pause_per_mib = Duration::from_millis(1);
    })
    .await;
    // The same load before and after.
    let mut phone = Phone::new(&mock, "load9").await;
    let mut share = async || {
        let mut most: f64 = 0.0;
        let end = Instant::now() + Duration::from_millis(1500);
        while Instant::now() < end {
            phone.options().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            most = most.max(mock.truth().workers[0].counts.gc_share);
        }
        most
    };
    let before = share().await;
    strand(&mock, 4).await;
    let after = share().await;
    assert!(before < 0.1, "{before}");
    assert!(
        after > 0.1 && after > 3.0 * before,
        "{after} after {before}"
    );
    mock.shutdown().await;
}

/// S8: with the worker its ports come back, for the whole host.
#[tokio::test]
async fn s8_a_recycle_gives_the_host_its_ports_back() {
    let mock = mock(|config| {
        config.faults = vec![Fault::strand(1.0)];
        config.ephemeral_ports = 29_930..=29_932;
        config.pool.process_model.shutdown_time_limit = Duration::from_millis(200);
    })
    .await;
    strand(&mock, 3).await;
    let page = "GET /owa/ HTTP/1.1\r\nHost: mock\r\n\r\n";
    let mut browser = Raw::connect(mock.addresses().listen).await;
    browser.send(page.as_bytes()).await;
    assert_eq!(browser.answer().await.status, 502);
    mock.recycle().await.unwrap();
    eventually("the old worker is gone", || async {
        mock.truth().workers.len() == 1
    })
    .await;
    browser.send(page.as_bytes()).await;
    assert_eq!(browser.answer().await.status, 200);
    mock.shutdown().await;
}
