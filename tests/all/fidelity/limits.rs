//! Bounds of the mock, on each way that leads to what they bound.

use mock_server::FrontDoor;
use serde_json::{Value, json};

use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;

/// A call of the control API: the status and the text of its answer.
async fn call(mock: &FrontDoor, method: &str, path: &str, body: &Value) -> (u16, String) {
    let client = mock_client::plain_http().build().unwrap();
    let url = format!("{}/{path}", mock.addresses().control);
    let request = client.request(method.parse().unwrap(), url).json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn send_mail(id: &str, mime: &str) -> String {
    format!(
        r#"<SendMail xmlns="ComposeMail"><ClientId>{id}</ClientId><Mime><![CDATA[{mime}]]></Mime></SendMail>"#
    )
}

/// A phone of 16.1 with a prepared folder and its key.
async fn modern(mock: &FrontDoor, folder: &str) -> (Phone, String) {
    let mut phone = Phone::new(mock, "load1").await;
    phone.version = "16.1";
    phone.provision().await;
    phone.learn_folders().await;
    phone.inbox = folder.to_owned();
    let key = phone.prime().await;
    (phone, key)
}

/// The answer to commands in the phone's folder.
async fn commands(phone: &mut Phone, key: &str, commands: &str) -> String {
    let inner = format!("<Commands>{commands}</Commands>");
    phone.sync(key, &inner).await.xml()
}

fn add(id: &str, data: &str) -> String {
    format!("<Add><ClientId>{id}</ClientId><ApplicationData>{data}</ApplicationData></Add>")
}

fn note(subject: &str) -> String {
    format!(r#"<Subject xmlns="Notes">{subject}</Subject>"#)
}

fn draft(to: &str, body: &str) -> String {
    format!(
        r#"<To xmlns="Email">{to}</To><Subject xmlns="Email">s</Subject>
           <Body xmlns="AirSyncBase"><Type>1</Type><Data>{body}</Data></Body>"#
    )
}

const SEND: &str = r#"<Send xmlns="Email2"/>"#;

/// `max_message_size` and `max_recipients` on each way of a message.
#[tokio::test]
async fn size_and_recipients_of_a_message_are_bounded_on_every_way() {
    let mock = mock(|config| {
        config.max_message_size = 2000;
        config.max_recipients = 2;
    })
    .await;
    let (mut phone, mut key) = modern(&mock, "2").await;
    mail(&mock, "load1", 1).await;
    let large = "x".repeat(2000);
    let two = "a@lab.example, b@lab.example";
    let three = "a@lab.example, b@lab.example, c@lab.example";
    let smart = |command: &str, id: &str, mime: &str| {
        format!(
            r#"<{command} xmlns="ComposeMail"><ClientId>{id}</ClientId><Source><FolderId>5</FolderId>
               <ItemId>5:1</ItemId></Source><Mime><![CDATA[{mime}]]></Mime></{command}>"#
        )
    };
    for (number, (to, body, sent, drafted, posted)) in [
        (two, "text", None, "1", 200),
        (three, "text", Some("120"), "120", 422),
        (two, large.as_str(), Some("115"), "115", 422),
    ]
    .into_iter()
    .enumerate()
    {
        let mime = format!("To: {to}\r\nSubject: s\r\n\r\n{body}\r\n");
        for command in ["SendMail", "SmartReply", "SmartForward"] {
            let id = format!("{command}{number}");
            let xml = match command {
                "SendMail" => send_mail(&id, &mime),
                _ => smart(command, &id, &mime),
            };
            let answer = phone.request(command, &xml).await;
            match sent {
                None => answer.assert_empty(),
                Some(status) => assert_eq!(answer.statuses(), [status], "{command} {number}"),
            }
        }
        // A draft that is sent at once.
        let one = add("1", &draft(to, body)).replace("</Add>", &format!("{SEND}</Add>"));
        let xml = commands(&mut phone, &key, &one).await;
        assert_eq!(texts_of(&xml, "Add/Status"), [drafted], "{number}: {xml}");
        key = text_of(&xml, "Collection/SyncKey");
        // A draft that is kept first. Only its size is bounded until it is sent.
        let xml = commands(&mut phone, &key, &add("2", &draft(to, body))).await;
        let kept = if body == large { "115" } else { "1" };
        assert_eq!(texts_of(&xml, "Add/Status"), [kept], "{number}: {xml}");
        key = text_of(&xml, "Collection/SyncKey");
        if kept == "1" {
            let id = text_of(&xml, "Add/ServerId");
            let change = format!("<Change><ServerId>{id}</ServerId>{SEND}</Change>");
            let xml = commands(&mut phone, &key, &change).await;
            let refused: Vec<&str> = sent.into_iter().collect();
            assert_eq!(texts_of(&xml, "Change/Status"), refused, "{number}: {xml}");
            key = text_of(&xml, "Collection/SyncKey");
        }
        let to: Vec<&str> = to.split(", ").collect();
        let posted_mail = json!({"to": to, "subject": "s", "body": body});
        let (status, text) = call(&mock, "POST", "mail", &posted_mail).await;
        assert_eq!(status, posted, "{text}");
    }
    mock.shutdown().await;
}

/// `max_items` and `mailbox_quota` on each way of an item. What would go beyond them gets the status of
/// a full mailbox (113, or the command's own), and leaves no trace.
#[tokio::test]
async fn items_and_bytes_of_a_mailbox_are_bounded_on_every_way() {
    for (max_items, mailbox_quota) in [(1, u64::MAX), (1000, 3000)] {
        let mock = mock(|config| {
            config.max_items = max_items;
            config.mailbox_quota = mailbox_quota;
        })
        .await;
        let full = format!("{max_items} items, {mailbox_quota} bytes");
        let filler = if max_items == 1 { 1 } else { 2500 };
        // The meeting comes first: it needs room in the Inbox.
        let (mut phone, key) = modern(&mock, "8").await;
        let meeting = send_mail("m", super::activity::MEETING);
        phone.request("SendMail", &meeting).await.assert_empty();
        let mut key = key;
        // Sync Add fills the notes, and with them the quota.
        let xml = commands(&mut phone, &key, &add("1", &note(&"x".repeat(filler)))).await;
        assert_eq!(texts_of(&xml, "Add/Status"), ["1"], "{full}: {xml}");
        let id = text_of(&xml, "Add/ServerId");
        key = text_of(&xml, "Collection/SyncKey");
        let xml = commands(&mut phone, &key, &add("2", &note(&"x".repeat(filler)))).await;
        assert_eq!(texts_of(&xml, "Add/Status"), ["113"], "{full}: {xml}");
        key = text_of(&xml, "Collection/SyncKey");
        if max_items > 1 {
            // Sync Change.
            let larger = note(&"x".repeat(3000));
            let change = format!(
                "<Change><ServerId>{id}</ServerId><ApplicationData>{larger}</ApplicationData></Change>"
            );
            let xml = commands(&mut phone, &key, &change).await;
            assert_eq!(texts_of(&xml, "Change/Status"), ["113"], "{full}: {xml}");
            // A draft.
            phone.inbox = "2".to_owned();
            let drafts = phone.prime().await;
            let body = "x".repeat(1000);
            let xml = commands(&mut phone, &drafts, &add("3", &draft("", &body))).await;
            assert_eq!(texts_of(&xml, "Add/Status"), ["113"], "{full}: {xml}");
            // Small notes, until not even the meeting has room.
            phone.inbox = "8".to_owned();
            key = phone.prime().await;
            let mut last = "1".to_owned();
            for number in 10..40 {
                if last != "1" {
                    break;
                }
                let small = add(&number.to_string(), &note(&"x".repeat(20)));
                let xml = commands(&mut phone, &key, &small).await;
                last = text_of(&xml, "Add/Status");
                key = text_of(&xml, "Collection/SyncKey");
            }
            assert_eq!(last, "113", "{full}");
        } else {
            // MoveItems: the folder it goes to is full.
            phone.inbox = "1".to_owned();
            let calendar = phone.prime().await;
            let appointment = r#"<Subject xmlns="Calendar">a</Subject>
                <StartTime xmlns="Calendar">20260314T110000Z</StartTime>
                <EndTime xmlns="Calendar">20260314T120000Z</EndTime>"#;
            let xml = commands(&mut phone, &calendar, &add("4", appointment)).await;
            assert_eq!(texts_of(&xml, "Add/Status"), ["1"], "{full}: {xml}");
            let xml = r#"<MoveItems xmlns="Move"><Move><SrcMsgId>1:1</SrcMsgId><SrcFldId>1</SrcFldId>
                         <DstFldId>8</DstFldId></Move></MoveItems>"#;
            let answer = phone.request("MoveItems", xml).await;
            assert_eq!(answer.statuses(), ["113"], "{full}");
        }
        // MeetingResponse: the calendar takes no appointment, and the request stays.
        let respond = |answer: u8| {
            format!(
                r#"<MeetingResponse xmlns="MeetingResponse"><Request><UserResponse>{answer}</UserResponse>
                   <CollectionId>5</CollectionId><RequestId>5:1</RequestId></Request></MeetingResponse>"#
            )
        };
        for answer in [1, 2] {
            let refused = phone.request("MeetingResponse", &respond(answer)).await;
            assert_eq!(refused.statuses(), ["3"], "{full}: answer {answer}");
        }
        // Mail finds no room in the Inbox.
        if max_items == 1 {
            let (status, text) = call(
                &mock,
                "POST",
                "mail",
                &json!({"to": ["load1"], "subject": "s", "body": "b"}),
            )
            .await;
            assert_eq!(status, 422, "{full}");
            assert!(text.contains("no mailbox takes the message"), "{text}");
        }
        // To decline needs no room.
        let declined = phone.request("MeetingResponse", &respond(3)).await;
        assert_eq!(declined.statuses(), ["1"], "{full}");
        mock.shutdown().await;
    }
}

/// `max_folders`, names of folders and automatic replies.
#[tokio::test]
async fn folders_and_automatic_replies_are_bounded() {
    let mock = mock(|config| config.max_folders = 9).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let mut key = text_of(&phone.folder_sync("0").await.xml(), "SyncKey");
    let create = |key: &str, name: &str| {
        format!(
            r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey><ParentId>0</ParentId>
               <DisplayName>{name}</DisplayName><Type>12</Type></FolderCreate>"#
        )
    };
    for (name, status) in [
        ("x".repeat(257), "10"),
        ("x".repeat(256), "1"),
        ("y".to_owned(), "113"),
    ] {
        let answer = phone.request("FolderCreate", &create(&key, &name)).await;
        assert_eq!(answer.statuses(), [status], "{} letters", name.len());
        if status == "1" {
            key = text_of(&answer.xml(), "SyncKey");
        }
    }
    let oof = |length: usize| {
        let reply = "x".repeat(length);
        format!(
            r#"<Settings xmlns="Settings"><Oof><Set><OofState>1</OofState><OofMessage><AppliesToInternal/>
               <Enabled>1</Enabled><ReplyMessage>{reply}</ReplyMessage><BodyType>TEXT</BodyType>
               </OofMessage></Set></Oof></Settings>"#
        )
    };
    for (length, statuses) in [(300_000, ["1", "1"]), (400_000, ["1", "5"])] {
        let answer = phone.request("Settings", &oof(length)).await;
        assert_eq!(answer.statuses(), statuses, "{length}");
    }
    mock.shutdown().await;
}

/// The mailbox has as many folders as it may have: nothing is added, and the answer says so.
#[tokio::test]
async fn a_hierarchy_change_that_finds_no_room_is_an_error() {
    let mock = mock(|config| config.max_folders = 9).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    let change = || call(&mock, "POST", "hierarchy-change", &Value::Null);
    assert_eq!(change().await, (204, String::new()), "the ninth folder");
    let problem =
        "expected mailboxes of fewer than 9 folders (`max_folders`): 1 of 1 got no folder";
    assert_eq!(change().await, (422, problem.to_owned()));
    // A mailbox that is new gets one all the same.
    mail(&mock, "load2", 1).await;
    let problem =
        "expected mailboxes of fewer than 9 folders (`max_folders`): 1 of 2 got no folder";
    assert_eq!(change().await, (422, problem.to_owned()));
    let folders = phone.folder_sync("0").await.xml();
    assert_eq!(texts_of(&folders, "Add/ServerId").len(), 9);
    mock.shutdown().await;
}

/// Control characters in each text that the control API takes.
#[tokio::test]
async fn control_characters_are_refused_or_come_through() {
    let mock = mock(|_| {}).await;
    let (mut phone, mut key) = Phone::ready(&mock, "load1").await;
    let post = |to: String, subject: String, body: String| {
        let mail = json!({"to": [to], "subject": subject, "body": body});
        let mock = &mock;
        async move { call(mock, "POST", "mail", &mail).await }
    };
    let load1 = || "load1".to_owned();
    for letter in (0..0x20_u8).chain([0x7F, 0x80, 0x9F]).map(char::from) {
        // In the name, in the domain, at the end.
        for to in [
            format!("load{letter}1"),
            format!("load1@lab{letter}.example"),
            format!("load1@lab.example{letter}"),
        ] {
            let (status, text) = post(to, "s".to_owned(), "b".to_owned()).await;
            assert_eq!(status, 422, "{letter:?}: {text}");
            assert!(text.contains("`to`: expected names"), "{letter:?}: {text}");
        }
        let name = format!("load1%{:02X}", u32::from(letter).min(0x7F));
        for user in [name.clone(), format!("load1@lab{}", &name[5..])] {
            let (status, text) = call(&mock, "PUT", &format!("users/{user}"), &json!({})).await;
            assert_eq!(status, 422, "{user}: {text}");
        }
        for scope in ["user", "device", "command"] {
            let mut fault = json!({"fault": "redirect", "location": "https://a.example"});
            fault[scope] = format!("a{letter}b").into();
            for (method, body) in [("POST", fault.clone()), ("PUT", json!([fault]))] {
                let (status, text) = call(&mock, method, "faults", &body).await;
                assert_eq!(status, 422, "{scope} {letter:?}");
                let problem =
                    "redirect: expected user, device and command without control characters";
                assert_eq!(text, problem, "{scope} {letter:?}");
            }
        }
        // In a text only NUL cannot be sent to a device.
        let text = format!("a{letter}b");
        for (subject, body) in [
            (text.clone(), "b".to_owned()),
            ("s".to_owned(), text.clone()),
        ] {
            let (status, answer) = post(load1(), subject.clone(), body.clone()).await;
            if letter == '\0' {
                assert_eq!(status, 422);
                assert!(answer.contains("expected text without NUL"), "{answer}");
                continue;
            }
            assert_eq!(status, 200, "{letter:?}: {answer}");
            let xml = phone.sync(&key, "").await;
            assert_eq!(xml.status, 200, "{letter:?}");
            let read = eas::commands::SyncAnswer::decode(&xml.body).unwrap();
            let [eas::commands::Change::Add { data, .. }] = &read.collections[0].changes[..] else {
                panic!("{letter:?}: {read:?}");
            };
            let email = data.as_email().unwrap();
            assert_eq!(email.subject, subject, "{letter:?}");
            assert_eq!(email.body.len(), body.len(), "{letter:?}: {:?}", email.body);
            key = read.collections[0].sync_key.to_string();
        }
    }
    // Not a time at all.
    for advance in ["a\0", "", "-1h"] {
        let (status, _) = call(&mock, "POST", "clock", &json!({"advance": advance})).await;
        assert_eq!(status, 422, "{advance:?}");
    }
    assert_eq!(phone.folder_sync("0").await.statuses(), ["1"]);
    mock.shutdown().await;
}

/// What one request fetches is bounded: the operation that would go beyond it gets Status 11.
#[tokio::test]
async fn item_operations_beyond_16_mib_get_status_11() {
    let mock = mock(|_| {}).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let mime = format!(
        "To: load1@lab.example\r\nSubject: s\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=a.bin\r\n\r\n{}\r\n",
        "QUJD".repeat(2_200_000)
    );
    phone
        .request("SendMail", &send_mail("1", &mime))
        .await
        .assert_empty();
    let xml = phone.sync(&key, "").await.xml();
    let reference = text_of(&xml, "Attachment/FileReference");
    let fetch = format!(
        r#"<Fetch><Store>Mailbox</Store><FileReference xmlns="AirSyncBase">{reference}</FileReference></Fetch>"#
    );
    let part = fetch.replace("</Fetch>", "<Options><Range>0-2</Range></Options></Fetch>");
    let all = [fetch.as_str(), &fetch, &part].concat();
    let xml = format!(r#"<ItemOperations xmlns="ItemOperations">{all}</ItemOperations>"#);
    let answer = phone.request("ItemOperations", &xml).await.xml();
    // The first of 8.8 MB fits, the second does not, and a small one still does.
    assert_eq!(texts_of(&answer, "Fetch/Status"), ["1", "11", "1"]);
    let data = texts_of(&answer, "Properties/Data");
    assert_eq!(data.len(), 2);
    assert_eq!((data[0].len(), data[1].as_str()), (8_800_000, "QUJD"));
    mock.shutdown().await;
}

/// An answer that exceeds what worker and front door exchange ends nothing but its own request.
#[tokio::test]
async fn an_answer_above_the_link_s_limit_is_http_500_for_that_request_only() {
    let mock = mock(|config| config.max_message_size = 40 << 20).await;
    let (mut phone, key) = Phone::ready(&mock, "load1").await;
    let (mut other, other_key) = Phone::ready(&mock, "load2").await;
    // The subject is in the message's element and in its MIME: 14 MB and 18 MiB.
    let subject = "x".repeat(14_000_000);
    let posted = json!({"to": ["load1"], "subject": subject, "body": "b"});
    let (status, text) = call(&mock, "POST", "mail", &posted).await;
    assert_eq!(status, 200, "{text}");
    other.sync(&other_key, "").await.assert_empty();
    let wanted = r#"<Options><MIMESupport>2</MIMESupport><BodyPreference xmlns="AirSyncBase"><Type>4</Type>
        </BodyPreference></Options>"#;
    let refused = phone.sync(&key, wanted).await;
    assert_eq!(refused.status, 500, "{} bytes", refused.body.len());
    // Others are served by the same worker, and so is this phone.
    mail(&mock, "load2", 1).await;
    let served = other.sync(&other_key, "").await;
    assert_eq!(texts_of(&served.xml(), "Add/ServerId"), ["5:1"]);
    let worker = refused.header("X-Mock-Worker");
    assert_eq!(served.header("X-Mock-Worker"), worker);
    let plain =
        r#"<Options><BodyPreference xmlns="AirSyncBase"><Type>1</Type></BodyPreference></Options>"#;
    let answer = phone.sync(&key, plain).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 14_000_000, "{}", answer.body.len());
    assert_eq!(mock.truth().recycles, 0);
    mock.shutdown().await;
}
