//! Attachments of drafts in elements of their own (MS-ASAIRS 2.2.2.2, 2.2.2.8 and 2.2.2.14), and what a
//! change of a draft leaves out; 16.0 and later.

use mock_server::FrontDoor;

use super::drafts::{DRAFTS, INBOX, SEND, add, change, device, look, mime};
use super::phone::Phone;
use super::raw::{text_of, texts_of};
use crate::fixtures::mock;

const DRAFT: &str = r#"<To xmlns="Email">load2@lab.example</To><Subject xmlns="Email">plan</Subject>
    <Importance xmlns="Email">2</Importance><Read xmlns="Email">1</Read>
    <Flag xmlns="Email"><Status>2</Status><FlagType>todo</FlagType></Flag>
    <Body xmlns="AirSyncBase"><Type>1</Type><Data>the text</Data></Body>"#;

/// Attachments with an Add per file: the device's name, the name for people, and the content in base64.
fn attachments(files: &[(&str, &str, &str)], removed: &[&str]) -> String {
    let mut all = String::from(r#"<Attachments xmlns="AirSyncBase">"#);
    for (client_id, name, content) in files {
        all.push_str(&format!(
            "<Add><ClientId>{client_id}</ClientId><Method>1</Method><Content>{content}</Content>\
             <DisplayName>{name}</DisplayName></Add>"
        ));
    }
    for reference in removed {
        all.push_str(&format!(
            "<Delete><FileReference>{reference}</FileReference></Delete>"
        ));
    }
    all + "</Attachments>"
}

/// What an attachment holds, in base64; nothing if there is none.
async fn content(phone: &mut Phone, reference: &str) -> Option<String> {
    let xml = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <FileReference xmlns="AirSyncBase">{reference}</FileReference></Fetch></ItemOperations>"#
    );
    let xml = phone.request("ItemOperations", &xml).await.xml();
    let found = texts_of(&xml, "Properties/Data").pop();
    let status = if found.is_some() { "1" } else { "15" };
    assert_eq!(text_of(&xml, "Fetch/Status"), status, "{reference}");
    found
}

/// The names of the attachments that the only draft has, and their references.
async fn files(mock: &FrontDoor, name: &str) -> Vec<(String, String)> {
    let seen = look(mock, ("load1", name), DRAFTS).await;
    let names = texts_of(&seen, "Attachment/DisplayName");
    let references = texts_of(&seen, "Attachment/FileReference");
    assert_eq!(names.len(), references.len());
    names.into_iter().zip(references).collect()
}

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(name, _)| &**name).collect()
}

#[tokio::test]
async fn attachments_are_added_with_a_draft_and_the_answer_names_them() {
    for version in ["16.0", "16.1"] {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), version, DRAFTS).await;
        let files_added = [("a1", "a.txt", "QQ=="), ("a2", "b.txt", "QkI=")];
        let draft = format!("{DRAFT}{}", attachments(&files_added, &[]));
        let answer = phone.sync(&key, &add(&draft, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "1");
        let id = text_of(&answer, "Responses/Add/ServerId");
        let place = "Responses/Add/ApplicationData/Attachments/Attachment";
        assert_eq!(
            texts_of(&answer, &format!("{place}/ClientId")),
            ["a1", "a2"]
        );
        let references = texts_of(&answer, &format!("{place}/FileReference"));
        assert_eq!(content(&mut phone, &references[0]).await.unwrap(), "QQ==");
        assert_eq!(content(&mut phone, &references[1]).await.unwrap(), "QkI=");
        let seen = files(&mock, "LOOK").await;
        assert_eq!(names(&seen), ["a.txt", "b.txt"]);
        assert_eq!(
            [&*seen[0].1, &*seen[1].1],
            [&*references[0], &*references[1]]
        );
        // A device that has lost the answer gets the same one again, and nothing is added twice.
        let again = phone.sync(&key, &add(&draft, "")).await.xml();
        assert_eq!(text_of(&again, "Responses/Add/ServerId"), id);
        assert_eq!(
            texts_of(&again, &format!("{place}/FileReference")),
            references
        );
        assert_eq!(files(&mock, "LOOK2").await, seen);
        mock.shutdown().await;
    }
}

/// A Change that holds nothing but attachments leaves the rest of the draft as it is. References stay.
#[tokio::test]
async fn attachments_of_a_draft_are_added_and_removed() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
    let first = attachments(&[("a1", "a.txt", "QQ=="), ("a2", "b.txt", "QkI=")], &[]);
    let answer = phone
        .sync(&key, &add(&format!("{DRAFT}{first}"), ""))
        .await
        .xml();
    let id = text_of(&answer, "Responses/Add/ServerId");
    let old = texts_of(&answer, "Attachment/FileReference");
    let key = text_of(&answer, "Collection/SyncKey");

    let second = attachments(&[("a3", "c.txt", "Qw==")], &[&old[0], "2:99:0", "nonsense"]);
    let answer = phone.sync(&key, &change(&id, &second, "")).await.xml();
    assert_eq!(text_of(&answer, "Responses/Change/Status"), "1");
    assert_eq!(text_of(&answer, "Responses/Change/ServerId"), id);
    assert_eq!(
        texts_of(
            &answer,
            "Responses/Change/ApplicationData/Attachments/Attachment/ClientId"
        ),
        ["a3"]
    );
    let new = text_of(&answer, "Attachment/FileReference");
    assert!(!old.contains(&new), "{new} names another file already");
    assert_eq!(content(&mut phone, &old[0]).await, None);
    assert_eq!(content(&mut phone, &old[1]).await.unwrap(), "QkI=");
    assert_eq!(content(&mut phone, &new).await.unwrap(), "Qw==");
    let seen = look(&mock, ("load1", "LOOK"), DRAFTS).await;
    assert_eq!(
        texts_of(&seen, "Attachment/DisplayName"),
        ["b.txt", "c.txt"]
    );
    for (element, value) in [
        ("ApplicationData/To", "load2@lab.example"),
        ("ApplicationData/Subject", "plan"),
        ("ApplicationData/Importance", "2"),
        ("ApplicationData/Read", "1"),
        ("ApplicationData/IsDraft", "1"),
        ("Flag/FlagType", "todo"),
        ("Body/Data", "the text"),
    ] {
        assert_eq!(text_of(&seen, element), value, "{element}");
    }
    // The last one goes, and the number is not given to another one.
    let key = text_of(&answer, "Collection/SyncKey");
    let answer = phone
        .sync(&key, &change(&id, &attachments(&[], &[&new]), ""))
        .await
        .xml();
    assert_eq!(texts_of(&answer, "Responses/Change").len(), 0, "{answer}");
    let key = text_of(&answer, "Collection/SyncKey");
    let again = attachments(&[("a4", "d.txt", "RA==")], &[]);
    let answer = phone.sync(&key, &change(&id, &again, "")).await.xml();
    assert_ne!(text_of(&answer, "Attachment/FileReference"), new);
    assert_eq!(content(&mut phone, &new).await, None);
    mock.shutdown().await;
}

#[tokio::test]
async fn a_draft_is_sent_with_its_attachments() {
    let files = attachments(&[("a1", "a.txt", "QQ==")], &[]);
    let draft = format!("{DRAFT}{files}");
    // In one step, in two, and with the attachment coming last.
    for (first, second) in [(&*draft, None), (&*draft, Some("")), (DRAFT, Some(&*files))] {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let after = if second.is_none() { SEND } else { "" };
        let answer = phone.sync(&key, &add(first, after)).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "1");
        if let Some(second) = second {
            let id = text_of(&answer, "Responses/Add/ServerId");
            let key = text_of(&answer, "Collection/SyncKey");
            let answer = phone.sync(&key, &change(&id, second, SEND)).await.xml();
            assert_eq!(
                texts_of(&answer, "Responses/Change/Status").len(),
                0,
                "{answer}"
            );
        }
        let (mut reader, key) = device(&mock, ("load2", "READER"), "16.1", INBOX).await;
        let seen = reader.sync(&key, "").await.xml();
        assert_eq!(texts_of(&seen, "Attachment/DisplayName"), ["a.txt"]);
        assert_eq!(text_of(&seen, "Body/Data"), "the text");
        let reference = text_of(&seen, "Attachment/FileReference");
        assert_eq!(content(&mut reader, &reference).await.unwrap(), "QQ==");
        mock.shutdown().await;
    }
}

/// What a Change of a draft leaves out stays, whatever it is.
#[tokio::test]
async fn elements_that_a_change_of_a_draft_leaves_out_stay() {
    let cases = [
        (r#"<Subject xmlns="Email">new</Subject>"#, "Subject", "new"),
        (
            r#"<To xmlns="Email">load3@lab.example</To>"#,
            "To",
            "load3@lab.example",
        ),
        (
            r#"<Importance xmlns="Email">0</Importance>"#,
            "Importance",
            "0",
        ),
        (
            r#"<Cc xmlns="Email">load3@lab.example</Cc>"#,
            "Cc",
            "load3@lab.example",
        ),
        (
            r#"<Bcc xmlns="Email2">load3@lab.example</Bcc>"#,
            "Bcc",
            "load3@lab.example",
        ),
        (
            r#"<Body xmlns="AirSyncBase"><Type>1</Type><Data>new</Data></Body>"#,
            "Body/Data",
            "new",
        ),
        // Of an element that is there, nothing stays.
        (
            r#"<Subject xmlns="Email">x</Subject><Read xmlns="Email">0</Read>"#,
            "Read",
            "0",
        ),
        (
            r#"<Subject xmlns="Email">x</Subject><Flag xmlns="Email"/>"#,
            "Flag",
            "",
        ),
    ];
    for (content, element, value) in cases {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let answer = phone.sync(&key, &add(DRAFT, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        let before = look(&mock, ("load1", "BEFORE"), DRAFTS).await;
        let answer = phone.sync(&key, &change(&id, content, "")).await.xml();
        assert_eq!(texts_of(&answer, "Responses").len(), 0, "{answer}");
        let after = look(&mock, ("load1", "AFTER"), DRAFTS).await;
        assert_eq!(text_of(&after, element), value, "{content}");
        for other in [
            "Subject",
            "To",
            "Cc",
            "Bcc",
            "Importance",
            "Read",
            "IsDraft",
            "Flag/FlagType",
            "Body/Data",
        ] {
            if other.starts_with(element) || content.contains(&format!("<{other} ")) {
                continue;
            }
            assert_eq!(
                texts_of(&after, other),
                texts_of(&before, other),
                "{content}: {other}"
            );
        }
        mock.shutdown().await;
    }
}

/// A MIME draft takes the place of the whole draft; only marks that it does not name stay.
#[tokio::test]
async fn marks_stay_when_a_draft_becomes_another_mime_message() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
    let files = attachments(&[("a1", "a.txt", "QQ==")], &[]);
    let answer = phone
        .sync(&key, &add(&format!("{DRAFT}{files}"), ""))
        .await
        .xml();
    let id = text_of(&answer, "Responses/Add/ServerId");
    let key = text_of(&answer, "Collection/SyncKey");
    let other = mime("To: <load3@lab.example>\nSubject: other\n\nother text\n");
    let unmarked = other.replace(r#"<Read xmlns="Email">1</Read>"#, "");
    assert_ne!(other, unmarked);
    phone.sync(&key, &change(&id, &unmarked, "")).await;
    let seen = look(&mock, ("load1", "LOOK"), DRAFTS).await;
    for (element, value) in [
        ("ApplicationData/To", "load3@lab.example"),
        ("ApplicationData/Subject", "other"),
        ("ApplicationData/Read", "1"),
        ("ApplicationData/Importance", "2"),
        ("Flag/FlagType", "todo"),
    ] {
        assert_eq!(text_of(&seen, element), value, "{element}");
    }
    assert_eq!(texts_of(&seen, "Attachment").len(), 0, "{seen}");
    mock.shutdown().await;
}

#[tokio::test]
async fn a_draft_of_shared_elements_alone_is_accepted() {
    let body = r#"<Body xmlns="AirSyncBase"><Type>1</Type><Data>alone</Data></Body>"#;
    let file = attachments(&[("a1", "a.txt", "QQ==")], &[]);
    for (content, text, names) in [
        (body.to_owned(), "alone", &[][..]),
        (file.clone(), "", &["a.txt"]),
        (format!("{body}{file}"), "alone", &["a.txt"]),
    ] {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let answer = phone.sync(&key, &add(&content, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "1", "{content}");
        let seen = look(&mock, ("load1", "LOOK"), DRAFTS).await;
        assert_eq!(text_of(&seen, "Body/Data"), text);
        assert_eq!(text_of(&seen, "ApplicationData/IsDraft"), "1");
        assert_eq!(texts_of(&seen, "Attachment/DisplayName"), names);
        mock.shutdown().await;
    }
    // Elsewhere, and before 16.0, it is refused as any other message.
    let mock = mock(|_| {}).await;
    for (version, folder) in [("14.1", DRAFTS), ("16.1", INBOX), ("14.1", INBOX)] {
        let name = format!("D{folder}{}", version.len());
        let (mut phone, key) = device(&mock, (&name, &name), version, folder).await;
        let answer = phone.sync(&key, &add(body, "")).await.xml();
        assert_eq!(
            text_of(&answer, "Responses/Add/Status"),
            "6",
            "{version} {folder}"
        );
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn attachments_that_do_not_fit_the_schema_cost_their_item_alone() {
    let mock = mock(|_| {}).await;
    let good = attachments(&[("a1", "a.txt", "QQ==")], &[]);
    for (number, broken) in [
        good.replace("<ClientId>a1</ClientId>", ""),
        good.replace("<Content>QQ==</Content>", ""),
        good.replace("<DisplayName>a.txt</DisplayName>", ""),
        good.replace("QQ==", "?"),
        attachments(&[], &["2:1:0"]).replace("<FileReference>2:1:0</FileReference>", ""),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("D{number}");
        let (mut phone, key) = device(&mock, (&name, &name), "16.1", DRAFTS).await;
        let commands = add(&format!("{DRAFT}{broken}"), "").replace("</Commands>", "")
            + &add(DRAFT, "").replace("<Commands>", "").replace("c1", "c2");
        let answer = phone.sync(&key, &commands).await.xml();
        assert_eq!(
            texts_of(&answer, "Responses/Add/Status"),
            ["6", "1"],
            "{broken}"
        );
    }
    mock.shutdown().await;
}

/// Status 115, as SendMail answers in the same case. Names count as well as contents.
#[tokio::test]
async fn a_draft_beyond_the_size_of_a_message_is_refused() {
    let mock = mock(|config| config.max_message_size = 2000).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
    let answer = phone.sync(&key, &add(DRAFT, "")).await.xml();
    assert_eq!(text_of(&answer, "Responses/Add/Status"), "1");
    let id = text_of(&answer, "Responses/Add/ServerId");
    let mut key = text_of(&answer, "Collection/SyncKey");
    let large_file = attachments(&[("a1", "a.txt", &"QUFB".repeat(700))], &[]);
    let long_name = attachments(&[("a1", &"n".repeat(2000), "QQ==")], &[]);
    let large_body = format!(
        r#"<Body xmlns="AirSyncBase"><Type>1</Type><Data>{}</Data></Body>"#,
        "x".repeat(2000)
    );
    for large in [large_file, long_name, large_body] {
        let answer = phone.sync(&key, &add(&large, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Add/Status"), "115");
        key = text_of(&answer, "Collection/SyncKey");
        let answer = phone.sync(&key, &change(&id, &large, "")).await.xml();
        assert_eq!(text_of(&answer, "Responses/Change/Status"), "115");
        key = text_of(&answer, "Collection/SyncKey");
    }
    assert_eq!(files(&mock, "LOOK").await, []);
    mock.shutdown().await;
}
