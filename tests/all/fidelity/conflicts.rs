//! Items that a device changes and that another one has changed meanwhile (MS-ASCMD 2.2.3.34).

use mock_server::FrontDoor;

use super::changes::{APPOINTMENT, CALENDAR, CONTACT, CONTACTS};
use super::drafts::{DRAFTS, add, change, device};
use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

/// Two devices with the same item, and their keys.
async fn pair(
    mock: &FrontDoor,
    (user, version, folder): (&str, &'static str, &str),
    content: &str,
) -> ([(Phone, String); 2], String) {
    let (mut one, key) = device(mock, (user, "ONE"), version, folder).await;
    let (mut two, two_key) = device(mock, (user, "TWO"), version, folder).await;
    let (key, id) = if content.is_empty() {
        mail(mock, user, 1).await;
        let (key, ids) = one.take_new(&key).await;
        (key, ids[0].clone())
    } else {
        let answer = one.sync(&key, &add(content, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        (text_of(&answer, "Collection/SyncKey"), id)
    };
    let (two_key, ids) = two.take_new(&two_key).await;
    assert_eq!(ids, [id.as_str()]);
    ([(one, key), (two, two_key)], id)
}

/// A folder, an item, two changes of it, and the element to which they give the values `one` and `two`.
const CONFLICTS: [(&str, &str, [&str; 2], &str); 4] = [
    (
        CONTACTS,
        CONTACT,
        [
            r#"<FileAs xmlns="Contacts">one</FileAs>"#,
            r#"<FileAs xmlns="Contacts">two</FileAs>"#,
        ],
        "FileAs",
    ),
    (
        CALENDAR,
        APPOINTMENT,
        [
            r#"<Subject xmlns="Calendar">one</Subject>"#,
            r#"<Subject xmlns="Calendar">two</Subject>"#,
        ],
        "Subject",
    ),
    (
        "5",
        "",
        [
            r#"<Flag xmlns="Email"><Status>2</Status><FlagType>one</FlagType></Flag>"#,
            r#"<Flag xmlns="Email"><Status>2</Status><FlagType>two</FlagType></Flag>"#,
        ],
        "FlagType",
    ),
    (
        DRAFTS,
        r#"<Subject xmlns="Email">plan</Subject>"#,
        [
            r#"<Subject xmlns="Email">one</Subject>"#,
            r#"<Subject xmlns="Email">two</Subject>"#,
        ],
        "Subject",
    ),
];

/// MS-ASCMD 2.2.3.34: 1, and nothing, means that the server wins, 0 that the client does.
#[tokio::test]
async fn conflict_decides_whose_change_stays() {
    const VALUES: [&str; 2] = ["one", "two"];
    for (folder, content, changes, element) in CONFLICTS {
        for (conflict, server_wins) in [
            ("", true),
            ("<Conflict>1</Conflict>", true),
            ("<Conflict>0</Conflict>", false),
        ] {
            let mock = mock(|_| {}).await;
            let of = ("load1", "16.1", folder);
            let ([(mut one, one_key), (mut two, two_key)], id) = pair(&mock, of, content).await;
            let first = one.sync(&one_key, &change(&id, changes[0], "")).await.xml();
            assert_eq!(
                texts_of(&first, "Responses").len(),
                0,
                "nobody else has changed it"
            );
            let options = format!("<Options>{conflict}</Options>");
            let request = options + &change(&id, changes[1], "");
            let answer = two.sync(&two_key, &request).await.xml();
            let name = format!("{folder} {conflict}");
            if server_wins {
                assert_eq!(
                    texts_of(&answer, "Responses/Change/Status"),
                    ["7"],
                    "{name}"
                );
                assert_eq!(text_of(&answer, "Responses/Change/ServerId"), id);
                // The server's version comes with it.
                assert_eq!(text_of(&answer, "Commands/Change/ServerId"), id, "{name}");
                let told = texts_of(
                    &answer,
                    &format!("Commands/Change/ApplicationData/{element}"),
                );
                let flag = texts_of(
                    &answer,
                    &format!("Commands/Change/ApplicationData/Flag/{element}"),
                );
                assert_eq!([told, flag].concat(), [VALUES[0]], "{name}");
            } else {
                assert_eq!(texts_of(&answer, "Responses").len(), 0, "{name}");
            }
            let left = VALUES[usize::from(!server_wins)];
            let (mut reader, key) = device(&mock, ("load1", "READER"), "16.1", folder).await;
            let seen = reader.sync(&key, "").await.xml();
            assert_eq!(texts_of(&seen, element), [left], "{name}");
            // The device has seen the other change by now, so its next one is no conflict.
            let two_key = text_of(&answer, "Collection/SyncKey");
            let answer = two.sync(&two_key, &change(&id, changes[1], "")).await.xml();
            assert_eq!(texts_of(&answer, "Responses").len(), 0, "{name}: {answer}");
            let last = one
                .sync(&text_of(&first, "Collection/SyncKey"), "")
                .await
                .xml();
            assert_eq!(texts_of(&last, element), [VALUES[1]], "{name}");
            mock.shutdown().await;
        }
    }
}

/// There is nothing to decide where both say the same, and no change of another item is concerned.
#[tokio::test]
async fn only_different_changes_of_the_same_item_are_a_conflict() {
    let mock = mock(|_| {}).await;
    let ([(mut one, one_key), (mut two, two_key)], id) =
        pair(&mock, ("load1", "14.1", "5"), "").await;
    mail(&mock, "load1", 1).await;
    let read = format!("<Commands>{}</Commands>", Phone::read_flag(&id));
    one.sync(&one_key, &read).await;
    let unread = read.replace(">1<", ">0<");
    let flag = r#"<Flag xmlns="Email"><Status>2</Status></Flag>"#;
    // The same mark, a mark of another message, a mark that the other did not change: the item did.
    for (commands, statuses) in [
        (read.clone(), &[][..]),
        (
            format!("<Commands>{}</Commands>", Phone::read_flag("5:2")),
            &[],
        ),
        (unread, &["7"]),
        (change(&id, flag, ""), &["7"]),
    ] {
        let inner = format!("<GetChanges>0</GetChanges>{commands}");
        let answer = two.sync(&two_key, &inner).await.xml();
        assert_eq!(
            texts_of(&answer, "Responses/Change/Status"),
            statuses,
            "{commands}"
        );
        // The answer is taken as lost: the same key again.
    }
    mock.shutdown().await;
}
