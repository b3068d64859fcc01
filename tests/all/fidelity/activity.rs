//! What one device does, and what the user's other devices see of it. Bodies are written as XML by
//! hand, so that a mistake shared by the typed commands does not cancel out.

use std::time::Duration;

use super::phone::Phone;
use super::raw::{mail, text_of, texts_of};
use crate::fixtures::mock;
use mock_server::FrontDoor;

const QUIET: Duration = Duration::from_millis(300);

/// Two devices of one user, each with its key, and so many mails that both have.
async fn pair(mock: &FrontDoor, mails: usize) -> ((Phone, String), (Phone, String), Vec<String>) {
    let (mut one, key) = Phone::ready_device(mock, "load1", "ONE").await;
    let (mut other, other_key) = Phone::ready_device(mock, "load1", "OTHER").await;
    mail(mock, "load1", mails).await;
    let (key, ids) = one.take_new(&key).await;
    let (other_key, _) = other.take_new(&other_key).await;
    ((one, key), (other, other_key), ids)
}

fn commands(inner: &str) -> String {
    format!("<Commands>{inner}</Commands>")
}

#[tokio::test]
async fn marks_of_one_device_reach_the_other_as_changes() {
    let mock = mock(|_| {}).await;
    let ((mut one, key), (mut other, other_key), ids) = pair(&mock, 2).await;
    let flag = format!(
        r#"<Change><ServerId>{}</ServerId><ApplicationData><Flag xmlns="Email"><Status>2</Status>
           <FlagType>Follow up</FlagType></Flag></ApplicationData></Change>"#,
        ids[1]
    );
    let changes = commands(&format!("{}{flag}", Phone::read_flag(&ids[0])));
    let answer = one.sync(&key, &changes).await.xml();
    assert_eq!(texts_of(&answer, "Responses").len(), 0, "{answer}");
    let key = text_of(&answer, "Collection/SyncKey");
    // Its own changes do not come back.
    one.sync(&key, "").await.assert_empty();

    // They wake no Ping (Y7), and come with the next Sync.
    other.send_ping(600).await;
    other.raw.nothing_for(QUIET).await;
    let mut other = reconnected(&mock, &other).await;
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(texts_of(&seen, "Add").len(), 0, "{seen}");
    assert_eq!(texts_of(&seen, "Change/ServerId"), ids);
    assert_eq!(texts_of(&seen, "Read"), ["1", "0"]);
    assert_eq!(texts_of(&seen, "Flag/Status"), ["2"]);
    mock.shutdown().await;
}

/// The same device over a new connection: its Ping is still held on the old one.
async fn reconnected(mock: &FrontDoor, old: &Phone) -> Phone {
    let mut new = Phone::with_device(mock, &old.user, &old.device).await;
    new.policy_key.clone_from(&old.policy_key);
    new.inbox.clone_from(&old.inbox);
    new
}

#[tokio::test]
async fn a_deletion_reaches_the_other_device_and_goes_to_deleted_items() {
    let mock = mock(|_| {}).await;
    let ((mut one, key), (mut other, other_key), ids) = pair(&mock, 2).await;
    let delete = |id: &str| commands(&format!("<Delete><ServerId>{id}</ServerId></Delete>"));
    let answer = one.sync(&key, &delete(&ids[0])).await.xml();
    let key = text_of(&answer, "Collection/SyncKey");
    let inner = format!("<DeletesAsMoves>0</DeletesAsMoves>{}", delete(&ids[1]));
    one.sync(&key, &inner).await.xml();
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(texts_of(&seen, "Delete/ServerId"), ids);

    // One was moved, the other is gone for good.
    let deleted = folder(&mut one, "4").await;
    one.inbox = deleted;
    let key = one.prime().await;
    let (_, kept) = one.take_new(&key).await;
    assert_eq!(kept.len(), 1);
    mock.shutdown().await;
}

/// The id of the folder of a type.
async fn folder(phone: &mut Phone, kind: &str) -> String {
    let xml = phone.folder_sync("0").await.xml();
    let types = texts_of(&xml, "Add/Type");
    let place = types.iter().position(|one| one == kind).unwrap();
    texts_of(&xml, "Add/ServerId")[place].clone()
}

#[tokio::test]
async fn a_moved_mail_is_deleted_here_and_added_there() {
    let mock = mock(|_| {}).await;
    let ((mut one, _), (mut other, other_key), ids) = pair(&mock, 1).await;
    let (inbox, drafts) = (one.inbox.clone(), folder(&mut one, "3").await);
    let moves = |item: &str, from: &str, to: &str| {
        format!(
            r#"<MoveItems xmlns="Move"><Move><SrcMsgId>{item}</SrcMsgId><SrcFldId>{from}</SrcFldId>
               <DstFldId>{to}</DstFldId></Move></MoveItems>"#
        )
    };
    for (item, from, to, status) in [
        ("5:99", inbox.as_str(), drafts.as_str(), "1"),
        (ids[0].as_str(), &inbox, "999", "2"),
        (&ids[0], &inbox, &inbox, "4"),
    ] {
        let xml = one.request("MoveItems", &moves(item, from, to)).await.xml();
        assert_eq!(text_of(&xml, "Response/Status"), status, "{item} to {to}");
        assert_eq!(texts_of(&xml, "DstMsgId").len(), 0);
    }
    let moved = one
        .request("MoveItems", &moves(&ids[0], &inbox, &drafts))
        .await;
    let xml = moved.xml();
    assert_eq!(text_of(&xml, "Response/Status"), "3", "3 is success");
    let new = text_of(&xml, "DstMsgId");
    assert_ne!(new, ids[0]);
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(texts_of(&seen, "Delete/ServerId"), ids);
    other.inbox = drafts;
    let key = other.prime().await;
    assert_eq!(other.take_new(&key).await.1, [new]);
    mock.shutdown().await;
}

#[tokio::test]
async fn f4_a_folder_of_one_device_makes_the_others_fetch_the_hierarchy() {
    let mock = mock(|_| {}).await;
    let ((mut one, key), (mut other, other_key), _) = pair(&mock, 1).await;
    other.send_ping(600).await;
    other.raw.nothing_for(QUIET).await;
    let create = r#"<FolderCreate xmlns="FolderHierarchy"><SyncKey>1</SyncKey><ParentId>0</ParentId>
        <DisplayName>Plans</DisplayName><Type>12</Type></FolderCreate>"#;
    let made = one.request("FolderCreate", create).await.xml();
    assert_eq!(text_of(&made, "FolderCreate/Status"), "1");
    let (folder_key, id) = (text_of(&made, "SyncKey"), text_of(&made, "ServerId"));
    assert_ne!(folder_key, "1");
    // The other's Ping ends with 7 and its Sync with 12; the one that did it goes on.
    assert_eq!(other.raw.answer().await.statuses(), ["7"]);
    assert_eq!(other.sync(&other_key, "").await.statuses(), ["12"]);
    one.sync(&key, "").await.assert_empty();
    let told = other.folder_sync("1").await.xml();
    assert_eq!(texts_of(&told, "Add/ServerId"), std::slice::from_ref(&id));
    other.sync(&other_key, "").await.assert_empty();

    let again = one.request("FolderCreate", create).await.statuses();
    assert_eq!(
        again,
        ["2"],
        "its name is taken, and the key before is still good"
    );
    let update = format!(
        r#"<FolderUpdate xmlns="FolderHierarchy"><SyncKey>{folder_key}</SyncKey><ServerId>{id}</ServerId>
           <ParentId>0</ParentId><DisplayName>Old plans</DisplayName></FolderUpdate>"#
    );
    let updated = one.request("FolderUpdate", &update).await.xml();
    let folder_key = text_of(&updated, "SyncKey");
    let told = other.folder_sync("2").await.xml();
    assert_eq!(text_of(&told, "Update/DisplayName"), "Old plans");
    let delete = |key: &str, id: &str| {
        format!(
            r#"<FolderDelete xmlns="FolderHierarchy"><SyncKey>{key}</SyncKey>
               <ServerId>{id}</ServerId></FolderDelete>"#
        )
    };
    let inbox = one.inbox.clone();
    let refused = one
        .request("FolderDelete", &delete(&folder_key, &inbox))
        .await;
    assert_eq!(refused.statuses(), ["3"], "a special folder");
    let gone = one.request("FolderDelete", &delete(&folder_key, &id)).await;
    assert_eq!(gone.statuses(), ["1"]);
    let told = other.folder_sync("3").await.xml();
    assert_eq!(text_of(&told, "Delete/ServerId"), id);
    let wrong = one.request("FolderDelete", &delete("77", &id)).await;
    assert_eq!(wrong.statuses(), ["9"]);
    mock.shutdown().await;
}

#[tokio::test]
async fn an_appointment_of_one_device_wakes_the_other() {
    let mock = mock(|_| {}).await;
    let (mut one, _) = Phone::ready_device(&mock, "load1", "ONE").await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    let calendar = folder(&mut one, "8").await;
    one.inbox.clone_from(&calendar);
    other.inbox.clone_from(&calendar);
    let (key, other_key) = (one.prime().await, other.prime().await);
    one.send_ping(600).await;
    other.send_ping(600).await;
    other.raw.nothing_for(QUIET).await;
    let add = commands(
        r#"<Add><ClientId>c1</ClientId><ApplicationData>
           <Subject xmlns="Calendar">Lunch</Subject>
           <StartTime xmlns="Calendar">20260314T110000Z</StartTime>
           <EndTime xmlns="Calendar">20260314T120000Z</EndTime>
           <UID xmlns="Calendar">u1</UID></ApplicationData></Add>"#,
    );
    // A Ping on another connection stays as it is.
    let mut second = reconnected(&mock, &one).await;
    let added = second.sync(&key, &add).await.xml();
    assert_eq!(text_of(&added, "Add/ClientId"), "c1");
    assert_eq!(text_of(&added, "Add/Status"), "1");
    let id = text_of(&added, "Add/ServerId");
    assert_eq!(other.raw.answer().await.statuses(), ["2"]);
    one.raw.nothing_for(QUIET).await;
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(text_of(&seen, "Add/ServerId"), id);
    assert_eq!(text_of(&seen, "ApplicationData/Subject"), "Lunch");
    assert_eq!(
        text_of(&seen, "ApplicationData/StartTime"),
        "20260314T110000Z"
    );
    // A lost answer: the same request again makes no second appointment.
    let again = second.sync(&key, &add).await.xml();
    assert_eq!(text_of(&again, "Add/ServerId"), id);
    let other_key = text_of(&seen, "Collection/SyncKey");
    other.sync(&other_key, "").await.assert_empty();
    // A mail is no appointment.
    let next = text_of(&again, "Collection/SyncKey");
    let wrong = commands(
        r#"<Add><ClientId>c2</ClientId><ApplicationData><Subject xmlns="Email">no</Subject>
           </ApplicationData></Add>"#,
    );
    let refused = second.sync(&next, &wrong).await.xml();
    assert_eq!(text_of(&refused, "Add/Status"), "6");
    mock.shutdown().await;
}

fn smart(command: &str, id: &str, source: &str, mime: &str) -> String {
    format!(
        r#"<{command} xmlns="ComposeMail"><ClientId>{id}</ClientId><Source><FolderId>5</FolderId>
           <ItemId>{source}</ItemId></Source><Mime><![CDATA[{mime}]]></Mime></{command}>"#
    )
}

const MIXED: &str = "To: <load1@lab.example>\r\nSubject: with a file\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee there\r\n\
    --b\r\nContent-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=\"plan.pdf\"\r\n\r\nJVBERi0xLjQ=\r\n--b--\r\n";

#[tokio::test]
async fn replies_quote_and_forwards_carry_attachments() {
    let mock = mock(|_| {}).await;
    let (mut one, key) = Phone::ready(&mock, "load1").await;
    let (mut peer, peer_key) = Phone::ready(&mock, "load2").await;
    let send = format!(
        r#"<SendMail xmlns="ComposeMail"><ClientId>m1</ClientId><Mime><![CDATA[{MIXED}]]></Mime></SendMail>"#
    );
    peer.request("SendMail", &send).await.assert_empty();
    let got = one.sync(&key, "").await.xml();
    assert_eq!(text_of(&got, "Attachment/DisplayName"), "plan.pdf");
    let id = text_of(&got, "Add/ServerId");

    let mime = "To: <load2@lab.example>\r\nSubject: Re: it\r\n\r\nthanks\r\n";
    one.request("SmartReply", &smart("SmartReply", "r1", &id, mime))
        .await
        .assert_empty();
    one.request("SmartForward", &smart("SmartForward", "f1", &id, mime))
        .await
        .assert_empty();
    let twice = one
        .request("SmartForward", &smart("SmartForward", "f1", &id, mime))
        .await;
    assert_eq!(twice.statuses(), ["118"]);
    let gone = one
        .request("SmartReply", &smart("SmartReply", "r2", "5:99", mime))
        .await;
    assert_eq!(gone.statuses(), ["150"]);

    let got = peer.sync(&peer_key, "").await.xml();
    let bodies = texts_of(&got, "Body/Data");
    assert_eq!(bodies.len(), 2, "{got}");
    for body in &bodies {
        assert!(
            body.contains("thanks") && body.contains("see there"),
            "{body}"
        );
    }
    // Only what is forwarded brings the file, and every byte of it.
    let reference = text_of(&got, "Attachment/FileReference");
    let fetch = |reference: &str, options: &str| {
        format!(
            r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
               <FileReference xmlns="AirSyncBase">{reference}</FileReference>{options}</Fetch></ItemOperations>"#
        )
    };
    let whole = peer
        .request("ItemOperations", &fetch(&reference, ""))
        .await
        .xml();
    assert_eq!(text_of(&whole, "Properties/Data"), "JVBERi0xLjQ=");
    assert_eq!(text_of(&whole, "Properties/ContentType"), "application/pdf");
    let range = "<Options><Range>1-3</Range></Options>";
    let part = peer
        .request("ItemOperations", &fetch(&reference, range))
        .await
        .xml();
    assert_eq!(text_of(&part, "Properties/Data"), "UERG");
    assert_eq!(text_of(&part, "Properties/Total"), "8");
    let missing = peer
        .request("ItemOperations", &fetch("5:1:9", ""))
        .await
        .xml();
    assert_eq!(text_of(&missing, "Fetch/Status"), "15");
    mock.shutdown().await;
}

pub(super) const MEETING: &str = "To: <load1@lab.example>\r\nSubject: Lunch\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nVERSION:2.0\r\n\
    METHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:{81412D3C-2A24-4E9D-B20E-11F7BBE92799}\r\n\
    DTSTAMP:20260313T030000Z\r\nDTSTART:20260314T110000Z\r\nDTEND:20260314T120000Z\r\nSUMMARY:Lunch\r\n\
    ORGANIZER:mailto:load2@lab.example\r\nLOCATION:Room 1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

#[tokio::test]
async fn a_meeting_that_is_accepted_is_in_the_calendar() {
    let mock = mock(|_| {}).await;
    let (mut one, key) = Phone::ready(&mock, "load1").await;
    let mut peer = Phone::new(&mock, "load2").await;
    peer.provision().await;
    let mut key = key;
    for (number, (answer, is_kept)) in [("1", true), ("3", false)].into_iter().enumerate() {
        let send = format!(
            r#"<SendMail xmlns="ComposeMail"><ClientId>m{number}</ClientId><Mime><![CDATA[{MEETING}]]></Mime></SendMail>"#
        );
        peer.request("SendMail", &send).await.assert_empty();
        let got = one.sync(&key, "").await.xml();
        assert_eq!(
            text_of(&got, "MessageClass"),
            "IPM.Schedule.Meeting.Request"
        );
        let meeting = |name: &str| text_of(&got, &format!("MeetingRequest/{name}"));
        assert_eq!(meeting("StartTime"), "2026-03-14T11:00:00.000Z");
        assert_eq!(meeting("Organizer"), "load2@lab.example");
        // Class id, empty times, and vCal-Uid with the UID in braces (ASEMAIL 2.2.2.37).
        assert!(
            meeting("GlobalObjId").starts_with("BAAAAIIA4AB0xbcQGoLgCA"),
            "{got}"
        );
        let id = text_of(&got, "Add/ServerId");
        let respond = |id: &str| {
            format!(
                r#"<MeetingResponse xmlns="MeetingResponse"><Request><UserResponse>{answer}</UserResponse>
                   <CollectionId>5</CollectionId><RequestId>{id}</RequestId></Request></MeetingResponse>"#
            )
        };
        let done = one.request("MeetingResponse", &respond(&id)).await.xml();
        assert_eq!(text_of(&done, "Result/Status"), "1");
        assert_eq!(texts_of(&done, "CalendarId").len(), usize::from(is_kept));
        // The request is gone from the Inbox, for this device too.
        let next = text_of(&got, "Collection/SyncKey");
        let left = one.sync(&next, "").await.xml();
        assert_eq!(text_of(&left, "Delete/ServerId"), id);
        key = text_of(&left, "Collection/SyncKey");
        let again = one.request("MeetingResponse", &respond(&id)).await.xml();
        assert_eq!(text_of(&again, "Result/Status"), "2");
    }
    one.inbox = folder(&mut one, "8").await;
    let key = one.prime().await;
    let calendar = one.sync(&key, "").await.xml();
    assert_eq!(
        text_of(&calendar, "ApplicationData/StartTime"),
        "20260314T110000Z"
    );
    assert_eq!(
        text_of(&calendar, "ApplicationData/UID"),
        "{81412D3C-2A24-4E9D-B20E-11F7BBE92799}"
    );
    mock.shutdown().await;
}

#[tokio::test]
async fn search_finds_mails_and_users() {
    let mock = mock(|_| {}).await;
    let (mut one, _) = Phone::ready(&mock, "load1").await;
    let _peer = Phone::ready(&mock, "load2").await;
    let other = Phone::ready(&mock, "visitor").await;
    drop(other);
    one.send_mail("needle", "load1").await.assert_empty();
    one.send_mail("straw", "load1").await.assert_empty();
    let search = |store: &str, query: &str, range: &str| {
        format!(
            r#"<Search xmlns="Search"><Store><Name>{store}</Name><Query>{query}</Query>
               <Options><Range>{range}</Range></Options></Store></Search>"#
        )
    };
    let mailbox = |text: &str| format!(r#"<And><FreeText>{text}</FreeText></And>"#);
    let found = one
        .request("Search", &search("Mailbox", &mailbox("NEEDLE"), "0-9"))
        .await
        .xml();
    // The Inbox and Sent Items.
    assert_eq!(texts_of(&found, "Properties/Subject"), ["needle", "needle"]);
    assert_eq!(text_of(&found, "Store/Range"), "0-1");
    let id = texts_of(&found, "Result/LongId").remove(0);
    let fetch = format!(
        r#"<ItemOperations xmlns="ItemOperations"><Fetch><Store>Mailbox</Store>
           <LongId xmlns="Search">{id}</LongId></Fetch></ItemOperations>"#
    );
    let fetched = one.request("ItemOperations", &fetch).await.xml();
    assert_eq!(text_of(&fetched, "Properties/Subject"), "needle");
    let users = one
        .request("Search", &search("GAL", "load", "0-0"))
        .await
        .xml();
    assert_eq!(
        texts_of(&users, "Properties/EmailAddress"),
        ["load1@lab.example"]
    );
    assert_eq!(text_of(&users, "Store/Total"), "2");
    let nobody = one
        .request("Search", &search("GAL", "nobody", "0-9"))
        .await
        .xml();
    assert_eq!(texts_of(&nobody, "Properties").len(), 0);
    mock.shutdown().await;
}

#[tokio::test]
async fn the_automatic_reply_is_the_user_s() {
    let mock = mock(|_| {}).await;
    let (mut one, _) = Phone::ready_device(&mock, "load1", "ONE").await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    let get =
        r#"<Settings xmlns="Settings"><Oof><Get><BodyType>TEXT</BodyType></Get></Oof></Settings>"#;
    let before = one.request("Settings", get).await.xml();
    assert_eq!(text_of(&before, "OofState"), "0");
    let set = r#"<Settings xmlns="Settings"><Oof><Set><OofState>1</OofState><OofMessage>
        <AppliesToInternal/><Enabled>1</Enabled><ReplyMessage>Away</ReplyMessage>
        <BodyType>TEXT</BodyType></OofMessage></Set></Oof></Settings>"#;
    let done = one.request("Settings", set).await.xml();
    assert_eq!(texts_of(&done, "Status"), ["1", "1"]);
    let after = other.request("Settings", get).await.xml();
    assert_eq!(text_of(&after, "OofState"), "1");
    assert_eq!(text_of(&after, "ReplyMessage"), "Away");
    mock.shutdown().await;
}

/// An appointment as iOS writes it: what the user left out is an empty container.
#[tokio::test]
async fn an_ios_appointment_does_not_repeat_on_the_other_device() {
    let mock = mock(|_| {}).await;
    let (mut one, _) = Phone::ready_device(&mock, "load1", "ONE").await;
    let (mut other, _) = Phone::ready_device(&mock, "load1", "OTHER").await;
    let calendar = folder(&mut one, "8").await;
    one.inbox.clone_from(&calendar);
    other.inbox.clone_from(&calendar);
    let (key, other_key) = (one.prime().await, other.prime().await);
    let captured = include_bytes!("../../data/cases/a4-ios-appointment.wbxml");
    let xml = eas::wbxml::to_xml(captured).unwrap();
    let xml = xml
        .replace("{11111111-2222-3333-4444-555555555555}13", &key)
        .replace("c/Cprivate", &calendar);
    assert!(xml.contains("<Recurrence xmlns=\"Calendar\"/>"), "{xml}");
    let added = one.request("Sync", &xml).await.xml();
    assert_eq!(text_of(&added, "Add/Status"), "1", "{added}");
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(texts_of(&seen, "Subject"), ["Test"], "{seen}");
    for none in ["Recurrence", "Reminder", "Attendee"] {
        assert!(!seen.contains(none), "{none}: {seen}");
    }

    // Negative control: a rule arrives.
    let other_key = text_of(&seen, "Collection/SyncKey");
    let rule = "<Recurrence xmlns=\"Calendar\"><Type>0</Type></Recurrence>";
    let daily = xml
        .replace(
            &format!(">{key}<"),
            &format!(">{}<", text_of(&added, "Collection/SyncKey")),
        )
        .replace("<Recurrence xmlns=\"Calendar\"/>", rule)
        .replace("5828", "5829")
        .replace("UID-1", "UID-2");
    one.request("Sync", &daily).await.xml();
    let seen = other.sync(&other_key, "").await.xml();
    assert_eq!(texts_of(&seen, "Recurrence/Type"), ["0"], "{seen}");
    mock.shutdown().await;
}
