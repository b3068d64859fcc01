//! Drafts of 16.0 and later: messages that a device writes, changes and sends by Sync
//! (MS-ASCMD 2.2.3.7.2 and 2.2.3.162).

use mock_server::FrontDoor;

use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

/// The ids that folders have in the mock.
pub(super) const DRAFTS: &str = "2";
const SENT: &str = "4";
pub(super) const INBOX: &str = "5";

/// A draft in elements of its own.
const STRUCTURED: &str = r#"<To xmlns="Email">load2@lab.example</To><Cc xmlns="Email">load3@lab.example</Cc>
    <Subject xmlns="Email">plan</Subject><Read xmlns="Email">1</Read>
    <Body xmlns="AirSyncBase"><Type>2</Type><Data>&lt;b&gt;text&lt;/b&gt;</Data></Body>
    <Bcc xmlns="Email2">load4@lab.example</Bcc>"#;

/// A draft as MIME, the way pyactivesync writes it.
const MIME: &str = "To: <load2@lab.example>\nBcc: <load4@lab.example>\nSubject: plan\nMIME-Version: 1.0\n\
    Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nthe text\n\
    --b\nContent-Type: application/pdf; name=a.pdf\n\
    Content-Disposition: attachment; filename=a.pdf\n\nPDF\n--b--\n";

/// A device that syncs one folder, and its key for it.
pub(super) async fn device(
    mock: &FrontDoor,
    (user, name): (&str, &str),
    version: &'static str,
    folder: &str,
) -> (Phone, String) {
    let mut phone = Phone::with_device(mock, user, name).await;
    phone.version = version;
    phone.provision().await;
    phone.learn_folders().await;
    phone.inbox = folder.to_owned();
    let key = phone.prime().await;
    (phone, key)
}

/// What stands in a folder for a device that begins with it.
pub(super) async fn look(mock: &FrontDoor, (user, name): (&str, &str), folder: &str) -> String {
    let (mut phone, key) = device(mock, (user, name), "16.1", folder).await;
    let answer = phone.sync(&key, "").await;
    match answer.body.is_empty() {
        true => String::new(),
        false => answer.xml(),
    }
}

pub(super) fn mime(text: &str) -> String {
    format!(
        r#"<Read xmlns="Email">1</Read>
           <Body xmlns="AirSyncBase"><Type>4</Type><Data>{}</Data></Body>"#,
        text.replace('<', "&lt;").replace('>', "&gt;")
    )
}

pub(super) fn add(content: &str, after: &str) -> String {
    format!(
        "<Commands><Add><ClientId>c1</ClientId><ApplicationData>{content}</ApplicationData>{after}\
         </Add></Commands>"
    )
}

pub(super) fn change(id: &str, content: &str, after: &str) -> String {
    format!(
        "<Commands><Change><ServerId>{id}</ServerId><ApplicationData>{content}</ApplicationData>\
         {after}</Change></Commands>"
    )
}

pub(super) const SEND: &str = r#"<Send xmlns="Email2"/>"#;
const ADDED: &str = "Responses/Add/Status";
const CHANGED: &str = "Responses/Change/Status";

#[tokio::test]
async fn a_draft_reaches_the_other_devices_of_the_user() {
    for version in ["16.0", "16.1"] {
        let mock = mock(|_| {}).await;
        let (mut one, key) = device(&mock, ("load1", "ONE"), version, DRAFTS).await;
        let (mut other, other_key) = device(&mock, ("load1", "OTHER"), version, DRAFTS).await;
        let answer = one.sync(&key, &add(STRUCTURED, "")).await.xml();
        assert_eq!(text_of(&answer, ADDED), "1", "{version}");
        let id = text_of(&answer, "Responses/Add/ServerId");
        let seen = other.sync(&other_key, "").await.xml();
        for (element, value) in [
            ("Add/ServerId", id.as_str()),
            ("ApplicationData/From", "load1@lab.example"),
            ("ApplicationData/To", "load2@lab.example"),
            ("ApplicationData/Cc", "load3@lab.example"),
            ("ApplicationData/Bcc", "load4@lab.example"),
            ("ApplicationData/Subject", "plan"),
            ("ApplicationData/Read", "1"),
            ("ApplicationData/IsDraft", "1"),
            ("Body/Data", "text"),
        ] {
            assert_eq!(text_of(&seen, element), value, "{version} {element}");
        }
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn a_draft_can_be_a_mime_message_with_attachments() {
    let text = mime(MIME);
    let opaque = format!(
        r#"<Body xmlns="AirSyncBase"><Type>4</Type><Data><![CDATA[{MIME}]]></Data></Body>
           <Read xmlns="Email">1</Read>"#
    );
    let flag = r#"<Flag xmlns="Email"><Status>2</Status><FlagType>todo</FlagType></Flag>"#;
    for content in [text, opaque] {
        let mock = mock(|_| {}).await;
        let (mut one, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let (mut other, other_key) = device(&mock, ("load1", "OTHER"), "16.1", DRAFTS).await;
        let content = format!("{content}{flag}");
        let answer = one.sync(&key, &add(&content, "")).await.xml();
        assert_eq!(text_of(&answer, ADDED), "1", "{content}");
        let seen = other.sync(&other_key, "").await.xml();
        for (element, value) in [
            ("ApplicationData/To", "load2@lab.example"),
            ("ApplicationData/Bcc", "load4@lab.example"),
            ("ApplicationData/Subject", "plan"),
            ("ApplicationData/Read", "1"),
            ("ApplicationData/IsDraft", "1"),
            ("Flag/FlagType", "todo"),
            ("Attachment/DisplayName", "a.pdf"),
            ("Body/Data", "the text"),
        ] {
            assert_eq!(text_of(&seen, element).trim_end(), value, "{element}");
        }
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn a_draft_is_refused_elsewhere_and_before_16_0() {
    let mock = mock(|_| {}).await;
    let cases = [
        ("14.1", DRAFTS, "6"),
        ("14.1", INBOX, "6"),
        ("16.1", INBOX, "6"),
        ("16.1", SENT, "6"),
        ("16.1", "1", "6"),
        ("16.1", DRAFTS, "1"),
    ];
    for (number, (version, folder, status)) in cases.into_iter().enumerate() {
        for (form, content) in [("structured", STRUCTURED.to_owned()), ("mime", mime(MIME))] {
            for (send, after) in [(false, ""), (true, SEND)] {
                let user = format!("user{number}");
                let name = format!("{form}{send}");
                let (mut phone, key) = device(&mock, (&user, &name), version, folder).await;
                let answer = phone.sync(&key, &add(&content, after)).await.xml();
                assert_eq!(text_of(&answer, ADDED), status, "{version} {folder} {name}");
            }
        }
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn a_change_replaces_a_draft_and_no_other_message() {
    let mock = mock(|_| {}).await;
    let (mut one, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
    let (mut other, other_key) = device(&mock, ("load1", "OTHER"), "16.1", DRAFTS).await;
    let answer = one.sync(&key, &add(&mime(MIME), "")).await.xml();
    let id = text_of(&answer, "Responses/Add/ServerId");
    let key = text_of(&answer, "Collection/SyncKey");
    let seen = other.sync(&other_key, "").await.xml();
    let other_key = text_of(&seen, "Collection/SyncKey");
    let better = STRUCTURED.replace(">plan<", ">better plan<");
    let answer = one.sync(&key, &change(&id, &better, "")).await.xml();
    assert_eq!(texts_of(&answer, CHANGED).len(), 0, "{answer}");
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(text_of(&seen, "Change/ServerId"), id);
    assert_eq!(
        text_of(&seen, "Change/ApplicationData/Subject"),
        "better plan"
    );
    // What the request does not name: the attachments.
    assert_eq!(text_of(&seen, "Attachment/DisplayName"), "a.pdf");

    let (mut inbox, key) = device(&mock, ("load1", "ONE"), "16.1", INBOX).await;
    mail(&mock, "load1", 1).await;
    let (mut key, ids) = inbox.take_new(&key).await;
    let cases = [
        ("16.1", ids[0].as_str(), better.as_str(), "", &["6"][..]),
        ("16.1", &ids[0], "", SEND, &["6"]),
        ("14.1", &ids[0], &better, "", &["6"]),
        ("14.1", &id, &better, "", &["6"]),
        ("16.1", "2:999", &better, "", &["8"]),
        ("16.1", &ids[0], r#"<Read xmlns="Email">1</Read>"#, "", &[]),
    ];
    for (version, id, content, after, statuses) in cases {
        inbox.version = version;
        let answer = inbox.sync(&key, &change(id, content, after)).await.xml();
        assert_eq!(
            texts_of(&answer, CHANGED),
            statuses,
            "{version} {id} {content}"
        );
        key = text_of(&answer, "Collection/SyncKey");
    }
    let after = look(&mock, ("load1", "LAST"), INBOX).await;
    assert_ne!(text_of(&after, "Subject"), "better plan");
    assert_eq!(text_of(&after, "ApplicationData/Read"), "1");
    mock.shutdown().await;
}

/// Everyone has the message, the sender a copy, and nobody sees the hidden recipient.
async fn assert_sent(mock: &FrontDoor, users: &[&str], subject: &str) {
    for user in users {
        let inbox = look(mock, (user, "LOOK"), INBOX).await;
        assert_eq!(text_of(&inbox, "Subject"), subject, "{user}");
        assert_eq!(text_of(&inbox, "ApplicationData/Read"), "0", "{user}");
        assert_eq!(texts_of(&inbox, "IsDraft").len(), 0, "{user}: {inbox}");
        assert_eq!(texts_of(&inbox, "Bcc").len(), 0, "{user}: {inbox}");
    }
    let sent = look(mock, ("load1", "LOOK"), SENT).await;
    assert_eq!(text_of(&sent, "Subject"), subject);
    assert_eq!(texts_of(&sent, "Bcc").len(), 0, "{sent}");
    let drafts = look(mock, ("load1", "LOOK"), DRAFTS).await;
    assert_eq!(texts_of(&drafts, "Add").len(), 0, "{drafts}");
}

#[tokio::test]
async fn send_in_an_add_delivers_the_message_and_keeps_no_draft() {
    for (content, users) in [
        (STRUCTURED.to_owned(), &["load2", "load3", "load4"][..]),
        (mime(MIME), &["load2", "load4"]),
    ] {
        let mock = mock(|_| {}).await;
        let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let answer = phone.sync(&key, &add(&content, SEND)).await.xml();
        assert_eq!(text_of(&answer, ADDED), "1");
        assert_eq!(texts_of(&answer, "Responses/Add/ServerId").len(), 0);
        assert_sent(&mock, users, "plan").await;
        mock.shutdown().await;
    }
}

#[tokio::test]
async fn send_in_a_change_delivers_the_draft_and_removes_it() {
    let better = STRUCTURED.replace(">plan<", ">better plan<");
    for (content, subject) in [("", "plan"), (better.as_str(), "better plan")] {
        let mock = mock(|_| {}).await;
        let (mut one, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
        let (mut other, other_key) = device(&mock, ("load1", "OTHER"), "16.1", DRAFTS).await;
        let answer = one.sync(&key, &add(STRUCTURED, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        let (other_key, ids) = other.take_new(&other_key).await;
        assert_eq!(ids, [id.as_str()]);
        let answer = one.sync(&key, &change(&id, content, SEND)).await.xml();
        assert_eq!(texts_of(&answer, CHANGED).len(), 0, "{answer}");
        assert_eq!(text_of(&answer, "Commands/Delete/ServerId"), id);
        let seen = other.sync(&other_key, "").await.xml();
        assert_eq!(text_of(&seen, "Commands/Delete/ServerId"), id);
        assert_sent(&mock, &["load2", "load3", "load4"], subject).await;
        mock.shutdown().await;
    }
}

/// It gets the status that SendMail answers in the same case, and a draft that is there stays.
#[tokio::test]
async fn a_draft_that_cannot_be_sent_says_why() {
    let mock = mock(|config| config.max_recipients = 2).await;
    let nobody = r#"<Subject xmlns="Email">plan</Subject>"#;
    for (name, content, status) in [("NOBODY", nobody, "119"), ("MANY", STRUCTURED, "120")] {
        let (mut phone, key) = device(&mock, (name, name), "16.1", DRAFTS).await;
        let answer = phone.sync(&key, &add(content, SEND)).await.xml();
        assert_eq!(text_of(&answer, ADDED), status, "{name}");
        let key = text_of(&answer, "Collection/SyncKey");
        let answer = phone.sync(&key, &add(content, "")).await.xml();
        let id = text_of(&answer, "Responses/Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        let answer = phone.sync(&key, &change(&id, "", SEND)).await.xml();
        assert_eq!(text_of(&answer, CHANGED), status, "{name}");
        let left = look(&mock, (name, "LOOK"), DRAFTS).await;
        assert_eq!(text_of(&left, "Add/ServerId"), id);
    }
    mock.shutdown().await;
}

/// A device that has lost the answer sends the same request again.
#[tokio::test]
async fn a_repeated_request_sends_a_draft_once() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = device(&mock, ("load1", "ONE"), "16.1", DRAFTS).await;
    for _ in 0..2 {
        let answer = phone.sync(&key, &add(STRUCTURED, SEND)).await.xml();
        assert_eq!(text_of(&answer, ADDED), "1");
    }
    assert_sent(&mock, &["load2", "load3", "load4"], "plan").await;
    mock.shutdown().await;
}
