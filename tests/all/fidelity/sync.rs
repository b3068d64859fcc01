//! Sync (Y1 to Y9).

use std::time::Duration;

use tokio::time::Instant;

use super::phone::Phone;
use super::raw::{Answer, mail, text_of, texts_of};
use crate::fixtures::{mock, quickest};

const SECOND: Duration = Duration::from_secs(1);
const HEARTBEAT_1: &str = "<HeartbeatInterval>1</HeartbeatInterval>";
const HEARTBEAT_600: &str = "<HeartbeatInterval>600</HeartbeatInterval>";

#[tokio::test]
async fn y1_key_0_primes_and_brings_nothing() {
    let mock = mock(|_| {}).await;
    mail(&mock, "load1", 1).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    phone.learn_folders().await;
    let primed = phone.sync("0", "").await.xml();
    assert_eq!(text_of(&primed, "Collection/Status"), "1");
    assert_eq!(text_of(&primed, "Collection/CollectionId"), phone.inbox);
    assert_eq!(texts_of(&primed, "Add").len(), 0, "{primed}");
    let key = text_of(&primed, "Collection/SyncKey");
    assert_ne!(key, "0");
    let (_, items) = phone.take_new(&key).await;
    assert_eq!(items.len(), 1);
    mock.shutdown().await;
}

#[tokio::test]
async fn y2_a_lost_answer_is_repeated_and_a_foreign_key_is_3() {
    let mock = mock(|_| {}).await;
    let (mut phone, first) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let answer = phone.sync(&first, "").await;
    let second = text_of(&answer.xml(), "Collection/SyncKey");
    assert_ne!(second, first);
    assert!(second.len() <= 64, "{second}");
    assert_eq!(phone.sync(&first, "").await.body, answer.body);

    mail(&mock, "load1", 1).await;
    let (third, _) = phone.take_new(&second).await;
    assert!(third != second && third != first);
    for foreign in [first.as_str(), "987654", "no number"] {
        let refused = phone.sync(foreign, "").await.statuses();
        assert_eq!(refused, ["3"], "{foreign}");
    }
    mock.shutdown().await;
}

/// How many items a new device gets with that WindowSize, and whether more are announced.
async fn window(mock: &mock_server::FrontDoor, size: &str) -> (usize, bool) {
    let device = format!("WINDOW{size}");
    let (mut phone, key) = Phone::ready_device(mock, "load1", &device).await;
    let inner = match size {
        "" => String::new(),
        _ => format!("<WindowSize>{size}</WindowSize>"),
    };
    let xml = phone.sync(&key, &inner).await.xml();
    let more = !texts_of(&xml, "Collection/MoreAvailable").is_empty();
    (texts_of(&xml, "Add/ServerId").len(), more)
}

#[tokio::test]
async fn y3_windows_are_100_by_default_and_512_at_most() {
    let mock = mock(|config| config.max_window = 600).await;
    mail(&mock, "load1", 513).await;
    for (size, count) in [
        ("", 100),
        ("25", 25),
        ("0", 512),
        ("512", 512),
        ("30000", 512),
        ("4294967295", 512),
    ] {
        assert_eq!(window(&mock, size).await, (count, true), "`{size}`");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn y3_the_server_s_own_ceiling_is_100() {
    let mock = mock(|_| {}).await;
    mail(&mock, "load1", 101).await;
    for size in ["100", "101", "512", "0"] {
        assert_eq!(window(&mock, size).await, (100, true), "`{size}`");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn y4_no_change_is_an_empty_200() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.sync(&key, "").await.assert_empty();
    mail(&mock, "load1", 1).await;
    assert!(!phone.sync(&key, "").await.body.is_empty());
    mock.shutdown().await;
}

#[tokio::test]
async fn y5_an_empty_request_repeats_the_last_one() {
    let mock = mock(|_| {}).await;
    let mut fresh = Phone::new(&mock, "load2").await;
    fresh.provision().await;
    fresh.learn_folders().await;
    assert_eq!(fresh.request("Sync", "").await.statuses(), ["13"]);

    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.sync(&key, "").await.assert_empty();
    phone.request("Sync", "").await.assert_empty();
    mail(&mock, "load1", 1).await;
    let xml = phone.request("Sync", "").await.xml();
    assert_eq!(text_of(&xml, "Collection/CollectionId"), phone.inbox);
    assert_eq!(texts_of(&xml, "Add").len(), 1, "{xml}");
    mock.shutdown().await;
}

#[tokio::test]
async fn y6_a_wait_out_of_range_gets_the_nearest_bound() {
    let mock = mock(|config| config.min_heartbeat = 60 * SECOND).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    for (outer, limit) in [
        ("<Wait>0</Wait>", "1"),
        ("<Wait>60</Wait>", "59"),
        ("<HeartbeatInterval>59</HeartbeatInterval>", "60"),
        ("<HeartbeatInterval>3541</HeartbeatInterval>", "3540"),
    ] {
        let request = phone.sync_xml(&key, "", outer);
        let xml = phone.request("Sync", &request).await.xml();
        assert_eq!(texts_of(&xml, "Status"), ["14"], "{outer}");
        assert_eq!(text_of(&xml, "/Sync/Limit"), limit, "{outer}");
    }
    let both = "<Wait>1</Wait><HeartbeatInterval>60</HeartbeatInterval>";
    let request = phone.sync_xml(&key, "", both);
    let refused = phone.request("Sync", &request).await;
    assert_eq!(refused.statuses(), ["4"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn y6_the_bounds_themselves_are_held() {
    let mock = mock(|config| config.min_heartbeat = 60 * SECOND).await;
    for (number, outer) in [
        "<Wait>1</Wait>",
        "<Wait>59</Wait>",
        "<HeartbeatInterval>60</HeartbeatInterval>",
        "<HeartbeatInterval>3540</HeartbeatInterval>",
    ]
    .into_iter()
    .enumerate()
    {
        let (mut phone, key) = Phone::ready(&mock, &format!("load{number}")).await;
        let request = phone.sync_xml(&key, "", outer);
        phone.send("Sync", &request).await;
        phone.raw.nothing_for(SECOND / 10).await;
        mail(&mock, &phone.user, 1).await;
        let xml = phone.raw.answer().await.xml();
        assert_eq!(texts_of(&xml, "Add").len(), 1, "{outer}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn y7_a_hanging_sync_ends_empty_at_its_interval() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let request = phone.sync_xml(&key, "", HEARTBEAT_1);
    let took = quickest(3 * SECOND, async || {
        let started = Instant::now();
        phone.send("Sync", &request).await;
        phone.raw.answer().await.assert_empty();
        started.elapsed()
    });
    let took = took.await;
    assert!(took >= SECOND && took < 3 * SECOND, "{took:?}");
    mock.shutdown().await;
}

#[tokio::test]
async fn y7_only_an_added_item_wakes_a_hanging_sync() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let (mut other, other_key) = Phone::ready_device(&mock, "load1", "TABLET").await;
    mail(&mock, "load1", 1).await;
    let (key, items) = phone.take_new(&key).await;
    let (other_key, _) = other.take_new(&other_key).await;

    let request = phone.sync_xml(&key, "", HEARTBEAT_600);
    phone.send("Sync", &request).await;
    phone.raw.nothing_for(SECOND / 2).await;
    let change = format!("<Commands>{}</Commands>", Phone::read_flag(&items[0]));
    let changed = other.sync(&other_key, &change).await.xml();
    assert_eq!(text_of(&changed, "Collection/Status"), "1");
    phone.raw.nothing_for(SECOND / 3).await;

    mail(&mock, "load2", 1).await;
    phone.raw.nothing_for(SECOND / 10).await;
    mail(&mock, "load1", 1).await;
    let xml = phone.raw.answer().await.xml();
    assert_eq!(texts_of(&xml, "Commands/Add").len(), 1, "{xml}");
    mock.shutdown().await;
}

#[tokio::test]
async fn y8_200_operations_pass_and_201_do_not() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let (key, items) = phone.take_new(&key).await;
    let operations = |count: usize| {
        let list: String = (0..count).map(|_| Phone::read_flag(&items[0])).collect();
        format!("<Commands>{list}</Commands>")
    };
    let refused = phone.sync(&key, &operations(201)).await;
    assert_eq!(refused.statuses(), ["4"]);
    let passed = phone.sync(&key, &operations(200)).await.xml();
    assert_eq!(text_of(&passed, "Collection/Status"), "1");
    mock.shutdown().await;
}

#[tokio::test]
async fn y9_more_available_pages_through_everything_once() {
    let mock = mock(|_| {}).await;
    let (mut phone, mut key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 5).await;
    let mut seen = Vec::new();
    for (count, more) in [(2, true), (2, true), (1, false)] {
        let window = "<WindowSize>2</WindowSize>";
        let xml = phone.sync(&key, window).await.xml();
        let items = texts_of(&xml, "Add/ServerId");
        assert_eq!(items.len(), count, "{xml}");
        let announced = !texts_of(&xml, "MoreAvailable").is_empty();
        assert_eq!(announced, more, "{xml}");
        seen.extend(items);
        key = text_of(&xml, "Collection/SyncKey");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    phone.sync(&key, "").await.assert_empty();
    mock.shutdown().await;
}

/// Y3: the global window holds for all collections together.
#[tokio::test]
async fn y3_the_global_window_is_shared_by_the_collections() {
    let mock = mock(|_| {}).await;
    let (mut phone, inbox_key) = Phone::ready(&mock, "load1").await;
    let inbox = std::mem::replace(&mut phone.inbox, "4".to_owned());
    let sent_key = phone.prime().await;
    for number in 0..6 {
        let id = format!("m{number}");
        phone.send_mail(&id, "load1").await.assert_empty();
    }
    let collection = |key: &str, id: &str| {
        format!(
            "<Collection><SyncKey>{key}</SyncKey><CollectionId>{id}</CollectionId></Collection>"
        )
    };
    let xml = format!(
        r#"<Sync xmlns="AirSync"><Collections>{}{}</Collections><WindowSize>8</WindowSize></Sync>"#,
        collection(&inbox_key, &inbox),
        collection(&sent_key, "4")
    );
    let answer = phone.request("Sync", &xml).await.xml();
    let ids = texts_of(&answer, "Add/ServerId");
    let of = |folder: &str| ids.iter().filter(|id| id.starts_with(folder)).count();
    assert_eq!((of("5:"), of("4:")), (6, 2));
    assert_eq!(texts_of(&answer, "MoreAvailable").len(), 1);
    // Where the first takes all of it, the other has more all the same.
    let keys = texts_of(&answer, "Collection/SyncKey");
    for number in 0..2 {
        let id = format!("n{number}");
        phone.send_mail(&id, "load1").await.assert_empty();
    }
    let xml = format!(
        r#"<Sync xmlns="AirSync"><Collections>{}{}</Collections><WindowSize>2</WindowSize></Sync>"#,
        collection(&keys[0], &inbox),
        collection(&keys[1], "4")
    );
    let answer = phone.request("Sync", &xml).await.xml();
    let ids = texts_of(&answer, "Add/ServerId");
    assert!(
        ids.len() == 2 && ids.iter().all(|id| id.starts_with("5:")),
        "{ids:?}"
    );
    assert_eq!(texts_of(&answer, "MoreAvailable").len(), 1);
    mock.shutdown().await;
}

/// Y2: the repetition is the same answer, whatever has come since.
#[tokio::test]
async fn y2_a_repeated_answer_has_nothing_new_in_it() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let first = phone.sync(&key, "").await;
    mail(&mock, "load1", 1).await;
    let again = phone.sync(&key, "").await;
    let ids = |answer: &Answer| texts_of(&answer.xml(), "Add/ServerId");
    assert_eq!(ids(&first), ids(&again));
    let next = text_of(&again.xml(), "Collection/SyncKey");
    assert_eq!(phone.take_new(&next).await.1.len(), 1);
    mock.shutdown().await;
}

/// Y8: all operations count, of whatever kind.
#[tokio::test]
async fn y8_operations_of_every_kind_count() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let commands = |count: usize| {
        let mut text = String::from("<Commands>");
        for number in 0..count {
            text.push_str(&match number % 3 {
                0 => Phone::read_flag(&format!("5:{number}")),
                1 => format!("<Delete><ServerId>5:{number}</ServerId></Delete>"),
                _ => format!("<Fetch><ServerId>5:{number}</ServerId></Fetch>"),
            });
        }
        text + "</Commands>"
    };
    assert_eq!(phone.sync(&key, &commands(201)).await.statuses(), ["4"]);
    let answer = phone.sync(&key, &commands(200)).await.xml();
    assert_eq!(text_of(&answer, "Collection/Status"), "1");
    mock.shutdown().await;
}
