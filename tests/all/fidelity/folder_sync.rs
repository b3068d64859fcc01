//! FolderSync (F1 to F4).

use std::time::Duration;

use super::phone::Phone;
use super::raw::{control, held, text_of, texts_of};
use crate::fixtures::{eventually, mock};

#[tokio::test]
async fn f1_key_0_gives_the_hierarchy_and_key_1() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    let answer = phone.folder_sync("0").await;
    assert!(answer.header("X-MS-RP").is_some());
    let xml = answer.xml();
    assert_eq!(text_of(&xml, "/FolderSync/Status"), "1");
    assert_eq!(text_of(&xml, "/FolderSync/SyncKey"), "1");
    let ids = texts_of(&xml, "Changes/Add/ServerId");
    assert_eq!(text_of(&xml, "Changes/Count"), ids.len().to_string());
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    let types = texts_of(&xml, "Add/Type");
    // Inbox, Drafts, Deleted Items, Sent Items, Tasks, Calendar, Contacts.
    for wanted in ["2", "3", "4", "5", "7", "8", "9"] {
        let count = types.iter().filter(|kind| *kind == wanted).count();
        assert_eq!(count, 1, "type {wanted} in {types:?}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn f2_keys_may_be_repeated_but_not_made_up() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for _ in 0..2 {
        let same = phone.folder_sync("1").await.xml();
        assert_eq!(text_of(&same, "/FolderSync/Status"), "1");
        assert_eq!(text_of(&same, "SyncKey"), "1");
        assert_eq!(texts_of(&same, "Add").len(), 0, "{same}");
    }
    assert_eq!(phone.folder_sync("987").await.statuses(), ["9"]);

    control(&mock, "POST", "hierarchy-change", "").await;
    let changed = phone.folder_sync("1").await;
    assert_eq!(texts_of(&changed.xml(), "Changes/Add").len(), 1);
    let second = text_of(&changed.xml(), "SyncKey");
    assert_ne!(second, "1");
    // The answer was lost: the device asks again.
    assert_eq!(phone.folder_sync("1").await.xml(), changed.xml());
    control(&mock, "POST", "hierarchy-change", "").await;
    assert_eq!(phone.folder_sync(&second).await.statuses(), ["1"]);
    assert_eq!(phone.folder_sync("1").await.statuses(), ["9"], "too old");
    mock.shutdown().await;
}

#[tokio::test]
async fn f2_a_key_before_any_key_0_is_refused() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    assert_eq!(phone.folder_sync("1").await.statuses(), ["9"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn f3_server_ids_survive_a_new_start() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let folders = |xml: &str| {
        let ids = texts_of(xml, "Add/ServerId");
        let mut pairs: Vec<_> = ids.into_iter().zip(texts_of(xml, "DisplayName")).collect();
        pairs.sort();
        pairs
    };
    let before = folders(&phone.folder_sync("0").await.xml());
    assert!(!before.is_empty());
    control(&mock, "POST", "recycle", "").await;
    let after = folders(&phone.folder_sync("0").await.xml());
    assert_eq!(after, before);
    mock.shutdown().await;
}

#[tokio::test]
async fn f4_a_hierarchy_change_reaches_ping_and_sync() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("the Ping is held", || async { held(&mock) == 1 }).await;
    control(&mock, "POST", "hierarchy-change", "").await;
    assert_eq!(phone.raw.answer().await.statuses(), ["7"], "the held Ping");
    assert_eq!(phone.ping(600).await.statuses(), ["7"], "a new Ping");
    assert_eq!(phone.sync(&key, "").await.statuses(), ["12"]);

    let changed = phone.folder_sync("1").await.xml();
    assert_eq!(texts_of(&changed, "Changes/Add").len(), 1);
    phone.sync(&key, "").await.assert_empty();
    phone.send_ping(600).await;
    phone.raw.nothing_for(Duration::from_millis(150)).await;
    mock.shutdown().await;
}

/// F1: key 0 begins anew, however often.
#[tokio::test]
async fn f1_key_0_gives_key_1_every_time() {
    let mock = mock(|_| {}).await;
    let mut phone = Phone::new(&mock, "load1").await;
    phone.provision().await;
    for _ in 0..3 {
        let xml = phone.folder_sync("0").await.xml();
        assert_eq!(text_of(&xml, "/FolderSync/SyncKey"), "1");
    }
    mock.shutdown().await;
}

/// F4: also a Sync that hangs.
#[tokio::test]
async fn f4_a_hierarchy_change_ends_a_hanging_sync_with_12() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let wait = "<HeartbeatInterval>600</HeartbeatInterval>";
    let xml = phone.sync_xml(&key, "", wait);
    phone.send("Sync", &xml).await;
    phone.raw.nothing_for(Duration::from_millis(200)).await;
    control(&mock, "POST", "hierarchy-change", "").await;
    assert_eq!(phone.raw.answer().await.statuses(), ["12"]);
    mock.shutdown().await;
}
