//! Changes of items by Sync: what stays that a change leaves out, requests that are refused, and requests
//! that are repeated.

use super::drafts::{add, change, device};
use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

pub(super) const CONTACTS: &str = "6";
pub(super) const CALENDAR: &str = "1";
pub(super) const CONTACT: &str = r#"<FileAs xmlns="Contacts">Ada</FileAs><JobTitle xmlns="Contacts">Engineer</JobTitle>
    <CompanyName xmlns="Contacts">Lab</CompanyName>
    <Body xmlns="AirSyncBase"><Type>1</Type><Data>notes</Data></Body>"#;
pub(super) const APPOINTMENT: &str = r#"<Subject xmlns="Calendar">plan</Subject>
    <StartTime xmlns="Calendar">20260314T030000Z</StartTime><EndTime xmlns="Calendar">20260314T040000Z</EndTime>
    <Reminder xmlns="Calendar">15</Reminder><BusyStatus xmlns="Calendar">2</BusyStatus>
    <Attendees xmlns="Calendar"><Attendee><Email>a@lab.example</Email><Name>A</Name></Attendee></Attendees>
    <Recurrence xmlns="Calendar"><Type>0</Type><Interval>1</Interval></Recurrence>
    <Body xmlns="AirSyncBase"><Type>1</Type><Data>notes</Data></Body>"#;

/// What the first Sync of a folder says beside key and folder, an item, a change of it, elements that are
/// there afterwards, and elements that are not.
struct Case {
    version: &'static str,
    folder: &'static str,
    first: &'static str,
    item: &'static str,
    change: &'static str,
    stays: &'static [&'static str],
    goes: &'static [&'static str],
}

const NAME: &str = r#"<FileAs xmlns="Contacts">Ada L.</FileAs>"#;
const TITLE_SUPPORTED: &str = r#"<Supported><JobTitle xmlns="Contacts"/></Supported>"#;
const SUBJECT: &str = r#"<Subject xmlns="Calendar">new plan</Subject>"#;

#[tokio::test]
async fn elements_that_a_change_leaves_out_are_deleted_unless_they_are_ghosted() {
    let contact = |first, stays, goes| Case {
        version: "14.1",
        folder: CONTACTS,
        first,
        item: CONTACT,
        change: NAME,
        stays,
        goes,
    };
    let appointment = |version, first, stays, goes| Case {
        version,
        folder: CALENDAR,
        first,
        item: APPOINTMENT,
        change: SUBJECT,
        stays,
        goes,
    };
    const TIMES: &[&str] = &[
        "StartTime",
        "EndTime",
        "Reminder",
        "Attendee",
        "Recurrence",
        "Body/Data",
    ];
    let cases = [
        // MS-ASCMD 2.2.3.24: a body stays, everything else goes.
        contact("", &["Body/Data"], &["JobTitle", "CompanyName"]),
        // MS-ASCMD 2.2.3.179
        contact(
            TITLE_SUPPORTED,
            &["CompanyName", "Body/Data"],
            &["JobTitle"],
        ),
        contact(
            "<Supported/>",
            &["JobTitle", "CompanyName", "Body/Data"],
            &[],
        ),
        appointment(
            "14.1",
            "",
            &["Body/Data"],
            &["StartTime", "Reminder", "Attendee", "Recurrence"],
        ),
        appointment(
            "14.1",
            r#"<Supported><Reminder xmlns="Calendar"/><Attendees xmlns="Calendar"/></Supported>"#,
            &["StartTime", "EndTime", "Recurrence", "Body/Data"],
            &["Reminder", "Attendee"],
        ),
        appointment("14.1", "<Supported/>", TIMES, &[]),
        // MS-ASCAL 3.1.5.3: from 16.0 on every element is ghosted.
        appointment("16.0", "", TIMES, &[]),
        appointment("16.1", "", TIMES, &[]),
        // The other classes have no ghosted elements.
        Case {
            version: "16.1",
            folder: "7",
            first: r#"<Supported><Subject xmlns="Tasks"/></Supported>"#,
            item: r#"<Subject xmlns="Tasks">t</Subject><DueDate xmlns="Tasks">2026-03-14T00:00:00.000Z</DueDate>
                <UtcDueDate xmlns="Tasks">2026-03-14T00:00:00.000Z</UtcDueDate>
                <Body xmlns="AirSyncBase"><Type>1</Type><Data>notes</Data></Body>"#,
            change: r#"<Subject xmlns="Tasks">u</Subject>"#,
            stays: &["Body/Data"],
            goes: &["DueDate"],
        },
        Case {
            version: "16.1",
            folder: "8",
            first: "",
            item: r#"<Subject xmlns="Notes">n</Subject>
                <Body xmlns="AirSyncBase"><Type>1</Type><Data>notes</Data></Body>"#,
            change: r#"<Subject xmlns="Notes">m</Subject>"#,
            stays: &["Body/Data"],
            goes: &[],
        },
        // Empty means none, also for a body.
        Case {
            version: "14.1",
            folder: CONTACTS,
            first: "<Supported/>",
            item: CONTACT,
            change: r#"<JobTitle xmlns="Contacts"/>
                <Body xmlns="AirSyncBase"><Type>1</Type><Data/></Body>"#,
            stays: &["FileAs", "CompanyName"],
            goes: &["JobTitle", "Body/Data"],
        },
    ];
    for case in cases {
        let mock = mock(|_| {}).await;
        let Case {
            version,
            folder,
            first,
            item,
            change: new,
            stays,
            goes,
        } = case;
        let (mut phone, _) = device(&mock, ("load1", "ONE"), version, folder).await;
        let primed = phone.sync("0", first).await.xml();
        assert_eq!(text_of(&primed, "Collection/Status"), "1", "{first}");
        let key = text_of(&primed, "Collection/SyncKey");
        let answer = phone.sync(&key, &add(item, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        let seen = |name: &'static str| {
            let mock = &mock;
            async move {
                let (mut reader, key) = device(mock, ("load1", name), version, folder).await;
                reader.sync(&key, "").await.xml()
            }
        };
        let before = seen("BEFORE").await;
        let answer = phone.sync(&key, &change(&id, new, "")).await.xml();
        assert_eq!(texts_of(&answer, "Responses").len(), 0, "{answer}");
        let after = seen("AFTER").await;
        assert_ne!(before, after);
        for element in stays {
            assert_ne!(texts_of(&before, element).len(), 0, "{element}: {before}");
            let texts = (texts_of(&after, element), texts_of(&before, element));
            assert_eq!(texts.0, texts.1, "{version} {first} {new}: {element}");
        }
        for element in goes {
            assert_ne!(texts_of(&before, element).len(), 0, "{element}: {before}");
            let left = texts_of(&after, element).concat();
            assert_eq!(left, "", "{version} {first} {new}: {element}");
        }
        mock.shutdown().await;
    }
}

/// What a device supports it says with key 0. With key 0 again it says something else.
#[tokio::test]
async fn supported_holds_until_the_next_key_0() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = device(&mock, ("load1", "ONE"), "14.1", CONTACTS).await;
    for (first, title) in [("<Supported/>", &["Engineer"][..]), ("", &[])] {
        let primed = phone.sync("0", first).await.xml();
        let key = text_of(&primed, "Collection/SyncKey");
        let answer = phone.sync(&key, &add(CONTACT, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let mut key = text_of(&answer, "Collection/SyncKey");
        for name in ["Ada 1", "Ada 2"] {
            let new = NAME.replace("Ada L.", name);
            let answer = phone.sync(&key, &change(&id, &new, "")).await.xml();
            key = text_of(&answer, "Collection/SyncKey");
        }
        let fetch = format!("<Commands><Fetch><ServerId>{id}</ServerId></Fetch></Commands>");
        let answer = phone.sync(&key, &fetch).await.xml();
        assert_eq!(
            texts_of(&answer, "Fetch/ApplicationData/JobTitle"),
            title,
            "{first}"
        );
        assert_eq!(texts_of(&answer, "Fetch/ApplicationData/FileAs"), ["Ada 2"]);
    }
    mock.shutdown().await;
}

/// A request with a part that no request may have gets Status 4, and does nothing.
#[tokio::test]
async fn what_a_key_does_not_allow_is_refused_with_status_4() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", CONTACTS).await;
    let adds = add(CONTACT, "");
    let commands = [
        adds.clone(),
        change("6:1", NAME, ""),
        "<Commands><Delete><ServerId>6:1</ServerId></Delete></Commands>".to_owned(),
        "<Commands><Fetch><ServerId>6:1</ServerId></Fetch></Commands>".to_owned(),
    ];
    for inner in &commands {
        let refused = phone.sync("0", inner).await;
        assert_eq!(refused.statuses(), ["4"], "{inner}");
    }
    let changes = format!("<GetChanges>1</GetChanges>{adds}");
    assert_eq!(phone.sync("0", &changes).await.statuses(), ["4"]);
    for inner in ["<Supported/>", TITLE_SUPPORTED] {
        assert_eq!(phone.sync(&key, inner).await.statuses(), ["4"], "{inner}");
    }
    // The refused requests have neither begun the folder again nor stored anything.
    phone.sync(&key, "").await.assert_empty();
    // What a first Sync may say.
    for inner in [
        "",
        "<Supported/>",
        TITLE_SUPPORTED,
        "<DeletesAsMoves>1</DeletesAsMoves><GetChanges>0</GetChanges><WindowSize>10</WindowSize>",
        "<Options><FilterType>0</FilterType><Conflict>0</Conflict></Options>",
    ] {
        let answer = phone.sync("0", inner).await;
        assert_eq!(answer.statuses(), ["1"], "{inner}");
    }
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.125.6: one block for messages, and one for text messages.
#[tokio::test]
async fn a_second_block_of_options_is_for_text_messages_alone() {
    let mock = mock(|_| {}).await;
    let (mut phone, mut key) = Phone::ready(&mock, "load1").await;
    let block = |class: &str, inner: &str| {
        let class = match class {
            "" => String::new(),
            class => format!("<Class>{class}</Class>"),
        };
        format!("<Options>{class}{inner}</Options>")
    };
    let two = |one: &str, other: &str| block(one, "<FilterType>1</FilterType>") + &block(other, "");
    for (one, other) in [
        ("Email", "Email"),
        ("", ""),
        ("", "Email"),
        ("SMS", "SMS"),
        ("Email", "Calendar"),
        ("Calendar", "SMS"),
        ("SMS", "Contacts"),
    ] {
        let refused = phone.sync(&key, &two(one, other)).await;
        assert_eq!(refused.statuses(), ["4"], "{one} {other}");
    }
    let three = two("Email", "SMS") + &block("SMS", "");
    assert_eq!(phone.sync(&key, &three).await.statuses(), ["4"]);
    for (one, other) in [("Email", "SMS"), ("SMS", "Email"), ("", "SMS"), ("SMS", "")] {
        mail(&mock, "load1", 1).await;
        let preference = r#"<BodyPreference xmlns="AirSyncBase"><Type>2</Type></BodyPreference>"#;
        let inner = block(one, if one == "SMS" { "" } else { preference })
            + &block(other, if other == "SMS" { "" } else { preference });
        let answer = phone.sync(&key, &inner).await.xml();
        assert_eq!(text_of(&answer, "Collection/Status"), "1", "{inner}");
        // The block of text messages takes nothing from that of messages.
        assert_eq!(text_of(&answer, "Body/Type"), "2", "{inner}");
        key = text_of(&answer, "Collection/SyncKey");
    }
    mock.shutdown().await;
}

/// MS-ASCMD 2.2.3.103: only the recipient cache has a number of items, and the mock has no such folder.
#[tokio::test]
async fn max_items_is_refused_outside_the_recipient_cache() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let most = "<Options><MaxItems>5</MaxItems></Options>";
    for key in ["0", &*key] {
        assert_eq!(phone.sync(key, most).await.statuses(), ["4"], "{key}");
    }
    let estimate = |id: &str, options: &str| {
        format!(
            r#"<GetItemEstimate xmlns="GetItemEstimate"><Collections><Collection>
               <SyncKey xmlns="AirSync">{key}</SyncKey><CollectionId>{id}</CollectionId>
               <Options xmlns="AirSync">{options}</Options></Collection></Collections></GetItemEstimate>"#
        )
    };
    for (id, options, status) in [
        ("5", "<MaxItems>5</MaxItems>", "2"),
        ("RI", "<MaxItems>5</MaxItems>", "2"),
        ("5", "<FilterType>0</FilterType>", "1"),
    ] {
        let request = estimate(id, options);
        let answer = phone.request("GetItemEstimate", &request).await.xml();
        assert_eq!(
            text_of(&answer, "Response/Status"),
            status,
            "{id} {options}"
        );
    }
    phone.inbox = "RI".to_owned();
    assert_eq!(phone.sync("0", most).await.statuses(), ["12"]);
    mock.shutdown().await;
}

/// Status 113: the limits are those of a mailbox, not of a message that is sent.
#[tokio::test]
async fn an_item_beyond_the_size_of_a_message_is_refused() {
    let mock = mock(|config| config.max_message_size = 1000).await;
    for (folder, content) in [(CONTACTS, CONTACT), (CALENDAR, APPOINTMENT)] {
        let (mut phone, key) = device(&mock, (folder, folder), "14.1", folder).await;
        let answer = phone.sync(&key, &add(content, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "1");
        let key = text_of(&answer, "Collection/SyncKey");
        let large = content.replace("notes", &"n".repeat(1000));
        let answer = phone.sync(&key, &add(&large, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "113", "{folder}");
    }
    mock.shutdown().await;
}

/// A device that has lost the answer gets it again, with the items that it has fetched, and nothing
/// happens twice.
#[tokio::test]
async fn a_repeated_request_is_answered_as_before() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "14.1", CONTACTS).await;
    let answer = phone.sync(&key, &add(CONTACT, "")).await.xml();
    let id = text_of(&answer, "Responses/Add/ServerId");
    let key = text_of(&answer, "Collection/SyncKey");
    let commands = format!(
        "<Commands><Fetch><ServerId>{id}</ServerId></Fetch>\
         <Add><ClientId>c2</ClientId><ApplicationData>{CONTACT}</ApplicationData></Add>\
         <Add><ClientId>c3</ClientId><ApplicationData/></Add>\
         <Change><ServerId>6:99</ServerId><ApplicationData>{NAME}</ApplicationData></Change>\
         <Change><ServerId>{id}</ServerId><ApplicationData>{NAME}</ApplicationData></Change>\
         <Fetch><ServerId>6:99</ServerId></Fetch></Commands>"
    );
    let first = phone.sync(&key, &commands).await;
    let xml = first.xml();
    assert_eq!(texts_of(&xml, "Responses/Add/Status"), ["1", "6"]);
    assert_eq!(texts_of(&xml, "Responses/Change/Status"), ["8"]);
    assert_eq!(texts_of(&xml, "Responses/Fetch/Status"), ["1", "8"]);
    assert_eq!(phone.sync(&key, &commands).await.body, first.body);
    let (mut reader, key) = device(&mock, ("load1", "READER"), "14.1", CONTACTS).await;
    assert_eq!(reader.take_new(&key).await.1.len(), 2);
    mock.shutdown().await;
}
