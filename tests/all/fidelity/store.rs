//! What cannot be sent is not stored, and limits of the mailboxes.

use eas::wbxml::{Event, Reader, Writer, from_xml};
use mock_server::FrontDoor;
use serde_json::{Value, json};

use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

/// Stands for a NUL in the XML of a request.
const MARK: &str = "%00";

/// A request as WBXML, each text with a [`MARK`] as opaque data with a NUL.
fn with_nul(xml: &str) -> Vec<u8> {
    let body = from_xml(xml).unwrap();
    let mut reader = Reader::new(&body).unwrap();
    let mut writer = Writer::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            Event::Start(element) if element.has_content => writer.start(element.tag),
            Event::Start(element) => writer.empty(element.tag),
            Event::End => writer.end(),
            Event::Text(text) if text.contains(MARK) => {
                writer.opaque(text.replace(MARK, "\0").as_bytes())
            }
            Event::Text(text) => writer.text(text),
            Event::Entity(letter) => writer.text(&letter.to_string()),
            Event::Opaque(bytes) => writer.opaque(bytes),
        };
    }
    writer.finish().unwrap()
}

/// `POST /mail`: the status and the text of the answer.
async fn post_mail(mock: &FrontDoor, body: &Value) -> (u16, String) {
    let client = mock_client::plain_http().build().unwrap();
    let url = format!("{}/mail", mock.addresses().control);
    let answer = client.post(url).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn the_control_api_refuses_mail_that_cannot_be_sent_or_is_too_large() {
    let mock = mock(|config| {
        config.max_recipients = 2;
        config.max_message_size = 1000;
        config.max_mailboxes = 4;
    })
    .await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let one = |to: &[&str], subject: &str, body: &str| json!({"to": to, "subject": subject, "body": body});
    let long = "x".repeat(65);
    let large = "x".repeat(1000);
    for (refused, problem) in [
        (
            one(&["load1"], "a\0b", "b"),
            "`subject`: expected text without NUL characters",
        ),
        (
            one(&["load1"], "s", "\0"),
            "`body`: expected text without NUL characters",
        ),
        (
            one(&["a\0"], "s", "b"),
            "`to`: expected names of 1 to 64 bytes",
        ),
        (
            one(&["load1", &long], "s", "b"),
            "found another one in place 2",
        ),
        (one(&[], "s", "b"), "`to` names no user"),
        (
            one(&["load1", "load2", "load3"], "s", "b"),
            "`to`: expected at most 2 recipients (`max_recipients`), found 3",
        ),
        (
            one(&["load1"], "s", &large),
            "expected a message of at most 1000 bytes (`max_message_size`), found 1001",
        ),
    ] {
        let (status, text) = post_mail(&mock, &refused).await;
        assert_eq!(status, 422, "{problem}");
        assert!(text.contains(problem), "{text}");
    }
    let good = one(&["load1", "load2"], "s", "b");
    assert_eq!(
        post_mail(&mock, &good).await,
        (200, r#"{"inboxes":2}"#.to_owned())
    );
    for user in ["load3", "load4"] {
        assert_eq!(post_mail(&mock, &one(&[user], "s", "b")).await.0, 200);
    }
    // One beyond the mailboxes there may be: alone, and beside one that has a mailbox.
    let (status, text) = post_mail(&mock, &one(&["load5"], "s", "b")).await;
    assert_eq!(status, 422);
    assert!(text.contains("no mailbox takes the message"), "{text}");
    let (status, text) = post_mail(&mock, &one(&["load1", "load5"], "s", "b")).await;
    assert_eq!((status, text.as_str()), (200, r#"{"inboxes":1}"#));
    assert_eq!(phone.take_new(&key).await.1.len(), 2);
    mock.shutdown().await;
}

#[tokio::test]
async fn a_nul_in_an_item_costs_only_this_item() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "other").await;
    for (folder, page, element) in [
        ("1", "Calendar", "Subject"),
        ("6", "Contacts", "FileAs"),
        ("7", "Tasks", "Subject"),
        ("8", "Notes", "Subject"),
    ] {
        for phone in [&mut phone, &mut other] {
            phone.inbox = folder.to_owned();
        }
        let key = phone.prime().await;
        let others = other.prime().await;
        let add = |id: &str, text: &str| {
            format!(
                r#"<Add><ClientId>{id}</ClientId><ApplicationData>
                   <{element} xmlns="{page}">{text}</{element}></ApplicationData></Add>"#
            )
        };
        let commands = [add("a", "x%00y"), add("b", "good"), add("c", "%00")].concat();
        let xml = phone.sync_xml(&key, &format!("<Commands>{commands}</Commands>"), "");
        let answer = phone.request_bytes("Sync", &with_nul(&xml)).await.xml();
        assert_eq!(
            texts_of(&answer, "Add/ClientId"),
            ["a", "b", "c"],
            "{answer}"
        );
        assert_eq!(texts_of(&answer, "Add/Status"), ["6", "1", "6"], "{page}");
        let id = text_of(&answer, "Add/ServerId");
        let key = text_of(&answer, "Collection/SyncKey");
        // A Change likewise: the item stays as it is.
        let change = format!(
            r#"<Commands><Change><ServerId>{id}</ServerId><ApplicationData>
               <{element} xmlns="{page}">%00</{element}></ApplicationData></Change></Commands>"#
        );
        let xml = phone.sync_xml(&key, &change, "");
        let answer = phone.request_bytes("Sync", &with_nul(&xml)).await.xml();
        assert_eq!(texts_of(&answer, "Change/Status"), ["6"], "{page}");
        let told = other.sync(&others, "").await.xml();
        assert_eq!(texts_of(&told, "Add/ServerId"), [id], "{page}");
        assert!(told.contains("good"), "{told}");
    }
    mock.shutdown().await;
}

#[tokio::test]
async fn other_requests_with_a_nul_are_refused_and_leave_no_trace() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let folders = phone.folder_sync("0").await.xml();
    let key = text_of(&folders, "SyncKey");
    for (command, expected, xml) in [
        (
            "FolderCreate",
            "10",
            format!(
                r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey><ParentId>0</ParentId>
                   <DisplayName>a%00b</DisplayName><Type>12</Type></FolderCreate>"#
            ),
        ),
        (
            "Settings",
            "2",
            r#"<Settings xmlns="Settings"><Oof><Set><OofState>1</OofState><OofMessage>
               <AppliesToInternal/><Enabled>1</Enabled><ReplyMessage>%00</ReplyMessage>
               <BodyType>TEXT</BodyType></OofMessage></Set></Oof></Settings>"#
                .to_owned(),
        ),
        (
            "SendMail",
            "103",
            r#"<SendMail xmlns="ComposeMail"><ClientId>c%00</ClientId>
               <Mime>To: load1@lab.example</Mime></SendMail>"#
                .to_owned(),
        ),
        (
            "MoveItems",
            "103",
            r#"<MoveItems xmlns="Move"><Move><SrcMsgId>%00</SrcMsgId><SrcFldId>5</SrcFldId>
               <DstFldId>3</DstFldId></Move></MoveItems>"#
                .to_owned(),
        ),
        (
            "ItemOperations",
            "2",
            r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
               <ServerId xmlns="AirSync">%00</ServerId></Fetch></ItemOperations>"#
                .to_owned(),
        ),
    ] {
        let answer = phone.request_bytes(command, &with_nul(&xml)).await;
        assert_eq!(answer.statuses(), [expected], "{command}");
    }
    let after = phone.folder_sync("0").await.xml();
    assert_eq!(
        texts_of(&after, "Add/DisplayName"),
        texts_of(&folders, "Add/DisplayName")
    );
    let get =
        r#"<Settings xmlns="Settings"><Oof><Get><BodyType>TEXT</BodyType></Get></Oof></Settings>"#;
    let oof = phone.request("Settings", get).await.xml();
    assert_eq!(text_of(&oof, "Oof/Status"), "1");
    mock.shutdown().await;
}

#[tokio::test]
async fn a_message_from_mime_with_nul_characters_reaches_its_devices() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    phone.version = "12.1";
    let query = phone.query("SendMail");
    let mime = b"To: load1@lab.example\r\nSubject: a\0b\r\n\r\nte\0xt\r\n";
    phone.send_to(&query, "message/rfc822", mime).await;
    phone.raw.answer().await.assert_empty();
    phone.version = "14.1";
    let xml = phone.sync(&key, "").await.xml();
    assert_eq!(text_of(&xml, "ApplicationData/Subject"), "ab");
    mock.shutdown().await;
}

#[tokio::test]
async fn send_mail_beyond_the_limits_gets_its_status() {
    let mock = mock(|config| {
        config.max_recipients = 2;
        config.max_message_size = 2000;
    })
    .await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let send = |id: &str, to: &str, body: &str| {
        let mime = format!("To: {to}\r\nSubject: s\r\n\r\n{body}\r\n");
        format!(
            r#"<SendMail xmlns="ComposeMail"><ClientId>{id}</ClientId>
               <Mime><![CDATA[{mime}]]></Mime></SendMail>"#
        )
    };
    let two = "a@lab.example, b@lab.example";
    let three = "a@lab.example, b@lab.example, c@lab.example";
    let large = "x".repeat(2000);
    for (id, to, body, status) in [
        ("1", two, "text", None),
        ("2", three, "text", Some("120")),
        ("3", two, large.as_str(), Some("115")),
        (
            "4",
            "a@lab.example, A@LAB.EXAMPLE, b@lab.example",
            "text",
            None,
        ),
    ] {
        let answer = phone.request("SendMail", &send(id, to, body)).await;
        match status {
            None => answer.assert_empty(),
            Some(status) => assert_eq!(answer.statuses(), [status], "{id}"),
        }
    }
    assert_eq!(mock.truth().mails, 4);
    mock.shutdown().await;
}

#[tokio::test]
async fn a_sync_of_too_many_collections_gets_status_15_with_the_limit() {
    let mock = mock(|config| config.max_folders = 9).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let collection = "<Collection><SyncKey>0</SyncKey><CollectionId>5</CollectionId></Collection>";
    let sync = |count| {
        let all = collection.repeat(count);
        format!(r#"<Sync xmlns="AirSync"><Collections>{all}</Collections></Sync>"#)
    };
    let most = phone.request("Sync", &sync(9)).await.xml();
    assert_eq!(texts_of(&most, "Collection/Status").len(), 9);
    let more = phone.request("Sync", &sync(10)).await.xml();
    assert_eq!(text_of(&more, "/Sync/Status"), "15");
    assert_eq!(text_of(&more, "/Sync/Limit"), "9");
    mock.shutdown().await;
}

#[tokio::test]
async fn a_user_beyond_the_mailboxes_there_may_be_has_none() {
    let mock = mock(|config| config.max_mailboxes = 1).await;
    let (_phone, _) = Phone::ready(&mock, "load1").await;
    mail(&mock, "load1", 1).await;
    let mut second = Phone::new(&mock, "load2").await;
    let answer = second.folder_sync("0").await;
    assert_eq!(answer.statuses(), ["123"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn faults_and_settings_of_users_are_bounded() {
    let mock = mock(|config| config.max_mailboxes = 1).await;
    let client = mock_client::plain_http().build().unwrap();
    let base = mock.addresses().control.clone();
    let fault = json!({"fault": "latency", "delay": "1ms", "user": "nobody"});
    let put = |count: usize| {
        client
            .put(format!("{base}/faults"))
            .json(&vec![fault.clone(); count])
    };
    assert_eq!(put(1001).send().await.unwrap().status(), 422);
    assert_eq!(put(1000).send().await.unwrap().status(), 200);
    let more = client
        .post(format!("{base}/faults"))
        .json(&fault)
        .send()
        .await
        .unwrap();
    assert_eq!(more.status(), 422);
    assert_eq!(
        more.text().await.unwrap(),
        "expected at most 1000 faults in force"
    );
    let set = |name: &str| client.put(format!("{base}/users/{name}")).json(&json!({}));
    assert_eq!(set("load1").send().await.unwrap().status(), 200);
    assert_eq!(
        set("load1").send().await.unwrap().status(),
        200,
        "the same one"
    );
    for name in ["load2", "a%00b", &"x".repeat(65)] {
        let refused = set(name).send().await.unwrap();
        assert_eq!(refused.status(), 422, "{name}");
        assert!(
            refused
                .text()
                .await
                .unwrap()
                .contains("expected a user name")
        );
    }
    mock.shutdown().await;
}
