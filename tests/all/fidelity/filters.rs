//! FilterType (MS-ASCMD 2.2.3.68.2): what is sent, what a device is to drop, and what is refused.

use mock_server::FrontDoor;

use super::phone::Phone;
use super::raw::{control, mail, text_of, texts_of};
use crate::fixtures::mock;

fn filter(kind: u8) -> String {
    format!("<Options><FilterType>{kind}</FilterType></Options>")
}

async fn wait(mock: &FrontDoor, days: u32) {
    let hours = format!(r#"{{"advance":"{}h"}}"#, 24 * days);
    control(mock, "POST", "clock", &hours).await;
}

/// An estimate of the Inbox.
async fn estimate(phone: &mut Phone, key: &str, options: &str) -> String {
    let xml = format!(
        r#"<GetItemEstimate xmlns="GetItemEstimate"><Collections><Collection>
           <SyncKey xmlns="AirSync">{key}</SyncKey><CollectionId>5</CollectionId>
           <Options xmlns="AirSync">{options}</Options></Collection></Collections></GetItemEstimate>"#
    );
    phone.request("GetItemEstimate", &xml).await.xml()
}

#[tokio::test]
async fn each_class_has_filters_of_its_own() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    for (folder, allowed) in [
        ("5", &[0, 1, 2, 3, 4, 5][..]),
        ("4", &[0, 1, 2, 3, 4, 5]),
        ("1", &[0, 4, 5, 6, 7]),
        ("7", &[0, 8]),
        // Contacts and notes have none, and a request that names one is no error.
        ("6", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("8", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ] {
        phone.inbox = folder.to_owned();
        for kind in 0..=9 {
            let status = if allowed.contains(&kind) { "1" } else { "4" };
            let answer = phone.sync("0", &filter(kind)).await.xml();
            assert_eq!(texts_of(&answer, "Status"), [status], "{folder} {kind}");
            if status == "4" {
                assert_eq!(
                    text_of(&answer, "/Sync/Status"),
                    "4",
                    "of the whole command"
                );
            }
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn mail_beyond_the_window_is_neither_sent_nor_counted() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 2).await;
    wait(&mock, 4).await;
    mail(&mock, "load1", 1).await;
    for (kind, count) in [(0, "3"), (1, "1"), (2, "1"), (3, "3"), (5, "3")] {
        let options = format!("<FilterType>{kind}</FilterType>");
        let xml = estimate(&mut phone, &key, &options).await;
        assert_eq!(text_of(&xml, "Estimate"), count, "{kind}");
    }
    let xml = estimate(&mut phone, &key, "<FilterType>9</FilterType>").await;
    assert_eq!(text_of(&xml, "Response/Status"), "103");

    let xml = phone.sync(&key, &filter(2)).await.xml();
    assert_eq!(texts_of(&xml, "Add/ServerId"), ["5:3"]);
    assert_eq!(texts_of(&xml, "MoreAvailable").len(), 0);
    let key = text_of(&xml, "Collection/SyncKey");
    phone.sync(&key, "").await.assert_empty();
    // What is not sent is not changed or deleted either.
    let (mut other, other_key) = Phone::ready_device(&mock, "load1", "OTHER").await;
    let (other_key, ids) = other.take_new(&other_key).await;
    assert_eq!(ids.len(), 3);
    let inner = format!(
        "<DeletesAsMoves>0</DeletesAsMoves><Commands>{}<Delete><ServerId>5:2</ServerId></Delete></Commands>",
        Phone::read_flag("5:1")
    );
    let answer = other.sync(&other_key, &inner).await.xml();
    assert_eq!(text_of(&answer, "Collection/Status"), "1");
    phone.sync(&key, "").await.assert_empty();
    mock.shutdown().await;
}

#[tokio::test]
async fn mail_that_leaves_the_window_is_soft_deleted_once() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let xml = phone.sync(&key, &filter(2)).await.xml();
    assert_eq!(texts_of(&xml, "Add/ServerId"), ["5:1"]);
    let key = text_of(&xml, "Collection/SyncKey");
    wait(&mock, 2).await;
    phone.sync(&key, "").await.assert_empty();
    wait(&mock, 2).await;
    mail(&mock, "load1", 1).await;
    let first = phone.sync(&key, "").await;
    let xml = first.xml();
    assert_eq!(texts_of(&xml, "SoftDelete/ServerId"), ["5:1"]);
    assert_eq!(texts_of(&xml, "Add/ServerId"), ["5:2"]);
    // A lost answer comes again as it was.
    assert_eq!(phone.sync(&key, "").await.body, first.body);
    let next = text_of(&xml, "Collection/SyncKey");
    phone.sync(&next, "").await.assert_empty();
    // The item itself is still there.
    let (mut other, other_key) = Phone::ready_device(&mock, "load1", "OTHER").await;
    assert_eq!(other.take_new(&other_key).await.1.len(), 2);
    mock.shutdown().await;
}

#[tokio::test]
async fn another_filter_takes_effect_with_the_same_key() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 2).await;
    wait(&mock, 4).await;
    mail(&mock, "load1", 1).await;
    let xml = phone.sync(&key, &filter(0)).await.xml();
    assert_eq!(texts_of(&xml, "Add/ServerId").len(), 3);
    let key = text_of(&xml, "Collection/SyncKey");

    // Soft deletions count as changes.
    let window = format!("<WindowSize>1</WindowSize>{}", filter(2));
    let xml = phone.sync(&key, &window).await.xml();
    assert_eq!(texts_of(&xml, "SoftDelete/ServerId"), ["5:1"]);
    assert_eq!(texts_of(&xml, "MoreAvailable").len(), 1);
    let key = text_of(&xml, "Collection/SyncKey");
    let xml = phone.sync(&key, &window).await.xml();
    assert_eq!(texts_of(&xml, "SoftDelete/ServerId"), ["5:2"]);
    assert_eq!(texts_of(&xml, "MoreAvailable").len(), 0);
    let key = text_of(&xml, "Collection/SyncKey");

    let xml = phone.sync(&key, &filter(5)).await.xml();
    assert_eq!(texts_of(&xml, "Add/ServerId"), ["5:1", "5:2"]);
    assert_eq!(texts_of(&xml, "SoftDelete").len(), 0);
    let key = text_of(&xml, "Collection/SyncKey");
    phone.sync(&key, "").await.assert_empty();
    mock.shutdown().await;
}

#[tokio::test]
async fn a_ping_wakes_only_for_what_the_filter_shows() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let (mut other, other_key) = Phone::ready_device(&mock, "load1", "OTHER").await;
    mail(&mock, "load1", 1).await;
    let (_, ids) = other.take_new(&other_key).await;
    let primed = phone.sync(&key, &filter(1)).await.xml();
    let key = text_of(&primed, "Collection/SyncKey");
    wait(&mock, 2).await;
    let dropped = phone.sync(&key, "").await.xml();
    assert_eq!(texts_of(&dropped, "SoftDelete/ServerId"), ids);
    // The old message comes back to the Inbox as a new item.
    let moves = |item: &str, from: &str, to: &str| {
        format!(
            r#"<MoveItems xmlns="Move"><Move><SrcMsgId>{item}</SrcMsgId><SrcFldId>{from}</SrcFldId>
               <DstFldId>{to}</DstFldId></Move></MoveItems>"#
        )
    };
    let away = other.request("MoveItems", &moves(&ids[0], "5", "3")).await;
    let away = text_of(&away.xml(), "DstMsgId");
    let back = other.request("MoveItems", &moves(&away, "3", "5")).await;
    assert_eq!(text_of(&back.xml(), "Response/Status"), "3", "3 is success");
    assert_eq!(phone.ping(1).await.statuses(), ["1"]);
    mail(&mock, "load1", 1).await;
    assert_eq!(phone.ping(600).await.statuses(), ["2"]);
    mock.shutdown().await;
}

fn add(id: &str, class: &str, fields: &[(&str, &str)]) -> String {
    let field = |(name, text): &(&str, &str)| format!(r#"<{name} xmlns="{class}">{text}</{name}>"#);
    let fields: String = fields.iter().map(field).collect();
    format!("<Add><ClientId>{id}</ClientId><ApplicationData>{fields}</ApplicationData></Add>")
}

/// A device with these items in a folder, which another device has added.
async fn folder_with(mock: &FrontDoor, folder: &str, adds: &str) -> (Phone, Phone, String) {
    let (mut other, _) = Phone::ready_device(mock, "load1", "OTHER").await;
    let (mut phone, _) = Phone::ready_device(mock, "load1", "PHONE").await;
    (other.inbox, phone.inbox) = (folder.to_owned(), folder.to_owned());
    let key = other.prime().await;
    let commands = format!("<Commands>{adds}</Commands>");
    let answer = other.sync(&key, &commands).await.xml();
    let statuses = texts_of(&answer, "Add/Status");
    assert!(
        !statuses.is_empty() && statuses.iter().all(|one| one == "1"),
        "{answer}"
    );
    let key = text_of(&answer, "Collection/SyncKey");
    (phone, other, key)
}

#[tokio::test]
async fn appointments_to_come_and_series_without_end_are_in_every_window() {
    let mock = mock(|_| {}).await;
    let times = |days: i64| {
        let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        let text = |time: jiff::Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
        (
            text(start),
            text(start + jiff::SignedDuration::from_hours(1)),
        )
    };
    let one = |id: &str, days: i64, series: &str| {
        let (start, end) = times(days);
        let fields = [("Subject", id), ("StartTime", &*start), ("EndTime", &*end)];
        let plain = add(id, "Calendar", &fields);
        plain.replace("</ApplicationData>", &format!("{series}</ApplicationData>"))
    };
    let series = |until: &str| {
        format!(
            r#"<Recurrence xmlns="Calendar"><Type>0</Type><Interval>1</Interval>{until}</Recurrence>"#
        )
    };
    let (ended, _) = times(-20);
    let adds = [
        one("old", -40, ""),
        one("future", 30, ""),
        one("recent", -3, ""),
        one("endless", -30, &series("")),
        one("ended", -30, &series(&format!("<Until>{ended}</Until>"))),
    ];
    let (mut phone, ..) = folder_with(&mock, "1", &adds.concat()).await;
    for (kind, subjects) in [
        (4, &["future", "recent", "endless"][..]),
        (5, &["future", "recent", "endless", "ended"]),
        (6, &["old", "future", "recent", "endless", "ended"]),
        (0, &["old", "future", "recent", "endless", "ended"]),
    ] {
        let key = phone.prime().await;
        let xml = phone.sync(&key, &filter(kind)).await.xml();
        assert_eq!(
            texts_of(&xml, "ApplicationData/Subject"),
            subjects,
            "{kind}"
        );
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_task_that_is_done_leaves_the_filter_of_tasks_and_comes_back() {
    let mock = mock(|_| {}).await;
    let task = |id: &str, done: &str| add(id, "Tasks", &[("Subject", id), ("Complete", done)]);
    let adds = task("open", "0") + &task("done", "1");
    let (mut phone, mut other, other_key) = folder_with(&mock, "7", &adds).await;
    let key = phone.prime().await;
    let xml = phone.sync(&key, &filter(8)).await.xml();
    assert_eq!(texts_of(&xml, "ApplicationData/Subject"), ["open"]);
    let mut key = text_of(&xml, "Collection/SyncKey");
    let mut other_key = other_key;
    for (done, told) in [("1", "SoftDelete"), ("0", "Add")] {
        let change = add("", "Tasks", &[("Subject", "open"), ("Complete", done)]);
        let change = change
            .replace(
                "<Add><ClientId></ClientId>",
                "<Change><ServerId>7:1</ServerId>",
            )
            .replace("</Add>", "</Change>");
        let commands = format!("<Commands>{change}</Commands>");
        let answer = other.sync(&other_key, &commands).await.xml();
        other_key = text_of(&answer, "Collection/SyncKey");
        let xml = phone.sync(&key, "").await.xml();
        assert_eq!(
            texts_of(&xml, &format!("{told}/ServerId")),
            ["7:1"],
            "{xml}"
        );
        assert_eq!(texts_of(&xml, "ServerId").len(), 1, "nothing else: {xml}");
        key = text_of(&xml, "Collection/SyncKey");
    }
    mock.shutdown().await;
}
