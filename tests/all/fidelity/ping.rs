//! Ping (G1 to G14).

use std::time::Duration;

use tokio::time::Instant;

use super::phone::{Phone, ping_xml};
use super::raw::{Raw, active, control, head_only, held, mail, set_user, text_of, texts_of};
use crate::fixtures::{eventually, mock, quickest};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn g1_the_first_ping_needs_both_parts() {
    let mock = mock(|_| {}).await;
    let only_folders = ping_xml("", &["5"]);
    let only_heartbeat = ping_xml("600", &[]);
    for (number, (xml, status)) in [
        ("", "3"),
        (only_folders.as_str(), "3"),
        (only_heartbeat.as_str(), "3"),
        (r#"<Ping xmlns="Ping"/>"#, "4"),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut phone, _) = Phone::ready(&mock, &format!("load{number}")).await;
        let answer = phone.request("Ping", xml).await.xml();
        assert_eq!(texts_of(&answer, "/Ping/Status"), [status], "`{xml}`");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn g2_interval_out_of_range_gets_the_nearest_bound() {
    let mock = mock(|config| config.min_heartbeat = 60 * SECOND).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for (interval, bound) in [(-5, "60"), (0, "60"), (59, "60"), (3541, "3540")] {
        let xml = phone.ping(interval).await.xml();
        assert_eq!(text_of(&xml, "/Ping/Status"), "5", "{interval}");
        let nearest = text_of(&xml, "/Ping/HeartbeatInterval");
        assert_eq!(nearest, bound, "{interval}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn g2_the_bounds_themselves_are_held() {
    let mock = mock(|config| config.min_heartbeat = 60 * SECOND).await;
    for (user, interval) in [("load1", 60), ("load2", 3540)] {
        let (mut phone, _) = Phone::ready(&mock, user).await;
        phone.send_ping(interval).await;
        phone.raw.nothing_for(SECOND / 5).await;
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn g3_too_many_folders_are_refused_with_the_limit() {
    let mock = mock(|config| config.max_ping_folders = 2).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let folders = phone.folder_sync("0").await.xml();
    let folders = texts_of(&folders, "Add/ServerId");
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let refused = phone.request("Ping", &ping_xml("600", &folders[..3])).await;
    let xml = refused.xml();
    assert_eq!(text_of(&xml, "/Ping/Status"), "6");
    assert_eq!(text_of(&xml, "/Ping/MaxFolders"), "2");
    phone.send("Ping", &ping_xml("600", &folders[..2])).await;
    phone.raw.nothing_for(SECOND / 5).await;
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.177.11: the device's hierarchy is not the server's.
#[tokio::test]
async fn ping_answers_status_7_for_folders_that_do_not_exist() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    assert_eq!(phone.ping(1).await.statuses(), ["1"]);
    for folders in [
        &["999"][..],
        &["abc"],
        &["5:1"],
        &["+5"],
        &["005"],
        &["0"],
        &["4294967301"],
        &["5", "999"],
        &["abc", "5"],
    ] {
        for heartbeat in ["600", ""] {
            let answer = phone.request("Ping", &ping_xml(heartbeat, folders)).await;
            assert_eq!(answer.statuses(), ["7"], "{folders:?}");
        }
    }
    // The refused lists are not kept: an empty Ping still means the Inbox.
    phone.send("Ping", "").await;
    phone.raw.nothing_for(SECOND / 5).await;
    mail(&mock, "load1", 1).await;
    let xml = phone.raw.answer().await.xml();
    assert_eq!(texts_of(&xml, "Folders/Folder"), [phone.inbox.as_str()]);
    mock.shutdown().await;
}

#[tokio::test]
async fn a_first_ping_for_folders_that_do_not_exist_is_not_kept() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let answer = phone.request("Ping", &ping_xml("600", &["999"])).await;
    assert_eq!(answer.statuses(), ["7"]);
    assert_eq!(phone.request("Ping", "").await.statuses(), ["3"]);
    mock.shutdown().await;
}

/// An interval is out of range (G2) however large it is.
#[tokio::test]
async fn ping_answers_status_5_for_an_interval_beyond_32_bits() {
    let mock = mock(|config| config.min_heartbeat = 60 * SECOND).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for (interval, bound) in [("99999999999", "3540"), ("-99999999999", "60")] {
        let answer = phone.request("Ping", &ping_xml(interval, &["5"])).await;
        let xml = answer.xml();
        assert_eq!(text_of(&xml, "/Ping/Status"), "5", "{interval}");
        assert_eq!(
            text_of(&xml, "/Ping/HeartbeatInterval"),
            bound,
            "{interval}"
        );
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn g4_what_is_left_out_is_as_in_the_last_ping() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    assert_eq!(phone.ping(1).await.statuses(), ["1"]);
    let took = quickest(3 * SECOND, async || {
        let started = Instant::now();
        assert_eq!(phone.request("Ping", "").await.statuses(), ["1"]);
        started.elapsed()
    });
    let took = took.await;
    assert!(took >= SECOND && took < 3 * SECOND, "{took:?}");

    mail(&mock, "load1", 1).await;
    let xml = phone.request("Ping", "").await.xml();
    assert_eq!(texts_of(&xml, "Folders/Folder"), [phone.inbox.as_str()]);
    phone.take_new(&key).await;
    phone.send("Ping", &ping_xml("600", &[])).await;
    phone.raw.nothing_for(SECOND / 5).await;
    mail(&mock, "load1", 1).await;
    assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn g5_only_an_added_item_wakes_a_ping() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let (mut other, other_key) = Phone::ready_device(&mock, "load1", "TABLET").await;
    mail(&mock, "load1", 1).await;
    let (_, items) = phone.take_new(&key).await;
    let (other_key, _) = other.take_new(&other_key).await;

    phone.send_ping(600).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    let change = format!("<Commands>{}</Commands>", Phone::read_flag(&items[0]));
    let changed = other.sync(&other_key, &change).await.xml();
    assert_eq!(text_of(&changed, "Collection/Status"), "1");
    mail(&mock, "load2", 1).await;
    phone.raw.nothing_for(SECOND / 3).await;

    mail(&mock, "load1", 1).await;
    let xml = phone.raw.answer().await.xml();
    assert_eq!(text_of(&xml, "/Ping/Status"), "2");
    assert_eq!(texts_of(&xml, "Folders/Folder"), [phone.inbox.as_str()]);
    mock.shutdown().await;
}

/// Items come at different moments of the polling step, so they wait differently long for it.
#[tokio::test]
async fn g6_a2_an_item_is_noticed_at_the_next_polling_step() {
    const STEP: Duration = Duration::from_millis(300);
    const PHONES: usize = 6;
    let mock = mock(|config| config.poll_interval = STEP).await;
    let mut round = 0;
    let longest = quickest(STEP + SECOND, async || {
        round += 1;
        let mut phones = Vec::new();
        for number in 0..PHONES {
            let user = format!("load{round}{number}");
            phones.push(Phone::ready(&mock, &user).await.0);
        }
        for phone in &mut phones {
            phone.send_ping(600).await;
        }
        eventually("all are held", || async { held(&mock) == PHONES as u64 }).await;
        let mut waits = Vec::new();
        let begin = Instant::now();
        for (number, mut phone) in phones.into_iter().enumerate() {
            let due = begin + STEP / PHONES as u32 * number as u32;
            tokio::time::sleep_until(due).await;
            mail(&mock, &phone.user, 1).await;
            let sent = Instant::now();
            waits.push(tokio::spawn(async move {
                assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
                sent.elapsed()
            }));
        }
        let mut longest = Duration::ZERO;
        for wait in waits {
            longest = longest.max(wait.await.unwrap());
        }
        assert!(longest >= STEP / 3, "nothing waits for a step: {longest:?}");
        // Counts are half a second old: another round would believe that its Pings are held.
        eventually("none is held", || async { held(&mock) == 0 }).await;
        longest
    });
    let longest = longest.await;
    assert!(longest < STEP + SECOND, "later than a step: {longest:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn g7_a1_without_a_change_a_ping_ends_at_its_interval() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let took = quickest(2 * SECOND, async || {
        let started = Instant::now();
        let xml = phone.ping(1).await.xml();
        let took = started.elapsed();
        assert_eq!(text_of(&xml, "/Ping/Status"), "1");
        assert_eq!(texts_of(&xml, "Folders").len(), 0);
        took
    });
    let took = took.await;
    assert!(took >= SECOND && took < 2 * SECOND, "{took:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn g8_a_ping_acknowledges_the_last_sync() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    // Not fetched yet: an answer at once. Fetched, though its key was never used: a held one.
    assert_eq!(phone.ping(600).await.statuses(), ["2"]);
    phone.take_new(&key).await;
    phone.send_ping(600).await;
    phone.raw.nothing_for(SECOND / 3).await;
    mail(&mock, "load1", 1).await;
    assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn g9_a_ping_needs_no_policy_key() {
    let mock = mock(|config| config.require_provisioning = true).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.policy_key = None;
    assert_eq!(phone.sync(&key, "").await.statuses(), ["142"]);
    phone.send_ping(600).await;
    phone.raw.nothing_for(SECOND / 5).await;

    let mut stranger = Phone::new(&mock, "load2").await;
    assert_eq!(stranger.request("Ping", "").await.statuses(), ["3"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn g10_a_second_ping_of_a_device_ends_the_first() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    let second = Raw::connect(mock.addresses().listen).await;
    let mut first = std::mem::replace(&mut phone.raw, second);
    phone.send_ping(600).await;
    assert_eq!(first.answer().await.statuses(), ["1"]);
    phone.raw.nothing_for(SECOND / 5).await;
    mail(&mock, "load1", 1).await;
    assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn g11_a_healthy_server_ends_an_abandoned_ping() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    // Both applications hold it.
    eventually("the Ping is active", || async {
        held(&mock) == 1 && active(&mock) == 2
    })
    .await;
    drop(phone);
    eventually("the Ping has ended", || async { active(&mock) == 0 }).await;
    mock.shutdown().await;
}

#[tokio::test]
async fn g12_a_held_ping_sends_nothing() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    phone.raw.nothing_for(SECOND).await;
    mail(&mock, "load1", 1).await;
    let answer = phone.raw.answer().await;
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    mock.shutdown().await;
}

#[tokio::test]
async fn g13_a_disabled_account_keeps_its_ping() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    set_user(&mock, "load1", "enabled", false).await;
    let credentials = super::raw::basic("load1", "secret");
    let refused = head_only(&mock, "OPTIONS", &credentials).await;
    assert_eq!(refused.status, 401);
    phone.raw.nothing_for(SECOND / 5).await;
    mail(&mock, "load1", 1).await;
    assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    assert_eq!(phone.options().await.status, 401);
    mock.shutdown().await;
}

/// The columns of the IIS log's lines on that command, by name.
async fn logged(
    mock: &mock_server::FrontDoor,
    command: &str,
) -> Vec<std::collections::HashMap<String, String>> {
    let log = control(mock, "GET", "iis-log", "").await.body;
    let log = String::from_utf8(log).unwrap();
    let fields = log.lines().find_map(|line| line.strip_prefix("#Fields: "));
    let fields: Vec<&str> = fields.expect("W3C").split_whitespace().collect();
    let wanted = format!("Cmd={command}&");
    log.lines()
        .filter(|line| !line.starts_with('#') && line.contains(&wanted))
        .map(|line| {
            let values: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(values.len(), fields.len(), "{line}");
            let pairs = fields.iter().zip(values);
            pairs
                .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
                .collect()
        })
        .collect()
}

#[tokio::test]
async fn g14_a_ping_is_logged_at_its_end_with_its_interval() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(4).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    assert_eq!(logged(&mock, "FolderSync").await.len(), 1);
    assert_eq!(logged(&mock, "Ping").await.len(), 0);
    assert_eq!(phone.raw.answer().await.statuses(), ["1"]);
    eventually("a line for the Ping", || async {
        !logged(&mock, "Ping").await.is_empty()
    })
    .await;
    let lines = logged(&mock, "Ping").await;
    assert_eq!(lines.len(), 1);
    let took: u64 = lines[0]["time-taken"].parse().unwrap();
    assert!((4000..9000).contains(&took), "{took} ms");
    assert_eq!(lines[0]["sc-status"], "200");
    let query = &lines[0]["cs-uri-query"];
    let (_, log) = query.split_once("&Log=").unwrap();
    assert!(log.split('_').any(|part| part == "Hb4"), "{query}");
    mock.shutdown().await;
}
